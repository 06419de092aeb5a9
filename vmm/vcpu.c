#include "vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "exit.h"
#include "lapic.h"

/* The signal that fetches a vCPU out of KVM_RUN.  Its handler does nothing: that it came is what ends KVM_RUN. */
#define KICK_SIGNAL SIGRTMIN

/* Exits that one instruction may need to be finished: a REP string instruction makes one for each page it touches. */
#define FINISH_EXITS_MAX 65536

/* A periodic timer may be faster than two system calls. */
#define TIMER_TRIES_MAX 8

#define KERNEL_SIGSET_BYTES 8 /* sizeof(sigset_t) of the kernel, 64 signals */

int vcpu_create(struct vm *vm, unsigned id, size_t run_size, struct error *err)
{
	struct vcpu *vcpu = &vm->vcpus[id];
	vcpu->vm = vm; /* the rest is zero, and what of it is long stays untouched */
	vcpu->id = id;
	vcpu->fd = -1;
	vm->nr_vcpus = id + 1;
	vcpu->fd = kvm_call_value(vm->fd, KVM_CREATE_VCPU, id);
	if (vcpu->fd < 0)
		return error_errno(err, ERROR_SYSTEM, "vCPU %u: KVM_CREATE_VCPU", id);
	void *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return error_errno(err, ERROR_SYSTEM, "vCPU %u: mapping its kvm_run", id);
	vcpu->run = run;
	vcpu->run_size = run_size;
	return 0;
}

int vcpu_set_cpuid(struct vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, uint32_t nent)
{
	size_t size = nent * sizeof(entries[0]);
	if (vcpu->has_cpuid && nent == vcpu->cpuid.nent && memcmp(vcpu->cpuid.entries, entries, size) == 0)
		return 0;
	vcpu->cpuid.nent = nent;
	memcpy(vcpu->cpuid.entries, entries, size);
	vcpu->has_cpuid = kvm_call_sized(vcpu->fd, KVM_SET_CPUID2, &vcpu->cpuid) == 0;
	return vcpu->has_cpuid ? 0 : -1;
}

static void on_kick(int signal_number)
{
	(void)signal_number;
}

static void catch_kicks(void)
{
	struct sigaction action = { .sa_handler = on_kick, .sa_flags = SA_RESTART };
	sigaction(KICK_SIGNAL, &action, NULL);
}

static sigset_t kick_set(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, KICK_SIGNAL);
	return set;
}

/* The next KVM_RUN comes back at once, or does not. */
static void set_immediate_exit(struct vcpu *vcpu, bool is_immediate)
{
	__atomic_store_n(&vcpu->run->immediate_exit, is_immediate, __ATOMIC_SEQ_CST);
}

void vcpu_kick(struct vcpu *vcpu)
{
	if (!vcpu->has_thread)
		return;
	if (!vcpu->is_parking)
		set_immediate_exit(vcpu, true);
	pthread_kill(vcpu->thread, KICK_SIGNAL);
}

void vcpu_report(struct vcpu *vcpu, enum vm_event_kind kind, uint32_t value, const struct error *error)
{
	struct vm *vm = vcpu->vm;
	pthread_mutex_lock(&vm->lock);
	if (vcpu->event.kind == VM_EVENT_NONE) {
		vcpu->event = (struct vm_event){ .kind = kind, .vcpu = vcpu->id, .value = value };
		if (error != NULL)
			vcpu->event.error = *error;
		if (!vcpu->is_here)
			eventfd_write(vm->event_fd, 1);
	}
	if (!vm->pause_wanted) {
		vm_want_pause(vm, true);
		for (unsigned i = 0; i < vm->nr_vcpus; i++)
			if (i != vcpu->id)
				vcpu_kick(&vm->vcpus[i]);
	}
	pthread_mutex_unlock(&vm->lock);
}

