#include "unit.h"

#include "snapshot/registers.h"

#define MSR(index) KVM_X86_REG_MSR(index)

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

UNIT_MAIN("registers", registers_are_treated_as_they_need, what_other_components_have_is_no_register)
