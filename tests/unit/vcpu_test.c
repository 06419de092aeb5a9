/*
 * A vCPU against a kernel that this file makes: how its state is made complete when it pauses, where timers are late;
 * and what it has for its CPUID, where the kernel refuses a table.
 */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "vmm/lapic.h"
#include "vmm/vcpu.h"

#define VECTOR 0x45

#define LEAVES 2

/* A LAPIC whose timer's count is the host's clock, while its interrupt is up to a timer of the host. */
static struct {
	struct kvm_lapic_state lapic;
	bool is_due; /* the host's timer; it fires as soon as the host comes to it */
	bool has_fired;
	unsigned nr_sleeps;
	bool has_mask, refuses_mask;
	unsigned nr_entries;
	_Atomic bool *stop; /* set where the guest is entered: it is to run then.  NULL: it is not */
	unsigned nr_tables; /* of CPUID that it was given */
	int refuses;        /* them, with this errno */
} kernel;

/* While a thread sleeps, the host comes to its timers. */
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left)
{
	(void)clock, (void)flags, (void)time, (void)left;
	kernel.nr_sleeps++;
	kernel.has_fired |= kernel.is_due;
	kernel.is_due = false;
	return 0;
}

static struct kvm_run run;

/* A signal that is blocked outside of KVM_RUN. */
static bool is_pending(void)
{
	sigset_t pending;
	sigpending(&pending);
	return sigismember(&pending, SIGRTMIN) == 1;
}

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd;
	switch (request) {
	case KVM_SET_SIGNAL_MASK:
		errno = EINVAL;
		if (arg != NULL && kernel.refuses_mask)
			return -1;
		kernel.has_mask = arg != NULL;
		return 0;
	case KVM_GET_LAPIC:
		memcpy(arg, &kernel.lapic, sizeof(kernel.lapic));
		return 0;
	case KVM_RUN: /* what has fired reaches IRR in one that gets as far as entering the guest */
		if (run.immediate_exit == 0) {
			kernel.nr_entries++;
			if (kernel.stop != NULL)
				*kernel.stop = true;
			else
				ck_assert(kernel.has_mask && is_pending()); /* or the guest would go on */
			if (kernel.has_fired)
				lapic_deliver_timer(&kernel.lapic);
			kernel.has_fired = false;
		}
		errno = EINTR;
		return -1;
	case KVM_SET_CPUID2:
		ck_assert_uint_eq(((const struct kvm_cpuid2 *)arg)->nent, LEAVES);
		kernel.nr_tables++;
		errno = kernel.refuses;
		return errno == 0 ? 0 : -1;
	default:
		ck_abort_msg("request 0x%lx", request);
	}
}

static const struct vm_ops ops = { 0 };
static struct vm vm;
static struct vcpu *const vcpu = &vm.vcpus[0];

static void start_anew(void)
{
	memset(&kernel, 0, sizeof(kernel));
	memset(&run, 0, sizeof(run));
	vm = (struct vm){ .ops = &ops, .lock = PTHREAD_MUTEX_INITIALIZER, .nr_vcpus = 1 };
	*vcpu = (struct vcpu){ .vm = &vm, .fd = -1, .run = &run };
}

/* A vCPU that has run, with a one-shot timer that stands at count. */
static void pause_on(uint32_t count, bool refuses_mask)
{
	start_anew();
	kernel.refuses_mask = refuses_mask;
	lapic_set(&kernel.lapic, LAPIC_SVR, LAPIC_SVR_ENABLED | 0xff);
	lapic_set(&kernel.lapic, LAPIC_LVTT, LAPIC_LVTT_ONE_SHOT | VECTOR);
	lapic_set(&kernel.lapic, LAPIC_TMICT, 1000);
	lapic_set(&kernel.lapic, LAPIC_TMCCT, count);
	kernel.is_due = count == 0;
	vcpu_start_here(vcpu);
	vcpu->has_run = true;
	vcpu_finish_here(vcpu);
	ck_assert(!vcpu->has_run);
	/* It can go on: nothing ends its next KVM_RUN at once, or is left pending. */
	ck_assert(!kernel.has_mask);
	ck_assert(!is_pending());
	ck_assert_uint_eq(run.immediate_exit, 0);
}

