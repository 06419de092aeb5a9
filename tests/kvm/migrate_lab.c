#include "migrate_lab.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vmm/now.h"
#include "vmm/userfault.h"

#define MIGRATION_MS 60000 /* for one migration, on the slowest host */
#define LOOK_NS      2000000
#define MOMENT_NS    3000000

const struct machine_kind migrate_kinds[MIGRATE_KINDS] = {
	{ "memory", IRQCHIP_FULL, 1 },     { "memory", IRQCHIP_NONE, 1 },      { "smp", IRQCHIP_FULL, 1 },
	{ "memory-smp", IRQCHIP_FULL, 4 }, { "memory-smp", IRQCHIP_SPLIT, 4 }, { "smp", IRQCHIP_SPLIT, 4 },
	{ "smp", IRQCHIP_FULL, 4 },
};

void target_take(struct target *target)
{
	struct incoming *incoming = NULL;
	struct worker worker;
	struct vm *vm = NULL;
	worker_start(&worker);
	int kvm_fd = kvm_open(&target->error);
	struct incoming_options options = { .restore = target->options,
					    .worker = &worker,
					    .ops = &machine_vm_ops,
					    .ops_context = target->console,
					    .patience_us = target->patience_us };
	options.userfault_fd = target->has_no_userfault
				       ? error_set(&options.no_userfault, ERROR_PERMISSION, "not for this user")
				       : userfault_open(&options.no_userfault);
	int status = incoming_create(&incoming, target->fd, target->fd, kvm_fd, &options, &target->error);
	if (status == 0)
		status = incoming_receive(incoming, &vm, &target->error);
	if (status == 0)
		status = vm_start(vm, &target->error);
	if (status == 0)
		status = incoming_commit(incoming, &target->error);
	if (incoming != NULL)
		incoming_numbers(incoming, &target->numbers);
	if (status == 0)
		target->arrival = incoming_take_arrival(incoming);
	if (status == 0 && target->runs_at_once)
		vm_resume(vm);
	if (status == 0 && target->touched_gpa != 0)
		memory_read(&vm->memory, target->touched_gpa, &target->touched, sizeof(target->touched));
	incoming_free(incoming);
	worker_end(&worker);
	if (status < 0) {
		vm_free(vm);
		close(kvm_fd);
		vm = NULL;
	}
	target->vm = vm;
}

static void *run_target(void *context)
{
	target_take(context);
	return NULL;
}

