/*
 * A machine whose last pages follow it: it arrives as it left, runs while they come, and waits for those that it
 * touches.
 *
 * Source and target are in one process.  STASIS_MIGRATIONS in the environment: how often the machines go to and fro.
 */
#include "migrate_lab.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "vmm/userfault.h"

#define PING_PONGS 5

static const struct machine_kind memory = { "memory", IRQCHIP_FULL, 1 };
static const struct machine_kind memory_smp = { "memory-smp", IRQCHIP_FULL, 4 };
static const char endless[] = "rounds=0 pages=500"; /* more than goes over while it is prepared */
static const struct restore_options plain;
static struct error err;

/*
 * One round, which takes some steps, and in which so many pages are written, as a device would, that they cannot be
 * sent in a moment.
 */
static const struct outgoing_options one_round = {
	.is_post_copy = true, .rounds_max = 1, .downtime_us = 1, .bandwidth = 16 << 20
};
#define FOLLOWING     300
#define FOLLOWING_GPA (KVM_TEST_RAM / 2)

static void write_pages(struct vm *vm, uint64_t value)
{
	for (uint64_t i = 0; i < FOLLOWING; i++) {
		const uint64_t words[] = { value, i };
		memory_write(&vm->memory, FOLLOWING_GPA + i * MEMORY_PAGE, words, sizeof(words));
	}
}

/* Some of them are zero again. */
static void clear_some(struct vm *vm)
{
	static const uint8_t zeros[MEMORY_PAGE];
	for (uint64_t i = 0; i < FOLLOWING; i += 7)
		memory_write(&vm->memory, FOLLOWING_GPA + i * MEMORY_PAGE, zeros, sizeof(zeros));
}

static enum outgoing_phase phase_of(const struct outgoing *outgoing)
{
	struct outgoing_numbers numbers;
	outgoing_numbers(outgoing, &numbers);
	return numbers.phase;
}

/* Moves a machine whose pages follow it. */
static struct vm *move_first(struct vm *vm, const struct outgoing_options *options, struct target *target,
			     uint64_t value)
{
	write_pages(vm, value);
	struct outgoing *outgoing = outgoing_start(vm, NULL, target_start_as(target), options);
	while (phase_of(outgoing) < OUTGOING_ROUNDS)
		ck_assert(!outgoing_drive_once(outgoing, vm));
	while (phase_of(outgoing) == OUTGOING_ROUNDS) { /* whatever was sent by now is written again */
		write_pages(vm, value + 1);
		clear_some(vm);
		ck_assert(!outgoing_drive_once(outgoing, vm));
	}
	enum outgoing_result result = outgoing_drive(outgoing, vm, &err);
	struct vm *moved = target_end(target);
	ck_assert_msg(result == OUTGOING_MOVED, "%s; the target: %s", err.text, target->error.text);
	ck_assert_ptr_nonnull(moved);
	ck_assert(outgoing_holds(outgoing));
	struct outgoing_numbers numbers;
	outgoing_numbers(outgoing, &numbers);
	ck_assert_int_eq(target->arrived.state, ARRIVAL_COMPLETE);
	ck_assert_uint_ge(numbers.missing_pages, FOLLOWING);
	ck_assert_uint_eq(numbers.missing_pages, target->arrived.missing_pages);
	ck_assert_uint_eq(numbers.left_pages, 0);
	outgoing_free(outgoing);
	return moved;
}

/* It stands still at the target until all is there: then it is what it was, field by field and page by page. */
START_TEST(it_arrives_before_its_pages)
{
	const struct machine_kind *kind = &migrate_kinds[_i];
	struct outgoing_options options = one_round;
	struct target target = { .options = &plain };
	options.is_verified = _i % 2 == 0;
	struct vm *vm = migrate_boot(kind);
	wait_a_moment();
	struct vm *moved = move_first(vm, &options, &target, 1);
	printf("%s: %llu pages followed, %llu of them asked for\n", kind->guest,
	       (unsigned long long)target.arrived.missing_pages, (unsigned long long)target.arrived.asked_pages);
	migrate_expect_same(vm, moved);
	migrate_expect_goes_on(kind, vm, moved);
	machine_free(vm);
	machine_free(moved);
}
END_TEST

/*
 * It runs at the target from the hand-over on, and waits for what it touches, as whoever else reads its memory; it
 * verifies that in each round.
 */
START_TEST(it_runs_before_its_pages_are_there)
{
	const char *wanted = getenv("STASIS_MIGRATIONS");
	unsigned long many = wanted != NULL ? strtoul(wanted, NULL, 0) : PING_PONGS;
	struct outgoing_options options = one_round;
	const uint64_t last_page = FOLLOWING_GPA + (FOLLOWING - 1) * MEMORY_PAGE;
	uint64_t asked = 0;
	options.bandwidth = 8 << 20;
	struct vm *vm = boot_running(_i == 0 ? &memory : &memory_smp, endless);
	for (unsigned long i = 0; i < many; i++) {
		struct target target = { .options = &plain, .runs_at_once = true, .touched_gpa = last_page };
		options.is_verified = i % 4 == 0;
		wait_a_moment();
		struct vm *moved = move_first(vm, &options, &target, i);
		asked += target.arrived.asked_pages;
		ck_assert_uint_eq(target.touched, i + 1);
		machine_free(vm);
		vm = moved;
	}
	ck_assert(machine_prints(vm, 3));
	printf("%lu migrations, %llu pages asked for\n", many, (unsigned long long)asked);
	ck_assert_uint_gt(asked, 0);
	vm_pause(vm);
	machine_free(vm);
}
END_TEST

