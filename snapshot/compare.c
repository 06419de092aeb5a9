#include "compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format.h"
#include "ram.h"

/* Two payloads of one component's instance, and where what is found goes. */
struct comparison {
	const struct compare_options *options;
	struct report *report;
	bool volatile_pass; /* report volatile differences only, or only the others */
	const struct component *component;
	unsigned instance;
	const uint8_t *a, *b;
	/* Of a list: what the entry is; told only when there is something to report. */
	struct entry_description description;
	const struct entry_description *entry; /* &description, or NULL: not told yet, or no list */
};

static void report_finding(const struct comparison *c, struct finding *finding, const char *name)
{
	const char *component = c->entry != NULL ? c->entry->component : c->component->name;
	bool is_volatile = finding->kind == FINDING_VOLATILE;
	if (is_volatile != c->volatile_pass)
		return;
	component_where(c->component, c->instance, finding->where, sizeof(finding->where));
	snprintf(finding->component, sizeof(finding->component), "%s", component);
	snprintf(finding->name, sizeof(finding->name), "%s", name);
	if (finding->kind == FINDING_DIFFERENT && c->options->is_allowed != NULL &&
	    c->options->is_allowed(c->options->context, c->component->name, name))
		finding->kind = FINDING_ALLOWED;
	report_add(c->report, finding);
}

static void describe_difference(const struct schema_leaf *leaf, const char *bits, const uint8_t *a, const uint8_t *b,
				struct finding *finding)
{
	schema_format(leaf, a, finding->left, sizeof(finding->left));
	schema_format(leaf, b, finding->right, sizeof(finding->right));
	if (bits != NULL)
		kvm_reg_decode_difference(bits, schema_value(leaf, a), schema_value(leaf, b), finding->detail,
					  sizeof(finding->detail));
}

/* Long values are cut when they are shown: says where the first difference is. */
static void describe_blob(const struct schema_leaf *leaf, const uint8_t *a, const uint8_t *b, struct finding *finding)
{
	uint32_t at = 0;
	while (at < leaf->size && a[leaf->offset + at] == b[leaf->offset + at])
		at++;
	if (leaf->size > 8)
		snprintf(finding->detail, sizeof(finding->detail), "first at byte %u of %u: %02x != %02x", at,
			 leaf->size, a[leaf->offset + at], b[leaf->offset + at]);
}

/* What people call the leaf.  A register is its value; other entries are named with the field. */
static void name_leaf(const struct comparison *c, const struct schema_leaf *leaf, char *ret, size_t size)
{
	char field[SCHEMA_NAME_MAX];
	schema_name_at(c->component->schema, leaf->offset, field);
	if (c->entry == NULL)
		snprintf(ret, size, "%s", field);
	else if (strcmp(field, "value") == 0)
		snprintf(ret, size, "%s", c->entry->name);
	else
		snprintf(ret, size, "%.50s %.20s", c->entry->name, field);
}

/* Describes a list's entry, unless that was done. */
static void describe_entry(struct comparison *c)
{
	if (c->component->shape != COMPONENT_LIST || c->entry != NULL)
		return;
	c->description = (struct entry_description){ 0 };
	c->component->ops->describe(c->a, &c->description);
	c->entry = &c->description;
}

/* Is the entry of a list put at one of the stages that are compared? */
static bool is_wanted(const struct comparison *c, const uint8_t *entry)
{
	const struct component_ops *ops = c->component->ops;
	return c->options->stages == 0 || ops->stage_of == NULL ||
	       (c->options->stages & 1 << ops->stage_of(entry)) != 0;
}

/* A field says so itself, or the entry of a list for all of its fields. */
static bool is_volatile_leaf(const struct comparison *c, const struct field *field)
{
	return field->rule == FIELD_VOLATILE || (c->entry != NULL && c->entry->rule == FIELD_VOLATILE);
}

