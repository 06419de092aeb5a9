/*
 * The opposite of the laws: every field that is changed is found by compare, under its own name and no other; changed
 * in an image, and changed in a real machine after a restore.
 */
#include "kvm_test.h"

#include <stdio.h>
#include <string.h>

#include "snapshot/save.h"

/* One leaf of one instance of a component: of its struct, or of an entry of its list. */
struct target {
	const struct component *component;
	unsigned instance;
	size_t at; /* of the struct or entry, in the payload */
	const struct schema_leaf *leaf;
};

typedef void visit_target(const struct target *target, void *context);

struct walk {
	struct target target;
	visit_target *visit;
	void *context;
};

static int visit_leaf(const struct schema_leaf *leaf, void *context)
{
	struct walk *walk = context;
	walk->target.leaf = leaf;
	/* An entry without its key is another entry: that is not a changed field. */
	if (walk->target.component->shape != COMPONENT_LIST || leaf->offset >= COMPONENT_KEY_SIZE)
		walk->visit(&walk->target, walk->context);
	return 0;
}

static void for_each_leaf_of(const struct section *section, visit_target *visit, void *context)
{
	const struct schema *schema = section->component->schema;
	struct walk walk = { .target = { .component = section->component, .instance = section->instance },
			     .visit = visit,
			     .context = context };
	size_t end = section->component->shape == COMPONENT_LIST ? section->payload.size : schema->size;
	for (; walk.target.at < end; walk.target.at += schema->size)
		schema_walk(schema, visit_leaf, &walk);
}

static void for_each_leaf(const struct image *image, visit_target *visit, void *context)
{
	for (size_t i = 0; i < image->nr_sections; i++)
		for_each_leaf_of(&image->sections[i], visit, context);
}

/* The names under which compare has to report it. */
static void target_names(const struct image *image, const struct target *target, struct finding *ret)
{
	const struct component *component = target->component;
	struct entry_description entry = { 0 };
	component_where(component, target->instance, ret->where, sizeof(ret->where));
	snprintf(ret->component, sizeof(ret->component), "%s", component->name);
	snprintf(ret->name, sizeof(ret->name), "%s", target->leaf->name);
	ret->kind = target->leaf->field->rule == FIELD_VOLATILE ? FINDING_VOLATILE : FINDING_DIFFERENT;
	if (component->shape != COMPONENT_LIST)
		return;
	component->ops->describe(image_find(image, component, target->instance)->payload.data + target->at, &entry);
	snprintf(ret->component, sizeof(ret->component), "%s", entry.component);
	if (strcmp(target->leaf->name, "value") == 0)
		snprintf(ret->name, sizeof(ret->name), "%s", entry.name);
	else
		snprintf(ret->name, sizeof(ret->name), "%.50s %.20s", entry.name, target->leaf->name);
	if (entry.rule == FIELD_VOLATILE)
		ret->kind = FINDING_VOLATILE;
}

static bool is_same_name(const struct finding *a, const struct finding *b)
{
	return strcmp(a->where, b->where) == 0 && strcmp(a->component, b->component) == 0 &&
	       strcmp(a->name, b->name) == 0;
}

/* ---- In an image ---- */

struct mutation {
	const struct image *image;
	struct image *changed;
	unsigned nr[FIELD_PADDING + 1];
};

/* The last byte, and of what is longer than a number also the first and the middle one: each change alone is found. */
static void expect_found(const struct target *target, void *context)
{
	struct mutation *mutation = context;
	const struct section *section = image_find(mutation->changed, target->component, target->instance);
	uint8_t *value = section->payload.data + target->at + target->leaf->offset;
	const uint32_t places[] = { target->leaf->size - 1, 0, target->leaf->size / 2 };
	size_t nr_places = target->leaf->size > 8 ? ARRAY_SIZE(places) : 1;
	struct finding expected = { 0 };
	target_names(mutation->image, target, &expected);
	for (size_t i = 0; i < nr_places; i++) {
		struct report report = { 0 };
		value[places[i]] ^= 0x40;
		compare_images(mutation->image, mutation->changed, &(struct compare_options){ 0 }, &report);
		value[places[i]] ^= 0x40;
		ck_assert_msg(report.nr == 1, "%s %s %s: %zu findings", expected.where, expected.component,
			      expected.name, report.nr);
		ck_assert_msg(is_same_name(&report.findings[0], &expected), "%s %s %s was found as %s %s",
			      expected.where, expected.component, expected.name, report.findings[0].component,
			      report.findings[0].name);
		ck_assert_int_eq(report.findings[0].kind, expected.kind);
		report_done(&report);
	}
	mutation->nr[target->leaf->field->rule]++;
}

