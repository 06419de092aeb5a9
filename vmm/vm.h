/*
 * A virtual machine: its memory, controllers, vCPUs and devices; made from a description (struct machine), started,
 * paused at a point where all of its state can be taken, resumed, destroyed.  Everything hangs off struct vm.
 */
#ifndef STASIS_VMM_VM_H
#define STASIS_VMM_VM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus.h"
#include "cpuid.h"
#include "error.h"
#include "generation.h"
#include "guest/abi.h"
#include "kvm.h"
#include "kvm_reg.h"
#include "memory.h"
#include "ports.h"
#include "serial.h"
#include "worker.h"

#define VM_VCPUS_MAX 16

/*
 * What a machine is before it has any state: the part of a snapshot that a new machine is made from.
 * On disk as it stands here (component "machine").
 */
struct machine {
	uint32_t nr_vcpus;
	uint32_t irqchip;                           /* IRQCHIP_* */
	uint64_t tss_address, identity_map_address; /* what VMX needs for real mode; unused by SVM */
	uint64_t mcg_cap;      /* IA32_MCG_CAP, set with KVM_X86_SETUP_MCE; 0: the kernel's default */
	uint64_t capabilities; /* bits of enum machine_capability that were enabled */
	uint32_t nr_ranges;
	uint32_t reserved;
	struct memory_range ranges[MEMORY_REGIONS_MAX]; /* one KVM slot each, in this order */
};

/* Capabilities that are enabled when a machine is made, where the host has them.  Bit numbers are on disk. */
enum machine_capability {
	MACHINE_EXCEPTION_PAYLOAD,  /* KVM_CAP_EXCEPTION_PAYLOAD: reading events leaves CR2 and DR6 alone */
	MACHINE_TRIPLE_FAULT_EVENT, /* KVM_CAP_X86_TRIPLE_FAULT_EVENT */
	MACHINE_CAPABILITIES
};

/* Fills in what a new machine gets on this host: addresses, MCE banks, capabilities.  Its ranges are left as they are.
 */
void machine_defaults(struct machine *machine, int kvm_fd);

/* Is this a machine that can be made?  Errors name the field. */
int machine_check(const struct machine *machine, struct error *err);

/* Enables the machine's capabilities on a VM without vCPUs; an error names the one that the host lacks. */
int machine_enable_capabilities(const struct machine *machine, int vm_fd, struct error *err);

/* Why a running machine stopped itself.  All its vCPUs are paused when it is reported. */
enum vm_event_kind {
	VM_EVENT_NONE,
	VM_EVENT_CHECKPOINT, /* value: what the guest wrote to the checkpoint port */
	VM_EVENT_EXITS,      /* the number of exits that was asked for is reached */
	VM_EVENT_EXIT,       /* value: what the guest wrote to the exit port */
	VM_EVENT_RESET,      /* the guest asked for a reset */
	VM_EVENT_HALTED,     /* HLT without an interrupt controller: nothing could wake the machine */
	VM_EVENT_FAILED,     /* text: triple fault, an instruction that KVM cannot emulate, an error of KVM */
};

struct vm_event {
	enum vm_event_kind kind;
	unsigned vcpu;
	uint32_t value;
	struct error error; /* VM_EVENT_FAILED */
};

/* What an exit from the guest to the program was for.  KVM_RUN that comes back for a signal is none. */
enum vm_exit_kind {
	VM_EXIT_OTHER,
	VM_EXIT_IO, /* an access to a port, or a string of them */
	VM_EXIT_MMIO,
	VM_EXIT_HLT, /* without an interrupt controller; else KVM sees to it */
	VM_EXIT_KINDS,
};

struct vm;

