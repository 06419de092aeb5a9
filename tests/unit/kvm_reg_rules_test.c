#include "unit.h"

#include <errno.h>
#include <string.h>

#include "tests/model/kvm_model.h"
#include "vmm/kvm_reg_rules.h"

#define EFER      0xc0000080
#define RULES_MAX 64

/* What one run showed. */
struct run {
	struct kvm_reg_rule_result results[RULES_MAX];
	size_t nr;
	unsigned counts[KVM_REG_RULE_VERDICTS];
	unsigned nr_different; /* as kvm_reg_rules_run() says */
};

static void visit(const struct kvm_reg_rule_result *result, void *context)
{
	struct run *run = context;
	ck_assert_uint_lt(run->nr, RULES_MAX);
	/* Names and texts have room for so many characters, and one for their end. */
	ck_assert_msg(strlen(result->name) < 24 && result->text[strlen(result->text) - 1] == '.', "%s", result->text);
	run->results[run->nr++] = *result;
	run->counts[result->verdict]++;
}

static struct run run_on(struct kvm_model *model)
{
	struct run run = { 0 };
	int fd = kvm_model_open(model);
	run.nr_different = kvm_reg_rules_run(fd, fd, model->has_shstk, visit, &run);
	kvm_model_close(fd);
	ck_assert_uint_eq(run.nr_different, run.counts[KVM_REG_RULE_DIFFERENT]);
	return run;
}

static const struct kvm_reg_rule_result *find(const struct run *run, const char *name)
{
	for (size_t i = 0; i < run->nr; i++)
		if (strcmp(run->results[i].name, name) == 0)
			return &run->results[i];
	ck_abort_msg("no rule %s", name);
}

/* The registers of a model before and after: the rules leave them as they were. */
#define EFER_VALUE 0x501
#define SSP_VALUE  0x7fff00001000
#define MSRS()                                                                                                         \
	{                                                                                                              \
		{                                                                                                      \
			.index = EFER, .value = EFER_VALUE, .reserved = 1ull << 63                                     \
		}                                                                                                      \
	}

static void assert_untouched(const struct kvm_model *model)
{
	ck_assert_uint_eq(model->msrs[0].value, EFER_VALUE);
	ck_assert_uint_eq(model->ssp, SSP_VALUE);
	ck_assert(!model->private_ssp_was_used);
}

START_TEST(the_merged_form_is_as_documented)
{
	for (int has_shstk = 0; has_shstk <= 1; has_shstk++) {
		struct kvm_model_msr msrs[] = MSRS();
		struct kvm_model model = {
			.form = KVM_MODEL_MERGED, .has_shstk = has_shstk, .ssp = SSP_VALUE, .msrs = msrs, .nr_msrs = 1
		};
		struct run run = run_on(&model);
		ck_assert_uint_gt(run.nr, 30);
		ck_assert_uint_eq(run.counts[KVM_REG_RULE_DOCUMENTED] + run.counts[KVM_REG_RULE_SKIPPED], run.nr);
		ck_assert_int_eq(find(&run, "ssp-set")->verdict,
				 has_shstk ? KVM_REG_RULE_DOCUMENTED : KVM_REG_RULE_SKIPPED);
		ck_assert_int_eq(find(&run, "no-shstk-list")->verdict,
				 has_shstk ? KVM_REG_RULE_SKIPPED : KVM_REG_RULE_DOCUMENTED);
		assert_untouched(&model);
	}
}
END_TEST

START_TEST(the_proposal_is_as_v13)
{
	for (int has_shstk = 0; has_shstk <= 1; has_shstk++) {
		struct kvm_model_msr msrs[] = MSRS();
		struct kvm_model model = {
			.form = KVM_MODEL_V13, .has_shstk = has_shstk, .ssp = SSP_VALUE, .msrs = msrs, .nr_msrs = 1
		};
		struct run run = run_on(&model);
		for (size_t i = 0; i < run.nr; i++) {
			const struct kvm_reg_rule_result *result = &run.results[i];
			bool forms_agree = result->documented == result->v13;
			if (result->verdict != KVM_REG_RULE_SKIPPED)
				ck_assert_msg(result->verdict ==
						      (forms_agree ? KVM_REG_RULE_DOCUMENTED : KVM_REG_RULE_V13),
					      "%s: %s", result->name, kvm_reg_verdict_name(result->verdict));
		}
		ck_assert_int_gt(find(&run, "msr-refused-get")->found, 0);
		ck_assert_int_eq(find(&run, "list-address")->found, -EINVAL);
		assert_untouched(&model);
	}
}
END_TEST

START_TEST(a_kernel_without_one_reg_is_not_asked)
{
	struct kvm_model_msr msrs[] = MSRS();
	struct kvm_model model = { .form = KVM_MODEL_NONE, .ssp = SSP_VALUE, .msrs = msrs, .nr_msrs = 1 };
	struct run run = run_on(&model);
	ck_assert_uint_eq(run.counts[KVM_REG_RULE_NO_ONE_REG], run.nr);
	ck_assert_uint_eq(model.nr_calls, 1);
}
END_TEST

