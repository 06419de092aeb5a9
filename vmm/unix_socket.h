/*
 * A Unix socket with a name that only its owner may connect to: where a machine is controlled, and where it arrives.
 */
#ifndef STASIS_VMM_UNIX_SOCKET_H
#define STASIS_VMM_UNIX_SOCKET_H

#include <sys/types.h>
#include <sys/un.h>

#include "error.h"

struct unix_socket {
	int fd; /* -1: it is closed; all zero is none, too */
	dev_t device;
	ino_t inode; /* of what we made, so that it is not another that is removed; 0: nothing */
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

/*
 * The address of a path.  In errors, the socket is called kind and path ("--control " or "unix:").
 * ERROR_USAGE: the path is empty, or too long (unix(7): 107 bytes).
 */
int unix_socket_address(const char *kind, const char *path, struct sockaddr_un *ret, struct error *err);

/*
 * Listens at path with the mode 0600 from its first moment; whoever finds the name finds somebody who listens.  flags
 * are of socket(2): SOCK_NONBLOCK or 0; the descriptor closes on exec.  A socket that no process has is replaced;
 * anything else that stands there is ERROR_CREATE.  path may be 11 bytes shorter than an address's.
 */
int unix_socket_listen(struct unix_socket *ret, const char *kind, const char *path, int flags, int backlog,
		       struct error *err);

/* Removes the name, if it is still ours, and closes. */
void unix_socket_close(struct unix_socket *sock);

#endif
