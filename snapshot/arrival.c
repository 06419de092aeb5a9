#include "arrival.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/now.h"
#include "vmm/userfault.h"

#define WAIT_MS    500
#define LAST_US    2000000 /* for the last word to leave */
#define FAULTS_MAX 64u     /* that are looked at before messages are */

struct arrival {
	pthread_t thread;
	pthread_mutex_t lock; /* of all below; the thread has it but where it polls */
	pthread_cond_t changed;
	int wake_fd; /* an eventfd: there is something new for the thread */
	bool is_ending;

	struct channel channel;
	bool is_connected;
	bool is_rejoining; /* REJOIN is yet to come */
	bool is_listing;   /* what is missing is being told, from here on */
	unsigned list_region;
	uint64_t list_page;
	struct memory memory; /* whose mappings are the machine's */
	struct pages missing, asked;
	struct ram_digest digest;
	int userfault_fd;
	bool is_registered;
	uint8_t id[IMAGE_ID_SIZE];
	struct wire_seal seal; /* ARRIVAL_READY: what COMMIT is to have */
	int64_t patience_us, heard_us;
	struct arrival_counts counts;
};

/* ---- Memory ---- */

static bool has_missing(const struct arrival *arrival, unsigned region)
{
	uint64_t page, nr;
	return pages_next_run(&arrival->missing, region, 0, arrival->missing.nr_pages[region], &page, &nr);
}

static int register_memory(struct arrival *arrival, struct error *err)
{
	int status = 0;
	arrival->is_registered = true;
	for (unsigned i = 0; i < arrival->memory.nr_regions && status == 0; i++)
		if (has_missing(arrival, i))
			status = userfault_register(arrival->userfault_fd, arrival->memory.regions[i].hva,
						    arrival->memory.regions[i].range.size, err);
	return status;
}

/* Nobody waits any more.  What was never registered is not minded. */
static void unregister_memory(struct arrival *arrival)
{
	for (unsigned i = 0; i < arrival->memory.nr_regions && arrival->is_registered; i++)
		userfault_unregister(arrival->userfault_fd, arrival->memory.regions[i].hva,
				     arrival->memory.regions[i].range.size);
	arrival->is_registered = false;
}

static bool find_page(const struct arrival *arrival, uint64_t address, unsigned *ret_region, uint64_t *ret_page)
{
	for (unsigned i = 0; i < arrival->memory.nr_regions; i++) {
		const struct memory_region *region = &arrival->memory.regions[i];
		uint64_t offset = address - (uintptr_t)region->hva;
		if (address < (uintptr_t)region->hva || offset >= region->range.size)
			continue;
		*ret_region = i;
		*ret_page = offset / MEMORY_PAGE;
		return true;
	}
	return false;
}

/* ---- The connection ---- */

/* No more will come.  A machine that is not ours yet will never be, and whoever restores it must not wait. */
static void lose(struct arrival *arrival, const struct error *why)
{
	arrival->is_connected = arrival->is_rejoining = arrival->is_listing = false;
	arrival->counts.error = *why;
	if (arrival->counts.state > ARRIVAL_ABANDONED) {
		channel_close(&arrival->channel);
	} else {
		arrival->counts.state = ARRIVAL_ABANDONED; /* the connection is still good for a last word */
		unregister_memory(arrival);
	}
	if (arrival->counts.state == ARRIVAL_UNDER_WAY)
		arrival->counts.state = ARRIVAL_LOST;
	pthread_cond_broadcast(&arrival->changed);
}

/* Where there is no room, the page comes in its turn. */
static void ask_for(struct arrival *arrival, unsigned region, uint64_t page)
{
	const struct wire_request request = { .gpa = arrival->memory.regions[region].range.gpa + page * MEMORY_PAGE };
	if (arrival->is_connected && !arrival->is_rejoining && !arrival->is_listing)
		wire_writer_put(&arrival->channel.writer, WIRE_REQUEST, &request, sizeof(request));
}

