/*
 * A machine can be paused at any moment: its guest does not notice, no byte is lost or doubled, and no vCPU's event is
 * forgotten.
 */
#include "kvm_test.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "vmm/vcpu.h"

#define PAUSES     300
#define MOMENT_MAX 2000 /* us between two pauses */

/* The same numbers in every run (xorshift, Marsaglia 2003). */
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void wait_a_moment(uint32_t *state)
{
	nanosleep(&(struct timespec){ .tv_nsec = (long)(next_random(state) % MOMENT_MAX) * 1000 }, NULL);
}

/* Takes what the paused machine has to report; true: its guest has ended. */
static bool take_events(struct vm *vm)
{
	struct vm_event event;
	while (vm_take_event(vm, &event)) {
		if (event.kind == VM_EVENT_FAILED)
			ck_abort_msg("%s", event.error.text);
		if (event.kind == VM_EVENT_EXIT) {
			ck_assert_msg(event.value == 0, "the guest ended with %u: %.*s", event.value,
				      (int)machine_printed(vm).size, (const char *)machine_printed(vm).data);
			return true;
		}
		ck_assert_int_eq(event.kind, VM_EVENT_CHECKPOINT);
	}
	return false;
}

/* Pauses up to nr times; true: the guest has ended meanwhile. */
static bool pause_often(struct vm *vm, unsigned nr, uint32_t *random, unsigned *ret_pauses)
{
	struct error err;
	if (!vm->vcpus[0].has_thread)
		ck_assert_int_eq(vm_start(vm, &err), 0);
	for (unsigned i = 0; i < nr; i++) {
		vm_resume(vm);
		wait_a_moment(random);
		vm_pause(vm);
		++*ret_pauses;
		if (take_events(vm))
			return true;
	}
	return false;
}

static const struct machine_kind kinds[] = {
	{ "smp", IRQCHIP_SPLIT, 4 },
	{ "smp", IRQCHIP_FULL, 4 },
	{ "interrupt", IRQCHIP_SPLIT, 1 },
	{ "interrupt", IRQCHIP_FULL, 1 },
};

START_TEST(the_guest_does_not_notice)
{
	uint32_t random = 1;
	unsigned pauses = 0;
	for (int round = 0; round < 20 && pauses < PAUSES; round++) {
		struct vm *vm = machine_boot(&kinds[_i]);
		if (!pause_often(vm, PAUSES - pauses, &random, &pauses))
			machine_run_to_exit(vm);
		machine_free(vm);
	}
	ck_assert_uint_ge(pauses, PAUSES);
}
END_TEST

/* ---- A string instruction ---- */

#define TEXT_SIZE    2000
#define TEXT_TIMES   2
#define CODE_SIZE    40
#define OUTSB_ROUNDS 20
#define OUTPUT_SIZE  (TEXT_SIZE * TEXT_TIMES)

/* Prints the text behind the code TEXT_TIMES times by REP OUTSB, then ends. */
/* clang-format off */
static const uint8_t outsb_code[CODE_SIZE] = {
	0xbd, TEXT_TIMES, 0, 0, 0,                          /*    mov ebp, TEXT_TIMES */
	0x48, 0x8d, 0x35, CODE_SIZE - 12, 0, 0, 0,          /* 1: lea rsi, [rip + text] */
	0xb9, TEXT_SIZE & 0xff, TEXT_SIZE >> 8, 0, 0,       /*    mov ecx, TEXT_SIZE */
	0x66, 0xba, PORT_UART & 0xff, PORT_UART >> 8,       /*    mov dx, PORT_UART */
	0xf3, 0x6e,                                         /*    rep outsb */
	0xff, 0xcd,                                         /*    dec ebp */
	0x75, (uint8_t)-22,                                 /*    jnz 1b */
	0x66, 0xba, PORT_EXIT, 0,                           /*    mov dx, PORT_EXIT */
	0x31, 0xc0,                                         /*    xor eax, eax */
	0xef,                                               /*    out dx, eax */
	0xf4,                                               /*    hlt */
};
/* clang-format on */

static uint8_t text_byte(size_t at)
{
	return (uint8_t)(at % TEXT_SIZE * 7 + at % TEXT_SIZE / 251);
}

static struct vm *boot_outsb(void)
{
	static uint8_t image[CODE_SIZE + TEXT_SIZE];
	memcpy(image, outsb_code, CODE_SIZE);
	for (size_t i = 0; i < TEXT_SIZE; i++)
		image[CODE_SIZE + i] = text_byte(i);
	return machine_boot_image(&(struct machine_kind){ "outsb", IRQCHIP_SPLIT, 1 },
				  (struct bytes){ .data = image, .size = sizeof(image) }, BOOT_FLAT_LONG);
}

static void expect_printed(const struct vm *vm, size_t from)
{
	struct bytes printed = machine_printed(vm);
	ck_assert_uint_eq(printed.size, OUTPUT_SIZE - from);
	for (size_t i = 0; i < printed.size; i++)
		ck_assert_msg(printed.data[i] == text_byte(from + i), "byte %zu", from + i);
}

