#include "inspect.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct inspection {
	const char *filter;
	uint64_t filter_id; /* the register that it names, also by number; 0: none */
	void (*visit)(const struct inspect_line *line, void *context);
	void *context;
	size_t nr_lines;
	const struct component *component;
	const char *where;
	const uint8_t *payload;
	const struct entry_description *entry; /* of a list */
};

/* Does the filter name the component, the field, or a register without the number behind its name? */
static bool is_wanted(const struct inspection *inspection, const char *name)
{
	const char *filter = inspection->filter;
	if (filter == NULL || strcasecmp(filter, inspection->component->name) == 0 || strcasecmp(filter, name) == 0)
		return true;
	if (inspection->entry == NULL)
		return false;
	size_t plain = strcspn(name, " ");
	return strcasecmp(filter, inspection->entry->component) == 0 ||
	       (strlen(filter) == plain && strncasecmp(filter, name, plain) == 0);
}

static void note(const struct inspection *inspection, const struct field *field, struct inspect_line *line)
{
	if (field->rule == FIELD_VOLATILE)
		line->note = field_why(field);
	else if (inspection->entry != NULL && inspection->entry->rule == FIELD_VOLATILE)
		line->note = inspection->entry->why;
	else if (field->rule == FIELD_PADDING)
		line->note = "unknown state: expected to be zero";
}

static int inspect_leaf(const struct schema_leaf *leaf, void *context)
{
	struct inspection *inspection = context;
	const struct entry_description *entry = inspection->entry;
	const char *bits = entry != NULL && entry->bits != NULL ? entry->bits : field_bits(leaf->field);
	struct inspect_line line = { .where = inspection->where, .component = inspection->component->name };
	char name[SCHEMA_NAME_MAX + sizeof(entry->name)];
	bool is_register = entry != NULL && inspection->component->schema->size == sizeof(struct kvm_reg_value);
	if (leaf->field->rule == FIELD_PADDING && bytes_are_zero(inspection->payload + leaf->offset, leaf->size))
		return 0;
	struct kvm_reg_value reg = { 0 };
	if (is_register && strcmp(leaf->name, "value") != 0)
		return 0; /* the id is the register's name */
	if (is_register) {
		memcpy(&reg, inspection->payload, sizeof(reg));
		snprintf(name, sizeof(name), "%s", entry->name);
	} else {
		snprintf(name, sizeof(name), "%s%s%s", entry != NULL ? entry->name : "", entry != NULL ? " " : "",
			 leaf->name);
	}
	if (!is_wanted(inspection, name) && (reg.id == 0 || reg.id != inspection->filter_id))
		return 0;
	if (is_register)
		snprintf(line.id, sizeof(line.id), "0x%016" PRIx64, reg.id);
	line.name = name;
	line.component = entry != NULL ? entry->component : line.component;
	schema_format(leaf, inspection->payload, line.value, sizeof(line.value));
	if (bits != NULL)
		kvm_reg_decode(bits, schema_value(leaf, inspection->payload), line.bits, sizeof(line.bits));
	note(inspection, leaf->field, &line);
	inspection->nr_lines++;
	inspection->visit(&line, inspection->context);
	return 0;
}

static void inspect_section(struct inspection *inspection, const struct section *section)
{
	const struct schema *schema = inspection->component->schema;
	struct entry_description entry;
	inspection->payload = section->payload.data;
	inspection->entry = NULL;
	if (inspection->component->shape != COMPONENT_LIST) {
		schema_walk(schema, inspect_leaf, inspection);
		return;
	}
	inspection->entry = &entry;
	for (size_t at = 0; at < section->payload.size; at += schema->size) {
		entry = (struct entry_description){ 0 };
		inspection->payload = section->payload.data + at;
		inspection->component->ops->describe(inspection->payload, &entry);
		schema_walk(schema, inspect_leaf, inspection);
	}
	inspection->entry = NULL;
}

size_t inspect_image(const struct image *image, const char *filter,
		     void (*visit)(const struct inspect_line *line, void *context), void *context)
{
	struct inspection inspection = { .filter = filter, .visit = visit, .context = context };
	if (filter != NULL)
		kvm_reg_parse(filter, &inspection.filter_id);
	for (size_t i = 0; i < image->nr_sections; i++) {
		const struct section *section = &image->sections[i];
		char where[16];
		component_where(section->component, section->instance, where, sizeof(where));
		inspection.where = where;
		inspection.component = section->component;
		inspect_section(&inspection, section);
	}
	return inspection.nr_lines;
}

void inspect_sections(const struct image *image, const char *filter,
		      void (*visit)(const char *where, const struct section *section, void *context), void *context)
{
	for (size_t i = 0; i < image->nr_sections; i++) {
		const struct section *section = &image->sections[i];
		char where[16];
		if (filter != NULL && strcasecmp(filter, section->component->name) != 0)
			continue;
		component_where(section->component, section->instance, where, sizeof(where));
		visit(where, section, context);
	}
}
