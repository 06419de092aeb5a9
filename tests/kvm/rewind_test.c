/*
 * A machine that is rewound is the machine at the point, however often; its guest goes on to its end as if nothing had
 * been.
 */
#include "kvm_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/rewind.h"
#include "snapshot/xsave_state.h"
#include "tests/images/eight_pages.h"

#define ROUNDS     3    /* at each checkpoint of a guest */
#define MANY       4000 /* rewinds of the guest with eight pages; STASIS_REWINDS of the environment instead */
#define MANY_LOOKS 40   /* comparisons meanwhile */
#define VERDICT    1    /* what it counts to, each time anew */

static const struct machine_kind kinds[] = {
	{ "regs", IRQCHIP_NONE, 1 },       { "regs", IRQCHIP_SPLIT, 1 },      { "regs", IRQCHIP_FULL, 1 },
	{ "exception", IRQCHIP_NONE, 1 },  { "exception", IRQCHIP_SPLIT, 1 }, { "exception", IRQCHIP_FULL, 1 },
	{ "interrupt", IRQCHIP_SPLIT, 1 }, { "interrupt", IRQCHIP_FULL, 1 },  { "memory", IRQCHIP_FULL, 1 },
	{ "shadow", IRQCHIP_FULL, 1 },     { "smp", IRQCHIP_SPLIT, 4 },       { "smp", IRQCHIP_FULL, 4 },
};

/* The PIT of a full controller goes on while the vCPUs stand still: its tick may come between rewind and look. */
static bool is_tick(const struct vm *vm, const struct finding *finding)
{
	const char *name = strrchr(finding->name, '.');
	return vm->machine.irqchip == IRQCHIP_FULL &&
	       (strcmp(finding->name, "IRR[1]") == 0 || (name != NULL && strcmp(name, ".irr") == 0));
}

/* So does a LAPIC's timer: one shot may be over before the look at it. */
static bool is_fired_timer(const struct finding *finding)
{
	return strcmp(finding->component, "lapic") == 0 &&
	       ((strcmp(finding->name, "TMICT") == 0 && strcmp(finding->right, "0x0") == 0) ||
		strncmp(finding->name, "IRR", 3) == 0);
}

/* Whether a component that holds its initial values counts as in use is the CPU's choice (SDM volume 1, 13.6). */
static bool is_in_use_bit(const struct finding *finding)
{
	return strcmp(finding->component, "xsave") == 0 && strcmp(finding->name, "xstate_bv") == 0;
}

static void expect_point(struct rewind *rewind, const struct vm *vm, const char *where)
{
	struct report report = { 0 };
	struct error err;
	if (rewind_compare(rewind, &report, &err) < 0)
		ck_abort_msg("%s: %s", where, err.text);
	for (size_t i = 0; i < report.nr; i++) {
		const struct finding *finding = &report.findings[i];
		if (finding->kind == FINDING_VOLATILE || is_tick(vm, finding) || is_fired_timer(finding) ||
		    is_in_use_bit(finding))
			continue;
		report_print(&report);
		ck_abort_msg("%s: the machine is not at its point", where);
	}
	report_done(&report);
}

static struct rewind *point_take(struct vm *vm, const char *where)
{
	struct rewind *rewind;
	struct error err;
	if (rewind_create(&rewind, vm, &err) < 0)
		ck_abort_msg("%s: %s", where, err.text);
	return rewind;
}

static void go_back(struct rewind *rewind, const char *where)
{
	struct error err;
	if (rewind_to_point(rewind, &err) < 0)
		ck_abort_msg("%s: %s", where, err.text);
}

/* One step on: to the next checkpoint (true) or to an end that is good. */
static bool run_on(struct vm *vm, bool is_here, uint32_t *ret_checkpoint)
{
	struct vm_event event;
	if (!is_here)
		return machine_run(vm, ret_checkpoint);
	ck_assert(vm_run_here(vm, &event));
	if (event.kind == VM_EVENT_FAILED)
		ck_abort_msg("%s", event.error.text);
	if (event.kind == VM_EVENT_EXIT) {
		ck_assert_msg(event.value == 0, "the guest ended with %u: %.*s", event.value,
			      (int)machine_printed(vm).size, (const char *)machine_printed(vm).data);
		return false;
	}
	*ret_checkpoint = event.value;
	return true;
}

/* At each checkpoint: on to the next, and back, several times; then on, up to the guest's own verdict. */
static void rewind_everywhere(const struct machine_kind *kind, bool is_here)
{
	struct vm *vm = machine_boot(kind);
	uint32_t checkpoint = 0, ignored;
	char where[96];
	if (is_here)
		ck_assert_int_eq(vm_start_here(vm, NULL), 0);
	while (run_on(vm, is_here, &checkpoint)) {
		snprintf(where, sizeof(where), "%s, controller %s, checkpoint %u%s", kind->guest,
			 irqchip_name(kind->irqchip), checkpoint, is_here ? ", in this thread" : "");
		vm_pause(vm);
		struct rewind *rewind = point_take(vm, where);
		for (unsigned i = 0; i < ROUNDS; i++) {
			run_on(vm, is_here, &ignored);
			go_back(rewind, where);
			if (i % 2 == 0)
				expect_point(rewind, vm, where);
		}
		rewind_free(rewind);
	}
	machine_free(vm);
}

