#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/exit.h"
#include "vmm/kvm.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* What stands for the kernel: the registers of the one vCPU, and memory mapped at MAPPED in the guest's address space.
 */
#define MAPPED 0xffff800000000000ull
static struct kvm_regs regs;
static struct kvm_sregs sregs;
static bool is_unreadable;

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	struct kvm_translation *translation = arg;
	ck_assert_int_eq(fd, 42);
	if (is_unreadable) {
		errno = EIO;
		return -1;
	}
	switch (request) {
	case KVM_GET_REGS:
		memcpy(arg, &regs, sizeof(regs));
		return 0;
	case KVM_GET_SREGS:
		memcpy(arg, &sregs, sizeof(sregs));
		return 0;
	case KVM_TRANSLATE:
		translation->valid = (sregs.cr0 >> 31 == 0) || translation->linear_address >= MAPPED;
		translation->physical_address = translation->linear_address & ~MAPPED;
		return 0;
	default:
		ck_abort_msg("request 0x%lx", request);
	}
}

static struct vm vm;
static struct vcpu *vcpu = &vm.vcpus[0];
static char text[ERROR_TEXT_MAX];

/* A run structure with room for the data of port accesses behind it. */
static union {
	struct kvm_run run;
	uint8_t bytes[8192];
} page;

static uint8_t console;
static unsigned nr_console, nr_traced;

static void write_port(void *device, uint16_t offset, uint8_t size, uint32_t value)
{
	ck_assert_ptr_eq(device, &console);
	ck_assert_uint_eq(offset + size, 1);
	console = (uint8_t)value;
	nr_console++;
}

static uint32_t read_port(void *device, uint16_t offset, uint8_t size)
{
	(void)device;
	return 0x30u + offset + size;
}

static void trace(void *context, unsigned id, const char *line)
{
	(void)context;
	ck_assert_uint_eq(id, 0);
	memcpy(text, line, strlen(line) + 1);
	nr_traced++;
}

static const struct bus_ops port_ops = { .read = read_port, .write = write_port };
static const struct vm_ops vm_ops = { .trace = trace };

static void setup(void)
{
	vm = (struct vm){ .ops = &vm_ops, .is_traced = true, .nr_vcpus = 1 };
	regs = (struct kvm_regs){ 0 };
	sregs = (struct kvm_sregs){ 0 };
	is_unreadable = false;
	nr_console = nr_traced = 0;
	vm.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&vm.lock, NULL);
	pthread_mutex_init(&vm.device_lock, NULL);
	*vcpu = (struct vcpu){ .vm = &vm, .fd = 42, .run = &page.run };
	bus_add(&vm.bus, "console", 0xe9, 1, &port_ops, &console);
	ck_assert_int_eq(memory_add_ram(&vm.memory, MEMORY_RAM_MIN, NULL), 0);
	for (uint8_t i = 0; i < 32; i++)
		*memory_at(&vm.memory, 0x7c00u + i, 1) = (uint8_t)(0xa0 + i);
}

static void teardown(void)
{
	memory_done(&vm.memory);
	close(vm.event_fd);
}

static void describe(void)
{
	exit_describe(vcpu, text, sizeof(text));
}

static void assert_says(const char *part)
{
	ck_assert_msg(strstr(text, part) != NULL, "\"%s\" is not in:\n%s", part, text);
}

START_TEST(real_mode_is_told_with_its_bytes)
{
	regs = (struct kvm_regs){ .rip = 0x10, .rax = 0x1234, .rflags = 2 };
	sregs = (struct kvm_sregs){ .cs = { .selector = 0x7bf, .base = 0x7bf0 } };
	describe();
	ck_assert_ptr_eq(
		strstr(text, "real mode, CS:RIP 07bf:10, bytes there: a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae\n"),
		text);
	assert_says("rax=1234 ");
	assert_says(" rflags=2 ");
	ck_assert_int_ne(text[strlen(text) - 1], '\n');
}
END_TEST

START_TEST(modes_have_names)
{
	static const struct {
		struct kvm_sregs sregs;
		const char *name;
	} rows[] = {
		{ { .cr0 = 0 }, "real mode, " },
		{ { .cr0 = 1 }, "16-bit protected mode, " },
		{ { .cr0 = 1, .cs.db = 1 }, "32-bit protected mode, " },
		{ { .cr0 = 0x80000001 }, "16-bit protected mode with paging, " },
		{ { .cr0 = 0x80000001, .cs.db = 1 }, "32-bit protected mode with paging, " },
		{ { .cr0 = 0x80000001, .efer = 0x500, .cs.db = 1 }, "compatibility mode, " },
		{ { .cr0 = 0x80000001, .efer = 0x500, .cs.l = 1 }, "64-bit mode, " },
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		sregs = rows[i].sregs;
		describe();
		ck_assert_msg(strncmp(text, rows[i].name, strlen(rows[i].name)) == 0, "%s: %s", rows[i].name, text);
	}
}
END_TEST

/* In 64-bit mode the base of CS does not count, and addresses go through the page tables. */
START_TEST(bytes_are_found_where_the_cpu_would)
{
	regs = (struct kvm_regs){ .rip = MAPPED + 0x7c00 };
	sregs = (struct kvm_sregs){ .cr0 = 0x80000001, .efer = 0x500, .cs = { .l = 1, .base = 0x1000 } };
	describe();
	assert_says("bytes there: a0 a1 ");
	regs.rip = 0x7c00;
	describe();
	assert_says("bytes there: none, no memory is mapped there\n");
	regs.rip = MAPPED + MEMORY_RAM_MIN - 3;
	describe();
	assert_says("bytes there: 00 00 00\n");
	is_unreadable = true;
	describe();
	ck_assert_str_eq(text, "its registers cannot be read");
}
END_TEST

