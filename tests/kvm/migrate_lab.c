#include "migrate_lab.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vmm/now.h"

#define MIGRATION_MS 60000 /* for one migration, on the slowest host */
#define LOOK_NS      2000000

void target_take(struct target *target)
{
	struct incoming *incoming = NULL;
	struct worker worker;
	struct vm *vm = NULL;
	worker_start(&worker);
	int kvm_fd = kvm_open(&target->error);
	const struct incoming_options options = { .restore = target->options,
						  .worker = &worker,
						  .ops = &machine_vm_ops,
						  .ops_context = target->console,
						  .patience_us = target->patience_us };
	int status = incoming_create(&incoming, target->fd, target->fd, kvm_fd, &options, &target->error);
	if (status == 0)
		status = incoming_receive(incoming, &vm, &target->error);
	if (status == 0)
		status = vm_start(vm, &target->error);
	if (status == 0)
		status = incoming_commit(incoming, &target->error);
	if (incoming != NULL)
		incoming_numbers(incoming, &target->numbers);
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

int target_start(struct target *ret, const struct restore_options *options)
{
	int fds[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	*ret = (struct target){ .fd = fds[1], .options = options, .console = machine_console() };
	ck_assert_int_eq(pthread_create(&ret->thread, NULL, run_target, ret), 0);
	return fds[0];
}

struct vm *target_end(struct target *target)
{
	pthread_join(target->thread, NULL);
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

struct outgoing *outgoing_start(struct vm *vm, struct track *track, int fd, const struct outgoing_options *options)
{
	struct outgoing *outgoing;
	struct error err;
	ck_assert_msg(outgoing_begin(&outgoing, vm, track, fd, fd, options, &err) == 0, "%s", err.text);
	return outgoing;
}

/* The guest's events are taken, and it goes on unless the migration holds it. */
static void take_events(struct vm *vm, const struct outgoing *outgoing)
{
	struct vm_event event;
	while (vm_take_event(vm, &event)) {
		ck_assert_msg(event.kind != VM_EVENT_FAILED, "%s", event.error.text);
		ck_assert_msg(event.kind != VM_EVENT_EXIT, "the guest ended: %.*s", (int)machine_printed(vm).size,
			      (const char *)machine_printed(vm).data);
		if (outgoing == NULL || !outgoing_holds(outgoing))
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
