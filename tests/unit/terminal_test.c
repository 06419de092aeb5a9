#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/terminal.h"

/* A terminal with settings that are nobody's default, so that a reset by the kernel is not taken for our work. */
struct pty {
	int master, slave;
	struct termios settings;
};

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE };
#define NR_ENDING_SIGNALS (sizeof(ending_signals) / sizeof(ending_signals[0]))

static struct termios settings_of(int fd)
{
	struct termios settings;
	ck_assert_int_eq(tcgetattr(fd, &settings), 0);
	return settings;
}

static bool is_same(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
	       a->c_lflag == b->c_lflag && memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

static bool is_put_back(const struct pty *pty)
{
	struct termios now = settings_of(pty->slave);
	return is_same(&now, &pty->settings);
}

static bool is_raw(const struct pty *pty)
{
	return (settings_of(pty->slave).c_lflag & (ICANON | ECHO | ISIG)) == 0;
}

static void pty_open(struct pty *pty)
{
	ck_assert_int_eq(openpty(&pty->master, &pty->slave, NULL, NULL, NULL), 0);
	struct termios settings = settings_of(pty->slave);
	settings.c_iflag |= ISTRIP | INLCR | IGNBRK;
	settings.c_lflag &= ~(tcflag_t)ECHOE;
	settings.c_cc[VINTR] = 7;
	settings.c_cc[VMIN] = 5;
	settings.c_cc[VTIME] = 6;
	ck_assert_int_eq(tcsetattr(pty->slave, TCSANOW, &settings), 0);
	pty->settings = settings_of(pty->slave);
}

/* Waits until the child has handled the signals that it was sent before: they come before what it reads. */
static void settle(int child)
{
	char byte = 0;
	ck_assert_int_eq(write(child, &byte, 1), 1);
	ck_assert_int_eq(read(child, &byte, 1), 1);
}

static void answer(int parent)
{
	for (;;) {
		char byte;
		ssize_t got = read(parent, &byte, 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got != 1 || write(parent, &byte, 1) != 1)
			_exit(1);
	}
}

static void be_a_child(void)
{
	static const struct rlimit no_core = { 0, 0 };
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &no_core);
	/* Whoever runs the tests may have them ignored, or Check handle them. */
	for (size_t i = 0; i < NR_ENDING_SIGNALS; i++)
		signal(ending_signals[i], SIG_DFL);
	signal(SIGTSTP, SIG_DFL);
	/* A stop signal does nothing in an orphaned process group; one's own group under a living parent is none. */
	setpgid(0, 0);
}

/* Starts a process that puts the pty into raw mode, guards it, and then does what prepare does. */
static pid_t start_guarded(const struct pty *pty, void (*prepare)(struct terminal *terminal), int *ret_child)
{
	int ends[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct terminal terminal;
		close(ends[0]);
		be_a_child();
		if (terminal_open(&terminal, pty->slave, NULL) < 0)
			_exit(1);
		terminal_guard(&terminal);
		if (prepare != NULL)
			prepare(&terminal);
		answer(ends[1]);
	}
	close(ends[1]);
	*ret_child = ends[0];
	return pid;
}

static void expect_death(pid_t pid, int signal_number)
{
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), signal_number);
}

