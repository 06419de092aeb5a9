#include "options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

/* Codes of long options, apart from characters: --help, then the rows. */
#define HELP_CODE  256
#define FIRST_CODE 257

bool parse_number(const char *text, uint64_t *ret)
{
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	uint64_t value = strtoull(text, &end, 0);
	if (errno != 0 || *end != '\0')
		return false;
	*ret = value;
	return true;
}

/* A number with a unit behind it, in decimals if need be: "0.2s". */
struct unit {
	const char *suffix;
	uint64_t factor;
};

static bool parse_with_unit(const char *text, const struct unit *units, size_t nr_units, uint64_t *ret)
{
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	double value = strtod(text, &end);
	if (errno != 0)
		return false;
	for (size_t i = 0; i < nr_units; i++) {
		if (strcmp(end, units[i].suffix) != 0)
			continue;
		value *= (double)units[i].factor;
		if (value > 0x1p62)
			return false;
		*ret = (uint64_t)value;
		return true;
	}
	return false;
}

bool parse_size(const char *text, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{ "", 1 }, { "K", 1ull << 10 }, { "M", 1ull << 20 }, { "G", 1ull << 30 }, { "T", 1ull << 40 }
	};
	return parse_with_unit(text, units, sizeof(units) / sizeof(units[0]), ret_bytes);
}

bool parse_time(const char *text, uint64_t *ret_us)
{
	static const struct unit units[] = { { "us", 1 }, { "ms", 1000 }, { "s", 1000000 } };
	return parse_with_unit(text, units, sizeof(units) / sizeof(units[0]), ret_us);
}

/* ---- One function an option that takes a value ---- */

static int wrong(struct error *err, const char *option, const char *value, const char *expected)
{
	return error_set(err, ERROR_USAGE, "--%s %s: expected %s", option, value, expected);
}

static int set_mem(struct options *options, const char *value, struct error *err)
{
	if (!parse_size(value, &options->mem))
		return wrong(err, "mem", value, "a size, as in 128M or 2G");
	return 0;
}

static int set_cpus(struct options *options, const char *value, struct error *err)
{
	uint64_t cpus;
	if (!parse_number(value, &cpus) || cpus < 1 || cpus > VM_VCPUS_MAX)
		return wrong(err, "cpus", value, "a number from 1 to 16");
	options->cpus = (uint32_t)cpus;
	return 0;
}

static int set_cpu(struct options *options, const char *value, struct error *err)
{
	if (!cpuid_baseline_parse(value, &options->baseline))
		return wrong(err, "cpu", value, "host, x86-64-v1, x86-64-v2 or x86-64-v3");
	return 0;
}

static int set_irqchip(struct options *options, const char *value, struct error *err)
{
	static const char *const names[] = {
		[IRQCHIP_NONE] = "none", [IRQCHIP_SPLIT] = "split", [IRQCHIP_FULL] = "full"
	};
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], value) == 0) {
			options->irqchip = i;
			return 0;
		}
	}
	return wrong(err, "irqchip", value, "full, split or none");
}

static int set_regs(struct options *options, const char *value, struct error *err)
{
	bool one_reg = strcmp(value, "one-reg") == 0;
	if (!one_reg && strcmp(value, "msrs") != 0)
		return wrong(err, "regs", value, "one-reg or msrs");
	options->restore.has_reg_access = true;
	options->restore.reg_access = one_reg ? KVM_REG_ACCESS_ONE_REG : KVM_REG_ACCESS_MSRS;
	return 0;
}

static int set_guest(struct options *options, const char *value, struct error *err)
{
	(void)err;
	options->guest = value;
	return 0;
}

static int set_real(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->kind = BOOT_FLAT_REAL;
	return 0;
}

static int set_long(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->kind = BOOT_FLAT_LONG;
	return 0;
}

static int set_load(struct options *options, const char *value, struct error *err)
{
	options->has_load = true;
	if (!parse_number(value, &options->load))
		return wrong(err, "load", value, "an address, as in 0x100000");
	return 0;
}

static int set_entry(struct options *options, const char *value, struct error *err)
{
	options->has_entry = true;
	if (!parse_number(value, &options->entry))
		return wrong(err, "entry", value, "an address, as in 0x100000");
	return 0;
}

static int set_append(struct options *options, const char *value, struct error *err)
{
	(void)err;
	options->command_line = value;
	return 0;
}

static int add_module(struct options *options, const char *value, struct error *err)
{
	if (options->nr_modules == BOOT_MODULES_MAX)
		return error_set(err, ERROR_USAGE, "--module %s: at most %d modules", value, BOOT_MODULES_MAX);
	options->modules[options->nr_modules++] = value;
	return 0;
}

