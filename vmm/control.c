#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "json.h"

#define BACKLOG         16
#define REQUESTS_A_STEP 16 /* of one client, before others and the machine have their turn */

struct client {
	int fd;
	bool is_ending; /* nothing more is read; the connection ends when its replies are sent */
	bool is_lost;   /* it ends now */
	int fds[CONTROL_FDS_MAX];
	unsigned nr_fds;               /* of the request that is coming */
	size_t in_size, out_size;      /* bytes */
	char in[REQUEST_LINE_MAX + 1]; /* and the newline */
	char out[CONTROL_REPLIES_MAX];
};

struct control {
	int fd;
	char *path;
	dev_t device; /* of the socket, so that it is not another that is removed */
	ino_t inode;
	bool is_deaf; /* a connection could not be taken: until the next step, none is looked for */
	struct client *clients[CONTROL_CLIENTS_MAX];
};

/* ---- The socket ---- */

#define PID_SIZE 11 /* bytes of ".PID" */

/* Of the socket, or with ".PID" behind it, so that both fit. */
static int make_address(const char *path, const char *behind, struct sockaddr_un *ret, struct error *err)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (path[0] == '\0' || strlen(path) >= sizeof(ret->sun_path) - PID_SIZE)
		return error_set(err, ERROR_USAGE,
				 "--control %s: a socket's name has 1 to %zu bytes; a shorter path "
				 "leads to the same folder perhaps",
				 path, sizeof(ret->sun_path) - PID_SIZE - 1);
	snprintf(ret->sun_path, sizeof(ret->sun_path), "%s%s", path, behind);
	return 0;
}

/* What stands in the way is removed where it is a socket that nobody listens at. */
static int remove_stale(const char *path, struct error *err)
{
	struct sockaddr_un address;
	struct stat there;
	if (lstat(path, &there) < 0)
		return error_errno(err, ERROR_CREATE, "--control %s", path);
	if (!S_ISSOCK(there.st_mode))
		return error_set(err, ERROR_CREATE,
				 "--control %s: something else than a socket stands there; name "
				 "another file, or remove it",
				 path);
	int status = make_address(path, "", &address, err);
	int fd = status == 0 ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
	if (fd < 0)
		return status < 0 ? status : error_errno(err, ERROR_SYSTEM, "--control %s: socket", path);
	int result = connect(fd, (const struct sockaddr *)&address, sizeof(address)), why = errno;
	close(fd);
	if (result == 0 || why != ECONNREFUSED) /* EAGAIN: its queue is full */
		return error_set(err, ERROR_CREATE,
				 "--control %s: another process listens there already; name another "
				 "file",
				 path);
	if (unlink(path) < 0)
		return error_errno(err, ERROR_CREATE, "--control %s: removing the socket that nobody listens at", path);
	return 0;
}

/* The name is only the owner's from its first moment: the mode comes from the umask. */
static int bind_private(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0177);
	int result = bind(fd, (const struct sockaddr *)address, sizeof(*address)), why = errno;
	umask(before);
	errno = why;
	return result;
}

/* Gives what listens already its name, unless that is taken. */
static int name_socket(const char *path, const char *temporary, struct error *err)
{
	int status = 0, result = link(temporary, path);
	if (result < 0 && errno == EEXIST) {
		status = remove_stale(path, err);
		result = status == 0 ? link(temporary, path) : 0;
	}
	if (result < 0)
		status = error_errno(err, ERROR_CREATE, "--control %s", path);
	return status;
}

/* Whoever finds the name finds somebody who listens: the socket has another one before. */
static int listen_at(struct control *control, struct error *err)
{
	struct sockaddr_un address;
	struct stat ours;
	char behind[PID_SIZE + 1];
	snprintf(behind, sizeof(behind), ".%d", (int)getpid());
	int status = make_address(control->path, behind, &address, err);
	if (status < 0)
		return status;
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->fd < 0)
		return error_errno(err, ERROR_SYSTEM, "--control %s: socket", control->path);
	if (bind_private(control->fd, &address) < 0)
		return error_errno(err, ERROR_CREATE, "--control %s: binding %s", control->path, address.sun_path);
	if (listen(control->fd, BACKLOG) < 0 || lstat(address.sun_path, &ours) < 0)
		status = error_errno(err, ERROR_CREATE, "--control %s: listening", control->path);
	else
		status = name_socket(control->path, address.sun_path, err);
	unlink(address.sun_path);
	if (status == 0) {
		control->device = ours.st_dev;
		control->inode = ours.st_ino;
	}
	return status;
}

