#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	const char *prefix; /* in front of a line of text */
	const char *relation;
	bool is_bad;
} kinds[FINDING_KINDS] = {
	[FINDING_DIFFERENT] = { "different", "", " != ", true },
	[FINDING_REFUSED] = { "refused", "refused: ", ", this host: ", true },
	[FINDING_UNKNOWN] = { "unknown", "unknown state: ", "", false },
	[FINDING_ALLOWED] = { "allowed", "allowed: ", ", this host: ", false },
	[FINDING_TRANSLATED] = { "translated", "translated: ", " -> ", false },
	[FINDING_VOLATILE] = { "volatile", "volatile: ", " != ", false },
};

const char *finding_kind_name(enum finding_kind kind)
{
	return kinds[kind].name;
}

/* Room for one more finding; false where there is none. */
static bool make_room(struct report *report)
{
	if (report->nr < report->capacity)
		return true;
	size_t capacity = report->capacity != 0 ? report->capacity * 2 : 4;
	struct finding *grown = realloc(report->findings, capacity * sizeof(*grown));
	if (grown == NULL)
		return false;
	report->findings = grown;
	report->capacity = capacity;
	return true;
}

void report_add(struct report *report, const struct finding *finding)
{
	report->counts[finding->kind]++;
	if (report->nr == REPORT_FINDINGS_MAX || !make_room(report)) {
		report->is_cut = true;
		return;
	}
	report->findings[report->nr++] = *finding;
}

bool report_has(const struct report *report, const struct finding *finding)
{
	for (size_t i = 0; i < report->nr; i++) {
		const struct finding *other = &report->findings[i];
		if (strcmp(other->where, finding->where) == 0 && strcmp(other->component, finding->component) == 0 &&
		    strcmp(other->name, finding->name) == 0)
			return true;
	}
	return false;
}

size_t report_bad(const struct report *report)
{
	size_t bad = 0;
	for (size_t i = 0; i < FINDING_KINDS; i++)
		if (kinds[i].is_bad)
			bad += report->counts[i];
	return bad;
}

void finding_format(const struct finding *f, char *ret, size_t size)
{
	const char *separator = f->component[0] != '\0' ? " " : "";
	const char *space = f->name[0] != '\0' ? " " : "";
	int n = snprintf(ret, size, "%s%s%s%s%s%s", kinds[f->kind].prefix, f->where, separator, f->component, space,
			 f->name);
	size_t used = n > 0 && (size_t)n < size ? (size_t)n : size - 1;
	if (f->left[0] != '\0' || f->right[0] != '\0') {
		const char *relation = f->left[0] != '\0' && f->right[0] != '\0' ? kinds[f->kind].relation : "";
		n = snprintf(ret + used, size - used, ": %s%s%s", f->left, relation, f->right);
		used += n > 0 && (size_t)n < size - used ? (size_t)n : size - used - 1;
	}
	if (f->detail[0] != '\0')
		snprintf(ret + used, size - used, "; %s", f->detail);
}

void report_done(struct report *report)
{
	free(report->findings);
	*report = (struct report){ 0 };
}