static int set_snapshot(struct options *options, const char *value, struct error *err)
{
	(void)err;
	options->snapshot = value;
	return 0;
}

static int set_at(struct options *options, const char *value, struct error *err)
{
	struct trigger at = { .has_value = true };
	bool good;
	if (strcmp(value, "checkpoint") == 0) {
		at = (struct trigger){ .kind = TRIGGER_CHECKPOINT };
		good = true;
	} else if (strncmp(value, "checkpoint=", 11) == 0) {
		at.kind = TRIGGER_CHECKPOINT;
		good = parse_number(value + 11, &at.value);
	} else if (strncmp(value, "exits=", 6) == 0) {
		at.kind = TRIGGER_EXITS;
		good = parse_number(value + 6, &at.value) && at.value > 0;
	} else {
		at.kind = TRIGGER_AFTER;
		good = strncmp(value, "after=", 6) == 0 && parse_time(value + 6, &at.value);
	}
	if (!good)
		return wrong(err, "at", value, "checkpoint, checkpoint=N, exits=N or after=TIME (200ms)");
	options->at = at;
	return 0;
}

static int set_continue(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->go_on = true;
	return 0;
}

static int set_incremental(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->incremental = true;
	return 0;
}

static int set_control(struct options *options, const char *value, struct error *err)
{
	(void)err;
	options->control = value;
	return 0;
}

static int set_point(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->set_point = true;
	return 0;
}

static int drop_point(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->drop_point = true;
	return 0;
}

static int set_rewind_every(struct options *options, const char *value, struct error *err)
{
	if (!parse_number(value, &options->rewind_every) || options->rewind_every == 0)
		return wrong(err, "rewind-every", value, "a number of checkpoints, 1 or more");
	return 0;
}

static int set_rewinds(struct options *options, const char *value, struct error *err)
{
	if (!parse_number(value, &options->rewinds) || options->rewinds == 0)
		return wrong(err, "rewinds", value, "a number of rewinds, 1 or more");
	return 0;
}

static int set_keep(struct options *options, const char *value, struct error *err)
{
	(void)err;
	options->keep = value;
	return 0;
}

static int set_until(struct options *options, const char *value, struct error *err)
{
	struct until until = { .kind = UNTIL_EXIT };
	if (strcmp(value, "exit") == 0)
		;
	else if (parse_time(value, &until.value))
		until.kind = UNTIL_TIME;
	else if (parse_size(value, &until.value) && until.value > 0)
		until.kind = UNTIL_BYTES;
	else
		return wrong(err, "until", value, "exit, a time (2s) or a number of bytes (4K)");
	options->until = until;
	return 0;
}

static int add_allow(struct options *options, const char *value, struct error *err)
{
	if (options->restore.nr_allow == RESTORE_NAMES_MAX)
		return error_set(err, ERROR_USAGE, "--allow %s: at most %d names", value, RESTORE_NAMES_MAX);
	if (!restore_is_name(value))
		return wrong(err, "allow", value,
			     "the name of a register, a component, a field, a CPU feature, vendor or tsc-khz");
	options->restore.allow[options->restore.nr_allow++] = value;
	return 0;
}

static int add_without(struct options *options, const char *value, struct error *err)
{
	uint64_t id;
	if (options->restore.nr_without == RESTORE_NAMES_MAX)
		return error_set(err, ERROR_USAGE, "--without %s: at most %d names", value, RESTORE_NAMES_MAX);
	if (component_by_name(value) == NULL && !kvm_reg_parse(value, &id))
		return wrong(err, "without", value,
			     "a register's or a component's name, as stasis inspect prints them");
	options->restore.without[options->restore.nr_without++] = value;
	return 0;
}

static int set_clock(struct options *options, const char *value, struct error *err)
{
	bool is_realtime = strcmp(value, "realtime") == 0;
	if (!is_realtime && strcmp(value, "continue") != 0)
		return wrong(err, "clock", value, "continue or realtime");
	options->restore.clock = is_realtime ? RESTORE_CLOCK_REALTIME : RESTORE_CLOCK_CONTINUE;
	return 0;
}

static int set_copy(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->copy = true;
	return 0;
}

static int set_verify_memory(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->verify_memory = true;
	return 0;
}

static int set_insecure_tcp(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->insecure_tcp = true;
	return 0;
}

static int set_downtime(struct options *options, const char *value, struct error *err)
{
	if (!parse_time(value, &options->downtime_us) || options->downtime_us == 0)
		return wrong(err, "downtime", value, "a time (100ms)");
	return 0;
}

static int set_bandwidth(struct options *options, const char *value, struct error *err)
{
	if (!parse_size(value, &options->bandwidth) || options->bandwidth == 0)
		return wrong(err, "bandwidth", value, "a number of bytes a second (100M)");
	return 0;
}

