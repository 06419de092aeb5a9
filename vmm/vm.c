#include "vm.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vcpu.h"

#define SPLIT_IOAPIC_PINS 24 /* routes that a user-space IOAPIC would need; what KVM_CAP_SPLIT_IRQCHIP asks for */

/* ---- What devices ask of the machine ---- */

static void console_output(void *context, uint8_t byte)
{
	struct vm *vm = context;
	vm->ops->console(vm->ops_context, byte);
}

/* Only the full controller has pins that a device in user space can drive. */
static void serial_set_irq(void *context, bool level)
{
	struct vm *vm = context;
	struct kvm_irq_level line = { .irq = UART_IRQ, .level = level };
	if (vm->machine.irqchip == IRQCHIP_FULL)
		kvm_call(vm->fd, KVM_IRQ_LINE, &line);
}

static void report_from_device(struct vm *vm, enum vm_event_kind kind, uint32_t value)
{
	vcpu_report(vm->device_vcpu, kind, value, NULL);
}

static void guest_exit(void *context, uint32_t value)
{
	report_from_device(context, VM_EVENT_EXIT, value);
}

static void guest_checkpoint(void *context, uint32_t value)
{
	report_from_device(context, VM_EVENT_CHECKPOINT, value);
}

static void guest_reset(void *context)
{
	report_from_device(context, VM_EVENT_RESET, 0);
}

static const struct serial_ops serial_ops = { .output = console_output, .set_irq = serial_set_irq };
static const struct ports_ops ports_ops = {
	.output = console_output, .exit = guest_exit, .checkpoint = guest_checkpoint, .reset = guest_reset
};

static void create_devices(struct vm *vm)
{
	serial_init(&vm->serial, &serial_ops, vm);
	bus_add(&vm->bus, "uart", PORT_UART, PORT_UART_COUNT, &serial_bus_ops, &vm->serial);
	ports_init(&vm->ports, &ports_ops, vm, &vm->bus);
	generation_init(&vm->generation, &vm->bus);
}

/* ---- Making a machine ---- */

int vm_set_slot(const struct vm *vm, unsigned region, uint32_t flags)
{
	const struct memory_region *memory = &vm->memory.regions[region];
	struct kvm_userspace_memory_region slot = {
		.slot = region,
		.flags = flags,
		.guest_phys_addr = memory->range.gpa,
		.memory_size = memory->range.size,
		.userspace_addr = (uintptr_t)memory->hva,
	};
	return kvm_call(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot);
}

static int create_slots(struct vm *vm, struct error *err)
{
	for (unsigned i = 0; i < vm->memory.nr_regions; i++) {
		const struct memory_range *range = &vm->memory.regions[i].range;
		if (vm_set_slot(vm, i, (range->flags & MEMORY_ROM) != 0 ? KVM_MEM_READONLY : 0) < 0)
			return error_errno(err, ERROR_SYSTEM,
					   "memory slot %u at 0x%" PRIx64 " of 0x%" PRIx64
					   " bytes: KVM_SET_USER_MEMORY_REGION",
					   i, range->gpa, range->size);
	}
	return 0;
}

