#include "userfault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEVICE "/dev/userfaultfd"

/* The system call is for the privileged, or for all where vm.unprivileged_userfaultfd says so; the device is for whom
 * its mode lets in. */
static int open_any(struct error *err)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		return fd;
	int why = errno;
	if (why != EPERM)
		return error_errno(err, ERROR_SYSTEM, "userfaultfd");
	int device = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (device < 0)
		return error_errno(err, ERROR_PERMISSION,
				   "userfaultfd for the kernel's own accesses is not for this user: it takes "
				   "vm.unprivileged_userfaultfd=1, CAP_SYS_PTRACE, or " DEVICE);
	fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	int status = fd < 0 ? error_errno(err, ERROR_SYSTEM, DEVICE) : fd;
	close(device);
	return status;
}

int userfault_open(struct error *err)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_MISSING_SHMEM };
	int fd = open_any(err);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) == 0)
		return fd;
	int status = error_errno(err, ERROR_SYSTEM, "userfaultfd for a memfd: UFFDIO_API");
	close(fd);
	return status;
}

bool userfault_can(struct error *ret_why)
{
	int fd = userfault_open(ret_why);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}
