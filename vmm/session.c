#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "io.h"
#include "sandbox.h"
#include "terminal.h"

#define INPUT_SIZE 256

struct session {
	const struct options *options;
	int input_fd, output_fd; /* input_fd is -1 where the console has no input */
	struct terminal terminal;
	bool taken;             /* the trigger's snapshot was taken */
	unsigned nr_taken;      /* snapshots, for numbering */
	_Atomic bool is_closed; /* nobody reads the console any more */
	uint8_t input[INPUT_SIZE];
	size_t input_size;   /* bytes that the UART had no room for yet */
	int64_t deadline_us; /* of TRIGGER_AFTER; 0: none */
	bool is_over;
	int status;
};

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void console(void *context, uint8_t byte)
{
	struct session *session = context;
	if (io_write_full(session->output_fd, &byte, 1) < 0)
		session->is_closed = true;
}

static void trace(void *context, unsigned vcpu, const char *text)
{
	const struct session *session = context;
	if (session->options->trace_io)
		message("vcpu%u %s", vcpu, text);
}

const struct vm_ops session_vm_ops = { .console = console, .trace = trace };

int session_create(struct session **ret, const struct options *options, bool has_input, struct error *err)
{
	bool to_stdout = options->snapshot != NULL && strcmp(options->snapshot, "-") == 0;
	if (options->at.kind != TRIGGER_NONE && options->snapshot == NULL)
		return error_set(err, ERROR_USAGE, "--at says when, --snapshot FILE must say where to");
	if (options->go_on && options->at.kind == TRIGGER_NONE)
		return error_set(err, ERROR_USAGE, "--continue goes with --at, which says when the snapshot is taken");
	struct session *session = calloc(1, sizeof(*session));
	if (session == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a session");
	session->options = options;
	session->input_fd = has_input ? STDIN_FILENO : -1;
	session->output_fd = to_stdout ? STDERR_FILENO : STDOUT_FILENO;
	session->terminal.fd = -1;
	*ret = session;
	return 0;
}

void session_free(struct session *session)
{
	free(session);
}

/* The file of the next snapshot: FILE, then FILE.1, FILE.2, ... */
static int take_snapshot(struct session *session, struct vm *vm, struct error *err)
{
	const char *base = session->options->snapshot;
	char path[4096];
	if (session->nr_taken > 0 && strcmp(base, "-") == 0)
		return error_set(err, ERROR_USAGE, "standard output has one already");
	int n = session->nr_taken == 0 ? snprintf(path, sizeof(path), "%s", base)
				       : snprintf(path, sizeof(path), "%s.%u", base, session->nr_taken);
	if (n < 0 || (size_t)n >= sizeof(path))
		return error_set(err, ERROR_USAGE, "%s: a name of more than %zu bytes", base, sizeof(path) - 8);
	int status = snapshot_take(vm, path, err);
	if (status == 0) {
		session->nr_taken++;
		message("snapshot written to %s", strcmp(path, "-") == 0 ? "standard output" : path);
	}
	return status;
}

/* Takes the snapshot that --at asked for; the machine is paused.  A failed one does not end a guest that is to go on.
 */
static int trigger(struct session *session, struct vm *vm, struct error *err)
{
	session->taken = true;
	session->deadline_us = 0;
	int status = take_snapshot(session, vm, err);
	if (session->options->go_on) {
		if (status < 0)
			message("no snapshot: %s; the guest goes on", err->text);
		return 0;
	}
	session->is_over = true;
	return status;
}

static void snapshot_by_key(struct session *session, struct vm *vm)
{
	struct error err;
	if (session->options->snapshot == NULL) {
		message("no snapshot: name a file with --snapshot FILE");
		return;
	}
	vm_pause(vm);
	if (take_snapshot(session, vm, &err) < 0)
		message("no snapshot: %s; the guest goes on", err.text);
	vm_resume(vm);
}

static void handle_key(struct session *session, struct vm *vm, enum terminal_key key)
{
	switch (key) {
	case TERMINAL_QUIT:
		session->is_over = true;
		break;
	case TERMINAL_SNAPSHOT:
		snapshot_by_key(session, vm);
		break;
	case TERMINAL_HELP:
		message("Ctrl-A x quits, Ctrl-A s takes a snapshot, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h prints this");
		break;
	case TERMINAL_NONE:
		break;
	}
}

static int handle_event(struct session *session, struct vm *vm, const struct vm_event *event, struct error *err)
{
	const struct trigger *at = &session->options->at;
	switch (event->kind) {
	case VM_EVENT_CHECKPOINT:
		if (at->kind == TRIGGER_CHECKPOINT && !session->taken && (!at->has_value || at->value == event->value))
			return trigger(session, vm, err);
		return 0;
	case VM_EVENT_EXITS:
		return trigger(session, vm, err);
	case VM_EVENT_EXIT: /* as QEMU's isa-debug-exit: never 0 */
		session->is_over = true;
		session->status = (int)((event->value << 1 | 1) & 0xff);
		return 0;
	case VM_EVENT_RESET:
		session->is_over = true;
		message("the guest asked for a reset; it ends here");
		return 0;
	case VM_EVENT_HALTED:
		session->is_over = true;
		message("vCPU %u halted, and without an interrupt controller nothing can wake it; it ends here",
			event->vcpu);
		return 0;
	case VM_EVENT_FAILED:
		*err = event->error;
		return -(int)err->code;
	case VM_EVENT_NONE:
		break;
	}
	return 0;
}

/* Offers what was typed to the UART; what does not fit is offered again. */
static void feed(struct session *session, struct vm *vm)
{
	enum terminal_key key = TERMINAL_NONE;
	if (session->input_size == 0)
		session->input_size = terminal_read(&session->terminal, session->input, INPUT_SIZE, &key);
	size_t taken = vm_input(vm, session->input, session->input_size);
	session->input_size -= taken;
	memmove(session->input, session->input + taken, session->input_size);
	handle_key(session, vm, key);
}

/* How long poll() may wait: to the deadline, or a moment where input waits for room. */
static int wait_ms(const struct session *session)
{
	enum { ROOM_MS = 2, CLOSED_MS = 200 };
	if (session->input_size > 0)
		return ROOM_MS;
	if (session->deadline_us == 0)
		return CLOSED_MS;
	int64_t left = (session->deadline_us - now_us() + 999) / 1000;
	return left < 0 ? 0 : left < CLOSED_MS ? (int)left : CLOSED_MS;
}

static int step(struct session *session, struct vm *vm, struct error *err)
{
	struct pollfd fds[2] = {
		{ .fd = vm->event_fd, .events = POLLIN },
		{ .fd = session->input_size == 0 ? session->terminal.fd : -1, .events = POLLIN },
	};
	struct vm_event event;
	int status = 0;
	if (poll(fds, 2, wait_ms(session)) < 0 && errno != EINTR)
		return error_errno(err, ERROR_SYSTEM, "poll");
	if (session->is_closed)
		return error_set(err, ERROR_IO, "nobody reads the guest's console any more");
	if (fds[1].revents != 0 || session->input_size > 0) /* what is wrong with it, the read finds out */
		feed(session, vm);
	if (session->deadline_us != 0 && now_us() >= session->deadline_us) {
		vm_pause(vm);
		status = trigger(session, vm, err);
		if (status == 0 && !session->is_over)
			vm_resume(vm);
	}
	while (status == 0 && !session->is_over && vm_take_event(vm, &event)) {
		status = handle_event(session, vm, &event, err);
		if (status == 0 && !session->is_over)
			vm_resume(vm);
	}
	return status;
}

int session_run(struct session *session, struct vm *vm, int *ret_status, struct error *err)
{
	const struct trigger *at = &session->options->at;
	if (at->kind == TRIGGER_EXITS)
		vm->exits_wanted = at->value;
	/* Before the first thread, so that all have it. */
	int status = session->options->no_sandbox ? 0 : sandbox_enter(session->options->snapshot != NULL, err);
	if (status == 0)
		status = vm_start(vm, err);
	if (status == 0)
		status = terminal_open(&session->terminal, session->input_fd, err);
	if (status < 0)
		return status;
	if (session->terminal.is_raw)
		terminal_guard(&session->terminal);
	if (at->kind == TRIGGER_AFTER)
		session->deadline_us = now_us() + (int64_t)at->value;
	vm_resume(vm);
	while (status == 0 && !session->is_over)
		status = step(session, vm, err);
	vm_pause(vm);
	terminal_close(&session->terminal);
	if (status == 0 && at->kind != TRIGGER_NONE && !session->taken)
		message("no snapshot: the guest ended before --at");
	if (status == 0)
		*ret_status = session->status;
	return status;
}
