#include "wire.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "crc32c.h"

_Static_assert(sizeof(struct wire_header) == 32 && sizeof(struct wire_hello) == 160 &&
		       sizeof(struct wire_state) == 40 && sizeof(struct wire_run) == 16 &&
		       sizeof(struct wire_seal) == 32 && sizeof(struct wire_complete) == 32 &&
		       sizeof(struct wire_rejoin) == 24,
	       "no padding");

#define BUFFER_SIZE (2 * WIRE_FRAME_MAX)

/* What a message is called, and how long its payload may be. */
static const struct {
	const char *name;
	size_t min, max;
} types[WIRE_TYPES] = {
	[WIRE_HELLO] = { "HELLO", sizeof(struct wire_hello), sizeof(struct wire_hello) },
	[WIRE_PART] = { "PART", 1, WIRE_PART_MAX },
	[WIRE_DESCRIPTION] = { "DESCRIPTION", sizeof(struct wire_blob), sizeof(struct wire_blob) },
	[WIRE_PAGES] = { "PAGES", sizeof(struct wire_pages), WIRE_PAYLOAD_MAX },
	[WIRE_ROUND_END] = { "ROUND_END", sizeof(struct wire_round), sizeof(struct wire_round) },
	[WIRE_MISSING] = { "MISSING", sizeof(struct wire_pages), WIRE_PAYLOAD_MAX },
	[WIRE_STATE] = { "STATE", sizeof(struct wire_state), sizeof(struct wire_state) },
	[WIRE_COMMIT] = { "COMMIT", sizeof(struct wire_seal), sizeof(struct wire_seal) },
	[WIRE_CANCEL] = { "CANCEL", 0, 0 },
	[WIRE_REJOIN] = { "REJOIN", sizeof(struct wire_rejoin), sizeof(struct wire_rejoin) },
	[WIRE_ACCEPT] = { "ACCEPT", sizeof(struct wire_accept), sizeof(struct wire_accept) },
	[WIRE_ROUND_TAKEN] = { "ROUND_TAKEN", sizeof(struct wire_round), sizeof(struct wire_round) },
	[WIRE_PREPARED] = { "PREPARED", sizeof(struct wire_seal), sizeof(struct wire_seal) },
	[WIRE_COMMITTED] = { "COMMITTED", sizeof(struct wire_seal), sizeof(struct wire_seal) },
	[WIRE_REQUEST] = { "REQUEST", sizeof(struct wire_request), sizeof(struct wire_request) },
	[WIRE_COMPLETE] = { "COMPLETE", sizeof(struct wire_complete), sizeof(struct wire_complete) },
	[WIRE_REJOINED] = { "REJOINED", sizeof(struct wire_rejoin), sizeof(struct wire_rejoin) },
	[WIRE_SAME] = { "SAME", sizeof(struct wire_same), sizeof(struct wire_same) },
	[WIRE_REFUSE] = { "REFUSE", 0, WIRE_TEXT_MAX },
};

const char *wire_type_name(unsigned type)
{
	return type < WIRE_TYPES && types[type].name != NULL ? types[type].name : "?";
}

/* ---- Reading ---- */

