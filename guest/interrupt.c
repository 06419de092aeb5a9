/*
 * interrupt: the interrupt sources one after the other, each with a snapshot while it is armed, and what a controller
 * holds between the arrival of an interrupt and its end.  On a full controller the PIT ticks all the while.
 */
#include "lib.h"

#define TICKS     5     /* before a snapshot, and again after it */
#define DELAY_US  20000 /* from arming a single shot to its interrupt: the snapshot comes between */
#define PERIOD_US 5000

#define VECTOR_TIMER 0x30
#define VECTOR_PIT   0x31
#define VECTOR_SELF  0x32
#define VECTOR_PIC   0x38 /* the PIC's eight, IRQ 0 first */

static struct {
	volatile uint64_t timer, pit, pic, self;
} seen;

/* Local APIC timer (SDM volume 3, 11.5.4). */

#define TIMER_ONE_SHOT       0
#define TIMER_PERIODIC       0x20000
#define TIMER_DEADLINE       0x40000
#define TIMER_DIVIDE_BY_1    0xb
#define TIMER_TICKS_OF_US    1000 /* KVM's local APICs count at 1 GHz (APIC_BUS_CYCLE_NS, arch/x86/kvm/lapic.h) */
#define CPUID_1_ECX_DEADLINE (1u << 24)

static void timer_tick(struct trap *trap)
{
	(void)trap;
	seen.timer++;
	lapic_end_of_interrupt();
}

static void timer_set(uint32_t mode, uint32_t us)
{
	lapic_write(LAPIC_TIMER_DIVIDE, TIMER_DIVIDE_BY_1);
	lapic_write(LAPIC_LVT_TIMER, mode | VECTOR_TIMER);
	lapic_write(LAPIC_TIMER_INITIAL, us * TIMER_TICKS_OF_US);
}

static void timer_stop(void)
{
	lapic_write(LAPIC_TIMER_INITIAL, 0);
	lapic_write(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED | VECTOR_TIMER);
}

/* Waits until a source has interrupted that many times. */
static void wait_until(const char *source, const volatile uint64_t *counter, uint64_t times)
{
	if (!wait_for(counter, times))
		fail(source, *counter, times);
}

/* Waits for n further interrupts of a source that goes on. */
static void wait_more(const char *source, const volatile uint64_t *counter, uint64_t n)
{
	wait_until(source, counter, *counter + n);
}

/* A source that ticks once: exactly once, also when it was armed across a snapshot. */
static void wait_once(const char *source, const struct boot_info *boot)
{
	wait_until(source, &seen.timer, 1);
	wait_ticks(ticks_of_us(boot, DELAY_US));
	expect(source, seen.timer, 1);
	seen.timer = 0;
}

static void one_shot(const struct boot_info *boot)
{
	timer_set(TIMER_ONE_SHOT, DELAY_US);
	checkpoint(1);
	wait_once("ticks of the one-shot timer", boot);
	expect("current count of the one-shot timer", lapic_read(LAPIC_TIMER_CURRENT), 0);
	/* One that had fired when the snapshot was taken is restored with 0, or KVM would start it again. */
	uint32_t initial = lapic_read(LAPIC_TIMER_INITIAL);
	if (initial != 0 || (port_read(PORT_CHECKPOINT) & CHECKPOINT_RESTORED) == 0)
		expect("initial count of the one-shot timer", initial, DELAY_US * TIMER_TICKS_OF_US);
	/* Fired, not armed again: nothing is to come of it. */
	checkpoint(2);
	wait_ticks(ticks_of_us(boot, 2 * DELAY_US));
	expect("ticks of the one-shot timer after its end", seen.timer, 0);
	timer_stop();
	print("one-shot timer: all as expected\n");
}

static void periodic(const struct boot_info *boot)
{
	(void)boot;
	timer_set(TIMER_PERIODIC, PERIOD_US);
	wait_more("ticks of the periodic timer", &seen.timer, TICKS);
	checkpoint(3);
	wait_more("ticks of the periodic timer", &seen.timer, TICKS);
	expect("timer entry", lapic_read(LAPIC_LVT_TIMER), TIMER_PERIODIC | VECTOR_TIMER);
	timer_stop();
	seen.timer = 0;
	print("periodic timer: all as expected\n");
}

