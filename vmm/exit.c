#include "exit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "vcpu.h"

#define CR0_PE      (1ull << 0)
#define CR0_PG      (1ull << 31)
#define EFER_LMA    (1ull << 10)
#define SHOWN_BYTES 15 /* the longest instruction (SDM volume 2, 2.3.11) */

/* Where the CPU starts after INIT or RESET (SDM volume 3, table 10-1). */
#define RESET_CS_SELECTOR 0xf000
#define RESET_RIP         0xfff0

__attribute__((format(printf, 4, 5))) static void append(char *text, size_t size, size_t *used, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(text + *used, size - *used, format, args);
	va_end(args);
	if (n > 0)
		*used += (size_t)n < size - *used ? (size_t)n : size - *used - 1;
}

static const char *mode_name(const struct kvm_sregs *sregs)
{
	if ((sregs->cr0 & CR0_PE) == 0)
		return "real mode";
	if ((sregs->efer & EFER_LMA) != 0)
		return sregs->cs.l != 0 ? "64-bit mode" : "compatibility mode";
	if ((sregs->cr0 & CR0_PG) != 0)
		return sregs->cs.db != 0 ? "32-bit protected mode with paging" : "16-bit protected mode with paging";
	return sregs->cs.db != 0 ? "32-bit protected mode" : "16-bit protected mode";
}

static void append_bytes(const struct vcpu *vcpu, uint64_t linear, char *text, size_t size, size_t *used)
{
	append(text, size, used, "bytes there:");
	unsigned shown = 0;
	for (; shown < SHOWN_BYTES; shown++) {
		struct kvm_translation at = { .linear_address = linear + shown };
		uint8_t byte;
		if (kvm_call(vcpu->fd, KVM_TRANSLATE, &at) < 0 || !at.valid ||
		    !memory_read(&vcpu->vm->memory, at.physical_address, &byte, 1))
			break;
		append(text, size, used, " %02x", byte);
	}
	append(text, size, used, shown == 0 ? " none, no memory is mapped there\n" : "\n");
}

struct registers {
	struct kvm_regs general;
	struct kvm_sregs special;
};

/* clang-format off */
#define GENERAL(name) { #name, offsetof(struct registers, general.name) }
#define SPECIAL(name) { #name, offsetof(struct registers, special.name) }

/* As they are shown; all are of 8 bytes. */
static const struct {
	char name[7];
	uint16_t offset;
} shown[] = {
	GENERAL(rax), GENERAL(rbx), GENERAL(rcx), GENERAL(rdx), GENERAL(rsi),    GENERAL(rdi), GENERAL(rbp), GENERAL(rsp),
	GENERAL(r8),  GENERAL(r9),  GENERAL(r10), GENERAL(r11), GENERAL(r12),    GENERAL(r13), GENERAL(r14), GENERAL(r15),
	GENERAL(rip), GENERAL(rflags), SPECIAL(cr0), SPECIAL(cr2), SPECIAL(cr3), SPECIAL(cr4), SPECIAL(efer),
};

/* clang-format on */

void exit_describe(const struct vcpu *vcpu, char *ret, size_t size)
{
	struct registers now;
	const struct kvm_sregs *s = &now.special;
	size_t used = 0;
	ret[0] = '\0';
	if (kvm_call(vcpu->fd, KVM_GET_REGS, &now.general) < 0 || kvm_call(vcpu->fd, KVM_GET_SREGS, &now.special) < 0) {
		append(ret, size, &used, "its registers cannot be read");
		return;
	}
	uint64_t rip = now.general.rip;
	append(ret, size, &used, "%s, CS:RIP %04x:%" PRIx64 ", ", mode_name(s), s->cs.selector, rip);
	append_bytes(vcpu, (s->efer & EFER_LMA) != 0 && s->cs.l != 0 ? rip : s->cs.base + rip, ret, size, &used);
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		uint64_t value;
		memcpy(&value, (const uint8_t *)&now + shown[i].offset, sizeof(value));
		append(ret, size, &used, "%s=%" PRIx64 "%c", shown[i].name, value, i % 8 == 7 ? '\n' : ' ');
	}
	append(ret, size, &used, "ss=%x", s->ss.selector);
}

