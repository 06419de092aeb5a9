/*
 * What the guest prints, on its way to a reader who may be slow or stand still: a bounded buffer, and a thread that
 * empties it with plain writes, so that the file description, which other processes may share, stays as it is.
 *
 * The buffer has two marks.  Above CONSOLE_FULL, whoever fills it waits (console_wait()), so that a slow reader gets
 * everything.  Nobody waits while the machine is to pause: what its vCPUs still have to say goes behind that mark, up
 * to CONSOLE_SIZE.  Where the reader has taken nothing for as long as the console is patient, it is stalled: nobody
 * waits for it, and what does not fit below CONSOLE_FULL is dropped and counted, until it takes something again.
 */
#ifndef STASIS_VMM_CONSOLE_H
#define STASIS_VMM_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define CONSOLE_FULL  (64u << 10)
#define CONSOLE_SIZE  (2u << 20) /* more than FINISH_EXITS_MAX bytes of each of VM_VCPUS_MAX vCPUs */
#define CONSOLE_PIECE 1024u      /* bytes of a write: a reader takes something when it has taken so many */

struct console;

struct console_counts {
	uint64_t taken;   /* bytes that were written */
	uint64_t waiting; /* bytes in the buffer */
	uint64_t dropped;
	bool is_stalled;
	int error; /* errno of the write that failed; from then on all is thrown away.  0: none did */
};

/* A console that writes to fd, which stays the caller's; patience_us: see above.  Its thread starts with the first
 * byte. */
int console_open(struct console **ret, int fd, uint64_t patience_us, struct error *err);

/* Takes what is to be printed; does not wait. */
void console_put(struct console *console, const void *data, size_t size);

/* Waits until the buffer is no longer full, the reader counts as stalled, or the machine is to pause. */
void console_wait(struct console *console);

/* Nobody waits from now on (true), or they do again. */
void console_hurry(struct console *console, bool is_hurried);

/* Waits until all is written, or cannot be, but no longer than that.  Returns whether nothing is left. */
bool console_flush(struct console *console, uint64_t us);

struct console_counts console_count(struct console *console);

/* Ends the thread, in the middle of a write if need be, and frees the console with what is still in it.  Takes NULL. */
void console_close(struct console *console);

#endif
