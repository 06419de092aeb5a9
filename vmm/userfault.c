#include "userfault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef USERFAULTFD_IOC_NEW /* headers before Linux 6.1 lack it */
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

#define DEVICE "/dev/userfaultfd"
#define PAGE   4096u

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

int userfault_register(int fd, void *start, uint64_t size, struct error *err)
{
	struct uffdio_register range = { .range = { .start = (uintptr_t)start, .len = size },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };
	if (ioctl(fd, UFFDIO_REGISTER, &range) < 0)
		return error_errno(err, ERROR_SYSTEM, "UFFDIO_REGISTER of %llu bytes", (unsigned long long)size);
	return 0;
}

void userfault_unregister(int fd, void *start, uint64_t size)
{
	struct uffdio_range range = { .start = (uintptr_t)start, .len = size };
	ioctl(fd, UFFDIO_UNREGISTER, &range);
}

/* EAGAIN: the process's mappings are being changed; it passes. */
static int put(int fd, unsigned long request, void *arg)
{
	int result;
	do
		result = ioctl(fd, request, arg);
	while (result < 0 && (errno == EAGAIN || errno == EINTR));
	return result < 0 && errno != EEXIST ? -1 : 0;
}

int userfault_put(int fd, void *page, const void *data, struct error *err)
{
	struct uffdio_copy copy = { .dst = (uintptr_t)page, .src = (uintptr_t)data, .len = PAGE };
	return put(fd, UFFDIO_COPY, &copy) < 0 ? error_errno(err, ERROR_SYSTEM, "UFFDIO_COPY") : 0;
}

int userfault_put_zero(int fd, void *page, struct error *err)
{
	struct uffdio_zeropage zero = { .range = { .start = (uintptr_t)page, .len = PAGE } };
	return put(fd, UFFDIO_ZEROPAGE, &zero) < 0 ? error_errno(err, ERROR_SYSTEM, "UFFDIO_ZEROPAGE") : 0;
}

bool userfault_next(int fd, uint64_t *ret_address)
{
	struct uffd_msg message;
	ssize_t n;
	do
		n = read(fd, &message, sizeof(message));
	while (n == (ssize_t)sizeof(message) && message.event != UFFD_EVENT_PAGEFAULT);
	if (n != (ssize_t)sizeof(message))
		return false;
	*ret_address = message.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
	return true;
}
