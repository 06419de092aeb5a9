#include "cpuid.h"

#include <assert.h>
#include <cpuid.h> /* NOLINT(readability-duplicate-include): the compiler's, not ours */
#include <string.h>
#include <unistd.h>

#include "kvm.h"

/* Levels of the topology leaves 0BH and 1FH (SDM volume 2, CPUID leaf 0BH, ECX 15:8). */
enum { LEVEL_SMT = 1, LEVEL_CORE = 2 };

/* Caches of level 3 belong to the package, those below to a core. */
#define CACHE_LEVEL_OF_PACKAGE 3

#define NO_FUNCTION UINT32_MAX /* no leaf has this number */

#define LEAF_XSAVE               0xd /* SDM volume 1, 13.2 */
#define FIRST_EXTENDED_COMPONENT 2   /* behind x87 and SSE */
#define XSAVE_COMPONENTS         64

#define TOPOLOGY_VCPUS_MAX 128 /* what leaf 1's and leaf 4's fields can hold */

/* The position of (function, index), or nent. */
static uint32_t position(const struct cpuid *cpuid, uint32_t function, uint32_t index)
{
	uint32_t i;
	for (i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
		bool has_subleaves = (entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0;
		if (entry->function == function && (!has_subleaves || entry->index == index))
			break;
	}
	return i;
}

const struct kvm_cpuid_entry2 *cpuid_find(const struct cpuid *cpuid, uint32_t function, uint32_t index)
{
	uint32_t i = position(cpuid, function, index);
	return i < cpuid->nent ? &cpuid->entries[i] : NULL;
}

struct kvm_cpuid_entry2 *cpuid_find_writable(struct cpuid *cpuid, uint32_t function, uint32_t index)
{
	uint32_t i = position(cpuid, function, index);
	return i < cpuid->nent ? &cpuid->entries[i] : NULL;
}

uint32_t cpuid_entry_get(const struct kvm_cpuid_entry2 *entry, enum cpuid_register reg)
{
	const uint32_t registers[CPUID_REGISTERS] = { entry->eax, entry->ebx, entry->ecx, entry->edx };
	return registers[reg];
}

uint32_t cpuid_get(const struct cpuid *cpuid, uint32_t function, uint32_t index, enum cpuid_register reg)
{
	const struct kvm_cpuid_entry2 *entry = cpuid_find(cpuid, function, index);
	return entry != NULL ? cpuid_entry_get(entry, reg) : 0;
}

void cpuid_vendor(const struct cpuid *cpuid, char ret[13])
{
	const uint32_t words[3] = { cpuid_get(cpuid, 0, 0, CPUID_EBX), cpuid_get(cpuid, 0, 0, CPUID_EDX),
				    cpuid_get(cpuid, 0, 0, CPUID_ECX) };
	memcpy(ret, words, sizeof(words));
	ret[12] = '\0';
}

bool cpuid_has(const struct cpuid *cpuid, struct cpuid_bit feature)
{
	return (cpuid_get(cpuid, feature.function, feature.index, feature.reg) >> feature.bit & 1) != 0;
}

void cpuid_change(struct cpuid *cpuid, struct cpuid_bit feature, bool on)
{
	struct kvm_cpuid_entry2 *entry = cpuid_find_writable(cpuid, feature.function, feature.index);
	if (entry == NULL)
		return;
	uint32_t *const registers[CPUID_REGISTERS] = { &entry->eax, &entry->ebx, &entry->ecx, &entry->edx };
	uint32_t mask = 1u << feature.bit;
	*registers[feature.reg] = on ? *registers[feature.reg] | mask : *registers[feature.reg] & ~mask;
}

int cpuid_supported(int kvm_fd, struct cpuid *ret, struct error *err)
{
	ret->nent = CPUID_ENTRIES_MAX;
	if (kvm_call_sized(kvm_fd, KVM_GET_SUPPORTED_CPUID, ret) < 0) {
		ret->nent = 0;
		return error_errno(err, ERROR_SYSTEM, "the CPUID that KVM supports: KVM_GET_SUPPORTED_CPUID");
	}
	cpuid_change(ret, CPUID_HYPERVISOR, true);
	cpuid_change(ret, CPUID_X2APIC, true);
	cpuid_change(ret, CPUID_TSC_DEADLINE, kvm_capability(kvm_fd, KVM_CAP_TSC_DEADLINE_TIMER) != 0);
	return 0;
}

static void ask_cpu(struct cpuid *cpuid, uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *entry = &cpuid->entries[cpuid->nent++];
	*entry = (struct kvm_cpuid_entry2){ .function = function,
					    .index = index,
					    .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX };
	__cpuid_count(function, index, entry->eax, entry->ebx, entry->ecx, entry->edx);
}

void cpuid_xsave_layout(struct cpuid *ret)
{
	ret->nent = 0;
	ask_cpu(ret, LEAF_XSAVE, 0);
	uint64_t components = (uint64_t)ret->entries[0].edx << 32 | ret->entries[0].eax;
	for (uint32_t i = FIRST_EXTENDED_COMPONENT; i < XSAVE_COMPONENTS; i++)
		if ((components >> i & 1) != 0)
			ask_cpu(ret, LEAF_XSAVE, i);
}

void cpuid_copy(struct cpuid *ret, const struct cpuid *from)
{
	ret->nent = from->nent;
	memcpy(ret->entries, from->entries, from->nent * sizeof(from->entries[0]));
}

int cpuid_of_vcpu(int vcpu_fd, struct cpuid *ret, struct error *err)
{
	ret->nent = CPUID_ENTRIES_MAX;
	/* Kernels up to 6.1 at least leave nent as it was asked, so the first entry that they did not write ends them.
	 */
	for (uint32_t i = 0; i < CPUID_ENTRIES_MAX; i++)
		ret->entries[i].function = NO_FUNCTION;
	if (kvm_call_sized(vcpu_fd, KVM_GET_CPUID2, ret) < 0) {
		ret->nent = 0;
		return error_errno(err, ERROR_SYSTEM, "the CPUID of a vCPU: KVM_GET_CPUID2");
	}
	uint32_t nent = 0;
	while (nent < ret->nent && ret->entries[nent].function != NO_FUNCTION)
		nent++;
	ret->nent = nent;
	return 0;
}

int cpuid_granted(int kvm_fd, struct cpuid *ret, struct error *err)
{
	int status = cpuid_supported(kvm_fd, ret, err);
	if (status < 0)
		return status;
	int vcpu_fd = -1, vm_fd = kvm_call_value(kvm_fd, KVM_CREATE_VM, 0);
	if (vm_fd < 0)
		return error_errno(err, ERROR_SYSTEM, "a VM to find out what CPUID it gets: KVM_CREATE_VM");
	vcpu_fd = kvm_call_value(vm_fd, KVM_CREATE_VCPU, 0);
	if (vcpu_fd < 0) {
		status = error_errno(err, ERROR_SYSTEM, "a vCPU to find out what CPUID it gets: KVM_CREATE_VCPU");
		goto out;
	}
	if (kvm_call_sized(vcpu_fd, KVM_SET_CPUID2, ret) < 0) {
		status = error_errno(err, ERROR_SYSTEM, "the CPUID that KVM supports: KVM_SET_CPUID2");
		goto out;
	}
	status = cpuid_of_vcpu(vcpu_fd, ret, err);
out:
	if (vcpu_fd >= 0)
		close(vcpu_fd);
	close(vm_fd);
	return status;
}

void cpuid_set_lapic(struct cpuid *cpuid, bool in_kernel)
{
	static const struct cpuid_bit through_lapic[] = {
		CPUID_APIC,
		CPUID_X2APIC,
		CPUID_TSC_DEADLINE,
		CPUID_KVM_ASYNC_PF,
		CPUID_KVM_PV_EOI,
		CPUID_KVM_PV_UNHALT,
		CPUID_KVM_PV_SEND_IPI,
		CPUID_KVM_ASYNC_PF_VMEXIT,
		CPUID_KVM_ASYNC_PF_INT,
	};
	if (in_kernel)
		return;
	for (size_t i = 0; i < sizeof(through_lapic) / sizeof(through_lapic[0]); i++)
		cpuid_change(cpuid, through_lapic[i], false);
}

/* Finds a subleaf, or adds it at the end; NULL where there is no room. */
static struct kvm_cpuid_entry2 *find_or_add(struct cpuid *cpuid, uint32_t function, uint32_t index, uint32_t flags)
{
	struct kvm_cpuid_entry2 *entry = cpuid_find_writable(cpuid, function, index);
	if (entry != NULL || cpuid->nent == CPUID_ENTRIES_MAX)
		return entry;
	entry = &cpuid->entries[cpuid->nent++];
	*entry = (struct kvm_cpuid_entry2){ .function = function, .index = index, .flags = flags };
	return entry;
}

/* How many bits of an APIC id number the cores. */
static uint32_t core_bits(uint32_t nr_vcpus)
{
	uint32_t bits = 0;
	while (1u << bits < nr_vcpus)
		bits++;
	return bits;
}

/* Leaves 0BH and 1FH.  KVM itself answers subleaves that are not there, from subleaf 1 (kvm_cpuid()). */
static void set_levels(struct cpuid *cpuid, uint32_t function, uint32_t id, uint32_t nr_vcpus)
{
	const struct kvm_cpuid_entry2 levels[] = {
		{ .eax = 0, .ebx = 1, .ecx = LEVEL_SMT << 8 | 0, .edx = id },
		{ .eax = core_bits(nr_vcpus), .ebx = nr_vcpus, .ecx = LEVEL_CORE << 8 | 1, .edx = id },
	};
	if (cpuid_get(cpuid, 0, 0, CPUID_EAX) < function)
		return;
	for (uint32_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		struct kvm_cpuid_entry2 *entry = find_or_add(cpuid, function, i, KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
		if (entry == NULL)
			return;
		*entry = levels[i];
		entry->function = function;
		entry->index = i;
		entry->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	}
	/* Deeper levels that older kernels copy from the host. */
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
		if (entry->function != function || entry->index < sizeof(levels) / sizeof(levels[0]))
			continue;
		entry->eax = entry->ebx = 0;
		entry->ecx = entry->index;
		entry->edx = id;
	}
}

/*
 * Leaf 4: EAX 25:14 how many APIC ids share a cache, 31:26 how many ids there are for cores, both rounded up to a
 * power of two, less one.  Leaf 8000_001DH: EAX 25:14 how many threads share a cache, less one.
 */
static void set_cache_sharing(struct cpuid *cpuid, uint32_t nr_vcpus)
{
	uint32_t ids = 1u << core_bits(nr_vcpus);
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
		bool is_cache = (entry->eax & 0x1f) != 0;
		bool is_shared = (entry->eax >> 5 & 7) >= CACHE_LEVEL_OF_PACKAGE;
		if (entry->function == 4 && is_cache)
			entry->eax = (entry->eax & 0x3fff) | (is_shared ? ids - 1 : 0) << 14 | (ids - 1) << 26;
		else if (entry->function == 0x8000001d && is_cache)
			entry->eax = (entry->eax & 0x3fff) | (is_shared ? nr_vcpus - 1 : 0) << 14;
	}
}

