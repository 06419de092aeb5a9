#include "command.h"
#include "error.h"
#include "snapshot/compare.h"
#include "snapshot/file.h"

static void print_text(const struct options *options, const struct report *report)
{
	report_print(stdout, report, true);
	if (report_bad(report) == 0)
		printf("%s and %s: the same\n", options->arguments[0], options->arguments[1]);
	else
		printf("%s and %s: %zu difference%s\n", options->arguments[0], options->arguments[1],
		       report_bad(report), report_bad(report) == 1 ? "" : "s");
}

static void print_json(const struct report *report)
{
	struct json json = { .out = stdout };
	json_object_begin(&json, NULL);
	json_bool(&json, "same", report_bad(report) == 0);
	report_json(&json, "findings", report);
	json_object_end(&json);
	json_end(&json);
}

static int compare(const struct options *options, int *ret_status, struct error *err)
{
	struct image a = { 0 }, b = { 0 };
	struct report report = { 0 };
	struct compare_options how = { .with_ram = true };
	int status = file_read(options->arguments[0], &a, err);
	if (status == 0)
		status = file_read(options->arguments[1], &b, err);
	if (status == 0) {
		compare_images(&a, &b, &how, &report);
		if (options->json)
			print_json(&report);
		else
			print_text(options, &report);
		*ret_status = report_bad(&report) == 0 ? 0 : error_exit_status(ERROR_DIFFERENT);
	}
	report_done(&report);
	image_done(&a);
	image_done(&b);
	return status;
}

const struct command command_compare = {
	.name = "compare",
	.arguments = "A B",
	.summary = "tell two snapshots apart, field by field and by name",
	.options = OPTIONS_JSON,
	.arguments_min = 2,
	.arguments_max = 2,
	.run = compare,
};
