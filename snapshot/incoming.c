#include "incoming.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crc32c.h"
#include "file.h"
#include "ram_digest.h"
#include "vmm/io.h"
#include "vmm/now.h"
#include "vmm/vcpu.h"

#define IDLE_US     30000000 /* nothing comes from the source for so long: it is given up */
#define LAST_US     2000000  /* for the last word to leave, and for the source to have read it */
#define WAIT_MS     1000
#define MEMINFO_MAX 65536

enum phase { GREETING, DESCRIBING, ROUNDS, READY, OVER };

struct incoming {
	struct channel channel;
	struct incoming_options options;
	uint64_t host_free; /* bytes */
	struct cpuid_query query;
	enum phase phase;
	struct wire_hello hello;
	struct buffer parts;     /* of a state, so far */
	struct buffer described; /* the state as it was described */
	struct machine machine;  /* as described */
	struct image image;      /* what is restored in the end */
	struct ram_digest digest;
	int userfault_fd;         /* -1: there is none, or it is the arrival's */
	struct pages missing;     /* what comes after the hand-over */
	struct arrival *arrival;  /* which has the connection then; or NULL */
	struct wire_round counts; /* of this round */
	struct wire_seal seal;
	struct report report;
	struct vm *vm; /* made before its RAM and its state come; NULL once it is the caller's */
	struct incoming_numbers numbers;
};

/* ---- Memory ---- */

/* "MemAvailable:  123 kB" in bytes; 0 where there is no such line. */
static uint64_t meminfo_value(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	return at != NULL ? strtoull(at + strlen(name), NULL, 10) << 10 : 0;
}

/* proc(5): MemAvailable is what can be had without swapping; UINT64_MAX where it cannot be known. */
static uint64_t host_free(void)
{
	struct buffer text = { 0 };
	struct error ignored;
	uint64_t bytes = UINT64_MAX;
	if (io_read_file("/proc/meminfo", MEMINFO_MAX, &text, &ignored) == 0 && buffer_append(&text, NULL, 1) != NULL) {
		const char *lines = (const char *)text.data;
		bytes = meminfo_value(lines, "MemAvailable:") + meminfo_value(lines, "SwapFree:");
	}
	buffer_done(&text);
	return bytes > 0 ? bytes : UINT64_MAX;
}

static int check_memory(const struct incoming *incoming, struct error *err)
{
	uint64_t size = 0;
	for (unsigned i = 0; i < incoming->hello.nr_ranges; i++)
		size += incoming->hello.ranges[i].size;
	if (size <= incoming->host_free)
		return 0;
	return error_set(err, ERROR_SYSTEM,
			 "memory: the machine has RAM of %" PRIu64 " MiB, and this host has %" PRIu64
			 " MiB of memory and swap free",
			 size >> 20, incoming->host_free >> 20);
}

static int make_memory(const struct incoming *incoming, struct memory *ret, struct error *err)
{
	int status = 0;
	for (unsigned i = 0; i < incoming->hello.nr_ranges && status == 0; i++)
		status = memory_add(ret, &incoming->hello.ranges[i], err);
	return status;
}

/* ---- The connection ---- */

static int64_t patience_us(const struct incoming *incoming)
{
	return incoming->options.patience_us != 0 ? (int64_t)incoming->options.patience_us : IDLE_US;
}

static int wait_for(struct incoming *incoming, int64_t deadline_us, struct error *err)
{
	struct pollfd fds[2];
	int timeout_ms = WAIT_MS;
	channel_wants(&incoming->channel, fds, &timeout_ms);
	if (poll(fds, 2, timeout_ms) < 0 && errno != EINTR)
		return error_errno(err, ERROR_SYSTEM, "poll");
	if (now_us() < deadline_us)
		return 0;
	return error_set(err, ERROR_IO, "nothing came from the source for %.1f s", (double)patience_us(incoming) / 1e6);
}

