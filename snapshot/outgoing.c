#include "outgoing_state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "crc32c.h"
#include "file.h"
#include "save.h"
#include "vmm/now.h"

#define STEPS_MAX 16u      /* messages that one outgoing_step() makes */
#define IDLE_US   10000000 /* without a byte in either direction */
#define TRIAL_US  60000000 /* the same, while the target makes its trial */
#define WAIT_MS   500
#define SECOND_US 1000000.0
#define SAME_MIN  (2 * sizeof(struct wire_header) + sizeof(struct wire_same)) /* bytes: two messages more */

static const char *const phase_names[OUTGOING_PHASES] = {
	[OUTGOING_ASKING] = "asking",       [OUTGOING_ROUNDS] = "rounds",       [OUTGOING_LAST] = "last pages",
	[OUTGOING_PREPARING] = "preparing", [OUTGOING_COMMITTED] = "committed", [OUTGOING_REJOINING] = "rejoining",
	[OUTGOING_SERVING] = "serving",     [OUTGOING_OVER] = "over",
};

const char *outgoing_phase_name(enum outgoing_phase phase)
{
	assert(phase < OUTGOING_PHASES);
	return phase_names[phase];
}

/* ---- Ends ---- */

/* As if it had never been held. */
static void let_go(struct outgoing *outgoing)
{
	outgoing->holds = false;
	if (outgoing->was_held)
		return;
	outgoing->vm->is_held = false;
	if (!outgoing->was_paused)
		vm_resume(outgoing->vm);
}

/* Nobody asks any more what the guest writes; what was told is the track's again. */
static void end_dirty_log(struct outgoing *outgoing)
{
	if (outgoing->track == NULL)
		dirty_free(outgoing->dirty);
	else if (outgoing->dirty != NULL) {
		pages_unite(&outgoing->track->since, &outgoing->told);
		pages_unite(&outgoing->track->since, &outgoing->taken);
	}
	outgoing->dirty = NULL;
}

static void over(struct outgoing *outgoing, enum outgoing_result result)
{
	outgoing->phase = OUTGOING_OVER;
	outgoing->result = result;
	if (outgoing->paused_us != 0 && outgoing->numbers.downtime_us == 0)
		outgoing->numbers.downtime_us = (uint64_t)(now_us() - outgoing->paused_us);
	if (result == OUTGOING_FAILED && outgoing->holds)
		let_go(outgoing);
	end_dirty_log(outgoing);
	/* The other side learns it by the connection's end at the latest. */
	channel_close(&outgoing->channel);
}

/* Gives it up; outgoing->error says why.  The target is told if it can be told at once. */
static void fail(struct outgoing *outgoing)
{
	size_t sent = 1;
	if (outgoing->channel.writer.data != NULL) {
		wire_writer_put(&outgoing->channel.writer, WIRE_CANCEL, NULL, 0);
		outgoing->channel.limit = 0;
		while (sent > 0 && channel_send(&outgoing->channel, &sent, NULL) == 0)
			;
	}
	over(outgoing, OUTGOING_FAILED);
}

/*
 * COMMIT was to be sent, and the connection is of no use any more.  Before all of it has left, the target cannot have
 * got it, and never will; after that, only the target knows.
 */
static void lost(struct outgoing *outgoing)
{
	struct error why = outgoing->error;
	if (outgoing->channel.bytes_out < outgoing->commit_end) {
		over(outgoing, OUTGOING_FAILED);
		return;
	}
	error_set(
		&outgoing->error, ERROR_IO,
		"in doubt: the target was told to run the guest, and did not answer (%s); the guest stands still here, "
		"with all its state. If it runs there, end this one; if not, resume or migrate it again",
		why.text);
	over(outgoing, OUTGOING_IN_DOUBT);
}

/* The guest runs at the target, which waits for pages: they are only here. */
static void cut_off(struct outgoing *outgoing)
{
	struct error why = outgoing->error;
	error_set(&outgoing->error, ERROR_IO,
		  "cut off: the guest runs at the target, which has not all of its memory yet (%s); %" PRIu64
		  " pages were not sent, and all of it is kept here",
		  why.text, outgoing->numbers.left_pages);
	over(outgoing, OUTGOING_CUT);
}

/* ---- What is sent ---- */

/* The state as bytes; the machine is paused. */
static int take_state(struct outgoing *outgoing, struct error *err)
{
	struct image image = { 0 };
	buffer_done(&outgoing->blob);
	outgoing->blob_at = 0;
	int status = save_image(outgoing->vm, &image, err);
	if (status == 0)
		status = file_write_state(&image, &outgoing->blob, err);
	image_done(&image);
	return status;
}

