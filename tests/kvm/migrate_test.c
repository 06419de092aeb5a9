/*
 * A machine that moves while it runs: it arrives as it left, and goes on as at home; it stays where the target does not
 * take it, where the rounds do not converge, and where it is cancelled; it goes to and fro.
 *
 * Source and target are in one process.  STASIS_MIGRATIONS in the environment: how often the machines go to and fro.
 */
#include "migrate_lab.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "snapshot/channel.h"
#include "snapshot/crc32c.h"
#include "snapshot/file.h"
#include "vmm/now.h"

#define PING_PONGS 20
#define TRIES_MAX  5

static const struct machine_kind memory = { "memory", IRQCHIP_FULL, 1 };
static const struct machine_kind memory_smp = { "memory-smp", IRQCHIP_FULL, 4 };
static const char endless[] = "rounds=0 pages=64 delay=1";
static const struct restore_options plain;
static struct error err;

static void show(const char *what, const struct outgoing *outgoing)
{
	struct outgoing_numbers numbers;
	outgoing_numbers(outgoing, &numbers);
	printf("%s: %u rounds, %llu pages and %llu of zeros, %llu bytes, downtime %llu us\n", what, numbers.round + 1,
	       (unsigned long long)numbers.data_pages, (unsigned long long)numbers.zero_pages,
	       (unsigned long long)numbers.bytes_sent, (unsigned long long)numbers.downtime_us);
	fflush(stdout);
}

/* Moves a machine that runs; the new one is paused, and the old one still there. */
static struct vm *move(struct vm *vm, const struct outgoing_options *options, const char *what)
{
	struct target target;
	struct outgoing *outgoing = outgoing_start(vm, NULL, target_start(&target, &plain), options);
	enum outgoing_result result = outgoing_drive(outgoing, vm, &err);
	struct vm *moved = target_end(&target);
	ck_assert_msg(result == OUTGOING_MOVED, "%s; the target: %s", err.text, target.error.text);
	ck_assert_ptr_nonnull(moved);
	ck_assert(outgoing_holds(outgoing));
	if (what != NULL)
		show(what, outgoing);
	outgoing_free(outgoing);
	return moved;
}

/* ---- Arriving ---- */

START_TEST(it_arrives_and_goes_on)
{
	const struct machine_kind *kind = &migrate_kinds[_i];
	const struct outgoing_options options = { .is_verified = _i % 2 == 0 };
	struct vm *vm = migrate_boot(kind);
	wait_a_moment();
	struct vm *moved = move(vm, &options, kind->guest);
	migrate_expect_same(vm, moved);
	migrate_expect_goes_on(kind, vm, moved);
	machine_free(vm);
	machine_free(moved);
}
END_TEST

/* A guest that verifies its memory in each round, and ends with another status where a word is not as it was. */
START_TEST(it_goes_to_and_fro)
{
	const char *wanted = getenv("STASIS_MIGRATIONS");
	unsigned long many = wanted != NULL ? strtoul(wanted, NULL, 0) : PING_PONGS;
	struct vm *vm = boot_running(_i == 0 ? &memory : &memory_smp, endless);
	for (unsigned long i = 0; i < many; i++) {
		const struct outgoing_options options = { .is_verified = i % 4 == 0 };
		wait_a_moment();
		struct vm *moved = move(vm, &options, i % (many / 4 + 1) == 0 ? "to and fro" : NULL);
		machine_free(vm);
		vm = moved;
		vm_resume(vm);
	}
	ck_assert(machine_prints(vm, 3));
	vm_pause(vm);
	machine_free(vm);
}
END_TEST

