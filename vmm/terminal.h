/*
 * The user's terminal in raw mode, with an escape key: Ctrl-A x quits, Ctrl-A s takes a snapshot, Ctrl-A h helps,
 * Ctrl-A Ctrl-A sends a Ctrl-A.  The terminal is always put back: on exit, and by terminal_restore_now(), which is
 * async-signal-safe, when a signal ends the process.
 */
#ifndef STASIS_VMM_TERMINAL_H
#define STASIS_VMM_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

#include "error.h"

enum terminal_key { TERMINAL_NONE, TERMINAL_QUIT, TERMINAL_SNAPSHOT, TERMINAL_HELP };

struct terminal {
	int fd;          /* standard input, or -1 where there is no input (any more) */
	bool is_raw;     /* it is a terminal and we changed it */
	bool in_escape;  /* the last byte was Ctrl-A */
	struct termios saved;
};

/* Puts fd into raw mode if it is a terminal.  fd may be -1: no input. */
int terminal_open(struct terminal *ret, int fd, struct error *err);

/*
 * Reads what is there (does not block if poll() said so) and takes escapes out of it.  Bytes for the guest go to ret,
 * at most size; returns their number.  *ret_key is the first escape found; bytes behind it stay for the next call.
 * At the end of input terminal->fd becomes -1.
 */
size_t terminal_read(struct terminal *terminal, uint8_t *ret, size_t size, enum terminal_key *ret_key);

/* Takes escapes out of bytes: the part of terminal_read() that needs no terminal. Returns the bytes for the guest,
 * *ret_used how many input bytes were used. */
size_t terminal_filter(struct terminal *terminal, const uint8_t *in, size_t in_size, uint8_t *ret, size_t *ret_used,
		       enum terminal_key *ret_key);

void terminal_close(struct terminal *terminal);

/*
 * Puts the terminal back whatever happens: installs handlers for the signals that end or crash the process, which
 * restore it and raise the signal again.  One terminal a process.
 */
void terminal_guard(const struct terminal *terminal);

#endif
