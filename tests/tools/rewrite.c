/*
 * Maps a snapshot as a restored guest's memory is, writes to a page as the guest would, takes a snapshot onto the very
 * file, and spoils that file in place: the mapped memory must stay as the guest left it all the while, and the file
 * must have got it.
 *
 *   rewrite FILE
 *
 * The exit status is 0 where all of that held; else a line says what did not.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "snapshot/compare.h"
#include "snapshot/file.h"

#define TOUCHED_GPA 0x3000 /* in RAM of every machine */

static int failed(const char *what, const struct error *err)
{
	printf("%s: %s\n", what, err->text);
	return 1;
}

/* Has the file got what is in memory, to the last bit? */
static int check(const char *path, const struct image *image, const char *when)
{
	struct compare_options how = { .with_ram = true };
	struct report report = { 0 };
	struct image other = { 0 };
	struct error err = { 0 };
	if (file_read(path, &other, &err) < 0 || file_verify_ram(&other, &err) < 0)
		return failed(when, &err);
	compare_images(image, &other, &how, &report);
	size_t bad = report_bad(&report);
	report_done(&report);
	image_done(&other);
	if (bad > 0)
		printf("%s: %zu differences between memory and file\n", when, bad);
	return bad > 0;
}

int main(int argc, char **argv)
{
	static const char written[] = "written by the guest";
	struct image image = { 0 };
	struct error err = { 0 };
	char keep[4096];
	if (argc != 2)
		return 2;
	const char *path = argv[1];
	snprintf(keep, sizeof(keep), "%s.keep", path);
	if (file_read(path, &image, &err) < 0)
		return failed("reading", &err);
	if (check(path, &image, "at the start") != 0)
		return 1;
	if (!memory_write(&image.ram, TOUCHED_GPA, written, sizeof(written)))
		return 1;
	if (file_write(&image, path, &err) < 0)
		return failed("writing onto itself", &err);
	if (check(path, &image, "after writing onto itself") != 0)
		return 1;
	/* What stands under the name now is another file: nothing that is done to it reaches the memory. */
	if (file_write(&image, keep, &err) < 0)
		return failed("keeping a copy", &err);
	if (truncate(path, 0) < 0)
		return 1;
	int result = check(keep, &image, "after spoiling the new file");
	if (rename(keep, path) < 0)
		return 1;
	image_done(&image);
	return result;
}
