/*
 * The guest's CPUID: what KVM supports, made right for each vCPU, or replaced by a named baseline so that
 * a guest can cross to another host.  A new machine's table is made in this order: cpuid_supported(),
 * cpuid_apply_baseline(), cpuid_set_lapic(), and for each vCPU cpuid_set_topology().
 */
#ifndef STASIS_VMM_CPUID_H
#define STASIS_VMM_CPUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "kvm_uapi.h"

#define CPUID_ENTRIES_MAX 256 /* KVM_MAX_CPUID_ENTRIES, Linux arch/x86/include/asm/kvm_host.h */
#define CPUID_TEXT_MAX    96

/*
 * A table of leaves with its room, laid out as struct kvm_cpuid2: the argument of KVM_SET_CPUID2.  nent is at most
 * CPUID_ENTRIES_MAX everywhere: whoever reads a table from outside checks that first.
 */
struct cpuid {
	uint32_t nent, padding;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};
_Static_assert(offsetof(struct cpuid, nent) == offsetof(struct kvm_cpuid2, nent) &&
		       offsetof(struct cpuid, entries) == offsetof(struct kvm_cpuid2, entries),
	       "struct cpuid is not laid out as KVM's");

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX, CPUID_REGISTERS };

/* A bit of a leaf. */
struct cpuid_bit {
	uint32_t function, index;
	enum cpuid_register reg;
	unsigned bit;
};

/* The features that this program itself asks for or changes; cpuid_names.c names all that there are. */
#define CPUID_BIT(function, index, reg, bit) ((struct cpuid_bit){ (function), (index), (reg), (bit) })
#define CPUID_X2APIC                         CPUID_BIT(0x1, 0, CPUID_ECX, 21)
#define CPUID_PDCM                           CPUID_BIT(0x1, 0, CPUID_ECX, 15)
#define CPUID_TSC_DEADLINE                   CPUID_BIT(0x1, 0, CPUID_ECX, 24)
#define CPUID_XSAVE                          CPUID_BIT(0x1, 0, CPUID_ECX, 26)
#define CPUID_HYPERVISOR                     CPUID_BIT(0x1, 0, CPUID_ECX, 31)
#define CPUID_APIC                           CPUID_BIT(0x1, 0, CPUID_EDX, 9)
#define CPUID_HTT                            CPUID_BIT(0x1, 0, CPUID_EDX, 28)
#define CPUID_SHSTK                          CPUID_BIT(0x7, 0, CPUID_ECX, 7)
#define CPUID_ARCH_CAPABILITIES              CPUID_BIT(0x7, 0, CPUID_EDX, 29)
#define CPUID_KVM_ASYNC_PF                   CPUID_BIT(0x40000001, 0, CPUID_EAX, 4)
#define CPUID_KVM_PV_EOI                     CPUID_BIT(0x40000001, 0, CPUID_EAX, 6)
#define CPUID_KVM_PV_UNHALT                  CPUID_BIT(0x40000001, 0, CPUID_EAX, 7)
#define CPUID_KVM_ASYNC_PF_VMEXIT            CPUID_BIT(0x40000001, 0, CPUID_EAX, 10)
#define CPUID_KVM_PV_SEND_IPI                CPUID_BIT(0x40000001, 0, CPUID_EAX, 11)
#define CPUID_KVM_ASYNC_PF_INT               CPUID_BIT(0x40000001, 0, CPUID_EAX, 14)
#define CPUID_CMP_LEGACY                     CPUID_BIT(0x80000001, 0, CPUID_ECX, 1)
#define CPUID_TOPOEXT                        CPUID_BIT(0x80000001, 0, CPUID_ECX, 22)
#define CPUID_NX                             CPUID_BIT(0x80000001, 0, CPUID_EDX, 20)

/* In ascending order: each level has what the one before it has. */
enum cpuid_baseline { CPUID_HOST, CPUID_X86_64_V1, CPUID_X86_64_V2, CPUID_X86_64_V3, CPUID_BASELINES };

/* "host", "x86-64-v1", ...; false where the name is none of them. */
bool cpuid_baseline_parse(const char *name, enum cpuid_baseline *ret);
const char *cpuid_baseline_name(enum cpuid_baseline baseline);

/* What is read from KVM here goes where it is wanted, for a table is long; after an error it is none. */

/*
 * What KVM can give a guest on this host: KVM_GET_SUPPORTED_CPUID, and the bits that KVM emulates but that older
 * kernels do not list there: HYPERVISOR, x2APIC, and the TSC deadline where KVM_CAP_TSC_DEADLINE_TIMER says so.
 */
int cpuid_supported(int kvm_fd, struct cpuid *ret, struct error *err);

/*
 * Where the components of XSAVE's area stand on this host: the CPU's own leaf 0DH, which KVM's buffers are laid out by,
 * whatever the guest's or KVM_GET_SUPPORTED_CPUID's table has (arch/x86/kernel/fpu/xstate.c,
 * __copy_xstate_to_uabi_buf()).  Subleaf 0 and those of the components that there are.
 */
void cpuid_xsave_layout(struct cpuid *ret);

/* Copies the entries that there are: a table has room for many more. */
void cpuid_copy(struct cpuid *ret, const struct cpuid *from);

/* What a vCPU has (KVM_GET_CPUID2). */
int cpuid_of_vcpu(int vcpu_fd, struct cpuid *ret, struct error *err);

