/*
 * Nothing is forgotten: every register that this host's KVM lists is in the snapshot of a vCPU or left out for a
 * reason, every row of the component table that a machine can have is in its image, and restore puts every row.
 */
#include "kvm_test.h"

#include <stdio.h>
#include <string.h>

#include "snapshot/registers.h"
#include "snapshot/save.h"

static const struct machine_kind kinds[] = {
	{ "regs", IRQCHIP_NONE, 1 },
	{ "regs", IRQCHIP_SPLIT, 1 },
	{ "regs", IRQCHIP_FULL, 1 },
};

static struct vm *boot_and_save(int i, struct image *ret)
{
	struct vm *vm = machine_boot(&kinds[i]);
	struct error err;
	machine_run_to(vm, 1);
	if (save_image(vm, ret, &err) < 0)
		ck_abort_msg("%s", err.text);
	return vm;
}

static bool is_saved(const struct image *image, uint64_t id)
{
	const struct section *section = image_find_named(image, "registers", 0);
	struct kvm_reg_value reg;
	for (size_t at = 0; at < section->payload.size; at += sizeof(reg)) {
		memcpy(&reg, section->payload.data + at, sizeof(reg));
		if (reg.id == id)
			return true;
	}
	return false;
}

struct coverage {
	size_t saved, excluded, refused;
};

static void cover(struct vm *vm, const struct image *image, const uint64_t *ids, size_t nr, struct coverage *coverage)
{
	for (size_t i = 0; i < nr; i++) {
		char name[KVM_REG_NAME_MAX];
		uint64_t value;
		kvm_reg_name(ids[i], name);
		if (is_saved(image, ids[i])) {
			coverage->saved++;
			ck_assert_msg(register_exclusion(ids[i]) == NULL, "%s is saved although it is excluded", name);
		} else if (register_exclusion(ids[i]) != NULL) {
			coverage->excluded++;
			printf("\t%s: %s\n", name, register_exclusion(ids[i]));
		} else {
			ck_assert_msg(kvm_reg_get(vm->vcpus[0].fd, vm->reg_access, ids[i], &value) != 0,
				      "%s can be read and is not in the snapshot", name);
			coverage->refused++;
			printf("\t%s: this vCPU does not have it\n", name);
		}
	}
}

START_TEST(every_listed_register_is_covered)
{
	struct image image;
	struct vm *vm = boot_and_save(_i, &image);
	struct coverage coverage = { 0 };
	uint64_t *msrs, *synthetic;
	size_t nr_msrs, nr_synthetic;
	struct error err;
	if (kvm_reg_list_msrs(vm->kvm_fd, &msrs, &nr_msrs, &err) < 0 ||
	    kvm_reg_list_synthetic(vm->vcpus[0].fd, &synthetic, &nr_synthetic, &err) < 0)
		ck_abort_msg("%s", err.text);
	printf("controller %s, listed and not in the snapshot:\n", irqchip_name(kinds[_i].irqchip));
	cover(vm, &image, msrs, nr_msrs, &coverage);
	cover(vm, &image, synthetic, nr_synthetic, &coverage);
	printf("%zu MSRs and %zu synthetic registers listed: %zu saved, %zu left out, %zu refused\n", nr_msrs,
	       nr_synthetic, coverage.saved, coverage.excluded, coverage.refused);
	ck_assert_uint_gt(coverage.saved, coverage.refused);
	free(msrs);
	free(synthetic);
	image_done(&image);
	machine_free(vm);
}
END_TEST

/* What the list leaves out and is state all the same. */
START_TEST(unlisted_state_is_saved)
{
	static const uint32_t unlisted[] = {
		0x17a, 0x200, 0x20f, 0x250, 0x258, 0x268, 0x26f, 0x277, 0x2ff, 0x400, 0x427
	};
	struct image image;
	struct vm *vm = boot_and_save(_i, &image);
	for (size_t i = 0; i < ARRAY_SIZE(unlisted); i++)
		ck_assert_msg(is_saved(&image, KVM_X86_REG_MSR(unlisted[i])), "MSR 0x%x is not saved", unlisted[i]);
	image_done(&image);
	machine_free(vm);
}
END_TEST

START_TEST(every_component_is_in_the_image)
{
	struct image image;
	struct error err;
	struct vm *vm = boot_and_save(_i, &image);
	size_t nr = 0;
	ck_assert_msg(image_validate(&image, &err) == 0, "%s", err.text);
	for (size_t i = 0; i < component_table_size; i++) {
		const struct component *row = &component_table[i];
		bool can_have = (row->with & 1 << kinds[_i].irqchip) != 0;
		bool is_there = image_find(&image, row, 0) != NULL;
		nr += is_there;
		if (row->shape != COMPONENT_RAM && !row->is_optional)
			ck_assert_msg(is_there == can_have, "%s", row->name);
	}
	ck_assert_uint_eq(image.nr_sections, nr);
	image_done(&image);
	machine_free(vm);
}
END_TEST

/* Each row once at each of its stages, and the stages one after the other. */
START_TEST(every_component_is_restored)
{
	struct restore_step plan[RESTORE_STEPS_MAX];
	unsigned nr = restore_plan(plan), expected = 0;
	for (size_t i = 0; i < component_table_size; i++) {
		for (unsigned stage = STAGE_VM_EARLY; stage < STAGES; stage++) {
			unsigned found = 0;
			for (unsigned k = 0; k < nr; k++)
				found += plan[k].component == &component_table[i] && plan[k].stage == stage;
			bool wanted = (component_table[i].stages & 1 << stage) != 0;
			ck_assert_msg(found == wanted, "%s, stage %u: %u times", component_table[i].name, stage, found);
			expected += wanted;
		}
	}
	ck_assert_uint_eq(nr, expected);
	for (unsigned k = 1; k < nr; k++)
		ck_assert_int_le(plan[k - 1].stage, plan[k].stage);
}
END_TEST

int main(void)
{
	const struct kvm_test tests[] = {
		{ every_listed_register_is_covered, ARRAY_SIZE(kinds) },
		{ unlisted_state_is_saved, ARRAY_SIZE(kinds) },
		{ every_component_is_in_the_image, ARRAY_SIZE(kinds) },
		{ every_component_is_restored, 1 },
	};
	return kvm_test_main("coverage", tests, ARRAY_SIZE(tests));
}
