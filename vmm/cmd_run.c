#include <string.h>
#include <unistd.h>

#include "command.h"
#include "kvm.h"
#include "session.h"

static int check_options(const struct options *options, struct error *err)
{
	if (options->at.kind != TRIGGER_NONE && options->snapshot == NULL)
		return error_set(err, ERROR_USAGE, "--at says when, --snapshot FILE must say where to");
	if (options->go_on && options->at.kind == TRIGGER_NONE)
		return error_set(err, ERROR_USAGE, "--continue goes with --at, which says when the snapshot is taken");
	return 0;
}

static int run(const struct options *options, int *ret_status, struct error *err)
{
	bool to_stdout = options->snapshot != NULL && strcmp(options->snapshot, "-") == 0;
	struct session_config config = {
		.input_fd = STDIN_FILENO,
		.output_fd = to_stdout ? STDERR_FILENO : STDOUT_FILENO,
		.snapshot = options->snapshot,
		.at = options->at,
		.go_on = options->go_on,
		.trace_io = options->trace_io,
	};
	struct session *session = NULL;
	struct vm *vm = NULL;
	int kvm_fd = -1, status = check_options(options, err);
	if (status == 0)
		status = session_create(&session, &config, err);
	if (status == 0)
		status = kvm_fd = kvm_open(err);
	if (status >= 0)
		status = options_boot(options, kvm_fd, &session_vm_ops, session, &vm, err);
	if (status == 0)
		status = session_run(session, vm, ret_status, err);
	vm_free(vm);
	session_free(session);
	if (kvm_fd >= 0)
		close(kvm_fd);
	return status;
}

const struct command command_run = {
	.name = "run",
	.arguments = "[IMAGE]",
	.summary = "boot an image or a built-in guest; its console is the terminal",
	.options = OPTIONS_MACHINE | OPTIONS_REGS | OPTIONS_SNAPSHOT | OPTIONS_RUNNING,
	.arguments_max = 1,
	.run = run,
};
