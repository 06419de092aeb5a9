/*
 * Runs the experiments of a table and prints what they took: each round runs the programs of an experiment one after
 * the other, each time beginning with another one and every other time in the opposite order, so that a disturbance
 * meets all of them alike.  Before each there is a rest, in which the kernel ends what the one before left behind.
 *
 *   bench TABLE ROUNDS [EXPERIMENT]...
 *
 * A line of the table is an experiment's name, what is measured (rows of metrics[] below), a program's name, and the
 * command, in words, which runs in the current folder.  A line "goal EXPERIMENT METRIC PROGRAM BASE at-most|at-least
 * LIMIT" is what the program's metric is to be, divided by that of BASE, or as it is where BASE is "-"; a second table
 * tells which are met.  A program of which nothing but its first byte is measured is
 * ended after it.  Each number is divided by that of the experiment's first program in the same round; what is printed
 * are medians, and between which ratios the middle half of the rounds lies.  A program that is not installed is left
 * out.  An experiment that has taken eight minutes ends with the rounds that it has.
 */
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define WORDS_MAX      48
#define PROGRAMS_MAX   64
#define GOALS_MAX      32
#define ROUNDS_MAX     1000
#define METRICS_MAX    4
#define OUTPUT_MAX     4096 /* bytes of what a program prints that are kept */
#define EXPERIMENT_US  480e6
#define ROUNDS_MIN     5 /* however long they take */

extern char **environ;

/* What one run gave. */
struct run {
	double first_byte_us, exit_us;
	long faults, rss_kib;
	double printed;
};

static double first_byte(const struct run *run)
{
	return run->first_byte_us;
}

static double to_exit(const struct run *run)
{
	return run->exit_us;
}

static double faults(const struct run *run)
{
	return (double)run->faults;
}

static double rss(const struct run *run)
{
	return (double)run->rss_kib;
}

static double printed(const struct run *run)
{
	return run->printed;
}

static const struct metric {
	const char *name, *title, *unit;
	double (*get)(const struct run *run);
} metrics[] = {
	{ "first-byte", "spawn to first byte", "us", first_byte },
	{ "exit", "spawn to exit", "us", to_exit },
	{ "faults", "page faults", "", faults },
	{ "rss", "largest resident size", "KiB", rss },
	{ "printed-us", "as it measures itself", "us", printed },
	{ "printed", "as it prints", "", printed },
};
#define NR_METRICS (sizeof(metrics) / sizeof(metrics[0]))

/* A line of the table. */
struct program {
	char line[LINE_MAX_BYTES]; /* what the words point into */
	const char *experiment, *name;
	const struct metric *metrics[METRICS_MAX];
	unsigned nr_metrics;
	char *argv[WORDS_MAX + 1];
	struct run runs[ROUNDS_MAX];
	unsigned nr_runs;
};

static struct program table[PROGRAMS_MAX];
static unsigned nr_programs;

struct goal {
	char line[LINE_MAX_BYTES]; /* what the words point into */
	const char *experiment, *program, *base;
	const struct metric *metric;
	bool is_least;
	double limit;
};

static struct goal goals[GOALS_MAX];
static unsigned nr_goals;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

/* ---- The table ---- */

static char *next_word(char **at)
{
	char *start = *at + strspn(*at, " \t\n");
	char *end = start + strcspn(start, " \t\n");
	if (start == end)
		return NULL;
	*at = *end != '\0' ? end + 1 : end;
	*end = '\0';
	return start;
}

static const struct metric *find_metric(const char *name, size_t size)
{
	for (size_t i = 0; i < NR_METRICS; i++)
		if (strlen(metrics[i].name) == size && memcmp(metrics[i].name, name, size) == 0)
			return &metrics[i];
	die("%s: no such metric", name);
}

static void parse_metrics(struct program *program, const char *names)
{
	while (*names != '\0') {
		size_t size = strcspn(names, ",");
		if (program->nr_metrics == METRICS_MAX)
			die("%s: more than %d metrics", program->experiment, METRICS_MAX);
		program->metrics[program->nr_metrics++] = find_metric(names, size);
		names += size + (names[size] == ',');
	}
}

/* Does anything but the time to its first byte matter? */
static bool runs_to_its_end(const struct program *program)
{
	return program->nr_metrics > 1 || program->metrics[0]->get != first_byte;
}

static bool is_installed(const char *command)
{
	char path[LINE_MAX_BYTES];
	const char *at = getenv("PATH");
	if (strchr(command, '/') != NULL)
		return true;
	while (at != NULL && *at != '\0') {
		size_t size = strcspn(at, ":");
		snprintf(path, sizeof(path), "%.*s/%s", (int)size, at, command);
		if (access(path, X_OK) == 0)
			return true;
		at += size + (at[size] == ':');
	}
	return false;
}

