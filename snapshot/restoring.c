#include "restoring.h"

#include <stdio.h>
#include <strings.h>

/* A register has more names than one: its number is one, too. */
static bool is_same_register(const char *a, const char *b)
{
	uint64_t a_id, b_id;
	return kvm_reg_parse(a, &a_id) && kvm_reg_parse(b, &b_id) && a_id == b_id;
}

static bool is_named(const char *const *names, unsigned nr, const char *name)
{
	for (unsigned i = 0; i < nr; i++)
		if (strcasecmp(names[i], name) == 0 || is_same_register(names[i], name))
			return true;
	return false;
}

bool restore_is_allowed(const struct restore_options *options, const char *name)
{
	return is_named(options->allow, options->nr_allow, name);
}

bool restore_is_left_out(const struct restore_options *options, const char *name)
{
	return is_named(options->without, options->nr_without, name);
}

void restore_finding(struct restore *restore, const struct component *component, unsigned instance,
		     const char *allow_as, struct finding *finding)
{
	finding->kind = FINDING_REFUSED;
	if (restore_is_allowed(restore->options, component->name) ||
	    (allow_as != NULL && restore_is_allowed(restore->options, allow_as)))
		finding->kind = FINDING_ALLOWED;
	component_where(component, instance, finding->where, sizeof(finding->where));
	if (finding->component[0] == '\0')
		snprintf(finding->component, sizeof(finding->component), "%s", component->name);
	report_add(restore->report, finding);
}
