/*
 * A restore under way, as the components see it: the machine, what is put into it, what the user lets through, and
 * where findings go.  restore.h drives it.
 */
#ifndef STASIS_SNAPSHOT_RESTORING_H
#define STASIS_SNAPSHOT_RESTORING_H

#include "component.h"
#include "image.h"
#include "report.h"

#define RESTORE_NAMES_MAX 64
#define RESTORE_LEFT_OUT  "left out, as asked" /* detail of a finding */

/* What the guest's clocks do about the time that has passed since the snapshot: --clock. */
enum restore_clock {
	RESTORE_CLOCK_CONTINUE, /* they go on where they stood: for the guest, none has */
	RESTORE_CLOCK_REALTIME, /* they go on as if the guest had run all the while */
};

/* What the user wants to be let through or left out: names of registers, components, or "vendor", "tsc-khz". */
struct restore_options {
	const char *allow[RESTORE_NAMES_MAX];
	unsigned nr_allow;
	const char *without[RESTORE_NAMES_MAX];
	unsigned nr_without;
	bool has_reg_access; /* reg_access is forced */
	enum kvm_reg_access reg_access;
	enum restore_clock clock;
	bool tells_all; /* what is no refusal is shown, too, and worth that features are looked up by name for it */
};

/* One restore under way: what the components' functions work with. */
struct restore {
	struct vm *vm;
	struct image *image; /* what is put and expected back: translated for this host */
	const struct restore_options *options;
	struct report *report;
	uint64_t tsc_offset_moved;       /* what was added to every vCPU's TSC offset */
	int64_t tsc_shift[VM_VCPUS_MAX]; /* by how much the guest's TSC differs from what was saved, in its ticks */
};

/*
 * By how much the guest's clocks are moved on, if they are put at this moment: the time since image_moment_ns(); 0 with
 * RESTORE_CLOCK_CONTINUE, and where this host's clock has not come to that moment yet.
 */
uint64_t restore_elapsed_ns(const struct restore *restore);

/*
 * Reports something that this host does not take.  allow_as is what the user would name to let it through (besides the
 * component's name); NULL: nothing can.
 */
void restore_finding(struct restore *restore, const struct component *component, unsigned instance,
		     const char *allow_as, struct finding *finding);

/* Reports that KVM refused a component's payload, or to tell it again: what the request's errno says. */
void restore_refused(struct restore *restore, const struct component *component, unsigned instance,
		     unsigned long request);

/*
 * Does the word name anything that --allow can let through: "vendor", a component, a register, a CPU feature or what
 * CPUID has by number ("0x7.0 edx bit 30"), a field ("cr4", "tsc-khz"), a bit of one ("CR4.CET")?
 */
bool restore_is_name(const char *word);
/* Reports what the guest's CPUID promises and this host's KVM, by cpuid_supported(), does not have. */
void cpuid_check_host(struct restore *restore, const struct cpuid *host);

/* Did the user name it? */
bool restore_is_allowed(const struct restore_options *options, const char *name);
bool restore_is_left_out(const struct restore_options *options, const char *name);
/* The same of a component, whose name no register has: it is not looked for among theirs. */
bool restore_leaves_out(const struct restore_options *options, const struct component *component);

/* Reports that a field of a component, as the schema calls it, was changed for this host, and why. */
void restore_translated(const struct restore *restore, const char *component, unsigned instance, const char *field,
			uint64_t from, uint64_t to, const char *why);

#endif
