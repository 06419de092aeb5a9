#include "unit.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "vmm/crash.h"
#include "vmm/memory.h"
#include "vmm/terminal.h"

#define PAGES 8
#define NAME  "a/snapshot"

/* RAM that is mapped from the second page of a file on. */
struct fixture {
	int fd;
	struct memory memory;
};

static void map(struct fixture *fixture)
{
	struct memory_range range = { .gpa = 0, .size = (PAGES - 1) * MEMORY_PAGE };
	*fixture = (struct fixture){ .fd = memfd_create("test", MFD_CLOEXEC) };
	ck_assert_int_ge(fixture->fd, 0);
	ck_assert_int_eq(ftruncate(fixture->fd, PAGES * MEMORY_PAGE), 0);
	ck_assert_int_eq(memory_add_file(&fixture->memory, &range, NAME, fixture->fd, MEMORY_PAGE, NULL), 0);
}

static void unmap(struct fixture *fixture)
{
	memory_done(&fixture->memory);
	close(fixture->fd);
}

/* Touches what the file had there before it was truncated. */
static void touch_lost(struct fixture *fixture)
{
	volatile uint8_t *lost = fixture->memory.regions[0].hva;
	if (ftruncate(fixture->fd, 0) == 0)
		lost[0] = lost[MEMORY_PAGE];
}

/* Runs what in a process of its own and returns how that ended; ret_text gets what it said on standard error. */
static int run_apart(void (*what)(void *context), void *context, char *ret_text, size_t size)
{
	int ends[2], status;
	size_t used = 0;
	ck_assert_int_eq(pipe(ends), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		signal(SIGBUS, SIG_DFL); /* Check's own and a sanitizer's */
		what(context);
		_exit(EXIT_SUCCESS);
	}
	close(ends[1]);
	for (ssize_t n; used + 1 < size && (n = read(ends[0], ret_text + used, size - used - 1)) > 0;)
		used += (size_t)n;
	ret_text[used] = '\0';
	close(ends[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(an_address_has_its_file_while_it_is_mapped)
{
	struct fixture fixture;
	map(&fixture);
	const uint8_t *start = fixture.memory.regions[0].hva, *end = start + (PAGES - 1) * MEMORY_PAGE;
	const struct mapped_file *file = memory_file(&fixture.memory);
	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_eq(mapped_file_at(start), file);
	ck_assert_ptr_eq(mapped_file_at(end - 1), file);
	ck_assert_ptr_null(mapped_file_at(end));
	ck_assert_ptr_null(mapped_file_at(start - 1));
	ck_assert_ptr_nonnull(strstr(mapped_file_lost(file), NAME ": "));
	unmap(&fixture);
	ck_assert_ptr_null(mapped_file_at(start));
}
END_TEST

START_TEST(a_file_that_ends_too_early_has_shrunk)
{
	struct fixture fixture;
	map(&fixture);
	const struct mapped_file *file = memory_file(&fixture.memory);
	ck_assert_ptr_null(mapped_file_shrunk(file));
	ck_assert_int_eq(ftruncate(fixture.fd, (PAGES + 1) * MEMORY_PAGE), 0);
	ck_assert_ptr_null(mapped_file_shrunk(file));
	ck_assert_int_eq(ftruncate(fixture.fd, PAGES * MEMORY_PAGE - 1), 0);
	ck_assert_ptr_eq(mapped_file_shrunk(file), file);
	unmap(&fixture);
}
END_TEST

START_TEST(a_hole_is_one_as_far_as_it_goes)
{
	struct fixture fixture;
	map(&fixture);
	const struct mapped_file *file = memory_file(&fixture.memory);
	ck_assert_int_eq(pwrite(fixture.fd, "x", 1, 4 * MEMORY_PAGE), 1);
	/* That is page 3 of what is mapped. */
	ck_assert(mapped_file_is_hole(file, 0, 3 * MEMORY_PAGE));
	ck_assert(!mapped_file_is_hole(file, 0, 4 * MEMORY_PAGE));
	ck_assert(!mapped_file_is_hole(file, 3 * MEMORY_PAGE, MEMORY_PAGE));
	ck_assert(mapped_file_is_hole(file, 4 * MEMORY_PAGE, 3 * MEMORY_PAGE));
	unmap(&fixture);
}
END_TEST

static void lose(void *context)
{
	struct fixture fixture;
	(void)context;
	crash_guard();
	map(&fixture);
	touch_lost(&fixture);
}

START_TEST(a_lost_page_is_an_error_that_names_its_file)
{
	char text[1024];
	int status = run_apart(lose, NULL, text, sizeof(text));
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EX_IOERR);
	ck_assert_ptr_eq(strstr(text, "stasis: " NAME ": "), text);
	ck_assert_ptr_nonnull(strstr(text, "restore --copy"));
	ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

static void raise_it(void *context)
{
	(void)context;
	crash_guard();
	raise(SIGBUS);
}

static void lose_memory_of_nobody(void *context)
{
	(void)context;
	crash_guard();
	int fd = memfd_create("test", MFD_CLOEXEC);
	volatile uint8_t *memory = mmap(NULL, MEMORY_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	_exit(memory[0]);
}

START_TEST(another_bus_error_ends_the_process_as_ever)
{
	static void (*const cases[])(void *context) = { raise_it, lose_memory_of_nobody };
	char text[1024];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status = run_apart(cases[i], NULL, text, sizeof(text));
		ck_assert(WIFSIGNALED(status));
		ck_assert_int_eq(WTERMSIG(status), SIGBUS);
		ck_assert_str_eq(text, "");
	}
}
END_TEST

/* In the order of the program: the crash is guarded from the start, the terminal when a guest runs. */
static void lose_on_terminal(void *context)
{
	struct terminal terminal;
	struct fixture fixture;
	crash_guard();
	map(&fixture);
	if (terminal_open(&terminal, *(const int *)context, NULL) < 0 || !terminal.is_raw)
		_exit(EXIT_FAILURE);
	terminal_guard(&terminal);
	touch_lost(&fixture);
}

START_TEST(a_lost_page_leaves_the_terminal_as_it_was)
{
	int master, slave;
	char text[1024];
	struct termios before, after;
	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	ck_assert_int_eq(tcgetattr(slave, &before), 0);
	int status = run_apart(lose_on_terminal, &slave, text, sizeof(text));
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EX_IOERR);
	ck_assert_int_eq(tcgetattr(slave, &after), 0);
	ck_assert_uint_eq(after.c_lflag, before.c_lflag);
	ck_assert_uint_eq(after.c_iflag, before.c_iflag);
	close(master);
	close(slave);
}
END_TEST

UNIT_MAIN("mapped_file", an_address_has_its_file_while_it_is_mapped, a_file_that_ends_too_early_has_shrunk,
	  a_hole_is_one_as_far_as_it_goes, a_lost_page_is_an_error_that_names_its_file,
	  another_bus_error_ends_the_process_as_ever, a_lost_page_leaves_the_terminal_as_it_was)
