/*
 * clock: all CPUs watch the clocks that there are: the TSC, KVM's clock where CPUID tells of one, and the time of day
 * that KVM makes of it.  None may go back on any CPU, nor stand behind what another CPU has read before where KVM says
 * that they are the same on all.
 *
 * Each of the three checkpoints comes while an alarm is set, a minute and more away: the local APIC's timer, that timer
 * periodic, a TSC deadline.  Behind the checkpoint the alarm must have rung if the clocks went on by so much, and
 * must not have rung otherwise.
 *
 * Command line: delay=MS is how long the clocks are watched before each checkpoint, start=MS how long before the first
 * one in addition; gaps: prints how far each clock went on over each checkpoint, in us.
 */
#include "lib.h"
#include "smp.h"

#define CHECKPOINTS  3
#define ALARM_S      100
#define VECTOR_ALARM 0x30
#define SETTLE_US    5000 /* in which an alarm that is not to ring, or not twice, would */

#define US_PER_S    1000000ull
#define NS_PER_US   1000ull
#define NS_PER_S    1000000000ull
#define KHZ_DEFAULT 2000000
#define TRIES_MAX   1000 /* of a read that KVM comes in between of */
#define WAITS_MAX   20   /* for a CPU of a busy host */

/* ---- KVM's clock (Linux, Documentation/virt/kvm/x86/msr.rst and cpuid.rst) ---- */

#define CPUID_KVM               0x40000000 /* "KVMKVMKVM" in EBX, ECX and EDX */
#define CPUID_KVM_SIGNATURE     0x4b4d564b /* "KVMK" */
#define CPUID_KVM_FEATURES      0x40000001
#define CPUID_KVM_CLOCKSOURCE2  (1u << 3) /* EAX: the two MSRs */
#define MSR_KVM_WALL_CLOCK_NEW  0x4b564d00
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01
#define SYSTEM_TIME_ENABLE      1

/* What KVM writes for a CPU, at its entries; the version is odd while it does. */
struct system_time {
	uint32_t version, pad0;
	uint64_t tsc;        /* when time_ns was right */
	uint64_t time_ns;    /* since the machine began */
	uint32_t multiplier; /* ns = (ticks << shift) * multiplier / 2^32 */
	int8_t shift;
	uint8_t flags, pad[2];
};

#define SYSTEM_TIME_STABLE 1 /* flags: this clock and the TSC are the same on all CPUs */

/* What KVM writes when it is asked: the time of day at which the machine began. */
struct wall_clock {
	uint32_t version, seconds, ns;
};

/*
 * Where a host does not trust its TSC, KVM reads two clocks of the host for each CPU by itself, and may lose the host's
 * CPU between the two; and each CPU's TSC goes its own way (arch/x86/kvm/x86.c, kvm_arch_vcpu_load()).  The time of day
 * is set by people and by NTP.
 */
#define UNSTABLE_SLACK_NS (100000 * NS_PER_US)
#define WALL_SLACK_NS     NS_PER_S

struct sample {
	uint64_t tsc, clock_ns;
};

static const struct boot_info *boot_info;
static bool has_kvm_clock;
static uint64_t nr_cpus;
static volatile struct system_time system_times[CPUS_MAX] __attribute__((aligned(64)));
static volatile struct wall_clock wall_clock __attribute__((aligned(16)));
static struct {
	volatile uint64_t is_up, looks;
	uint64_t tsc; /* read last */
} cpus[CPUS_MAX];
static struct sample latest; /* the highest that any CPU has read */

static bool find_kvm_clock(void)
{
	struct cpuid kvm = cpuid(CPUID_KVM, 0);
	return kvm.ebx == CPUID_KVM_SIGNATURE && kvm.eax >= CPUID_KVM_FEATURES &&
	       (cpuid(CPUID_KVM_FEATURES, 0).eax & CPUID_KVM_CLOCKSOURCE2) != 0;
}

static void kvm_clock_start(uint64_t id)
{
	if (has_kvm_clock && !msr_write(MSR_KVM_SYSTEM_TIME_NEW, (uint64_t)&system_times[id] | SYSTEM_TIME_ENABLE))
		fail("KVM_SYSTEM_TIME_NEW, which CPUID promises, is refused", 0, 1);
}

static uint64_t ns_of_ticks(uint64_t ticks, uint32_t multiplier, int8_t shift)
{
	ticks = shift < 0 ? ticks >> -shift : ticks << shift;
	return (uint64_t)((unsigned __int128)ticks * multiplier >> 32);
}