/* The source's RAM cannot change any more: where it did, what has arrived is not what it should be. */
START_TEST(what_arrived_is_held_against_what_is_here)
{
	struct outgoing_options options = one_round;
	struct target target = { .options = &plain };
	struct vm *vm = boot_running(&memory, endless);
	options.is_verified = true;
	options.bandwidth = 8 << 20; /* else what follows may be there before it is looked at */
	write_pages(vm, 1);
	struct outgoing *outgoing = outgoing_start(vm, NULL, target_start_as(&target), &options);
	while (phase_of(outgoing) < OUTGOING_SERVING) {
		if (phase_of(outgoing) == OUTGOING_ROUNDS)
			write_pages(vm, 2);
		if (outgoing_drive_once(outgoing, vm))
			ck_abort_msg("over with %d before it served: %s", outgoing_result(outgoing, &err), err.text);
	}
	*memory_at(&vm->memory, FOLLOWING_GPA + FOLLOWING * MEMORY_PAGE, 1) ^= 1; /* zero until now, and not missing */
	ck_assert_int_ne(outgoing_drive(outgoing, vm, &err), OUTGOING_MOVED);
	ck_assert_msg(strstr(err.text, "what arrived at the target is not what is here") != NULL, "%s", err.text);
	ck_assert(outgoing_holds(outgoing));
	outgoing_free(outgoing);
	machine_free(target_end(&target));
	machine_free(vm);
}
END_TEST

/* Where rounds do it, nothing follows. */
START_TEST(few_pages_go_before_it)
{
	const struct outgoing_options options = { .is_post_copy = true, .downtime_us = 10000000 };
	struct vm *vm = boot_running(&memory, endless);
	struct target target = { .options = &plain };
	struct outgoing_numbers numbers;
	struct outgoing *outgoing = outgoing_start(vm, NULL, target_start_as(&target), &options);
	ck_assert_int_eq(outgoing_drive(outgoing, vm, &err), OUTGOING_MOVED);
	struct vm *moved = target_end(&target);
	outgoing_numbers(outgoing, &numbers);
	ck_assert_uint_eq(numbers.missing_pages, 0);
	ck_assert_int_eq(target.arrived.state, ARRIVAL_PREPARING); /* there was none */
	outgoing_free(outgoing);
	migrate_expect_same(vm, moved);
	machine_free(vm);
	machine_free(moved);
}
END_TEST

/* It says so before a page is sent, and takes what needs no waiting. */
START_TEST(a_target_that_cannot_wait_for_pages_refuses)
{
	struct vm *vm = boot_running(&memory, endless);
	struct target target = { .options = &plain, .has_no_userfault = true };
	struct outgoing_numbers numbers;
	struct outgoing *outgoing = outgoing_start(vm, NULL, target_start_as(&target), &one_round);
	outgoing_drive(outgoing, vm, &err);
	ck_assert_msg(strstr(err.text, "the target refuses: post-copy: not for this user") != NULL, "%s", err.text);
	outgoing_numbers(outgoing, &numbers);
	ck_assert_uint_eq(numbers.data_pages, 0);
	outgoing_free(outgoing);
	ck_assert_ptr_null(target_end(&target));
	ck_assert(machine_prints(vm, 2));
	target = (struct target){ .options = &plain, .has_no_userfault = true };
	const struct outgoing_options options = { .downtime_us = 10000000 };
	outgoing = outgoing_start(vm, NULL, target_start_as(&target), &options);
	ck_assert_int_eq(outgoing_drive(outgoing, vm, &err), OUTGOING_MOVED);
	struct vm *moved = target_end(&target);
	outgoing_free(outgoing);
	machine_free(vm);
	machine_free(moved);
}
END_TEST

int main(void)
{
	const struct kvm_test tests[] = {
		{ it_arrives_before_its_pages, MIGRATE_KINDS },     { it_runs_before_its_pages_are_there, 2 },
		{ what_arrived_is_held_against_what_is_here, 1 },   { few_pages_go_before_it, 1 },
		{ a_target_that_cannot_wait_for_pages_refuses, 1 },
	};
	struct error why;
	if (!userfault_can(&why)) {
		printf("SKIPPED: post-copy: %s\n", why.text);
		return 77;
	}
	signal(SIGPIPE, SIG_IGN);
	return kvm_test_main("post_copy", tests, ARRAY_SIZE(tests));
}
