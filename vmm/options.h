/*
 * The command line as a value.  One table of options feeds parsing and --help; each command names the groups it takes.
 */
#ifndef STASIS_VMM_OPTIONS_H
#define STASIS_VMM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "boot.h"
#include "cpuid.h"
#include "error.h"
#include "snapshot/restoring.h"

/* Groups of options, as bits. */
enum option_group {
	OPTIONS_MACHINE = 1,   /* what machine, what image */
	OPTIONS_REGS = 2,      /* how registers travel */
	OPTIONS_SNAPSHOT = 4,  /* run: what to write and when */
	OPTIONS_ROUNDTRIP = 8, /* roundtrip: when to take, how long to go on */
	OPTIONS_RESTORE = 16,  /* what to let through or leave out */
	OPTIONS_RUNNING = 32,  /* whatever runs a guest */
	OPTIONS_JSON = 64,
	OPTIONS_MEMORY = 128, /* restore: how RAM comes out of the file */
	OPTIONS_RAW = 256,
	OPTIONS_CONSOLE = 512,  /* whatever has a user's console */
	OPTIONS_TIME = 1024,    /* restore: what its steps take */
	OPTIONS_CONTROL = 2048, /* whatever can be controlled by a socket */
	OPTIONS_CTL = 4096,     /* the client of that socket */
	OPTIONS_URI = 8192,     /* whatever connects to another host */
};

/* When a snapshot is taken. */
enum trigger_kind { TRIGGER_NONE, TRIGGER_CHECKPOINT, TRIGGER_EXITS, TRIGGER_AFTER };

struct trigger {
	enum trigger_kind kind;
	bool has_value; /* of a checkpoint: only this number */
	uint64_t value; /* checkpoint's number, number of exits, or microseconds */
};

/* How long both machines of a roundtrip go on. */
enum until_kind { UNTIL_DEFAULT, UNTIL_EXIT, UNTIL_TIME, UNTIL_BYTES };

struct until {
	enum until_kind kind;
	uint64_t value; /* microseconds or bytes */
};

struct options {
	uint64_t mem; /* bytes */
	uint32_t cpus, irqchip;
	enum cpuid_baseline baseline;
	const char *guest;
	enum boot_kind kind;
	uint64_t load, entry;
	bool has_load, has_entry;
	const char *command_line;

	const char *snapshot;
	struct trigger at;
	bool go_on, incremental;
	uint64_t rewind_every; /* checkpoints; 0: never */
	uint64_t rewinds;      /* how often at most; 0: without end */
	const char *control;   /* the socket, or NULL */
	bool set_point, drop_point;
	const char *keep;
	struct until until;

	struct restore_options restore;
	bool copy, verify_memory, post_copy;
	bool insecure_tcp;
	bool stdout_is_taken;                    /* set by a command: the console goes to standard error */
	uint64_t downtime_us, bandwidth, rounds; /* of a migration; 0: the defaults */
	bool trace_io, trace_time, json, raw, no_sandbox;
	uint64_t console_wait_us; /* how long a reader of the console may take nothing */

	const char *const *arguments;
	unsigned nr_arguments;

	unsigned nr_modules;
	const char *modules[BOOT_MODULES_MAX];
};

#define OPTIONS_MEM_DEFAULT             (128ull << 20)
#define OPTIONS_CONSOLE_WAIT_DEFAULT_US 10000000

/*
 * Parses what follows a command's name.  argv[0] is that name.  *ret_help: --help was asked for, nothing else is set.
 */
int options_parse(int argc, char **argv, unsigned groups, struct options *ret, bool *ret_help, struct error *err);

/* The lines of --help for the groups. */
void options_print_help(FILE *out, unsigned groups);

/* "128M" to bytes, "200ms" to microseconds; false where it is neither. */
bool parse_size(const char *text, uint64_t *ret_bytes);
bool parse_time(const char *text, uint64_t *ret_us);
bool parse_number(const char *text, uint64_t *ret);

#endif
