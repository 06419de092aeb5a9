/*
 * Where a migration goes to or comes from:
 *
 *   unix:PATH       a Unix socket; the receiver makes it (mode 0600) and removes it
 *   tcp:HOST:PORT   a TCP connection, [HOST] for an IPv6 address; to loopback only, unless it is allowed
 *   exec:COMMAND    standard input and output of a command that the shell runs
 *   fd:N            a descriptor that we were started with
 *   -               standard input and output
 */
#ifndef STASIS_VMM_URI_H
#define STASIS_VMM_URI_H

#include <stdbool.h>

#include "error.h"
#include "unix_socket.h"

struct uri_options {
	bool is_insecure; /* tcp may go to other hosts: nobody is asked for a password, nothing is encrypted */
};

/*
 * Connects; the descriptors may be the same, are the caller's, and close on exec.  ERROR_USAGE: no such kind, or not
 * allowed; ERROR_IO: nobody is there, or the system refuses.  Errors name the URI.
 */
int uri_connect(const char *uri, const struct uri_options *options, int *ret_in, int *ret_out, struct error *err);

/* A receiver that waits for its one connection; the URI stays the caller's. */
struct uri_listener {
	const char *uri;
	struct unix_socket socket; /* for unix: */
	int tcp_fd;                /* -1: it is not for tcp: */
	int in_fd, out_fd;         /* for the others, which have nothing to wait for */
};

/* From now on a source can connect. */
int uri_listen(const char *uri, const struct uri_options *options, struct uri_listener *ret, struct error *err);

/* Waits for the connection, takes no other, and ends the listener, also where it fails. */
int uri_accept(struct uri_listener *listener, int *ret_in, int *ret_out, struct error *err);

/* Closes what it still has, and removes its socket. */
void uri_listener_done(struct uri_listener *listener);

/* Is it standard input and output?  Then the console has to be elsewhere. */
bool uri_is_standard(const char *uri);

#endif