/* Handles an exit and takes the event that it made. */
static const struct vm_event *handle(uint32_t reason)
{
	vcpu->event = (struct vm_event){ 0 };
	page.run.exit_reason = reason;
	exit_handle(vcpu);
	memcpy(text, vcpu->event.error.text, sizeof(text));
	return &vcpu->event;
}

START_TEST(exits_that_end_a_guest_are_events)
{
	sregs = (struct kvm_sregs){ .cr0 = 1 };
	ck_assert_int_eq(handle(KVM_EXIT_HLT)->kind, VM_EVENT_HALTED);
	ck_assert(vm.pause_wanted);
	ck_assert_int_eq(handle(KVM_EXIT_SHUTDOWN)->kind, VM_EVENT_FAILED);
	ck_assert_int_eq(vcpu->event.error.code, ERROR_INTERNAL);
	assert_says("vCPU 0: triple fault\n16-bit protected mode, CS:RIP ");
	regs.rip = 0xfff0;
	sregs.cs.selector = 0xf000;
	handle(KVM_EXIT_SHUTDOWN);
	assert_says("this KVM has reset the vCPU, so where it happened is lost");
	page.run.internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	handle(KVM_EXIT_INTERNAL_ERROR);
	assert_says("this KVM cannot emulate the instruction at RIP\n");
	page.run.internal.suberror = 7;
	handle(KVM_EXIT_INTERNAL_ERROR);
	assert_says("KVM internal error, suberror 7\n");
	page.run.fail_entry.hardware_entry_failure_reason = 0x80000021;
	handle(KVM_EXIT_FAIL_ENTRY);
	assert_says("refused to enter the guest, reason 0x80000021\n");
	handle(KVM_EXIT_HYPERCALL);
	assert_says("KVM exit reason 3, which nothing here asked for\n");
	handle(12345);
	assert_says("KVM exit reason 12345, which");
	ck_assert_int_eq(handle(KVM_EXIT_INTR)->kind, VM_EVENT_NONE);
	ck_assert_uint_eq(vcpu->exits[VM_EXIT_HLT], 1);
	ck_assert_uint_eq(vcpu->exits[VM_EXIT_OTHER], 8);
}
END_TEST

START_TEST(the_exit_that_was_waited_for_is_an_event)
{
	vm.exits_left = 2;
	ck_assert_int_eq(handle(KVM_EXIT_INTR)->kind, VM_EVENT_NONE);
	ck_assert_int_eq(handle(KVM_EXIT_INTR)->kind, VM_EVENT_EXITS);
	ck_assert_int_eq(handle(KVM_EXIT_INTR)->kind, VM_EVENT_NONE);
}
END_TEST

static void port(uint8_t direction, uint16_t number, uint8_t size, uint32_t count)
{
	page.run.io.direction = direction;
	page.run.io.port = number;
	page.run.io.size = size;
	page.run.io.count = count;
	page.run.io.data_offset = 4096;
	exit_handle(vcpu);
}

START_TEST(ports_go_to_the_bus)
{
	page.run.exit_reason = KVM_EXIT_IO;
	memcpy(page.bytes + 4096, "abc", 3);
	port(KVM_EXIT_IO_OUT, 0xe9, 1, 3); /* REP OUTSB */
	ck_assert_uint_eq(nr_console, 3);
	ck_assert_uint_eq(console, 'c');
	ck_assert_uint_eq(nr_traced, 3);
	ck_assert_str_eq(text, "port write 0xe9 size 1 value 0x63 (console)");
	port(KVM_EXIT_IO_IN, 0xe9, 1, 2);
	ck_assert_mem_eq(page.bytes + 4096, "11c", 3);
	port(KVM_EXIT_IO_IN, 0x1234, 2, 1);
	ck_assert_mem_eq(page.bytes + 4096,
			 "\xff\xff"
			 "c",
			 3);
	ck_assert_str_eq(text, "port read 0x1234 size 2 value 0xffff (no device)");
	ck_assert_ptr_null(vm.device_vcpu);
	ck_assert_uint_eq(vcpu->exits[VM_EXIT_IO], 3);
}
END_TEST

START_TEST(mmio_reads_as_ones)
{
	page.run.exit_reason = KVM_EXIT_MMIO;
	page.run.mmio.phys_addr = 0xd0000000;
	page.run.mmio.len = 4;
	page.run.mmio.is_write = 0;
	exit_handle(vcpu);
	ck_assert_mem_eq(page.run.mmio.data, "\xff\xff\xff\xff", 4);
	page.run.mmio.is_write = 1;
	memcpy(page.run.mmio.data, "\1\0\0\0\0\0\0\0", 8);
	exit_handle(vcpu);
	ck_assert_str_eq(text, "mmio write 0xd0000000 size 4 value 0x1 (no device)");
	ck_assert_int_eq(vcpu->event.kind, VM_EVENT_NONE);
	ck_assert_uint_eq(vcpu->exits[VM_EXIT_MMIO], 2);
}
END_TEST

UNIT_MAIN_WITH(setup, teardown, "exit", real_mode_is_told_with_its_bytes, modes_have_names,
	       bytes_are_found_where_the_cpu_would, exits_that_end_a_guest_are_events,
	       the_exit_that_was_waited_for_is_an_event, ports_go_to_the_bus, mmio_reads_as_ones)