START_TEST(what_deviates_is_found_and_undone)
{
	/* A kernel that takes any value of EFER. */
	struct kvm_model_msr lax[] = { { .index = EFER, .value = EFER_VALUE } };
	struct kvm_model model = { .form = KVM_MODEL_MERGED, .ssp = SSP_VALUE, .msrs = lax, .nr_msrs = 1 };
	struct run run = run_on(&model);
	ck_assert_uint_eq(run.nr_different, 1);
	ck_assert_int_eq(find(&run, "value-refused")->verdict, KVM_REG_RULE_DIFFERENT);
	ck_assert_int_eq(find(&run, "value-refused")->found, 0);
	assert_untouched(&model);

	/* A kernel that knows every MSR number, as with the module parameter ignore_msrs. */
	struct kvm_model_msr all[] = { { .index = EFER, .value = EFER_VALUE, .reserved = 1ull << 63 },
				       { .index = 0xdeadbeef } };
	model = (struct kvm_model){ .form = KVM_MODEL_MERGED, .ssp = SSP_VALUE, .msrs = all, .nr_msrs = 2 };
	run = run_on(&model);
	ck_assert_int_eq(find(&run, "msr-refused-get")->found, 0);
	ck_assert_int_eq(find(&run, "msr-refused-set")->verdict, KVM_REG_RULE_DIFFERENT);
	ck_assert_int_eq(find(&run, "msr-first-get")->found, -EFAULT);
	ck_assert_uint_eq(run.nr_different, 3);
	ck_assert_uint_eq(all[1].value, 0);
	assert_untouched(&model);

	/* A kernel that says yes and drops the value. */
	struct kvm_model_msr dropped[] = { { .index = EFER, .value = EFER_VALUE, .is_dropped = true } };
	model = (struct kvm_model){ .form = KVM_MODEL_MERGED, .ssp = SSP_VALUE, .msrs = dropped, .nr_msrs = 1 };
	run = run_on(&model);
	ck_assert_uint_eq(run.nr_different, 1);
	ck_assert_str_eq(find(&run, "value-refused")->fault, "the value did not arrive");
}
END_TEST

START_TEST(a_right_answer_with_a_wrong_result_is_different)
{
	struct kvm_model_msr msrs[] = MSRS();
	struct kvm_model model = { .form = KVM_MODEL_MERGED,
				   .has_shstk = true,
				   .ssp = SSP_VALUE,
				   .msrs = msrs,
				   .nr_msrs = 1,
				   .one_reg_flips = 0x8 };
	struct run run = run_on(&model);
	ck_assert_int_eq(find(&run, "msr-get")->verdict, KVM_REG_RULE_DIFFERENT);
	ck_assert_ptr_nonnull(find(&run, "msr-get")->fault);

	static const uint64_t list[] = { 0x20300002c0000080 };
	model = (struct kvm_model){ .form = KVM_MODEL_MERGED,
				    .has_shstk = true,
				    .ssp = SSP_VALUE,
				    .msrs = msrs,
				    .nr_msrs = 1,
				    .list = list,
				    .nr_list = 1 };
	msrs[0].value = EFER_VALUE;
	run = run_on(&model);
	ck_assert_uint_eq(run.nr_different, 1);
	ck_assert_str_eq(find(&run, "ssp-list")->fault, "the list does not begin with SSP");
}
END_TEST

START_TEST(a_vcpu_with_the_wrong_shstk_shows)
{
	struct kvm_model_msr msrs[] = MSRS();
	struct kvm_model model = {
		.form = KVM_MODEL_MERGED, .has_shstk = false, .ssp = SSP_VALUE, .msrs = msrs, .nr_msrs = 1
	};
	struct run run = { 0 };
	int fd = kvm_model_open(&model);
	kvm_reg_rules_run(fd, fd, true, visit, &run);
	kvm_model_close(fd);
	ck_assert_int_eq(find(&run, "ssp-get")->verdict, KVM_REG_RULE_V13);
	ck_assert_int_eq(find(&run, "ssp-list")->verdict, KVM_REG_RULE_DIFFERENT);
	ck_assert_ptr_nonnull(find(&run, "ssp-list")->fault);
}
END_TEST

START_TEST(answers_read_as_people_say_them)
{
	static const struct {
		kvm_reg_answer answer;
		bool is_rule;
		const char *text;
	} rows[] = {
		{ 0, false, "0" },         { -EINVAL, false, "EINVAL" },
		{ -E2BIG, true, "E2BIG" }, { -9999, false, "errno 9999" },
		{ 2, false, "2" },         { 1, true, "a positive number" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[32];
		kvm_reg_answer_text(rows[i].answer, rows[i].is_rule, text, sizeof(text));
		ck_assert_str_eq(text, rows[i].text);
	}
}
END_TEST

UNIT_MAIN("kvm_reg_rules", the_merged_form_is_as_documented, the_proposal_is_as_v13,
	  a_kernel_without_one_reg_is_not_asked, what_deviates_is_found_and_undone,
	  a_right_answer_with_a_wrong_result_is_different, a_vcpu_with_the_wrong_shstk_shows,
	  answers_read_as_people_say_them)
