#include "restore.h"

#include <stdio.h>
#include <string.h>

#include "compare.h"
#include "save.h"
#include "vmm/cpuid_query.h"

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
	unsigned nr = image_instances(restore->image);
	for (unsigned i = 0; i < nr; i++) {
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
	vm_step(restore->vm, "put", step->component->name);
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
					   .no_volatile = true,
					   .is_allowed = difference_is_allowed,
					   .context = (void *)(uintptr_t)restore->options };
	int status = save_read_back(restore->vm, stages, &got, err);
	if (status < 0)
		return error_prefix(err, "reading back");
	vm_step(restore->vm, "read", "back");
	compare_images(restore->image, &got, &options, &found);
	for (size_t i = 0; i < found.nr; i++) {
		if (is_told(restore->report, &found.findings[i]))
			continue;
		soften_if_new(&found.findings[i]);
		report_add(restore->report, &found.findings[i]);
	}
	report_done(&found);
	image_done(&got);
	vm_step(restore->vm, "compare", "");
	return 0;
}

/* Has this host what the snapshot's CPUID promises the guest? */
static int check_host(struct restore *restore, const struct cpuid_query *query, struct error *err)
{
	const struct cpuid *host;
	int status = cpuid_query_supported(query, &host, err);
	if (status == 0)
		cpuid_check_host(restore, host);
	vm_step(restore->vm, "check", "CPUID");
	return status;
}

static int run_plan(struct restore *restore, const struct cpuid_query *query, const struct restore_step *plan,
		    unsigned nr_steps, struct error *err)
{
	bool verified = false;
	int status = 0;
	for (unsigned i = 0; i < nr_steps && status == 0; i++) {
		if (plan[i].stage == STAGE_ARM && !verified) {
			status = verify(restore, STAGES_BEFORE_ARM, err);
			if (status == 0)
				status = check_host(restore, query, err);
			verified = true;
			/* What is armed may fire at once; a machine that is refused anyway stays as it is. */
			if (status < 0 || report_bad(restore->report) > 0)
				return status;
		}
		status = run_step(restore, &plan[i], err);
	}
	return status;
}

static int translate(const struct restore *restore, struct error *err)
{
	for (size_t i = 0; i < restore->image->nr_sections; i++) {
		struct section *section = &restore->image->sections[i];
		const struct component_ops *ops = section->component->ops;
		if (ops == NULL || ops->translate == NULL)
			continue;
		if (!buffer_own(&section->payload))
			return error_set(err, ERROR_SYSTEM, "no memory for a snapshot's section %s",
					 section->component->name);
		ops->translate(restore, section->instance, section->payload.data, section->payload.size);
	}
	return 0;
}

