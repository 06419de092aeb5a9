/*
 * A running machine with its user: console, keys, snapshots, until the guest or the user ends it.
 */
#ifndef STASIS_VMM_SESSION_H
#define STASIS_VMM_SESSION_H

#include "options.h"
#include "snapshot/image.h"
#include "vm.h"

struct session;

extern const struct vm_ops session_vm_ops;

/*
 * A session as the options say: where snapshots go and when, what is traced.  has_input: standard input is the guest's.
 * With a snapshot to standard output, the console goes to standard error.
 */
int session_create(struct session **ret, const struct options *options, bool has_input, struct error *err);

/* The session's thread for jobs beside; it ends with the session. */
struct worker *session_worker(struct session *session);

/*
 * Has the worker enter the sandbox, from where on no more than a running machine needs is allowed.  session_run() does,
 * if it was not done before, and waits for it.
 */
void session_confine(struct session *session);

/* Waits until the process is confined, where session_confine() was called; an error says why it is not. */
int session_wait_confined(struct session *session, struct error *err);

/*
 * Has session_run() call ready() last of all before the machine runs, when nothing else can fail any more; where it
 * fails, the machine does not run.  Then running(), which the machine does not wait for, before anything else is done
 * with it.
 */
void session_set_ready(struct session *session, int (*ready)(void *context, struct error *err),
		       void (*running)(void *context), void *context);

struct arrival; /* snapshot/arrival.h */

/*
 * Pages of the machine are still to come: until they are here it is not paused, and nobody but its vCPUs touches RAM.
 * For running(); session_run() ends the arrival.
 */
void session_set_arrival(struct session *session, struct arrival *arrival);

/* Before session_confine(): the process waits for missing pages, by userfaultfd. */
void session_allow_arrival(struct session *session);

/* Notes a step for --trace-time; session_vm_ops does so with the machine's own. */
void session_step(struct session *session, const char *what, const char *name);

/*
 * The machine was restored from this snapshot: with --incremental, the first one that is taken is a difference to it.
 * path stays the caller's.
 */
void session_set_base(struct session *session, const char *path, const uint8_t id[IMAGE_ID_SIZE]);

/*
 * Runs the machine, which is paused and whose ops_context is the session, to its end; then waits for the console's
 * reader, for as long as --console-wait says.
 */
int session_run(struct session *session, struct vm *vm, int *ret_status, struct error *err);

/* Frees it; prints the steps where --trace-time asks for them. */
void session_free(struct session *session);

#endif
