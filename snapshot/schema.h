/*
 * State as tables: a schema names every byte of a struct.  Save, restore, compare, inspect and the file format's
 * documentation all walk schemas; none of them knows a struct by heart.
 */
#ifndef STASIS_SNAPSHOT_SCHEMA_H
#define STASIS_SNAPSHOT_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/bytes.h"
#include "vmm/kvm_reg.h"

#define SCHEMA_NAME_MAX 64 /* bytes of a leaf's full name, as in "channels[2].count_load_time" */

enum field_rule {
	FIELD_EXACT,    /* must arrive as it was */
	FIELD_VOLATILE, /* may differ, for the reason given; shown, never a mismatch */
	FIELD_PADDING,  /* zero as far as we know; anything else is unknown state: kept, compared, reported */
};

struct schema;

/* Of a field that is FIELD_VOLATILE. */
struct field_note {
	const char *why; /* the reason */
	const char *bits;
};

/* One member of a struct: count elements of size bytes each.  There are hundreds of these rows. */
struct field {
	const char *name; /* "": what it stands in has the name */
	union {
		const struct schema *sub;      /* elements are structs: their schema, of the same size */
		const struct field_note *note; /* FIELD_VOLATILE */
		const char *bits;              /* others may be bit fields: their names, or NULL: field_bits() */
	};
	uint16_t offset, size, count;
	uint8_t rule;   /* enum field_rule */
	bool is_struct; /* elements are structs */
};

struct schema {
	const char *name;
	uint32_t size, nr_fields;
	const struct field *fields; /* in ascending order, from offset 0, without a gap */
};

/* Rows of a field table.  Arrays of scalars get their count from the member's type. */
#define SCHEMA_MEMBER(type, member) ((type *)0)->member
#define SCHEMA_PLACE(type, member)  .name = #member, .offset = offsetof(type, member)
#define FIELD(type, member, ...)                                                                                       \
	{                                                                                                              \
		SCHEMA_PLACE(type, member), .size = sizeof(SCHEMA_MEMBER(type, member)), .count = 1, __VA_ARGS__       \
	}
#define FIELD_ARRAY(type, member, ...)                                                                                 \
	{                                                                                                              \
		SCHEMA_PLACE(type, member),                                                                            \
			.size = sizeof(SCHEMA_MEMBER(type, member)[0]),                                                \
			.count = sizeof(SCHEMA_MEMBER(type, member)) / sizeof(SCHEMA_MEMBER(type, member)[0]),         \
			__VA_ARGS__                                                                                    \
	}
#define FIELD_SUB(type, member, schema)                                                                                \
	{                                                                                                              \
		SCHEMA_PLACE(type, member), .size = sizeof(SCHEMA_MEMBER(type, member)), .count = 1,                   \
					    .is_struct = true, .sub = (schema)                                         \
	}
#define FIELD_SUB_ARRAY(type, member, schema)                                                                          \
	{                                                                                                              \
		SCHEMA_PLACE(type, member),                                                                            \
			.size = sizeof(SCHEMA_MEMBER(type, member)[0]),                                                \
			.count = sizeof(SCHEMA_MEMBER(type, member)) / sizeof(SCHEMA_MEMBER(type, member)[0]),         \
			.is_struct = true, .sub = (schema)                                                             \
	}
/* A member, or bytes that no member names, that is zero as far as we know; one leaf, whatever its size. */
#define FIELD_PAD(type, member)                                                                                        \
	{                                                                                                              \
		SCHEMA_PLACE(type, member), .size = sizeof(SCHEMA_MEMBER(type, member)), .count = 1,                   \
					    .rule = FIELD_PADDING                                                      \
	}
/* A row may end with this: the field may differ, and why; .bits where it is bit fields. */
#define VOLATILE(...)                                                                                                  \
	.rule = FIELD_VOLATILE, .note = &(const struct field_note)                                                     \
	{                                                                                                              \
		.why = __VA_ARGS__                                                                                     \
	}
/* For structs that stand in no header: a field at a known place. */
#define FIELD_AT(field_name, at, bytes, ...)                                                                           \
	{                                                                                                              \
		.name = (field_name), .offset = (at), .size = (bytes), .count = 1, __VA_ARGS__                         \
	}
#define FIELD_PAD_AT(field_name, at, bytes)                                                                            \
	{                                                                                                              \
		.name = (field_name), .offset = (at), .size = (bytes), .count = 1, .rule = FIELD_PADDING               \
	}

#define SCHEMA(schema_name, bytes, table)                                                                              \
	{                                                                                                              \
		.name = (schema_name), .size = (bytes), .nr_fields = sizeof(table) / sizeof((table)[0]),               \
		.fields = (table)                                                                                      \
	}

/* Why a field may differ, or NULL; the names of its bits (kvm_reg_bits_next()), or NULL. */
const char *field_why(const struct field *field);
const char *field_bits(const struct field *field);

/* A field that holds no struct: what the verbs work on. */
struct schema_leaf {
	char name[SCHEMA_NAME_MAX]; /* "cs.base", "db[3]" */
	uint32_t offset, size;      /* in the outermost struct */
	const struct field *field;
};

/*
 * Calls visit for every leaf, in order of offset, until it returns non-zero; returns that value, or 0.
 */
int schema_walk(const struct schema *schema, int (*visit)(const struct schema_leaf *leaf, void *context),
		void *context);

/*
 * As schema_walk(), but for the leaves that differ between two structs, and for padding that is not zero in the first;
 * and without names, which are what a walk over thousands of leaves would cost: schema_name_at() gives one.
 */
int schema_walk_different(const struct schema *schema, const void *a, const void *b,
			  int (*visit)(const struct schema_leaf *leaf, void *context), void *context);

/* Writes the full name of the leaf at offset; empty where none begins there. */
void schema_name_at(const struct schema *schema, uint32_t offset, char ret[SCHEMA_NAME_MAX]);

/*
 * Do the fields tile every byte of the struct, ascending, without gap or overlap, at every depth?
 * False: *ret_offset is the first byte that is not named or is named twice.
 */
bool schema_is_total(const struct schema *schema, uint32_t *ret_offset);

/* Writes a leaf's value: "0x1f" for 1, 2, 4 and 8 bytes (little-endian), else hex bytes, long ones cut with "...". */
void schema_format(const struct schema_leaf *leaf, const void *structure, char *ret, size_t size);

/* The value of a leaf of 1, 2, 4 or 8 bytes. */
uint64_t schema_value(const struct schema_leaf *leaf, const void *structure);

/* Finds a leaf by its full name; false where there is none. */
bool schema_find(const struct schema *schema, const char *name, struct schema_leaf *ret);

#endif
