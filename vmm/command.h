/*
 * The commands: one row each in main.c's table, one file each, and what several of them share.
 */
#ifndef STASIS_VMM_COMMAND_H
#define STASIS_VMM_COMMAND_H

#include "json.h"
#include "options.h"
#include "snapshot/image.h"
#include "snapshot/report.h"
#include "snapshot/track.h"
#include "vm.h"

struct command {
	const char *name, *arguments, *summary;
	unsigned options; /* OPTIONS_* */
	unsigned arguments_min, arguments_max;
	void (*print_more)(FILE *out); /* what --help has between summary and options; NULL: nothing */
	/* 0, with *ret_status the process's exit status; or a negative code, whose error main() prints. */
	int (*run)(const struct options *options, int *ret_status, struct error *err);
};

extern const struct command command_run, command_roundtrip, command_restore, command_receive, command_compare,
	command_inspect, command_verify, command_check, command_flatten, command_host, command_guests, command_ctl;

/* Prints "stasis: ..." on standard error. */
void message(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints the report, a line a finding; volatile ones and translations only where asked for. */
void report_print(FILE *out, const struct report *report, bool with_details);

/* The report as a member of a JSON document: an array of findings. */
void report_json(struct json *json, const char *name, const struct report *report);

/* Says whether this user may receive machines by post-copy (userfault.h), and why not; into a document, or (NULL)
 * printed. */
void post_copy_show(struct json *json);

/* Boots what the options name: machine, image or guest, modules.  The machine is paused, without threads. */
int options_boot(const struct options *options, int kvm_fd, const struct vm_ops *ops, void *ops_context,
		 struct vm **ret, struct error *err);

/*
 * Takes a snapshot of a paused machine and writes it: to a file, or as a stream to standard output where path is "-".
 * The guest's count of snapshots goes up only if it succeeds.  With a track (track.h), which may be NULL, the file is
 * an incremental one where there is a base.
 */
int snapshot_take(struct vm *vm, struct track *track, const char *path, struct error *err);

#endif
