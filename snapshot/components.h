/* What the families' files (*_state.c) give to the component table. */
#ifndef STASIS_SNAPSHOT_COMPONENTS_H
#define STASIS_SNAPSHOT_COMPONENTS_H

#include "component.h"

extern const struct component_ops machine_ops, cpuid_ops, tsc_ops, sregs_ops, xsave_ops, lapic_ops, registers_ops,
	nested_ops, serial_ops, ports_ops, clock_ops, pit_ops, generation_ops;

#endif
