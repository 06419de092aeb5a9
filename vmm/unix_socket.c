#include "unix_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PID_SIZE 11 /* bytes of ".PID" */

/* Of the path with behind, for which there has to be room bytes. */
static int make_address(const char *kind, const char *path, const char *behind, size_t room, struct sockaddr_un *ret,
			struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t max = sizeof(address.sun_path) - 1 - room;
	if (path[0] == '\0' || strlen(path) > max)
		return error_set(err, ERROR_USAGE,
				 "%s%s: a socket's name of %zu bytes, expected 1 to %zu; a shorter path may lead there",
				 kind, path, strlen(path), max);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s%s", path, behind);
	*ret = address;
	return 0;
}

int unix_socket_address(const char *kind, const char *path, struct sockaddr_un *ret, struct error *err)
{
	return make_address(kind, path, "", 0, ret, err);
}

/*
 * What stands in the way is removed where it is a socket that no process has.  A datagram socket that connects to it
 * disturbs nobody: it is refused where no process has that socket, and has the wrong type where one has
 * (net/unix/af_unix.c, unix_find_bsd()).
 */
static int remove_stale(const char *kind, const char *path, struct error *err)
{
	struct sockaddr_un address;
	struct stat there;
	if (lstat(path, &there) < 0)
		return error_errno(err, ERROR_CREATE, "%s%s", kind, path);
	if (!S_ISSOCK(there.st_mode))
		return error_set(err, ERROR_CREATE,
				 "%s%s: something else than a socket stands there; name another file, or remove it",
				 kind, path);
	int status = unix_socket_address(kind, path, &address, err);
	int fd = status == 0 ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
	if (fd < 0)
		return status < 0 ? status : error_errno(err, ERROR_SYSTEM, "%s%s: socket", kind, path);
	int result = connect(fd, (const struct sockaddr *)&address, sizeof(address)), why = errno;
	close(fd);
	if (result == 0 || why != ECONNREFUSED)
		return error_set(err, ERROR_CREATE, "%s%s: another process listens there already; name another file",
				 kind, path);
	if (unlink(path) < 0)
		return error_errno(err, ERROR_CREATE, "%s%s: removing the socket that nobody listens at", kind, path);
	return 0;
}

/* The mode comes from the umask. */
static int bind_private(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0177);
	int result = bind(fd, (const struct sockaddr *)address, sizeof(*address)), why = errno;
	umask(before);
	errno = why;
	return result;
}

/* Gives what listens already its name, unless that is taken. */
static int give_name(const char *kind, const char *path, const char *temporary, struct error *err)
{
	int status = 0, result = link(temporary, path);
	if (result < 0 && errno == EEXIST) {
		status = remove_stale(kind, path, err);
		result = status == 0 ? link(temporary, path) : 0;
	}
	if (result < 0)
		status = error_errno(err, ERROR_CREATE, "%s%s", kind, path);
	return status;
}

/* The socket has another name before it listens. */
static int listen_at(struct unix_socket *sock, const char *kind, const char *path, int backlog, struct error *err)
{
	struct sockaddr_un address;
	struct stat ours;
	char behind[PID_SIZE + 1];
	snprintf(behind, sizeof(behind), ".%d", (int)getpid());
	int status = make_address(kind, path, behind, PID_SIZE, &address, err);
	if (status < 0)
		return status;
	if (bind_private(sock->fd, &address) < 0)
		return error_errno(err, ERROR_CREATE, "%s%s: binding %s", kind, path, address.sun_path);
	if (listen(sock->fd, backlog) < 0 || lstat(address.sun_path, &ours) < 0)
		status = error_errno(err, ERROR_CREATE, "%s%s: listening", kind, path);
	else
		status = give_name(kind, path, address.sun_path, err);
	unlink(address.sun_path);
	if (status == 0) {
		sock->device = ours.st_dev;
		sock->inode = ours.st_ino;
		memcpy(sock->path, path, strlen(path) + 1);
	}
	return status;
}

int unix_socket_listen(struct unix_socket *ret, const char *kind, const char *path, int flags, int backlog,
		       struct error *err)
{
	struct unix_socket sock = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0) };
	if (sock.fd < 0)
		return error_errno(err, ERROR_SYSTEM, "%s%s: socket", kind, path);
	int status = listen_at(&sock, kind, path, backlog, err);
	if (status < 0)
		close(sock.fd);
	else
		*ret = sock;
	return status;
}

void unix_socket_close(struct unix_socket *sock)
{
	struct stat there;
	if (sock->inode == 0)
		return;
	if (lstat(sock->path, &there) == 0 && there.st_dev == sock->device && there.st_ino == sock->inode)
		unlink(sock->path);
	close(sock->fd);
	*sock = (struct unix_socket){ .fd = -1 };
}
