#include "session.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "console.h"
#include "sandbox.h"
#include "saving.h"
#include "snapshot/rewind.h"
#include "step_times.h"
#include "terminal.h"

#define INPUT_SIZE  4096
#define MESSAGE_US  100000 /* how long a message waits for the console in front of it, and to be written itself */
#define QUIT_US     200000 /* how long the console is waited for when the user has quit */
#define DRAIN_US    50000  /* how often keys are looked for while the console is waited for */
#define PATH_SIZE   4096
#define PROGRESS_US 100000 /* between two looks at how far a snapshot is */

struct session {
	const struct options *options;
	int input_fd;             /* -1 where the console has no input */
	struct console *console;  /* what the guest prints */
	struct console *messages; /* standard error: what we say; the console itself where that is there, too */
	struct terminal terminal;
	bool taken;        /* the trigger's snapshot was taken */
	unsigned nr_taken; /* snapshots, for numbering */
	uint8_t input[INPUT_SIZE];
	size_t input_size;     /* bytes that the UART had no room for yet */
	int64_t deadline_us;   /* of TRIGGER_AFTER; 0: none */
	struct track *track;   /* --incremental: what was written since the last snapshot; else NULL */
	int saved_fd;          /* an eventfd: a snapshot under way is over; -1 where none is wanted */
	struct saving *saving; /* a snapshot under way while the guest runs, or NULL */
	int64_t progress_us;   /* when its progress was told last; 0: it was not */
	const char *base_path; /* the snapshot that the machine was restored from, or NULL */
	uint8_t base_id[IMAGE_ID_SIZE];
	struct rewind *rewind; /* --rewind-every: the point, once it was reached; else NULL */
	uint64_t since_rewind; /* checkpoints */
	bool is_over, is_quit;
	int status;
	struct worker worker;
	bool is_confined; /* session_confine() was called */
	unsigned sandbox_job;
	int sandbox_status;
	struct error sandbox_error;
	bool has_printed;         /* the guest has, a byte */
	struct step_times *times; /* owned; NULL without --trace-time */
};

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

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

