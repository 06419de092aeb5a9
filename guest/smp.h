/* Guests with several CPUs: what they share with smp_start.c and the trampoline. */
#ifndef STASIS_GUEST_SMP_H
#define STASIS_GUEST_SMP_H

#define TRAMPOLINE_GPA 0x8000 /* BOOT_TABLES_END; a start-up IPI names it by its page number */
#define STACK_SIZE     4096   /* of a further CPU */
#define CPUS_MAX       16

#ifndef __ASSEMBLER__
#include "lib.h"

/* The guest's own: where a further CPU begins, with interrupts off and on a stack of its own. */
void cpu_main(uint32_t id) __attribute__((noreturn));

/* Puts the trampoline into place; once, before the first smp_wake(). */
void smp_prepare(void);

/* Starts a further CPU and waits until it has set *is_up. */
void smp_wake(const struct boot_info *boot, uint32_t id, const volatile uint64_t *is_up);
#endif

#endif
