#include "crash.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "mapped_file.h"
#include "terminal.h"

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return; /* nobody listens, and there is nothing else to do */
}

/* All that it calls is async-signal-safe. */
static void on_bus_error(int signal_number, siginfo_t *info, void *context)
{
	static atomic_flag is_first = ATOMIC_FLAG_INIT;
	const struct mapped_file *file = info->si_code > 0 ? mapped_file_at(info->si_addr) : NULL;
	(void)context;
	/* Other vCPUs may meet the same hole; the first one to do so speaks and ends the process. */
	while (atomic_flag_test_and_set(&is_first))
		poll(NULL, 0, -1); /* pause() is not among the calls that the sandbox allows */
	terminal_put_back();
	if (file == NULL) {
		signal(signal_number, SIG_DFL);
		raise(signal_number); /* waits until this handler returns */
		return;
	}
	say("stasis: ");
	say(mapped_file_lost(file));
	say("\n");
	_exit(error_exit_status(ERROR_IO));
}

void crash_guard(void)
{
	struct sigaction action = { .sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO };
	sigfillset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
}
