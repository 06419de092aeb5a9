/*
 * What a guest can rely on: the ports and the memory that it finds.  Assembly, C guests, the VMM and the tests
 * all include this file; it is the one place for each of these numbers.
 */
#ifndef STASIS_GUEST_ABI_H
#define STASIS_GUEST_ABI_H

/* Ports. */
#define PORT_UART             0x3f8 /* 16550A, eight ports, IRQ 4 */
#define PORT_UART_COUNT       8
#define UART_IRQ              4
#define PORT_DEBUG_BOCHS      0xe9  /* a byte written appears on the console; reads give 0xe9 */
#define PORT_DEBUG_SEABIOS    0x402 /* likewise: SeaBIOS looks for the 0xe9 before it prints */
#define PORT_EXIT             0xf4  /* 4 bytes wide, as QEMU's isa-debug-exit: the status becomes (value << 1) | 1 */
#define PORT_EXIT_COUNT       4
#define PORT_CHECKPOINT       0xf8 /* write N: snapshot number N at this instruction; read: see below */
#define CHECKPOINT_RESTORED   0x80 /* read: this machine is a restored one */
#define CHECKPOINT_TAKEN_MASK 0x7f /* read: how many snapshots were taken */
#define PORT_KEYBOARD         0x64 /* write 0xfe: reset */
#define KEYBOARD_RESET        0xfe
#define PORT_RESET            0xcf9 /* write with bit 2 set: reset (PIIX3, RCR) */
#define RESET_CPU             0x04
#define PORT_GENERATION       0x520 /* read: 16 bytes that are others in each restored or cloned machine */
#define PORT_GENERATION_COUNT 16

/*
 * Where a real-mode image is loaded unless told otherwise, with CS:IP = 0:7C00 and DL = 80h, as a BIOS does.
 */
#define REAL_LOAD_GPA   0x7c00
#define REAL_BOOT_DRIVE 0x80

/*
 * A flat long-mode or ELF64 image is entered in 64-bit mode, CPL 0, paging on, interrupts off, with
 *   RDI = BOOT_INFO_GPA, RSP = BOOT_STACK_GPA, all other GPRs 0,
 *   CS = BOOT_CODE_SELECTOR, SS DS ES FS GS = BOOT_DATA_SELECTOR, flat; IDT limit 0,
 *   CR0 = PG | NE | ET | MP | PE, CR4 = PAE | OSFXSR | OSXMMEXCPT, EFER = LME | LMA | NXE where the CPU has NX,
 *   and the first 4 GiB mapped one to one by 2 MiB pages, writable, supervisor, accessed and dirty.
 * Below 1 MiB, only what stands here is used; the rest is the guest's.
 */
#define BOOT_INFO_GPA   0x0500
#define BOOT_GDT_GPA    0x1000
#define BOOT_PML4_GPA   0x2000 /* then the PDPT at 0x3000 and four page directories up to 0x8000 */
#define BOOT_TABLES_END 0x8000
#define BOOT_STACK_GPA  0x80000  /* grows down */
#define LONG_LOAD_GPA   0x100000 /* where a flat long-mode image is loaded and entered unless told otherwise */

#define BOOT_CODE_SELECTOR   0x08
#define BOOT_DATA_SELECTOR   0x10
#define BOOT_CODE32_SELECTOR 0x18 /* for guests that go back to 32-bit code */

#define BOOT_INFO_MAGIC        0x5349534154530a01
#define BOOT_INFO_COMMAND_LINE 512 /* bytes, the final 0 included */

/* How the machine's interrupts arrive: boot_info.irqchip, and --irqchip of the command line. */
#define IRQCHIP_NONE  0 /* none: one vCPU, everything polled */
#define IRQCHIP_SPLIT 1 /* LAPICs in the kernel; no PIC, IOAPIC, PIT */
#define IRQCHIP_FULL  2 /* LAPICs, PIC, IOAPIC and PIT in the kernel */

#ifndef __ASSEMBLER__
#include <stdint.h>

/* What a long-mode guest finds at BOOT_INFO_GPA, its address in RDI. */
struct boot_info {
	uint64_t magic;    /* BOOT_INFO_MAGIC */
	uint64_t ram_low;  /* bytes of RAM from 0 up, below 4 GiB */
	uint64_t ram_high; /* bytes of RAM from 4 GiB up */
	uint32_t nr_vcpus; /* their APIC ids are 0 to nr_vcpus - 1 */
	uint32_t irqchip;  /* IRQCHIP_* */
	uint64_t tsc_khz;  /* 0 where the host does not say */
	char command_line[BOOT_INFO_COMMAND_LINE];
};
#endif

#endif
