#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console.h"
#include "json.h"
#include "now.h"
#include "session_state.h"

#define TELL_LAST_US 1000000 /* how long a client may take to ask what came of its job once the machine has ended */

/* A request that is being answered. */
struct call {
	struct session *session;
	struct request *words;
	int *fds;         /* that came with it; a handler that keeps one puts -1 there */
	struct json json; /* the reply */
};

/* A request succeeded: what it adds to the reply follows. */
static void succeed(struct call *call)
{
	json_object_begin(&call->json, NULL);
	json_bool(&call->json, "ok", true);
}

/* It began a job, or ended one. */
static void succeed_with_job(struct call *call)
{
	succeed(call);
	json_number(&call->json, "job", call->session->nr_jobs);
}

/* It runs at the target, which does not have all of its memory yet. */
static bool is_handed_over(const struct session *session)
{
	struct outgoing_numbers numbers = { 0 };
	if (session->outgoing != NULL)
		outgoing_numbers(session->outgoing, &numbers);
	return (session->departed != NULL && !session->is_in_doubt) || numbers.phase == OUTGOING_SERVING;
}

static const char *machine_word(const struct session *session)
{
	return session->is_over          ? "ended"
	       : is_handed_over(session) ? "handed-over"
	       : session->is_in_doubt    ? "in-doubt"
	       : session->is_paused      ? "paused"
					 : "running";
}

/* Is the word there, behind the request's own? */
static bool has_word(const struct call *call, unsigned number, const char *word)
{
	return call->words->nr_words > number && strcmp(call->words->words[number], word) == 0;
}

/* ---- What is the case ---- */

static void put_counts(struct json *json, const struct saving_counts *counts)
{
	const struct live_progress *progress = &counts->progress;
	json_bool(json, "incremental", progress->is_incremental);
	json_number(json, "written_bytes", progress->written);
	json_number(json, "ram_bytes", progress->ram_size);
	json_number(json, "elapsed_us", (uint64_t)counts->elapsed_us);
	json_number(json, "pause_us", (uint64_t)counts->pause_us);
}

static void put_numbers(struct json *json, const struct outgoing_numbers *numbers, int64_t elapsed_us)
{
	json_number(json, "round", numbers->round);
	json_number(json, "pages_done", numbers->round_done);
	json_number(json, "pages_todo", numbers->round_todo);
	json_number(json, "data_pages", numbers->data_pages);
	json_number(json, "zero_pages", numbers->zero_pages);
	json_number(json, "unchanged_pages", numbers->unchanged_pages);
	json_number(json, "sent_bytes", numbers->bytes_sent);
	json_number(json, "ram_bytes", numbers->ram_size);
	json_number(json, "bandwidth", numbers->bandwidth);
	json_number(json, "dirty_rate", numbers->dirty_rate);
	json_number(json, "trial_us", numbers->trial_us);
	json_number(json, "elapsed_us", (uint64_t)elapsed_us);
	json_number(json, "pause_us", numbers->downtime_us);
	json_number(json, "missing_pages", numbers->missing_pages);
	json_number(json, "left_pages", numbers->left_pages);
	json_number(json, "asked_pages", numbers->asked_pages);
}

static void put_rounds(struct json *json, const struct outgoing_round *rounds, unsigned nr)
{
	json_array_begin(json, "rounds");
	for (unsigned i = 0; i < nr; i++) {
		json_object_begin(json, NULL);
		json_number(json, "data_pages", rounds[i].data_pages);
		json_number(json, "zero_pages", rounds[i].zero_pages);
		json_number(json, "unchanged_pages", rounds[i].unchanged_pages);
		json_number(json, "sent_bytes", rounds[i].bytes);
		json_number(json, "took_us", rounds[i].us);
		json_number(json, "left_pages", rounds[i].left_pages);
		json_object_end(json);
	}
	json_array_end(json);
}

static void put_snapshot(const struct session *session, struct json *json)
{
	struct saving_counts counts;
	saving_count(session->saving, &counts);
	json_string(json, "kind", "snapshot");
	json_string(json, "file", session->job_target);
	json_string(json, "phase", counts.is_finishing ? "finishing" : "copying");
	json_number(json, "round", counts.progress.round);
	json_number(json, "pages_done", counts.progress.done);
	json_number(json, "pages_todo", counts.progress.todo);
	put_counts(json, &counts);
}

