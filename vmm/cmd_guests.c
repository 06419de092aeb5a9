#include "command.h"
#include "guest/guests.h"

static const char *const irqchip_names[] = { "none", "split", "full" };

static void print_text(void)
{
	for (const struct guest *guest = guests(); guest->name != NULL; guest++) {
		printf("%-10s %-5s %s\n", guest->name, guest->is_long ? "long" : "real", guest->description);
		for (unsigned i = 0; i < GUEST_IRQCHIPS; i++)
			if (guest->cannot[i] != NULL)
				printf("%16s not with --irqchip %s: %s\n", "", irqchip_names[i], guest->cannot[i]);
	}
}

static void print_json(void)
{
	struct json json = { .out = stdout };
	json_array_begin(&json, NULL);
	for (const struct guest *guest = guests(); guest->name != NULL; guest++) {
		json_object_begin(&json, NULL);
		json_string(&json, "name", guest->name);
		json_string(&json, "description", guest->description);
		json_string(&json, "mode", guest->is_long ? "long" : "real");
		json_bool(&json, "endless", guest->is_endless);
		json_number(&json, "vcpus_max", guest->vcpus_max);
		json_object_begin(&json, "cannot");
		for (unsigned i = 0; i < GUEST_IRQCHIPS; i++)
			if (guest->cannot[i] != NULL)
				json_string(&json, irqchip_names[i], guest->cannot[i]);
		json_object_end(&json);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_end(&json);
}

static int list_guests(const struct options *options, int *ret_status, struct error *err)
{
	(void)err;
	*ret_status = 0;
	if (options->json)
		print_json();
	else
		print_text();
	return 0;
}

const struct command command_guests = {
	.name = "guests",
	.arguments = "",
	.summary = "list the built-in guests",
	.options = OPTIONS_JSON,
	.run = list_guests,
};
