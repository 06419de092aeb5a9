#include "outgoing_state.h"

#include <inttypes.h>
#include <string.h>

#define PENDING_MAX 16384 /* bytes that wait to be sent, from which on no more pages are put behind them */

/* The next run of what is told, from where the last one ended; *ret_nr pages at most max. */
static bool next_run(struct outgoing *outgoing, uint64_t max, uint64_t *ret_page, uint64_t *ret_nr)
{
	const struct pages *told = &outgoing->told;
	while (!pages_next_run(told, outgoing->region, outgoing->page, told->nr_pages[outgoing->region], ret_page,
			       ret_nr)) {
		if (outgoing->region + 1 == told->nr_regions)
			return false;
		outgoing->region++;
		outgoing->page = 0;
	}
	if (*ret_nr > max)
		*ret_nr = max;
	outgoing->page = *ret_page + *ret_nr;
	return true;
}

static void rewind_to(struct outgoing *outgoing, unsigned region, uint64_t page)
{
	outgoing->region = region;
	outgoing->page = page;
}

void outgoing_send_missing(struct outgoing *outgoing)
{
	if (wire_writer_put_missing(&outgoing->channel.writer, &outgoing->told, outgoing->vm->machine.ranges,
				    &outgoing->region, &outgoing->page) != 0)
		return;
	outgoing->is_round_sent = true;
	rewind_to(outgoing, 0, 0);
}

bool outgoing_may_serve(const struct outgoing *outgoing)
{
	return outgoing->is_switching && (outgoing->phase == OUTGOING_PREPARING ||
					  outgoing->phase == OUTGOING_COMMITTED || outgoing->phase == OUTGOING_SERVING);
}

bool outgoing_has_left(const struct outgoing *outgoing)
{
	return outgoing_may_serve(outgoing) && outgoing->numbers.left_pages > 0 &&
	       wire_writer_bytes(&outgoing->channel.writer).size < PENDING_MAX;
}

static void send_page(struct outgoing *outgoing, struct outgoing_batch *batch, unsigned region, uint64_t page)
{
	outgoing_add_page(outgoing, batch, region, page);
	pages_remove(&outgoing->told, region, page, 1);
	outgoing->numbers.left_pages--;
	outgoing->numbers.round_done++;
}

/* What was not sent meanwhile.  What stands behind the last one comes next: who touches a page touches that, too. */
static void send_asked(struct outgoing *outgoing, struct outgoing_batch *batch)
{
	const struct memory *memory = &outgoing->vm->memory;
	unsigned nr = outgoing->nr_asked < OUTGOING_PIECE_PAGES ? outgoing->nr_asked : OUTGOING_PIECE_PAGES;
	for (unsigned i = 0; i < nr; i++) {
		const struct memory_region *region = memory_region_at(memory, outgoing->asked[i]);
		unsigned number = (unsigned)(region - memory->regions);
		uint64_t page = (outgoing->asked[i] - region->range.gpa) / MEMORY_PAGE;
		if (!pages_has(&outgoing->told, number, page))
			continue;
		send_page(outgoing, batch, number, page);
		rewind_to(outgoing, number, page + 1);
	}
	outgoing->nr_asked -= nr;
	memmove(outgoing->asked, outgoing->asked + nr, outgoing->nr_asked * sizeof(outgoing->asked[0]));
}

static void send_next(struct outgoing *outgoing, struct outgoing_batch *batch)
{
	uint64_t page, nr;
	if (!next_run(outgoing, OUTGOING_PIECE_PAGES, &page, &nr)) {
		rewind_to(outgoing, 0, 0);
		if (!next_run(outgoing, OUTGOING_PIECE_PAGES, &page, &nr))
			return;
	}
	for (uint64_t i = 0; i < nr; i++)
		send_page(outgoing, batch, outgoing->region, page + i);
}