static void take_fault(struct arrival *arrival, uint64_t address)
{
	struct error err;
	unsigned region;
	uint64_t page;
	if (!find_page(arrival, address, &region, &page))
		return;
	if (!pages_has(&arrival->missing, region, page)) { /* a hole: it was never sent, for it is zero */
		if (userfault_put_zero(arrival->userfault_fd, arrival->memory.regions[region].hva + page * MEMORY_PAGE,
				       &err) < 0)
			lose(arrival, &err);
		return;
	}
	if (pages_has(&arrival->asked, region, page))
		return;
	pages_add(&arrival->asked, region, page, 1);
	arrival->counts.asked_pages++;
	ask_for(arrival, region, page);
}

static int put_page(struct arrival *arrival, unsigned region, uint64_t page, const uint8_t *data, struct error *err)
{
	uint8_t *at = arrival->memory.regions[region].hva + page * MEMORY_PAGE;
	if (!pages_has(&arrival->missing, region, page))
		return error_set(err, ERROR_DATA, "a page at 0x%" PRIx64 " came that is not missing",
				 arrival->memory.regions[region].range.gpa + page * MEMORY_PAGE);
	int status = data != NULL ? userfault_put(arrival->userfault_fd, at, data, err)
				  : userfault_put_zero(arrival->userfault_fd, at, err);
	if (status < 0)
		return status;
	if (data != NULL)
		ram_digest_set(&arrival->digest, region, page, data);
	else
		ram_digest_set_zero(&arrival->digest, region, page);
	pages_remove(&arrival->missing, region, page, 1);
	arrival->counts.left_pages--;
	return 0;
}

static void get_ranges(const struct arrival *arrival, struct memory_range ret[MEMORY_REGIONS_MAX])
{
	for (unsigned i = 0; i < arrival->memory.nr_regions; i++)
		ret[i] = arrival->memory.regions[i].range;
}

static int take_pages(struct arrival *arrival, const struct wire_message *message, struct error *err)
{
	struct memory_range ranges[MEMORY_REGIONS_MAX];
	struct wire_pages_view view;
	get_ranges(arrival, ranges);
	int status = wire_read_pages(message, ranges, arrival->memory.nr_regions, &view, err);
	const uint8_t *data = status == 0 ? view.data : NULL;
	for (uint32_t i = 0; status == 0 && i < view.head.nr_runs; i++) {
		struct wire_run run = wire_run_at(&view, i);
		const struct memory_region *region = memory_region_at(&arrival->memory, run.gpa);
		uint64_t first = (run.gpa - region->range.gpa) / MEMORY_PAGE;
		for (uint32_t k = 0; k < run.nr_pages && status == 0; k++) {
			bool is_data = run.kind == WIRE_RUN_DATA;
			status = put_page(arrival, (unsigned)(region - arrival->memory.regions), first + k,
					  is_data ? data : NULL, err);
			data += is_data ? MEMORY_PAGE : 0;
		}
	}
	return status;
}

/* From here on it is ours, whether the source hears it or not. */
static int take_commit(struct arrival *arrival, const struct wire_message *message, struct error *err)
{
	struct wire_seal seal;
	int status = wire_read_struct(message, &seal, sizeof(seal), err);
	if (status == 0 && memcmp(&seal, &arrival->seal, sizeof(seal)) != 0)
		status =
			error_set(err, ERROR_DATA, "the source gave over another state than the one that stands ready");
	if (status < 0)
		return status;
	wire_writer_put(&arrival->channel.writer, WIRE_COMMITTED, &seal, sizeof(seal));
	arrival->counts.state = ARRIVAL_UNDER_WAY;
	pthread_cond_broadcast(&arrival->changed);
	return 0;
}

