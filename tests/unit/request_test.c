#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "vmm/request.h"

/* Parses a text that may hold NULs; its words, with a | behind each, are *ret. */
static int parse(const char *text, size_t size, char ret[REQUEST_LINE_MAX], struct error *err)
{
	char *line = malloc(size + 1);
	struct request request = { .nr_words = 99 };
	ck_assert_ptr_nonnull(line);
	memcpy(line, text, size);
	int status = request_parse(line, size, &request, err);
	ret[0] = '\0';
	if (status == 0) {
		ck_assert_uint_le(request.nr_words, REQUEST_WORDS_MAX);
		ck_assert_ptr_null(request.words[request.nr_words]);
		for (unsigned i = 0; i < request.nr_words; i++) {
			strcat(ret, request.words[i]);
			strcat(ret, "|");
		}
	} else {
		ck_assert_uint_eq(request.nr_words, 99);
	}
	free(line);
	return status;
}

static void assert_words(const char *line, const char *expected)
{
	char words[REQUEST_LINE_MAX];
	struct error err;
	ck_assert_msg(parse(line, strlen(line), words, &err) == 0, "%s: %s", line, err.text);
	ck_assert_str_eq(words, expected);
}

static void assert_refused(const char *line, size_t size, const char *text)
{
	char words[REQUEST_LINE_MAX];
	struct error err;
	ck_assert_int_eq(parse(line, size, words, &err), -ERROR_USAGE);
	ck_assert_msg(strstr(err.text, text) != NULL, "%s", err.text);
}

START_TEST(words_stand_between_blanks)
{
	assert_words("status", "status|");
	assert_words("  snapshot\t/a  --incremental \r", "snapshot|/a|--incremental|");
	assert_words("1 2 3 4 5 6 7 8", "1|2|3|4|5|6|7|8|");
	assert_words("f\xc3\xbcr \xff", "f\xc3\xbcr|\xff|");
	assert_words("a\\n", "a\\n|");
}
END_TEST

START_TEST(a_string_is_a_word)
{
	assert_words("\"\"", "|");
	assert_words("snapshot \"/a b\"\t\"c\"", "snapshot|/a b|c|");
	assert_words("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t|");
	assert_words("\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80|");
	assert_words("\"\\udcff\\udc80\"", "\xff\x80|");
	assert_words("\"f\xc3\xbcr\"", "f\xc3\xbcr|");
}
END_TEST

START_TEST(what_is_no_request_is_refused)
{
	static const char *const strings[] = {
		"\"a",         "\"a\\",       "\"\\x\"",     "\"\\u12\"",    "\"\\u000\"",
		"\"\\u0000\"", "\"\\udc00\"", "\"\\ud83d\"", "\"\\ud83d\\n", "\"\\ud83d\\u0041\""
	};
	assert_refused("", 0, "empty");
	assert_refused(" \t\r ", 4, "empty");
	assert_refused("1 2 3 4 5 6 7 8 9", 17, "more than 8 words");
	assert_refused("sta\0tus", 7, "control character 0x00");
	assert_refused("sta\033tus", 7, "control character 0x1b");
	assert_refused("\"a\x7f\"", 4, "control character 0x7f");
	assert_refused("\"a\tb\"", 5, "string");
	assert_refused("a\"b\"", 4, "quote in the middle");
	assert_refused("\"a\"b", 4, "a blank is missing");
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		assert_refused(strings[i], strlen(strings[i]), "string");
}
END_TEST

UNIT_MAIN("request", words_stand_between_blanks, a_string_is_a_word, what_is_no_request_is_refused)
