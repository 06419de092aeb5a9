#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "image_builder.h"
#include "snapshot/compare.h"
#include "snapshot/format.h"

static struct image a, b;
static struct report report;
static struct compare_options options;

static void setup(void)
{
	options = (struct compare_options){ 0 };
	image_build(&a, 2, IRQCHIP_FULL);
	image_build(&b, 2, IRQCHIP_FULL);
}

static void teardown(void)
{
	report_done(&report);
	image_done(&a);
	image_done(&b);
}

static void compare(void)
{
	report_done(&report);
	compare_images(&a, &b, &options, &report);
}

/* Finding number i as people read it. */
#define ZEROS " 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00" /* 15 of the 16 bytes in hex */

static void assert_finding(size_t i, const char *line)
{
	char text[640];
	ck_assert_uint_lt(i, report.nr);
	finding_format(&report.findings[i], text, sizeof(text));
	ck_assert_str_eq(text, line);
}

static void set(struct image *image, const char *component, unsigned instance, const char *field, uint64_t value,
		size_t size)
{
	memcpy(image_field(image, component, instance, field), &value, size);
}

START_TEST(equal_images_have_no_difference)
{
	options.with_ram = true;
	compare();
	ck_assert_uint_eq(report.nr, 0);
}
END_TEST

START_TEST(a_difference_is_told_by_name_with_both_values)
{
	set(&a, "regs", 1, "rip", 0x1000, 8);
	set(&b, "regs", 1, "rip", 0xfff0, 8);
	set(&a, "sregs", 0, "efer", 0x500, 8);
	set(&b, "sregs", 0, "efer", 0xd00, 8);
	set(&b, "sregs", 0, "cs.padding", 1, 1);
	set(&a, "pic-slave", 0, "chip.pic.elcr", 0, 1);
	set(&b, "pic-slave", 0, "chip.pic.elcr", 0xc, 1);
	compare();
	assert_finding(0, "vcpu0 sregs cs.padding: 0x0 != 0x1");
	assert_finding(1, "vcpu0 sregs efer: 0x500 != 0xd00; +NXE");
	assert_finding(2, "vcpu1 regs rip: 0x1000 != 0xfff0");
	assert_finding(3, "vm pic-slave chip.pic.elcr: 0x0 != 0xc");
	ck_assert_uint_eq(report.nr, 4);
	ck_assert_uint_eq(report_bad(&report), 4);
}
END_TEST

START_TEST(long_values_tell_where_they_differ)
{
	memset(image_field(&a, "xsave", 0, "xmm[3]"), 0x11, 16);
	memset(image_field(&b, "xsave", 0, "xmm[3]"), 0x11, 16);
	image_field(&b, "xsave", 0, "xmm[3]")[9] = 0x22;
	compare();
	assert_finding(0, "vcpu0 xsave xmm[3]: 11111111111111111111111111111111 != 11111111111111111122111111111111; "
			  "first at byte 9 of 16: 11 != 22");
	ck_assert_uint_eq(report.nr, 1);
}
END_TEST

START_TEST(volatile_differences_come_last_with_their_reason)
{
	set(&b, "tsc", 0, "tsc", 5, 8);
	set(&a, "tsc", 0, "tsc", 4, 8);
	set(&b, "events", 0, "nmi.pending", 0, 1);
	set(&a, "events", 0, "nmi.pending", 1, 1);
	compare();
	assert_finding(0, "vcpu0 events nmi.pending: 0x1 != 0x0");
	assert_finding(1, "volatile: vcpu0 tsc tsc: 0x4 != 0x5; it counts on even while the machine is paused");
	ck_assert_uint_eq(report.nr, 2);
	ck_assert_uint_eq(report_bad(&report), 1);
}
END_TEST

