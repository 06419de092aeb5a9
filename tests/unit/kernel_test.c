/*
 * Components against a kernel that this file makes: one that refuses every ioctl, one whose vCPU has nested state, and
 * one with a clock.
 */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "image_builder.h"
#include "snapshot/restore.h"
#include "snapshot/restoring.h"
#include "snapshot/state.h"
#include "vmm/vm.h"

#define TAIL 4096u /* what follows the header of nested state */

static struct {
	unsigned nr_calls;
	bool has_nested;
	int get_errno, set_errno;     /* of nested state; 0: it works */
	struct kvm_nested_state held; /* the header of what the vCPU has */
	struct kvm_nested_state put;
	bool has_clock;
	int clock_flags;            /* KVM_CAP_ADJUST_CLOCK */
	struct kvm_clock_data told; /* what KVM_GET_CLOCK gives */
	struct kvm_clock_data set;  /* what KVM_SET_CLOCK was given */
	bool drops_clock;           /* KVM_SET_CLOCK does nothing */
} kernel;

/* A clock that stands still, and adds a REALTIME_ADDS where it is to count the time since. */
#define REALTIME_ADDS 5000000000ull

static int clock_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case KVM_CHECK_EXTENSION:
		return kernel.clock_flags;
	case KVM_GET_CLOCK:
		memcpy(arg, &kernel.told, sizeof(kernel.told));
		return 0;
	case KVM_SET_CLOCK:
		memcpy(&kernel.set, arg, sizeof(kernel.set));
		if (!kernel.drops_clock)
			kernel.told.clock =
				kernel.set.clock + ((kernel.set.flags & KVM_CLOCK_REALTIME) != 0 ? REALTIME_ADDS : 0);
		return 0;
	default:
		ck_abort_msg("request 0x%lx", request);
	}
}

int kvm_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd;
	kernel.nr_calls++;
	errno = EIO;
	if (kernel.has_clock)
		return clock_ioctl(request, arg);
	if (!kernel.has_nested)
		return -1;
	switch (request) {
	case KVM_CHECK_EXTENSION:
		return (int)(sizeof(struct kvm_nested_state) + TAIL);
	case KVM_GET_NESTED_STATE:
		ck_assert_uint_eq(((struct kvm_nested_state *)arg)->size, sizeof(struct kvm_nested_state) + TAIL);
		errno = kernel.get_errno;
		if (errno == 0)
			memcpy(arg, &kernel.held, sizeof(kernel.held));
		return errno == 0 ? 0 : -1;
	case KVM_SET_NESTED_STATE:
		memcpy(&kernel.put, arg, sizeof(kernel.put));
		errno = kernel.set_errno;
		return errno == 0 ? 0 : -1;
	default:
		ck_abort_msg("request 0x%lx", request);
	}
}

static struct vm vm;
static struct kvm_run run;
static struct image image;
static struct report report;
static struct restore restore;
static struct error err;
static const struct restore_options no_options;

static void take_irq(void *context, bool level)
{
	(void)context;
	(void)level;
}

static const struct serial_ops serial_ops = { .set_irq = take_irq };

static void setup(void)
{
	memset(&kernel, 0, sizeof(kernel));
	image_build(&image, 1, IRQCHIP_FULL);
	vm.machine = *image_machine(&image);
	vm.nr_vcpus = 1;
	vm.vcpus[0].vm = &vm;
	vm.vcpus[0].run = &run;
	serial_init(&vm.serial, &serial_ops, NULL);
	restore = (struct restore){ .vm = &vm, .image = &image, .options = &no_options, .report = &report };
}

static void teardown(void)
{
	image_done(&image);
	report_done(&report);
}

/* ---- A kernel that refuses everything ---- */