static void parse_line(const char *line)
{
	struct program *program = &table[nr_programs];
	unsigned nr_words = 0;
	if (nr_programs == PROGRAMS_MAX)
		die("more than %d lines", PROGRAMS_MAX);
	snprintf(program->line, sizeof(program->line), "%s", line);
	char *at = program->line, *names;
	program->experiment = next_word(&at);
	if (program->experiment == NULL || program->experiment[0] == '#')
		return;
	names = next_word(&at);
	program->name = next_word(&at);
	while (nr_words < WORDS_MAX && (program->argv[nr_words] = next_word(&at)) != NULL)
		nr_words++;
	if (nr_words == 0)
		die("%s: a line without a command", program->experiment);
	parse_metrics(program, names);
	if (is_installed(program->argv[0]))
		nr_programs++;
	else
		*program = (struct program){ 0 };
}

static void parse_goal(const char *line)
{
	if (nr_goals == GOALS_MAX)
		die("more than %d goals", GOALS_MAX);
	struct goal *goal = &goals[nr_goals++];
	snprintf(goal->line, sizeof(goal->line), "%s", line);
	char *at = goal->line;
	next_word(&at); /* "goal" */
	goal->experiment = next_word(&at);
	const char *metric = next_word(&at);
	goal->program = next_word(&at);
	goal->base = next_word(&at);
	const char *which = next_word(&at), *limit = next_word(&at);
	if (limit == NULL || (strcmp(which, "at-least") != 0 && strcmp(which, "at-most") != 0))
		die("%s: a goal is EXPERIMENT METRIC PROGRAM BASE at-most|at-least LIMIT", line);
	goal->metric = find_metric(metric, strlen(metric));
	goal->is_least = strcmp(which, "at-least") == 0;
	goal->limit = strtod(limit, NULL);
}

static void read_table(const char *path)
{
	static const char goal[] = "goal ";
	char line[LINE_MAX_BYTES];
	FILE *file = fopen(path, "re");
	if (file == NULL)
		die("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, goal, strlen(goal)) == 0)
			parse_goal(line);
		else
			parse_line(line);
	}
	fclose(file);
}

/* ---- One run ---- */

static double now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static pid_t start(char **argv, int output)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "errors", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	int result = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (result != 0)
		die("%s: %s", argv[0], strerror(result));
	return pid;
}

