#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "console.h"
#include "now.h"
#include "sandbox.h"
#include "session_state.h"
#include "step_times.h"

#define MESSAGE_US 100000 /* how long a message waits for the console in front of it, and to be written itself */
#define QUIT_US    200000 /* how long the console is waited for when the user has quit */
#define DRAIN_US   50000  /* how often keys are looked for while the console is waited for */

static void step_done(void *context, const char *what, const char *name)
{
	session_step(context, what, name);
}

void session_step(struct session *session, const char *what, const char *name)
{
	if (session->times != NULL)
		step_times_add(session->times, what, name);
}

static void console(void *context, uint8_t byte)
{
	struct session *session = context;
	console_put(session->console, &byte, 1);
	if (!session->has_printed)
		session_step(session, "first byte", "");
	session->has_printed = true;
}

static void wait_for_console(void *context)
{
	const struct session *session = context;
	console_wait(session->console);
	console_wait(session->messages);
}

static void count_pause(struct pauses *pauses, bool is_pausing)
{
	if (is_pausing == (pauses->since_us != 0))
		return;
	int64_t now = now_us(), took = now - pauses->since_us;
	if (!is_pausing) {
		pauses->nr++;
		pauses->total_us += took;
		pauses->max_us = took > pauses->max_us ? took : pauses->max_us;
	}
	pauses->since_us = is_pausing ? now : 0;
}

static void pausing(void *context, bool is_pausing)
{
	struct session *session = context;
	console_hurry(session->console, is_pausing);
	console_hurry(session->messages, is_pausing);
	count_pause(&session->pauses, is_pausing);
}

__attribute__((format(printf, 2, 0))) static void put_message(const struct session *session, const char *format,
							      va_list args)
{
	char text[ERROR_TEXT_MAX + 256] = "stasis: ";
	size_t used = strlen(text), room = sizeof(text) - used - 1; /* and a newline */
	int n = vsnprintf(text + used, room, format, args);
	used += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
	text[used++] = '\n';
	console_put(session->messages, text, used);
}

void session_say(const struct session *session, const char *format, ...)
{
	va_list args;
	console_flush(session->console, MESSAGE_US);
	va_start(args, format);
	put_message(session, format, args);
	va_end(args);
	console_flush(session->messages, MESSAGE_US);
}

__attribute__((format(printf, 2, 3))) static void say_at_once(const struct session *session, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	put_message(session, format, args);
	va_end(args);
}

static void trace(void *context, unsigned vcpu, const char *text)
{
	const struct session *session = context;
	say_at_once(session, "vcpu%u %s", vcpu, text);
}

const struct vm_ops session_vm_ops = {
	.console = console, .console_wait = wait_for_console, .pausing = pausing, .trace = trace, .step = step_done
};

static int check_options(const struct options *options, struct error *err)
{
	bool to_stdout = options->snapshot != NULL && strcmp(options->snapshot, "-") == 0;
	if (options->at.kind != TRIGGER_NONE && options->snapshot == NULL)
		return error_set(err, ERROR_USAGE, "--at says when, --snapshot FILE must say where to");
	if (options->go_on && options->at.kind == TRIGGER_NONE)
		return error_set(err, ERROR_USAGE, "--continue goes with --at, which says when the snapshot is taken");
	if (options->incremental && options->snapshot == NULL && options->control == NULL)
		return error_set(err, ERROR_USAGE,
				 "--incremental goes with --snapshot FILE, or with --control SOCKET, whose clients ask "
				 "for snapshots");
	if (options->incremental && to_stdout)
		return error_set(err, ERROR_USAGE,
				 "--incremental goes with --snapshot FILE; standard output takes whole snapshots only");
	if (options->rewinds != 0 && options->rewind_every == 0)
		return error_set(err, ERROR_USAGE, "--rewinds goes with --rewind-every, which says when");
	if (options->rewind_every != 0 && (options->snapshot != NULL || options->incremental))
		return error_set(
			err, ERROR_USAGE,
			"--rewind-every goes without --snapshot: both would need to know what the guest writes");
	return 0;
}

/* What the sandbox would not let be opened later. */
static int open_files(struct session *session, struct error *err)
{
	const struct options *options = session->options;
	bool to_stdout = options->snapshot != NULL && strcmp(options->snapshot, "-") == 0;
	if (options->snapshot != NULL || options->control != NULL) {
		session->saved_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (session->saved_fd < 0)
			return error_errno(err, ERROR_SYSTEM, "eventfd");
	}
	int status = console_open(&session->messages, STDERR_FILENO, options->console_wait_us, err);
	session->console = session->messages;
	if (status == 0 && !to_stdout && !options->stdout_is_taken)
		status = console_open(&session->console, STDOUT_FILENO, options->console_wait_us, err);
	if (status < 0 || options->control == NULL)
		return status;
	session->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	return control_open(&session->control, options->control, err);
}

