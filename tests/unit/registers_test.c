#include "unit.h"

#include <string.h>

#include "snapshot/registers.h"
#include "snapshot/restoring.h"
#include "tests/model/kvm_model.h"

#define MSR(index)    KVM_X86_REG_MSR(index)
#define SSP           KVM_X86_REG_KVM(0)
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* clang-format off */
static const struct {
	uint64_t id;
	enum stage stage;
	enum field_rule rule;
	uint32_t ram_bytes;
} rows[] = {
	{ MSR(0xc0000082), STAGE_VCPU, FIELD_EXACT, 0 },    /* IA32_LSTAR: as nearly all */
	{ KVM_X86_REG_KVM(0), STAGE_VCPU, FIELD_EXACT, 0 }, /* GUEST_SSP */
	{ MSR(0x6e0), STAGE_ARM, FIELD_EXACT, 0 },          /* IA32_TSC_DEADLINE */
	{ MSR(0x11), STAGE_VCPU, FIELD_EXACT, 12 },         /* KVM_WALL_CLOCK, old and new number */
	{ MSR(0x4b564d00), STAGE_VCPU, FIELD_EXACT, 12 },
	{ MSR(0x12), STAGE_VCPU, FIELD_EXACT, 32 },         /* KVM_SYSTEM_TIME, old and new number */
	{ MSR(0x4b564d01), STAGE_VCPU, FIELD_EXACT, 32 },
	{ MSR(0x40000010), STAGE_VCPU, FIELD_VOLATILE, 0 }, /* HV_VP_RUNTIME */
	{ MSR(0x40000020), STAGE_VCPU, FIELD_VOLATILE, 0 }, /* HV_TIME_REF_COUNT */
	{ MSR(0x40000022), STAGE_VCPU, FIELD_VOLATILE, 0 }, /* HV_TSC_FREQUENCY */
	{ MSR(0x40000023), STAGE_VCPU, FIELD_VOLATILE, 0 }, /* HV_APIC_FREQUENCY */
	{ MSR(0x40000073), STAGE_VCPU, FIELD_EXACT, 0 },    /* HV_VP_ASSIST_PAGE: no clock */
};
/* clang-format on */

START_TEST(registers_are_treated_as_they_need)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct register_rule *rule = register_rule(rows[i].id);
		ck_assert_int_eq(rule->stage, rows[i].stage);
		ck_assert_int_eq(rule->rule, rows[i].rule);
		ck_assert_uint_eq(rule->ram_bytes, rows[i].ram_bytes);
		ck_assert_uint_le(rule->ram_bytes, REGISTER_RAM_MAX);
		ck_assert_int_eq(rule->rule == FIELD_VOLATILE, rule->why != NULL);
	}
}
END_TEST

START_TEST(what_other_components_have_is_no_register)
{
	static const uint64_t excluded[] = { MSR(0x10), MSR(0x1b), MSR(0xc0000080), MSR(0x4b564dff) };
	for (size_t i = 0; i < sizeof(excluded) / sizeof(excluded[0]); i++)
		ck_assert_ptr_nonnull(register_exclusion(excluded[i]));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_ptr_null(register_exclusion(rows[i].id));
}
END_TEST

/* ---- With a model of the kernel in place of KVM ---- */

/* One MSR of each kind: several in KVM's list, in no order, some that it leaves out, and the machine-check banks. */
static struct kvm_model_msr msrs[] = {
	{ .index = 0xc0000082, .value = 0x82, .is_listed = true },
	{ .index = 0x174, .value = 0x174, .is_listed = true },
	{ .index = 0x10, .value = 0x10, .is_listed = true },                /* excluded */
	{ .index = 0xc0000080, .value = 0x500, .is_listed = true },         /* excluded */
	{ .index = 0x277, .value = 0x0007040600070406, .is_listed = true }, /* in both lists */
	{ .index = 0x3a, .is_listed = true, .is_unsupported = true },
	{ .index = 0x6e0, .value = 0, .is_listed = true },
	{ .index = 0x48, .value = 4, .reserved = ~7ull, .is_listed = true },
	{ .index = 0x8b, .value = 0xa0, .is_read_only = true, .is_listed = true },
	{ .index = 0x12, .value = 1, .is_listed = true },
	{ .index = 0x179, .value = 0x102 }, /* IA32_MCG_CAP: two banks */
	{ .index = 0x200, .value = 6 },
	{ .index = 0x404, .value = 0x404 },
	{ .index = 0x281, .value = 0x281 },
	{ .index = 0xda0 }, /* taken, but never listed */
};

static struct kvm_model model;
static struct vm vm;
static struct error err;