static const struct {
	struct machine_kind kind;
	uint32_t checkpoint;
} images[] = {
	{ { "regs", IRQCHIP_FULL, 1 }, 1 },
	{ { "regs", IRQCHIP_NONE, 1 }, 1 },
	{ { "smp", IRQCHIP_SPLIT, 2 }, 1 },
};
#define EXACT_MIN   600 /* fields of such an image, on the host that has the fewest */
#define CHANGED_MIN 400 /* of them that KVM lets be changed */
#define LIVE_IMAGES 2   /* whose fields are changed in the machine too */

static void take_image(int i, struct image *ret)
{
	struct vm *vm = machine_boot(&images[i].kind);
	machine_run_to(vm, images[i].checkpoint);
	image_take(vm, ret);
	machine_free(vm);
}

START_TEST(compare_names_each_field)
{
	struct image image, changed;
	take_image(_i, &image);
	image_clone(&image, &changed);
	struct mutation mutation = { .image = &image, .changed = &changed };
	for_each_leaf(&image, expect_found, &mutation);
	printf("%s, controller %s: %u exact fields, %u volatile, %u without a name changed and found\n",
	       images[_i].kind.guest, irqchip_name(images[_i].kind.irqchip), mutation.nr[FIELD_EXACT],
	       mutation.nr[FIELD_VOLATILE], mutation.nr[FIELD_PADDING]);
	ck_assert_uint_ge(mutation.nr[FIELD_EXACT], EXACT_MIN);
	image_done(&changed);
	image_done(&image);
}
END_TEST

/* Entries of a list that only one image has are found too. */
START_TEST(compare_names_what_only_one_has)
{
	static const char *const lists[] = { "registers", "cpuid" };
	struct image image, changed;
	take_image(0, &image);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		const struct component *component = component_by_name(lists[i]);
		image_clone(&image, &changed);
		struct section *section = (struct section *)(uintptr_t)image_find(&changed, component, 0);
		section->payload.size -= component->schema->size;
		struct entry_description last = { 0 };
		component->ops->describe(section->payload.data + section->payload.size, &last);
		for (int swapped = 0; swapped < 2; swapped++) {
			struct report report = { 0 };
			compare_images(swapped ? &changed : &image, swapped ? &image : &changed,
				       &(struct compare_options){ 0 }, &report);
			ck_assert_uint_eq(report.nr, 1);
			ck_assert_str_eq(report.findings[0].name, last.name);
			ck_assert_str_eq(report.findings[0].left, swapped ? COMPARE_ABSENT : COMPARE_PRESENT);
			report_done(&report);
		}
		image_done(&changed);
	}
	image_done(&image);
}
END_TEST

/* Pages at both ends, and neighbours that are told as one range. */
START_TEST(compare_names_each_page)
{
	static const struct {
		uint64_t gpa, size;
		const char *name;
	} rows[] = {
		{ 0, 1, "0x0-0xfff" },
		{ KVM_TEST_RAM - 1, 1, "0x7ff000-0x7fffff" },
		{ 0x300fff, 2, "0x300000-0x301fff" },
		{ 0x1ff800, 0x1800, "0x1ff000-0x200fff" },
	};
	const struct compare_options with_ram = { .with_ram = true };
	struct image image, changed;
	take_image(0, &image);
	image_clone(&image, &changed);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct report report = { 0 };
		uint8_t *bytes = memory_at(changed.memory, rows[i].gpa, rows[i].size);
		for (uint64_t at = 0; at < rows[i].size; at++)
			bytes[at] ^= 1;
		compare_images(&image, &changed, &with_ram, &report);
		for (uint64_t at = 0; at < rows[i].size; at++)
			bytes[at] ^= 1;
		ck_assert_uint_eq(report.nr, 1);
		ck_assert_str_eq(report.findings[0].where, "ram");
		ck_assert_str_eq(report.findings[0].name, rows[i].name);
		report_done(&report);
	}
	image_done(&changed);
	image_done(&image);
}
END_TEST

