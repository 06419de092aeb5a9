/*
 * From an image to a machine: translate, put, read back, compare.  Nothing that the kernel accepted is believed before it was
 * read back; everything that this host cannot take is told at once, by name.
 */
#ifndef STASIS_SNAPSHOT_RESTORE_H
#define STASIS_SNAPSHOT_RESTORE_H

#include "component.h"
#include "image.h"
#include "report.h"

#define RESTORE_NAMES_MAX 64

/* What the user wants to be let through or left out: names of registers, components, or "vendor", "tsc-khz". */
struct restore_options {
	const char *allow[RESTORE_NAMES_MAX];
	unsigned nr_allow;
	const char *without[RESTORE_NAMES_MAX];
	unsigned nr_without;
	bool has_reg_access; /* reg_access is forced */
	enum kvm_reg_access reg_access;
};

/* One restore under way: what the components' functions work with. */
struct restore {
	struct vm *vm;
	const struct image *image; /* what is put: translated for this host */
	const struct restore_options *options;
	struct report *report;
	struct cpuid host_cpuid;	  /* what KVM supports here */
	uint64_t tsc_offset_moved;	  /* what was added to every vCPU's TSC offset */
	int64_t tsc_shift[VM_VCPUS_MAX];  /* by how much the guest's TSC differs from what was saved, in its ticks */
};

/* A step: a component at one of its stages, for all instances. */
struct restore_step {
	const struct component *component;
	enum stage stage;
};

#define RESTORE_STEPS_MAX (COMPONENTS_MAX * STAGES)

/* The steps of the table, in order; returns their number.  Tests exchange two of them to see what is lost. */
unsigned restore_plan(struct restore_step ret[RESTORE_STEPS_MAX]);

/*
 * Makes a machine from the image, whose RAM passes to it, and puts the state in by the steps of plan; NULL means
 * restore_plan()'s.  The machine is left paused, without threads.
 *
 * *report gets what was translated, refused, or read back otherwise than it was put.  Where it holds something bad, the
 * machine is freed and ERROR_DIFFERENT returned.  Other errors: the image cannot be made into a machine at all.
 */
int restore_image(struct image *image, int kvm_fd, const struct restore_options *options,
		  const struct restore_step *plan, unsigned nr_steps, const struct vm_ops *ops, void *ops_context,
		  struct report *report, struct vm **ret, struct error *err);

/*
 * Reports something that this host does not take.  allow_as is what the user would name to let it through (besides the
 * component's name); NULL: nothing can.
 */
void restore_finding(struct restore *restore, const struct component *component, unsigned instance,
		     const char *allow_as, struct finding *finding);

/* Did the user name it? */
bool restore_is_allowed(const struct restore_options *options, const char *name);
bool restore_is_left_out(const struct restore_options *options, const char *name);

#endif
