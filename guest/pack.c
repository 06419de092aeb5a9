/*
 * Packs the guests' images for the program (images.h):
 *
 *   guest_pack images.c NAME=FILE...
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images.h"

#define SIZE_MAX_ALL 0xffff /* so every match is in reach of the format's 16 bits */
#define HASHES       4096
#define TAIL         12 /* the format wants no match to begin in the last bytes, and the last five to be literals */
#define TAIL_LITERAL 5

static uint8_t bytes[SIZE_MAX_ALL];
static size_t size;

static int last[HASHES], before[SIZE_MAX_ALL]; /* places of like hash, plus 1 */

static unsigned hash_at(size_t at)
{
	uint32_t word;
	memcpy(&word, bytes + at, sizeof(word));
	return word * 2654435761u >> 20;
}

static void put_byte(unsigned byte)
{
	static unsigned nr;
	printf("%s%u,", nr++ % 24 == 0 ? "\n\t" : "", byte);
}

static void put_length(size_t length)
{
	if (length < IMAGES_LONG)
		return;
	for (length -= IMAGES_LONG; length >= 255; length -= 255)
		put_byte(255);
	put_byte((unsigned)length);
}

/* Literals, and then a match of so many bytes, so far back; 0: none. */
static void put_sequence(const uint8_t *literals, size_t nr, size_t match, size_t distance)
{
	size_t more = match > 0 ? match - IMAGES_MATCH_MIN : 0;
	put_byte((unsigned)((nr < IMAGES_LONG ? nr : IMAGES_LONG) << 4 | (more < IMAGES_LONG ? more : IMAGES_LONG)));
	put_length(nr);
	for (size_t i = 0; i < nr; i++)
		put_byte(literals[i]);
	if (match == 0)
		return;
	put_byte((unsigned)distance & 255);
	put_byte((unsigned)distance >> 8);
	put_length(more);
}

/* The longest match for what begins here. */
static size_t find_match(size_t at, size_t *ret_distance)
{
	size_t best = 0;
	for (int place = last[hash_at(at)]; place > 0; place = before[place - 1]) {
		size_t from = (size_t)place - 1, length = 0;
		while (at + length < size - TAIL_LITERAL && bytes[from + length] == bytes[at + length])
			length++;
		if (length > best) {
			best = length;
			*ret_distance = at - from;
		}
	}
	return best;
}

static void note(size_t at)
{
	unsigned hash = hash_at(at);
	before[at] = last[hash];
	last[hash] = (int)at + 1;
}

static void pack(void)
{
	size_t start = 0, at = 0, distance = 0;
	while (at + TAIL < size) {
		size_t match = find_match(at, &distance);
		if (match < IMAGES_MATCH_MIN) {
			note(at++);
			continue;
		}
		put_sequence(bytes + start, at - start, match, distance);
		for (size_t end = at + match; at < end; at++)
			note(at);
		start = at;
	}
	put_sequence(bytes + start, size - start, 0, 0);
}

static bool add_file(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL)
		return false;
	*ret_size = fread(bytes + size, 1, sizeof(bytes) - size, file);
	bool is_whole = fgetc(file) == EOF && ferror(file) == 0;
	fclose(file);
	size += *ret_size;
	return is_whole;
}

int main(int argc, char **argv)
{
	if (argc < 2 || freopen(argv[1], "w", stdout) == NULL) {
		fprintf(stderr, "guest_pack: %s cannot be written\n", argc < 2 ? "nothing" : argv[1]);
		return EXIT_FAILURE;
	}
	printf("#include \"guest/images.h\"\n\nconst struct image_place image_places[] = {\n");
	for (int i = 2; i < argc; i++) {
		char *path = strchr(argv[i], '=');
		size_t offset = size, length;
		if (path == NULL || !add_file(path + 1, &length)) {
			fprintf(stderr, "guest_pack: %s: not readable as NAME=FILE, or more than %d bytes together\n",
				argv[i], SIZE_MAX_ALL);
			return EXIT_FAILURE;
		}
		printf("\t{ \"%.*s\", %zu, %zu },\n", (int)(path - argv[i]), argv[i], offset, length);
	}
	printf("\t{ \"\", 0, 0 }\n};\n\nconst uint32_t images_size = %zu;\nconst uint8_t images_packed[] = {", size);
	pack();
	printf("\n};\n");
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
