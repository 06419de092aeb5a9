#include "lib.h"

#include <stdarg.h>

#include "guest/uart.h"

/* What a compiler may call for copies and initialisations, even of freestanding code. */

void *memcpy(void *to, const void *from, size_t size)
{
	void *at = to;
	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
	return to;
}

void *memset(void *to, int value, size_t size)
{
	void *at = to;
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
	return to;
}

/* Console. */

static void put_char(char c)
{
	for (unsigned i = 0; i < UART_POLLS_MAX; i++)
		if ((port_read(PORT_UART + UART_LSR) & UART_LSR_THRE) != 0)
			break;
	port_write(PORT_UART, (uint8_t)c);
}

static void put_string(const char *s)
{
	while (*s != '\0')
		put_char(*s++);
}

static void put_number(uint64_t value, unsigned base)
{
	char digits[24];
	unsigned at = sizeof(digits);
	digits[--at] = '\0';
	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	put_string(digits + at);
}

/* Is s the beginning of format? */
static bool starts_with(const char *format, const char *s)
{
	while (*s != '\0')
		if (*format++ != *s++)
			return false;
	return true;
}

void print(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	while (*format != '\0') {
		if (starts_with(format, "%s")) {
			put_string(va_arg(args, const char *));
			format += 2;
		} else if (starts_with(format, "%lu")) {
			put_number(va_arg(args, uint64_t), 10);
			format += 3;
		} else if (starts_with(format, "%#lx")) {
			put_string("0x");
			put_number(va_arg(args, uint64_t), 16);
			format += 4;
		} else {
			put_char(*format++);
		}
	}
	va_end(args);
}

void finish(uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"((uint16_t)PORT_EXIT));
	for (;;)
		__asm__ volatile("cli; hlt");
}

void fail(const char *what, uint64_t found, uint64_t expected)
{
	print("%s: found %#lx, expected %#lx\n", what, found, expected);
	finish(1);
}

void expect(const char *what, uint64_t found, uint64_t expected)
{
	if (found != expected)
		fail(what, found, expected);
}

/* Traps. */

/* An interrupt gate of 64-bit mode (SDM volume 3, 6.14.1). */
struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};

/* A task state segment of 64-bit mode (SDM volume 3, 7.7). */
struct __attribute__((packed)) tss {
	uint32_t reserved0;
	uint64_t rsp[3], reserved1, ist[7], reserved2;
	uint16_t reserved3, io_map;
};

/* What LGDT and LIDT load. */
struct __attribute__((packed)) table_pointer {
	uint16_t limit;
	uint64_t base;
};

#define GATE_INTERRUPT 0x8e /* present, DPL 0, interrupts off in the handler */
#define TSS_SELECTOR   0x20
#define TSS_AVAILABLE  0x89ull /* present, DPL 0, 64-bit TSS, not busy */
#define IST_SIZE       4096
#define PAGE_USER      4 /* SDM volume 3, 4.5.4 */

extern const uint8_t trap_entries[], msr_read_at[], msr_write_at[], msr_refused[], user_return[];
extern uint64_t user_stack;

static struct gate idt[TRAP_VECTORS];
static trap_handler handlers[TRAP_VECTORS];
static struct tss tss;
static uint8_t ist_stacks[TRAP_STACKS][IST_SIZE] __attribute__((aligned(16)));
/* As at the start (abi.h), and the task. */
static uint64_t gdt[] = {
	[BOOT_CODE_SELECTOR / 8] = 0x00af9b000000ffff,
	[BOOT_DATA_SELECTOR / 8] = 0x00cf93000000ffff,
	[BOOT_CODE32_SELECTOR / 8] = 0x00cf9b000000ffff,
	[TSS_SELECTOR / 8] = 0,
	[TSS_SELECTOR / 8 + 1] = 0,
	[USER_DATA_SELECTOR / 8] = 0x00cff3000000ffff,
	[USER_CODE_SELECTOR / 8] = 0x00affb000000ffff,
};

static void trap_unexpected(const struct trap *trap)
{
	uint64_t cr2;
	__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
	print("unexpected trap %lu, error code %#lx, RIP %#lx, CR2 %#lx\n", trap->vector, trap->error, trap->rip, cr2);
	finish(1);
}

/* Called by trap_common of entry.S. */
void trap_dispatch(struct trap *trap);
void trap_dispatch(struct trap *trap)
{
	if (handlers[trap->vector] != NULL) {
		handlers[trap->vector](trap);
		return;
	}
	if (trap->vector == TRAP_PROTECTION &&
	    (trap->rip == (uint64_t)msr_read_at || trap->rip == (uint64_t)msr_write_at)) {
		trap->rip = (uint64_t)msr_refused;
	} else if (trap->vector == TRAP_UNDEFINED && trap->cs == USER_CODE_SELECTOR) {
		trap->rip = (uint64_t)user_return;
		trap->cs = BOOT_CODE_SELECTOR;
		trap->ss = BOOT_DATA_SELECTOR;
		trap->rsp = user_stack;
	} else {
		trap_unexpected(trap);
	}
}

trap_handler trap_set(unsigned vector, trap_handler handler)
{
	trap_handler old = handlers[vector];
	handlers[vector] = handler;
	return old;
}

void trap_use_ist(unsigned vector, unsigned stack)
{
	idt[vector].ist = (uint8_t)stack;
}

