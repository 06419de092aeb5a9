#include <unistd.h>

#include "command.h"
#include "kvm.h"
#include "session.h"

static int run(const struct options *options, int *ret_status, struct error *err)
{
	struct session *session = NULL;
	struct vm *vm = NULL;
	int kvm_fd = -1, status = session_create(&session, options, true, err);
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
	.options =
		OPTIONS_MACHINE | OPTIONS_REGS | OPTIONS_SNAPSHOT | OPTIONS_RUNNING | OPTIONS_CONSOLE | OPTIONS_CONTROL,
	.arguments_max = 1,
	.run = run,
};