/* KVM_SET_IRQCHIP writes the chip whose number stands in the payload. */
START_TEST(a_chip_under_another_chips_number_is_refused)
{
	static const char *const chips[] = { "pic-master", "pic-slave", "ioapic" };
	struct image image;
	struct error err;
	take_image(0, &image);
	ck_assert_int_eq(image_validate(&image, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(chips); i++) {
		uint8_t *chip_id = image_payload(&image, chips[i], 0);
		*chip_id ^= 3;
		ck_assert_int_eq(image_validate(&image, &err), -ERROR_DATA);
		ck_assert_ptr_nonnull(strstr(err.text, "chip_id"));
		*chip_id ^= 3;
	}
	image_done(&image);
}
END_TEST

/* ---- In a machine ---- */

enum outcome { CHANGED, REFUSED, NOT_KEPT, OUTCOMES };

#define BITS_MAX 64u /* tried of a leaf */

struct live {
	const struct image *image; /* what was restored */
	struct vm *vm;
	struct restore restore;
	struct report report;
	unsigned nr[OUTCOMES], nr_unexpected;
};

static void live_end(struct live *live)
{
	restore_end(&live->restore);
	report_done(&live->report);
	machine_free(live->vm);
}

static void live_begin(struct live *live)
{
	live->vm = image_restore(live->image, NULL, 0, &live->report);
	ck_assert_ptr_nonnull(live->vm);
	restore_begin(live->vm, live->image, &live->report, &live->restore);
}

/* Does KVM take the payload? */
static bool put(struct live *live, const struct target *target, const struct buffer *payload)
{
	report_done(&live->report);
	component_put(&live->restore, target->component->name, target->instance, buffer_bytes(payload));
	return report_bad(&live->report) == 0;
}

/* Has the machine the leaf as the payload has it? */
static bool is_kept(struct live *live, const struct target *target, const struct buffer *payload)
{
	size_t at = target->at + target->leaf->offset;
	struct buffer got = { 0 };
	struct error err;
	if (component_read_back(target->component, live->vm, target->instance, UINT8_MAX, &got, &err) < 0)
		ck_abort_msg("%s", err.text);
	bool kept = got.size == payload->size && memcmp(got.data + at, payload->data + at, target->leaf->size) == 0;
	buffer_done(&got);
	return kept;
}

/* Changes one bit after the other until KVM takes and keeps one. */
static enum outcome change(struct live *live, const struct target *target, struct buffer *payload)
{
	enum outcome outcome = REFUSED;
	uint8_t *value = payload->data + target->at + target->leaf->offset;
	for (uint32_t bit = 0; bit < target->leaf->size * 8 && bit < BITS_MAX; bit++) {
		value[bit / 8] ^= (uint8_t)(1 << bit % 8);
		bool is_taken = put(live, target, payload);
		if (is_taken && is_kept(live, target, payload))
			return CHANGED;
		outcome = is_taken ? NOT_KEPT : outcome;
		value[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	return outcome;
}

/* What KVM changes together with a field, because it is one thing under two names, or the architecture says so. */
static const struct companion {
	const char *component, *name; /* of the changed field: what its name begins with; "*": any segment, */
	const char *with, *with_name; /* and the same one */
	const char *why;
} companions[] = {
	{ "sregs", "cr8", "lapic", "TPR", "one register (SDM volume 3, 11.8.6)" },
	{ "lapic", "TPR", "sregs", "cr8", "one register (SDM volume 3, 11.8.6)" },
	{ "msr", "KVM_WALL_CLOCK", "msr", "KVM_WALL_CLOCK", "two numbers for one register of the whole VM" },
	{ "msr", "KVM_SYSTEM_TIME", "msr", "KVM_SYSTEM_TIME", "two numbers for one register" },
	{ "sregs", "*.unusable", "sregs", "*.type", "a segment that cannot be used has no type" },
	{ "sregs", "*.unusable", "sregs", "*.present", "SVM has no bit for it: a segment that is not present" },
	{ "sregs", "*.present", "sregs", "*.unusable", "SVM has no bit for it: a segment that is not present" },
	{ "sregs", "*.present", "sregs", "*.type", "a segment that cannot be used has no type" },
	{ "sregs", "ss.present", "sregs", "ss.db", "SVM: a stack segment that cannot be used has no size" },
	{ "sregs", "ss.unusable", "sregs", "ss.db", "SVM: a stack segment that cannot be used has no size" },
	{ "sregs", "*.limit", "sregs", "*.g", "SVM: KVM tells it by the limit (svm_get_segment())" },
	{ "msr", "HV_VP_ASSIST_PAGE", "msr", "KVM_PV_EOI_EN", "its page has the bit of the lazy end of interrupt" },
	{ "cpuid", "0x80000008.0 eax", "msr", "IA32_MTRR_PHYSMASK", "Linux 6.1 widens the masks to the address bits" },
	{ "tsc", "khz", "msr", "HV_TSC_FREQUENCY", "one number in two units" },
	{ "pic-slave", "chip.pic.irr", "pic-master", "chip.pic.irr", "the slave's output is the master's IRQ 2" },
};

/* What is no state that stays, and so cannot be changed alone. */
static const struct {
	const char *component, *name, *why;
} transient[] = {
	{ "events", "smi.latched_init", "an INIT that waits: KVM_GET_MP_STATE, read first, carries it out" },
};

static bool begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

/* How long a segment's name is where the pattern has "*" for one; 0 where it has none. */
static bool is_named(const char *name, const char *pattern, size_t *ret_segment)
{
	const char *field = strchr(name, '.');
	*ret_segment = 0;
	if (pattern[0] != '*')
		return begins(name, pattern);
	if (field == NULL || strcmp(field, pattern + 1) != 0)
		return false;
	*ret_segment = (size_t)(field - name);
	return true;
}

static bool is_companion(const struct finding *changed, const struct finding *other)
{
	for (size_t i = 0; i < ARRAY_SIZE(companions); i++) {
		const struct companion *row = &companions[i];
		size_t segment, other_segment;
		if (strcmp(row->component, changed->component) == 0 && strcmp(row->with, other->component) == 0 &&
		    is_named(changed->name, row->name, &segment) &&
		    is_named(other->name, row->with_name, &other_segment) && segment == other_segment &&
		    strncmp(changed->name, other->name, segment) == 0)
			return true;
	}
	return false;
}

static bool is_transient(const struct finding *target)
{
	for (size_t i = 0; i < ARRAY_SIZE(transient); i++)
		if (strcmp(transient[i].component, target->component) == 0 &&
		    strcmp(transient[i].name, target->name) == 0)
			return true;
	return false;
}

static void compare_machine(struct live *live, struct report *report)
{
	struct image now;
	struct error err;
	if (save_image(live->vm, &now, &err) < 0)
		ck_abort_msg("%s", err.text);
	compare_images(live->image, &now, &(struct compare_options){ .with_ram = true }, report);
	image_done(&now);
}

/* The changed field is named; what else is named and has no row above is told, and counted. */
static void expect_named(struct live *live, const struct finding *expected)
{
	struct report report = { 0 };
	bool is_found = false;
	compare_machine(live, &report);
	for (size_t i = 0; i < report.nr; i++) {
		const struct finding *finding = &report.findings[i];
		if (is_same_name(finding, expected)) {
			is_found = true;
		} else if (finding->kind != FINDING_VOLATILE && !is_companion(expected, finding)) {
			printf("%s %s %s was changed, and %s %s %s differs too: %s, %s\n", expected->where,
			       expected->component, expected->name, finding->where, finding->component, finding->name,
			       finding->left, finding->right);
			live->nr_unexpected++;
		}
	}
	ck_assert_msg(is_found, "%s %s %s was changed and not found", expected->where, expected->component,
		      expected->name);
	report_done(&report);
}

static void change_in_machine(const struct target *target, void *context)
{
	struct live *live = context;
	struct finding expected = { 0 };
	struct report report = { 0 };
	struct buffer payload = { 0 };
	const struct section *section = image_find(live->image, target->component, target->instance);
	target_names(live->image, target, &expected);
	if (target->leaf->field->rule != FIELD_EXACT || target->component->stages == 1 << STAGE_MACHINE ||
	    is_transient(&expected))
		return;
	ck_assert_ptr_nonnull(buffer_append(&payload, section->payload.data, section->payload.size));
	enum outcome outcome = change(live, target, &payload);
	if (outcome == CHANGED)
		expect_named(live, &expected);
	live->nr[outcome]++;
	/* Back to what was restored; where that does not help, by a new machine. */
	put(live, target, &section->payload);
	compare_machine(live, &report);
	if (report_bad(&report) > 0) {
		live_end(live);
		live_begin(live);
	}
	report_done(&report);
	buffer_done(&payload);
}

START_TEST(a_field_changed_in_the_machine_is_named)
{
	struct image image;
	take_image(_i, &image);
	struct live live = { .image = &image };
	live_begin(&live);
	for_each_leaf(&image, change_in_machine, &live);
	printf("%s, controller %s: %u fields changed in the machine and found, %u refused by KVM, %u not kept\n",
	       images[_i].kind.guest, irqchip_name(images[_i].kind.irqchip), live.nr[CHANGED], live.nr[REFUSED],
	       live.nr[NOT_KEPT]);
	ck_assert_uint_eq(live.nr_unexpected, 0);
	ck_assert_uint_ge(live.nr[CHANGED], CHANGED_MIN);
	live_end(&live);
	image_done(&image);
}
END_TEST

int main(void)
{
	const struct kvm_test tests[] = {
		{ compare_names_each_field, ARRAY_SIZE(images) },
		{ compare_names_what_only_one_has, 1 },
		{ compare_names_each_page, 1 },
		{ a_chip_under_another_chips_number_is_refused, 1 },
		{ a_field_changed_in_the_machine_is_named, LIVE_IMAGES },
	};
	return kvm_test_main("mutation", tests, ARRAY_SIZE(tests));
}
