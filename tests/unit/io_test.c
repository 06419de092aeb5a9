#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/io.h"

/* A folder for each test, which must be empty but for what the test put there. */
static char folder[32], path[64];
static struct error err;

static void setup(void)
{
	snprintf(folder, sizeof(folder), "io_test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/file", folder);
}

static void in_folder(char ret[64], const char *name)
{
	snprintf(ret, 64, "%s/%s", folder, name);
}

/* How many names the folder holds. */
static unsigned names(void)
{
	DIR *dir = opendir(folder);
	unsigned nr = 0;
	for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
		nr += entry->d_name[0] != '.';
	closedir(dir);
	return nr;
}

static void teardown(void)
{
	static const char *const left[] = { "file", "link", "folder", "fifo" };
	chmod(folder, 0700);
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		char name[64];
		in_folder(name, left[i]);
		if (unlink(name) < 0)
			rmdir(name);
	}
	ck_assert_msg(rmdir(folder) == 0, "something is left in %s", folder);
}

static void write_new(const char *name, const char *text)
{
	struct new_file file;
	ck_assert_msg(new_file_create(&file, name, &err) == 0, "%s", err.text);
	ck_assert_int_eq(io_write_full(file.fd, text, strlen(text)), 0);
	ck_assert_int_eq(new_file_commit(&file, &err), 0);
	new_file_done(&file);
}

static void assert_contents(const char *name, const char *text)
{
	struct buffer contents = { 0 };
	ck_assert_int_eq(io_read_file(name, 1000, &contents, &err), 0);
	ck_assert_uint_eq(contents.size, strlen(text));
	ck_assert_mem_eq(contents.data, text, contents.size);
	buffer_done(&contents);
}

START_TEST(a_file_is_replaced_as_a_whole)
{
	struct new_file file;
	char seen[8] = "";
	write_new(path, "before");
	int old = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(new_file_create(&file, path, &err), 0);
	ck_assert_int_eq(io_write_full(file.fd, "af", 2), 0);
	assert_contents(path, "before");
	ck_assert_int_eq(io_write_full(file.fd, "ter", 3), 0);
	ck_assert_int_eq(new_file_commit(&file, &err), 0);
	new_file_done(&file);
	assert_contents(path, "after");
	ck_assert_uint_eq(names(), 1);
	/* Whoever has the old one open keeps it. */
	ck_assert_int_eq(io_read_full(old, seen, sizeof(seen)), 6);
	ck_assert_str_eq(seen, "before");
	close(old);
}
END_TEST

START_TEST(a_file_that_is_given_up_leaves_nothing)
{
	struct new_file file, none = { 0 };
	write_new(path, "before");
	ck_assert_int_eq(new_file_create(&file, path, &err), 0);
	ck_assert_int_eq(io_write_full(file.fd, "half", 4), 0);
	new_file_done(&file);
	ck_assert_uint_eq(names(), 1);
	assert_contents(path, "before");
	/* Done twice, with nothing, and with what never was anything. */
	new_file_done(&file);
	new_file_done(&none);
	new_file_done(NULL);
	ck_assert_int_ge(fcntl(STDIN_FILENO, F_GETFD), 0);
}
END_TEST

