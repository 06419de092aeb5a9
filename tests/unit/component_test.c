#include "unit.h"

#include <ctype.h>
#include <string.h>

#include "image_builder.h"
#include "snapshot/registers.h"
#include "snapshot/restore.h"
#include "snapshot/save.h"

static struct error err;

START_TEST(ids_and_names_are_unique)
{
	ck_assert_uint_le(component_table_size, COMPONENTS_MAX);
	for (size_t i = 0; i < component_table_size; i++) {
		const struct component *component = &component_table[i];
		ck_assert_ptr_eq(component_by_id(component->id), component);
		ck_assert_ptr_eq(component_by_name(component->name), component);
		ck_assert_uint_ge(component->version, 1);
		ck_assert_uint_ne(component->id, FORMAT_RAM_CHECKSUMS);
		/* They are words of the command line: --allow, --without, inspect. */
		for (const char *at = component->name; *at != '\0'; at++)
			ck_assert_msg(islower(*at) || isdigit(*at) || *at == '-' || *at == '_', "%s", component->name);
	}
	ck_assert_ptr_null(component_by_id(0));
	ck_assert_ptr_null(component_by_id(FORMAT_RAM_CHECKSUMS));
	ck_assert_ptr_null(component_by_name("no such component"));
}
END_TEST

/* A program that knows a file by ids alone can tell what kind of thing it does not know. */
START_TEST(ids_say_what_a_component_belongs_to)
{
	for (size_t i = 0; i < component_table_size; i++) {
		const struct component *component = &component_table[i];
		bool is_vcpus = component->id >= 32 && component->id < 64;
		ck_assert_msg((component->scope == COMPONENT_VCPU) == is_vcpus, "%s has id %u", component->name,
			      component->id);
		ck_assert_msg(component->id < 32 || component->stages != 1 << STAGE_MACHINE, "%s", component->name);
	}
}
END_TEST

/* What a row needs so that the functions that walk the table can rely on it. */
START_TEST(rows_are_complete)
{
	for (size_t i = 0; i < component_table_size; i++) {
		const struct component *c = &component_table[i];
		const struct component_ops *ops = c->ops;
		bool is_list = c->shape == COMPONENT_LIST;
		ck_assert_msg(c->stages != 0 && c->stages >> STAGES == 0, "%s: stages", c->name);
		ck_assert_msg(c->with != 0 && (c->with & ~WITH_ANY) == 0, "%s: with", c->name);
		ck_assert_msg((c->shape == COMPONENT_RAM) == (c->schema == NULL), "%s: schema", c->name);
		if (c->shape == COMPONENT_RAM)
			continue;
		ck_assert_msg(c->get != 0 || c->offset != 0 || (ops != NULL && ops->save != NULL),
			      "%s: cannot be saved", c->name);
		ck_assert_msg(c->set != 0 || c->offset != 0 || c->stages == 1 << STAGE_MACHINE ||
				      (ops != NULL && ops->restore != NULL),
			      "%s: cannot be restored", c->name);
		ck_assert_msg(is_list == (ops != NULL && ops->describe != NULL), "%s: describe", c->name);
		ck_assert_msg(!is_list || COMPONENT_KEY_SIZE <= c->schema->size, "%s: no room for a key", c->name);
		/* A fixed group's struct is what its ioctls take. */
		if (c->shape == COMPONENT_STRUCT && c->get != 0)
			ck_assert_msg(_IOC_SIZE(c->get) == c->schema->size && _IOC_SIZE(c->set) == c->schema->size,
				      "%s: size", c->name);
	}
}
END_TEST

/* Where a plan has a component, or the register of that name. */
static unsigned restore_place(const char *name)
{
	struct restore_step plan[RESTORE_STEPS_MAX];
	unsigned nr = restore_plan(plan);
	const struct component *component = component_by_name(name);
	enum stage stage = STAGES;
	uint64_t id;
	if (component == NULL) {
		ck_assert_msg(kvm_reg_parse(name, &id), "%s is neither a component nor a register", name);
		component = component_by_name("registers");
		stage = register_rule(id)->stage;
	}
	for (unsigned i = 0; i < nr; i++)
		if (plan[i].component == component && (stage == STAGES || plan[i].stage == stage))
			return i;
	ck_abort_msg("%s is not in the plan", name);
}

