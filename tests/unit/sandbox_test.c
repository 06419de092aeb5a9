#include "unit.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/sandbox.h"

#ifdef STASIS_INSTRUMENTED
int main(void)
{
	printf("SKIPPED: the sandbox is off in builds for sanitizers and gcov, whose runtimes use system calls of their own\n");
	return 77;
}
#else

/* Runs what in a confined child; returns the status that waitpid() gave. */
static int confined(unsigned needs, void (*what)(void))
{
	int status = -1;
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		if (sandbox_enter(needs, NULL) < 0)
			_exit(2);
		what();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return status;
}

static void do_nothing(void)
{
}

static void print(void)
{
	if (write(STDOUT_FILENO, "", 0) != 0)
		_exit(1);
}

static void open_file(void)
{
	close(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* As many as a list of registers may have. */
static void sort_many(void)
{
	int numbers[1024];
	for (int i = 0; i < 1024; i++)
		numbers[i] = 1024 - i;
	qsort(numbers, 1024, sizeof(numbers[0]), by_value);
}

static void make_event(void)
{
	if (eventfd(0, EFD_CLOEXEC) < 0)
		_exit(1);
}

static void connect_out(void)
{
	socket(AF_INET, SOCK_STREAM, 0);
}

/* No socket is needed to see whether the calls are let through. */
static void take_client(void)
{
	struct msghdr message = { 0 };
	if (accept4(-1, NULL, NULL, SOCK_CLOEXEC) >= 0 || recvmsg(-1, &message, 0) >= 0)
		_exit(1);
}

static void start_program(void)
{
	char *const none[] = { NULL };
	execve("/bin/true", none, none);
}

static void trace_parent(void)
{
	syscall(SYS_ptrace, 0, 0, 0, 0);
}

/* No descriptor is needed to see whether the request is let through. */
static void bring_page(void)
{
	if (ioctl(-1, UFFDIO_COPY, NULL) >= 0 || ioctl(-1, UFFDIO_UNREGISTER, NULL) >= 0)
		_exit(1);
}

static void protect_page(void)
{
	ioctl(-1, UFFDIO_WRITEPROTECT, NULL);
}

static bool was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static bool was_allowed(int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

START_TEST(what_a_machine_uses_is_allowed)
{
	ck_assert(was_allowed(confined(0, do_nothing)));
	ck_assert(was_allowed(confined(0, print)));
	ck_assert(was_allowed(confined(SANDBOX_CREATE, open_file)));
	ck_assert(was_allowed(confined(SANDBOX_CREATE, sort_many)));
	ck_assert(was_allowed(confined(SANDBOX_RESTORE, make_event)));
	ck_assert(was_allowed(confined(SANDBOX_CONTROL, take_client)));
	ck_assert(was_allowed(confined(SANDBOX_CREATE | SANDBOX_CONTROL, open_file)));
	ck_assert(was_allowed(confined(SANDBOX_RESTORE | SANDBOX_ARRIVAL, bring_page)));
	ck_assert(was_allowed(confined(SANDBOX_RESTORE | SANDBOX_ARRIVAL, print)));
}
END_TEST

START_TEST(everything_else_ends_the_process)
{
	ck_assert(was_killed(confined(0, open_file)));
	ck_assert(was_killed(confined(SANDBOX_CREATE, make_event)));
	ck_assert(was_killed(confined(SANDBOX_CONTROL, open_file)));
	ck_assert(was_killed(confined(SANDBOX_CREATE | SANDBOX_RESTORE, take_client)));
	ck_assert(was_killed(confined(SANDBOX_CREATE | SANDBOX_RESTORE | SANDBOX_CONTROL, connect_out)));
	ck_assert(was_killed(confined(SANDBOX_CREATE | SANDBOX_RESTORE, start_program)));
	ck_assert(was_killed(confined(SANDBOX_CREATE, trace_parent)));
	ck_assert(was_killed(confined(SANDBOX_RESTORE | SANDBOX_CREATE | SANDBOX_CONTROL, bring_page)));
	ck_assert(was_killed(confined(SANDBOX_RESTORE | SANDBOX_ARRIVAL, protect_page)));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { what_a_machine_uses_is_allowed, everything_else_ends_the_process };
	if (getenv("UNDER_VALGRIND") != NULL) { /* scripts/valgrind.sh */
		printf("SKIPPED: valgrind does not know the system call seccomp\n");
		return 77;
	}
	return unit_run(unit_suite_with(NULL, NULL, "sandbox", tests, sizeof(tests) / sizeof(tests[0])));
}

#endif
