/*
 * The user's terminal in raw mode, with an escape key: Ctrl-A x quits, Ctrl-A s takes a snapshot, Ctrl-A h helps,
 * Ctrl-A Ctrl-A sends a Ctrl-A; Ctrl-A with any other key is dropped.  The terminal is always put back: by
 * terminal_close(), and once it is guarded also when a signal ends or stops the process.
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
	int fd;         /* standard input, or -1 where there is no input (any more); not owned */
	bool is_raw;    /* it is a terminal and we changed it */
	bool in_escape; /* the last byte was Ctrl-A */
	struct termios saved;
};

/* Puts fd into raw mode if it is a terminal; output keeps its post-processing.  fd may be -1: no input. */
int terminal_open(struct terminal *ret, int fd, struct error *err);

/*
 * Reads what is there (does not block if poll() said so) and takes escapes out of it.  Bytes for the guest go to ret,
 * at most size; returns their number.  *ret_key is the first escape found; bytes behind it stay for the next call,
 * in the kernel, so that poll() reports them.  At the end of input the terminal is closed: its fd becomes -1.
 */
size_t terminal_read(struct terminal *terminal, uint8_t *ret, size_t size, enum terminal_key *ret_key);

/*
 * One byte of input: the part of terminal_read() that needs no terminal.  Returns whether it is the guest's;
 * *ret_key is the escape that it ends, or TERMINAL_NONE.
 */
bool terminal_filter(bool *in_escape, uint8_t byte, enum terminal_key *ret_key);

/* Puts the guarded terminal back, if there is one.  For signal handlers. */
void terminal_put_back(void);

/* Puts the terminal back and ends its guard. */
void terminal_close(struct terminal *terminal);

/*
 * Installs handlers for the signals that end, crash or stop the process: they put the terminal back and raise the
 * signal again, and raw mode returns when a stopped process goes on.  Signals that are ignored, or that have a handler,
 * stay so. One terminal a process; it must stay where it is until it is closed.
 */
void terminal_guard(const struct terminal *terminal);

#endif
