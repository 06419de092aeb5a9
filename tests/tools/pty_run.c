/*
 * Runs a program on a terminal of its own and plays the user.
 *
 *   pty_run [STEP]... -- PROGRAM [ARGUMENT]...
 *
 * Steps, one after the other:
 *   expect:TEXT   waits until the program has printed TEXT behind what the last expect found
 *   send:TEXT     types TEXT; ^X in it is Ctrl-X
 *   raw, cooked   waits until the terminal is in raw mode, or as it was at first
 *   signal:N      sends the program signal number N
 *   stalled       waits until the program can print nothing more, for nobody reads, and has stood still for a while
 *   unread:FILE   waits until the file is there, without reading what is printed
 *   ended         waits until the program has ended, without reading what it printed
 *
 * What the program prints goes to standard output.  The exit status is the program's (128 + N: ended by signal N),
 * 124 where a step is not done within half a minute, 125 where the program has left the terminal changed; a sentence on
 * standard error says which.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#define STEP_MS     30000
#define POLL_MS     20
#define STILL_MS    500
#define PRINTED_MAX (1 << 20)

#define STATUS_STUCK   124
#define STATUS_CHANGED 125

struct terminal {
	int master, slave; /* the slave stays open, so that its settings outlive the program */
	pid_t child;
	struct termios at_first;
	char printed[PRINTED_MAX + 1];
	size_t size, seen;   /* seen: up to where expect has looked */
	unsigned long ticks; /* of processor time that the program had used ... */
	long still_ms;       /* ... at this time, for the first time */
};

static long now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int start(struct terminal *terminal, char **command)
{
	char name[64];
	if (openpty(&terminal->master, &terminal->slave, name, NULL, NULL) < 0 ||
	    tcgetattr(terminal->slave, &terminal->at_first) < 0)
		return -1;
	terminal->child = fork();
	if (terminal->child != 0)
		return terminal->child < 0 ? -1 : 0;
	close(terminal->master);
	if (login_tty(terminal->slave) == 0)
		execvp(command[0], command);
	fprintf(stderr, "pty_run: %s: %s\n", command[0], strerror(errno));
	_exit(127);
}

/* Takes what is printed within a moment; false at its end. */
static bool take_output(struct terminal *terminal)
{
	struct pollfd wait = { .fd = terminal->master, .events = POLLIN };
	if (poll(&wait, 1, POLL_MS) <= 0)
		return true;
	char *at = terminal->printed + terminal->size;
	ssize_t n = read(terminal->master, at, PRINTED_MAX - terminal->size);
	if (n <= 0)
		return false;
	terminal->size += (size_t)n;
	at[n] = '\0';
	fwrite(at, 1, (size_t)n, stdout);
	return true;
}

static bool find(struct terminal *terminal, const char *text)
{
	const char *found = strstr(terminal->printed + terminal->seen, text);
	if (found != NULL)
		terminal->seen = (size_t)(found - terminal->printed) + strlen(text);
	return found != NULL;
}

static bool is_as_at_first(const struct terminal *terminal)
{
	const struct termios *first = &terminal->at_first;
	struct termios now;
	return tcgetattr(terminal->slave, &now) == 0 && now.c_iflag == first->c_iflag &&
	       now.c_oflag == first->c_oflag && now.c_cflag == first->c_cflag && now.c_lflag == first->c_lflag &&
	       memcmp(now.c_cc, first->c_cc, sizeof(now.c_cc)) == 0;
}

static bool is_raw(const struct terminal *terminal)
{
	struct termios now;
	return tcgetattr(terminal->slave, &now) == 0 && (now.c_lflag & (tcflag_t)(ICANON | ECHO | ISIG)) == 0;
}

static bool type(const struct terminal *terminal, const char *text)
{
	for (; *text != '\0'; text++) {
		char key = *text;
		if (key == '^' && text[1] != '\0')
			key = *++text & 0x1f;
		if (write(terminal->master, &key, 1) != 1)
			return false;
	}
	return true;
}