START_TEST(guests_go_on_from_a_point)
{
	rewind_everywhere(&kinds[_i], false);
}
END_TEST

START_TEST(guests_go_on_from_a_point_in_this_thread)
{
	if (kinds[_i].nr_vcpus == 1)
		rewind_everywhere(&kinds[_i], true);
}
END_TEST

/* Thousands of times: the count that the guest ends with is 1 each time, and all state is looked at now and then. */
static void rewind_often(const struct machine_kind *kind)
{
	struct vm *vm = machine_boot_image(kind, (struct bytes){ eight_pages, sizeof(eight_pages) }, BOOT_FLAT_LONG);
	const char *wanted = getenv("STASIS_REWINDS");
	unsigned long many = wanted != NULL ? strtoul(wanted, NULL, 0) : MANY;
	struct vm_event event;
	struct rewind_stats stats;
	ck_assert_int_eq(vm_start_here(vm, NULL), 0);
	ck_assert(vm_run_here(vm, &event));
	ck_assert_int_eq(event.kind, VM_EVENT_CHECKPOINT);
	vm_pause(vm);
	struct rewind *rewind = point_take(vm, "many");
	for (unsigned long i = 0; i < many; i++) {
		ck_assert(vm_run_here(vm, &event));
		ck_assert_int_eq(event.kind, VM_EVENT_EXIT);
		ck_assert_msg(event.value == VERDICT, "after %lu rewinds the guest ended with %u", i, event.value);
		go_back(rewind, "many");
		if (i % (many / MANY_LOOKS + 1) == 0 || i == many - 1)
			expect_point(rewind, vm, "many");
	}
	rewind_count(rewind, &stats);
	ck_assert_uint_eq(stats.rewinds, many);
	ck_assert_uint_eq(stats.pages, many * EIGHT_PAGES);
	printf("%s: %lu rewinds of %u pages, %.3f components each\n", irqchip_name(kind->irqchip), many,
	       (unsigned)EIGHT_PAGES, (double)stats.components / (double)many);
	rewind_free(rewind);
	machine_free(vm);
}

START_TEST(a_point_holds_thousands_of_times)
{
	static const struct machine_kind small_kinds[] = { { "small", IRQCHIP_NONE, 1 },
							   { "small", IRQCHIP_SPLIT, 1 },
							   { "small", IRQCHIP_FULL, 1 } };
	rewind_often(&small_kinds[_i]);
}
END_TEST

/* Whatever component of another moment the machine is given, and whatever RAM: it comes back. */
START_TEST(every_component_is_put_back)
{
	const struct machine_kind *kind = &kinds[_i];
	struct vm *vm = machine_boot(kind), *other = machine_boot(kind);
	struct image later;
	struct report report = { 0 };
	struct restore restore;
	uint32_t checkpoint;
	if (!machine_run(vm, &checkpoint) || !machine_run(other, &checkpoint))
		ck_abort_msg("%s has no checkpoint", kind->guest);
	machine_run(other, &checkpoint);
	image_take(other, &later);
	/* What the guests hold all along, so that it differs, too. */
	struct xsave_state *xsave = (void *)image_payload(&later, "xsave", 0);
	xsave->xmm[0][0] ^= 1;
	xsave->xstate_bv |= XFEATURE_BIT(XFEATURE_SSE);
	((struct kvm_debugregs *)(void *)image_payload(&later, "debugregs", 0))->db[0] ^= 0x1000;
	struct rewind *rewind = point_take(vm, kind->guest);
	restore_begin(vm, &later, &report, &restore);
	for (size_t i = 0; i < later.nr_sections; i++) {
		const struct section *section = &later.sections[i];
		if (section->component->stages == 1 << STAGE_MACHINE ||
		    strcmp(section->component->name, "cpuid") == 0 || strcmp(section->component->name, "tsc") == 0)
			continue;
		component_put(&restore, section->component->name, section->instance, buffer_bytes(&section->payload));
		ck_assert(memory_write(&vm->memory, 0x1000 * i, "changed", 7));
		go_back(rewind, section->component->name);
		expect_point(rewind, vm, section->component->name);
	}
	restore_end(&restore);
	report_done(&report);
	rewind_free(rewind);
	image_done(&later);
	machine_run_to_exit(vm);
	machine_free(vm);
	machine_free(other);
}
END_TEST

int main(void)
{
	const struct kvm_test tests[] = {
		{ a_point_holds_thousands_of_times, 3 },
		{ every_component_is_put_back, ARRAY_SIZE(kinds) },
		{ guests_go_on_from_a_point, ARRAY_SIZE(kinds) },
		{ guests_go_on_from_a_point_in_this_thread, ARRAY_SIZE(kinds) },
	};
	return kvm_test_main("rewind", tests, ARRAY_SIZE(tests));
}
