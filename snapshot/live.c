#include "live.h"

#include <stdlib.h>
#include <string.h>

#include "file_layout.h"
#include "file_writer.h"
#include "ram.h"
#include "save.h"

#define PIECE_PAGES    1024u /* of a step: few milliseconds, after which input and events have their turn */
#define FEW_PAGES      64u   /* that may be left for the pause */
#define ROUNDS_MAX     30u
#define HOLD_PAGES_MAX 16384u /* more than these are written to the file during the pause */

struct live {
	struct vm *vm;
	struct track *track; /* the caller's, or NULL */
	struct dirty *dirty; /* the track's, or ours */
	char *path;
	struct file_writer *writer;
	struct image image; /* from live_take() on */
	bool is_incremental;
	bool is_taken;

	unsigned round;
	struct pages told;  /* written by the guest before this round: cleared piece by piece, then written */
	struct pages data;  /* in the first round of a whole snapshot: what is no hole; else unused */
	struct pages taken; /* all that was told in all rounds */
	unsigned region;    /* of the next piece */
	uint64_t page;
	uint64_t done, todo; /* pages of this round */
	uint64_t written_before;
};

/* In the first round of a whole snapshot, all RAM is looked at, whatever was told. */
static bool is_first_of_all(const struct live *live)
{
	return live->round == 0 && !live->is_incremental;
}

static int create_pages(struct live *live, struct error *err)
{
	struct pages *const all[] = { &live->told, &live->data, &live->taken };
	int status = 0;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && status == 0; i++)
		status = pages_create_for(all[i], &live->vm->memory, err);
	return status;
}

/* What of the track's pages this snapshot takes; live_free() gives them back where it fails. */
static int begin_round_0(struct live *live, struct error *err)
{
	int status = dirty_fetch(live->dirty, &live->told, err);
	if (status < 0)
		return status;
	if (live->track != NULL) {
		pages_unite(&live->told, &live->track->since);
		pages_clear(&live->track->since);
		pages_unite(&live->taken, &live->told);
	}
	live->todo = live->is_incremental ? pages_count(&live->told) : memory_size(&live->vm->memory) / MEMORY_PAGE;
	return 0;
}