static int set_post_copy(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->post_copy = true;
	return 0;
}

static int set_rounds(struct options *options, const char *value, struct error *err)
{
	if (!parse_number(value, &options->rounds) || options->rounds == 0)
		return wrong(err, "rounds", value, "a number of rounds, 1 or more");
	return 0;
}

static int set_trace_io(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->trace_io = true;
	return 0;
}

static int set_console_wait(struct options *options, const char *value, struct error *err)
{
	if (!parse_time(value, &options->console_wait_us))
		return wrong(err, "console-wait", value, "a time (10s, 200ms)");
	return 0;
}

static int set_trace_time(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->trace_time = true;
	return 0;
}

static int set_no_sandbox(struct options *options, const char *value, struct error *err)
{
	options->no_sandbox = true;
	(void)value;
	(void)err;
	return 0;
}

static int set_json(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->json = true;
	return 0;
}

static int set_raw(struct options *options, const char *value, struct error *err)
{
	(void)value;
	(void)err;
	options->raw = true;
	return 0;
}

/* ---- The table ---- */

/* clang-format off */
static const struct {
	const char *name;
	const char *argument; /* NULL: takes none */
	unsigned groups;
	int (*set)(struct options *options, const char *value, struct error *err);
	const char *help;
} rows[] = {
	{ "mem", "SIZE", OPTIONS_MACHINE, set_mem, "RAM (default 128M)" },
	{ "cpus", "N", OPTIONS_MACHINE, set_cpus, "virtual CPUs, 1 to 16 (default 1)" },
	{ "cpu", "MODEL", OPTIONS_MACHINE, set_cpu, "CPUID: host (default), x86-64-v1, x86-64-v2 or x86-64-v3" },
	{ "irqchip", "KIND", OPTIONS_MACHINE, set_irqchip, "interrupt controller: full (default), split or none" },
	{ "guest", "NAME", OPTIONS_MACHINE, set_guest, "a built-in guest instead of IMAGE (see stasis guests)" },
	{ "real", NULL, OPTIONS_MACHINE, set_real, "IMAGE is flat real-mode code" },
	{ "long", NULL, OPTIONS_MACHINE, set_long, "IMAGE is flat 64-bit code" },
	{ "load", "ADDR", OPTIONS_MACHINE, set_load, "where a flat image is loaded" },
	{ "entry", "ADDR", OPTIONS_MACHINE, set_entry, "where a flat image is entered (default: its start)" },
	{ "append", "STRING", OPTIONS_MACHINE, set_append, "the image's command line" },
	{ "module", "FILE", OPTIONS_MACHINE, add_module, "a module for Multiboot and PVH images (repeatable)" },
	{ "snapshot", "FILE", OPTIONS_SNAPSHOT, set_snapshot, "write a snapshot to FILE (-: standard output)" },
	{ "at", "WHEN", OPTIONS_SNAPSHOT | OPTIONS_ROUNDTRIP, set_at,
	  "take it at checkpoint, checkpoint=N, exits=N or after=TIME" },
	{ "continue", NULL, OPTIONS_SNAPSHOT, set_continue, "let the guest go on after the snapshot" },
	{ "incremental", NULL, OPTIONS_SNAPSHOT | OPTIONS_CTL, set_incremental,
	  "write only what changed since the machine's last snapshot or restore" },
	{ "control", "SOCKET", OPTIONS_CONTROL, set_control, "take requests at this Unix socket (see stasis ctl)" },
	{ "set", NULL, OPTIONS_CTL, set_point, "rewind: make this moment the point to which the machine is put back" },
	{ "drop", NULL, OPTIONS_CTL, drop_point, "rewind: forget the point; snapshots can be taken again" },
	{ "rewind-every", "N", OPTIONS_SNAPSHOT, set_rewind_every,
	  "put the machine back at each N-th checkpoint and at its end: to its first one, or as restored" },
	{ "rewinds", "COUNT", OPTIONS_SNAPSHOT, set_rewinds, "after so many rewinds, let the guest go on (default: never)" },
	{ "keep", "FILE", OPTIONS_ROUNDTRIP, set_keep, "keep the snapshot in FILE" },
	{ "until", "WHEN", OPTIONS_ROUNDTRIP, set_until, "let both machines go on until exit, a time or a number of bytes" },
	{ "regs", "HOW", OPTIONS_REGS, set_regs, "registers travel by one-reg or msrs (default: one-reg where KVM has it)" },
	{ "allow", "WHAT", OPTIONS_RESTORE, add_allow,
	  "let a difference through: a register, a component, vendor, tsc-khz (repeatable)" },
	{ "without", "NAME", OPTIONS_RESTORE, add_without, "leave out a register or component on purpose (repeatable)" },
	{ "clock", "POLICY", OPTIONS_RESTORE, set_clock,
	  "the guest's clocks: continue where they stood (default), or realtime, as if it had run" },
	{ "copy", NULL, OPTIONS_MEMORY, set_copy, "read and check RAM instead of mapping FILE, which may then change or go" },
	{ "downtime", "TIME", OPTIONS_CTL, set_downtime, "migrate: how long the guest may stand still (default 100ms)" },
	{ "bandwidth", "SIZE", OPTIONS_CTL, set_bandwidth, "migrate: send no more bytes a second (default: no limit)" },
	{ "rounds", "N", OPTIONS_CTL, set_rounds, "migrate: give it up where so many rounds are not enough (default 30)" },
	{ "post-copy", NULL, OPTIONS_CTL, set_post_copy, "migrate: instead, the guest moves, and its pages follow" },
	{ "insecure-tcp", NULL, OPTIONS_URI, set_insecure_tcp,
	  "let tcp: go to other hosts, unencrypted and without asking who is there" },
	{ "verify-memory", NULL, OPTIONS_MEMORY | OPTIONS_CTL, set_verify_memory, "check all of RAM before the guest runs" },
	{ "trace-io", NULL, OPTIONS_RUNNING, set_trace_io, "print every port and MMIO access on standard error" },
	{ "console-wait", "TIME", OPTIONS_CONSOLE, set_console_wait,
	  "drop the console's output once its reader took nothing for so long (default 10s)" },
	{ "trace-time", NULL, OPTIONS_TIME, set_trace_time, "print on standard error when which step was done, at the end" },
	{ "no-sandbox", NULL, OPTIONS_RUNNING, set_no_sandbox, "do not confine the process to the system calls that it needs" },
	{ "raw", NULL, OPTIONS_RAW, set_raw, "print the bytes of each section, too, with their offsets in FILE" },
	{ "json", NULL, OPTIONS_JSON, set_json, "print one JSON document" },
};
/* clang-format on */
#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