START_TEST(a_string_instruction_loses_and_doubles_no_byte)
{
	uint32_t random = 7;
	unsigned pauses = 0, inside = 0;
	for (unsigned round = 0; round < OUTSB_ROUNDS; round++) {
		struct vm *vm = boot_outsb(), *copy = NULL;
		struct image image;
		struct report report = { 0 };
		size_t from = 0;
		bool is_over = pause_often(vm, 1 + round % 8, &random, &pauses);
		if (!is_over) {
			inside++;
			image_take(vm, &image);
			from = machine_printed(vm).size;
			copy = image_restore(&image, NULL, 0, &report);
			ck_assert_ptr_nonnull(copy);
			machine_run_to_exit(copy);
			expect_printed(copy, from);
			machine_free(copy);
			report_done(&report);
			image_done(&image);
			machine_run_to_exit(vm);
		}
		expect_printed(vm, 0);
		machine_free(vm);
	}
	printf("REP OUTSB: %u pauses, %u copies made of a machine inside of it\n", pauses, inside);
	ck_assert_uint_gt(inside, 0);
}
END_TEST

/* ---- Input ---- */

#define INPUT_EXITS 120

/* Echoes what the UART receives. */
/* clang-format off */
static const uint8_t echo_code[] = {
	0x66, 0xba, (PORT_UART + 5) & 0xff, PORT_UART >> 8, /* 1: mov dx, PORT_UART + LSR */
	0xec,                                               /*    in al, dx */
	0xa8, 0x01,                                         /*    test al, 1 */
	0x74, (uint8_t)-9,                                  /*    jz 1b */
	0x66, 0xba, PORT_UART & 0xff, PORT_UART >> 8,       /*    mov dx, PORT_UART */
	0xec,                                               /*    in al, dx */
	0xee,                                               /*    out dx, al */
	0xeb, (uint8_t)-17,                                 /*    jmp 1b */
};
/* clang-format on */

/* Takes what the paused machine has printed to the rest, and goes on in a copy of it. */
static struct vm *move(struct vm *vm, struct buffer *printed)
{
	struct image image;
	struct report report = { 0 };
	struct bytes part = machine_printed(vm);
	buffer_append(printed, part.data, part.size);
	image_take(vm, &image);
	machine_free(vm);
	vm = image_restore(&image, NULL, 0, &report);
	ck_assert_ptr_nonnull(vm);
	report_done(&report);
	image_done(&image);
	return vm;
}

/*
 * The guest is stopped at each of its exits and goes on in a copy of its machine.  A read that was answered and is not
 * finished has taken a byte out of the UART that stands in no register yet.
 */
START_TEST(input_is_neither_lost_nor_doubled)
{
	struct bytes image = { .data = echo_code, .size = sizeof(echo_code) };
	struct vm *vm = machine_boot_image(&(struct machine_kind){ "echo", IRQCHIP_SPLIT, 1 }, image, BOOT_FLAT_LONG);
	struct buffer printed = { 0 };
	struct vm_event event;
	struct error err;
	size_t given = 0;
	for (unsigned i = 0; i < INPUT_EXITS; i++) {
		uint8_t byte = text_byte(given);
		given += vm_input(vm, &byte, 1);
		vm->exits_left = 1;
		ck_assert_int_eq(vm_start(vm, &err), 0);
		vm_resume(vm);
		ck_assert(vm_wait(vm, KVM_TEST_WAIT_MS, &event));
		ck_assert_int_eq(event.kind, VM_EVENT_EXITS);
		vm = move(vm, &printed);
	}
	/* All but the byte that waits in the UART or in AL. */
	ck_assert_uint_gt(given, INPUT_EXITS / 4);
	ck_assert_uint_ge(printed.size + 2, given);
	for (size_t i = 0; i < printed.size; i++)
		ck_assert_msg(printed.data[i] == text_byte(i), "byte %zu", i);
	machine_free(vm);
	buffer_done(&printed);
}
END_TEST

/* ---- Two vCPUs with something to say ---- */

#define EVENTS 2000

/* Counts in ECX the checkpoints that it has asked for. */
/* clang-format off */
static const uint8_t checkpoint_code[] = {
	0x88, 0xd8,            /* 1: mov al, bl */
	0xe6, PORT_CHECKPOINT, /*    out PORT_CHECKPOINT, al */
	0xff, 0xc1,            /*    inc ecx */
	0xeb, (uint8_t)-8,     /*    jmp 1b */
};
/* clang-format on */
#define OFFSET_OF_INC 4

