#include "kvm_reg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "kvm.h"

#define TYPE_SHIFT 32

/* How KVM stores SSP inside (arch/x86/kvm/msrs.h, MSR_KVM_INTERNAL_GUEST_SSP): no ABI, and no business of ours. */
#define MSR_PRIVATE_SSP 0x4b564dffu

/* KVM_GET_MSRS takes less than 256 entries at once (arch/x86/kvm, MAX_IO_MSRS). */
#define MSRS_AT_ONCE_MAX 128

/*
 * The kernel's structs with room behind them, member by member: clang lets no struct that ends in a flexible array
 * stand in front of another member.  KVM_GET_MSRS and KVM_SET_MSRS return how many entries they got through.
 */
struct one_msr {
	uint32_t nr, padding;
	struct kvm_msr_entry entry;
};

struct msrs {
	uint32_t nr, padding;
	struct kvm_msr_entry entries[MSRS_AT_ONCE_MAX];
};

struct msr_list {
	uint32_t nr;
	uint32_t indices[KVM_REG_LIST_MAX];
};

struct reg_list {
	uint64_t nr;
	uint64_t ids[KVM_REG_LIST_MAX];
};

_Static_assert(offsetof(struct one_msr, entry) == offsetof(struct kvm_msrs, entries), "not as struct kvm_msrs");
_Static_assert(offsetof(struct msrs, entries) == offsetof(struct kvm_msrs, entries), "not as struct kvm_msrs");
_Static_assert(offsetof(struct msr_list, indices) == offsetof(struct kvm_msr_list, indices), "not as kvm_msr_list");
_Static_assert(offsetof(struct reg_list, ids) == offsetof(struct kvm_reg_list, reg), "not as struct kvm_reg_list");

static bool has_type(uint64_t id, uint64_t type)
{
	return id >> TYPE_SHIFT == KVM_X86_REG_ID(type, 0) >> TYPE_SHIFT;
}

bool kvm_reg_is_msr(uint64_t id)
{
	return has_type(id, KVM_X86_REG_TYPE_MSR);
}

bool kvm_reg_is_synthetic(uint64_t id)
{
	return has_type(id, KVM_X86_REG_TYPE_SYNTHETIC_MSR);
}

uint32_t kvm_reg_index(uint64_t id)
{
	return (uint32_t)id;
}

bool kvm_reg_has_one_reg(int fd)
{
	return kvm_capability(fd, KVM_CAP_ONE_REG) != 0;
}

static int refuse(void)
{
	errno = EINVAL;
	return -1;
}

static bool may_ask(enum kvm_reg_access access, uint64_t id)
{
	if (id == KVM_X86_REG_MSR(MSR_PRIVATE_SSP))
		return false;
	return access == KVM_REG_ACCESS_ONE_REG || kvm_reg_is_msr(id);
}

/* 0 where the kernel returned what stands for success, else -1 and errno: a positive number can be a refusal too. */
static int status_of(int result, int success)
{
	if (result == success)
		return 0;
	return result < 0 ? -1 : refuse();
}

int kvm_reg_get(int vcpu_fd, enum kvm_reg_access access, uint64_t id, uint64_t *ret_value)
{
	if (!may_ask(access, id))
		return refuse();
	uint64_t value = 0;
	int status;
	if (access == KVM_REG_ACCESS_ONE_REG) {
		struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };
		status = status_of(kvm_call(vcpu_fd, KVM_GET_ONE_REG, &reg), 0);
	} else {
		struct one_msr msr = { .nr = 1, .entry = { .index = kvm_reg_index(id) } };
		status = status_of(kvm_call_sized(vcpu_fd, KVM_GET_MSRS, &msr), 1);
		value = msr.entry.data;
	}
	if (status == 0)
		*ret_value = value;
	return status;
}

int kvm_reg_set(int vcpu_fd, enum kvm_reg_access access, uint64_t id, uint64_t value)
{
	if (!may_ask(access, id))
		return refuse();
	if (access == KVM_REG_ACCESS_ONE_REG) {
		struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&value };
		return status_of(kvm_call(vcpu_fd, KVM_SET_ONE_REG, &reg), 0);
	}
	struct one_msr msr = { .nr = 1, .entry = { .index = kvm_reg_index(id), .data = value } };
	return status_of(kvm_call_sized(vcpu_fd, KVM_SET_MSRS, &msr), 1);
}

/* Does this register go into a batch of KVM_GET_MSRS? */
static bool is_batched(uint64_t id)
{
	return may_ask(KVM_REG_ACCESS_MSRS, id);
}