static void say_hello(struct outgoing *outgoing)
{
	struct wire_hello hello = { .page_size = MEMORY_PAGE,
				    .nr_ranges = outgoing->vm->machine.nr_ranges,
				    .flags = outgoing->options.is_post_copy ? WIRE_POST_COPY : 0 };
	memcpy(hello.id, outgoing->id, sizeof(hello.id));
	memcpy(hello.ranges, outgoing->vm->machine.ranges, sizeof(hello.ranges));
	snprintf(hello.writer, sizeof(hello.writer), "stasis " STASIS_VERSION);
	wire_writer_put(&outgoing->channel.writer, WIRE_HELLO, &hello, sizeof(hello));
}

static struct wire_blob describe_blob(const struct outgoing *outgoing)
{
	const struct buffer *blob = &outgoing->blob;
	return (struct wire_blob){ .size = blob->size, .crc = crc32c(0, blob->data, blob->size) };
}

/* From there on, how many bytes of the state are as they were described? */
static size_t same_size(const struct outgoing *outgoing, size_t at)
{
	const struct buffer *blob = &outgoing->blob, *described = &outgoing->described;
	size_t end = blob->size < described->size ? blob->size : described->size;
	return at < end ? bytes_same(blob->data + at, described->data + at, end - at) : 0;
}

/* From there on, how many bytes are sent, up to those that it is worth to leave out? */
static size_t part_size(const struct outgoing *outgoing, size_t at)
{
	size_t left = outgoing->blob.size - at, size = 0, same = 0;
	while (size < left && size < WIRE_PART_MAX && same < SAME_MIN) {
		same = same_size(outgoing, at + size);
		size += same == 0 ? 1 : same < SAME_MIN ? same : 0;
	}
	return size < WIRE_PART_MAX ? size : WIRE_PART_MAX;
}

/* A part of the state, or what ends it.  The caller knows that there is room. */
static void send_piece(struct outgoing *outgoing)
{
	const struct buffer *blob = &outgoing->blob;
	struct wire_writer *writer = &outgoing->channel.writer;
	struct wire_same same = { .size = same_size(outgoing, outgoing->blob_at) };
	if (same.size >= SAME_MIN) {
		wire_writer_put(writer, WIRE_SAME, &same, sizeof(same));
		outgoing->blob_at += same.size;
		return;
	}
	size_t size = part_size(outgoing, outgoing->blob_at);
	if (size > 0) {
		wire_writer_put(writer, WIRE_PART, blob->data + outgoing->blob_at, size);
		outgoing->blob_at += size;
		return;
	}
	struct wire_state state = { .blob = describe_blob(outgoing) };
	if (outgoing->phase == OUTGOING_ASKING) {
		outgoing->described = outgoing->blob;
		outgoing->blob = (struct buffer){ 0 };
		wire_writer_put(writer, WIRE_DESCRIPTION, &state.blob, sizeof(state.blob));
		return;
	}
	buffer_done(&outgoing->blob);
	state.missing_pages = outgoing->numbers.missing_pages;
	state.from_ram = outgoing->options.is_verified && state.missing_pages == 0;
	state.ram_digest = state.from_ram ? ram_digest_of(&outgoing->vm->memory) : outgoing->digest.sum;
	memcpy(outgoing->seal.id, outgoing->id, sizeof(outgoing->seal.id));
	outgoing->seal.ram_digest = state.ram_digest;
	outgoing->seal.state_crc = state.blob.crc;
	wire_writer_put(writer, WIRE_STATE, &state, sizeof(state));
	outgoing->phase = OUTGOING_PREPARING;
}

/* As many as there is room for: then they leave in one piece. */
static void send_blob(struct outgoing *outgoing)
{
	do
		send_piece(outgoing);
	while (outgoing->blob.size > 0 && wire_writer_begin(&outgoing->channel.writer) != NULL);
}

/* ---- The guest stands still ---- */

/* The guest is to stand still from now on.  What it has to report is its owner's first: then it runs on. */
static bool hold(struct outgoing *outgoing)
{
	int64_t paused_us = now_us();
	vm_pause(outgoing->vm);
	if (vm_has_event(outgoing->vm))
		return false;
	outgoing->was_held = outgoing->vm->is_held;
	vm_hold(outgoing->vm);
	outgoing->paused_us = paused_us;
	outgoing->holds = true;
	return true;
}

