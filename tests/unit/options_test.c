#include "unit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/options.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define ALL_GROUPS    0x3ffu
#define ARGS_MAX      140

static struct error err;
static struct options options;
static bool help;

/* Parses a command line that is written as one string; its words stay valid until the next call. */
static int parse(unsigned groups, const char *line)
{
	static char words[4096], *argv[ARGS_MAX];
	int argc = 0;
	ck_assert_uint_lt(strlen(line), sizeof(words));
	memcpy(words, line, strlen(line) + 1);
	for (char *at = words, *rest; argc < ARGS_MAX - 1 && (argv[argc] = strtok_r(at, " ", &rest)) != NULL; at = NULL)
		argc++;
	return options_parse(argc, argv, groups, &options, &help, &err);
}

static void assert_parsed(const char *line)
{
	ck_assert_msg(parse(ALL_GROUPS, line) == 0, "%s: %s", line, err.text);
}

static void assert_refused(const char *line, const char *text)
{
	struct options before;
	memset(&options, 0x55, sizeof(options));
	before = options;
	ck_assert_msg(parse(ALL_GROUPS, line) == -ERROR_USAGE, "%s", line);
	ck_assert_msg(strstr(err.text, text) != NULL, "%s: %s", line, err.text);
	ck_assert_mem_eq(&options, &before, sizeof(options));
}

/* clang-format off */

START_TEST(sizes_have_units)
{
	static const struct { const char *text; uint64_t bytes; } good[] = {
		{ "0", 0 }, { "1", 1 }, { "4096", 4096 }, { "4K", 4096 }, { "1M", 1 << 20 }, { "2G", 2ull << 30 },
		{ "1.5M", 3 << 19 }, { "0.5K", 512 }, { "1T", 1ull << 40 },
	};
	static const char *const bad[] = { "", "M", "-1", "+1", " 1", "1 M", "1m", "1Mi", "1MB", "1e999", "9999999999G", "x", "1,5M" };
	for (size_t i = 0; i < LENGTH(good); i++) {
		uint64_t bytes = 77;
		ck_assert_msg(parse_size(good[i].text, &bytes) && bytes == good[i].bytes, "%s", good[i].text);
	}
	for (size_t i = 0; i < LENGTH(bad); i++) {
		uint64_t bytes = 77;
		ck_assert_msg(!parse_size(bad[i], &bytes) && bytes == 77, "%s", bad[i]);
	}
}
END_TEST

START_TEST(times_have_units)
{
	static const struct { const char *text; uint64_t us; } good[] = {
		{ "200ms", 200000 }, { "0.2s", 200000 }, { "5us", 5 }, { "3s", 3000000 }, { "0s", 0 }, { "1.5ms", 1500 },
	};
	static const char *const bad[] = { "", "200", "1m", "1h", "ms", "-1s", "1 s", "1S", "1e300s" };
	for (size_t i = 0; i < LENGTH(good); i++) {
		uint64_t us = 77;
		ck_assert_msg(parse_time(good[i].text, &us) && us == good[i].us, "%s", good[i].text);
	}
	for (size_t i = 0; i < LENGTH(bad); i++) {
		uint64_t us = 77;
		ck_assert_msg(!parse_time(bad[i], &us) && us == 77, "%s", bad[i]);
	}
}
END_TEST

START_TEST(numbers_are_decimal_or_hexadecimal)
{
	static const struct { const char *text; uint64_t value; } good[] = {
		{ "0", 0 }, { "16", 16 }, { "0x100000", 0x100000 }, { "0xffffffffffffffff", UINT64_MAX },
		{ "18446744073709551615", UINT64_MAX },
	};
	static const char *const bad[] = { "", "-1", "+1", " 1", "0x", "12a", "0x1g", "1.5", "18446744073709551616" };
	for (size_t i = 0; i < LENGTH(good); i++) {
		uint64_t value = 77;
		ck_assert_msg(parse_number(good[i].text, &value) && value == good[i].value, "%s", good[i].text);
	}
	for (size_t i = 0; i < LENGTH(bad); i++) {
		uint64_t value = 77;
		ck_assert_msg(!parse_number(bad[i], &value) && value == 77, "%s", bad[i]);
	}
}
END_TEST

/* clang-format on */

START_TEST(defaults_are_those_of_the_contract)
{
	assert_parsed("run");
	ck_assert(!help);
	ck_assert_uint_eq(options.mem, 128u << 20);
	ck_assert_uint_eq(options.cpus, 1);
	ck_assert_uint_eq(options.irqchip, IRQCHIP_FULL);
	ck_assert_int_eq(options.baseline, CPUID_HOST);
	ck_assert_str_eq(options.command_line, "");
	ck_assert_int_eq(options.at.kind, TRIGGER_NONE);
	ck_assert_int_eq(options.until.kind, UNTIL_DEFAULT);
	ck_assert(options.guest == NULL && options.snapshot == NULL && options.keep == NULL);
	ck_assert(!options.restore.has_reg_access && !options.go_on && !options.json && !options.trace_io);
	ck_assert_uint_eq(options.restore.nr_allow + options.restore.nr_without + options.nr_modules, 0);
	ck_assert_uint_eq(options.nr_arguments, 0);
}
END_TEST