/* The source is back: it is told what is missing, for it cannot know what has arrived. */
static int take_rejoin(struct arrival *arrival, const struct wire_message *message, struct error *err)
{
	struct wire_rejoin rejoin;
	if (message->type != WIRE_REJOIN)
		return error_set(err, ERROR_DATA, "the source said %s, expected REJOIN", wire_type_name(message->type));
	int status = wire_read_struct(message, &rejoin, sizeof(rejoin), err);
	if (status == 0 && memcmp(rejoin.id, arrival->id, sizeof(rejoin.id)) != 0)
		status = error_set(err, ERROR_DATA, "the source is that of another machine");
	if (status < 0)
		return status;
	arrival->is_rejoining = false;
	arrival->is_listing = true;
	arrival->list_region = 0;
	arrival->list_page = 0;
	return 0;
}

static int take_message(struct arrival *arrival, const struct wire_message *message, struct error *err)
{
	if (arrival->is_rejoining)
		return take_rejoin(arrival, message, err);
	if (message->type == WIRE_PAGES)
		return take_pages(arrival, message, err);
	if (message->type == WIRE_COMMIT && arrival->counts.state == ARRIVAL_READY)
		return take_commit(arrival, message, err);
	if (message->type == WIRE_CANCEL)
		return error_set(err, ERROR_IO, "the source has cancelled the migration, and keeps the guest");
	return error_set(err, ERROR_DATA, "the source said %s, which has no place here", wire_type_name(message->type));
}

static void send(struct arrival *arrival)
{
	struct error err;
	size_t sent = 1;
	int status = 0;
	while (status == 0 && sent > 0 && arrival->is_connected && channel_has_more(&arrival->channel))
		status = channel_send(&arrival->channel, &sent, &err);
	if (status < 0)
		lose(arrival, &err);
}

static void receive(struct arrival *arrival)
{
	struct wire_message message;
	struct error err;
	int status = 1;
	while (status > 0 && arrival->is_connected && !arrival->is_listing &&
	       (arrival->counts.state != ARRIVAL_COMPLETE || arrival->is_rejoining)) {
		status = channel_receive(&arrival->channel, &message, &err);
		if (status > 0) {
			arrival->heard_us = now_us();
			status = take_message(arrival, &message, &err) < 0 ? -1 : 1;
		}
	}
	if (status < 0 && arrival->is_rejoining) /* it is to know why, if it listens */
		wire_writer_put(&arrival->channel.writer, WIRE_REFUSE, err.text, strlen(err.text));
	if (status < 0 && arrival->is_rejoining)
		send(arrival);
	if (status < 0 && arrival->is_connected)
		lose(arrival, &err);
}

/* Goes on telling what is missing; then those pages come first that somebody waits for. */
static void list(struct arrival *arrival)
{
	struct wire_rejoin rejoined = { .missing_pages = arrival->counts.left_pages };
	const struct pages *asked = &arrival->asked;
	struct memory_range ranges[MEMORY_REGIONS_MAX];
	uint64_t page, nr;
	int put = 1;
	get_ranges(arrival, ranges);
	while (arrival->is_listing && put > 0)
		put = wire_writer_put_missing(&arrival->channel.writer, &arrival->missing, ranges,
					      &arrival->list_region, &arrival->list_page);
	memcpy(rejoined.id, arrival->id, sizeof(rejoined.id));
	if (!arrival->is_listing || put < 0 ||
	    !wire_writer_put(&arrival->channel.writer, WIRE_REJOINED, &rejoined, sizeof(rejoined)))
		return;
	arrival->is_listing = false;
	arrival->counts.state = ARRIVAL_UNDER_WAY;
	for (unsigned i = 0; i < asked->nr_regions; i++)
		for (page = 0; pages_next_run(asked, i, page, asked->nr_pages[i], &page, &nr); page++)
			if (pages_has(&arrival->missing, i, page))
				ask_for(arrival, i, page);
}

static void say_complete(struct arrival *arrival, bool is_ended)
{
	struct wire_complete complete = { .ram_digest = is_ended ? 0 : arrival->digest.sum, .is_ended = is_ended };
	memcpy(complete.id, arrival->id, sizeof(complete.id));
	wire_writer_put(&arrival->channel.writer, WIRE_COMPLETE, &complete, sizeof(complete));
}

