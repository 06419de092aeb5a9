/* What the benchmarks of single parts share: a machine that never runs, and an end with a message. */
#ifndef STASIS_BENCH_MACHINE_H
#define STASIS_BENCH_MACHINE_H

#include <stdint.h>

#include "vmm/vm.h"

/* A machine of one vCPU with all that this host's CPU has, and RAM of that size in bytes.  What fails ends the program.
 */
struct vm *make_machine(uint64_t ram_size);

/* Prints the program's name and what is wrong, and ends it with 1. */
void die(const char *what) __attribute__((noreturn));

#endif
