#include "options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cold.h"

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

/* ---- The values that are more than a word: false where the value is not what was expected ---- */

static bool set_cpus(struct options *options, const char *value)
{
	uint64_t cpus;
	if (!parse_number(value, &cpus) || cpus < 1 || cpus > VM_VCPUS_MAX)
		return false;
	options->cpus = (uint32_t)cpus;
	return true;
}

static bool set_cpu(struct options *options, const char *value)
{
	return cpuid_baseline_parse(value, &options->baseline);
}

static bool set_irqchip(struct options *options, const char *value)
{
	static const char *const names[] = {
		[IRQCHIP_NONE] = "none", [IRQCHIP_SPLIT] = "split", [IRQCHIP_FULL] = "full"
	};
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], value) == 0) {
			options->irqchip = i;
			return true;
		}
	}
	return false;
}

static bool set_regs(struct options *options, const char *value)
{
	bool one_reg = strcmp(value, "one-reg") == 0;
	if (!one_reg && strcmp(value, "msrs") != 0)
		return false;
	options->restore.has_reg_access = true;
	options->restore.reg_access = one_reg ? KVM_REG_ACCESS_ONE_REG : KVM_REG_ACCESS_MSRS;
	return true;
}

static bool set_real(struct options *options, const char *value)
{
	(void)value;
	options->kind = BOOT_FLAT_REAL;
	return true;
}

static bool set_long(struct options *options, const char *value)
{
	(void)value;
	options->kind = BOOT_FLAT_LONG;
	return true;
}

static bool set_load(struct options *options, const char *value)
{
	options->has_load = true;
	return parse_number(value, &options->load);
}

static bool set_entry(struct options *options, const char *value)
{
	options->has_entry = true;
	return parse_number(value, &options->entry);
}

static bool add_module(struct options *options, const char *value)
{
	if (options->nr_modules == BOOT_MODULES_MAX)
		return false;
	options->modules[options->nr_modules++] = value;
	return true;
}

static bool set_at(struct options *options, const char *value)
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
	options->at = at;
	return good;
}

static bool set_until(struct options *options, const char *value)
{
	struct until until = { .kind = UNTIL_EXIT };
	if (strcmp(value, "exit") == 0)
		;
	else if (parse_time(value, &until.value))
		until.kind = UNTIL_TIME;
	else if (parse_size(value, &until.value) && until.value > 0)
		until.kind = UNTIL_BYTES;
	else
		return false;
	options->until = until;
	return true;
}

static bool add_allow(struct options *options, const char *value)
{
	if (options->restore.nr_allow == RESTORE_NAMES_MAX || !restore_is_name(value))
		return false;
	options->restore.allow[options->restore.nr_allow++] = value;
	return true;
}

static bool add_without(struct options *options, const char *value)
{
	uint64_t id;
	if (options->restore.nr_without == RESTORE_NAMES_MAX ||
	    (component_by_name(value) == NULL && !kvm_reg_parse(value, &id)))
		return false;
	options->restore.without[options->restore.nr_without++] = value;
	return true;
}

static bool set_clock(struct options *options, const char *value)
{
	bool is_realtime = strcmp(value, "realtime") == 0;
	options->restore.clock = is_realtime ? RESTORE_CLOCK_REALTIME : RESTORE_CLOCK_CONTINUE;
	return is_realtime || strcmp(value, "continue") == 0;
}

/* ---- The table ---- */

enum member_kind { FLAG, WORD, AMOUNT };

struct row {
	const char *name;
	const char *argument; /* NULL: takes none */
	uint16_t groups;
	/* What it sets: a member of struct options, to true, the argument or a number; or more, by a function. */
	uint8_t kind; /* enum member_kind */
	uint8_t min;  /* of the number */
	uint16_t offset;
	bool (*parse)(const char *text, uint64_t *ret);
	bool (*set)(struct options *options, const char *value);
};

#define KIND(member)        _Generic(((struct options *)NULL)->member, bool : FLAG, const char * : WORD, uint64_t : AMOUNT)
#define IS(member)          .kind = KIND(member), .offset = offsetof(struct options, member)
#define NUMBER(member, low) IS(member), .parse = parse_number, .min = (low)
#define SIZE(member, low)   IS(member), .parse = parse_size, .min = (low)
#define TIME(member, low)   IS(member), .parse = parse_time, .min = (low)
#define BY(function)        .set = (function)

