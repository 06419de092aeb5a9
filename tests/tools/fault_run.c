/*
 * Runs a command and lets one system call of its new file go wrong: the process is killed there, or the call fails, or
 * does only half of its work.
 *
 *   fault_run [-n] [-f] count|kill|short|none|ERRNO N COMMAND [ARGUMENT...]
 *
 * Counted are the system calls of the thread that first creates a file, from that openat() (O_CREAT or O_TMPFILE) to
 * the close() of what it gave, and of a thread that it hands the file to, from its first call on it.  Those of other
 * threads, as of a sanitizer's runtime, would make the Nth another one in each run; what is written later, as by gcov's
 * runtime, is not the program's.  "count" lets them all be and prints their number.  The Nth (from 1) is not done by a
 * process that is killed or for a call that fails with ERRNO (EIO, ENOSPC, ...); "short" halves the length of a write,
 * "none" makes it write nothing. An ERRNO is for calls that can fail so: calls that are not in the table below are not
 * counted for it. With -n, the file system knows no nameless files: O_TMPFILE is refused with EOPNOTSUPP, and not
 * counted.  With -f, calls are counted that are on the file itself: not those that give it its name, nor what else its
 * threads do.
 *
 * The exit status is the command's own, 128 + its signal, or 126 where the command ended before the Nth call was
 * reached.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMES_MAX    1024
#define NOT_REACHED  126
#define TROUBLE      125
#define THREADS_MAX  64
#define STOP_IS_CALL 0x80 /* PTRACE_O_TRACESYSGOOD */

/* Calls that are known to fail, and whether their third argument is a length that can be cut. */
/* clang-format off */
static const struct {
	long number;
	const char *name;
	bool has_length;
} calls[] = {
	{ SYS_openat, "openat", false },
	{ SYS_flock, "flock", false },
	{ SYS_lseek, "lseek", false },
	{ SYS_pwrite64, "pwrite64", true },
	{ SYS_write, "write", true },
	{ SYS_pwritev, "pwritev", false },
	{ SYS_ftruncate, "ftruncate", false },
	{ SYS_fallocate, "fallocate", false },
	{ SYS_copy_file_range, "copy_file_range", false },
	{ SYS_fsync, "fsync", false },
	{ SYS_fdatasync, "fdatasync", false },
	{ SYS_sync_file_range, "sync_file_range", false },
	{ SYS_linkat, "linkat", false },
	{ SYS_rename, "rename", false },
	{ SYS_renameat2, "renameat2", false },
	{ SYS_unlink, "unlink", false },
	{ SYS_close, "close", false },
	{ SYS_fstat, "fstat", false },
	{ SYS_newfstatat, "newfstatat", false },
};
/* clang-format on */

static const struct {
	const char *name;
	int number;
} errnos[] = {
	{ "EIO", EIO },     { "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT },
	{ "EINTR", EINTR }, { "EACCES", EACCES }, { "EROFS", EROFS },
};

enum fault { FAULT_COUNT, FAULT_KILL, FAULT_SHORT, FAULT_NONE, FAULT_ERRNO };

struct thread {
	pid_t tid;
	bool in_call;
	bool saves;   /* its calls are counted */
	bool creates; /* the call under way creates a file */
	bool closes;  /* it closes that file */
	long result;  /* what the call is made to return; 0: what it does */
};

struct run {
	enum fault fault;
	int errno_value;
	unsigned long wanted, counted;
	bool no_tmpfile, only_file, is_counting, is_done;
	bool is_over; /* the file was closed */
	int file;     /* the descriptor of what was created, or -1 */
	pid_t command;
	const char *names[NAMES_MAX];
	size_t nr_names;
	struct thread threads[THREADS_MAX];
};

static struct thread *find_thread(struct run *run, pid_t tid)
{
	for (size_t i = 0; i < THREADS_MAX; i++)
		if (run->threads[i].tid == tid)
			return &run->threads[i];
	for (size_t i = 0; i < THREADS_MAX; i++) {
		if (run->threads[i].tid != 0)
			continue;
		run->threads[i] = (struct thread){ .tid = tid };
		return &run->threads[i];
	}
	fprintf(stderr, "fault_run: more than %d threads\n", THREADS_MAX);
	exit(TROUBLE);
}

/* Is the call one that this fault can befall?  Those that an error can are noted by name. */
static bool is_eligible(struct run *run, long number)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].number != number)
			continue;
		if (run->nr_names < NAMES_MAX)
			run->names[run->nr_names++] = calls[i].name;
		if (run->fault == FAULT_ERRNO || calls[i].has_length)
			return true;
	}
	return run->fault == FAULT_KILL || run->fault == FAULT_COUNT;
}

/* Is the call one of the table, and on the file that was created? */
static bool is_on_file(const struct run *run, long number, const struct user_regs_struct *regs)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].number == number)
			return run->file >= 0 && (int)regs->rdi == run->file;
	return false;
}

/* Lets a call that does nothing, and that the program's own filter of calls lets through, happen instead. */
static void skip_call(struct thread *thread, struct user_regs_struct *regs, long result)
{
	regs->orig_rax = SYS_getpid;
	thread->result = result;
	ptrace(PTRACE_SETREGS, thread->tid, NULL, regs);
}

