/*
 * A model of what Linux does with KVM_GET_ONE_REG, KVM_SET_ONE_REG, KVM_GET_REG_LIST, KVM_GET_MSRS, KVM_SET_MSRS,
 * KVM_GET_MSR_INDEX_LIST and KVM_CHECK_EXTENSION, in the order of the kernel's checks (Linux 6.18,
 * arch/x86/kvm/x86.c).  It defines kvm_ioctl(): a test that links it needs no KVM.
 */
#ifndef STASIS_TESTS_KVM_MODEL_H
#define STASIS_TESTS_KVM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kvm_model_form {
	KVM_MODEL_NONE,   /* before 6.18: no ONE_REG on x86 */
	KVM_MODEL_V13,    /* the first patch of v13: no synthetic register, a refused MSR is a positive number */
	KVM_MODEL_MERGED, /* 6.18 and later */
};

struct kvm_model_msr {
	uint32_t index;
	uint64_t value;
	uint64_t reserved;   /* bits that no written value may have */
	bool is_read_only;   /* every write is refused */
	bool is_unsupported; /* reads 0 and takes 0 where it is listed; otherwise refused */
	bool is_dropped;     /* writes succeed and change nothing */
	bool is_listed;      /* in KVM_GET_MSR_INDEX_LIST */
};

/* One object stands for /dev/kvm, a VM and a vCPU; a test makes it, and may look into it and change it at any time. */
struct kvm_model {
	enum kvm_model_form form;
	bool has_shstk;
	uint64_t ssp;
	struct kvm_model_msr *msrs;
	size_t nr_msrs;
	const uint64_t *list; /* not NULL: what KVM_GET_REG_LIST gives, whatever has_shstk says */
	size_t nr_list;
	uint64_t one_reg_flips;    /* bits that ONE_REG reads the wrong way round */
	int fail_errno;            /* not 0: every ioctl fails with it */
	bool private_ssp_was_used; /* an MSR ioctl or an MSR's id named 0x4b564dff */
	unsigned nr_calls;
};

/* Addresses from here on cannot be read or written, as in the kernel's half of the address space. */
#define KVM_MODEL_BAD_ADDRESS 0x8000000000000000

/* Gives a model a descriptor for kvm_ioctl(); it stays the caller's.  At most 4 at a time. */
int kvm_model_open(struct kvm_model *model);
void kvm_model_close(int fd);

#endif
