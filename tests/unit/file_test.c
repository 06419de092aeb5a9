#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image_builder.h"
#include "snapshot/compare.h"
#include "snapshot/crc32c.h"
#include "snapshot/state.h"
#include "vmm/io.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Pages that hold something; all others stay untouched. */
static const uint64_t data_pages[] = { 0, 0x1000, 0x7000, BUILD_RAM - MEMORY_PAGE,
				       BUILD_ROM_GPA + BUILD_ROM - MEMORY_PAGE };

static struct image image;
static struct buffer file, stream;
static struct error err;

static void setup(void)
{
	image_build(&image, 1, IRQCHIP_FULL);
	for (size_t i = 0; i < LENGTH(data_pages); i++)
		image_build_page(&image, data_pages[i], (uint8_t)(i + 1));
	/* Touched, and zero all the same. */
	memset(memory_at(&image.ram, 0x20000, MEMORY_PAGE), 0, MEMORY_PAGE);
	file = image_to_file(&image);
	stream = image_to_stream(&image);
}

static void teardown(void)
{
	image_done(&image);
	buffer_done(&file);
	buffer_done(&stream);
}

static void assert_refused(const char *what, const struct buffer *bytes, enum read_way way, int status,
			   const char *text)
{
	struct image got = { .nr_sections = 77 };
	err.text[0] = '\0';
	int result = file_read_bytes(buffer_bytes(bytes), way, &got, &err);
	ck_assert_msg(result == status, "%s (way %u): %d, expected %d: %s", what, way, result, status, err.text);
	ck_assert_msg(strstr(err.text, text) != NULL, "%s (way %u): \"%s\" lacks \"%s\"", what, way, err.text, text);
	ck_assert_uint_eq(got.nr_sections, 77);
}

/* ---- What is written is read ---- */

static void assert_same(const struct buffer *bytes, enum read_way way)
{
	struct image got;
	struct report report = { 0 };
	const struct compare_options options = { .with_ram = true };
	ck_assert_msg(file_read_bytes(buffer_bytes(bytes), way, &got, &err) == 0, "%s", err.text);
	ck_assert_mem_eq(&got.header, &image.header, sizeof(got.header));
	ck_assert_uint_eq(got.nr_sections, image.nr_sections);
	ck_assert_ptr_eq(got.memory, &got.ram);
	ck_assert_uint_eq(got.ram.nr_regions, 2);
	ck_assert_uint_eq(got.ram.regions[1].range.flags, MEMORY_ROM);
	compare_images(&image, &got, &options, &report);
	ck_assert_uint_eq(report.nr, 0);
	ck_assert_int_eq(file_verify_ram(&got, &err), 0);
	/* And the comparison looks. */
	got.ram.regions[1].hva[BUILD_ROM - 1] ^= 1;
	compare_images(&image, &got, &options, &report);
	ck_assert_uint_eq(report.nr, 1);
	report_done(&report);
	image_done(&got);
}

START_TEST(what_was_written_is_read)
{
	for (enum read_way way = 0; way < READ_WAYS; way++) {
		assert_same(&file, way);
		assert_same(&stream, way);
	}
}
END_TEST

START_TEST(a_file_holds_ram_in_place_and_a_stream_holds_no_zero_page)
{
	const struct format_section *ram = file_find(&file, component_by_name("ram")->id, 0);
	ck_assert_uint_eq(ram->offset % MEMORY_PAGE, 0);
	ck_assert_mem_eq(file.data + ram->offset, image.ram.regions[0].hva, BUILD_RAM);
	ck_assert_uint_eq(file_header(&file)->size, file.size);
	/* Runs of pages: 0 and 1000H are one. */
	ck_assert_uint_eq(stream.size - file_header(&stream)->size,
			  LENGTH(data_pages) * MEMORY_PAGE + 5 * sizeof(struct format_pages));
}
END_TEST

