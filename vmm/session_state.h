/*
 * What the session's files share: session.c, which runs the machine, and what it does beside: session_jobs.c,
 * session_rewind.c, session_control.c.  All of it is the session's thread's, but for what is said to be another's.
 */
#ifndef STASIS_VMM_SESSION_STATE_H
#define STASIS_VMM_SESSION_STATE_H

#include "control.h"
#include "saving.h"
#include "session.h"
#include "snapshot/arrival.h"
#include "snapshot/outgoing.h"
#include "snapshot/rewind.h"
#include "terminal.h"
#include "worker.h"

#define SESSION_INPUT_SIZE 4096
#define SESSION_PATH_SIZE  4096
#define SESSION_TEXT_SIZE  (SESSION_PATH_SIZE + 256)
#define SESSION_RESULTS    8    /* jobs whose results can be asked for */
#define SESSION_REMARKS    4096 /* bytes of what a target said */

/* What came of a job. */
struct job_result {
	unsigned number; /* 0: no job */
	const char *kind;
	enum error_code code; /* ERROR_NONE: it succeeded */
	char text[SESSION_TEXT_SIZE];
	char target[SESSION_PATH_SIZE];  /* the file, or where the machine was to go */
	struct saving_counts counts;     /* of a snapshot */
	struct outgoing_numbers numbers; /* of a migration */
	int64_t elapsed_us;
	struct outgoing_round rounds[OUTGOING_ROUNDS_KEPT];
	unsigned nr_rounds;
	char remarks[SESSION_REMARKS]; /* what its target said */
};

/* How often and how long the machine stood still, for whatever reason; under the machine's lock. */
struct pauses {
	uint64_t nr;
	int64_t since_us; /* it stands still since then; 0: it runs, or never ran */
	int64_t total_us, max_us;
};

struct session {
	const struct options *options;
	struct vm *vm;            /* in session_run(); else NULL */
	int64_t started_us;       /* session_run() */
	int input_fd;             /* -1 where the console has no input */
	struct console *console;  /* what the guest prints */
	struct console *messages; /* standard error: what we say; the console itself where that is there, too */
	struct terminal terminal;
	size_t input_size; /* bytes in input */

	bool taken;            /* the trigger's snapshot was taken */
	unsigned nr_taken;     /* snapshots to --snapshot's file, for numbering */
	int64_t deadline_us;   /* of TRIGGER_AFTER; 0: none */
	struct track *track;   /* --incremental: what was written since the last snapshot; else NULL */
	const char *base_path; /* the snapshot that the machine was restored from, or NULL */
	uint8_t base_id[IMAGE_ID_SIZE];

	int saved_fd;              /* an eventfd: a snapshot under way is over; -1 where none is wanted */
	struct saving *saving;     /* the job: a snapshot under way while the guest runs; or NULL */
	struct outgoing *outgoing; /* the job: a migration; or NULL */
	bool is_paused;            /* by request: it stays so whatever a job does */
	bool is_in_doubt;          /* one may have moved the machine: it is held until the user decides */
	/* A migration that is over and has moved the machine, which is held, or may have: pages that it needs are here.
	 * Or NULL. */
	struct outgoing *departed;
	bool is_numbered;  /* a snapshot goes to --snapshot's file */
	bool is_asked_for; /* by a client, who wants to know what comes of it */
	bool is_awaited;   /* what came of it was not told to anyone yet */
	int64_t job_us;    /* when it began */
	unsigned nr_jobs;
	int64_t progress_us; /* when its progress was shown last; 0: it was not */
	uint64_t nr_snapshots;

	struct arrival *arrival;         /* pages that came, or come, after the machine; or NULL */
	bool may_have_arrival;           /* session_allow_arrival() */
	enum arrival_state arrival_told; /* what the user was told of it last */
	bool is_event_late;              /* a vCPU has something to report, and another one waits for a page */

	struct rewind *rewind; /* the point, where there is one; else NULL */
	uint64_t since_rewind; /* checkpoints */

	struct control *control; /* --control, or NULL */
	int statm_fd;            /* /proc/self/statm, opened before the sandbox; -1: none */
	struct pauses pauses;

	int (*ready)(void *context, struct error *err); /* session_set_ready(), or NULL */
	void (*running)(void *context);                 /* likewise */
	void *ready_context;
	bool is_over, is_quit;
	int status;
	struct worker worker;
	bool is_confined; /* session_confine() was called */
	unsigned sandbox_job;
	int sandbox_status;
	bool has_printed;         /* the guest has, a byte */
	struct step_times *times; /* owned; NULL without --trace-time */

