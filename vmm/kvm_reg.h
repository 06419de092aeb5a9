/*
 * KVM's ONE_REG interface on x86: register ids, their names, and the calls.
 *
 * An id, most significant first (Documentation/virt/kvm/api.rst, KVM_SET_ONE_REG; arch/x86/include/uapi/asm/kvm.h):
 *   63:56 architecture | 55:52 log2 of the size in bytes | 51:40 zero | 39:32 type | 31:0 index
 * Type 2 is an MSR, its index the MSR's number; type 3 is a register of KVM's own ("synthetic"), counted from 0.
 */
#ifndef STASIS_VMM_KVM_REG_H
#define STASIS_VMM_KVM_REG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "kvm_uapi.h"

#define KVM_REG_NAME_MAX 48
#define KVM_REG_LIST_MAX 1024 /* more than any kernel lists; a longer list is an error */

/* A register and its value: what ONE_REG reads and writes, and what a snapshot holds. */
struct kvm_reg_value {
	uint64_t id, value;
};

/* Which ioctls carry registers: ONE_REG where the kernel has it, else KVM_GET_MSRS and KVM_SET_MSRS (MSRs only). */
enum kvm_reg_access { KVM_REG_ACCESS_ONE_REG, KVM_REG_ACCESS_MSRS };

/* Parts of an id. */
bool kvm_reg_is_msr(uint64_t id);
bool kvm_reg_is_synthetic(uint64_t id);
uint32_t kvm_reg_index(uint64_t id);

/*
 * The bits of a register that people ask about are one string, for there are hundreds of them, and a pointer each would
 * be longer than most names: "0 PE\0" "12+2 IOPL\0" are bit 0 and the field of two bits from 12 on, in ascending order.
 */
struct kvm_reg_bits {
	const char *name; /* "": bits that are always 1, shown only where two values differ in them */
	uint8_t low, width;
};

/* Takes the next of such a list and moves on behind it; false at the end, and of NULL. */
bool kvm_reg_bits_next(const char **list, struct kvm_reg_bits *ret);

/* What is known of an MSR beside its name: one row each in kvm_reg_names.c. */
struct kvm_reg_info {
	uint32_t msr;
	bool reset_is_vcpu; /* its value after a reset is the vCPU's number */
	uint64_t reset;     /* and this one where it is the same on all CPUs; else 0 */
	const char *bits;   /* for kvm_reg_bits_next(); NULL: none */
};

/* The row of an id, or NULL. */
const struct kvm_reg_info *kvm_reg_info(uint64_t id);

/*
 * Writes the name of any id, architectural ("IA32_LSTAR", "IA32_MTRR_PHYSBASE3", "GUEST_SSP"), or from its number:
 * "MSR_0x000001ff", "SYNTHETIC_0x00000007", else the whole id as "0x2030000200000010".
 */
void kvm_reg_name(uint64_t id, char ret[KVM_REG_NAME_MAX]);

/*
 * The id for a name (any case) as kvm_reg_name() writes it, or for a number as in "0xc0000082" (an MSR) or
 * "0x2030000200000010" (an id).  False where it is none.
 */
bool kvm_reg_parse(const char *name, uint64_t *ret_id);

/*
 * Decodes value by bits: "SCE LME LMA", "ENABLE BASE=0xfee00"; empty where nothing is set or bits is NULL.
 * Set bits that the table does not name come last, in place: "OTHER=0x8000".  What does not fit is cut off.
 */
void kvm_reg_decode(const char *bits, uint64_t value, char *ret, size_t size);
/* Names the bits in which two values differ: "+NXE -SCE BASE: 0x1 -> 0x2". */
void kvm_reg_decode_difference(const char *bits, uint64_t from, uint64_t to, char *ret, size_t size);

/* Decoders of registers that are no MSRs, and of EFER, which also stands in struct kvm_sregs. */
extern const char cr0_bits[], cr4_bits[], efer_bits[], xcr0_bits[], rflags_bits[], dr6_bits[], dr7_bits[];

/* Does this kernel have KVM_CAP_ONE_REG on x86?  fd is /dev/kvm or a VM. */
bool kvm_reg_has_one_reg(int fd);

/*
 * Reads or writes one register of a vCPU.  0, or -1: the kernel refused it, errno set.  Any non-zero return of the
 * kernel is a refusal: the interface's first form gave a positive number for a refused MSR (errno is then EINVAL).
 * With KVM_REG_ACCESS_MSRS a synthetic register is refused with EINVAL.  The kernel's private MSR number for SSP
 * (0x4b564dff) is refused with EINVAL whatever the access: it never reaches the kernel.
 */
int kvm_reg_get(int vcpu_fd, enum kvm_reg_access access, uint64_t id, uint64_t *ret_value);
int kvm_reg_set(int vcpu_fd, enum kvm_reg_access access, uint64_t id, uint64_t value);

/*
 * Reads the values of many registers at once where they are MSRs (KVM_GET_MSRS), one by one otherwise.
 * ret_ok[i] says whether values[i].value could be read; after an error neither counts.  Only for reading back: what is
 * saved goes through kvm_reg_get().
 */
int kvm_reg_get_many(int vcpu_fd, struct kvm_reg_value *values, size_t nr, bool *ret_ok, struct error *err);

/*
 * Lists ids: KVM_GET_MSR_INDEX_LIST (of /dev/kvm), and KVM_GET_REG_LIST (of a vCPU; an empty list where the kernel
 * has none).  The caller frees *ret_ids.
 */
int kvm_reg_list_msrs(int kvm_fd, uint64_t **ret_ids, size_t *ret_nr, struct error *err);
int kvm_reg_list_synthetic(int vcpu_fd, uint64_t **ret_ids, size_t *ret_nr, struct error *err);

#endif
