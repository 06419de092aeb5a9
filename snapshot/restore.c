#include "restore.h"

#include <stdio.h>
#include <string.h>

#include "compare.h"
#include "save.h"

#define STAGES_BEFORE_ARM                                                                                              \
	(uint8_t)(1 << STAGE_MACHINE | 1 << STAGE_VM_EARLY | 1 << STAGE_VCPU_EARLY | 1 << STAGE_VCPU |                 \
		  1 << STAGE_VM_LATE)

unsigned restore_plan(struct restore_step ret[RESTORE_STEPS_MAX])
{
	unsigned nr = 0;
	for (unsigned stage = STAGE_VM_EARLY; stage < STAGES; stage++)
		for (size_t i = 0; i < component_table_size; i++)
			if ((component_table[i].stages & 1 << stage) != 0)
				ret[nr++] = (struct restore_step){ .component = &component_table[i],
								   .stage = (enum stage)stage };
	return nr;
}

static int run_step(struct restore *restore, const struct restore_step *step, struct error *err)
{
	for (unsigned i = 0; i < VM_VCPUS_MAX; i++) {
		const struct section *section = image_find(restore->image, step->component, i);
		if (section == NULL)
			continue;
		int status = component_restore(step->component, restore, i, step->stage,
					       buffer_bytes(&section->payload), err);
		if (status < 0) {
			char where[16];
			component_where(step->component, i, where, sizeof(where));
			return error_prefix(err, "restoring %s of %s", step->component->name, where);
		}
	}
	return 0;
}

/*
 * Compare asks by the component's and the full name; users name the component, a register, or a field as in "tsc-khz".
 */
static bool difference_is_allowed(void *context, const char *component, const char *name)
{
	const struct restore_options *options = context;
	char plain[80], field[112];
	snprintf(plain, sizeof(plain), "%s", name);
	snprintf(field, sizeof(field), "%s-%s", component, name);
	char *bracket = strstr(plain, " (");
	if (bracket != NULL)
		*bracket = '\0';
	return restore_is_allowed(options, component) || restore_is_allowed(options, plain) ||
	       restore_is_allowed(options, field) || restore_is_left_out(options, component) ||
	       restore_is_left_out(options, plain);
}

/*
 * What this host has and the snapshot's did not: it keeps the value that a reset gives it.  Told, but nothing was lost.
 */
static void soften_if_new(struct finding *finding)
{
	if (finding->kind != FINDING_DIFFERENT || strcmp(finding->left, COMPARE_ABSENT) != 0)
		return;
	finding->kind = FINDING_TRANSLATED;
	finding->left[0] = finding->right[0] = '\0';
	snprintf(finding->detail, sizeof(finding->detail), "the snapshot does not have it; it keeps its reset value");
}

/*
 * Was it said when it was put?  Where a whole component was refused, nothing of it arrived.  Of what was translated,
 * only that the host does not have it: any other value is news.
 */
static bool is_told(const struct report *report, const struct finding *finding)
{
	for (size_t i = 0; i < report->nr; i++) {
		const struct finding *told = &report->findings[i];
		if (strcmp(told->where, finding->where) != 0 || strcmp(told->component, finding->component) != 0)
			continue;
		if (told->kind == FINDING_REFUSED && told->name[0] == '\0')
			return true;
		if (strcmp(told->name, finding->name) == 0 &&
		    (told->kind != FINDING_TRANSLATED || strcmp(finding->right, COMPARE_ABSENT) == 0))
			return true;
	}
	return false;
}

/* Reads the stages' state back and holds it against what was put. */
static int verify(struct restore *restore, uint8_t stages, struct error *err)
{
	struct image got = { 0 };
	struct report found = { 0 };
	struct compare_options options = { .stages = stages,
					   .is_allowed = difference_is_allowed,
					   .context = (void *)(uintptr_t)restore->options };
	int status = save_read_back(restore->vm, stages, &got, err);
	if (status < 0)
		return error_prefix(err, "reading back");
	compare_images(restore->image, &got, &options, &found);
	for (size_t i = 0; i < found.nr; i++) {
		if (found.findings[i].kind == FINDING_VOLATILE || is_told(restore->report, &found.findings[i]))
			continue;
		soften_if_new(&found.findings[i]);
		report_add(restore->report, &found.findings[i]);
	}
	report_done(&found);
	image_done(&got);
	return 0;
}

