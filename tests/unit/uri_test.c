#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/io.h"
#include "vmm/uri.h"

static const struct uri_options secure = { 0 }, insecure = { .is_insecure = true };
static char folder[32], path[64], uri[80];
static struct error err;
static struct uri_listener listener;

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	snprintf(folder, sizeof(folder), "uri_test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	snprintf(uri, sizeof(uri), "unix:%s", path);
}

static void teardown(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
}

static void expect_path_through(int from, int to)
{
	char got[4] = "";
	ck_assert_int_eq(io_write_full(from, "abc", 3), 0);
	ck_assert_int_eq(io_read_full(to, got, 3), 3);
	ck_assert_str_eq(got, "abc");
}

static void expect_connection(const char *to)
{
	int in_fd, out_fd, peer_in, peer_out;
	ck_assert_msg(uri_connect(to, &secure, &in_fd, &out_fd, &err) == 0, "%s", err.text);
	ck_assert_msg(uri_accept(&listener, &peer_in, &peer_out, &err) == 0, "%s", err.text);
	expect_path_through(out_fd, peer_in);
	expect_path_through(peer_out, in_fd);
	ck_assert_int_ne(fcntl(in_fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_ne(fcntl(peer_in, F_GETFD) & FD_CLOEXEC, 0);
	close(in_fd);
	close(peer_in);
}

START_TEST(a_unix_socket_is_private_and_goes_away)
{
	struct stat st;
	ck_assert_msg(uri_listen(uri, &secure, &listener, &err) == 0, "%s", err.text);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	expect_connection(uri);
	ck_assert_int_lt(stat(path, &st), 0);
}
END_TEST

START_TEST(a_stale_socket_is_replaced_and_nothing_else)
{
	struct uri_listener second;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	memcpy(address.sun_path, path, strlen(path) + 1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	ck_assert_msg(uri_listen(uri, &secure, &listener, &err) == 0, "%s", err.text);
	ck_assert_int_eq(uri_listen(uri, &secure, &second, &err), -ERROR_CREATE);
	ck_assert_ptr_nonnull(strstr(err.text, "another process listens"));
	uri_listener_done(&listener);

	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	ck_assert_int_eq(uri_listen(uri, &secure, &listener, &err), -ERROR_CREATE);
	ck_assert_ptr_nonnull(strstr(err.text, "something else than a socket"));
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

/* Some port is free. */
START_TEST(tcp_is_for_this_host)
{
	char tcp[64];
	int status = -1;
	for (unsigned port = 20000 + (unsigned)getpid() % 20000; status < 0 && port < 60000; port += 97) {
		snprintf(tcp, sizeof(tcp), "tcp:localhost:%u", port);
		status = uri_listen(tcp, &secure, &listener, &err);
	}
	ck_assert_msg(status == 0, "%s", err.text);
	expect_connection(tcp);
}
END_TEST

static void expect_refused(const char *what, const struct uri_options *options, const char *text)
{
	int in_fd = -7, out_fd = -7;
	ck_assert_msg(uri_connect(what, options, &in_fd, &out_fd, &err) == -ERROR_USAGE, "%s", what);
	ck_assert_msg(strstr(err.text, text) != NULL, "%s: %s", what, err.text);
	ck_assert_msg(uri_listen(what, options, &listener, &err) == -ERROR_USAGE, "%s", what);
	ck_assert_int_eq(in_fd, -7);
}

START_TEST(what_is_no_place_is_refused)
{
	char longer[200];
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	memcpy(longer, "unix:", 5);
	expect_refused(longer, &secure, "name of 194 bytes");
	expect_refused("unix:", &secure, "name of 0 bytes");
	expect_refused("", &secure, "expected unix:PATH");
	expect_refused("http://x", &secure, "expected unix:PATH");
	expect_refused("tcp:localhost", &insecure, "expected tcp:HOST:PORT");
	expect_refused("tcp::1", &insecure, "expected tcp:HOST:PORT");
	expect_refused("tcp:localhost:0", &insecure, "expected tcp:HOST:PORT");
	expect_refused("tcp:localhost:65536", &insecure, "expected tcp:HOST:PORT");
	expect_refused("tcp:localhost:1x", &insecure, "expected tcp:HOST:PORT");
	expect_refused("tcp:192.0.2.1:99", &secure, "--insecure-tcp");
	expect_refused("tcp:0.0.0.0:99", &secure, "--insecure-tcp");
	expect_refused("tcp:[2001:db8::1]:99", &secure, "--insecure-tcp");
	expect_refused("exec:", &secure, "expected exec:COMMAND");
	expect_refused("fd:", &secure, "expected fd:N");
	expect_refused("fd:1x", &secure, "expected fd:N");
	expect_refused("fd:1000000", &secure, "fd:1000000");
}
END_TEST

START_TEST(nobody_there_is_an_error)
{
	int in_fd, out_fd;
	ck_assert_int_eq(uri_connect(uri, &secure, &in_fd, &out_fd, &err), -ERROR_IO);
	ck_assert_ptr_nonnull(strstr(err.text, uri));
}
END_TEST

START_TEST(a_command_is_a_connection)
{
	int in_fd, out_fd;
	char byte;
	ck_assert_int_eq(uri_connect("exec:exec tr a-c A-C", &secure, &in_fd, &out_fd, &err), 0);
	ck_assert_int_eq(io_write_full(out_fd, "abc", 3), 0);
	ck_assert_int_eq(shutdown(out_fd, SHUT_WR), 0);
	char got[4] = "";
	ck_assert_int_eq(io_read_full(in_fd, got, 3), 3);
	ck_assert_str_eq(got, "ABC");
	ck_assert_int_eq(io_read_full(in_fd, &byte, 1), 0);
	close(in_fd);
}
END_TEST

START_TEST(a_descriptor_is_copied)
{
	int fds[2], in_fd, out_fd;
	char name[32];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	snprintf(name, sizeof(name), "fd:%d", fds[0]);
	ck_assert_int_eq(uri_listen(name, &secure, &listener, &err), 0);
	ck_assert_int_eq(uri_accept(&listener, &in_fd, &out_fd, &err), 0);
	ck_assert_int_ne(in_fd, fds[0]);
	expect_path_through(fds[1], in_fd);
	close(in_fd);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* Standard input and output become the connection, and what is printed afterwards goes nowhere. */
START_TEST(standard_input_and_output_are_taken)
{
	int input[2], output[2], in_fd, out_fd, saved_in = dup(STDIN_FILENO), saved_out = dup(STDOUT_FILENO);
	ck_assert_int_eq(pipe(input), 0);
	ck_assert_int_eq(pipe(output), 0);
	dup2(input[0], STDIN_FILENO);
	dup2(output[1], STDOUT_FILENO);
	int status = uri_connect("-", &secure, &in_fd, &out_fd, &err);
	bool is_quiet = write(STDOUT_FILENO, "x", 1) == 1;
	dup2(saved_in, STDIN_FILENO);
	dup2(saved_out, STDOUT_FILENO);
	ck_assert_int_eq(status, 0);
	ck_assert(is_quiet);
	expect_path_through(input[1], in_fd);
	expect_path_through(out_fd, output[0]);
}
END_TEST

UNIT_MAIN_WITH(setup, teardown, "uri", a_unix_socket_is_private_and_goes_away,
	       a_stale_socket_is_replaced_and_nothing_else, tcp_is_for_this_host, what_is_no_place_is_refused,
	       nobody_there_is_an_error, a_command_is_a_connection, a_descriptor_is_copied,
	       standard_input_and_output_are_taken)