int target_start_as(struct target *target)
{
	int fds[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	target->fd = fds[1];
	target->console = machine_console();
	ck_assert_int_eq(pthread_create(&target->thread, NULL, run_target, target), 0);
	return fds[0];
}

int target_start(struct target *ret, const struct restore_options *options)
{
	*ret = (struct target){ .options = options };
	return target_start_as(ret);
}

struct vm *target_end(struct target *target)
{
	pthread_join(target->thread, NULL);
	if (target->arrival != NULL) {
		arrival_count(target->arrival, &target->arrived);
		arrival_end(target->arrival, NULL);
	}
	target->arrival = NULL;
	if (target->vm == NULL)
		free(target->console);
	return target->vm;
}

static int64_t now_ms(void)
{
	return now_us() / 1000;
}

struct vm *boot_running(const struct machine_kind *kind, const char *command_line)
{
	struct error err;
	struct vm *vm = machine_boot_line(kind, command_line);
	ck_assert_int_eq(vm_start(vm, &err), 0);
	vm_resume(vm);
	return vm;
}

static uint64_t last_checkpoint; /* of the guest that is being moved; 0: it has no end */

struct vm *migrate_boot(const struct machine_kind *kind)
{
	last_checkpoint = strcmp(kind->guest, "smp") == 0 ? 2 : 1;
	return boot_running(kind, "");
}

struct outgoing *outgoing_start(struct vm *vm, struct track *track, int fd, const struct outgoing_options *options)
{
	struct outgoing *outgoing;
	struct error err;
	ck_assert_msg(outgoing_begin(&outgoing, vm, track, fd, fd, options, &err) == 0, "%s", err.text);
	return outgoing;
}

/* The guest's events are taken, and it goes on unless the migration holds it, or it would come to its end. */
static void take_events(struct vm *vm, const struct outgoing *outgoing)
{
	struct vm_event event;
	while (vm_take_event(vm, &event)) {
		ck_assert_msg(event.kind != VM_EVENT_FAILED, "%s", event.error.text);
		ck_assert_msg(event.kind != VM_EVENT_EXIT, "the guest ended: %.*s", (int)machine_printed(vm).size,
			      (const char *)machine_printed(vm).data);
		bool is_last = event.kind == VM_EVENT_CHECKPOINT && event.value == last_checkpoint;
		if (!is_last && (outgoing == NULL || !outgoing_holds(outgoing)))
			vm_resume(vm);
	}
}

bool outgoing_drive_once(struct outgoing *outgoing, struct vm *vm)
{
	struct pollfd fds[3];
	int timeout_ms;
	outgoing_wants(outgoing, fds, &timeout_ms);
	fds[2] = (struct pollfd){ .fd = vm->event_fd, .events = POLLIN };
	ck_assert(poll(fds, 3, timeout_ms) >= 0 || errno == EINTR);
	bool is_over = outgoing_step(outgoing);
	take_events(vm, outgoing);
	return is_over;
}

enum outgoing_result outgoing_drive(struct outgoing *outgoing, struct vm *vm, struct error *err)
{
	int64_t deadline_ms = now_ms() + MIGRATION_MS;
	while (!outgoing_drive_once(outgoing, vm))
		ck_assert_int_lt(now_ms(), deadline_ms);
	return outgoing_result(outgoing, err);
}

static unsigned nr_lines(const struct vm *vm)
{
	struct bytes text = machine_printed(vm);
	unsigned nr = 0;
	for (size_t i = 0; i < text.size; i++)
		nr += text.data[i] == '\n';
	return nr;
}

bool machine_prints(struct vm *vm, unsigned lines)
{
	int64_t deadline_ms = now_ms() + KVM_TEST_WAIT_MS;
	struct vm_event event;
	vm_pause(vm);
	unsigned wanted = nr_lines(vm) + lines, got = 0;
	while (got < wanted && now_ms() < deadline_ms) {
		vm_resume(vm);
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_NS }, NULL);
		vm_pause(vm);
		while (vm_take_event(vm, &event))
			if (event.kind != VM_EVENT_CHECKPOINT)
				return false;
		got = nr_lines(vm);
	}
	vm_resume(vm);
	return got >= wanted;
}

void wait_a_moment(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = MOMENT_NS }, NULL);
}

/* What time does by itself between the two looks: timers that tick on, and what they make of it. */
static bool is_time(const struct finding *finding)
{
	static const char *const components[] = { "lapic", "pit", "pic-master", "ioapic", "tsc" };
	for (size_t i = 0; i < ARRAY_SIZE(components); i++)
		if (strcmp(finding->component, components[i]) == 0)
			return true;
	return strncmp(finding->name, "IA32_TSC", 8) == 0;
}

/* That it is a restored one, the machine may know (guest/abi.h). */
static bool is_known(const struct finding *finding)
{
	return strcmp(finding->component, "ports") == 0;
}

void migrate_expect_same(struct vm *source, struct vm *target)
{
	const struct compare_options options = { .with_ram = true };
	struct report report = { 0 };
	struct image left, right;
	image_take(source, &left);
	image_take(target, &right);
	compare_images(&left, &right, &options, &report);
	for (size_t i = 0; i < report.nr; i++) {
		const struct finding *finding = &report.findings[i];
		if (finding->kind == FINDING_VOLATILE || is_time(finding) || is_known(finding))
			continue;
		report_print(&report);
		ck_abort_msg("%s %s %s differs", finding->where, finding->component, finding->name);
	}
	report_done(&report);
	image_done(&left);
	image_done(&right);
}

/* What both have printed, the one behind the other. */
static struct buffer printed_by(const struct vm *first, const struct vm *second)
{
	struct buffer both = { 0 };
	struct bytes a = machine_printed(first), b = machine_printed(second);
	ck_assert(a.size == 0 || buffer_append(&both, a.data, a.size) != NULL);
	ck_assert(b.size == 0 || buffer_append(&both, b.data, b.size) != NULL);
	return both;
}

void migrate_expect_goes_on(const struct machine_kind *kind, struct vm *source, struct vm *target)
{
	struct vm *home = machine_boot(kind);
	machine_run_to_exit(target);
	machine_run_to_exit(home);
	struct buffer both = printed_by(source, target);
	struct bytes expected = machine_printed(home);
	ck_assert_msg(both.size == expected.size && memcmp(both.data, expected.data, both.size) == 0, "%s printed %.*s",
		      kind->guest, (int)both.size, (const char *)both.data);
	buffer_done(&both);
	machine_free(home);
}