static void start_both(struct vm *vm)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_mp_state runs = { .mp_state = KVM_MP_STATE_RUNNABLE };
	ck_assert_int_eq(kvm_call(vm->vcpus[0].fd, KVM_GET_REGS, &regs), 0);
	ck_assert_int_eq(kvm_call(vm->vcpus[0].fd, KVM_GET_SREGS, &sregs), 0);
	ck_assert_int_eq(kvm_call(vm->vcpus[1].fd, KVM_SET_SREGS, &sregs), 0);
	ck_assert_int_eq(kvm_call(vm->vcpus[1].fd, KVM_SET_MP_STATE, &runs), 0);
	for (unsigned i = 0; i < 2; i++) {
		regs.rbx = i;
		ck_assert_int_eq(kvm_call(vm->vcpus[i].fd, KVM_SET_REGS, &regs), 0);
	}
}

/* How often the vCPU has written the port. */
static uint64_t writes_of(struct vm *vm, unsigned vcpu)
{
	struct kvm_regs regs;
	ck_assert_int_eq(kvm_call(vm->vcpus[vcpu].fd, KVM_GET_REGS, &regs), 0);
	return regs.rcx + (regs.rip == LONG_LOAD_GPA + OFFSET_OF_INC);
}

START_TEST(events_of_two_vcpus_are_both_reported)
{
	struct bytes image = { .data = checkpoint_code, .size = sizeof(checkpoint_code) };
	struct vm *vm =
		machine_boot_image(&(struct machine_kind){ "checkpoints", IRQCHIP_SPLIT, 2 }, image, BOOT_FLAT_LONG);
	uint64_t seen[2] = { 0 }, together = 0;
	struct vm_event event;
	struct error err;
	start_both(vm);
	ck_assert_int_eq(vm_start(vm, &err), 0);
	for (unsigned i = 0; i < EVENTS; i++) {
		vm_resume(vm); /* not yet, while an event is waiting */
		ck_assert(vm_wait(vm, KVM_TEST_WAIT_MS, &event));
		ck_assert_int_eq(event.kind, VM_EVENT_CHECKPOINT);
		ck_assert_uint_eq(event.value, event.vcpu);
		seen[event.vcpu]++;
		unsigned other = 1 - event.vcpu;
		bool is_waiting = vm->vcpus[other].event.kind != VM_EVENT_NONE;
		ck_assert_uint_eq(seen[event.vcpu], writes_of(vm, event.vcpu));
		ck_assert_uint_eq(seen[other] + is_waiting, writes_of(vm, other));
		together += is_waiting;
	}
	printf("%u pauses by events: %llu with events of both vCPUs\n", EVENTS, (unsigned long long)together);
	machine_free(vm);
}
END_TEST

/* The same without chance: both have reported before anybody asks. */
START_TEST(a_machine_stands_still_until_all_events_are_taken)
{
	struct bytes image = { .data = checkpoint_code, .size = sizeof(checkpoint_code) };
	struct vm *vm =
		machine_boot_image(&(struct machine_kind){ "checkpoints", IRQCHIP_SPLIT, 2 }, image, BOOT_FLAT_LONG);
	struct vm_event event;
	struct error err;
	ck_assert_int_eq(vm_start(vm, &err), 0);
	for (unsigned i = 0; i < 2; i++)
		vcpu_report(&vm->vcpus[i], VM_EVENT_CHECKPOINT, 100 + i, NULL);
	for (unsigned i = 0; i < 2; i++) {
		vm_resume(vm);
		ck_assert_uint_eq(vm->vcpus[0].exits[VM_EXIT_IO] + vm->vcpus[1].exits[VM_EXIT_IO], 0);
		ck_assert(vm_take_event(vm, &event));
		ck_assert_uint_eq(event.vcpu, i);
		ck_assert_uint_eq(event.value, 100 + i);
	}
	ck_assert(!vm_take_event(vm, &event));
	vm_resume(vm);
	ck_assert(vm_wait(vm, KVM_TEST_WAIT_MS, &event));
	ck_assert_uint_eq(event.value, 0);
	machine_free(vm);
}
END_TEST

/* A halted guest has no exits: what waits for one of its vCPU's waits for ever. */
START_TEST(a_running_machine_is_resumed_at_once)
{
	static const uint8_t hlt[] = { 0xf4 };
	struct error err;
	struct vm *vm = machine_boot_image(&(struct machine_kind){ "hlt", IRQCHIP_FULL, 1 },
					   (struct bytes){ .data = hlt, .size = sizeof(hlt) }, BOOT_FLAT_LONG);
	ck_assert_int_eq(vm_start(vm, &err), 0);
	vm_resume(vm);
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL); /* it halts */
	vm_resume(vm);
	vm_pause(vm);
	machine_free(vm);
}
END_TEST

int main(void)
{
	const struct kvm_test tests[] = {
		{ the_guest_does_not_notice, ARRAY_SIZE(kinds) },
		{ a_string_instruction_loses_and_doubles_no_byte, 1 },
		{ input_is_neither_lost_nor_doubled, 1 },
		{ events_of_two_vcpus_are_both_reported, 1 },
		{ a_machine_stands_still_until_all_events_are_taken, 1 },
		{ a_running_machine_is_resumed_at_once, 1 },
	};
	return kvm_test_main("pause", tests, ARRAY_SIZE(tests));
}