/* What getopt_long() answered '?' to: a character, an option that takes no argument, or a word. */
static int refuse_option(char **argv, struct error *err)
{
	if (optopt >= HELP_CODE)
		return error_set(err, ERROR_USAGE, "%s --%s: takes no argument", argv[0],
				 optopt == HELP_CODE ? "help" : rows[optopt - FIRST_CODE].name);
	if (optopt != 0)
		return error_set(err, ERROR_USAGE, "%s -%c: no such option; stasis %s --help lists them", argv[0],
				 optopt, argv[0]);
	return error_set(err, ERROR_USAGE, "%s %s: no such option; stasis %s --help lists them", argv[0],
			 argv[optind - 1], argv[0]);
}

void options_print_help(FILE *out, unsigned groups)
{
	for (size_t i = 0; i < NR_ROWS; i++) {
		char name[32];
		if ((rows[i].groups & groups) == 0)
			continue;
		snprintf(name, sizeof(name), "--%s%s%s", rows[i].name, rows[i].argument != NULL ? " " : "",
			 rows[i].argument != NULL ? rows[i].argument : "");
		fprintf(out, "  %-20s %s\n", name, rows[i].help);
	}
	fprintf(out, "  %-20s %s\n", "--help", "print this");
}

int options_parse(int argc, char **argv, unsigned groups, struct options *ret, bool *ret_help, struct error *err)
{
	struct options options = { .mem = OPTIONS_MEM_DEFAULT,
				   .cpus = 1,
				   .irqchip = IRQCHIP_FULL,
				   .command_line = "",
				   .console_wait_us = OPTIONS_CONSOLE_WAIT_DEFAULT_US };
	struct option table[NR_ROWS + 2] = { { .name = "help", .val = HELP_CODE } };
	int code, status = 0, nr = 1;
	for (size_t i = 0; i < NR_ROWS; i++)
		if ((rows[i].groups & groups) != 0)
			table[nr++] = (struct option){
				.name = rows[i].name,
				.has_arg = rows[i].argument != NULL ? required_argument : no_argument,
				.val = FIRST_CODE + (int)i,
			};
	opterr = 0;
	optind = 0; /* glibc and musl: start anew */
	while (status == 0 && (code = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
		if (code == 'h' || code == HELP_CODE) {
			*ret_help = true;
			return 0;
		}
		if (code == ':')
			return error_set(err, ERROR_USAGE, "%s %s: an argument is missing", argv[0], argv[optind - 1]);
		if (code == '?')
			return refuse_option(argv, err);
		status = rows[code - FIRST_CODE].set(&options, optarg, err);
	}
	if (status < 0)
		return status;
	options.arguments = (const char *const *)(argv + optind);
	options.nr_arguments = (unsigned)(argc - optind);
	*ret_help = false;
	*ret = options;
	return 0;
}