START_TEST(unknown_state_is_told_although_it_is_equal)
{
	image_section(&a, "cpuid", 1)->payload.data[sizeof(struct kvm_cpuid_entry2) - 1] = 7;
	image_section(&b, "cpuid", 1)->payload.data[sizeof(struct kvm_cpuid_entry2) - 1] = 7;
	set(&a, "debugregs", 0, "reserved", 0x30, 1);
	set(&b, "debugregs", 0, "reserved", 0x30, 1);
	compare();
	ck_assert_uint_eq(report.nr, 2);
	ck_assert_uint_eq(report.counts[FINDING_UNKNOWN], 2);
	ck_assert_uint_eq(report_bad(&report), 0);
	ck_assert_str_eq(report.findings[0].where, "vcpu1");
	ck_assert_str_eq(report.findings[0].name, "0x0.0 padding");
	ck_assert_str_eq(report.findings[1].name, "reserved");
	ck_assert_str_eq(report.findings[1].detail, "not zero, in both alike");
}
END_TEST

/* ---- Lists ---- */

static struct kvm_reg_value *reg(struct image *image, unsigned vcpu, size_t i)
{
	return (struct kvm_reg_value *)(void *)image_section(image, "registers", vcpu)->payload.data + i;
}

START_TEST(registers_are_told_by_name_number_and_bits)
{
	reg(&b, 0, 1)->value ^= 0xf;
	reg(&b, 1, 2)->value = 0x7008;
	compare();
	assert_finding(0, "vcpu0 msr IA32_LSTAR (0xc0000082): 0xffffffff81000000 != 0xffffffff8100000f");
	assert_finding(1, "vcpu1 synthetic GUEST_SSP (0x2030000300000000): 0x7000 != 0x7008");
	ck_assert_uint_eq(report.nr, 2);
}
END_TEST

START_TEST(entries_are_paired_by_key_in_any_order)
{
	struct kvm_reg_value first = *reg(&b, 0, 0);
	*reg(&b, 0, 0) = *reg(&b, 0, 2);
	*reg(&b, 0, 2) = first;
	compare();
	ck_assert_uint_eq(report.nr, 0);
	reg(&b, 0, 2)->value++;
	compare();
	assert_finding(0, "vcpu0 msr IA32_SYSENTER_CS (0x174): 0x10 != 0x11");
	ck_assert_uint_eq(report.nr, 1);
}
END_TEST

START_TEST(what_only_one_has_is_told)
{
	reg(&a, 0, 0)->id = KVM_X86_REG_MSR(0x175);
	image_section(&b, "registers", 1)->payload.size -= sizeof(struct kvm_reg_value);
	compare();
	assert_finding(0, "vcpu0 msr IA32_SYSENTER_ESP (0x175): present != absent");
	assert_finding(1, "vcpu0 msr IA32_SYSENTER_CS (0x174): absent != present");
	assert_finding(2, "vcpu1 synthetic GUEST_SSP (0x2030000300000000): present != absent");
	ck_assert_uint_eq(report.nr, 3);
}
END_TEST

START_TEST(entries_of_cpuid_are_told_by_leaf_and_register)
{
	struct kvm_cpuid_entry2 *leaf = (struct kvm_cpuid_entry2 *)(void *)image_section(&b, "cpuid", 0)->payload.data;
	leaf[2].ebx = 5;
	leaf[1].index = 9;
	compare();
	assert_finding(0, "vcpu0 cpuid 0x1.0: present != absent");
	assert_finding(1, "vcpu0 cpuid 0x4.1 ebx: 0x0 != 0x5");
	assert_finding(2, "vcpu0 cpuid 0x1.9: absent != present");
	ck_assert_uint_eq(report.nr, 3);
}
END_TEST

START_TEST(registers_count_at_the_stage_at_which_they_are_put)
{
	reg(&a, 0, 0)->id = reg(&b, 0, 0)->id = KVM_X86_REG_MSR(0x6e0);
	reg(&a, 0, 0)->value++;
	reg(&a, 0, 1)->value++;
	options.stages = 1 << STAGE_VCPU;
	compare();
	ck_assert_uint_eq(report.nr, 1);
	ck_assert_str_eq(report.findings[0].name, "IA32_LSTAR (0xc0000082)");
	options.stages = 1 << STAGE_ARM;
	compare();
	ck_assert_uint_eq(report.nr, 1);
	ck_assert_str_eq(report.findings[0].name, "IA32_TSC_DEADLINE (0x6e0)");
}
END_TEST

