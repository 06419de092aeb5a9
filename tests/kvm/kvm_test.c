#include "kvm_test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "snapshot/save.h"
#include "vmm/setup.h"

int kvm_test_main(const char *name, const struct kvm_test *tests, size_t nr)
{
	struct error err;
	int kvm_fd = kvm_open(&err);
	if (kvm_fd < 0) {
		printf("SKIPPED: %s: %s\n", name, err.text);
		return KVM_TEST_SKIPPED;
	}
	close(kvm_fd);
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	tcase_set_timeout(tcase, KVM_TEST_TIMEOUT);
	for (size_t i = 0; i < nr; i++)
		tcase_add_loop_test(tcase, tests[i].test, 0, (int)tests[i].loops);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}

void test_skipped(const char *what, const char *why)
{
	printf("SKIPPED: %s: %s\n", what, why);
	fflush(stdout);
}

const char *irqchip_name(uint32_t irqchip)
{
	static const char *const names[GUEST_IRQCHIPS] = {
		[IRQCHIP_NONE] = "none", [IRQCHIP_SPLIT] = "split", [IRQCHIP_FULL] = "full"
	};
	return names[irqchip];
}

/* ---- Machines ---- */

/* The console of a machine is a buffer that belongs to it. */
static void console_output(void *context, uint8_t byte)
{
	if (buffer_append(context, &byte, 1) == NULL)
		abort();
}

struct buffer *machine_console(void)
{
	struct buffer *console = calloc(1, sizeof(*console));
	ck_assert_ptr_nonnull(console);
	return console;
}

struct bytes machine_printed(const struct vm *vm)
{
	return buffer_bytes(vm->ops_context);
}

const struct vm_ops machine_vm_ops = { .console = console_output };

static struct vm *boot_with(const struct machine_kind *kind, struct bytes image, enum boot_kind boot,
			    const char *command_line)
{
	struct setup setup = {
		.ram_size = KVM_TEST_RAM, .nr_vcpus = kind->nr_vcpus, .irqchip = kind->irqchip, .baseline = CPUID_HOST
	};
	struct boot_request request = { .image = { .name = kind->guest, .contents = image },
					.kind = boot,
					.command_line = command_line };
	struct vm *vm = NULL;
	struct error err;
	int kvm_fd = kvm_open(&err);
	if (kvm_fd < 0 || setup_boot(&setup, &request, kvm_fd, &machine_vm_ops, machine_console(), &vm, &err) < 0)
		ck_abort_msg("booting %s: %s", kind->guest, err.text);
	return vm;
}

struct vm *machine_boot_image(const struct machine_kind *kind, struct bytes image, enum boot_kind boot)
{
	return boot_with(kind, image, boot, "");
}

struct vm *machine_boot_line(const struct machine_kind *kind, const char *command_line)
{
	const struct guest *guest = guest_find(kind->guest);
	ck_assert_msg(guest != NULL, "no guest is called %s", kind->guest);
	struct buffer image = { 0 };
	ck_assert(guest_image(guest, &image));
	struct vm *vm =
		boot_with(kind, buffer_bytes(&image), guest->is_long ? BOOT_FLAT_LONG : BOOT_SECTOR, command_line);
	buffer_done(&image);
	return vm;
}

struct vm *machine_boot(const struct machine_kind *kind)
{
	return machine_boot_line(kind, "");
}

bool machine_run(struct vm *vm, uint32_t *ret_checkpoint)
{
	struct vm_event event;
	struct error err;
	if (!vm->vcpus[0].has_thread && vm_start(vm, &err) < 0)
		ck_abort_msg("%s", err.text);
	vm_resume(vm);
	if (!vm_wait(vm, KVM_TEST_WAIT_MS, &event))
		ck_abort_msg("the guest came to no checkpoint");
	if (event.kind == VM_EVENT_FAILED)
		ck_abort_msg("%s", event.error.text);
	if (event.kind == VM_EVENT_EXIT) {
		ck_assert_msg(event.value == 0, "the guest ended with %u: %.*s", event.value,
			      (int)machine_printed(vm).size, (const char *)machine_printed(vm).data);
		return false;
	}
	ck_assert_int_eq(event.kind, VM_EVENT_CHECKPOINT);
	*ret_checkpoint = event.value;
	return true;
}

void machine_run_to(struct vm *vm, uint32_t checkpoint)
{
	uint32_t at;
	do {
		ck_assert_msg(machine_run(vm, &at), "the guest ended before checkpoint %u", checkpoint);
	} while (at != checkpoint);
}

void machine_run_to_exit(struct vm *vm)
{
	uint32_t at;
	while (machine_run(vm, &at))
		;
}

