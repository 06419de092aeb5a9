/*
 * The two descriptors of a migration with a reader and a writer of messages: never waits, tells what to wait for.
 */
#ifndef STASIS_SNAPSHOT_CHANNEL_H
#define STASIS_SNAPSHOT_CHANNEL_H

#include <poll.h>

#include "wire.h"

struct channel {
	int in_fd, out_fd; /* owned; may be the same */
	struct wire_reader reader;
	struct wire_writer writer;
	uint64_t bytes_in, bytes_out;
	bool is_at_end; /* the other side has closed */
	/* A limit of what is sent, by a bucket of bytes that fills with time. */
	uint64_t limit; /* bytes a second; 0: none */
	uint64_t tokens;
	int64_t filled_us;
};

/* Takes the descriptors over, also where it fails, and makes them non-blocking. */
int channel_open(struct channel *ret, int in_fd, int out_fd, uint64_t limit, struct error *err);

/* Closes both.  Takes one that could not be opened. */
void channel_close(struct channel *channel);

/*
 * The next message: 1; none yet: 0.  ERROR_DATA, ERROR_VERSION: a bad byte; ERROR_IO: the connection is cut, and all
 * that came before was taken.
 */
int channel_receive(struct channel *channel, struct wire_message *ret, struct error *err);

/*
 * Sends what the descriptor and the limit let through.  *ret_sent: how many bytes.  ERROR_IO: the connection is cut.
 */
int channel_send(struct channel *channel, size_t *ret_sent, struct error *err);

/* Is anything still to be sent? */
bool channel_has_more(const struct channel *channel);

/* What to poll for (-1: not for this one), and for how long at most, which is no longer than it was. */
void channel_wants(const struct channel *channel, struct pollfd ret[2], int *timeout_ms);

#endif