/* Sends all that is to be sent. */
static int flush(struct incoming *incoming, int64_t most_us, struct error *err)
{
	int64_t deadline_us = now_us() + most_us;
	size_t sent;
	int status = 0;
	while (status == 0 && channel_has_more(&incoming->channel)) {
		status = channel_send(&incoming->channel, &sent, err);
		if (status == 0 && sent == 0)
			status = wait_for(incoming, deadline_us, err);
	}
	return status;
}

static int say(struct incoming *incoming, enum wire_type type, const void *payload, size_t size, struct error *err)
{
	if (!wire_writer_put(&incoming->channel.writer, type, payload, size))
		return error_set(err, ERROR_INTERNAL, "no room for %s", wire_type_name(type));
	return flush(incoming, patience_us(incoming), err);
}

static int next_message(struct incoming *incoming, struct wire_message *ret, struct error *err)
{
	uint64_t before = incoming->channel.bytes_in;
	int64_t deadline_us = now_us() + patience_us(incoming);
	int status;
	while ((status = channel_receive(&incoming->channel, ret, err)) == 0) {
		if (incoming->channel.bytes_in != before)
			deadline_us = now_us() + patience_us(incoming);
		before = incoming->channel.bytes_in;
		status = wait_for(incoming, deadline_us, err);
		if (status < 0)
			break;
	}
	if (status > 0 && ret->type == WIRE_CANCEL)
		return error_set(err, ERROR_IO, "the source has cancelled the migration, and keeps the guest");
	return status < 0 ? status : 0;
}

/* The error, and what was found, a line each. */
static size_t describe_refusal(const struct incoming *incoming, const struct error *err, char *ret, size_t size)
{
	size_t used = (size_t)snprintf(ret, size, "%s", err->text);
	char line[640];
	for (size_t i = 0; i < incoming->report.nr; i++) {
		const struct finding *finding = &incoming->report.findings[i];
		if (finding->kind != FINDING_DIFFERENT && finding->kind != FINDING_REFUSED)
			continue;
		finding_format(finding, line, sizeof(line));
		int n = snprintf(ret + used, size - used, "\n%s", line);
		if (n < 0 || (size_t)n >= size - used)
			break;
		used += (size_t)n;
	}
	return used;
}

/*
 * From here on the machine will never run here, and the source may know it.  Closing while bytes of the source are
 * still unread could take our last word back (a TCP reset), so they are read first.
 */
static void refuse(struct incoming *incoming, const struct error *err)
{
	struct wire_message ignored;
	struct error over;
	int64_t deadline_us = now_us() + LAST_US;
	char *text = malloc(WIRE_TEXT_MAX);
	arrival_end(incoming->arrival, &incoming->channel);
	incoming->arrival = NULL;
	if (text == NULL || incoming->phase == OVER)
		goto out;
	incoming->phase = OVER;
	size_t size = describe_refusal(incoming, err, text, WIRE_TEXT_MAX);
	if (!wire_writer_put(&incoming->channel.writer, WIRE_REFUSE, text, size) || flush(incoming, LAST_US, &over) < 0)
		goto out;
	shutdown(incoming->channel.out_fd, SHUT_WR); /* fails where it is a pipe, which keeps what is in it */
	incoming->channel.reader.is_bad = false;
	while (!incoming->channel.is_at_end && wait_for(incoming, deadline_us, &over) == 0) {
		incoming->channel.reader.start = incoming->channel.reader.end;
		incoming->channel.reader.is_bad = false;
		channel_receive(&incoming->channel, &ignored, &over);
	}
out:
	free(text);
	channel_close(&incoming->channel);
}

/* ---- Greeting and trial ---- */

static int misplaced(const struct wire_message *message, struct error *err)
{
	return error_set(err, ERROR_DATA, "the source said %s, which has no place here", wire_type_name(message->type));
}

static bool has_post_copy(const struct incoming *incoming)
{
	return (incoming->hello.flags & WIRE_POST_COPY) != 0;
}

