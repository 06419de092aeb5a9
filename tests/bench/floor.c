/*
 * What no restore can leave out: a machine with one vCPU, full interrupt controller and PIT, each state group put once
 * by the cheapest ioctl, MSRs in bulk and read back in bulk, RAM mapped privately from a file, then KVM_RUN up to the
 * guest's first byte, which goes to standard output.  No format, no checks, no threads.
 *
 *   floor save STATE               the state of a fresh vCPU, with registers that print a byte
 *   floor restore STATE RAM MIB    puts it into a new machine around MIB of the file RAM
 *   floor run IMAGE                runs a flat real-mode image, taking no notice of its port accesses, up to its end
 *                                  at the exit port: the bare loop around KVM_RUN
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest/abi.h"

#define ENTRIES_MAX 200 /* of CPUID, of MSRs */
#define SMALL_RAM   (1u << 20)
#define OUT_DX_AL   0xee

/* clang-format off */
struct state {
	struct { uint32_t nr, padding; struct kvm_cpuid_entry2 entries[ENTRIES_MAX]; } cpuid;
	struct { uint32_t nr, padding; struct kvm_msr_entry entries[ENTRIES_MAX]; } msrs;
	struct kvm_mp_state mp_state;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_regs regs;
	struct kvm_vcpu_events events;
	struct kvm_irqchip chips[3];
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
	struct kvm_xsave xsave; /* its size is open */
};
/* clang-format on */

static struct state state;

struct floor {
	int kvm, vm, vcpu;
	uint8_t *ram;
	struct kvm_run *run;
};

/* What is put, in this order; what is read to be saved has a get. */
enum target { VM, VCPU };
static const struct {
	enum target target;
	unsigned long get, set;
	void *argument;
} groups[] = {
	{ VCPU, 0, KVM_SET_CPUID2, &state.cpuid },
	{ VCPU, KVM_GET_MP_STATE, KVM_SET_MP_STATE, &state.mp_state },
	{ VCPU, KVM_GET_SREGS, KVM_SET_SREGS, &state.sregs },
	{ VCPU, KVM_GET_XCRS, KVM_SET_XCRS, &state.xcrs },
	{ VCPU, KVM_GET_XSAVE, KVM_SET_XSAVE, &state.xsave },
	{ VCPU, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, &state.debugregs },
	{ VCPU, KVM_GET_LAPIC, KVM_SET_LAPIC, &state.lapic },
	{ VCPU, 0, KVM_SET_MSRS, &state.msrs },
	{ VCPU, 0, KVM_SET_REGS, &state.regs },
	{ VCPU, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, &state.events },
	{ VM, KVM_GET_IRQCHIP, KVM_SET_IRQCHIP, &state.chips[0] },
	{ VM, KVM_GET_IRQCHIP, KVM_SET_IRQCHIP, &state.chips[1] },
	{ VM, KVM_GET_IRQCHIP, KVM_SET_IRQCHIP, &state.chips[2] },
	{ VM, KVM_GET_PIT2, KVM_SET_PIT2, &state.pit },
	{ VM, KVM_GET_CLOCK, KVM_SET_CLOCK, &state.clock },
};
#define NR_GROUPS (sizeof(groups) / sizeof(groups[0]))

static int must(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}
#define CALL(fd, request, argument) must(ioctl(fd, request, argument), #request)

static struct floor create(const char *ram_path, size_t size)
{
	struct floor f;
	struct kvm_pit_config pit = { 0 };
	int file = ram_path != NULL ? must(open(ram_path, O_RDONLY), ram_path) : -1;
	f.kvm = must(open("/dev/kvm", O_RDWR), "/dev/kvm");
	f.vm = CALL(f.kvm, KVM_CREATE_VM, 0);
	f.ram = mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_NORESERVE | (ram_path == NULL ? MAP_ANONYMOUS : 0), file, 0);
	must(f.ram == MAP_FAILED ? -1 : 0, "mapping RAM");
	struct kvm_userspace_memory_region slot = { .memory_size = size, .userspace_addr = (uintptr_t)f.ram };
	CALL(f.vm, KVM_SET_USER_MEMORY_REGION, &slot);
	CALL(f.vm, KVM_CREATE_IRQCHIP, 0);
	CALL(f.vm, KVM_CREATE_PIT2, &pit);
	f.vcpu = CALL(f.vm, KVM_CREATE_VCPU, 0);
	f.run = mmap(NULL, (size_t)CALL(f.kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, f.vcpu,
		     0);
	must(f.run == MAP_FAILED ? -1 : 0, "mapping kvm_run");
	return f;
}