/* Whoever asks the kernel says that it failed, and of what. */
START_TEST(a_save_that_the_kernel_refuses_fails)
{
	for (size_t i = 0; i < component_table_size; i++) {
		const struct component *component = &component_table[i];
		struct buffer payload = { 0 };
		if (component->shape == COMPONENT_RAM || strcmp(component->name, "nested") == 0)
			continue; /* a kernel without nested state refuses nothing */
		kernel.nr_calls = 0;
		error_set(&err, ERROR_DATA, "nothing");
		int status = component_save(component, &vm, 0, &payload, &err);
		ck_assert_msg((status < 0) == (kernel.nr_calls > 0), "%s: %d after %u calls", component->name, status,
			      kernel.nr_calls);
		if (status < 0)
			ck_assert_msg(strstr(err.text, "KVM_") != NULL, "%s: %s", component->name, err.text);
		buffer_done(&payload);
	}
}
END_TEST

START_TEST(a_restore_that_the_kernel_refuses_is_told)
{
	for (size_t i = 0; i < image.nr_sections; i++) {
		const struct section *section = &image.sections[i];
		const struct component *component = section->component;
		int status = 0;
		kernel.nr_calls = 0;
		for (unsigned stage = STAGE_MACHINE + 1; stage < STAGES && status == 0; stage++)
			if ((component->stages & 1u << stage) != 0)
				status = component_restore(component, &restore, 0, (enum stage)stage,
							   buffer_bytes(&section->payload), &err);
		ck_assert_msg((status < 0 || report_bad(&report) > 0) == (kernel.nr_calls > 0),
			      "%s: %d after %u calls, %zu findings", component->name, status, kernel.nr_calls,
			      report.nr);
		report_done(&report);
	}
}
END_TEST

/* ---- Nested state ---- */

static int save_nested(struct buffer *ret)
{
	kernel.has_nested = true;
	return component_save(component_by_name("nested"), &vm, 0, ret, &err);
}

START_TEST(nested_state_is_saved_where_it_is_in_use)
{
	static const struct {
		uint16_t flags, format;
		uint32_t size;
		uint64_t vmxon_pa;
		bool is_saved;
	} rows[] = {
		{ 0, KVM_STATE_NESTED_FORMAT_VMX, sizeof(kernel.held), UINT64_MAX, false },
		{ 0, KVM_STATE_NESTED_FORMAT_VMX, sizeof(kernel.held), 0x1000, true },
		{ KVM_STATE_NESTED_GUEST_MODE, KVM_STATE_NESTED_FORMAT_VMX, sizeof(kernel.held) + TAIL, 0x1000, true },
		{ KVM_STATE_NESTED_GIF_SET, KVM_STATE_NESTED_FORMAT_SVM, sizeof(kernel.held), 0, false },
		{ KVM_STATE_NESTED_GIF_SET, KVM_STATE_NESTED_FORMAT_SVM, sizeof(kernel.held) + TAIL, 0, true },
		{ 0, KVM_STATE_NESTED_FORMAT_SVM, sizeof(kernel.held), 0, true }, /* behind CLGI */
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buffer payload = { 0 };
		kernel.held = (struct kvm_nested_state){ .flags = rows[i].flags,
							 .format = rows[i].format,
							 .size = rows[i].size,
							 .hdr.vmx.vmxon_pa = rows[i].vmxon_pa };
		ck_assert_int_eq(save_nested(&payload), 0);
		ck_assert_msg(payload.size == (rows[i].is_saved ? rows[i].size : 0), "row %zu: %zu bytes", i,
			      payload.size);
		buffer_done(&payload);
	}
}
END_TEST

START_TEST(nested_state_that_cannot_be_read_is_an_error)
{
	struct buffer payload = { 0 };
	kernel.get_errno = EFAULT;
	ck_assert_int_eq(save_nested(&payload), -ERROR_SYSTEM);
	ck_assert_ptr_nonnull(strstr(err.text, "KVM_GET_NESTED_STATE"));
	ck_assert_uint_eq(payload.size, 0);
	buffer_done(&payload);
}
END_TEST

