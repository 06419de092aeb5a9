#include "registers.h"

#include <stdlib.h>
#include <string.h>

#define MSR(index)        KVM_X86_REG_MSR(index)
#define TABLE_SIZE(table) (sizeof(table) / sizeof((table)[0]))

/* clang-format off */

/* In ascending order of id. */
static const struct register_rule rules[] = {
	/* KVM writes the time of boot to where these point (arch/x86/kvm/x86.c, kvm_write_wall_clock()). */
#define WALL_CLOCK .stage = STAGE_VCPU, .ram_bytes = 12, .address_mask = ~0ull
	/* Linux 6.18 updates the guest's time at once when these are set on a vCPU that has not run yet (measured). */
#define SYSTEM_TIME .stage = STAGE_VCPU, .ram_bytes = 32, .address_mask = ~1ull, .is_kvmclock = true
	{ .id = MSR(0x11), WALL_CLOCK },
	{ .id = MSR(0x12), SYSTEM_TIME },
	/* A deadline that has passed fires when it is written, which is after everything was compared. */
	{ .id = MSR(0x6e0), .stage = STAGE_ARM },
	/* Both go on by themselves; a write of the second is dropped (arch/x86/kvm/hyperv.c, kvm_hv_set_msr_pw()). */
	{ .id = MSR(0x40000010), .stage = STAGE_VCPU, .rule = FIELD_VOLATILE,
	  .why = "it counts the CPU time of the thread that asks" },
	{ .id = MSR(0x40000020), .stage = STAGE_VCPU, .rule = FIELD_VOLATILE,
	  .why = "it is the VM's clock, which is set after everything was compared" },
	/* Both can only be read (kvm_hv_get_msr()). */
	{ .id = MSR(0x40000022), .stage = STAGE_VCPU, .rule = FIELD_VOLATILE, .why = "it tells what tsc khz is" },
	{ .id = MSR(0x40000023), .stage = STAGE_VCPU, .rule = FIELD_VOLATILE,
	  .why = "it tells how fast the host's KVM lets local APICs count" },
	{ .id = MSR(0x4b564d00), WALL_CLOCK },
	{ .id = MSR(0x4b564d01), SYSTEM_TIME },
};

static const struct register_rule usual = { .stage = STAGE_VCPU, .rule = FIELD_EXACT };

static const struct {
	uint64_t id;
	const char *why;
} exclusions[] = {
	{ MSR(0x10), "the component tsc has it: written as a register, KVM would guess whether vCPUs are to be synchronised" },
	{ MSR(0x1b), "the component sregs has it (apic_base)" },
	{ MSR(0xc0000080), "the component sregs has it (efer)" },
	{ MSR(0x4b564dff), "the kernel's private number for GUEST_SSP, which has a register id of its own" },
};

/* State that KVM's list leaves out, as first and last number. */
static const struct {
	uint32_t first, last;
	const char *what;
} unlisted[] = {
	{ 0x17a, 0x17b, "IA32_MCG_STATUS, IA32_MCG_CTL" },
	{ 0x200, 0x20f, "IA32_MTRR_PHYSBASE and PHYSMASK, eight of each" },
	{ 0x250, 0x250, "IA32_MTRR_FIX64K_00000" },
	{ 0x258, 0x259, "IA32_MTRR_FIX16K" },
	{ 0x268, 0x26f, "IA32_MTRR_FIX4K" },
	{ 0x277, 0x277, "IA32_PAT" },
	{ 0x2ff, 0x2ff, "IA32_MTRR_DEF_TYPE" },
	{ 0xc0000103, 0xc0000103, "IA32_TSC_AUX, listed where the host has RDTSCP or RDPID, but taken where not" },
	{ 0xc0010114, 0xc0010114, "VM_CR" },
	{ 0xc0010140, 0xc0010141, "OSVW" },
};

/* clang-format on */

/* Banks of four MSRs each (SDM volume 3, 16.3.2), their number from IA32_MCG_CAP; CTL2 stands apart. */
#define MCE_FIRST      0x400u
#define MCE_BANK_MSRS  4u
#define MCE_CTL2_FIRST 0x280u
#define MCE_BANKS_MAX  32u
#define MCG_BANKS(cap) ((uint32_t)((cap)&0xff))
#define MSR_MCG_CAP    MSR(0x179)

const struct register_rule *register_rule(uint64_t id)
{
	for (size_t i = 0; i < TABLE_SIZE(rules) && rules[i].id <= id; i++)
		if (rules[i].id == id)
			return &rules[i];
	return &usual;
}

const char *register_exclusion(uint64_t id)
{
	for (size_t i = 0; i < TABLE_SIZE(exclusions); i++)
		if (exclusions[i].id == id)
			return exclusions[i].why;
	return NULL;
}

