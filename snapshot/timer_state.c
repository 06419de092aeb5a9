#include "state.h"

#include <inttypes.h>
#include <linux/ioctl.h>
#include <stdio.h>
#include <string.h>

#include "components.h"
#include "restoring.h"
#include "state_bits.h"
#include "vmm/now.h"

/*
 * Our PIT is KVM's with one member of another meaning, so that the rest is copied as it stands.
 */
_Static_assert(sizeof(struct pit_channel) == sizeof(struct kvm_pit_channel_state), "channel");
_Static_assert(offsetof(struct pit_channel, gate) == offsetof(struct kvm_pit_channel_state, gate), "gate");
_Static_assert(offsetof(struct pit_channel, age_ns) == offsetof(struct kvm_pit_channel_state, count_load_time), "age");
_Static_assert(offsetof(struct pit_state, flags) == offsetof(struct kvm_pit_state2, flags), "flags");
_Static_assert(sizeof(struct pit_state) == sizeof(struct kvm_pit_state2), "pit");
_Static_assert(sizeof(struct kvm_pit_state2) == _IOC_SIZE(KVM_GET_PIT2), "pit");
_Static_assert(sizeof(struct kvm_clock_data) == _IOC_SIZE(KVM_GET_CLOCK), "clock");

#define CHANNELS 3

/* Unsigned, because a time from a file may be any number. */
static int64_t before(int64_t now_ns, int64_t ns)
{
	return (int64_t)((uint64_t)now_ns - (uint64_t)ns);
}

void pit_state_from_kvm(const struct kvm_pit_state2 *pit, int64_t now_ns, struct pit_state *ret)
{
	memcpy(ret, pit, sizeof(*ret));
	for (int i = 0; i < CHANNELS; i++)
		ret->channels[i].age_ns = before(now_ns, pit->channels[i].count_load_time);
}

void pit_state_to_kvm(const struct pit_state *state, int64_t now_ns, struct kvm_pit_state2 *ret)
{
	memcpy(ret, state, sizeof(*ret));
	for (int i = 0; i < CHANNELS; i++)
		ret->channels[i].count_load_time = before(now_ns, state->channels[i].age_ns);
}

/* clang-format off */

#define TYPE struct pit_channel
static const struct field pit_channel_fields[] = {
	FIELD(TYPE, count),
	FIELD(TYPE, latched_count),
	FIELD(TYPE, count_latched),
	FIELD(TYPE, status_latched),
	FIELD(TYPE, status),
	FIELD(TYPE, read_state),
	FIELD(TYPE, write_state),
	FIELD(TYPE, write_latch),
	FIELD(TYPE, rw_mode),
	FIELD(TYPE, mode),
	FIELD(TYPE, bcd),
	FIELD(TYPE, gate),
	/* KVM_SET_PIT2 loads every count again (arch/x86/kvm/i8254.c, pit_load_count). */
	FIELD(TYPE, age_ns, VOLATILE("KVM starts the count anew when the PIT is set")),
};
static const struct schema pit_channel_schema = SCHEMA("pit_channel", sizeof(TYPE), pit_channel_fields);
#undef TYPE

#define TYPE struct pit_state
static const struct field pit_fields[] = {
	FIELD_SUB_ARRAY(TYPE, channels, &pit_channel_schema),
	FIELD(TYPE, flags, .bits = pit_flags_bits),
	FIELD_PAD(TYPE, reserved),
};
const struct schema pit_schema = SCHEMA("pit", sizeof(TYPE), pit_fields);
#undef TYPE

/* Only clock is the guest's; the rest says what its host could tell about the moment at which it was read. */
#define TYPE struct kvm_clock_data
static const struct field clock_fields[] = {
	FIELD(TYPE, clock, VOLATILE("it runs on even while the machine is paused")),
	FIELD(TYPE, flags, VOLATILE("it says what the host's clock can do", .bits = clock_flags_bits)),
	FIELD_PAD(TYPE, pad0),
	/* Where KVM does not tell it, we do: see save_clock(). */
	FIELD(TYPE, realtime, VOLATILE("it is the host's wall clock at the time of reading")),
	FIELD(TYPE, host_tsc, VOLATILE("it is the host's TSC at the time of reading")),
	FIELD_PAD(TYPE, pad),
};
const struct schema clock_schema = SCHEMA("clock", sizeof(TYPE), clock_fields);
#undef TYPE

/* clang-format on */

/* ---- The PIT ---- */

static int save_pit(struct vm *vm, unsigned instance, struct buffer *ret, struct error *err)
{
	struct kvm_pit_state2 pit;
	struct pit_state state;
	(void)instance;
	if (kvm_call(vm->fd, KVM_GET_PIT2, &pit) < 0)
		return error_errno(err, ERROR_SYSTEM, "KVM_GET_PIT2");
	pit_state_from_kvm(&pit, now_ns(), &state);
	return component_append(ret, &state, sizeof(state), err);
}