static void put_migration(const struct session *session, struct json *json)
{
	struct outgoing_numbers numbers;
	outgoing_numbers(session->outgoing, &numbers);
	json_string(json, "kind", "migration");
	json_string(json, "target", session->job_target);
	json_string(json, "phase", outgoing_phase_name(numbers.phase));
	put_numbers(json, &numbers, now_us() - session->job_us);
}

/* Of a machine whose pages come after it. */
static void put_arrival(const struct session *session, struct json *json)
{
	struct arrival_counts counts;
	if (!session_awaits_pages(session, &counts))
		return;
	json_object_begin(json, "arriving");
	json_number(json, "missing_pages", counts.missing_pages);
	json_number(json, "left_pages", counts.left_pages);
	json_number(json, "asked_pages", counts.asked_pages);
	json_bool(json, "connected", counts.state == ARRIVAL_UNDER_WAY);
	json_object_end(json);
}

static void put_job(const struct session *session, struct json *json)
{
	if (!session_has_job(session))
		return;
	json_object_begin(json, "job");
	json_number(json, "number", session->nr_jobs);
	if (session->saving != NULL)
		put_snapshot(session, json);
	else
		put_migration(session, json);
	json_object_end(json);
}

static void put_result(const struct job_result *result, struct json *json)
{
	bool is_snapshot = strcmp(result->kind, "snapshot") == 0;
	json_object_begin(json, "last");
	json_number(json, "number", result->number);
	json_string(json, "kind", result->kind);
	json_string(json, is_snapshot ? "file" : "target", result->target);
	json_bool(json, "ok", result->code == ERROR_NONE);
	if (result->code == ERROR_NONE) {
		json_string(json, "text", result->text);
		if (is_snapshot)
			put_counts(json, &result->counts);
	} else {
		json_object_begin(json, "error");
		json_string(json, "code", error_code_name(result->code));
		json_string(json, "text", result->text);
		json_object_end(json);
	}
	if (!is_snapshot) {
		put_numbers(json, &result->numbers, result->elapsed_us);
		put_rounds(json, result->rounds, result->nr_rounds);
		json_string(json, "remarks", result->remarks);
	}
	json_object_end(json);
}

/* The job that is asked about, where one is; else the last that has ended. */
static int find_asked(const struct call *call, const struct job_result **ret, struct error *err)
{
	const struct session *session = call->session;
	bool is_under_way = session_has_job(session);
	uint64_t number = session->nr_jobs - is_under_way;
	*ret = session_result(session, (unsigned)number);
	if (call->words->nr_words < 2)
		return 0;
	if (!parse_number(call->words->words[1], &number) || number == 0 || number > session->nr_jobs)
		return error_set(err, ERROR_USAGE, "status %s: expected the number of a job, 1 to %u",
				 call->words->words[1], session->nr_jobs);
	*ret = session_result(session, (unsigned)number);
	if (*ret == NULL && !(is_under_way && number == session->nr_jobs))
		return error_set(err, ERROR_NO_INPUT, "status %s: what came of it is forgotten; the last %d are kept",
				 call->words->words[1], SESSION_RESULTS);
	return 0;
}

static int do_status(struct call *call, struct error *err)
{
	struct session *session = call->session;
	const struct vm *vm = session->vm;
	const struct job_result *result;
	int status = find_asked(call, &result, err);
	if (status < 0)
		return status;
	succeed(call);
	json_string(&call->json, "machine", machine_word(session));
	json_number(&call->json, "vcpus", vm->nr_vcpus);
	json_number(&call->json, "uptime_us", (uint64_t)(now_us() - session->started_us));
	json_bool(&call->json, "tracks_writes", session->track != NULL);
	json_bool(&call->json, "has_point", session->rewind != NULL);
	put_arrival(session, &call->json);
	put_job(session, &call->json);
	if (result != NULL) {
		put_result(result, &call->json);
		session->is_awaited = session->is_awaited && result->number != session->nr_jobs;
	}
	return 0;
}

