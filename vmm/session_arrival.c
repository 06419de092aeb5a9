#include <inttypes.h>
#include <unistd.h>

#include "session_state.h"

void session_set_arrival(struct session *session, struct arrival *arrival)
{
	session->arrival = arrival;
	session->arrival_told = ARRIVAL_UNDER_WAY;
}

void session_allow_arrival(struct session *session)
{
	session->may_have_arrival = true;
}

bool session_awaits_pages(const struct session *session, struct arrival_counts *ret)
{
	struct arrival_counts counts;
	if (session->arrival == NULL)
		return false;
	arrival_count(session->arrival, &counts);
	if (ret != NULL)
		*ret = counts;
	return counts.state != ARRIVAL_COMPLETE;
}

int session_check_arrival(const struct session *session, struct error *err)
{
	struct arrival_counts counts;
	if (!session_awaits_pages(session, &counts))
		return 0;
	return error_set(err, ERROR_NOT_NOW,
			 "%" PRIu64 " pages of the machine's memory are still at the source of its migration%s",
			 counts.left_pages, counts.state == ARRIVAL_LOST ? ", and the connection is lost" : "");
}

int session_rejoin_arrival(struct session *session, const char *source, int in_fd, int out_fd, struct error *err)
{
	int status = session_check_connection("receive", source, in_fd, out_fd, err);
	if (status < 0)
		return status;
	if (session->arrival != NULL)
		return arrival_rejoin(session->arrival, in_fd, out_fd, err);
	close(in_fd);
	if (out_fd != in_fd)
		close(out_fd);
	return error_set(err, ERROR_USAGE, "receive: this machine has come with all of its memory");
}

void session_step_arrival(struct session *session)
{
	struct arrival_counts counts;
	if (session->arrival == NULL)
		return;
	arrival_count(session->arrival, &counts);
	if (counts.state == session->arrival_told)
		return;
	session->arrival_told = counts.state;
	if (counts.state == ARRIVAL_COMPLETE)
		session_say(session,
			    "all memory has arrived: %" PRIu64 " pages after the guest, %" PRIu64 " of them asked for",
			    counts.missing_pages, counts.asked_pages);
	else if (counts.state == ARRIVAL_UNDER_WAY)
		session_say(session, "the source is there again: %" PRIu64 " pages are still to come",
			    counts.left_pages);
	else if (counts.state == ARRIVAL_LOST)
		session_say(session,
			    "%s; %" PRIu64
			    " pages of the guest's memory are still at the source: the guest goes on until "
			    "it needs one, and then waits",
			    counts.error.text, counts.left_pages);
}

void session_end_arrival(struct session *session)
{
	if (session->arrival == NULL)
		return;
	vm_ask_to_pause(session->vm); /* before what they wait for becomes zero */
	arrival_end(session->arrival, NULL);
	session->arrival = NULL;
}