/* Where an id is in an ascending list, or would be. */
static size_t find_place(const uint64_t *ids, size_t nr, uint64_t id)
{
	size_t low = 0, high = nr;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Adds an id to a list that is to be put in order, but for those that the machine was restored with: the list has them.
 */
static bool add(struct buffer *ids, const struct vm *vm, uint64_t id)
{
	size_t place = find_place(vm->restored_regs, vm->nr_restored_regs, id);
	if (place < vm->nr_restored_regs && vm->restored_regs[place] == id)
		return true;
	return buffer_append(ids, &id, sizeof(id)) != NULL;
}

static bool add_range(struct buffer *ids, const struct vm *vm, uint32_t first, uint32_t last)
{
	for (uint32_t index = first; index <= last; index++)
		if (!add(ids, vm, MSR(index)))
			return false;
	return true;
}

static bool add_unlisted(struct buffer *ids, const struct vm *vm, unsigned vcpu)
{
	uint64_t cap;
	for (size_t i = 0; i < TABLE_SIZE(unlisted); i++)
		if (!add_range(ids, vm, unlisted[i].first, unlisted[i].last))
			return false;
	cap = vm->machine.mcg_cap;
	if (cap == 0 && kvm_reg_get(vm->vcpus[vcpu].fd, vm->reg_access, MSR_MCG_CAP, &cap) != 0)
		return true;
	uint32_t banks = MCG_BANKS(cap) < MCE_BANKS_MAX ? MCG_BANKS(cap) : MCE_BANKS_MAX;
	return banks == 0 || (add_range(ids, vm, MCE_FIRST, MCE_FIRST + banks * MCE_BANK_MSRS - 1) &&
			      add_range(ids, vm, MCE_CTL2_FIRST, MCE_CTL2_FIRST + banks - 1));
}

/* By insertion: what comes is a few ascending runs, mostly one. */
static void sort(uint64_t *ids, size_t nr)
{
	for (size_t i = 1; i < nr; i++) {
		uint64_t id = ids[i];
		if (ids[i - 1] <= id)
			continue;
		size_t place = find_place(ids, i, id);
		memmove(ids + place + 1, ids + place, (i - place) * sizeof(ids[0]));
		ids[place] = id;
	}
}

/* Sorts, and drops what stands twice or is excluded. */
static size_t tidy(uint64_t *ids, size_t nr)
{
	size_t kept = 0;
	sort(ids, nr);
	for (size_t i = 0; i < nr; i++)
		if ((kept == 0 || ids[kept - 1] != ids[i]) && register_exclusion(ids[i]) == NULL)
			ids[kept++] = ids[i];
	return kept;
}

static int no_memory(struct error *err)
{
	return error_set(err, ERROR_SYSTEM, "no memory for a list of registers");
}

void registers_change(const struct buffer *payload, uint64_t id, uint64_t value)
{
	for (size_t at = 0; at < payload->size; at += sizeof(struct kvm_reg_value)) {
		struct kvm_reg_value *reg = (struct kvm_reg_value *)(void *)(payload->data + at);
		if (reg->id == id)
			reg->value = value;
	}
}

int registers_adopt(struct vm *vm, struct bytes payload, struct error *err)
{
	size_t nr = vm->nr_restored_regs + payload.size / sizeof(struct kvm_reg_value);
	uint64_t *ids = realloc(vm->restored_regs, (nr + 1) * sizeof(*ids));
	if (ids == NULL)
		return no_memory(err);
	for (size_t i = vm->nr_restored_regs, at = 0; i < nr; i++, at += sizeof(struct kvm_reg_value))
		memcpy(&ids[i], payload.data + at + offsetof(struct kvm_reg_value, id), sizeof(ids[i]));
	vm->restored_regs = ids;
	vm->nr_restored_regs = tidy(ids, nr);
	return 0;
}

/* Those that are put at other stages than the usual one: they have a rule. */
static int add_ruled(struct buffer *ids, uint8_t stages, struct error *err)
{
	for (size_t i = 0; i < TABLE_SIZE(rules); i++)
		if ((stages & 1 << rules[i].stage) != 0 &&
		    buffer_append(ids, &rules[i].id, sizeof(rules[i].id)) == NULL)
			return no_memory(err);
	return 0;
}

/* All that the machine was restored with, that the kernel lists, and what its list leaves out. */
static int add_listed(struct buffer *ids, const struct vm *vm, unsigned vcpu, struct error *err)
{
	uint64_t *msrs = NULL, *synthetic = NULL;
	size_t nr_msrs = 0, nr_synthetic = 0;
	int status = kvm_reg_list_msrs(vm->kvm_fd, &msrs, &nr_msrs, err);
	if (status == 0 && vm->reg_access == KVM_REG_ACCESS_ONE_REG)
		status = kvm_reg_list_synthetic(vm->vcpus[vcpu].fd, &synthetic, &nr_synthetic, err);
	bool good =
		status == 0 &&
		buffer_append(ids, vm->restored_regs, vm->nr_restored_regs * sizeof(vm->restored_regs[0])) != NULL &&
		add_unlisted(ids, vm, vcpu);
	for (size_t i = 0; i < nr_msrs && good; i++)
		good = add(ids, vm, msrs[i]);
	for (size_t i = 0; i < nr_synthetic && good; i++)
		good = add(ids, vm, synthetic[i]);
	if (status == 0 && !good)
		status = no_memory(err);
	free(msrs);
	free(synthetic);
	return status;
}

int registers_list(const struct vm *vm, unsigned vcpu, uint8_t stages, uint64_t **ret_ids, size_t *ret_nr,
		   struct error *err)
{
	struct buffer ids = { 0 };
	int status = 0;
	if ((stages & 1 << usual.stage) != 0)
		status = add_listed(&ids, vm, vcpu, err);
	else if (vm->has_armed_regs)
		status = add_ruled(&ids, stages, err);
	if (status < 0) {
		buffer_done(&ids);
		return status;
	}
	*ret_ids = (uint64_t *)(void *)ids.data;
	*ret_nr = tidy(*ret_ids, ids.size / sizeof(uint64_t));
	return 0;
}