/* Called for a leaf that differs, or is padding that is not zero. */
static int compare_leaf(const struct schema_leaf *leaf, void *context)
{
	struct comparison *c = context;
	const struct field *field = leaf->field;
	describe_entry(c);
	bool differ = memcmp(c->a + leaf->offset, c->b + leaf->offset, leaf->size) != 0;
	bool is_volatile = differ && is_volatile_leaf(c, field);
	if (is_volatile != c->volatile_pass)
		return 0;
	struct finding finding = { .kind = differ ? FINDING_DIFFERENT : FINDING_UNKNOWN };
	char name[sizeof(finding.name)];
	name_leaf(c, leaf, name, sizeof(name));
	if (!differ) {
		schema_format(leaf, c->a, finding.left, sizeof(finding.left));
		snprintf(finding.detail, sizeof(finding.detail), "not zero, in both alike");
		report_finding(c, &finding, name);
		return 0;
	}
	describe_blob(leaf, c->a, c->b, &finding);
	describe_difference(leaf, c->entry != NULL && c->entry->bits != NULL ? c->entry->bits : field_bits(field), c->a,
			    c->b, &finding);
	if (is_volatile) {
		const char *why = field->rule == FIELD_VOLATILE || c->entry == NULL ? field_why(field) : c->entry->why;
		finding.kind = FINDING_VOLATILE;
		snprintf(finding.detail, sizeof(finding.detail), "%s", why);
	}
	report_finding(c, &finding, name);
	return 0;
}

static void report_one_sided(const struct comparison *c, const char *name, bool in_a)
{
	struct finding finding = { .kind = FINDING_DIFFERENT };
	snprintf(finding.left, sizeof(finding.left), "%s", in_a ? COMPARE_PRESENT : COMPARE_ABSENT);
	snprintf(finding.right, sizeof(finding.right), "%s", in_a ? COMPARE_ABSENT : COMPARE_PRESENT);
	report_finding(c, &finding, name);
}

/* Most lists have their entries at the same places. */
static const uint8_t *find_entry(const struct component *component, const struct buffer *list, const uint8_t *entry,
				 size_t hint)
{
	size_t unit = component->schema->size;
	uint64_t key = component_key(entry);
	if (hint < list->size && component_key(list->data + hint) == key)
		return list->data + hint;
	for (size_t at = 0; at < list->size; at += unit)
		if (component_key(list->data + at) == key)
			return list->data + at;
	return NULL;
}

static void compare_lists(struct comparison *c, const struct buffer *a, const struct buffer *b)
{
	size_t unit = c->component->schema->size, found = 0;
	for (size_t at = 0; at < a->size; at += unit) {
		c->entry = NULL;
		c->a = a->data + at;
		if (!is_wanted(c, c->a))
			continue;
		c->b = find_entry(c->component, b, c->a, at);
		if (c->b != NULL) {
			schema_walk_different(c->component->schema, c->a, c->b, compare_leaf, c);
			found += unit;
			continue;
		}
		describe_entry(c);
		report_one_sided(c, c->description.name, true);
	}
	/* Each key stands once: where all of b was found, none is b's alone. */
	for (size_t at = 0; at < b->size && found < b->size; at += unit) {
		c->entry = NULL;
		c->a = b->data + at;
		if (!is_wanted(c, c->a) || find_entry(c->component, a, c->a, at) != NULL)
			continue;
		describe_entry(c);
		report_one_sided(c, c->description.name, false);
	}
	c->entry = NULL;
}

static void compare_sections(struct comparison *c, const struct section *a, const struct section *b)
{
	if (a == NULL || b == NULL) {
		if (a != b)
			report_one_sided(c, "", a != NULL);
		return;
	}
	if (c->component->shape == COMPONENT_LIST) {
		compare_lists(c, &a->payload, &b->payload);
		return;
	}
	c->a = a->payload.data;
	c->b = b->payload.data;
	schema_walk_different(c->component->schema, c->a, c->b, compare_leaf, c);
	uint32_t head = c->component->schema->size;
	size_t a_tail = a->payload.size - head, b_tail = b->payload.size - head;
	if (a_tail != b_tail || (a_tail > 0 && memcmp(c->a + head, c->b + head, a_tail) != 0)) {
		struct finding finding = { .kind = FINDING_DIFFERENT };
		snprintf(finding.left, sizeof(finding.left), "%zu bytes", a_tail);
		snprintf(finding.right, sizeof(finding.right), "%zu other bytes", b_tail);
		report_finding(c, &finding, "data");
	}
}

static void compare_state(struct comparison *c, const struct image *a, const struct image *b)
{
	unsigned a_instances = image_instances(a), b_instances = image_instances(b);
	unsigned nr = a_instances > b_instances ? a_instances : b_instances;
	for (size_t i = 0; i < component_table_size; i++) {
		c->component = &component_table[i];
		if (c->component->shape == COMPONENT_RAM ||
		    (c->options->stages != 0 && (c->component->stages & c->options->stages) == 0))
			continue;
		for (c->instance = 0; c->instance < nr; c->instance++)
			compare_sections(c, image_find(a, c->component, c->instance),
					 image_find(b, c->component, c->instance));
	}
}