START_TEST(ram_that_was_read_is_a_private_copy)
{
	char path[] = "file_test.XXXXXX";
	struct image got;
	struct buffer after = { 0 };
	close(mkstemp(path));
	ck_assert_int_eq(file_write(&image, path, &err), 0);
	ck_assert_int_eq(file_read(path, &got, &err), 0);
	memset(got.ram.regions[0].hva, 0xee, BUILD_RAM);
	ck_assert_int_eq(io_read_file(path, file.size, &after, &err), 0);
	ck_assert_mem_eq(after.data, file.data, file.size);
	/* A snapshot onto the file that backs the memory: both are whole. */
	ck_assert_int_eq(file_write(&got, path, &err), 0);
	ck_assert_uint_eq(got.ram.regions[0].hva[BUILD_RAM - 1], 0xee);
	image_done(&got);
	ck_assert_int_eq(file_read(path, &got, &err), 0);
	ck_assert_int_eq(file_verify_ram(&got, &err), 0);
	ck_assert_uint_eq(got.ram.regions[0].hva[0x20000], 0xee);
	unlink(path);
	buffer_done(&after);
	image_done(&got);
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_says_why)
{
	struct image got;
	ck_assert_int_eq(file_read("file_test.no-such-file", &got, &err), -ERROR_NO_INPUT);
	ck_assert_ptr_nonnull(strstr(err.text, "file_test.no-such-file: "));
	ck_assert_int_eq(file_read("/", &got, &err), -ERROR_IO);
	ck_assert_int_lt(file_write(&image, "file_test.no-such-folder/file", &err), 0);
	ck_assert_int_eq(err.code, ERROR_CREATE);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(file_write_stream(&image, full, "the full device", &err), -ERROR_IO);
	ck_assert_ptr_nonnull(strstr(err.text, "the full device: "));
	close(full);
}
END_TEST

/* ---- What is wrong is refused, each by the check that is for it ---- */

enum part { HEADER, ENTRY, PAYLOAD, AFTER }; /* AFTER: the bytes behind a section */

struct damage {
	const char *what;
	enum part part;
	uint16_t component; /* of ENTRY and those below */
	size_t offset, size;
	uint64_t value;
	bool is_sealed; /* the checksums are right, so that the check behind them is reached */
	int status;
	const char *text;
};

#define FIELD_OF(type, member)  offsetof(type, member), sizeof(((type *)0)->member)
#define HEADER_FIELD(member)    HEADER, 0, FIELD_OF(struct format_header, member)
#define ENTRY_FIELD(id, member) ENTRY, (id), FIELD_OF(struct format_section, member)

/* Ids of the component table. */
enum {
	MACHINE = 1,
	RAM = 2,
	MP_STATE = 33,
	SREGS = 35,
	XCRS = 36,
	REGISTERS = 40,
	REGS = 41,
	NESTED = 43,
	UART = 96,
	UNKNOWN = 999,
	CHECKSUMS = FORMAT_RAM_CHECKSUMS
};

/* clang-format off */

