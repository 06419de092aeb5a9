/*
 * exception: snapshots at the edge of exceptions: one instruction before a fault, inside a handler, between a trap's
 * cause and its delivery, inside an NMI with the next one waiting.
 */
#include "lib.h"

#define PORT_UNUSED 0x80 /* the POST code port: nobody answers */
#define VECTOR_SELF 0x30

/* One instruction before a fault: exception_sites.S. */

typedef void (*site)(uint64_t port, uint64_t number);
void undefined(uint64_t port, uint64_t number);
void divide(uint64_t port, uint64_t number);
void page_read(uint64_t port, uint64_t number);
void page_write(uint64_t port, uint64_t number);
void protection(uint64_t port, uint64_t number);
void step(uint64_t port, uint64_t number);
void shadow(uint64_t port, uint64_t number);
extern const uint8_t undefined_at[], undefined_after[], divide_at[], divide_after[], page_read_at[], page_read_after[],
	page_write_at[], page_write_after[], protection_at[], protection_after[];

static const struct fault {
	const char *name;
	site run;
	const uint8_t *at, *after;
	uint64_t vector, error, cr2; /* cr2: of page faults */
} faults[] = {
	/* clang-format off */
	{ "#UD",                  undefined,  undefined_at,  undefined_after,  TRAP_UNDEFINED,  0,    0 },
	{ "#DE",                  divide,     divide_at,     divide_after,     TRAP_DIVIDE,     0,    0 },
	{ "#PF on a read",        page_read,  page_read_at,  page_read_after,  TRAP_PAGE_FAULT, 0,    0x140000000 },
	{ "#PF on a write",       page_write, page_write_at, page_write_after, TRAP_PAGE_FAULT, 2,    0x140000008 },
	{ "#GP with error code",  protection, protection_at, protection_after, TRAP_PROTECTION, 0x80, 0 },
	/* clang-format on */
};

static const struct fault *volatile fault_expected;
static volatile uint64_t faults_seen;

static uint64_t cr2_read(void)
{
	uint64_t value;
	__asm__ volatile("movq %%cr2, %0" : "=r"(value));
	return value;
}

static void fault_verify(const struct fault *fault, const struct trap *trap)
{
	expect("vector", trap->vector, fault->vector);
	expect("error code", trap->error, fault->error);
	expect("RIP", trap->rip, (uint64_t)fault->at);
	if (fault->vector == TRAP_PAGE_FAULT)
		expect("CR2", cr2_read(), fault->cr2);
}

static void fault_handler(struct trap *trap)
{
	faults_seen++;
	fault_verify(fault_expected, trap);
	trap->rip = (uint64_t)fault_expected->after;
}

static void fault_run(const struct fault *fault, trap_handler handler, uint16_t port, uint8_t number)
{
	trap_handler old = trap_set(fault->vector, handler);
	fault_expected = fault;
	faults_seen = 0;
	fault->run(port, number);
	expect(fault->name, faults_seen, 1);
	trap_set(fault->vector, old);
}

static uint8_t faults_before(uint8_t number)
{
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++) {
		fault_run(&faults[i], fault_handler, PORT_CHECKPOINT, number++);
		print("%s after a snapshot: all as expected\n", faults[i].name);
	}
	return number;
}

/* Inside a handler, on its interrupt stack: the frame must stay, and so must CR2. */
static volatile uint8_t number_inside;

static void fault_inside_handler(struct trap *trap)
{
	struct trap before = *trap;
	expect("handler on its interrupt stack", trap_on_ist(trap, 1), true);
	checkpoint(number_inside);
	for (unsigned i = 0; i < sizeof(before) / sizeof(uint64_t); i++)
		expect("frame on the interrupt stack", ((const uint64_t *)trap)[i], ((const uint64_t *)&before)[i]);
	fault_handler(trap);
}

static uint8_t faults_inside(uint8_t number)
{
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++) {
		number_inside = number++;
		trap_use_ist((unsigned)faults[i].vector, 1);
		fault_run(&faults[i], fault_inside_handler, PORT_UNUSED, 0);
		trap_use_ist((unsigned)faults[i].vector, 0);
		print("%s with a snapshot in its handler: all as expected\n", faults[i].name);
	}
	return number;
}

/*
 * Traps behind the write itself.  Where a host delivers them is tried with another port first: the snapshot must not
 * change it.
 */
static struct {
	volatile uint64_t times, rip, dr6;
} trapped;

#define RFLAGS_TF 0x100
#define DR6_RESET 0xffff0ff0ull

static void step_handler(struct trap *trap)
{
	uint64_t dr6;
	__asm__ volatile("movq %%dr6, %0" : "=r"(dr6));
	__asm__ volatile("movq %0, %%dr6" : : "r"(DR6_RESET));
	trapped.times++;
	trapped.rip = trap->rip;
	trapped.dr6 = dr6;
	trap->rflags &= ~(uint64_t)RFLAGS_TF;
}

static void shadow_handler(struct trap *trap)
{
	trapped.times++;
	trapped.rip = trap->rip;
	lapic_end_of_interrupt();
}

static void behind(const char *name, site run, uint8_t number, bool interrupt)
{
	uint64_t times = 0, rip = 0, dr6 = 0;
	for (unsigned i = 0; i < 2; i++) {
		trapped.times = trapped.rip = trapped.dr6 = 0;
		if (interrupt)
			lapic_send(0, LAPIC_ICR_ASSERT | VECTOR_SELF);
		run(i == 0 ? PORT_UNUSED : PORT_CHECKPOINT, number);
		if (i == 0)
			times = trapped.times, rip = trapped.rip, dr6 = trapped.dr6;
	}
	expect("traps", trapped.times, times);
	expect("RIP of the trap", trapped.rip, rip);
	expect("DR6 of the trap", trapped.dr6, dr6);
	print("%s: %lu trap, as without a snapshot\n", name, times);
}

/* Inside an NMI handler, with the next NMI waiting: it is masked until IRET. */
static volatile uint64_t nmis;

static void nmi_handler(struct trap *trap)
{
	(void)trap;
	if (++nmis != 1)
		return;
	lapic_send(0, LAPIC_ICR_ASSERT | LAPIC_ICR_NMI);
	checkpoint(number_inside);
	expect("NMIs inside the first", nmis, 1);
}

static void nmi(uint8_t number)
{
	trap_set(TRAP_NMI, nmi_handler);
	number_inside = number;
	lapic_send(0, LAPIC_ICR_ASSERT | LAPIC_ICR_NMI);
	if (!wait_for(&nmis, 2))
		fail("NMIs", nmis, 2);
	print("NMI with a snapshot in its handler, the next one waiting: all as expected\n");
}

void guest_main(const struct boot_info *boot)
{
	uint8_t number = faults_before(1);
	number = faults_inside(number);
	trap_set(TRAP_DEBUG, step_handler);
	behind("single step over a snapshot", step, number++, false);
	if (boot->irqchip == IRQCHIP_NONE)
		return;
	lapic_enable();
	trap_set(VECTOR_SELF, shadow_handler);
	behind("interrupt behind STI and a snapshot", shadow, number++, true);
	nmi(number);
}
