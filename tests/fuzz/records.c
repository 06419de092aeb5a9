/*
 * The page records of a stream, behind a good head.  The input is the records' headers, one behind the other; the pages
 * are made here, and what arrives is held against a second, plainer reading of the same records.
 */
#include "crc_fix.h"
#include "image_checks.h"
#include "source.h"
#include "zero_image.h"

#define RAM_SIZE     (2 * MEMORY_PAGE)
#define ROM_GPA      0xffff0000ull
#define RECORDS_MAX  16
#define PAGES_MAX    3
#define KEEP_CRC     1 /* a bit of a record's crc: it stays as it is, which is wrong most often */
#define HIGH_REGIONS 2

struct head {
	struct memory memory;
	uint64_t size; /* of the head in the source */
};

static const struct machine machine = {
	.nr_vcpus = 1,
	.irqchip = IRQCHIP_NONE,
	.nr_ranges = HIGH_REGIONS,
	.ranges = { { .size = RAM_SIZE }, { .gpa = ROM_GPA, .size = MEMORY_PAGE, .flags = MEMORY_ROM } },
};

/* Writes the head once; it ends where the stream's only record, the last one, begins. */
static void make_head(struct head *head)
{
	struct image image = { .memory = &head->memory };
	fuzz_source_open();
	fuzz_add_zero_state(&image, &machine);
	FUZZ_CHECK(lseek(STDIN_FILENO, FUZZ_PIPE, SEEK_SET) == FUZZ_PIPE);
	FUZZ_CHECK(file_write_stream(&image, STDIN_FILENO, "head", NULL) == 0);
	off_t end = lseek(STDIN_FILENO, 0, SEEK_CUR);
	head->size = (uint64_t)end - FUZZ_PIPE - sizeof(struct format_pages);
	image_done(&image);
}

/* What the reader must make of the records so far. */
struct model {
	uint8_t ram[RAM_SIZE], rom[MEMORY_PAGE];
	bool is_bad, is_ended;
};

static uint8_t *model_at(struct model *model, uint64_t gpa, uint64_t size)
{
	if (gpa < RAM_SIZE && range_is_inside(gpa, size, RAM_SIZE))
		return model->ram + gpa;
	if (gpa >= ROM_GPA && gpa - ROM_GPA < MEMORY_PAGE && range_is_inside(gpa - ROM_GPA, size, MEMORY_PAGE))
		return model->rom + (gpa - ROM_GPA);
	return NULL;
}

static void model_record(struct model *model, const struct format_pages *record, const uint8_t *pages,
			 bool crc_is_right)
{
	if (model->is_bad || model->is_ended)
		return;
	uint8_t *at = model_at(model, record->gpa, record->length);
	model->is_bad =
		!crc_is_right || at == NULL || record->gpa % MEMORY_PAGE != 0 || record->length % MEMORY_PAGE != 0;
	if (model->is_bad)
		return;
	memcpy(at, pages, record->length);
	model->is_ended = record->length == 0;
}

/* Writes the records into ret, which is emptied first: its memory is used again, so that an input costs none. */
static void make_records(struct bytes input, struct model *model, struct buffer *ret)
{
	ret->size = 0;
	for (unsigned i = 0; i < RECORDS_MAX && input.size > 0; i++) {
		static uint8_t pages[PAGES_MAX * MEMORY_PAGE];
		struct format_pages record = { .gpa = fuzz_take(&input, 8), .length = (uint32_t)fuzz_take(&input, 4) };
		uint32_t wrong = (uint32_t)fuzz_take(&input, 4);
		uint32_t nr = record.length < sizeof(pages) ? record.length : sizeof(pages);
		memset(pages, (int)(i + 1), nr);
		uint32_t right = fuzz_record_crc(&record, pages, nr);
		record.crc = (wrong & KEEP_CRC) != 0 ? wrong : right;
		model_record(model, &record, pages, record.crc == right);
		FUZZ_CHECK(buffer_append(ret, &record, sizeof(record)) != NULL);
		FUZZ_CHECK(nr == 0 || buffer_append(ret, pages, nr) != NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct head head;
	static struct model model;
	static struct buffer records;
	struct image image;
	struct error err;
	if (head.size == 0)
		make_head(&head);
	memset(&model, 0, sizeof(model));
	make_records((struct bytes){ data, size }, &model, &records);
	fuzz_source_put(FUZZ_PIPE, head.size, records.data, records.size);
	if (fuzz_source_read(FUZZ_PIPE, false, &image, &err) == 0) {
		FUZZ_CHECK(!model.is_bad && model.is_ended);
		FUZZ_CHECK(memcmp(memory_at(image.memory, 0, RAM_SIZE), model.ram, RAM_SIZE) == 0);
		FUZZ_CHECK(memcmp(memory_at(image.memory, ROM_GPA, MEMORY_PAGE), model.rom, MEMORY_PAGE) == 0);
		image_done(&image);
	} else {
		FUZZ_CHECK(model.is_bad || !model.is_ended);
	}
	return 0;
}
