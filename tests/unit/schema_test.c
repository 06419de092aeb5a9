#include "unit.h"

#include <string.h>

#include "snapshot/state.h"

#define LEAVES_MAX 1024

static const struct {
	const struct schema *schema;
	const char *name;
	size_t size;
} schemas[] = {
#define ROW(name, type) { &name##_schema, #name, sizeof(type) },
	STATE_SCHEMAS(ROW)
#undef ROW
};
#define NR_SCHEMAS ((int)(sizeof(schemas) / sizeof(schemas[0])))

/* All leaves of a schema. */
struct leaves {
	struct schema_leaf at[LEAVES_MAX];
	size_t nr;
};

static int collect(const struct schema_leaf *leaf, void *context)
{
	struct leaves *leaves = context;
	ck_assert_uint_lt(leaves->nr, LEAVES_MAX);
	leaves->at[leaves->nr++] = *leaf;
	return 0;
}

START_TEST(every_schema_names_every_byte)
{
	const struct schema *schema = schemas[_i].schema;
	uint32_t offset = 0;
	ck_assert_str_eq(schema->name, schemas[_i].name);
	ck_assert_uint_eq(schema->size, schemas[_i].size);
	ck_assert_msg(schema_is_total(schema, &offset), "%s: byte 0x%x", schema->name, offset);
}
END_TEST

START_TEST(leaves_are_in_order_and_named_apart)
{
	static struct leaves leaves;
	leaves.nr = 0;
	ck_assert_int_eq(schema_walk(schemas[_i].schema, collect, &leaves), 0);
	uint32_t next = 0;
	for (size_t i = 0; i < leaves.nr; i++) {
		const struct schema_leaf *leaf = &leaves.at[i];
		ck_assert_msg(leaf->offset == next, "%s: at 0x%x, expected 0x%x", leaf->name, leaf->offset, next);
		next += leaf->size;
		/* A name that fills its room may have been cut. */
		ck_assert_msg(strlen(leaf->name) < SCHEMA_NAME_MAX - 1, "%s is too long", leaf->name);
		for (size_t k = 0; k < i; k++)
			ck_assert_msg(strcmp(leaf->name, leaves.at[k].name) != 0, "%s twice", leaf->name);
	}
	ck_assert_uint_eq(next, schemas[_i].size);
}
END_TEST

START_TEST(only_what_may_differ_has_a_reason)
{
	static struct leaves leaves;
	leaves.nr = 0;
	schema_walk(schemas[_i].schema, collect, &leaves);
	for (size_t i = 0; i < leaves.nr; i++) {
		const struct field *field = leaves.at[i].field;
		ck_assert_msg((field->rule == FIELD_VOLATILE) == (field_why(field) != NULL), "%s", leaves.at[i].name);
		/* A decoder names bits that the field has. */
		struct kvm_reg_bits bits;
		for (const char *list = field_bits(field); kvm_reg_bits_next(&list, &bits);)
			ck_assert_msg(bits.low + bits.width <= 64, "%s: %s", leaves.at[i].name, bits.name);
	}
}
END_TEST

START_TEST(every_leaf_is_found_by_its_name)
{
	static struct leaves leaves;
	struct schema_leaf found;
	leaves.nr = 0;
	schema_walk(schemas[_i].schema, collect, &leaves);
	for (size_t i = 0; i < leaves.nr; i++) {
		ck_assert(schema_find(schemas[_i].schema, leaves.at[i].name, &found));
		ck_assert_uint_eq(found.offset, leaves.at[i].offset);
	}
	memset(&found, 0x55, sizeof(found));
	struct schema_leaf before = found;
	ck_assert(!schema_find(schemas[_i].schema, "no such field", &found));
	ck_assert_mem_eq(&found, &before, sizeof(found));
}
END_TEST

