#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "command.h"
#include "json_read.h"
#include "now.h"
#include "session_state.h"
#include "unix_socket.h"
#include "uri.h"

#define REPLY_MAX   CONTROL_REPLIES_MAX
#define LOOK_US     20000  /* between two looks at a job */
#define PROGRESS_US 500000 /* what is over sooner needs no bar */
#define BAR_CELLS   30
#define VALUE_SIZE  SESSION_TEXT_SIZE

/* A connection, and the last reply that came through it. */
struct client {
	const char *socket;
	int fd;
	char *reply; /* REPLY_MAX bytes */
	size_t size; /* of the reply, without its newline */
	size_t have; /* bytes that were read, the reply's among them */
};

static int connect_to(struct client *client, const char *path, struct error *err)
{
	struct sockaddr_un address;
	client->socket = path;
	client->reply = malloc(REPLY_MAX);
	if (client->reply == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for replies");
	int status = unix_socket_address("", path, &address, err);
	if (status < 0)
		return status;
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return error_errno(err, ERROR_SYSTEM, "%s: socket", path);
	if (connect(client->fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return 0;
	if (errno == ECONNREFUSED)
		return error_set(err, ERROR_NO_INPUT,
				 "%s: nobody listens there; its machine has ended, or it is no "
				 "socket",
				 path);
	return error_errno(err, error_code_of_open(errno), "%s", path);
}

static void disconnect(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	free(client->reply);
}

/* Reads until a reply is whole. */
static int receive(struct client *client, struct error *err)
{
	char *end;
	if (client->have > 0) { /* the last one, and its newline */
		client->have -= client->size + 1;
		memmove(client->reply, client->reply + client->size + 1, client->have);
	}
	while ((end = memchr(client->reply, '\n', client->have)) == NULL) {
		if (client->have == REPLY_MAX)
			return error_set(err, ERROR_DATA, "%s: a reply of more than %d bytes", client->socket,
					 REPLY_MAX);
		ssize_t n = read(client->fd, client->reply + client->have, REPLY_MAX - client->have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(err, ERROR_IO, "%s: the machine ended before it replied", client->socket);
		client->have += (size_t)n;
	}
	client->size = (size_t)(end - client->reply);
	return 0;
}

static bool get(const struct client *client, const char *path, char ret[VALUE_SIZE])
{
	return json_get(client->reply, client->size, path, ret, VALUE_SIZE);
}

static uint64_t get_number(const struct client *client, const char *path)
{
	char text[VALUE_SIZE];
	return get(client, path, text) ? strtoull(text, NULL, 10) : 0;
}

/* The error at path of the reply becomes ours. */
static int take_error(const struct client *client, const char *path, struct error *err)
{
	char name[JSON_PATH_MAX], word[VALUE_SIZE], text[VALUE_SIZE];
	enum error_code code;
	snprintf(name, sizeof(name), "%s.code", path);
	if (!get(client, name, word) || !error_code_parse(word, &code) || code == ERROR_NONE)
		code = ERROR_INTERNAL;
	snprintf(name, sizeof(name), "%s.text", path);
	if (!get(client, name, text))
		return error_set(err, ERROR_DATA, "%s: a reply that this version does not understand", client->socket);
	return error_set(err, code, "%s", text);
}

/* Sends what the socket takes; the descriptors go with its first byte. */
static ssize_t send_some(const struct client *client, const char *data, size_t size, const int *fds, unsigned nr_fds)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
	} ancillary = { 0 };
	union {
		const char *from;
		void *to; /* of an iovec, which is for both ways */
	} bytes = { .from = data };
	struct iovec part = { bytes.to, size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	if (nr_fds > 0) {
		message.msg_control = &ancillary;
		message.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		ancillary.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(nr_fds * sizeof(int)),
						     .cmsg_level = SOL_SOCKET,
						     .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&ancillary.header), fds, nr_fds * sizeof(int));
	}
	return sendmsg(client->fd, &message, 0);
}

/* Sends a request, with descriptors perhaps, and reads the reply; a refusal is an error. */
static int ask_with(struct client *client, const char *request, const int *fds, unsigned nr_fds, struct error *err)
{
	char word[VALUE_SIZE];
	size_t size = strlen(request), sent = 0;
	while (sent < size) {
		ssize_t n = send_some(client, request + sent, size - sent, fds, sent == 0 ? nr_fds : 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* a refusal may wait to be read, all the same */
		sent += (size_t)n;
	}
	int status = receive(client, err);
	if (status < 0)
		return status;
	if (!get(client, "ok", word) || strcmp(word, "true") != 0)
		return take_error(client, "error", err);
	return 0;
}

static int ask(struct client *client, const char *request, struct error *err)
{
	return ask_with(client, request, NULL, 0, err);
}

/* ---- Requests ---- */

static bool is_request(const struct options *options, const char *name)
{
	return strcmp(options->arguments[1], name) == 0;
}

static bool is_job(const struct options *options)
{
	return is_request(options, "snapshot") || is_request(options, "migrate");
}

/* Names of files are the client's: relative to its folder. */
static int make_absolute(const char *name, char ret[PATH_MAX], struct error *err)
{
	char folder[PATH_MAX] = "";
	if (name[0] != '/' && getcwd(folder, sizeof(folder)) == NULL)
		return error_errno(err, ERROR_SYSTEM, "%s: the current folder", name);
	int n = snprintf(ret, PATH_MAX, "%s%s%s", folder, name[0] != '/' ? "/" : "", name);
	if (n < 0 || n >= PATH_MAX)
		return error_set(err, ERROR_USAGE, "%s: a name of more than %d bytes", name, PATH_MAX - 1);
	return 0;
}

/* The line for what the command line asks for. */
static int write_request(const struct options *options, FILE *out, struct error *err)
{
	const char *const *arguments = options->arguments;
	struct json word = { .out = out };
	char path[PATH_MAX];
	for (unsigned i = 1; i < options->nr_arguments; i++) {
		const char *text = arguments[i];
		bool is_file = i == 2 && is_request(options, "snapshot");
		int status = is_file ? make_absolute(text, path, err) : 0;
		if (status < 0)
			return status;
		word.has_member = false;
		json_string(&word, NULL, is_file ? path : text);
		fputc(' ', out);
	}
	fputs(options->incremental ? "--incremental " : "", out);
	fputs(options->set_point ? "--set " : "", out);
	fputs(options->drop_point ? "--drop " : "", out);
	if (options->downtime_us != 0)
		fprintf(out, "downtime_us=%" PRIu64 " ", options->downtime_us);
	if (options->bandwidth != 0)
		fprintf(out, "bandwidth=%" PRIu64 " ", options->bandwidth);
	if (options->rounds != 0)
		fprintf(out, "rounds=%" PRIu64 " ", options->rounds);
	fputs(options->verify_memory ? "verify " : "", out);
	fputs(options->post_copy ? "post-copy " : "", out);
	fputc('\n', out);
	return 0;
}

/* Connects to where the machine is to go, or waits for where it comes from. */
static int open_connection(const struct options *options, int fds[CONTROL_FDS_MAX], struct error *err)
{
	const struct uri_options uri = { .is_insecure = options->insecure_tcp };
	struct uri_listener listener;
	if (options->nr_arguments != 3)
		return error_set(err, ERROR_USAGE,
				 "%s: expected a URI: unix:PATH, tcp:HOST:PORT, exec:COMMAND, fd:N or -",
				 options->arguments[1]);
	if (is_request(options, "migrate"))
		return uri_connect(options->arguments[2], &uri, &fds[0], &fds[1], err);
	int status = uri_listen(options->arguments[2], &uri, &listener, err);
	return status == 0 ? uri_accept(&listener, &fds[0], &fds[1], err) : status;
}

/* The connection is handed over: the machine's process opens none. */
static int ask_with_connection(struct client *client, const struct options *options, const char *request,
			       struct error *err)
{
	int fds[CONTROL_FDS_MAX];
	int status = open_connection(options, fds, err);
	if (status < 0)
		return status;
	bool is_one = fds[0] == fds[1];
	status = ask_with(client, request, fds, is_one ? 1 : 2, err);
	close(fds[0]);
	if (!is_one)
		close(fds[1]);
	return status;
}

/* ---- Jobs ---- */

struct bar {
	int64_t since_us;
	bool is_shown;
};

static void show_bar(const struct client *client, struct bar *bar)
{
	char phase[VALUE_SIZE] = "", cells[BAR_CELLS + 1];
	if (now_us() - bar->since_us < PROGRESS_US || !isatty(STDERR_FILENO))
		return;
	uint64_t done = get_number(client, "job.pages_done"), todo = get_number(client, "job.pages_todo");
	uint64_t percent = todo == 0 || done > todo ? 100 : done * 100 / todo;
	size_t full = (size_t)(percent * BAR_CELLS / 100);
	memset(cells, '.', BAR_CELLS);
	memset(cells, '#', full);
	cells[BAR_CELLS] = '\0';
	get(client, "job.phase", phase);
	uint64_t bytes =
		get_number(client, "job.written_bytes") + get_number(client, "job.sent_bytes"); /* it has one */
	fprintf(stderr, "\r\033[K[%s] %3u%% of round %u, %.1f MiB, %s", cells, (unsigned)percent,
		(unsigned)get_number(client, "job.round") + 1, (double)bytes / (1 << 20), phase);
	bar->is_shown = true;
}

/* Looks until the job is over; the last reply has what came of it. */
static int await_job(struct client *client, struct error *err)
{
	char request[64];
	const struct timespec moment = { .tv_nsec = LOOK_US * 1000 };
	struct bar bar = { .since_us = now_us() };
	uint64_t number = get_number(client, "job");
	snprintf(request, sizeof(request), "status %llu\n", (unsigned long long)number);
	int status = ask(client, request, err);
	while (status == 0 && get_number(client, "last.number") != number) {
		show_bar(client, &bar);
		nanosleep(&moment, NULL);
		status = ask(client, request, err);
	}
	if (bar.is_shown)
		fprintf(stderr, "\r\033[K");
	return status;
}

/* ---- What is printed ---- */

static void print_leaf(void *context, const char *path, enum json_kind kind, const char *value)
{
	(void)context;
	(void)kind;
	if (strcmp(path, "ok") != 0)
		printf("%s: %s\n", path, value);
}

static void print_reply(const struct client *client, const struct options *options)
{
	if (options->json)
		printf("%.*s\n", (int)client->size, client->reply);
	else
		json_walk(client->reply, client->size, print_leaf, NULL);
}

/* How a migration converged, or did not: a line a round. */
static void print_rounds(const struct client *client)
{
	for (unsigned i = 0;; i++) {
		static const char *const names[] = { "data_pages", "zero_pages", "unchanged_pages",
						     "sent_bytes", "took_us",    "left_pages" };
		uint64_t values[sizeof(names) / sizeof(names[0])];
		char path[JSON_PATH_MAX], word[VALUE_SIZE];
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
			snprintf(path, sizeof(path), "last.rounds.%u.%s", i, names[k]);
			if (!get(client, path, word))
				return;
			values[k] = strtoull(word, NULL, 10);
		}
		double seconds = (double)(values[4] + 1) / 1000000;
		printf("round %u: %" PRIu64 " pages, %" PRIu64 " of zeros, %" PRIu64
		       " unchanged, in %.1f ms: %.1f MiB/s; "
		       "the guest wrote %" PRIu64 " meanwhile: %.1f MiB/s\n",
		       i + 1, values[0], values[1], values[2], seconds * 1000, (double)values[3] / (1 << 20) / seconds,
		       values[5], (double)values[5] / 256 / seconds);
	}
}

/* What came of a job, in the reply to a look at it. */
static int print_result(const struct client *client, const struct options *options, struct error *err)
{
	char word[VALUE_SIZE], text[VALUE_SIZE];
	if (!options->json && get(client, "last.remarks", text))
		fputs(text, stderr);
	if (!options->json)
		print_rounds(client);
	if (!get(client, "last.ok", word) || strcmp(word, "true") != 0)
		return take_error(client, "last.error", err);
	if (!options->json && get(client, "last.text", text))
		printf("%s\n", text);
	return 0;
}

/* The machine has ended, and its socket is gone, when the connection is. */
static void await_end(const struct client *client)
{
	char ignored[256];
	ssize_t n;
	do
		n = read(client->fd, ignored, sizeof(ignored));
	while (n > 0 || (n < 0 && errno == EINTR));
}

static int converse(struct client *client, const struct options *options, const char *request, struct error *err)
{
	bool has_connection = is_request(options, "migrate") || is_request(options, "receive");
	int status = has_connection ? ask_with_connection(client, options, request, err) : ask(client, request, err);
	if (status == 0 && is_job(options))
		status = await_job(client, err);
	bool has_reply = client->size > 0;
	if (status == 0 && is_job(options))
		status = print_result(client, options, err);
	else if (status == 0 && !options->json)
		print_reply(client, options);
	if (options->json && has_reply)
		print_reply(client, options);
	if (status == 0 && is_request(options, "quit"))
		await_end(client);
	return status;
}

static int ctl(const struct options *options, int *ret_status, struct error *err)
{
	struct client client = { .fd = -1 };
	char *request = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&request, &size);
	if (out == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a request");
	int status = write_request(options, out, err);
	fclose(out);
	if (status == 0)
		status = connect_to(&client, options->arguments[0], err);
	if (status == 0)
		status = converse(&client, options, request, err);
	/* With --json, a refusal is told by the document that was printed. */
	if (status < 0 && options->json && client.size > 0) {
		*ret_status = error_exit_status(err->code);
		status = 0;
	}
	disconnect(&client);
	free(request);
	return status;
}

static void print_requests(FILE *out)
{
	fprintf(out, "requests:\n");
	session_print_requests(out);
	fprintf(out, "\noptions:\n");
}

const struct command command_ctl = {
	.name = "ctl",
	.arguments = "SOCKET REQUEST [ARG]",
	.summary = "ask something of a machine that runs with --control SOCKET",
	.options = OPTIONS_CTL | OPTIONS_URI | OPTIONS_JSON,
	.arguments_min = 2,
	.arguments_max = 3,
	.print_more = print_requests,
	.run = ctl,
};