static const struct damage damages[] = {
	{ "magic", HEADER, 0, 0, 1, 'S', true, -ERROR_DATA, "not a Stasis snapshot" },
	{ "line end", HEADER, 0, 5, 1, ' ', true, -ERROR_DATA, "not a Stasis snapshot" },
	{ "newer format", HEADER_FIELD(version), 2, false, -ERROR_VERSION, "format version 2, written by stasis by hand" },
	{ "format 0", HEADER_FIELD(version), 0, true, -ERROR_VERSION, "format version 0" },
	{ "header checksum", HEADER_FIELD(image.created_ns), 2, false, -ERROR_DATA, "damaged header: checksum 0x" },
	{ "header size", HEADER_FIELD(header_size), 100, true, -ERROR_DATA, "header of 100 bytes" },
	{ "form", HEADER_FIELD(form), 3, true, -ERROR_DATA, "form 3" },
	{ "reserved", HEADER_FIELD(reserved), 1, true, -ERROR_DATA, "reserved bytes of the header" },
	{ "no sections", HEADER_FIELD(nr_sections), 0, true, -ERROR_DATA, "0 sections, expected 1 to" },
	{ "too many sections", HEADER_FIELD(nr_sections), IMAGE_SECTIONS_MAX + 1, true, -ERROR_DATA, "513 sections" },
	{ "size", HEADER_FIELD(size), FORMAT_SIZE_MAX + 1, true, -ERROR_DATA, "bytes, expected at most 4398113619968" },
	{ "table checksum", ENTRY_FIELD(REGS, crc), 1, false, -ERROR_DATA, "damaged section table" },
	{ "unknown component", ENTRY_FIELD(REGS, component), UNKNOWN, true, -ERROR_VERSION, "is of component 999, version 1" },
	{ "newer section", ENTRY_FIELD(REGS, version), 2, true, -ERROR_VERSION, "section regs has version 2" },
	{ "section version 0", ENTRY_FIELD(REGS, version), 0, true, -ERROR_VERSION, "section regs has version 0" },
	{ "newer RAM", ENTRY_FIELD(RAM, version), 3, true, -ERROR_VERSION, "section ram has version 3" },
	{ "newer checksums", ENTRY_FIELD(CHECKSUMS, version), 2, true, -ERROR_VERSION, "section ram-checksums has version 2" },
	{ "entry reserved", ENTRY_FIELD(REGS, reserved), 1, true, -ERROR_DATA, "section regs: reserved fields" },
	{ "entry reserved2", ENTRY_FIELD(REGS, reserved2), 1, true, -ERROR_DATA, "section regs: reserved fields" },
	{ "checksum of RAM", ENTRY_FIELD(RAM, crc), 1, true, -ERROR_DATA, "section ram: reserved fields" },
	{ "instance", ENTRY_FIELD(NESTED, instance), 16, true, -ERROR_DATA, "section nested has instance 16" },
	{ "checksums' instance", ENTRY_FIELD(CHECKSUMS, instance), 1, true, -ERROR_DATA, "section ram-checksums has instance 1" },
	{ "file as stream", HEADER_FIELD(form), FORMAT_STREAM, true, -ERROR_DATA, "section ram-checksums in a stream" },
	{ "length behind the file", ENTRY_FIELD(UART, length), UINT64_MAX - 100, true, -ERROR_DATA, "ends behind the file's" },
	{ "section twice", ENTRY_FIELD(XCRS, component), SREGS, true, -ERROR_DATA, "are both component 35, instance 0" },
	{ "gap in state", AFTER, MP_STATE, 3, 1, 1, false, -ERROR_DATA, "the bytes in front of section events are not zero" },
	{ "gap before RAM", AFTER, CHECKSUMS, 8, 1, 1, false, -ERROR_DATA, "the bytes in front of RAM are not zero" },
	{ "section checksum", PAYLOAD, REGS, 5, 1, 0, false, -ERROR_DATA, "damaged: section regs, instance 0, checksum" },
	{ "no section machine", ENTRY_FIELD(MACHINE, instance), 1, true, -ERROR_DATA, "section machine is missing" },
	{ "no section regs", ENTRY_FIELD(REGS, instance), 1, true, -ERROR_DATA, "section regs of vcpu0 is missing" },
	{ "another vCPU's", ENTRY_FIELD(NESTED, instance), 1, true, -ERROR_DATA, "section nested of vcpu1 belongs to nothing" },
	{ "machine", PAYLOAD, MACHINE, 0, 1, 17, true, -ERROR_DATA, "section machine: 17 vCPUs" },
	{ "no LAPIC there", PAYLOAD, MACHINE, 4, 1, IRQCHIP_NONE, true, -ERROR_DATA, "section lapic of vcpu0 belongs to nothing" },
	{ "machine's RAM", PAYLOAD, MACHINE, offsetof(struct machine, ranges[0].size), 1, 1, true, -ERROR_DATA, "memory region 0" },
	{ "one region less", PAYLOAD, MACHINE, offsetof(struct machine, nr_ranges), 1, 1, true, -ERROR_DATA,
	  "ram-checksums of 8 bytes, expected 4" },
	{ "UART", PAYLOAD, UART, offsetof(struct serial_state, rx_head), 1, 16, true, -ERROR_DATA, "section uart of vm: not a state" },
	{ "register's id", PAYLOAD, REGISTERS, 4, 1, 4, true, -ERROR_DATA, "section registers of vcpu0: id 0x" },
	{ "nested size", PAYLOAD, NESTED, 4, 4, 128, true, -ERROR_DATA, "its size field is 128" },
	{ "RAM's instance", ENTRY_FIELD(RAM, instance), 5, true, -ERROR_DATA, "RAM section 5 of 1048576 bytes does not belong" },
};

/* clang-format on */

static void apply(const struct damage *damage, const struct buffer *bytes)
{
	uint8_t *at = bytes->data;
	if (damage->part != HEADER) {
		struct format_section *entry = file_find(bytes, damage->component, 0);
		if (damage->part == ENTRY)
			at = (uint8_t *)entry;
		else
			at += entry->offset + (damage->part == AFTER ? entry->length : 0);
	}
	memcpy(at + damage->offset, &damage->value, damage->size);
	if (damage->is_sealed)
		file_seal(bytes);
}

START_TEST(damage_is_refused_by_name)
{
	apply(&damages[_i], &file);
	for (enum read_way way = 0; way < READ_WAYS; way++)
		assert_refused(damages[_i].what, &file, way, damages[_i].status, damages[_i].text);
}
END_TEST

