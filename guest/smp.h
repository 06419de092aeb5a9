/* What smp.c and its trampoline share. */
#ifndef STASIS_GUEST_SMP_H
#define STASIS_GUEST_SMP_H

#define TRAMPOLINE_GPA 0x8000 /* BOOT_TABLES_END; a start-up IPI names it by its page number */
#define STACK_SIZE     4096   /* of a further CPU */
#define CPUS_MAX       16

#endif
