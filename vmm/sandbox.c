#include "sandbox.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What a running machine uses: its vCPUs and their threads, console, waiting, memory, the end. */
static const uint16_t running[] = {
	SYS_read,         SYS_write,           SYS_writev,
	SYS_pwritev2,     SYS_close,           SYS_poll,
	SYS_ppoll,        SYS_futex,           SYS_lseek,
	SYS_mmap,         SYS_munmap,          SYS_mprotect,
	SYS_madvise,      SYS_mremap,          SYS_brk,
	SYS_clone,        SYS_clone3,          SYS_set_robust_list,
	SYS_rseq,         SYS_sched_yield,     SYS_exit,
	SYS_exit_group,   SYS_rt_sigaction,    SYS_rt_sigprocmask,
	SYS_rt_sigreturn, SYS_restart_syscall, SYS_getpid,
	SYS_gettid,       SYS_tgkill,          SYS_getpgrp,
	SYS_sigaltstack,  SYS_clock_gettime,   SYS_clock_nanosleep,
	SYS_getrandom,    SYS_uname,           SYS_fstat,
	SYS_newfstatat,   SYS_prlimit64,
};

/* What writing a snapshot uses besides; qsort() of glibc 2.36 asks how much memory there is before it takes some
 * (sysinfo). */
static const uint16_t creating[] = {
	SYS_openat, SYS_pread64,  SYS_pwrite64,   SYS_flock,           SYS_fchmod, SYS_ftruncate,
	SYS_fsync,  SYS_rename,   SYS_renameat,   SYS_renameat2,       SYS_unlink, SYS_unlinkat,
	SYS_linkat, SYS_readlink, SYS_readlinkat, SYS_lstat,           SYS_stat,   SYS_getcwd,
	SYS_fcntl,  SYS_dup,      SYS_sysinfo,    SYS_sync_file_range,
};

/* What making a machine of a snapshot uses besides both, and of one that migrates here: it gets RAM, and its connection
 * is closed properly. */
static const uint16_t restoring[] = { SYS_eventfd2, SYS_sysinfo, SYS_memfd_create, SYS_ftruncate, SYS_shutdown };

/* What clients of the control socket need besides: to be taken, and to hand over descriptors. */
static const uint16_t controlled[] = { SYS_accept4, SYS_recvmsg };

#define LENGTH(calls) (sizeof(calls) / sizeof((calls)[0]))
_Static_assert(LENGTH(running) + LENGTH(creating) + LENGTH(restoring) + LENGTH(controlled) <= UINT8_MAX,
	       "a jump reaches 255 instructions");

/* Types of ioctl requests: KVM's, and the terminal's. */
#define IOCTL_TYPE_MASK (_IOC_TYPEMASK << _IOC_TYPESHIFT)
#define TERMINAL_TYPE   ('T' << _IOC_TYPESHIFT)
#define KVM_TYPE        (KVMIO << _IOC_TYPESHIFT)

/* What userfault.c does with a descriptor that was opened before. */
static const uint32_t arriving[] = { (uint32_t)UFFDIO_REGISTER, (uint32_t)UFFDIO_UNREGISTER, (uint32_t)UFFDIO_COPY,
				     (uint32_t)UFFDIO_ZEROPAGE };

#define INSTRUCTIONS_MAX 256

struct program {
	struct sock_filter code[INSTRUCTIONS_MAX];
	unsigned short nr;
};

static void add(struct program *program, uint16_t code, uint32_t k, uint8_t jump_true, uint8_t jump_false)
{
	program->code[program->nr++] = (struct sock_filter){ .code = code, .jt = jump_true, .jf = jump_false, .k = k };
}