/*
 * Reads the MSRs at the head of values, as many as fit one call.  The kernel stops at the first one that it refuses:
 * that one is done too, with ret_ok false.  Returns how many are done, at least 1, or a negative code.
 */
static int get_batch(int vcpu_fd, struct kvm_reg_value *values, size_t nr, bool *ret_ok, struct error *err)
{
	struct msrs msrs;
	uint32_t asked = 0;
	for (; asked < nr && asked < MSRS_AT_ONCE_MAX && is_batched(values[asked].id); asked++)
		msrs.entries[asked] = (struct kvm_msr_entry){ .index = kvm_reg_index(values[asked].id) };
	msrs.nr = asked;
	msrs.padding = 0;
	int got = kvm_call_sized(vcpu_fd, KVM_GET_MSRS, &msrs);
	if (got < 0)
		return error_errno(err, ERROR_SYSTEM, "reading %u MSRs back: KVM_GET_MSRS", asked);
	if ((uint32_t)got > asked)
		return error_set(err, ERROR_INTERNAL, "KVM_GET_MSRS returned %d MSRs where %u were asked for", got,
				 asked);
	for (int i = 0; i < got; i++) {
		values[i].value = msrs.entries[i].data;
		ret_ok[i] = true;
	}
	if ((uint32_t)got < asked)
		ret_ok[got++] = false;
	return got;
}

int kvm_reg_get_many(int vcpu_fd, struct kvm_reg_value *values, size_t nr, bool *ret_ok, struct error *err)
{
	for (size_t i = 0; i < nr;) {
		if (is_batched(values[i].id)) {
			int done = get_batch(vcpu_fd, values + i, nr - i, ret_ok + i, err);
			if (done < 0)
				return done;
			i += (size_t)done;
		} else {
			ret_ok[i] = kvm_reg_get(vcpu_fd, KVM_REG_ACCESS_ONE_REG, values[i].id, &values[i].value) == 0;
			i++;
		}
	}
	return 0;
}

/* Memory for nr ids, which is the caller's. */
static int make_list(size_t nr, uint64_t **ret_ids, size_t *ret_nr, struct error *err)
{
	*ret_ids = calloc(nr + 1, sizeof(**ret_ids));
	if (*ret_ids == NULL)
		return error_errno(err, ERROR_SYSTEM, "a list of %zu registers", nr);
	*ret_nr = nr;
	return 0;
}

/* A list that does not fit tells its true length. */
static int list_error(const char *request, uint64_t nr, struct error *err)
{
	if (nr > KVM_REG_LIST_MAX)
		return error_set(err, ERROR_INTERNAL, "%s: %" PRIu64 " registers, expected at most %d", request, nr,
				 KVM_REG_LIST_MAX);
	return error_errno(err, ERROR_SYSTEM, "%s", request);
}

int kvm_reg_list_msrs(int kvm_fd, uint64_t **ret_ids, size_t *ret_nr, struct error *err)
{
	struct msr_list list = { .nr = KVM_REG_LIST_MAX };
	int result = kvm_call_sized(kvm_fd, KVM_GET_MSR_INDEX_LIST, &list);
	if (result != 0 || list.nr > KVM_REG_LIST_MAX)
		return list_error("KVM_GET_MSR_INDEX_LIST", list.nr, err);
	int status = make_list(list.nr, ret_ids, ret_nr, err);
	for (uint32_t i = 0; i < list.nr && status == 0; i++)
		(*ret_ids)[i] = KVM_X86_REG_MSR(list.indices[i]);
	return status;
}

int kvm_reg_list_synthetic(int vcpu_fd, uint64_t **ret_ids, size_t *ret_nr, struct error *err)
{
	struct reg_list list = { .nr = KVM_REG_LIST_MAX };
	int result = kvm_call_sized(vcpu_fd, KVM_GET_REG_LIST, &list);
	/* A kernel that does not have the request on x86 refuses it whatever its argument is. */
	if (result != 0 && (errno == EINVAL || errno == ENOTTY))
		return make_list(0, ret_ids, ret_nr, err);
	if (result != 0 || list.nr > KVM_REG_LIST_MAX)
		return list_error("KVM_GET_REG_LIST", list.nr, err);
	int status = make_list(list.nr, ret_ids, ret_nr, err);
	for (uint64_t i = 0; i < list.nr && status == 0; i++)
		(*ret_ids)[i] = list.ids[i];
	return status;
}
