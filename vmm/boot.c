#include "boot.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define LIST_MAX 256

/*
 * Formats inside ELF come before ELF; those with a magic number come before those that are known by a few bytes at
 * either end.
 */
static const struct boot_loader *const loaders[] = {
	&boot_multiboot, &boot_pvh, &boot_elf64, &boot_firmware, &boot_sector, &boot_flat_real, &boot_flat_long, NULL,
};

static const struct boot_loader *find(const struct boot_request *request)
{
	for (const struct boot_loader *const *loader = loaders; *loader != NULL; loader++) {
		bool is_meant = request->kind != BOOT_AUTO ? (*loader)->kind == request->kind
							   : (*loader)->recognises != NULL &&
								     (*loader)->recognises(request->image.contents);
		if (is_meant)
			return *loader;
	}
	return NULL;
}

static int refuse_unknown(const struct boot_request *request, struct error *err)
{
	char known[LIST_MAX] = "";
	size_t used = 0;
	for (const struct boot_loader *const *loader = loaders; *loader != NULL; loader++)
		if ((*loader)->recognises != NULL && used < sizeof(known))
			used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", used > 0 ? ", " : "",
						 (*loader)->name);
	return error_set(err, ERROR_DATA,
			 "%s: its %zu bytes are none of the images that are known by their contents (%s); for a flat "
			 "image say --real or --long, and a snapshot is for stasis restore",
			 request->image.name, request->image.contents.size, known);
}

/* Does the loader take what the request gives it? */
static int check_request(const struct boot_request *request, const struct boot_loader *loader, struct error *err)
{
	const char *name = request->image.name;
	size_t line_size = strlen(request->command_line) + 1;
	if ((request->has_load || request->has_entry) && !loader->takes_addresses)
		return error_set(err, ERROR_USAGE,
				 "%s: %s says itself where it goes: --load and --entry are for --real and --long", name,
				 loader->name);
	if (line_size > 1 && loader->command_line_max == 0)
		return error_set(err, ERROR_USAGE, "%s: %s takes no command line", name, loader->name);
	if (line_size > 1 && line_size > loader->command_line_max)
		return error_set(err, ERROR_USAGE,
				 "%s: a command line of %zu bytes: expected at most %" PRIu32 " for %s", name,
				 line_size - 1, loader->command_line_max - 1, loader->name);
	if (request->nr_modules > loader->modules_max)
		return error_set(err, ERROR_USAGE, "%s: %u modules: expected at most %u for %s", name,
				 request->nr_modules, loader->modules_max, loader->name);
	return 0;
}

int boot_find(const struct boot_request *request, const struct boot_loader **ret_loader, struct error *err)
{
	if (request->image.contents.size == 0)
		return error_set(err, ERROR_DATA, "%s: an empty file: expected an image", request->image.name);
	const struct boot_loader *loader = find(request);
	if (loader == NULL)
		return refuse_unknown(request, err);
	int status = check_request(request, loader, err);
	if (status == 0)
		*ret_loader = loader;
	return status;
}
