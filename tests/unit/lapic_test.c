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

START_TEST(a_timer_is_moved_on_by_what_has_passed)
{
	static const struct {
		uint32_t lvtt, initial, count, divide;
		uint64_t ns;
		bool counts;
		uint32_t left;
	} rows[] = {
		{ LAPIC_LVTT_ONE_SHOT, 1000, 900, 0xb, 400, true, 500 }, /* by 1 */
		{ LAPIC_LVTT_ONE_SHOT, 1000, 900, 0, 400, true, 700 },   /* by 2 */
		{ LAPIC_LVTT_ONE_SHOT, 1000, 900, 8, 64, true, 898 },    /* by 32 */
		{ PERIODIC, 1000, 900, 0xa, 12800, true, 800 },          /* by 128 */
		{ LAPIC_LVTT_ONE_SHOT, 1000, 900, 0xb, 899, true, 1 },
		{ LAPIC_LVTT_ONE_SHOT, 1000, 900, 0xb, 900, true, 1 },
		{ PERIODIC, 1000, 900, 0xb, UINT64_MAX, true, 1 },
		{ LAPIC_LVTT_ONE_SHOT, 1000, 0, 0xb, 400, false, 0 },  /* it has fired */
		{ LAPIC_LVTT_ONE_SHOT, 0, 900, 0xb, 400, false, 900 }, /* it was stopped */
		{ LAPIC_LVTT_DEADLINE, 1000, 900, 0xb, 400, false, 900 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kvm_lapic_state lapic = timer(rows[i].lvtt, rows[i].initial, rows[i].count);
		lapic_set(&lapic, LAPIC_TDCR, rows[i].divide);
		ck_assert_msg(lapic_timer_move_on(&lapic, rows[i].ns) == rows[i].counts, "row %zu", i);
		ck_assert_msg(lapic_get(&lapic, LAPIC_TMCCT) == rows[i].left, "row %zu: %u", i,
			      lapic_get(&lapic, LAPIC_TMCCT));
		ck_assert_uint_eq(lapic_get(&lapic, LAPIC_TMICT), rows[i].initial);
	}
}
END_TEST

UNIT_MAIN("lapic", a_timer_that_ran_down_has_fired, its_interrupt_is_the_one_of_its_entry,
	  a_timer_is_moved_on_by_what_has_passed)