int live_begin(struct live **ret, struct vm *vm, struct track *track, bool is_incremental, const char *path,
	       struct error *err)
{
	struct live *live = calloc(1, sizeof(*live));
	if (live == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a snapshot");
	live->vm = vm;
	live->track = track;
	live->is_incremental = is_incremental && track != NULL && track->base_path != NULL;
	live->path = strdup(path);
	int status = live->path != NULL ? 0 : error_set(err, ERROR_SYSTEM, "no memory for a snapshot's name");
	if (status == 0 && track != NULL)
		status = track_check_path(track, path, err);
	if (status == 0)
		status = create_pages(live, err);
	if (status == 0)
		status = file_writer_create(&live->writer, &vm->memory, path,
					    layout_ram_offset_max(&vm->machine, &vm->memory), err);
	if (status == 0 && track == NULL)
		status = dirty_create(&live->dirty, vm, DIRTY_EVERYTHING, err);
	if (track != NULL)
		live->dirty = track->dirty;
	if (status == 0)
		status = begin_round_0(live, err);
	if (status < 0) {
		live_free(live, false, NULL);
		return status;
	}
	*ret = live;
	return 0;
}

/* From the clearing on, the guest's writes are told again: what is read after it need not be whole. */
static int write_piece(struct live *live, unsigned region, uint64_t page, uint64_t nr, struct error *err)
{
	const struct pages *pages = &live->told;
	uint64_t found, run;
	if (!is_first_of_all(live) && !pages_next_run(pages, region, page, page + nr, &found, &run))
		return 0;
	int status = dirty_clear(live->dirty, &live->told, region, page, nr, err);
	if (is_first_of_all(live)) {
		ram_add_data(&live->vm->memory, region, page, nr, &live->data);
		pages = &live->data;
	}
	return status == 0 ? file_writer_write(live->writer, pages, region, page, nr, err) : status;
}

static bool next_piece(struct live *live, unsigned *ret_region, uint64_t *ret_page, uint64_t *ret_nr)
{
	while (live->region < live->told.nr_regions && live->page >= live->told.nr_pages[live->region]) {
		live->region++;
		live->page = 0;
	}
	if (live->region == live->told.nr_regions)
		return false;
	uint64_t left = live->told.nr_pages[live->region] - live->page;
	*ret_region = live->region;
	*ret_page = live->page;
	*ret_nr = left < PIECE_PAGES ? left : PIECE_PAGES;
	live->page += *ret_nr;
	return true;
}

/* Another round, or the end of rounds: few pages are left, or hardly fewer than the last one wrote. */
static int next_round(struct live *live, bool *ret_ready, struct error *err)
{
	uint64_t written = (file_writer_written(live->writer) - live->written_before) / MEMORY_PAGE;
	live->written_before = file_writer_written(live->writer);
	pages_clear(&live->told);
	int status = dirty_fetch(live->dirty, &live->told, err);
	if (status < 0)
		return status;
	pages_unite(&live->taken, &live->told);
	live->round++;
	live->region = 0;
	live->page = live->done = 0;
	live->todo = pages_count(&live->told);
	*ret_ready = live->todo <= FEW_PAGES || live->todo > written / 4 * 3 || live->round == ROUNDS_MAX;
	if (!*ret_ready)
		return 0;
	uint64_t hold = 2 * live->todo + FEW_PAGES;
	return file_writer_prepare(live->writer, hold < HOLD_PAGES_MAX ? hold : HOLD_PAGES_MAX, err);
}

int live_step(struct live *live, bool *ret_ready, struct error *err)
{
	unsigned region;
	uint64_t page, nr;
	*ret_ready = false;
	while (next_piece(live, &region, &page, &nr)) {
		uint64_t before = file_writer_written(live->writer);
		int status = write_piece(live, region, page, nr, err);
		if (is_first_of_all(live))
			live->done += nr;
		else
			live->done += (file_writer_written(live->writer) - before) / MEMORY_PAGE;
		if (status < 0 || file_writer_written(live->writer) != before)
			return status;
	}
	return next_round(live, ret_ready, err);
}

int live_take(struct live *live, struct error *err)
{
	live->vm->ports.state.checkpoints_taken++;
	live->is_taken = true;
	int status = save_image(live->vm, &live->image, err);
	if (status == 0) /* last, for reading state may write RAM */
		status = dirty_fetch(live->dirty, &live->told, err);
	return status == 0 ? file_writer_hold(live->writer, &live->told, err) : status;
}

int live_finish(struct live *live, struct error *err)
{
	int status = 0;
	pages_unite(&live->taken, &live->told);
	if (live->is_incremental)
		status = track_describe(live->track, &live->image, &live->taken, live->path, err);
	return status == 0 ? file_writer_finish(live->writer, &live->image, err) : status;
}

void live_progress(const struct live *live, struct live_progress *ret)
{
	*ret = (struct live_progress){
		.round = live->round,
		.done = live->done,
		.todo = live->todo,
		.written = file_writer_written(live->writer),
		.ram_size = memory_size(&live->vm->memory),
		.is_incremental = live->is_incremental,
	};
}

int live_free(struct live *live, bool is_written, struct error *err)
{
	int status = 0;
	if (live == NULL)
		return 0;
	if (live->track == NULL)
		dirty_free(live->dirty);
	else if (is_written)
		status = track_set_base(live->track, live->image.header.id, live->path, err);
	else if (live->taken.nr_regions > 0) { /* created last */
		pages_unite(&live->track->since, &live->told);
		pages_unite(&live->track->since, &live->taken);
	}
	if (live->is_taken && !is_written) {
		pthread_mutex_lock(&live->vm->device_lock); /* it runs */
		live->vm->ports.state.checkpoints_taken--;
		pthread_mutex_unlock(&live->vm->device_lock);
	}
	file_writer_free(live->writer);
	image_done(&live->image);
	pages_done(&live->told);
	pages_done(&live->taken);
	pages_done(&live->data);
	free(live->path);
	free(live);
	return status;
}
