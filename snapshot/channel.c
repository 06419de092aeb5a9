#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "vmm/now.h"

#define BURST_US  20000       /* what the limit lets through at once: so much of a second */
#define BURST_MIN (16u << 10) /* bytes, or this */
#define SEND_MIN  4096u       /* bytes, if there are as many, for which it is worth to go on */
#define READ_MAX  (256u << 10)
#define SECOND_US 1000000

static int set_nonblocking(int fd, struct error *err)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_errno(err, ERROR_IO, "the migration's connection");
	return 0;
}

int channel_open(struct channel *ret, int in_fd, int out_fd, uint64_t limit, struct error *err)
{
	*ret = (struct channel){ .in_fd = in_fd, .out_fd = out_fd, .limit = limit, .filled_us = now_us() };
	int status = set_nonblocking(in_fd, err);
	if (status == 0)
		status = set_nonblocking(out_fd, err);
	if (status == 0)
		status = wire_reader_create(&ret->reader, err);
	if (status == 0)
		status = wire_writer_create(&ret->writer, err);
	return status;
}

void channel_close(struct channel *channel)
{
	if (channel->in_fd >= 0)
		close(channel->in_fd);
	if (channel->out_fd >= 0 && channel->out_fd != channel->in_fd)
		close(channel->out_fd);
	channel->in_fd = channel->out_fd = -1;
	wire_reader_done(&channel->reader);
	wire_writer_done(&channel->writer);
}

/* How many bytes were read; 0 where none is there, or no more will come. */
static ssize_t read_some(struct channel *channel)
{
	size_t room;
	void *at = wire_reader_room(&channel->reader, &room);
	ssize_t n = read(channel->in_fd, at, room < READ_MAX ? room : READ_MAX);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		channel->is_at_end = true;
		return n;
	}
	wire_reader_add(&channel->reader, (size_t)n);
	channel->bytes_in += (uint64_t)n;
	return n;
}

int channel_receive(struct channel *channel, struct wire_message *ret, struct error *err)
{
	for (;;) {
		int status = wire_reader_next(&channel->reader, ret, err);
		if (status != 0)
			return status;
		if (channel->is_at_end)
			return error_set(err, ERROR_IO, "the connection to the other side is cut");
		ssize_t n = read_some(channel);
		if (n < 0)
			return error_errno(err, ERROR_IO, "the connection to the other side");
		if (n == 0 && !channel->is_at_end)
			return 0;
	}
}

static uint64_t burst(const struct channel *channel)
{
	uint64_t bytes = channel->limit / (SECOND_US / BURST_US);
	return bytes > BURST_MIN ? bytes : BURST_MIN;
}

static uint64_t tokens_at(const struct channel *channel, int64_t at_us)
{
	double more = (double)(at_us - channel->filled_us) * (double)channel->limit / SECOND_US;
	double all = (double)channel->tokens + more, most = (double)burst(channel);
	return (uint64_t)(all < most ? all : most);
}

/* How many bytes may go out now. */
static size_t allowance(struct channel *channel, size_t size)
{
	if (channel->limit == 0)
		return size;
	int64_t at_us = now_us();
	uint64_t tokens = tokens_at(channel, at_us);
	if (tokens < SEND_MIN && tokens < size)
		return 0;
	channel->tokens = tokens;
	channel->filled_us = at_us;
	return tokens < size ? (size_t)tokens : size;
}

int channel_send(struct channel *channel, size_t *ret_sent, struct error *err)
{
	struct bytes bytes = wire_writer_bytes(&channel->writer);
	size_t size = bytes.size > 0 ? allowance(channel, bytes.size) : 0;
	*ret_sent = 0;
	if (size == 0)
		return 0;
	ssize_t n = write(channel->out_fd, bytes.data, size);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return error_errno(err, ERROR_IO, "the connection to the other side");
	wire_writer_took(&channel->writer, (size_t)n);
	if (channel->limit != 0)
		channel->tokens -= (uint64_t)n;
	channel->bytes_out += (uint64_t)n;
	*ret_sent = (size_t)n;
	return 0;
}

bool channel_has_more(const struct channel *channel)
{
	return wire_writer_bytes(&channel->writer).size > 0;
}

void channel_wants(const struct channel *channel, struct pollfd ret[2], int *timeout_ms)
{
	size_t pending = wire_writer_bytes(&channel->writer).size;
	ret[0] = (struct pollfd){ .fd = channel->is_at_end ? -1 : channel->in_fd, .events = POLLIN };
	ret[1] = (struct pollfd){ .fd = -1, .events = POLLOUT };
	if (pending == 0)
		return;
	size_t needed = pending < SEND_MIN ? pending : SEND_MIN;
	uint64_t tokens = channel->limit != 0 ? tokens_at(channel, now_us()) : needed;
	if (tokens >= needed) {
		ret[1].fd = channel->out_fd;
		return;
	}
	uint64_t wait_ms = (needed - tokens) * 1000 / channel->limit + 1;
	if (wait_ms < (uint64_t)*timeout_ms)
		*timeout_ms = (int)wait_ms;
}