START_TEST(escapes_are_taken_out)
{
	static const struct {
		const char *in, *guest;
		enum terminal_key key; /* of the last byte */
		bool in_escape;
	} rows[] = {
		{ "abc", "abc", TERMINAL_NONE, false },
		{ "xsh", "xsh", TERMINAL_NONE, false },
		{ "\3\4\32\177", "\3\4\32\177", TERMINAL_NONE, false },
		{ "a\1", "a", TERMINAL_NONE, true },
		{ "\1x", "", TERMINAL_QUIT, false },
		{ "a\1s", "a", TERMINAL_SNAPSHOT, false },
		{ "\1h", "", TERMINAL_HELP, false },
		{ "\1\1", "\1", TERMINAL_NONE, false },
		{ "\1\1x", "\1x", TERMINAL_NONE, false },
		{ "\1\1\1x", "\1", TERMINAL_QUIT, false },
		{ "\1qb", "b", TERMINAL_NONE, false },
		{ "\1\377", "", TERMINAL_NONE, false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool in_escape = false;
		enum terminal_key key = TERMINAL_QUIT;
		char guest[16] = { 0 };
		size_t used = 0;
		for (const char *c = rows[i].in; *c != '\0'; c++)
			if (terminal_filter(&in_escape, (uint8_t)*c, &key))
				guest[used++] = *c;
		ck_assert_str_eq(guest, rows[i].guest);
		ck_assert_int_eq(key, rows[i].key);
		ck_assert(in_escape == rows[i].in_escape);
	}
}
END_TEST

START_TEST(input_is_read_up_to_an_escape)
{
	struct terminal terminal;
	enum terminal_key key;
	uint8_t got[8];
	int fds[2];
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(terminal_open(&terminal, fds[0], NULL), 0);
	ck_assert(!terminal.is_raw);
	ck_assert_int_eq(write(fds[1], "ab\1scdefg\1", 10), 10);
	ck_assert_uint_eq(terminal_read(&terminal, got, sizeof(got), &key), 2);
	ck_assert_mem_eq(got, "ab", 2);
	ck_assert_int_eq(key, TERMINAL_SNAPSHOT);
	struct pollfd wait = { .fd = terminal.fd, .events = POLLIN };
	ck_assert_int_eq(poll(&wait, 1, 0), 1);
	/* No more than there is room for. */
	ck_assert_uint_eq(terminal_read(&terminal, got, 3, &key), 3);
	ck_assert_mem_eq(got, "cde", 3);
	ck_assert_int_eq(key, TERMINAL_NONE);
	ck_assert_uint_eq(terminal_read(&terminal, got, sizeof(got), &key), 2);
	ck_assert_mem_eq(got, "fg", 2);
	/* An escape may come in two halves. */
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	ck_assert_uint_eq(terminal_read(&terminal, got, sizeof(got), &key), 0);
	ck_assert_int_eq(key, TERMINAL_QUIT);
}
END_TEST

START_TEST(the_end_of_input_is_the_end_of_reading)
{
	struct terminal terminal;
	enum terminal_key key = TERMINAL_QUIT;
	uint8_t got[8];
	int fds[2];
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(terminal_open(&terminal, fds[0], NULL), 0);
	ck_assert_int_eq(write(fds[1], "ab", 2), 2);
	close(fds[1]);
	ck_assert_uint_eq(terminal_read(&terminal, got, sizeof(got), &key), 2);
	ck_assert_int_eq(terminal.fd, -1);
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), 0);
	key = TERMINAL_QUIT;
	ck_assert_uint_eq(terminal_read(&terminal, got, sizeof(got), &key), 0);
	ck_assert_int_eq(key, TERMINAL_NONE);
	ck_assert_int_eq(terminal_open(&terminal, -1, NULL), 0);
	ck_assert_uint_eq(terminal_read(&terminal, got, sizeof(got), &key), 0);
	terminal_close(&terminal);
}
END_TEST

START_TEST(nothing_there_yet_is_not_the_end)
{
	struct terminal terminal;
	enum terminal_key key;
	uint8_t got[8];
	int fds[2];
	ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
	ck_assert_int_eq(terminal_open(&terminal, fds[0], NULL), 0);
	ck_assert_uint_eq(terminal_read(&terminal, got, sizeof(got), &key), 0);
	ck_assert_int_eq(terminal.fd, fds[0]);
}
END_TEST

START_TEST(raw_mode_comes_and_goes)
{
	struct pty pty;
	struct terminal terminal;
	enum terminal_key key;
	/* Interrupt, end, stop, flow control, carriage return, a byte of eight bits. */
	static const uint8_t keys[] = { 3, 4, 7, 26, 17, 19, '\r', '\n', 0xe9 };
	uint8_t got[sizeof(keys)];
	pty_open(&pty);
	ck_assert_int_eq(terminal_open(&terminal, pty.slave, NULL), 0);
	ck_assert(terminal.is_raw);
	ck_assert_int_eq(write(pty.master, keys, sizeof(keys)), sizeof(keys));
	ck_assert_uint_eq(terminal_read(&terminal, got, sizeof(got), &key), sizeof(keys));
	ck_assert_mem_eq(got, keys, sizeof(keys));
	/* One key is input, and nothing is echoed. */
	ck_assert_int_eq(write(pty.master, "k", 1), 1);
	ck_assert_uint_eq(terminal_read(&terminal, got, sizeof(got), &key), 1);
	/* A newline of ours still goes back to the first column. */
	char shown[4] = { 0 };
	ck_assert_int_eq(write(pty.slave, "\n", 1), 1);
	ck_assert_int_eq(read(pty.master, shown, sizeof(shown)), 2);
	ck_assert_str_eq(shown, "\r\n");
	terminal_close(&terminal);
	ck_assert(!terminal.is_raw);
	ck_assert_int_eq(terminal.fd, -1);
	ck_assert(is_put_back(&pty));
	terminal_close(&terminal);
}
END_TEST

START_TEST(a_signal_that_ends_the_process_puts_it_back)
{
	struct pty pty;
	pty_open(&pty);
	for (size_t i = 0; i < NR_ENDING_SIGNALS; i++) {
		int child;
		pid_t pid = start_guarded(&pty, NULL, &child);
		settle(child);
		ck_assert(is_raw(&pty));
		kill(pid, ending_signals[i]);
		expect_death(pid, ending_signals[i]);
		ck_assert(is_put_back(&pty));
		close(child);
	}
}
END_TEST

