#include <string.h>
#include <unistd.h>

#include "command.h"
#include "kvm.h"
#include "session.h"
#include "snapshot/file.h"
#include "snapshot/restore.h"

/* Where RAM is mapped, a change to the file that came before is found by --verify-memory, and none that comes after. */
static int read_snapshot(const struct options *options, struct image *ret, struct error *err)
{
	const char *path = options->arguments[0];
	if (options->copy)
		return file_read_copy(path, ret, err);
	int status = file_read(path, ret, err);
	if (status == 0 && options->verify_memory && file_verify_ram(ret, err) < 0)
		status = error_prefix(err, "%s", path);
	return status;
}

static int restore(const struct options *options, int *ret_status, struct error *err)
{
	const char *path = options->arguments[0];
	struct session *session = NULL;
	struct report report = { 0 };
	struct image image = { 0 };
	struct vm *vm = NULL;
	/* A snapshot that comes through standard input takes all of it. */
	bool has_input = strcmp(path, "-") != 0;
	int kvm_fd = -1, status = session_create(&session, options, has_input, err);
	if (status == 0 && options->incremental && !has_input)
		status = error_set(err, ERROR_USAGE,
				   "--incremental: standard input has no name that a parent is found by; name a file");
	if (status == 0)
		status = read_snapshot(options, &image, err);
	if (status == 0)
		status = kvm_fd = kvm_open(err);
	if (status >= 0)
		status = restore_image(&image, kvm_fd, &options->restore, NULL, 0, &session_vm_ops, session, &report,
				       &vm, err);
	report_print(stderr, &report, status < 0);
	if (status == 0)
		session_set_base(session, path, image.header.id);
	image_done(&image);
	report_done(&report);
	if (status == 0)
		status = session_run(session, vm, ret_status, err);
	vm_free(vm);
	session_free(session);
	if (kvm_fd >= 0)
		close(kvm_fd);
	return status;
}

const struct command command_restore = {
	.name = "restore",
	.arguments = "FILE",
	.summary = "restore a snapshot, verify it by reading it back, and let it go on",
	.options =
		OPTIONS_REGS | OPTIONS_SNAPSHOT | OPTIONS_RESTORE | OPTIONS_MEMORY | OPTIONS_RUNNING | OPTIONS_CONSOLE,
	.arguments_min = 1,
	.arguments_max = 1,
	.run = restore,
};
