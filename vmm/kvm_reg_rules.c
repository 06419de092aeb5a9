#include "kvm_reg_rules.h"

#include <errno.h>
#include <stdio.h>

#include "cold.h"
#include "kvm.h"
#include "kvm_reg.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* An address in the kernel's half: no user memory is ever there, so reading or writing it fails with EFAULT. */
#define BAD_ADDRESS (UINT64_MAX - 0xfff)

#define LIST_ROOM 4
#define POSITIVE  1

/* A register that every vCPU has and that keeps any allowed value; and an MSR number that no CPU has. */
#define EFER   KVM_X86_REG_MSR(0xc0000080)
#define NO_MSR KVM_X86_REG_MSR(0xdeadbeef)
#define SSP    KVM_X86_REG_SYNTHETIC_MSR(KVM_REG_GUEST_SSP)

#define EFER_RESERVED_BIT (1ull << 63)
/* Flipped in a canonical address, bit 62 makes it non-canonical with 48 and with 57 bits. */
#define NON_CANONICAL_BIT (1ull << 62)

enum needs { ANY, WITH_SHSTK, WITHOUT_SHSTK };
enum request { GET, SET, LIST };

/*
 * One rule: a request and the answers to it.  With a field, the request is repeated for each value of that field of the
 * id from 0 up which is not between skip_first and skip_last; with is_bits, for each bit of the field set alone.
 * A write gives the register its own value with the bits of flip inverted.
 */