/* Pages that become zero are told as such, and are zero there. */
START_TEST(zeros_arrive)
{
	struct vm *vm = boot_running(&memory, "rounds=0 pages=8 delay=20");
	const uint64_t gpa = KVM_TEST_RAM / 2, pages = 300;
	const struct outgoing_options options = { .is_verified = true, .bandwidth = 16 << 20 };
	struct target target;
	struct outgoing_numbers numbers;
	vm_pause(vm);
	memset(memory_at(&vm->memory, gpa, pages * MEMORY_PAGE), 0x5a, pages * MEMORY_PAGE);
	vm_resume(vm);
	struct outgoing *outgoing = outgoing_start(vm, NULL, target_start(&target, &plain), &options);
	bool is_cleared = false, is_over = false;
	while (!is_over) {
		is_over = outgoing_drive_once(outgoing, vm);
		outgoing_numbers(outgoing, &numbers);
		if (is_cleared || numbers.phase != OUTGOING_ROUNDS || numbers.bytes_sent < pages / 2 * MEMORY_PAGE)
			continue;
		static uint8_t zeros[300 * MEMORY_PAGE]; /* as a device would write them */
		is_cleared = true;
		memory_write(&vm->memory, gpa, zeros, sizeof(zeros));
	}
	struct vm *moved = target_end(&target);
	ck_assert_msg(outgoing_result(outgoing, &err) == OUTGOING_MOVED, "%s", err.text);
	ck_assert(is_cleared);
	outgoing_numbers(outgoing, &numbers);
	ck_assert_uint_ge(numbers.zero_pages, 100);
	ck_assert(bytes_are_zero(memory_at(&moved->memory, gpa, pages * MEMORY_PAGE), pages * MEMORY_PAGE));
	outgoing_free(outgoing);
	migrate_expect_same(vm, moved);
	machine_free(vm);
	machine_free(moved);
}
END_TEST

/*
 * Pages that the guest writes with what they hold go over twice, and then no more; those that were something else in
 * between do.  Written when all of a round was looked at, so that the next round is told.
 */
START_TEST(what_is_written_without_change_stays)
{
	enum { SAME = 300, OTHER = 200 }; /* pages; the others alone take longer than the goal */
	static uint8_t same[SAME * MEMORY_PAGE], other[OTHER * MEMORY_PAGE];
	static const uint8_t values[] = { 0x5a, 0xa5, 0x5a }; /* of the others, behind each round */
	const uint64_t gpa = KVM_TEST_RAM / 2;
	const struct outgoing_options options = { .is_verified = true, .bandwidth = 16 << 20, .downtime_us = 20000 };
	struct vm *vm = boot_running(&memory, "rounds=0 pages=8 delay=20");
	struct target target;
	struct outgoing_numbers numbers;
	unsigned written = 0; /* rounds */
	memset(same, values[0], sizeof(same));
	memset(other, values[0], sizeof(other));
	vm_pause(vm);
	memory_write(&vm->memory, gpa, same, sizeof(same));
	memory_write(&vm->memory, gpa + sizeof(same), other, sizeof(other));
	vm_resume(vm);
	struct outgoing *outgoing = outgoing_start(vm, NULL, target_start(&target, &plain), &options);
	while (!outgoing_drive_once(outgoing, vm)) {
		outgoing_numbers(outgoing, &numbers);
		if (written == ARRAY_SIZE(values) || numbers.phase != OUTGOING_ROUNDS || numbers.round != written ||
		    numbers.round_done != numbers.round_todo)
			continue;
		memset(other, values[written], sizeof(other));
		memory_write(&vm->memory, gpa, same, sizeof(same));
		memory_write(&vm->memory, gpa + sizeof(same), other, sizeof(other));
		written++;
	}
	struct vm *moved = target_end(&target);
	ck_assert_msg(outgoing_result(outgoing, &err) == OUTGOING_MOVED, "%s", err.text);
	outgoing_numbers(outgoing, &numbers);
	ck_assert_uint_eq(written, ARRAY_SIZE(values));
	ck_assert_uint_ge(numbers.unchanged_pages, 2 * SAME); /* in the rounds 2 and 3 */
	outgoing_free(outgoing);
	migrate_expect_same(vm, moved);
	machine_free(vm);
	machine_free(moved);
}
END_TEST

/* ---- Staying ---- */

static void expect_stays(struct outgoing *outgoing, struct vm *vm, struct target *target)
{
	ck_assert_int_eq(outgoing_result(outgoing, &err), OUTGOING_FAILED);
	ck_assert(!outgoing_holds(outgoing));
	outgoing_free(outgoing);
	ck_assert_ptr_null(target_end(target));
	ck_assert(machine_prints(vm, 2));
}