START_TEST(sections_follow_each_other)
{
	static const int64_t moves[] = { -16, 16, 1, (int64_t)1 << 40 };
	for (uint32_t i = 0; i < file_header(&file)->nr_sections; i++) {
		struct format_section *entry = file_entry(&file, i);
		for (size_t k = 0; k < LENGTH(moves); k++) {
			entry->offset += (uint64_t)moves[k];
			file_seal(&file);
			assert_refused("offset", &file, READ_FILE, -ERROR_DATA, ", expected ");
			entry->offset -= (uint64_t)moves[k];
		}
	}
	/* State behind RAM. */
	file_find(&file, RAM, 1)->component = NESTED;
	file_seal(&file);
	assert_refused("state behind RAM", &file, READ_FILE, -ERROR_DATA, "(component 43) at offset");
}
END_TEST

START_TEST(a_file_is_as_long_as_it_says)
{
	struct format_header *header = file_header(&file);
	header->size++;
	file_seal(&file);
	assert_refused("size + 1", &file, READ_FILE, -ERROR_DATA, "truncated: ");
	assert_refused("size + 1", &file, READ_PIPE, -ERROR_DATA, "sections end at ");
	header->size -= 2;
	file_seal(&file);
	assert_refused("size - 1", &file, READ_FILE, -ERROR_DATA, " bytes, expected ");
	assert_refused("size - 1", &file, READ_PIPE, -ERROR_DATA, "ends behind the file's");
	header->size++;
	file_seal(&file);
	ck_assert_ptr_nonnull(buffer_append(&file, "x", 1));
	assert_refused("a byte more", &file, READ_FILE, -ERROR_DATA, " bytes, expected ");
	header = file_header(&file);
	header->size++;
	file_seal(&file);
	assert_refused("a byte more, counted", &file, READ_FILE, -ERROR_DATA, "sections end at ");
}
END_TEST

START_TEST(state_has_a_limit)
{
	file_find(&file, CHECKSUMS, 0)->length = FORMAT_STATE_MAX;
	file_place(&file);
	file_seal(&file);
	assert_refused("much state", &file, READ_FILE, -ERROR_DATA, "expected at most 67108864");
}
END_TEST

START_TEST(ram_is_the_machines)
{
	/* A page less than the machine says. */
	file_find(&file, RAM, 1)->length -= MEMORY_PAGE;
	file_place(&file);
	file_seal(&file);
	assert_refused("shorter", &file, READ_FILE, -ERROR_DATA, "RAM section 1 of 61440 bytes does not belong");
	assert_refused("shorter", &file, READ_PIPE, -ERROR_DATA, "RAM section 1 of 61440 bytes does not belong");
	file_find(&file, RAM, 1)->length += MEMORY_PAGE;
	/* A region more, and the checksums for it. */
	file_find(&file, CHECKSUMS, 0)->length += sizeof(uint32_t);
	file_place(&file);
	struct machine *machine = (struct machine *)(void *)(file.data + file_find(&file, MACHINE, 0)->offset);
	machine->nr_ranges = 3;
	machine->ranges[2] = (struct memory_range){ .gpa = 1ull << 32, .size = MEMORY_PAGE };
	file_seal(&file);
	assert_refused("one missing", &file, READ_FILE, -ERROR_DATA, "2 RAM sections, expected 3");
	/* A section more than the machine has regions. */
	machine->nr_ranges = 1;
	struct format_section *checksums = file_find(&file, CHECKSUMS, 0);
	memset(file.data + checksums->offset, 0, checksums->length);
	checksums->length = sizeof(uint32_t);
	file_place(&file);
	file_seal(&file);
	assert_refused("one more", &file, READ_FILE, -ERROR_DATA, "RAM section 1 of 65536 bytes does not belong");
}
END_TEST

START_TEST(ram_sections_do_not_travel_in_a_stream)
{
	file_find(&stream, UART, 0)->component = RAM;
	file_find(&stream, RAM, 0)->crc = 0;
	struct format_header *header = file_header(&stream);
	header->table_crc = crc32c(0, file_entry(&stream, 0), header->nr_sections * sizeof(struct format_section));
	header->header_crc = crc32c(0, header, offsetof(struct format_header, header_crc));
	assert_refused("RAM in a stream", &stream, READ_PIPE, -ERROR_DATA, "section ram in a stream");
}
END_TEST

