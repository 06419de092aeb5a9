/*
 * What has to differ after a restore, or would differ without help: each is announced, and the guest goes on as if
 * nothing had happened.
 */
#include "kvm_test.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "snapshot/state.h"

static const struct machine_kind interrupt_split = { "interrupt", IRQCHIP_SPLIT, 1 };

static void take(const struct machine_kind *kind, uint32_t checkpoint, struct image *ret)
{
	struct vm *vm = machine_boot(kind);
	machine_run_to(vm, checkpoint);
	image_take(vm, ret);
	machine_free(vm);
}

static struct vm *restore(const struct image *image, struct report *report)
{
	struct vm *vm = image_restore(image, NULL, 0, report);
	if (vm == NULL)
		report_print(report);
	ck_assert_ptr_nonnull(vm);
	return vm;
}

/* ---- A one-shot timer that has fired ---- */

START_TEST(a_fired_timer_does_not_fire_again)
{
	struct image image;
	struct report report = { 0 };
	take(&interrupt_split, 2, &image);
	struct vm *vm = restore(&image, &report);
	const struct finding *told = report_find(&report, FINDING_TRANSLATED, "lapic", "TMICT");
	ck_assert_ptr_nonnull(told);
	ck_assert_str_eq(told->left, "0x1312d00"); /* 20 ms at KVM's 1 GHz */
	ck_assert_str_eq(told->right, "0x0");
	machine_run_to_exit(vm); /* the guest looks for a second tick */
	machine_free(vm);
	report_done(&report);
	image_done(&image);
}
END_TEST

/* Why: with the count that was saved, KVM fires it once more, which the guest finds. */
START_TEST(kvm_fires_it_again)
{
	struct image image;
	struct report report = { 0 };
	struct restore putting;
	struct vm_event event;
	struct error err;
	take(&interrupt_split, 2, &image);
	struct vm *vm = restore(&image, &report);
	restore_begin(vm, &image, &report, &putting);
	component_put(&putting, "lapic", 0, buffer_bytes(&image_find_named(&image, "lapic", 0)->payload));
	restore_end(&putting);
	ck_assert_int_eq(vm_start(vm, &err), 0);
	vm_resume(vm);
	ck_assert(vm_wait(vm, KVM_TEST_WAIT_MS, &event));
	ck_assert_int_eq(event.kind, VM_EVENT_EXIT);
	ck_assert_uint_eq(event.value, 1);
	machine_free(vm);
	report_done(&report);
	image_done(&image);
}
END_TEST

START_TEST(a_timer_that_runs_is_left_alone)
{
	struct image image;
	struct report report = { 0 };
	take(&interrupt_split, 3, &image);
	struct vm *vm = restore(&image, &report);
	ck_assert_ptr_null(report_find(&report, FINDING_TRANSLATED, "lapic", "TMICT"));
	machine_run_to_exit(vm);
	machine_free(vm);
	report_done(&report);
	image_done(&image);
}
END_TEST

/* ---- What KVM writes into RAM when a register is set ---- */

static const struct {
	uint32_t index;
	uint64_t address_mask;
	unsigned size;
} into_ram[] = { { 0x4b564d00, ~0ull, 12 }, { 0x4b564d01, ~1ull, 32 } };

/* The bytes that are there after a restore are those of the image; put by hand, the register has others written there.
 */
START_TEST(ram_is_as_it_was_saved)
{
	struct image image;
	struct report report = { 0 };
	uint8_t saved[32], found[32];
	uint64_t gpa;
	take(&(struct machine_kind){ "regs", IRQCHIP_FULL, 1 }, 1, &image);
	uint64_t id = KVM_X86_REG_MSR(into_ram[_i].index);
	struct vm *vm = restore(&image, &report);
	ck_assert_int_eq(kvm_reg_get(vm->vcpus[0].fd, vm->reg_access, id, &gpa), 0);
	gpa &= into_ram[_i].address_mask;
	ck_assert_uint_ne(gpa, 0);
	/* A pattern shows what is written even where the same time is written again. */
	ck_assert(memory_read(image.memory, gpa, saved, into_ram[_i].size));
	ck_assert(memory_read(&vm->memory, gpa, found, into_ram[_i].size));
	ck_assert_mem_eq(saved, found, into_ram[_i].size);
	machine_free(vm);

	memset(saved, 0xa5, sizeof(saved));
	ck_assert(memory_write(image.memory, gpa, saved, into_ram[_i].size));
	vm = restore(&image, &report);
	ck_assert(memory_read(&vm->memory, gpa, found, into_ram[_i].size));
	ck_assert_mem_eq(saved, found, into_ram[_i].size);
	uint64_t value = gpa | (~into_ram[_i].address_mask & 1);
	ck_assert_int_eq(kvm_reg_set(vm->vcpus[0].fd, vm->reg_access, id, value), 0);
	ck_assert(memory_read(&vm->memory, gpa, found, into_ram[_i].size));
	if (memcmp(saved, found, into_ram[_i].size) == 0)
		test_skipped("a register that KVM answers by writing RAM", "this KVM waits until the vCPU runs");
	machine_free(vm);
	report_done(&report);
	image_done(&image);
}
END_TEST

