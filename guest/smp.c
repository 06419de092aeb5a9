/*
 * smp: starts all CPUs and passes a token round them: its holder and count stand in memory, and an interrupt wakes the
 * next holder out of HLT.  The first snapshot is asked for while the token is on its way, the second while all other
 * CPUs sleep; with "each-round" on the command line one in every round, with the token on its way.
 */
#include "lib.h"
#include "smp.h"

#define ROUNDS          200
#define ROUND_IN_FLIGHT 50
#define ROUND_ASLEEP    150
#define ROUNDS_A_LINE   50
#define VECTOR_TOKEN    0x30

static struct {
	volatile uint64_t is_up, apic_id, cpuid_apic_id;
	volatile uint64_t received; /* tokens */
	volatile uint64_t wrong;    /* interrupts without the token */
} cpus[CPUS_MAX];

static struct {
	volatile uint64_t holder, passed;
} token;

static uint64_t nr_cpus;
static bool each_round;

static uint32_t apic_id(void)
{
	return lapic_read(LAPIC_ID) >> 24;
}

/* Gives the token to the CPU behind this one.  Called with interrupts off: the command register has two halves. */
static void token_pass(uint32_t from)
{
	uint32_t to = (from + 1) % (uint32_t)nr_cpus;
	token.passed++;
	token.holder = to;
	lapic_send(to, LAPIC_ICR_ASSERT | VECTOR_TOKEN);
}

/* The first CPU passes on in its own time; the others do at once. */
static void token_received(struct trap *trap)
{
	(void)trap;
	uint32_t id = apic_id();
	lapic_end_of_interrupt();
	if (token.holder != id) {
		cpus[id].wrong++;
		return;
	}
	cpus[id].received++;
	if (id != 0)
		token_pass(id);
}

void cpu_main(uint32_t id)
{
	trap_load_tables();
	lapic_enable();
	cpus[id].apic_id = apic_id();
	cpus[id].cpuid_apic_id = cpuid(1, 0).ebx >> 24;
	cpus[id].is_up = 1;
	for (;;)
		__asm__ volatile("sti; hlt" : : : "memory");
}

/* Sends the token round once, and looks whether every CPU had it. */
static void round_run(uint64_t round)
{
	interrupts_off();
	token_pass(0);
	interrupts_on();
	if (each_round || round == ROUND_IN_FLIGHT)
		checkpoint(1);
	if (!wait_for(&cpus[0].received, round)) {
		print("round %lu: the token was lost at CPU %lu: ", round, token.holder);
		fail("tokens received", cpus[0].received, round);
	}
	for (uint64_t i = 0; i < nr_cpus; i++) {
		expect("tokens of a CPU", cpus[i].received, round);
		expect("interrupts without the token", cpus[i].wrong, 0);
	}
	expect("times the token was passed", token.passed, round * nr_cpus);
	if (!each_round && round == ROUND_ASLEEP)
		checkpoint(2);
	if (round % ROUNDS_A_LINE == 0)
		print("round %lu of %lu\n", round, (uint64_t)ROUNDS);
}

void guest_main(const struct boot_info *boot)
{
	nr_cpus = boot->nr_vcpus;
	each_round = has_word(boot->command_line, "each-round");
	if (boot->irqchip == IRQCHIP_NONE)
		fail("irqchip: local APICs are needed", boot->irqchip, IRQCHIP_SPLIT);
	if (nr_cpus > CPUS_MAX)
		fail("CPUs: too many", nr_cpus, CPUS_MAX);
	trap_set(VECTOR_TOKEN, token_received);
	lapic_enable();
	expect("APIC id of the first CPU", apic_id(), 0);
	smp_prepare();
	for (uint32_t id = 1; id < nr_cpus; id++) {
		smp_wake(boot, id, &cpus[id].is_up);
		expect("APIC id", cpus[id].apic_id, id);
		expect("APIC id in CPUID", cpus[id].cpuid_apic_id, id);
	}
	print("smp: %lu CPUs are up\n", nr_cpus);
	for (uint64_t round = 1; round <= ROUNDS; round++)
		round_run(round);
}
