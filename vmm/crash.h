/*
 * When memory that is mapped from a file goes away: one sentence that names the file, instead of a crash.
 */
#ifndef STASIS_VMM_CRASH_H
#define STASIS_VMM_CRASH_H

/* Handles SIGBUS for the life of the process.  One that has another reason ends it as it would without us. */
void crash_guard(void);

#endif
