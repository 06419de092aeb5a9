#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "snapshot/report.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

START_TEST(findings_stand_in_order_and_are_counted)
{
	struct report report = { 0 };
	for (unsigned i = 0; i < 1000; i++) {
		struct finding finding = { .kind = (enum finding_kind)(i % FINDING_KINDS) };
		snprintf(finding.name, sizeof(finding.name), "%u", i);
		report_add(&report, &finding);
	}
	ck_assert_uint_eq(report.nr, 1000);
	ck_assert(!report.is_cut);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_uint_eq((unsigned)strtoul(report.findings[i].name, NULL, 10), i);
	ck_assert_uint_eq(report.counts[FINDING_DIFFERENT], 167);
	ck_assert_uint_eq(report.counts[FINDING_VOLATILE], 166);
	/* Different and refused ones are bad, and no others. */
	ck_assert_uint_eq(report_bad(&report), 334);
	report_done(&report);
	ck_assert_uint_eq(report.nr + report.capacity + report_bad(&report), 0);
	ck_assert_ptr_null(report.findings);
}
END_TEST

START_TEST(what_is_too_much_is_counted_and_not_kept)
{
	struct report report = { 0 };
	const struct finding finding = { .kind = FINDING_REFUSED };
	for (unsigned i = 0; i < REPORT_FINDINGS_MAX; i++)
		report_add(&report, &finding);
	ck_assert(!report.is_cut);
	report_add(&report, &finding);
	ck_assert(report.is_cut);
	ck_assert_uint_eq(report.nr, REPORT_FINDINGS_MAX);
	ck_assert_uint_eq(report_bad(&report), REPORT_FINDINGS_MAX + 1);
	report_done(&report);
}
END_TEST

START_TEST(a_finding_is_a_line)
{
	static const struct {
		struct finding finding;
		const char *line;
	} rows[] = {
		{ { FINDING_DIFFERENT, "vcpu0", "msr", "IA32_LSTAR (0xc0000082)", "0x1", "0x2", "" },
		  "vcpu0 msr IA32_LSTAR (0xc0000082): 0x1 != 0x2" },
		{ { FINDING_DIFFERENT, "vcpu0", "sregs", "efer", "0x0", "0x800", "+NXE" },
		  "vcpu0 sregs efer: 0x0 != 0x800; +NXE" },
		{ { FINDING_DIFFERENT, "ram", "", "0x1000-0x2fff", "2 pages", "", "" }, "ram 0x1000-0x2fff: 2 pages" },
		{ { FINDING_REFUSED, "vcpu1", "cpuid", "AVX", "", "", "this host's KVM does not have it" },
		  "refused: vcpu1 cpuid AVX; this host's KVM does not have it" },
		{ { FINDING_REFUSED, "vcpu0", "tsc", "khz", "2000", "3000", "" },
		  "refused: vcpu0 tsc khz: 2000, this host: 3000" },
		{ { FINDING_UNKNOWN, "vm", "pit", "reserved[0]", "0x1", "", "not zero, in both alike" },
		  "unknown state: vm pit reserved[0]: 0x1; not zero, in both alike" },
		{ { FINDING_ALLOWED, "vcpu0", "xsave", "", "present", "absent", "" },
		  "allowed: vcpu0 xsave: present, this host: absent" },
		{ { FINDING_TRANSLATED, "vm", "ports", "restored", "0x0", "0x1", "" },
		  "translated: vm ports restored: 0x0 -> 0x1" },
		{ { FINDING_VOLATILE, "vcpu0", "tsc", "tsc", "0x1", "0x2", "it counts" },
		  "volatile: vcpu0 tsc tsc: 0x1 != 0x2; it counts" },
	};
	char line[640];
	for (size_t i = 0; i < LENGTH(rows); i++) {
		finding_format(&rows[i].finding, line, sizeof(line));
		ck_assert_str_eq(line, rows[i].line);
	}
}
END_TEST

START_TEST(a_line_stays_in_its_room)
{
	const struct finding finding = { FINDING_REFUSED, "vcpu0", "msr", "NAME", "left", "right", "detail" };
	char whole[128], line[128];
	finding_format(&finding, whole, sizeof(whole));
	for (size_t size = 1; size <= strlen(whole) + 1; size++) {
		memset(line, '#', sizeof(line));
		finding_format(&finding, line, size);
		ck_assert_uint_eq(strlen(line), size - 1);
		ck_assert_mem_eq(line, whole, size - 1);
		ck_assert_int_eq(line[size], '#');
	}
}
END_TEST

START_TEST(kinds_have_names_of_their_own)
{
	for (enum finding_kind kind = 0; kind < FINDING_KINDS; kind++) {
		ck_assert_uint_gt(strlen(finding_kind_name(kind)), 0);
		for (enum finding_kind other = 0; other < kind; other++)
			ck_assert_str_ne(finding_kind_name(kind), finding_kind_name(other));
	}
	ck_assert_str_eq(finding_kind_name(FINDING_DIFFERENT), "different");
}
END_TEST

UNIT_MAIN("report", findings_stand_in_order_and_are_counted, what_is_too_much_is_counted_and_not_kept,
	  a_finding_is_a_line, a_line_stays_in_its_room, kinds_have_names_of_their_own)