/*
 * What a vCPU of this host has when it is given all that KVM supports.  A KVM without hardware to help it (host P)
 * gives guests features that it does not list, whatever it is told, and takes others away; so what a running guest has
 * is to be held against this.  Makes a VM for it, and frees it again.  To name what KVM added to a table:
 * cpuid_missing() of what cpuid_of_vcpu() reads back, against what was set.
 */
int cpuid_granted(int kvm_fd, struct cpuid *ret, struct error *err);

/*
 * Replaces *cpuid, what a host supports, by a baseline (docs/CPUID.md), which is the same on every host that has its
 * features; only the vendor is kept.  CPUID_HOST changes nothing.  ERROR_NO_KVM, with all that the host lacks
 * by name, and *cpuid unchanged, where this host cannot give it.
 */
int cpuid_apply_baseline(struct cpuid *cpuid, enum cpuid_baseline baseline, struct error *err);

/*
 * Takes away what works only with a LAPIC in the kernel where there is none: APIC, x2APIC, the TSC deadline and the
 * paravirtual features that send or receive interrupts.  KVM sets APIC again as long as IA32_APIC_BASE enables it.
 */
void cpuid_set_lapic(struct cpuid *cpuid, bool in_kernel);

/*
 * Makes the table that of vCPU id of nr_vcpus: one package, one thread a core, APIC id = id.  Sets the number of
 * logical processors, the sharing of caches and the topology leaves (SDM volume 2, CPUID leaves 1, 4, 0BH, 1FH; APM
 * volume 3, 8000_0001H ECX, 8000_0008H, 8000_001DH, 8000_001EH), the same whatever the vendor.  A leaf that
 * the table's largest leaf covers and that is not there is added if there is room.
 */
void cpuid_set_topology(struct cpuid *cpuid, uint32_t id, uint32_t nr_vcpus);

/* The entry of (function, index), or NULL; the index counts only where the leaf has subleaves. */
const struct kvm_cpuid_entry2 *cpuid_find(const struct cpuid *cpuid, uint32_t function, uint32_t index);
struct kvm_cpuid_entry2 *cpuid_find_writable(struct cpuid *cpuid, uint32_t function, uint32_t index);

/* One register of a leaf; 0 where the leaf is not there. */
uint32_t cpuid_get(const struct cpuid *cpuid, uint32_t function, uint32_t index, enum cpuid_register reg);
uint32_t cpuid_entry_get(const struct kvm_cpuid_entry2 *entry, enum cpuid_register reg);

/* "GenuineIntel", from leaf 0; 13 bytes. */
void cpuid_vendor(const struct cpuid *cpuid, char ret[13]);

/* Where a feature stands, by its usual name ("SHSTK", any case); false where no feature is called that. */
bool cpuid_feature(const char *name, struct cpuid_bit *ret);

/* Has the table a feature? */
bool cpuid_has(const struct cpuid *cpuid, struct cpuid_bit feature);

/* Gives the table a feature, or takes it.  Nothing happens where its leaf is not there. */
void cpuid_change(struct cpuid *cpuid, struct cpuid_bit feature, bool on);

/* The name of a bit: "SHSTK" for leaf 7, subleaf 0, ECX, bit 7; NULL where the table has none. */
const char *cpuid_bit_name(uint32_t function, uint32_t index, enum cpuid_register reg, unsigned bit);

/* One register of one leaf for people: "0x7.0 ecx" where the leaf has subleaves, else "0x1 ecx". */
void cpuid_register_name(const struct kvm_cpuid_entry2 *entry, enum cpuid_register reg, char ret[CPUID_TEXT_MAX]);

/*
 * Is this register of this leaf a set of feature bits (so that a host needs a superset), and not a number?
 * The masks of XSAVE's state components (leaf 0DH) are such sets too.
 */
bool cpuid_is_features(uint32_t function, uint32_t index, enum cpuid_register reg);

/* One thing that a table has and a host cannot give. */
struct cpuid_lack {
	const struct kvm_cpuid_entry2 *entry; /* of what is wanted */
	enum cpuid_register reg;
	int bit;          /* -1: not a bit but a number */
	const char *text; /* of a number, while visit() runs: "48 physical address bits (the host: 40)" */
};

/* A lack in words: its text, or the name of the bit: "SHSTK", "0x7.0 edx bit 30". */
void cpuid_lack_text(const struct cpuid_lack *lack, char ret[CPUID_TEXT_MAX]);

/*
 * Calls visit for all that wanted has and supported lacks, in wanted's order, and returns how many there were:
 * feature bits; numbers that are larger than the host's (address bits, performance counters); and, where wanted has
 * XSAVE, state components that the host keeps at another place (the processor writes them where it will, whatever CPUID
 * tells the guest).  Bits that KVM sets itself as the guest runs (OSXSAVE, OSPKE, APIC, MONITOR), those that it
 * emulates whatever it lists (x2APIC, TSC deadline, HYPERVISOR, TSC_ADJUST) and those of the topology (HTT, CMP_LEGACY)
 * are not held against a host, nor are AMD's copies of leaf 1's bits.
 */
unsigned cpuid_missing(const struct cpuid *wanted, const struct cpuid *supported,
		       void (*visit)(void *context, const struct cpuid_lack *lack), void *context);

#endif