void outgoing_send_left(struct outgoing *outgoing, uint8_t *payload)
{
	struct outgoing_batch batch = { .payload = payload };
	if (outgoing->nr_asked > 0)
		send_asked(outgoing, &batch);
	else
		send_next(outgoing, &batch);
	outgoing_end_batch(outgoing, &batch);
	outgoing->numbers.data_pages += outgoing->counts.data_pages;
	outgoing->numbers.zero_pages += outgoing->counts.zero_pages;
	outgoing->counts = (struct wire_round){ 0 };
}

static int take_missing(struct outgoing *outgoing, const struct wire_message *message)
{
	const struct machine *machine = &outgoing->vm->machine;
	const struct memory *memory = &outgoing->vm->memory;
	struct wire_pages_view view;
	int status = wire_read_pages(message, machine->ranges, machine->nr_ranges, &view, &outgoing->error);
	for (uint32_t i = 0; status == 0 && i < view.head.nr_runs; i++) {
		struct wire_run run = wire_run_at(&view, i);
		const struct memory_region *region = memory_region_at(memory, run.gpa);
		pages_add(&outgoing->told, (unsigned)(region - memory->regions),
			  (run.gpa - region->range.gpa) / MEMORY_PAGE, run.nr_pages);
	}
	return status;
}

int outgoing_take_rejoin(struct outgoing *outgoing, const struct wire_message *message, bool *ret_end)
{
	struct wire_rejoin rejoined;
	*ret_end = message->type == WIRE_REJOINED;
	if (!*ret_end)
		return take_missing(outgoing, message);
	uint64_t missing = pages_count(&outgoing->told);
	int status = wire_read_struct(message, &rejoined, sizeof(rejoined), &outgoing->error);
	if (status == 0 && (memcmp(rejoined.id, outgoing->id, sizeof(rejoined.id)) != 0 ||
			    rejoined.missing_pages != missing || missing > outgoing->numbers.missing_pages))
		status = error_set(&outgoing->error, ERROR_DATA,
				   "the target lacks %" PRIu64 " pages, and named %" PRIu64 " of the %" PRIu64
				   " that it lacked at the hand-over",
				   rejoined.missing_pages, missing, outgoing->numbers.missing_pages);
	if (status < 0)
		return status;
	outgoing->numbers.left_pages = missing;
	outgoing->numbers.round_done = outgoing->numbers.missing_pages - missing;
	return 0;
}

int outgoing_take_request(struct outgoing *outgoing, const struct wire_message *message)
{
	struct wire_request request;
	int status = wire_read_struct(message, &request, sizeof(request), &outgoing->error);
	if (status < 0)
		return status;
	if (request.gpa % MEMORY_PAGE != 0 || memory_region_at(&outgoing->vm->memory, request.gpa) == NULL)
		return error_set(&outgoing->error, ERROR_DATA, "the target asked for a page at 0x%" PRIx64 ": no RAM",
				 request.gpa);
	outgoing->numbers.asked_pages++;
	if (outgoing->nr_asked < OUTGOING_ASKED_MAX)
		outgoing->asked[outgoing->nr_asked++] = request.gpa;
	return 0;
}

int outgoing_check_complete(struct outgoing *outgoing, const struct wire_message *message)
{
	struct wire_complete complete;
	int status = wire_read_struct(message, &complete, sizeof(complete), &outgoing->error);
	if (status < 0)
		return status;
	if (memcmp(complete.id, outgoing->id, sizeof(complete.id)) != 0)
		return error_set(&outgoing->error, ERROR_DATA, "the target said COMPLETE of another migration");
	if (complete.is_ended != 0)
		return 0;
	uint64_t digest = outgoing->options.is_verified ? ram_digest_of(&outgoing->vm->memory) : outgoing->digest.sum;
	if (outgoing->numbers.left_pages > 0 || complete.ram_digest != digest)
		return error_set(&outgoing->error, ERROR_DATA,
				 "what arrived at the target is not what is here: digest 0x%016" PRIx64
				 ", expected 0x%016" PRIx64 " with %" PRIu64 " pages not sent",
				 complete.ram_digest, digest, outgoing->numbers.left_pages);
	return 0;
}