static unsigned save_place(const char *name)
{
	const struct component *plan[COMPONENTS_MAX];
	size_t nr = save_plan(plan);
	for (unsigned i = 0; i < nr; i++)
		if (strcmp(plan[i]->name, name) == 0)
			return i;
	ck_abort_msg("%s is not in the plan", name);
}

START_TEST(the_plans_keep_the_order_facts)
{
	ck_assert_uint_gt(order_facts_size, 0);
	for (size_t i = 0; i < order_facts_size; i++) {
		const struct order_fact *fact = &order_facts[i];
		bool is_save = fact->side == ORDER_SAVE;
		unsigned first = is_save ? save_place(fact->first) : restore_place(fact->first);
		unsigned then = is_save ? save_place(fact->then) : restore_place(fact->then);
		ck_assert_msg(first < then, "%s before %s: %s", fact->first, fact->then, fact->why);
	}
}
END_TEST

START_TEST(a_machine_has_what_its_controller_has)
{
	static const struct {
		const char *name;
		unsigned instances[3]; /* of IRQCHIP_NONE with 1 vCPU, SPLIT and FULL with 4 */
	} rows[] = {
		{ "machine", { 1, 1, 1 } }, { "regs", { 1, 4, 4 } },   { "lapic", { 0, 4, 4 } },
		{ "pit", { 0, 0, 1 } },     { "ioapic", { 0, 0, 1 } }, { "uart", { 1, 1, 1 } },
	};
	for (uint32_t irqchip = IRQCHIP_NONE; irqchip <= IRQCHIP_FULL; irqchip++) {
		const struct machine machine = { .irqchip = irqchip, .nr_vcpus = irqchip == IRQCHIP_NONE ? 1 : 4 };
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			ck_assert_uint_eq(component_instances(component_by_name(rows[i].name), &machine),
					  rows[i].instances[irqchip]);
	}
	char where[16];
	component_where(component_by_name("regs"), 3, where, sizeof(where));
	ck_assert_str_eq(where, "vcpu3");
	component_where(component_by_name("pit"), 0, where, sizeof(where));
	ck_assert_str_eq(where, "vm");
}
END_TEST

/* Sizes around the right one, by the component's shape. */
START_TEST(payloads_have_the_size_of_their_shape)
{
	static uint8_t zeros[(COMPONENT_ENTRIES_MAX + 1) * sizeof(struct kvm_reg_value)];
	struct image image;
	image_build(&image, 1, IRQCHIP_FULL);
	for (size_t i = 0; i < image.nr_sections; i++) {
		const struct section *section = &image.sections[i];
		const struct component *component = section->component;
		struct bytes payload = buffer_bytes(&section->payload);
		ck_assert_msg(component_validate(component, image_machine(&image), 0, payload, &err) == 0, "%s: %s",
			      component->name, err.text);
		payload.size = component->schema->size - 1;
		ck_assert_msg(component_validate(component, image_machine(&image), 0, payload, &err) == -ERROR_DATA,
			      "%s", component->name);
		ck_assert_ptr_nonnull(strstr(err.text, " bytes, expected "));
		if (component->shape != COMPONENT_STRUCT)
			continue;
		payload = (struct bytes){ .data = zeros, .size = component->schema->size + 1 };
		ck_assert_int_eq(component_validate(component, image_machine(&image), 0, payload, &err), -ERROR_DATA);
	}
	const struct component *registers = component_by_name("registers");
	const struct bytes many = { .data = zeros, .size = sizeof(zeros) };
	ck_assert_int_eq(component_validate(registers, image_machine(&image), 0, many, &err), -ERROR_DATA);
	ck_assert_ptr_nonnull(strstr(err.text, "at most 1024 entries of 16"));
	image_done(&image);
}
END_TEST

