#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "json.h"
#include "unix_socket.h"

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
	struct unix_socket socket;
	bool is_deaf; /* a connection could not be taken: until the next step, none is looked for */
	struct client *clients[CONTROL_CLIENTS_MAX];
};

int control_open(struct control **ret, const char *path, struct error *err)
{
	struct control *control = calloc(1, sizeof(*control));
	if (control == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a control socket");
	int status = unix_socket_listen(&control->socket, "--control ", path, SOCK_NONBLOCK, BACKLOG, err);
	if (status < 0) {
		free(control);
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
	if (control == NULL)
		return;
	unix_socket_close(&control->socket);
	for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
		free_client(control->clients[i]);
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
	int fd = accept4(control->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
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
	ret[0] = (struct pollfd){ .fd = control->is_deaf ? -1 : control->socket.fd, .events = POLLIN };
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