/* Pages come last: reading state may write RAM. */
static int begin_last(struct outgoing *outgoing)
{
	int status = take_state(outgoing, &outgoing->error);
	outgoing->numbers.round++;
	if (status == 0)
		status = outgoing_begin_round(outgoing);
	outgoing->phase = OUTGOING_LAST;
	if (outgoing->is_switching)
		outgoing->numbers.missing_pages = outgoing->numbers.left_pages = outgoing->numbers.round_todo;
	return status;
}

/* What was sent has arrived: another round, or the last pages. */
static int next_round(struct outgoing *outgoing)
{
	bool is_time;
	int status = outgoing_next_round(outgoing, &is_time);
	if (status < 0)
		return status;
	if (is_time && hold(outgoing))
		return begin_last(outgoing);
	outgoing->is_switching = false;
	outgoing->numbers.round++;
	return 0;
}

/* ---- What the target says ---- */

static int unexpected(struct outgoing *outgoing, const struct wire_message *message)
{
	return error_set(&outgoing->error, ERROR_DATA, "the target said %s, which has no place here (%s)",
			 wire_type_name(message->type), outgoing_phase_name(outgoing->phase));
}

static int start_dirty_log(struct outgoing *outgoing)
{
	if (outgoing->track == NULL)
		return dirty_create(&outgoing->dirty, outgoing->vm, DIRTY_EVERYTHING, &outgoing->error);
	outgoing->dirty = outgoing->track->dirty;
	return 0;
}

static int take_accept(struct outgoing *outgoing, const struct wire_message *message)
{
	struct wire_accept accept;
	int status = wire_read_struct(message, &accept, sizeof(accept), &outgoing->error);
	if (status == 0)
		status = start_dirty_log(outgoing);
	if (status == 0)
		status = outgoing_begin_round_0(outgoing);
	if (status < 0)
		return status;
	outgoing->numbers.trial_us = accept.trial_us;
	outgoing->phase = OUTGOING_ROUNDS;
	return 0;
}

static int take_round_taken(struct outgoing *outgoing, const struct wire_message *message)
{
	struct wire_round taken;
	int status = wire_read_struct(message, &taken, sizeof(taken), &outgoing->error);
	if (status < 0)
		return status;
	if (!outgoing->is_round_sent || memcmp(&taken, &outgoing->counts, sizeof(taken)) != 0)
		return error_set(&outgoing->error, ERROR_DATA,
				 "the target has taken %" PRIu64 " pages of round %" PRIu64 ", and %" PRIu64
				 " of round %" PRIu64 " were sent",
				 taken.data_pages, taken.round, outgoing->counts.data_pages, outgoing->counts.round);
	return next_round(outgoing);
}

static int check_seal(struct outgoing *outgoing, const struct wire_message *message)
{
	struct wire_seal seal;
	int status = wire_read_struct(message, &seal, sizeof(seal), &outgoing->error);
	if (status == 0 && memcmp(&seal, &outgoing->seal, sizeof(seal)) != 0)
		status = error_set(&outgoing->error, ERROR_DATA, "the target said %s of another state than was sent",
				   wire_type_name(message->type));
	return status;
}

/* Once the target has refused, it will never run the guest: there is no doubt then, at any time. */
static void take_refusal(struct outgoing *outgoing, const struct wire_message *message)
{
	wire_read_text(message, outgoing->remarks, WIRE_TEXT_MAX + 1);
	error_set(&outgoing->error, ERROR_DIFFERENT, "the target refuses: %s", outgoing->remarks);
	over(outgoing, outgoing->phase == OUTGOING_REJOINING ? outgoing->result : OUTGOING_FAILED);
}

static int take_prepared(struct outgoing *outgoing, const struct wire_message *message)
{
	struct channel *channel = &outgoing->channel;
	int status = check_seal(outgoing, message);
	if (status < 0 || !wire_writer_put(&channel->writer, WIRE_COMMIT, &outgoing->seal, sizeof(outgoing->seal)))
		return status;
	outgoing->commit_end = channel->bytes_out + wire_writer_bytes(&channel->writer).size;
	outgoing->phase = OUTGOING_COMMITTED;
	return 0;
}

static int take_committed(struct outgoing *outgoing, const struct wire_message *message)
{
	int status = check_seal(outgoing, message);
	if (status < 0)
		return status;
	if (!outgoing->is_switching) {
		over(outgoing, OUTGOING_MOVED);
		return 0;
	}
	outgoing->numbers.downtime_us = (uint64_t)(now_us() - outgoing->paused_us);
	outgoing->phase = OUTGOING_SERVING;
	return 0;
}