void machine_free(struct vm *vm)
{
	struct buffer *console = vm->ops_context;
	int kvm_fd = vm->kvm_fd;
	vm_free(vm);
	close(kvm_fd);
	buffer_done(console);
	free(console);
}

/* ---- Images ---- */

static void memory_clone(const struct memory *memory, struct memory *ret)
{
	struct error err;
	*ret = (struct memory){ 0 };
	for (unsigned i = 0; i < memory->nr_regions; i++) {
		const struct memory_region *region = &memory->regions[i];
		if (memory_add(ret, &region->range, &err) < 0)
			ck_abort_msg("%s", err.text);
		uint64_t start, end = 0;
		while (memory_next_data(region, end, region->range.size, &start, &end))
			memcpy(ret->regions[i].hva + start, region->hva + start, end - start);
	}
}

void image_take(struct vm *vm, struct image *ret)
{
	struct error err;
	if (save_image(vm, ret, &err) < 0)
		ck_abort_msg("saving: %s", err.text);
	memory_clone(&vm->memory, &ret->ram);
	ret->memory = &ret->ram;
}

void image_clone(const struct image *image, struct image *ret)
{
	struct error err;
	if (image_copy(image, ret, &err) < 0)
		ck_abort_msg("%s", err.text);
	memory_clone(image->memory, &ret->ram);
	ret->memory = &ret->ram;
}

uint8_t *image_payload(const struct image *image, const char *component, unsigned instance)
{
	const struct section *section = image_find_named(image, component, instance);
	ck_assert_msg(section != NULL, "the image has no %s of %u", component, instance);
	return section->payload.data;
}

struct buffer component_take(struct vm *vm, const char *component, unsigned instance)
{
	struct buffer payload = { 0 };
	struct error err;
	if (component_save(component_by_name(component), vm, instance, &payload, &err) < 0)
		ck_abort_msg("saving %s: %s", component, err.text);
	return payload;
}

static const struct restore_options no_options;

struct vm *image_restore(const struct image *image, const struct restore_step *plan, unsigned nr_steps,
			 struct report *report)
{
	return image_restore_with(image, &no_options, plan, nr_steps, report);
}

struct vm *image_restore_with(const struct image *image, const struct restore_options *options,
			      const struct restore_step *plan, unsigned nr_steps, struct report *report)
{
	struct image copy;
	struct vm *vm = NULL;
	struct error err;
	struct buffer *console = machine_console();
	int kvm_fd = kvm_open(&err);
	ck_assert_int_ge(kvm_fd, 0);
	image_clone(image, &copy);
	int status = restore_image(&copy, kvm_fd, options, plan, nr_steps, &machine_vm_ops, console, report, &vm, &err);
	image_done(&copy);
	if (status < 0 && status != -ERROR_DIFFERENT)
		ck_abort_msg("restoring: %s", err.text);
	if (status < 0) {
		close(kvm_fd);
		free(console);
	}
	return vm;
}

void restore_begin(struct vm *vm, const struct image *image, struct report *report, struct restore *ret)
{
	struct error err;
	*ret = (struct restore){ .vm = vm, .options = &no_options, .report = report };
	ret->image = calloc(1, sizeof(*ret->image));
	ck_assert_ptr_nonnull(ret->image);
	if (image_copy(image, ret->image, &err) < 0)
		ck_abort_msg("%s", err.text);
}

void restore_end(struct restore *restore)
{
	image_done(restore->image);
	free(restore->image);
}

void component_put(struct restore *restore, const char *component, unsigned instance, struct bytes payload)
{
	const struct component *row = component_by_name(component);
	struct error err;
	for (unsigned stage = 0; stage < STAGES; stage++)
		if ((row->stages & 1 << stage) != 0 &&
		    component_restore(row, restore, instance, (enum stage)stage, payload, &err) < 0)
			ck_abort_msg("restoring %s: %s", component, err.text);
}

/* ---- Reports ---- */

void report_print(const struct report *report)
{
	char line[512];
	for (size_t i = 0; i < report->nr; i++) {
		if (report->findings[i].kind == FINDING_VOLATILE)
			continue;
		finding_format(&report->findings[i], line, sizeof(line));
		printf("\t%.160s\n", line);
	}
	fflush(stdout);
}

const struct finding *report_find(const struct report *report, enum finding_kind kind, const char *component,
				  const char *name)
{
	size_t length = strlen(name);
	for (size_t i = 0; i < report->nr; i++) {
		const struct finding *finding = &report->findings[i];
		if (finding->kind == kind && strcmp(finding->component, component) == 0 &&
		    strncmp(finding->name, name, length) == 0 &&
		    (finding->name[length] == '\0' || finding->name[length] == ' '))
			return finding;
	}
	return NULL;
}
