/*
 * What the source's files of a migration share: outgoing.c, who says what when and who runs the guest, and
 * outgoing_rounds.c, which pages go over and when enough have.
 */
#ifndef STASIS_SNAPSHOT_OUTGOING_STATE_H
#define STASIS_SNAPSHOT_OUTGOING_STATE_H

#include "channel.h"
#include "outgoing.h"
#include "ram_digest.h"
#include "sent_pages.h"

#define OUTGOING_ASKED_MAX 64u /* more come in their turn */

struct outgoing {
	struct vm *vm;
	struct track *track; /* the caller's, or NULL */
	struct dirty *dirty; /* the track's, or ours */
	struct channel channel;
	struct outgoing_options options;
	uint8_t id[IMAGE_ID_SIZE];
	bool was_paused; /* when this began: it stays so where this fails */
	bool was_held;   /* by its user, when it was to stand still for the last pages */
	bool holds;

	enum outgoing_phase phase;
	enum outgoing_result result;
	struct error error;
	char *remarks; /* WIRE_TEXT_MAX + 1 bytes */

	struct buffer blob; /* a serialized state that is being sent */
	size_t blob_at;
	struct buffer described; /* the one that was sent first: the target has it */
	struct wire_seal seal;

	struct pages told;  /* written by the guest before this round: cleared piece by piece, then sent */
	struct pages piece; /* in round 0, of the piece at hand: what is no hole */
	struct pages taken; /* all that was told in all rounds */
	struct pages data;  /* pages that the target has other bytes of than zeros */
	struct ram_digest digest;
	struct sent_pages sent; /* some of the pages that the guest writes without changing them */
	unsigned region;        /* of the next page */
	uint64_t page, piece_end;
	bool is_round_sent; /* its end, too */
	bool is_switching;  /* the last pages go over after the hand-over: told is what is left of them */
	uint64_t asked[OUTGOING_ASKED_MAX]; /* gpas of pages that the target waits for, oldest first */
	unsigned nr_asked;
	uint64_t commit_end;      /* bytes_out when all of COMMIT has left */
	struct wire_round counts; /* of this round */
	uint64_t unchanged;       /* pages of it that were told, and are as the target has them */
	unsigned stuck;
	int64_t round_us, active_us, paused_us;
	uint64_t round_bytes;
	struct outgoing_numbers numbers;
	struct outgoing_round rounds[OUTGOING_ROUNDS_KEPT];
	unsigned nr_rounds;
};

/* A message of pages that is being filled, in the writer. */
struct outgoing_batch {
	struct wire_pages head;
	struct wire_run runs[WIRE_RUNS_MAX];
	uint8_t *payload;
};

/* Adds a page to it, whose bytes are copied there, if it has any; the batch has room. */
void outgoing_add_page(struct outgoing *outgoing, struct outgoing_batch *batch, unsigned region, uint64_t page);

/* Ends the message, if anything is in it. */
void outgoing_end_batch(struct outgoing *outgoing, const struct outgoing_batch *batch);

/*
 * What the guest has written up to now is the next round's, besides what is told already: that was not sent yet, and
 * will not be told again.
 */
int outgoing_begin_round(struct outgoing *outgoing);

/* The first one: all of RAM. */
int outgoing_begin_round_0(struct outgoing *outgoing);

/* How many pages a message of what is left has at most: who waits for another one waits not long. */
#define OUTGOING_PIECE_PAGES 8u

/* Fills a message with pages of the round, at payload, where the writer's next one is; then perhaps ends the round. */
int outgoing_send_pages(struct outgoing *outgoing, uint8_t *payload);

/*
 * All of a round has arrived, and the next one begins.  As long as each leaves less than it sent, by a sixteenth,
 * another one makes the pause shorter; from where the rest fits, all of these together take sixteen times as long as it
 * at most.  Then *ret_is_time: the guest may be stopped, for the rest goes over within the goal, or
 * after the hand-over (is_switching).
 * ERROR_NOT_NOW: it does not converge.
 */
int outgoing_next_round(struct outgoing *outgoing, bool *ret_is_time);

/* ---- After the hand-over: outgoing_serve.c ---- */

/* Names the pages that come later, a message of them, or ends that. */
void outgoing_send_missing(struct outgoing *outgoing);

/* The target has been told which pages it lacks: it may ask for them. */
bool outgoing_may_serve(const struct outgoing *outgoing);

/* Is something of them to be sent? */
bool outgoing_has_left(const struct outgoing *outgoing);

/* Sends a few pages: those that the target waits for, then those behind them. */
void outgoing_send_left(struct outgoing *outgoing, uint8_t *payload);

/* Over another connection: what the target lacks becomes what is left; at the end of that *ret_end. */
int outgoing_take_rejoin(struct outgoing *outgoing, const struct wire_message *message, bool *ret_end);

/* The target waits for a page.  ERROR_DATA: no such page. */
int outgoing_take_request(struct outgoing *outgoing, const struct wire_message *message);

/* Holds what the target says of all that has arrived against what was sent. */
int outgoing_check_complete(struct outgoing *outgoing, const struct wire_message *message);

#endif
