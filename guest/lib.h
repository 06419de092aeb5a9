/*
 * What the long-mode guests share: ports, the console, traps, MSRs, the local APIC, bounded waits.
 * A guest is guest_main(); when it returns, all was well and the machine ends with 0.  Whatever is wrong is printed
 * with what was found and what was expected, and ends the machine with 1.
 */
#ifndef STASIS_GUEST_LIB_H
#define STASIS_GUEST_LIB_H

#define TRAP_VECTORS    64 /* 32 exceptions, then interrupts */
#define TRAP_ENTRY_SIZE 16 /* bytes of code a vector */

/* Exceptions (SDM volume 3, table 6-1). */
#define TRAP_DIVIDE     0
#define TRAP_DEBUG      1
#define TRAP_NMI        2
#define TRAP_BREAKPOINT 3
#define TRAP_UNDEFINED  6
#define TRAP_PROTECTION 13
#define TRAP_PAGE_FAULT 14
#define TRAP_CONTROL    21

#define TRAP_STACKS 2 /* of the interrupt stack table, counted from 1; traps from CPL 3 come in on the first */

/* For code at CPL 3, beside the segments of abi.h. */
#define USER_DATA_SELECTOR 0x33
#define USER_CODE_SELECTOR 0x3b

#define LAPIC_GPA 0xfee00000 /* reset value of IA32_APIC_BASE */
#define LAPIC_ID  0x20       /* bits 31:24 */

#define MSR_APIC_BASE    0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_EFER         0xc0000080
#define EFER_LMA         0x400

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/abi.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

void guest_main(const struct boot_info *boot);

/* Is the word on the command line? */
bool has_word(const char *line, const char *word);

/* The number behind "name=", which comes with its equals sign, on the command line; or the default. */
uint64_t option_number(const char *line, const char *name, uint64_t value_default);

void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);

/* Ports. */
static inline void port_write(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t port_read(uint16_t port)
{
	uint8_t value;
	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* Asks for snapshot number n at this instruction. */
static inline void checkpoint(uint8_t n)
{
	port_write(PORT_CHECKPOINT, n);
}

/* Prints to the UART: %s, %lu, %#lx and %% are known. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the machine. */
void finish(uint32_t value) __attribute__((noreturn));

/* Prints what is wrong, and ends with 1. */
void fail(const char *what, uint64_t found, uint64_t expected) __attribute__((noreturn));

/* Fails unless both are the same. */
void expect(const char *what, uint64_t found, uint64_t expected);

/* CPU. */
struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid id;
	__asm__ volatile("cpuid" : "=a"(id.eax), "=b"(id.ebx), "=c"(id.ecx), "=d"(id.edx) : "a"(leaf), "c"(subleaf));
	return id;
}

static inline uint64_t tsc_read(void)
{
	uint32_t low, high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static inline void interrupts_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void interrupts_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* MSRs.  False where the CPU refuses: *ret_value is then unchanged. */
bool msr_read(uint32_t msr, uint64_t *ret_value);
bool msr_write(uint32_t msr, uint64_t value);

/* Traps: exceptions and interrupts. */
struct trap {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss; /* iretq goes back to these */
};

typedef void (*trap_handler)(struct trap *trap);

/* Who handles a vector; NULL: nobody, it is a failure.  Returns who did before. */
trap_handler trap_set(unsigned vector, trap_handler handler);

/* Lets a vector's handler run on a stack of the interrupt stack table; 0: on the stack that is in use. */
void trap_use_ist(unsigned vector, unsigned stack);

/* Is the address on that stack? */
bool trap_on_ist(const void *address, unsigned stack);

/* Loads the GDT and IDT into a further CPU.  It has no task register of its own: interrupt stacks are CPU 0's. */
void trap_load_tables(void);

/*
 * Runs code, which ends with UD2, at CPL 3 with RDI = area and RDX:RAX = value; returns its RAX.  A host whose KVM
 * emulates all of a guest's kernel code knows few instructions there, but runs CPL 3 on the CPU.
 */
uint64_t user_run(const void *code, void *area, uint64_t value);

/* The local APIC through its memory page (SDM volume 3, 11.4). */
#define LAPIC_TPR           0x80
#define LAPIC_EOI           0xb0
#define LAPIC_SVR           0xf0
#define LAPIC_ISR           0x100 /* eight registers, 16 bytes apart, a bit a vector; IRR likewise */
#define LAPIC_IRR           0x200
#define LAPIC_ICR_LOW       0x300
#define LAPIC_ICR_HIGH      0x310
#define LAPIC_LVT_TIMER     0x320
#define LAPIC_LVT_LINT0     0x350
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE  0x3e0

#define LAPIC_ICR_NMI     0x400
#define LAPIC_ICR_INIT    0x500
#define LAPIC_ICR_STARTUP 0x600
#define LAPIC_ICR_ASSERT  0x4000
#define LAPIC_LVT_MASKED  0x10000

#define VECTOR_SPURIOUS 0x3f

static inline uint32_t lapic_read(uint32_t offset)
{
	uint32_t value;
	__asm__ volatile("movl (%1), %0" : "=r"(value) : "r"((uint64_t)LAPIC_GPA + offset) : "memory");
	return value;
}

static inline void lapic_write(uint32_t offset, uint32_t value)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(value), "r"((uint64_t)LAPIC_GPA + offset) : "memory");
}

/* Switches this CPU's local APIC on. */
void lapic_enable(void);

/* Sends an interrupt command, of a vector or one of LAPIC_ICR_*, to the CPU with that APIC id. */
void lapic_send(uint32_t apic_id, uint32_t command);

static inline void lapic_end_of_interrupt(void)
{
	lapic_write(LAPIC_EOI, 0);
}

/* Is the vector's bit set in LAPIC_ISR or LAPIC_IRR? */
bool lapic_has(uint32_t bits, unsigned vector);

/*
 * A bounded wait.  What counts is the TSC's progress between two looks; a jump of the TSC, as by a restore, counts
 * nothing, and each look counts one, so that a wait ends whatever the TSC does.
 *	struct patience patience = patience_start();
 *	while (!done && patience_left(&patience))
 *		;
 */
struct patience {
	uint64_t last, spent;
};

struct patience patience_start(void);
bool patience_left(struct patience *patience);

/* Waits until *counter is at least value; false where that did not happen. */
bool wait_for(const volatile uint64_t *counter, uint64_t value);

/* Lets about that many TSC ticks go by. */
void wait_ticks(uint64_t ticks);

/* TSC ticks of a time; where the host does not say how fast the TSC is, 2 GHz is taken. */
uint64_t ticks_of_us(const struct boot_info *boot, uint64_t us);
#endif

#endif