/* Drops sections that the user wants to be left out, and says so. */
static void leave_out(struct image *image, const struct restore_options *options, struct report *report)
{
	size_t kept = 0;
	for (size_t i = 0; i < image->nr_sections; i++) {
		struct section *section = &image->sections[i];
		if (section->component->stages != 1 << STAGE_MACHINE &&
		    restore_leaves_out(options, section->component)) {
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

/* What is put: the image with what the user wants and this host needs otherwise. */
struct preparation {
	struct restore *restore;
	const struct image *image;
	struct image expected;
	int status;
	struct error error;
};

/* A page of memory costs a fault when it is touched first: more than reading a register.  So the heap gets some now. */
#define HEAP_BYTES 65536

static void touch_heap(void)
{
	struct buffer room = { 0 };
	buffer_append(&room, NULL, HEAP_BYTES);
	buffer_done(&room);
}

static void prepare(struct preparation *preparation)
{
	struct restore *restore = preparation->restore;
	preparation->status = image_borrow(preparation->image, &preparation->expected, &preparation->error);
	if (preparation->status < 0)
		return;
	leave_out(&preparation->expected, restore->options, restore->report);
	restore->image = &preparation->expected;
	preparation->status = translate(restore, &preparation->error);
}

/* A job of the worker's while the machine is made, which knows nothing of the state yet. */
static void prepare_job(void *context)
{
	prepare(context);
	touch_heap();
}

static int refusal(const struct report *report, struct error *err)
{
	return error_set(err, ERROR_DIFFERENT,
			 "%zu difference%s between the snapshot and what this host took; nothing was started",
			 report_bad(report), report_bad(report) == 1 ? "" : "s");
}

static int put(struct restore *restore, const struct cpuid_query *query, const struct restore_step *plan,
	       unsigned nr_steps, struct error *err)
{
	struct restore_step steps[RESTORE_STEPS_MAX];
	if (plan == NULL) {
		nr_steps = restore_plan(steps);
		plan = steps;
	}
	int status = run_plan(restore, query, plan, nr_steps, err);
	if (status == 0 && report_bad(restore->report) == 0)
		status = verify(restore, 1 << STAGE_ARM, err);
	if (status == 0 && report_bad(restore->report) > 0)
		status = refusal(restore->report, err);
	return status;
}

/* Into a machine that is there. */
static int put_prepared(struct preparation *preparation, struct vm *vm, const struct cpuid_query *query,
			const struct restore_step *plan, unsigned nr_steps, struct error *err)
{
	if (preparation->status < 0) {
		*err = preparation->error;
		return preparation->status;
	}
	preparation->restore->vm = vm;
	preparation->expected.memory = &vm->memory;
	vm_step(vm, "prepare", "state");
	return put(preparation->restore, query, plan, nr_steps, err);
}

int restore_make(struct vm **ret, const struct restore_base *base, const struct restore_options *options,
		 const struct machine *machine, struct memory *memory, const struct vm_ops *ops, void *ops_context,
		 struct error *err)
{
	struct vm *vm = NULL;
	int status =
		vm_create_without_vcpus(&vm, base->query->kvm_fd, base->vm_fd, machine, memory, ops, ops_context, err);
	if (status < 0)
		return status;
	cpuid_query_complete(base->query);
	status = vm_create_vcpus(vm, memory, err);
	if (status < 0)
		return status;
	if (options->has_reg_access)
		vm->reg_access = options->reg_access;
	cpuid_copy(&vm->xsave_layout, cpuid_query_xsave_layout(base->query));
	*ret = vm;
	return 0;
}

int restore_into(struct vm *vm, const struct cpuid_query *query, struct image *image,
		 const struct restore_options *options, const struct restore_step *plan, unsigned nr_steps,
		 struct report *report, struct error *err)
{
	struct restore restore = { .options = options, .report = report };
	struct preparation preparation = { .restore = &restore, .image = image };
	image->memory = &vm->memory;
	prepare(&preparation);
	int status = put_prepared(&preparation, vm, query, plan, nr_steps, err);
	image_done(&preparation.expected);
	return status;
}

int restore_image_with(const struct restore_base *base, struct image *image, const struct restore_options *options,
		       const struct restore_step *plan, unsigned nr_steps, const struct vm_ops *ops, void *ops_context,
		       struct report *report, struct vm **ret, struct error *err)
{
	struct restore restore = { .options = options, .report = report };
	struct preparation preparation = { .restore = &restore, .image = image };
	struct vm *vm = NULL;
	unsigned job = worker_do(base->query->worker, prepare_job, &preparation);
	int status = restore_make(&vm, base, options, image_machine(image), &image->ram, ops, ops_context, err);
	worker_wait(base->query->worker, job);
	if (status == 0) {
		image->memory = &vm->memory;
		status = put_prepared(&preparation, vm, base->query, plan, nr_steps, err);
	}
	image_done(&preparation.expected);
	if (status < 0) {
		if (vm != NULL) /* RAM goes back to the image */
			vm_free_but_memory(vm, &image->ram);
		image->memory = &image->ram;
		return status;
	}
	*ret = vm;
	return 0;
}

int restore_image(struct image *image, int kvm_fd, const struct restore_options *options,
		  const struct restore_step *plan, unsigned nr_steps, const struct vm_ops *ops, void *ops_context,
		  struct report *report, struct vm **ret, struct error *err)
{
	struct worker worker;
	struct cpuid_query query;
	worker_start(&worker);
	cpuid_query_start(&query, &worker, kvm_fd);
	const struct restore_base base = { .query = &query, .vm_fd = -1 };
	int status = restore_image_with(&base, image, options, plan, nr_steps, ops, ops_context, report, ret, err);
	worker_end(&worker);
	return status;
}