/* A CPU feature that no host has: named before a page is sent. */
START_TEST(what_the_target_lacks_is_named)
{
	const struct outgoing_options options = { 0 };
	struct vm *vm = boot_running(&memory, endless);
	struct target target;
	struct outgoing_numbers numbers;
	vm_pause(vm);
	struct kvm_cpuid_entry2 *entry = cpuid_find_writable(&vm->vcpus[0].cpuid, 1, 0);
	ck_assert_ptr_nonnull(entry);
	entry->edx |= 1u << 30; /* IA64: no x86 CPU */
	vm_resume(vm);
	struct outgoing *outgoing = outgoing_start(vm, NULL, target_start(&target, &plain), &options);
	outgoing_drive(outgoing, vm, &err);
	printf("%s\n", outgoing_remarks(outgoing));
	ck_assert_ptr_nonnull(strstr(err.text, "the target refuses"));
	ck_assert_ptr_nonnull(strstr(outgoing_remarks(outgoing), "cpuid"));
	outgoing_numbers(outgoing, &numbers);
	ck_assert_uint_eq(numbers.data_pages, 0);
	expect_stays(outgoing, vm, &target);
	machine_free(vm);
}
END_TEST

static void tell(struct channel *channel, enum wire_type type, const void *payload, size_t size)
{
	size_t sent;
	ck_assert(wire_writer_put(&channel->writer, type, payload, size));
	while (channel_has_more(channel))
		ck_assert_int_eq(channel_send(channel, &sent, &err), 0);
}

static void hear(struct channel *channel, enum wire_type type, struct wire_message *ret)
{
	int status;
	while ((status = channel_receive(channel, ret, &err)) == 0)
		wait_a_moment();
	ck_assert_msg(status == 1, "%s", err.text);
	ck_assert_int_eq(ret->type, type);
}

/* Says a message that is refused. */
static void ask(struct channel *channel, enum wire_type type, const void *payload, size_t size, char *ret, size_t room)
{
	struct wire_message message;
	tell(channel, type, payload, size);
	hear(channel, WIRE_REFUSE, &message);
	wire_read_text(&message, ret, room);
}

START_TEST(more_memory_than_there_is_is_refused_at_once)
{
	const struct wire_hello hello = { .page_size = MEMORY_PAGE,
					  .nr_ranges = 2,
					  .ranges = { { .size = MEMORY_RAM_MAX / 2 },
						      { .gpa = MEMORY_RAM_MAX / 2, .size = MEMORY_RAM_MAX } } };
	struct target target;
	struct channel channel;
	char text[512];
	int fd = target_start(&target, &plain);
	ck_assert_int_eq(channel_open(&channel, fd, fd, 0, &err), 0);
	ask(&channel, WIRE_HELLO, &hello, sizeof(hello), text, sizeof(text));
	printf("%s\n", text);
	ck_assert_ptr_nonnull(strstr(text, "memory: the machine has RAM of 1572864 MiB, and this host has"));
	channel_close(&channel);
	ck_assert_ptr_null(target_end(&target));
}
END_TEST

/* The machine's state as a migration describes it. */
static struct buffer describe(struct vm *vm)
{
	struct buffer ret = { 0 };
	struct image image;
	image_take(vm, &image);
	ck_assert_int_eq(file_write_state(&image, &ret, &err), 0);
	image_done(&image);
	return ret;
}

/* Bytes that are as they were described are inside of the description, from where the parts end. */
START_TEST(what_was_not_described_is_refused)
{
	struct vm *vm = machine_boot(&memory);
	struct buffer state = describe(vm);
	const struct wire_blob blob = { .size = state.size, .crc = crc32c(0, state.data, state.size) };
	const struct wire_same rest = { .size = state.size - 1 }, all = { .size = state.size },
			       none = { .size = UINT64_MAX };
	const struct wire_same *const wrong[] = { &all, &none };
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct wire_hello hello = { .page_size = MEMORY_PAGE, .nr_ranges = vm->machine.nr_ranges };
		struct target target;
		struct channel channel;
		struct wire_message message;
		char text[512];
		memcpy(hello.ranges, vm->machine.ranges, sizeof(hello.ranges));
		int fd = target_start(&target, &plain);
		ck_assert_int_eq(channel_open(&channel, fd, fd, 0, &err), 0);
		tell(&channel, WIRE_HELLO, &hello, sizeof(hello));
		for (size_t at = 0, size; at < state.size; at += size) {
			size = state.size - at < WIRE_PART_MAX ? state.size - at : WIRE_PART_MAX;
			tell(&channel, WIRE_PART, state.data + at, size);
		}
		tell(&channel, WIRE_DESCRIPTION, &blob, sizeof(blob));
		hear(&channel, WIRE_ACCEPT, &message);
		tell(&channel, WIRE_PART, state.data, 1);
		if (i == 0)
			tell(&channel, WIRE_SAME, &rest, sizeof(rest));
		ask(&channel, WIRE_SAME, wrong[i], sizeof(*wrong[i]), text, sizeof(text));
		ck_assert_msg(strstr(text, "are to be as described") != NULL, "%s", text);
		channel_close(&channel);
		ck_assert_ptr_null(target_end(&target));
	}
	buffer_done(&state);
	machine_free(vm);
}
END_TEST

