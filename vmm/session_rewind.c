#include <inttypes.h>

#include "command.h"
#include "session_state.h"

/* After the last rewind: is the machine what it was at the point?  What differs is told; it goes on all the same. */
static int look_back(struct session *session, struct error *err)
{
	struct report report = { 0 };
	struct rewind_stats stats;
	int status = rewind_compare(session->rewind, &report, err);
	rewind_count(session->rewind, &stats);
	if (status == 0)
		session_say(session, "rewound %" PRIu64 " times, %.1f pages each; read back: %zu difference%s",
			    stats.rewinds, (double)stats.pages / (double)stats.rewinds, report_bad(&report),
			    report_bad(&report) == 1 ? "" : "s");
	if (report_bad(&report) > 0)
		report_print(stderr, &report, false);
	report_done(&report);
	return status;
}

bool session_has_rewinds(const struct session *session)
{
	struct rewind_stats stats;
	if (session->rewind == NULL || session->options->rewind_every == 0)
		return false;
	rewind_count(session->rewind, &stats);
	return session->options->rewinds == 0 || stats.rewinds < session->options->rewinds;
}

int session_rewind(struct session *session, struct error *err)
{
	bool was_wanted = session_has_rewinds(session);
	session->since_rewind = 0;
	int status = rewind_to_point(session->rewind, err);
	if (status == 0 && was_wanted && !session_has_rewinds(session))
		status = look_back(session, err);
	return status;
}

int session_rewind_at_checkpoint(struct session *session, struct error *err)
{
	if (session->rewind == NULL)
		return rewind_create(&session->rewind, session->vm, err);
	if (!session_has_rewinds(session) || ++session->since_rewind < session->options->rewind_every)
		return 0;
	return session_rewind(session, err);
}

/* ---- As clients ask ---- */

int session_set_point(struct session *session, struct error *err)
{
	struct rewind *point = NULL;
	if (session->options->rewind_every != 0)
		return error_set(err, ERROR_USAGE, "rewind --set: --rewind-every sets the point of this machine");
	if (session->track != NULL)
		return error_set(
			err, ERROR_USAGE,
			"rewind --set: this machine was started with --incremental, and both would need to know "
			"what the guest writes");
	int status = session_check_idle(session, err);
	if (status < 0)
		return status;
	vm_pause(session->vm);
	rewind_free(session->rewind);
	session->rewind = NULL;
	status = rewind_create(&point, session->vm, err);
	vm_resume(session->vm);
	if (status == 0)
		session->rewind = point;
	return status;
}

int session_drop_point(struct session *session, struct error *err)
{
	if (session->options->rewind_every != 0)
		return error_set(err, ERROR_USAGE, "rewind --drop: --rewind-every sets the point of this machine");
	if (session->rewind == NULL)
		return error_set(err, ERROR_NOT_NOW, "rewind --drop: no point is set");
	rewind_free(session->rewind);
	session->rewind = NULL;
	return 0;
}

int session_rewind_now(struct session *session, struct error *err)
{
	if (session->rewind == NULL && session->options->rewind_every != 0)
		return error_set(err, ERROR_NOT_NOW,
				 "rewind: the guest has not come to its first checkpoint, which is the point");
	if (session->rewind == NULL)
		return error_set(err, ERROR_NOT_NOW, "rewind: no point is set; rewind --set makes one");
	vm_pause(session->vm);
	int status = session_rewind(session, err);
	vm_resume(session->vm);
	if (status < 0)
		session->failure = *err;
	return status;
}