START_TEST(nested_state_is_put_as_it_was_saved)
{
	const struct section *section = image_section(&image, "nested", 0);
	struct bytes payload = buffer_bytes(&section->payload);
	kernel.has_nested = true;
	ck_assert_int_eq(component_restore(section->component, &restore, 0, STAGE_VCPU, payload, &err), 0);
	ck_assert_uint_eq(report.nr, 0);
	ck_assert_mem_eq(&kernel.put, payload.data, sizeof(kernel.put));
	kernel.set_errno = EINVAL;
	ck_assert_int_eq(component_restore(section->component, &restore, 0, STAGE_VCPU, payload, &err), 0);
	ck_assert_uint_eq(report_bad(&report), 1);
	ck_assert_str_eq(report.findings[0].component, "nested");
	ck_assert_ptr_nonnull(strstr(report.findings[0].detail, "KVM_SET_NESTED_STATE"));
}
END_TEST

/* ---- The clock ---- */

#define SECOND 1000000000ull

static struct kvm_clock_data *clock_payload(void)
{
	return (struct kvm_clock_data *)(void *)image_find_named(&image, "clock", 0)->payload.data;
}

/* Puts a clock that was read so long ago, as a kernel with these flags of KVM_CAP_ADJUST_CLOCK does. */
static void put_clock(enum restore_clock policy, int64_t age_ns, int clock_flags)
{
	static struct restore_options options;
	const struct section *section = image_find_named(&image, "clock", 0);
	options.clock = policy;
	restore.options = &options;
	kernel.has_clock = true;
	kernel.clock_flags = clock_flags;
	*clock_payload() = (struct kvm_clock_data){
		.clock = 7 * SECOND,
		.flags = KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC | KVM_CLOCK_TSC_STABLE,
		.realtime = image_now_ns() - (uint64_t)age_ns,
		.host_tsc = 1234,
	};
	ck_assert_int_eq(
		component_restore(section->component, &restore, 0, STAGE_ARM, buffer_bytes(&section->payload), &err),
		0);
}

#define ALL_FLAGS (KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC | KVM_CLOCK_TSC_STABLE)

START_TEST(a_clock_that_continues_is_set_without_realtime)
{
	put_clock(RESTORE_CLOCK_CONTINUE, REALTIME_ADDS, ALL_FLAGS);
	ck_assert_uint_eq(kernel.set.clock, 7 * SECOND);
	ck_assert_uint_eq(kernel.set.flags, 0);
	ck_assert_uint_eq(kernel.set.realtime, 0);
	ck_assert_uint_eq(kernel.set.host_tsc, 0);
	ck_assert_uint_eq(report.nr, 0);
}
END_TEST

START_TEST(a_kernel_with_realtime_adds_what_has_passed)
{
	put_clock(RESTORE_CLOCK_REALTIME, REALTIME_ADDS, ALL_FLAGS);
	ck_assert_uint_eq(kernel.set.clock, 7 * SECOND);
	ck_assert_uint_eq(kernel.set.flags, KVM_CLOCK_REALTIME);
	ck_assert_uint_eq(kernel.set.realtime, clock_payload()->realtime);
	ck_assert_uint_eq(report.nr, 1);
	ck_assert_int_eq(report.findings[0].kind, FINDING_TRANSLATED);
	ck_assert_str_eq(report.findings[0].name, "clock");
}
END_TEST

START_TEST(for_a_kernel_without_realtime_we_add_it)
{
	put_clock(RESTORE_CLOCK_REALTIME, REALTIME_ADDS, KVM_CLOCK_TSC_STABLE);
	ck_assert_uint_eq(kernel.set.flags, 0);
	ck_assert_uint_eq(kernel.set.realtime, 0);
	ck_assert_uint_ge(kernel.set.clock, 7 * SECOND + REALTIME_ADDS);
	ck_assert_uint_lt(kernel.set.clock, 7 * SECOND + REALTIME_ADDS + 3600 * SECOND);
	ck_assert_uint_eq(report.nr, 1);
	ck_assert_int_eq(report.findings[0].kind, FINDING_TRANSLATED);
}
END_TEST

