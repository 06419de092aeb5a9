#include "machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/cpuid.h"
#include "vmm/kvm.h"
#include "vmm/vcpu.h"

void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
	exit(1);
}

static void discard(void *context, uint8_t byte)
{
	(void)context;
	(void)byte;
}

struct vm *make_machine(uint64_t ram_size)
{
	static const struct vm_ops silent = { .console = discard };
	static struct cpuid cpuid;
	struct machine machine = { .nr_vcpus = 1, .irqchip = IRQCHIP_FULL, .nr_ranges = 1 };
	struct memory memory = { 0 };
	struct error err;
	struct vm *vm = NULL;
	int kvm_fd = kvm_open(&err);
	if (kvm_fd < 0 || memory_add_ram(&memory, ram_size, &err) < 0)
		die(err.text);
	machine_defaults(&machine, kvm_fd);
	machine.ranges[0] = memory.regions[0].range;
	if (vm_create(&vm, kvm_fd, -1, &machine, &memory, &silent, NULL, &err) < 0 ||
	    cpuid_supported(kvm_fd, &cpuid, &err) < 0)
		die(err.text);
	if (vcpu_set_cpuid(&vm->vcpus[0], cpuid.entries, cpuid.nent) < 0)
		die("KVM_SET_CPUID2 failed");
	return vm;
}