/* file, or the one below it that has shrunk. */
static void report_lost_file(struct vcpu *vcpu, const struct mapped_file *file)
{
	struct error error;
	if (mapped_file_shrunk(file) != NULL)
		file = mapped_file_shrunk(file);
	error_set(&error, ERROR_IO, "%s", mapped_file_lost(file));
	vcpu_report(vcpu, VM_EVENT_FAILED, 0, &error);
}

__attribute__((format(printf, 2, 3))) static void fail(struct vcpu *vcpu, const char *format, ...)
{
	struct error error = { .code = ERROR_INTERNAL };
	const struct mapped_file *file = mapped_file_shrunk(memory_file(&vcpu->vm->memory));
	size_t used = 0;
	va_list args;
	/* Where the guest's page tables or handlers are gone, so is its sense: the file is the reason, whatever came of
	 * it. */
	if (file != NULL) {
		report_lost_file(vcpu, file);
		return;
	}
	append(error.text, sizeof(error.text), &used, "vCPU %u: ", vcpu->id);
	va_start(args, format);
	vsnprintf(error.text + used, sizeof(error.text) - used, format, args);
	va_end(args);
	used = strlen(error.text);
	append(error.text, sizeof(error.text), &used, "\n");
	exit_describe(vcpu, error.text + used, sizeof(error.text) - used);
	vcpu_report(vcpu, VM_EVENT_FAILED, 0, &error);
}

static void trace(struct vcpu *vcpu, const char *kind, bool is_write, uint64_t address, uint32_t size, uint64_t value,
		  const char *device)
{
	const struct vm *vm = vcpu->vm;
	char text[128];
	snprintf(text, sizeof(text), "%s %s 0x%" PRIx64 " size %u value 0x%" PRIx64 " (%s)", kind,
		 is_write ? "write" : "read", address, size, value, device);
	vm->ops->trace(vm->ops_context, vcpu->id, text);
}

static void trace_port(struct vcpu *vcpu, uint32_t value)
{
	const struct kvm_run *run = vcpu->run;
	const struct bus_range *range = bus_find(&vcpu->vm->bus, run->io.port);
	trace(vcpu, "port", run->io.direction == KVM_EXIT_IO_OUT, run->io.port, run->io.size, value,
	      range != NULL ? range->name : "no device");
}

/* The values of a port access are of 1, 2 or 4 bytes.  Copying a number of them that the compiler knows is one move. */
static uint32_t get_value(const uint8_t *data, uint8_t size)
{
	uint16_t two;
	uint32_t four;
	switch (size) {
	case 1:
		return data[0];
	case 2:
		memcpy(&two, data, sizeof(two));
		return two;
	default:
		memcpy(&four, data, sizeof(four));
		return four;
	}
}

static void handle_io(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	struct vm *vm = vcpu->vm;
	uint8_t *data = (uint8_t *)vcpu->run + run->io.data_offset;
	bool is_write = run->io.direction == KVM_EXIT_IO_OUT;
	pthread_mutex_lock(&vm->device_lock);
	vm->device_vcpu = vcpu;
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (is_write) {
			bus_write(&vm->bus, run->io.port, run->io.size, get_value(data, run->io.size));
		} else {
			uint32_t value = bus_read(&vm->bus, run->io.port, run->io.size);
			memcpy(data, &value, run->io.size);
		}
		if (vm->is_traced)
			trace_port(vcpu, get_value(data, run->io.size));
	}
	vm->device_vcpu = NULL;
	pthread_mutex_unlock(&vm->device_lock);
	if (is_write && vm->ops->console_wait != NULL)
		vm->ops->console_wait(vm->ops_context);
}

void exit_call_failed(struct vcpu *vcpu, const char *call)
{
	struct error error;
	const struct mapped_file *file = memory_file(&vcpu->vm->memory);
	if (file != NULL && errno == EFAULT) {
		report_lost_file(vcpu, file);
		return;
	}
	error_errno(&error, ERROR_INTERNAL, "vCPU %u: %s", vcpu->id, call);
	vcpu_report(vcpu, VM_EVENT_FAILED, 0, &error);
}

/* Where KVM emulates an access to RAM that it cannot reach, it takes it for MMIO; so it does with a write to ROM,
 * rightly. */
static bool is_lost_ram(const struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	const struct memory_region *region = memory_region_at(&vcpu->vm->memory, run->mmio.phys_addr);
	return region != NULL && region->file != NULL &&
	       !(run->mmio.is_write && (region->range.flags & MEMORY_ROM) != 0);
}

