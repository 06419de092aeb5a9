#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "console.h"
#include "now.h"
#include "session_state.h"

#define PROGRESS_US       100000 /* between two looks at how far a job is */
#define PROGRESS_MS       100
#define PROGRESS_AFTER_US 500000 /* what is over sooner is not shown */

static void say_none(const struct session *session, const struct error *err)
{
	session_say(session, "no snapshot: %s%s", err->text, session->is_over ? "" : "; the guest goes on");
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

/* ---- Jobs ---- */

/* A line on the terminal that the next one replaces. */
static void show_progress(struct session *session, const char *text)
{
	char line[SESSION_TEXT_SIZE + 16];
	int n = snprintf(line, sizeof(line), "\r\033[K%s", text);
	console_put(session->messages, line, n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

bool session_has_job(const struct session *session)
{
	return session->saving != NULL || session->outgoing != NULL;
}

bool session_job_holds(const struct session *session)
{
	return session->outgoing != NULL && outgoing_holds(session->outgoing);
}

int session_check_idle(const struct session *session, struct error *err)
{
	if (!session_has_job(session))
		return session_check_arrival(session, err);
	return error_set(err, ERROR_NOT_NOW, "the %s to %s, job %u, is under way",
			 session->saving != NULL ? "snapshot" : "migration", session->job_target, session->nr_jobs);
}

/* May a job begin that needs to know what the guest writes? */
static int check_free(const struct session *session, const char *target, struct error *err)
{
	int status = session_check_idle(session, err);
	if (status < 0)
		return status;
	if (session->rewind != NULL || session->options->rewind_every != 0)
		return error_set(err, ERROR_NOT_NOW,
				 "a point to rewind to is set, which needs to know alone what the guest writes%s",
				 session->options->rewind_every != 0 ? "" : "; rewind --drop forgets it");
	if (strlen(target) >= sizeof(session->job_target))
		return error_set(err, ERROR_USAGE, "%s: a name of more than %zu bytes", target,
				 sizeof(session->job_target) - 1);
	return 0;
}

static void begin_job(struct session *session, const char *target)
{
	memcpy(session->job_target, target, strlen(target) + 1);
	session->job_us = now_us();
	session->nr_jobs++;
	session->is_numbered = session->is_asked_for = false;
}

int session_start_saving(struct session *session, const char *path, bool is_incremental, struct error *err)
{
	int status = check_free(session, path, err);
	if (status == 0)
		status = saving_begin(&session->saving, session->vm, session->track, is_incremental, path,
				      session->saved_fd, err);
	if (status == 0)
		begin_job(session, path);
	return status;
}

/* Whatever else may block a read or a write for ever. */
static bool is_connection(int fd)
{
	struct stat is;
	return fstat(fd, &is) == 0 && (S_ISSOCK(is.st_mode) || S_ISFIFO(is.st_mode));
}

static void close_both(int in_fd, int out_fd)
{
	close(in_fd);
	if (out_fd != in_fd)
		close(out_fd);
}

int session_check_connection(const char *request, const char *target, int in_fd, int out_fd, struct error *err)
{
	if (is_connection(in_fd) && is_connection(out_fd))
		return 0;
	close_both(in_fd, out_fd);
	return error_set(err, ERROR_USAGE, "%s %s: expected a socket, or two pipes", request, target);
}

/* Of a machine that is elsewhere, and lacks pages there. */
static int go_on_migrating(struct session *session, int in_fd, int out_fd, uint64_t bandwidth, struct error *err)
{
	int status = outgoing_rejoin(session->departed, in_fd, out_fd, bandwidth, err);
	if (status < 0)
		return status;
	session->outgoing = session->departed;
	session->departed = NULL;
	return 0;
}

int session_start_migrating(struct session *session, const char *target, int in_fd, int out_fd,
			    const struct outgoing_options *options, struct error *err)
{
	int status = check_free(session, target, err);
	if (status < 0) {
		close_both(in_fd, out_fd);
		return status;
	}
	status = session_check_connection("migrate", target, in_fd, out_fd, err);
	if (status < 0)
		return status;
	if (session->departed != NULL)
		status = go_on_migrating(session, in_fd, out_fd, options->bandwidth, err);
	else
		status = outgoing_begin(&session->outgoing, session->vm, session->track, in_fd, out_fd, options, err);
	if (status == 0)
		begin_job(session, target);
	return status;
}

void session_forget_departed(struct session *session)
{
	outgoing_free(session->departed);
	session->departed = NULL;
}

void session_job_wants(const struct session *session, struct pollfd ret[SESSION_JOB_FDS], int *timeout_ms)
{
	int wanted_ms = *timeout_ms;
	ret[0] = (struct pollfd){ .fd = session->saving != NULL ? session->saved_fd : -1, .events = POLLIN };
	ret[1] = (struct pollfd){ .fd = -1 };
	if (session->outgoing != NULL)
		outgoing_wants(session->outgoing, ret, &wanted_ms);
	else if (session->saving != NULL)
		wanted_ms = saving_is_copying(session->saving) ? 0 : PROGRESS_MS;
	if (wanted_ms < *timeout_ms)
		*timeout_ms = wanted_ms;
}

const struct job_result *session_result(const struct session *session, unsigned number)
{
	const struct job_result *result = &session->results[number % SESSION_RESULTS];
	return number != 0 && result->number == number ? result : NULL;
}

static int end_saving(struct session *session, const char *why, struct job_result *result, struct error *err)
{
	int status = saving_end(session->saving, why, &result->counts, result->text, sizeof(result->text), err);
	session->saving = NULL;
	if (status < 0) {
		say_none(session, err);
		return status;
	}
	session->nr_taken += session->is_numbered;
	session->nr_snapshots++;
	session_say(session, "%s", result->text);
	return 0;
}

static void describe_move(const struct session *session, const struct outgoing_numbers *numbers, char *ret, size_t size)
{
	snprintf(ret, size, "moved to %s: %.1f MiB for %.1f MiB of RAM in %u rounds, guest paused for %.1f ms",
		 session->job_target, (double)numbers->bytes_sent / (1 << 20), (double)numbers->ram_size / (1 << 20),
		 numbers->round + 1, (double)numbers->downtime_us / 1000);
	size_t used = strlen(ret);
	if (numbers->missing_pages > 0)
		snprintf(ret + used, size - used, "; %" PRIu64 " pages came after it, %" PRIu64 " of them asked for",
			 numbers->missing_pages, numbers->asked_pages);
}

/*
 * The target alone decides now, and does so, or is silent for too long, within outgoing_options.patience_us; or it runs
 * the machine, and gets the pages that it needs.
 */
static void await_decision(struct outgoing *outgoing)
{
	struct pollfd fds[SESSION_JOB_FDS];
	int timeout_ms;
	while (!outgoing_step(outgoing)) {
		outgoing_wants(outgoing, fds, &timeout_ms);
		poll(fds, SESSION_JOB_FDS, timeout_ms);
	}
}

static int end_migrating(struct session *session, const char *why, struct job_result *result, struct error *err)
{
	struct error cancelled;
	bool is_given_up = why != NULL && outgoing_cancel(session->outgoing, &cancelled) == 0;
	if (why != NULL && !is_given_up)
		await_decision(session->outgoing);
	enum outgoing_result came = outgoing_result(session->outgoing, err);
	outgoing_numbers(session->outgoing, &result->numbers);
	result->nr_rounds = outgoing_rounds(session->outgoing, result->rounds);
	snprintf(result->remarks, sizeof(result->remarks), "%s", outgoing_remarks(session->outgoing));
	if (is_given_up)
		error_set(err, ERROR_NOT_NOW, "%s", why);
	if (outgoing_can_rejoin(session->outgoing))
		session->departed = session->outgoing;
	else
		outgoing_free(session->outgoing);
	session->outgoing = NULL;
	session->is_in_doubt = came == OUTGOING_IN_DOUBT || (session->is_in_doubt && came == OUTGOING_FAILED);
	if (came == OUTGOING_MOVED) {
		describe_move(session, &result->numbers, result->text, sizeof(result->text));
		session_say(session, "%s", result->text);
		session->is_over = true;
		return 0;
	}
	if (came == OUTGOING_IN_DOUBT || came == OUTGOING_CUT || session->is_paused)
		vm_hold(session->vm);
	error_prefix(err, "migration to %s", session->job_target);
	session_say(session, "%s%s", err->text,
		    session->is_over          ? "; this machine ends"
		    : came == OUTGOING_FAILED ? "; the guest goes on here"
					      : "");
	return -(int)err->code;
}

void session_end_job(struct session *session, const char *why)
{
	struct job_result *result = &session->results[session->nr_jobs % SESSION_RESULTS];
	struct error err;
	if (!session_has_job(session))
		return;
	if (session->progress_us != 0)
		show_progress(session, "");
	session->progress_us = 0;
	*result = (struct job_result){ .number = session->nr_jobs, .elapsed_us = now_us() - session->job_us };
	memcpy(result->target, session->job_target, sizeof(result->target));
	result->kind = session->saving != NULL ? "snapshot" : "migration";
	int status = session->saving != NULL ? end_saving(session, why, result, &err)
					     : end_migrating(session, why, result, &err);
	session->is_awaited = session->is_asked_for;
	result->code = status < 0 ? err.code : ERROR_NONE;
	if (status < 0)
		snprintf(result->text, sizeof(result->text), "%s", err.text);
}

int session_cancel_job(struct session *session, struct error *err)
{
	struct outgoing_numbers numbers;
	if (!session_has_job(session))
		return error_set(err, ERROR_NOT_NOW, "cancel: nothing is under way");
	if (session->saving != NULL && !saving_is_copying(session->saving))
		return error_set(err, ERROR_NOT_NOW, "cancel: the snapshot to %s is taken and on its way to the disk",
				 session->job_target);
	if (session->outgoing != NULL)
		outgoing_numbers(session->outgoing, &numbers);
	if (session->outgoing != NULL && numbers.phase >= OUTGOING_COMMITTED)
		return error_set(err, ERROR_NOT_NOW, "cancel: the target of the migration to %s %s",
				 session->job_target,
				 numbers.phase == OUTGOING_SERVING ? "runs the machine" : "decides already");
	session_end_job(session, "given up, as a client asked for");
	return 0;
}

static bool describe_progress(const struct session *session, char *ret, size_t size)
{
	struct outgoing_numbers numbers;
	if (session->saving != NULL)
		return saving_progress(session->saving, ret, size);
	if (now_us() - session->job_us < PROGRESS_AFTER_US)
		return false;
	outgoing_numbers(session->outgoing, &numbers);
	snprintf(ret, size, "migration to %s: %s, %.1f MiB sent, round %u", session->job_target,
		 outgoing_phase_name(numbers.phase), (double)numbers.bytes_sent / (1 << 20), numbers.round + 1);
	return true;
}

void session_step_job(struct session *session)
{
	char text[SESSION_TEXT_SIZE];
	if (!session_has_job(session))
		return;
	if (session->saving != NULL ? saving_step(session->saving) == SAVING_OVER : outgoing_step(session->outgoing)) {
		session_end_job(session, NULL);
		return;
	}
	if (now_us() - session->progress_us < PROGRESS_US || !isatty(STDERR_FILENO) ||
	    !describe_progress(session, text, sizeof(text)))
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
	if (session_check_idle(session, &err) < 0) {
		say_none(session, &err);
		return;
	}
	vm_pause(session->vm);
	if (take_snapshot(session, &err) < 0)
		say_none(session, &err);
	vm_resume(session->vm);
}