/* ---- Sections ---- */

START_TEST(sections_that_only_one_has_are_told)
{
	image_section(&b, "nested", 1)->instance = 15;
	compare();
	assert_finding(0, "vcpu1 nested: present != absent");
	assert_finding(1, "vcpu15 nested: absent != present");
	ck_assert_uint_eq(report.nr, 2);
}
END_TEST

START_TEST(bytes_behind_a_struct_are_compared)
{
	image_section(&b, "nested", 0)->payload.data[sizeof(struct kvm_nested_state) + 100] ^= 1;
	image_section(&b, "nested", 1)->payload.size--;
	compare();
	assert_finding(0, "vcpu0 nested data: 4096 bytes != 4096 other bytes");
	assert_finding(1, "vcpu1 nested data: 4096 bytes != 4095 other bytes");
	ck_assert_uint_eq(report.nr, 2);
}
END_TEST

START_TEST(stages_leave_the_rest_out)
{
	set(&b, "regs", 0, "rax", 1, 8);
	set(&b, "clock", 0, "pad0", 1, 1);
	options.stages = 1 << STAGE_ARM;
	compare();
	ck_assert_uint_eq(report.nr, 1);
	ck_assert_str_eq(report.findings[0].component, "clock");
	options.stages = 1 << STAGE_VCPU | 1 << STAGE_VM_LATE;
	compare();
	ck_assert_uint_eq(report.nr, 1);
	ck_assert_str_eq(report.findings[0].component, "regs");
}
END_TEST

static bool allow_lstar(void *context, const char *component, const char *name)
{
	ck_assert_ptr_eq(context, &report);
	return strcmp(component, "registers") == 0 && strncmp(name, "IA32_LSTAR ", 11) == 0;
}

START_TEST(allowed_differences_are_told_and_do_no_harm)
{
	options = (struct compare_options){ .is_allowed = allow_lstar, .context = &report };
	reg(&b, 0, 0)->value++;
	reg(&b, 0, 1)->value++;
	compare();
	ck_assert_uint_eq(report.nr, 2);
	ck_assert_uint_eq(report.counts[FINDING_ALLOWED], 1);
	ck_assert_uint_eq(report_bad(&report), 1);
	ck_assert_int_eq(report.findings[1].kind, FINDING_ALLOWED);
}
END_TEST

/* ---- Every field ---- */

struct sweep {
	const struct component *component;
	size_t checked;
};

static int change_leaf(const struct schema_leaf *leaf, void *context)
{
	static const enum finding_kind kinds[] = { [FIELD_EXACT] = FINDING_DIFFERENT,
						   [FIELD_VOLATILE] = FINDING_VOLATILE,
						   [FIELD_PADDING] = FINDING_DIFFERENT };
	struct sweep *sweep = context;
	const char *component = sweep->component->name;
	uint8_t *last = image_field(&b, component, 0, leaf->name) + leaf->size - 1;
	*last ^= 0x80;
	compare();
	*last ^= 0x80;
	ck_assert_msg(report.nr == 1, "%s %s: %zu findings", component, leaf->name, report.nr);
	ck_assert_str_eq(report.findings[0].component, component);
	ck_assert_str_eq(report.findings[0].name, leaf->name);
	ck_assert_int_eq(report.findings[0].kind, kinds[leaf->field->rule]);
	sweep->checked++;
	return 0;
}

START_TEST(a_change_of_any_field_is_told_under_its_name)
{
	struct sweep sweep = { 0 };
	for (size_t i = 0; i < component_table_size; i++) {
		sweep.component = &component_table[i];
		if (sweep.component->shape == COMPONENT_STRUCT || sweep.component->shape == COMPONENT_BLOB)
			schema_walk(sweep.component->schema, change_leaf, &sweep);
	}
	ck_assert_uint_gt(sweep.checked, 600);
}
END_TEST

