/* Incremental snapshots and their parents, made by hand. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image_builder.h"
#include "snapshot/compare.h"
#include "snapshot/file.h"
#include "snapshot/file_link.h"
#include "snapshot/file_writer.h"

#define NR_PAGES (BUILD_RAM / MEMORY_PAGE)
#define ROUNDS   20

static char folder[] = "chain_test.XXXXXX", before[4096];
static struct image image; /* the machine's, from one snapshot to the next */
static struct error err;

static void setup(void)
{
	memcpy(folder, "chain_test.XXXXXX", sizeof(folder));
	ck_assert_ptr_nonnull(getcwd(before, sizeof(before)));
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	image_build(&image, 1, IRQCHIP_FULL);
	image_build_page(&image, 0, 1);
	image_build_page(&image, 7 * MEMORY_PAGE, 7);
	image_build_page(&image, BUILD_ROM_GPA, 9);
}

static void teardown(void)
{
	char command[64];
	image_done(&image);
	ck_assert_int_eq(chdir(before), 0);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static void set_id(uint8_t id[IMAGE_ID_SIZE], char letter)
{
	memset(id, letter, IMAGE_ID_SIZE);
}

/* The file "a" is whole; "b" has the page 3, now that of seed 30, on top of it. */
static void write_whole(const char *name)
{
	set_id(image.header.id, name[0]);
	image_drop_parent(&image);
	ck_assert_msg(file_write(&image, name, &err) == 0, "%s", err.text);
}

static void write_child(const char *name, const char *parent, const struct pages *pages)
{
	uint8_t id[IMAGE_ID_SIZE];
	set_id(image.header.id, name[0]);
	set_id(id, parent[0]);
	ck_assert_int_eq(image_set_parent(&image, id, parent, pages, &err), 0);
	ck_assert_msg(file_write(&image, name, &err) == 0, "%s", err.text);
}

static void write_child_page(const char *name, const char *parent, uint64_t page)
{
	struct pages pages;
	ck_assert_int_eq(pages_create_for(&pages, image.memory, &err), 0);
	pages_add(&pages, 0, page, 1);
	image_build_page(&image, page * MEMORY_PAGE, (uint8_t)(10 * page));
	write_child(name, parent, &pages);
	pages_done(&pages);
}

static int read_any(const char *name, bool is_copied, struct image *ret)
{
	return is_copied ? file_read_copy(name, ret, &err) : file_read(name, ret, &err);
}

static void assert_as_machine(const char *name)
{
	const struct compare_options options = { .with_ram = true };
	for (unsigned way = 0; way < 2; way++) {
		struct report report = { 0 };
		struct image got;
		ck_assert_msg(read_any(name, way == 1, &got) == 0, "%s", err.text);
		compare_images(&image, &got, &options, &report);
		ck_assert_msg(report.nr == 0, "%s, way %u: %s", name, way,
			      report.nr > 0 ? report.findings[0].name : "");
		ck_assert_msg(file_verify_ram(&got, &err) == 0, "%s: %s", name, err.text);
		report_done(&report);
		image_done(&got);
	}
}

static void assert_refused(const char *name, int status, const char *text)
{
	for (unsigned way = 0; way < 2; way++) {
		struct image got = { .nr_sections = 77 };
		int result = read_any(name, way == 1, &got);
		ck_assert_msg(result == status && strstr(err.text, text) != NULL,
			      "%s: %d, expected %d: \"%s\" lacks \"%s\"", name, result, status, err.text, text);
		ck_assert_uint_eq(got.nr_sections, 77);
	}
}

START_TEST(a_chain_is_the_last_machine)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	unsigned seed = 3;
	struct pages pages;
	ck_assert_int_eq(pages_create_for(&pages, image.memory, &err), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		write_whole("a");
		for (unsigned k = 1; k < sizeof(names) / sizeof(names[0]); k++) {
			pages_clear(&pages);
			for (unsigned i = 0; i < 40; i++) {
				uint64_t page = (uint64_t)rand_r(&seed) % NR_PAGES;
				pages_add(&pages, 0, page, 1);
				if (rand_r(&seed) % 4 == 0) /* zero again */
					memset(memory_at(&image.ram, page * MEMORY_PAGE, 1), 0, MEMORY_PAGE);
				else
					image_build_page(&image, page * MEMORY_PAGE, (uint8_t)rand_r(&seed));
			}
			write_child(names[k], names[k - 1], &pages);
			assert_as_machine(names[k]);
		}
	}
	pages_done(&pages);
}
END_TEST

