#include <inttypes.h>

#include "vm.h"

/*
 * The last pages below the firmware's: where other VMMs put them too (QEMU, target/i386/kvm/kvm.c).  VMX needs three
 * pages for a TSS and one for an identity map to run real mode without "unrestricted guest".
 */
#define IDENTITY_MAP_ADDRESS 0xfeffc000
#define TSS_ADDRESS          0xfeffd000

/* As many machine-check banks as QEMU gives a guest (the kernel's own default is 32). */
#define MCE_BANKS      10
#define MCG_CTL_P      (1ull << 8)  /* SDM volume 3, 16.3.1.1: IA32_MCG_CTL is there */
#define MCG_SER_P      (1ull << 24) /* software error recovery */
#define MCG_BANKS_MASK 0xffull

static const struct {
	unsigned capability;
	const char *name;
	uint64_t arg;
} capabilities[MACHINE_CAPABILITIES] = {
	[MACHINE_EXCEPTION_PAYLOAD] = { KVM_CAP_EXCEPTION_PAYLOAD, "KVM_CAP_EXCEPTION_PAYLOAD", 1 },
	[MACHINE_TRIPLE_FAULT_EVENT] = { KVM_CAP_X86_TRIPLE_FAULT_EVENT, "KVM_CAP_X86_TRIPLE_FAULT_EVENT", 1 },
};

void machine_defaults(struct machine *machine, int kvm_fd)
{
	uint64_t mce_supported = 0;
	machine->tss_address = TSS_ADDRESS;
	machine->identity_map_address = IDENTITY_MAP_ADDRESS;
	if (kvm_call(kvm_fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &mce_supported) == 0)
		machine->mcg_cap = (mce_supported & (MCG_CTL_P | MCG_SER_P)) | MCE_BANKS;
	machine->capabilities = 0;
	for (unsigned i = 0; i < MACHINE_CAPABILITIES; i++)
		if (kvm_capability(kvm_fd, capabilities[i].capability) != 0)
			machine->capabilities |= 1ull << i;
}

int machine_check(const struct machine *machine, struct error *err)
{
	if (machine->nr_vcpus == 0 || machine->nr_vcpus > VM_VCPUS_MAX)
		return error_set(err, ERROR_DATA, "%u vCPUs: expected 1 to %d", machine->nr_vcpus, VM_VCPUS_MAX);
	if (machine->irqchip > IRQCHIP_FULL)
		return error_set(err, ERROR_DATA, "interrupt controller %u: expected 0 (none), 1 (split) or 2 (full)",
				 machine->irqchip);
	if (machine->irqchip == IRQCHIP_NONE && machine->nr_vcpus > 1)
		return error_set(
			err, ERROR_DATA,
			"%u vCPUs without an interrupt controller: expected 1, for others could not be started",
			machine->nr_vcpus);
	if (machine->capabilities >> MACHINE_CAPABILITIES != 0)
		return error_set(err, ERROR_DATA, "machine capabilities 0x%" PRIx64 ": unknown bits set",
				 machine->capabilities);
	if (machine->reserved != 0)
		return error_set(err, ERROR_DATA, "machine: reserved field is 0x%x, expected 0", machine->reserved);
	return memory_check_ranges(machine->ranges, machine->nr_ranges, err);
}

int machine_enable_capabilities(const struct machine *machine, int vm_fd, struct error *err)
{
	for (unsigned i = 0; i < MACHINE_CAPABILITIES; i++) {
		if ((machine->capabilities >> i & 1) == 0)
			continue;
		if (kvm_enable_capability(vm_fd, capabilities[i].capability, capabilities[i].arg) < 0)
			return error_errno(err, ERROR_DIFFERENT, "this host's KVM has no %s, which the machine uses",
					   capabilities[i].name);
	}
	return 0;
}
