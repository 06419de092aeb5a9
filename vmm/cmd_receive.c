#include <string.h>
#include <unistd.h>

#include "command.h"
#include "kvm.h"
#include "session.h"
#include "snapshot/incoming.h"
#include "uri.h"

/* What the session is asked to do last, before the machine runs. */
static int commit(void *context, struct error *err)
{
	struct incoming **incoming = context;
	int status = incoming_commit(*incoming, err);
	if (status == 0) {
		incoming_free(*incoming);
		*incoming = NULL;
	}
	return status;
}

static int wait_for_source(const struct options *options, struct session *session, int kvm_fd, struct incoming **ret,
			   struct error *err)
{
	const struct uri_options uri_options = { .is_insecure = options->insecure_tcp };
	const struct incoming_options incoming_options = { .restore = &options->restore,
							   .worker = session_worker(session),
							   .ops = &session_vm_ops,
							   .ops_context = session };
	struct uri_listener listener;
	int in_fd, out_fd;
	int status = uri_listen(options->arguments[0], &uri_options, &listener, err);
	if (status == 0)
		status = uri_accept(&listener, &in_fd, &out_fd, err);
	return status == 0 ? incoming_create(ret, in_fd, out_fd, kvm_fd, &incoming_options, err) : status;
}

/* Nothing of what the source says is looked at before the process is confined. */
static int take_machine(const struct options *options, struct session *session, struct incoming *incoming,
			struct vm **ret, struct error *err)
{
	session_confine(session);
	int status = session_wait_confined(session, err);
	if (status == 0)
		status = incoming_receive(incoming, ret, err);
	report_print(stderr, incoming_report(incoming), status < 0 || options->restore.clock == RESTORE_CLOCK_REALTIME);
	return status;
}

static int receive_and_run(const struct options *options, struct session *session, int kvm_fd, int *ret_status,
			   struct error *err)
{
	struct incoming *incoming = NULL;
	struct vm *vm = NULL;
	int status = wait_for_source(options, session, kvm_fd, &incoming, err);
	if (status == 0)
		status = take_machine(options, session, incoming, &vm, err);
	if (status == 0) {
		session_set_ready(session, commit, &incoming);
		status = session_run(session, vm, ret_status, err);
	}
	incoming_free(incoming);
	vm_free(vm);
	return status;
}

static int receive(const struct options *asked, int *ret_status, struct error *err)
{
	struct options options = *asked;
	struct session *session = NULL;
	bool is_standard = uri_is_standard(options.arguments[0]);
	options.stdout_is_taken = is_standard;
	if (is_standard && options.snapshot != NULL && strcmp(options.snapshot, "-") == 0)
		return error_set(err, ERROR_USAGE, "--snapshot -: standard output is the source's connection");
	int status = session_create(&session, &options, !is_standard, err);
	if (status < 0)
		return status;
	int kvm_fd = kvm_open(err);
	status = kvm_fd < 0 ? kvm_fd : receive_and_run(&options, session, kvm_fd, ret_status, err);
	if (kvm_fd >= 0)
		close(kvm_fd);
	session_free(session);
	return status;
}

const struct command command_receive = {
	.name = "receive",
	.arguments = "URI",
	.summary = "take a machine that another stasis moves here while it runs",
	.options = OPTIONS_REGS | OPTIONS_SNAPSHOT | OPTIONS_RESTORE | OPTIONS_RUNNING | OPTIONS_CONSOLE |
		   OPTIONS_CONTROL | OPTIONS_TIME | OPTIONS_URI,
	.arguments_min = 1,
	.arguments_max = 1,
	.run = receive,
};
