#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t io_read_full(int fd, void *ret, size_t size)
{
	uint8_t *at = ret;
	size_t got = 0;
	while (got < size) {
		ssize_t n = read(fd, at + got, size - got);
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

int io_write_full(int fd, const void *data, size_t size)
{
	const uint8_t *at = data;
	while (size > 0) {
		ssize_t n = write(fd, at, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

int io_pwrite_full(int fd, const void *data, size_t size, uint64_t offset)
{
	const uint8_t *at = data;
	while (size > 0) {
		ssize_t n = pwrite(fd, at, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		at += n;
		size -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
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
	if (stat(path, &st) < 0)
		return 0;
	if (S_ISDIR(st.st_mode))
		return error_set(err, ERROR_CREATE, "%s is a folder; name a file in it", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_CREATE,
				 "%s is a device, a pipe or a socket; name a file, or - for standard output", path);
	return 0;
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
	if (file.path == NULL || asprintf(&file.temporary, "%s.XXXXXX", file.path) < 0) {
		file.temporary = NULL;
		status = error_set(err, ERROR_SYSTEM, "%s: no memory for its name", path);
		goto fail;
	}
	file.fd = mkostemp(file.temporary, O_CLOEXEC);
	if (file.fd < 0) {
		status = error_errno(err, errno == EACCES ? ERROR_PERMISSION : ERROR_CREATE,
				     "%s cannot be created beside its final name", path);
		free(file.temporary);
		file.temporary = NULL;
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
	char *copy = strdup(path);
	if (copy == NULL)
		return -1;
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(copy);
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
	if (rename(file->temporary, file->path) < 0)
		return error_errno(err, ERROR_CREATE, "%s: giving it its name", file->path);
	free(file->temporary);
	file->temporary = NULL;
	if (sync_folder_of(file->path) < 0)
		return error_errno(err, ERROR_IO, "%s: bringing its name to the disk", file->path);
	return 0;
}

void new_file_done(struct new_file *file)
{
	if (file == NULL)
		return;
	if (file->temporary != NULL)
		unlink(file->temporary);
	if (file->temporary != NULL || file->path != NULL)
		if (file->fd >= 0)
			close(file->fd);
	free(file->temporary);
	free(file->path);
	*file = (struct new_file){ .fd = -1 };
}