static void setup(void)
{
	model = (struct kvm_model){
		.form = KVM_MODEL_MERGED, .has_shstk = true, .ssp = 0x7000, .msrs = msrs, .nr_msrs = LENGTH(msrs)
	};
	vm = (struct vm){ .nr_vcpus = 1, .machine.nr_vcpus = 1, .reg_access = KVM_REG_ACCESS_ONE_REG };
	vm.kvm_fd = vm.fd = vm.vcpus[0].fd = kvm_model_open(&model);
}

static void teardown(void)
{
	free(vm.vcpus[0].saved_regs);
	free(vm.restored_regs);
	kvm_model_close(vm.fd);
}

static bool is_in(const uint64_t *ids, size_t nr, uint64_t id)
{
	for (size_t i = 0; i < nr; i++)
		if (ids[i] == id)
			return true;
	return false;
}

START_TEST(lists_are_merged_sorted_and_tidied)
{
	uint64_t *ids;
	size_t nr;
	ck_assert_int_eq(registers_list(&vm, 0, UINT8_MAX, &ids, &nr, &err), 0);
	for (size_t i = 1; i < nr; i++)
		ck_assert_uint_lt(ids[i - 1], ids[i]);
	static const uint64_t wanted[] = { MSR(0xc0000082), MSR(0x174), MSR(0x277), MSR(0x3a),  MSR(0x200), MSR(0x20f),
					   MSR(0x2ff),      MSR(0x400), MSR(0x407), MSR(0x280), MSR(0x281), SSP };
	for (size_t i = 0; i < LENGTH(wanted); i++)
		ck_assert_msg(is_in(ids, nr, wanted[i]), "0x%llx", (unsigned long long)wanted[i]);
	static const uint64_t unwanted[] = { MSR(0x10), MSR(0xc0000080), MSR(0x408), MSR(0x282), MSR(0x4b564dff) };
	for (size_t i = 0; i < LENGTH(unwanted); i++)
		ck_assert_msg(!is_in(ids, nr, unwanted[i]), "0x%llx", (unsigned long long)unwanted[i]);
	free(ids);
	/* Without machine checks there are no banks. */
	model.nr_msrs -= 5;
	ck_assert_int_eq(registers_list(&vm, 0, UINT8_MAX, &ids, &nr, &err), 0);
	ck_assert(!is_in(ids, nr, MSR(0x400)) && is_in(ids, nr, MSR(0x200)));
	free(ids);
}
END_TEST

START_TEST(without_one_reg_there_are_msrs_only)
{
	uint64_t *ids;
	size_t nr;
	vm.reg_access = KVM_REG_ACCESS_MSRS;
	ck_assert_int_eq(registers_list(&vm, 0, UINT8_MAX, &ids, &nr, &err), 0);
	ck_assert(!is_in(ids, nr, SSP) && is_in(ids, nr, MSR(0x174)));
	free(ids);
	model.fail_errno = 5; /* EIO */
	ck_assert_int_lt(registers_list(&vm, 0, UINT8_MAX, &ids, &nr, &err), 0);
}
END_TEST

/* The value that a saved list has for an id; UINT64_MAX where it has none. */
static uint64_t saved_value(const struct buffer *saved, uint64_t id)
{
	for (size_t at = 0; at < saved->size; at += sizeof(struct kvm_reg_value)) {
		struct kvm_reg_value reg;
		memcpy(&reg, saved->data + at, sizeof(reg));
		if (reg.id == id)
			return reg.value;
	}
	return UINT64_MAX;
}

START_TEST(what_the_kernel_has_is_saved)
{
	const struct component *registers = component_by_name("registers");
	static const enum kvm_model_form forms[] = { KVM_MODEL_MERGED, KVM_MODEL_V13, KVM_MODEL_NONE };
	for (size_t i = 0; i < LENGTH(forms); i++) {
		struct buffer saved = { 0 }, back = { 0 };
		model.form = forms[i];
		vm.reg_access = forms[i] == KVM_MODEL_NONE ? KVM_REG_ACCESS_MSRS : KVM_REG_ACCESS_ONE_REG;
		ck_assert_int_eq(component_save(registers, &vm, 0, &saved, &err), 0);
		ck_assert_uint_eq(saved_value(&saved, MSR(0xc0000082)), 0x82);
		ck_assert_uint_eq(saved_value(&saved, MSR(0x404)), 0x404);
		ck_assert_uint_eq(saved_value(&saved, MSR(0x3a)), 0);
		ck_assert_uint_eq(saved_value(&saved, MSR(0x201)), UINT64_MAX); /* refused: no state */
		ck_assert_uint_eq(saved_value(&saved, SSP), forms[i] == KVM_MODEL_MERGED ? 0x7000 : UINT64_MAX);
		/* Reading back by the cheaper way gives the same, in the same order where nothing was restored. */
		ck_assert_int_eq(component_read_back(registers, &vm, 0, UINT8_MAX, &back, &err), 0);
		ck_assert_uint_eq(back.size, saved.size);
		ck_assert_mem_eq(back.data, saved.data, saved.size);
		ck_assert_int_eq(component_validate(registers, &vm.machine, 0, buffer_bytes(&saved), &err), 0);
		buffer_done(&saved);
		buffer_done(&back);
	}
	ck_assert(!model.private_ssp_was_used);
}
END_TEST

