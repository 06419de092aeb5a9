#include "state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "components.h"
#include "registers.h"
#include "restoring.h"

#define MSR_TSC KVM_X86_REG_MSR(0x10)

/* One entry of the list of registers: values are decoded by the id, not by a field. */
#define TYPE struct kvm_reg_value

static const struct field reg_value_fields[] = { FIELD(TYPE, id), FIELD(TYPE, value) };

const struct schema reg_value_schema = SCHEMA("reg_value", sizeof(TYPE), reg_value_fields);

/* ---- Saving and restoring ---- */

/* MSRs were asked for where the kernel has ONE_REG: what only that carries would be lost. */
static int expect_no_synthetic_value(const struct vm *vm, unsigned instance, struct error *err)
{
	int fd = vm->vcpus[instance].fd;
	uint64_t *ids, value;
	size_t nr;
	int status = kvm_reg_list_synthetic(fd, &ids, &nr, err);
	if (status < 0)
		return status;
	for (size_t i = 0; i < nr && status == 0; i++) {
		char name[KVM_REG_NAME_MAX];
		if (kvm_reg_get(fd, KVM_REG_ACCESS_ONE_REG, ids[i], &value) != 0 || value == 0)
			continue;
		kvm_reg_name(ids[i], name);
		status = error_set(err, ERROR_USAGE, "%s holds 0x%" PRIx64 ", which only ONE_REG can carry, not MSRs",
				   name, value);
	}
	free(ids);
	return status;
}

/*
 * What a vCPU's registers were when they were saved last, and whether they still are: KVM_GET_MSRS tells it of all of
 * them at once, in a hundredth of what ONE_REG takes one by one.
 */
struct saved_registers {
	const struct kvm_reg_value *regs;
	size_t nr, at;
	bool is_same[COMPONENT_ENTRIES_MAX];
};

static int hold_against_saved(const struct vm *vm, unsigned instance, struct saved_registers *ret, struct error *err)
{
	const struct vcpu *vcpu = &vm->vcpus[instance];
	struct kvm_reg_value now[COMPONENT_ENTRIES_MAX];
	*ret = (struct saved_registers){ .regs = vcpu->saved_regs };
	if (vm->reg_access != KVM_REG_ACCESS_ONE_REG || vcpu->nr_saved_regs == 0)
		return 0;
	ret->nr = vcpu->nr_saved_regs;
	memcpy(now, vcpu->saved_regs, ret->nr * sizeof(now[0]));
	int status = kvm_reg_get_many(vcpu->fd, now, ret->nr, ret->is_same, err);
	for (size_t i = 0; i < ret->nr && status == 0; i++)
		ret->is_same[i] = ret->is_same[i] && now[i].value == vcpu->saved_regs[i].value;
	return status;
}

/* Is the register what it was?  They are asked for by ascending ids. */
static bool is_as_saved(struct saved_registers *saved, uint64_t id, uint64_t *ret_value)
{
	while (saved->at < saved->nr && saved->regs[saved->at].id < id)
		saved->at++;
	if (saved->at == saved->nr || saved->regs[saved->at].id != id || !saved->is_same[saved->at])
		return false;
	*ret_value = saved->regs[saved->at].value;
	return true;
}

/* Not finding room costs time, the next time, and nothing else. */
static void keep_saved(struct vcpu *vcpu, const struct buffer *regs)
{
	size_t nr = regs->size / sizeof(vcpu->saved_regs[0]);
	struct kvm_reg_value *copy = nr <= COMPONENT_ENTRIES_MAX ? malloc(regs->size) : NULL;
	if (copy != NULL)
		memcpy(copy, regs->data, regs->size);
	free(vcpu->saved_regs);
	vcpu->saved_regs = copy;
	vcpu->nr_saved_regs = copy != NULL ? nr : 0;
}

/* Registers that this vCPU's CPUID or this kernel does not give it are refused, and no state. */
static int save_registers(struct vm *vm, unsigned instance, struct buffer *ret, struct error *err)
{
	struct saved_registers saved;
	uint64_t *ids = NULL;
	size_t nr = 0;
	int status = hold_against_saved(vm, instance, &saved, err);
	if (status == 0 && vm->reg_access == KVM_REG_ACCESS_MSRS)
		status = expect_no_synthetic_value(vm, instance, err);
	if (status == 0)
		status = registers_list(vm, instance, UINT8_MAX, &ids, &nr, err);
	if (status < 0)
		return status;
	for (size_t i = 0; i < nr && status == 0; i++) {
		struct kvm_reg_value reg = { .id = ids[i] };
		if (!is_as_saved(&saved, reg.id, &reg.value) &&
		    kvm_reg_get(vm->vcpus[instance].fd, vm->reg_access, reg.id, &reg.value) != 0)
			continue;
		status = component_append(ret, &reg, sizeof(reg), err);
	}
	free(ids);
	if (status == 0 && vm->reg_access == KVM_REG_ACCESS_ONE_REG)
		keep_saved(&vm->vcpus[instance], ret);
	return status;
}

