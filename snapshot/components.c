#include "component.h"

#include "components.h"
#include "format.h"
#include "state.h"

#define VCPU(component_name, component_id)                                                                             \
	.name = (component_name), .id = (component_id), .version = 1, .scope = COMPONENT_VCPU
#define VM(component_name, component_id)                                                                               \
	.name = (component_name), .id = (component_id), .version = 1, .scope = COMPONENT_VM
#define AT(stage_name) .stages = 1 << STAGE_##stage_name
#define IOCTLS(pair)   .get = KVM_GET_##pair, .set = KVM_SET_##pair
#define IN_VM(member)  .offset = offsetof(struct vm, member)
#define ALL            .with = WITH_ANY

/*
 * Ids: 1 to 31 the machine, 32 to 63 a vCPU, 64 to 95 controllers and timers, 96 up devices.
 * save_rank: MP_STATE first, for reading it can take an INIT or SIPI; PIT, PICs and IOAPIC before any LAPIC, for they
 * go on while vCPUs stand still; events before sregs and debugregs, which a pending payload would change; TSC and clock
 * last, together, as the clock's moment is that of both.
 */
/* clang-format off */
const struct component component_table[] = {
	{ VM("machine", 1), ALL, AT(MACHINE), .schema = &machine_schema, IN_VM(machine), .ops = &machine_ops },
	{ .name = "ram", .id = 2, .version = FORMAT_RAM_PLACED_VERSION, .scope = COMPONENT_VM, ALL, AT(MACHINE),
	  .shape = COMPONENT_RAM },

	{ VCPU("cpuid", 32), ALL, AT(VCPU_EARLY), .shape = COMPONENT_LIST, .schema = &cpuid_entry_schema,
	  .ops = &cpuid_ops },
	{ VCPU("tsc", 34), ALL, AT(VCPU_EARLY), .save_rank = 9, .schema = &tsc_schema, .ops = &tsc_ops },

	{ VCPU("sregs", 35), ALL, AT(VCPU), .schema = &sregs_schema, .ops = &sregs_ops },
	{ VCPU("xcrs", 36), ALL, AT(VCPU), .schema = &xcrs_schema, IOCTLS(XCRS) },
	{ VCPU("xsave", 37), ALL, AT(VCPU), .schema = &xsave_schema, .ops = &xsave_ops },
	{ VCPU("debugregs", 38), ALL, AT(VCPU), .schema = &debugregs_schema, IOCTLS(DEBUGREGS) },
	{ VCPU("lapic", 39), .with = WITH_LAPIC, AT(VCPU), .save_rank = 5, .schema = &lapic_schema, IOCTLS(LAPIC),
	  .ops = &lapic_ops },
	{ VCPU("registers", 40), ALL, .stages = 1 << STAGE_VCPU | 1 << STAGE_ARM, .shape = COMPONENT_LIST,
	  .schema = &reg_value_schema, .ops = &registers_ops },
	{ VCPU("regs", 41), ALL, AT(VCPU), .schema = &regs_schema, IOCTLS(REGS) },
	{ VCPU("mp_state", 33), ALL, AT(VCPU), .save_rank = -10, .schema = &mp_state_schema, IOCTLS(MP_STATE) },
	{ VCPU("events", 42), ALL, AT(VCPU), .save_rank = -5, .schema = &events_schema, IOCTLS(VCPU_EVENTS) },
	{ VCPU("nested", 43), ALL, AT(VCPU), .shape = COMPONENT_BLOB, .is_optional = true, .schema = &nested_schema,
	  .ops = &nested_ops },

	{ VM("pic-master", 64), .with = WITH_FULL, AT(VM_LATE), .save_rank = -7, .schema = &pic_schema, IOCTLS(IRQCHIP),
	  .select = KVM_IRQCHIP_PIC_MASTER },
	{ VM("pic-slave", 65), .with = WITH_FULL, AT(VM_LATE), .save_rank = -7, .schema = &pic_schema, IOCTLS(IRQCHIP),
	  .select = KVM_IRQCHIP_PIC_SLAVE },
	{ VM("ioapic", 66), .with = WITH_FULL, AT(VM_LATE), .save_rank = -7, .schema = &ioapic_schema, IOCTLS(IRQCHIP),
	  .select = KVM_IRQCHIP_IOAPIC },

	{ VM("uart", 96), ALL, AT(VM_LATE), .schema = &serial_schema, IN_VM(serial.state), .ops = &serial_ops },
	{ VM("ports", 97), ALL, AT(VM_LATE), .schema = &ports_schema, IN_VM(ports.state), .ops = &ports_ops },
	{ VM("generation", 98), ALL, AT(VM_LATE), .is_optional = true, .schema = &generation_schema, IN_VM(generation.state),
	  .ops = &generation_ops },

	{ VM("clock", 67), ALL, AT(ARM), .save_rank = 10, .schema = &clock_schema, IOCTLS(CLOCK), .ops = &clock_ops },
	{ VM("pit", 68), .with = WITH_FULL, AT(ARM), .save_rank = -8, .schema = &pit_schema, .ops = &pit_ops },
};
/* clang-format on */
const size_t component_table_size = sizeof(component_table) / sizeof(component_table[0]);

