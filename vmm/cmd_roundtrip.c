#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "guest/guests.h"
#include "kvm.h"
#include "now.h"
#include "sandbox.h"
#include "snapshot/compare.h"
#include "snapshot/file.h"
#include "snapshot/restore.h"
#include "snapshot/save.h"

#define DEFAULT_GUEST    "regs"
#define DEFAULT_AFTER_US 100000   /* when the snapshot is taken of a guest that makes no checkpoint until then */
#define UNTIL_DEFAULT_US 2000000  /* how long both go on, unless told otherwise */
#define UNTIL_LIMIT_US   60000000 /* the end of waiting for a first byte, or for an exit */
#define CAPTURE_MAX      (64u << 20)
#define POLL_MS          10

/* One of the two machines, and what it has printed since the snapshot. */
struct side {
	const char *name;
	struct vm *vm;
	pthread_mutex_t lock;
	struct buffer printed; /* under lock */
	bool is_recording;     /* under lock */
	bool is_over;
	struct vm_event end;
	bool trace_io;
};

static void console(void *context, uint8_t byte)
{
	struct side *side = context;
	pthread_mutex_lock(&side->lock);
	if (side->is_recording && side->printed.size < CAPTURE_MAX)
		buffer_append(&side->printed, &byte, 1);
	pthread_mutex_unlock(&side->lock);
}

static void trace(void *context, unsigned vcpu, const char *text)
{
	const struct side *side = context;
	message("%s: vcpu%u %s", side->name, vcpu, text);
}

static const struct vm_ops side_ops = { .console = console, .trace = trace };

static int start(struct side *side, struct error *err)
{
	side->vm->is_traced = side->trace_io;
	return vm_start(side->vm, err);
}

static void record(struct side *side)
{
	pthread_mutex_lock(&side->lock);
	side->is_recording = true;
	pthread_mutex_unlock(&side->lock);
}

static size_t printed(struct side *side)
{
	pthread_mutex_lock(&side->lock);
	size_t size = side->printed.size;
	pthread_mutex_unlock(&side->lock);
	return size;
}

/* ---- To the snapshot ---- */

/* Has the machine come to where the snapshot is to be taken?  Events on the way are passed over. */
static int reached(const struct trigger *at, const struct vm_event *event, bool *ret, struct error *err)
{
	switch (event->kind) {
	case VM_EVENT_CHECKPOINT:
		*ret = at->kind == TRIGGER_NONE ||
		       (at->kind == TRIGGER_CHECKPOINT && (!at->has_value || at->value == event->value));
		return 0;
	case VM_EVENT_EXITS:
		*ret = true;
		return 0;
	case VM_EVENT_FAILED:
		*err = event->error;
		return -(int)err->code;
	default:
		return error_set(err, ERROR_DIFFERENT, "the guest ended before the snapshot was to be taken (--at)");
	}
}

/* A built-in guest that has a checkpoint comes to it, however slow the machine is. */
static struct trigger moment(const struct options *options)
{
	const struct guest *guest = options->guest != NULL ? guest_find(options->guest) : NULL;
	struct trigger at = options->at;
	if (at.kind == TRIGGER_NONE && guest != NULL && guest->has_checkpoints)
		at.kind = TRIGGER_CHECKPOINT;
	return at;
}

/* Lets the machine run up to the point that was asked for; it is paused then. */
static int run_to_snapshot(struct side *side, const struct trigger *at, struct error *err)
{
	int64_t wait = at->kind == TRIGGER_AFTER  ? (int64_t)at->value
		       : at->kind == TRIGGER_NONE ? DEFAULT_AFTER_US
						  : UNTIL_LIMIT_US;
	int64_t deadline = now_us() + wait;
	struct vm_event event;
	bool done = at->kind == TRIGGER_AFTER && at->value == 0; /* before its first instruction */
	if (at->kind == TRIGGER_EXITS)
		side->vm->exits_left = (int64_t)at->value;
	int status = start(side, err);
	while (status == 0 && !done) {
		vm_resume(side->vm);
		int64_t left = (deadline - now_us() + 999) / 1000;
		if (vm_wait(side->vm, left > 0 ? (int)left : 0, &event)) {
			status = reached(at, &event, &done, err);
		} else if (now_us() >= deadline) {
			vm_pause(side->vm);
			done = true;
			if (at->kind == TRIGGER_CHECKPOINT || at->kind == TRIGGER_EXITS)
				status = error_set(err, ERROR_DIFFERENT, "the guest did not come to --at within %d s",
						   UNTIL_LIMIT_US / 1000000);
		}
	}
	return status;
}