/*
 * Those that the machine was restored with, or the others.  Both ids and they are in ascending order.  Returns how many
 * there are.
 */
static size_t pick(const struct vm *vm, const uint64_t *ids, size_t nr, bool restored, struct kvm_reg_value *ret)
{
	size_t picked = 0, at = 0;
	for (size_t i = 0; i < nr; i++) {
		while (at < vm->nr_restored_regs && vm->restored_regs[at] < ids[i])
			at++;
		if ((at < vm->nr_restored_regs && vm->restored_regs[at] == ids[i]) == restored)
			ret[picked++].id = ids[i];
	}
	return picked;
}

/* For comparing, KVM_GET_MSRS reads them all at once: a hundredth of the cost of ONE_REG one by one. */
static int read_back_registers(struct vm *vm, unsigned instance, uint8_t stages, struct buffer *ret, struct error *err)
{
	bool ok[COMPONENT_ENTRIES_MAX];
	uint64_t *ids;
	size_t nr, kept = 0;
	int status = registers_list(vm, instance, stages, &ids, &nr, err);
	if (status < 0)
		return status;
	if (nr > COMPONENT_ENTRIES_MAX)
		nr = COMPONENT_ENTRIES_MAX;
	struct kvm_reg_value *regs = buffer_append(ret, NULL, nr * sizeof(*regs));
	if (regs != NULL) { /* what may be refused comes last: KVM_GET_MSRS ends there, and another call is needed */
		size_t restored = pick(vm, ids, nr, true, regs);
		pick(vm, ids, nr, false, regs + restored);
	}
	free(ids);
	if (regs == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory");
	status = kvm_reg_get_many(vm->vcpus[instance].fd, regs, nr, ok, err);
	for (size_t i = 0; i < nr && status == 0; i++)
		if (ok[i])
			regs[kept++] = regs[i];
	ret->size = kept * sizeof(*regs);
	return status;
}

static int validate_registers(const struct machine *machine, unsigned instance, struct bytes payload, struct error *err)
{
	(void)machine;
	(void)instance;
	for (size_t at = 0; at < payload.size; at += sizeof(struct kvm_reg_value)) {
		struct kvm_reg_value reg;
		memcpy(&reg, payload.data + at, sizeof(reg));
		if (!kvm_reg_is_msr(reg.id) && !kvm_reg_is_synthetic(reg.id))
			return error_set(err, ERROR_DATA,
					 "id 0x%" PRIx64 " is neither an MSR's nor a synthetic register's", reg.id);
		const char *why = register_exclusion(reg.id);
		if (why != NULL)
			return error_set(err, ERROR_DATA, "id 0x%" PRIx64 " does not belong there: %s", reg.id, why);
	}
	return 0;
}

static void describe_register(const void *entry, struct entry_description *ret)
{
	const struct kvm_reg_value *reg = entry;
	const struct kvm_reg_info *info = kvm_reg_info(reg->id);
	const struct register_rule *rule = register_rule(reg->id);
	char name[KVM_REG_NAME_MAX];
	kvm_reg_name(reg->id, name);
	if (kvm_reg_is_msr(reg->id))
		snprintf(ret->name, sizeof(ret->name), "%s (0x%x)", name, kvm_reg_index(reg->id));
	else
		snprintf(ret->name, sizeof(ret->name), "%s (0x%" PRIx64 ")", name, reg->id);
	snprintf(ret->component, sizeof(ret->component), "%s", kvm_reg_is_msr(reg->id) ? "msr" : "synthetic");
	ret->bits = info != NULL ? info->bits : NULL;
	ret->rule = rule->rule;
	ret->why = rule->why;
}

/* A new vCPU has nothing armed: what is not armed is no other register than the rest. */
static enum stage stage_of_register(const void *entry)
{
	const struct kvm_reg_value *reg = entry;
	return reg->value != 0 ? register_rule(reg->id)->stage : STAGE_VCPU;
}

static struct finding register_finding(enum finding_kind kind, unsigned instance, const struct kvm_reg_value *reg,
				       const char *found, const char *why)
{
	struct entry_description described = { 0 };
	struct finding finding = { .kind = kind };
	describe_register(reg, &described);
	component_where(component_by_name("registers"), instance, finding.where, sizeof(finding.where));
	snprintf(finding.component, sizeof(finding.component), "%s", described.component);
	snprintf(finding.name, sizeof(finding.name), "%s", described.name);
	snprintf(finding.left, sizeof(finding.left), "0x%" PRIx64, reg->value);
	snprintf(finding.right, sizeof(finding.right), "%s", found);
	snprintf(finding.detail, sizeof(finding.detail), "%s", why);
	return finding;
}

/*
 * Why nothing is lost with a register that this host does not have; NULL: something is.  A synthetic register is always
 * a loss: that a vCPU has it is itself something that the guest can find out.
 */
static const char *why_dispensable(unsigned instance, const struct kvm_reg_value *reg)
{
	const struct kvm_reg_info *info = kvm_reg_info(reg->id);
	const struct register_rule *rule = register_rule(reg->id);
	uint64_t reset = info != NULL ? info->reset : 0;
	if (info != NULL && info->reset_is_vcpu)
		reset = instance;
	if (rule->rule == FIELD_VOLATILE)
		return rule->why;
	return reg->value == reset && !kvm_reg_is_synthetic(reg->id) ? "it has the value of a reset" : NULL;
}

/* A refusal is none where the register holds the value anyway, may hold another, or is dispensable. */
static void report_refusal(struct restore *restore, unsigned instance, const struct kvm_reg_value *wanted)
{
	const struct vm *vm = restore->vm;
	const char *dispensable = why_dispensable(instance, wanted);
	struct finding finding;
	uint64_t has;
	char found[32] = "no such register", why[64], name[KVM_REG_NAME_MAX];
	snprintf(why, sizeof(why), "%s", strerror(errno));
	if (kvm_reg_get(vm->vcpus[instance].fd, vm->reg_access, wanted->id, &has) == 0) {
		if (has == wanted->value || register_rule(wanted->id)->rule == FIELD_VOLATILE)
			return;
		snprintf(found, sizeof(found), "0x%" PRIx64, has);
	} else if (dispensable != NULL) {
		finding = register_finding(FINDING_TRANSLATED, instance, wanted, found, dispensable);
		report_add(restore->report, &finding);
		return;
	}
	kvm_reg_name(wanted->id, name);
	finding = register_finding(FINDING_REFUSED, instance, wanted, found, why);
	restore_finding(restore, component_by_name("registers"), instance, name, &finding);
}

static void report_left_out(struct restore *restore, unsigned instance, const struct kvm_reg_value *reg)
{
	struct finding finding = register_finding(FINDING_ALLOWED, instance, reg, "", RESTORE_LEFT_OUT);
	report_add(restore->report, &finding);
}

/* Puts one register.  Where KVM answers by writing guest RAM, the saved bytes are put back behind it. */
static void put_register(struct restore *restore, unsigned instance, const struct register_rule *rule,
			 const struct kvm_reg_value *reg)
{
	struct vm *vm = restore->vm;
	uint8_t saved[REGISTER_RAM_MAX];
	uint64_t gpa = reg->value & rule->address_mask;
	bool keep = rule->ram_bytes > 0 && memory_read(&vm->memory, gpa, saved, rule->ram_bytes);
	if (kvm_reg_set(vm->vcpus[instance].fd, vm->reg_access, reg->id, reg->value) != 0)
		report_refusal(restore, instance, reg);
	if (keep)
		memory_write(&vm->memory, gpa, saved, rule->ram_bytes);
	if (rule->is_kvmclock)
		vm->may_have_kvmclock = true;
}

/* From now on the register is expected to read as value. */
static int expect_register(struct restore *restore, unsigned instance, uint64_t id, uint64_t value, struct error *err)
{
	struct section *section = image_find_writable(restore->image, component_by_name("registers"), instance);
	if (!buffer_own(&section->payload))
		return error_set(err, ERROR_SYSTEM, "no memory for a snapshot's registers");
	registers_change(&section->payload, id, value);
	return 0;
}

static void report_translation(struct restore *restore, unsigned instance, const struct kvm_reg_value *from,
			       uint64_t to, const char *why)
{
	char value[32];
	snprintf(value, sizeof(value), "0x%" PRIx64, to);
	struct finding finding = register_finding(FINDING_TRANSLATED, instance, from, value, why);
	report_add(restore->report, &finding);
}

/*
 * A TSC deadline that is not 0, which goes with the TSC where this host did not let that be set.  One that has passed
 * may read 0 at once, where the CPU delivers interrupts without KVM's help; one that is still to come and reads 0 was
 * dropped.
 */
static int put_armed_register(struct restore *restore, unsigned instance, const struct register_rule *rule,
			      const struct kvm_reg_value *reg, struct error *err)
{
	const struct vm *vm = restore->vm;
	struct kvm_reg_value put = *reg;
	const char *why = "shifted as the TSC is";
	uint64_t got, tsc;
	int fd = vm->vcpus[instance].fd;
	put.value += (uint64_t)restore->tsc_shift[instance];
	put_register(restore, instance, rule, &put);
	if (kvm_reg_get(fd, vm->reg_access, put.id, &got) == 0 && got == 0 &&
	    kvm_reg_get(fd, vm->reg_access, MSR_TSC, &tsc) == 0 && tsc >= put.value) {
		put.value = 0;
		why = "it has passed, and fires";
	}
	if (put.value == reg->value)
		return 0;
	report_translation(restore, instance, reg, put.value, why);
	return expect_register(restore, instance, put.id, put.value, err);
}

/* What the user wants to be left out, by id: a name is looked for among hundreds. */
struct left_out {
	uint64_t ids[RESTORE_NAMES_MAX];
	unsigned nr;
};

static void find_left_out(const struct restore_options *options, struct left_out *ret)
{
	ret->nr = 0;
	for (unsigned i = 0; i < options->nr_without; i++)
		ret->nr += kvm_reg_parse(options->without[i], &ret->ids[ret->nr]);
}

static bool is_left_out(const struct left_out *left_out, uint64_t id)
{
	for (unsigned i = 0; i < left_out->nr; i++)
		if (left_out->ids[i] == id)
			return true;
	return false;
}

/* The registers of a payload that are put at a stage; returns their number. */
static size_t registers_at(enum stage stage, struct bytes payload, struct kvm_reg_value ret[COMPONENT_ENTRIES_MAX])
{
	size_t nr = 0;
	for (size_t at = 0; at < payload.size; at += sizeof(ret[0])) {
		memcpy(&ret[nr], payload.data + at, sizeof(ret[0]));
		nr += stage_of_register(&ret[nr]) == stage;
	}
	return nr;
}

static int arm_registers(struct restore *restore, unsigned instance, struct bytes payload, struct error *err)
{
	struct kvm_reg_value wanted[COMPONENT_ENTRIES_MAX];
	struct left_out left_out;
	size_t nr = registers_at(STAGE_ARM, payload, wanted);
	int status = 0;
	find_left_out(restore->options, &left_out);
	restore->vm->has_armed_regs |= nr > 0;
	for (size_t i = 0; i < nr && status == 0; i++) {
		if (is_left_out(&left_out, wanted[i].id))
			report_left_out(restore, instance, &wanted[i]);
		else
			status = put_armed_register(restore, instance, register_rule(wanted[i].id), &wanted[i], err);
	}
	return status;
}

/*
 * Only what differs from the vCPU's value is written: a fresh vCPU has most of it.  What it has is read at once; what
 * is written goes by ONE_REG.
 */
static int restore_registers(struct restore *restore, unsigned instance, enum stage stage, struct bytes payload,
			     struct error *err)
{
	if (stage == STAGE_ARM)
		return arm_registers(restore, instance, payload, err);
	struct kvm_reg_value wanted[COMPONENT_ENTRIES_MAX], now[COMPONENT_ENTRIES_MAX];
	bool is_known[COMPONENT_ENTRIES_MAX];
	struct left_out left_out;
	size_t nr = registers_at(stage, payload, wanted);
	find_left_out(restore->options, &left_out);
	memcpy(now, wanted, nr * sizeof(now[0]));
	int status = registers_adopt(restore->vm, payload, err);
	if (status == 0)
		status = kvm_reg_get_many(restore->vm->vcpus[instance].fd, now, nr, is_known, err);
	for (size_t i = 0; i < nr && status == 0; i++) {
		const struct kvm_reg_value *reg = &wanted[i];
		if (is_left_out(&left_out, reg->id))
			report_left_out(restore, instance, reg);
		else if (!is_known[i] || now[i].value != reg->value)
			put_register(restore, instance, register_rule(reg->id), reg);
	}
	return status;
}

const struct component_ops registers_ops = {
	.save = save_registers,
	.read_back = read_back_registers,
	.restore = restore_registers,
	.validate = validate_registers,
	.describe = describe_register,
	.stage_of = stage_of_register,
};
