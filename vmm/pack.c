/*
 * Packs files for the program (coder.h) into an array THINGS_packed, and says in THINGS_places where each lies:
 *
 *   stasis_pack OUTPUT.c THINGS NAME=FILE...
 */
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coder.h"

#define SIZE_MAX_ALL 0xffff /* so every distance is in reach of the coder's numbers */
#define EVERY_LENGTH 20     /* shorter repetitions than the longest one are tried up to this length */
#define BYTE_COST    7      /* about what a step costs, in bits; and a repetition without its numbers */
#define REPEAT_COST  8

static uint8_t bytes[SIZE_MAX_ALL];
static size_t size;
static size_t ends[SIZE_MAX_ALL]; /* of the file that a byte is of */

/* The cheapest way from each byte to the end: its first step, and what it all costs. */
static struct coder_step steps[SIZE_MAX_ALL];
static unsigned costs[SIZE_MAX_ALL + 1];

static uint8_t packed[2 * SIZE_MAX_ALL];

static unsigned bits_of(size_t number)
{
	unsigned nr = 0;
	while (number >> nr > 1)
		nr++;
	return nr;
}

static void try_step(size_t at, struct coder_step step, unsigned cost)
{
	cost += costs[at + step.length];
	if (cost >= costs[at])
		return;
	costs[at] = cost;
	steps[at] = step;
}

/* The repetitions of what stands at from.  None goes over a file's end. */
static void try_repeats(size_t at, size_t from)
{
	size_t length = 0;
	while (at + length < ends[at] && bytes[from + length] == bytes[at + length])
		length++;
	for (size_t n = length; n >= CODER_REPEAT_MIN; n = n > EVERY_LENGTH ? EVERY_LENGTH : n - 1)
		try_step(at, (struct coder_step){ .length = (uint32_t)n, .distance = (uint32_t)(at - from) },
			 REPEAT_COST + bits_of(at - from) + bits_of(n - 1));
}

static void find_steps(void)
{
	for (size_t at = size; at-- > 0;) {
		costs[at] = UINT_MAX;
		try_step(at, (struct coder_step){ .length = 1, .byte = bytes[at] }, BYTE_COST);
		for (size_t from = at; from-- > 0;)
			try_repeats(at, from);
	}
}

static void pack(void)
{
	struct coder coder;
	find_steps();
	coder_pack(&coder, packed);
	for (size_t at = 0; at < size; at += steps[at].length)
		coder_take(&coder, &steps[at]);
	coder_end(&coder);
	for (const uint8_t *at = packed; at < coder.to; at++)
		printf("%s%u,", (at - packed) % 24 == 0 ? "\n\t" : "", *at);
}

static bool add_file(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return false;
	*ret_size = fread(bytes + size, 1, sizeof(bytes) - size, file);
	bool is_whole = fgetc(file) == EOF && ferror(file) == 0;
	fclose(file);
	for (size_t at = size; at < size + *ret_size; at++)
		ends[at] = size + *ret_size;
	size += *ret_size;
	return is_whole;
}

int main(int argc, char **argv)
{
	if (argc < 4 || freopen(argv[1], "w", stdout) == NULL) {
		fprintf(stderr, "usage: stasis_pack OUTPUT.c THINGS NAME=FILE...\n");
		return EXIT_FAILURE;
	}
	printf("#include \"vmm/coder.h\"\n\nconst struct coder_place %s_places[] = {\n", argv[2]);
	for (int i = 3; i < argc; i++) {
		char *path = strchr(argv[i], '=');
		size_t offset = size, length;
		if (path == NULL || !add_file(path + 1, &length)) {
			fprintf(stderr, "stasis_pack: %s: not readable as NAME=FILE, or more than %d bytes together\n",
				argv[i], SIZE_MAX_ALL);
			return EXIT_FAILURE;
		}
		printf("\t{ \"%.*s\", %zu, %zu },\n", (int)(path - argv[i]), argv[i], offset, length);
	}
	printf("\t{ \"\", %zu, 0 }\n};\n\nconst uint8_t %s_packed[] = {", size, argv[2]);
	pack();
	printf("\n};\n");
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
