/*
 * Prints the generated parts of docs/FORMAT.md: the component table, and the layout of every payload (what no row of a
 * layout names is padding), or, with the argument "limits", what a reader takes at most.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/component.h"
#include "snapshot/format.h"
#include "snapshot/state.h"

#define SCHEMAS_MAX 64

/* The schemas that were met, each to be printed once, in this order. */
struct queue {
	const struct schema *schemas[SCHEMAS_MAX];
	size_t nr;
};

static void queue_add(struct queue *queue, const struct schema *schema)
{
	for (size_t i = 0; i < queue->nr; i++)
		if (queue->schemas[i] == schema)
			return;
	if (queue->nr < SCHEMAS_MAX)
		queue->schemas[queue->nr++] = schema;
}

static const char *controllers(const struct component *component)
{
	return component->with == WITH_ANY ? "any" : component->with == WITH_LAPIC ? "split, full" : "full";
}

static void print_components(struct queue *queue)
{
	static const char *const shapes[] = { [COMPONENT_STRUCT] = "one",
					      [COMPONENT_BLOB] = "one, then data",
					      [COMPONENT_LIST] = "list",
					      [COMPONENT_RAM] = "pages" };
	printf("| id | name | version | one for each | with controller | payload | layout |\n|---|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < component_table_size; i++) {
		const struct component *c = &component_table[i];
		const char *scope = c->scope == COMPONENT_VCPU  ? "vCPU"
				    : c->shape == COMPONENT_RAM ? "memory region"
								: "machine";
		printf("| %u | %s%s | %u | %s | %s | %s | %s |\n", c->id, c->name,
		       c->is_optional ? " (may be absent)" : "", c->version, scope, controllers(c), shapes[c->shape],
		       c->schema != NULL ? c->schema->name : "-");
		if (c->schema != NULL)
			queue_add(queue, c->schema);
	}
}

/* "u32" for what is a number, else the number of bytes. */
static void print_type(uint32_t size)
{
	if (size <= sizeof(uint64_t) && (size & (size - 1)) == 0)
		printf("u%u", size * 8);
	else
		printf("%u bytes", size);
}

static void print_field(const struct field *field, struct queue *queue)
{
	if (field->rule == FIELD_PADDING)
		return;
	printf("    0x%03x  %s", field->offset, field->name[0] != '\0' ? field->name : "(its value)");
	if (field->count > 1)
		printf("[%u]", field->count);
	printf(": ");
	if (field->is_struct) {
		queue_add(queue, field->sub);
		printf("%s, %u bytes", field->sub->name, field->size);
	} else {
		print_type(field->size);
	}
	printf("%s", field->count > 1 ? " each" : "");
	if (field->rule == FIELD_VOLATILE)
		printf("; volatile: %s", field_why(field));
	putchar('\n');
}

static int print_limits(void)
{
	static const struct {
		const char *what;
		uint64_t value;
	} rows[] = {
		{ "sections of a snapshot", IMAGE_SECTIONS_MAX },
		{ "an instance's number", VM_VCPUS_MAX - 1 },
		{ "bytes of header, table and state sections together", FORMAT_STATE_MAX },
		{ "bytes of it all: the header's size", FORMAT_SIZE_MAX },
		{ "vCPUs", VM_VCPUS_MAX },
		{ "memory regions", MEMORY_REGIONS_MAX },
		{ "bytes of a memory region", MEMORY_RAM_MAX },
		{ "a memory region's guest-physical address", 2 * MEMORY_RAM_MAX },
		{ "bytes of RAM that one checksum or page record covers", FORMAT_CHUNK },
		{ "entries of a list", COMPONENT_ENTRIES_MAX },
		{ "entries of `cpuid`", CPUID_ENTRIES_MAX },
	};
	printf("| limit | at most |\n|---|---|\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		printf("| %s | %" PRIu64 " |\n", rows[i].what, rows[i].value);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct queue queue = { .nr = 0 };
	if (argc > 1 && strcmp(argv[1], "limits") == 0)
		return print_limits();
	print_components(&queue);
	for (size_t i = 0; i < queue.nr; i++) { /* grows as it is printed */
		const struct schema *schema = queue.schemas[i];
		printf("\n%s, %u bytes:\n\n", schema->name, schema->size);
		for (uint32_t k = 0; k < schema->nr_fields; k++)
			print_field(&schema->fields[k], &queue);
	}
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