START_TEST(a_synthetic_register_is_not_lost_on_the_way_by_msrs)
{
	const struct component *registers = component_by_name("registers");
	struct buffer saved = { 0 };
	vm.reg_access = KVM_REG_ACCESS_MSRS;
	ck_assert_int_eq(component_save(registers, &vm, 0, &saved, &err), -ERROR_USAGE);
	ck_assert_str_eq(err.text, "GUEST_SSP holds 0x7000, which only ONE_REG can carry, not MSRs");
	model.ssp = 0;
	ck_assert_int_eq(component_save(registers, &vm, 0, &saved, &err), 0);
	ck_assert_uint_eq(saved_value(&saved, SSP), UINT64_MAX);
	buffer_done(&saved);
}
END_TEST

START_TEST(ids_from_a_file_are_checked)
{
	static const struct {
		uint64_t id;
		const char *text;
	} wrong[] = {
		{ 0x2030000400000000, "neither an MSR's nor a synthetic register's" },
		{ 0x82, "neither an MSR's nor a synthetic register's" },
		{ MSR(0x10), "does not belong there: the component tsc has it" },
		{ MSR(0x4b564dff), "does not belong there: the kernel's private number" },
	};
	for (size_t i = 0; i < LENGTH(wrong); i++) {
		const struct kvm_reg_value reg = { .id = wrong[i].id };
		const struct bytes payload = { .data = (const uint8_t *)&reg, .size = sizeof(reg) };
		ck_assert_int_eq(component_validate(component_by_name("registers"), &vm.machine, 0, payload, &err),
				 -ERROR_DATA);
		ck_assert_msg(strstr(err.text, wrong[i].text) != NULL, "%s", err.text);
	}
}
END_TEST

/* ---- Restoring ---- */

static struct report report;

/* Puts one register at a stage. */
static void put(const struct restore_options *options, enum stage stage, uint64_t id, uint64_t value)
{
	struct kvm_reg_value reg = { .id = id, .value = value };
	const struct component *registers = component_by_name("registers");
	struct image image = { 0 };
	struct bytes payload = { .data = (const uint8_t *)&reg, .size = sizeof(reg) };
	struct restore restore = { .vm = &vm, .image = &image, .options = options, .report = &report };
	restore.tsc_shift[0] = 1000;
	report_done(&report);
	ck_assert_int_eq(image_add(&image, registers, 0, payload, &err), 0);
	ck_assert_int_eq(
		component_restore(registers, &restore, 0, stage, buffer_bytes(&image.sections[0].payload), &err), 0);
	image_done(&image);
}

START_TEST(registers_are_put_at_their_stage)
{
	const struct restore_options options = { .without = { "ia32_sysenter_cs" }, .nr_without = 1 };
	put(&options, STAGE_VCPU, MSR(0xc0000082), 0x1234);
	ck_assert_uint_eq(msrs[0].value, 0x1234);
	put(&options, STAGE_ARM, MSR(0xc0000082), 0x5678);
	ck_assert_uint_eq(msrs[0].value, 0x1234);
	put(&options, STAGE_VCPU, SSP, 0x8000);
	ck_assert_uint_eq(model.ssp, 0x8000);
	/* A deadline goes with the TSC, after the rest. */
	put(&options, STAGE_VCPU, MSR(0x6e0), 0x5000);
	ck_assert_uint_eq(msrs[6].value, 0);
	put(&options, STAGE_ARM, MSR(0x6e0), 0x5000);
	ck_assert_uint_eq(msrs[6].value, 0x5000 + 1000);
	ck_assert_uint_eq(report.counts[FINDING_TRANSLATED], 1);
	/* Left out on purpose. */
	put(&options, STAGE_VCPU, MSR(0x174), 0x9999);
	ck_assert_uint_eq(msrs[1].value, 0x174);
	ck_assert_uint_eq(report_bad(&report), 0);
}
END_TEST

START_TEST(what_is_there_already_is_not_written)
{
	const struct restore_options options = { 0 };
	put(&options, STAGE_VCPU, MSR(0x174), 0x174);
	unsigned one = model.nr_calls;
	put(&options, STAGE_VCPU, MSR(0x174), 0x175);
	ck_assert_uint_gt(model.nr_calls - one, one);
}
END_TEST