struct vcpu {
	struct vm *vm;
	unsigned id;
	int fd;
	struct kvm_run *run; /* mapped, run_size bytes */
	size_t run_size;
	pthread_t thread;
	bool has_thread;
	bool is_here;                          /* it runs in its owner's thread (vm_start_here()) */
	bool is_parking;                       /* under vm->lock: it parks or is parked, and needs no immediate_exit */
	bool has_run;                          /* it has been in KVM_RUN since it was last parked */
	struct vm_event event;                 /* under vm->lock: what it has to report */
	_Atomic uint64_t exits[VM_EXIT_KINDS]; /* only its own thread writes them */
	bool timer_is_known;                   /* timer_count holds since it was parked */
	uint32_t timer_count; /* what its LAPIC's timer stood at then: it goes on, and may fire while the vCPU stands
				 still */
	/* What ONE_REG told of its registers when they were saved last, by ascending id (snapshot/register_state.c). */
	struct kvm_reg_value *saved_regs;
	size_t nr_saved_regs;
	bool has_cpuid;     /* KVM took it */
	struct cpuid cpuid; /* as it was to be set; long, and mostly not used */
};

/* What the machine tells its owner while it runs. */
struct vm_ops {
	/* A byte for the console, from the UART or a debug port.  Called with the devices' lock held, by vCPU threads:
	 * must not wait. */
	void (*console)(void *context, uint8_t byte);
	/* After a write to a port, without locks: waits while the console has no room, but not while the machine is to
	 * pause.  NULL: it has always room. */
	void (*console_wait)(void *context);
	/* The machine is to pause, or goes on.  Called with vm->lock held.  NULL: nobody waits. */
	void (*pausing)(void *context, bool is_pausing);
	/* An exit, where vm->is_traced asks for it. */
	void (*trace)(void *context, unsigned vcpu, const char *text);
	/* A step of making the machine is done, for --trace-time: "put", "sregs".  Static texts.  NULL: nobody asks. */
	void (*step)(void *context, const char *what, const char *name);
};

struct vm {
	int kvm_fd, fd;
	struct machine machine;
	struct memory memory;
	enum kvm_reg_access reg_access;
	/* Ids of registers that came with a snapshot, ascending: the machine's, whether this kernel lists them or not.
	 */
	uint64_t *restored_regs;
	size_t nr_restored_regs;
	bool has_armed_regs; /* some of them were put last, and are read back by themselves */
	unsigned nr_vcpus;

	struct bus bus;
	struct serial serial;
	struct ports ports;
	struct generation generation;
	pthread_mutex_t device_lock; /* devices are used by one thread at a time */
	struct vcpu *device_vcpu;    /* under device_lock: whose access a device is handling */

	const struct vm_ops *ops;
	void *ops_context;
	bool is_traced; /* the owner wants every port and MMIO access (vm_ops.trace): set before the machine runs */

	/* Pausing.  Under lock; changed signals every change. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	_Atomic bool pause_wanted, stop_wanted; /* set under lock; between two exits, vCPUs look without it */
	bool is_held;                           /* the owner's: vm_hold() */
	bool may_have_kvmclock;                 /* the guest has run, or was restored with it */
	unsigned nr_parked;
	int event_fd;               /* an eventfd, readable while a vCPU has an event to report */
	_Atomic int64_t exits_left; /* VM_EVENT_EXITS after so many, of all vCPUs together; 0 or less: never */

	/* What is long and mostly not used comes last: it takes no memory until it is touched. */
	struct vcpu vcpus[VM_VCPUS_MAX];
	struct cpuid xsave_layout; /* cpuid_xsave_layout(); without an entry: nobody asked yet */
};

/*
 * Makes the machine that *machine describes around *memory, whose ownership passes to the VM when it succeeds.
 * vCPUs are in the state that KVM gives them; no CPUID is set; no thread runs.
 * vm_fd is an empty VM, which belongs to the machine from now on, or is closed; or -1, and one is created.
 */
int vm_create(struct vm **ret, int kvm_fd, int vm_fd, const struct machine *machine, struct memory *memory,
	      const struct vm_ops *ops, void *ops_context, struct error *err);

/*
 * vm_create() in two steps, between which KVM has to wait for nothing any more.  A machine is complete after both.
 * Where the second one fails, it is freed, and *memory is the caller's again.
 */
int vm_create_without_vcpus(struct vm **ret, int kvm_fd, int vm_fd, const struct machine *machine,
			    struct memory *memory, const struct vm_ops *ops, void *ops_context, struct error *err);