static void start_at(const struct floor *f)
{
	CALL(f->vcpu, KVM_GET_SREGS, &state.sregs);
	state.sregs.cs.base = state.sregs.cs.selector = 0;
	state.regs = (struct kvm_regs){ .rip = REAL_LOAD_GPA, .rflags = 2, .rax = '.', .rdx = PORT_UART };
}

static int save(const char *path)
{
	struct floor f = create(NULL, SMALL_RAM);
	struct {
		uint32_t nr, indices[ENTRIES_MAX];
	} list = { .nr = ENTRIES_MAX };
	state.cpuid.nr = ENTRIES_MAX;
	CALL(f.kvm, KVM_GET_SUPPORTED_CPUID, &state.cpuid);
	CALL(f.vcpu, KVM_SET_CPUID2, &state.cpuid);
	CALL(f.kvm, KVM_GET_MSR_INDEX_LIST, &list);
	for (uint32_t i = 0; i < list.nr; i++)
		state.msrs.entries[i].index = list.indices[i];
	state.msrs.nr = list.nr;
	state.msrs.nr = (uint32_t)CALL(f.vcpu, KVM_GET_MSRS, &state.msrs);
	for (uint32_t i = 0; i < 3; i++)
		state.chips[i].chip_id = i;
	for (size_t i = 0; i < NR_GROUPS; i++)
		if (groups[i].get != 0)
			CALL(groups[i].target == VM ? f.vm : f.vcpu, groups[i].get, groups[i].argument);
	state.clock.flags = 0;
	start_at(&f);
	int file = must(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644), path);
	return write(file, &state, sizeof(state)) == (ssize_t)sizeof(state) ? 0 : 1;
}

static int restore(const char *path, const char *ram_path, size_t size)
{
	int file = must(open(path, O_RDONLY), path);
	if (read(file, &state, sizeof(state)) != (ssize_t)sizeof(state))
		return 1;
	struct floor f = create(ram_path, size);
	for (size_t i = 0; i < NR_GROUPS; i++)
		CALL(groups[i].target == VM ? f.vm : f.vcpu, groups[i].set, groups[i].argument);
	CALL(f.vcpu, KVM_GET_MSRS, &state.msrs);
	f.ram[REAL_LOAD_GPA] = OUT_DX_AL;
	CALL(f.vcpu, KVM_RUN, 0);
	if (f.run->exit_reason != KVM_EXIT_IO)
		return 1;
	return write(STDOUT_FILENO, (uint8_t *)f.run + f.run->io.data_offset, 1) == 1 ? 0 : 1;
}

static int run(const char *path)
{
	struct floor f = create(NULL, SMALL_RAM);
	int file = must(open(path, O_RDONLY), path);
	must(read(file, f.ram + REAL_LOAD_GPA, SMALL_RAM - REAL_LOAD_GPA) > 0 ? 0 : -1, path);
	state.cpuid.nr = ENTRIES_MAX;
	CALL(f.kvm, KVM_GET_SUPPORTED_CPUID, &state.cpuid);
	CALL(f.vcpu, KVM_SET_CPUID2, &state.cpuid);
	start_at(&f);
	CALL(f.vcpu, KVM_SET_SREGS, &state.sregs);
	CALL(f.vcpu, KVM_SET_REGS, &state.regs);
	do {
		CALL(f.vcpu, KVM_RUN, 0);
		must(f.run->exit_reason == KVM_EXIT_IO ? 0 : -1, "another exit than a port's");
	} while (f.run->io.port != PORT_EXIT);
	return write(STDOUT_FILENO, ".", 1) == 1 ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "save") == 0)
		return save(argv[2]);
	if (argc == 5 && strcmp(argv[1], "restore") == 0)
		return restore(argv[2], argv[3], strtoul(argv[4], NULL, 0) << 20);
	if (argc == 3 && strcmp(argv[1], "run") == 0)
		return run(argv[2]);
	fputs("usage: floor save STATE | floor restore STATE RAM MIB | floor run IMAGE\n", stderr);
	return 64;
}
