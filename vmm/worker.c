#include "worker.h"

#include <assert.h>
#include <stddef.h>

static void *work(void *arg)
{
	struct worker *worker = arg;
	pthread_mutex_lock(&worker->lock);
	while (worker->nr_done < worker->nr_jobs || !worker->is_ending) {
		unsigned number = worker->nr_done;
		if (number == worker->nr_jobs) {
			pthread_cond_wait(&worker->changed, &worker->lock);
			continue;
		}
		pthread_mutex_unlock(&worker->lock);
		worker->jobs[number].run(worker->jobs[number].arg);
		pthread_mutex_lock(&worker->lock);
		worker->nr_done++;
		pthread_cond_broadcast(&worker->changed);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

void worker_start(struct worker *worker)
{
	*worker = (struct worker){ .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	worker->has_thread = pthread_create(&worker->thread, NULL, work, worker) == 0;
}

unsigned worker_do(struct worker *worker, void (*run)(void *arg), void *arg)
{
	assert(worker->nr_jobs < WORKER_JOBS_MAX);
	if (!worker->has_thread) {
		run(arg);
		worker->nr_done++;
		return worker->nr_jobs++;
	}
	pthread_mutex_lock(&worker->lock);
	unsigned number = worker->nr_jobs++;
	worker->jobs[number].run = run;
	worker->jobs[number].arg = arg;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
	return number;
}

void worker_wait(struct worker *worker, unsigned number)
{
	pthread_mutex_lock(&worker->lock);
	while (worker->nr_done <= number)
		pthread_cond_wait(&worker->changed, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}

void worker_end(struct worker *worker)
{
	if (!worker->has_thread)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->is_ending = true;
	pthread_cond_broadcast(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
	pthread_join(worker->thread, NULL);
	worker->has_thread = false;
}