/* Where the fields that people ask about stand, by the struct itself. */
START_TEST(names_lead_to_the_right_bytes)
{
	struct schema_leaf leaf;
#define CHECK_LEAF(schema, name, type, member)                                                                         \
	ck_assert(schema_find(&schema, name, &leaf));                                                                  \
	ck_assert_uint_eq(leaf.offset, offsetof(type, member));                                                        \
	ck_assert_uint_eq(leaf.size, sizeof(((type *)0)->member))
	CHECK_LEAF(regs_schema, "rip", struct kvm_regs, rip);
	CHECK_LEAF(sregs_schema, "tr.base", struct kvm_sregs2, tr.base);
	CHECK_LEAF(sregs_schema, "pdptrs[3]", struct kvm_sregs2, pdptrs[3]);
	CHECK_LEAF(debugregs_schema, "db[2]", struct kvm_debugregs, db[2]);
	CHECK_LEAF(xcrs_schema, "xcrs[0].value", struct kvm_xcrs, xcrs[0].value);
	CHECK_LEAF(events_schema, "exception.error_code", struct kvm_vcpu_events, exception.error_code);
	CHECK_LEAF(pit_schema, "channels[2].age_ns", struct pit_state, channels[2].age_ns);
	CHECK_LEAF(pic_schema, "chip.pic.elcr", struct kvm_irqchip, chip.pic.elcr);
	CHECK_LEAF(ioapic_schema, "chip.ioapic.redirtbl[23]", struct kvm_irqchip, chip.ioapic.redirtbl[23]);
	CHECK_LEAF(machine_schema, "ranges[3].gpa", struct machine, ranges[3].gpa);
	CHECK_LEAF(xsave_schema, "st[7].value", struct xsave_state, st[7].value);
#undef CHECK_LEAF
	/* SDM volume 3, table 12-1 */
	static const struct {
		const char *name;
		uint32_t offset;
	} registers[] = { { "ID", 0x20 },      { "TPR", 0x80 },    { "SVR", 0xf0 },   { "ISR[7]", 0x170 },
			  { "IRR[0]", 0x200 }, { "ICR2", 0x310 },  { "LVTT", 0x320 }, { "LVT0", 0x350 },
			  { "TMICT", 0x380 },  { "TMCCT", 0x390 }, { "TDCR", 0x3e0 }, { "SELF_IPI", 0x3f0 } };
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
		ck_assert(schema_find(&lapic_schema, registers[i].name, &leaf));
		ck_assert_uint_eq(leaf.offset, registers[i].offset);
		ck_assert_uint_eq(leaf.size, 4);
	}
}
END_TEST

/* A small struct of the test's own, right and wrong. */
struct inner {
	uint16_t a, b;
};
static const struct field inner_fields[] = { FIELD(struct inner, a), FIELD(struct inner, b) };
static const struct schema inner_schema = SCHEMA("inner", sizeof(struct inner), inner_fields);

static const struct field outer_fields[] = {
	FIELD_AT("head", 0, 8),
	{ .name = "pair", .offset = 8, .size = 4, .count = 2, .is_struct = true, .sub = &inner_schema },
	FIELD_AT("tail", 16, 40),
};
static const struct schema outer_schema = SCHEMA("outer", 56, outer_fields);

static int stop_at_third(const struct schema_leaf *leaf, void *context)
{
	int *seen = context;
	(void)leaf;
	return ++*seen == 3 ? 77 : 0;
}

START_TEST(a_walk_goes_by_offset_and_stops_when_told)
{
	static const char *const expected[] = { "head", "pair[0].a", "pair[0].b", "pair[1].a", "pair[1].b", "tail" };
	static struct leaves leaves;
	uint32_t offset;
	ck_assert(schema_is_total(&outer_schema, &offset));
	leaves.nr = 0;
	ck_assert_int_eq(schema_walk(&outer_schema, collect, &leaves), 0);
	ck_assert_uint_eq(leaves.nr, sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < leaves.nr; i++)
		ck_assert_str_eq(leaves.at[i].name, expected[i]);
	ck_assert_uint_eq(leaves.at[3].offset, 12);
	int seen = 0;
	ck_assert_int_eq(schema_walk(&outer_schema, stop_at_third, &seen), 77);
	ck_assert_int_eq(seen, 3);
}
END_TEST

START_TEST(gaps_and_overlaps_are_found)
{
	static const struct field gap[] = { FIELD_AT("a", 0, 4), FIELD_AT("b", 8, 4) };
	static const struct field overlap[] = { FIELD_AT("a", 0, 4), FIELD_AT("b", 3, 9) };
	static const struct field late[] = { FIELD_AT("a", 4, 8) };
	static const struct field shorter[] = { FIELD_AT("a", 0, 8) };
	static const struct field longer[] = { FIELD_AT("a", 0, 16) };
	static const struct field empty[] = { FIELD_AT("a", 0, 12), FIELD_AT("b", 12, 0) };
	static const struct field none[] = { FIELD_AT("a", 0, 12),
					     { .name = "b", .offset = 12, .size = 4, .count = 0 } };
	static const struct field gap_inside[] = { FIELD_AT("x", 0, 1), FIELD_AT("y", 2, 2) };
	static const struct schema gap_inside_schema = SCHEMA("inside", 4, gap_inside);
	static const struct field inside[] = { FIELD_AT("a", 0, 8),
					       FIELD_AT("b", 8, 4, .is_struct = true, .sub = &gap_inside_schema) };
	static const struct field other_size[] = { FIELD_AT("a", 0, 12, .is_struct = true, .sub = &inner_schema) };
	static const struct {
		struct schema schema;
		uint32_t offset;
	} wrong[] = {
		{ SCHEMA("gap", 12, gap), 4 },          { SCHEMA("overlap", 12, overlap), 4 },
		{ SCHEMA("late", 12, late), 0 },        { SCHEMA("shorter", 12, shorter), 8 },
		{ SCHEMA("longer", 12, longer), 16 },   { SCHEMA("empty", 12, empty), 12 },
		{ SCHEMA("none", 12, none), 12 },       { SCHEMA("inside", 12, inside), 9 },
		{ SCHEMA("other", 12, other_size), 0 },
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint32_t offset = UINT32_MAX;
		ck_assert_msg(!schema_is_total(&wrong[i].schema, &offset), "%s", wrong[i].schema.name);
		ck_assert_msg(offset == wrong[i].offset, "%s: 0x%x", wrong[i].schema.name, offset);
	}
}
END_TEST