int control_open(struct control **ret, const char *path, struct error *err)
{
	struct control *control = calloc(1, sizeof(*control));
	if (control == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a control socket");
	control->fd = -1;
	control->path = strdup(path);
	int status = control->path != NULL ? listen_at(control, err)
					   : error_set(err, ERROR_SYSTEM, "no memory for a control socket");
	if (status < 0) {
		control_close(control);
		return status;
	}
	*ret = control;
	return 0;
}

/* ---- Clients ---- */

static void close_fds(int *fds, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void free_client(struct client *client)
{
	if (client == NULL)
		return;
	close_fds(client->fds, client->nr_fds);
	close(client->fd);
	free(client);
}

void control_close(struct control *control)
{
	struct stat there;
	if (control == NULL)
		return;
	if (control->inode != 0 && lstat(control->path, &there) == 0 && there.st_dev == control->device &&
	    there.st_ino == control->inode)
		unlink(control->path);
	if (control->fd >= 0)
		close(control->fd);
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		free_client(control->clients[i]);
	free(control->path);
	free(control);
}

void control_write_error(FILE *reply, const struct error *err)
{
	struct json json = { .out = reply };
	json_object_begin(&json, NULL);
	json_bool(&json, "ok", false);
	json_object_begin(&json, "error");
	json_string(&json, "code", error_code_name(err->code));
	json_string(&json, "text", err->text);
	json_object_end(&json);
	json_object_end(&json);
	json_end(&json);
}

/* Sends what the socket takes. */
static void flush(struct client *client)
{
	size_t sent = 0;
	while (sent < client->out_size && !client->is_lost) {
		ssize_t n = write(client->fd, client->out + sent, client->out_size - sent);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0)
			client->is_lost = true;
		else
			sent += (size_t)n;
	}
	client->out_size -= sent;
	memmove(client->out, client->out + sent, client->out_size);
}

static void send_reply(struct client *client, const char *text, size_t size)
{
	if (client->out_size + size > sizeof(client->out))
		flush(client);
	if (client->out_size + size > sizeof(client->out)) {
		client->is_lost = true;
		return;
	}
	memcpy(client->out + client->out_size, text, size);
	client->out_size += size;
	flush(client);
}

/* A reply under way: text in memory, as long as it gets. */
struct reply {
	FILE *out;
	char *text;
	size_t size;
};

static bool reply_begin(struct reply *reply)
{
	*reply = (struct reply){ 0 };
	reply->out = open_memstream(&reply->text, &reply->size);
	return reply->out != NULL;
}

static void reply_end(struct reply *reply, struct client *client)
{
	if (fclose(reply->out) == 0)
		send_reply(client, reply->text, reply->size);
	else
		client->is_lost = true; /* no memory */
	free(reply->text);
}

static void send_error(struct client *client, const struct error *err)
{
	struct reply reply;
	if (!reply_begin(&reply)) {
		client->is_lost = true;
		return;
	}
	control_write_error(reply.out, err);
	reply_end(&reply, client);
}

/* The connection ends with this error. */
static void refuse(struct client *client, const struct error *err)
{
	send_error(client, err);
	client->is_ending = true;
	client->in_size = 0;
}

static struct client *make_client(int fd)
{
	struct client *client = malloc(sizeof(*client));
	if (client == NULL)
		return NULL;
	client->fd = fd;
	client->is_ending = client->is_lost = false;
	client->nr_fds = 0;
	client->in_size = client->out_size = 0;
	return client;
}

static struct client **find_place(struct control *control)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i] == NULL)
			return &control->clients[i];
	return NULL;
}

/* Takes one connection that waits: a place, or one error. */
static void take_client(struct control *control)
{
	struct error err;
	/* cppcheck-suppress nullPointer ; nobody asks for the address */
	int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		control->is_deaf = errno != EAGAIN && errno != EINTR && errno != ECONNABORTED;
		return;
	}
	struct client *client = make_client(fd);
	struct client **place = find_place(control);
	if (client == NULL) {
		close(fd);
		return;
	}
	if (place != NULL) {
		*place = client;
		return;
	}
	error_set(&err, ERROR_NOT_NOW, "%d clients are connected already; one has to end before", CONTROL_CLIENTS_MAX);
	refuse(client, &err);
	free_client(client);
}

