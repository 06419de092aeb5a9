/*
 * What a verb found, as a list: differences, refusals, translations.  compare, restore, check and roundtrip all
 * fill one; the command layer prints it, as text or as JSON.
 */
#ifndef STASIS_SNAPSHOT_REPORT_H
#define STASIS_SNAPSHOT_REPORT_H

#include <stdbool.h>
#include <stddef.h>

enum finding_kind {
	FINDING_DIFFERENT,  /* two states that should be equal are not */
	FINDING_REFUSED,    /* a host cannot take it */
	FINDING_UNKNOWN,    /* bytes without a name are not zero: state of a newer kernel, kept as it is */
	FINDING_ALLOWED,    /* would be one of the above, but the user allowed it */
	FINDING_TRANSLATED, /* changed on purpose on its way to this host */
	FINDING_VOLATILE,   /* differs, and may */
	FINDING_KINDS
};

struct finding {
	enum finding_kind kind;
	char where[12];     /* "vcpu0", "vm", "ram", "uart" */
	char component[24]; /* "msr", "regs" */
	char name[80];      /* "IA32_LSTAR (0xc0000082)", "cs.base" */
	char left[72], right[72];
	char detail[256]; /* decoded bits, or the reason */
};

struct report {
	struct finding *findings;
	size_t nr, capacity;
	bool is_cut; /* more was found than REPORT_FINDINGS_MAX, or than memory held */
	size_t counts[FINDING_KINDS];
};

#define REPORT_FINDINGS_MAX 100000

void report_add(struct report *report, const struct finding *finding);

/* Is there a finding of that place, component and name? */
bool report_has(const struct report *report, const struct finding *finding);

/* Findings that make the answer "no": different or refused. */
size_t report_bad(const struct report *report);

/* The word that stands for a kind in text and JSON: "different". */
const char *finding_kind_name(enum finding_kind kind);

/*
 * One line, without a newline: "vcpu0 msr IA32_LSTAR (0xc0000082): 0x1 != 0x2" and what is decoded of it.
 */
void finding_format(const struct finding *finding, char *ret, size_t size);

void report_done(struct report *report);

#endif