static void pause_with(uint32_t count)
{
	pause_on(count, false);
	ck_assert_uint_gt(kernel.nr_entries, 0);
	ck_assert(vcpu->timer_is_known);
	ck_assert_uint_eq(vcpu->timer_count, count);
	ck_assert_int_eq(vcpu->event.kind, VM_EVENT_NONE);
}

static bool is_requested(void)
{
	return (lapic_get(&kernel.lapic, LAPIC_IRR + VECTOR / 32 * 16) & 1u << VECTOR % 32) != 0;
}

/* Its count is 0, and its interrupt still to come: from here on it would be in nothing that is saved. */
START_TEST(a_timer_that_has_run_down_is_let_fire)
{
	pause_with(0);
	ck_assert(is_requested());
}
END_TEST

START_TEST(a_timer_that_runs_is_not_waited_for)
{
	pause_with(500);
	ck_assert(!is_requested());
	ck_assert_uint_eq(kernel.nr_sleeps, 0);
}
END_TEST

/* The mask is what keeps the guest from going on while its timer is delivered. */
START_TEST(a_vcpu_that_gets_no_signal_mask_fails_and_does_not_run_on)
{
	pause_on(0, true);
	ck_assert_uint_eq(kernel.nr_entries, 0);
	ck_assert_int_eq(vcpu->event.kind, VM_EVENT_FAILED);
	ck_assert_msg(strstr(vcpu->event.error.text, "vCPU 0: KVM_SET_SIGNAL_MASK: Invalid argument") != NULL, "%s",
		      vcpu->event.error.text);
}
END_TEST

/* Between the look whether the machine is to pause and KVM_RUN.  It ends one KVM_RUN, and no more. */
START_TEST(a_kick_that_comes_too_early_is_not_lost)
{
	sigset_t before, blocked;
	start_anew();
	kernel.stop = &vm.stop_wanted;
	vcpu_adopt(vcpu, &before);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	ck_assert(!sigismember(&blocked, SIGRTMIN) && sigismember(&blocked, SIGINT));
	vcpu_kick(vcpu);
	ck_assert(!is_pending());
	ck_assert_uint_eq(run.immediate_exit, 1);
	vcpu_run(vcpu);
	ck_assert_uint_eq(kernel.nr_entries, 1);
	ck_assert_uint_eq(run.immediate_exit, 0);
	/* A machine that is paused twice: the vCPU parks already, and has to enter the guest for its timer. */
	vcpu->is_parking = true;
	vcpu_kick(vcpu);
	ck_assert_uint_eq(run.immediate_exit, 0);
	vcpu_release(vcpu, &before);
}
END_TEST

static const struct kvm_cpuid_entry2 table[LEAVES] = { { .function = 0, .eax = 1 }, { .function = 1 } };
static const struct kvm_cpuid_entry2 other[LEAVES] = { { .function = 0, .eax = 1 }, { .function = 1, .edx = 1 } };

static void set_table(const struct kvm_cpuid_entry2 *entries, int refuses, unsigned nr_tables)
{
	kernel.refuses = refuses;
	int status = vcpu_set_cpuid(vcpu, entries, LEAVES);
	ck_assert_int_eq(status, refuses == 0 ? 0 : -1);
	ck_assert_int_eq(vcpu->has_cpuid, refuses == 0);
	ck_assert_uint_eq(kernel.nr_tables, nr_tables);
	if (refuses != 0)
		ck_assert_int_eq(errno, refuses);
}

START_TEST(a_table_that_the_vcpu_has_is_not_set_again)
{
	start_anew();
	set_table(table, 0, 1);
	set_table(table, 0, 1);
	set_table(other, 0, 2);
	set_table(table, 0, 3);
}
END_TEST

/* The first one, or one on top of another: it is not what the vCPU has, and neither is the other known to be. */
START_TEST(a_table_that_was_refused_is_not_taken_for_set)
{
	start_anew();
	set_table(table, EINVAL, 1);
	set_table(table, EBUSY, 2);
	set_table(table, 0, 3);
	set_table(other, EINVAL, 4);
	set_table(other, EINVAL, 5);
	set_table(table, 0, 6);
}
END_TEST

UNIT_MAIN("vcpu", a_timer_that_has_run_down_is_let_fire, a_timer_that_runs_is_not_waited_for,
	  a_vcpu_that_gets_no_signal_mask_fails_and_does_not_run_on, a_kick_that_comes_too_early_is_not_lost,
	  a_table_that_the_vcpu_has_is_not_set_again, a_table_that_was_refused_is_not_taken_for_set)
