#include "state.h"

#include <stdio.h>
#include <string.h>

#include "components.h"
#include "image.h"
#include "restoring.h"
#include "state_bits.h"
#include "vmm/vcpu.h"

/* One entry of KVM_GET_CPUID2's list. */
#define TYPE struct kvm_cpuid_entry2

/* clang-format off */

static const struct field cpuid_entry_fields[] = {
	FIELD(TYPE, function),
	FIELD(TYPE, index),
	FIELD(TYPE, flags, .bits = cpuid_flags_bits),
	FIELD(TYPE, eax),
	FIELD(TYPE, ebx),
	FIELD(TYPE, ecx),
	FIELD(TYPE, edx),
	FIELD_PAD(TYPE, padding),
};

/* clang-format on */

const struct schema cpuid_entry_schema = SCHEMA("cpuid_entry", sizeof(TYPE), cpuid_entry_fields);

/* ---- Saving and restoring ---- */

/*
 * The table that was set, not the one that KVM_GET_CPUID2 gives back: that has what KVM changes by itself as the guest
 * runs (OSXSAVE, the size of XSAVE's area), and on a KVM that shows guests the CPU as it is also features that no other
 * host would take (docs/CPUID.md).
 */
static int save_cpuid(struct vm *vm, unsigned instance, struct buffer *ret, struct error *err)
{
	const struct cpuid *cpuid = &vm->vcpus[instance].cpuid;
	return component_append(ret, cpuid->entries, cpuid->nent * sizeof(cpuid->entries[0]), err);
}

static int validate_cpuid(const struct machine *machine, unsigned instance, struct bytes payload, struct error *err)
{
	(void)machine;
	(void)instance;
	if (payload.size / sizeof(struct kvm_cpuid_entry2) > CPUID_ENTRIES_MAX)
		return error_set(err, ERROR_DATA, "%zu entries, expected at most %d",
				 payload.size / sizeof(struct kvm_cpuid_entry2), CPUID_ENTRIES_MAX);
	return 0;
}

/* Whose CPUID it is, while cpuid_missing() goes through the bits. */
struct missing {
	struct restore *restore;
	const struct component *component;
	unsigned instance;
	const char *detail;
};

static void report_missing(void *context, const struct cpuid_lack *lack)
{
	const struct missing *missing = context;
	struct finding finding = { .component = "cpuid" };
	char text[CPUID_TEXT_MAX];
	cpuid_lack_text(lack, text);
	component_where(missing->component, missing->instance, finding.where, sizeof(finding.where));
	snprintf(finding.name, sizeof(finding.name), "%.79s", text);
	if (report_has(missing->restore->report, &finding))
		return; /* what KVM does not have, it does not show either */
	snprintf(finding.detail, sizeof(finding.detail), "%s", missing->detail);
	restore_finding(missing->restore, missing->component, missing->instance, text, &finding);
}

/* What KVM shows the guest besides: a KVM without hardware to help it does, and would fill the screen. */
#define ADDED_NAMES_MAX 64

struct added {
	bool is_cut;
	char names[ADDED_NAMES_MAX];
};

static void name_added(void *context, const struct cpuid_lack *lack)
{
	struct added *added = context;
	char text[CPUID_TEXT_MAX];
	if (added->is_cut)
		return;
	size_t used = strlen(added->names), left = sizeof(added->names) - used;
	cpuid_lack_text(lack, text);
	added->is_cut = strlen(text) + 2 > left;
	if (!added->is_cut)
		snprintf(added->names + used, left, " %.*s", (int)left - 2, text);
}

static void report_added(const struct missing *missing, const struct cpuid *put, const struct cpuid *got)
{
	struct finding finding = { .kind = FINDING_TRANSLATED, .component = "cpuid" };
	struct added added = { 0 };
	unsigned nr = cpuid_missing(got, put, missing->restore->options->tells_all ? name_added : NULL, &added);
	if (nr == 0)
		return;
	component_where(missing->component, missing->instance, finding.where, sizeof(finding.where));
	snprintf(finding.name, sizeof(finding.name), "%u features", nr);
	snprintf(finding.detail, sizeof(finding.detail),
		 "this KVM shows them to its guests although they were not set:%s%s", added.names,
		 added.is_cut ? " ..." : "");
	report_add(missing->restore->report, &finding);
}

static void check_vendor(const struct missing *missing, const struct cpuid *wanted, const struct cpuid *host)
{
	struct finding finding = { .name = "vendor" };
	cpuid_vendor(wanted, finding.left);
	cpuid_vendor(host, finding.right);
	if (strcmp(finding.left, finding.right) != 0)
		restore_finding(missing->restore, missing->component, missing->instance, "vendor", &finding);
}

void cpuid_check_host(struct restore *restore, const struct cpuid *host)
{
	struct missing missing = { restore, component_by_name("cpuid"), 0, "this host's KVM does not have it" };
	const struct cpuid *cpuid = &restore->vm->vcpus[0].cpuid; /* as it was put */
	if (cpuid->nent == 0)
		return; /* it was left out */
	check_vendor(&missing, cpuid, host);
	cpuid_missing(cpuid, host, report_missing, &missing);
}

/* What KVM shows the guest, held against what it was told to show. */
static int read_back(struct missing *missing, const struct vcpu *vcpu, struct error *err)
{
	struct cpuid got;
	int status = cpuid_of_vcpu(vcpu->fd, &got, err);
	if (status < 0)
		return status;
	cpuid_missing(&vcpu->cpuid, &got, report_missing, missing);
	report_added(missing, &vcpu->cpuid, &got);
	return 0;
}

static int restore_cpuid(struct restore *restore, unsigned instance, enum stage stage, struct bytes payload,
			 struct error *err)
{
	struct missing missing = { .restore = restore,
				   .component = component_by_name("cpuid"),
				   .instance = instance,
				   .detail = "read back: KVM accepted it and does not show it to the guest" };
	struct vcpu *vcpu = &restore->vm->vcpus[instance];
	(void)stage;
	if (vcpu_set_cpuid(vcpu, (const void *)payload.data, (uint32_t)(payload.size / sizeof(TYPE))) < 0) {
		restore_refused(restore, missing.component, instance, KVM_SET_CPUID2);
		return 0;
	}
	/* The others' tables differ in their topology only. */
	return instance == 0 ? read_back(&missing, vcpu, err) : 0;
}

static void describe_cpuid(const void *entry, struct entry_description *ret)
{
	const struct kvm_cpuid_entry2 *leaf = entry;
	snprintf(ret->component, sizeof(ret->component), "cpuid");
	snprintf(ret->name, sizeof(ret->name), "0x%x.%u", leaf->function, leaf->index);
}

const struct component_ops cpuid_ops = {
	.save = save_cpuid, .restore = restore_cpuid, .validate = validate_cpuid, .describe = describe_cpuid
};
