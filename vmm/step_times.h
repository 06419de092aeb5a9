/*
 * When which step was done, for --trace-time: a list that costs one clock reading a step, printed as a table.
 */
#ifndef STASIS_VMM_STEP_TIMES_H
#define STASIS_VMM_STEP_TIMES_H

#include <stdint.h>
#include <stdio.h>

#define STEP_TIMES_MAX 128

struct step_times {
	int64_t start_ns; /* CLOCK_MONOTONIC */
	struct step_time {
		const char *what, *name; /* "put", "sregs"; static, name may be "" */
		int64_t ns;              /* CLOCK_MONOTONIC, when it was done */
	} steps[STEP_TIMES_MAX];
	unsigned nr;
};

/* Starts the clock. */
void step_times_start(struct step_times *times);

/* Notes that a step is done; what is more than STEP_TIMES_MAX is dropped. */
void step_times_add(struct step_times *times, const char *what, const char *name);

/* A line a step: microseconds since the start, microseconds of the step, the step. */
void step_times_print(FILE *out, const struct step_times *times);

#endif
