#include "setup.h"

#include <inttypes.h>

#include "vcpu.h"

/* A guest can address no more than its CPUID says (CPUID.80000008H:EAX[7:0]). */
static int check_address_bits(const struct memory *memory, const struct cpuid *cpuid, struct error *err)
{
	const struct memory_range *last = &memory->regions[memory->nr_regions - 1].range;
	unsigned bits = cpuid_get(cpuid, 0x80000008, 0, CPUID_EAX) & 0xff;
	if (bits != 0 && bits < 64 && (last->gpa + last->size - 1) >> bits != 0)
		return error_set(err, ERROR_USAGE,
				 "RAM up to 0x%" PRIx64
				 ": the guest's CPUID has %u address bits; take less, or --cpu host",
				 last->gpa + last->size - 1, bits);
	return 0;
}

/* RAM, and the region that the image needs besides (a ROM). */
static int make_memory(const struct setup *setup, const struct boot_loader *loader, const struct boot_request *request,
		       struct memory *memory, struct error *err)
{
	struct memory_range extra = { 0 };
	int status = memory_add_ram(memory, setup->ram_size, err);
	if (status == 0 && loader->needs != NULL)
		status = loader->needs(request, &extra, err);
	if (status == 0 && extra.size > 0)
		status = memory_add(memory, &extra, err);
	return status;
}

static void describe_machine(const struct setup *setup, const struct memory *memory, int kvm_fd, struct machine *ret)
{
	*ret = (struct machine){ .nr_vcpus = setup->nr_vcpus, .irqchip = setup->irqchip };
	machine_defaults(ret, kvm_fd);
	for (unsigned i = 0; i < memory->nr_regions; i++)
		ret->ranges[ret->nr_ranges++] = memory->regions[i].range;
}

/* Takes a feature that KVM does not show although it was set out of the table. */
static void drop(void *context, const struct cpuid_lack *lack)
{
	struct kvm_cpuid_entry2 *entry = cpuid_find_writable(context, lack->entry->function, lack->entry->index);
	if (entry == NULL || lack->bit < 0)
		return;
	uint32_t *const registers[CPUID_REGISTERS] = { &entry->eax, &entry->ebx, &entry->ecx, &entry->edx };
	*registers[lack->reg] &= ~(1u << lack->bit);
}

/* A vCPU's table is what it is shown: what KVM accepts and drops would be missed after a restore. */
static int set_cpuid_of(struct vcpu *vcpu, struct cpuid *cpuid, struct error *err)
{
	struct cpuid got, set = *cpuid;
	if (vcpu_set_cpuid(vcpu, cpuid->entries, cpuid->nent) < 0)
		return error_errno(err, ERROR_SYSTEM, "vCPU %u: KVM_SET_CPUID2", vcpu->id);
	int status = cpuid_of_vcpu(vcpu->fd, &got, err);
	if (status == 0 && cpuid_missing(&set, &got, drop, cpuid) > 0 &&
	    vcpu_set_cpuid(vcpu, cpuid->entries, cpuid->nent) < 0)
		status = error_errno(err, ERROR_SYSTEM, "vCPU %u: KVM_SET_CPUID2 once more", vcpu->id);
	return status;
}

/*
 * Linux before 6.15 gives a vCPU the host's values in these MSRs, whatever its CPUID says (arch/x86/kvm/x86.c,
 * kvm_arch_vcpu_create()).  No guest can read them without the feature, but another host would have to take them.
 */
static const struct {
	uint64_t id;
	struct cpuid_bit feature;
} feature_msrs[] = {
	{ KVM_X86_REG_MSR(0x10a), CPUID_ARCH_CAPABILITIES },
	{ KVM_X86_REG_MSR(0x345), CPUID_PDCM }, /* IA32_PERF_CAPABILITIES */
};

