#include "restoring.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "vmm/cpuid.h"

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

/* A word, held against the fields of a component. */
struct search {
	const char *word, *component;
};

static int has_name(const struct schema_leaf *leaf, void *context)
{
	const struct search *search = context;
	const char *list = field_bits(leaf->field);
	struct kvm_reg_bits bits;
	size_t component = strlen(search->component), length = strlen(leaf->name);
	const char *word = search->word;
	if (strncasecmp(word, search->component, component) == 0 && word[component] == '-')
		word += component + 1;
	if (strncasecmp(word, leaf->name, length) != 0)
		return 0;
	if (word[length] == '\0')
		return 1;
	while (word[length] == '.' && kvm_reg_bits_next(&list, &bits))
		if (strcasecmp(word + length + 1, bits.name) == 0)
			return 1;
	return 0;
}

bool restore_is_name(const char *word)
{
	struct cpuid_bit bit;
	uint64_t id;
	if (strcasecmp(word, "vendor") == 0 || component_by_name(word) != NULL || kvm_reg_parse(word, &id) ||
	    cpuid_feature(word, &bit) || isdigit((unsigned char)word[0]))
		return true;
	for (size_t i = 0; i < component_table_size; i++) {
		struct search search = { .word = word, .component = component_table[i].name };
		if (component_table[i].schema != NULL && schema_walk(component_table[i].schema, has_name, &search) != 0)
			return true;
	}
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

bool restore_leaves_out(const struct restore_options *options, const struct component *component)
{
	for (unsigned i = 0; i < options->nr_without; i++)
		if (strcasecmp(options->without[i], component->name) == 0)
			return true;
	return false;
}

uint64_t restore_elapsed_ns(const struct restore *restore)
{
	if (restore->options->clock == RESTORE_CLOCK_CONTINUE)
		return 0;
	uint64_t moment = image_moment_ns(restore->image), now = image_now_ns();
	return now > moment ? now - moment : 0;
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

void restore_refused(struct restore *restore, const struct component *component, unsigned instance,
		     unsigned long request)
{
	struct finding finding = { 0 };
	snprintf(finding.detail, sizeof(finding.detail), "%s: %s", kvm_request_name(request), strerror(errno));
	restore_finding(restore, component, instance, NULL, &finding);
}

void restore_translated(const struct restore *restore, const char *component, unsigned instance, const char *field,
			uint64_t from, uint64_t to, const char *why)
{
	struct finding finding = { .kind = FINDING_TRANSLATED };
	component_where(component_by_name(component), instance, finding.where, sizeof(finding.where));
	snprintf(finding.component, sizeof(finding.component), "%s", component);
	snprintf(finding.name, sizeof(finding.name), "%s", field);
	snprintf(finding.left, sizeof(finding.left), "0x%" PRIx64, from);
	snprintf(finding.right, sizeof(finding.right), "0x%" PRIx64, to);
	snprintf(finding.detail, sizeof(finding.detail), "%s", why);
	report_add(restore->report, &finding);
}