START_TEST(ram_that_is_read_fits_the_host)
{
	const struct format_section *entry = file_find(&stream, MACHINE, 0);
	struct machine *machine = (struct machine *)(void *)(stream.data + entry->offset);
	machine->nr_ranges = MEMORY_REGIONS_MAX;
	for (unsigned i = 0; i < machine->nr_ranges; i++)
		machine->ranges[i] =
			(struct memory_range){ .gpa = i * (MEMORY_RAM_MAX / 2), .size = MEMORY_RAM_MAX / 2 };
	file_seal(&stream);
	assert_refused("more than the host", &stream, READ_PIPE, -ERROR_SYSTEM,
		       "RAM of 2199023255552 bytes; this host has ");
}
END_TEST

/* ---- Page records ---- */

static struct format_pages *first_record(void)
{
	return (struct format_pages *)(void *)(stream.data + file_header(&stream)->size);
}

START_TEST(page_records_stay_in_ram)
{
	static const struct {
		uint64_t gpa;
		uint32_t length;
		const char *text;
	} rows[] = {
		{ BUILD_RAM, 0x2000, "8192 bytes at 0x100000 are not RAM" },
		{ BUILD_RAM - 0x1000, 0x2000, "8192 bytes at 0xff000 are not RAM" },
		{ UINT64_MAX - 0xfff, 0x2000, "are not RAM" },
		{ 8, 0x2000, "8192 bytes at 0x8 are not RAM" },
		{ 0, 0x2008, "8200 bytes at 0x0 are not RAM" },
		{ 0, 2u << 20, "2097152 bytes at 0x0 are not RAM" },
		{ 0x1000, 0x2000, "damaged: page record at offset" }, /* its checksum covers the address */
		{ 0, 0x1000, "damaged: page record at offset" },
		{ 0, 0, "damaged: page record at offset" },
	};
	for (size_t i = 0; i < LENGTH(rows); i++) {
		first_record()->gpa = rows[i].gpa;
		first_record()->length = rows[i].length;
		assert_refused("a record", &stream, READ_PIPE, -ERROR_DATA, rows[i].text);
	}
}
END_TEST

/* A bit of every byte but those inside of pages, of which it is one in some. */
START_TEST(every_byte_of_a_stream_is_checked)
{
	size_t record = file_header(&stream)->size, record_end = record + sizeof(struct format_pages), next;
	for (size_t at = 0; at < stream.size; at = next) {
		struct image got;
		struct format_pages head;
		stream.data[at] ^= (uint8_t)(1 << at % 8);
		ck_assert_msg(file_read_bytes(buffer_bytes(&stream), READ_FILE, &got, &err) < 0, "byte %zu", at);
		stream.data[at] ^= (uint8_t)(1 << at % 8);
		next = at + (at < record_end ? 1 : 61);
		memcpy(&head, stream.data + record, sizeof(head));
		if (next >= record_end + head.length) {
			next = record = record_end + head.length;
			record_end = record + sizeof(head);
		}
	}
}
END_TEST

/* ---- Truncation ---- */

static void assert_cut(const struct buffer *whole, size_t size, enum read_way way)
{
	struct buffer cut = { .data = whole->data, .size = size };
	assert_refused("cut", &cut, way, -ERROR_DATA, "truncated");
}

/* Just before, at and just behind each boundary. */
static void assert_cut_around(const struct buffer *whole, size_t boundary, enum read_way way)
{
	for (size_t size = boundary == 0 ? 0 : boundary - 1; size <= boundary + 1 && size < whole->size; size++)
		assert_cut(whole, size, way);
}

START_TEST(a_file_that_ends_early_is_truncated)
{
	for (enum read_way way = 0; way < READ_WAYS; way++) {
		assert_cut_around(&file, 0, way);
		for (uint32_t i = 0; i < file_header(&file)->nr_sections; i++) {
			const struct format_section *entry = file_entry(&file, i);
			assert_cut_around(&file, (size_t)((const uint8_t *)entry - file.data), way);
			assert_cut_around(&file, entry->offset, way);
			assert_cut_around(&file, entry->offset + entry->length, way);
		}
	}
}
END_TEST