static const struct rule {
	char name[24], text[104];
	uint64_t id, flip;
	struct {
		uint8_t low, width, skip_first, skip_last;
		bool is_bits;
	} field;
	uint8_t needs, request; /* enum needs, enum request */
	bool bad_structure, bad_value;
	uint8_t room, listed; /* LIST: n before and after */
	kvm_reg_answer documented, v13;
} rules[] COLD = {
/* clang-format off */
#define ARCHITECTURE .field = { 56, 8, KVM_REG_X86 >> 56, KVM_REG_X86 >> 56, false }
#define RESERVED .field = { 40, 12, 0, 0, true }
#define TYPE .field = { 32, 8, KVM_X86_REG_TYPE_MSR, KVM_X86_REG_TYPE_KVM, false }
#define SIZE .field = { 52, 4, 3, 3, false }
#define ALWAYS(answer) .documented = (answer), .v13 = (answer)
#define ANSWERS(merged, proposed) .documented = (merged), .v13 = (proposed)

	/* The id. */
	{ "structure-get", "GET: a structure that cannot be read is EFAULT.",
	  .request = GET, .id = EFER, .bad_structure = true, ALWAYS(-EFAULT) },
	{ "structure-set", "SET: a structure that cannot be read is EFAULT.",
	  .request = SET, .id = EFER, .bad_structure = true, ALWAYS(-EFAULT) },
	{ "architecture", "An id whose architecture (bits 63:56) is not x86 is EINVAL.",
	  .request = GET, .id = EFER, ARCHITECTURE, ALWAYS(-EINVAL) },
	{ "reserved-bits", "An id with any one of the reserved bits 51:40 set is EINVAL.",
	  .request = GET, .id = EFER, RESERVED, ALWAYS(-EINVAL) },
	{ "type", "An id whose type (bits 39:32) is neither 2, an MSR, nor 3, synthetic, is EINVAL.",
	  .request = GET, .id = EFER, TYPE, ALWAYS(-EINVAL) },
	{ "size", "An MSR's id whose size (bits 55:52) is not 8 bytes is EINVAL.",
	  .request = GET, .id = EFER, SIZE, ALWAYS(-EINVAL) },
	{ "synthetic-size", "A synthetic register's id whose size is not 8 bytes is EINVAL.",
	  .request = GET, .id = SSP, SIZE, ALWAYS(-EINVAL) },
	{ "synthetic-index", "A synthetic register that the kernel does not know (asked: one bit of 31:8 set) is EINVAL.",
	  .request = GET, .id = SSP, .field = { 8, 24, 0, 0, true }, ALWAYS(-EINVAL) },

	/* MSRs. */
	{ "msr-get", "GET of an MSR is 0, and the value is the one that KVM_GET_MSRS gives.",
	  .request = GET, .id = EFER, ALWAYS(0) },
	{ "msr-set", "SET of an MSR to its own value is 0, and the value stays.",
	  .request = SET, .id = EFER, ALWAYS(0) },
	{ "msr-refused-get", "GET of an MSR that does not exist is EINVAL.",
	  .request = GET, .id = NO_MSR, ANSWERS(-EINVAL, POSITIVE) },
	{ "msr-refused-set", "SET of an MSR that does not exist is EINVAL.",
	  .request = SET, .id = NO_MSR, .flip = 1, ANSWERS(-EINVAL, POSITIVE) },
	{ "value-refused", "SET of an MSR to a value with a reserved bit (EFER, bit 63) is EINVAL, and the old value stays.",
	  .request = SET, .id = EFER, .flip = EFER_RESERVED_BIT, ANSWERS(-EINVAL, POSITIVE) },
	{ "address-get", "GET to an address that cannot be written is EFAULT.",
	  .request = GET, .id = EFER, .bad_value = true, ALWAYS(-EFAULT) },
	{ "address-set", "SET from an address that cannot be read is EFAULT.",
	  .request = SET, .id = EFER, .bad_value = true, ALWAYS(-EFAULT) },

	/* The order of the checks: requests with two faults. */
	{ "architecture-first", "SET: a wrong architecture is refused before the value's address is used: EINVAL.",
	  .request = SET, .id = EFER, ARCHITECTURE, .bad_value = true, ALWAYS(-EINVAL) },
	{ "reserved-first", "SET: reserved bits are refused before the value's address is used: EINVAL.",
	  .request = SET, .id = EFER, RESERVED, .bad_value = true, ALWAYS(-EINVAL) },
	{ "type-first", "SET: a wrong type is refused before the value's address is used: EINVAL.",
	  .request = SET, .id = EFER, TYPE, .bad_value = true, ALWAYS(-EINVAL) },
	{ "size-first", "SET: a wrong size is refused before the value's address is used: EINVAL.",
	  .request = SET, .id = EFER, SIZE, .bad_value = true, ALWAYS(-EINVAL) },
	{ "msr-first-get", "GET: a refused MSR is found before the value's address is used: EINVAL.",
	  .request = GET, .id = NO_MSR, .bad_value = true, ANSWERS(-EINVAL, POSITIVE) },
	{ "address-first-set", "SET: an address that cannot be read is found before the MSR is refused: EFAULT.",
	  .request = SET, .id = NO_MSR, .bad_value = true, ALWAYS(-EFAULT) },

	/* The shadow stack pointer, on a vCPU without shadow stacks. */
	{ "no-shstk-get", "GET of SSP without SHSTK in the vCPU's CPUID is EINVAL.",
	  .needs = WITHOUT_SHSTK, .request = GET, .id = SSP, ALWAYS(-EINVAL) },
	{ "no-shstk-set", "SET of SSP without SHSTK in the vCPU's CPUID is EINVAL.",
	  .needs = WITHOUT_SHSTK, .request = SET, .id = SSP, ALWAYS(-EINVAL) },
	{ "no-shstk-first", "SET: SSP without SHSTK is refused before the value's address is used: EINVAL.",
	  .needs = WITHOUT_SHSTK, .request = SET, .id = SSP, .bad_value = true, ALWAYS(-EINVAL) },
	{ "no-shstk-list", "KVM_GET_REG_LIST without SHSTK is 0, and n becomes 0.",
	  .needs = WITHOUT_SHSTK, .request = LIST, .room = LIST_ROOM, .listed = 0, ANSWERS(0, -EINVAL) },
	{ "no-shstk-list-empty", "KVM_GET_REG_LIST without SHSTK and with n = 0 is 0, and n stays 0.",
	  .needs = WITHOUT_SHSTK, .request = LIST, .room = 0, .listed = 0, ANSWERS(0, -EINVAL) },

	/* And on one with them. */
	{ "ssp-get", "GET of SSP with SHSTK is 0.",
	  .needs = WITH_SHSTK, .request = GET, .id = SSP, ANSWERS(0, -EINVAL) },
	{ "ssp-set", "SET of SSP to a canonical address that is a multiple of 4 is 0, and the value arrives.",
	  .needs = WITH_SHSTK, .request = SET, .id = SSP, .flip = 0x1004, ANSWERS(0, -EINVAL) },
	{ "ssp-non-canonical", "SET of SSP to a non-canonical address is EINVAL, and the old value stays.",
	  .needs = WITH_SHSTK, .request = SET, .id = SSP, .flip = NON_CANONICAL_BIT, ALWAYS(-EINVAL) },
	{ "ssp-misaligned", "SET of SSP to an address that is no multiple of 4 is EINVAL, and the old value stays.",
	  .needs = WITH_SHSTK, .request = SET, .id = SSP, .flip = 2, ALWAYS(-EINVAL) },
	{ "ssp-address-get", "GET of SSP to an address that cannot be written is EFAULT.",
	  .needs = WITH_SHSTK, .request = GET, .id = SSP, .bad_value = true, ANSWERS(-EFAULT, -EINVAL) },
	{ "ssp-address-set", "SET of SSP from an address that cannot be read is EFAULT.",
	  .needs = WITH_SHSTK, .request = SET, .id = SSP, .bad_value = true, ANSWERS(-EFAULT, -EINVAL) },
	{ "ssp-list", "KVM_GET_REG_LIST with SHSTK is 0, n becomes 1, and the list is SSP.",
	  .needs = WITH_SHSTK, .request = LIST, .room = LIST_ROOM, .listed = 1, ANSWERS(0, -EINVAL) },
	{ "ssp-list-small", "KVM_GET_REG_LIST with SHSTK and with n = 0 is E2BIG, and n becomes 1.",
	  .needs = WITH_SHSTK, .request = LIST, .room = 0, .listed = 1, ANSWERS(-E2BIG, -EINVAL) },

	{ "list-address", "KVM_GET_REG_LIST with an address that cannot be read is EFAULT.",
	  .request = LIST, .bad_structure = true, ANSWERS(-EFAULT, -EINVAL) },
#undef ARCHITECTURE
#undef RESERVED
#undef TYPE
#undef SIZE
#undef ALWAYS
#undef ANSWERS
	/* clang-format on */
};

