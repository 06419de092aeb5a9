#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define CTRL_A 0x01

/* A signal handler is given nothing but the signal's number, so what it has to put back stands here. */
static _Atomic(const struct terminal *) guarded;

/* As raw mode of termios(3), except that output keeps OPOST: our own messages end in a bare newline. */
static struct termios make_raw(const struct termios *saved)
{
	struct termios raw = *saved;
	raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	raw.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
	raw.c_cflag |= CS8;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	return raw;
}

/* In the background the terminal is another process's: a change would spoil its mode and stop us (SIGTTOU). */
static bool is_in_background(int fd)
{
	pid_t foreground = tcgetpgrp(fd);
	return foreground >= 0 && foreground != getpgrp();
}

/* Async-signal-safe, like all that it calls. */
static void put_back(const struct terminal *terminal)
{
	if (terminal != NULL && terminal->is_raw && !is_in_background(terminal->fd))
		tcsetattr(terminal->fd, TCSANOW, &terminal->saved);
}

void terminal_put_back(void)
{
	put_back(atomic_load(&guarded));
}

int terminal_open(struct terminal *ret, int fd, struct error *err)
{
	struct terminal terminal = { .fd = fd };
	if (fd >= 0 && isatty(fd)) {
		if (tcgetattr(fd, &terminal.saved) < 0)
			return error_errno(err, ERROR_SYSTEM, "the terminal's settings cannot be read");
		struct termios raw = make_raw(&terminal.saved);
		if (tcsetattr(fd, TCSANOW, &raw) < 0)
			return error_errno(err, ERROR_SYSTEM, "the terminal cannot be put into raw mode");
		terminal.is_raw = true;
	}
	*ret = terminal;
	return 0;
}

bool terminal_filter(bool *in_escape, uint8_t byte, enum terminal_key *ret_key)
{
	static const enum terminal_key keys[UINT8_MAX + 1] = {
		['x'] = TERMINAL_QUIT,
		['s'] = TERMINAL_SNAPSHOT,
		['h'] = TERMINAL_HELP,
	};
	/* A first Ctrl-A is held back, a second one sent. */
	bool is_escaped = *in_escape;
	*in_escape = !is_escaped && byte == CTRL_A;
	*ret_key = is_escaped ? keys[byte] : TERMINAL_NONE;
	return is_escaped == (byte == CTRL_A);
}

static bool has_input(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	return poll(&wait, 1, 0) == 1;
}

size_t terminal_read(struct terminal *terminal, uint8_t *ret, size_t size, enum terminal_key *ret_key)
{
	size_t used = 0;
	*ret_key = TERMINAL_NONE;
	if (terminal->fd < 0)
		return 0;
	/* One byte at a time leaves in the kernel what is behind an escape. */
	while (used < size && *ret_key == TERMINAL_NONE) {
		uint8_t byte;
		ssize_t got = read(terminal->fd, &byte, 1);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			break;
		if (got <= 0) {
			terminal_close(terminal);
			break;
		}
		if (terminal_filter(&terminal->in_escape, byte, ret_key))
			ret[used++] = byte;
		if (!has_input(terminal->fd))
			break;
	}
	return used;
}

void terminal_close(struct terminal *terminal)
{
	put_back(terminal);
	const struct terminal *ours = terminal;
	atomic_compare_exchange_strong(&guarded, &ours, NULL);
	terminal->is_raw = false;
	terminal->fd = -1;
}

/*
 * For the signals that end, crash or stop the process.  Their default action is back already (SA_RESETHAND), and the
 * raised signal waits until this handler returns: the process ends or stops as it would have without us.
 */
static void put_back_and_raise(int signal_number)
{
	int saved_errno = errno;
	terminal_put_back();
	raise(signal_number);
	errno = saved_errno;
}

static void handle(int signal_number, void (*handler)(int), unsigned flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = (int)flags }, old;
	/* No handler interrupts another. */
	sigfillset(&action.sa_mask);
	/* What the process was started to ignore (nohup, a shell's background job), it goes on ignoring; crash.c has
	 * SIGBUS. */
	if (sigaction(signal_number, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
		sigaction(signal_number, &action, NULL);
}

static void guard_stop(void)
{
	handle(SIGTSTP, put_back_and_raise, SA_RESETHAND);
}

/* The process goes on: raw mode again, and the next stop is ours again. */
static void go_on(int signal_number)
{
	(void)signal_number;
	int saved_errno = errno;
	const struct terminal *terminal = atomic_load(&guarded);
	if (terminal != NULL && terminal->is_raw && !is_in_background(terminal->fd)) {
		struct termios raw = make_raw(&terminal->saved);
		tcsetattr(terminal->fd, TCSANOW, &raw);
	}
	guard_stop();
	errno = saved_errno;
}

void terminal_guard(const struct terminal *terminal)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE };
	atomic_store(&guarded, terminal);
	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
		handle(ending[i], put_back_and_raise, SA_RESETHAND);
	guard_stop();
	handle(SIGCONT, go_on, SA_RESTART);
}