START_TEST(a_key_stands_once)
{
	struct kvm_reg_value regs[3] = { { KVM_X86_REG_MSR(0x174), 1 },
					 { KVM_X86_REG_MSR(0x175), 1 },
					 { KVM_X86_REG_MSR(0x176), 1 } };
	const struct bytes payload = { .data = (const uint8_t *)regs, .size = sizeof(regs) };
	const struct machine machine = { .nr_vcpus = 1 };
	const struct component *registers = component_by_name("registers");
	ck_assert_int_eq(component_validate(registers, &machine, 0, payload, &err), 0);
	regs[2].id = regs[0].id;
	regs[2].value = 2;
	ck_assert_int_eq(component_validate(registers, &machine, 0, payload, &err), -ERROR_DATA);
	ck_assert_str_eq(err.text, "entries 0 and 2 have the same key");
}
END_TEST

START_TEST(contents_are_checked_before_kvm_sees_them)
{
	static const struct {
		const char *component, *field;
		uint8_t value;
	} rows[] = {
		{ "machine", "nr_vcpus", 0 },
		{ "machine", "irqchip", 3 },
		{ "machine", "capabilities", 0xff },
		{ "machine", "reserved", 1 },
		{ "machine", "nr_ranges", 5 },
		{ "machine", "ranges[1].flags", 0xff },
		{ "machine", "ranges[0].gpa", 1 },
		{ "uart", "rx_count", 17 },
		{ "uart", "overrun", 2 },
		{ "uart", "thre_pending", 2 },
		{ "uart", "reserved", 1 },
		{ "ports", "restored", 2 },
		{ "ports", "reserved", 1 },
		{ "nested", "size", 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct image image;
		image_build(&image, 2, IRQCHIP_FULL);
		ck_assert_int_eq(image_validate(&image, &err), 0);
		*image_field(&image, rows[i].component, 0, rows[i].field) = rows[i].value;
		ck_assert_msg(image_validate(&image, &err) == -ERROR_DATA, "%s.%s", rows[i].component, rows[i].field);
		ck_assert_msg(strstr(err.text, rows[i].component) != NULL, "%s", err.text);
		image_done(&image);
	}
}
END_TEST

START_TEST(an_image_is_copied_and_searched)
{
	struct image image, copy;
	struct cpuid cpuid;
	image_build(&image, 2, IRQCHIP_SPLIT);
	ck_assert_int_eq(image_copy(&image, &copy, &err), 0);
	ck_assert_uint_eq(copy.nr_sections, image.nr_sections);
	ck_assert_ptr_eq(copy.memory, image.memory);
	*image_field(&copy, "regs", 1, "rip") ^= 1;
	ck_assert_uint_ne(*image_field(&copy, "regs", 1, "rip"), *image_field(&image, "regs", 1, "rip"));
	ck_assert_ptr_null(image_find_named(&image, "regs", 2));
	ck_assert_ptr_null(image_find_named(&image, "pit", 0));
	ck_assert_uint_eq(image_machine(&image)->nr_vcpus, 2);
	ck_assert(image_cpuid(&image, 1, &cpuid));
	ck_assert_uint_eq(cpuid.nent, 3);
	ck_assert_uint_eq(cpuid.entries[1].edx, 0x178bfbff);
	ck_assert(!image_cpuid(&image, 2, &cpuid));
	image_done(&copy);
	image_done(&image);
	ck_assert_ptr_null(image.sections);
}
END_TEST

UNIT_MAIN("component", ids_and_names_are_unique, ids_say_what_a_component_belongs_to, rows_are_complete,
	  the_plans_keep_the_order_facts, a_machine_has_what_its_controller_has, payloads_have_the_size_of_their_shape,
	  a_key_stands_once, contents_are_checked_before_kvm_sees_them, an_image_is_copied_and_searched)