/* Pages that are written between any two steps, as a device would, and a goal that is reached by none. */
START_TEST(what_does_not_converge_ends)
{
	const struct outgoing_options options = { .downtime_us = 1,
						  .rounds_max = _i == 0 ? 3 : 30,
						  .bandwidth = 16 << 20 };
	struct vm *vm = boot_running(&memory, endless);
	struct target target;
	struct outgoing_numbers numbers;
	struct outgoing *outgoing = outgoing_start(vm, NULL, target_start(&target, &plain), &options);
	for (uint64_t step = 1; !outgoing_drive_once(outgoing, vm); step++) /* pages that stay the same are not sent */
		for (uint64_t i = 0; i < 200; i++)
			memory_write(&vm->memory, KVM_TEST_RAM / 2 + i * MEMORY_PAGE, &step, sizeof(step));
	ck_assert_int_eq(outgoing_result(outgoing, &err), OUTGOING_FAILED);
	printf("%s\n", err.text);
	ck_assert_msg(strstr(err.text, "it does not converge: after round ") != NULL, "%s", err.text);
	outgoing_numbers(outgoing, &numbers);
	ck_assert_uint_lt(numbers.round, _i == 0 ? 3 : 12);
	ck_assert_uint_eq(numbers.downtime_us, 0);
	expect_stays(outgoing, vm, &target);
	machine_free(vm);
}
END_TEST

/* Cancelled in this phase; false where the steps went over it. */
static bool cancel_in(struct vm *vm, struct track *track, enum outgoing_phase phase)
{
	const struct outgoing_options options = { .bandwidth = 2 << 20, .downtime_us = 10000000 };
	struct target target;
	struct outgoing_numbers numbers = { 0 };
	struct outgoing *outgoing = outgoing_start(vm, track, target_start(&target, &plain), &options);
	while (numbers.phase < phase && !outgoing_drive_once(outgoing, vm))
		outgoing_numbers(outgoing, &numbers);
	outgoing_numbers(outgoing, &numbers);
	bool is_in_time = numbers.phase < OUTGOING_COMMITTED;
	ck_assert_int_eq(outgoing_cancel(outgoing, &err), is_in_time ? 0 : -ERROR_USAGE);
	if (is_in_time) {
		expect_stays(outgoing, vm, &target);
		return numbers.phase == phase;
	}
	ck_assert_int_eq(outgoing_drive(outgoing, vm, &err), OUTGOING_MOVED);
	outgoing_free(outgoing);
	machine_free(target_end(&target));
	vm_release(vm); /* a second life, for the next try */
	return numbers.phase == phase;
}

START_TEST(it_can_be_cancelled_until_it_is_handed_over)
{
	enum outgoing_phase phase = (enum outgoing_phase)_i;
	struct vm *vm = boot_running(&memory, endless);
	unsigned tries = 1;
	while (!cancel_in(vm, NULL, phase) && tries < TRIES_MAX)
		tries++;
	printf("%s: cancelled in try %u\n", outgoing_phase_name(phase), tries);
	machine_free(vm);
}
END_TEST