static void befall(struct run *run, struct thread *thread, struct user_regs_struct *regs)
{
	run->is_done = true;
	switch (run->fault) {
	case FAULT_KILL:
		kill(run->command, SIGKILL);
		break;
	case FAULT_SHORT:
		regs->rdx = (regs->rdx + 1) / 2;
		ptrace(PTRACE_SETREGS, thread->tid, NULL, regs);
		break;
	case FAULT_NONE:
		regs->rdx = 0;
		ptrace(PTRACE_SETREGS, thread->tid, NULL, regs);
		break;
	case FAULT_ERRNO:
		skip_call(thread, regs, -run->errno_value);
		break;
	case FAULT_COUNT:
		break;
	}
}

static void enter(struct run *run, struct thread *thread)
{
	struct user_regs_struct regs;
	if (ptrace(PTRACE_GETREGS, thread->tid, NULL, &regs) < 0)
		return;
	long number = (long)regs.orig_rax;
	bool nameless = number == SYS_openat && (regs.rdx & O_TMPFILE) == O_TMPFILE;
	thread->creates = number == SYS_openat && (nameless || (regs.rdx & O_CREAT) != 0);
	thread->closes = number == SYS_close && run->file >= 0 && (int)regs.rdi == run->file;
	thread->result = 0;
	if (nameless && run->no_tmpfile) {
		skip_call(thread, &regs, -EOPNOTSUPP);
		return;
	}
	if (thread->creates && !run->is_counting && !run->is_over)
		run->is_counting = thread->saves = true;
	if (run->is_counting && is_on_file(run, number, &regs))
		thread->saves = true;
	bool is_counted = run->only_file ? is_on_file(run, number, &regs) : thread->saves;
	if (run->is_counting && is_counted && !run->is_done && is_eligible(run, number) &&
	    ++run->counted == run->wanted)
		befall(run, thread, &regs);
}

static void leave(struct run *run, struct thread *thread)
{
	struct user_regs_struct regs;
	if (ptrace(PTRACE_GETREGS, thread->tid, NULL, &regs) < 0)
		return;
	if (thread->result != 0) {
		regs.rax = (unsigned long long)thread->result;
		ptrace(PTRACE_SETREGS, thread->tid, NULL, &regs);
	}
	if (thread->creates && (long)regs.rax >= 0)
		run->file = (int)regs.rax;
	if (thread->closes) {
		run->file = -1;
		run->is_counting = false;
		run->is_over = true;
	}
}

/* The signal that the stop is about and that the thread is to get. */
static int handle_stop(struct run *run, struct thread *thread, int status)
{
	int signal_number = WSTOPSIG(status);
	if (signal_number == (SIGTRAP | STOP_IS_CALL)) {
		thread->in_call = !thread->in_call;
		if (thread->in_call)
			enter(run, thread);
		else
			leave(run, thread);
		return 0;
	}
	/* The stop of a new thread, of execve(), of clone(). */
	return signal_number == SIGTRAP || signal_number == SIGSTOP ? 0 : signal_number;
}

static int follow(struct run *run)
{
	int status;
	for (;;) {
		pid_t tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			return TROUBLE;
		struct thread *thread = find_thread(run, tid);
		if (WIFSTOPPED(status)) {
			int signal_number = handle_stop(run, thread, status);
			ptrace(PTRACE_SYSCALL, tid, NULL, (long)signal_number);
			continue;
		}
		thread->tid = 0;
		if (tid == run->command)
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	}
}

static pid_t start(char **argv)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(TROUBLE);
	execvp(argv[0], argv);
	perror(argv[0]);
	_exit(TROUBLE);
}

static bool parse_fault(const char *text, struct run *run)
{
	static const char *const names[] = { "count", "kill", "short", "none" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], text) == 0) {
			run->fault = (enum fault)i;
			return true;
		}
	}
	run->fault = FAULT_ERRNO;
	for (size_t i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++) {
		if (strcmp(errnos[i].name, text) == 0) {
			run->errno_value = errnos[i].number;
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	struct run run = { .file = -1 };
	int at = 1, status;
	for (; at < argc && (strcmp(argv[at], "-n") == 0 || strcmp(argv[at], "-f") == 0); at++) {
		run.no_tmpfile |= argv[at][1] == 'n';
		run.only_file |= argv[at][1] == 'f';
	}
	if (argc - at < 3 || !parse_fault(argv[at], &run)) {
		fprintf(stderr, "usage: fault_run [-n] [-f] count|kill|short|none|ERRNO N COMMAND [ARGUMENT...]\n");
		return TROUBLE;
	}
	run.wanted = strtoul(argv[at + 1], NULL, 10);
	run.command = start(argv + at + 2);
	/* The first stop is that of execve(). */
	if (run.command < 0 || waitpid(run.command, &status, 0) < 0 || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, run.command, NULL,
		   (long)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)) < 0) {
		perror("fault_run: tracing");
		return TROUBLE;
	}
	ptrace(PTRACE_SYSCALL, run.command, NULL, 0L);
	status = follow(&run);
	for (size_t i = 0; i < run.nr_names && run.fault == FAULT_COUNT; i++)
		fprintf(stderr, "%s ", run.names[i]);
	if (run.fault == FAULT_COUNT)
		fprintf(stderr, "%lu\n", run.counted);
	else if (!run.is_done)
		return NOT_REACHED;
	return status;
}
