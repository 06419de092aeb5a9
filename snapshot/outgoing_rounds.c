#include "outgoing_state.h"

#include <inttypes.h>
#include <string.h>

#include "ram.h"
#include "vmm/now.h"

#define PIECE_PAGES    256u   /* whose dirty bits are cleared at once, before they are read */
#define SCAN_PAGES_MAX 4096u  /* that are looked at for one message */
#define FEW_PAGES      16u    /* another round would take no fewer */
#define STUCK_MAX      4u     /* rounds that do not shrink, before it is given up */
#define MEASURED_MIN   262144 /* bytes of a round that say something of the bandwidth */
#define SECOND_US      1000000.0

/* ---- Pages ---- */

static void add_to_run(struct outgoing_batch *batch, uint64_t gpa, enum wire_run_kind kind)
{
	struct wire_run *last = batch->head.nr_runs > 0 ? &batch->runs[batch->head.nr_runs - 1] : NULL;
	if (last != NULL && last->kind == (uint32_t)kind && last->gpa + (uint64_t)last->nr_pages * MEMORY_PAGE == gpa)
		last->nr_pages++;
	else
		batch->runs[batch->head.nr_runs++] = (struct wire_run){ .gpa = gpa, .nr_pages = 1, .kind = kind };
}

/*
 * The guest may write the page meanwhile, and is then told to have done so: what is sent is what was copied.  A page of
 * zeros is told where the target has something else, or nothing.
 */
void outgoing_add_page(struct outgoing *outgoing, struct outgoing_batch *batch, unsigned region, uint64_t page)
{
	const struct memory_region *memory = &outgoing->vm->memory.regions[region];
	uint64_t gpa = memory->range.gpa + page * MEMORY_PAGE;
	uint8_t *copy = batch->payload + sizeof(batch->head) + (size_t)batch->head.nr_pages * MEMORY_PAGE;
	memcpy(copy, memory->hva + page * MEMORY_PAGE, MEMORY_PAGE);
	if (!outgoing->is_switching && sent_pages_has(&outgoing->sent, gpa, copy)) {
		outgoing->unchanged++;
	} else if (!bytes_are_zero(copy, MEMORY_PAGE)) {
		add_to_run(batch, gpa, WIRE_RUN_DATA);
		batch->head.nr_pages++;
		outgoing->counts.data_pages++;
		pages_add(&outgoing->data, region, page, 1);
		if (ram_digest_set(&outgoing->digest, region, page, copy))
			sent_pages_keep(&outgoing->sent, gpa, copy);
		else
			sent_pages_forget(&outgoing->sent, gpa);
	} else if (outgoing->is_switching || pages_has(&outgoing->data, region, page)) {
		add_to_run(batch, gpa, WIRE_RUN_ZERO);
		outgoing->counts.zero_pages++;
		ram_digest_set_zero(&outgoing->digest, region, page);
		sent_pages_forget(&outgoing->sent, gpa);
	}
}

void outgoing_end_batch(struct outgoing *outgoing, const struct outgoing_batch *batch)
{
	size_t runs_size = batch->head.nr_runs * sizeof(batch->runs[0]);
	size_t data_size = sizeof(batch->head) + (size_t)batch->head.nr_pages * MEMORY_PAGE;
	if (batch->head.nr_runs == 0)
		return;
	memcpy(batch->payload, &batch->head, sizeof(batch->head));
	memcpy(batch->payload + data_size, batch->runs, runs_size);
	wire_writer_end(&outgoing->channel.writer, WIRE_PAGES, data_size + runs_size);
}

/* In round 0 all RAM is looked at, whatever was told. */
static const struct pages *round_pages(const struct outgoing *outgoing)
{
	return outgoing->numbers.round == 0 ? &outgoing->piece : &outgoing->told;
}

