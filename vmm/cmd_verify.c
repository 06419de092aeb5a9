#include "command.h"
#include "snapshot/file.h"

/* A damaged file is this command's "no", not an error of its input. */
static int verdict(const struct options *options, int status, struct error *err, int *ret_status)
{
	bool good = status == 0, damaged = status == -ERROR_DATA;
	if (!good && !damaged)
		return status;
	*ret_status = good ? 0 : error_exit_status(ERROR_DIFFERENT);
	if (options->json) {
		struct json json = { .out = stdout };
		json_object_begin(&json, NULL);
		json_bool(&json, "good", good);
		json_string(&json, "why", good ? "" : err->text);
		json_object_end(&json);
		json_end(&json);
	} else if (good) {
		printf("%s: good\n", options->arguments[0]);
	} else {
		printf("%s\n", err->text);
	}
	return 0;
}

static int verify(const struct options *options, int *ret_status, struct error *err)
{
	struct image image = { 0 };
	int status = file_read_verified(options->arguments[0], &image, err);
	image_done(&image);
	return verdict(options, status, err, ret_status);
}

const struct command command_verify = {
	.name = "verify",
	.arguments = "FILE",
	.summary = "check a snapshot's integrity: layout, checksums, all of RAM",
	.options = OPTIONS_JSON,
	.arguments_min = 1,
	.arguments_max = 1,
	.run = verify,
};
