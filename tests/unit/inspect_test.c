#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "image_builder.h"
#include "snapshot/inspect.h"

#define LINES_MAX 8

static struct image image;

/* The first lines of an inspection, as text. */
struct lines {
	char text[LINES_MAX][512];
	size_t nr;
};

static void setup(void)
{
	image_build(&image, 2, IRQCHIP_FULL);
}

static void teardown(void)
{
	image_done(&image);
}

static void keep(const struct inspect_line *line, void *context)
{
	struct lines *lines = context;
	if (lines->nr < LINES_MAX)
		snprintf(lines->text[lines->nr], sizeof(lines->text[0]), "%s|%s|%s|%s|%s|%s|%s", line->where,
			 line->component, line->name, line->id, line->value, line->bits,
			 line->note != NULL ? line->note : "");
	lines->nr++;
}

static void inspect(const char *filter, struct lines *ret)
{
	*ret = (struct lines){ 0 };
	ck_assert_uint_eq(inspect_image(&image, filter, keep, ret), ret->nr);
}

static struct kvm_reg_value *reg(size_t i)
{
	return (struct kvm_reg_value *)(void *)image_section(&image, "registers", 0)->payload.data + i;
}

START_TEST(a_register_has_id_name_value_and_bits)
{
	struct lines lines;
	inspect("IA32_LSTAR", &lines);
	ck_assert_uint_eq(lines.nr, 2); /* of two vCPUs */
	ck_assert_str_eq(lines.text[0], "vcpu0|msr|IA32_LSTAR (0xc0000082)|0x20300002c0000082|0xffffffff81000000||");
	ck_assert_str_eq(lines.text[1], "vcpu1|msr|IA32_LSTAR (0xc0000082)|0x20300002c0000082|0xffffffff81000000||");
	inspect("guest_ssp", &lines);
	ck_assert_uint_eq(lines.nr, 2);
	ck_assert_str_eq(lines.text[0], "vcpu0|synthetic|GUEST_SSP (0x2030000300000000)|0x2030000300000000|0x7000||");
	reg(0)->id = KVM_X86_REG_MSR(0x2ff);
	reg(0)->value = 0xc06;
	inspect("IA32_MTRR_DEF_TYPE (0x2ff)", &lines);
	ck_assert_uint_eq(lines.nr, 1);
	ck_assert_str_eq(lines.text[0], "vcpu0|msr|IA32_MTRR_DEF_TYPE (0x2ff)|0x20300002000002ff|0xc06|"
					"TYPE=0x6 FIXED_ENABLE ENABLE|");
}
END_TEST

START_TEST(a_field_has_name_value_and_bits)
{
	struct lines lines;
	uint64_t efer = 0xd01, tsc = 0x1234;
	memcpy(image_field(&image, "sregs", 1, "efer"), &efer, sizeof(efer));
	memcpy(image_field(&image, "tsc", 0, "tsc"), &tsc, sizeof(tsc));
	inspect("EFER", &lines);
	ck_assert_uint_eq(lines.nr, 2);
	ck_assert_str_eq(lines.text[1], "vcpu1|sregs|efer||0xd01|SCE LME LMA NXE|");
	inspect("tsc", &lines);
	ck_assert_uint_eq(lines.nr, 2 * 3);
	ck_assert_str_eq(lines.text[2], "vcpu0|tsc|tsc||0x1234||it counts on even while the machine is paused");
}
END_TEST

START_TEST(a_filter_names_components_fields_or_registers)
{
	static const struct {
		const char *filter;
		size_t lines;
	} rows[] = {
		{ "regs", 2 * 18 },
		{ "REGS", 2 * 18 },
		{ "rip", 2 },
		{ "registers", 2 * 3 },
		{ "msr", 2 * 2 + 1 },
		{ "synthetic", 2 }, /* the UART has a field msr */
		{ "ports", 3 },
		{ "cpuid", 2 * 3 * 7 },
		{ "0x4.1", 2 * 7 },
		{ "0x4.1 ebx", 2 },
		{ "IA32_LST", 0 },
		{ "no such thing", 0 },
		{ "channels[1].count", 1 },
		{ "", 0 },
	};
	struct lines lines;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		inspect(rows[i].filter, &lines);
		ck_assert_msg(lines.nr == rows[i].lines, "%s: %zu lines", rows[i].filter, lines.nr);
	}
	inspect(NULL, &lines);
	ck_assert_uint_gt(lines.nr, 1000);
}
END_TEST

START_TEST(padding_is_shown_where_it_is_not_zero)
{
	struct lines lines;
	inspect("cs.padding", &lines);
	ck_assert_uint_eq(lines.nr, 0);
	*image_field(&image, "sregs", 0, "cs.padding") = 5;
	inspect("cs.padding", &lines);
	ck_assert_uint_eq(lines.nr, 1);
	ck_assert_str_eq(lines.text[0], "vcpu0|sregs|cs.padding||0x5||unknown state: expected to be zero");
}
END_TEST

UNIT_MAIN_WITH(setup, teardown, "inspect", a_register_has_id_name_value_and_bits, a_field_has_name_value_and_bits,
	       a_filter_names_components_fields_or_registers, padding_is_shown_where_it_is_not_zero)