START_TEST(values_are_numbers_or_bytes)
{
	uint8_t outer[56];
	char text[128];
	struct schema_leaf leaf;
	for (size_t i = 0; i < sizeof(outer); i++)
		outer[i] = (uint8_t)(i + 1);
	ck_assert(schema_find(&outer_schema, "head", &leaf));
	ck_assert_uint_eq(schema_value(&leaf, outer), 0x0807060504030201);
	schema_format(&leaf, outer, text, sizeof(text));
	ck_assert_str_eq(text, "0x807060504030201");
	ck_assert(schema_find(&outer_schema, "pair[1].b", &leaf));
	ck_assert_uint_eq(schema_value(&leaf, outer), 0x100f);
	schema_format(&leaf, outer, text, sizeof(text));
	ck_assert_str_eq(text, "0x100f");
	ck_assert(schema_find(&outer_schema, "tail", &leaf));
	schema_format(&leaf, outer, text, sizeof(text));
	ck_assert_str_eq(text, "1112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30...");
	/* Room that is too small cuts the text and nothing else. */
	memset(text, 'x', sizeof(text));
	schema_format(&leaf, outer, text, 12);
	ck_assert_uint_lt(strlen(text), 12);
	for (size_t i = 12; i < sizeof(text); i++)
		ck_assert_int_eq(text[i], 'x');
}
END_TEST

START_TEST(the_pit_is_kept_relative_to_the_snapshot)
{
	struct kvm_pit_state2 pit = { .flags = KVM_PIT_FLAGS_SPEAKER_DATA_ON }, back;
	struct pit_state state;
	for (int i = 0; i < 3; i++) {
		pit.channels[i].count = (uint32_t)(0x1000 + i);
		pit.channels[i].gate = 1;
		pit.channels[i].count_load_time = 500 + i;
	}
	pit_state_from_kvm(&pit, 2000, &state);
	ck_assert_int_eq(state.channels[0].age_ns, 1500);
	ck_assert_int_eq(state.channels[2].age_ns, 1498);
	ck_assert_uint_eq(state.channels[1].count, 0x1001);
	ck_assert_uint_eq(state.channels[1].gate, 1);
	ck_assert_uint_eq(state.flags, KVM_PIT_FLAGS_SPEAKER_DATA_ON);
	/* Another host's clock: the age is what stays. */
	pit_state_to_kvm(&state, 9000, &back);
	ck_assert_int_eq(back.channels[0].count_load_time, 7500);
	pit_state_to_kvm(&state, 2000, &back);
	ck_assert_mem_eq(&back, &pit, sizeof(pit));
	/* An age from a file may be any number. */
	state.channels[0].age_ns = INT64_MIN;
	pit_state_to_kvm(&state, INT64_MAX, &back);
	ck_assert_int_eq(back.channels[0].count_load_time, -1);
}
END_TEST

int main(void)
{
	const TTest *const each[] = { every_schema_names_every_byte, leaves_are_in_order_and_named_apart,
				      only_what_may_differ_has_a_reason, every_leaf_is_found_by_its_name };
	const TTest *const once[] = { names_lead_to_the_right_bytes, a_walk_goes_by_offset_and_stops_when_told,
				      gaps_and_overlaps_are_found, values_are_numbers_or_bytes,
				      the_pit_is_kept_relative_to_the_snapshot };
	Suite *suite = unit_suite("schema", once, sizeof(once) / sizeof(once[0]));
	TCase *tcase = tcase_create("every schema");
	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++)
		tcase_add_loop_test(tcase, each[i], 0, NR_SCHEMAS);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
