/*
 * Whatever is cut, damaged, lost, doubled or killed, at whichever message: at most one machine runs, and none is lost.
 *
 * Source and target are processes; between them stands this one, which lets messages through up to the one that is hit.
 * The guest verifies its memory in each round, so that the one that goes on is known to be whole.  STASIS_FAULTS=all in
 * the environment: every message of a migration instead of the first of each type.
 */
#include "migrate_lab.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "snapshot/channel.h"
#include "vmm/io.h"
#include "vmm/now.h"
#include "vmm/userfault.h"

#define PATIENCE_US 1000000 /* of both sides: a message that is lost is missed after that */
#define REPORT_MS   60000
#define RUNS_LINES  2 /* that a machine prints which runs */
#define STILL_NS    20000000
#define TRIES_MAX   5

enum fault {
	NO_FAULT,
	CUT_BEFORE,
	CUT_INSIDE,
	WRONG_HEADER,
	WRONG_PAYLOAD,
	LOST,
	DOUBLED,
	TARGET_KILLED,
	SOURCE_KILLED
};
#define FAULTS (SOURCE_KILLED + 1)

static const char *const fault_names[FAULTS] = {
	"nothing", "cut before it", "cut inside it",     "a byte of its header", "a byte of its payload",
	"lost",    "twice",         "the target killed", "the source killed",
};

/* What a side says of itself, a byte each. */
enum word {
	NOTHING = 0,
	MOVED = 'm',  /* source: it is the target's */
	FAILED = 'f', /* source: it stays */
	DOUBT = 'd',  /* source */
	STILL = 's',  /* source in doubt: it stands still */
	RUNS = 'r',   /* it has printed more, and verified its memory */
	NEVER = 'n',  /* target: it will not run */
	BROKEN = 'x', /* what must not be */
	RESUME = 'R', /* to a source in doubt */
	CUT = 'c',    /* source: it is the target's, which lacks pages */
	WAITS = 'w',  /* target: pages are missing, and the connection is lost */
	REJOIN = 'J', /* to both: here is another one */
};

struct side {
	pid_t pid;
	int data, control; /* our ends */
	bool is_killed;
};

static const struct machine_kind memory = { "memory", IRQCHIP_SPLIT, 1 };
static const struct restore_options plain;
static bool is_post_copy;
static int spare[2]; /* another connection: the source's end, and the target's */

/* ---- The two processes ---- */

static void say(int control, enum word word)
{
	const char byte = (char)word;
	if (write(control, &byte, 1) != 1)
		_exit(EXIT_FAILURE);
}

static size_t printed_size(struct vm *vm)
{
	vm_pause(vm);
	return machine_printed(vm).size;
}

/* A machine that stands still prints nothing. */
static void check_still(int control, struct vm *vm)
{
	size_t before = machine_printed(vm).size;
	nanosleep(&(struct timespec){ .tv_nsec = STILL_NS }, NULL);
	say(control, vm->pause_wanted && printed_size(vm) == before ? STILL : BROKEN);
}

static void check_runs(int control, struct vm *vm)
{
	say(control, machine_prints(vm, RUNS_LINES) ? RUNS : BROKEN);
}

static bool hears(int control, enum word word)
{
	char byte;
	return read(control, &byte, 1) == 1 && byte == (char)word;
}

static enum word word_for(enum outgoing_result result)
{
	return result == OUTGOING_MOVED    ? MOVED
	       : result == OUTGOING_FAILED ? FAILED
	       : result == OUTGOING_CUT    ? CUT
					   : DOUBT;
}

#define FOLLOWING     300 /* pages that are written as long as rounds go on, and then follow the machine */
#define FOLLOWING_GPA (KVM_TEST_RAM / 2)

static enum outgoing_result drive(struct outgoing *outgoing, struct vm *vm)
{
	struct outgoing_numbers numbers;
	struct error err;
	do {
		outgoing_numbers(outgoing, &numbers);
		for (uint64_t i = 0; i < FOLLOWING && is_post_copy && numbers.phase <= OUTGOING_ROUNDS; i++)
			memory_write(&vm->memory, FOLLOWING_GPA + i * MEMORY_PAGE, &numbers.bytes_sent,
				     sizeof(numbers.bytes_sent));
	} while (numbers.phase <= OUTGOING_ROUNDS && !outgoing_drive_once(outgoing, vm));
	return outgoing_drive(outgoing, vm, &err);
}