static void deadline(const struct boot_info *boot)
{
	uint64_t value = 1;
	if ((cpuid(1, 0).ecx & CPUID_1_ECX_DEADLINE) == 0)
		return;
	lapic_write(LAPIC_LVT_TIMER, TIMER_DEADLINE | VECTOR_TIMER);
	seen.timer = 0; /* a last tick of the periodic timer, which KVM held back while its entry was masked */
	uint64_t armed = tsc_read();
	msr_write(MSR_TSC_DEADLINE, armed + ticks_of_us(boot, DELAY_US));
	checkpoint(4);
	expect("TSC that did not go back", tsc_read() >= armed, 1);
	wait_once("ticks of the TSC deadline", boot);
	msr_read(MSR_TSC_DEADLINE, &value);
	expect("TSC deadline after its interrupt", value, 0);
	timer_stop();
	print("TSC deadline: all as expected\n");
}

/* Interrupts on their way. */

static void self_arrived(struct trap *trap)
{
	(void)trap;
	seen.self++;
	lapic_end_of_interrupt();
}

/* Requested, not delivered: interrupts are off.  The vector stands in IRR. */
static void requested(const struct boot_info *boot)
{
	(void)boot;
	trap_set(VECTOR_SELF, self_arrived);
	interrupts_off();
	lapic_send(0, LAPIC_ICR_ASSERT | VECTOR_SELF);
	checkpoint(5);
	expect("request bit", lapic_has(LAPIC_IRR, VECTOR_SELF), true);
	expect("interrupts while they are off", seen.self, 0);
	interrupts_on();
	wait_until("requested interrupt", &seen.self, 1);
	expect("requested interrupts", seen.self, 1);
	seen.self = 0;
	print("requested interrupt: all as expected\n");
}

/*
 * In service, with the same vector requested again: it stands in ISR and IRR.  A page-table based KVM was seen that
 * never sets ISR; the snapshot must not change that either.
 */
static void self_in_service(struct trap *trap)
{
	(void)trap;
	if (++seen.self == 1) {
		lapic_send(0, LAPIC_ICR_ASSERT | VECTOR_SELF);
		bool is_in_service = lapic_has(LAPIC_ISR, VECTOR_SELF);
		checkpoint(6);
		expect("service bit", lapic_has(LAPIC_ISR, VECTOR_SELF), is_in_service);
		expect("request bit in service", lapic_has(LAPIC_IRR, VECTOR_SELF), true);
	}
	lapic_end_of_interrupt();
}

static void in_service(const struct boot_info *boot)
{
	trap_set(VECTOR_SELF, self_in_service);
	lapic_send(0, LAPIC_ICR_ASSERT | VECTOR_SELF);
	wait_until("interrupt in service", &seen.self, 2);
	wait_ticks(ticks_of_us(boot, PERIOD_US));
	expect("interrupts in service", seen.self, 2);
	expect("service bit at the end", lapic_has(LAPIC_ISR, VECTOR_SELF), false);
	print("interrupt in service: all as expected\n");
}

/* PIT, IOAPIC and PIC: on a full controller only. */

#define PIT_CHANNEL0 0x40 /* 82C54 data sheet */
#define PIT_COMMAND  0x43
#define PIT_RATE     0x34  /* channel 0, low and high byte, mode 2 */
#define PIT_100_HZ   11932 /* of 1193182 Hz */

#define IOAPIC_SELECT     0xfec00000ull /* 82093AA data sheet, 3.0 */
#define IOAPIC_WINDOW     0xfec00010ull
#define IOAPIC_ENTRY(pin) (0x10 + 2 * (pin))
#define IOAPIC_PIN_PIT    0 /* KVM's own routing; a VMM that sets its own has pin 2 there, as PCs have */
#define IOAPIC_PIN_PIT_PC 2
#define IOAPIC_MASKED     0x10000

#define PIC1             0x20 /* 8259A data sheet: command, then data; the second PIC at 0xa0 */
#define PIC2             0xa0
#define PIC_EOI          0x20
#define PIC_ALL_MASKED   0xff
#define PIC_ALL_BUT_IRQ0 0xfe
#define LVT_EXTINT       0x700

static void pit_tick(struct trap *trap)
{
	(void)trap;
	seen.pit++;
	lapic_end_of_interrupt();
}

static void pic_tick(struct trap *trap)
{
	(void)trap;
	seen.pic++;
	port_write(PIC1, PIC_EOI);
}

static void ioapic_write(uint32_t index, uint32_t value)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(index), "r"(IOAPIC_SELECT) : "memory");
	__asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(IOAPIC_WINDOW) : "memory");
}

static uint32_t ioapic_read(uint32_t index)
{
	uint32_t value;
	__asm__ volatile("movl %0, (%1)" : : "r"(index), "r"(IOAPIC_SELECT) : "memory");
	__asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(IOAPIC_WINDOW) : "memory");
	return value;
}

