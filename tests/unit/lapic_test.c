#include "unit.h"

#include "vmm/lapic.h"

static struct kvm_lapic_state timer(uint32_t lvtt, uint32_t initial, uint32_t count)
{
	struct kvm_lapic_state lapic = { 0 };
	lapic_set(&lapic, LAPIC_SVR, LAPIC_SVR_ENABLED | 0xff);
	lapic_set(&lapic, LAPIC_LVTT, lvtt);
	lapic_set(&lapic, LAPIC_TMICT, initial);
	lapic_set(&lapic, LAPIC_TMCCT, count);
	return lapic;
}

#define PERIODIC (1u << 17)

START_TEST(a_timer_that_ran_down_has_fired)
{
	static const struct {
		uint32_t lvtt, initial, before, now;
		bool has_fired;
	} rows[] = {
		{ LAPIC_LVTT_ONE_SHOT, 100, 90, 80, false }, /* it counts */
		{ LAPIC_LVTT_ONE_SHOT, 100, 90, 0, true },
		{ LAPIC_LVTT_ONE_SHOT, 100, 0, 0, false }, /* it had fired before */
		{ LAPIC_LVTT_ONE_SHOT, 0, 90, 0, false },  /* it was stopped */
		{ PERIODIC, 100, 10, 5, false },
		{ PERIODIC, 100, 5, 95, true },             /* it began anew */
		{ LAPIC_LVTT_DEADLINE, 100, 90, 0, false }, /* the deadline says it */
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kvm_lapic_state lapic = timer(rows[i].lvtt, rows[i].initial, rows[i].now);
		ck_assert_msg(lapic_timer_has_fired(&lapic, rows[i].before) == rows[i].has_fired, "row %zu", i);
		bool is_down = rows[i].now == 0 && rows[i].initial != 0 && rows[i].lvtt != LAPIC_LVTT_DEADLINE;
		ck_assert_msg(lapic_timer_is_down(&lapic) == is_down, "row %zu", i);
	}
}
END_TEST

START_TEST(its_interrupt_is_the_one_of_its_entry)
{
	struct kvm_lapic_state lapic = timer(0x45, 100, 0);
	lapic_set(&lapic, LAPIC_TMR + 0x20, 0xffffffff);
	lapic_deliver_timer(&lapic);
	ck_assert_uint_eq(lapic_get(&lapic, LAPIC_IRR + 0x20), 1u << 5);
	ck_assert_uint_eq(lapic_get(&lapic, LAPIC_TMR + 0x20), ~(1u << 5));
	lapic = timer(0x45 | LAPIC_LVT_MASKED, 100, 0);
	lapic_deliver_timer(&lapic);
	ck_assert_uint_eq(lapic_get(&lapic, LAPIC_IRR + 0x20), 0);
	lapic = timer(0x45, 100, 0);
	lapic_set(&lapic, LAPIC_SVR, 0xff);
	lapic_deliver_timer(&lapic);
	ck_assert_uint_eq(lapic_get(&lapic, LAPIC_IRR + 0x20), 0);
	lapic = timer(5, 100, 0);
	lapic_deliver_timer(&lapic);
	ck_assert_uint_eq(lapic_get(&lapic, LAPIC_IRR), 0);
}
END_TEST

UNIT_MAIN("lapic", a_timer_that_ran_down_has_fired, its_interrupt_is_the_one_of_its_entry)