static int take_rejoin(struct outgoing *outgoing, const struct wire_message *message)
{
	bool is_end;
	int status = outgoing_take_rejoin(outgoing, message, &is_end);
	if (status == 0 && is_end) {
		outgoing->phase = OUTGOING_SERVING;
		outgoing->result = OUTGOING_CUT; /* there is no doubt any more */
	}
	return status;
}

static int take_complete(struct outgoing *outgoing, const struct wire_message *message)
{
	int status = outgoing_check_complete(outgoing, message);
	if (status == 0)
		over(outgoing, OUTGOING_MOVED);
	return status;
}

/* Which message is taken in which phase. */
static int take_message(struct outgoing *outgoing, const struct wire_message *message)
{
	if (message->type == WIRE_REFUSE && outgoing->phase != OUTGOING_SERVING) {
		take_refusal(outgoing, message);
		return 0;
	}
	if (message->type == WIRE_REQUEST && outgoing_may_serve(outgoing))
		return outgoing_take_request(outgoing, message);
	switch (outgoing->phase) {
	case OUTGOING_ASKING:
		if (message->type == WIRE_ACCEPT && outgoing->blob.size == 0)
			return take_accept(outgoing, message);
		break;
	case OUTGOING_ROUNDS:
		if (message->type == WIRE_ROUND_TAKEN)
			return take_round_taken(outgoing, message);
		break;
	case OUTGOING_PREPARING:
		if (message->type == WIRE_PREPARED)
			return take_prepared(outgoing, message);
		break;
	case OUTGOING_COMMITTED:
		if (message->type == WIRE_COMMITTED)
			return take_committed(outgoing, message);
		break;
	case OUTGOING_REJOINING:
		if (message->type == WIRE_MISSING || message->type == WIRE_REJOINED)
			return take_rejoin(outgoing, message);
		break;
	case OUTGOING_SERVING:
		if (message->type == WIRE_COMPLETE)
			return take_complete(outgoing, message);
		break;
	case OUTGOING_LAST:
	case OUTGOING_OVER:
	case OUTGOING_PHASES:
		break;
	}
	return unexpected(outgoing, message);
}

static int receive(struct outgoing *outgoing)
{
	struct wire_message message;
	int status = 1;
	while (status > 0 && outgoing->phase != OUTGOING_OVER) {
		status = channel_receive(&outgoing->channel, &message, &outgoing->error);
		if (status > 0) {
			outgoing->active_us = now_us();
			status = take_message(outgoing, &message) < 0 ? -1 : 1;
		}
	}
	return status < 0 ? status : 0;
}

/* ---- Steps ---- */

static int send_round(struct outgoing *outgoing, uint8_t *payload)
{
	if (outgoing->phase != OUTGOING_LAST || !outgoing->is_switching)
		return outgoing_send_pages(outgoing, payload);
	outgoing_send_missing(outgoing);
	return 0;
}

/* Makes the next message, where there is one and it has room; *ret_made: it did something. */
static int produce(struct outgoing *outgoing, bool *ret_made)
{
	uint8_t *payload = wire_writer_begin(&outgoing->channel.writer);
	bool is_asking = outgoing->phase == OUTGOING_ASKING && outgoing->blob.size > 0;
	bool is_last = outgoing->phase == OUTGOING_LAST;
	bool has_pages = (outgoing->phase == OUTGOING_ROUNDS || is_last) && !outgoing->is_round_sent;
	*ret_made = payload != NULL && (is_asking || is_last || has_pages);
	if (*ret_made && has_pages)
		return send_round(outgoing, payload);
	if (*ret_made)
		send_blob(outgoing);
	else if (payload != NULL && outgoing_has_left(outgoing)) {
		outgoing_send_left(outgoing, payload);
		*ret_made = true;
	}
	return 0;
}

static void broken(struct outgoing *outgoing)
{
	if (outgoing->phase == OUTGOING_COMMITTED)
		lost(outgoing);
	else if (outgoing->phase == OUTGOING_REJOINING)
		over(outgoing, outgoing->result);
	else if (outgoing->phase == OUTGOING_SERVING)
		cut_off(outgoing);
	else
		fail(outgoing);
}

