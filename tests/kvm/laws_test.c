/*
 * The laws that hold for all state of real machines: saving changes nothing, and what was restored is what was saved.
 */
#include "kvm_test.h"

#include <stdio.h>
#include <string.h>

#include "vmm/lapic.h"

static const struct compare_options with_ram = { .with_ram = true };

/* Has the guest started a timer that goes on while the vCPUs stand still: its LAPIC's, or with a full controller the
 * PIT? */
static bool has_running_timer(const struct image *image)
{
	struct kvm_lapic_state lapic;
	switch (image_machine(image)->irqchip) {
	case IRQCHIP_FULL:
		return true;
	case IRQCHIP_SPLIT:
		memcpy(&lapic, image_payload(image, "lapic", 0), sizeof(lapic));
		return (lapic_get(&lapic, LAPIC_LVTT) & LAPIC_LVT_MASKED) == 0;
	default:
		return false;
	}
}

/* Is it the tick of a timer that came between two looks? */
static bool is_tick(const struct image *before, const struct finding *difference)
{
	static const struct {
		const char *component, *name;
	} reached[] = {
		{ "lapic", "IRR[1]" },
		{ "pic-master", "chip.pic.irr" },
		{ "ioapic", "chip.ioapic.irr" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(reached); i++)
		if (strcmp(difference->component, reached[i].component) == 0 &&
		    strcmp(difference->name, reached[i].name) == 0)
			return has_running_timer(before);
	return false;
}

/* Was this difference announced when the image was restored? */
static bool is_translated(const struct finding *difference, const struct report *restored)
{
	for (size_t i = 0; i < restored->nr; i++) {
		const struct finding *told = &restored->findings[i];
		if (told->kind == FINDING_TRANSLATED && strcmp(told->where, difference->where) == 0 &&
		    strcmp(told->component, difference->component) == 0 && strcmp(told->name, difference->name) == 0)
			return strcmp(told->left, difference->left) == 0 && strcmp(told->right, difference->right) == 0;
	}
	return false;
}

/* Nothing differs but what may, and what the restore announced. */
static void expect_same(const struct image *a, const struct image *b, const struct report *restored, const char *law,
			const char *where)
{
	struct report report = { 0 };
	compare_images(a, b, &with_ram, &report);
	for (size_t i = 0; i < report.nr; i++) {
		const struct finding *finding = &report.findings[i];
		if (finding->kind == FINDING_VOLATILE || is_translated(finding, restored) || is_tick(a, finding))
			continue;
		report_print(&report);
		ck_abort_msg("%s: %s", where, law);
	}
	report_done(&report);
}

static void expect_laws(struct vm *vm, const char *where)
{
	static const struct report nothing;
	struct image saved, again, copied;
	struct report report = { 0 };
	image_take(vm, &saved);
	image_take(vm, &again);
	expect_same(&saved, &again, &nothing, "saving changed the guest", where);
	struct vm *copy = image_restore(&saved, NULL, 0, &report);
	if (copy == NULL)
		report_print(&report);
	ck_assert_msg(copy != NULL, "%s: the image was refused", where);
	image_take(copy, &copied);
	expect_same(&saved, &copied, &report, "what was restored is not what was saved", where);
	report_done(&report);
	machine_free(copy);
	image_done(&saved);
	image_done(&again);
	image_done(&copied);
}

static const struct machine_kind kinds[] = {
	{ "hello", IRQCHIP_NONE, 1 },      { "hello", IRQCHIP_SPLIT, 1 },     { "hello", IRQCHIP_FULL, 1 },
	{ "regs", IRQCHIP_NONE, 1 },       { "regs", IRQCHIP_SPLIT, 1 },      { "regs", IRQCHIP_FULL, 1 },
	{ "exception", IRQCHIP_NONE, 1 },  { "exception", IRQCHIP_SPLIT, 1 }, { "exception", IRQCHIP_FULL, 1 },
	{ "interrupt", IRQCHIP_SPLIT, 1 }, { "interrupt", IRQCHIP_FULL, 1 },  { "smp", IRQCHIP_SPLIT, 4 },
	{ "smp", IRQCHIP_FULL, 4 },        { "shadow", IRQCHIP_NONE, 1 },     { "shadow", IRQCHIP_SPLIT, 1 },
	{ "shadow", IRQCHIP_FULL, 1 },     { "clock", IRQCHIP_SPLIT, 4 },     { "clock", IRQCHIP_FULL, 4 },
};

/* Before its first instruction, and at each of its checkpoints; in the end the guest is content. */
START_TEST(a_restored_machine_is_the_saved_one)
{
	const struct machine_kind *kind = &kinds[_i];
	struct vm *vm = machine_boot(kind);
	char where[96];
	uint32_t checkpoint;
	snprintf(where, sizeof(where), "%s, controller %s, fresh", kind->guest, irqchip_name(kind->irqchip));
	expect_laws(vm, where);
	while (machine_run(vm, &checkpoint)) {
		snprintf(where, sizeof(where), "%s, controller %s, checkpoint %u", kind->guest,
			 irqchip_name(kind->irqchip), checkpoint);
		expect_laws(vm, where);
	}
	machine_free(vm);
}
END_TEST

/* The two interfaces to MSRs show the same registers, also where ONE_REG was asked only for what has changed. */
START_TEST(one_reg_and_msrs_agree)
{
	struct vm *vm = machine_boot(&(struct machine_kind){ "regs", IRQCHIP_FULL, 1 });
	struct image before, by_one_reg, by_msrs;
	image_take(vm, &before);
	image_done(&before);
	machine_run_to(vm, 1);
	if (vm->reg_access != KVM_REG_ACCESS_ONE_REG) {
		test_skipped("ONE_REG against KVM_GET_MSRS", "this kernel has no ONE_REG");
		machine_free(vm);
		return;
	}
	image_take(vm, &by_one_reg);
	vm->reg_access = KVM_REG_ACCESS_MSRS;
	image_take(vm, &by_msrs);
	struct report report = { 0 };
	compare_images(&by_one_reg, &by_msrs, &with_ram, &report);
	for (size_t i = 0; i < report.nr; i++)
		ck_assert_msg(report.findings[i].kind == FINDING_VOLATILE ||
				      strcmp(report.findings[i].component, "synthetic") == 0,
			      "%s %s differs", report.findings[i].component, report.findings[i].name);
	report_done(&report);
	image_done(&by_one_reg);
	image_done(&by_msrs);
	machine_free(vm);
}
END_TEST

int main(void)
{
	const struct kvm_test tests[] = {
		{ a_restored_machine_is_the_saved_one, ARRAY_SIZE(kinds) },
		{ one_reg_and_msrs_agree, 1 },
	};
	return kvm_test_main("laws", tests, ARRAY_SIZE(tests));
}
