/* What every fuzz target starts with: its entry point, numbers taken from the input, and a check that cannot be off. */
#ifndef STASIS_TESTS_FUZZ_H
#define STASIS_TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/bytes.h"

/* Called by libFuzzer, or by replay.c, for each input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input is. */
#define FUZZ_CHECK(condition)                                                                                          \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                 \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

/* Takes up to size bytes from the input's head; an input that is too short gives zeros behind them. */
static inline uint64_t fuzz_take(struct bytes *input, size_t size)
{
	uint64_t value = 0;
	size_t taken = size < input->size ? size : input->size;
	memcpy(&value, input->data, taken);
	input->data += taken;
	input->size -= taken;
	return value;
}

/* Takes up to size bytes as a string in memory of just its length; the caller frees it. */
static inline char *fuzz_take_string(struct bytes *input, size_t size)
{
	size_t taken = size < input->size ? size : input->size;
	char *string = strndup((const char *)input->data, taken);
	FUZZ_CHECK(string != NULL);
	input->data += taken;
	input->size -= taken;
	return string;
}

#endif