static void be_source(int data, int control)
{
	struct outgoing_options options = { .patience_us = PATIENCE_US, .is_verified = true };
	struct vm *vm = boot_running(&memory, "rounds=0 pages=40");
	struct error err;
	if (is_post_copy) {
		options.is_post_copy = true;
		options.rounds_max = 1;
		options.downtime_us = 1;
		options.bandwidth = 4 << 20;
		close(spare[1]);
	}
	machine_prints(vm, 1);
	struct outgoing *outgoing = outgoing_start(vm, NULL, data, &options);
	enum outgoing_result result = drive(outgoing, vm);
	bool can_rejoin = outgoing_can_rejoin(outgoing);
	say(control, word_for(result));
	if (result == OUTGOING_FAILED)
		check_runs(control, vm);
	else
		check_still(control, vm);
	if (!can_rejoin && hears(control, RESUME)) {
		outgoing_free(outgoing);
		vm_release(vm);
		check_runs(control, vm);
	} else if (can_rejoin && hears(control, REJOIN)) {
		if (outgoing_rejoin(outgoing, spare[0], spare[0], 0, &err) < 0)
			say(control, BROKEN);
		say(control, word_for(outgoing_drive(outgoing, vm, &err)));
		check_still(control, vm);
	}
	pause(); /* up to our end: what is closed tells the other side */
}

static void *touch(void *context)
{
	const struct target *target = context;
	uint64_t ignored;
	memory_read(&target->vm->memory, FOLLOWING_GPA + (FOLLOWING - 1) * MEMORY_PAGE, &ignored, sizeof(ignored));
	return NULL;
}

/* Until no more will come: did all? */
static bool has_arrived(struct target *target)
{
	struct arrival_counts counts = { .state = ARRIVAL_COMPLETE };
	do {
		nanosleep(&(struct timespec){ .tv_nsec = STILL_NS }, NULL);
		if (target->arrival != NULL)
			arrival_count(target->arrival, &counts);
	} while (counts.state == ARRIVAL_UNDER_WAY);
	return counts.state == ARRIVAL_COMPLETE;
}

static void rejoin(int control, struct target *target)
{
	struct error err;
	struct arrival_counts counts;
	while (arrival_rejoin(target->arrival, spare[1], spare[1], &err) == -ERROR_NOT_NOW)
		_exit(EXIT_FAILURE);
	do {
		nanosleep(&(struct timespec){ .tv_nsec = STILL_NS }, NULL);
		arrival_count(target->arrival, &counts);
	} while (counts.state != ARRIVAL_COMPLETE);
	check_runs(control, target->vm);
}

static void be_target(int data, int control)
{
	struct target target = {
		.fd = data, .options = &plain, .console = machine_console(), .patience_us = PATIENCE_US
	};
	pthread_t toucher;
	char byte;
	if (is_post_copy)
		close(spare[0]);
	target_take(&target);
	if (target.vm == NULL) {
		say(control, NEVER);
		_exit(EXIT_SUCCESS);
	}
	vm_resume(target.vm);
	if (is_post_copy)
		pthread_create(&toucher, NULL, touch, &target);
	if (has_arrived(&target))
		check_runs(control, target.vm);
	else
		say(control, WAITS);
	if (read(control, &byte, 1) == 1) { /* or up to our end */
		if (byte == REJOIN && target.arrival != NULL)
			rejoin(control, &target);
		else
			say(control, BROKEN);
	}
	pause();
}

static void start(struct side *ret, void (*be)(int data, int control), const struct side *other)
{
	int data[2], control[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, data), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control), 0);
	ret->pid = fork();
	ck_assert_int_ge(ret->pid, 0);
	if (ret->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(data[0]);
		close(control[0]);
		if (other != NULL) {
			close(other->data);
			close(other->control);
		}
		be(data[1], control[1]);
	}
	close(data[1]);
	close(control[1]);
	ret->data = data[0];
	ret->control = control[0];
	ret->is_killed = false;
}

static void cut(struct side *side)
{
	if (side->data >= 0)
		close(side->data);
	side->data = -1;
}

static void slay(struct side *side)
{
	kill(side->pid, SIGKILL);
	side->is_killed = true;
}

static void end(struct side *side)
{
	cut(side);
	close(side->control);
	kill(side->pid, SIGKILL);
	waitpid(side->pid, NULL, 0);
}

/* ---- What stands between them ---- */

/* The messages of one direction. */
struct stream {
	struct side *from, *to;
	struct buffer bytes; /* what came and was not let through yet */
	unsigned nr;         /* messages so far */
	uint8_t types[4096]; /* of them */
	bool is_source;
};

/* Where the fault is: the nth message of a direction, or the first of a type. */
struct hit {
	bool is_source; /* a message of the source */
	enum wire_type type;
	bool is_late;    /* the first behind COMMITTED */
	unsigned number; /* where type is 0 */
	enum fault fault;
};

