#include "unit.h"

#include <string.h>

#include "snapshot/sent_pages.h"

#define GPA  0x42000u
#define GPA2 (GPA + (uint64_t)SENT_PAGES_MAX * MEMORY_PAGE) /* of the same slot */

static struct sent_pages sent;
static uint8_t page[MEMORY_PAGE], other[MEMORY_PAGE];

static void setup(void)
{
	ck_assert_int_eq(sent_pages_create(&sent, NULL), 0);
	memset(page, 0x5a, sizeof(page));
	memcpy(other, page, sizeof(other));
	other[sizeof(other) - 1] ^= 1;
}

static void teardown(void)
{
	sent_pages_done(&sent);
}

START_TEST(only_what_is_kept_is_had)
{
	ck_assert(!sent_pages_has(&sent, 0, page));
	ck_assert(!sent_pages_has(&sent, GPA, page));
	sent_pages_keep(&sent, GPA, page);
	ck_assert(sent_pages_has(&sent, GPA, page));
	ck_assert(!sent_pages_has(&sent, GPA, other));
	ck_assert(!sent_pages_has(&sent, GPA + MEMORY_PAGE, page));
	sent_pages_keep(&sent, GPA, other);
	ck_assert(sent_pages_has(&sent, GPA, other));
	ck_assert(!sent_pages_has(&sent, GPA, page));
}
END_TEST

/* A page that was changed and changed back in between was not sent as it is now. */
START_TEST(what_is_forgotten_is_not_had)
{
	sent_pages_keep(&sent, GPA, page);
	sent_pages_forget(&sent, GPA);
	ck_assert(!sent_pages_has(&sent, GPA, page));
}
END_TEST

START_TEST(a_slot_is_of_one_page)
{
	sent_pages_keep(&sent, GPA, page);
	ck_assert(!sent_pages_has(&sent, GPA2, page));
	sent_pages_forget(&sent, GPA2);
	ck_assert(sent_pages_has(&sent, GPA, page));
	sent_pages_keep(&sent, GPA2, page);
	ck_assert(sent_pages_has(&sent, GPA2, page));
	ck_assert(!sent_pages_has(&sent, GPA, page));
}
END_TEST

START_TEST(none_is_done)
{
	struct sent_pages none = { 0 };
	sent_pages_done(&none);
	sent_pages_done(&none);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { only_what_is_kept_is_had, what_is_forgotten_is_not_had, a_slot_is_of_one_page,
				       none_is_done };
	return unit_run(unit_suite_with(setup, teardown, "sent_pages", tests, sizeof(tests) / sizeof(tests[0])));
}
