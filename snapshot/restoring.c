#include "restoring.h"

#include <stdio.h>
#include <strings.h>

static bool is_named(const char *const *names, unsigned nr, const char *name)
{
	for (unsigned i = 0; i < nr; i++)
		if (strcasecmp(names[i], name) == 0)
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