/* ---- RAM ---- */

#define VIEW_BYTES 16

/* A run of pages that differ. */
struct ram_run {
	struct report *report;
	uint64_t gpa, size;
	uint64_t first;       /* the first byte that differs */
	const uint8_t *a, *b; /* the VIEW_BYTES around it, aligned */
	bool is_viewed;       /* a run before this one was shown in hex */
};

static void append_hex(char *text, size_t size, const uint8_t *bytes)
{
	size_t used = strlen(text);
	for (size_t i = 0; i < VIEW_BYTES && used + 3 < size; i++, used += 3)
		snprintf(text + used, size - used, " %02x", bytes[i]);
}

/* The first run's bytes in hex: those of the others would fill the screen. */
static void view_run(const struct ram_run *run, char *detail, size_t size)
{
	uint64_t at = run->first % VIEW_BYTES;
	size_t used = (size_t)snprintf(detail, size, "first at 0x%" PRIx64 ": %02x != %02x", run->first, run->a[at],
				       run->b[at]);
	if (run->is_viewed)
		return;
	snprintf(detail + used, size - used, "; from 0x%" PRIx64 ":", run->first - at);
	append_hex(detail, size, run->a);
	used = strlen(detail);
	snprintf(detail + used, size - used, " !=");
	append_hex(detail, size, run->b);
}

static void ram_run_end(struct ram_run *run)
{
	struct finding finding = { .kind = FINDING_DIFFERENT };
	if (run->size == 0)
		return;
	uint64_t pages = run->size / MEMORY_PAGE;
	snprintf(finding.where, sizeof(finding.where), "ram");
	snprintf(finding.name, sizeof(finding.name), "0x%" PRIx64 "-0x%" PRIx64, run->gpa, run->gpa + run->size - 1);
	snprintf(finding.left, sizeof(finding.left), "%" PRIu64 " page%s", pages, pages == 1 ? "" : "s");
	view_run(run, finding.detail, sizeof(finding.detail));
	report_add(run->report, &finding);
	run->size = 0;
	run->is_viewed = true;
}

static void compare_page(struct ram_run *run, uint64_t gpa, const uint8_t *a, const uint8_t *b)
{
	if (memcmp(a, b, MEMORY_PAGE) == 0) {
		ram_run_end(run);
		return;
	}
	if (run->size == 0) {
		uint64_t at = 0;
		while (a[at] == b[at])
			at++;
		run->gpa = gpa;
		run->first = gpa + at;
		run->a = a + at - at % VIEW_BYTES;
		run->b = b + at - at % VIEW_BYTES;
	}
	run->size += MEMORY_PAGE;
}

/* Where neither region was ever touched, both are zero. */
static uint64_t next_data(const struct memory_region *a, const struct memory_region *b, uint64_t at)
{
	uint64_t next = a->range.size, start, end;
	if (memory_next_data(a, at, next, &start, &end))
		next = start;
	if (memory_next_data(b, at, next, &start, &end))
		next = start;
	return next & ~(uint64_t)(MEMORY_PAGE - 1);
}

static void compare_ram(const struct memory *a, const struct memory *b, struct report *report)
{
	struct ram_run run = { .report = report };
	for (unsigned i = 0; i < a->nr_regions && i < b->nr_regions; i++) {
		const struct memory_region *left = &a->regions[i], *right = &b->regions[i];
		if (left->range.size != right->range.size || left->range.gpa != right->range.gpa)
			continue; /* a difference of the component "machine" */
		for (uint64_t at = next_data(left, right, 0); at < left->range.size;) {
			compare_page(&run, left->range.gpa + at, left->hva + at, right->hva + at);
			at += MEMORY_PAGE;
			uint64_t next = at % FORMAT_CHUNK == 0 ? next_data(left, right, at) : at;
			if (next != at)
				ram_run_end(&run); /* what is left out is equal */
			at = next;
		}
		ram_run_end(&run);
	}
}

void compare_images(const struct image *a, const struct image *b, const struct compare_options *options,
		    struct report *report)
{
	struct comparison c = { .options = options, .report = report };
	compare_state(&c, a, b);
	if (options->with_ram)
		compare_ram(a->memory, b->memory, report);
	c.volatile_pass = true;
	if (!options->no_volatile)
		compare_state(&c, a, b);
}