/* ---- From the snapshot on ---- */

static void handle_events(struct side *side)
{
	struct vm_event event;
	while (!side->is_over && vm_take_event(side->vm, &event)) {
		if (event.kind == VM_EVENT_CHECKPOINT || event.kind == VM_EVENT_EXITS) {
			vm_resume(side->vm);
			continue;
		}
		side->end = event;
		side->is_over = true;
	}
}

static bool both_have(struct side *a, struct side *b, size_t size)
{
	return (a->is_over || printed(a) >= size) && (b->is_over || printed(b) >= size);
}

/* Is it time to stop?  A guest that has said nothing yet is given longer, for nothing could be compared. */
static bool is_time(const struct until *until, struct side *a, struct side *b, int64_t gone_us)
{
	if (gone_us >= UNTIL_LIMIT_US && until->kind != UNTIL_TIME)
		return true;
	switch (until->kind) {
	case UNTIL_EXIT:
		return false;
	case UNTIL_BYTES:
		return both_have(a, b, until->value);
	case UNTIL_TIME:
		return gone_us >= (int64_t)until->value;
	default:
		return gone_us >= UNTIL_DEFAULT_US && both_have(a, b, 1);
	}
}

/* Lets both machines go on side by side. */
static void run_on(struct side *a, struct side *b, const struct until *until)
{
	int64_t start = now_us();
	record(a);
	record(b);
	vm_resume(a->vm);
	vm_resume(b->vm);
	while (!(a->is_over && b->is_over) && !is_time(until, a, b, now_us() - start)) {
		struct pollfd fds[2] = {
			{ .fd = a->is_over ? -1 : a->vm->event_fd, .events = POLLIN },
			{ .fd = b->is_over ? -1 : b->vm->event_fd, .events = POLLIN },
		};
		poll(fds, 2, POLL_MS);
		handle_events(a);
		handle_events(b);
	}
	vm_pause(a->vm);
	vm_pause(b->vm);
	handle_events(a);
	handle_events(b);
}

static void add_difference(struct report *report, const char *name, const char *left, const char *right,
			   const char *detail)
{
	struct finding finding = { .kind = FINDING_DIFFERENT };
	snprintf(finding.where, sizeof(finding.where), "guest");
	snprintf(finding.name, sizeof(finding.name), "%s", name);
	snprintf(finding.left, sizeof(finding.left), "%s", left);
	snprintf(finding.right, sizeof(finding.right), "%s", right);
	snprintf(finding.detail, sizeof(finding.detail), "%s", detail);
	report_add(report, &finding);
}

static void describe_end(const struct side *side, char *ret, size_t size)
{
	if (!side->is_over)
		snprintf(ret, size, "still running");
	else if (side->end.kind == VM_EVENT_EXIT)
		snprintf(ret, size, "ended with status %u", (side->end.value << 1 | 1) & 0xff);
	else if (side->end.kind == VM_EVENT_RESET)
		snprintf(ret, size, "asked for a reset");
	else if (side->end.kind == VM_EVENT_HALTED)
		snprintf(ret, size, "halted for good");
	else
		snprintf(ret, size, "failed");
}

/* What both printed must be equal, or, where one was stopped earlier, the shorter a non-empty start of the longer. */
static void compare_printed(const struct side *a, const struct side *b, struct report *report)
{
	const struct buffer *left = &a->printed, *right = &b->printed;
	size_t shorter = left->size < right->size ? left->size : right->size, at = 0;
	char l[64], r[64], detail[64];
	while (at < shorter && left->data[at] == right->data[at])
		at++;
	bool both_over = a->is_over && b->is_over;
	if (at == shorter && (left->size == right->size || (!both_over && shorter > 0)))
		return;
	snprintf(l, sizeof(l), "%zu bytes", left->size);
	snprintf(r, sizeof(r), "%zu bytes", right->size);
	snprintf(detail, sizeof(detail), "alike up to byte %zu", at);
	add_difference(report, "output", l, r, detail);
}