/* ---- RAM ---- */

static void touch(struct image *image, uint64_t gpa, uint8_t value)
{
	*memory_at(&image->ram, gpa, 1) = value;
}

START_TEST(pages_are_told_in_runs)
{
	options.with_ram = true;
	touch(&a, 0x1010, 1);
	touch(&b, 0x1010, 2);
	touch(&b, 0x2fff, 3);
	touch(&a, 0x4000, 9); /* equal */
	touch(&b, 0x4000, 9);
	touch(&a, BUILD_RAM - 1, 4); /* the last page, and the first of the next region */
	touch(&b, BUILD_ROM_GPA, 5);
	compare();
	assert_finding(0,
		       "ram 0x1000-0x2fff: 2 pages; first at 0x1010: 01 != 02; from 0x1010: 01" ZEROS " != 02" ZEROS);
	assert_finding(1, "ram 0xff000-0xfffff: 1 page; first at 0xfffff: 04 != 00");
	assert_finding(2, "ram 0xffff0000-0xffff0fff: 1 page; first at 0xffff0000: 00 != 05");
	ck_assert_uint_eq(report.nr, 3);
	options.with_ram = false;
	compare();
	ck_assert_uint_eq(report.nr, 0);
}
END_TEST

/* Untouched memory is skipped by chunks, which must not join what lies on both sides of it. */
START_TEST(runs_do_not_reach_over_untouched_memory)
{
	const struct memory_range range = { .gpa = 0x200000, .size = 6ull * FORMAT_CHUNK };
	ck_assert_int_eq(memory_add(&a.ram, &range, NULL) | memory_add(&b.ram, &range, NULL), 0);
	options.with_ram = true;
	touch(&a, range.gpa + FORMAT_CHUNK - 1, 1);
	touch(&a, range.gpa + 4ull * FORMAT_CHUNK, 1);
	touch(&b, range.gpa + 5ull * FORMAT_CHUNK - 1, 1);
	touch(&b, range.gpa + 5ull * FORMAT_CHUNK, 1);
	compare();
	assert_finding(0, "ram 0x2ff000-0x2fffff: 1 page; first at 0x2fffff: 01 != 00; from 0x2ffff0:" ZEROS
			  " 01 !=" ZEROS " 00");
	assert_finding(1, "ram 0x600000-0x600fff: 1 page; first at 0x600000: 01 != 00");
	assert_finding(2, "ram 0x6ff000-0x700fff: 2 pages; first at 0x6fffff: 00 != 01");
	ck_assert_uint_eq(report.nr, 3);
}
END_TEST

START_TEST(regions_of_other_sizes_are_the_machines_difference)
{
	options.with_ram = true;
	touch(&a, 0, 1);
	a.ram.regions[0].range.size -= MEMORY_PAGE;
	compare();
	a.ram.regions[0].range.size += MEMORY_PAGE;
	ck_assert_uint_eq(report.nr, 0);
}
END_TEST

UNIT_MAIN_WITH(setup, teardown, "compare", equal_images_have_no_difference,
	       a_difference_is_told_by_name_with_both_values, long_values_tell_where_they_differ,
	       volatile_differences_come_last_with_their_reason, unknown_state_is_told_although_it_is_equal,
	       registers_are_told_by_name_number_and_bits, entries_are_paired_by_key_in_any_order,
	       what_only_one_has_is_told, entries_of_cpuid_are_told_by_leaf_and_register,
	       registers_count_at_the_stage_at_which_they_are_put, sections_that_only_one_has_are_told,
	       bytes_behind_a_struct_are_compared, stages_leave_the_rest_out,
	       allowed_differences_are_told_and_do_no_harm, a_change_of_any_field_is_told_under_its_name,
	       pages_are_told_in_runs, runs_do_not_reach_over_untouched_memory,
	       regions_of_other_sizes_are_the_machines_difference)
