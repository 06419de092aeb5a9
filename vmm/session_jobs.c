#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "console.h"
#include "now.h"
#include "session_state.h"

#define PROGRESS_US 100000 /* between two looks at how far a snapshot is */

static void say_none(const struct session *session, const struct error *err)
{
	session_say(session, "no snapshot: %s; the guest goes on", err->text);
}

static bool is_to_stdout(const struct session *session)
{
	return strcmp(session->options->snapshot, "-") == 0;
}

/* The file of the next snapshot: FILE, then FILE.1, FILE.2, ... */
static int next_path(const struct session *session, char *ret, size_t size, struct error *err)
{
	const char *base = session->options->snapshot;
	assert(base != NULL); /* --at is refused without it, and so is the key */
	if (session->nr_taken > 0 && is_to_stdout(session))
		return error_set(err, ERROR_USAGE, "standard output has one already");
	int n = session->nr_taken == 0 ? snprintf(ret, size, "%s", base)
				       : snprintf(ret, size, "%s.%u", base, session->nr_taken);
	if (n < 0 || (size_t)n >= size)
		return error_set(err, ERROR_USAGE, "%s: a name of more than %zu bytes", base, size - 8);
	return 0;
}

/* ---- The job under way ---- */

/* A line on the terminal that the next one replaces. */
static void show_progress(struct session *session, const char *text)
{
	char line[SESSION_PATH_SIZE + 64];
	int n = snprintf(line, sizeof(line), "\r\033[K%s", text);
	console_put(session->messages, line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

static int check_free(const struct session *session, struct error *err)
{
	if (session->saving != NULL)
		return error_set(err, ERROR_NOT_NOW, "the snapshot to %s, job %u, is under way", session->job_file,
				 session->nr_jobs);
	if (session->rewind != NULL || session->options->rewind_every != 0)
		return error_set(err, ERROR_NOT_NOW,
				 "a point to rewind to is set, which needs to know alone what the guest writes%s",
				 session->options->rewind_every != 0 ? "" : "; rewind --drop forgets it");
	return 0;
}

int session_start_saving(struct session *session, const char *path, bool is_incremental, struct error *err)
{
	int status = check_free(session, err);
	if (status == 0 && strlen(path) >= sizeof(session->job_file))
		status = error_set(err, ERROR_USAGE, "%s: a name of more than %zu bytes", path,
				   sizeof(session->job_file) - 1);
	if (status == 0)
		status = saving_begin(&session->saving, session->vm, session->track, is_incremental, path,
				      session->saved_fd, err);
	if (status < 0)
		return status;
	memcpy(session->job_file, path, strlen(path) + 1);
	session->nr_jobs++;
	session->is_numbered = session->is_asked_for = false;
	return 0;
}

const struct job_result *session_result(const struct session *session, unsigned number)
{
	const struct job_result *result = &session->results[number % SESSION_RESULTS];
	return number != 0 && result->number == number ? result : NULL;
}

void session_end_job(struct session *session, const char *why)
{
	struct job_result *result = &session->results[session->nr_jobs % SESSION_RESULTS];
	struct error err;
	if (session->saving == NULL)
		return;
	if (session->progress_us != 0)
		show_progress(session, "");
	session->progress_us = 0;
	result->number = session->nr_jobs;
	result->kind = "snapshot";
	memcpy(result->file, session->job_file, sizeof(result->file));
	int status = saving_end(session->saving, why, &result->counts, result->text, sizeof(result->text), &err);
	session->saving = NULL;
	session->is_awaited = session->is_asked_for;
	result->code = status < 0 ? err.code : ERROR_NONE;
	if (status < 0) {
		snprintf(result->text, sizeof(result->text), "%s", err.text);
		say_none(session, &err);
		return;
	}
	session->nr_taken += session->is_numbered;
	session->nr_snapshots++;
	session_say(session, "%s", result->text);
}

void session_step_job(struct session *session)
{
	char text[SESSION_PATH_SIZE];
	if (session->saving == NULL)
		return;
	if (saving_step(session->saving) == SAVING_OVER) {
		session_end_job(session, NULL);
		return;
	}
	if (now_us() - session->progress_us < PROGRESS_US || !isatty(STDERR_FILENO) ||
	    !saving_progress(session->saving, text, sizeof(text)))
		return;
	show_progress(session, text);
	session->progress_us = now_us();
}

/* ---- Snapshots to --snapshot's file ---- */

/* Of a machine that is paused and stays so until it is written. */
static int take_snapshot(struct session *session, struct error *err)
{
	char path[SESSION_PATH_SIZE];
	int64_t start = now_us();
	session_end_job(session, "given up for one at an exact instruction");
	int status = next_path(session, path, sizeof(path), err);
	if (status == 0)
		status = snapshot_take(session->vm, session->track, path, err);
	if (status < 0)
		return status;
	session->nr_taken++;
	session->nr_snapshots++;
	const char *name = strcmp(path, "-") == 0 ? "standard output" : path;
	if (session->options->go_on)
		session_say(session, "snapshot written to %s: guest paused for %.1f ms", name,
			    (double)(now_us() - start) / 1000);
	else
		session_say(session, "snapshot written to %s", name);
	return 0;
}

/* Of a machine that runs and goes on. */
static void start_numbered(struct session *session)
{
	char path[SESSION_PATH_SIZE];
	struct error err;
	int status = next_path(session, path, sizeof(path), &err);
	if (status == 0)
		status = session_start_saving(session, path, true, &err);
	if (status < 0)
		say_none(session, &err);
	else
		session->is_numbered = true;
}

int session_trigger(struct session *session, struct error *err)
{
	session->taken = true;
	session->deadline_us = 0;
	int status = take_snapshot(session, err);
	if (session->options->go_on) {
		if (status < 0)
			say_none(session, err);
		return 0;
	}
	session->is_over = true;
	return status;
}

/* A guest that is to end stands still from now on: nothing is shorter than that. */
int session_trigger_after(struct session *session, struct error *err)
{
	if (session->options->go_on && !is_to_stdout(session)) {
		session->taken = true;
		session->deadline_us = 0;
		start_numbered(session);
		return 0;
	}
	vm_pause(session->vm);
	int status = session_trigger(session, err);
	if (status == 0 && !session->is_over)
		vm_resume(session->vm);
	return status;
}

void session_snapshot_by_key(struct session *session)
{
	struct error err;
	if (session->options->snapshot == NULL) {
		session_say(session, "no snapshot: name a file with --snapshot FILE");
		return;
	}
	if (!is_to_stdout(session)) {
		start_numbered(session);
		return;
	}
	vm_pause(session->vm);
	if (take_snapshot(session, &err) < 0)
		say_none(session, &err);
	vm_resume(session->vm);
}