/* The next piece: from its clearing on, the guest's writes are told again.  False: the round is at its end. */
static bool next_piece(struct outgoing *outgoing, int *ret_status)
{
	uint64_t nr_pages;
	while (outgoing->page == (nr_pages = outgoing->told.nr_pages[outgoing->region])) {
		if (outgoing->region + 1 == outgoing->told.nr_regions)
			return false;
		outgoing->region++;
		outgoing->page = 0;
	}
	uint64_t left = nr_pages - outgoing->page, nr = left < PIECE_PAGES ? left : PIECE_PAGES, found, run;
	outgoing->piece_end = outgoing->page + nr;
	if (outgoing->numbers.round == 0 ||
	    pages_next_run(&outgoing->told, outgoing->region, outgoing->page, outgoing->piece_end, &found, &run))
		*ret_status = dirty_clear(outgoing->dirty, &outgoing->told, outgoing->region, outgoing->page, nr,
					  &outgoing->error);
	if (outgoing->numbers.round == 0)
		ram_add_data(&outgoing->vm->memory, outgoing->region, outgoing->page, nr, &outgoing->piece);
	return true;
}

static bool is_full(const struct outgoing_batch *batch)
{
	return batch->head.nr_pages == WIRE_DATA_PAGES_MAX || batch->head.nr_runs == WIRE_RUNS_MAX;
}

/* Fills a message from where the round stands.  *ret_end: nothing of it is left. */
static int fill_batch(struct outgoing *outgoing, struct outgoing_batch *batch, bool *ret_end)
{
	uint64_t page, run, scanned = 0;
	int status = 0;
	*ret_end = false;
	while (!is_full(batch) && scanned < SCAN_PAGES_MAX && status == 0) {
		if (outgoing->page == outgoing->piece_end && !next_piece(outgoing, &status)) {
			*ret_end = true;
			break;
		}
		uint64_t before = outgoing->page;
		if (pages_next_run(round_pages(outgoing), outgoing->region, before, outgoing->piece_end, &page, &run)) {
			outgoing_add_page(outgoing, batch, outgoing->region, page);
			outgoing->page = page + 1;
			outgoing->numbers.round_done += outgoing->numbers.round != 0;
		} else {
			outgoing->page = outgoing->piece_end;
		}
		scanned += outgoing->page - before;
		if (outgoing->numbers.round == 0)
			outgoing->numbers.round_done += outgoing->page - before;
	}
	return status;
}

static void end_round(struct outgoing *outgoing)
{
	outgoing->counts.round = outgoing->numbers.round;
	outgoing->is_round_sent = true;
	if (outgoing->phase == OUTGOING_ROUNDS) /* behind the last pages comes the state */
		wire_writer_put(&outgoing->channel.writer, WIRE_ROUND_END, &outgoing->counts, sizeof(outgoing->counts));
	outgoing->numbers.data_pages += outgoing->counts.data_pages;
	outgoing->numbers.zero_pages += outgoing->counts.zero_pages;
	outgoing->numbers.unchanged_pages += outgoing->unchanged;
}

int outgoing_send_pages(struct outgoing *outgoing, uint8_t *payload)
{
	struct outgoing_batch batch = { .payload = payload };
	bool is_end;
	int status = fill_batch(outgoing, &batch, &is_end);
	if (status < 0)
		return status;
	outgoing_end_batch(outgoing, &batch);
	if (is_end && wire_writer_begin(&outgoing->channel.writer) != NULL)
		end_round(outgoing);
	return 0;
}

/* ---- Rounds ---- */

int outgoing_begin_round(struct outgoing *outgoing)
{
	int status = dirty_fetch(outgoing->dirty, &outgoing->told, &outgoing->error);
	if (status < 0)
		return status;
	pages_unite(&outgoing->taken, &outgoing->told);
	outgoing->region = 0;
	outgoing->page = outgoing->piece_end = 0;
	outgoing->is_round_sent = false;
	outgoing->counts = (struct wire_round){ 0 };
	outgoing->unchanged = 0;
	outgoing->numbers.round_done = 0;
	outgoing->numbers.round_todo = pages_count(&outgoing->told);
	outgoing->round_us = now_us();
	outgoing->round_bytes = outgoing->channel.bytes_out;
	return 0;
}

int outgoing_begin_round_0(struct outgoing *outgoing)
{
	int status = outgoing_begin_round(outgoing);
	if (status == 0 && outgoing->track != NULL) {
		pages_unite(&outgoing->taken, &outgoing->track->since);
		pages_clear(&outgoing->track->since);
	}
	outgoing->numbers.round_todo = outgoing->numbers.ram_size / MEMORY_PAGE;
	return status;
}

