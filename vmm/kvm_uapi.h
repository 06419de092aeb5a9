/*
 * <linux/kvm.h> with the names that older headers lack.  The numbers are Linux's ABI:
 * include/uapi/linux/kvm.h and arch/x86/include/uapi/asm/kvm.h (the ONE_REG part as of 6.18).
 */
#ifndef STASIS_VMM_KVM_UAPI_H
#define STASIS_VMM_KVM_UAPI_H

#include <linux/kvm.h>

/* Register ids, most significant first: architecture 63:56, log2 of the size 55:52, type 39:32, index 31:0. */
#ifndef KVM_REG_X86
#define KVM_REG_X86 0x2000000000000000ULL
#endif
#ifndef KVM_X86_REG_TYPE_MSR
#define KVM_X86_REG_TYPE_MSR 2
#endif
#ifndef KVM_X86_REG_TYPE_KVM
#define KVM_X86_REG_TYPE_KVM 3
#endif
/*
 * Linux's own macros for ids are statement expressions, which no static table can use, and give a synthetic register
 * that the header does not know a size of 0.  These are constants.
 */
#undef KVM_X86_REG_ID
#define KVM_X86_REG_ID(type, index) (KVM_REG_X86 | KVM_REG_SIZE_U64 | (__u64)(type) << 32 | (__u32)(index))
#undef KVM_X86_REG_MSR
#define KVM_X86_REG_MSR(index) KVM_X86_REG_ID(KVM_X86_REG_TYPE_MSR, index)
#undef KVM_X86_REG_KVM
#define KVM_X86_REG_KVM(index) KVM_X86_REG_ID(KVM_X86_REG_TYPE_KVM, index)
#ifndef KVM_REG_GUEST_SSP
#define KVM_REG_GUEST_SSP 0
#endif

/* The names of the interface as first proposed (up to v13 of the series) for the same numbers. */
#define KVM_X86_REG_TYPE_SYNTHETIC_MSR   KVM_X86_REG_TYPE_KVM
#define KVM_X86_REG_SYNTHETIC_MSR(index) KVM_X86_REG_KVM(index)

#ifndef KVM_CAP_X86_TRIPLE_FAULT_EVENT
#define KVM_CAP_X86_TRIPLE_FAULT_EVENT 218
#endif
#ifndef KVM_PIT_FLAGS_SPEAKER_DATA_ON
#define KVM_PIT_FLAGS_SPEAKER_DATA_ON 0x00000002
#endif

#endif