static int run_plan(struct restore *restore, const struct restore_step *plan, unsigned nr_steps, struct error *err)
{
	bool verified = false;
	int status = 0;
	for (unsigned i = 0; i < nr_steps && status == 0; i++) {
		if (plan[i].stage == STAGE_ARM && !verified) {
			status = verify(restore, STAGES_BEFORE_ARM, err);
			verified = true;
			/* What is armed may fire at once; a machine that is refused anyway stays as it is. */
			if (status < 0 || report_bad(restore->report) > 0)
				return status;
		}
		status = run_step(restore, &plan[i], err);
	}
	return status;
}

static void translate(struct image *image, const struct vm *vm, struct report *report)
{
	for (size_t i = 0; i < image->nr_sections; i++) {
		struct section *section = &image->sections[i];
		const struct component_ops *ops = section->component->ops;
		if (ops != NULL && ops->translate != NULL)
			ops->translate(vm, section->instance, section->payload.data, section->payload.size, report);
	}
}

/* Drops sections that the user wants to be left out, and says so. */
static void leave_out(struct image *image, const struct restore_options *options, struct report *report)
{
	size_t kept = 0;
	for (size_t i = 0; i < image->nr_sections; i++) {
		struct section *section = &image->sections[i];
		if (section->component->stages != 1 << STAGE_MACHINE &&
		    restore_is_left_out(options, section->component->name)) {
			struct finding finding = { .kind = FINDING_ALLOWED, .detail = RESTORE_LEFT_OUT };
			component_where(section->component, section->instance, finding.where, sizeof(finding.where));
			snprintf(finding.component, sizeof(finding.component), "%s", section->component->name);
			report_add(report, &finding);
			buffer_done(&section->payload);
			continue;
		}
		image->sections[kept++] = *section;
	}
	image->nr_sections = kept;
}

static int refusal(const struct report *report, struct error *err)
{
	return error_set(err, ERROR_DIFFERENT,
			 "%zu difference%s between the snapshot and what this host took; nothing was started",
			 report_bad(report), report_bad(report) == 1 ? "" : "s");
}

static int put(struct restore *restore, struct image *expected, const struct restore_step *plan, unsigned nr_steps,
	       struct error *err)
{
	struct restore_step steps[RESTORE_STEPS_MAX];
	if (plan == NULL) {
		nr_steps = restore_plan(steps);
		plan = steps;
	}
	int status = cpuid_supported(restore->vm->kvm_fd, &restore->host_cpuid, err);
	if (status < 0)
		return status;
	leave_out(expected, restore->options, restore->report);
	translate(expected, restore->vm, restore->report);
	restore->image = expected;
	status = run_plan(restore, plan, nr_steps, err);
	if (status == 0 && report_bad(restore->report) == 0)
		status = verify(restore, 1 << STAGE_ARM, err);
	if (status == 0 && report_bad(restore->report) > 0)
		status = refusal(restore->report, err);
	return status;
}

int restore_image(struct image *image, int kvm_fd, const struct restore_options *options,
		  const struct restore_step *plan, unsigned nr_steps, const struct vm_ops *ops, void *ops_context,
		  struct report *report, struct vm **ret, struct error *err)
{
	struct vm *vm = NULL;
	struct image expected = { 0 };
	struct restore restore = { .options = options, .report = report };
	int status = image_copy(image, &expected, err);
	if (status == 0)
		status = vm_create(&vm, kvm_fd, image_machine(image), &image->ram, ops, ops_context, err);
	if (status == 0) {
		if (options->has_reg_access)
			vm->reg_access = options->reg_access;
		image->memory = &vm->memory;
		restore.vm = vm;
		status = put(&restore, &expected, plan, nr_steps, err);
	}
	image_done(&expected);
	if (status < 0) {
		if (vm != NULL) { /* RAM goes back to the image */
			image->ram = vm->memory;
			image->memory = &image->ram;
			vm->memory = (struct memory){ 0 };
		}
		vm_free(vm);
		return status;
	}
	*ret = vm;
	return 0;
}
