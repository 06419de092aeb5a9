/*
 * What the registers of a vCPU cost to read and to write, one by one with ONE_REG and at once with the batch ioctls.
 *
 *   regs get|set one-reg|batch all|each
 *
 * Prints microseconds, the median of many times: for all registers that KVM lists, or for each of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "machine.h"
#include "snapshot/components.h"
#include "snapshot/registers.h"
#include "vmm/kvm.h"

#define TIMES    201
#define REGS_MAX 255 /* that one call of KVM_GET_MSRS takes (arch/x86/kvm, MAX_IO_MSRS) */
#define RAM_SIZE (1u << 20)

struct set {
	struct vm *vm;
	struct kvm_reg_value regs[REGS_MAX];
	size_t nr;
	struct {
		uint32_t nr, padding;
		struct kvm_msr_entry entries[REGS_MAX];
	} msrs;
};

static void get_one_by_one(struct set *set)
{
	for (size_t i = 0; i < set->nr; i++)
		if (kvm_reg_get(set->vm->vcpus[0].fd, KVM_REG_ACCESS_ONE_REG, set->regs[i].id, &set->regs[i].value) !=
		    0)
			die("KVM_GET_ONE_REG failed");
}

static void set_one_by_one(struct set *set)
{
	for (size_t i = 0; i < set->nr; i++)
		if (kvm_reg_set(set->vm->vcpus[0].fd, KVM_REG_ACCESS_ONE_REG, set->regs[i].id, set->regs[i].value) != 0)
			die("KVM_SET_ONE_REG failed");
}

static void get_batch(struct set *set)
{
	if (kvm_call_sized(set->vm->vcpus[0].fd, KVM_GET_MSRS, &set->msrs) != (int)set->nr)
		die("KVM_GET_MSRS failed");
}

static void set_batch(struct set *set)
{
	if (kvm_call_sized(set->vm->vcpus[0].fd, KVM_SET_MSRS, &set->msrs) != (int)set->nr)
		die("KVM_SET_MSRS failed");
}

/* The MSRs that can be read, and be written with what they have. */
static void find_registers(struct set *set)
{
	struct error err;
	uint64_t *ids;
	size_t nr;
	if (registers_list(set->vm, 0, UINT8_MAX, &ids, &nr, &err) < 0)
		die(err.text);
	for (size_t i = 0; i < nr && set->nr < REGS_MAX; i++) {
		struct kvm_reg_value reg = { .id = ids[i] };
		int fd = set->vm->vcpus[0].fd;
		if (!kvm_reg_is_msr(reg.id) || kvm_reg_get(fd, KVM_REG_ACCESS_ONE_REG, reg.id, &reg.value) != 0 ||
		    kvm_reg_set(fd, KVM_REG_ACCESS_ONE_REG, reg.id, reg.value) != 0)
			continue;
		set->msrs.entries[set->nr] =
			(struct kvm_msr_entry){ .index = kvm_reg_index(reg.id), .data = reg.value };
		set->regs[set->nr++] = reg;
	}
	set->msrs.nr = (uint32_t)set->nr;
	free(ids);
}

static int by_value(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return left < right ? -1 : left > right;
}

static double median_us(void (*what)(struct set *set), struct set *set)
{
	double us[TIMES];
	for (int i = 0; i < TIMES; i++) {
		struct timespec from, to;
		clock_gettime(CLOCK_MONOTONIC, &from);
		what(set);
		clock_gettime(CLOCK_MONOTONIC, &to);
		us[i] = (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
	}
	qsort(us, TIMES, sizeof(us[0]), by_value);
	return us[TIMES / 2];
}

int main(int argc, char **argv)
{
	static struct set set;
	if (argc != 4)
		die("usage: regs get|set one-reg|batch all|each");
	bool is_get = strcmp(argv[1], "get") == 0, is_one_reg = strcmp(argv[2], "one-reg") == 0;
	set.vm = make_machine(RAM_SIZE);
	find_registers(&set);
	void (*const ways[2][2])(struct set *) = { { set_batch, set_one_by_one }, { get_batch, get_one_by_one } };
	double us = median_us(ways[is_get][is_one_reg], &set);
	printf("%.3f\n", strcmp(argv[3], "each") == 0 ? us / (double)set.nr : us);
	vm_free(set.vm);
	return 0;
}