int session_create(struct session **ret, const struct options *options, bool has_input, struct error *err)
{
	int status = check_options(options, err);
	if (status < 0)
		return status;
	/* Long, and most of it seldom used: a mapping takes memory only where it is touched. */
	struct session *session =
		mmap(NULL, sizeof(*session), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (session == MAP_FAILED)
		return error_set(err, ERROR_SYSTEM, "no memory for a session");
	session->options = options;
	session->input_fd = has_input ? STDIN_FILENO : -1;
	session->terminal.fd = session->saved_fd = session->statm_fd = -1;
	if (options->trace_time) {
		session->times = malloc(sizeof(*session->times));
		if (session->times == NULL) {
			munmap(session, sizeof(*session));
			return error_set(err, ERROR_SYSTEM, "no memory for a list of times");
		}
		step_times_start(session->times);
	}
	worker_start(&session->worker);
	status = open_files(session, err);
	if (status < 0) {
		session_free(session);
		return status;
	}
	*ret = session;
	return 0;
}

void session_set_base(struct session *session, const char *path, const uint8_t id[IMAGE_ID_SIZE])
{
	session->base_path = path;
	memcpy(session->base_id, id, IMAGE_ID_SIZE);
}

struct worker *session_worker(struct session *session)
{
	return &session->worker;
}

static void enter_sandbox(void *context)
{
	struct session *session = context;
	const struct options *options = session->options;
	unsigned needs = SANDBOX_RESTORE;
	if (options->snapshot != NULL || options->control != NULL)
		needs |= SANDBOX_CREATE;
	if (options->control != NULL)
		needs |= SANDBOX_CONTROL;
	if (session->may_have_arrival)
		needs |= SANDBOX_ARRIVAL;
	session->sandbox_status = sandbox_enter(needs, &session->sandbox_error);
}

void session_confine(struct session *session)
{
	if (session->is_confined || session->options->no_sandbox)
		return;
	session->is_confined = true;
	session->sandbox_job = worker_do(&session->worker, enter_sandbox, session);
}

int session_wait_confined(struct session *session, struct error *err)
{
	if (!session->is_confined)
		return 0;
	worker_wait(&session->worker, session->sandbox_job);
	if (session->sandbox_status < 0)
		*err = session->sandbox_error;
	return session->sandbox_status;
}

void session_set_ready(struct session *session, int (*ready)(void *context, struct error *err),
		       void (*running)(void *context), void *context)
{
	session->ready = ready;
	session->running = running;
	session->ready_context = context;
}

void session_free(struct session *session)
{
	if (session == NULL)
		return;
	worker_end(&session->worker);
	if (session->console != session->messages)
		console_close(session->console);
	console_close(session->messages);
	control_close(session->control);
	if (session->saved_fd >= 0)
		close(session->saved_fd);
	if (session->statm_fd >= 0)
		close(session->statm_fd);
	if (session->times != NULL)
		step_times_print(stderr, session->times);
	free(session->times);
	munmap(session, sizeof(*session));
}

static void handle_key(struct session *session, enum terminal_key key)
{
	switch (key) {
	case TERMINAL_QUIT:
		session->is_over = session->is_quit = true;
		break;
	case TERMINAL_SNAPSHOT:
		session_snapshot_by_key(session);
		break;
	case TERMINAL_HELP:
		session_say(
			session,
			"Ctrl-A x quits, Ctrl-A s takes a snapshot, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h prints this");
		break;
	case TERMINAL_NONE:
		break;
	}
}

static int handle_event(struct session *session, const struct vm_event *event, struct error *err)
{
	const struct trigger *at = &session->options->at;
	switch (event->kind) {
	case VM_EVENT_CHECKPOINT:
		if (at->kind == TRIGGER_CHECKPOINT && !session->taken && (!at->has_value || at->value == event->value))
			return session_trigger(session, err);
		return session->options->rewind_every != 0 ? session_rewind_at_checkpoint(session, err) : 0;
	case VM_EVENT_EXITS:
		return session_trigger(session, err);
	case VM_EVENT_EXIT:
		if (session_has_rewinds(session))
			return session_rewind(session, err);
		/* As QEMU's isa-debug-exit: never 0. */
		session->is_over = true;
		session->status = (int)((event->value << 1 | 1) & 0xff);
		return 0;
	case VM_EVENT_RESET:
		session->is_over = true;
		session_say(session, "the guest asked for a reset; it ends here");
		return 0;
	case VM_EVENT_HALTED:
		session->is_over = true;
		session_say(session,
			    "vCPU %u halted, and without an interrupt controller nothing can wake it; it ends here",
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

/* May the terminal be read?  A person's keys always, for one may be an escape; of a pipe only what there is room for.
 */
static bool wants_input(const struct session *session)
{
	return session->input_size < SESSION_INPUT_SIZE || session->terminal.is_raw;
}

/* Reads what was typed; what a person types into a full buffer is lost. */
static enum terminal_key read_input(struct session *session)
{
	enum terminal_key key;
	uint8_t lost[64];
	size_t room = SESSION_INPUT_SIZE - session->input_size;
	if (room == 0)
		terminal_read(&session->terminal, lost, sizeof(lost), &key);
	else
		session->input_size +=
			terminal_read(&session->terminal, session->input + session->input_size, room, &key);
	return key;
}

/* Offers what was typed to the UART; what does not fit is offered again. */
static void feed(struct session *session)
{
	size_t taken = vm_input(session->vm, session->input, session->input_size);
	session->input_size -= taken;
	memmove(session->input, session->input + taken, session->input_size);
}

/* How long poll() may wait: to the deadline, or a moment where input waits for room. */
static int wait_ms(const struct session *session)
{
	enum { ROOM_MS = 2, CLOSED_MS = 200 };
	if (session->control != NULL && control_has_requests(session->control))
		return 0;
	if (session->input_size > 0 || session->is_event_late)
		return ROOM_MS;
	if (session->deadline_us == 0 || session_job_holds(session))
		return CLOSED_MS;
	int64_t left = (session->deadline_us - now_us() + 999) / 1000;
	return left < 0 ? 0 : left < CLOSED_MS ? (int)left : CLOSED_MS;
}

/* A console that cannot be written to any more ends the session. */
static int check_console(const struct session *session, struct error *err)
{
	int error = console_count(session->console).error;
	if (error == EPIPE)
		return error_set(err, ERROR_IO, "nobody reads the guest's console any more");
	if (error != 0)
		return error_set(err, ERROR_IO, "the guest's console cannot be written: %s", strerror(error));
	return 0;
}

/* Whatever the machine has to report, one after the other; it goes on behind each. */
static int handle_events(struct session *session, struct error *err)
{
	struct vm_event event;
	int status = 0;
	session->is_event_late =
		session_awaits_pages(session, NULL) && vm_has_event(session->vm) && !vm_stands_still(session->vm);
	if (session->is_event_late)
		return 0;
	while (status == 0 && !session->is_over && vm_take_event(session->vm, &event)) {
		status = handle_event(session, &event, err);
		if (status == 0 && !session->is_over && !session_job_holds(session))
			vm_resume(session->vm);
	}
	return status;
}

enum { FD_EVENT, FD_INPUT, FD_JOB, FD_CONTROL = FD_JOB + SESSION_JOB_FDS, NR_FDS = FD_CONTROL + CONTROL_POLL_MAX };

static int wait_for_something(const struct session *session, struct pollfd fds[NR_FDS], struct error *err)
{
	nfds_t nr = FD_CONTROL;
	fds[FD_EVENT] = (struct pollfd){ .fd = session->is_event_late ? -1 : session->vm->event_fd, .events = POLLIN };
	fds[FD_INPUT] = (struct pollfd){ .fd = wants_input(session) ? session->terminal.fd : -1, .events = POLLIN };
	int timeout_ms = wait_ms(session);
	session_job_wants(session, fds + FD_JOB, &timeout_ms);
	if (session->control != NULL) {
		control_wants(session->control, fds + FD_CONTROL);
		nr = NR_FDS;
	}
	if (poll(fds, nr, timeout_ms) >= 0)
		return 0;
	if (errno != EINTR)
		return error_errno(err, ERROR_SYSTEM, "poll");
	for (nfds_t i = 0; i < nr; i++)
		fds[i].revents = 0;
	return 0;
}

static int step(struct session *session, struct error *err)
{
	struct pollfd fds[NR_FDS];
	int status = wait_for_something(session, fds, err);
	if (status == 0)
		status = check_console(session, err);
	if (status < 0)
		return status;
	enum terminal_key key = TERMINAL_NONE;
	if (fds[FD_INPUT].revents != 0) /* what is wrong with it, the read finds out */
		key = read_input(session);
	if (session->input_size > 0)
		feed(session);
	handle_key(session, key);
	/* A machine that may run elsewhere in a moment is not given another way to go. */
	if (session->deadline_us != 0 && now_us() >= session->deadline_us && !session_job_holds(session))
		status = session_trigger_after(session, err);
	session_step_job(session);
	session_step_arrival(session);
	if (status == 0 && session->control != NULL)
		session_step_control(session, fds + FD_CONTROL);
	if (status == 0 && session->failure.code != ERROR_NONE) {
		*err = session->failure;
		status = -(int)session->failure.code;
	}
	return status == 0 ? handle_events(session, err) : status;
}

/* Waits for the reader of a console, for as long as it is patient; the user may end that. */
static void drain(struct session *session, struct console *console)
{
	uint64_t idle_us = 0, taken = 0;
	while (!console_flush(console, DRAIN_US)) {
		struct console_counts now = console_count(console);
		idle_us = now.taken != taken ? 0 : idle_us + DRAIN_US;
		taken = now.taken;
		if (now.is_stalled || idle_us >= (session->is_quit ? QUIT_US : session->options->console_wait_us))
			return;
		struct pollfd keys = { .fd = session->terminal.fd, .events = POLLIN };
		session->input_size = 0; /* nobody is there to take it */
		if (poll(&keys, 1, 0) == 1 && read_input(session) == TERMINAL_QUIT)
			session->is_quit = true;
	}
}

/* What the guest printed last reaches its reader before we end, and what does not is told. */
static int finish_console(struct session *session, struct error *err)
{
	drain(session, session->console);
	struct console_counts counts = console_count(session->console);
	uint64_t lost = counts.dropped + counts.waiting;
	if (lost > 0 && counts.error == 0)
		session_say(session, "%" PRIu64 " bytes of the guest's console were dropped: nobody took them", lost);
	drain(session, session->messages);
	return check_console(session, err);
}

/* A session while the machine runs: its control's argument and result. */
struct run {
	struct session *session;
	int status;
	struct error error;
};

static int go(struct session *session, struct error *err)
{
	const struct trigger *at = &session->options->at;
	if (at->kind == TRIGGER_AFTER)
		session->deadline_us = now_us() + (int64_t)at->value;
	int status = 0;
	while (status == 0 && !session->is_over)
		status = step(session, err);
	session->is_over = true;
	session_end_arrival(session);
	vm_pause(session->vm);
	session_end_job(session, "the guest ended before it was done");
	if (status == 0 && at->kind != TRIGGER_NONE && !session->taken)
		session_say(session, "no snapshot: the guest ended before --at");
	session_tell_last(session);
	struct error at_end;
	if (finish_console(session, &at_end) < 0 && status == 0) {
		*err = at_end;
		status = -(int)at_end.code;
	}
	return status;
}

/* From here on, what the guest writes is known. */
static int start_tracking(struct session *session, struct error *err)
{
	int status = track_create(&session->track, session->vm, err);
	if (status == 0 && session->base_path != NULL)
		status = track_set_base(session->track, session->base_id, session->base_path, err);
	return status;
}

/* While the machine is still there. */
static void end_watching(struct session *session)
{
	session_end_arrival(session);
	session_forget_departed(session);
	track_free(session->track);
	session->track = NULL;
	rewind_free(session->rewind);
	session->rewind = NULL;
}

static void control(void *context)
{
	struct run *run = context;
	struct session *session = run->session;
	if (session->running != NULL)
		session->running(session->ready_context);
	run->status = terminal_open(&session->terminal, session->input_fd, &run->error);
	if (run->status < 0)
		return;
	if (session->terminal.is_raw)
		terminal_guard(&session->terminal);
	run->status = go(session, &run->error);
	terminal_close(&session->terminal);
}

static int call_ready(void *context, struct error *err)
{
	const struct session *session = ((const struct run *)context)->session;
	return session->ready != NULL ? session->ready(session->ready_context, err) : 0;
}

int session_run(struct session *session, struct vm *vm, int *ret_status, struct error *err)
{
	struct run run = { .session = session };
	session->vm = vm;
	session->started_us = now_us();
	if (session->options->at.kind == TRIGGER_EXITS)
		vm->exits_left = (int64_t)session->options->at.value;
	vm->is_traced = session->options->trace_io;
	int status = session->options->incremental ? start_tracking(session, err) : 0;
	if (status == 0 && session->options->rewind_every != 0 && session->base_path != NULL)
		status = rewind_create(&session->rewind, vm, err);
	if (status == 0) {
		session_confine(session);
		status = session_wait_confined(session, err);
	}
	session_step(session, "enter", "sandbox");
	if (status == 0)
		status = vm_run(vm, &session->worker, call_ready, control, &run, err);
	if (status == 0 && run.status < 0) {
		*err = run.error;
		status = run.status;
	}
	end_watching(session);
	session->vm = NULL;
	if (status == 0)
		*ret_status = session->status;
	return status;
}
