/* What every Check test of this project starts with. */
#ifndef STASIS_TESTS_UNIT_H
#define STASIS_TESTS_UNIT_H

#include <check.h>
#include <stdlib.h>

/* Runs one suite; the process's exit status says whether all passed. */
static inline int unit_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A suite of one case from a list of tests, each between setup and teardown, which may be NULL. */
static inline Suite *unit_suite_with(SFun setup, SFun teardown, const char *name, const TTest *const *tests, size_t nr)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 0); /* ctest has one */
	for (size_t i = 0; i < nr; i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	return suite;
}

static inline Suite *unit_suite(const char *name, const TTest *const *tests, size_t nr)
{
	return unit_suite_with(NULL, NULL, name, tests, nr);
}

/* int main() of a test file: UNIT_MAIN("bytes", test_a, test_b) */
#define UNIT_MAIN(name, ...) UNIT_MAIN_WITH(NULL, NULL, name, __VA_ARGS__)
#define UNIT_MAIN_WITH(setup, teardown, name, ...)                                                                     \
	int main(void)                                                                                                 \
	{                                                                                                              \
		const TTest *const tests[] = { __VA_ARGS__ };                                                          \
		size_t nr = sizeof(tests) / sizeof(tests[0]);                                                          \
		return unit_run(unit_suite_with(setup, teardown, name, tests, nr));                                    \
	}

#endif
