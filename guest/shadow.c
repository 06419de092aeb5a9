/*
 * shadow: shadow stacks at CPL 0 and CPL 3, across snapshots.  Each checkpoint lies inside calls that are NEST_LEVELS
 * deep; behind it every RET is checked by the CPU, and a #CP or #PF ends the machine.
 * On the command line: "page-at-0": address 0 is a page of a shadow stack, too, with nothing on it; "wait=N": behind
 * checkpoint N, inside those calls, it waits to be moved.
 */
#include "lib.h"

#include "shadow.h"

#define CPUID_7_ECX_SHSTK (1u << 7)
#define CR0_WP            (1ull << 16) /* CR4.CET needs it (SDM volume 3, 2.5) */
#define CR4_CET           (1ull << 23)
#define XSS_CET           0x1800 /* CET_U and CET_S */
#define TOKEN_BUSY        1      /* SDM volume 1, 17.2.3 */

/* Of shadow_run.S. */
uint64_t nest(uint64_t port, uint64_t number);
uint64_t nest_supervisor(uint64_t port, uint64_t number);
void user_enter(uint64_t port, uint64_t number, void *stack);
void user_leave(uint64_t token) __attribute__((noreturn));
extern const uint8_t user_middle[], user_end[];

extern const uint8_t bss_start[], bss_end[]; /* long.ld */

uint64_t wait_number; /* of the checkpoint behind which it waits to be moved; 0: none */

#define WAIT_LEVELS 10 /* further calls there */
#define NEST_ALL    ((1u << NEST_LEVELS) - 1)

/*
 * The pages of the shadow stacks.  Here they can be written, as everything is; at WINDOW they are what a shadow stack
 * must be: read-only in their page table entries and dirty all the same (SDM volume 3, 4.6 and 4.8).
 */
enum { STACK_KERNEL, STACK_USER, STACK_FAULT, STACK_BREAKPOINT, STACKS };

#define PAGE_SIZE     4096
#define PAGE_PRESENT  1ull
#define PAGE_WRITABLE 2ull
#define PAGE_USER     4ull
#define PAGE_DIRTY    0x60ull /* and accessed */
#define WINDOW        0x90000ull

static uint64_t stacks[STACKS][PAGE_SIZE / 8] __attribute__((aligned(PAGE_SIZE)));
static uint64_t empty[PAGE_SIZE / 8] __attribute__((aligned(PAGE_SIZE)));
static uint64_t table[PAGE_SIZE / 8] __attribute__((aligned(PAGE_SIZE)));
static uint8_t user_stack_pages[PAGE_SIZE] __attribute__((aligned(16)));

/* IA32_INTERRUPT_SSP_TABLE_ADDR: a token's address for each stack of the interrupt stack table. */
enum { IST_FAULT = 1, IST_BREAKPOINT = 2 };
static uint64_t ssp_table[TRAP_STACKS + 1];

/* The end of a shadow stack, and the address of the token that stands there; free, it holds that address. */
static uint64_t end_of(unsigned stack)
{
	return WINDOW + (stack + 1) * PAGE_SIZE;
}

static uint64_t token_of(unsigned stack)
{
	return end_of(stack) - 8;
}

static void expect_token(const char *what, unsigned stack, uint64_t busy)
{
	expect(what, *(const volatile uint64_t *)&stacks[stack][PAGE_SIZE / 8 - 1], token_of(stack) | busy);
}

static uint64_t ssp_read(void)
{
	uint64_t ssp;
	__asm__ volatile("rdsspq %0" : "=r"(ssp));
	return ssp;
}

/* The first 2 MiB by 4 KiB pages. */
static void map_stacks(bool page_at_0)
{
	volatile uint64_t *directory = (volatile uint64_t *)(BOOT_PML4_GPA + 2 * PAGE_SIZE);
	for (uint64_t i = 0; i < ARRAY_SIZE(table); i++)
		table[i] = i * PAGE_SIZE | PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER | PAGE_DIRTY;
	for (unsigned i = 0; i < STACKS; i++) {
		stacks[i][PAGE_SIZE / 8 - 1] = token_of(i);
		table[WINDOW / PAGE_SIZE + i] = (uint64_t)stacks[i] | PAGE_PRESENT | PAGE_DIRTY;
	}
	table[WINDOW / PAGE_SIZE + STACK_USER] |= PAGE_USER;
	if (page_at_0)
		table[0] = (uint64_t)empty | PAGE_PRESENT | PAGE_DIRTY;
	directory[0] = (uint64_t)table | PAGE_PRESENT | PAGE_WRITABLE | PAGE_USER;
	__asm__ volatile("movq %%cr3, %%rax; movq %%rax, %%cr3" : : : "rax", "memory");
}

