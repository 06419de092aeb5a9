#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "crash.h"

static const struct command *const commands[] = {
	&command_run,    &command_roundtrip, &command_restore, &command_receive, &command_compare, &command_inspect,
	&command_verify, &command_check,     &command_flatten, &command_host,    &command_guests,  &command_ctl,
};
#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *out)
{
	fprintf(out,
		"usage: stasis COMMAND [OPTIONS] [ARGUMENTS]\n\n"
		"Takes the whole state of a KVM virtual machine to a file, puts it into a new machine, and proves by\n"
		"comparison, field by field and by name, that everything arrived.\n\n");
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		char call[64];
		snprintf(call, sizeof(call), "%s %s", commands[i]->name, commands[i]->arguments);
		fprintf(out, "  %-28s %s\n", call, commands[i]->summary);
	}
	fprintf(out, "\nstasis COMMAND --help tells a command's options; stasis --version the version.\n");
}

static void print_help(const struct command *command)
{
	printf("usage: stasis %s%s%s%s\n\n%s.\n\n", command->name, command->options != 0 ? " [OPTIONS]" : "",
	       command->arguments[0] != '\0' ? " " : "", command->arguments, command->summary);
	if (command->print_more != NULL)
		command->print_more(stdout);
	options_print_help(stdout, command->options);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static int check_arguments(const struct command *command, const struct options *options, struct error *err)
{
	unsigned min = command->arguments_min, max = command->arguments_max, nr = options->nr_arguments;
	if (nr < min || nr > max)
		return error_set(err, ERROR_USAGE, "%s: %u arguments, expected %s", command->name, nr,
				 max == 0 ? "none" : command->arguments);
	return 0;
}

static int run_command(const struct command *command, int argc, char **argv, int *ret_status, struct error *err)
{
	struct options options;
	bool help = false;
	int status = options_parse(argc, argv, command->options, &options, &help, err);
	if (status < 0)
		return status;
	if (help) {
		print_help(command);
		return 0;
	}
	status = check_arguments(command, &options, err);
	if (status == 0)
		status = command->run(&options, ret_status, err);
	return status;
}

static int run_named(int argc, char **argv, int *ret_status, struct error *err)
{
	const struct command *command = find_command(argv[1]);
	if (command != NULL)
		return run_command(command, argc - 1, argv + 1, ret_status, err);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
		print_usage(stdout);
	else if (strcmp(argv[1], "--version") == 0)
		printf("stasis " STASIS_VERSION "\n");
	else
		return error_set(err, ERROR_USAGE, "%s: no such command; stasis --help lists them", argv[1]);
	return 0;
}

/*
 * A stream that the program was started without stays unusable: else the next file that is opened (KVM, a snapshot, a
 * socket) gets its number, and what is printed.  Lower numbers first, for open() takes the lowest that is free.
 */
static void block_closed_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		/* cppcheck-suppress leakReturnValNotUsed ; it is there to stay */
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return;
}

/* What was printed must have arrived before the status says so. */
static int flush_output(struct error *err)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return error_errno(err, ERROR_IO, "standard output");
	return 0;
}

int main(int argc, char **argv)
{
	struct error err = { 0 };
	int exit_status = 0;
	/* The few threads share one heap: another would cost each five system calls, and 128 MiB of addresses. */
	mallopt(M_ARENA_MAX, 1);
	/* A reader that goes away and a file that may not grow are errors of a write, not the end of a guest. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	crash_guard();
	block_closed_streams();
	if (argc < 2) {
		print_usage(stderr);
		return error_exit_status(ERROR_USAGE);
	}
	int status = run_named(argc, argv, &exit_status, &err);
	if (status == 0)
		status = flush_output(&err);
	if (status < 0) {
		message("%s", err.text);
		return error_exit_status(err.code);
	}
	return exit_status;
}
