/*
 * What ONE_REG on x86 promises, as a table of rules that can be put to any vCPU: to a real one it shows what this
 * kernel does, to a model of the kernel that model and rules agree.
 *
 * Two forms of the interface are known: the merged one (Linux 6.18 and later), which is documented, and the first
 * patch of its last proposal (v13), which returned a positive number for a refused MSR, had no synthetic register yet
 * and no KVM_GET_REG_LIST.
 */
#ifndef STASIS_VMM_KVM_REG_RULES_H
#define STASIS_VMM_KVM_REG_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kvm_reg_verdict {
	KVM_REG_RULE_DOCUMENTED, /* the kernel does what the merged form does */
	KVM_REG_RULE_V13,        /* it does what v13 did, where that is something else */
	KVM_REG_RULE_DIFFERENT,  /* it does neither */
	KVM_REG_RULE_SKIPPED,    /* the rule is about vCPUs with shadow stacks and this one has none, or the reverse */
	KVM_REG_RULE_NO_ONE_REG, /* the kernel has no KVM_CAP_ONE_REG: nothing was asked */
	KVM_REG_RULE_VERDICTS
};

/*
 * What the kernel answered to one request: 0, a positive number, or a negative errno.
 * An expected positive number stands for any.
 */
typedef int kvm_reg_answer;

struct kvm_reg_rule_result {
	const char *name; /* "reserved-bits" */
	const char *text; /* the rule, one sentence */
	enum kvm_reg_verdict verdict;
	kvm_reg_answer documented, v13; /* what the two forms answer */
	/* Of the first request that was not answered as documented, else of the last; 0 where nothing was asked. */
	kvm_reg_answer found;
	uint64_t id;       /* that request's register; 0: a list */
	const char *fault; /* what was wrong although the answer was right; NULL: nothing */
};

/* "as documented", "as v13", ... */
const char *kvm_reg_verdict_name(enum kvm_reg_verdict verdict);

/* Writes an answer as people say it: "0", "EINVAL", "errno 5", "2"; a rule's positive number reads "a positive number".
 */
void kvm_reg_answer_text(kvm_reg_answer answer, bool is_rule, char *ret, size_t size);

/*
 * Puts every rule to a vCPU, in order, and calls visit with each result; returns how many were DIFFERENT.
 * kvm_fd is /dev/kvm or a VM.  has_shstk: the vCPU's CPUID has shadow stacks, and KVM supports them here.
 * Registers that a rule writes have their old values afterwards.
 */
unsigned kvm_reg_rules_run(int kvm_fd, int vcpu_fd, bool has_shstk,
			   void (*visit)(const struct kvm_reg_rule_result *result, void *context), void *context);

#endif