/* The process's resident memory (proc(5), statm: the second number, in pages). */
static uint64_t resident_bytes(const struct session *session)
{
	char text[128];
	ssize_t n = session->statm_fd >= 0 ? pread(session->statm_fd, text, sizeof(text) - 1, 0) : -1;
	if (n <= 0)
		return 0;
	text[n] = '\0';
	const char *second = strchr(text, ' ');
	return second != NULL ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void put_exits(const struct vm *vm, struct json *json)
{
	static const char *const names[VM_EXIT_KINDS] = {
		[VM_EXIT_IO] = "io", [VM_EXIT_MMIO] = "mmio", [VM_EXIT_HLT] = "hlt", [VM_EXIT_OTHER] = "other"
	};
	uint64_t nr[VM_EXIT_KINDS] = { 0 }, all = 0;
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		for (unsigned kind = 0; kind < VM_EXIT_KINDS; kind++)
			nr[kind] += vm->vcpus[i].exits[kind];
	for (unsigned kind = 0; kind < VM_EXIT_KINDS; kind++)
		all += nr[kind];
	json_number(json, "exits", all);
	json_object_begin(json, "exits_by_kind");
	for (unsigned kind = 0; kind < VM_EXIT_KINDS; kind++)
		json_number(json, names[kind], nr[kind]);
	json_object_end(json);
}

static void put_pauses(struct session *session, struct json *json)
{
	pthread_mutex_lock(&session->vm->lock);
	struct pauses pauses = session->pauses;
	pthread_mutex_unlock(&session->vm->lock);
	if (pauses.since_us != 0)
		pauses.total_us += now_us() - pauses.since_us;
	json_number(json, "pauses", pauses.nr);
	json_number(json, "paused_us", (uint64_t)pauses.total_us);
	json_number(json, "pause_us_max", (uint64_t)pauses.max_us);
}

static int do_stats(struct call *call, struct error *err)
{
	struct session *session = call->session;
	struct vm *vm = session->vm;
	struct json *json = &call->json;
	struct console_counts console = console_count(session->console);
	struct rewind_stats rewinds = { 0 };
	struct timespec cpu;
	/* While a job is under way, the pages are its own. */
	bool tells_written = session->track != NULL && !session_has_job(session);
	int status = tells_written ? dirty_fetch(session->track->dirty, &session->track->since, err) : 0;
	if (status < 0)
		return status;
	if (session->rewind != NULL)
		rewind_count(session->rewind, &rewinds);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	succeed(call);
	json_number(json, "uptime_us", (uint64_t)(now_us() - session->started_us));
	json_number(json, "cpu_us", (uint64_t)cpu.tv_sec * 1000000 + (uint64_t)cpu.tv_nsec / 1000);
	json_number(json, "resident_bytes", resident_bytes(session));
	json_number(json, "ram_bytes", memory_size(&vm->memory));
	put_exits(vm, json);
	put_pauses(session, json);
	json_number(json, "console_bytes", console.taken);
	json_number(json, "console_dropped", console.dropped);
	json_number(json, "snapshots", session->nr_snapshots);
	json_number(json, "rewinds", rewinds.rewinds);
	json_number(json, "rewound_pages", rewinds.pages);
	if (tells_written)
		json_number(json, "written_pages", pages_count(&session->track->since));
	return 0;
}

/* ---- What is to be done ---- */

static int do_pause(struct call *call, struct error *err)
{
	int status = session_check_arrival(call->session, err);
	if (status < 0)
		return status;
	call->session->is_paused = true;
	vm_hold(call->session->vm);
	succeed(call);
	json_string(&call->json, "machine", machine_word(call->session));
	return 0;
}

static int do_resume(struct call *call, struct error *err)
{
	if (session_job_holds(call->session))
		return error_set(err, ERROR_NOT_NOW, "resume: the migration to %s lets the machine stand still",
				 call->session->job_target);
	if (is_handed_over(call->session))
		return error_set(err, ERROR_NOT_NOW, "resume: the machine runs at the target of its migration");
	session_forget_departed(call->session);
	call->session->is_in_doubt = call->session->is_paused = false;
	vm_release(call->session->vm);
	succeed(call);
	json_string(&call->json, "machine", machine_word(call->session));
	return 0;
}

static int wrong_words(const struct call *call, const char *expected, struct error *err)
{
	return error_set(err, ERROR_USAGE, "%s: expected %s", call->words->words[0], expected);
}

static int do_snapshot(struct call *call, struct error *err)
{
	struct session *session = call->session;
	bool is_incremental = has_word(call, 2, "--incremental");
	if (call->words->nr_words < 2 || (call->words->nr_words == 3 && !is_incremental))
		return wrong_words(call, "a file, and perhaps --incremental", err);
	const char *path = call->words->words[1];
	if (path[0] != '/')
		return error_set(err, ERROR_USAGE, "snapshot %s: expected an absolute name, which begins with a slash",
				 path);
	if (is_incremental && session->track == NULL)
		return error_set(err, ERROR_USAGE,
				 "snapshot --incremental: what the guest writes is not known; start the machine with "
				 "--incremental");
	int status = session_start_saving(session, path, is_incremental, err);
	if (status < 0)
		return status;
	session->is_asked_for = true;
	succeed_with_job(call);
	return 0;
}

/* "NAME=NUMBER", of the name that is looked for. */
static bool has_number(const char *word, const char *name, uint64_t *ret)
{
	size_t length = strlen(name);
	return strncmp(word, name, length) == 0 && word[length] == '=' && parse_number(word + length + 1, ret);
}

static int take_migrate_words(const struct call *call, struct outgoing_options *ret, struct error *err)
{
	uint64_t rounds = 0;
	for (unsigned i = 2; i < call->words->nr_words; i++) {
		const char *word = call->words->words[i];
		if (strcmp(word, "verify") == 0)
			ret->is_verified = true;
		else if (strcmp(word, "post-copy") == 0)
			ret->is_post_copy = true;
		else if (!has_number(word, "downtime_us", &ret->downtime_us) &&
			 !has_number(word, "bandwidth", &ret->bandwidth) && !has_number(word, "rounds", &rounds))
			return error_set(err, ERROR_USAGE,
					 "migrate: %s: expected downtime_us=N, bandwidth=N, rounds=N, verify or "
					 "post-copy",
					 word);
	}
	ret->rounds_max = rounds < UINT32_MAX ? (unsigned)rounds : UINT32_MAX;
	return 0;
}

/* What came with the request is its own from then on. */
static int take_connection(struct call *call, int *ret_in, int *ret_out, struct error *err)
{
	if (call->fds[0] < 0)
		return error_set(err, ERROR_USAGE,
				 "%s: expected a connected socket to come with the request, or two descriptors, to "
				 "read from and to write to",
				 call->words->words[0]);
	*ret_in = call->fds[0];
	*ret_out = call->fds[1] >= 0 ? call->fds[1] : call->fds[0];
	call->fds[0] = call->fds[1] = -1;
	return 0;
}

static int do_receive(struct call *call, struct error *err)
{
	int in_fd, out_fd;
	if (call->words->nr_words < 2)
		return wrong_words(call, "what to call the source", err);
	int status = take_connection(call, &in_fd, &out_fd, err);
	if (status == 0)
		status = session_rejoin_arrival(call->session, call->words->words[1], in_fd, out_fd, err);
	if (status == 0)
		succeed(call);
	return status;
}

static int do_migrate(struct call *call, struct error *err)
{
	struct session *session = call->session;
	struct outgoing_options options = { 0 };
	if (call->words->nr_words < 2)
		return wrong_words(call, "what to call the target", err);
	int status = take_migrate_words(call, &options, err);
	if (status < 0)
		return status;
	int in_fd, out_fd;
	status = take_connection(call, &in_fd, &out_fd, err);
	if (status < 0)
		return status;
	status = session_start_migrating(session, call->words->words[1], in_fd, out_fd, &options, err);
	if (status < 0)
		return status;
	session->is_asked_for = true;
	succeed_with_job(call);
	return 0;
}

static int do_cancel(struct call *call, struct error *err)
{
	int status = session_cancel_job(call->session, err);
	if (status < 0)
		return status;
	succeed_with_job(call);
	return 0;
}

static int do_rewind(struct call *call, struct error *err)
{
	struct session *session = call->session;
	struct rewind_stats before = { 0 }, after = { 0 };
	bool is_set = has_word(call, 1, "--set"), is_drop = has_word(call, 1, "--drop");
	if (call->words->nr_words == 2 && !is_set && !is_drop)
		return wrong_words(call, "nothing, --set or --drop", err);
	if (session->rewind != NULL)
		rewind_count(session->rewind, &before);
	if (session_job_holds(session))
		return session_check_idle(session, err);
	int status = is_set    ? session_set_point(session, err)
		     : is_drop ? session_drop_point(session, err)
			       : session_rewind_now(session, err);
	if (status < 0)
		return status;
	if (session->rewind != NULL)
		rewind_count(session->rewind, &after);
	succeed(call);
	if (!is_set && !is_drop) {
		json_number(&call->json, "rewinds", after.rewinds);
		json_number(&call->json, "pages", after.pages - before.pages);
	}
	return 0;
}

static int do_quit(struct call *call, struct error *err)
{
	(void)err;
	call->session->is_over = call->session->is_quit = true;
	succeed(call);
	return 0;
}

static int do_help(struct call *call, struct error *err);

/* clang-format off */
static const struct {
	const char *name, *arguments, *help;
	unsigned words_max;
	bool needs_machine;
	int (*run)(struct call *call, struct error *err);
} requests[] = {
	{ "status", "[JOB]", "what the machine does, what is under way, and what came of the last job, or of JOB", 2, false,
	  do_status },
	{ "stats", "", "times, exits, memory, and how long the machine stood still", 1, false, do_stats },
	{ "pause", "", "let the machine stand still until resume", 1, true, do_pause },
	{ "resume", "", "let it go on", 1, true, do_resume },
	{ "snapshot", "FILE [--incremental]", "write a snapshot to FILE; the machine goes on", 3, true, do_snapshot },
	{ "migrate", "URI", "move the machine to stasis receive URI; the guest goes on there", 7, true, do_migrate },
	{ "receive", "URI", "take the pages that are missing from the source, whose connection was lost", 2, true, do_receive },
	{ "cancel", "", "give up what is under way", 1, true, do_cancel },
	{ "rewind", "[--set|--drop]", "put the machine back to the point that --set made", 2, true, do_rewind },
	{ "quit", "", "end it, as Ctrl-A x does", 1, true, do_quit },
	{ "help", "", "list what can be asked for", 1, false, do_help },
};
/* clang-format on */
#define NR_REQUESTS (sizeof(requests) / sizeof(requests[0]))

static int do_help(struct call *call, struct error *err)
{
	(void)err;
	succeed(call);
	json_array_begin(&call->json, "requests");
	for (size_t i = 0; i < NR_REQUESTS; i++) {
		json_object_begin(&call->json, NULL);
		json_string(&call->json, "name", requests[i].name);
		json_string(&call->json, "arguments", requests[i].arguments);
		json_string(&call->json, "help", requests[i].help);
		json_object_end(&call->json);
	}
	json_array_end(&call->json);
	return 0;
}

void session_print_requests(FILE *out)
{
	for (size_t i = 0; i < NR_REQUESTS; i++) {
		char call[64];
		snprintf(call, sizeof(call), "%s %s", requests[i].name, requests[i].arguments);
		fprintf(out, "  %-30s %s\n", call, requests[i].help);
	}
}

static int answer(struct call *call, struct error *err)
{
	const char *name = call->words->words[0];
	unsigned nr_words = call->words->nr_words;
	for (size_t i = 0; i < NR_REQUESTS; i++) {
		if (strcmp(requests[i].name, name) != 0)
			continue;
		if (nr_words > requests[i].words_max)
			return error_set(err, ERROR_USAGE, "%s: %u arguments, expected %s", name, nr_words - 1,
					 requests[i].words_max == 1 ? "none" : requests[i].arguments);
		if (requests[i].needs_machine && call->session->is_over)
			return error_set(err, ERROR_NOT_NOW, "%s: the machine has ended", name);
		return requests[i].run(call, err);
	}
	return error_set(err, ERROR_USAGE, "%s: no such request; help lists them", name);
}

static void handle(void *context, struct control_request *request, FILE *reply)
{
	struct call call = { .session = context, .words = &request->words, .fds = request->fds, .json.out = reply };
	struct error err;
	if (answer(&call, &err) < 0) {
		control_write_error(reply, &err);
		return;
	}
	json_object_end(&call.json);
	json_end(&call.json);
}

void session_step_control(struct session *session, const struct pollfd *fds)
{
	control_step(session->control, fds, handle, session);
}

void session_tell_last(struct session *session)
{
	struct pollfd fds[CONTROL_POLL_MAX];
	int64_t end = now_us() + TELL_LAST_US, left;
	while (session->is_awaited && (left = end - now_us()) > 0) {
		control_wants(session->control, fds);
		if (poll(fds, CONTROL_POLL_MAX, control_has_requests(session->control) ? 0 : (int)(left / 1000)) < 0)
			break;
		session_step_control(session, fds);
	}
}
