#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "vmm/worker.h"

#define JOBS 3

static unsigned order[WORKER_JOBS_MAX];
static _Atomic unsigned nr_done;
static pthread_t done_by;

static void note(void *arg)
{
	order[nr_done++] = (unsigned)(uintptr_t)arg;
	done_by = pthread_self();
}

START_TEST(jobs_are_done_in_order_beside)
{
	struct worker worker;
	unsigned last = 0;
	nr_done = 0;
	worker_start(&worker);
	for (unsigned i = 0; i < JOBS; i++)
		last = worker_do(&worker, note, (void *)(uintptr_t)(i + 10));
	worker_wait(&worker, last);
	ck_assert_uint_eq(nr_done, JOBS);
	for (unsigned i = 0; i < JOBS; i++)
		ck_assert_uint_eq(order[i], i + 10);
	ck_assert(!pthread_equal(done_by, pthread_self()));
	worker_end(&worker);
	worker_end(&worker);
}
END_TEST

START_TEST(the_end_comes_after_the_last_job)
{
	struct worker worker;
	nr_done = 0;
	worker_start(&worker);
	for (unsigned i = 0; i < WORKER_JOBS_MAX; i++)
		worker_do(&worker, note, NULL);
	worker_end(&worker);
	ck_assert_uint_eq(nr_done, WORKER_JOBS_MAX);
}
END_TEST

START_TEST(without_a_thread_the_caller_works)
{
	struct worker worker;
	nr_done = 0;
	worker_start(&worker);
	worker_end(&worker);
	unsigned job = worker_do(&worker, note, NULL);
	ck_assert_uint_eq(nr_done, 1);
	ck_assert(pthread_equal(done_by, pthread_self()));
	worker_wait(&worker, job);
}
END_TEST

UNIT_MAIN("worker", jobs_are_done_in_order_beside, the_end_comes_after_the_last_job, without_a_thread_the_caller_works)