_Static_assert(sizeof(component_table) / sizeof(component_table[0]) <= COMPONENTS_MAX, "COMPONENTS_MAX");

/*
 * What the order of the table, and of the stages, is for.  Each row is reproduced by a test that turns the order round
 * and sees what is lost (tests/kvm/order_test.c).
 */
/* clang-format off */
#define RESTORE ORDER_RESTORE
#define SAVE ORDER_SAVE
const struct order_fact order_facts[] = {
	{ RESTORE, "cpuid", "sregs", "KVM refuses CR4 bits that the vCPU's CPUID does not have" },
	{ RESTORE, "cpuid", "xcrs", "KVM refuses components in XCR0 that the vCPU's CPUID does not have" },
	{ RESTORE, "cpuid", "registers", "KVM refuses registers that the vCPU's CPUID does not have" },
	{ RESTORE, "sregs", "lapic", "a LAPIC's registers are taken as the mode in apic_base says" },
	{ RESTORE, "sregs", "mp_state", "KVM_SET_SREGS wakes a first CPU that has the CS of a reset" },
	{ RESTORE, "sregs", "nested", "KVM refuses the state of nested virtualization while EFER does not have it enabled" },
	{ RESTORE, "lapic", "IA32_TSC_DEADLINE", "a deadline is dropped while the LAPIC's timer is not in deadline mode" },
	{ RESTORE, "tsc", "IA32_TSC_DEADLINE", "a deadline is armed by the TSC that the vCPU has at that moment" },
	{ RESTORE, "regs", "events", "KVM_SET_REGS drops a pending exception" },
	{ RESTORE, "lapic", "ioapic", "setting the IOAPIC injects what is pending there into the LAPICs" },
	{ RESTORE, "ioapic", "pit", "a tick that nobody takes is never acknowledged, and KVM's PIT waits for that" },
	{ SAVE, "mp_state", "regs", "reading MP_STATE carries out an INIT or SIPI that waits" },
	{ SAVE, "mp_state", "sregs", "reading MP_STATE carries out an INIT or SIPI that waits" },
	{ SAVE, "events", "sregs", "without KVM_CAP_EXCEPTION_PAYLOAD, reading the events writes CR2" },
	{ SAVE, "events", "debugregs", "without KVM_CAP_EXCEPTION_PAYLOAD, reading the events writes DR6" },
	{ SAVE, "ioapic", "lapic", "the PIT goes on: a tick between the two is in neither" },
	{ SAVE, "pit", "lapic", "the PIT goes on: a tick between the two is in neither" },
};
#undef RESTORE
#undef SAVE
/* clang-format on */
const size_t order_facts_size = sizeof(order_facts) / sizeof(order_facts[0]);
