/*
 * What the guest writes is told, and told again after it was cleared; what it does not write is not told.
 */
#include "kvm_test.h"

#include <string.h>
#include <time.h>

#include "vmm/dirty.h"

#define ROUNDS    10
#define LINES     2 /* of the guest in a round: at least one of its own rounds, which writes all of its pages */
#define LOOK_NS   5000000
#define LOOKS_MAX 10000
#define MARK_GPA  0x100000
#define NEVER_GPA (KVM_TEST_RAM - MEMORY_PAGE)
#define RAM_PAGES (KVM_TEST_RAM / MEMORY_PAGE)

static const struct machine_kind memory_guest = { "memory", IRQCHIP_FULL, 1 };

static unsigned nr_lines(const struct vm *vm)
{
	struct bytes printed = machine_printed(vm);
	unsigned nr = 0;
	for (size_t i = 0; i < printed.size; i++)
		nr += printed.data[i] == '\n';
	return nr;
}

/* Until the guest has done something, however long a busy host takes for it. */
static void run_a_while(struct vm *vm)
{
	struct vm_event event;
	unsigned wanted = nr_lines(vm) + LINES;
	for (unsigned i = 0; i < LOOKS_MAX && nr_lines(vm) < wanted; i++) {
		vm_resume(vm);
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
		vm_pause(vm);
		while (vm_take_event(vm, &event))
			ck_assert_int_eq(event.kind, VM_EVENT_CHECKPOINT);
	}
	ck_assert_uint_ge(nr_lines(vm), wanted);
}

/* Each page that is not as it was must be in the set; returns how many there are. */
static uint64_t assert_all_told(struct vm *vm, const struct pages *told, uint8_t *before)
{
	const uint8_t *now = vm->memory.regions[0].hva;
	uint64_t nr = 0;
	for (uint64_t page = 0; page < RAM_PAGES; page++) {
		bool is_changed = memcmp(now + page * MEMORY_PAGE, before + page * MEMORY_PAGE, MEMORY_PAGE) != 0;
		ck_assert_msg(!is_changed || pages_has(told, 0, page), "page %lu changed and was not told", page);
		nr += is_changed;
	}
	memcpy(before, now, KVM_TEST_RAM);
	return nr;
}

static void assert_tracked(enum dirty_start start)
{
	struct vm *vm = machine_boot_line(&memory_guest, "rounds=0 delay=1");
	struct dirty *dirty;
	struct pages told;
	uint8_t *before = malloc(KVM_TEST_RAM);
	ck_assert_ptr_nonnull(before);
	ck_assert_int_eq(vm_start(vm, NULL), 0);
	run_a_while(vm);
	ck_assert_int_eq(dirty_create(&dirty, vm, start, NULL), 0);
	ck_assert_int_eq(pages_create_for(&told, &vm->memory, NULL), 0);
	memcpy(before, vm->memory.regions[0].hva, KVM_TEST_RAM);
	if (start == DIRTY_EVERYTHING) { /* what counts as written before is taken away, in two pieces */
		pages_add(&told, 0, 0, RAM_PAGES);
		ck_assert_int_eq(dirty_clear(dirty, &told, 0, 0, PAGES_WORD, NULL), 0);
		ck_assert_int_eq(dirty_clear(dirty, &told, 0, PAGES_WORD, RAM_PAGES - PAGES_WORD, NULL), 0);
	}
	uint64_t changed = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		pages_clear(&told);
		run_a_while(vm);
		ck_assert_int_eq(dirty_fetch(dirty, &told, NULL), 0);
		changed += assert_all_told(vm, &told, before);
		ck_assert(!pages_has(&told, 0, NEVER_GPA / MEMORY_PAGE));
		ck_assert_uint_le(pages_count(&told), 200); /* 64 pages of its pool, its stack, its data */
		ck_assert_int_eq(dirty_clear(dirty, &told, 0, 0, RAM_PAGES, NULL), 0);
	}
	ck_assert_uint_gt(changed, ROUNDS);
	/* Nothing ran, nothing is told, but what we write ourselves. */
	pages_clear(&told);
	ck_assert_int_eq(dirty_fetch(dirty, &told, NULL), 0);
	ck_assert_uint_eq(pages_count(&told), 0);
	ck_assert(memory_write(&vm->memory, MARK_GPA + MEMORY_PAGE - 1, "xy", 2));
	ck_assert_int_eq(dirty_fetch(dirty, &told, NULL), 0);
	ck_assert_uint_eq(pages_count(&told), 2);
	ck_assert(pages_has(&told, 0, MARK_GPA / MEMORY_PAGE) && pages_has(&told, 0, MARK_GPA / MEMORY_PAGE + 1));
	dirty_free(dirty);
	ck_assert(memory_write(&vm->memory, MARK_GPA, "x", 1));
	/* It can be tracked again. */
	ck_assert_int_eq(dirty_create(&dirty, vm, DIRTY_NOTHING, NULL), 0);
	pages_clear(&told);
	run_a_while(vm);
	ck_assert_int_eq(dirty_fetch(dirty, &told, NULL), 0);
	ck_assert_uint_gt(pages_count(&told), 0);
	dirty_free(dirty);
	pages_done(&told);
	machine_free(vm);
	free(before);
}

START_TEST(what_is_written_is_told)
{
	assert_tracked((enum dirty_start)_i);
}
END_TEST

int main(void)
{
	const struct kvm_test tests[] = { { what_is_written_is_told, 2 } };
	return kvm_test_main("dirty", tests, ARRAY_SIZE(tests));
}
