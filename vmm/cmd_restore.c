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
	return options->copy            ? file_read_copy(path, ret, err)
	       : options->verify_memory ? file_read_verified(path, ret, err)
					: file_read(path, ret, err);
}

/* The snapshot, read and checked by the worker. */
struct reading {
	const struct options *options;
	struct image image;
	int status;
	struct error error;
};

static void read_job(void *context)
{
	struct reading *reading = context;
	reading->status = read_snapshot(reading->options, &reading->image, &reading->error);
}

/*
 * The worker reads and checks the snapshot and enters the sandbox, while an empty VM is made, which knows nothing of
 * the snapshot yet.  What is wrong with the file is told first: without KVM, too.
 */
static int make_vm(const struct options *options, struct session *session, struct report *report, struct vm **ret,
		   struct error *err)
{
	struct reading reading = { .options = options };
	struct cpuid_query query; /* of many pages, which are not touched before they are needed */
	struct restore_base base = { .query = &query, .vm_fd = -1 };
	struct error kvm_error;
	query.worker = NULL;
	unsigned job = worker_do(session_worker(session), read_job, &reading);
	int status, kvm_fd = kvm_open(&kvm_error);
	session_step(session, "open", "KVM");
	if (kvm_fd >= 0) {
		cpuid_query_start(&query, session_worker(session), kvm_fd);
		if (!options->incremental && options->rewind_every == 0) /* which open files before the guest runs */
			session_confine(session);
		base.vm_fd = kvm_call_value(kvm_fd, KVM_CREATE_VM, 0); /* where it fails, vm_create() says so */
	}
	session_step(session, "create", "VM");
	worker_wait(session_worker(session), job);
	session_step(session, "read", "file");
	status = reading.status < 0 ? reading.status : kvm_fd < 0 ? kvm_fd : 0;
	if (status == 0) {
		session_set_base(session, options->arguments[0], reading.image.header.id);
		status = restore_image_with(&base, &reading.image, &options->restore, NULL, 0, &session_vm_ops, session,
					    report, ret, err);
	} else {
		*err = reading.status < 0 ? reading.error : kvm_error;
		if (base.vm_fd >= 0)
			close(base.vm_fd);
	}
	cpuid_query_done(&query);
	image_done(&reading.image);
	if (status < 0 && kvm_fd >= 0)
		close(kvm_fd);
	return status;
}

static int restore(const struct options *options, int *ret_status, struct error *err)
{
	struct session *session = NULL;
	struct report report = { 0 };
	struct vm *vm = NULL;
	/* A snapshot that comes through standard input takes all of it. */
	bool has_input = strcmp(options->arguments[0], "-") != 0;
	int status = session_create(&session, options, has_input, err);
	if (status == 0 && options->incremental && !has_input)
		status = error_set(err, ERROR_USAGE,
				   "--incremental: standard input has no name that a parent is found by; name a file");
	if (status == 0)
		status = make_vm(options, session, &report, &vm, err);
	/* Whoever wants the clocks to be moved is told by how much they were. */
	report_print(stderr, &report, status < 0 || options->restore.clock == RESTORE_CLOCK_REALTIME);
	report_done(&report);
	if (status == 0) {
		int kvm_fd = vm->kvm_fd;
		status = session_run(session, vm, ret_status, err);
		vm_free(vm);
		close(kvm_fd);
	}
	session_free(session);
	return status;
}

const struct command command_restore = {
	.name = "restore",
	.arguments = "FILE",
	.summary = "restore a snapshot, verify it by reading it back, and let it go on",
	.options = OPTIONS_REGS | OPTIONS_SNAPSHOT | OPTIONS_RESTORE | OPTIONS_MEMORY | OPTIONS_RUNNING |
		   OPTIONS_CONSOLE | OPTIONS_CONTROL | OPTIONS_TIME,
	.arguments_min = 1,
	.arguments_max = 1,
	.run = restore,
};