START_TEST(a_page_of_zeros_hides_the_parents)
{
	struct pages pages;
	struct stat st;
	write_whole("a");
	ck_assert_int_eq(pages_create_for(&pages, image.memory, &err), 0);
	pages_add(&pages, 0, 7, 1);
	memset(memory_at(&image.ram, 7 * MEMORY_PAGE, 1), 0, MEMORY_PAGE);
	write_child("b", "a", &pages);
	pages_done(&pages);
	assert_as_machine("b");
	ck_assert_int_eq(stat("b", &st), 0);
	ck_assert_int_lt(st.st_blocks * 512, (long)BUILD_RAM / 2); /* holes */
}
END_TEST

START_TEST(parents_that_are_not_right_are_refused)
{
	write_whole("a");
	write_child_page("b", "a", 3);
	write_child_page("c", "b", 4);
	assert_as_machine("c");
	ck_assert_int_eq(rename("a", "x"), 0);
	assert_refused("c", -ERROR_NO_INPUT, "b: its parent ");
	ck_assert_int_eq(mkdir("a", 0700), 0);
	assert_refused("c", -ERROR_DATA, "a is not a file");
	ck_assert_int_eq(rmdir("a"), 0);
	ck_assert_int_eq(rename("b", "a"), 0);
	ck_assert_int_eq(link("a", "b"), 0); /* b's parent is now b itself under another name */
	assert_refused("c", -ERROR_DATA, "its id is 62626262626262626262626262626262, expected 6161");
	ck_assert_int_eq(rename("x", "a"), 0);
	assert_as_machine("c");
	ck_assert_int_eq(truncate("a", 4000), 0);
	assert_refused("c", -ERROR_DATA, "its parent: ");
}
END_TEST

START_TEST(a_circle_is_found)
{
	write_whole("a");
	write_child_page("b", "a", 3);
	write_child_page("c", "b", 4);
	write_child_page("a", "c", 5);
	assert_refused("c", -ERROR_DATA, "its parents go round in a circle");
	assert_refused("a", -ERROR_DATA, "its parents go round in a circle");
	write_child_page("d", "d", 5);
	assert_refused("d", -ERROR_DATA, "d: its parents go round in a circle");
}
END_TEST

START_TEST(a_chain_has_a_limit)
{
	char name[] = "A", parent[] = "A";
	write_whole(name);
	for (unsigned i = 1; i <= CHAIN_MAX; i++) {
		parent[0] = name[0]++;
		write_child_page(name, parent, i);
		if (i < CHAIN_MAX)
			assert_as_machine(name);
	}
	assert_refused(name, -ERROR_DATA, "more than 31 parents");
}
END_TEST

START_TEST(a_parent_has_the_same_ram)
{
	write_child_page("b", "a", 3);
	struct machine *machine = (struct machine *)(void *)image_section(&image, "machine", 0)->payload.data;
	image.ram.regions[1].range.gpa = machine->ranges[1].gpa -= MEMORY_PAGE;
	write_whole("a");
	assert_refused("b", -ERROR_DATA, "has other RAM");
}
END_TEST

/* ---- What the file says of its parent ---- */

static void assert_bytes_refused(struct buffer *file, const char *text)
{
	struct image got;
	file_seal(file);
	int result = file_read_bytes(buffer_bytes(file), READ_FILE, &got, &err);
	ck_assert_msg(result == -ERROR_DATA && strstr(err.text, text) != NULL, "%d: \"%s\" lacks \"%s\"", result,
		      err.text, text);
}

START_TEST(what_names_the_parent_is_checked)
{
	struct buffer file;
	struct pages pages;
	uint8_t id[IMAGE_ID_SIZE];
	struct image got;
	set_id(id, 'x');
	ck_assert_int_eq(pages_create_for(&pages, image.memory, &err), 0);
	pages_add(&pages, 1, 2, 2);
	ck_assert_int_eq(image_set_parent(&image, id, "parent", &pages, &err), 0);
	file = image_to_file(&image);
	ck_assert_int_eq(file_read_bytes(buffer_bytes(&file), READ_PIPE, &got, &err), -ERROR_DATA);
	ck_assert_ptr_nonnull(strstr(err.text, "standard input: an incremental snapshot"));

	uint8_t *bits = file.data + file_find(&file, FORMAT_RAM_PAGES, 0)->offset;
	uint64_t *last = (uint64_t *)(void *)(bits + pages_words(NR_PAGES) * sizeof(uint64_t));
	ck_assert_uint_eq(*last, 12);
	*last |= 1ull << (BUILD_ROM / MEMORY_PAGE);
	assert_bytes_refused(&file, "section ram-pages is not that of the machine's RAM");
	*last = 12;
	uint8_t *name = file.data + file_find(&file, FORMAT_PARENT, 0)->offset;
	name[2] = 0;
	assert_bytes_refused(&file, "section parent of 6 bytes, expected a file's name");
	name[2] = 'r';
	memset(file_header(&file)->image.parent_id, 0, IMAGE_ID_SIZE);
	assert_bytes_refused(&file, "section parent, but no parent's id in the header");
	set_id(file_header(&file)->image.parent_id, 'x');
	file_find(&file, FORMAT_RAM_PAGES, 0)->length -= 8;
	file_place(&file);
	assert_bytes_refused(&file, "section ram-pages is not that of the machine's RAM");
	buffer_done(&file);
	pages_done(&pages);
}
END_TEST

