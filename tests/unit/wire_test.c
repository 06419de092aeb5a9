#include "unit.h"

#include <string.h>

#include "snapshot/ram_digest.h"
#include "snapshot/wire.h"

static const struct memory_range ranges[] = { { .size = 16 * MEMORY_PAGE },
					      { .gpa = 0x100000000, .size = MEMORY_PAGE } };
static struct wire_writer writer;
static struct wire_reader reader;
static struct error err;

static void setup(void)
{
	ck_assert_int_eq(wire_writer_create(&writer, &err), 0);
	ck_assert_int_eq(wire_reader_create(&reader, &err), 0);
}

static void teardown(void)
{
	wire_writer_done(&writer);
	wire_reader_done(&reader);
}

/* From the writer into the reader, of which byte number wrong is another one. */
static void carry(size_t size, size_t wrong)
{
	size_t room;
	uint8_t *at = wire_reader_room(&reader, &room);
	struct bytes bytes = wire_writer_bytes(&writer);
	ck_assert_uint_le(size, bytes.size);
	ck_assert_uint_le(size, room);
	memcpy(at, bytes.data, size);
	if (wrong < size)
		at[wrong] ^= 0x10;
	wire_reader_add(&reader, size);
	wire_writer_took(&writer, size);
}

static void carry_all(void)
{
	carry(wire_writer_bytes(&writer).size, SIZE_MAX);
}

static size_t put_round(uint64_t number)
{
	const struct wire_round round = { .round = number };
	ck_assert(wire_writer_put(&writer, WIRE_ROUND_END, &round, sizeof(round)));
	return sizeof(struct wire_header) + sizeof(round);
}

START_TEST(what_is_put_comes_out)
{
	struct wire_message message;
	struct wire_round round;
	put_round(7);
	put_round(8);
	ck_assert(wire_writer_put(&writer, WIRE_CANCEL, NULL, 0));
	carry_all();
	for (uint64_t i = 7; i < 9; i++) {
		ck_assert_int_eq(wire_reader_next(&reader, &message, &err), 1);
		ck_assert_int_eq(message.type, WIRE_ROUND_END);
		ck_assert_int_eq(wire_read_struct(&message, &round, sizeof(round), &err), 0);
		ck_assert_uint_eq(round.round, i);
	}
	ck_assert_int_eq(wire_reader_next(&reader, &message, &err), 1);
	ck_assert_int_eq(message.type, WIRE_CANCEL);
	ck_assert_int_eq(wire_read_struct(&message, &round, sizeof(round), &err), -ERROR_DATA);
	ck_assert_int_eq(wire_reader_next(&reader, &message, &err), 0);
}
END_TEST

START_TEST(pieces_of_any_size_make_the_same_messages)
{
	struct wire_message message;
	for (size_t piece = 1; piece < 60; piece++) {
		size_t left = put_round(piece);
		while (left > 0) {
			size_t size = left < piece ? left : piece;
			ck_assert_int_eq(wire_reader_next(&reader, &message, &err), 0);
			carry(size, SIZE_MAX);
			left -= size;
		}
		ck_assert_int_eq(wire_reader_next(&reader, &message, &err), 1);
	}
}
END_TEST

/* Whichever byte it is: it is found, as soon as the header or the message is there, and nothing comes after it. */
START_TEST(every_wrong_byte_is_found)
{
	struct wire_message message;
	size_t size = sizeof(struct wire_header) + sizeof(struct wire_round);
	for (size_t wrong = 0; wrong < size; wrong++) {
		teardown();
		setup();
		put_round(1);
		put_round(2);
		carry(wrong < sizeof(struct wire_header) ? sizeof(struct wire_header) : size, wrong);
		int status = wire_reader_next(&reader, &message, &err);
		ck_assert_msg(status == -ERROR_DATA || status == -ERROR_VERSION, "byte %zu: %d", wrong, status);
		carry_all();
		ck_assert_int_eq(wire_reader_next(&reader, &message, &err), -ERROR_DATA);
	}
}
END_TEST

/* One that is missing, one that comes twice. */
START_TEST(the_order_of_messages_is_kept)
{
	struct wire_message message;
	size_t size = put_round(1);
	put_round(2);
	wire_writer_took(&writer, size);
	carry_all();
	ck_assert_int_eq(wire_reader_next(&reader, &message, &err), -ERROR_DATA);
	ck_assert_ptr_nonnull(strstr(err.text, "expected number 0"));

	teardown();
	setup();
	put_round(1);
	carry_all();
	writer.sequence = 0;
	put_round(1);
	carry_all();
	ck_assert_int_eq(wire_reader_next(&reader, &message, &err), 1);
	ck_assert_int_eq(wire_reader_next(&reader, &message, &err), -ERROR_DATA);
	ck_assert_ptr_nonnull(strstr(err.text, "expected number 1"));
}
END_TEST

