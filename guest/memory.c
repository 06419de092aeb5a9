/*
 * memory: dirties pages in rounds.  Each round finds the last round's pattern in every page and writes its own.
 * Command line: pages=N rounds=M seed=S delay=MS; rounds=0 goes on for ever, delay is the time between two rounds;
 * each-round: a checkpoint in every round instead of one.  Of several CPUs, each has a share of the pages and rounds of
 * its own; the first one prints and takes the checkpoints.  together: no CPU begins a round before all have ended the
 * one before, so that a line of the first one tells of all.
 */
#include "lib.h"
#include "smp.h"

#define POOL_GPA           0x200000 /* above the image */
#define PAGE_SIZE          4096
#define WORD_STRIDE        64 /* bytes: one word in every cache line */
#define ENDLESS_CHECKPOINT 10
#define WAITS_MAX          1000 /* for the slowest CPU */

static struct {
	uint64_t pages, rounds, seed, delay_ms;
	bool each_round, together;
} options;

static const struct boot_info *boot_info;
static uint64_t nr_cpus;
static struct {
	volatile uint64_t is_up, is_done;
	volatile uint64_t rounds; /* ended */
} cpus[CPUS_MAX];

/* The first word of a page in a round; the others count up from it.  The mixing is that of splitmix64. */
static uint64_t pattern(uint64_t page, uint64_t round)
{
	uint64_t x = (options.seed << 48 ^ round << 24 ^ page) + 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t *page_word(uint64_t page, unsigned offset)
{
	return (uint64_t *)(POOL_GPA + page * PAGE_SIZE + offset);
}

static void verify(uint64_t page, uint64_t round)
{
	uint64_t expected = pattern(page, round);
	for (unsigned offset = 0; offset < PAGE_SIZE; offset += WORD_STRIDE, expected++) {
		if (*page_word(page, offset) == expected)
			continue;
		print("page %lu of round %lu, address %#lx: ", page, round, (uint64_t)page_word(page, offset));
		fail("word", *page_word(page, offset), expected);
	}
}

static void write(uint64_t page, uint64_t round)
{
	uint64_t value = pattern(page, round);
	for (unsigned offset = 0; offset < PAGE_SIZE; offset += WORD_STRIDE, value++)
		*page_word(page, offset) = value;
}

/* The first page of a CPU's share; behind it comes the next one's. */
static uint64_t share(uint64_t id)
{
	return options.pages * id / nr_cpus;
}

/* In the middle of the first CPU's round: some of its pages are of this round, some of the last. */
static bool is_checkpoint(uint64_t id, uint64_t round, uint64_t page)
{
	uint64_t middle = options.rounds != 0 ? options.rounds / 2 : ENDLESS_CHECKPOINT;
	return id == 0 && (options.each_round || round == middle) && page == share(1) / 2;
}

static bool wait_long_for(const volatile uint64_t *counter, uint64_t value)
{
	for (unsigned i = 0; i < WAITS_MAX; i++)
		if (wait_for(counter, value))
			return true;
	return false;
}

static void end_round(uint64_t own, uint64_t round)
{
	cpus[own].rounds = round + 1;
	for (uint64_t id = 0; options.together && id < nr_cpus; id++)
		if (!wait_long_for(&cpus[id].rounds, round + 1))
			fail("rounds of a CPU", cpus[id].rounds, round + 1);
}

static void run(uint64_t id)
{
	uint64_t first = share(id), end = share(id + 1);
	for (uint64_t round = 0; options.rounds == 0 || round < options.rounds; round++) {
		for (uint64_t page = first; page < end; page++) {
			if (round > 0)
				verify(page, round - 1);
			write(page, round);
			if (is_checkpoint(id, round, page))
				checkpoint(1);
		}
		end_round(id, round);
		if (id == 0)
			print("round %lu\n", round);
		wait_ticks(ticks_of_us(boot_info, options.delay_ms * 1000));
	}
	for (uint64_t page = first; page < end; page++)
		verify(page, options.rounds - 1);
	cpus[id].is_done = 1;
}

void cpu_main(uint32_t id)
{
	trap_load_tables();
	lapic_enable();
	cpus[id].is_up = 1;
	run(id);
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}

static void start_others(void)
{
	if (nr_cpus == 1)
		return;
	if (boot_info->irqchip == IRQCHIP_NONE)
		fail("irqchip: several CPUs need local APICs", boot_info->irqchip, IRQCHIP_SPLIT);
	if (nr_cpus > CPUS_MAX)
		fail("CPUs: too many", nr_cpus, CPUS_MAX);
	lapic_enable();
	smp_prepare();
	for (uint32_t id = 1; id < nr_cpus; id++)
		smp_wake(boot_info, id, &cpus[id].is_up);
}

static void wait_for_others(void)
{
	for (uint64_t id = 1; id < nr_cpus; id++) {
		wait_long_for(&cpus[id].is_done, 1);
		expect("further CPU has verified its pages", cpus[id].is_done, 1);
	}
}

void guest_main(const struct boot_info *boot)
{
	boot_info = boot;
	nr_cpus = boot->nr_vcpus;
	options.pages = option_number(boot->command_line, "pages=", 64);
	options.rounds = option_number(boot->command_line, "rounds=", 20);
	options.seed = option_number(boot->command_line, "seed=", 1);
	options.delay_ms = option_number(boot->command_line, "delay=", 0);
	options.each_round = has_word(boot->command_line, "each-round");
	options.together = has_word(boot->command_line, "together");
	uint64_t pages_max = boot->ram_low > POOL_GPA ? (boot->ram_low - POOL_GPA) / PAGE_SIZE : 0;
	if (options.pages > pages_max)
		fail("pages: too many for this RAM", options.pages, pages_max);
	print("memory: %lu pages, %lu rounds, seed %lu\n", options.pages, options.rounds, options.seed);
	start_others();
	run(0);
	wait_for_others();
	print("memory: all as written\n");
}
