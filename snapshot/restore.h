/*
 * From an image to a machine: translate, put, read back, compare.  Nothing that the kernel accepted is believed before
 * it was read back; everything that this host cannot take is told at once, by name.
 */
#ifndef STASIS_SNAPSHOT_RESTORE_H
#define STASIS_SNAPSHOT_RESTORE_H

#include "restoring.h"
#include "vmm/cpuid_query.h"

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

/* What can be begun before it is known what is restored. */
struct restore_base {
	struct cpuid_query *query; /* started; it may still run when a restore fails */
	int vm_fd;                 /* an empty VM, which becomes the machine's, or is closed; -1: there is none yet */
};

/*
 * restore_image() in two steps, from what was begun before: a machine without state around *memory, which passes to it,
 * and the state, once it is known.  Between the two nobody uses the machine but for its memory.  query must have been
 * the base's.
 */
int restore_make(struct vm **ret, const struct restore_base *base, const struct restore_options *options,
		 const struct machine *machine, struct memory *memory, const struct vm_ops *ops, void *ops_context,
		 struct error *err);
int restore_into(struct vm *vm, const struct cpuid_query *query, struct image *image,
		 const struct restore_options *options, const struct restore_step *plan, unsigned nr_steps,
		 struct report *report, struct error *err);

/* Both at once. */
int restore_image_with(const struct restore_base *base, struct image *image, const struct restore_options *options,
		       const struct restore_step *plan, unsigned nr_steps, const struct vm_ops *ops, void *ops_context,
		       struct report *report, struct vm **ret, struct error *err);

#endif
