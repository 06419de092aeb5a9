/*
 * The clock that everything here that takes time is measured by.
 */
#ifndef STASIS_VMM_NOW_H
#define STASIS_VMM_NOW_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds, and microseconds, of CLOCK_MONOTONIC. */
static inline int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#endif
