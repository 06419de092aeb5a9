/*
 * The guest of the migration experiments, for Stasis and for QEMU: fills memory, prints a line, and then, at each tick
 * of its timers, writes pages at a pace, verifying what it wrote there before, and prints a byte, its beat: bits 7 to 5
 * count beats, bits 4 to 0 say how many pages were written since the one before (what is more comes with the next).
 * Command line: used=PAGES that are filled; set=PAGES, the first of them, that are written over and over; rate=PAGES
 * written a second, by all CPUs together; tick=US.  Each CPU has a share of the set, and a timer of its own.
 */
#include "guest/lib.h"
#include "guest/smp.h"

#define POOL_GPA    0x200000 /* above the image */
#define PAGE_SIZE   4096
#define LAST_WORD   (PAGE_SIZE - 8)
#define SCATTER     2654435761 /* a prime above any number of pages: all multiples, modulo that number, are different */
#define VECTOR_TICK 0x30
#define SECOND_US   1000000
#define TRIALS      3
#define TRIAL_US    20000
#define LATE_US     20000 /* what a CPU makes up for, at most, when it was late: no more when it stood still */
#define BEAT_SHIFT  5
#define BEAT_PAGES  31

#define TIMER_PERIODIC    0x20000 /* SDM volume 3, 11.5.4 */
#define TIMER_DIVIDE_BY_1 0xb
#define TIMER_COUNTS_A_US                                                                                              \
	1000 /* KVM's local APIC has a bus of 1 GHz (APIC_BUS_CYCLE_NS_DEFAULT, arch/x86/kvm/lapic.h) */

static struct {
	uint64_t used, set, rate, tick_us;
} options;

static uint64_t nr_cpus;
static struct {
	volatile uint64_t is_up;
	volatile uint64_t ticks;   /* counted by the timer's handler */
	volatile uint64_t written; /* pages, since it is up */
} cpus[CPUS_MAX];

static uint64_t tsc_a_second;

/* What a page's first and last word hold after so many times that it was written.  No page is ever all zeros. */
static uint64_t pattern(uint64_t page, uint64_t times)
{
	return (page << 32 | times) * 0x9e3779b97f4a7c15 + 1;
}

static uint64_t *word(uint64_t page, unsigned offset)
{
	return (uint64_t *)(POOL_GPA + page * PAGE_SIZE + offset);
}

static void fill(uint64_t page)
{
	*word(page, 0) = *word(page, LAST_WORD) = pattern(page, 0);
}

static void verify(uint64_t page, uint64_t times)
{
	uint64_t expected = pattern(page, times);
	if (*word(page, 0) == expected && *word(page, LAST_WORD) == expected)
		return;
	print("page %lu, written %lu times: ", page, times);
	fail("its words are not equal, or not these", *word(page, 0), expected);
}

static void ticked(struct trap *trap)
{
	(void)trap;
	uint32_t id = lapic_read(LAPIC_ID) >> 24;
	cpus[id].ticks++;
	lapic_end_of_interrupt();
}

static void start_timer(uint32_t mode, uint64_t us)
{
	lapic_write(LAPIC_TIMER_DIVIDE, TIMER_DIVIDE_BY_1);
	lapic_write(LAPIC_LVT_TIMER, mode | VECTOR_TICK);
	lapic_write(LAPIC_TIMER_INITIAL, (uint32_t)(us * TIMER_COUNTS_A_US));
}

/* Of the TSC; the shortest trial is the one that was disturbed least. */
static uint64_t measure_second(void)
{
	uint64_t least = UINT64_MAX;
	for (unsigned i = 0; i < TRIALS; i++) {
		uint64_t start = tsc_read();
		start_timer(LAPIC_LVT_MASKED, TRIAL_US);
		while (lapic_read(LAPIC_TIMER_CURRENT) != 0)
			cpu_relax();
		uint64_t took = tsc_read() - start;
		least = took < least ? took : least;
	}
	return least * (SECOND_US / TRIAL_US);
}

/* Sleeps until the CPU has had more ticks than that; returns how many.  STI lets nothing in before HLT. */
static uint64_t next_tick(uint64_t id, uint64_t ticks)
{
	while (cpus[id].ticks == ticks)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	return cpus[id].ticks;
}

/*
 * Writes the next page of the CPU's share of the set: all of them in turn, but scattered, since whoever migrates goes
 * through memory in order, too, and the two would run beside each other.
 */
static void write_next(uint64_t id)
{
	uint64_t first = options.set * id / nr_cpus, size = options.set * (id + 1) / nr_cpus - first;
	uint64_t written = cpus[id].written++, times = written / size;
	uint64_t page = first + written % size * SCATTER % size;
	verify(page, times);
	*word(page, 0) = *word(page, LAST_WORD) = pattern(page, times + 1);
}

/* Says that the guest runs, and looks at a page that was filled and is not written since. */
static void beat(uint64_t *kept)
{
	static uint64_t nr, told;
	uint64_t written = 0;
	for (uint64_t id = 0; id < nr_cpus; id++)
		written += cpus[id].written;
	uint64_t pages = written - told < BEAT_PAGES ? written - told : BEAT_PAGES;
	told += pages;
	port_write(PORT_UART, (uint8_t)(nr++ << BEAT_SHIFT | pages));
	if (*kept < options.used)
		verify(*kept, 0);
	*kept = *kept + 1 < options.used ? *kept + 1 : options.set;
}

/* What is due is counted in pages of all CPUs and TSC ticks, so that no rest is lost. */
static void run(uint64_t id)
{
	uint64_t ticks = 0, due = 0, kept = options.set, last = tsc_read();
	uint64_t a_page = tsc_a_second * nr_cpus, late_max = tsc_a_second / SECOND_US * LATE_US;
	start_timer(TIMER_PERIODIC, options.tick_us);
	for (;;) {
		ticks = next_tick(id, ticks);
		if (id == 0)
			beat(&kept);
		uint64_t now = tsc_read(), late = now - last;
		due += options.rate * (late < late_max ? late : late_max);
		last = now;
		for (; due >= a_page; due -= a_page)
			write_next(id);
	}
}

void cpu_main(uint32_t id)
{
	trap_load_tables();
	lapic_enable();
	cpus[id].is_up = 1;
	run(id);
	finish(1);
}

void guest_main(const struct boot_info *boot)
{
	const char *line = boot->command_line;
	nr_cpus = boot->nr_vcpus;
	options.used = option_number(line, "used=", 1024);
	options.set = option_number(line, "set=", options.used);
	options.rate = option_number(line, "rate=", 0);
	options.tick_us = option_number(line, "tick=", 1000);
	uint64_t pages_max = boot->ram_low > POOL_GPA ? (boot->ram_low - POOL_GPA) / PAGE_SIZE : 0;
	if (options.used > pages_max)
		fail("used: pages, too many for this RAM", options.used, pages_max);
	if (options.set < nr_cpus || options.set > options.used)
		fail("set: pages, expected one a CPU, and no more than are used", options.set, options.used);
	if (nr_cpus > CPUS_MAX)
		fail("CPUs: too many", nr_cpus, CPUS_MAX);
	for (uint64_t page = 0; page < options.used; page++)
		fill(page);
	trap_set(VECTOR_TICK, ticked);
	lapic_enable();
	tsc_a_second = measure_second();
	smp_prepare();
	for (uint32_t id = 1; id < nr_cpus; id++)
		smp_wake(boot, id, &cpus[id].is_up);
	print("paced: %lu pages\n", options.used);
	run(0);
}