struct relay {
	struct side source, target;
	struct stream streams[2];
	struct hit hit;
	bool was_hit, is_cut;
	bool has_said_commit; /* the source has said COMMIT */
	bool has_commit;      /* the target may have it, whole */
	bool has_committed;   /* the target has said COMMITTED */
	unsigned corrupted;
};

static bool is_hit(const struct relay *relay, const struct stream *stream, enum wire_type type)
{
	const struct hit *hit = &relay->hit;
	if (hit->is_late && !relay->has_committed)
		return false;
	if (relay->was_hit || hit->fault == NO_FAULT || stream->is_source != hit->is_source)
		return false;
	return hit->type != 0 ? type == hit->type : stream->nr == hit->number;
}

static void pass(struct relay *relay, struct stream *stream, const void *data, size_t size)
{
	if (!relay->is_cut && io_write_full(stream->to->data, data, size) < 0)
		relay->is_cut = true;
}

static void do_fault(struct relay *relay, struct stream *stream, uint8_t *frame, size_t size)
{
	size_t header = sizeof(struct wire_header);
	relay->was_hit = true;
	switch (relay->hit.fault) {
	case NO_FAULT:
	case LOST:
		return;
	case CUT_INSIDE:
		pass(relay, stream, frame, size > header ? header + (size - header) / 2 : header / 2);
		relay->is_cut = true;
		return;
	case CUT_BEFORE:
		relay->is_cut = true;
		return;
	case WRONG_HEADER:
		frame[relay->corrupted++ * 5 % header] ^= 0x40;
		break;
	case WRONG_PAYLOAD:
		if (size > header)
			frame[header + relay->corrupted++ * 7 % (size - header)] ^= 1;
		break;
	case DOUBLED:
		pass(relay, stream, frame, size);
		break;
	case TARGET_KILLED:
		slay(&relay->target);
		break;
	case SOURCE_KILLED:
		slay(&relay->source);
		break;
	}
	pass(relay, stream, frame, size);
}

/* Does a message arrive as it was said? */
static bool is_harmless(enum fault fault)
{
	return fault == NO_FAULT || fault == DOUBLED || fault == TARGET_KILLED || fault == SOURCE_KILLED;
}

/* Lets whole messages through. */
static void let_through(struct relay *relay, struct stream *stream)
{
	struct wire_header header;
	size_t at = 0;
	while (!relay->is_cut && bytes_read(buffer_bytes(&stream->bytes), at, &header, sizeof(header)) &&
	       stream->bytes.size - at - sizeof(header) >= header.length) {
		size_t size = sizeof(header) + header.length;
		bool is_commit = stream->is_source && header.type == WIRE_COMMIT;
		bool is_wrong = is_hit(relay, stream, (enum wire_type)header.type);
		relay->has_said_commit |= is_commit;
		relay->has_commit |= is_commit && (!is_wrong || is_harmless(relay->hit.fault));
		relay->has_committed |= header.type == WIRE_COMMITTED;
		if (is_wrong)
			do_fault(relay, stream, stream->bytes.data + at, size);
		else
			pass(relay, stream, stream->bytes.data + at, size);
		if (stream->nr < ARRAY_SIZE(stream->types))
			stream->types[stream->nr++] = (uint8_t)header.type;
		at += size;
	}
	if (at > 0)
		memmove(stream->bytes.data, stream->bytes.data + at, stream->bytes.size - at);
	stream->bytes.size -= at;
}

/* Bytes that one side has said, and nobody looked at. */
static void take_rest(struct stream *stream)
{
	static uint8_t data[64 << 10];
	ssize_t n;
	while ((n = recv(stream->from->data, data, sizeof(data), MSG_DONTWAIT)) > 0)
		ck_assert_ptr_nonnull(buffer_append(&stream->bytes, data, (size_t)n));
}

/* Behind a cut the source may say more, and it says COMMIT in one piece: then it is in doubt. */
static void look_for_commit(struct relay *relay)
{
	struct stream *stream = &relay->streams[0];
	struct wire_header header;
	shutdown(stream->from->data, SHUT_RD); /* from now on, nothing more */
	take_rest(stream);
	for (size_t at = 0; bytes_read(buffer_bytes(&stream->bytes), at, &header, sizeof(header));
	     at += sizeof(header) + header.length)
		relay->has_said_commit |= header.type == WIRE_COMMIT;
}