static void pausing(void *context, bool is_pausing)
{
	const struct session *session = context;
	console_hurry(session->console, is_pausing);
	console_hurry(session->messages, is_pausing);
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

/* A message about the machine, behind what the guest has printed. */
__attribute__((format(printf, 2, 3))) static void say(const struct session *session, const char *format, ...)
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

int session_create(struct session **ret, const struct options *options, bool has_input, struct error *err)
{
	bool to_stdout = options->snapshot != NULL && strcmp(options->snapshot, "-") == 0;
	if (options->at.kind != TRIGGER_NONE && options->snapshot == NULL)
		return error_set(err, ERROR_USAGE, "--at says when, --snapshot FILE must say where to");
	if (options->go_on && options->at.kind == TRIGGER_NONE)
		return error_set(err, ERROR_USAGE, "--continue goes with --at, which says when the snapshot is taken");
	if (options->incremental && (options->snapshot == NULL || to_stdout))
		return error_set(err, ERROR_USAGE,
				 "--incremental goes with --snapshot FILE; standard output takes whole snapshots only");
	if (options->rewinds != 0 && options->rewind_every == 0)
		return error_set(err, ERROR_USAGE, "--rewinds goes with --rewind-every, which says when");
	if (options->rewind_every != 0 && options->snapshot != NULL)
		return error_set(
			err, ERROR_USAGE,
			"--rewind-every goes without --snapshot: both would need to know what the guest writes");
	struct session *session = calloc(1, sizeof(*session));
	if (session == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a session");
	session->options = options;
	session->input_fd = has_input ? STDIN_FILENO : -1;
	session->terminal.fd = -1;
	if (options->trace_time) {
		session->times = malloc(sizeof(*session->times));
		if (session->times == NULL) {
			free(session);
			return error_set(err, ERROR_SYSTEM, "no memory for a list of times");
		}
		step_times_start(session->times);
	}
	worker_start(&session->worker);
	/* Made now: the sandbox lets no file be made but the snapshots themselves. */
	session->saved_fd = options->snapshot != NULL ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
	int status = console_open(&session->messages, STDERR_FILENO, options->console_wait_us, err);
	session->console = session->messages;
	if (status == 0 && !to_stdout)
		status = console_open(&session->console, STDOUT_FILENO, options->console_wait_us, err);
	if (status == 0 && options->snapshot != NULL && session->saved_fd < 0)
		status = error_errno(err, ERROR_SYSTEM, "eventfd");
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
	unsigned needs = SANDBOX_RESTORE | (session->options->snapshot != NULL ? SANDBOX_CREATE : 0);
	session->sandbox_status = sandbox_enter(needs, &session->sandbox_error);
}

void session_confine(struct session *session)
{
	if (session->is_confined || session->options->no_sandbox)
		return;
	session->is_confined = true;
	session->sandbox_job = worker_do(&session->worker, enter_sandbox, session);
}

static int wait_for_sandbox(struct session *session, struct error *err)
{
	if (!session->is_confined)
		return 0;
	worker_wait(&session->worker, session->sandbox_job);
	if (session->sandbox_status < 0)
		*err = session->sandbox_error;
	return session->sandbox_status;
}

void session_free(struct session *session)
{
	if (session == NULL)
		return;
	worker_end(&session->worker);
	if (session->console != session->messages)
		console_close(session->console);
	console_close(session->messages);
	if (session->saved_fd >= 0)
		close(session->saved_fd);
	if (session->times != NULL)
		step_times_print(stderr, session->times);
	free(session->times);
	free(session);
}

/* The file of the next snapshot: FILE, then FILE.1, FILE.2, ... */
static int next_path(const struct session *session, char *ret, size_t size, struct error *err)
{
	const char *base = session->options->snapshot;
	assert(base != NULL); /* --at is refused without it, and so is the key */
	if (session->nr_taken > 0 && strcmp(base, "-") == 0)
		return error_set(err, ERROR_USAGE, "standard output has one already");
	int n = session->nr_taken == 0 ? snprintf(ret, size, "%s", base)
				       : snprintf(ret, size, "%s.%u", base, session->nr_taken);
	if (n < 0 || (size_t)n >= size)
		return error_set(err, ERROR_USAGE, "%s: a name of more than %zu bytes", base, size - 8);
	return 0;
}

static void say_none(const struct session *session, const struct error *err)
{
	say(session, "no snapshot: %s; the guest goes on", err->text);
}

/* A line on the terminal that the next one replaces. */
static void show_progress(struct session *session, const char *text)
{
	char line[PATH_SIZE + 64];
	int n = snprintf(line, sizeof(line), "\r\033[K%s", text);
	console_put(session->messages, line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* Ends the snapshot that is under way, if there is one; why: what gives it up where it is still copying RAM. */
static void end_saving(struct session *session, const char *why)
{
	char text[PATH_SIZE + 128];
	struct error err;
	if (session->saving == NULL)
		return;
	if (session->progress_us != 0)
		show_progress(session, "");
	session->progress_us = 0;
	int status = saving_end(session->saving, why, text, sizeof(text), &err);
	session->saving = NULL;
	if (status < 0) {
		say_none(session, &err);
		return;
	}
	session->nr_taken++;
	say(session, "%s", text);
}

static void step_saving(struct session *session)
{
	char text[PATH_SIZE];
	if (saving_step(session->saving) == SAVING_OVER) {
		end_saving(session, NULL);
		return;
	}
	if (now_us() - session->progress_us < PROGRESS_US || !isatty(STDERR_FILENO) ||
	    !saving_progress(session->saving, text, sizeof(text)))
		return;
	show_progress(session, text);
	session->progress_us = now_us();
}

/* Of a machine that is paused and stays so until it is written. */
static int take_snapshot(struct session *session, struct vm *vm, struct error *err)
{
	char path[PATH_SIZE];
	int64_t start = now_us();
	end_saving(session, "given up for one at an exact instruction");
	int status = next_path(session, path, sizeof(path), err);
	if (status == 0)
		status = snapshot_take(vm, session->track, path, err);
	if (status < 0)
		return status;
	session->nr_taken++;
	const char *name = strcmp(path, "-") == 0 ? "standard output" : path;
	if (session->options->go_on)
		say(session, "snapshot written to %s: guest paused for %.1f ms", name,
		    (double)(now_us() - start) / 1000);
	else
		say(session, "snapshot written to %s", name);
	return 0;
}

/* Of a machine that runs and goes on. */
static void start_saving(struct session *session, struct vm *vm)
{
	char path[PATH_SIZE];
	struct error err;
	int status = next_path(session, path, sizeof(path), &err);
	if (status == 0)
		status = saving_begin(&session->saving, vm, session->track, path, session->saved_fd, &err);
	if (status < 0)
		say_none(session, &err);
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
			say_none(session, err);
		return 0;
	}
	session->is_over = true;
	return status;
}

static bool is_to_stdout(const struct session *session)
{
	return strcmp(session->options->snapshot, "-") == 0;
}

/* A guest that is to end stands still from now on: nothing is shorter than that. */
static int trigger_after(struct session *session, struct vm *vm, struct error *err)
{
	if (session->options->go_on && !is_to_stdout(session)) {
		session->taken = true;
		session->deadline_us = 0;
		if (session->saving == NULL)
			start_saving(session, vm);
		return 0;
	}
	vm_pause(vm);
	int status = trigger(session, vm, err);
	if (status == 0 && !session->is_over)
		vm_resume(vm);
	return status;
}

static void snapshot_by_key(struct session *session, struct vm *vm)
{
	struct error err;
	if (session->options->snapshot == NULL) {
		say(session, "no snapshot: name a file with --snapshot FILE");
		return;
	}
	if (session->saving != NULL) {
		say(session, "no snapshot: the last one is still being written");
		return;
	}
	if (!is_to_stdout(session)) {
		start_saving(session, vm);
		return;
	}
	vm_pause(vm);
	if (take_snapshot(session, vm, &err) < 0)
		say_none(session, &err);
	vm_resume(vm);
}

static void handle_key(struct session *session, struct vm *vm, enum terminal_key key)
{
	switch (key) {
	case TERMINAL_QUIT:
		session->is_over = session->is_quit = true;
		break;
	case TERMINAL_SNAPSHOT:
		snapshot_by_key(session, vm);
		break;
	case TERMINAL_HELP:
		say(session,
		    "Ctrl-A x quits, Ctrl-A s takes a snapshot, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h prints this");
		break;
	case TERMINAL_NONE:
		break;
	}
}

/* After the last rewind: is the machine what it was at the point?  What differs is told; it goes on all the same. */
static int look_back(struct session *session, struct error *err)
{
	struct report report = { 0 };
	struct rewind_stats stats;
	int status = rewind_compare(session->rewind, &report, err);
	rewind_count(session->rewind, &stats);
	if (status == 0)
		say(session, "rewound %" PRIu64 " times, %.1f pages each; read back: %zu difference%s", stats.rewinds,
		    (double)stats.pages / (double)stats.rewinds, report_bad(&report),
		    report_bad(&report) == 1 ? "" : "s");
	if (report_bad(&report) > 0)
		report_print(stderr, &report, false);
	report_done(&report);
	return status;
}

/* Is the machine to be put back once more, with --rewind-every? */
static bool has_rewinds(const struct session *session)
{
	struct rewind_stats stats;
	if (session->rewind == NULL)
		return false;
	rewind_count(session->rewind, &stats);
	return session->options->rewinds == 0 || stats.rewinds < session->options->rewinds;
}

static int rewind_machine(struct session *session, struct error *err)
{
	session->since_rewind = 0;
	int status = rewind_to_point(session->rewind, err);
	if (status == 0 && !has_rewinds(session))
		status = look_back(session, err);
	return status;
}

/* A checkpoint, with --rewind-every: the first is the point, unless the machine was restored. */
static int rewind_at_checkpoint(struct session *session, struct vm *vm, struct error *err)
{
	if (session->rewind == NULL)
		return rewind_create(&session->rewind, vm, err);
	if (!has_rewinds(session) || ++session->since_rewind < session->options->rewind_every)
		return 0;
	return rewind_machine(session, err);
}

static int handle_event(struct session *session, struct vm *vm, const struct vm_event *event, struct error *err)
{
	const struct trigger *at = &session->options->at;
	switch (event->kind) {
	case VM_EVENT_CHECKPOINT:
		if (at->kind == TRIGGER_CHECKPOINT && !session->taken && (!at->has_value || at->value == event->value))
			return trigger(session, vm, err);
		return session->options->rewind_every != 0 ? rewind_at_checkpoint(session, vm, err) : 0;
	case VM_EVENT_EXITS:
		return trigger(session, vm, err);
	case VM_EVENT_EXIT:
		if (has_rewinds(session))
			return rewind_machine(session, err);
		/* As QEMU's isa-debug-exit: never 0. */
		session->is_over = true;
		session->status = (int)((event->value << 1 | 1) & 0xff);
		return 0;
	case VM_EVENT_RESET:
		session->is_over = true;
		say(session, "the guest asked for a reset; it ends here");
		return 0;
	case VM_EVENT_HALTED:
		session->is_over = true;
		say(session, "vCPU %u halted, and without an interrupt controller nothing can wake it; it ends here",
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
	return session->input_size < INPUT_SIZE || session->terminal.is_raw;
}

/* Reads what was typed; what a person types into a full buffer is lost. */
static enum terminal_key read_input(struct session *session)
{
	enum terminal_key key;
	uint8_t lost[64];
	size_t room = INPUT_SIZE - session->input_size;
	if (room == 0)
		terminal_read(&session->terminal, lost, sizeof(lost), &key);
	else
		session->input_size +=
			terminal_read(&session->terminal, session->input + session->input_size, room, &key);
	return key;
}

/* Offers what was typed to the UART; what does not fit is offered again. */
static void feed(struct session *session, struct vm *vm)
{
	size_t taken = vm_input(vm, session->input, session->input_size);
	session->input_size -= taken;
	memmove(session->input, session->input + taken, session->input_size);
}

/* How long poll() may wait: to the deadline, or a moment where input waits for room. */
static int wait_ms(const struct session *session)
{
	enum { ROOM_MS = 2, CLOSED_MS = 200, PROGRESS_MS = 100 };
	if (session->saving != NULL)
		return saving_is_copying(session->saving) ? 0 : PROGRESS_MS;
	if (session->input_size > 0)
		return ROOM_MS;
	if (session->deadline_us == 0)
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

static int step(struct session *session, struct vm *vm, struct error *err)
{
	struct pollfd fds[3] = {
		{ .fd = vm->event_fd, .events = POLLIN },
		{ .fd = wants_input(session) ? session->terminal.fd : -1, .events = POLLIN },
		{ .fd = session->saving != NULL ? session->saved_fd : -1, .events = POLLIN },
	};
	struct vm_event event;
	if (poll(fds, 3, wait_ms(session)) < 0 && errno != EINTR)
		return error_errno(err, ERROR_SYSTEM, "poll");
	int status = check_console(session, err);
	if (status < 0)
		return status;
	enum terminal_key key = TERMINAL_NONE;
	if (fds[1].revents != 0) /* what is wrong with it, the read finds out */
		key = read_input(session);
	if (session->input_size > 0)
		feed(session, vm);
	handle_key(session, vm, key);
	if (session->deadline_us != 0 && now_us() >= session->deadline_us)
		status = trigger_after(session, vm, err);
	if (session->saving != NULL)
		step_saving(session);
	while (status == 0 && !session->is_over && vm_take_event(vm, &event)) {
		status = handle_event(session, vm, &event, err);
		if (status == 0 && !session->is_over)
			vm_resume(vm);
	}
	return status;
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
		say(session, "%" PRIu64 " bytes of the guest's console were dropped: nobody took them", lost);
	drain(session, session->messages);
	return check_console(session, err);
}

/* A session while the machine runs: its control's argument and result. */
struct run {
	struct session *session;
	struct vm *vm;
	int status;
	struct error error;
};

static int go(struct session *session, struct vm *vm, struct error *err)
{
	const struct trigger *at = &session->options->at;
	if (at->kind == TRIGGER_AFTER)
		session->deadline_us = now_us() + (int64_t)at->value;
	int status = 0;
	while (status == 0 && !session->is_over)
		status = step(session, vm, err);
	vm_pause(vm);
	end_saving(session, "the guest ended while its RAM was being written");
	if (status == 0 && at->kind != TRIGGER_NONE && !session->taken)
		say(session, "no snapshot: the guest ended before --at");
	struct error at_end;
	if (finish_console(session, &at_end) < 0 && status == 0) {
		*err = at_end;
		status = -(int)at_end.code;
	}
	return status;
}

/* From here on, what the guest writes is known. */
static int start_tracking(struct session *session, struct vm *vm, struct error *err)
{
	int status = track_create(&session->track, vm, err);
	if (status == 0 && session->base_path != NULL)
		status = track_set_base(session->track, session->base_id, session->base_path, err);
	return status;
}

/* While the machine is still there. */
static void end_watching(struct session *session)
{
	track_free(session->track);
	session->track = NULL;
	rewind_free(session->rewind);
	session->rewind = NULL;
}

static void control(void *context)
{
	struct run *run = context;
	struct session *session = run->session;
	run->status = terminal_open(&session->terminal, session->input_fd, &run->error);
	if (run->status < 0)
		return;
	if (session->terminal.is_raw)
		terminal_guard(&session->terminal);
	run->status = go(session, run->vm, &run->error);
	terminal_close(&session->terminal);
}

int session_run(struct session *session, struct vm *vm, int *ret_status, struct error *err)
{
	struct run run = { .session = session, .vm = vm };
	if (session->options->at.kind == TRIGGER_EXITS)
		vm->exits_wanted = session->options->at.value;
	vm->is_traced = session->options->trace_io;
	int status = session->options->incremental ? start_tracking(session, vm, err) : 0;
	if (status == 0 && session->options->rewind_every != 0 && session->base_path != NULL)
		status = rewind_create(&session->rewind, vm, err);
	if (status == 0) {
		session_confine(session);
		status = wait_for_sandbox(session, err);
	}
	session_step(session, "enter", "sandbox");
	if (status == 0)
		status = vm_run(vm, &session->worker, control, &run, err);
	if (status == 0 && run.status < 0) {
		*err = run.error;
		status = run.status;
	}
	end_watching(session);
	if (status == 0)
		*ret_status = session->status;
	return status;
}