static int check_post_copy(const struct incoming *incoming, struct error *err)
{
	if (!has_post_copy(incoming) || incoming->userfault_fd >= 0)
		return 0;
	*err = incoming->options.no_userfault;
	return error_prefix(err, "post-copy");
}

static int take_hello(struct incoming *incoming, const struct wire_message *message, struct error *err)
{
	struct wire_hello *hello = &incoming->hello;
	if (message->type != WIRE_HELLO)
		return misplaced(message, err);
	int status = wire_read_struct(message, hello, sizeof(*hello), err);
	if (status < 0)
		return status;
	snprintf(incoming->numbers.source, sizeof(incoming->numbers.source), "%.32s", hello->writer);
	if (hello->page_size != MEMORY_PAGE)
		return error_set(err, ERROR_DATA, "pages of %u bytes, expected %u", hello->page_size, MEMORY_PAGE);
	status = memory_check_ranges(hello->ranges, hello->nr_ranges, err);
	if (status == 0)
		status = check_post_copy(incoming, err);
	return status == 0 ? check_memory(incoming, err) : status;
}

static int add_part(struct incoming *incoming, struct bytes part, struct error *err)
{
	if (incoming->parts.size + part.size > FORMAT_STATE_MAX)
		return error_set(err, ERROR_DATA, "state of more than %u bytes", FORMAT_STATE_MAX);
	if (buffer_append(&incoming->parts, part.data, part.size) == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for the machine's state");
	return 0;
}

/* Bytes of the state that were in the description, at the same place. */
static int take_same(struct incoming *incoming, const struct wire_message *message, struct error *err)
{
	struct wire_same same;
	size_t at = incoming->parts.size;
	int status = wire_read_struct(message, &same, sizeof(same), err);
	if (status < 0)
		return status;
	if (!range_is_inside(at, same.size, incoming->described.size))
		return error_set(err, ERROR_DATA,
				 "%" PRIu64
				 " bytes of the state, from byte %zu on, are to be as described: that has %zu",
				 same.size, at, incoming->described.size);
	return add_part(incoming, (struct bytes){ incoming->described.data + at, (size_t)same.size }, err);
}

/* The parts so far are a state, which is read and checked. */
static int end_parts(struct incoming *incoming, const struct wire_blob *blob, struct image *ret, struct error *err)
{
	struct bytes parts = buffer_bytes(&incoming->parts);
	uint32_t crc = crc32c(0, parts.data, parts.size);
	if (blob->size != parts.size || blob->crc != crc)
		return error_set(err, ERROR_DATA,
				 "state of %zu bytes with checksum 0x%08x, expected %" PRIu64 " with 0x%08x",
				 parts.size, crc, blob->size, blob->crc);
	int status = file_read_state_of(parts, "the state", ret, err);
	if (status < 0)
		return status;
	const struct machine *machine = image_machine(ret);
	if (machine->nr_ranges != incoming->hello.nr_ranges ||
	    memcmp(machine->ranges, incoming->hello.ranges, machine->nr_ranges * sizeof(machine->ranges[0])) != 0) {
		image_done(ret);
		return error_set(err, ERROR_DATA, "the machine's RAM is not what the source said it is");
	}
	return 0;
}

static void discard(void *context, uint8_t byte)
{
	(void)context, (void)byte;
}

/* As check does it: a machine that never runs is made of the description, with RAM of its own. */
static int try_description(struct incoming *incoming, struct image *image, struct error *err)
{
	static const struct vm_ops silent = { .console = discard };
	const struct restore_base base = { .query = &incoming->query, .vm_fd = -1 };
	struct vm *vm = NULL;
	int64_t start_us = now_us();
	incoming->machine = *image_machine(image);
	int status = make_memory(incoming, &image->ram, err);
	image->memory = &image->ram;
	if (status == 0)
		status = restore_image_with(&base, image, incoming->options.restore, NULL, 0, &silent, NULL,
					    &incoming->report, &vm, err);
	incoming->numbers.trial_us = (uint64_t)(now_us() - start_us);
	vm_free(vm);
	return status;
}

/* The machine that will run, without a state: what takes long of making it is done while nobody waits for it. */
static int make_machine(struct incoming *incoming, const struct image *described, struct error *err)
{
	const struct restore_base base = { .query = &incoming->query, .vm_fd = -1 };
	struct memory memory = { 0 };
	struct cpuid cpuid;
	int status = make_memory(incoming, &memory, err);
	if (status == 0)
		status = restore_make(&incoming->vm, &base, incoming->options.restore, &incoming->machine, &memory,
				      incoming->options.ops, incoming->options.ops_context, err);
	memory_done(&memory);
	bool has_cpuid = !restore_leaves_out(incoming->options.restore, component_by_name("cpuid"));
	for (unsigned i = 0; status == 0 && has_cpuid && i < incoming->machine.nr_vcpus; i++) {
		/* Where it is refused, restoring sets it again, and tells why. */
		if (image_cpuid(described, i, &cpuid))
			vcpu_set_cpuid(&incoming->vm->vcpus[i], cpuid.entries, cpuid.nent);
	}
	return status;
}

static int prepare(struct incoming *incoming, const struct image *described, struct error *err)
{
	int status = make_machine(incoming, described, err);
	if (status == 0)
		status = ram_digest_create(&incoming->digest, incoming->hello.ranges, incoming->hello.nr_ranges, err);
	if (status == 0)
		status = pages_create(&incoming->missing, incoming->hello.ranges, incoming->hello.nr_ranges, err);
	return status;
}

static int take_description(struct incoming *incoming, const struct wire_message *message, struct error *err)
{
	struct wire_blob blob;
	struct image image = { 0 };
	struct wire_accept accept = { 0 };
	int status = wire_read_struct(message, &blob, sizeof(blob), err);
	if (status == 0)
		status = end_parts(incoming, &blob, &image, err);
	if (status == 0)
		status = try_description(incoming, &image, err);
	if (status == 0)
		status = prepare(incoming, &image, err);
	image_done(&image);
	incoming->described = incoming->parts;
	incoming->parts = (struct buffer){ 0 };
	if (status < 0)
		return status;
	report_done(&incoming->report);
	accept.trial_us = incoming->numbers.trial_us;
	snprintf(accept.writer, sizeof(accept.writer), "stasis " STASIS_VERSION);
	incoming->phase = ROUNDS;
	return say(incoming, WIRE_ACCEPT, &accept, sizeof(accept), err);
}

/* ---- Rounds ---- */

static unsigned region_of(const struct memory *memory, uint64_t gpa)
{
	return (unsigned)(memory_region_at(memory, gpa) - memory->regions);
}

static void put_data(struct incoming *incoming, const struct wire_run *run, const uint8_t *data)
{
	const struct memory *memory = &incoming->vm->memory;
	unsigned region = region_of(memory, run->gpa);
	uint64_t page = (run->gpa - incoming->hello.ranges[region].gpa) / MEMORY_PAGE;
	memcpy(memory_at(memory, run->gpa, (uint64_t)run->nr_pages * MEMORY_PAGE), data,
	       (size_t)run->nr_pages * MEMORY_PAGE);
	for (uint32_t i = 0; i < run->nr_pages; i++)
		ram_digest_set(&incoming->digest, region, page + i, data + (size_t)i * MEMORY_PAGE);
}

/* The pages become holes again. */
static int make_holes(struct incoming *incoming, const struct wire_run *run, struct error *err)
{
	uint64_t size = (uint64_t)run->nr_pages * MEMORY_PAGE;
	if (madvise(memory_at(&incoming->vm->memory, run->gpa, size), size, MADV_REMOVE) < 0)
		return error_errno(err, ERROR_SYSTEM, "RAM at 0x%" PRIx64 ": making %" PRIu64 " bytes zero", run->gpa,
				   size);
	return 0;
}

static int put_zeros(struct incoming *incoming, const struct wire_run *run, struct error *err)
{
	unsigned region = region_of(&incoming->vm->memory, run->gpa);
	uint64_t page = (run->gpa - incoming->hello.ranges[region].gpa) / MEMORY_PAGE;
	int status = make_holes(incoming, run, err);
	if (status < 0)
		return status;
	for (uint32_t i = 0; i < run->nr_pages; i++)
		ram_digest_set_zero(&incoming->digest, region, page + i);
	return 0;
}

static int take_pages(struct incoming *incoming, const struct wire_message *message, struct error *err)
{
	struct wire_pages_view view;
	int status = wire_read_pages(message, incoming->hello.ranges, incoming->hello.nr_ranges, &view, err);
	const uint8_t *data = status == 0 ? view.data : NULL;
	for (uint32_t i = 0; status == 0 && i < view.head.nr_runs; i++) {
		struct wire_run run = wire_run_at(&view, i);
		if (run.kind == WIRE_RUN_ZERO) {
			status = put_zeros(incoming, &run, err);
			incoming->counts.zero_pages += run.nr_pages;
			continue;
		}
		put_data(incoming, &run, data);
		data += (size_t)run.nr_pages * MEMORY_PAGE;
		incoming->counts.data_pages += run.nr_pages;
	}
	return status;
}

/* What was sent of these pages is of no use any more: who touches them is to wait. */
static int take_missing(struct incoming *incoming, const struct wire_message *message, struct error *err)
{
	struct wire_pages_view view;
	if (!has_post_copy(incoming))
		return misplaced(message, err);
	int status = wire_read_pages(message, incoming->hello.ranges, incoming->hello.nr_ranges, &view, err);
	for (uint32_t i = 0; status == 0 && i < view.head.nr_runs; i++) {
		struct wire_run run = wire_run_at(&view, i);
		unsigned region = region_of(&incoming->vm->memory, run.gpa);
		status = make_holes(incoming, &run, err);
		pages_add(&incoming->missing, region, (run.gpa - incoming->hello.ranges[region].gpa) / MEMORY_PAGE,
			  run.nr_pages);
	}
	return status;
}

static void count_round(struct incoming *incoming)
{
	incoming->numbers.data_pages += incoming->counts.data_pages;
	incoming->numbers.zero_pages += incoming->counts.zero_pages;
	incoming->counts = (struct wire_round){ .round = incoming->counts.round + 1 };
	incoming->numbers.rounds = incoming->counts.round;
}

static int take_round_end(struct incoming *incoming, const struct wire_message *message, struct error *err)
{
	struct wire_round round;
	int status = wire_read_struct(message, &round, sizeof(round), err);
	if (status == 0 && memcmp(&round, &incoming->counts, sizeof(round)) != 0)
		status = error_set(err, ERROR_DATA,
				   "round %" PRIu64 ": %" PRIu64 " pages and %" PRIu64
				   " zero ones came, expected round %" PRIu64 " with %" PRIu64 " and %" PRIu64,
				   incoming->counts.round, incoming->counts.data_pages, incoming->counts.zero_pages,
				   round.round, round.data_pages, round.zero_pages);
	if (status < 0)
		return status;
	count_round(incoming);
	return say(incoming, WIRE_ROUND_TAKEN, &round, sizeof(round), err);
}

/* ---- The state ---- */

static int check_ram(const struct incoming *incoming, const struct wire_state *state, struct error *err)
{
	uint64_t missing = pages_count(&incoming->missing);
	if (missing != state->missing_pages)
		return error_set(err, ERROR_DATA, "%" PRIu64 " pages are missing, expected %" PRIu64, missing,
				 state->missing_pages);
	if (missing > 0 && state->from_ram != 0)
		return error_set(err, ERROR_DATA, "a digest from RAM of which %" PRIu64 " pages are missing", missing);
	uint64_t digest = state->from_ram != 0 ? ram_digest_of(&incoming->vm->memory) : incoming->digest.sum;
	if (digest == state->ram_digest)
		return 0;
	return error_set(err, ERROR_DATA, "RAM is not the source's: digest 0x%016" PRIx64 ", expected 0x%016" PRIx64,
			 digest, state->ram_digest);
}

/* A machine that moved is not a copy: it keeps the generation id, which a restore changes. */
static void keep_generation(const struct image *image, struct vm *vm)
{
	const struct section *section = image_find_named(image, "generation", 0);
	if (section != NULL)
		memcpy(&vm->generation.state, section->payload.data, sizeof(vm->generation.state));
}

/* Restoring may touch pages that are missing. */
static int start_arrival(struct incoming *incoming, struct error *err)
{
	struct arrival_parts parts = { .channel = incoming->channel,
				       .missing = incoming->missing,
				       .digest = incoming->digest,
				       .userfault_fd = incoming->userfault_fd,
				       .memory = &incoming->vm->memory,
				       .patience_us = (uint64_t)patience_us(incoming) };
	if (pages_are_none(&incoming->missing))
		return 0;
	memcpy(parts.id, incoming->hello.id, sizeof(parts.id));
	int status = arrival_start(&incoming->arrival, &parts, err);
	if (status < 0)
		return status;
	incoming->channel = (struct channel){ .in_fd = -1, .out_fd = -1, .bytes_in = parts.channel.bytes_in };
	incoming->missing = (struct pages){ 0 };
	incoming->digest = (struct ram_digest){ 0 };
	incoming->userfault_fd = -1;
	return 0;
}

static int restore(struct incoming *incoming, struct error *err)
{
	int64_t start_us = now_us();
	int status = restore_into(incoming->vm, &incoming->query, &incoming->image, incoming->options.restore, NULL, 0,
				  &incoming->report, err);
	if (status == 0)
		keep_generation(&incoming->image, incoming->vm);
	incoming->numbers.restore_us = (uint64_t)(now_us() - start_us);
	return status;
}

static int take_state(struct incoming *incoming, const struct wire_message *message, struct error *err)
{
	struct wire_state state;
	int status = wire_read_struct(message, &state, sizeof(state), err);
	if (status == 0)
		status = end_parts(incoming, &state.blob, &incoming->image, err);
	if (status == 0 && memcmp(image_machine(&incoming->image), &incoming->machine, sizeof(incoming->machine)) != 0)
		status = error_set(err, ERROR_DATA, "the machine is another than was described");
	if (status == 0)
		status = check_ram(incoming, &state, err);
	if (status == 0)
		status = start_arrival(incoming, err);
	if (status == 0)
		status = restore(incoming, err);
	if (status < 0)
		return status;
	count_round(incoming);
	memcpy(incoming->seal.id, incoming->hello.id, sizeof(incoming->seal.id));
	incoming->seal.ram_digest = state.ram_digest;
	incoming->seal.state_crc = state.blob.crc;
	incoming->phase = READY;
	return 0;
}

/* ---- */

static int take_message(struct incoming *incoming, const struct wire_message *message, struct error *err)
{
	if (incoming->phase == GREETING) {
		incoming->phase = DESCRIBING;
		return take_hello(incoming, message, err);
	}
	if (message->type == WIRE_PART)
		return add_part(incoming, message->payload, err);
	if (incoming->phase == DESCRIBING)
		return message->type == WIRE_DESCRIPTION ? take_description(incoming, message, err)
							 : misplaced(message, err);
	switch (message->type) {
	case WIRE_SAME:
		return take_same(incoming, message, err);
	case WIRE_PAGES:
		return take_pages(incoming, message, err);
	case WIRE_ROUND_END:
		return take_round_end(incoming, message, err);
	case WIRE_MISSING:
		return take_missing(incoming, message, err);
	case WIRE_STATE:
		return take_state(incoming, message, err);
	default:
		return misplaced(message, err);
	}
}

int incoming_receive(struct incoming *incoming, struct vm **ret, struct error *err)
{
	struct wire_message message;
	int status = 0;
	while (status == 0 && incoming->phase != READY) {
		status = next_message(incoming, &message, err);
		if (status == 0)
			status = take_message(incoming, &message, err);
	}
	if (status < 0) {
		refuse(incoming, err);
		return status;
	}
	*ret = incoming->vm;
	incoming->vm = NULL;
	return 0;
}

static int wait_for_commit(struct incoming *incoming, struct error *err)
{
	struct wire_message message;
	struct wire_seal seal;
	int status = next_message(incoming, &message, err);
	if (status == 0 && message.type != WIRE_COMMIT)
		status = misplaced(&message, err);
	if (status == 0)
		status = wire_read_struct(&message, &seal, sizeof(seal), err);
	if (status == 0 && memcmp(&seal, &incoming->seal, sizeof(seal)) != 0)
		status =
			error_set(err, ERROR_DATA, "the source gave over another state than the one that stands ready");
	return status;
}

/* Where all pages are here. */
static int take_over(struct incoming *incoming, struct error *err)
{
	struct error unheard;
	int status = say(incoming, WIRE_PREPARED, &incoming->seal, sizeof(incoming->seal), err);
	if (status == 0)
		status = wait_for_commit(incoming, err);
	if (status < 0)
		return status;
	/* Ours, whether the source hears it or not. */
	wire_writer_put(&incoming->channel.writer, WIRE_COMMITTED, &incoming->seal, sizeof(incoming->seal));
	flush(incoming, LAST_US, &unheard);
	return 0;
}

int incoming_commit(struct incoming *incoming, struct error *err)
{
	int status = incoming->arrival != NULL ? arrival_take_over(incoming->arrival, &incoming->seal, err)
					       : take_over(incoming, err);
	if (status < 0)
		refuse(incoming, err);
	else
		incoming->phase = OVER;
	return status;
}

struct arrival *incoming_take_arrival(struct incoming *incoming)
{
	struct arrival *arrival = incoming->arrival;
	incoming->arrival = NULL;
	return arrival;
}

int incoming_create(struct incoming **ret, int in_fd, int out_fd, int kvm_fd, const struct incoming_options *options,
		    struct error *err)
{
	struct channel channel;
	int status = channel_open(&channel, in_fd, out_fd, 0, err);
	struct incoming *incoming = calloc(1, sizeof(*incoming));
	if (status == 0 && incoming == NULL)
		status = error_set(err, ERROR_SYSTEM, "no memory for a migration");
	if (status < 0) {
		channel_close(&channel);
		if (options->userfault_fd >= 0)
			close(options->userfault_fd);
		free(incoming);
		return status;
	}
	incoming->channel = channel;
	incoming->options = *options;
	incoming->userfault_fd = options->userfault_fd;
	incoming->host_free = host_free();
	cpuid_query_start(&incoming->query, options->worker, kvm_fd);
	*ret = incoming;
	return 0;
}

const struct report *incoming_report(const struct incoming *incoming)
{
	return &incoming->report;
}

void incoming_numbers(const struct incoming *incoming, struct incoming_numbers *ret)
{
	*ret = incoming->numbers;
	ret->bytes = incoming->channel.bytes_in;
}

void incoming_free(struct incoming *incoming)
{
	if (incoming == NULL)
		return;
	cpuid_query_done(&incoming->query);
	arrival_end(incoming->arrival, NULL);
	if (incoming->userfault_fd >= 0)
		close(incoming->userfault_fd);
	pages_done(&incoming->missing);
	channel_close(&incoming->channel);
	image_done(&incoming->image);
	vm_free(incoming->vm);
	ram_digest_done(&incoming->digest);
	buffer_done(&incoming->parts);
	buffer_done(&incoming->described);
	report_done(&incoming->report);
	free(incoming);
}