static int create_irqchip(struct vm *vm, struct error *err)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	switch (vm->machine.irqchip) {
	case IRQCHIP_FULL:
		if (kvm_call_value(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
			return error_errno(err, ERROR_SYSTEM, "interrupt controller: KVM_CREATE_IRQCHIP");
		if (kvm_call(vm->fd, KVM_CREATE_PIT2, &pit) < 0)
			return error_errno(err, ERROR_SYSTEM, "timer: KVM_CREATE_PIT2");
		return 0;
	case IRQCHIP_SPLIT:
		if (kvm_enable_capability(vm->fd, KVM_CAP_SPLIT_IRQCHIP, SPLIT_IOAPIC_PINS) < 0)
			return error_errno(err, ERROR_SYSTEM, "interrupt controller: KVM_CAP_SPLIT_IRQCHIP");
		return 0;
	default:
		return 0;
	}
}

void vm_step(const struct vm *vm, const char *what, const char *name)
{
	if (vm->ops->step != NULL)
		vm->ops->step(vm->ops_context, what, name);
}

/* In an order that costs little: slots before the controller (each is 30 times as slow afterwards on some hosts). */
static int create(struct vm *vm, struct error *err)
{
	uint64_t identity_map = vm->machine.identity_map_address;
	if (vm->fd < 0)
		vm->fd = kvm_call_value(vm->kvm_fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		return error_errno(err, ERROR_SYSTEM, "KVM_CREATE_VM");
	vm_step(vm, "create", "VM");
	int status = machine_enable_capabilities(&vm->machine, vm->fd, err);
	if (status < 0)
		return status;
	if (identity_map != 0 && kvm_call(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0)
		return error_errno(err, ERROR_SYSTEM, "KVM_SET_IDENTITY_MAP_ADDR to 0x%llx",
				   (unsigned long long)identity_map);
	if (vm->machine.tss_address != 0 &&
	    kvm_call_value(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)vm->machine.tss_address) < 0)
		return error_errno(err, ERROR_SYSTEM, "KVM_SET_TSS_ADDR to 0x%llx",
				   (unsigned long long)vm->machine.tss_address);
	vm_step(vm, "set", "capabilities");
	status = create_slots(vm, err);
	vm_step(vm, "create", "slots");
	if (status == 0)
		status = create_irqchip(vm, err);
	if (status == 0)
		create_devices(vm);
	vm_step(vm, "create", "controllers");
	return status;
}

int vm_create_without_vcpus(struct vm **ret, int kvm_fd, int vm_fd, const struct machine *machine,
			    struct memory *memory, const struct vm_ops *ops, void *ops_context, struct error *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	if (vm == NULL) {
		if (vm_fd >= 0)
			close(vm_fd);
		return error_set(err, ERROR_SYSTEM, "no memory for a machine");
	}
	vm->kvm_fd = kvm_fd;
	vm->fd = vm_fd;
	vm->machine = *machine;
	vm->memory = *memory;
	vm->ops = ops;
	vm->ops_context = ops_context;
	vm->pause_wanted = true;
	vm->reg_access = kvm_reg_has_one_reg(kvm_fd) ? KVM_REG_ACCESS_ONE_REG : KVM_REG_ACCESS_MSRS;
	pthread_mutex_init(&vm->device_lock, NULL);
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->changed, NULL);
	vm->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int status = vm->event_fd < 0 ? error_errno(err, ERROR_SYSTEM, "eventfd") : create(vm, err);
	if (status < 0) {
		vm_free_but_memory(vm, memory);
		return status;
	}
	*memory = (struct memory){ 0 };
	*ret = vm;
	return 0;
}

int vm_create_vcpus(struct vm *vm, struct memory *memory, struct error *err)
{
	int status = 0, run_size = kvm_call_value(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	uint64_t mcg_cap = vm->machine.mcg_cap;
	if (run_size < (int)sizeof(struct kvm_run))
		status = error_errno(err, ERROR_SYSTEM, "KVM_GET_VCPU_MMAP_SIZE");
	for (unsigned i = 0; i < vm->machine.nr_vcpus && status == 0; i++) {
		status = vcpu_create(vm, i, (size_t)run_size, err);
		if (status == 0 && mcg_cap != 0 && kvm_call(vm->vcpus[i].fd, KVM_X86_SETUP_MCE, &mcg_cap) < 0)
			status = error_errno(err, ERROR_DIFFERENT,
					     "vCPU %u: this host's KVM refuses IA32_MCG_CAP 0x%llx", i,
					     (unsigned long long)mcg_cap);
	}
	vm_step(vm, "create", "vCPUs");
	if (status < 0)
		vm_free_but_memory(vm, memory);
	return status;
}

int vm_create(struct vm **ret, int kvm_fd, int vm_fd, const struct machine *machine, struct memory *memory,
	      const struct vm_ops *ops, void *ops_context, struct error *err)
{
	struct vm *vm;
	int status = vm_create_without_vcpus(&vm, kvm_fd, vm_fd, machine, memory, ops, ops_context, err);
	if (status == 0)
		status = vm_create_vcpus(vm, memory, err);
	if (status == 0)
		*ret = vm;
	return status;
}

static void kick_all(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_kick(&vm->vcpus[i]);
}

static void stop(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->stop_wanted = true;
	vm_want_pause(vm, true);
	kick_all(vm);
	pthread_cond_broadcast(&vm->changed);
	pthread_mutex_unlock(&vm->lock);
}

void vm_free(struct vm *vm)
{
	if (vm == NULL)
		return;
	stop(vm);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_done(&vm->vcpus[i]);
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->event_fd >= 0)
		close(vm->event_fd);
	memory_done(&vm->memory);
	free(vm->restored_regs);
	pthread_cond_destroy(&vm->changed);
	pthread_mutex_destroy(&vm->lock);
	pthread_mutex_destroy(&vm->device_lock);
	free(vm);
}

void vm_free_but_memory(struct vm *vm, struct memory *ret)
{
	*ret = vm->memory;
	vm->memory = (struct memory){ 0 };
	vm_free(vm);
}

/* ---- Running, pausing ---- */

static int start_from(struct vm *vm, unsigned first, struct error *err)
{
	for (unsigned i = first; i < vm->nr_vcpus; i++) {
		int status = vcpu_start(&vm->vcpus[i], err);
		if (status < 0)
			return status;
	}
	return 0;
}

int vm_start(struct vm *vm, struct error *err)
{
	return start_from(vm, 0, err);
}

/* What vm_run() has the worker do. */
struct control {
	struct vm *vm;
	void (*run)(void *context);
	void *context;
};

static void do_control(void *arg)
{
	const struct control *control = arg;
	control->run(control->context);
	stop(control->vm);
}

int vm_run(struct vm *vm, struct worker *worker, int (*ready)(void *context, struct error *err),
	   void (*run)(void *context), void *context, struct error *err)
{
	struct control control = { .vm = vm, .run = run, .context = context };
	sigset_t signals;
	if (!worker->has_thread)
		return error_set(err, ERROR_SYSTEM, "the machine's control: its thread could not be started");
	int status = start_from(vm, 1, err);
	if (status < 0)
		return status;
	vcpu_adopt(&vm->vcpus[0], &signals);
	status = ready != NULL ? ready(context, err) : 0;
	if (status < 0) {
		vcpu_release(&vm->vcpus[0], &signals);
		return status;
	}
	vm_resume(vm); /* before run() may pause it */
	unsigned job = worker_do(worker, do_control, &control);
	vcpu_run(&vm->vcpus[0]);
	worker_wait(worker, job);
	vcpu_release(&vm->vcpus[0], &signals);
	return 0;
}

static unsigned nr_threads(const struct vm *vm)
{
	unsigned nr = 0;
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		nr += vm->vcpus[i].has_thread;
	return nr;
}

static void wait_until_parked(struct vm *vm)
{
	while (vm->nr_parked < nr_threads(vm))
		pthread_cond_wait(&vm->changed, &vm->lock);
}

void vm_want_pause(struct vm *vm, bool is_wanted)
{
	vm->pause_wanted = is_wanted;
	if (vm->ops->pausing != NULL)
		vm->ops->pausing(vm->ops_context, is_wanted);
}

int vm_start_here(struct vm *vm, struct error *err)
{
	if (vm->nr_vcpus != 1)
		return error_set(err, ERROR_USAGE, "%u vCPUs: only one can run in its owner's thread", vm->nr_vcpus);
	vcpu_start_here(&vm->vcpus[0]);
	return 0;
}

bool vm_run_here(struct vm *vm, struct vm_event *ret)
{
	struct vcpu *vcpu = &vm->vcpus[0];
	if (!vcpu_run_here(vcpu))
		return false;
	*ret = vcpu->event;
	vcpu->event.kind = VM_EVENT_NONE;
	return true;
}

void vm_pause(struct vm *vm)
{
	if (vm->vcpus[0].is_here) {
		vcpu_finish_here(&vm->vcpus[0]);
		return;
	}
	pthread_mutex_lock(&vm->lock);
	vm_want_pause(vm, true);
	kick_all(vm);
	wait_until_parked(vm);
	pthread_mutex_unlock(&vm->lock);
}

void vm_ask_to_pause(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm_want_pause(vm, true);
	kick_all(vm);
	pthread_mutex_unlock(&vm->lock);
}

bool vm_stands_still(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	bool is_still = vm->nr_parked == nr_threads(vm);
	pthread_mutex_unlock(&vm->lock);
	return is_still;
}

static struct vcpu *find_event(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i].event.kind != VM_EVENT_NONE)
			return &vm->vcpus[i];
	return NULL;
}

