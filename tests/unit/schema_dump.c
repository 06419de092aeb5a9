/* Prints every schema, a line a leaf: what tests/golden/schemas.txt holds. */
#include <stdio.h>
#include <stdlib.h>

#include "snapshot/state.h"

static int print_leaf(const struct schema_leaf *leaf, void *context)
{
	static const char *const rules[] = { "exact", "volatile", "padding" };
	const struct field *field = leaf->field;
	(void)context;
	printf("\t%s\t0x%x\t%u\t%s", leaf->name, leaf->offset, leaf->size, rules[field->rule]);
	if (field_why(field) != NULL)
		printf(": %s", field_why(field));
	putchar('\n');
	return 0;
}

int main(void)
{
#define PRINT(name, type)                                                                                              \
	printf(#name " %u\n", name##_schema.size);                                                                     \
	schema_walk(&name##_schema, print_leaf, NULL);
	STATE_SCHEMAS(PRINT)
#undef PRINT
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