static void fail_an_assertion(struct terminal *terminal)
{
	(void)terminal;
	abort();
}

static void touch_what_is_not_there(struct terminal *terminal)
{
	(void)terminal;
	volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*page = 1;
}

START_TEST(a_crash_puts_it_back)
{
	struct pty pty;
	int child;
	pty_open(&pty);
	expect_death(start_guarded(&pty, fail_an_assertion, &child), SIGABRT);
	ck_assert(is_put_back(&pty));
	expect_death(start_guarded(&pty, touch_what_is_not_there, &child), SIGSEGV);
	ck_assert(is_put_back(&pty));
}
END_TEST

static void ignore_hangup(struct terminal *terminal)
{
	signal(SIGHUP, SIG_IGN);
	terminal_guard(terminal);
}

START_TEST(an_ignored_signal_stays_ignored)
{
	struct pty pty;
	int child;
	pty_open(&pty);
	pid_t pid = start_guarded(&pty, ignore_hangup, &child);
	settle(child);
	kill(pid, SIGHUP);
	kill(pid, SIGTERM);
	expect_death(pid, SIGTERM);
}
END_TEST

START_TEST(a_stopped_process_gives_it_back_and_takes_it_again)
{
	struct pty pty;
	int child, status;
	if (getenv("UNDER_VALGRIND") != NULL) { /* scripts/valgrind.sh */
		printf("SKIPPED: a terminal's stopped process: valgrind lets no process stop by a signal's default action\n");
		return;
	}
	pty_open(&pty);
	pid_t pid = start_guarded(&pty, NULL, &child);
	settle(child);
	/* Twice, for the second stop needs a handler as the first did. */
	for (int i = 0; i < 2; i++) {
		ck_assert(is_raw(&pty));
		kill(pid, SIGTSTP);
		ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
		ck_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
		ck_assert(is_put_back(&pty));
		kill(pid, SIGCONT);
		settle(child);
	}
	ck_assert(is_raw(&pty));
	kill(pid, SIGTERM);
	expect_death(pid, SIGTERM);
	ck_assert(is_put_back(&pty));
}
END_TEST

START_TEST(a_closed_terminal_is_guarded_no_more)
{
	struct pty pty;
	int child;
	pty_open(&pty);
	pid_t pid = start_guarded(&pty, terminal_close, &child);
	settle(child);
	ck_assert(is_put_back(&pty));
	pty.settings.c_lflag &= ~(tcflag_t)ECHO;
	ck_assert_int_eq(tcsetattr(pty.slave, TCSANOW, &pty.settings), 0);
	kill(pid, SIGCONT);
	settle(child);
	ck_assert(is_put_back(&pty));
	kill(pid, SIGTERM);
	expect_death(pid, SIGTERM);
	ck_assert(is_put_back(&pty));
}
END_TEST

/*
 * A shell in small: gives its terminal to a job, takes it back and sets it as it likes; the job is then in the
 * background and must leave it alone, whatever signal it gets.
 */
static void be_a_shell(struct pty *pty)
{
	int child;
	ck_assert_int_ge(setsid(), 0);
	ck_assert_int_eq(ioctl(pty->slave, TIOCSCTTY, 0), 0);
	signal(SIGTTOU, SIG_IGN);
	pid_t job = start_guarded(pty, NULL, &child);
	setpgid(job, job);
	ck_assert_int_eq(tcsetpgrp(pty->slave, job), 0);
	settle(child);
	ck_assert(is_raw(pty));
	ck_assert_int_eq(tcsetpgrp(pty->slave, getpgrp()), 0);
	pty->settings.c_lflag &= ~(tcflag_t)ECHO;
	ck_assert_int_eq(tcsetattr(pty->slave, TCSANOW, &pty->settings), 0);
	kill(job, SIGCONT);
	settle(child);
	ck_assert(is_put_back(pty));
	kill(job, SIGTERM);
	expect_death(job, SIGTERM);
	ck_assert(is_put_back(pty));
}

START_TEST(in_the_background_the_terminal_is_left_alone)
{
	struct pty pty;
	int status;
	pty_open(&pty);
	pid_t shell = fork();
	ck_assert_int_ge(shell, 0);
	if (shell == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		be_a_shell(&pty);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(shell, &status, 0), shell);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

UNIT_MAIN("terminal", escapes_are_taken_out, input_is_read_up_to_an_escape, the_end_of_input_is_the_end_of_reading,
	  nothing_there_yet_is_not_the_end, raw_mode_comes_and_goes, a_signal_that_ends_the_process_puts_it_back,
	  a_crash_puts_it_back, an_ignored_signal_stays_ignored, a_stopped_process_gives_it_back_and_takes_it_again,
	  a_closed_terminal_is_guarded_no_more, in_the_background_the_terminal_is_left_alone)