/* What came with a snapshot is read back, and saved again, whether the kernel lists it or not. */
START_TEST(what_was_restored_is_the_machines_from_then_on)
{
	const struct component *registers = component_by_name("registers");
	const struct restore_options options = { 0 };
	struct buffer saved = { 0 };
	ck_assert_int_eq(component_save(registers, &vm, 0, &saved, &err), 0);
	ck_assert_uint_eq(saved_value(&saved, MSR(0xda0)), UINT64_MAX);
	buffer_done(&saved);
	put(&options, STAGE_VCPU, MSR(0xda0), 0x1800);
	put(&options, STAGE_VCPU, MSR(0x174), 0x175);
	ck_assert_uint_eq(vm.nr_restored_regs, 2);
	ck_assert(!vm.may_have_kvmclock);
	put(&options, STAGE_VCPU, MSR(0x12), 0x1001);
	ck_assert(vm.may_have_kvmclock);
	ck_assert_int_eq(component_read_back(registers, &vm, 0, UINT8_MAX, &saved, &err), 0);
	ck_assert_uint_eq(saved_value(&saved, MSR(0xda0)), 0x1800);
	buffer_done(&saved);
	ck_assert_int_eq(component_save(registers, &vm, 0, &saved, &err), 0);
	ck_assert_uint_eq(saved_value(&saved, MSR(0xda0)), 0x1800);
	buffer_done(&saved);
}
END_TEST

START_TEST(a_refusal_is_told_with_both_values)
{
	const struct restore_options options = { 0 }, allow = { .allow = { "ia32_spec_ctrl" }, .nr_allow = 1 },
				     allow_all = { .allow = { "registers" }, .nr_allow = 1 };
	char line[640];
	put(&options, STAGE_VCPU, MSR(0x48), 0x100);
	ck_assert_uint_eq(report.nr, 1);
	finding_format(&report.findings[0], line, sizeof(line));
	ck_assert_str_eq(line, "refused: vcpu0 msr IA32_SPEC_CTRL (0x48): 0x100, this host: 0x4; Invalid argument");
	put(&allow, STAGE_VCPU, MSR(0x48), 0x100);
	ck_assert_uint_eq(report.counts[FINDING_ALLOWED], 1);
	ck_assert_uint_eq(report_bad(&report), 0);
	put(&allow_all, STAGE_VCPU, MSR(0x48), 0x100);
	ck_assert_uint_eq(report_bad(&report), 0);
	/* What the host does not have matters where it holds something. */
	put(&options, STAGE_VCPU, MSR(0x175), 0);
	ck_assert_uint_eq(report_bad(&report), 0);
	ck_assert_uint_eq(report.counts[FINDING_TRANSLATED], 1);
	put(&options, STAGE_VCPU, MSR(0x175), 1);
	finding_format(&report.findings[0], line, sizeof(line));
	ck_assert_str_eq(
		line,
		"refused: vcpu0 msr IA32_SYSENTER_ESP (0x175): 0x1, this host: no such register; Invalid argument");
	model.has_shstk = false;
	put(&options, STAGE_VCPU, SSP, 0x8000);
	ck_assert_uint_eq(report_bad(&report), 1);
	ck_assert_str_eq(report.findings[0].name, "GUEST_SSP (0x2030000300000000)");
	/* That a vCPU has one is told even where it holds nothing. */
	put(&options, STAGE_VCPU, SSP, 0);
	ck_assert_uint_eq(report_bad(&report), 1);
	/* One that may differ is not missed; the reset value of this one is the vCPU's number. */
	put(&options, STAGE_VCPU, MSR(0x40000022), 2500000000);
	ck_assert_uint_eq(report_bad(&report), 0);
	ck_assert_str_eq(report.findings[0].detail, "it tells what tsc khz is");
	put(&options, STAGE_VCPU, MSR(0x40000002), 1);
	ck_assert_uint_eq(report_bad(&report), 1);
	put(&options, STAGE_VCPU, MSR(0x40000002), 0);
	ck_assert_uint_eq(report_bad(&report), 0);
	/* A register that cannot be written and holds the value anyway. */
	put(&options, STAGE_VCPU, MSR(0x8b), 0xa0);
	ck_assert_uint_eq(report.nr, 0);
	put(&options, STAGE_VCPU, MSR(0x8b), 0xa1);
	ck_assert_uint_eq(report_bad(&report), 1);
	report_done(&report);
}
END_TEST

UNIT_MAIN_WITH(setup, teardown, "registers", registers_are_treated_as_they_need,
	       what_other_components_have_is_no_register, lists_are_merged_sorted_and_tidied,
	       without_one_reg_there_are_msrs_only, what_the_kernel_has_is_saved,
	       a_synthetic_register_is_not_lost_on_the_way_by_msrs, ids_from_a_file_are_checked,
	       registers_are_put_at_their_stage, what_is_there_already_is_not_written,
	       what_was_restored_is_the_machines_from_then_on, a_refusal_is_told_with_both_values)