void cpuid_set_topology(struct cpuid *cpuid, uint32_t id, uint32_t nr_vcpus)
{
	assert(id < nr_vcpus && nr_vcpus <= TOPOLOGY_VCPUS_MAX);
	struct kvm_cpuid_entry2 *entry = cpuid_find_writable(cpuid, 1, 0);
	if (entry != NULL)
		entry->ebx = (entry->ebx & 0xffff) | nr_vcpus << 16 | id << 24;
	/* Many processors, and by CMP_LEGACY they are cores (APM volume 3, appendix E.5). Intel reserves that bit. */
	cpuid_change(cpuid, CPUID_HTT, nr_vcpus > 1);
	cpuid_change(cpuid, CPUID_CMP_LEGACY, nr_vcpus > 1);

	set_cache_sharing(cpuid, nr_vcpus);
	set_levels(cpuid, 0xb, id, nr_vcpus);
	set_levels(cpuid, 0x1f, id, nr_vcpus);

	/* ECX 15:12 the bits of an APIC id that number cores, 7:0 the cores less one. */
	entry = cpuid_find_writable(cpuid, 0x80000008, 0);
	if (entry != NULL)
		entry->ecx = (entry->ecx & ~0xf0ffu) | core_bits(nr_vcpus) << 12 | (nr_vcpus - 1);

	if (!cpuid_has(cpuid, CPUID_TOPOEXT) || cpuid_get(cpuid, 0x80000000, 0, CPUID_EAX) < 0x8000001e)
		return;
	/* EAX the APIC id; EBX 15:8 the threads of a core less one, 7:0 the core; ECX the only node of the package. */
	entry = find_or_add(cpuid, 0x8000001e, 0, 0);
	if (entry != NULL) {
		entry->eax = entry->ebx = id;
		entry->ecx = entry->edx = 0;
	}
}