static void check_complete(struct arrival *arrival)
{
	if (arrival->counts.state != ARRIVAL_UNDER_WAY || arrival->counts.left_pages > 0)
		return;
	unregister_memory(arrival);
	say_complete(arrival, false);
	arrival->counts.state = ARRIVAL_COMPLETE;
}

static void check_idle(struct arrival *arrival)
{
	struct error err;
	bool is_awaited =
		arrival->counts.left_pages > 0 || arrival->counts.state == ARRIVAL_READY || arrival->is_rejoining;
	if (!arrival->is_connected || !is_awaited || now_us() - arrival->heard_us < arrival->patience_us)
		return;
	error_set(&err, ERROR_IO, "nothing came from the source for %.1f s, and %" PRIu64 " pages are missing",
		  (double)arrival->patience_us / 1e6, arrival->counts.left_pages);
	lose(arrival, &err);
}

/* ---- The thread ---- */

static void step(struct arrival *arrival)
{
	uint64_t address;
	eventfd_t ignored;
	eventfd_read(arrival->wake_fd, &ignored);
	for (unsigned i = 0; i < FAULTS_MAX && userfault_next(arrival->userfault_fd, &address); i++)
		take_fault(arrival, address);
	receive(arrival);
	list(arrival);
	check_complete(arrival);
	send(arrival);
	check_idle(arrival);
	if (arrival->counts.state == ARRIVAL_COMPLETE && arrival->is_connected && !arrival->is_rejoining &&
	    !arrival->is_listing && !channel_has_more(&arrival->channel)) {
		arrival->is_connected = false;
		channel_close(&arrival->channel);
	}
}

static void wait_for_something(struct arrival *arrival)
{
	struct pollfd fds[4] = { { .fd = arrival->wake_fd, .events = POLLIN },
				 { .fd = arrival->userfault_fd, .events = POLLIN },
				 { .fd = -1 },
				 { .fd = -1 } };
	int timeout_ms = WAIT_MS;
	if (arrival->is_connected)
		channel_wants(&arrival->channel, fds + 2, &timeout_ms);
	pthread_mutex_unlock(&arrival->lock);
	poll(fds, 4, timeout_ms);
	pthread_mutex_lock(&arrival->lock);
}

static void *run(void *context)
{
	struct arrival *arrival = context;
	pthread_mutex_lock(&arrival->lock);
	while (!arrival->is_ending) {
		step(arrival);
		wait_for_something(arrival);
	}
	pthread_mutex_unlock(&arrival->lock);
	return NULL;
}

static int start_thread(struct arrival *arrival, struct error *err)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals belong to the main thread */
	int result = pthread_create(&arrival->thread, NULL, run, arrival);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result != 0)
		return error_set(err, ERROR_SYSTEM, "the thread for missing pages: %s", strerror(result));
	return 0;
}

static void wake(const struct arrival *arrival)
{
	eventfd_write(arrival->wake_fd, 1);
}

/* ---- Begin and end ---- */

/* What is its own alone. */
static void discard(struct arrival *arrival)
{
	unregister_memory(arrival);
	if (arrival->wake_fd >= 0)
		close(arrival->wake_fd);
	pages_done(&arrival->asked);
	pthread_cond_destroy(&arrival->changed);
	pthread_mutex_destroy(&arrival->lock);
	free(arrival);
}

static void take_parts(struct arrival *arrival, const struct arrival_parts *parts)
{
	arrival->channel = parts->channel;
	arrival->is_connected = true;
	arrival->missing = parts->missing;
	arrival->digest = parts->digest;
	arrival->userfault_fd = parts->userfault_fd;
	arrival->memory = *parts->memory;
	arrival->patience_us = (int64_t)parts->patience_us;
	arrival->heard_us = now_us();
	memcpy(arrival->id, parts->id, sizeof(arrival->id));
	arrival->counts.missing_pages = arrival->counts.left_pages = pages_count(&arrival->missing);
}

