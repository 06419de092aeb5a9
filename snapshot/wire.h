/*
 * The messages of a migration: a header, then a payload of at most WIRE_PAYLOAD_MAX bytes.  All numbers are
 * little-endian; docs/MIGRATION.md tells what is said when.  Nothing here reads, writes or waits: bytes go into a
 * reader, which gives messages; messages go into a writer, which gives bytes.  Both are bounded.
 */
#ifndef STASIS_SNAPSHOT_WIRE_H
#define STASIS_SNAPSHOT_WIRE_H

#include "image.h"
#include "vmm/pages.h"

#define WIRE_MAGIC   0x4d415453u /* "STAM" */
#define WIRE_VERSION 3

#define WIRE_DATA_PAGES_MAX 64u  /* pages whose bytes are in one message */
#define WIRE_RUNS_MAX       128u /* runs of pages in one message */
#define WIRE_TEXT_MAX       (16u << 10)
#define WIRE_PART_MAX       (64u << 10)
#define WIRE_PAYLOAD_MAX                                                                                               \
	(sizeof(struct wire_pages) + WIRE_DATA_PAGES_MAX * MEMORY_PAGE + WIRE_RUNS_MAX * sizeof(struct wire_run))
#define WIRE_FRAME_MAX (sizeof(struct wire_header) + WIRE_PAYLOAD_MAX)

enum wire_type {
	/* From the source. */
	WIRE_HELLO = 1,   /* struct wire_hello */
	WIRE_PART,        /* bytes of what the next WIRE_DESCRIPTION or WIRE_STATE ends */
	WIRE_DESCRIPTION, /* struct wire_blob: the parts so far are the state as it was, to be tried */
	WIRE_PAGES,       /* struct wire_pages, pages, runs */
	WIRE_ROUND_END,   /* struct wire_round */
	WIRE_STATE,       /* struct wire_state: the parts since the description are the state to run */
	WIRE_COMMIT,      /* struct wire_seal: run it */
	WIRE_CANCEL,      /* nothing: the guest stays at the source */
	/* From the target. */
	WIRE_ACCEPT,      /* struct wire_accept: this host takes what was described */
	WIRE_ROUND_TAKEN, /* struct wire_round: all of it has arrived */
	WIRE_PREPARED,    /* struct wire_seal: the machine stands ready, and was read back */
	WIRE_COMMITTED,   /* struct wire_seal: it runs here from now on */
	WIRE_REFUSE,      /* text: why the guest will never run here; whoever says this does not take it back */
	/* Of pages that come after the hand-over, from the source. */
	WIRE_MISSING, /* as WIRE_PAGES, of runs alone: pages that come after the hand-over */
	WIRE_REJOIN,  /* struct wire_rejoin: the first message of another connection, for pages that are missing */
	/* From the target. */
	WIRE_REQUEST,  /* struct wire_request: somebody waits for a page that is missing */
	WIRE_COMPLETE, /* struct wire_complete: nothing is needed of the source any more */
	WIRE_REJOINED, /* struct wire_rejoin: the messages WIRE_MISSING before it have told what is missing here */
	/* From the source. */
	WIRE_SAME, /* struct wire_same: among the parts of a WIRE_STATE, bytes that are as they were described */
	WIRE_TYPES
};

struct wire_header {
	uint32_t magic;
	uint16_t version, type;
	uint64_t sequence; /* of this direction's messages: 0, 1, 2, ... */
	uint32_t length;   /* of the payload */
	uint32_t payload_crc;
	uint32_t reserved;
	uint32_t header_crc; /* CRC-32C of all before it: a wrong length is found before it is waited for */
};

enum wire_hello_flags {
	WIRE_POST_COPY = 1, /* pages may come after the hand-over: the target looks whether it can wait for them */
};

struct wire_hello {
	uint8_t id[IMAGE_ID_SIZE]; /* random: of this migration */
	uint32_t page_size, nr_ranges;
	uint32_t flags, reserved;
	struct memory_range ranges[MEMORY_REGIONS_MAX];
	char writer[32];
};

struct wire_blob {
	uint64_t size; /* of the parts */
	uint32_t crc;  /* CRC-32C of them */
	uint32_t reserved;
};

struct wire_state {
	struct wire_blob blob;
	uint64_t ram_digest;    /* ram_digest.h */
	uint64_t from_ram;      /* 1: it was made from RAM itself, and is to be held against RAM itself; 0: as sent */
	uint64_t missing_pages; /* in the messages WIRE_MISSING; the digest counts them as they were sent last */
};

struct wire_same {
	uint64_t size; /* bytes of the description, from where the parts so far end: they are the next ones */
};

