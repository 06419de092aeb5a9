/*
 * The control socket: a Unix socket whose clients send requests, a line each, and get a line for each
 * (docs/CONTROL.md).
 *
 * Whoever has it gives its descriptors to poll() and calls control_step(), which never waits.  A client has bounded
 * room for its requests and for its replies; one that does not read loses its connection when that is full.  So no
 * client takes time or memory from the machine, whatever it sends or leaves undone.
 */
#ifndef STASIS_VMM_CONTROL_H
#define STASIS_VMM_CONTROL_H

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>

#include "error.h"
#include "request.h"

#define CONTROL_CLIENTS_MAX 8
#define CONTROL_POLL_MAX    (1 + CONTROL_CLIENTS_MAX)
#define CONTROL_FDS_MAX     2     /* descriptors that may come with a request */
#define CONTROL_REPLIES_MAX 65536 /* bytes of replies that a client has not taken, besides what its socket holds */

struct control;

/*
 * A request, and the descriptors that came with its bytes (SCM_RIGHTS), close-on-exec.  A handler that keeps one
 * puts -1 in its place; the others are closed.
 */
struct control_request {
	struct request words;
	int fds[CONTROL_FDS_MAX]; /* -1: none */
};

/* Writes the reply, one line with its newline. */
typedef void control_handler(void *context, struct control_request *request, FILE *reply);

/*
 * Listens at path, which only the owner may connect to (mode 0600).  A socket that nobody listens at is replaced;
 * anything else that stands there is an error, ERROR_CREATE.
 */
int control_open(struct control **ret, const char *path, struct error *err);

/* What poll() is to wait for: CONTROL_POLL_MAX entries, unused ones with -1. */
void control_wants(const struct control *control, struct pollfd *ret);

/* There are requests left that came with others: poll() must not wait. */
bool control_has_requests(const struct control *control);

/* After poll(): takes clients, requests and descriptors, has requests handled, and sends replies. */
void control_step(struct control *control, const struct pollfd *fds, control_handler *handler, void *context);

/* Removes the socket, then closes the connections.  Takes NULL. */
void control_close(struct control *control);

/* Writes the line that says that a request failed. */
void control_write_error(FILE *reply, const struct error *err);

#endif