START_TEST(a_writer_is_bounded)
{
	unsigned nr = 0;
	while (wire_writer_begin(&writer) != NULL) {
		wire_writer_end(&writer, WIRE_PART, WIRE_PART_MAX);
		ck_assert_uint_lt(++nr, 100);
	}
	wire_writer_took(&writer, wire_writer_bytes(&writer).size - 1);
	ck_assert_ptr_nonnull(wire_writer_begin(&writer));
	ck_assert_uint_eq(wire_writer_bytes(&writer).size, 1);
}
END_TEST

/* ---- Pages ---- */

/* A message of so many pages with these runs. */
static int read_pages_of(enum wire_type type, uint32_t nr_pages, uint32_t nr_runs, const struct wire_run *runs,
			 size_t more)
{
	static uint8_t payload[WIRE_PAYLOAD_MAX];
	struct wire_message message = { .type = type };
	struct wire_pages_view view;
	const struct wire_pages head = { nr_pages, nr_runs };
	size_t at = sizeof(head) + (size_t)nr_pages * MEMORY_PAGE, nr = nr_runs < 3 ? nr_runs : 3;
	memcpy(payload, &head, sizeof(head));
	memcpy(payload + at, runs, nr * sizeof(runs[0]));
	message.payload = (struct bytes){ payload, at + nr * sizeof(runs[0]) + more };
	int status = wire_read_pages(&message, ranges, 2, &view, &err);
	if (status == 0)
		ck_assert_ptr_eq(view.data, payload + sizeof(head));
	return status;
}

static int read_pages(uint32_t nr_pages, uint32_t nr_runs, const struct wire_run *runs, size_t more)
{
	return read_pages_of(WIRE_PAGES, nr_pages, nr_runs, runs, more);
}

START_TEST(pages_belong_to_the_machine)
{
	const struct wire_run good[] = { { 0, 2, WIRE_RUN_DATA },
					 { 2 * MEMORY_PAGE, 14, WIRE_RUN_ZERO },
					 { 0x100000000, 1, WIRE_RUN_DATA } };
	const struct wire_run bad[] = {
		{ 1, 1, WIRE_RUN_DATA },
		{ 15 * MEMORY_PAGE, 2, WIRE_RUN_DATA },
		{ 16 * MEMORY_PAGE, 1, WIRE_RUN_DATA },
		{ 0xfffff000, 2, WIRE_RUN_DATA },
		{ UINT64_MAX - MEMORY_PAGE + 1, 1, WIRE_RUN_DATA },
		{ 0, 0, WIRE_RUN_DATA },
		{ 0, 1, 0 },
		{ 0, 1, 3 },
		{ 0, UINT32_MAX, WIRE_RUN_ZERO },
	};
	ck_assert_int_eq(read_pages(3, 3, good, 0), 0);
	ck_assert_int_eq(read_pages(2, 3, good, 0), -ERROR_DATA);
	ck_assert_int_eq(read_pages(4, 3, good, 0), -ERROR_DATA);
	ck_assert_int_eq(read_pages(3, 3, good, 1), -ERROR_DATA);
	ck_assert_int_eq(read_pages(0, 0, good, 0), -ERROR_DATA);
	ck_assert_int_eq(read_pages(0, UINT32_MAX, good, 0), -ERROR_DATA);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint32_t pages = bad[i].kind == WIRE_RUN_DATA ? bad[i].nr_pages : 1;
		ck_assert_msg(read_pages(pages, 1, &bad[i], 0) == -ERROR_DATA, "run %zu", i);
	}
}
END_TEST

/* Pages that come later have no bytes, and stand in messages of their own. */
START_TEST(missing_pages_have_no_bytes)
{
	const struct wire_run missing[] = { { 0, 3, WIRE_RUN_MISSING }, { 0x100000000, 1, WIRE_RUN_MISSING } };
	const struct wire_run mixed[] = { { 0, 3, WIRE_RUN_MISSING }, { 0x100000000, 1, WIRE_RUN_ZERO } };
	const struct wire_run data[] = { { 0, 1, WIRE_RUN_MISSING }, { 0x100000000, 1, WIRE_RUN_DATA } };
	const struct wire_run outside[] = { { 15 * MEMORY_PAGE, 2, WIRE_RUN_MISSING } };
	ck_assert_int_eq(read_pages_of(WIRE_MISSING, 0, 2, missing, 0), 0);
	ck_assert_int_eq(read_pages_of(WIRE_PAGES, 0, 2, missing, 0), -ERROR_DATA);
	ck_assert_int_eq(read_pages_of(WIRE_MISSING, 1, 2, missing, 0), -ERROR_DATA);
	ck_assert_int_eq(read_pages_of(WIRE_MISSING, 0, 2, mixed, 0), -ERROR_DATA);
	ck_assert_int_eq(read_pages_of(WIRE_MISSING, 1, 2, data, 0), -ERROR_DATA);
	ck_assert_int_eq(read_pages_of(WIRE_MISSING, 0, 1, outside, 0), -ERROR_DATA);
}
END_TEST