/* No device has MMIO: a read gives ones, as on a bus that nobody answers on. */
static void handle_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	if (is_lost_ram(vcpu)) {
		report_lost_file(vcpu, memory_file(&vcpu->vm->memory));
		return;
	}
	if (!run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	if (vcpu->vm->is_traced) {
		uint64_t value;
		memcpy(&value, run->mmio.data, sizeof(run->mmio.data));
		trace(vcpu, "mmio", run->mmio.is_write, run->mmio.phys_addr, run->mmio.len, value, "no device");
	}
}

/*
 * SVM resets the vCPU before user space sees a triple fault (arch/x86/kvm/svm/svm.c: shutdown_interception()), so the
 * registers are then not those of the guest.
 */
static void handle_shutdown(struct vcpu *vcpu)
{
	struct kvm_regs regs = { 0 };
	struct kvm_sregs sregs = { 0 };
	kvm_call(vcpu->fd, KVM_GET_REGS, &regs);
	kvm_call(vcpu->fd, KVM_GET_SREGS, &sregs);
	if (regs.rip == RESET_RIP && sregs.cs.selector == RESET_CS_SELECTOR)
		fail(vcpu,
		     "triple fault; this KVM has reset the vCPU, so where it happened is lost.  After the reset:");
	else
		fail(vcpu, "triple fault");
}

static void handle_internal_error(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
		fail(vcpu, "this KVM cannot emulate the instruction at RIP");
	else
		fail(vcpu, "KVM internal error, suberror %u", run->internal.suberror);
}

static void handle_fail_entry(struct vcpu *vcpu)
{
	fail(vcpu, "the CPU refused to enter the guest, reason 0x%llx",
	     (unsigned long long)vcpu->run->fail_entry.hardware_entry_failure_reason);
}

static void handle_halt(struct vcpu *vcpu)
{
	vcpu_report(vcpu, VM_EVENT_HALTED, 0, NULL);
}

static void handle_nothing(struct vcpu *vcpu)
{
	(void)vcpu;
}

static void handle_unknown(struct vcpu *vcpu)
{
	fail(vcpu, "KVM exit reason %u, which nothing here asked for", vcpu->run->exit_reason);
}

static const struct {
	void (*handle)(struct vcpu *vcpu);
	enum vm_exit_kind kind;
} reasons[] = {
	[KVM_EXIT_IO] = { handle_io, VM_EXIT_IO },
	[KVM_EXIT_MMIO] = { handle_mmio, VM_EXIT_MMIO },
	[KVM_EXIT_HLT] = { handle_halt, VM_EXIT_HLT },
	[KVM_EXIT_SHUTDOWN] = { handle_shutdown, VM_EXIT_OTHER },
	[KVM_EXIT_FAIL_ENTRY] = { handle_fail_entry, VM_EXIT_OTHER },
	[KVM_EXIT_INTERNAL_ERROR] = { handle_internal_error, VM_EXIT_OTHER },
	[KVM_EXIT_INTR] = { handle_nothing, VM_EXIT_OTHER },
	[KVM_EXIT_IRQ_WINDOW_OPEN] = { handle_nothing, VM_EXIT_OTHER },
	[KVM_EXIT_SET_TPR] = { handle_nothing, VM_EXIT_OTHER },
};

/* The counters of a vCPU have one writer: no locked instruction is needed. */
static void count(struct vcpu *vcpu, enum vm_exit_kind kind)
{
	uint64_t nr = atomic_load_explicit(&vcpu->exits[kind], memory_order_relaxed);
	atomic_store_explicit(&vcpu->exits[kind], nr + 1, memory_order_relaxed);
}

void exit_handle(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	uint32_t reason = vcpu->run->exit_reason;
	if (reason < sizeof(reasons) / sizeof(reasons[0]) && reasons[reason].handle != NULL) {
		count(vcpu, reasons[reason].kind);
		reasons[reason].handle(vcpu);
	} else {
		count(vcpu, VM_EXIT_OTHER);
		handle_unknown(vcpu);
	}
	if (vm->exits_left > 0 && atomic_fetch_sub(&vm->exits_left, 1) == 1)
		vcpu_report(vcpu, VM_EVENT_EXITS, 0, NULL);
}
