#include "kvm.h"

#include <errno.h>
#include <sys/ioctl.h>

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	int result;
	do {
		result = ioctl(fd, request, arg);
	} while (result < 0 && errno == EINTR && request != KVM_RUN);
	return result;
}