	/* What is long and seldom used comes last: it takes no memory until it is touched. */
	struct error failure; /* what a request broke: the session ends with it */
	struct error sandbox_error;
	uint8_t input[SESSION_INPUT_SIZE]; /* bytes that the UART had no room for yet */
	char job_target[SESSION_PATH_SIZE];
	struct job_result results[SESSION_RESULTS]; /* of job n at n % SESSION_RESULTS */
};

/* A message about the machine, behind what the guest has printed. */
void session_say(const struct session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- session_jobs.c: snapshots and migrations ---- */

bool session_has_job(const struct session *session);

/* Is the machine paused by the job?  Then it must not be resumed. */
bool session_job_holds(const struct session *session);

/* ERROR_NOT_NOW where a job is under way, or pages are missing. */
int session_check_idle(const struct session *session, struct error *err);

/*
 * Starts a snapshot to path, while the machine runs or while it is paused.  is_incremental: a difference to the last
 * one, where the session knows what was written since.  ERROR_NOT_NOW where something is in its way.
 */
int session_start_saving(struct session *session, const char *path, bool is_incremental, struct error *err);

/*
 * Starts to move the machine over the descriptors, which may be the same and are the session's from now on, also where
 * it fails.  target: what to call the other side.  Where a machine has departed, that migration goes on.
 */
int session_start_migrating(struct session *session, const char *target, int in_fd, int out_fd,
			    const struct outgoing_options *options, struct error *err);

/* Nobody needs the pages of a machine that has departed any more: it goes on here, or ends. */
void session_forget_departed(struct session *session);

/* Is what came with a request something that a migration can go over?  ERROR_USAGE; then the descriptors are closed. */
int session_check_connection(const char *request, const char *target, int in_fd, int out_fd, struct error *err);

/* What poll() is to wait for, and shortens the time, in milliseconds, to what the job wants. */
#define SESSION_JOB_FDS 2
void session_job_wants(const struct session *session, struct pollfd ret[SESSION_JOB_FDS], int *timeout_ms);

/* Gives the job under way a step; shows its progress. */
void session_step_job(struct session *session);

/*
 * Ends the job under way, if there is one; why: what gives it up where that is still possible.  A machine that has
 * moved ends the session.
 */
void session_end_job(struct session *session, const char *why);

/* Gives it up for a client; ERROR_NOT_NOW where there is none, or it is too late. */
int session_cancel_job(struct session *session, struct error *err);

/* Takes the snapshot that --at asked for; the machine is paused.  A failed one does not end a guest that is to go on.
 */
int session_trigger(struct session *session, struct error *err);

/* The same at a time, of a machine that runs. */
int session_trigger_after(struct session *session, struct error *err);

void session_snapshot_by_key(struct session *session);

/* The result of a job, or NULL: it is not kept, or not there yet. */
const struct job_result *session_result(const struct session *session, unsigned number);

/* ---- session_rewind.c ---- */

/* Is the machine to be put back once more, with --rewind-every? */
bool session_has_rewinds(const struct session *session);

/* Puts it back, and tells what it came to when it was the last time. */
int session_rewind(struct session *session, struct error *err);

/* A checkpoint, with --rewind-every: the first is the point, unless the machine was restored. */
int session_rewind_at_checkpoint(struct session *session, struct error *err);

/* For clients: makes this moment the point, instead of the one before; forgets the point; puts the machine back. */
int session_set_point(struct session *session, struct error *err);
int session_drop_point(struct session *session, struct error *err);
int session_rewind_now(struct session *session, struct error *err);

/* ---- session_arrival.c: a machine whose pages come after it ---- */

/* Are pages missing?  *ret, unless NULL: what is the case. */
bool session_awaits_pages(const struct session *session, struct arrival_counts *ret);

/* ERROR_NOT_NOW where pages are missing: for what would have to wait for them. */
int session_check_arrival(const struct session *session, struct error *err);

/* The source connects again, as session_start_migrating() has it. */
int session_rejoin_arrival(struct session *session, const char *source, int in_fd, int out_fd, struct error *err);

/* Tells the user what became of them. */
void session_step_arrival(struct session *session);

/* The machine has ended: nobody needs them. */
void session_end_arrival(struct session *session);

/* ---- session_control.c ---- */

/* Has the clients' requests handled; fds: as poll() left what control_wants() asked for. */
void session_step_control(struct session *session, const struct pollfd *fds);

/* The machine has ended: waits a moment for a client who has not been told yet what came of its job. */
void session_tell_last(struct session *session);

/* The requests, a line each, for --help. */
void session_print_requests(FILE *out);

#endif
