#include "schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX       4
#define SHOWN_BYTES_MAX 32

const char *field_why(const struct field *field)
{
	return field->rule == FIELD_VOLATILE ? field->note->why : NULL;
}

const char *field_bits(const struct field *field)
{
	if (field->is_struct)
		return NULL;
	return field->rule == FIELD_VOLATILE ? field->note->bits : field->bits;
}

typedef int visitor(const struct schema_leaf *leaf, void *context);

struct walk {
	visitor *visit;
	void *context;
};

/* Appends one element's name to the name of what it stands in. */
static void name_element(const struct field *field, uint32_t index, const char *outer, char ret[SCHEMA_NAME_MAX])
{
	const char *dot = outer[0] != '\0' && field->name[0] != '\0' ? "." : "";
	if (field->count > 1)
		snprintf(ret, SCHEMA_NAME_MAX, "%s%s%s[%u]", outer, dot, field->name, index);
	else
		snprintf(ret, SCHEMA_NAME_MAX, "%s%s%s", outer, dot, field->name);
}

static int walk_schema(const struct walk *walk, const struct schema *schema, const char *outer, uint32_t base)
{
	for (uint32_t i = 0; i < schema->nr_fields; i++) {
		const struct field *field = &schema->fields[i];
		for (uint32_t k = 0; k < field->count; k++) {
			struct schema_leaf leaf = { .offset = base + field->offset + k * field->size,
						    .size = field->size,
						    .field = field };
			name_element(field, k, outer, leaf.name);
			int result = field->is_struct ? walk_schema(walk, field->sub, leaf.name, leaf.offset)
						      : walk->visit(&leaf, walk->context);
			if (result != 0)
				return result;
		}
	}
	return 0;
}

int schema_walk(const struct schema *schema, visitor *visit, void *context)
{
	struct walk walk = { .visit = visit, .context = context };
	return walk_schema(&walk, schema, "", 0);
}

/* Two structs, held against each other. */
struct pair {
	struct walk walk;
	const uint8_t *a, *b;
};

/* Are all elements of the field equal, and zero where they are padding? */
static bool is_same(const struct pair *pair, const struct field *field, uint32_t offset, uint32_t size)
{
	const uint8_t *a = pair->a + offset, *b = pair->b + offset;
	return memcmp(a, b, size) == 0 && (field->rule != FIELD_PADDING || bytes_are_zero(a, size));
}

/* is_equal: both are known to have the same bytes there, so that only padding is to be looked at. */
static int walk_different(const struct pair *pair, const struct schema *schema, uint32_t base, bool is_equal)
{
	is_equal = is_equal || memcmp(pair->a + base, pair->b + base, schema->size) == 0;
	for (uint32_t i = 0; i < schema->nr_fields; i++) {
		const struct field *field = &schema->fields[i];
		uint32_t offset = base + field->offset;
		if (!field->is_struct && ((is_equal && field->rule != FIELD_PADDING) ||
					  is_same(pair, field, offset, (uint32_t)field->count * field->size)))
			continue;
		for (uint32_t k = 0; k < field->count; k++, offset += field->size) {
			struct schema_leaf leaf = { .offset = offset, .size = field->size, .field = field };
			int result = 0;
			if (field->is_struct)
				result = walk_different(pair, field->sub, offset, is_equal);
			else if (!is_same(pair, field, offset, field->size))
				result = pair->walk.visit(&leaf, pair->walk.context);
			if (result != 0)
				return result;
		}
	}
	return 0;
}

int schema_walk_different(const struct schema *schema, const void *a, const void *b, visitor *visit, void *context)
{
	struct pair pair = { .walk = { .visit = visit, .context = context }, .a = a, .b = b };
	return walk_different(&pair, schema, 0, false);
}

static bool is_total(const struct schema *schema, uint32_t base, unsigned depth, uint32_t *ret_offset)
{
	uint32_t next = 0;
	for (uint32_t i = 0; i < schema->nr_fields; i++) {
		const struct field *field = &schema->fields[i];
		*ret_offset = base + next;
		if (field->offset != next || field->size == 0 || field->count == 0)
			return false;
		if (field->is_struct) {
			if (depth == DEPTH_MAX || field->sub->size != field->size ||
			    !is_total(field->sub, base + field->offset, depth + 1, ret_offset))
				return false;
		}
		next += (uint32_t)field->size * field->count;
	}
	*ret_offset = base + next;
	return next == schema->size;
}

bool schema_is_total(const struct schema *schema, uint32_t *ret_offset)
{
	return is_total(schema, 0, 0, ret_offset);
}

static bool is_number(uint32_t size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

uint64_t schema_value(const struct schema_leaf *leaf, const void *structure)
{
	uint64_t value = 0;
	memcpy(&value, (const uint8_t *)structure + leaf->offset,
	       leaf->size <= sizeof(value) ? leaf->size : sizeof(value));
	return value;
}

void schema_format(const struct schema_leaf *leaf, const void *structure, char *ret, size_t size)
{
	if (is_number(leaf->size)) {
		snprintf(ret, size, "0x%" PRIx64, schema_value(leaf, structure));
		return;
	}
	const uint8_t *bytes = (const uint8_t *)structure + leaf->offset;
	uint32_t shown = leaf->size < SHOWN_BYTES_MAX ? leaf->size : SHOWN_BYTES_MAX;
	size_t used = 0;
	for (uint32_t i = 0; i < shown && used + 4 < size; i++)
		used += (size_t)snprintf(ret + used, size - used, "%02x", bytes[i]);
	if (shown < leaf->size && used + 4 < size)
		snprintf(ret + used, size - used, "...");
}

struct find {
	const char *name;
	struct schema_leaf *ret;
};

static int visit_find(const struct schema_leaf *leaf, void *context)
{
	struct find *find = context;
	if (strcmp(leaf->name, find->name) != 0)
		return 0;
	*find->ret = *leaf;
	return 1;
}

bool schema_find(const struct schema *schema, const char *name, struct schema_leaf *ret)
{
	struct find find = { .name = name, .ret = ret };
	return schema_walk(schema, visit_find, &find) == 1;
}

static void name_at(const struct schema *schema, uint32_t base, uint32_t offset, const char *outer,
		    char ret[SCHEMA_NAME_MAX])
{
	for (uint32_t i = 0; i < schema->nr_fields; i++) {
		const struct field *field = &schema->fields[i];
		uint32_t start = base + field->offset;
		if (offset < start || (offset - start) / field->size >= field->count)
			continue;
		uint32_t index = (offset - start) / field->size, at = start + index * field->size;
		char name[SCHEMA_NAME_MAX];
		name_element(field, index, outer, name);
		if (field->is_struct)
			name_at(field->sub, at, offset, name, ret);
		else if (at == offset)
			memcpy(ret, name, sizeof(name));
		return;
	}
}

void schema_name_at(const struct schema *schema, uint32_t offset, char ret[SCHEMA_NAME_MAX])
{
	ret[0] = '\0';
	name_at(schema, 0, offset, "", ret);
}