bool trap_on_ist(const void *address, unsigned stack)
{
	const uint8_t *first = ist_stacks[stack - 1];
	return (const uint8_t *)address >= first && (const uint8_t *)address < first + IST_SIZE;
}

void trap_load_tables(void)
{
	struct table_pointer gdt_pointer = { sizeof(gdt) - 1, (uint64_t)gdt };
	struct table_pointer idt_pointer = { sizeof(idt) - 1, (uint64_t)idt };
	__asm__ volatile("lgdt %0; lidt %1" : : "m"(gdt_pointer), "m"(idt_pointer));
}

static void traps_start(void)
{
	for (unsigned i = 0; i < TRAP_VECTORS; i++) {
		uint64_t entry = (uint64_t)trap_entries + i * TRAP_ENTRY_SIZE;
		idt[i] = (struct gate){ .offset_low = (uint16_t)entry,
					.selector = BOOT_CODE_SELECTOR,
					.type = GATE_INTERRUPT,
					.offset_middle = (uint16_t)(entry >> 16),
					.offset_high = (uint32_t)(entry >> 32) };
	}
	for (unsigned i = 0; i < TRAP_STACKS; i++)
		tss.ist[i] = (uint64_t)(ist_stacks[i] + IST_SIZE);
	tss.rsp[0] = tss.ist[0];
	tss.io_map = sizeof(tss);
	uint64_t base = (uint64_t)&tss;
	gdt[TSS_SELECTOR / 8] =
		(sizeof(tss) - 1) | (base & 0xffffff) << 16 | TSS_AVAILABLE << 40 | (base >> 24 & 0xff) << 56;
	gdt[TSS_SELECTOR / 8 + 1] = base >> 32;
	trap_load_tables();
	__asm__ volatile("ltr %0" : : "r"((uint16_t)TSS_SELECTOR));
}

/* Lets CPL 3 use the first 2 MiB: image, stack and all. */
static void user_start(void)
{
	for (uint64_t table = BOOT_PML4_GPA; table < BOOT_PML4_GPA + 3 * 0x1000; table += 0x1000)
		*(volatile uint64_t *)table |= PAGE_USER;
	__asm__ volatile("movq %%cr3, %%rax; movq %%rax, %%cr3" : : : "rax", "memory");
}

/* Local APIC. */

#define SVR_ENABLE      0x100
#define ICR_DESTINATION 24 /* bits 31:24 of the high half */

static void ignore(struct trap *trap)
{
	(void)trap;
}

void lapic_enable(void)
{
	trap_set(VECTOR_SPURIOUS, ignore);
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
}

void lapic_send(uint32_t apic_id, uint32_t command)
{
	lapic_write(LAPIC_ICR_HIGH, apic_id << ICR_DESTINATION);
	lapic_write(LAPIC_ICR_LOW, command);
}

bool lapic_has(uint32_t bits, unsigned vector)
{
	return (lapic_read(bits + vector / 32 * 16) >> vector % 32 & 1) != 0;
}

/* Waits. */

#define PATIENCE_TICKS  (1ull << 34) /* 4 to 9 seconds */
#define JUMP_TICKS      (1ull << 26) /* more than this between two looks is a jump, or the machine stood still */
#define TSC_KHZ_DEFAULT 2000000

struct patience patience_start(void)
{
	return (struct patience){ .last = tsc_read() };
}

/* Counts the ticks since the last look. */
static uint64_t patience_spend(struct patience *patience)
{
	uint64_t now = tsc_read(), ticks = now - patience->last;
	patience->last = now;
	patience->spent += ticks < JUMP_TICKS ? ticks + 1 : 1;
	return patience->spent;
}

bool patience_left(struct patience *patience)
{
	cpu_relax();
	return patience_spend(patience) < PATIENCE_TICKS;
}

bool wait_for(const volatile uint64_t *counter, uint64_t value)
{
	struct patience patience = patience_start();
	while (*counter < value)
		if (!patience_left(&patience))
			return false;
	return true;
}

void wait_ticks(uint64_t ticks)
{
	struct patience patience = patience_start();
	while (patience_spend(&patience) < ticks)
		cpu_relax();
}

uint64_t ticks_of_us(const struct boot_info *boot, uint64_t us)
{
	uint64_t khz = boot->tsc_khz != 0 ? boot->tsc_khz : TSC_KHZ_DEFAULT;
	return khz * us / 1000;
}

/* What stands behind the text in the line, NULL where it is not in there. */
static const char *find_behind(const char *line, const char *text)
{
	for (; *line != '\0'; line++) {
		unsigned i = 0;
		while (text[i] != '\0' && line[i] == text[i])
			i++;
		if (text[i] == '\0')
			return line + i;
	}
	return NULL;
}

bool has_word(const char *line, const char *word)
{
	return find_behind(line, word) != NULL;
}

uint64_t option_number(const char *line, const char *name, uint64_t value_default)
{
	const char *at = find_behind(line, name);
	if (at == NULL)
		return value_default;
	uint64_t value = 0;
	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (uint64_t)(*at - '0');
	return value;
}

/* Called by start of entry.S. */
void lib_start(const struct boot_info *boot);
void lib_start(const struct boot_info *boot)
{
	expect("boot_info.magic", boot->magic, BOOT_INFO_MAGIC);
	traps_start();
	user_start();
	guest_main(boot);
	finish(0);
}
