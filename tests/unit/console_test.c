#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "vmm/console.h"

#define A_MOMENT_US 10000
#define LONG_US     60000000

static struct console *console;
static int reader, writer;
static uint8_t bytes[CONSOLE_SIZE];

static void open_with(uint64_t patience_us)
{
	struct error err;
	console_close(console);
	ck_assert_int_eq(console_open(&console, writer, patience_us, &err), 0);
}

static void setup(void)
{
	int fds[2];
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	reader = fds[0];
	writer = fds[1];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 251);
	open_with(LONG_US);
}

static void teardown(void)
{
	console_close(console);
	console = NULL;
	close(reader);
	close(writer);
}

/* What comes out of the pipe must be these bytes. */
static void take(const uint8_t *expected, size_t size)
{
	static uint8_t got[CONSOLE_SIZE];
	size_t at = 0;
	while (at < size) {
		ssize_t n = read(reader, got + at, size - at);
		ck_assert_int_gt(n, 0);
		at += (size_t)n;
	}
	ck_assert_mem_eq(got, expected, size);
}

/* Puts more than the pipe takes, and waits until it is full; returns how much is put. */
static size_t fill(void)
{
	size_t size = CONSOLE_SIZE;
	uint64_t full = console_count(console).taken + (uint64_t)fcntl(writer, F_GETPIPE_SZ);
	console_put(console, bytes, size);
	while (console_count(console).taken < full)
		console_flush(console, A_MOMENT_US);
	struct console_counts counts = console_count(console);
	ck_assert_uint_eq(counts.taken, full);
	ck_assert_uint_gt(counts.waiting, CONSOLE_FULL);
	return size;
}

START_TEST(all_arrives_in_order)
{
	console_put(console, bytes, 1);
	console_put(console, bytes + 1, 999);
	ck_assert(console_flush(console, LONG_US));
	take(bytes, 1000);
	/* More than the pipe holds, and twice round the buffer. */
	for (int round = 0; round < 2; round++) {
		console_put(console, bytes, CONSOLE_SIZE);
		take(bytes, CONSOLE_SIZE);
		ck_assert(console_flush(console, LONG_US));
	}
	struct console_counts counts = console_count(console);
	ck_assert_uint_eq(counts.taken, 1000 + 2 * (uint64_t)CONSOLE_SIZE);
	ck_assert_uint_eq(counts.waiting + counts.dropped, 0);
}
END_TEST

START_TEST(nobody_waits_below_the_mark)
{
	console_put(console, bytes, CONSOLE_FULL);
	console_wait(console);
	ck_assert(!console_count(console).is_stalled);
}
END_TEST

START_TEST(a_reader_that_takes_nothing_is_stalled_until_it_does)
{
	open_with(1);
	size_t size = fill();
	console_wait(console);
	ck_assert(console_count(console).is_stalled);
	console_wait(console); /* and is not waited for again */
	struct console_counts before = console_count(console);
	console_put(console, bytes, 100);
	ck_assert_uint_eq(console_count(console).dropped, before.dropped + 100);
	take(bytes, size);
	ck_assert(console_flush(console, LONG_US));
	ck_assert(!console_count(console).is_stalled);
	console_put(console, bytes, 100);
	take(bytes, 100);
	ck_assert_uint_eq(console_count(console).dropped, before.dropped + 100);
}
END_TEST

START_TEST(nobody_waits_in_a_hurry)
{
	console_hurry(console, true);
	fill();
	console_wait(console);
	ck_assert(!console_count(console).is_stalled);
}
END_TEST

START_TEST(the_buffer_has_an_end)
{
	fill();
	struct console_counts before = console_count(console);
	console_put(console, bytes, CONSOLE_SIZE);
	struct console_counts after = console_count(console);
	ck_assert_uint_eq(after.waiting, CONSOLE_SIZE);
	ck_assert_uint_eq(after.dropped - before.dropped, before.waiting);
}
END_TEST

START_TEST(a_write_that_does_not_end_ends_with_the_console)
{
	fill();
	console_close(console);
	console = NULL;
	ck_assert_int_eq(fcntl(writer, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

START_TEST(a_failed_write_is_told_and_throws_all_away)
{
	close(reader);
	console_put(console, bytes, 5000);
	ck_assert(console_flush(console, LONG_US));
	console_put(console, bytes, 5000);
	struct console_counts counts = console_count(console);
	ck_assert_int_eq(counts.error, EPIPE);
	ck_assert_uint_eq(counts.waiting + counts.dropped, 0);
	reader = dup(writer);
}
END_TEST

START_TEST(a_non_blocking_writer_waits_too)
{
	ck_assert_int_eq(fcntl(writer, F_SETFL, O_NONBLOCK), 0);
	size_t size = fill();
	take(bytes, size);
	ck_assert(console_flush(console, LONG_US));
	fill(); /* and is ended while it waits */
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		all_arrives_in_order,
		nobody_waits_below_the_mark,
		a_reader_that_takes_nothing_is_stalled_until_it_does,
		nobody_waits_in_a_hurry,
		the_buffer_has_an_end,
		a_write_that_does_not_end_ends_with_the_console,
		a_failed_write_is_told_and_throws_all_away,
		a_non_blocking_writer_waits_too,
	};
	return unit_run(unit_suite_with(setup, teardown, "console", tests, sizeof(tests) / sizeof(tests[0])));
}