int arrival_start(struct arrival **ret, const struct arrival_parts *parts, struct error *err)
{
	struct arrival *arrival = calloc(1, sizeof(*arrival));
	if (arrival == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a migration");
	take_parts(arrival, parts);
	pthread_mutex_init(&arrival->lock, NULL);
	pthread_cond_init(&arrival->changed, NULL);
	arrival->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int status = arrival->wake_fd < 0 ? error_errno(err, ERROR_SYSTEM, "eventfd") : 0;
	if (status == 0)
		status = pages_create_for(&arrival->asked, &arrival->memory, err);
	if (status == 0)
		status = register_memory(arrival, err);
	if (status == 0)
		status = start_thread(arrival, err);
	if (status < 0) {
		discard(arrival);
		return status;
	}
	*ret = arrival;
	return 0;
}

int arrival_take_over(struct arrival *arrival, const struct wire_seal *seal, struct error *err)
{
	pthread_mutex_lock(&arrival->lock);
	if (arrival->counts.state == ARRIVAL_PREPARING) {
		arrival->counts.state = ARRIVAL_READY;
		arrival->seal = *seal;
		arrival->heard_us = now_us();
		wire_writer_put(&arrival->channel.writer, WIRE_PREPARED, seal, sizeof(*seal));
		wake(arrival);
	}
	while (arrival->counts.state == ARRIVAL_READY)
		pthread_cond_wait(&arrival->changed, &arrival->lock);
	bool is_ours = arrival->counts.state != ARRIVAL_ABANDONED;
	if (!is_ours)
		*err = arrival->counts.error;
	pthread_mutex_unlock(&arrival->lock);
	return is_ours ? 0 : -(int)err->code;
}

int arrival_rejoin(struct arrival *arrival, int in_fd, int out_fd, struct error *err)
{
	struct channel channel;
	int status = channel_open(&channel, in_fd, out_fd, 0, err);
	pthread_mutex_lock(&arrival->lock);
	if (status == 0 && arrival->is_connected)
		status = error_set(err, ERROR_NOT_NOW, "the connection to the source is not lost");
	if (status == 0) {
		arrival->channel = channel;
		arrival->is_connected = arrival->is_rejoining = true;
		arrival->heard_us = now_us();
		wake(arrival);
	}
	pthread_mutex_unlock(&arrival->lock);
	if (status < 0)
		channel_close(&channel);
	return status;
}

void arrival_count(struct arrival *arrival, struct arrival_counts *ret)
{
	pthread_mutex_lock(&arrival->lock);
	*ret = arrival->counts;
	pthread_mutex_unlock(&arrival->lock);
}

/* The last word: to the source of a machine that has ended, or that all has arrived. */
static void part(struct arrival *arrival)
{
	int64_t deadline_us = now_us() + LAST_US;
	if (arrival->counts.state == ARRIVAL_UNDER_WAY)
		say_complete(arrival, true);
	while (arrival->is_connected && channel_has_more(&arrival->channel) && now_us() < deadline_us) {
		send(arrival);
		if (arrival->is_connected && channel_has_more(&arrival->channel))
			wait_for_something(arrival);
	}
}

void arrival_end(struct arrival *arrival, struct channel *ret_channel)
{
	if (arrival == NULL)
		return;
	pthread_mutex_lock(&arrival->lock);
	arrival->is_ending = true;
	wake(arrival);
	pthread_mutex_unlock(&arrival->lock);
	pthread_join(arrival->thread, NULL);
	pthread_mutex_lock(&arrival->lock);
	if (arrival->counts.state > ARRIVAL_ABANDONED)
		part(arrival);
	pthread_mutex_unlock(&arrival->lock);
	if (ret_channel != NULL)
		*ret_channel = arrival->channel;
	else
		channel_close(&arrival->channel);
	unregister_memory(arrival);
	close(arrival->userfault_fd);
	pages_done(&arrival->missing);
	ram_digest_done(&arrival->digest);
	discard(arrival);
}
