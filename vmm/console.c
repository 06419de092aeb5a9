#include "console.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Fetches the thread out of a write that does not end; blocked everywhere else. */
#define CONSOLE_SIGNAL (SIGRTMIN + 1)

/* Waiting is counted in these: a process that was stopped for an hour has not waited for an hour. */
#define SLICE_US 50000u
#define KICK_US  2000u

struct console {
	int fd;
	uint64_t patience_us;
	pthread_mutex_t lock;   /* over all below */
	pthread_cond_t changed; /* signals every change */
	pthread_t thread;
	bool is_slow; /* its file cannot be written to without waiting: the thread does all */
	bool has_thread, is_hurried, is_closing, has_ended;
	_Atomic bool is_full; /* counts.waiting is above CONSOLE_FULL; read without the lock, too */
	struct console_counts counts;
	uint8_t *bytes; /* counts.waiting of them from head on, modulo CONSOLE_SIZE; NULL before the thread is there */
	size_t head;
};

static void on_signal(int signal_number)
{
	(void)signal_number;
}

int console_open(struct console **ret, int fd, uint64_t patience_us, struct error *err)
{
	struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART: it ends a write */
	struct console *console = calloc(1, sizeof(*console));
	pthread_condattr_t attributes;
	if (console == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a console");
	console->fd = fd;
	console->patience_us = patience_us;
	pthread_mutex_init(&console->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&console->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	sigemptyset(&action.sa_mask);
	sigaction(CONSOLE_SIGNAL, &action, NULL);
	*ret = console;
	return 0;
}

/* ---- The thread ---- */

/* One write, without the lock; what it takes, or 0 with errno set. */
static size_t write_piece(int fd, const uint8_t *data, size_t size)
{
	ssize_t n = write(fd, data, size);
	if (n > 0)
		return (size_t)n;
	if (n == 0)
		errno = EIO; /* nothing more would ever come of it */
	if (errno == EAGAIN) {
		/* Another process made it non-blocking. */
		struct pollfd wait = { .fd = fd, .events = POLLOUT };
		poll(&wait, 1, -1);
		errno = EINTR;
	}
	return 0;
}

static void set_waiting(struct console *console, uint64_t waiting)
{
	console->counts.waiting = waiting;
	console->is_full = waiting > CONSOLE_FULL;
}

static void take(struct console *console, size_t size, int error)
{
	struct console_counts *counts = &console->counts;
	if (size == 0 && error != EINTR) {
		counts->error = error;
		size = (size_t)counts->waiting;
	} else if (size > 0) {
		counts->taken += size;
		counts->is_stalled = false;
	}
	set_waiting(console, counts->waiting - size);
	/* An empty buffer starts at its start, so that one that never fills touches little memory. */
	console->head = counts->waiting == 0 ? 0 : (console->head + size) % CONSOLE_SIZE;
	pthread_cond_broadcast(&console->changed);
}

static void *console_thread(void *arg)
{
	struct console *console = arg;
	pthread_mutex_lock(&console->lock);
	while (!console->is_closing) {
		size_t size = (size_t)console->counts.waiting;
		const uint8_t *data = console->bytes + console->head;
		if (size == 0) {
			pthread_cond_wait(&console->changed, &console->lock);
			continue;
		}
		if (size > CONSOLE_SIZE - console->head)
			size = CONSOLE_SIZE - console->head;
		pthread_mutex_unlock(&console->lock);
		size = write_piece(console->fd, data, size < CONSOLE_PIECE ? size : CONSOLE_PIECE);
		int error = errno;
		pthread_mutex_lock(&console->lock);
		take(console, size, error);
	}
	console->has_ended = true;
	pthread_cond_broadcast(&console->changed);
	pthread_mutex_unlock(&console->lock);
	return NULL;
}

static void start(struct console *console)
{
	sigset_t blocked, before;
	console->bytes = malloc(CONSOLE_SIZE);
	if (console->bytes == NULL) {
		console->counts.error = ENOMEM;
		return;
	}
	sigfillset(&blocked);
	sigdelset(&blocked, CONSOLE_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &blocked, &before); /* the new thread inherits it */
	console->counts.error = pthread_create(&console->thread, NULL, console_thread, console);
	console->has_thread = console->counts.error == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- Those who print and wait ---- */

/* What the reader takes at once needs no thread, and no waking of one.  Returns how much that was. */
static size_t write_at_once(struct console *console, const void *data, size_t size)
{
	struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
	if (console->is_slow || console->counts.waiting > 0 || console->counts.error != 0)
		return 0;
	ssize_t n = pwritev2(console->fd, &piece, 1, -1, RWF_NOWAIT);
	/* Pipes can since Linux 6.4; terminals cannot. */
	console->is_slow = n < 0 && errno != EAGAIN && errno != EINTR;
	return n > 0 ? (size_t)n : 0;
}

static struct timespec after_us(uint64_t us)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	uint64_t ns = (uint64_t)at.tv_nsec + us * 1000;
	at.tv_sec += (time_t)(ns / 1000000000);
	at.tv_nsec = (long)(ns % 1000000000);
	return at;
}

/* Waits for a change; false where none came in time. */
static bool wait_until(struct console *console, const struct timespec *until)
{
	return pthread_cond_timedwait(&console->changed, &console->lock, until) != ETIMEDOUT;
}

static bool wait_us(struct console *console, uint64_t us)
{
	struct timespec until = after_us(us);
	return wait_until(console, &until);
}

void console_put(struct console *console, const void *data, size_t size)
{
	struct console_counts *counts = &console->counts;
	pthread_mutex_lock(&console->lock);
	size_t written = write_at_once(console, data, size);
	data = (const uint8_t *)data + written;
	size -= written;
	counts->taken += written;
	if (size > 0 && !console->has_thread && counts->error == 0)
		start(console);
	size_t limit = counts->is_stalled && !console->is_hurried ? CONSOLE_FULL : CONSOLE_SIZE;
	size_t room = counts->waiting < limit ? (size_t)(limit - counts->waiting) : 0;
	size_t kept = counts->error != 0 ? 0 : size < room ? size : room;
	for (size_t i = 0; i < kept; i++)
		console->bytes[(console->head + counts->waiting + i) % CONSOLE_SIZE] = ((const uint8_t *)data)[i];
	if (counts->error == 0)
		counts->dropped += size - kept;
	if (kept > 0 && counts->waiting == 0)
		pthread_cond_broadcast(&console->changed);
	set_waiting(console, counts->waiting + kept);
	pthread_mutex_unlock(&console->lock);
}

void console_wait(struct console *console)
{
	const struct console_counts *counts = &console->counts;
	uint64_t waited = 0, taken = 0;
	if (!console->is_full)
		return;
	pthread_mutex_lock(&console->lock);
	while (console->is_full && !console->is_hurried && !counts->is_stalled) {
		if (waited >= console->patience_us)
			console->counts.is_stalled = true;
		else if (!wait_us(console, SLICE_US))
			waited += SLICE_US;
		if (counts->taken != taken)
			waited = 0;
		taken = counts->taken;
	}
	pthread_mutex_unlock(&console->lock);
}

void console_hurry(struct console *console, bool is_hurried)
{
	pthread_mutex_lock(&console->lock);
	console->is_hurried = is_hurried;
	pthread_cond_broadcast(&console->changed);
	pthread_mutex_unlock(&console->lock);
}

bool console_flush(struct console *console, uint64_t us)
{
	struct timespec until = after_us(us);
	pthread_mutex_lock(&console->lock);
	while (console->counts.waiting > 0 && wait_until(console, &until))
		;
	bool is_empty = console->counts.waiting == 0;
	pthread_mutex_unlock(&console->lock);
	return is_empty;
}

struct console_counts console_count(struct console *console)
{
	pthread_mutex_lock(&console->lock);
	struct console_counts counts = console->counts;
	pthread_mutex_unlock(&console->lock);
	return counts;
}

void console_close(struct console *console)
{
	if (console == NULL)
		return;
	pthread_mutex_lock(&console->lock);
	console->is_closing = true;
	pthread_cond_broadcast(&console->changed);
	/* A signal that comes just before the write is one too few, so it is sent until it has done its work. */
	while (console->has_thread && !console->has_ended) {
		pthread_kill(console->thread, CONSOLE_SIGNAL);
		wait_us(console, KICK_US);
	}
	pthread_mutex_unlock(&console->lock);
	if (console->has_thread)
		pthread_join(console->thread, NULL);
	pthread_cond_destroy(&console->changed);
	pthread_mutex_destroy(&console->lock);
	free(console->bytes);
	free(console);
}
