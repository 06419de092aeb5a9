/*
 * The messages of a migration, as a target or source gets them from a stranger: the first byte says whether checksums
 * and numbers are made right on the way, the second in which pieces the rest comes.  What the reader gives is held
 * against a second, plainer reading of the same bytes.
 */
#include "fuzz.h"
#include "snapshot/crc32c.h"
#include "snapshot/wire.h"

#define FIX_FRAMES   1 /* magic, version, sequence, checksums, and a length that is behind the end */
#define MESSAGES_MAX 64

static const struct memory_range ranges[] = { { .size = 16 * MEMORY_PAGE },
					      { .gpa = 0xffff0000, .size = MEMORY_PAGE, .flags = MEMORY_ROM } };
#define NR_RANGES (sizeof(ranges) / sizeof(ranges[0]))

/* Makes the frames right that the lengths lead to. */
static void fix(uint8_t *data, size_t size)
{
	struct wire_header header;
	uint64_t sequence = 0;
	for (size_t at = 0; size - at >= sizeof(header); at += sizeof(header) + header.length) {
		memcpy(&header, data + at, sizeof(header));
		size_t left = size - at - sizeof(header);
		header.magic = WIRE_MAGIC;
		header.version = WIRE_VERSION;
		header.reserved = 0;
		header.sequence = sequence++;
		if (header.length > left)
			header.length = (uint32_t)left;
		header.payload_crc = crc32c(0, data + at + sizeof(header), header.length);
		header.header_crc = crc32c(0, &header, offsetof(struct wire_header, header_crc));
		memcpy(data + at, &header, sizeof(header));
	}
}

/* A plain reading of the frame at the head of the bytes: does a message stand there whole? */
static bool model_next(struct bytes *bytes, uint64_t sequence, struct wire_header *ret)
{
	if (!bytes_read(*bytes, 0, ret, sizeof(*ret)) || ret->magic != WIRE_MAGIC || ret->version != WIRE_VERSION ||
	    ret->sequence != sequence || ret->reserved != 0 || ret->length > bytes->size - sizeof(*ret) ||
	    ret->header_crc != crc32c(0, ret, offsetof(struct wire_header, header_crc)) ||
	    ret->payload_crc != crc32c(0, bytes->data + sizeof(*ret), ret->length))
		return false;
	bytes->data += sizeof(*ret) + ret->length;
	bytes->size -= sizeof(*ret) + ret->length;
	return true;
}

static void check_pages(const struct wire_message *message)
{
	struct wire_pages_view view;
	struct error err;
	uint64_t data_pages = 0;
	int status = wire_read_pages(message, ranges, NR_RANGES, &view, &err);
	FUZZ_CHECK(status == 0 || err.code == ERROR_DATA);
	if (status < 0)
		return;
	for (uint32_t i = 0; i < view.head.nr_runs; i++) {
		struct wire_run run = wire_run_at(&view, i);
		uint64_t end = run.gpa + (uint64_t)run.nr_pages * MEMORY_PAGE;
		FUZZ_CHECK(run.nr_pages > 0 && end > run.gpa && run.gpa % MEMORY_PAGE == 0);
		FUZZ_CHECK(end <= ranges[0].size ||
			   (run.gpa == ranges[1].gpa && end == ranges[1].gpa + ranges[1].size));
		FUZZ_CHECK((run.kind == WIRE_RUN_MISSING) == (message->type == WIRE_MISSING));
		data_pages += run.kind == WIRE_RUN_DATA ? run.nr_pages : 0;
	}
	FUZZ_CHECK(data_pages == view.head.nr_pages);
	FUZZ_CHECK(view.runs + view.head.nr_runs * sizeof(struct wire_run) ==
		   message->payload.data + message->payload.size);
	FUZZ_CHECK(view.data + data_pages * MEMORY_PAGE == view.runs);
}

static void check_message(const struct wire_message *message)
{
	static char text[WIRE_TEXT_MAX + 1];
	struct wire_seal seal;
	FUZZ_CHECK(message->type > 0 && message->type < WIRE_TYPES && message->payload.size <= WIRE_PAYLOAD_MAX);
	FUZZ_CHECK(strcmp(wire_type_name(message->type), "?") != 0);
	FUZZ_CHECK((wire_read_struct(message, &seal, sizeof(seal), NULL) == 0) ==
		   (message->payload.size == sizeof(seal)));
	if (message->type == WIRE_PAGES || message->type == WIRE_MISSING)
		check_pages(message);
	wire_read_text(message, text, sizeof(text));
	for (const char *at = text; *at != '\0'; at++)
		FUZZ_CHECK(*at == '\n' || (*at >= ' ' && *at < 0x7f));
}

/* Gives the reader piece after piece, and takes what comes. */
static void read_all(struct wire_reader *reader, struct bytes all, size_t piece)
{
	struct wire_message message;
	struct wire_header header;
	struct error err;
	struct bytes model = all;
	uint64_t sequence = 0;
	int status = 0;
	while (status == 0 && all.size > 0) {
		size_t room, size = piece < all.size ? piece : all.size;
		uint8_t *at = wire_reader_room(reader, &room);
		FUZZ_CHECK(room > 0);
		size = size < room ? size : room;
		memcpy(at, all.data, size);
		wire_reader_add(reader, size);
		all.data += size;
		all.size -= size;
		while ((status = wire_reader_next(reader, &message, &err)) > 0) {
			FUZZ_CHECK(model_next(&model, sequence++, &header));
			FUZZ_CHECK(header.type == message.type && header.length == message.payload.size);
			check_message(&message);
		}
	}
	if (status < 0) {
		FUZZ_CHECK(err.code == ERROR_DATA || err.code == ERROR_VERSION);
		FUZZ_CHECK(wire_reader_next(reader, &message, &err) < 0);
	} else {
		FUZZ_CHECK(!model_next(&model, sequence, &header));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct wire_reader reader;
	struct bytes input = { data, size };
	struct error err;
	if (reader.data == NULL)
		FUZZ_CHECK(wire_reader_create(&reader, &err) == 0);
	reader = (struct wire_reader){ .data = reader.data };
	uint64_t flags = fuzz_take(&input, 1), piece = fuzz_take(&input, 1);
	uint8_t *copy = malloc(input.size + 1);
	FUZZ_CHECK(copy != NULL);
	memcpy(copy, input.data, input.size);
	if ((flags & FIX_FRAMES) != 0)
		fix(copy, input.size);
	read_all(&reader, (struct bytes){ copy, input.size }, piece > 0 ? (size_t)piece * piece : 1u << 20);
	free(copy);
	return 0;
}
