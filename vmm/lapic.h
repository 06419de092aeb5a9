/*
 * The timer in a LAPIC's page, as KVM_GET_LAPIC gives it (SDM volume 3, table 11-1 and 11.5.4).
 */
#ifndef STASIS_VMM_LAPIC_H
#define STASIS_VMM_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "kvm_uapi.h"

/* Offsets of registers in the page. */
#define LAPIC_SVR   0x0f0
#define LAPIC_TMR   0x180 /* eight registers of 32 vectors, 16 bytes apart; so is IRR */
#define LAPIC_IRR   0x200
#define LAPIC_LVTT  0x320
#define LAPIC_TMICT 0x380
#define LAPIC_TMCCT 0x390
#define LAPIC_TDCR  0x3e0

#define LAPIC_SVR_ENABLED   (1u << 8)
#define LAPIC_LVT_VECTOR    0xffu
#define LAPIC_LVT_MASKED    (1u << 16)
#define LAPIC_LVTT_MODE     (3u << 17)
#define LAPIC_LVTT_ONE_SHOT (0u << 17)
#define LAPIC_LVTT_DEADLINE (2u << 17)

uint32_t lapic_get(const struct kvm_lapic_state *lapic, uint32_t offset);
void lapic_set(struct kvm_lapic_state *lapic, uint32_t offset, uint32_t value);

/*
 * Does a timer that counts stand at 0?  KVM computes the count from the time: the timer may have run down a moment ago,
 * and its interrupt be still to come (arch/x86/kvm/lapic.c, apic_get_tmcct()).
 */
bool lapic_timer_is_down(const struct kvm_lapic_state *lapic);

/*
 * Takes a time off the count that a timer still has, at the 1 GHz at which KVM's LAPICs count before they divide
 * (arch/x86/kvm/lapic.h, APIC_BUS_CYCLE_NS).  Of one that would have run down, 1 is left: it fires as soon as it is
 * started, once; a periodic one goes on from there.  False where no timer counts, and nothing is changed.
 */
bool lapic_timer_move_on(struct kvm_lapic_state *lapic, uint64_t ns);

/* Has a timer that counts (not one with a deadline) run down since its count was count_before? */
bool lapic_timer_has_fired(const struct kvm_lapic_state *lapic, uint32_t count_before);

/*
 * Puts the timer's interrupt into IRR, as KVM does when a vCPU whose timer has fired next enters the guest
 * (arch/x86/kvm/lapic.c, kvm_apic_local_deliver()).
 */
void lapic_deliver_timer(struct kvm_lapic_state *lapic);

#endif