static int compare_sides(const struct side *a, const struct side *b, struct report *report, struct error *err)
{
	char left[64], right[64];
	describe_end(a, left, sizeof(left));
	describe_end(b, right, sizeof(right));
	if (a->is_over && b->is_over && a->end.kind == VM_EVENT_FAILED && b->end.kind == VM_EVENT_FAILED) {
		*err = a->end.error;
		return error_prefix(err, "both machines failed alike");
	}
	if (strcmp(left, right) != 0 && a->is_over && b->is_over)
		add_difference(report, "end", left, right, "");
	if (a->is_over && a->end.kind == VM_EVENT_FAILED)
		message("the first machine: %s", a->end.error.text);
	if (b->is_over && b->end.kind == VM_EVENT_FAILED)
		message("the second machine: %s", b->end.error.text);
	compare_printed(a, b, report);
	return 0;
}

/* ---- The whole of it ---- */

struct roundtrip {
	const struct options *options;
	int kvm_fd;
	struct side first, second;
	struct report report;
	char path[64]; /* of a temporary snapshot; empty with --keep */
};

static int make_path(struct roundtrip *trip, const char **ret, struct error *err)
{
	const char *folder = getenv("TMPDIR");
	if (trip->options->keep != NULL) {
		*ret = trip->options->keep;
		return 0;
	}
	int n = snprintf(trip->path, sizeof(trip->path), "%s/stasis.XXXXXX", folder != NULL ? folder : "/tmp");
	int fd = n > 0 && (size_t)n < sizeof(trip->path) ? mkstemp(trip->path) : -1;
	if (fd < 0) {
		trip->path[0] = '\0';
		return error_errno(err, ERROR_CREATE, "a temporary snapshot in %s (--keep FILE names another place)",
				   folder != NULL ? folder : "/tmp");
	}
	close(fd);
	*ret = trip->path;
	return 0;
}

/* What was taken and what the file gives back must be the same to the last bit, RAM included. */
static int read_again(struct roundtrip *trip, const struct image *taken, const char *path, struct image *ret,
		      struct error *err)
{
	struct compare_options how = { .with_ram = true };
	int status = file_read(path, ret, err);
	if (status < 0)
		return status;
	compare_images(taken, ret, &how, &trip->report);
	return 0;
}

/* RAM of the second machine as it is after the restore, which may not have changed a byte of it. */
static void compare_ram(struct roundtrip *trip, const struct image *taken, const struct image *restored)
{
	struct compare_options how = { .stages = 1 << STAGE_MACHINE, .with_ram = true };
	compare_images(taken, restored, &how, &trip->report);
}

/* Progress for people; with --json there is only the document at the end. */
__attribute__((format(printf, 2, 3))) static void say(const struct roundtrip *trip, const char *format, ...)
{
	va_list args;
	if (trip->options->json)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	fflush(stdout);
}

static void say_taken(const struct roundtrip *trip, const struct image *taken, const char *path)
{
	const struct machine *machine = image_machine(taken);
	size_t registers = 0;
	for (size_t i = 0; i < taken->nr_sections; i++)
		if (strcmp(taken->sections[i].component->name, "registers") == 0)
			registers += taken->sections[i].payload.size / sizeof(struct kvm_reg_value);
	say(trip, "snapshot taken: %u vCPU%s, %zu sections of state, %zu registers (MSRs and synthetic ones), in %s\n",
	    machine->nr_vcpus, machine->nr_vcpus == 1 ? "" : "s", taken->nr_sections, registers, path);
}

static int restore_second(struct roundtrip *trip, const struct image *taken, const char *path, struct error *err)
{
	struct restore_options restore = trip->options->restore;
	struct image image = { 0 };
	restore.tells_all = true;
	int status = read_again(trip, taken, path, &image, err);
	if (status == 0)
		status = restore_image(&image, trip->kvm_fd, &restore, NULL, 0, &side_ops, &trip->second, &trip->report,
				       &trip->second.vm, err);
	if (status == 0) {
		compare_ram(trip, taken, &image);
		say(trip, "restored into a second machine and read back: %zu difference%s\n", report_bad(&trip->report),
		    report_bad(&trip->report) == 1 ? "" : "s");
	} else if (report_bad(&trip->report) > 0) {
		status = 0; /* told with the rest */
	}
	image_done(&image);
	return status;
}