START_TEST(a_link_stays_a_link)
{
	char name[64];
	struct stat st;
	in_folder(name, "link");
	write_new(path, "before");
	ck_assert_int_eq(symlink("file", name), 0);
	write_new(name, "after");
	ck_assert_int_eq(lstat(name, &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
	assert_contents(path, "after");
}
END_TEST

/* What a killed process leaves is removed by the next; what belongs to one that is alive is not. */
START_TEST(a_leftover_is_removed_unless_it_is_in_use)
{
	struct new_file file;
	char name[96];
	snprintf(name, sizeof(name), "%s.stasis-unfinished", path);
	int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	write_new(path, "whole");
	ck_assert_uint_eq(names(), 1);
	assert_contents(path, "whole");
	close(fd);
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	int status = new_file_create(&file, path, &err);
	if (status == 0) { /* a file system that knows nameless files */
		status = new_file_commit(&file, &err);
		new_file_done(&file);
	}
	ck_assert_int_eq(status, -ERROR_CREATE);
	ck_assert_ptr_nonnull(strstr(err.text, "another process is writing it right now"));
	assert_contents(path, "whole");
	ck_assert_int_eq(unlink(name), 0);
	close(fd);
}
END_TEST

static void assert_refused(const char *name, enum error_code code, const char *text)
{
	struct new_file file;
	memset(&file, 0x55, sizeof(file));
	struct new_file before = file;
	unsigned nr = names();
	ck_assert_int_eq(new_file_create(&file, name, &err), -(int)code);
	ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
	ck_assert_mem_eq(&file, &before, sizeof(file));
	ck_assert_uint_eq(names(), nr);
}

START_TEST(only_files_are_written)
{
	char name[64];
	in_folder(name, "folder");
	ck_assert_int_eq(mkdir(name, 0700), 0);
	assert_refused(name, ERROR_CREATE, "folder is a folder; name a file in it");
	in_folder(name, "link");
	ck_assert_int_eq(symlink("nothing", name), 0);
	assert_refused(name, ERROR_CREATE, "link is a symbolic link to nothing");
	in_folder(name, "fifo");
	ck_assert_int_eq(mkfifo(name, 0600), 0);
	assert_refused(name, ERROR_CREATE, "fifo is a device, a pipe or a socket");
	assert_refused("/dev/null", ERROR_CREATE, "/dev/null is a device");
	in_folder(name, "none/file");
	assert_refused(name, ERROR_CREATE, "none/file cannot be created");
}
END_TEST

START_TEST(a_folder_that_may_not_be_written_says_so)
{
	static const uid_t nobody = 65534;
	struct new_file file;
	bool is_root = geteuid() == 0;
	if (is_root) /* whom nothing is forbidden */
		ck_assert_int_eq(seteuid(nobody), 0);
	int status = new_file_create(&file, "/etc/stasis-io-test", &err);
	if (is_root)
		ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(status, -ERROR_PERMISSION);
	ck_assert_ptr_nonnull(strstr(err.text, "/etc/stasis-io-test cannot be created"));
}
END_TEST

START_TEST(a_file_is_read_up_to_a_limit)
{
	struct buffer contents = { .size = 77 };
	write_new(path, "0123456789");
	assert_contents(path, "0123456789");
	ck_assert_int_eq(io_read_file(path, 9, &contents, &err), -ERROR_DATA);
	ck_assert_ptr_nonnull(strstr(err.text, "file: larger than the 9 bytes that fit"));
	ck_assert_uint_eq(contents.size, 77);
	ck_assert_int_eq(io_read_file("/dev/zero", 1 << 20, &contents, &err), -ERROR_DATA);
	ck_assert_int_eq(io_read_file("io_test.none", 9, &contents, &err), -ERROR_NO_INPUT);
	ck_assert_ptr_nonnull(strstr(err.text, "io_test.none: No such file"));
	ck_assert_int_eq(io_read_file(folder, 9, &contents, &err), -ERROR_IO);
}
END_TEST

/* A pipe gives what it has; whole reads wait for the rest. */
START_TEST(reads_and_writes_are_whole)
{
	int fds[2];
	char text[8] = "";
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	if (fork() == 0) {
		for (const char *at = "abcdef"; *at != '\0'; at++) {
			usleep(1000);
			if (io_write_full(fds[1], at, 1) < 0)
				_exit(1);
		}
		_exit(0);
	}
	close(fds[1]);
	ck_assert_int_eq(io_read_full(fds[0], text, 4), 4);
	ck_assert_mem_eq(text, "abcd", 4);
	ck_assert_int_eq(io_read_full(fds[0], text, sizeof(text)), 2);
	ck_assert_int_eq(io_read_full(fds[0], text, sizeof(text)), 0);
	close(fds[0]);
	ck_assert_int_eq(io_read_full(fds[0], text, 1), -1);
	ck_assert_int_eq(errno, EBADF);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(io_write_full(full, text, 1), -1);
	ck_assert_int_eq(errno, ENOSPC);
	close(full);
}
END_TEST

START_TEST(positions_are_kept_apart)
{
	write_new(path, "0123456789");
	int fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(io_pwrite_full(fd, "xy", 2, 3), 0);
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 0);
	close(fd);
	assert_contents(path, "012xy56789");
	ck_assert_int_eq(io_pwrite_full(-1, "xy", 2, 3), -1);
}
END_TEST

UNIT_MAIN_WITH(setup, teardown, "io", a_file_is_replaced_as_a_whole, a_file_that_is_given_up_leaves_nothing,
	       a_leftover_is_removed_unless_it_is_in_use, a_link_stays_a_link, only_files_are_written,
	       a_folder_that_may_not_be_written_says_so, a_file_is_read_up_to_a_limit, reads_and_writes_are_whole,
	       positions_are_kept_apart)
