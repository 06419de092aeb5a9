#include <unistd.h>

#include "command.h"
#include "kvm.h"
#include "snapshot/file.h"
#include "snapshot/restore.h"

static void discard(void *context, uint8_t byte)
{
	(void)context;
	(void)byte;
}

static void print(const struct options *options, const struct report *report, bool takes)
{
	if (options->json) {
		struct json json = { .out = stdout };
		json_object_begin(&json, NULL);
		json_bool(&json, "takes", takes);
		report_json(&json, "findings", report);
		post_copy_show(&json);
		json_object_end(&json);
		json_end(&json);
		return;
	}
	report_print(stdout, report, true);
	post_copy_show(NULL);
	if (takes)
		printf("%s: this host takes it\n", options->arguments[0]);
	else
		printf("%s: this host does not take it: %zu reason%s\n", options->arguments[0], report_bad(report),
		       report_bad(report) == 1 ? "" : "s");
}

/* Nothing says it better than doing it: the snapshot is restored into a machine that never runs. */
static int check(const struct options *options, int *ret_status, struct error *err)
{
	static const struct vm_ops silent = { .console = discard };
	struct report report = { 0 };
	struct image image = { 0 };
	struct restore_options restore = options->restore;
	struct vm *vm = NULL;
	restore.tells_all = true;
	int kvm_fd = -1, status = file_read(options->arguments[0], &image, err);
	if (status == 0)
		status = kvm_fd = kvm_open(err);
	if (status >= 0)
		status = restore_image(&image, kvm_fd, &restore, NULL, 0, &silent, NULL, &report, &vm, err);
	if (status == 0 || report_bad(&report) > 0) {
		print(options, &report, status == 0);
		*ret_status = status == 0 ? 0 : error_exit_status(ERROR_DIFFERENT);
		status = 0;
	}
	vm_free(vm);
	image_done(&image);
	report_done(&report);
	if (kvm_fd >= 0)
		close(kvm_fd);
	return status;
}

const struct command command_check = {
	.name = "check",
	.arguments = "FILE",
	.summary = "would this host take a snapshot? names what would not survive",
	.options = OPTIONS_REGS | OPTIONS_RESTORE | OPTIONS_JSON,
	.arguments_min = 1,
	.arguments_max = 1,
	.run = check,
};