bool vm_has_event(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	bool has = find_event(vm) != NULL;
	pthread_mutex_unlock(&vm->lock);
	return has;
}

void vm_resume(struct vm *vm)
{
	/* It runs: KVM_KVMCLOCK_CTRL would wait for the end of KVM_RUN, for ever where the guest has halted. */
	if (!vm->pause_wanted || vm->is_held)
		return;
	/* EINVAL where the guest has no kvm-clock: harmless. */
	for (unsigned i = 0; i < vm->nr_vcpus && vm->may_have_kvmclock; i++)
		kvm_call_value(vm->vcpus[i].fd, KVM_KVMCLOCK_CTRL, 0);
	vm->may_have_kvmclock = true;
	pthread_mutex_lock(&vm->lock);
	/* Another vCPU's event that came with the last one is told first; the machine stands still until then. */
	if (find_event(vm) == NULL) {
		vm_want_pause(vm, false);
		pthread_cond_broadcast(&vm->changed);
	}
	pthread_mutex_unlock(&vm->lock);
}

void vm_hold(struct vm *vm)
{
	vm->is_held = true;
	vm_pause(vm);
}

void vm_release(struct vm *vm)
{
	vm->is_held = false;
	vm_resume(vm);
}

bool vm_take_event(struct vm *vm, struct vm_event *ret)
{
	eventfd_t ignored;
	pthread_mutex_lock(&vm->lock);
	struct vcpu *vcpu = find_event(vm);
	if (vcpu != NULL) {
		wait_until_parked(vm);
		*ret = vcpu->event;
		vcpu->event.kind = VM_EVENT_NONE;
		if (find_event(vm) == NULL)
			eventfd_read(vm->event_fd, &ignored);
	}
	pthread_mutex_unlock(&vm->lock);
	return vcpu != NULL;
}

void vm_drop_events(struct vm *vm)
{
	eventfd_t ignored;
	pthread_mutex_lock(&vm->lock);
	if (find_event(vm) != NULL && !vm->vcpus[0].is_here)
		eventfd_read(vm->event_fd, &ignored);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vm->vcpus[i].event.kind = VM_EVENT_NONE;
	pthread_mutex_unlock(&vm->lock);
}

bool vm_wait(struct vm *vm, int timeout_ms, struct vm_event *ret)
{
	struct pollfd wait = { .fd = vm->event_fd, .events = POLLIN };
	while (poll(&wait, 1, timeout_ms) < 0 && errno == EINTR)
		;
	return vm_take_event(vm, ret);
}

size_t vm_input(struct vm *vm, const uint8_t *data, size_t size)
{
	pthread_mutex_lock(&vm->device_lock);
	size_t taken = serial_receive(&vm->serial, data, size);
	pthread_mutex_unlock(&vm->device_lock);
	return taken;
}
