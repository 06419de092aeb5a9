/*
 * A snapshot that is written while the guest runs has the RAM of the instant at which it was paused, page by page:
 * whole and incremental, with what the guest wrote between the last round and the pause, and after one that was given
 * up.
 */
#include "kvm_test.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "snapshot/file.h"
#include "snapshot/live.h"

#ifdef __SANITIZE_THREAD__
#define ROUNDS 2 /* a guest's memory is compared at a tenth of the speed */
#else
#define ROUNDS 6
#endif
#define MOMENT_NS 8000000

static const struct machine_kind memory_guest = { "memory", IRQCHIP_FULL, 1 };
static struct error err;

static void path_of(unsigned round, char ret[32])
{
	snprintf(ret, 32, "live_test.%d.%u", (int)getpid(), round);
}

static void wait_a_moment(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = MOMENT_NS }, NULL);
}

/* The guest stands at a checkpoint, or has come to its end, or runs. */
static void go_on(struct vm *vm)
{
	struct vm_event event;
	while (vm_take_event(vm, &event))
		ck_assert_int_ne(event.kind, VM_EVENT_FAILED);
	vm_resume(vm);
}

static void assert_same_ram(const char *path, const struct image *expected, bool is_incremental)
{
	const struct compare_options options = { .with_ram = true };
	struct report report = { 0 };
	struct image got;
	ck_assert_msg(file_read(path, &got, &err) == 0, "%s", err.text);
	ck_assert_int_eq(image_is_incremental(&got), is_incremental);
	ck_assert_msg(file_verify_ram(&got, &err) == 0, "%s", err.text);
	compare_images(expected, &got, &options, &report);
	for (size_t i = 0; i < report.nr; i++)
		ck_assert_msg(strcmp(report.findings[i].where, "ram") != 0, "%s: %s %s", path, report.findings[i].name,
			      report.findings[i].detail);
	report_done(&report);
	image_done(&got);
}

static struct live *begin(struct vm *vm, struct track *track, const char *path)
{
	struct live *live;
	ck_assert_msg(live_begin(&live, vm, track, true, path, &err) == 0, "%s", err.text);
	return live;
}

/* Given up in the middle: what it took must come with the next one. */
static void give_up(struct vm *vm, struct track *track, const char *path)
{
	bool is_ready = false;
	struct live *live = begin(vm, track, path);
	wait_a_moment();
	while (!is_ready) {
		ck_assert_int_eq(live_step(live, &is_ready, &err), 0);
		go_on(vm);
	}
	ck_assert_int_eq(live_free(live, false, &err), 0);
	ck_assert_int_lt(access(path, F_OK), 0);
}

static void save(struct vm *vm, struct track *track, const char *path, bool is_incremental)
{
	struct image expected;
	bool is_ready = false;
	struct live *live = begin(vm, track, path);
	while (!is_ready) {
		ck_assert_msg(live_step(live, &is_ready, &err) == 0, "%s", err.text);
		go_on(vm);
	}
	wait_a_moment(); /* much is left for the pause */
	vm_pause(vm);
	ck_assert_msg(live_take(live, &err) == 0, "%s", err.text);
	image_take(vm, &expected);
	go_on(vm);
	wait_a_moment();
	ck_assert_msg(live_finish(live, &err) == 0, "%s", err.text);
	ck_assert_int_eq(live_free(live, true, &err), 0);
	assert_same_ram(path, &expected, is_incremental);
	image_done(&expected);
}

START_TEST(the_file_is_of_one_instant)
{
	bool is_tracked = _i == 1;
	struct vm *vm = machine_boot(&memory_guest);
	struct track *track = NULL;
	char path[32];
	if (is_tracked)
		ck_assert_int_eq(track_create(&track, vm, &err), 0);
	ck_assert_int_eq(vm_start(vm, &err), 0);
	vm_resume(vm);
	for (unsigned round = 0; round < ROUNDS; round++) {
		path_of(round, path);
		wait_a_moment();
		if (round % 2 == 1)
			give_up(vm, track, path);
		go_on(vm);
		save(vm, track, path, is_tracked && round > 0);
	}
	vm_pause(vm);
	for (unsigned round = 0; round < ROUNDS; round++) {
		path_of(round, path);
		unlink(path);
	}
	track_free(track);
	machine_free(vm);
}
END_TEST

/* Of one pause, whole and as a difference. */
START_TEST(a_difference_and_a_whole_one_are_the_same)
{
	struct vm *vm = machine_boot(&memory_guest);
	struct track *track;
	struct image image, copy;
	char path[32];
	ck_assert_int_eq(track_create(&track, vm, &err), 0);
	ck_assert_int_eq(vm_start(vm, &err), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		path_of(round, path);
		go_on(vm);
		wait_a_moment();
		vm_pause(vm);
		image_take(vm, &image);
		ck_assert_int_eq(image_copy(&image, &copy, &err), 0);
		copy.memory = &vm->memory;
		copy.header.id[0] = (uint8_t)round;
		ck_assert_msg(track_write(track, &copy, path, &err) == 0, "%s", err.text);
		assert_same_ram(path, &image, round > 0);
		image_done(&copy);
		image_done(&image);
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		path_of(round, path);
		unlink(path);
	}
	track_free(track);
	machine_free(vm);
}
END_TEST

int main(void)
{
	const struct kvm_test tests[] = { { the_file_is_of_one_instant, 2 },
					  { a_difference_and_a_whole_one_are_the_same, 1 } };
	return kvm_test_main("live", tests, ARRAY_SIZE(tests));
}