/* ---- Requests ---- */

static void keep_fd(struct client *client, int fd)
{
	if (client->nr_fds == CONTROL_FDS_MAX)
		close(fd);
	else
		client->fds[client->nr_fds++] = fd;
}

static void take_fds(struct client *client, struct msghdr *message)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		size_t nr = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < nr; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(part) + i * sizeof(fd), sizeof(fd));
			keep_fd(client, fd);
		}
	}
}

/* Reads what there is, as far as there is room; the end of a client's input leaves what it asked for to be answered. */
static void receive(struct client *client)
{
	_Alignas(struct cmsghdr) char ancillary[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
	struct iovec room = { client->in + client->in_size, sizeof(client->in) - client->in_size };
	struct msghdr message = {
		.msg_iov = &room, .msg_iovlen = 1, .msg_control = ancillary, .msg_controllen = sizeof(ancillary)
	};
	if (room.iov_len == 0)
		return;
	ssize_t n = recvmsg(client->fd, &message, MSG_CMSG_CLOEXEC);
	if (n < 0) {
		client->is_lost = errno != EAGAIN && errno != EINTR;
		return;
	}
	take_fds(client, &message);
	client->in_size += (size_t)n;
	if (n == 0)
		client->is_ending = true;
}

static void handle_line(struct client *client, size_t size, control_handler *handler, void *context)
{
	struct control_request request;
	struct error err;
	struct reply reply;
	for (unsigned i = 0; i < CONTROL_FDS_MAX; i++)
		request.fds[i] = i < client->nr_fds ? client->fds[i] : -1;
	client->nr_fds = 0;
	if (request_parse(client->in, size, &request.words, &err) < 0) {
		send_error(client, &err);
	} else if (reply_begin(&reply)) {
		handler(context, &request, reply.out);
		reply_end(&reply, client);
	} else {
		client->is_lost = true;
	}
	close_fds(request.fds, CONTROL_FDS_MAX);
}

static char *find_line_end(const struct client *client)
{
	return memchr(client->in, '\n', client->in_size);
}

static void handle_lines(struct client *client, control_handler *handler, void *context)
{
	struct error err;
	char *end = NULL;
	for (unsigned i = 0; i < REQUESTS_A_STEP && !client->is_lost; i++) {
		end = find_line_end(client);
		if (end == NULL)
			break;
		size_t size = (size_t)(end - client->in);
		handle_line(client, size, handler, context);
		client->in_size -= size + 1;
		memmove(client->in, end + 1, client->in_size);
	}
	if (end == NULL && client->in_size == sizeof(client->in)) {
		error_set(&err, ERROR_USAGE, "a request is longer than %d bytes, or its newline is missing",
			  REQUEST_LINE_MAX);
		refuse(client, &err);
	}
}

/* ---- Steps ---- */

void control_wants(const struct control *control, struct pollfd *ret)
{
	ret[0] = (struct pollfd){ .fd = control->is_deaf ? -1 : control->fd, .events = POLLIN };
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		const struct client *client = control->clients[i];
		ret[1 + i] = (struct pollfd){ .fd = client != NULL ? client->fd : -1 };
		if (client != NULL)
			ret[1 + i].events =
				(short)((client->is_ending ? 0 : POLLIN) | (client->out_size > 0 ? POLLOUT : 0));
	}
}

bool control_has_requests(const struct control *control)
{
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i] != NULL && find_line_end(control->clients[i]) != NULL)
			return true;
	return false;
}

static void step_client(struct client *client, short events, control_handler *handler, void *context)
{
	if ((events & POLLOUT) != 0)
		flush(client);
	if ((events & (POLLIN | POLLHUP | POLLERR)) != 0 && !client->is_ending)
		receive(client);
	else if ((events & POLLERR) != 0)
		client->is_lost = true;
	if (!client->is_lost)
		handle_lines(client, handler, context);
	if (client->is_ending && client->out_size == 0 && find_line_end(client) == NULL)
		client->is_lost = true;
}

void control_step(struct control *control, const struct pollfd *fds, control_handler *handler, void *context)
{
	control->is_deaf = false;
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *client = control->clients[i];
		if (client == NULL)
			continue;
		step_client(client, fds[1 + i].revents, handler, context);
		if (client->is_lost) {
			free_client(client);
			control->clients[i] = NULL;
		}
	}
	if ((fds[0].revents & POLLIN) != 0)
		take_client(control);
}