START_TEST(machine_options_are_taken)
{
	assert_parsed("run --mem 2G --cpus 16 --cpu x86-64-v3 --irqchip split --guest smp --real --long --load 0x10000 "
		      "--entry 0x10010 --append console=ttyS0 --module one --module two image");
	ck_assert_uint_eq(options.mem, 2ull << 30);
	ck_assert_uint_eq(options.cpus, 16);
	ck_assert_int_eq(options.baseline, CPUID_X86_64_V3);
	ck_assert_uint_eq(options.irqchip, IRQCHIP_SPLIT);
	ck_assert_str_eq(options.guest, "smp");
	ck_assert_int_eq(options.kind, BOOT_FLAT_LONG);
	ck_assert(options.has_load && options.has_entry);
	ck_assert_uint_eq(options.load, 0x10000);
	ck_assert_uint_eq(options.entry, 0x10010);
	ck_assert_str_eq(options.command_line, "console=ttyS0");
	ck_assert_uint_eq(options.nr_modules, 2);
	ck_assert_str_eq(options.modules[1], "two");
	ck_assert_uint_eq(options.nr_arguments, 1);
	ck_assert_str_eq(options.arguments[0], "image");
	assert_parsed("run --real --irqchip none");
	ck_assert_int_eq(options.kind, BOOT_FLAT_REAL);
	ck_assert_uint_eq(options.irqchip, IRQCHIP_NONE);
}
END_TEST

START_TEST(other_options_are_taken)
{
	assert_parsed(
		"run first --snapshot - --continue --keep kept --regs msrs --allow vendor --allow IA32_PAT --without lapic "
		"--trace-io --no-sandbox --json -- --second");
	ck_assert_str_eq(options.snapshot, "-");
	ck_assert_str_eq(options.keep, "kept");
	ck_assert(options.go_on && options.trace_io && options.no_sandbox && options.json);
	ck_assert(options.restore.has_reg_access);
	ck_assert_int_eq(options.restore.reg_access, KVM_REG_ACCESS_MSRS);
	ck_assert_uint_eq(options.restore.nr_allow, 2);
	ck_assert_str_eq(options.restore.allow[1], "IA32_PAT");
	ck_assert_uint_eq(options.restore.nr_without, 1);
	ck_assert_uint_eq(options.nr_arguments, 2);
	ck_assert_str_eq(options.arguments[0], "first");
	ck_assert_str_eq(options.arguments[1], "--second");
	ck_assert_int_eq(options.restore.clock, RESTORE_CLOCK_CONTINUE);
	assert_parsed("restore --regs=one-reg --clock realtime -");
	ck_assert_int_eq(options.restore.reg_access, KVM_REG_ACCESS_ONE_REG);
	ck_assert_int_eq(options.restore.clock, RESTORE_CLOCK_REALTIME);
	ck_assert_str_eq(options.arguments[0], "-");
}
END_TEST

START_TEST(triggers_and_ends_have_kinds)
{
	static const struct {
		const char *line;
		enum trigger_kind kind;
		bool has_value;
		uint64_t value;
	} at[] = {
		{ "run --at checkpoint", TRIGGER_CHECKPOINT, false, 0 },
		{ "run --at checkpoint=3", TRIGGER_CHECKPOINT, true, 3 },
		{ "run --at exits=1000", TRIGGER_EXITS, true, 1000 },
		{ "run --at after=200ms", TRIGGER_AFTER, true, 200000 },
	};
	static const struct {
		const char *line;
		enum until_kind kind;
		uint64_t value;
	} until[] = {
		{ "roundtrip --until exit", UNTIL_EXIT, 0 },
		{ "roundtrip --until 2s", UNTIL_TIME, 2000000 },
		{ "roundtrip --until 4K", UNTIL_BYTES, 4096 },
		{ "roundtrip --until 100", UNTIL_BYTES, 100 },
	};
	for (size_t i = 0; i < LENGTH(at); i++) {
		assert_parsed(at[i].line);
		ck_assert_int_eq(options.at.kind, at[i].kind);
		ck_assert_int_eq(options.at.has_value, at[i].has_value);
		ck_assert_uint_eq(options.at.value, at[i].value);
	}
	for (size_t i = 0; i < LENGTH(until); i++) {
		assert_parsed(until[i].line);
		ck_assert_int_eq(options.until.kind, until[i].kind);
		ck_assert_uint_eq(options.until.value, until[i].value);
	}
}
END_TEST