/* One KVM_RUN and its exit.  Returns whether it came back without an exit: nothing is pending in the kernel then. */
static bool run_once(struct vcpu *vcpu)
{
	vcpu->has_run = true;
	if (kvm_call_value(vcpu->fd, KVM_RUN, 0) < 0) {
		if (errno == EINTR)
			return true;
		if (errno != EAGAIN) { /* EAGAIN: an application processor was started */
			exit_call_failed(vcpu, "KVM_RUN");
			return true;
		}
		return false;
	}
	exit_handle(vcpu);
	return false;
}

/* A KVM_RUN that gets as far as entering the guest, which the kick that is held prevents. */
static void run_up_to_entry(struct vcpu *vcpu, unsigned *exits)
{
	while (!run_once(vcpu) && (*exits)++ < FINISH_EXITS_MAX)
		;
}

/*
 * Lets the host's timers that are due fire: those of a CPU do so in their order, and this one is the last.  A busy host
 * is late by milliseconds.
 */
static void let_timers_fire(void)
{
	const struct timespec moment = { .tv_nsec = 1 };
	clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
}

/*
 * A LAPIC timer that has fired reaches IRR only in a KVM_RUN that gets as far as entering the guest
 * (arch/x86/kvm/x86.c: vcpu_run(), kvm_inject_pending_timer_irqs()).  It is repeated until the timer did not fire
 * meanwhile: what fires from then on is not in IRR, and is known by timer_count.
 */
static void deliver_timer(struct vcpu *vcpu, unsigned *exits)
{
	struct kvm_lapic_state lapic;
	bool has_lapic = kvm_call(vcpu->fd, KVM_GET_LAPIC, &lapic) == 0, has_fired = false;
	unsigned tries = 0;
	do {
		uint32_t before = has_lapic ? lapic_get(&lapic, LAPIC_TMCCT) : 0;
		if (has_lapic && lapic_timer_is_down(&lapic))
			let_timers_fire();
		run_up_to_entry(vcpu, exits);
		has_fired = has_lapic && kvm_call(vcpu->fd, KVM_GET_LAPIC, &lapic) == 0 &&
			    lapic_timer_has_fired(&lapic, before);
	} while (has_fired && tries++ < TIMER_TRIES_MAX);
	vcpu->timer_is_known = has_lapic;
	vcpu->timer_count = has_lapic ? lapic_get(&lapic, LAPIC_TMCCT) : 0;
}

/* An exit's instruction is finished by the next KVM_RUN, which immediate_exit ends before the guest goes on. */
static unsigned finish_instruction(struct vcpu *vcpu)
{
	unsigned exits = 0;
	set_immediate_exit(vcpu, true);
	while (!run_once(vcpu) && exits < FINISH_EXITS_MAX)
		exits++;
	set_immediate_exit(vcpu, false);
	return exits;
}

/*
 * From here to let_kicks_go() a kick is pending in the thread, which it meets only in KVM_RUN (KVM_SET_SIGNAL_MASK).
 * A mask of its own costs every KVM_RUN two changes of the thread's, so it has none while the guest runs.
 */
static int hold_kick(struct vcpu *vcpu, sigset_t *ret_before)
{
	struct { /* struct kvm_signal_mask with its set */
		uint32_t len;
		uint8_t set[KERNEL_SIGSET_BYTES];
	} mask = { .len = KERNEL_SIGSET_BYTES };
	_Static_assert(offsetof(struct kvm_signal_mask, sigset) == sizeof(mask.len), "the set follows its length");
	sigset_t kick = kick_set();
	pthread_sigmask(SIG_BLOCK, &kick, ret_before);
	sigset_t inside = *ret_before;
	sigdelset(&inside, KICK_SIGNAL);
	memcpy(mask.set, &inside, KERNEL_SIGSET_BYTES);
	int status = kvm_call_sized(vcpu->fd, KVM_SET_SIGNAL_MASK, &mask);
	pthread_kill(pthread_self(), KICK_SIGNAL);
	return status;
}

