/*
 * The schemas of all state, and the structs of our own for state that KVM hands out in a form that no other host
 * could use.
 */
#ifndef STASIS_SNAPSHOT_STATE_H
#define STASIS_SNAPSHOT_STATE_H

#include <stdint.h>

#include "schema.h"
#include "vmm/generation.h"
#include "vmm/kvm_uapi.h"
#include "vmm/ports.h"
#include "vmm/serial.h"
#include "vmm/vm.h"
#include "xsave_state.h"

/*
 * A vCPU's time stamp counter: KVM_GET_TSC_KHZ, the attribute KVM_VCPU_TSC_OFFSET, and IA32_TIME_STAMP_COUNTER,
 * all three as they were at the same pause.
 */
struct tsc_state {
	uint64_t khz, offset, tsc;
};

/* struct kvm_pit_state2 with the load times, which are the host's CLOCK_MONOTONIC, made relative. */
struct pit_channel {
	uint32_t count; /* 1 to 65536 */
	uint16_t latched_count;
	uint8_t count_latched, status_latched, status, read_state, write_state, write_latch, rw_mode, mode, bcd, gate;
	int64_t age_ns; /* since the count was loaded */
};

struct pit_state {
	struct pit_channel channels[3];
	uint32_t flags;
	uint32_t reserved[9];
};

/* To our form and back; now_ns is CLOCK_MONOTONIC on the host that KVM's side belongs to. */
void pit_state_from_kvm(const struct kvm_pit_state2 *pit, int64_t now_ns, struct pit_state *ret);
void pit_state_to_kvm(const struct pit_state *state, int64_t now_ns, struct kvm_pit_state2 *ret);

/*
 * All schemas, each with the struct that it describes.  One list, so that what is exported, what the tests look at
 * and what the committed dump holds cannot differ.  The nested state's data, which follows its header, has no schema.
 */
#define STATE_SCHEMAS(X)                                                                                               \
	X(machine, struct machine)                                                                                     \
	X(memory_range, struct memory_range)                                                                           \
	X(cpuid_entry, struct kvm_cpuid_entry2)                                                                        \
	X(reg_value, struct kvm_reg_value)                                                                             \
	X(mp_state, struct kvm_mp_state)                                                                               \
	X(regs, struct kvm_regs)                                                                                       \
	X(sregs, struct kvm_sregs2)                                                                                    \
	X(debugregs, struct kvm_debugregs)                                                                             \
	X(xcrs, struct kvm_xcrs)                                                                                       \
	X(xsave, struct xsave_state)                                                                                   \
	X(events, struct kvm_vcpu_events)                                                                              \
	X(lapic, struct kvm_lapic_state)                                                                               \
	X(tsc, struct tsc_state)                                                                                       \
	X(nested, struct kvm_nested_state)                                                                             \
	X(pic, struct kvm_irqchip)                                                                                     \
	X(ioapic, struct kvm_irqchip)                                                                                  \
	X(pit, struct pit_state)                                                                                       \
	X(clock, struct kvm_clock_data)                                                                                \
	X(serial, struct serial_state)                                                                                 \
	X(ports, struct ports_state)                                                                                   \
	X(generation, struct generation_state)

#define STATE_DECLARE(name, type) extern const struct schema name##_schema;
STATE_SCHEMAS(STATE_DECLARE)
#undef STATE_DECLARE

#endif