static uint64_t kvm_clock_read(const volatile struct system_time *time)
{
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		uint32_t version = time->version;
		uint64_t now = time->time_ns + ns_of_ticks(tsc_read() - time->tsc, time->multiplier, time->shift);
		if (version % 2 == 0 && version == time->version)
			return now;
	}
	fail("version of KVM's clock, which stays odd or changes all the time", time->version, 0);
}

/* Asks KVM for the time of day at the machine's beginning. */
static uint64_t wall_clock_ask(void)
{
	if (!msr_write(MSR_KVM_WALL_CLOCK_NEW, (uint64_t)&wall_clock))
		fail("KVM_WALL_CLOCK_NEW, which CPUID promises, is refused", 0, 1);
	expect("oddness of the time of day's version", wall_clock.version % 2, 0);
	return wall_clock.seconds * NS_PER_S + wall_clock.ns;
}

/* ---- Watching ---- */

/* The CPU that sees it first tells; any other that does so waits for the end. */
static void expect_not_before(const char *what, uint64_t now, uint64_t then, uint64_t slack)
{
	static bool is_told;
	if (now + slack >= then)
		return;
	while (__atomic_exchange_n(&is_told, true, __ATOMIC_SEQ_CST))
		__asm__ volatile("cli; hlt" : : : "memory");
	print("%s went back: ", what);
	fail("the time", now, then);
}