/* ---- A TSC deadline ---- */

#define DEADLINE KVM_X86_REG_MSR(0x6e0)
#define TSC      KVM_X86_REG_MSR(0x10)

static struct kvm_reg_value *find_register(const struct image *image, uint64_t id)
{
	const struct section *section = image_find_named(image, "registers", 0);
	struct kvm_reg_value *regs = (struct kvm_reg_value *)(void *)section->payload.data;
	for (size_t i = 0; i < section->payload.size / sizeof(*regs); i++)
		if (regs[i].id == id)
			return &regs[i];
	ck_abort_msg("the image has no such register");
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 0);
}

/* Saved 100 s ago, with 1000 s to go: as long is left, whether the host lets the TSC be set or not. */
START_TEST(a_deadline_goes_with_the_tsc)
{
	struct image image;
	struct report report = { 0 };
	uint64_t now, deadline;
	take(&interrupt_split, 4, &image);
	struct tsc_state *tsc = (struct tsc_state *)(void *)image_payload(&image, "tsc", 0);
	const uint64_t second = tsc->khz * 1000, left = 1000 * second;
	tsc->tsc -= 100 * second;
	find_register(&image, DEADLINE)->value = tsc->tsc + left;
	struct vm *vm = restore(&image, &report);
	ck_assert_int_eq(kvm_reg_get(vm->vcpus[0].fd, vm->reg_access, TSC, &now), 0);
	ck_assert_int_eq(kvm_reg_get(vm->vcpus[0].fd, vm->reg_access, DEADLINE, &deadline), 0);
	ck_assert_uint_le(deadline - now, left);
	ck_assert_uint_gt(deadline - now, left / 2);
	const struct finding *moved = report_find(&report, FINDING_TRANSLATED, "tsc", "tsc");
	const struct finding *shifted = report_find(&report, FINDING_TRANSLATED, "msr", "IA32_TSC_DEADLINE");
	ck_assert_int_eq(moved != NULL, shifted != NULL);
	if (moved != NULL)
		ck_assert_uint_eq(number(shifted->right) - number(shifted->left),
				  number(moved->right) - number(moved->left));
	else
		ck_assert_uint_eq(deadline, tsc->tsc + left);
	machine_free(vm);
	report_done(&report);
	image_done(&image);
}
END_TEST

/* ---- --clock ---- */

#define ELAPSED_S  1000
#define ELAPSED_NS (ELAPSED_S * 1000000000ull)

static uint64_t clock_of(struct vm *vm)
{
	struct buffer payload = component_take(vm, "clock", 0);
	struct kvm_clock_data clock;
	memcpy(&clock, payload.data, sizeof(clock));
	buffer_done(&payload);
	return clock.clock;
}

static struct tsc_state tsc_of(struct vm *vm, unsigned vcpu)
{
	struct buffer payload = component_take(vm, "tsc", vcpu);
	struct tsc_state tsc;
	memcpy(&tsc, payload.data, sizeof(tsc));
	buffer_done(&payload);
	return tsc;
}

/* The TSC of a vCPU is where it is to be, at least, or it was told that this KVM does not let it be set. */
static void expect_tsc(struct vm *vm, const struct image *image, const struct report *report, unsigned vcpu,
		       uint64_t elapsed_s)
{
	const struct tsc_state *saved = (const struct tsc_state *)(void *)image_payload(image, "tsc", vcpu);
	struct tsc_state now = tsc_of(vm, vcpu);
	const struct finding *told = report_find(report, FINDING_TRANSLATED, "tsc", "tsc");
	if (told != NULL && strstr(told->detail, "drops writes") != NULL)
		return;
	ck_assert_int_eq(told != NULL, elapsed_s != 0);
	ck_assert_uint_ge(now.tsc - saved->tsc, elapsed_s * saved->khz * 1000);
	ck_assert_uint_lt(now.tsc - saved->tsc, (elapsed_s + ELAPSED_S) * saved->khz * 1000);
	ck_assert_uint_eq(now.offset - tsc_of(vm, 0).offset,
			  saved->offset - ((struct tsc_state *)(void *)image_payload(image, "tsc", 0))->offset);
}