START_TEST(of_a_moment_to_come_no_time_has_passed)
{
	put_clock(RESTORE_CLOCK_REALTIME, -3600 * (int64_t)SECOND, ALL_FLAGS);
	ck_assert_uint_eq(kernel.set.clock, 7 * SECOND);
	ck_assert_uint_eq(kernel.set.flags, 0);
	ck_assert_uint_eq(report.nr, 1);
	ck_assert_int_eq(report.findings[0].kind, FINDING_TRANSLATED);
	ck_assert_str_eq(report.findings[0].name, "realtime");
}
END_TEST

/* Succeeds, and does nothing: what it has is another clock, earlier or later than the one that it was given. */
START_TEST(a_clock_that_was_not_set_is_refused)
{
	static const uint64_t others[] = { 0, 3 * SECOND, 3600 * SECOND };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		kernel.drops_clock = true;
		kernel.told.clock = others[i];
		put_clock(RESTORE_CLOCK_CONTINUE, 0, 0);
		ck_assert_uint_eq(report_bad(&report), 1);
		ck_assert_int_eq(report.findings[0].kind, FINDING_REFUSED);
		ck_assert_str_eq(report.findings[0].where, "vm");
		ck_assert_str_eq(report.findings[0].name, "clock");
		ck_assert_str_eq(report.findings[0].left, "0x1a13b8600");
		report_done(&report);
	}
}
END_TEST

/* A kernel that tells the moment is believed; else it is the one at which the clock was read. */
START_TEST(the_moment_is_saved_with_the_clock)
{
	static const struct {
		uint32_t flags;
		uint64_t realtime;
	} rows[] = { { KVM_CLOCK_REALTIME, 1234 }, { 0, 0 } };
	kernel.has_clock = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buffer payload = { 0 };
		struct kvm_clock_data saved;
		kernel.told = (struct kvm_clock_data){
			.clock = 77, .flags = rows[i].flags, .realtime = rows[i].realtime, .host_tsc = 5
		};
		uint64_t before = image_now_ns();
		ck_assert_int_eq(component_save(component_by_name("clock"), &vm, 0, &payload, &err), 0);
		memcpy(&saved, payload.data, sizeof(saved));
		ck_assert_uint_eq(saved.clock, 77);
		ck_assert_uint_eq(saved.flags, rows[i].flags);
		ck_assert_uint_eq(saved.host_tsc, 5);
		if (rows[i].flags != 0)
			ck_assert_uint_eq(saved.realtime, 1234);
		else
			ck_assert(saved.realtime >= before && saved.realtime <= image_now_ns());
		buffer_done(&payload);
	}
}
END_TEST

/* Version 0.1.0 saved none: then it is when the snapshot was written. */
START_TEST(an_old_snapshot_has_the_moment_in_its_header)
{
	image.header.created_ns = 5678;
	clock_payload()->realtime = 0;
	ck_assert_uint_eq(image_moment_ns(&image), 5678);
	clock_payload()->realtime = 1234;
	ck_assert_uint_eq(image_moment_ns(&image), 1234);
}
END_TEST

UNIT_MAIN_WITH(setup, teardown, "kernel", a_save_that_the_kernel_refuses_fails,
	       a_restore_that_the_kernel_refuses_is_told, nested_state_is_saved_where_it_is_in_use,
	       nested_state_that_cannot_be_read_is_an_error, nested_state_is_put_as_it_was_saved,
	       a_clock_that_continues_is_set_without_realtime, a_kernel_with_realtime_adds_what_has_passed,
	       for_a_kernel_without_realtime_we_add_it, of_a_moment_to_come_no_time_has_passed,
	       a_clock_that_was_not_set_is_refused, the_moment_is_saved_with_the_clock,
	       an_old_snapshot_has_the_moment_in_its_header)