static const char *const verdict_names[KVM_REG_RULE_VERDICTS] = {
	[KVM_REG_RULE_DOCUMENTED] = "as documented", [KVM_REG_RULE_V13] = "as v13",
	[KVM_REG_RULE_DIFFERENT] = "different",      [KVM_REG_RULE_SKIPPED] = "does not apply",
	[KVM_REG_RULE_NO_ONE_REG] = "no ONE_REG",
};

const char *kvm_reg_verdict_name(enum kvm_reg_verdict verdict)
{
	return verdict_names[verdict];
}

void kvm_reg_answer_text(kvm_reg_answer answer, bool is_rule, char *ret, size_t size)
{
	static const struct {
		int value;
		const char *name;
	} names[] = { { EINVAL, "EINVAL" }, { EFAULT, "EFAULT" }, { E2BIG, "E2BIG" }, { ENOTTY, "ENOTTY" } };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (answer == -names[i].value) {
			snprintf(ret, size, "%s", names[i].name);
			return;
		}
	}
	if (answer < 0)
		snprintf(ret, size, "errno %d", -answer);
	else if (answer > 0 && is_rule)
		snprintf(ret, size, "a positive number");
	else
		snprintf(ret, size, "%d", answer);
}

static bool is_expected(kvm_reg_answer expected, kvm_reg_answer found)
{
	return expected > 0 ? found > 0 : found == expected;
}

static kvm_reg_answer answer_of(int result)
{
	return result < 0 ? -errno : result;
}

static void *structure_address(const struct rule *rule, void *structure)
{
	return rule->bad_structure ? (void *)(uintptr_t)BAD_ADDRESS : structure;
}

static kvm_reg_answer ask_one(const struct rule *rule, int vcpu_fd, uint64_t id, uint64_t *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = rule->bad_value ? BAD_ADDRESS : (uintptr_t)value };
	struct kvm_one_reg *argument = structure_address(rule, &reg);
	return answer_of(rule->request == GET ? kvm_call(vcpu_fd, KVM_GET_ONE_REG, argument)
					      : kvm_call(vcpu_fd, KVM_SET_ONE_REG, argument));
}

/* Puts one request to the vCPU: fills in found, and fault where the answer is right and the outcome is not. */
typedef void request_fn(const struct rule *rule, int vcpu_fd, uint64_t id, struct kvm_reg_rule_result *result);

static void try_get(const struct rule *rule, int vcpu_fd, uint64_t id, struct kvm_reg_rule_result *result)
{
	uint64_t value = UINT64_MAX, other;
	result->found = ask_one(rule, vcpu_fd, id, &value);
	if (result->found == 0 && kvm_reg_get(vcpu_fd, KVM_REG_ACCESS_MSRS, id, &other) == 0 && value != other)
		result->fault = "the value is not the one that KVM_GET_MSRS gives";
}

