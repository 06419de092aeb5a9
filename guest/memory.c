/*
 * memory: dirties pages in rounds.  Each round finds the last round's pattern in every page and writes its own.
 * Command line: pages=N rounds=M seed=S delay=MS; rounds=0 goes on for ever, delay is the time between two rounds;
 * each-round: a checkpoint in every round instead of one.
 */
#include "lib.h"

#define POOL_GPA           0x200000 /* above the image */
#define PAGE_SIZE          4096
#define WORD_STRIDE        64 /* bytes: one word in every cache line */
#define ENDLESS_CHECKPOINT 10

struct options {
	uint64_t pages, rounds, seed, delay_ms;
};

/* The first word of a page in a round; the others count up from it.  The mixing is that of splitmix64. */
static uint64_t pattern(const struct options *options, uint64_t page, uint64_t round)
{
	uint64_t x = (options->seed << 48 ^ round << 24 ^ page) + 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t *page_word(uint64_t page, unsigned offset)
{
	return (uint64_t *)(POOL_GPA + page * PAGE_SIZE + offset);
}

static void verify(const struct options *options, uint64_t page, uint64_t round)
{
	uint64_t expected = pattern(options, page, round);
	for (unsigned offset = 0; offset < PAGE_SIZE; offset += WORD_STRIDE, expected++) {
		if (*page_word(page, offset) == expected)
			continue;
		print("page %lu of round %lu, address %#lx: ", page, round, (uint64_t)page_word(page, offset));
		fail("word", *page_word(page, offset), expected);
	}
}

static void write(const struct options *options, uint64_t page, uint64_t round)
{
	uint64_t value = pattern(options, page, round);
	for (unsigned offset = 0; offset < PAGE_SIZE; offset += WORD_STRIDE, value++)
		*page_word(page, offset) = value;
}

void guest_main(const struct boot_info *boot)
{
	struct options options = {
		.pages = option_number(boot->command_line, "pages=", 64),
		.rounds = option_number(boot->command_line, "rounds=", 20),
		.seed = option_number(boot->command_line, "seed=", 1),
		.delay_ms = option_number(boot->command_line, "delay=", 0),
	};
	uint64_t pages_max = boot->ram_low > POOL_GPA ? (boot->ram_low - POOL_GPA) / PAGE_SIZE : 0;
	if (options.pages > pages_max)
		fail("pages: too many for this RAM", options.pages, pages_max);
	bool each_round = has_word(boot->command_line, "each-round");
	uint64_t middle = options.rounds != 0 ? options.rounds / 2 : ENDLESS_CHECKPOINT;

	print("memory: %lu pages, %lu rounds, seed %lu\n", options.pages, options.rounds, options.seed);
	for (uint64_t round = 0; options.rounds == 0 || round < options.rounds; round++) {
		for (uint64_t page = 0; page < options.pages; page++) {
			if (round > 0)
				verify(&options, page, round - 1);
			write(&options, page, round);
			/* In the middle of a round: some pages are of this round, some of the last. */
			if ((each_round || round == middle) && page == options.pages / 2)
				checkpoint(1);
		}
		print("round %lu\n", round);
		wait_ticks(ticks_of_us(boot, options.delay_ms * 1000));
	}
	for (uint64_t page = 0; options.rounds > 0 && page < options.pages; page++)
		verify(&options, page, options.rounds - 1);
	print("memory: all as written\n");
}