/* An option: name, argument, groups, what it sets, what is expected of the argument if not everything will do, help. */
/* clang-format off */
#define OPTIONS(O) \
	O("mem", "SIZE", OPTIONS_MACHINE, SIZE(mem, 0), "a size, as in 128M or 2G", "RAM (default 128M)") \
	O("cpus", "N", OPTIONS_MACHINE, BY(set_cpus), "a number from 1 to 16", "virtual CPUs, 1 to 16 (default 1)") \
	O("cpu", "MODEL", OPTIONS_MACHINE, BY(set_cpu), "host, x86-64-v1, x86-64-v2 or x86-64-v3", \
	  "CPUID: host (default), x86-64-v1, x86-64-v2 or x86-64-v3") \
	O("irqchip", "KIND", OPTIONS_MACHINE, BY(set_irqchip), "full, split or none", \
	  "interrupt controller: full (default), split or none") \
	O("guest", "NAME", OPTIONS_MACHINE, IS(guest), "", "a built-in guest instead of IMAGE (see stasis guests)") \
	O("real", NULL, OPTIONS_MACHINE, BY(set_real), "", "IMAGE is flat real-mode code") \
	O("long", NULL, OPTIONS_MACHINE, BY(set_long), "", "IMAGE is flat 64-bit code") \
	O("load", "ADDR", OPTIONS_MACHINE, BY(set_load), "an address, as in 0x100000", \
	  "where a flat image is loaded") \
	O("entry", "ADDR", OPTIONS_MACHINE, BY(set_entry), "an address, as in 0x100000", \
	  "where a flat image is entered (default: its start)") \
	O("append", "STRING", OPTIONS_MACHINE, IS(command_line), "", "the image's command line") \
	O("module", "FILE", OPTIONS_MACHINE, BY(add_module), "at most 8 modules", \
	  "a module for Multiboot and PVH images (repeatable)") \
	O("snapshot", "FILE", OPTIONS_SNAPSHOT, IS(snapshot), "", "write a snapshot to FILE (-: standard output)") \
	O("at", "WHEN", OPTIONS_SNAPSHOT | OPTIONS_ROUNDTRIP, BY(set_at), "checkpoint, checkpoint=N, exits=N or after=TIME (200ms)", \
	  "take it at checkpoint, checkpoint=N, exits=N or after=TIME") \
	O("continue", NULL, OPTIONS_SNAPSHOT, IS(go_on), "", "let the guest go on after the snapshot") \
	O("incremental", NULL, OPTIONS_SNAPSHOT | OPTIONS_CTL, IS(incremental), "", \
	  "write only what changed since the machine's last snapshot or restore") \
	O("control", "SOCKET", OPTIONS_CONTROL, IS(control), "", \
	  "take requests at this Unix socket (see stasis ctl)") \
	O("set", NULL, OPTIONS_CTL, IS(set_point), "", \
	  "rewind: make this moment the point to which the machine is put back") \
	O("drop", NULL, OPTIONS_CTL, IS(drop_point), "", "rewind: forget the point; snapshots can be taken again") \
	O("rewind-every", "N", OPTIONS_SNAPSHOT, NUMBER(rewind_every, 1), "a number of checkpoints, 1 or more", \
	  "put the machine back at each N-th checkpoint and at its end: to its first one, or as restored") \
	O("rewinds", "COUNT", OPTIONS_SNAPSHOT, NUMBER(rewinds, 1), "a number of rewinds, 1 or more", \
	  "after so many rewinds, let the guest go on (default: never)") \
	O("keep", "FILE", OPTIONS_ROUNDTRIP, IS(keep), "", "keep the snapshot in FILE") \
	O("until", "WHEN", OPTIONS_ROUNDTRIP, BY(set_until), "exit, a time (2s) or a number of bytes (4K)", \
	  "let both machines go on until exit, a time or a number of bytes") \
	O("regs", "HOW", OPTIONS_REGS, BY(set_regs), "one-reg or msrs", \
	  "registers travel by one-reg or msrs (default: one-reg where KVM has it)") \
	O("allow", "WHAT", OPTIONS_RESTORE, BY(add_allow), "the name of a register, a component, a field, a CPU feature, vendor or tsc-khz; at most 64 of them", \
	  "let a difference through: a register, a component, vendor, tsc-khz (repeatable)") \
	O("without", "NAME", OPTIONS_RESTORE, BY(add_without), "a register's or a component's name, as stasis inspect prints them; at most 64 of them", \
	  "leave out a register or component on purpose (repeatable)") \
	O("clock", "POLICY", OPTIONS_RESTORE, BY(set_clock), "continue or realtime", \
	  "the guest's clocks: continue where they stood (default), or realtime, as if it had run") \
	O("copy", NULL, OPTIONS_MEMORY, IS(copy), "", \
	  "read and check RAM instead of mapping FILE, which may then change or go") \
	O("downtime", "TIME", OPTIONS_CTL, TIME(downtime_us, 1), "a time (100ms)", \
	  "migrate: how long the guest may stand still (default 100ms)") \
	O("bandwidth", "SIZE", OPTIONS_CTL, SIZE(bandwidth, 1), "a number of bytes a second (100M)", \
	  "migrate: send no more bytes a second (default: no limit)") \
	O("rounds", "N", OPTIONS_CTL, NUMBER(rounds, 1), "a number of rounds, 1 or more", \
	  "migrate: give it up where so many rounds are not enough (default 30)") \
	O("post-copy", NULL, OPTIONS_CTL, IS(post_copy), "", \
	  "migrate: instead, the guest moves, and its pages follow") \
	O("insecure-tcp", NULL, OPTIONS_URI, IS(insecure_tcp), "", \
	  "let tcp: go to other hosts, unencrypted and without asking who is there") \
	O("verify-memory", NULL, OPTIONS_MEMORY | OPTIONS_CTL, IS(verify_memory), "", \
	  "check all of RAM before the guest runs") \
	O("trace-io", NULL, OPTIONS_RUNNING, IS(trace_io), "", \
	  "print every port and MMIO access on standard error") \
	O("console-wait", "TIME", OPTIONS_CONSOLE, TIME(console_wait_us, 0), "a time (10s, 200ms)", \
	  "drop the console's output once its reader took nothing for so long (default 10s)") \
	O("trace-time", NULL, OPTIONS_TIME, IS(trace_time), "", \
	  "print on standard error when which step was done, at the end") \
	O("no-sandbox", NULL, OPTIONS_RUNNING, IS(no_sandbox), "", \
	  "do not confine the process to the system calls that it needs") \
	O("raw", NULL, OPTIONS_RAW, IS(raw), "", \
	  "print the bytes of each section, too, with their offsets in FILE") \
	O("json", NULL, OPTIONS_JSON, IS(json), "", "print one JSON document")