static int snapshot_and_restore(struct roundtrip *trip, const char *path, struct error *err)
{
	struct image taken = { 0 };
	trip->first.vm->ports.state.checkpoints_taken++;
	int status = save_image(trip->first.vm, &taken, err);
	if (status == 0)
		status = file_write(&taken, path, err);
	if (status == 0) {
		say_taken(trip, &taken, trip->path[0] != '\0' ? "a temporary file" : path);
		status = restore_second(trip, &taken, path, err);
	}
	image_done(&taken);
	return status;
}

static void say_end(const struct roundtrip *trip, const struct side *side)
{
	char end[64];
	describe_end(side, end, sizeof(end));
	say(trip, "the %s machine went on: %zu bytes printed, %s\n", side->name, side->printed.size, end);
}

static int go(struct roundtrip *trip, struct error *err)
{
	const char *path = NULL;
	struct options with_guest = *trip->options;
	if (with_guest.guest == NULL && with_guest.nr_arguments == 0)
		with_guest.guest = DEFAULT_GUEST;
	const struct trigger at = moment(&with_guest);
	int status = options_boot(&with_guest, trip->kvm_fd, &side_ops, &trip->first, &trip->first.vm, err);
	if (status == 0 && !trip->options->no_sandbox) /* before the first thread, so that all have it */
		status = sandbox_enter(SANDBOX_CREATE | SANDBOX_RESTORE, err);
	if (status == 0)
		status = run_to_snapshot(&trip->first, &at, err);
	if (status == 0)
		status = make_path(trip, &path, err);
	if (status == 0)
		status = snapshot_and_restore(trip, path, err);
	if (status == 0 && trip->second.vm != NULL)
		status = start(&trip->second, err);
	if (status == 0 && trip->second.vm != NULL) {
		run_on(&trip->first, &trip->second, &trip->options->until);
		say_end(trip, &trip->first);
		say_end(trip, &trip->second);
		status = compare_sides(&trip->first, &trip->second, &trip->report, err);
	}
	return status;
}

static void print_json(const struct roundtrip *trip)
{
	struct json json = { .out = stdout };
	json_object_begin(&json, NULL);
	json_bool(&json, "same", report_bad(&trip->report) == 0);
	json_number(&json, "first_printed", trip->first.printed.size);
	json_number(&json, "second_printed", trip->second.printed.size);
	report_json(&json, "findings", &trip->report);
	json_object_end(&json);
	json_end(&json);
}

static void print_result(const struct roundtrip *trip)
{
	size_t bad = report_bad(&trip->report);
	if (trip->options->json) {
		print_json(trip);
		return;
	}
	report_print(stdout, &trip->report, true);
	if (bad == 0)
		printf("SAME\n");
	else
		printf("DIFFERENT: %zu\n", bad);
}

static int roundtrip(const struct options *options, int *ret_status, struct error *err)
{
	struct roundtrip trip = {
		.options = options,
		.first = { .name = "first", .lock = PTHREAD_MUTEX_INITIALIZER, .trace_io = options->trace_io },
		.second = { .name = "second", .lock = PTHREAD_MUTEX_INITIALIZER, .trace_io = options->trace_io },
	};
	int status = trip.kvm_fd = kvm_open(err);
	if (status >= 0)
		status = go(&trip, err);
	if (status == 0) {
		print_result(&trip);
		*ret_status = report_bad(&trip.report) == 0 ? 0 : error_exit_status(ERROR_DIFFERENT);
	}
	vm_free(trip.second.vm);
	vm_free(trip.first.vm);
	buffer_done(&trip.first.printed);
	buffer_done(&trip.second.printed);
	report_done(&trip.report);
	if (trip.path[0] != '\0')
		unlink(trip.path);
	if (trip.kvm_fd >= 0)
		close(trip.kvm_fd);
	return status;
}

const struct command command_roundtrip = {
	.name = "roundtrip",
	.arguments = "[IMAGE]",
	.summary = "boot, snapshot, restore into a second machine, compare, and run both on",
	.options =
		OPTIONS_MACHINE | OPTIONS_REGS | OPTIONS_ROUNDTRIP | OPTIONS_RESTORE | OPTIONS_RUNNING | OPTIONS_JSON,
	.arguments_max = 1,
	.run = roundtrip,
};