START_TEST(a_stream_that_ends_early_is_truncated)
{
	for (enum read_way way = 0; way < READ_WAYS; way++) {
		assert_cut_around(&stream, 0, way);
		assert_cut_around(&stream, sizeof(struct format_header), way);
		struct format_pages record = { .length = 1 };
		for (size_t at = file_header(&stream)->size; record.length != 0;) {
			assert_cut_around(&stream, at, way);
			assert_cut_around(&stream, at + sizeof(record), way);
			memcpy(&record, stream.data + at, sizeof(record));
			at += sizeof(record) + record.length;
		}
	}
}
END_TEST

START_TEST(a_stream_in_a_file_ends_with_the_file)
{
	struct image got;
	ck_assert_ptr_nonnull(buffer_append(&stream, "x", 1));
	assert_refused("a byte more", &stream, READ_FILE, -ERROR_DATA, ": the stream in it has ended there");
	/* A pipe may go on. */
	ck_assert_int_eq(file_read_bytes(buffer_bytes(&stream), READ_PIPE, &got, &err), 0);
	image_done(&got);
}
END_TEST

/* ---- Single bits ---- */

/* Flips a bit of the file that path names, and says whether reading, RAM included, finds it. */
static bool flip_is_found(int fd, const char *path, size_t at, uint8_t bit)
{
	struct image got;
	uint8_t byte = file.data[at] ^ bit;
	ck_assert_int_eq(io_pwrite_full(fd, &byte, 1, at), 0);
	int status = file_read(path, &got, &err);
	if (status == 0) {
		status = file_verify_ram(&got, &err);
		image_done(&got);
	}
	ck_assert_int_eq(io_pwrite_full(fd, &file.data[at], 1, at), 0);
	return status < 0;
}

/* Every bit in front of RAM, and one bit in each part of RAM. */
START_TEST(every_flipped_bit_is_found)
{
	char path[32];
	int fd = memfd_create("snapshot", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	size_t ram = file_find(&file, RAM, 0)->offset;
	ck_assert_int_eq(io_pwrite_full(fd, file.data, file.size, 0), 0);
	for (size_t at = 0; at < ram; at++)
		for (unsigned bit = 0; bit < 8; bit++)
			ck_assert_msg(flip_is_found(fd, path, at, (uint8_t)(1 << bit)), "byte %zu, bit %u", at, bit);
	for (size_t at = ram; at < file.size; at += 9999)
		ck_assert_msg(flip_is_found(fd, path, at, 1), "byte %zu of RAM", at - ram);
	ck_assert(!flip_is_found(fd, path, 0, 0));
	close(fd);
}
END_TEST

START_TEST(damaged_ram_is_found_by_its_address)
{
	struct image got;
	size_t ram = file_find(&file, RAM, 0)->offset, rom = file_find(&file, RAM, 1)->offset;
	file.data[ram + BUILD_RAM - 1] ^= 0x80;
	ck_assert_int_eq(file_read_bytes(buffer_bytes(&file), READ_FILE, &got, &err), 0);
	ck_assert_int_eq(file_verify_ram(&got, &err), -ERROR_DATA);
	ck_assert_ptr_nonnull(strstr(err.text, "damaged: RAM 0x0-0xfffff, checksum 0x"));
	image_done(&got);
	file.data[ram + BUILD_RAM - 1] ^= 0x80;
	file.data[rom + 0x3000] ^= 1;
	/* RAM that is not mapped is checked as it is read. */
	ck_assert_int_eq(file_read_bytes(buffer_bytes(&file), READ_PIPE, &got, &err), -ERROR_DATA);
	ck_assert_ptr_nonnull(strstr(err.text, "damaged: RAM 0xffff0000-0xffffffff, checksum 0x"));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		what_was_written_is_read,
		a_file_holds_ram_in_place_and_a_stream_holds_no_zero_page,
		ram_that_was_read_is_a_private_copy,
		a_file_that_cannot_be_opened_says_why,
		sections_follow_each_other,
		a_file_is_as_long_as_it_says,
		state_has_a_limit,
		ram_is_the_machines,
		ram_sections_do_not_travel_in_a_stream,
		ram_that_is_read_fits_the_host,
		page_records_stay_in_ram,
		every_byte_of_a_stream_is_checked,
		a_file_that_ends_early_is_truncated,
		a_stream_that_ends_early_is_truncated,
		a_stream_in_a_file_ends_with_the_file,
		every_flipped_bit_is_found,
		damaged_ram_is_found_by_its_address,
	};
	Suite *suite = unit_suite_with(setup, teardown, "file", tests, LENGTH(tests));
	TCase *tcase = tcase_create("damages");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, damage_is_refused_by_name, 0, (int)LENGTH(damages));
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