/* A set goes over as it is, in as many messages as it takes. */
START_TEST(a_set_of_missing_pages_goes_over)
{
	static const struct memory_range large[] = { { .size = 1000 * MEMORY_PAGE },
						     { .gpa = 0x100000000, .size = 64 * MEMORY_PAGE } };
	struct pages set, back;
	struct wire_message message;
	struct wire_pages_view view;
	unsigned region = 0, nr = 0;
	uint64_t page = 0;
	ck_assert_int_eq(pages_create(&set, large, 2, &err), 0);
	ck_assert_int_eq(pages_create(&back, large, 2, &err), 0);
	for (uint64_t i = 0; i < 990; i += 3)
		pages_add(&set, 0, i, i % 2 + 1);
	pages_add(&set, 1, 60, 4);
	while (wire_writer_put_missing(&writer, &set, large, &region, &page) > 0)
		nr++;
	ck_assert_uint_eq(nr, (330 + 1 + WIRE_RUNS_MAX - 1) / WIRE_RUNS_MAX);
	carry_all();
	while (wire_reader_next(&reader, &message, &err) == 1) {
		ck_assert_int_eq(message.type, WIRE_MISSING);
		ck_assert_int_eq(wire_read_pages(&message, large, 2, &view, &err), 0);
		for (uint32_t i = 0; i < view.head.nr_runs; i++) {
			struct wire_run run = wire_run_at(&view, i);
			unsigned number = run.gpa >= large[1].gpa;
			pages_add(&back, number, (run.gpa - large[number].gpa) / MEMORY_PAGE, run.nr_pages);
		}
	}
	uint64_t count = pages_count(&set);
	ck_assert_uint_eq(pages_count(&back), count);
	pages_unite(&back, &set);
	ck_assert_uint_eq(pages_count(&back), count);
	/* Without room nothing is lost. */
	while (wire_writer_begin(&writer) != NULL)
		wire_writer_end(&writer, WIRE_PART, WIRE_PART_MAX);
	region = 0;
	page = 0;
	ck_assert_int_eq(wire_writer_put_missing(&writer, &set, large, &region, &page), -1);
	ck_assert_uint_eq(page, 0);
	pages_clear(&set);
	ck_assert_int_eq(wire_writer_put_missing(&writer, &set, large, &region, &page), 0);
	pages_done(&set);
	pages_done(&back);
}
END_TEST

START_TEST(text_steers_no_terminal)
{
	const uint8_t raw[] = "a\x1b[31m\nb\x80";
	const struct wire_message message = { .type = WIRE_REFUSE, .payload = { raw, sizeof(raw) - 1 } };
	char text[32];
	wire_read_text(&message, text, sizeof(text));
	ck_assert_str_eq(text, "a?[31m\nb?");
	wire_read_text(&message, text, 3);
	ck_assert_str_eq(text, "a?");
}
END_TEST

/* ---- The number for all of RAM ---- */

START_TEST(the_digest_is_that_of_memory)
{
	struct ram_digest digest;
	struct memory memory = { 0 };
	uint8_t page[MEMORY_PAGE] = { 0 };
	ck_assert_int_eq(ram_digest_create(&digest, ranges, 2, &err), 0);
	ck_assert_int_eq(memory_add(&memory, &ranges[0], &err), 0);
	ck_assert_int_eq(memory_add(&memory, &ranges[1], &err), 0);
	ck_assert_uint_eq(ram_digest_of(&memory), 0);
	for (unsigned i = 0; i < 17; i++) {
		uint64_t gpa = i < 16 ? i * MEMORY_PAGE : ranges[1].gpa;
		uint64_t before = digest.sum;
		page[i] = (uint8_t)(i + 1);
		ram_digest_set(&digest, i / 16, i % 16, page);
		ck_assert_uint_ne(digest.sum, before);
		ck_assert_uint_ne(digest.sum, ram_digest_of(&memory));
		memory_write(&memory, gpa, page, sizeof(page));
		ck_assert_uint_eq(digest.sum, ram_digest_of(&memory));
	}
	/* The same pages at other places are another RAM. */
	uint64_t before = digest.sum;
	page[16] = 0;
	ram_digest_set(&digest, 0, 14, page);
	page[15] = 0;
	ram_digest_set(&digest, 0, 15, page);
	ck_assert_uint_ne(digest.sum, before);
	for (unsigned i = 0; i < 17; i++)
		ram_digest_set_zero(&digest, i / 16, i % 16);
	ck_assert_uint_eq(digest.sum, 0);
	memory_done(&memory);
	ram_digest_done(&digest);
}
END_TEST

UNIT_MAIN_WITH(setup, teardown, "wire", what_is_put_comes_out, pieces_of_any_size_make_the_same_messages,
	       every_wrong_byte_is_found, the_order_of_messages_is_kept, a_writer_is_bounded,
	       pages_belong_to_the_machine, missing_pages_have_no_bytes, a_set_of_missing_pages_goes_over,
	       text_steers_no_terminal, the_digest_is_that_of_memory)