/* ---- Files that are written RAM first ---- */

/* Rewritten pages, held ones, zeros over what was written: the file is that of the end, its checksums too. */
START_TEST(a_file_that_was_written_twice_is_that_of_the_end)
{
	for (unsigned prepared = 0; prepared < 300; prepared += 100) {
		struct file_writer *writer;
		struct pages pages;
		unsigned seed = prepared + 1;
		image_drop_parent(&image);
		ck_assert_int_eq(pages_create_for(&pages, image.memory, &err), 0);
		ck_assert_int_eq(file_writer_create(&writer, image.memory, "live", 1 << 20, &err), 0);
		pages_add(&pages, 0, 0, NR_PAGES);
		pages_add(&pages, 1, 0, BUILD_ROM / MEMORY_PAGE);
		for (unsigned round = 0; round < 5; round++) {
			for (unsigned i = 0; i < 2; i++)
				ck_assert_int_eq(file_writer_write(writer, &pages, i, 0, pages.nr_pages[i], &err), 0);
			pages_clear(&pages);
			for (unsigned i = 0; i < 60; i++) {
				uint64_t page = (uint64_t)rand_r(&seed) % NR_PAGES;
				pages_add(&pages, 0, page, 1);
				memset(memory_at(&image.ram, page * MEMORY_PAGE, 1), rand_r(&seed) % 3, MEMORY_PAGE);
			}
		}
		if (prepared > 0)
			ck_assert_int_eq(file_writer_prepare(writer, prepared / 4, &err), 0);
		ck_assert_int_eq(file_writer_hold(writer, &pages, &err), 0);
		ck_assert_msg(file_writer_finish(writer, &image, &err) == 0, "%s", err.text);
		file_writer_free(writer);
		assert_as_machine("live");
		pages_done(&pages);
	}
}
END_TEST

START_TEST(a_held_page_is_as_it_was)
{
	struct file_writer *writer;
	struct pages pages;
	struct image got;
	ck_assert_int_eq(pages_create_for(&pages, image.memory, &err), 0);
	pages_add(&pages, 0, 7, 1);
	ck_assert_int_eq(file_writer_create(&writer, image.memory, "live", 1 << 20, &err), 0);
	ck_assert_int_eq(file_writer_prepare(writer, 1, &err), 0);
	ck_assert_int_eq(file_writer_hold(writer, &pages, &err), 0);
	memset(memory_at(&image.ram, 7 * MEMORY_PAGE, 1), 0x77, MEMORY_PAGE);
	ck_assert_int_eq(file_writer_finish(writer, &image, &err), 0);
	ck_assert_uint_eq(file_writer_written(writer), MEMORY_PAGE);
	file_writer_free(writer);
	ck_assert_int_eq(file_read("live", &got, &err), 0);
	ck_assert_uint_eq(got.ram.regions[0].hva[7 * MEMORY_PAGE], 7);
	ck_assert_int_eq(file_verify_ram(&got, &err), 0);
	image_done(&got);
	/* Not finished, it leaves nothing. */
	ck_assert_int_eq(file_writer_create(&writer, image.memory, "other", 1 << 20, &err), 0);
	file_writer_free(writer);
	ck_assert_int_lt(access("other", F_OK), 0);
	/* RAM that was placed too early is not written over. */
	ck_assert_int_eq(file_writer_create(&writer, image.memory, "other", MEMORY_PAGE, &err), 0);
	ck_assert_int_eq(file_writer_finish(writer, &image, &err), -ERROR_INTERNAL);
	file_writer_free(writer);
	ck_assert_int_lt(access("other", F_OK), 0);
	pages_done(&pages);
}
END_TEST

UNIT_MAIN_WITH(setup, teardown, "chain", a_chain_is_the_last_machine, a_page_of_zeros_hides_the_parents,
	       parents_that_are_not_right_are_refused, a_circle_is_found, a_chain_has_a_limit,
	       a_parent_has_the_same_ram, what_names_the_parent_is_checked,
	       a_file_that_was_written_twice_is_that_of_the_end, a_held_page_is_as_it_was)
