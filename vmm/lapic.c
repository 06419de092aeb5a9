#include "lapic.h"

#include <string.h>

#define VECTOR_FIRST                  16u /* lower ones are errors (SDM volume 3, 11.5.2) */
#define VECTOR_REGISTER(base, vector) ((base) + (vector) / 32 * 16)
#define VECTOR_BIT(vector)            (1u << (vector) % 32)

uint32_t lapic_get(const struct kvm_lapic_state *lapic, uint32_t offset)
{
	uint32_t value;
	memcpy(&value, lapic->regs + offset, sizeof(value));
	return value;
}

void lapic_set(struct kvm_lapic_state *lapic, uint32_t offset, uint32_t value)
{
	memcpy(lapic->regs + offset, &value, sizeof(value));
}

static bool timer_counts(const struct kvm_lapic_state *lapic)
{
	return (lapic_get(lapic, LAPIC_LVTT) & LAPIC_LVTT_MODE) != LAPIC_LVTT_DEADLINE &&
	       lapic_get(lapic, LAPIC_TMICT) != 0;
}

bool lapic_timer_is_down(const struct kvm_lapic_state *lapic)
{
	return timer_counts(lapic) && lapic_get(lapic, LAPIC_TMCCT) == 0;
}

/* Bits 3, 1 and 0 of the divide configuration register (SDM volume 3, 11.5.4): by 2, 4, ... 128, by 1. */
static uint32_t timer_divisor(const struct kvm_lapic_state *lapic)
{
	uint32_t divide = lapic_get(lapic, LAPIC_TDCR);
	return 1u << (((divide & 3) | (divide >> 1 & 4)) + 1) % 8;
}

bool lapic_timer_move_on(struct kvm_lapic_state *lapic, uint64_t ns)
{
	uint32_t count = lapic_get(lapic, LAPIC_TMCCT);
	uint64_t passed = ns / timer_divisor(lapic);
	if (!timer_counts(lapic) || count == 0)
		return false;
	lapic_set(lapic, LAPIC_TMCCT, passed < count ? count - (uint32_t)passed : 1);
	return true;
}

bool lapic_timer_has_fired(const struct kvm_lapic_state *lapic, uint32_t count_before)
{
	uint32_t count = lapic_get(lapic, LAPIC_TMCCT);
	if (!timer_counts(lapic))
		return false;
	/* A periodic one begins anew and stands higher than before. */
	return count > count_before || (count == 0 && count_before != 0);
}

void lapic_deliver_timer(struct kvm_lapic_state *lapic)
{
	uint32_t lvtt = lapic_get(lapic, LAPIC_LVTT), vector = lvtt & LAPIC_LVT_VECTOR;
	if ((lapic_get(lapic, LAPIC_SVR) & LAPIC_SVR_ENABLED) == 0 || (lvtt & LAPIC_LVT_MASKED) != 0 ||
	    vector < VECTOR_FIRST)
		return;
	uint32_t irr = VECTOR_REGISTER(LAPIC_IRR, vector), tmr = VECTOR_REGISTER(LAPIC_TMR, vector);
	lapic_set(lapic, irr, lapic_get(lapic, irr) | VECTOR_BIT(vector));
	lapic_set(lapic, tmr, lapic_get(lapic, tmr) & ~VECTOR_BIT(vector)); /* edge-triggered */
}
