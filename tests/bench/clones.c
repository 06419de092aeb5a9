/*
 * Restores many machines of one snapshot, one after the other, and lets all of them stand still after their first byte.
 *
 *   clones time|pss|private N COMMAND...
 *
 * Prints, of all machines together, the median: microseconds from its start to its first byte; its share of memory,
 * KiB, where a page that n processes have counts an nth (Pss of smaps_rollup); or what it has alone.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CLONES_MAX 1024
#define LINE_BYTES 256

extern char **environ;

static pid_t pids[CLONES_MAX];
static unsigned nr_started;

static void die(const char *what)
{
	fprintf(stderr, "clones: %s: %s\n", what, strerror(errno));
	for (unsigned i = 0; i < nr_started; i++)
		kill(pids[i], SIGKILL);
	exit(1);
}

static double now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Starts one, and stops it at its first byte; the pipe stays open, for its next one.  Returns how long that took. */
static double start(char **argv)
{
	posix_spawn_file_actions_t actions;
	int fds[2];
	char byte;
	if (pipe(fds) < 0)
		die("pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	double from = now_us();
	errno = posix_spawn(&pids[nr_started], argv[0], &actions, NULL, argv, environ);
	if (errno != 0)
		die(argv[0]);
	nr_started++;
	close(fds[1]);
	if (read(fds[0], &byte, 1) != 1)
		die("no first byte");
	double took = now_us() - from;
	kill(pids[nr_started - 1], SIGSTOP);
	posix_spawn_file_actions_destroy(&actions);
	return took;
}

/* The sum of the rows of smaps_rollup that begin with the name. */
static double memory_kib(pid_t pid, const char *name)
{
	char line[LINE_BYTES];
	double sum = 0;
	snprintf(line, sizeof(line), "/proc/%d/smaps_rollup", (int)pid);
	FILE *file = fopen(line, "re");
	if (file == NULL)
		die(line);
	while (fgets(line, sizeof(line), file) != NULL) {
		const char *colon = strchr(line, ':');
		if (strncmp(line, name, strlen(name)) == 0 && colon != NULL)
			sum += strtod(colon + 1, NULL);
	}
	fclose(file);
	return sum;
}

static int by_value(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return left < right ? -1 : left > right;
}

int main(int argc, char **argv)
{
	static double values[CLONES_MAX];
	unsigned nr = argc > 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
	if (nr == 0 || nr > CLONES_MAX) {
		fprintf(stderr, "usage: clones time|pss|private N COMMAND..., N up to %d\n", CLONES_MAX);
		return 64;
	}
	for (unsigned i = 0; i < nr; i++)
		values[i] = start(argv + 3);
	for (unsigned i = 0; i < nr && strcmp(argv[1], "time") != 0; i++)
		values[i] = memory_kib(pids[i], strcmp(argv[1], "pss") == 0 ? "Pss:" : "Private_");
	for (unsigned i = 0; i < nr; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	qsort(values, nr, sizeof(values[0]), by_value);
	printf("%.0f\n", values[nr / 2]);
	return 0;
}