/* What the round that has arrived says of the bandwidth; how long it took, in seconds. */
static double measure_round(struct outgoing *outgoing)
{
	double seconds = (double)(now_us() - outgoing->round_us + 1) / SECOND_US;
	uint64_t bytes = outgoing->channel.bytes_out - outgoing->round_bytes, limit = outgoing->options.bandwidth;
	if (bytes >= MEASURED_MIN || outgoing->numbers.bandwidth == 0)
		outgoing->numbers.bandwidth = (uint64_t)((double)bytes / seconds) + 1;
	if (limit != 0 && outgoing->numbers.bandwidth > limit) /* a round that was but a burst */
		outgoing->numbers.bandwidth = limit;
	return seconds;
}

static void keep_round(struct outgoing *outgoing, struct outgoing_round round, uint64_t left_pages)
{
	round.left_pages = left_pages;
	if (outgoing->nr_rounds < OUTGOING_ROUNDS_KEPT)
		outgoing->rounds[outgoing->nr_rounds++] = round;
}

static uint64_t rest_us(const struct outgoing *outgoing, uint64_t pages)
{
	return (uint64_t)((double)(pages * MEMORY_PAGE) / (double)outgoing->numbers.bandwidth * SECOND_US);
}

/* What comes on top of the rest, as far as is known: saving here, restoring there. */
static uint64_t fixed_us(const struct outgoing *outgoing)
{
	return outgoing->numbers.description_us + outgoing->numbers.trial_us;
}

/* What rounds cannot make shorter takes no more than half of the goal away. */
static bool fits(const struct outgoing *outgoing, uint64_t pages)
{
	uint64_t goal = outgoing->options.downtime_us, fixed = fixed_us(outgoing);
	return pages == 0 || rest_us(outgoing, pages) + (fixed < goal / 2 ? fixed : goal / 2) <= goal;
}

static int cannot_converge(struct outgoing *outgoing, uint64_t pages)
{
	const struct outgoing_numbers *numbers = &outgoing->numbers;
	return error_set(&outgoing->error, ERROR_NOT_NOW,
			 "it does not converge: after round %u the guest writes %.1f MiB/s and %.1f MiB/s go over; to "
			 "move it now it would stand still for %" PRIu64 " ms, and %" PRIu64
			 " ms are allowed. Allow more, or more bandwidth, or slow the guest down",
			 numbers->round + 1, (double)numbers->dirty_rate / (1 << 20),
			 (double)numbers->bandwidth / (1 << 20), (rest_us(outgoing, pages) + fixed_us(outgoing)) / 1000,
			 outgoing->options.downtime_us / 1000);
}

/* Of the pages that were told, so many will be sent, if it goes as in the round that has arrived. */
static uint64_t expect_sent(const struct outgoing *outgoing, uint64_t sent, uint64_t todo, uint64_t told)
{
	return outgoing->numbers.round > 0 && sent < todo ? (told * sent + todo - 1) / todo : told;
}

int outgoing_next_round(struct outgoing *outgoing, bool *ret_is_time)
{
	uint64_t sent = outgoing->counts.data_pages, todo = outgoing->numbers.round_todo;
	struct outgoing_round round = { .data_pages = sent,
					.zero_pages = outgoing->counts.zero_pages,
					.unchanged_pages = outgoing->unchanged,
					.bytes = outgoing->channel.bytes_out - outgoing->round_bytes,
					.us = (uint64_t)(now_us() - outgoing->round_us) };
	double seconds = measure_round(outgoing);
	pages_clear(&outgoing->told);
	int status = outgoing_begin_round(outgoing);
	if (status < 0)
		return status;
	uint64_t told = outgoing->numbers.round_todo, rest = expect_sent(outgoing, sent, todo, told);
	keep_round(outgoing, round, told);
	outgoing->numbers.dirty_rate = (uint64_t)((double)(told * MEMORY_PAGE) / seconds);
	bool is_last = outgoing->numbers.round + 1 >= outgoing->options.rounds_max;
	bool shrinks = rest < sent - sent / 16, can_stop = fits(outgoing, rest);
	outgoing->stuck = shrinks ? 0 : outgoing->stuck + 1;
	bool is_over = !can_stop && (is_last || outgoing->stuck > STUCK_MAX);
	outgoing->is_switching = is_over && outgoing->options.is_post_copy;
	if (is_over && !outgoing->is_switching)
		return cannot_converge(outgoing, rest);
	*ret_is_time = is_over || (can_stop && (rest <= FEW_PAGES || !shrinks || is_last));
	return 0;
}
