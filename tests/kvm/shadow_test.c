/*
 * What a host without shadow stacks says to a snapshot with them.
 */
#include "kvm_test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "snapshot/state.h"
#include "tests/unit/cpuid_named.h"

#define CR4_CET   (1ull << 23) /* SDM volume 3, 2.5 */
#define GUEST_SSP KVM_X86_REG_SYNTHETIC_MSR(KVM_REG_GUEST_SSP)

static const struct machine_kind kind = { .guest = "shadow", .irqchip = IRQCHIP_SPLIT, .nr_vcpus = 1 };

/* An image from this host, which has no shadow stacks; false, and said so, where it has. */
static bool take(struct image *ret, const char *test)
{
	uint32_t at = 0;
	struct vm *vm = machine_boot(&kind);
	bool has_cet = has_named(&vm->vcpus[0].cpuid, "SHSTK") || has_named(&vm->vcpus[0].cpuid, "IBT");
	if (has_cet) {
		test_skipped(test, "this host has CET");
	} else {
		ck_assert(machine_run(vm, &at));
		ck_assert_uint_eq(at, 0);
		image_take(vm, ret);
	}
	machine_free(vm);
	return !has_cet;
}

/* A restore of the image with options; was a machine made? */
static bool is_taken(struct image *image, const struct restore_options *options, struct report *report)
{
	static const struct vm_ops ops;
	struct image copy;
	struct vm *vm = NULL;
	struct error err;
	int kvm_fd = kvm_open(&err);
	image_clone(image, &copy);
	int status = restore_image(&copy, kvm_fd, options, NULL, 0, &ops, NULL, report, &vm, &err);
	ck_assert_msg(status == 0 || status == -ERROR_DIFFERENT, "%s", err.text);
	image_done(&copy);
	vm_free(vm);
	close(kvm_fd);
	return status == 0;
}

START_TEST(cr4_cet_is_refused_by_name_whatever_is_allowed)
{
	static const struct restore_options options[] = {
		{ .nr_allow = 0 },
		{ .allow = { "sregs", "cr4", "CR4.CET", "CET", "sregs-cr4" }, .nr_allow = 5 },
	};
	struct image image;
	struct kvm_sregs2 sregs;
	if (!take(&image, "CR4.CET"))
		return;
	memcpy(&sregs, image_payload(&image, "sregs", 0), sizeof(sregs));
	uint64_t without = sregs.cr4;
	sregs.cr4 |= CR4_CET;
	sregs.cr0 |= 1u << 16; /* WP, without which no CPU takes CR4.CET */
	memcpy(image_payload(&image, "sregs", 0), &sregs, sizeof(sregs));
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		struct report report = { 0 };
		char left[32], right[32];
		ck_assert(!is_taken(&image, &options[i], &report));
		const struct finding *finding = report_find(&report, FINDING_REFUSED, "sregs", "cr4");
		ck_assert_ptr_nonnull(finding);
		snprintf(left, sizeof(left), "0x%llx", sregs.cr4);
		snprintf(right, sizeof(right), "0x%llx", (unsigned long long)without);
		ck_assert_str_eq(finding->left, left);
		ck_assert_str_eq(finding->right, right);
		ck_assert_str_eq(finding->detail, "KVM refuses CR4's CET, and no --allow lets it through");
		/* The rest was put all the same: it is not told in a line for each field. */
		ck_assert_uint_eq(report_bad(&report), 1);
		report_done(&report);
	}
	image_done(&image);
}
END_TEST

START_TEST(a_synthetic_register_is_refused_even_at_its_reset_value)
{
	static const struct restore_options none, allowed = { .allow = { "GUEST_SSP" }, .nr_allow = 1 };
	const struct kvm_reg_value ssp = { .id = GUEST_SSP, .value = 0 };
	struct report report = { 0 };
	struct image image;
	if (!take(&image, "GUEST_SSP"))
		return;
	for (size_t i = 0; i < image.nr_sections; i++)
		if (strcmp(image.sections[i].component->name, "registers") == 0)
			ck_assert_ptr_nonnull(buffer_append(&image.sections[i].payload, &ssp, sizeof(ssp)));
	ck_assert(!is_taken(&image, &none, &report));
	ck_assert_ptr_nonnull(report_find(&report, FINDING_REFUSED, "synthetic", "GUEST_SSP"));
	ck_assert_uint_eq(report_bad(&report), 1);
	report_done(&report);
	ck_assert(is_taken(&image, &allowed, &report));
	ck_assert_ptr_nonnull(report_find(&report, FINDING_ALLOWED, "synthetic", "GUEST_SSP"));
	report_done(&report);
	image_done(&image);
}
END_TEST

int main(void)
{
	const struct kvm_test tests[] = {
		{ cr4_cet_is_refused_by_name_whatever_is_allowed, 1 },
		{ a_synthetic_register_is_refused_even_at_its_reset_value, 1 },
	};
	return kvm_test_main("shadow", tests, ARRAY_SIZE(tests));
}
