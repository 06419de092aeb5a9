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
	bool is_complete; /* supported_job was given to the worker */
	int status;
	struct error error;
	struct cpuid supported, xsave_layout;
};

/* Starts it, on a descriptor that stays open until its end: asks for cpuid_xsave_layout(). */
void cpuid_query_start(struct cpuid_query *query, struct worker *worker, int kvm_fd);

/*
 * Asks for cpuid_supported(), too.  KVM answers in one piece, and its CPU does nothing else until then.  Making slots
 * and controllers waits for grace periods of SRCU, whose last step is work for the CPU that was booted first
 * (kernel/rcu/srcutree.c, call_srcu()): so ask when those are made.
 */
void cpuid_query_complete(struct cpuid_query *query);

/* Waits for cpuid_xsave_layout()'s result, which comes first. */
const struct cpuid *cpuid_query_xsave_layout(const struct cpuid_query *query);

/* Waits for cpuid_supported()'s result, or its error. */
int cpuid_query_supported(const struct cpuid_query *query, const struct cpuid **ret, struct error *err);

/* Waits for the end, whatever came of it.  Takes a query that was not started, whose worker is NULL. */
void cpuid_query_done(struct cpuid_query *query);

#endif