/* Leaves the higher one. */
static void publish(uint64_t *highest, uint64_t value)
{
	uint64_t seen = __atomic_load_n(highest, __ATOMIC_SEQ_CST);
	while (seen < value &&
	       !__atomic_compare_exchange_n(highest, &seen, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

/* Reads the clocks of a CPU, on it, and holds them against all that was read before. */
static struct sample look(uint64_t id)
{
	struct sample before = { .tsc = __atomic_load_n(&latest.tsc, __ATOMIC_SEQ_CST),
				 .clock_ns = __atomic_load_n(&latest.clock_ns, __ATOMIC_SEQ_CST) };
	struct sample now = { 0 };
	cpuid(0, 0); /* lets no RDTSC be carried out ahead of the loads (SDM volume 3, 9.3) */
	now.tsc = tsc_read();
	if (has_kvm_clock)
		now.clock_ns = kvm_clock_read(&system_times[id]);
	bool is_stable = (system_times[id].flags & SYSTEM_TIME_STABLE) != 0;
	expect_not_before("TSC", now.tsc, is_stable ? before.tsc : cpus[id].tsc, 0);
	expect_not_before("KVM's clock", now.clock_ns, before.clock_ns, is_stable ? 0 : UNSTABLE_SLACK_NS);
	publish(&latest.tsc, now.tsc);
	publish(&latest.clock_ns, now.clock_ns);
	cpus[id].tsc = now.tsc;
	cpus[id].looks++;
	return now;
}

void cpu_main(uint32_t id)
{
	trap_load_tables();
	lapic_enable();
	kvm_clock_start(id);
	look(id);
	cpus[id].is_up = 1;
	for (;;)
		look(id);
}

static void watch(uint64_t ms)
{
	uint64_t start = tsc_read(), ticks = ticks_of_us(boot_info, ms * 1000);
	while (look(0).tsc - start < ticks)
		cpu_relax();
}

/* Every other CPU has looked since now, twice: the first time may have begun before. */
static void wait_for_others(void)
{
	for (uint64_t id = 1; id < nr_cpus; id++) {
		uint64_t looks = cpus[id].looks + 2;
		for (unsigned i = 0; i < WAITS_MAX && !wait_for(&cpus[id].looks, looks); i++)
			;
		if (cpus[id].looks < looks)
			fail("CPU that does not look at its clocks any more", id, nr_cpus);
	}
}

/* ---- The alarm ---- */

#define TIMER_ONE_SHOT       0
#define TIMER_PERIODIC       0x20000 /* SDM volume 3, 11.5.4 */
#define TIMER_DEADLINE       0x40000
#define TIMER_DIVIDE_BY_128  0xa
#define TIMER_COUNT          (ALARM_S * NS_PER_S / 128) /* KVM's local APICs count at 1 GHz */
#define CPUID_1_ECX_DEADLINE (1u << 24)

static volatile uint64_t rings;

static void ring(struct trap *trap)
{
	(void)trap;
	rings++;
	lapic_end_of_interrupt();
}

static void alarm_set(uint32_t mode)
{
	lapic_write(LAPIC_TIMER_DIVIDE, TIMER_DIVIDE_BY_128);
	lapic_write(LAPIC_LVT_TIMER, mode | VECTOR_ALARM);
	rings = 0;
	if (mode == TIMER_DEADLINE)
		msr_write(MSR_TSC_DEADLINE, tsc_read() + ticks_of_us(boot_info, ALARM_S * US_PER_S));
	else
		lapic_write(LAPIC_TIMER_INITIAL, TIMER_COUNT);
}

static void alarm_stop(uint32_t mode)
{
	if (mode == TIMER_DEADLINE)
		msr_write(MSR_TSC_DEADLINE, 0);
	else
		lapic_write(LAPIC_TIMER_INITIAL, 0);
	lapic_write(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED | VECTOR_ALARM);
}

static void alarm_check(bool must_ring)
{
	if (must_ring)
		wait_for(&rings, 1);
	wait_ticks(ticks_of_us(boot_info, SETTLE_US));
	expect(must_ring ? "rings of the alarm, whose time has passed" : "rings of the alarm before its time", rings,
	       must_ring);
}

/* ---- A checkpoint ---- */

static uint64_t tsc_us(uint64_t ticks)
{
	uint64_t khz = boot_info->tsc_khz != 0 ? boot_info->tsc_khz : KHZ_DEFAULT;
	return ticks / khz * 1000 + ticks % khz * 1000 / khz;
}

/* The time of day across a checkpoint: what was asked for before stands as it was; asked again, it has not gone back.
 */
static uint64_t wall_gap_us(uint64_t before_ns, const struct wall_clock *asked)
{
	expect("time of day at the beginning, s", wall_clock.seconds, asked->seconds);
	expect("time of day at the beginning, ns", wall_clock.ns, asked->ns);
	expect("its version", wall_clock.version, asked->version);
	uint64_t now_ns = wall_clock_ask() + look(0).clock_ns;
	expect_not_before("time of day", now_ns, before_ns, WALL_SLACK_NS);
	return now_ns > before_ns ? (now_ns - before_ns) / NS_PER_US : 0;
}

static void cross(uint64_t number, bool prints_gaps, uint32_t alarm_mode)
{
	uint64_t wall_ns = 0, wall_us = 0;
	struct wall_clock asked = { 0 };
	if (has_kvm_clock) {
		wall_ns = wall_clock_ask() + look(0).clock_ns;
		asked = (struct wall_clock){ wall_clock.version, wall_clock.seconds, wall_clock.ns };
	}
	alarm_set(alarm_mode);
	struct sample before = look(0);
	checkpoint((uint8_t)number);
	struct sample after = look(0);
	uint64_t tsc_gap_us = tsc_us(after.tsc - before.tsc);
	uint64_t clock_gap_us = after.clock_ns > before.clock_ns ? (after.clock_ns - before.clock_ns) / NS_PER_US : 0;
	alarm_check((has_kvm_clock ? clock_gap_us : tsc_gap_us) >= ALARM_S * US_PER_S);
	alarm_stop(alarm_mode);
	if (has_kvm_clock)
		wall_us = wall_gap_us(wall_ns, &asked);
	wait_for_others();
	if (!prints_gaps) {
		print("checkpoint %lu: no clock went back\n", number);
		return;
	}
	print("checkpoint %lu: TSC %lu us", number, tsc_gap_us);
	if (has_kvm_clock)
		print(", KVM's clock %lu us, time of day %lu us", clock_gap_us, wall_us);
	print("\n");
}

static void start_others(void)
{
	smp_prepare();
	for (uint32_t id = 1; id < nr_cpus; id++)
		smp_wake(boot_info, id, &cpus[id].is_up);
}

void guest_main(const struct boot_info *boot)
{
	static const uint32_t alarm_modes[CHECKPOINTS] = { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE };
	bool prints_gaps = has_word(boot->command_line, "gaps");
	uint64_t delay_ms = option_number(boot->command_line, "delay=", 20);
	boot_info = boot;
	nr_cpus = boot->nr_vcpus;
	has_kvm_clock = find_kvm_clock();
	if (boot->irqchip == IRQCHIP_NONE)
		fail("irqchip: local APICs are needed", boot->irqchip, IRQCHIP_SPLIT);
	if (nr_cpus > CPUS_MAX)
		fail("CPUs: too many", nr_cpus, CPUS_MAX);
	kvm_clock_start(0);
	trap_set(VECTOR_ALARM, ring);
	lapic_enable();
	interrupts_on();
	start_others();
	print("clock: %lu CPUs, %s\n", nr_cpus, has_kvm_clock ? "TSC and KVM's clock" : "TSC only");
	watch(option_number(boot->command_line, "start=", 0));
	for (uint64_t i = 0; i < CHECKPOINTS; i++) {
		bool has_mode = alarm_modes[i] != TIMER_DEADLINE || (cpuid(1, 0).ecx & CPUID_1_ECX_DEADLINE) != 0;
		watch(delay_ms);
		cross(i + 1, prints_gaps, has_mode ? alarm_modes[i] : TIMER_ONE_SHOT);
	}
	print("clock: all as expected\n");
}
