/*
 * Constants that most runs never read: the texts of errors and of help, the names of registers and their bits.  In the
 * program they are packed (coder.h) and have no more than room in memory, where the first who asks for one has them all
 * unpacked.  What is linked without that step (CMakeLists.txt), tests and examples, has them as they are.
 */
#ifndef STASIS_VMM_COLD_H
#define STASIS_VMM_COLD_H

/* Marks a constant without pointers in it as one of them, or an array of char.  Whoever reads it calls cold_unpack().
 */
#define COLD      __attribute__((section("cold")))
#define COLD_TEXT __attribute__((section("cold"), aligned(1)))

/* From any thread, as often as one likes. */
void cold_unpack(void);

#endif
