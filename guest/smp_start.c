/* Further CPUs: from the first one's start-up interrupt to cpu_main(). */
#include "lib.h"
#include "smp.h"

#define INIT_US       200
#define STARTUP_TRIES 2
#define CR4_BOOT      0x620 /* PAE, OSFXSR, OSXMMEXCPT: abi.h */

extern uint8_t trampoline[], trampoline_end[], trampoline_gdt[], trampoline_cr0[], trampoline_cr4[], trampoline_efer[];

uint8_t stacks[CPUS_MAX * STACK_SIZE] __attribute__((aligned(16)));

/* Where a variable of the trampoline stands in the copy. */
static void *in_copy(const uint8_t *variable)
{
	return (void *)(TRAMPOLINE_GPA + (uint64_t)(variable - trampoline));
}

void smp_prepare(void)
{
	uint64_t cr0, efer = 0;
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} gdt;
	__asm__ volatile("movq %%cr0, %0; sgdt %1" : "=r"(cr0), "=m"(gdt));
	msr_read(MSR_EFER, &efer);
	for (uint8_t *from = trampoline, *to = in_copy(trampoline); from < trampoline_end; from++, to++)
		*(volatile uint8_t *)to = *from;
	*(volatile uint32_t *)in_copy(trampoline_cr0) = (uint32_t)cr0;
	*(volatile uint32_t *)in_copy(trampoline_cr4) = CR4_BOOT;
	*(volatile uint32_t *)in_copy(trampoline_efer) = (uint32_t)efer & ~EFER_LMA;
	*(volatile uint16_t *)in_copy(trampoline_gdt) = gdt.limit;
	*(volatile uint32_t *)in_copy(trampoline_gdt + 2) = (uint32_t)gdt.base;
}

/* INIT, then the start-up interrupt, again where the first is lost (SDM volume 3, 9.4.4.1). */
void smp_wake(const struct boot_info *boot, uint32_t id, const volatile uint64_t *is_up)
{
	lapic_send(id, LAPIC_ICR_INIT | LAPIC_ICR_ASSERT);
	wait_ticks(ticks_of_us(boot, INIT_US));
	for (unsigned i = 0; i < STARTUP_TRIES && *is_up == 0; i++) {
		lapic_send(id, LAPIC_ICR_STARTUP | LAPIC_ICR_ASSERT | TRAMPOLINE_GPA >> 12);
		if (wait_for(is_up, 1))
			break;
	}
	expect("further CPU is up", *is_up, 1);
}
