#include "cpuid_query.h"

#include <assert.h>

static void ask_layout(void *arg)
{
	struct cpuid_query *query = arg;
	cpuid_xsave_layout(&query->xsave_layout);
}

static void ask_supported(void *arg)
{
	struct cpuid_query *query = arg;
	query->status = cpuid_supported(query->kvm_fd, &query->supported, &query->error);
}

void cpuid_query_start(struct cpuid_query *query, struct worker *worker, int kvm_fd)
{
	query->kvm_fd = kvm_fd;
	query->worker = worker;
	query->layout_job = worker_do(worker, ask_layout, query);
	query->is_complete = false;
}

void cpuid_query_complete(struct cpuid_query *query)
{
	if (query->is_complete)
		return;
	query->supported_job = worker_do(query->worker, ask_supported, query);
	query->is_complete = true;
}

const struct cpuid *cpuid_query_xsave_layout(const struct cpuid_query *query)
{
	worker_wait(query->worker, query->layout_job);
	return &query->xsave_layout;
}

int cpuid_query_supported(const struct cpuid_query *query, const struct cpuid **ret, struct error *err)
{
	assert(query->is_complete);
	worker_wait(query->worker, query->supported_job);
	if (query->status < 0) {
		*err = query->error;
		return query->status;
	}
	*ret = &query->supported;
	return 0;
}

void cpuid_query_done(struct cpuid_query *query)
{
	if (query->worker != NULL)
		worker_wait(query->worker, query->is_complete ? query->supported_job : query->layout_job);
}
