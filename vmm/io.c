#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define NEW_FILE_MODE   0600 /* a guest's memory is nobody else's business */
#define NEW_FILE_SUFFIX ".stasis-unfinished"
#define NAME_TRIES      50
#define NAME_WAIT_NS    2000000

/* Instead of an offset: where the file stands, which then moves on. */
#define HERE UINT64_MAX

static ssize_t read_all(int fd, void *ret, size_t size, uint64_t offset)
{
	uint8_t *at = ret;
	size_t got = 0;
	while (got < size) {
		ssize_t n = offset == HERE ? read(fd, at + got, size - got)
					   : pread(fd, at + got, size - got, (off_t)(offset + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static int write_all(int fd, const void *data, size_t size, uint64_t offset)
{
	const uint8_t *at = data;
	size_t put = 0;
	while (put < size) {
		ssize_t n = offset == HERE ? write(fd, at + put, size - put)
					   : pwrite(fd, at + put, size - put, (off_t)(offset + put));
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO; /* nothing more would ever come of it */
		if (n <= 0)
			return -1;
		put += (size_t)n;
	}
	return 0;
}

ssize_t io_read_full(int fd, void *ret, size_t size)
{
	return read_all(fd, ret, size, HERE);
}

int io_write_full(int fd, const void *data, size_t size)
{
	return write_all(fd, data, size, HERE);
}

int io_pwrite_full(int fd, const void *data, size_t size, uint64_t offset)
{
	return write_all(fd, data, size, offset);
}

ssize_t io_pread_full(int fd, void *ret, size_t size, uint64_t offset)
{
	return read_all(fd, ret, size, offset);
}

bool io_pread_cached(int fd, void *ret, size_t size, uint64_t offset)
{
	const struct iovec piece = { .iov_base = ret, .iov_len = size };
	return preadv2(fd, &piece, 1, (off_t)offset, RWF_NOWAIT) == (ssize_t)size;
}

bool io_is_hole(int fd, uint64_t offset, uint64_t size)
{
	off_t data = lseek(fd, (off_t)offset, SEEK_DATA);
	return data < 0 ? errno == ENXIO : (uint64_t)data >= offset + size;
}

bool io_next_data(int fd, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end)
{
	off_t start = lseek(fd, (off_t)offset, SEEK_DATA);
	if (start < 0 && errno == ENXIO)
		return false;
	off_t end = start >= 0 ? lseek(fd, start, SEEK_HOLE) : -1;
	*ret_start = end >= 0 ? (uint64_t)start : offset;
	*ret_end = end >= 0 ? (uint64_t)end : (uint64_t)INT64_MAX;
	return true;
}

int io_read_file(const char *path, size_t size_max, struct buffer *ret, struct error *err)
{
	enum { CHUNK = 1 << 16 };
	struct buffer contents = { 0 };
	int status, fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, error_code_of_open(errno), "%s", path);
	for (;;) {
		void *at = buffer_append(&contents, NULL, CHUNK);
		if (at == NULL) {
			status = error_set(err, ERROR_SYSTEM, "%s: no memory for a file of this size", path);
			goto fail;
		}
		ssize_t n = io_read_full(fd, at, CHUNK);
		if (n < 0) {
			status = error_errno(err, ERROR_IO, "%s: reading", path);
			goto fail;
		}
		contents.size -= CHUNK - (size_t)n;
		if (contents.size > size_max) {
			status = error_set(err, ERROR_DATA, "%s: larger than the %zu bytes that fit", path, size_max);
			goto fail;
		}
		if (n < CHUNK)
			break;
	}
	close(fd);
	*ret = contents;
	return 0;
fail:
	close(fd);
	buffer_done(&contents);
	return status;
}

/* Only a regular file, or nothing yet, can be replaced by a rename. */
static int refuse_unless_file(const char *path, struct error *err)
{
	struct stat st;
	if (stat(path, &st) < 0) {
		if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
			return error_set(err, ERROR_CREATE, "%s is a symbolic link to nothing; name a file", path);
		return 0;
	}
	if (S_ISDIR(st.st_mode))
		return error_set(err, ERROR_CREATE, "%s is a folder; name a file in it", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_CREATE,
				 "%s is a device, a pipe or a socket; name a file, or - for standard output", path);
	return 0;
}

static int open_folder_of(const char *path, int flags)
{
	char *copy = strdup(path);
	if (copy == NULL)
		return -1;
	int fd = open(dirname(copy), flags | O_CLOEXEC, NEW_FILE_MODE);
	free(copy);
	return fd;
}

static bool is_at(int fd, const char *name)
{
	struct stat ours, there;
	return fstat(fd, &ours) == 0 && lstat(name, &there) == 0 && ours.st_dev == there.st_dev &&
	       ours.st_ino == there.st_ino;
}

/* False only where another process has it: a file system without locks must not keep anybody from writing. */
static bool lock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

/*
 * The temporary name belongs to whoever holds the lock of the file under it; one that nobody has locked was left by a
 * process that was killed.  Removes it, or waits a moment where it is not left over; -1 with errno set where that
 * fails.
 */
static int remove_leftover(const char *name)
{
	int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), result = 0;
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	if (!lock(fd))
		nanosleep(&(struct timespec){ .tv_nsec = NAME_WAIT_NS }, NULL);
	else if (is_at(fd, name))
		result = unlink(name);
	close(fd);
	return result;
}

/* Gives the nameless file its temporary name.  The first way needs no /proc, the second no privilege on older kernels.
 */
static int link_nameless(struct new_file *file)
{
	char self[32];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
	if (linkat(file->fd, "", AT_FDCWD, file->temporary, AT_EMPTY_PATH) == 0)
		return 0;
	return errno == EEXIST ? -1 : linkat(AT_FDCWD, self, AT_FDCWD, file->temporary, AT_SYMLINK_FOLLOW);
}

/* Where the file system knows no nameless files, the file has its temporary name from the start. */
static int create_named(struct new_file *file)
{
	int fd = open(file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, NEW_FILE_MODE);
	if (fd < 0)
		return -1;
	if (!lock(fd) || !is_at(fd, file->temporary)) { /* another process took it for a leftover */
		close(fd);
		errno = EEXIST;
		return -1;
	}
	file->fd = fd;
	return 0;
}

static int take_name(struct new_file *file, int (*attempt)(struct new_file *file))
{
	for (unsigned i = 0; i < NAME_TRIES; i++) {
		if (attempt(file) == 0) {
			file->is_named = true;
			return 0;
		}
		if (errno != EEXIST || remove_leftover(file->temporary) < 0)
			return -1;
	}
	errno = EBUSY;
	return -1;
}

static int cannot_create(const struct new_file *file, struct error *err)
{
	if (errno == EBUSY)
		return error_set(err, ERROR_CREATE, "%s: another process is writing it right now", file->path);
	return error_errno(err, errno == EACCES ? ERROR_PERMISSION : ERROR_CREATE,
			   "%s cannot be created beside its final name", file->path);
}

int new_file_create(struct new_file *ret, const char *path, struct error *err)
{
	struct new_file file = { .fd = -1 };
	int status = refuse_unless_file(path, err);
	if (status < 0)
		return status;
	/* A symbolic link stays one: what it points to is what is replaced. */
	file.path = realpath(path, NULL);
	if (file.path == NULL)
		file.path = strdup(path);
	char *temporary = NULL;
	if (file.path != NULL && asprintf(&temporary, "%s" NEW_FILE_SUFFIX, file.path) >= 0)
		file.temporary = temporary;
	if (file.temporary == NULL) {
		status = error_set(err, ERROR_SYSTEM, "%s: no memory for its name", path);
		goto fail;
	}
	file.fd = open_folder_of(file.path, O_TMPFILE | O_RDWR);
	if (file.fd >= 0)
		lock(file.fd);
	else if (take_name(&file, create_named) < 0) {
		status = cannot_create(&file, err);
		goto fail;
	}
	*ret = file;
	return 0;
fail:
	new_file_done(&file);
	return status;
}

static int sync_folder_of(const char *path)
{
	int fd = open_folder_of(path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return -1;
	int result = fsync(fd);
	close(fd);
	return result;
}

int new_file_commit(struct new_file *file, struct error *err)
{
	if (fsync(file->fd) < 0)
		return error_errno(err, ERROR_IO, "%s: bringing it to the disk", file->path);
	if (!file->is_named && take_name(file, link_nameless) < 0)
		return cannot_create(file, err);
	if (rename(file->temporary, file->path) < 0)
		return error_errno(err, ERROR_CREATE, "%s: giving it its name", file->path);
	file->is_named = false;
	if (sync_folder_of(file->path) < 0)
		return error_errno(err, ERROR_IO, "%s: bringing its name to the disk", file->path);
	return 0;
}

void new_file_done(struct new_file *file)
{
	if (file == NULL)
		return;
	if (file->is_named)
		unlink(file->temporary);
	if (file->path != NULL && file->fd >= 0)
		close(file->fd);
	free(file->temporary);
	free(file->path);
	*file = (struct new_file){ .fd = -1 };
}
