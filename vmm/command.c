#include "command.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/guests.h"
#include "io.h"
#include "json.h"
#include "setup.h"
#include "snapshot/file.h"
#include "snapshot/save.h"
#include "userfault.h"

void message(const char *format, ...)
{
	char text[ERROR_TEXT_MAX + 256];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "stasis: %s\n", text); /* one write: stderr is unbuffered, lines of threads stay whole */
}

static bool is_detail(enum finding_kind kind)
{
	return kind == FINDING_VOLATILE || kind == FINDING_TRANSLATED;
}

void report_print(FILE *out, const struct report *report, bool with_details)
{
	char line[640];
	for (size_t i = 0; i < report->nr; i++) {
		if (!with_details && is_detail(report->findings[i].kind))
			continue;
		finding_format(&report->findings[i], line, sizeof(line));
		fprintf(out, "%s\n", line);
	}
	if (report->is_cut)
		fprintf(out, "... and more, not listed\n");
}

void report_json(struct json *json, const char *name, const struct report *report)
{
	json_array_begin(json, name);
	for (size_t i = 0; i < report->nr; i++) {
		const struct finding *finding = &report->findings[i];
		json_object_begin(json, NULL);
		json_string(json, "kind", finding_kind_name(finding->kind));
		json_string(json, "where", finding->where);
		json_string(json, "component", finding->component);
		json_string(json, "name", finding->name);
		json_string(json, "left", finding->left);
		json_string(json, "right", finding->right);
		json_string(json, "detail", finding->detail);
		json_object_end(json);
	}
	json_array_end(json);
}

void post_copy_show(struct json *json)
{
	struct error why = { 0 };
	bool can = userfault_can(&why);
	if (json == NULL) {
		printf("post-copy: %s%s\n", can ? "yes" : "no: ", why.text);
		return;
	}
	json_object_begin(json, "post_copy");
	json_bool(json, "can", can);
	json_string(json, "why", why.text);
	json_object_end(json);
}

int snapshot_take(struct vm *vm, struct track *track, const char *path, struct error *err)
{
	struct image image = { 0 };
	vm->ports.state.checkpoints_taken++;
	int status = save_image(vm, &image, err);
	if (status == 0 && strcmp(path, "-") == 0)
		status = file_write_stream(&image, STDOUT_FILENO, "standard output", err);
	else if (status == 0)
		status = track != NULL ? track_write(track, &image, path, err) : file_write(&image, path, err);
	if (status < 0)
		vm->ports.state.checkpoints_taken--;
	image_done(&image);
	return status;
}

/* ---- Booting what the options name ---- */

/* The files that go into the guest, while it is booted. */
struct boot_files {
	struct buffer image, modules[BOOT_MODULES_MAX];
};

static void boot_files_done(struct boot_files *files)
{
	buffer_done(&files->image);
	for (unsigned i = 0; i < BOOT_MODULES_MAX; i++)
		buffer_done(&files->modules[i]);
}

static int use_guest(const struct options *options, struct boot_files *files, struct boot_request *request,
		     struct error *err)
{
	const struct guest *guest = guest_find(options->guest);
	if (guest == NULL)
		return error_set(err, ERROR_USAGE, "--guest %s: no such guest; stasis guests lists them",
				 options->guest);
	if (guest->cannot[options->irqchip] != NULL)
		return error_set(err, ERROR_USAGE, "--guest %s: not with this --irqchip: %s", guest->name,
				 guest->cannot[options->irqchip]);
	if (options->cpus < guest->vcpus_min || options->cpus > guest->vcpus_max)
		return error_set(err, ERROR_USAGE, "--guest %s --cpus %u: it takes %u to %u", guest->name,
				 options->cpus, guest->vcpus_min, guest->vcpus_max);
	if (!guest_image(guest, &files->image))
		return error_set(err, ERROR_SYSTEM, "--guest %s: no memory for its image", guest->name);
	request->image = (struct boot_file){ .name = guest->name, .contents = buffer_bytes(&files->image) };
	request->kind = guest->is_long ? BOOT_FLAT_LONG : BOOT_FLAT_REAL;
	return 0;
}

static int use_file(const struct options *options, struct boot_files *files, struct boot_request *request,
		    struct error *err)
{
	if (options->nr_arguments == 0)
		return error_set(err, ERROR_USAGE,
				 "neither an image nor --guest is named; stasis guests lists the guests");
	int status = io_read_file(options->arguments[0], BOOT_IMAGE_MAX, &files->image, err);
	request->image = (struct boot_file){ .name = options->arguments[0], .contents = buffer_bytes(&files->image) };
	return status;
}

static int use_modules(const struct options *options, struct boot_files *files, struct boot_request *request,
		       struct error *err)
{
	int status = 0;
	for (unsigned i = 0; i < options->nr_modules && status == 0; i++) {
		status = io_read_file(options->modules[i], BOOT_IMAGE_MAX, &files->modules[i], err);
		request->modules[request->nr_modules++] =
			(struct boot_file){ .name = options->modules[i], .contents = buffer_bytes(&files->modules[i]) };
	}
	return status;
}

int options_boot(const struct options *options, int kvm_fd, const struct vm_ops *ops, void *ops_context,
		 struct vm **ret, struct error *err)
{
	struct boot_files files = { 0 };
	struct boot_request request = {
		.kind = options->kind,
		.load_gpa = options->load,
		.entry_gpa = options->entry,
		.has_load = options->has_load,
		.has_entry = options->has_entry,
		.command_line = options->command_line,
	};
	struct setup setup = {
		.ram_size = options->mem,
		.nr_vcpus = options->cpus,
		.irqchip = options->irqchip,
		.baseline = options->baseline,
	};
	if (options->guest != NULL && options->nr_arguments > 0)
		return error_set(err, ERROR_USAGE, "both an image, %s, and --guest %s are named", options->arguments[0],
				 options->guest);
	int status = options->guest != NULL ? use_guest(options, &files, &request, err)
					    : use_file(options, &files, &request, err);
	if (status == 0)
		status = use_modules(options, &files, &request, err);
	if (status == 0)
		status = setup_boot(&setup, &request, kvm_fd, ops, ops_context, ret, err);
	if (status == 0 && options->restore.has_reg_access) {
		(*ret)->reg_access = options->restore.reg_access;
		if (options->restore.reg_access == KVM_REG_ACCESS_ONE_REG && !kvm_reg_has_one_reg(kvm_fd)) {
			vm_free(*ret);
			*ret = NULL;
			status = error_set(
				err, ERROR_NO_KVM,
				"--regs one-reg: this kernel has no KVM_CAP_ONE_REG (Linux 6.18 and newer have)");
		}
	}
	boot_files_done(&files);
	return status;
}