static void let_kicks_go(struct vcpu *vcpu, const sigset_t *before)
{
	kvm_call_sized(vcpu->fd, KVM_SET_SIGNAL_MASK, NULL);
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* Makes the vCPU's state complete. */
static void finish_exits(struct vcpu *vcpu)
{
	unsigned exits = finish_instruction(vcpu);
	sigset_t before;
	if (hold_kick(vcpu, &before) == 0)
		deliver_timer(vcpu, &exits);
	else
		exit_call_failed(vcpu, "KVM_SET_SIGNAL_MASK");
	let_kicks_go(vcpu, &before);
	vcpu->has_run = false;
}

static void park(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	pthread_mutex_lock(&vm->lock); /* kicks come under it */
	vcpu->is_parking = true;
	pthread_mutex_unlock(&vm->lock);
	if (vcpu->has_run)
		finish_exits(vcpu);
	pthread_mutex_lock(&vm->lock);
	vm->nr_parked++;
	pthread_cond_broadcast(&vm->changed);
	while (vm->pause_wanted && !vm->stop_wanted)
		pthread_cond_wait(&vm->changed, &vm->lock);
	vm->nr_parked--;
	vcpu->is_parking = false;
	set_immediate_exit(vcpu, false);
	pthread_mutex_unlock(&vm->lock);
}

void vcpu_run(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	while (!vm->stop_wanted) {
		if (vm->pause_wanted)
			park(vcpu);
		else if (run_once(vcpu))
			set_immediate_exit(vcpu, false); /* and then look whether it was a kick */
	}
}

static void *vcpu_thread(void *arg)
{
	vcpu_run(arg);
	return NULL;
}

/*
 * Signals other than kicks and those that a thread's own mistakes raise belong to the main thread.  A vCPU's takes only
 * these from here on.
 */
static void take_own_signals(sigset_t *ret_before)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP };
	sigset_t blocked;
	sigfillset(&blocked);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		sigdelset(&blocked, own[i]);
	sigdelset(&blocked, KICK_SIGNAL);
	catch_kicks();
	pthread_sigmask(SIG_SETMASK, &blocked, ret_before);
}

int vcpu_start(struct vcpu *vcpu, struct error *err)
{
	sigset_t before;
	take_own_signals(&before); /* the new thread inherits it */
	int result = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
	vcpu->has_thread = result == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result != 0)
		return error_set(err, ERROR_SYSTEM, "vCPU %u: starting its thread: %s", vcpu->id, strerror(result));
	return 0;
}

void vcpu_adopt(struct vcpu *vcpu, sigset_t *ret_before)
{
	take_own_signals(ret_before);
	vcpu->thread = pthread_self();
	vcpu->has_thread = true;
}

void vcpu_release(struct vcpu *vcpu, const sigset_t *before)
{
	vcpu->has_thread = false;
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

void vcpu_start_here(struct vcpu *vcpu)
{
	sigset_t kick = kick_set();
	catch_kicks();
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	vcpu->is_here = true;
}

bool vcpu_run_here(struct vcpu *vcpu)
{
	while (vcpu->event.kind == VM_EVENT_NONE)
		if (run_once(vcpu) && vcpu->event.kind == VM_EVENT_NONE)
			return false;
	return true;
}

void vcpu_finish_here(struct vcpu *vcpu)
{
	if (vcpu->has_run)
		finish_exits(vcpu);
}

void vcpu_finish_exit(struct vcpu *vcpu)
{
	finish_instruction(vcpu);
	vcpu->has_run = false;
}

void vcpu_done(struct vcpu *vcpu)
{
	if (vcpu->has_thread)
		pthread_join(vcpu->thread, NULL);
	free(vcpu->saved_regs);
	if (vcpu->run != NULL)
		munmap(vcpu->run, vcpu->run_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
}