static void load(struct program *program, size_t offset)
{
	add(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void give(struct program *program, uint32_t verdict)
{
	add(program, BPF_RET | BPF_K, verdict, 0, 0);
}

/*
 * The kernel goes through a filter once for every system call that there is, to know ahead which ones it always allows
 * (kernel/seccomp.c, seccomp_cache_prepare()): most of what entering the sandbox costs.  It does not where it meets an
 * instruction that it does not follow, such as a copy to X.  What a running machine does most is ioctl, which is never
 * known ahead.
 */
static void no_cache(struct program *program)
{
	add(program, BPF_MISC | BPF_TAX, 0, 0, 0);
}

/* Lists of calls, and the need that each is for; 0: always. */
static const struct {
	unsigned need;
	const uint16_t *calls;
	size_t nr;
} lists[] = {
	{ 0, running, LENGTH(running) },
	{ SANDBOX_CREATE, creating, LENGTH(creating) },
	{ SANDBOX_RESTORE, restoring, LENGTH(restoring) },
	{ SANDBOX_CONTROL, controlled, LENGTH(controlled) },
};
#define NR_LISTS (sizeof(lists) / sizeof(lists[0]))

static bool is_needed(size_t list, unsigned needs)
{
	return (lists[list].need & needs) == lists[list].need;
}

/* Each call jumps over left others, and over the verdict for all that are not there, to the one that lets it through.
 */
static void allow(struct program *program, const uint16_t *calls, size_t nr, size_t left)
{
	for (size_t i = 0; i < nr; i++)
		add(program, BPF_JMP | BPF_JEQ | BPF_K, calls[i], (uint8_t)(left - i), 0);
}

static void allow_lists(struct program *program, unsigned needs)
{
	size_t left = 0;
	for (size_t i = 0; i < NR_LISTS; i++)
		left += is_needed(i, needs) ? lists[i].nr : 0;
	for (size_t i = 0; i < NR_LISTS; i++) {
		if (!is_needed(i, needs))
			continue;
		allow(program, lists[i].calls, lists[i].nr, left);
		left -= lists[i].nr;
	}
}

/*
 * ioctl is allowed by the type of its request, or by the request: the second argument's low half (the machine is
 * little-endian).
 */
static void allow_ioctls(struct program *program, unsigned needs)
{
	uint8_t nr = (needs & SANDBOX_ARRIVAL) != 0 ? LENGTH(arriving) : 0;
	add(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, (uint8_t)(nr + 6));
	load(program, offsetof(struct seccomp_data, args[1]));
	for (uint8_t i = 0; i < nr; i++)
		add(program, BPF_JMP | BPF_JEQ | BPF_K, arriving[i], (uint8_t)(nr - 1 - i + 3), 0);
	add(program, BPF_ALU | BPF_AND | BPF_K, IOCTL_TYPE_MASK, 0, 0);
	add(program, BPF_JMP | BPF_JEQ | BPF_K, KVM_TYPE, 1, 0);
	add(program, BPF_JMP | BPF_JEQ | BPF_K, TERMINAL_TYPE, 0, 1);
	give(program, SECCOMP_RET_ALLOW);
	give(program, SECCOMP_RET_KILL_PROCESS);
}

int sandbox_enter(unsigned needs, struct error *err)
{
#ifdef STASIS_INSTRUMENTED /* the runtimes of sanitizers and of gcov use system calls of their own */
	(void)needs;
	(void)err;
	return 0;
#endif
	struct program program = { 0 };
	load(&program, offsetof(struct seccomp_data, arch));
	add(&program, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	give(&program, SECCOMP_RET_KILL_PROCESS);
	no_cache(&program);
	load(&program, offsetof(struct seccomp_data, nr));
	allow_ioctls(&program, needs);
	allow_lists(&program, needs);
	give(&program, SECCOMP_RET_KILL_PROCESS);
	give(&program, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = { .len = program.nr, .filter = program.code };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(err, ERROR_SYSTEM, "sandbox: PR_SET_NO_NEW_PRIVS (--no-sandbox runs without)");
	long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
	if (result < 0)
		return error_errno(err, ERROR_SYSTEM, "sandbox: seccomp (--no-sandbox runs without)");
	if (result > 0)
		return error_set(err, ERROR_SYSTEM,
				 "sandbox: thread %ld has another filter (--no-sandbox runs without)", result);
	return 0;
}