/* What one side says goes to the other, until one of them closes or all is cut. */
static void run_relay(struct relay *relay)
{
	static uint8_t data[256 << 10];
	int64_t deadline_us = now_us() + REPORT_MS * 1000;
	while (!relay->is_cut) {
		struct pollfd fds[2] = { { .fd = relay->source.data, .events = POLLIN },
					 { .fd = relay->target.data, .events = POLLIN } };
		ck_assert_int_ge(poll(fds, 2, 1000), 0);
		ck_assert_int_lt(now_us(), deadline_us);
		for (unsigned i = 0; i < 2 && !relay->is_cut; i++) {
			struct stream *stream = &relay->streams[i];
			if (fds[i].revents == 0)
				continue;
			ssize_t n = read(stream->from->data, data, sizeof(data));
			if (n > 0) {
				ck_assert_ptr_nonnull(buffer_append(&stream->bytes, data, (size_t)n));
				let_through(relay, stream);
			} else {
				relay->is_cut = true;
			}
		}
	}
	/* What the target said last, the source still hears. */
	if (relay->hit.fault != CUT_BEFORE && relay->hit.fault != CUT_INSIDE) {
		relay->is_cut = false;
		take_rest(&relay->streams[1]);
		let_through(relay, &relay->streams[1]);
	}
	look_for_commit(relay);
	cut(&relay->source);
	cut(&relay->target);
}

/* ---- The judgement ---- */

static enum word hear(const struct side *side)
{
	struct pollfd wait = { .fd = side->control, .events = POLLIN };
	char byte;
	if (poll(&wait, 1, REPORT_MS) != 1)
		return BROKEN;
	return read(side->control, &byte, 1) == 1 ? (enum word)byte : NOTHING;
}

/* Connected again, the target gets what it lacks, and the source is not needed any more. */
static void rejoin_both(struct relay *relay, const char *what)
{
	say(relay->target.control, REJOIN);
	say(relay->source.control, REJOIN);
	enum word target = hear(&relay->target), source = hear(&relay->source);
	ck_assert_msg(source == MOVED, "%s: connected again, the source says %c", what, source);
	ck_assert_msg(target == RUNS, "%s: connected again, the target says %c", what, target);
	source = hear(&relay->source);
	ck_assert_msg(source == STILL, "%s: connected again, and then %c", what, source);
}

static void judge(struct relay *relay, const char *what)
{
	enum word target = hear(&relay->target), source = hear(&relay->source);
	bool target_runs = (target == RUNS || target == WAITS) && !relay->target.is_killed;
	ck_assert_msg(target == RUNS || target == WAITS || target == NEVER || relay->target.is_killed,
		      "%s: the target says %c", what, target);
	ck_assert_msg((target != RUNS && target != WAITS) || relay->has_commit, "%s: the target runs without COMMIT",
		      what);
	if (relay->source.is_killed)
		return;
	enum word then = hear(&relay->source);
	switch (source) {
	case MOVED:
		ck_assert_msg(then == STILL, "%s: moved, and then %c", what, then);
		ck_assert_msg(target == RUNS || relay->target.is_killed, "%s: moved to where it does not run", what);
		return;
	case FAILED:
		ck_assert_msg(then == RUNS, "%s: failed, and then %c", what, then);
		ck_assert_msg(target != RUNS && target != WAITS, "%s: both run", what);
		return;
	case CUT:
		ck_assert_msg(then == STILL, "%s: cut off, and then %c", what, then);
		ck_assert_msg(relay->has_committed, "%s: cut off without COMMITTED", what);
		if (target_runs)
			rejoin_both(relay, what);
		return;
	case DOUBT:
		ck_assert_msg(then == STILL, "%s: in doubt, and then %c", what, then);
		ck_assert_msg(relay->has_said_commit, "%s: in doubt without COMMIT", what);
		break;
	default:
		ck_abort_msg("%s: the source says %c", what, source);
	}
	/* In doubt: whoever looks at the target decides. */
	if (target_runs && is_post_copy)
		rejoin_both(relay, what);
	if (target_runs || is_post_copy)
		return;
	say(relay->source.control, RESUME);
	then = hear(&relay->source);
	ck_assert_msg(then == RUNS, "%s: resumed, and then %c", what, then);
}

