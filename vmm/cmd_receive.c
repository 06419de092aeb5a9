#include <string.h>
#include <unistd.h>

#include "command.h"
#include "kvm.h"
#include "session.h"
#include "snapshot/incoming.h"
#include "uri.h"
#include "userfault.h"

struct receiver {
	struct session *session;
	struct incoming *incoming; /* NULL, once the machine runs */
};

/* What the session is asked to do last, before the machine runs. */
static int commit(void *context, struct error *err)
{
	const struct receiver *receiver = context;
	return incoming_commit(receiver->incoming, err);
}

/* What is not needed any more goes while the guest runs already. */
static void end_receiving(void *context)
{
	struct receiver *receiver = context;
	session_set_arrival(receiver->session, incoming_take_arrival(receiver->incoming));
	incoming_free(receiver->incoming);
	receiver->incoming = NULL;
}

/* What this receiver does by itself would have to wait for all pages. */
static int open_userfault(const struct options *options, struct session *session, struct error *err)
{
	if (options->at.kind != TRIGGER_NONE || options->rewind_every != 0)
		return error_set(err, ERROR_USAGE, "this receiver was started with --at or --rewind-every");
	int fd = userfault_open(err);
	if (fd >= 0)
		session_allow_arrival(session);
	return fd;
}

static int wait_for_source(const struct options *options, struct session *session, int kvm_fd, struct incoming **ret,
			   struct error *err)
{
	const struct uri_options uri_options = { .is_insecure = options->insecure_tcp };
	struct incoming_options incoming_options = { .restore = &options->restore,
						     .worker = session_worker(session),
						     .ops = &session_vm_ops,
						     .ops_context = session };
	struct uri_listener listener;
	int in_fd = -1, out_fd = -1;
	int status = uri_listen(options->arguments[0], &uri_options, &listener, err);
	if (status == 0)
		status = uri_accept(&listener, &in_fd, &out_fd, err);
	if (status < 0)
		return status;
	incoming_options.userfault_fd = open_userfault(options, session, &incoming_options.no_userfault);
	return incoming_create(ret, in_fd, out_fd, kvm_fd, &incoming_options, err);
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
	struct receiver receiver = { .session = session };
	struct vm *vm = NULL;
	int status = wait_for_source(options, session, kvm_fd, &receiver.incoming, err);
	if (status == 0)
		status = take_machine(options, session, receiver.incoming, &vm, err);
	if (status == 0) {
		session_set_ready(session, commit, end_receiving, &receiver);
		status = session_run(session, vm, ret_status, err);
	}
	incoming_free(receiver.incoming);
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
