#include "saving.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "now.h"
#include "snapshot/live.h"

#define PROGRESS_AFTER_US 500000 /* what is over sooner needs none */

struct saving {
	struct vm *vm;
	struct live *live;
	char *path;
	enum saving_state state;
	int status; /* of SAVING_OVER, with error */
	struct error error;
	int64_t started_us, pause_us;
	struct live_progress progress; /* while another thread is finishing it */
	int done_fd;                   /* the caller's */
	pthread_t thread;
	bool has_thread;
};

static void format_bytes(uint64_t bytes, char *ret, size_t size)
{
	snprintf(ret, size, "%.1f MiB", (double)bytes / (1 << 20));
}

int saving_begin(struct saving **ret, struct vm *vm, struct track *track, bool is_incremental, const char *path,
		 int done_fd, struct error *err)
{
	struct saving *saving = calloc(1, sizeof(*saving));
	if (saving == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a snapshot");
	saving->vm = vm;
	saving->path = strdup(path);
	saving->started_us = now_us();
	saving->done_fd = done_fd;
	int status = 0;
	if (saving->path == NULL)
		status = error_set(err, ERROR_SYSTEM, "no memory for a snapshot's name");
	if (status == 0)
		status = live_begin(&saving->live, vm, track, is_incremental, path, err);
	if (status < 0) {
		free(saving->path);
		free(saving);
		return status;
	}
	*ret = saving;
	return 0;
}

bool saving_is_copying(const struct saving *saving)
{
	return saving->state == SAVING_COPYING;
}

void saving_count(const struct saving *saving, struct saving_counts *ret)
{
	*ret = (struct saving_counts){
		.is_finishing = saving->state == SAVING_FINISHING,
		.progress = saving->progress,
		.elapsed_us = now_us() - saving->started_us,
		.pause_us = saving->pause_us,
	};
	if (saving->state != SAVING_FINISHING)
		live_progress(saving->live, &ret->progress);
}

bool saving_progress(const struct saving *saving, char *ret, size_t size)
{
	struct saving_counts counts;
	const struct live_progress *progress = &counts.progress;
	if (now_us() - saving->started_us < PROGRESS_AFTER_US)
		return false;
	if (saving->state == SAVING_FINISHING) {
		snprintf(ret, size, "snapshot %s: bringing it to the disk", saving->path);
		return true;
	}
	saving_count(saving, &counts);
	uint64_t percent = progress->todo > 0 ? progress->done * 100 / progress->todo : 100;
	snprintf(ret, size, "snapshot %s: %3llu%% of round %u", saving->path,
		 (unsigned long long)(percent < 100 ? percent : 100), progress->round + 1);
	return true;
}

static void describe_result(const struct saving *saving, const struct live_progress *progress, char *ret, size_t size)
{
	char ram[32], written[32];
	format_bytes(progress->ram_size, ram, sizeof(ram));
	format_bytes(progress->written, written, sizeof(written));
	snprintf(ret, size, "snapshot written to %s: %s of %s of RAM%s, guest paused for %.1f ms", saving->path,
		 written, ram, progress->is_incremental ? ", incremental" : "", (double)saving->pause_us / 1000);
}

/* ---- Steps ---- */

static void *finish(void *context)
{
	struct saving *saving = context;
	saving->status = live_finish(saving->live, &saving->error);
	eventfd_write(saving->done_fd, 1);
	return NULL;
}

static void over(struct saving *saving, int status)
{
	saving->state = SAVING_OVER;
	saving->status = status;
}

/* Signals are the main thread's. */
static void start_finishing(struct saving *saving)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	saving->state = SAVING_FINISHING;
	int result = pthread_create(&saving->thread, NULL, finish, saving);
	saving->has_thread = result == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result != 0)
		over(saving, error_set(&saving->error, ERROR_SYSTEM, "starting a thread: %s", strerror(result)));
}

static void take(struct saving *saving)
{
	int64_t start = now_us();
	vm_pause(saving->vm);
	int status = live_take(saving->live, &saving->error);
	vm_resume(saving->vm);
	saving->pause_us = now_us() - start;
	live_progress(saving->live, &saving->progress);
	if (status < 0)
		over(saving, status);
	else
		start_finishing(saving);
}

static void copy(struct saving *saving)
{
	bool is_ready = false;
	int status = live_step(saving->live, &is_ready, &saving->error);
	if (status < 0)
		over(saving, status);
	else if (is_ready)
		take(saving);
}

enum saving_state saving_step(struct saving *saving)
{
	eventfd_t ignored;
	if (saving->state == SAVING_COPYING)
		copy(saving);
	else if (saving->state == SAVING_FINISHING && eventfd_read(saving->done_fd, &ignored) == 0)
		saving->state = SAVING_OVER;
	return saving->state;
}

int saving_end(struct saving *saving, const char *why, struct saving_counts *ret_counts, char *ret_text, size_t size,
	       struct error *err)
{
	eventfd_t ignored;
	if (saving->has_thread) {
		pthread_join(saving->thread, NULL);
		eventfd_read(saving->done_fd, &ignored); /* the next one has it, too */
	} else if (saving->state == SAVING_COPYING) {
		over(saving, error_set(&saving->error, ERROR_NOT_NOW, "%s: %s", saving->path, why));
	}
	int status = saving->status;
	*err = saving->error;
	saving->state = SAVING_OVER;
	saving_count(saving, ret_counts);
	if (status == 0)
		describe_result(saving, &ret_counts->progress, ret_text, size);
	int freed = live_free(saving->live, status == 0, err);
	free(saving->path);
	free(saving);
	return status < 0 ? status : freed;
}