/* One migration with one fault; how often the messages of both directions were, where that is asked for. */
static bool migrate_with(const struct hit *hit, struct relay *ret)
{
	static struct relay relay;
	char what[128];
	relay = (struct relay){ .hit = *hit, .corrupted = relay.corrupted + 1 };
	if (hit->type != 0)
		snprintf(what, sizeof(what), "%s, %s", wire_type_name(hit->type), fault_names[hit->fault]);
	else
		snprintf(what, sizeof(what), "message %u of the %s, %s", hit->number,
			 hit->is_source ? "source" : "target", fault_names[hit->fault]);
	if (is_post_copy)
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, spare), 0);
	start(&relay.target, be_target, NULL);
	start(&relay.source, be_source, &relay.target);
	if (is_post_copy) {
		close(spare[0]);
		close(spare[1]);
	}
	relay.streams[0] = (struct stream){ .from = &relay.source, .to = &relay.target, .is_source = true };
	relay.streams[1] = (struct stream){ .from = &relay.target, .to = &relay.source };
	run_relay(&relay);
	judge(&relay, what);
	end(&relay.source);
	end(&relay.target);
	buffer_done(&relay.streams[0].bytes);
	buffer_done(&relay.streams[1].bytes);
	if (ret != NULL)
		*ret = relay;
	return relay.was_hit;
}

static bool is_from_source(enum wire_type type)
{
	return type < WIRE_ACCEPT || type == WIRE_MISSING || type == WIRE_REJOIN || type == WIRE_SAME;
}

/* CANCEL and REFUSE are said after a fault only, and so are REJOIN and REJOINED. */
static bool is_regular(enum wire_type type)
{
	bool is_of_pages = type == WIRE_MISSING || type == WIRE_REQUEST || type == WIRE_COMPLETE;
	return type != WIRE_CANCEL && type != WIRE_REFUSE && type != WIRE_REJOIN && type != WIRE_REJOINED &&
	       (is_post_copy || !is_of_pages);
}

START_TEST(one_runs_whatever_happens_at_a_type_of_message)
{
	enum wire_type type = (enum wire_type)_i;
	if (type == 0 || !is_regular(type))
		return;
	for (unsigned fault = NO_FAULT + 1; fault < FAULTS; fault++) {
		const struct hit hit = { .is_source = is_from_source(type), .type = type, .fault = (enum fault)fault };
		bool was_hit = false;
		for (unsigned tries = 0; tries < TRIES_MAX && !was_hit; tries++) /* REQUEST needs somebody who waits */
			was_hit = migrate_with(&hit, NULL);
		ck_assert_msg(was_hit, "%s: no such message", wire_type_name(type));
	}
}
END_TEST

START_TEST(one_runs_whatever_happens_to_a_page_that_follows)
{
	for (unsigned fault = NO_FAULT + 1; fault < FAULTS; fault++) {
		const struct hit hit = {
			.is_source = true, .type = WIRE_PAGES, .is_late = true, .fault = (enum fault)fault
		};
		ck_assert_msg(migrate_with(&hit, NULL), "no page follows");
	}
}
END_TEST

START_TEST(it_moves_where_nothing_happens)
{
	static struct relay relay;
	const struct hit none = { .fault = NO_FAULT };
	migrate_with(&none, &relay);
	ck_assert(relay.has_commit);
	ck_assert_int_eq(relay.streams[1].types[relay.streams[1].nr - 1],
			 is_post_copy ? WIRE_COMPLETE : WIRE_COMMITTED);
}
END_TEST

/* Until there is no such message.  How many there are depends on what the guest writes meanwhile. */
START_TEST(one_runs_whatever_happens_at_a_message)
{
	const char *wanted = getenv("STASIS_FAULTS");
	bool is_source = _i == 0, is_there = wanted != NULL && strcmp(wanted, "all") == 0;
	unsigned nr = 0, number = 0;
	for (; is_there; number++) {
		is_there = false;
		for (unsigned fault = NO_FAULT + 1; fault < FAULTS; fault++) {
			const struct hit hit = { .is_source = is_source, .number = number, .fault = (enum fault)fault };
			bool was_hit = migrate_with(&hit, NULL);
			is_there |= was_hit;
			nr += was_hit;
		}
	}
	if (nr > 0)
		printf("%u faults at %u messages of the %s\n", nr, number - 1, is_source ? "source" : "target");
}
END_TEST

int main(int argc, char **argv)
{
	const struct kvm_test tests[] = { { it_moves_where_nothing_happens, 1 },
					  { one_runs_whatever_happens_at_a_type_of_message, WIRE_TYPES },
					  { one_runs_whatever_happens_at_a_message, 2 },
					  { one_runs_whatever_happens_to_a_page_that_follows, 1 } };
	struct error why;
	is_post_copy = argc > 1 && strcmp(argv[1], "post-copy") == 0;
	if (is_post_copy && !userfault_can(&why)) {
		printf("SKIPPED: post-copy: %s\n", why.text);
		return 77;
	}
	signal(SIGPIPE, SIG_IGN);
	return kvm_test_main("migrate_fault", tests, ARRAY_SIZE(tests) - !is_post_copy);
}