/* Whatever was written since the base is in the track, though a migration has read the log. */
START_TEST(a_track_gets_its_pages_back)
{
	struct vm *vm = boot_running(&memory, endless);
	struct track *track;
	struct image base;
	uint64_t differ = 0;
	vm_pause(vm);
	image_take(vm, &base);
	ck_assert_int_eq(track_create(&track, vm, &err), 0);
	vm_resume(vm);
	ck_assert(machine_prints(vm, 2));
	cancel_in(vm, track, _i == 0 ? OUTGOING_ROUNDS : OUTGOING_PREPARING);
	vm_pause(vm);
	ck_assert_int_eq(dirty_fetch(track->dirty, &track->since, &err), 0);
	for (uint64_t page = 0; page < KVM_TEST_RAM / MEMORY_PAGE; page++) {
		uint64_t gpa = page * MEMORY_PAGE;
		if (memcmp(memory_at(&vm->memory, gpa, MEMORY_PAGE), memory_at(base.memory, gpa, MEMORY_PAGE),
			   MEMORY_PAGE) == 0)
			continue;
		differ++;
		ck_assert_msg(pages_has(&track->since, 0, page), "page %llu", (unsigned long long)page);
	}
	ck_assert_uint_gt(differ, 8);
	track_free(track);
	image_done(&base);
	machine_free(vm);
}
END_TEST

/* ---- How much goes over ---- */

static double now_s(void)
{
	return (double)now_us() / 1e6;
}

/* Never more than the limit allows for the time that has passed, and a burst. */
START_TEST(the_bandwidth_is_limited)
{
	const struct outgoing_options options = { .bandwidth = 2 << 20, .downtime_us = 10000000 };
	struct vm *vm = boot_running(&memory, endless);
	struct target target;
	struct outgoing_numbers numbers;
	bool is_over = false;
	ck_assert(machine_prints(vm, 2));
	double start_s = now_s();
	struct outgoing *outgoing = outgoing_start(vm, NULL, target_start(&target, &plain), &options);
	while (!is_over) {
		is_over = outgoing_drive_once(outgoing, vm);
		outgoing_numbers(outgoing, &numbers);
		double most = (now_s() - start_s) * (double)options.bandwidth + (64 << 10);
		ck_assert_msg((double)numbers.bytes_sent <= most, "%llu bytes, at most %.0f",
			      (unsigned long long)numbers.bytes_sent, most);
	}
	ck_assert_msg(outgoing_result(outgoing, &err) == OUTGOING_MOVED, "%s", err.text);
	outgoing_free(outgoing);
	machine_free(vm);
	machine_free(target_end(&target));
}
END_TEST

/* Memory that was never touched costs nothing, and what does not change goes over once: of the state, too. */
START_TEST(little_goes_over)
{
	const struct outgoing_options options = { 0 };
	struct vm *vm = machine_boot(&memory);
	struct buffer state = describe(vm);
	struct target target;
	struct outgoing_numbers numbers;
	struct outgoing *outgoing = outgoing_start(vm, NULL, target_start(&target, &plain), &options);
	ck_assert_int_eq(outgoing_drive(outgoing, vm, &err), OUTGOING_MOVED);
	outgoing_numbers(outgoing, &numbers);
	ck_assert_uint_le(numbers.data_pages, 32);
	ck_assert_uint_eq(numbers.zero_pages, 0);
	ck_assert_uint_le(numbers.bytes_sent, numbers.data_pages * MEMORY_PAGE + state.size + (4 << 10));
	buffer_done(&state);
	outgoing_free(outgoing);
	machine_free(vm);
	struct vm *moved = target_end(&target);
	machine_run_to_exit(moved);
	machine_free(moved);
}
END_TEST

int main(void)
{
	const struct kvm_test tests[] = {
		{ it_arrives_and_goes_on, MIGRATE_KINDS },
		{ it_goes_to_and_fro, 2 },
		{ zeros_arrive, 1 },
		{ what_is_written_without_change_stays, 1 },
		{ what_the_target_lacks_is_named, 1 },
		{ more_memory_than_there_is_is_refused_at_once, 1 },
		{ what_was_not_described_is_refused, 1 },
		{ what_does_not_converge_ends, 2 },
		{ it_can_be_cancelled_until_it_is_handed_over, OUTGOING_OVER },
		{ a_track_gets_its_pages_back, 2 },
		{ the_bandwidth_is_limited, 1 },
		{ little_goes_over, 1 },
	};
	signal(SIGPIPE, SIG_IGN);
	return kvm_test_main("migrate", tests, ARRAY_SIZE(tests));
}
