/*
 * Which registers belong to a vCPU's state, and what is special about some of them.
 */
#ifndef STASIS_SNAPSHOT_REGISTERS_H
#define STASIS_SNAPSHOT_REGISTERS_H

#include "component.h"

/* A register that is not simply read, written in STAGE_VCPU and expected back. */
struct register_rule {
	uint64_t id;
	enum stage stage;
	enum field_rule rule;
	const char *why;
	/* Does KVM write guest RAM when it is set?  Then so many bytes at the address in it; address_mask takes flags
	 * off. */
	uint32_t ram_bytes;
	uint64_t address_mask;
	bool is_kvmclock; /* it says where KVM tells the guest the time */
};

#define REGISTER_RAM_MAX 64 /* of ram_bytes */

/* The row of a register, or that of all others. */
const struct register_rule *register_rule(uint64_t id);

/* Why a register that the kernel lists is not saved as a register; NULL: it is. */
const char *register_exclusion(uint64_t id);

/*
 * The ids that are tried for a vCPU, ascending, each once: KVM's MSR index list, what that list leaves out, its
 * synthetic registers, and those that came with a snapshot; without the excluded ones.  Where STAGE_VCPU is not one of
 * the stages (bits 1 << STAGE_*), only those that were put at them.  The caller frees *ret_ids.
 */
int registers_list(const struct vm *vm, unsigned vcpu, uint8_t stages, uint64_t **ret_ids, size_t *ret_nr,
		   struct error *err);

/* Gives a register another value in a payload of registers, which must be its own (buffer_own()). */
void registers_change(const struct buffer *payload, uint64_t id, uint64_t value);

/*
 * The registers of a snapshot (an array of struct kvm_reg_value) are the machine's from now on.  KVM lists an MSR where
 * the host's CPU has it, but may take it all the same: what was restored has to be read back, and be in the next
 * snapshot.
 */
int registers_adopt(struct vm *vm, struct bytes payload, struct error *err);

#endif
