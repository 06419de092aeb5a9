/*
 * What the tests on real machines share: the built-in guests booted and run to a checkpoint, images taken with a RAM
 * of their own, machines made from them.  Whatever goes wrong there ends the test with its reason.
 */
#ifndef STASIS_TESTS_KVM_TEST_H
#define STASIS_TESTS_KVM_TEST_H

#include "tests/unit/unit.h"

#include "guest/guests.h"
#include "snapshot/compare.h"
#include "snapshot/image.h"
#include "snapshot/restore.h"
#include "vmm/boot.h"
#include "vmm/vm.h"

#define KVM_TEST_RAM     (8u << 20) /* enough for all guests */
#define KVM_TEST_WAIT_MS 60000
#define KVM_TEST_TIMEOUT 100 /* seconds, of one test */
#define KVM_TEST_SKIPPED 77  /* exit status of a test program; ctest's SKIP_RETURN_CODE */

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* A test, run loops times with _i = 0 to loops - 1. */
struct kvm_test {
	const TTest *test;
	size_t loops;
};

/* main(): where there is no KVM it says SKIPPED and why. */
int kvm_test_main(const char *name, const struct kvm_test *tests, size_t nr);

/* What is left out on this host, as a line of its own. */
void test_skipped(const char *what, const char *why);

struct machine_kind {
	const char *guest;
	uint32_t irqchip, nr_vcpus;
};

const char *irqchip_name(uint32_t irqchip);

/* A machine with a guest that has not run yet. */
struct vm *machine_boot(const struct machine_kind *kind);

/* As machine_boot(), with an image of the test's own. */
struct vm *machine_boot_image(const struct machine_kind *kind, struct bytes image, enum boot_kind boot);

/* As machine_boot(), with a command line for the guest. */
struct vm *machine_boot_line(const struct machine_kind *kind, const char *command_line);

/* What a machine that the test makes itself is given, so that the functions here take it: a console of its own. */
extern const struct vm_ops machine_vm_ops;
struct buffer *machine_console(void);

/* What a machine, which is paused, has printed. */
struct bytes machine_printed(const struct vm *vm);

/* Runs on to the next checkpoint, whose number it gives; false where the guest ended instead, which it must with 0. */
bool machine_run(struct vm *vm, uint32_t *ret_checkpoint);

/* Runs on to this checkpoint. */
void machine_run_to(struct vm *vm, uint32_t checkpoint);

/* Runs to the guest's end, which must be 0. */
void machine_run_to_exit(struct vm *vm);

/* A machine that was booted here or restored here. */
void machine_free(struct vm *vm);

/* The state of a paused machine with a copy of its RAM. */
void image_take(struct vm *vm, struct image *ret);

/* A copy with RAM of its own. */
void image_clone(const struct image *image, struct image *ret);

/* The payload of a component's instance, to be changed. */
uint8_t *image_payload(const struct image *image, const char *component, unsigned instance);

/* What the machine has of a component now. */
struct buffer component_take(struct vm *vm, const char *component, unsigned instance);

/*
 * A machine from a copy of the image, by plan or, where that is NULL, restore_plan()'s.  NULL where the restore found
 * something bad, which is in *report; the caller ends that with report_done().
 */
struct vm *image_restore(const struct image *image, const struct restore_step *plan, unsigned nr_steps,
			 struct report *report);

/* The same with options, as of the command line. */
struct vm *image_restore_with(const struct image *image, const struct restore_options *options,
			      const struct restore_step *plan, unsigned nr_steps, struct report *report);

/*
 * A restore of the image, under way in a machine that exists, so that components can be put one by one with
 * component_put().  Ended by restore_end().
 */
void restore_begin(struct vm *vm, const struct image *image, struct report *report, struct restore *ret);
void restore_end(struct restore *restore);

/* Puts a payload at the component's stages, one after the other.  What KVM refuses is in the restore's report. */
void component_put(struct restore *restore, const char *component, unsigned instance, struct bytes payload);

/* Prints the findings that are no volatile differences. */
void report_print(const struct report *report);

/* The finding of that name, such as "sregs" and "cr0"; name may leave out what is behind it in brackets.  NULL: none.
 */
const struct finding *report_find(const struct report *report, enum finding_kind kind, const char *component,
				  const char *name);

#endif