static struct run run_once(struct program *program)
{
	struct run run = { 0 };
	struct rusage usage;
	char output[OUTPUT_MAX + 1];
	int fds[2], status;
	size_t size = 0;
	ssize_t n;
	if (pipe2(fds, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	double from = now_us();
	pid_t pid = start(program->argv, fds[1]);
	close(fds[1]);
	while ((n = read(fds[0], output + size, size == 0 ? 1 : OUTPUT_MAX - size)) > 0) {
		if (size == 0)
			run.first_byte_us = now_us() - from;
		size += (size_t)n;
		if (!runs_to_its_end(program))
			kill(pid, SIGKILL);
		if (size == OUTPUT_MAX)
			size = 1; /* the rest is of no interest */
	}
	if (wait4(pid, &status, 0, &usage) != pid)
		die("wait4: %s", strerror(errno));
	run.exit_us = now_us() - from;
	close(fds[0]);
	if (size == 0 || (runs_to_its_end(program) && !WIFEXITED(status)))
		die("%s of %s printed %zu bytes and ended with status 0x%x; see the file \"errors\"", program->name,
		    program->experiment, size, (unsigned)status);
	output[size] = '\0';
	run.printed = strtod(output, NULL);
	run.faults = usage.ru_minflt + usage.ru_majflt;
	run.rss_kib = usage.ru_maxrss;
	return run;
}

/* ---- Many ---- */

#define REST_NS 5000000

/* Which of nr programs is run as number turn of a round. */
static unsigned place_of(unsigned round, unsigned turn, unsigned nr)
{
	unsigned begin = round / 2 % nr;
	return round % 2 == 0 ? (begin + turn) % nr : (begin + nr - turn) % nr;
}

/* The programs first to last - 1 are one experiment.  Returns how many rounds it has. */
static unsigned run_rounds(unsigned first, unsigned last, unsigned rounds)
{
	double from = now_us();
	for (unsigned i = first; i < last; i++)
		run_once(&table[i]); /* warms the caches */
	for (unsigned round = 0; round < rounds; round++) {
		if (round >= ROUNDS_MIN && now_us() - from > EXPERIMENT_US)
			return round;
		for (unsigned turn = 0; turn < last - first; turn++) {
			struct program *program = &table[first + place_of(round, turn, last - first)];
			nanosleep(&(struct timespec){ .tv_nsec = REST_NS }, NULL);
			program->runs[round] = run_once(program);
		}
	}
	return rounds;
}

static int by_value(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return left < right ? -1 : left > right;
}

struct summary {
	double min, low, median, high;
};

static struct summary summarize(double *values, unsigned nr)
{
	qsort(values, nr, sizeof(values[0]), by_value);
	return (struct summary){
		.min = values[0],
		.low = values[nr / 4],
		.median = values[nr / 2],
		.high = values[nr - 1 - nr / 4],
	};
}

/* A program's metric, divided by that of base in the same round, or as it is where base is NULL. */
static struct summary summarize_metric(const struct program *program, const struct metric *metric,
				       const struct program *base)
{
	static double values[ROUNDS_MAX];
	for (unsigned i = 0; i < program->nr_runs; i++) {
		double by = base != NULL ? metric->get(&base->runs[i]) : 1;
		values[i] = by > 0 ? metric->get(&program->runs[i]) / by : 0;
	}
	return summarize(values, program->nr_runs);
}

static void print_row(const struct program *base, const struct program *program, const struct metric *metric)
{
	struct summary value = summarize_metric(program, metric, NULL);
	struct summary ratio = summarize_metric(program, metric, base);
	int decimals = value.median < 100 && value.median != (double)(long)value.median ? 2 : 0;
	printf("| %s | %s | %s | %.*f %s | %.*f | %.2f | %.2f to %.2f | %u |\n", program->experiment, metric->title,
	       program->name, decimals, value.median, metric->unit, decimals, value.min, ratio.median, ratio.low,
	       ratio.high, program->nr_runs);
	fflush(stdout);
}

/* Of the programs that have run; NULL. */
static const struct program *find_program(const char *experiment, const char *name)
{
	for (unsigned i = 0; i < nr_programs; i++)
		if (table[i].nr_runs > 0 && strcmp(table[i].experiment, experiment) == 0 &&
		    strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

/* The first one prints the table's head. */
static void print_goal(const struct goal *goal, bool *has_head)
{
	const struct program *program = find_program(goal->experiment, goal->program);
	const struct program *base = find_program(goal->experiment, goal->base);
	bool is_ratio = strcmp(goal->base, "-") != 0;
	if (program == NULL || (is_ratio && base == NULL))
		return;
	if (!*has_head)
		printf("\n| experiment | measured | | goal | median | |\n|---|---|---|---:|---:|---|\n");
	*has_head = true;
	double value = summarize_metric(program, goal->metric, base).median;
	int decimals = is_ratio ? 2 : 0;
	printf("| %s | %s | %s%s%s | %s %.*f %s | %.*f | %s |\n", goal->experiment, goal->metric->title, goal->program,
	       is_ratio ? " by " : "", is_ratio ? goal->base : "", goal->is_least ? "at least" : "at most", decimals,
	       goal->limit, is_ratio ? "" : goal->metric->unit, decimals, value,
	       (goal->is_least ? value >= goal->limit : value <= goal->limit) ? "met" : "missed");
}

static bool is_wanted(const char *experiment, char **names, int nr)
{
	for (int i = 0; i < nr; i++)
		if (strcmp(names[i], experiment) == 0)
			return true;
	return nr == 0;
}

static void run_experiment(unsigned first, unsigned last, unsigned rounds)
{
	rounds = run_rounds(first, last, rounds);
	for (unsigned i = first; i < last; i++)
		table[i].nr_runs = rounds;
	for (unsigned m = 0; m < table[first].nr_metrics; m++)
		for (unsigned i = first; i < last; i++)
			for (unsigned k = 0; k < table[i].nr_metrics; k++)
				if (table[i].metrics[k] == table[first].metrics[m])
					print_row(&table[first], &table[i], table[i].metrics[k]);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		die("usage: bench TABLE ROUNDS [EXPERIMENT]...");
	unsigned rounds = (unsigned)strtoul(argv[2], NULL, 10);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		die("%s rounds: expected 1 to %d", argv[2], ROUNDS_MAX);
	read_table(argv[1]);
	printf("| experiment | measured | program | median | least | ratio | middle half | rounds |\n");
	printf("|---|---|---|---:|---:|---:|---:|---:|\n");
	for (unsigned first = 0, last; first < nr_programs; first = last) {
		for (last = first + 1; last < nr_programs; last++)
			if (strcmp(table[last].experiment, table[first].experiment) != 0)
				break;
		if (is_wanted(table[first].experiment, argv + 3, argc - 3))
			run_experiment(first, last, rounds);
	}
	bool has_head = false;
	for (unsigned i = 0; i < nr_goals; i++)
		print_goal(&goals[i], &has_head);
	return 0;
}
