#include "kvm_model.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "vmm/kvm.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#define MODELS_MAX  4
#define FIRST_FD    1000 /* no descriptor of a test gets this high */
#define IO_MSRS_MAX 256  /* arch/x86/kvm, MAX_IO_MSRS: KVM_GET_MSRS takes less */
#define PRIVATE_SSP 0x4b564dffu

/* What KVM calls an MSR that it does not know, and one whose value it refuses (arch/x86/kvm/x86.h, KVM_MSR_RET_*). */
#define MSR_REFUSED     1
#define MSR_UNSUPPORTED 2

/* Descriptors are numbers, and kvm_ioctl() gets nothing else: so this table is global, alone in the project. */
static struct kvm_model *models[MODELS_MAX];

int kvm_model_open(struct kvm_model *model)
{
	size_t i = 0;
	while (i < MODELS_MAX && models[i] != NULL)
		i++;
	assert(i < MODELS_MAX);
	models[i] = model;
	return FIRST_FD + (int)i;
}

void kvm_model_close(int fd)
{
	models[fd - FIRST_FD] = NULL;
}

/* User memory: 0, or -EFAULT. */
static int copy_in(void *to, uint64_t address, size_t size)
{
	if (address >= KVM_MODEL_BAD_ADDRESS)
		return -EFAULT;
	memcpy(to, (const void *)(uintptr_t)address, size);
	return 0;
}

static int copy_out(uint64_t address, const void *from, size_t size)
{
	if (address >= KVM_MODEL_BAD_ADDRESS)
		return -EFAULT;
	memcpy((void *)(uintptr_t)address, from, size);
	return 0;
}

static struct kvm_model_msr *find_msr(struct kvm_model *model, uint32_t index)
{
	if (index == PRIVATE_SSP)
		model->private_ssp_was_used = true;
	for (size_t i = 0; i < model->nr_msrs; i++)
		if (model->msrs[i].index == index)
			return &model->msrs[i];
	return NULL;
}

/* 0, or what the kernel's MSR code returns for a refusal: a positive number. */
static int get_msr(struct kvm_model *model, uint32_t index, uint64_t *ret_value)
{
	const struct kvm_model_msr *msr = find_msr(model, index);
	*ret_value = 0;
	if (msr == NULL || (msr->is_unsupported && !msr->is_listed))
		return MSR_UNSUPPORTED;
	if (!msr->is_unsupported)
		*ret_value = msr->value;
	return 0;
}

static int set_msr(struct kvm_model *model, uint32_t index, uint64_t value)
{
	struct kvm_model_msr *msr = find_msr(model, index);
	if (msr == NULL)
		return MSR_UNSUPPORTED;
	if (msr->is_unsupported)
		return msr->is_listed && value == 0 ? 0 : MSR_UNSUPPORTED;
	if (msr->is_read_only || (value & msr->reserved) != 0)
		return MSR_REFUSED;
	if (!msr->is_dropped)
		msr->value = value;
	return 0;
}

static bool is_canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static int set_ssp(struct kvm_model *model, uint64_t value)
{
	if (!is_canonical(value) || value % 4 != 0)
		return MSR_REFUSED;
	model->ssp = value;
	return 0;
}

static int get_value(struct kvm_model *model, bool is_ssp, uint32_t index, uint64_t address)
{
	uint64_t value = model->ssp;
	int result = is_ssp ? 0 : get_msr(model, index, &value);
	if (result != 0)
		return model->form == KVM_MODEL_V13 ? result : -EINVAL;
	value ^= model->one_reg_flips;
	return copy_out(address, &value, sizeof(value));
}

static int set_value(struct kvm_model *model, bool is_ssp, uint32_t index, uint64_t address)
{
	uint64_t value;
	if (copy_in(&value, address, sizeof(value)) < 0)
		return -EFAULT;
	int result = is_ssp ? set_ssp(model, value) : set_msr(model, index, value);
	if (result != 0)
		return model->form == KVM_MODEL_V13 ? result : -EINVAL;
	return 0;
}

/* The checks stand in the kernel's order; the same fault in two forms is EINVAL in both. */
static int one_reg(struct kvm_model *model, uint64_t argument, bool is_get)
{
	struct kvm_one_reg reg;
	if (model->form == KVM_MODEL_NONE)
		return -EINVAL;
	if (copy_in(&reg, argument, sizeof(reg)) < 0)
		return -EFAULT;
	if (reg.id >> 56 != KVM_REG_X86 >> 56)
		return -EINVAL;
	if ((reg.id >> 40 & 0xfff) != 0)
		return -EINVAL;
	uint32_t index = (uint32_t)reg.id;
	uint8_t type = (uint8_t)(reg.id >> 32);
	bool is_ssp = type == KVM_X86_REG_TYPE_SYNTHETIC_MSR;
	if (is_ssp && (model->form == KVM_MODEL_V13 || index != KVM_REG_GUEST_SSP || !model->has_shstk))
		return -EINVAL;
	if (!is_ssp && type != KVM_X86_REG_TYPE_MSR)
		return -EINVAL;
	if ((reg.id >> 52 & 0xf) != 3)
		return -EINVAL;
	return (is_get ? get_value : set_value)(model, is_ssp, index, reg.addr);
}

