#include "unit.h"

#include <errno.h>
#include <string.h>

#include "vmm/error.h"

START_TEST(an_error_is_its_code_and_one_text)
{
	struct error err;
	ck_assert_int_eq(error_set(&err, ERROR_DATA, "%s: %d", "file", 7), -ERROR_DATA);
	ck_assert_int_eq(err.code, ERROR_DATA);
	ck_assert_str_eq(err.text, "file: 7");
	errno = ENOENT;
	ck_assert_int_eq(error_errno(&err, ERROR_IO, "%s", "file"), -ERROR_IO);
	ck_assert_str_eq(err.text, "file: No such file or directory");
	ck_assert_int_eq(error_prefix(&err, "section %u", 3), -ERROR_IO);
	ck_assert_str_eq(err.text, "section 3: file: No such file or directory");
	ck_assert_int_eq(error_set(NULL, ERROR_USAGE, "nobody asks"), -ERROR_USAGE);
}
END_TEST

START_TEST(a_long_text_is_cut)
{
	struct error err;
	char text[2 * ERROR_TEXT_MAX];
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	error_set(&err, ERROR_DATA, "%s", text);
	ck_assert_uint_eq(strlen(err.text), ERROR_TEXT_MAX - 1);
	error_prefix(&err, "prefix");
	ck_assert_uint_eq(strlen(err.text), ERROR_TEXT_MAX - 1);
	ck_assert_mem_eq(err.text, "prefix: xxx", 11);
}
END_TEST

START_TEST(no_control_character_reaches_a_terminal)
{
	struct error err;
	error_set(&err, ERROR_DATA, "%s", "written by \x1b[2J\r\x7f, f\xc3\xbcr\ndich");
	ck_assert_str_eq(err.text, "written by ?[2J??, f\xc3\xbcr\ndich");
}
END_TEST

START_TEST(every_code_has_a_name_of_its_own)
{
	for (unsigned i = 0; i < ERROR_CODES; i++) {
		enum error_code code = ERROR_CODES;
		ck_assert_ptr_nonnull(error_code_name((enum error_code)i));
		ck_assert(error_code_parse(error_code_name((enum error_code)i), &code));
		ck_assert_uint_eq(code, i);
		ck_assert_int_eq(error_exit_status((enum error_code)i) == 0, i == ERROR_NONE);
	}
	enum error_code code;
	ck_assert(!error_code_parse("nobody", &code));
}
END_TEST

UNIT_MAIN("error", every_code_has_a_name_of_its_own, an_error_is_its_code_and_one_text, a_long_text_is_cut,
	  no_control_character_reaches_a_terminal)