static void try_set(const struct rule *rule, int vcpu_fd, uint64_t id, struct kvm_reg_rule_result *result)
{
	uint64_t old = 0, now;
	bool is_readable = kvm_reg_get(vcpu_fd, KVM_REG_ACCESS_ONE_REG, id, &old) == 0;
	uint64_t value = old ^ rule->flip;
	result->found = ask_one(rule, vcpu_fd, id, &value);
	if (!is_readable)
		return;
	if (kvm_reg_get(vcpu_fd, KVM_REG_ACCESS_ONE_REG, id, &now) < 0 || now != (result->found == 0 ? value : old))
		result->fault = result->found == 0 ? "the value did not arrive" : "a refused value arrived";
	if (rule->flip != 0 && kvm_reg_set(vcpu_fd, KVM_REG_ACCESS_ONE_REG, id, old) < 0)
		result->fault = "the old value could not be put back";
}

static void try_list(const struct rule *rule, int vcpu_fd, uint64_t id, struct kvm_reg_rule_result *result)
{
	(void)id;
	struct {
		uint64_t nr, ids[LIST_ROOM];
	} list = { .nr = rule->room };
	result->found = answer_of(kvm_call_sized(vcpu_fd, KVM_GET_REG_LIST, structure_address(rule, &list)));
	if (rule->bad_structure || (result->found != 0 && result->found != -E2BIG))
		return;
	if (list.nr != rule->listed)
		result->fault = "n is wrong afterwards";
	else if (result->found == 0 && rule->listed > 0 && list.ids[0] != SSP)
		result->fault = "the list does not begin with SSP";
}

/* How many requests a rule is; ids from request_id(), which says false for one that is left out. */
static unsigned nr_requests(const struct rule *rule)
{
	return rule->field.is_bits ? rule->field.width : 1u << rule->field.width;
}

static bool request_id(const struct rule *rule, unsigned i, uint64_t *ret_id)
{
	*ret_id = rule->id;
	if (rule->field.width == 0)
		return true;
	if (rule->field.is_bits) {
		*ret_id |= 1ull << (rule->field.low + i);
		return true;
	}
	uint64_t mask = ((1ull << rule->field.width) - 1) << rule->field.low;
	*ret_id = (rule->id & ~mask) | (uint64_t)i << rule->field.low;
	return i < rule->field.skip_first || i > rule->field.skip_last;
}

static void try_rule(const struct rule *rule, int vcpu_fd, struct kvm_reg_rule_result *result)
{
	static request_fn *const tries[] = { [GET] = try_get, [SET] = try_set, [LIST] = try_list };
	for (unsigned i = 0; i < nr_requests(rule) && result->verdict == KVM_REG_RULE_DOCUMENTED; i++) {
		uint64_t id;
		if (!request_id(rule, i, &id))
			continue;
		result->id = id;
		tries[rule->request](rule, vcpu_fd, id, result);
		if (result->fault != NULL)
			result->verdict = KVM_REG_RULE_DIFFERENT;
		else if (!is_expected(rule->documented, result->found))
			result->verdict =
				is_expected(rule->v13, result->found) ? KVM_REG_RULE_V13 : KVM_REG_RULE_DIFFERENT;
	}
}

unsigned kvm_reg_rules_run(int kvm_fd, int vcpu_fd, bool has_shstk,
			   void (*visit)(const struct kvm_reg_rule_result *result, void *context), void *context)
{
	unsigned nr_different = 0;
	bool has_one_reg = kvm_reg_has_one_reg(kvm_fd);
	cold_unpack();
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct rule *rule = &rules[i];
		struct kvm_reg_rule_result result = {
			.name = rule->name,
			.text = rule->text,
			.verdict = KVM_REG_RULE_DOCUMENTED,
			.documented = rule->documented,
			.v13 = rule->v13,
			.id = rule->id,
		};
		if (!has_one_reg)
			result.verdict = KVM_REG_RULE_NO_ONE_REG;
		else if (rule->needs == (has_shstk ? WITHOUT_SHSTK : WITH_SHSTK))
			result.verdict = KVM_REG_RULE_SKIPPED;
		else
			try_rule(rule, vcpu_fd, &result);
		if (result.verdict == KVM_REG_RULE_DIFFERENT)
			nr_different++;
		visit(&result, context);
	}
	return nr_different;
}
