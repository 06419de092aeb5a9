#include "uri.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOST_MAX 256

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
};

/* What connecting and listening have in common: a socket and the address that it is to have. */
struct place {
	int family;
	union address address;
	socklen_t size;
};

/* ---- unix:PATH ---- */

static int find_path(const char *path, struct place *ret, struct error *err)
{
	*ret = (struct place){ .family = AF_UNIX, .size = sizeof(ret->address.un) };
	return unix_socket_address("unix:", path, &ret->address.un, err);
}

/* ---- tcp:HOST:PORT ---- */

static bool is_loopback(const struct place *place)
{
	if (place->family == AF_INET)
		return ntohl(place->address.v4.sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&place->address.v6.sin6_addr);
}

static bool parse_address(const char *host, uint16_t port, struct place *ret)
{
	struct place place = { .family = AF_INET, .size = sizeof(place.address.v4) };
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	place.address.v4.sin_family = AF_INET;
	place.address.v4.sin_port = htons(port);
	bool is_address = inet_pton(AF_INET, host, &place.address.v4.sin_addr) == 1;
	if (!is_address) {
		place = (struct place){ .family = AF_INET6, .size = sizeof(place.address.v6) };
		place.address.v6.sin6_family = AF_INET6;
		place.address.v6.sin6_port = htons(port);
		is_address = inet_pton(AF_INET6, host, &place.address.v6.sin6_addr) == 1;
	}
	if (is_address)
		*ret = place;
	return is_address;
}