int vm_create_vcpus(struct vm *vm, struct memory *memory, struct error *err);

/* Gives KVM the slot of a region of memory, or other flags (KVM_MEM_*) for it.  -1 with errno set. */
int vm_set_slot(const struct vm *vm, unsigned region, uint32_t flags);

/* Tells a step to the owner (vm_ops.step). */
void vm_step(const struct vm *vm, const char *what, const char *name);

/* Ends the threads and frees everything.  Takes NULL.  kvm_fd stays open. */
void vm_free(struct vm *vm);

/* As vm_free(), but for its memory, which is the caller's again. */
void vm_free_but_memory(struct vm *vm, struct memory *ret);

/* Starts a thread for each vCPU; they are paused. */
int vm_start(struct vm *vm, struct error *err);

/*
 * Lets the machine go on, with the calling thread as vCPU 0's, and run() as a job of the worker; when run()
 * returns, the vCPUs stop, and vm_run() returns.  ready(), which may be NULL, is called when nothing else can fail any
 * more; where it fails, the machine does not run.  So a machine that was restored runs at once, where its state is in
 * the CPU's caches, and no thread has to wake up for it.
 */
int vm_run(struct vm *vm, struct worker *worker, int (*ready)(void *context, struct error *err),
	   void (*run)(void *context), void *context, struct error *err);

/*
 * Instead of vm_start(), for a machine of one vCPU: it runs in the calling thread, in vm_run_here(), which saves the
 * ways between threads.  From here on the thread takes the signal that vCPUs are kicked with (SIGRTMIN).
 */
int vm_start_here(struct vm *vm, struct error *err);

/*
 * Runs until the machine stops itself: true, and *ret is the event; false where a signal handler ran instead (a
 * timeout, say).  The exit that stopped it is not finished: vm_pause() does that, where its state is to be read, and a
 * rewind (snapshot/rewind.h) needs no such thing.
 */
bool vm_run_here(struct vm *vm, struct vm_event *ret);

/*
 * Pauses all vCPUs and waits until each has finished its pending exit and its fired timer stands in its LAPIC
 * (KVM.md 2): all state is then in what KVM's ioctls return.  Pausing a paused machine does nothing.
 */
void vm_pause(struct vm *vm);

/*
 * Asks for the pause without waiting for it, and: do all vCPUs stand still by now?  For a machine whose vCPUs may be
 * held up in an access to memory.
 */
void vm_ask_to_pause(struct vm *vm);
bool vm_stands_still(struct vm *vm);

/* For vcpu.c, under vm->lock: what becomes of pause_wanted, and whoever waits for the console learns it. */
void vm_want_pause(struct vm *vm, bool is_wanted);

/*
 * Lets the vCPUs go on.  Tells KVM that the guest was stopped on purpose (KVM_KVMCLOCK_CTRL).  Resuming a machine that
 * runs does nothing.
 */
void vm_resume(struct vm *vm);

/*
 * Pauses the machine for its user: until vm_release(), vm_resume() does nothing, whoever paused the machine besides and
 * lets it go on.  Both may be called twice.
 */
void vm_hold(struct vm *vm);
void vm_release(struct vm *vm);

/*
 * Waits until the machine stops itself, or until timeout_ms are over (-1: for ever).
 * Returns whether there was an event; the machine is then paused, *ret is the event, and it is taken.
 */
bool vm_wait(struct vm *vm, int timeout_ms, struct vm_event *ret);

/* Without waiting: the event that there is.  The machine is paused if there was one. */
bool vm_take_event(struct vm *vm, struct vm_event *ret);

/* Is there one?  A machine that stopped to report it runs on when it was taken. */
bool vm_has_event(struct vm *vm);

/* Forgets what the vCPUs of a paused machine have to report. */
void vm_drop_events(struct vm *vm);

/* Gives input to the UART; returns how many bytes it took. */
size_t vm_input(struct vm *vm, const uint8_t *data, size_t size);

#endif