/* A kernel that refuses 0 here keeps its value, which is saved and told like any other register. */
static void clear_feature_msrs(const struct vm *vm, const struct vcpu *vcpu, const struct cpuid *cpuid)
{
	for (size_t i = 0; i < sizeof(feature_msrs) / sizeof(feature_msrs[0]); i++)
		if (!cpuid_has(cpuid, feature_msrs[i].feature))
			kvm_reg_set(vcpu->fd, vm->reg_access, feature_msrs[i].id, 0);
}

static int set_cpuid(struct vm *vm, const struct cpuid *cpuid, struct error *err)
{
	int status = 0;
	for (unsigned i = 0; i < vm->nr_vcpus && status == 0; i++) {
		struct cpuid own = *cpuid;
		cpuid_set_topology(&own, i, vm->nr_vcpus);
		status = set_cpuid_of(&vm->vcpus[i], &own, err);
		clear_feature_msrs(vm, &vm->vcpus[i], &own);
	}
	return status;
}

static int make_cpuid(const struct setup *setup, int kvm_fd, struct cpuid *ret, struct error *err)
{
	int status = cpuid_supported(kvm_fd, ret, err);
	if (status == 0)
		status = cpuid_apply_baseline(ret, setup->baseline, err);
	if (status == 0)
		cpuid_set_lapic(ret, setup->irqchip != IRQCHIP_NONE &&
					     kvm_capability(kvm_fd, KVM_CAP_TSC_DEADLINE_TIMER) != 0);
	return status;
}

/* Without a LAPIC, CPUID does not show one either: KVM sets its bit as long as this one is set (SDM volume 3, 11.4.3).
 */
#define APIC_BASE_ENABLE (1ull << 11)

static int load(struct vm *vm, const struct boot_loader *loader, const struct boot_request *request, struct error *err)
{
	struct boot_registers registers;
	int fd = vm->vcpus[0].fd;
	if (kvm_call(fd, KVM_GET_REGS, &registers.regs) < 0 || kvm_call(fd, KVM_GET_SREGS, &registers.sregs) < 0)
		return error_errno(err, ERROR_SYSTEM, "vCPU 0: reading its registers");
	if (request->irqchip == IRQCHIP_NONE)
		registers.sregs.apic_base &= ~APIC_BASE_ENABLE;
	int status = loader->load(request, &vm->memory, &registers, err);
	if (status < 0)
		return status;
	if (kvm_call(fd, KVM_SET_SREGS, &registers.sregs) < 0 || kvm_call(fd, KVM_SET_REGS, &registers.regs) < 0)
		return error_errno(err, ERROR_SYSTEM, "vCPU 0: setting the registers that %s starts with",
				   request->image.name);
	return 0;
}

int setup_boot(const struct setup *setup, struct boot_request *request, int kvm_fd, const struct vm_ops *ops,
	       void *ops_context, struct vm **ret, struct error *err)
{
	const struct boot_loader *loader;
	struct memory memory = { 0 };
	struct machine machine;
	struct cpuid cpuid;
	struct vm *vm = NULL;
	int status = boot_find(request, &loader, err);
	if (status == 0)
		status = make_cpuid(setup, kvm_fd, &cpuid, err);
	if (status == 0)
		status = make_memory(setup, loader, request, &memory, err);
	if (status == 0)
		status = check_address_bits(&memory, &cpuid, err);
	if (status == 0) {
		describe_machine(setup, &memory, kvm_fd, &machine);
		status = vm_create(&vm, kvm_fd, -1, &machine, &memory, ops, ops_context, err);
	}
	if (status == 0)
		status = set_cpuid(vm, &cpuid, err);
	if (status == 0) {
		int khz = kvm_call_value(vm->vcpus[0].fd, KVM_GET_TSC_KHZ, 0);
		request->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
		request->nr_vcpus = setup->nr_vcpus;
		request->irqchip = setup->irqchip;
		request->has_nx = cpuid_has(&cpuid, CPUID_NX);
		status = load(vm, loader, request, err);
	}
	memory_done(&memory);
	if (status < 0) {
		vm_free(vm);
		return status;
	}
	*ret = vm;
	return 0;
}