/* Both pins at once: only one of them is wired. */
static void ioapic_route_pit(uint32_t entry)
{
	ioapic_write(IOAPIC_ENTRY(IOAPIC_PIN_PIT) + 1, 0);
	ioapic_write(IOAPIC_ENTRY(IOAPIC_PIN_PIT), entry);
	ioapic_write(IOAPIC_ENTRY(IOAPIC_PIN_PIT_PC) + 1, 0);
	ioapic_write(IOAPIC_ENTRY(IOAPIC_PIN_PIT_PC), entry);
}

static void pic_start(void)
{
	/* ICW1 to ICW4: edge triggered, cascaded at IRQ 2, 8086 mode. */
	static const struct {
		uint16_t port;
		uint8_t value;
	} words[] = {
		{ PIC1, 0x11 },
		{ PIC1 + 1, VECTOR_PIC },
		{ PIC1 + 1, 4 },
		{ PIC1 + 1, 1 },
		{ PIC1 + 1, PIC_ALL_MASKED },
		{ PIC2, 0x11 },
		{ PIC2 + 1, VECTOR_PIC },
		{ PIC2 + 1, 2 },
		{ PIC2 + 1, 1 },
		{ PIC2 + 1, PIC_ALL_MASKED },
	};
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		port_write(words[i].port, words[i].value);
}

/* Starts the PIT, which then ticks through the IOAPIC while everything else goes on. */
static void pit_start(void)
{
	trap_set(VECTOR_PIT, pit_tick);
	trap_set(VECTOR_PIC, pic_tick);
	pic_start();
	ioapic_route_pit(VECTOR_PIT);
	port_write(PIT_COMMAND, PIT_RATE);
	port_write(PIT_CHANNEL0, PIT_100_HZ & 0xff);
	port_write(PIT_CHANNEL0, PIT_100_HZ >> 8);
	wait_more("PIT ticks through the IOAPIC", &seen.pit, TICKS);
}

static void pit_through_ioapic(const struct boot_info *boot)
{
	(void)boot;
	checkpoint(7);
	wait_more("PIT ticks through the IOAPIC", &seen.pit, TICKS);
	expect("IOAPIC entry of the PIT", ioapic_read(IOAPIC_ENTRY(IOAPIC_PIN_PIT)), VECTOR_PIT);
	ioapic_route_pit(IOAPIC_MASKED | VECTOR_PIT);
	print("PIT through the IOAPIC: all as expected\n");
}

/* The PIC's wire goes through the local APIC's LINT0 ("virtual wire", MultiProcessor Specification 3.6.2.2). */
static void pit_through_pic(const struct boot_info *boot)
{
	(void)boot;
	lapic_write(LAPIC_LVT_LINT0, LVT_EXTINT);
	port_write(PIC1 + 1, PIC_ALL_BUT_IRQ0);
	wait_more("PIT ticks through the PIC", &seen.pic, TICKS);
	checkpoint(8);
	wait_more("PIT ticks through the PIC", &seen.pic, TICKS);
	expect("mask of the PIC", port_read(PIC1 + 1), PIC_ALL_BUT_IRQ0);
	port_write(PIC1 + 1, PIC_ALL_MASKED);
	print("PIT through the PIC: all as expected\n");
}

void guest_main(const struct boot_info *boot)
{
	static const struct {
		void (*run)(const struct boot_info *boot);
		uint32_t irqchip; /* that it needs at least */
	} tests[] = {
		{ one_shot, IRQCHIP_SPLIT },       { periodic, IRQCHIP_SPLIT },   { deadline, IRQCHIP_SPLIT },
		{ requested, IRQCHIP_SPLIT },      { in_service, IRQCHIP_SPLIT }, { pit_through_ioapic, IRQCHIP_FULL },
		{ pit_through_pic, IRQCHIP_FULL },
	};
	if (boot->irqchip == IRQCHIP_NONE)
		fail("irqchip: a local APIC is needed", boot->irqchip, IRQCHIP_SPLIT);
	print("interrupt: %s controller\n", boot->irqchip == IRQCHIP_FULL ? "full" : "split");
	trap_set(VECTOR_TIMER, timer_tick);
	lapic_enable();
	interrupts_on();
	if (boot->irqchip == IRQCHIP_FULL)
		pit_start();
	for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
		if (boot->irqchip >= tests[i].irqchip)
			tests[i].run(boot);
}