static int restore_pit(struct restore *restore, unsigned instance, enum stage stage, struct bytes payload,
		       struct error *err)
{
	struct kvm_pit_state2 pit;
	struct pit_state state;
	(void)stage;
	(void)err;
	memcpy(&state, payload.data, sizeof(state));
	pit_state_to_kvm(&state, now_ns(), &pit);
	if (kvm_call(restore->vm->fd, KVM_SET_PIT2, &pit) < 0)
		restore_refused(restore, component_by_name("pit"), instance, KVM_SET_PIT2);
	return 0;
}

const struct component_ops pit_ops = { .save = save_pit, .restore = restore_pit };

/* ---- The VM's clock ---- */

/* How far a clock that was just set may be from what it was set to, besides the time that has passed since. */
#define CLOCK_TOLERANCE_NS 1000000000

/*
 * A KVM whose host does not count by the TSC gives no KVM_CLOCK_REALTIME (arch/x86/kvm/x86.c, get_kvmclock()): then the
 * moment is noted here.
 */
static int save_clock(struct vm *vm, unsigned instance, struct buffer *ret, struct error *err)
{
	struct kvm_clock_data clock = { 0 };
	(void)instance;
	if (kvm_call(vm->fd, KVM_GET_CLOCK, &clock) < 0)
		return error_errno(err, ERROR_SYSTEM, "KVM_GET_CLOCK");
	if ((clock.flags & KVM_CLOCK_REALTIME) == 0)
		clock.realtime = image_now_ns();
	return component_append(ret, &clock, sizeof(clock), err);
}

/*
 * With KVM_CLOCK_REALTIME, KVM itself adds the time since the moment that it is given, and loses none on the way
 * (api.rst, KVM_SET_CLOCK); older kernels refuse the flag.  A clock that goes on where it stood is never set with it.
 */
static int put_clock(const struct restore *restore, uint64_t clock, uint64_t elapsed_ns)
{
	struct kvm_clock_data put = { .clock = clock + elapsed_ns };
	int flags = kvm_capability(restore->vm->fd, KVM_CAP_ADJUST_CLOCK);
	if (elapsed_ns != 0 && (flags & KVM_CLOCK_REALTIME) != 0) {
		put.clock = clock;
		put.flags = KVM_CLOCK_REALTIME;
		put.realtime = image_moment_ns(restore->image);
	}
	return kvm_call(restore->vm->fd, KVM_SET_CLOCK, &put);
}

/* What was done about the time since the snapshot. */
static void report_elapsed(const struct restore *restore, uint64_t elapsed_ns, uint64_t saved, uint64_t got)
{
	if (restore->options->clock == RESTORE_CLOCK_CONTINUE)
		return;
	if (elapsed_ns == 0)
		restore_translated(restore, "clock", 0, "realtime", image_moment_ns(restore->image), image_now_ns(),
				   "the snapshot is of a later time than this host's: none is taken to have passed");
	else
		restore_translated(restore, "clock", 0, "clock", saved, got, "moved on by the time since the snapshot");
}

/* It runs on, so that no comparison of two images could tell whether it arrived. */
static int restore_clock(struct restore *restore, unsigned instance, enum stage stage, struct bytes payload,
			 struct error *err)
{
	struct kvm_clock_data saved, got = { 0 };
	(void)instance;
	(void)stage;
	(void)err;
	memcpy(&saved, payload.data, sizeof(saved));
	int64_t start = now_ns();
	uint64_t elapsed_ns = restore_elapsed_ns(restore), wanted = saved.clock + elapsed_ns;
	if (put_clock(restore, saved.clock, elapsed_ns) < 0) {
		restore_refused(restore, component_by_name("clock"), 0, KVM_SET_CLOCK);
		return 0;
	}
	if (kvm_call(restore->vm->fd, KVM_GET_CLOCK, &got) < 0) {
		restore_refused(restore, component_by_name("clock"), 0, KVM_GET_CLOCK);
		return 0;
	}
	int64_t ahead = before((int64_t)got.clock, (int64_t)wanted), spent = now_ns() - start;
	if (ahead < -CLOCK_TOLERANCE_NS || ahead > spent + CLOCK_TOLERANCE_NS) {
		struct finding finding = { .name = "clock", .detail = "it is not what it was set to" };
		snprintf(finding.left, sizeof(finding.left), "0x%" PRIx64, wanted);
		snprintf(finding.right, sizeof(finding.right), "0x%" PRIx64, (uint64_t)got.clock);
		restore_finding(restore, component_by_name("clock"), 0, NULL, &finding);
		return 0;
	}
	report_elapsed(restore, elapsed_ns, saved.clock, got.clock);
	return 0;
}

const struct component_ops clock_ops = { .save = save_clock, .restore = restore_clock };