static uint64_t cr4_read(void)
{
	uint64_t value;
	__asm__ volatile("movq %%cr4, %0" : "=r"(value));
	return value;
}

/* Registers that stay as they are once shadow stacks are on. */
static struct item {
	const char *name;
	uint32_t msr;
	uint64_t value;
} items[] = {
	/* clang-format off */
	{ "IA32_XSS",         MSR_XSS,         XSS_CET },
	{ "IA32_U_CET",       MSR_U_CET,       CET_SH_STK_EN },
	{ "IA32_PL0_SSP",     MSR_PL0_SSP,     WINDOW + (STACK_KERNEL + 1) * PAGE_SIZE - 8 },
	{ "IA32_INT_SSP_TAB", MSR_INT_SSP_TAB, 0 /* of ssp_table */ },
	/* clang-format on */
};

static void items_write(void)
{
	items[ARRAY_SIZE(items) - 1].value = (uint64_t)ssp_table;
	ssp_table[IST_FAULT] = token_of(STACK_FAULT);
	ssp_table[IST_BREAKPOINT] = token_of(STACK_BREAKPOINT);
	for (unsigned i = 0; i < ARRAY_SIZE(items); i++)
		expect(items[i].name, msr_write(items[i].msr, items[i].value), true);
	expect("IA32_PL3_SSP", msr_write(MSR_PL3_SSP, end_of(STACK_USER)), true);
}

static void expect_msr(const char *name, uint32_t msr, uint64_t expected)
{
	uint64_t value = 0;
	expect(name, msr_read(msr, &value), true);
	expect(name, value, expected);
}

static void items_verify(uint64_t s_cet)
{
	expect("CR4.CET", cr4_read() & CR4_CET, CR4_CET);
	expect_msr("IA32_S_CET", MSR_S_CET, s_cet);
	for (unsigned i = 0; i < ARRAY_SIZE(items); i++)
		expect_msr(items[i].name, items[i].msr, items[i].value);
}

/* What ends the machine. */

static void control_handler(struct trap *trap)
{
	print("shadow: #CP, error code %#lx, RIP %#lx\n", trap->error, trap->rip);
	finish(1);
}

static void page_fault_handler(struct trap *trap)
{
	uint64_t cr2;
	__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
	print("shadow: #PF, error code %#lx, CR2 %#lx, RIP %#lx\n", trap->error, cr2, trap->rip);
	finish(1);
}

static void refused_handler(struct trap *trap)
{
	(void)trap;
	print("shadow: CPUID has SHSTK, and CR4.CET is refused\n");
	finish(1);
}

/* Switches CET on, and nothing of it yet. */
static void cet_start(void)
{
	trap_handler old = trap_set(TRAP_PROTECTION, refused_handler);
	__asm__ volatile("movq %%cr0, %%rax; orq %0, %%rax; movq %%rax, %%cr0" : : "r"(CR0_WP) : "rax", "memory");
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4_read() | CR4_CET) : "memory");
	trap_set(TRAP_PROTECTION, old);
	trap_set(TRAP_CONTROL, control_handler);
	trap_use_ist(TRAP_CONTROL, IST_FAULT);
	trap_set(TRAP_PAGE_FAULT, page_fault_handler);
	trap_use_ist(TRAP_PAGE_FAULT, IST_FAULT);
	items_write();
}

/* CPL 3, and from there through two tokens. */

/*
 * Touches all pages of data.  In a restored machine none is mapped by the host yet, and a VM exit in the middle of what
 * goes through a token can leave it busy too early (SDM volume 3, "prematurely busy shadow stack"), or, on Bochs 3.0,
 * give KVM a wrong instruction length to deliver INT3 again with.
 */
static void touch_data(void)
{
	for (uint64_t at = (uint64_t)bss_start / PAGE_SIZE * PAGE_SIZE; at < (uint64_t)bss_end; at += PAGE_SIZE) {
		volatile uint8_t *page = (volatile uint8_t *)at;
		*page = *page;
	}
}

/*
 * Is this machine a restored one?  Looks from WAIT_LEVELS further calls and on the way back from each, so that SSP is
 * another at each look, and writes pages of data, stacks and shadow stacks all the time: a machine that moves meanwhile
 * has pages left.
 */