static int send_some(struct outgoing *outgoing, size_t *ret_sent)
{
	struct error cut;
	int status = channel_send(&outgoing->channel, ret_sent, &cut);
	if (*ret_sent > 0)
		outgoing->active_us = now_us();
	if (status < 0 && receive(outgoing) == 0) /* it may have said why before it went */
		outgoing->error = outgoing->phase == OUTGOING_OVER ? outgoing->error : cut;
	return status;
}

static int64_t patience_us(const struct outgoing *outgoing)
{
	if (outgoing->options.patience_us != 0)
		return (int64_t)outgoing->options.patience_us;
	return outgoing->phase == OUTGOING_ASKING ? TRIAL_US : IDLE_US;
}

static void check_idle(struct outgoing *outgoing)
{
	if (outgoing->phase == OUTGOING_OVER || now_us() - outgoing->active_us < patience_us(outgoing))
		return;
	error_set(&outgoing->error, ERROR_IO, "nothing came from the target for %.1f s",
		  (double)patience_us(outgoing) / SECOND_US);
	broken(outgoing);
}

bool outgoing_step(struct outgoing *outgoing)
{
	bool is_made = true;
	size_t sent = 1;
	for (unsigned i = 0; i < STEPS_MAX && (is_made || sent > 0) && outgoing->phase != OUTGOING_OVER; i++) {
		int status = receive(outgoing);
		if (status == 0 && outgoing->phase != OUTGOING_OVER)
			status = produce(outgoing, &is_made);
		if (status == 0 && outgoing->phase != OUTGOING_OVER)
			status = send_some(outgoing, &sent);
		if (status < 0 && outgoing->phase != OUTGOING_OVER)
			broken(outgoing);
	}
	check_idle(outgoing);
	return outgoing->phase == OUTGOING_OVER;
}

void outgoing_wants(const struct outgoing *outgoing, struct pollfd ret[2], int *ret_timeout_ms)
{
	bool has_work = (outgoing->phase == OUTGOING_ASKING && outgoing->blob.size > 0) ||
			(outgoing->phase == OUTGOING_ROUNDS && !outgoing->is_round_sent) ||
			outgoing->phase == OUTGOING_LAST || outgoing_has_left(outgoing);
	*ret_timeout_ms = WAIT_MS;
	ret[0] = ret[1] = (struct pollfd){ .fd = -1 };
	if (outgoing->phase == OUTGOING_OVER) {
		*ret_timeout_ms = 0;
		return;
	}
	channel_wants(&outgoing->channel, ret, ret_timeout_ms);
	if (has_work && !channel_has_more(&outgoing->channel))
		*ret_timeout_ms = 0;
}

/* ---- Begin and end ---- */

static int create_sets(struct outgoing *outgoing, struct error *err)
{
	struct pages *const all[] = { &outgoing->told, &outgoing->piece, &outgoing->taken, &outgoing->data };
	const struct machine *machine = &outgoing->vm->machine;
	int status = ram_digest_create(&outgoing->digest, machine->ranges, machine->nr_ranges, err);
	if (status == 0)
		status = sent_pages_create(&outgoing->sent, err);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && status == 0; i++)
		status = pages_create_for(all[i], &outgoing->vm->memory, err);
	return status;
}

static int describe(struct outgoing *outgoing, struct error *err)
{
	int64_t start_us = now_us();
	vm_pause(outgoing->vm);
	int status = take_state(outgoing, err);
	if (!outgoing->was_paused)
		vm_resume(outgoing->vm);
	outgoing->numbers.description_us = (uint64_t)(now_us() - start_us);
	return status;
}

