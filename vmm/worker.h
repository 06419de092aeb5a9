/*
 * A thread that does jobs, one after the other, beside the main one: what need not be waited for while a machine is
 * made, and then the machine's control.
 */
#ifndef STASIS_VMM_WORKER_H
#define STASIS_VMM_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#define WORKER_JOBS_MAX 8

struct worker {
	pthread_t thread;
	bool has_thread; /* without one, the caller does the jobs itself */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct {
		void (*run)(void *arg);
		void *arg;
	} jobs[WORKER_JOBS_MAX];
	unsigned nr_jobs, nr_done;
	bool is_ending;
};

void worker_start(struct worker *worker);

/* Adds a job, WORKER_JOBS_MAX at most in all; returns its number, for worker_wait(). */
unsigned worker_do(struct worker *worker, void (*run)(void *arg), void *arg);

/* Waits until the job of this number is done. */
void worker_wait(struct worker *worker, unsigned number);

/* Waits until all jobs are done, and ends the thread. */
void worker_end(struct worker *worker);

#endif