int wire_reader_create(struct wire_reader *ret, struct error *err)
{
	struct wire_reader reader = { .data = malloc(BUFFER_SIZE) };
	if (reader.data == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a migration's messages");
	*ret = reader;
	return 0;
}

void wire_reader_done(struct wire_reader *reader)
{
	free(reader->data);
	*reader = (struct wire_reader){ 0 };
}

void *wire_reader_room(struct wire_reader *reader, size_t *ret_size)
{
	memmove(reader->data, reader->data + reader->start, reader->end - reader->start);
	reader->end -= reader->start;
	reader->start = 0;
	*ret_size = BUFFER_SIZE - reader->end;
	return reader->data + reader->end;
}

void wire_reader_add(struct wire_reader *reader, size_t size)
{
	assert(size <= BUFFER_SIZE - reader->end);
	reader->end += size;
}

static int check_header(const struct wire_reader *reader, const struct wire_header *header, struct error *err)
{
	if (header->magic != WIRE_MAGIC)
		return error_set(err, ERROR_DATA, "what came is no message of a migration (0x%08x, expected 0x%08x)",
				 header->magic, WIRE_MAGIC);
	if (header->version != WIRE_VERSION)
		return error_set(err, ERROR_VERSION,
				 "the other side speaks version %u of the protocol, this program %d", header->version,
				 WIRE_VERSION);
	uint32_t crc = crc32c(0, header, offsetof(struct wire_header, header_crc));
	if (crc != header->header_crc)
		return error_set(err, ERROR_DATA,
				 "message %" PRIu64 " is damaged: header checksum 0x%08x, expected 0x%08x",
				 reader->sequence, crc, header->header_crc);
	if (header->sequence != reader->sequence)
		return error_set(err, ERROR_DATA, "message %" PRIu64 " came, expected number %" PRIu64,
				 header->sequence, reader->sequence);
	if (header->type == 0 || header->type >= WIRE_TYPES || header->reserved != 0)
		return error_set(err, ERROR_DATA, "message %" PRIu64 " of type %u, which this program does not know",
				 header->sequence, header->type);
	if (header->length < types[header->type].min || header->length > types[header->type].max)
		return error_set(err, ERROR_DATA, "message %s of %u bytes, expected %zu to %zu",
				 types[header->type].name, header->length, types[header->type].min,
				 types[header->type].max);
	return 0;
}

static int next_message(struct wire_reader *reader, struct wire_message *ret, struct error *err)
{
	struct wire_header header;
	const uint8_t *at = reader->data + reader->start;
	size_t size = reader->end - reader->start;
	if (size < sizeof(header))
		return 0;
	memcpy(&header, at, sizeof(header));
	int status = check_header(reader, &header, err);
	if (status < 0)
		return status;
	if (size - sizeof(header) < header.length)
		return 0;
	uint32_t crc = crc32c(0, at + sizeof(header), header.length);
	if (crc != header.payload_crc)
		return error_set(err, ERROR_DATA,
				 "message %" PRIu64 " (%s) is damaged: checksum 0x%08x, expected 0x%08x",
				 header.sequence, types[header.type].name, crc, header.payload_crc);
	ret->type = (enum wire_type)header.type;
	ret->payload = (struct bytes){ at + sizeof(header), header.length };
	reader->start += sizeof(header) + header.length;
	reader->sequence++;
	return 1;
}

int wire_reader_next(struct wire_reader *reader, struct wire_message *ret, struct error *err)
{
	if (reader->is_bad)
		return error_set(err, ERROR_DATA, "what follows a damaged message is not read");
	int status = next_message(reader, ret, err);
	reader->is_bad = status < 0;
	return status;
}

int wire_read_struct(const struct wire_message *message, void *ret, size_t size, struct error *err)
{
	if (message->payload.size != size)
		return error_set(err, ERROR_DATA, "message %s of %zu bytes, expected %zu",
				 wire_type_name(message->type), message->payload.size, size);
	memcpy(ret, message->payload.data, size);
	return 0;
}

struct wire_run wire_run_at(const struct wire_pages_view *view, uint32_t index)
{
	struct wire_run run;
	memcpy(&run, view->runs + index * sizeof(run), sizeof(run));
	return run;
}

static bool is_inside(const struct wire_run *run, const struct memory_range *ranges, unsigned nr_ranges)
{
	uint64_t size = (uint64_t)run->nr_pages * MEMORY_PAGE;
	for (unsigned i = 0; i < nr_ranges; i++)
		if (run->gpa >= ranges[i].gpa && range_is_inside(run->gpa - ranges[i].gpa, size, ranges[i].size))
			return true;
	return false;
}

static bool has_place(uint32_t kind, enum wire_type type)
{
	return type == WIRE_MISSING ? kind == WIRE_RUN_MISSING : kind == WIRE_RUN_DATA || kind == WIRE_RUN_ZERO;
}

static int check_run(const struct wire_run *run, enum wire_type type, const struct memory_range *ranges,
		     unsigned nr_ranges, struct error *err)
{
	if (!has_place(run->kind, type) || run->nr_pages == 0 || run->gpa % MEMORY_PAGE != 0 ||
	    !is_inside(run, ranges, nr_ranges))
		return error_set(err, ERROR_DATA,
				 "%u pages at 0x%" PRIx64 ", kind %u: expected pages of this machine's RAM",
				 run->nr_pages, run->gpa, run->kind);
	return 0;
}

int wire_read_pages(const struct wire_message *message, const struct memory_range *ranges, unsigned nr_ranges,
		    struct wire_pages_view *ret, struct error *err)
{
	struct wire_pages_view view;
	struct bytes payload = message->payload;
	uint64_t data_pages = 0;
	if (!bytes_read(payload, 0, &view.head, sizeof(view.head)) || view.head.nr_pages > WIRE_DATA_PAGES_MAX ||
	    view.head.nr_runs == 0 || view.head.nr_runs > WIRE_RUNS_MAX ||
	    payload.size != sizeof(view.head) + (size_t)view.head.nr_pages * MEMORY_PAGE +
				    view.head.nr_runs * sizeof(struct wire_run))
		return error_set(err, ERROR_DATA, "message %s of %zu bytes does not hold what it says",
				 wire_type_name(message->type), payload.size);
	view.data = payload.data + sizeof(view.head);
	view.runs = view.data + (size_t)view.head.nr_pages * MEMORY_PAGE;
	for (uint32_t i = 0; i < view.head.nr_runs; i++) {
		struct wire_run run = wire_run_at(&view, i);
		int status = check_run(&run, message->type, ranges, nr_ranges, err);
		if (status < 0)
			return status;
		data_pages += run.kind == WIRE_RUN_DATA ? run.nr_pages : 0;
	}
	if (data_pages != view.head.nr_pages)
		return error_set(err, ERROR_DATA, "message %s has %u pages, and runs of %" PRIu64,
				 wire_type_name(message->type), view.head.nr_pages, data_pages);
	*ret = view;
	return 0;
}

void wire_read_text(const struct wire_message *message, char *ret, size_t size)
{
	size_t nr = message->payload.size < size - 1 ? message->payload.size : size - 1;
	for (size_t i = 0; i < nr; i++) {
		uint8_t byte = message->payload.data[i];
		ret[i] = (byte >= ' ' && byte < 0x7f) || byte == '\n' ? (char)byte : '?';
	}
	ret[nr] = '\0';
}

/* ---- Writing ---- */

int wire_writer_create(struct wire_writer *ret, struct error *err)
{
	struct wire_writer writer = { .data = malloc(BUFFER_SIZE) };
	if (writer.data == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a migration's messages");
	*ret = writer;
	return 0;
}

void wire_writer_done(struct wire_writer *writer)
{
	free(writer->data);
	*writer = (struct wire_writer){ 0 };
}

uint8_t *wire_writer_begin(struct wire_writer *writer)
{
	if (BUFFER_SIZE - writer->end < WIRE_FRAME_MAX && writer->end - writer->start <= BUFFER_SIZE - WIRE_FRAME_MAX) {
		memmove(writer->data, writer->data + writer->start, writer->end - writer->start);
		writer->end -= writer->start;
		writer->start = 0;
	}
	if (BUFFER_SIZE - writer->end < WIRE_FRAME_MAX)
		return NULL;
	return writer->data + writer->end + sizeof(struct wire_header);
}

void wire_writer_end(struct wire_writer *writer, enum wire_type type, size_t size)
{
	uint8_t *at = writer->data + writer->end;
	assert(size >= types[type].min && size <= types[type].max);
	struct wire_header header = {
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.type = (uint16_t)type,
		.sequence = writer->sequence++,
		.length = (uint32_t)size,
		.payload_crc = crc32c(0, at + sizeof(header), size),
	};
	header.header_crc = crc32c(0, &header, offsetof(struct wire_header, header_crc));
	memcpy(at, &header, sizeof(header));
	writer->end += sizeof(header) + size;
}

bool wire_writer_put(struct wire_writer *writer, enum wire_type type, const void *payload, size_t size)
{
	uint8_t *at = wire_writer_begin(writer);
	if (at == NULL)
		return false;
	if (size > 0)
		memcpy(at, payload, size);
	wire_writer_end(writer, type, size);
	return true;
}

int wire_writer_put_missing(struct wire_writer *writer, const struct pages *pages, const struct memory_range *ranges,
			    unsigned *region, uint64_t *page)
{
	struct wire_pages head = { 0 };
	uint8_t *payload = wire_writer_begin(writer);
	size_t size = sizeof(head);
	uint64_t first, nr;
	for (; *region < pages->nr_regions; (*region)++, *page = 0) {
		while (pages_next_run(pages, *region, *page, pages->nr_pages[*region], &first, &nr)) {
			if (payload == NULL)
				return -1;
			if (head.nr_runs == WIRE_RUNS_MAX)
				goto out;
			struct wire_run run = { .gpa = ranges[*region].gpa + first * MEMORY_PAGE,
						.nr_pages = nr < UINT32_MAX ? (uint32_t)nr : UINT32_MAX,
						.kind = WIRE_RUN_MISSING };
			memcpy(payload + size, &run, sizeof(run));
			size += sizeof(run);
			head.nr_runs++;
			*page = first + run.nr_pages;
		}
	}
	if (head.nr_runs == 0)
		return 0;
out:
	memcpy(payload, &head, sizeof(head));
	wire_writer_end(writer, WIRE_MISSING, size);
	return 1;
}

struct bytes wire_writer_bytes(const struct wire_writer *writer)
{
	return (struct bytes){ writer->data + writer->start, writer->end - writer->start };
}

void wire_writer_took(struct wire_writer *writer, size_t size)
{
	writer->start += size;
	if (writer->start == writer->end)
		writer->start = writer->end = 0;
}