static int begin(struct outgoing *outgoing, struct error *err)
{
	if (getrandom(outgoing->id, sizeof(outgoing->id), 0) != (ssize_t)sizeof(outgoing->id))
		return error_errno(err, ERROR_SYSTEM, "an id for the migration");
	outgoing->remarks = calloc(1, WIRE_TEXT_MAX + 1);
	if (outgoing->remarks == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a migration");
	int status = create_sets(outgoing, err);
	if (status == 0)
		status = describe(outgoing, err);
	if (status < 0)
		return status;
	say_hello(outgoing);
	outgoing->numbers.ram_size = memory_size(&outgoing->vm->memory);
	outgoing->active_us = now_us();
	return 0;
}

int outgoing_begin(struct outgoing **ret, struct vm *vm, struct track *track, int in_fd, int out_fd,
		   const struct outgoing_options *options, struct error *err)
{
	struct channel channel;
	int status = channel_open(&channel, in_fd, out_fd, options->bandwidth, err);
	struct outgoing *outgoing = calloc(1, sizeof(*outgoing));
	if (status == 0 && outgoing == NULL)
		status = error_set(err, ERROR_SYSTEM, "no memory for a migration");
	if (status < 0) {
		channel_close(&channel);
		free(outgoing);
		return status;
	}
	outgoing->vm = vm;
	outgoing->track = track;
	outgoing->channel = channel;
	outgoing->options = *options;
	if (options->downtime_us == 0)
		outgoing->options.downtime_us = OUTGOING_DOWNTIME_US;
	if (options->rounds_max == 0)
		outgoing->options.rounds_max = OUTGOING_ROUNDS_MAX;
	outgoing->was_paused = vm->is_held || (vm->pause_wanted && !vm_has_event(vm));
	outgoing->result = OUTGOING_FAILED;
	status = begin(outgoing, err);
	if (status < 0) {
		outgoing->phase = OUTGOING_OVER;
		outgoing_free(outgoing);
		return status;
	}
	*ret = outgoing;
	return 0;
}

bool outgoing_can_rejoin(const struct outgoing *outgoing)
{
	return outgoing->phase == OUTGOING_OVER && outgoing->is_switching &&
	       (outgoing->result == OUTGOING_CUT || outgoing->result == OUTGOING_IN_DOUBT);
}

int outgoing_rejoin(struct outgoing *outgoing, int in_fd, int out_fd, uint64_t bandwidth, struct error *err)
{
	struct wire_rejoin rejoin = { 0 };
	struct channel channel;
	assert(outgoing_can_rejoin(outgoing));
	int status = channel_open(&channel, in_fd, out_fd, bandwidth, err);
	if (status < 0) {
		channel_close(&channel);
		return status;
	}
	channel.bytes_out = outgoing->channel.bytes_out;
	outgoing->channel = channel;
	outgoing->phase = OUTGOING_REJOINING;
	outgoing->active_us = now_us();
	outgoing->nr_asked = 0;
	outgoing->region = 0;
	outgoing->page = 0;
	pages_clear(&outgoing->told);
	memcpy(rejoin.id, outgoing->id, sizeof(rejoin.id));
	wire_writer_put(&outgoing->channel.writer, WIRE_REJOIN, &rejoin, sizeof(rejoin));
	return 0;
}

bool outgoing_holds(const struct outgoing *outgoing)
{
	return outgoing->holds;
}

int outgoing_cancel(struct outgoing *outgoing, struct error *err)
{
	if (outgoing->phase >= OUTGOING_COMMITTED)
		return error_set(err, ERROR_USAGE, "too late to cancel: %s",
				 outgoing->phase == OUTGOING_OVER ? "the migration is over"
								  : "the target was told to run the guest");
	error_set(&outgoing->error, ERROR_USAGE, "cancelled");
	fail(outgoing);
	return 0;
}

enum outgoing_result outgoing_result(const struct outgoing *outgoing, struct error *err)
{
	if (outgoing->result != OUTGOING_MOVED && err != NULL)
		*err = outgoing->error;
	return outgoing->result;
}

const char *outgoing_remarks(const struct outgoing *outgoing)
{
	return outgoing->remarks;
}

unsigned outgoing_rounds(const struct outgoing *outgoing, struct outgoing_round ret[OUTGOING_ROUNDS_KEPT])
{
	memcpy(ret, outgoing->rounds, sizeof(outgoing->rounds));
	return outgoing->nr_rounds;
}

void outgoing_numbers(const struct outgoing *outgoing, struct outgoing_numbers *ret)
{
	*ret = outgoing->numbers;
	ret->phase = outgoing->phase;
	ret->bytes_sent = outgoing->channel.bytes_out;
}

void outgoing_free(struct outgoing *outgoing)
{
	if (outgoing == NULL)
		return;
	if (outgoing->phase != OUTGOING_OVER) {
		error_set(&outgoing->error, ERROR_USAGE, "given up");
		broken(outgoing);
	}
	channel_close(&outgoing->channel);
	end_dirty_log(outgoing);
	ram_digest_done(&outgoing->digest);
	sent_pages_done(&outgoing->sent);
	pages_done(&outgoing->told);
	pages_done(&outgoing->piece);
	pages_done(&outgoing->taken);
	pages_done(&outgoing->data);
	buffer_done(&outgoing->blob);
	buffer_done(&outgoing->described);
	free(outgoing->remarks);
	free(outgoing);
}