START_TEST(what_is_wrong_is_refused_by_name)
{
	static const struct {
		const char *line, *text;
	} rows[] = {
		{ "run --mem lots", "--mem lots: expected a size" },
		{ "run --cpus 0", "--cpus 0: expected a number from 1 to 16" },
		{ "run --cpus 17", "--cpus 17: expected a number" },
		{ "run --cpus two", "--cpus two: expected a number" },
		{ "run --cpu 486", "--cpu 486: expected host, x86-64-v1" },
		{ "run --irqchip half", "--irqchip half: expected full, split or none" },
		{ "run --regs cpuid", "--regs cpuid: expected one-reg or msrs" },
		{ "run --load here", "--load here: expected an address" },
		{ "run --entry -5", "--entry -5: expected an address" },
		{ "run --at once", "--at once: expected checkpoint" },
		{ "run --at checkpoint=", "--at checkpoint=: expected" },
		{ "run --at exits=0", "--at exits=0: expected" },
		{ "run --at after=5", "--at after=5: expected" },
		{ "run --until 0", "--until 0: expected exit" },
		{ "run --until never", "--until never: expected exit" },
		{ "restore --clock stop", "--clock stop: expected continue or realtime" },
		{ "restore --without nothing", "--without nothing: expected a register's or a component's name" },
		{ "run --no-such", "run --no-such: no such option; stasis run --help lists them" },
		{ "run image -x", "run -x: no such option" },
		{ "run -xyz image", "run -x: no such option" },
		{ "run --json=yes", "run --json: takes no argument" },
		{ "run --help=3", "run --help: takes no argument" },
		{ "restore --console-wait soon", "--console-wait soon: expected a time" },
		{ "run --c 1", "run --c: no such option" },
		{ "run --mem", "run --mem: an argument is missing" },
		{ "run image --guest", "run --guest: an argument is missing" },
	};
	for (size_t i = 0; i < LENGTH(rows); i++)
		assert_refused(rows[i].line, rows[i].text);
}
END_TEST

START_TEST(allow_takes_what_has_a_name)
{
	static const char *const good[] = { "vendor",     "tsc-khz",    "TSC-KHZ",   "cpuid",
					    "IA32_LSTAR", "0xc0000082", "SHSTK",     "CR4",
					    "cr4.cet",    "cs.base",    "sregs-cr4", "MSR_0x4b564dee",
					    "xmm[15]",    "GUEST_SSP",  "registers", "48 physical address bits" };
	static const char *const bad[] = { "IA32_LSTRA", "x", "tsc-", "tsckhz", "CR4.", "CR4.SHSTK", "cr4x", "-", "" };
	char line[128];
	for (size_t i = 0; i < LENGTH(good); i++)
		ck_assert_msg(restore_is_name(good[i]), "%s", good[i]);
	for (size_t i = 0; i < LENGTH(bad); i++) {
		snprintf(line, sizeof(line), "restore --allow=%s file", bad[i]);
		assert_refused(line, ": expected the name of a register, a component, a field, a CPU feature");
	}
}
END_TEST

/* Repeatable options have a limit each. */
START_TEST(lists_have_limits)
{
	static const struct {
		const char *option;
		unsigned max;
	} rows[] = { { " --allow cr4", RESTORE_NAMES_MAX },
		     { " --without lapic", RESTORE_NAMES_MAX },
		     { " --module x", BOOT_MODULES_MAX } };
	for (size_t i = 0; i < LENGTH(rows); i++) {
		char line[4096] = "run";
		size_t used = strlen(line), size = strlen(rows[i].option);
		for (unsigned nr = 0; nr < rows[i].max; nr++, used += size)
			memcpy(line + used, rows[i].option, size);
		assert_parsed(line);
		memcpy(line + used, rows[i].option, size);
		assert_refused(line, "at most ");
	}
}
END_TEST

START_TEST(a_command_takes_its_own_options_only)
{
	ck_assert_int_eq(parse(OPTIONS_JSON, "inspect --json file"), 0);
	ck_assert_int_eq(parse(OPTIONS_JSON, "inspect --mem 1M file"), -ERROR_USAGE);
	ck_assert_int_eq(parse(OPTIONS_RESTORE | OPTIONS_REGS, "restore --allow vendor --regs msrs file"), 0);
	ck_assert_int_eq(parse(OPTIONS_RESTORE | OPTIONS_REGS, "restore --snapshot file"), -ERROR_USAGE);
	ck_assert_int_eq(parse(0, "guests --json"), -ERROR_USAGE);
}
END_TEST

START_TEST(help_is_asked_for_and_lists_the_groups)
{
	char *text;
	size_t size;
	ck_assert_int_eq(parse(ALL_GROUPS, "run image --help --no-such"), 0);
	ck_assert(help);
	FILE *out = open_memstream(&text, &size);
	options_print_help(out, OPTIONS_REGS | OPTIONS_JSON);
	fclose(out);
	ck_assert_ptr_nonnull(strstr(text, "  --regs HOW "));
	ck_assert_ptr_nonnull(strstr(text, "  --json "));
	ck_assert_ptr_nonnull(strstr(text, "  --help "));
	ck_assert_ptr_null(strstr(text, "--mem"));
	free(text);
}
END_TEST

UNIT_MAIN("options", sizes_have_units, times_have_units, numbers_are_decimal_or_hexadecimal,
	  defaults_are_those_of_the_contract, machine_options_are_taken, other_options_are_taken,
	  triggers_and_ends_have_kinds, what_is_wrong_is_refused_by_name, allow_takes_what_has_a_name,
	  lists_have_limits, a_command_takes_its_own_options_only, help_is_asked_for_and_lists_the_groups)
