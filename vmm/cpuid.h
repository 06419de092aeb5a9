/*
 * The guest's CPUID: what KVM supports, made right for each vCPU, or masked to a named baseline so that
 * a guest can cross to another host.
 */
#ifndef STASIS_VMM_CPUID_H
#define STASIS_VMM_CPUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "kvm_uapi.h"

#define CPUID_ENTRIES_MAX 256

/* A table of leaves with its room: the argument of KVM_SET_CPUID2. */
struct cpuid {
	struct kvm_cpuid2 header;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

enum cpuid_baseline { CPUID_HOST, CPUID_X86_64_V1, CPUID_X86_64_V2, CPUID_X86_64_V3 };

/* "host", "x86-64-v1", ...; false where the name is none of them. */
bool cpuid_baseline_parse(const char *name, enum cpuid_baseline *ret);
const char *cpuid_baseline_name(enum cpuid_baseline baseline);

/* What KVM can give a guest on this host (KVM_GET_SUPPORTED_CPUID). */
int cpuid_supported(int kvm_fd, struct cpuid *ret, struct error *err);

/* What a vCPU has (KVM_GET_CPUID2). */
int cpuid_of_vcpu(int vcpu_fd, struct cpuid *ret, struct error *err);

/* Masks *cpuid down to a baseline; an error names what the baseline needs and the host lacks. */
int cpuid_apply_baseline(struct cpuid *cpuid, enum cpuid_baseline baseline, struct error *err);

/*
 * Makes the table that of vCPU id of nr_vcpus: APIC id, number of logical processors, topology leaves
 * (SDM volume 2, CPUID leaves 1, 4, 0BH, 1FH; APM volume 3, 8000_0008H, 8000_001DH, 8000_001EH, 8000_0026H).
 */
void cpuid_set_topology(struct cpuid *cpuid, uint32_t id, uint32_t nr_vcpus);

/* The entry of (function, index), or NULL; the index counts only where the leaf has subleaves. */
const struct kvm_cpuid_entry2 *cpuid_find(const struct cpuid *cpuid, uint32_t function, uint32_t index);

/* One register of a leaf; 0 where the leaf is not there. */
uint32_t cpuid_get(const struct cpuid *cpuid, uint32_t function, uint32_t index, enum cpuid_register reg);

/* "GenuineIntel", from leaf 0; 13 bytes. */
void cpuid_vendor(const struct cpuid *cpuid, char ret[13]);

/* Features by their usual names, for tests of this kind: cpuid_has(cpuid, "SHSTK"). */
bool cpuid_has(const struct cpuid *cpuid, const char *feature);

/*
 * The name of a bit: "SHSTK" for leaf 7, subleaf 0, ECX, bit 7; NULL where the table has none.
 */
const char *cpuid_bit_name(uint32_t function, uint32_t index, enum cpuid_register reg, unsigned bit);

/*
 * Is this register of this leaf a set of feature bits (so that a host needs a superset), and not a number?
 */
bool cpuid_is_features(uint32_t function, uint32_t index, enum cpuid_register reg);

/*
 * Calls visit for each feature bit that wanted has and supported lacks, in order; returns how many there were.
 * Bits that KVM sets itself as the guest runs (OSXSAVE, OSPKE, APIC, MWAIT) and those that KVM emulates
 * whatever it lists (x2APIC, TSC deadline, HT) are not held against a host.
 */
unsigned cpuid_missing(const struct cpuid *wanted, const struct cpuid *supported,
		       void (*visit)(void *context, uint32_t function, uint32_t index, enum cpuid_register reg,
				     unsigned bit),
		       void *context);

#endif