/* Of four vCPUs at the guest's first checkpoint, where a one-shot timer has 100 s to go. */
START_TEST(clocks_go_on_as_the_policy_says)
{
	static const struct machine_kind kind = { "clock", IRQCHIP_SPLIT, 4 };
	const struct restore_options options = { .clock = _i == 0 ? RESTORE_CLOCK_CONTINUE : RESTORE_CLOCK_REALTIME };
	uint64_t elapsed_s = _i == 0 ? 0 : ELAPSED_S;
	struct image image;
	struct report report = { 0 };
	take(&kind, 1, &image);
	struct kvm_clock_data *clock = (struct kvm_clock_data *)(void *)image_payload(&image, "clock", 0);
	clock->realtime = image_now_ns() - ELAPSED_NS;
	struct vm *vm = image_restore_with(&image, &options, NULL, 0, &report);
	ck_assert_ptr_nonnull(vm);
	uint64_t gone_ns = clock_of(vm) - clock->clock;
	ck_assert_uint_ge(gone_ns, elapsed_s * 1000000000);
	ck_assert_uint_lt(gone_ns, elapsed_s * 1000000000 + ELAPSED_NS);
	for (unsigned i = 0; i < kind.nr_vcpus; i++)
		expect_tsc(vm, &image, &report, i, elapsed_s);
	ck_assert_int_eq(report_find(&report, FINDING_TRANSLATED, "clock", "clock") != NULL, elapsed_s != 0);
	ck_assert_int_eq(report_find(&report, FINDING_TRANSLATED, "lapic", "TMCCT") != NULL, elapsed_s != 0);
	machine_run_to_exit(vm); /* the guest knows by its clocks whether the timer must have fired */
	machine_free(vm);
	report_done(&report);
	image_done(&image);
}
END_TEST

/* ---- The guest can see it ---- */

/* Linux, Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW. */
#define SYSTEM_TIME         KVM_X86_REG_MSR(0x4b564d01)
#define SYSTEM_TIME_ENABLED 1
#define SYSTEM_TIME_FLAGS   29 /* the byte's place */
#define GUEST_STOPPED       2

/* Else its watchdogs would bark. */
START_TEST(a_guest_with_kvms_clock_is_told_that_it_stood_still)
{
	static const struct machine_kind kind = { "clock", IRQCHIP_SPLIT, 1 };
	struct image image;
	struct report report = { 0 };
	uint8_t flags = 0;
	take(&kind, 1, &image);
	uint64_t address = find_register(&image, SYSTEM_TIME)->value;
	if ((address & SYSTEM_TIME_ENABLED) == 0) {
		test_skipped("KVM_KVMCLOCK_CTRL", "this host's guests have no KVM clock");
	} else {
		uint64_t place = (address & ~(uint64_t)SYSTEM_TIME_ENABLED) + SYSTEM_TIME_FLAGS;
		ck_assert(memory_write(image.memory, place, &flags, sizeof(flags)));
		struct vm *vm = restore(&image, &report);
		ck_assert_ptr_nonnull(vm);
		machine_run_to(vm, 2);
		ck_assert(memory_read(&vm->memory, place, &flags, sizeof(flags)));
		ck_assert_uint_eq(flags & GUEST_STOPPED, GUEST_STOPPED);
		machine_free(vm);
	}
	report_done(&report);
	image_done(&image);
}
END_TEST

START_TEST(the_ports_tell_that_the_machine_is_a_restored_one)
{
	struct image image, again;
	struct report first = { 0 }, second = { 0 };
	take(&interrupt_split, 1, &image);
	struct vm *vm = restore(&image, &first);
	ck_assert_ptr_nonnull(report_find(&first, FINDING_TRANSLATED, "ports", "restored"));
	ck_assert_uint_eq(vm->ports.state.restored, 1);
	image_take(vm, &again);
	machine_free(vm);
	vm = restore(&again, &second);
	ck_assert_ptr_null(report_find(&second, FINDING_TRANSLATED, "ports", "restored"));
	ck_assert_uint_eq(vm->ports.state.restored, 1);
	machine_free(vm);
	report_done(&first);
	report_done(&second);
	image_done(&image);
	image_done(&again);
}
END_TEST

int main(void)
{
	const struct kvm_test tests[] = {
		{ a_fired_timer_does_not_fire_again, 1 }, { kvm_fires_it_again, 1 },
		{ a_timer_that_runs_is_left_alone, 1 },   { ram_is_as_it_was_saved, ARRAY_SIZE(into_ram) },
		{ a_deadline_goes_with_the_tsc, 1 },      { the_ports_tell_that_the_machine_is_a_restored_one, 1 },
		{ clocks_go_on_as_the_policy_says, 2 },   { a_guest_with_kvms_clock_is_told_that_it_stood_still, 1 },
	};
	return kvm_test_main("translate", tests, ARRAY_SIZE(tests));
}
