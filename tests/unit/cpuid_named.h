/* CPUID's features by their names, which must be known, for tests. */
#ifndef STASIS_TESTS_CPUID_NAMED_H
#define STASIS_TESTS_CPUID_NAMED_H

#include <check.h>

#include "vmm/cpuid.h"

static inline struct cpuid_bit cpuid_named(const char *name)
{
	struct cpuid_bit ret;
	ck_assert_msg(cpuid_feature(name, &ret), "%s is no feature", name);
	return ret;
}

static inline bool has_named(const struct cpuid *cpuid, const char *name)
{
	return cpuid_has(cpuid, cpuid_named(name));
}

static inline void change_named(struct cpuid *cpuid, const char *name, bool on)
{
	cpuid_change(cpuid, cpuid_named(name), on);
}

#endif