static __attribute__((noinline)) bool has_moved(unsigned levels)
{
	bool moved = levels > 0 && has_moved(levels - 1);
	touch_data();
	return (port_read(PORT_CHECKPOINT) & CHECKPOINT_RESTORED) != 0 || moved;
}

/* Waits behind the checkpoint that "wait=" names, at any CPL: nest() calls it there. */
void wait_for_move(void);
void wait_for_move(void)
{
	print("shadow: waits behind checkpoint %lu\n", wait_number);
	while (!has_moved(WAIT_LEVELS))
		;
}

/* What runs at CPL 3: shadow_run.S calls it. */
uint64_t user_code(uint64_t port, uint64_t number);
uint64_t user_code(uint64_t port, uint64_t number)
{
	uint64_t levels = nest(port, number);
	touch_data();
	return levels;
}

/* INT3 in the handler of the exception from CPL 3: by IA32_INTERRUPT_SSP_TABLE_ADDR. */
static void breakpoint_handler(struct trap *trap)
{
	expect("handler on its interrupt stack", trap_on_ist(trap, IST_BREAKPOINT), true);
	expect("page of SSP", ssp_read() / PAGE_SIZE, token_of(STACK_BREAKPOINT) / PAGE_SIZE);
	expect_token("token of the interrupt stack, in use", STACK_BREAKPOINT, TOKEN_BUSY);
	expect("levels of calls on the interrupt stack", nest(PORT_CHECKPOINT, 3), NEST_ALL);
	expect_token("token of the interrupt stack, still in use", STACK_BREAKPOINT, TOKEN_BUSY);
	expect_token("token of the kernel's stack, in use", STACK_KERNEL, TOKEN_BUSY);
	items_verify(CET_SH_STK_EN);
}

/* UD2 at CPL 3: by IA32_PL0_SSP. */
static void user_handler(struct trap *trap)
{
	expect("CS of the exception", trap->cs, USER_CODE_SELECTOR);
	expect("page of SSP", ssp_read() / PAGE_SIZE, token_of(STACK_KERNEL) / PAGE_SIZE);
	expect_token("token of the kernel's stack, in use", STACK_KERNEL, TOKEN_BUSY);
	expect_msr("IA32_PL3_SSP", MSR_PL3_SSP, end_of(STACK_USER));
	if (trap->rip == (uint64_t)user_end)
		user_leave(token_of(STACK_KERNEL));
	expect("RIP of the exception", trap->rip, (uint64_t)user_middle);
	expect("levels of calls at CPL 3", trap->rax, NEST_ALL);
	items_verify(CET_SH_STK_EN);
	print("shadow: %lu calls and returns at CPL 3 around snapshot 2\n", (uint64_t)NEST_LEVELS);
	__asm__ volatile("int3");
	expect_token("token of the interrupt stack, free again", STACK_BREAKPOINT, 0);
	print("shadow: an exception from CPL 3, and one in it, around snapshot 3\n");
	trap->rip = (uint64_t)user_end;
}

static void user(void)
{
	trap_handler old = trap_set(TRAP_UNDEFINED, user_handler);
	trap_set(TRAP_BREAKPOINT, breakpoint_handler);
	trap_use_ist(TRAP_BREAKPOINT, IST_BREAKPOINT);
	user_enter(PORT_CHECKPOINT, 2, user_stack_pages + sizeof(user_stack_pages));
	trap_set(TRAP_UNDEFINED, old);
}

void guest_main(const struct boot_info *boot)
{
	bool page_at_0 = has_word(boot->command_line, "page-at-0");
	wait_number = option_number(boot->command_line, "wait=", 0);
	checkpoint(0);
	if (cpuid(0, 0).eax < 7 || (cpuid(7, 0).ecx & CPUID_7_ECX_SHSTK) == 0) {
		print("shadow: no shadow stacks on this CPU\n");
		return;
	}
	map_stacks(page_at_0);
	cet_start();
	print("shadow: CET is on\n");
	expect("levels of calls", nest_supervisor(PORT_CHECKPOINT, 1), NEST_ALL);
	expect_token("token of the kernel's stack, free again", STACK_KERNEL, 0);
	items_verify(0);
	print("shadow: %lu calls and returns at CPL 0 around snapshot 1\n", (uint64_t)NEST_LEVELS);
	user();
	expect_token("token of the kernel's stack, free at the end", STACK_KERNEL, 0);
	items_verify(0);
	print("shadow: all tokens free again\n");
}
