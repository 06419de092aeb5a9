#include "kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cold.h"

#define DEVICE     "/dev/kvm"
#define HOSTS_HINT "or run it on an emulated host (tests/hosts/)"

/* What Stasis cannot do without; everything else it asks for when it needs it. */
static const struct {
	unsigned capability;
	const char *name, *used_for;
} required[] = {
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", "guest RAM" },
	{ KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID", "the guest's CPUID" },
	{ KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE", "a vCPU's run state" },
	{ KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS", "pending exceptions and interrupts" },
	{ KVM_CAP_XSAVE, "KVM_CAP_XSAVE", "the FPU's state" },
	{ KVM_CAP_XCRS, "KVM_CAP_XCRS", "XCR0" },
	{ KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS", "DR0 to DR7" },
	{ KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK", "the guest's clock" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "finishing a pending exit before a snapshot" },
};

int kvm_call_value(int fd, unsigned long request, unsigned long value)
{
	/* The third argument of ioctl(2) is a number for these requests; the wrapper's is a pointer. */
	return kvm_ioctl(fd, request, (void *)(uintptr_t)value);
}

int kvm_capability(int fd, unsigned capability)
{
	int result = kvm_call_value(fd, KVM_CHECK_EXTENSION, capability);
	return result < 0 ? 0 : result;
}

int kvm_enable_capability(int vm_fd, unsigned capability, uint64_t arg)
{
	struct kvm_enable_cap cap = { .cap = capability, .args = { arg } };
	return kvm_call(vm_fd, KVM_ENABLE_CAP, &cap);
}

/*
 * Guests get the large state of AMX only if the process asks for it before its first vCPU
 * (Documentation/arch/x86/xstate.rst). CPUs and kernels without it refuse, and then KVM does not offer it either.
 */
#define ARCH_REQ_XCOMP_GUEST_PERM 0x1025
#define XFEATURE_TILEDATA         18

static void ask_for_amx(void)
{
	syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_GUEST_PERM, XFEATURE_TILEDATA);
}

static int open_error(struct error *err)
{
	switch (errno) {
	case EACCES:
	case EPERM:
		return error_errno(err, ERROR_PERMISSION,
				   DEVICE
				   ": may not be opened; join the kvm group (usermod -aG kvm $USER), " HOSTS_HINT);
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return error_errno(err, ERROR_NO_KVM,
				   DEVICE ": there is no KVM; load its module (modprobe kvm_intel or kvm_amd), switch "
					  "virtualization on in the firmware, " HOSTS_HINT);
	default:
		return error_errno(err, ERROR_NO_KVM, DEVICE ": cannot be opened; " HOSTS_HINT);
	}
}

int kvm_open(struct error *err)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return open_error(err);
	int status, version = kvm_call_value(fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		status = error_set(err, ERROR_NO_KVM, DEVICE ": its API version is %d, expected %d; " HOSTS_HINT,
				   version, KVM_API_VERSION);
		goto fail;
	}
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		if (kvm_capability(fd, required[i].capability) == 0) {
			status = error_set(
				err, ERROR_NO_KVM,
				DEVICE
				": this kernel has no %s, which is needed for %s; take a newer kernel, " HOSTS_HINT,
				required[i].name, required[i].used_for);
			goto fail;
		}
	}
	ask_for_amx();
	return fd;
fail:
	close(fd);
	return status;
}

#define NAME(request)                                                                                                  \
	{                                                                                                              \
		request, #request                                                                                      \
	}
static const struct {
	unsigned long request;
	char name[24];
} request_names[] COLD = {
	NAME(KVM_GET_REGS),         NAME(KVM_SET_REGS),        NAME(KVM_GET_SREGS),       NAME(KVM_SET_SREGS),
	NAME(KVM_GET_SREGS2),       NAME(KVM_SET_SREGS2),      NAME(KVM_GET_XSAVE),       NAME(KVM_GET_XSAVE2),
	NAME(KVM_SET_XSAVE),        NAME(KVM_GET_XCRS),        NAME(KVM_SET_XCRS),        NAME(KVM_GET_DEBUGREGS),
	NAME(KVM_SET_DEBUGREGS),    NAME(KVM_GET_LAPIC),       NAME(KVM_SET_LAPIC),       NAME(KVM_GET_MP_STATE),
	NAME(KVM_SET_MP_STATE),     NAME(KVM_GET_VCPU_EVENTS), NAME(KVM_SET_VCPU_EVENTS), NAME(KVM_GET_NESTED_STATE),
	NAME(KVM_SET_NESTED_STATE), NAME(KVM_GET_CPUID2),      NAME(KVM_SET_CPUID2),      NAME(KVM_GET_IRQCHIP),
	NAME(KVM_SET_IRQCHIP),      NAME(KVM_GET_PIT2),        NAME(KVM_SET_PIT2),        NAME(KVM_GET_CLOCK),
	NAME(KVM_SET_CLOCK),        NAME(KVM_GET_ONE_REG),     NAME(KVM_SET_ONE_REG),     NAME(KVM_GET_REG_LIST),
	NAME(KVM_GET_MSRS),         NAME(KVM_SET_MSRS),
};
#undef NAME

const char *kvm_request_name(unsigned long request)
{
	cold_unpack();
	for (size_t i = 0; i < sizeof(request_names) / sizeof(request_names[0]); i++)
		if (request_names[i].request == request)
			return request_names[i].name;
	return "KVM ioctl";
}
