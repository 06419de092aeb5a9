/*
 * What the host's CPUID is, asked for by a worker: KVM and we ask the CPU hundreds of times for it, which in a virtual
 * machine takes a third of a millisecond; making a VM, meanwhile, takes longer.
 */
#ifndef STASIS_VMM_CPUID_QUERY_H
#define STASIS_VMM_CPUID_QUERY_H

#include "cpuid.h"
#include "worker.h"

struct cpuid_query {
	int kvm_fd;
	struct worker *worker;
	unsigned layout_job, supported_job;
	int status;
	struct error error;
	struct cpuid supported, xsave_layout;
};

/* Starts it, on a descriptor that stays open until its end. */
void cpuid_query_start(struct cpuid_query *query, struct worker *worker, int kvm_fd);

/* Waits for cpuid_xsave_layout()'s result, which comes first. */
const struct cpuid *cpuid_query_xsave_layout(const struct cpuid_query *query);

/* Waits for cpuid_supported()'s result, or its error. */
int cpuid_query_supported(const struct cpuid_query *query, const struct cpuid **ret, struct error *err);

/* Waits for the end, whatever came of it.  Takes a query of zeros, which was not started. */
void cpuid_query_done(struct cpuid_query *query);

#endif