/* The processor time of all its threads, in ticks (proc(5): utime and stime of stat). */
static unsigned long ticks_of(pid_t pid)
{
	char path[64];
	unsigned long user = 0, kernel = 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	FILE *file = fopen(path, "r");
	if (file == NULL)
		return 0;
	if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
		user = 0;
	fclose(file);
	return user + kernel;
}

/* Has the terminal no room for what the program prints, and does it wait for that? */
static bool is_stalled(struct terminal *terminal)
{
	struct pollfd room = { .fd = terminal->slave, .events = POLLOUT };
	unsigned long ticks = ticks_of(terminal->child);
	if (poll(&room, 1, 0) != 0 || ticks != terminal->ticks) {
		terminal->ticks = ticks;
		terminal->still_ms = now_ms();
	}
	return now_ms() - terminal->still_ms >= STILL_MS;
}

static bool has_ended(const struct terminal *terminal)
{
	siginfo_t info = { 0 };
	return waitid(P_PID, (id_t)terminal->child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* Is it a step during which the user reads nothing? */
static bool is_unread(const char *word)
{
	return strncmp(word, "unread:", 7) == 0 || strcmp(word, "stalled") == 0 || strcmp(word, "ended") == 0;
}

/* Is the step done?  It is asked for again until it is. */
static bool step(struct terminal *terminal, const char *word)
{
	if (strncmp(word, "unread:", 7) == 0)
		return access(word + 7, F_OK) == 0;
	if (strcmp(word, "stalled") == 0)
		return is_stalled(terminal);
	if (strcmp(word, "ended") == 0)
		return has_ended(terminal);
	if (strncmp(word, "expect:", 7) == 0)
		return find(terminal, word + 7);
	if (strncmp(word, "send:", 5) == 0)
		return type(terminal, word + 5);
	if (strncmp(word, "signal:", 7) == 0)
		return kill(terminal->child, (int)strtol(word + 7, NULL, 10)) == 0;
	if (strcmp(word, "raw") == 0)
		return is_raw(terminal);
	return strcmp(word, "cooked") == 0 && is_as_at_first(terminal);
}

static int play(struct terminal *terminal, char **steps, int nr)
{
	for (int i = 0; i < nr; i++) {
		long deadline = now_ms() + STEP_MS;
		while (!step(terminal, steps[i])) {
			if (now_ms() > deadline) {
				fprintf(stderr, "pty_run: %s: not done\n", steps[i]);
				return -1;
			}
			if (is_unread(steps[i]))
				poll(NULL, 0, POLL_MS);
			else
				take_output(terminal);
		}
	}
	return 0;
}

/* The program's exit status once it has ended, -1 while it has not. */
static int take_status(const struct terminal *terminal)
{
	int status;
	if (waitpid(terminal->child, &status, WNOHANG) != terminal->child)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int wait_for_end(struct terminal *terminal)
{
	long deadline = now_ms() + STEP_MS;
	int status;
	while ((status = take_status(terminal)) < 0 && now_ms() < deadline)
		take_output(terminal);
	take_output(terminal); /* what it printed last */
	if (status < 0) {
		fprintf(stderr, "pty_run: the program does not end\n");
		status = STATUS_STUCK;
	} else if (!is_as_at_first(terminal)) {
		fprintf(stderr, "pty_run: the terminal was not put back\n");
		status = STATUS_CHANGED;
	}
	return status;
}

int main(int argc, char **argv)
{
	static struct terminal terminal;
	int nr = 1;
	while (nr < argc && strcmp(argv[nr], "--") != 0)
		nr++;
	if (nr + 1 >= argc) {
		fprintf(stderr, "usage: pty_run [STEP]... -- PROGRAM [ARGUMENT]...\n");
		return EXIT_FAILURE;
	}
	if (start(&terminal, argv + nr + 1) < 0) {
		fprintf(stderr, "pty_run: no terminal: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	int status = play(&terminal, argv + 1, nr - 1) < 0 ? STATUS_STUCK : wait_for_end(&terminal);
	if (status == STATUS_STUCK) {
		kill(terminal.child, SIGKILL);
		waitpid(terminal.child, NULL, 0);
	}
	return status;
}