/* A static program cannot ask for names: the C library would load others for it. */
static int resolve(const char *uri, const char *host, const char *port, struct place *ret, struct error *err)
{
#ifdef STASIS_STATIC
	(void)port, (void)ret;
	return error_set(err, ERROR_USAGE, "%s: %s is no address, and this static program knows no names", uri, host);
#else
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	int result = getaddrinfo(host, port, &hints, &found);
	if (result != 0)
		return error_set(err, ERROR_USAGE, "%s: %s: %s", uri, host, gai_strerror(result));
	*ret = (struct place){ .family = found->ai_family, .size = found->ai_addrlen };
	memcpy(&ret->address, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return 0;
#endif
}

static int find_host(const char *uri, const char *rest, const struct uri_options *options, struct place *ret,
		     struct error *err)
{
	char host[HOST_MAX], *end;
	const char *colon = strrchr(rest, ':');
	size_t length = colon != NULL ? (size_t)(colon - rest) : 0;
	unsigned long port = colon != NULL ? strtoul(colon + 1, &end, 10) : 0;
	if (length > 2 && rest[0] == '[' && rest[length - 1] == ']') {
		rest++;
		length -= 2;
	}
	if (length == 0 || length >= sizeof(host) || port == 0 || port > UINT16_MAX || *end != '\0')
		return error_set(err, ERROR_USAGE, "%s: expected tcp:HOST:PORT, with a port from 1 to 65535", uri);
	memcpy(host, rest, length);
	host[length] = '\0';
	int status = parse_address(host, (uint16_t)port, ret) ? 0 : resolve(uri, host, colon + 1, ret, err);
	if (status == 0 && !options->is_insecure && !is_loopback(ret))
		status = error_set(err, ERROR_USAGE,
				   "%s: not this host, and a migration is neither encrypted nor asks who is there; go "
				   "through ssh (exec:), or allow it with --insecure-tcp",
				   uri);
	return status;
}

/* ---- exec:COMMAND ---- */

/* The child's child runs it, so that nobody has to wait for it. */
static void run_command(int fd, const char *command)
{
	if (fork() != 0)
		_exit(0);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	if (dup2(fd, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0)
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static int open_command(const char *uri, const char *command, int *ret_in, int *ret_out, struct error *err)
{
	int fds[2];
	if (command[0] == '\0')
		return error_set(err, ERROR_USAGE, "%s: expected exec:COMMAND", uri);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return error_errno(err, ERROR_SYSTEM, "%s", uri);
	pid_t pid = fork();
	if (pid == 0)
		run_command(fds[1], command);
	int status = pid < 0 ? error_errno(err, ERROR_SYSTEM, "%s: fork", uri) : 0;
	if (pid > 0)
		waitpid(pid, NULL, 0);
	close(fds[1]);
	if (status < 0)
		close(fds[0]);
	else
		*ret_in = *ret_out = fds[0];
	return status;
}

/* ---- fd:N and - ---- */

static int open_number(const char *uri, const char *number, int *ret_in, int *ret_out, struct error *err)
{
	char *end;
	long fd = strtol(number, &end, 10);
	if (end == number || *end != '\0' || fd < 0 || fd > INT32_MAX)
		return error_set(err, ERROR_USAGE, "%s: expected fd:N, the number of an open descriptor", uri);
	int copy = fcntl((int)fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (copy < 0)
		return error_errno(err, ERROR_USAGE, "%s", uri);
	*ret_in = *ret_out = copy;
	return 0;
}

/* The two are ours alone from now on: nothing that is printed can get between the messages. */
static int open_standard(int *ret_in, int *ret_out, struct error *err)
{
	if (isatty(STDIN_FILENO) || isatty(STDOUT_FILENO))
		return error_set(err, ERROR_USAGE, "-: standard input or output is a terminal; expected pipes");
	int in_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int out_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int status = 0;
	if (in_fd < 0 || out_fd < 0 || null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
	    dup2(null_fd, STDOUT_FILENO) < 0)
		status = error_errno(err, ERROR_SYSTEM, "-: standard input and output");
	if (null_fd > STDERR_FILENO)
		close(null_fd);
	if (status == 0) {
		*ret_in = in_fd;
		*ret_out = out_fd;
		return 0;
	}
	if (in_fd >= 0)
		close(in_fd);
	if (out_fd >= 0)
		close(out_fd);
	return status;
}

/* ---- All of them ---- */

static const char *after(const char *uri, const char *prefix)
{
	size_t length = strlen(prefix);
	return strncmp(uri, prefix, length) == 0 ? uri + length : NULL;
}

bool uri_is_standard(const char *uri)
{
	return strcmp(uri, "-") == 0;
}

/* Those that are a connection by themselves: 1 and the descriptors; 0: it is an address. */
static int open_directly(const char *uri, int *ret_in, int *ret_out, struct error *err)
{
	const char *rest;
	int status;
	if (uri_is_standard(uri))
		status = open_standard(ret_in, ret_out, err);
	else if ((rest = after(uri, "exec:")) != NULL)
		status = open_command(uri, rest, ret_in, ret_out, err);
	else if ((rest = after(uri, "fd:")) != NULL)
		status = open_number(uri, rest, ret_in, ret_out, err);
	else
		return 0;
	return status < 0 ? status : 1;
}

static int find_place(const char *uri, const struct uri_options *options, struct place *ret, struct error *err)
{
	const char *rest;
	if ((rest = after(uri, "unix:")) != NULL)
		return find_path(rest, ret, err);
	if ((rest = after(uri, "tcp:")) != NULL)
		return find_host(uri, rest, options, ret, err);
	return error_set(err, ERROR_USAGE, "%s: expected unix:PATH, tcp:HOST:PORT, exec:COMMAND, fd:N or -", uri);
}

static void set_no_delay(const struct place *place, int fd)
{
	const int yes = 1;
	if (place->family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

int uri_connect(const char *uri, const struct uri_options *options, int *ret_in, int *ret_out, struct error *err)
{
	struct place place;
	int status = open_directly(uri, ret_in, ret_out, err);
	if (status != 0)
		return status < 0 ? status : 0;
	status = find_place(uri, options, &place, err);
	if (status < 0)
		return status;
	int fd = socket(place.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, &place.address.any, place.size) < 0) {
		status = error_errno(err, ERROR_IO, "%s", uri);
		if (fd >= 0)
			close(fd);
		return status;
	}
	set_no_delay(&place, fd);
	*ret_in = *ret_out = fd;
	return 0;
}

static int listen_tcp(const char *uri, const struct place *place, int *ret, struct error *err)
{
	const int yes = 1;
	int fd = socket(place->family, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
	if (fd < 0)
		return error_errno(err, ERROR_SYSTEM, "%s", uri);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(fd, &place->address.any, place->size) < 0 || listen(fd, 1) < 0)
		status = error_errno(err, ERROR_CREATE, "%s", uri);
	if (status < 0)
		close(fd);
	else
		*ret = fd;
	return status;
}

int uri_listen(const char *uri, const struct uri_options *options, struct uri_listener *ret, struct error *err)
{
	struct uri_listener listener = { .uri = uri, .socket = { .fd = -1 }, .tcp_fd = -1, .in_fd = -1, .out_fd = -1 };
	struct place place;
	int status = open_directly(uri, &listener.in_fd, &listener.out_fd, err);
	if (status == 0) {
		status = find_place(uri, options, &place, err);
		if (status == 0 && place.family == AF_UNIX)
			status = unix_socket_listen(&listener.socket, "unix:", place.address.un.sun_path, 0, 1, err);
		else if (status == 0)
			status = listen_tcp(uri, &place, &listener.tcp_fd, err);
	}
	if (status < 0)
		return status;
	*ret = listener;
	return 0;
}

static int accept_one(const struct uri_listener *listener, int fd, int *ret, struct error *err)
{
	struct place peer = { .size = sizeof(peer.address) };
	int got;
	do
		got = accept4(fd, &peer.address.any, &peer.size, SOCK_CLOEXEC);
	while (got < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (got < 0)
		return error_errno(err, ERROR_IO, "%s: waiting for a connection", listener->uri);
	peer.family = peer.address.any.sa_family;
	set_no_delay(&peer, got);
	*ret = got;
	return 0;
}

int uri_accept(struct uri_listener *listener, int *ret_in, int *ret_out, struct error *err)
{
	int fd = listener->socket.fd >= 0 ? listener->socket.fd : listener->tcp_fd, status = 0;
	if (fd >= 0) {
		status = accept_one(listener, fd, &listener->in_fd, err);
		listener->out_fd = listener->in_fd;
	}
	if (status == 0) {
		*ret_in = listener->in_fd;
		*ret_out = listener->out_fd;
		listener->in_fd = listener->out_fd = -1;
	}
	uri_listener_done(listener);
	return status;
}

void uri_listener_done(struct uri_listener *listener)
{
	unix_socket_close(&listener->socket);
	if (listener->tcp_fd >= 0)
		close(listener->tcp_fd);
	if (listener->in_fd >= 0)
		close(listener->in_fd);
	if (listener->out_fd >= 0 && listener->out_fd != listener->in_fd)
		close(listener->out_fd);
	listener->tcp_fd = listener->in_fd = listener->out_fd = -1;
}
