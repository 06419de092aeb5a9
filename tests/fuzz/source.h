/* Bytes in memory for file_read(): as a file that it maps, or as standard input that it can only read. */
#ifndef STASIS_TESTS_FUZZ_SOURCE_H
#define STASIS_TESTS_FUZZ_SOURCE_H

#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "snapshot/file.h"
#include "vmm/io.h"

/* The place of the first byte: standard input that is not at its start is not mapped. */
enum fuzz_way { FUZZ_FILE = 0, FUZZ_PIPE = 1 };

/* Standard input becomes a memory file that every input is written to. */
static inline void fuzz_source_open(void)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && dup2(fd, STDIN_FILENO) == STDIN_FILENO);
	if (fd != STDIN_FILENO)
		close(fd);
}

/* Gives the source these bytes from offset on, and nothing behind them. */
static inline void fuzz_source_put(enum fuzz_way way, uint64_t offset, const void *data, size_t size)
{
	uint64_t end = (uint64_t)way + offset + size;
	FUZZ_CHECK(io_pwrite_full(STDIN_FILENO, data, size, (uint64_t)way + offset) == 0);
	FUZZ_CHECK(ftruncate(STDIN_FILENO, (off_t)end) == 0);
}

/* Makes it as long as that; zeros stand behind what was put. */
static inline void fuzz_source_extend(uint64_t size)
{
	FUZZ_CHECK(ftruncate(STDIN_FILENO, (off_t)size) == 0);
}

static inline int fuzz_source_read(enum fuzz_way way, bool is_copied, struct image *ret, struct error *err)
{
	const char *path = way == FUZZ_FILE ? "/proc/self/fd/0" : "-";
	FUZZ_CHECK(lseek(STDIN_FILENO, way, SEEK_SET) == (off_t)way);
	int status = is_copied ? file_read_copy(path, ret, err) : file_read(path, ret, err);
	FUZZ_CHECK(status == 0 || (err->code != ERROR_NONE && err->text[0] != '\0'));
	/* ERROR_SYSTEM: RAM that does not fit the host.  ERROR_NO_INPUT: a parent that is not there. */
	FUZZ_CHECK(status == 0 || err->code == ERROR_DATA || err->code == ERROR_VERSION || err->code == ERROR_SYSTEM ||
		   err->code == ERROR_NO_INPUT || err->code == ERROR_PERMISSION);
	return status;
}

#endif