/* clang-format on */

#define TEXT_SIZE                                          104
#define ROW(name, argument, groups, sets, expected, help)  { name, argument, groups, sets },
#define TEXT(name, argument, groups, sets, expected, help) { expected, help },
#define FITS(name, argument, groups, sets, expected, help)                                                             \
	_Static_assert(sizeof(expected) <= TEXT_SIZE && sizeof(help) <= TEXT_SIZE, "a text of --" name " is too long");
static const struct row rows[] = { OPTIONS(ROW) };
static const struct {
	char expected[TEXT_SIZE], help[TEXT_SIZE];
} texts[] COLD = { OPTIONS(TEXT) };
OPTIONS(FITS)
_Static_assert(VM_VCPUS_MAX == 16 && BOOT_MODULES_MAX == 8 && RESTORE_NAMES_MAX == 64, "as the texts say");
#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

static bool set(const struct row *row, struct options *options, const char *value)
{
	void *member = (char *)options + row->offset;
	if (row->set != NULL)
		return row->set(options, value);
	switch (row->kind) {
	case FLAG:
		*(bool *)member = true;
		return true;
	case WORD:
		*(const char **)member = value;
		return true;
	default:
		return row->parse(value, member) && *(uint64_t *)member >= row->min;
	}
}

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
	cold_unpack();
	for (size_t i = 0; i < NR_ROWS; i++) {
		char name[32];
		if ((rows[i].groups & groups) == 0)
			continue;
		snprintf(name, sizeof(name), "--%s%s%s", rows[i].name, rows[i].argument != NULL ? " " : "",
			 rows[i].argument != NULL ? rows[i].argument : "");
		fprintf(out, "  %-20s %s\n", name, texts[i].help);
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
	int code, nr = 1;
	for (size_t i = 0; i < NR_ROWS; i++)
		if ((rows[i].groups & groups) != 0)
			table[nr++] = (struct option){
				.name = rows[i].name,
				.has_arg = rows[i].argument != NULL ? required_argument : no_argument,
				.val = FIRST_CODE + (int)i,
			};
	opterr = 0;
	optind = 0; /* glibc and musl: start anew */
	while ((code = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
		if (code == 'h' || code == HELP_CODE) {
			*ret_help = true;
			return 0;
		}
		if (code == ':')
			return error_set(err, ERROR_USAGE, "%s %s: an argument is missing", argv[0], argv[optind - 1]);
		if (code == '?')
			return refuse_option(argv, err);
		int i = code - FIRST_CODE;
		if (!set(&rows[i], &options, optarg)) {
			cold_unpack();
			return error_set(err, ERROR_USAGE, "--%s %s: expected %s", rows[i].name, optarg,
					 texts[i].expected);
		}
	}
	options.arguments = (const char *const *)(argv + optind);
	options.nr_arguments = (unsigned)(argc - optind);
	*ret_help = false;
	*ret = options;
	return 0;
}
