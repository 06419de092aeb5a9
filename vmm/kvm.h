/*
 * The one way to KVM's ioctls.  kvm_call() refuses at compile time an argument whose size is not the one that the
 * request encodes; kvm_call_value() is for requests that take a number or nothing; kvm_call_sized() is for those whose
 * argument has a tail of entries.  All end in kvm_ioctl(), which a test can replace by a model of the kernel.
 */
#ifndef STASIS_VMM_KVM_H
#define STASIS_VMM_KVM_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "kvm_uapi.h"

/* ioctl(2), repeated on EINTR except for KVM_RUN.  In kvm_ioctl.c; unit tests link a model instead. */
int kvm_ioctl(int fd, unsigned long request, void *arg);

/* Evaluates to 0; does not compile where the argument's size is not the request's. */
#define KVM_CHECK_SIZE(request, arg)                                                                                   \
	(0 * sizeof(struct {                                                                                           \
		 _Static_assert(sizeof(*(arg)) == _IOC_SIZE(request), "argument of another size than " #request);      \
		 int unused;                                                                                           \
	 }))

#define kvm_call(fd, request, arg)       kvm_ioctl((fd), (request) + KVM_CHECK_SIZE(request, arg), (arg))
#define kvm_call_sized(fd, request, arg) kvm_ioctl((fd), (request), (arg))
int kvm_call_value(int fd, unsigned long request, unsigned long value);

/*
 * Opens /dev/kvm and holds it against the table of required capabilities.
 * Returns the descriptor, or a negative code with a sentence that says what to do: ERROR_NO_KVM where the device
 * is missing or too old, ERROR_PERMISSION where it may not be opened.
 */
int kvm_open(struct error *err);

/* KVM_CHECK_EXTENSION on /dev/kvm or a VM: 0 where the kernel does not have it. */
int kvm_capability(int fd, unsigned capability);

/* The kernel's name of a request, "KVM_GET_REGS"; "KVM ioctl" for one that has no row. */
const char *kvm_request_name(unsigned long request);

/* KVM_ENABLE_CAP on a VM with args[0] = arg. */
int kvm_enable_capability(int vm_fd, unsigned capability, uint64_t arg);

#endif