struct wire_pages {
	uint32_t nr_pages; /* of data, which follow; behind them stand the runs */
	uint32_t nr_runs;
};

enum wire_run_kind {
	WIRE_RUN_DATA = 1, /* the next pages of data */
	WIRE_RUN_ZERO,     /* pages of zeros, which have none */
	WIRE_RUN_MISSING,  /* pages that come later; in WIRE_MISSING, and nothing else is */
};

struct wire_run {
	uint64_t gpa;
	uint32_t nr_pages;
	uint32_t kind;
};

struct wire_round {
	uint64_t round;
	uint64_t data_pages, zero_pages; /* in its messages */
};

struct wire_accept {
	uint64_t trial_us; /* how long the trial took */
	char writer[32];
};

/* What both mean when they hand over: this migration, this state, this RAM. */
struct wire_seal {
	uint8_t id[IMAGE_ID_SIZE];
	uint64_t ram_digest;
	uint32_t state_crc;
	uint32_t reserved;
};

struct wire_request {
	uint64_t gpa; /* of the page */
};

struct wire_complete {
	uint8_t id[IMAGE_ID_SIZE];
	uint64_t ram_digest; /* of all RAM as it arrived, whatever the guest has written since */
	uint64_t is_ended;   /* 1: the machine has ended, and needs no more; the digest is 0 */
};

struct wire_rejoin {
	uint8_t id[IMAGE_ID_SIZE];
	uint64_t missing_pages; /* WIRE_REJOINED: in the messages before */
};

const char *wire_type_name(unsigned type);

/* ---- Reading ---- */

struct wire_message {
	enum wire_type type;
	struct bytes payload; /* in the reader: valid until wire_reader_room() */
};

struct wire_reader {
	uint8_t *data; /* owned */
	size_t start, end;
	uint64_t sequence; /* of the next message */
	bool is_bad;       /* what follows a bad byte is not looked at */
};

int wire_reader_create(struct wire_reader *ret, struct error *err);
void wire_reader_done(struct wire_reader *reader);

/* Where the next bytes are to be put, and how many have room: at least 1 once all messages were taken. */
void *wire_reader_room(struct wire_reader *reader, size_t *ret_size);
void wire_reader_add(struct wire_reader *reader, size_t size);

/* A message is there: 1; not yet: 0.  ERROR_DATA, ERROR_VERSION: a byte is wrong, and no message will come. */
int wire_reader_next(struct wire_reader *reader, struct wire_message *ret, struct error *err);

/* Copies a payload that is a struct of that size; ERROR_DATA where it has another. */
int wire_read_struct(const struct wire_message *message, void *ret, size_t size, struct error *err);

/* A payload of WIRE_PAGES or WIRE_MISSING, of which every run is inside the machine's RAM or ROM. */
struct wire_pages_view {
	const uint8_t *data;
	const uint8_t *runs; /* not aligned */
	struct wire_pages head;
};

int wire_read_pages(const struct wire_message *message, const struct memory_range *ranges, unsigned nr_ranges,
		    struct wire_pages_view *ret, struct error *err);
struct wire_run wire_run_at(const struct wire_pages_view *view, uint32_t index);

/* A text, with what is not printable and no line end replaced. */
void wire_read_text(const struct wire_message *message, char *ret, size_t size);

/* ---- Writing ---- */

struct wire_writer {
	uint8_t *data; /* owned */
	size_t start, end;
	uint64_t sequence;
};

int wire_writer_create(struct wire_writer *ret, struct error *err);
void wire_writer_done(struct wire_writer *writer);

/* Room for a payload of WIRE_PAYLOAD_MAX, to be filled and ended; NULL: there is none before bytes are taken away. */
uint8_t *wire_writer_begin(struct wire_writer *writer);
void wire_writer_end(struct wire_writer *writer, enum wire_type type, size_t size);

/* Both at once; false without room. */
bool wire_writer_put(struct wire_writer *writer, enum wire_type type, const void *payload, size_t size);

/*
 * A message WIRE_MISSING of pages of the set, from *region and *page on, which go behind them; the set is of these
 * ranges.  1: it was put; 0: no page was left; -1: there was one, and no room.
 */
int wire_writer_put_missing(struct wire_writer *writer, const struct pages *pages, const struct memory_range *ranges,
			    unsigned *region, uint64_t *page);

/* The bytes to be sent; wire_writer_took() says how many were. */
struct bytes wire_writer_bytes(const struct wire_writer *writer);
void wire_writer_took(struct wire_writer *writer, size_t size);

#endif
