/*
 * Rewinding into and out of a guest of the guest, on a KVM whose nested state this file makes: what it tells of that
 * has another size each time.
 */
#include "kvm_test.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "snapshot/rewind.h"

#define TAIL 4096 /* what follows the header while a guest of the guest runs */

struct nested {
	struct kvm_nested_state header;
	uint8_t tail[TAIL];
};

static const struct nested outside = { .header = { .format = KVM_STATE_NESTED_FORMAT_VMX,
						   .size = sizeof(struct kvm_nested_state),
						   .hdr.vmx.vmxon_pa = UINT64_MAX } };
static const struct nested inside = { .header = { .format = KVM_STATE_NESTED_FORMAT_VMX,
						  .flags = KVM_STATE_NESTED_GUEST_MODE,
						  .size = sizeof(struct nested),
						  .hdr.vmx.vmxon_pa = 0x1000 },
				      .tail = { 1, 2, 3, [TAIL - 1] = 4 } };

static struct {
	struct nested held;
	unsigned nr_puts;
} kernel;

/* As kvm_arch_vcpu_ioctl() of arch/x86/kvm/x86.c: the size in the argument is the room that there is. */
static int get_nested(struct kvm_nested_state *ret)
{
	uint32_t room = ret->size, size = kernel.held.header.size;
	ret->size = size;
	errno = E2BIG;
	if (size > room)
		return -1;
	memcpy(ret, &kernel.held, size);
	return 0;
}

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	switch (request) {
	case KVM_CHECK_EXTENSION:
		return (uintptr_t)arg == KVM_CAP_NESTED_STATE ? (int)sizeof(struct nested) : ioctl(fd, request, arg);
	case KVM_GET_NESTED_STATE:
		return get_nested(arg);
	case KVM_SET_NESTED_STATE:
		kernel.nr_puts++;
		memcpy(&kernel.held, arg, ((const struct kvm_nested_state *)arg)->size);
		return 0;
	default:
		return ioctl(fd, request, arg);
	}
}

static void go_back(struct rewind *rewind, const struct nested *point, unsigned nr_puts)
{
	struct report report = { 0 };
	struct error err;
	if (rewind_to_point(rewind, &err) < 0 || rewind_compare(rewind, &report, &err) < 0)
		ck_abort_msg("%s", err.text);
	report_print(&report);
	ck_assert_uint_eq(report_bad(&report), 0);
	ck_assert_mem_eq(&kernel.held, point, point->header.size);
	ck_assert_uint_eq(kernel.nr_puts, nr_puts);
	report_done(&report);
}

/* Twice, and once more where nothing has changed. */
static void rewind_between(const struct nested *point, const struct nested *later)
{
	struct vm *vm = machine_boot(&(struct machine_kind){ "regs", IRQCHIP_NONE, 1 });
	struct rewind *rewind;
	struct error err;
	machine_run_to(vm, 1);
	kernel.held = *point;
	if (rewind_create(&rewind, vm, &err) < 0)
		ck_abort_msg("%s", err.text);
	for (unsigned i = 1; i <= 2; i++) {
		kernel.held = *later;
		go_back(rewind, point, i);
	}
	go_back(rewind, point, 2);
	rewind_free(rewind);
	machine_free(vm);
}

START_TEST(out_of_a_guest_of_the_guest)
{
	rewind_between(&outside, &inside);
}
END_TEST

START_TEST(into_a_guest_of_the_guest)
{
	rewind_between(&inside, &outside);
}
END_TEST

int main(void)
{
	const struct kvm_test tests[] = { { out_of_a_guest_of_the_guest, 1 }, { into_a_guest_of_the_guest, 1 } };
	kernel.held = outside;
	return kvm_test_main("rewind_nested", tests, ARRAY_SIZE(tests));
}