static int get_one_reg(struct kvm_model *model, uint64_t argument)
{
	return one_reg(model, argument, true);
}

static int set_one_reg(struct kvm_model *model, uint64_t argument)
{
	return one_reg(model, argument, false);
}

static int reg_list(struct kvm_model *model, uint64_t argument)
{
	struct kvm_reg_list list;
	if (model->form != KVM_MODEL_MERGED)
		return -EINVAL;
	if (copy_in(&list, argument, sizeof(list)) < 0)
		return -EFAULT;
	uint64_t room = list.n, ssp = KVM_X86_REG_SYNTHETIC_MSR(KVM_REG_GUEST_SSP);
	const uint64_t *ids = model->list != NULL ? model->list : &ssp;
	list.n = model->list != NULL ? model->nr_list : model->has_shstk;
	if (copy_out(argument, &list, sizeof(list)) < 0)
		return -EFAULT;
	if (room < list.n)
		return -E2BIG;
	return copy_out(argument + sizeof(list), ids, list.n * sizeof(*ids));
}

static int msr_list(struct kvm_model *model, uint64_t argument)
{
	struct kvm_msr_list list;
	if (copy_in(&list, argument, sizeof(list)) < 0)
		return -EFAULT;
	uint32_t room = list.nmsrs;
	list.nmsrs = 0;
	for (size_t i = 0; i < model->nr_msrs; i++)
		list.nmsrs += model->msrs[i].is_listed;
	if (copy_out(argument, &list, sizeof(list)) < 0)
		return -EFAULT;
	if (room < list.nmsrs)
		return -E2BIG;
	uint64_t at = argument + sizeof(list);
	for (size_t i = 0; i < model->nr_msrs; i++) {
		if (!model->msrs[i].is_listed)
			continue;
		if (copy_out(at, &model->msrs[i].index, sizeof(uint32_t)) < 0)
			return -EFAULT;
		at += sizeof(uint32_t);
	}
	return 0;
}

/* Stops at the first refused MSR and returns how many there were before it. */
static int msrs(struct kvm_model *model, uint64_t argument, bool is_get)
{
	struct kvm_msrs header;
	if (copy_in(&header, argument, sizeof(header)) < 0)
		return -EFAULT;
	if (header.nmsrs >= IO_MSRS_MAX)
		return -E2BIG;
	for (uint32_t i = 0; i < header.nmsrs; i++) {
		struct kvm_msr_entry entry;
		uint64_t at = argument + sizeof(header) + i * sizeof(entry), value;
		if (copy_in(&entry, at, sizeof(entry)) < 0)
			return -EFAULT;
		if ((is_get ? get_msr(model, entry.index, &value) : set_msr(model, entry.index, entry.data)) != 0)
			return (int)i;
		if (is_get)
			entry.data = value;
		if (copy_out(at, &entry, sizeof(entry)) < 0)
			return -EFAULT;
	}
	return (int)header.nmsrs;
}

static int get_msrs(struct kvm_model *model, uint64_t argument)
{
	return msrs(model, argument, true);
}

static int set_msrs(struct kvm_model *model, uint64_t argument)
{
	return msrs(model, argument, false);
}

static int check_extension(struct kvm_model *model, uint64_t argument)
{
	return argument == KVM_CAP_ONE_REG && model->form != KVM_MODEL_NONE;
}

static const struct {
	unsigned long request;
	int (*handle)(struct kvm_model *model, uint64_t argument);
} requests[] = {
	{ KVM_CHECK_EXTENSION, check_extension },
	{ KVM_GET_ONE_REG, get_one_reg },
	{ KVM_SET_ONE_REG, set_one_reg },
	{ KVM_GET_REG_LIST, reg_list },
	{ KVM_GET_MSR_INDEX_LIST, msr_list },
	{ KVM_GET_MSRS, get_msrs },
	{ KVM_SET_MSRS, set_msrs },
};

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	struct kvm_model *model = fd >= FIRST_FD && fd < FIRST_FD + MODELS_MAX ? models[fd - FIRST_FD] : NULL;
	int result = model == NULL ? -EBADF : -EINVAL;
	if (model != NULL) {
		model->nr_calls++;
		for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
			if (requests[i].request == request)
				result = requests[i].handle(model, (uintptr_t)arg);
		if (model->fail_errno != 0)
			result = -model->fail_errno;
	}
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}
