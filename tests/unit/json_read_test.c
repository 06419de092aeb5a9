#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "vmm/json.h"
#include "vmm/json_read.h"

static void note(void *context, const char *path, enum json_kind kind, const char *value)
{
	char *text = context;
	size_t used = strlen(text);
	snprintf(text + used, 512 - used, "%s=%c%s;", path, "snb0"[kind], value);
}

static void assert_leaves(const char *document, const char *expected)
{
	char leaves[512] = "";
	ck_assert_msg(json_walk(document, strlen(document), note, leaves), "%s", document);
	ck_assert_str_eq(leaves, expected);
}

START_TEST(every_leaf_has_its_path)
{
	assert_leaves("{\"a\":1,\"b\":{\"c\":\"x\",\"d\":[true,{\"e\":null}]},\"f\":false}",
		      "a=n1;b.c=sx;b.d.0=btrue;b.d.1.e=0null;f=bfalse;");
	assert_leaves(" { } ", "");
	assert_leaves("[]", "");
	assert_leaves("[ [ 1 , -2.5e+3 ] , 0 ]\n", "0.0=n1;0.1=n-2.5e+3;1=n0;");
	assert_leaves("\"\\u0041\\\"\"", "=sA\";");
	assert_leaves("[[[[[[[[1]]]]]]]]", "0.0.0.0.0.0.0.0=n1;");
}
END_TEST

START_TEST(what_is_no_document_is_refused)
{
	static const char *const documents[] = {
		"",
		"{",
		"}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{a:1}",
		"[1,]",
		"[1 2]",
		"01",
		"-",
		"1.",
		"1e",
		".5",
		"tru",
		"1 1",
		"\"a",
		"\"\t\"",
		"[\"\\u0000\"]",
		"{\"a\":1]",
		"[[[[[[[[[1]]]]]]]]]",
	};
	char leaves[512], path[2 * JSON_PATH_MAX];
	for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
		leaves[0] = '\0';
		ck_assert_msg(!json_walk(documents[i], strlen(documents[i]), note, leaves), "%s", documents[i]);
	}
	snprintf(path, sizeof(path), "{\"%0*d\":1}", JSON_PATH_MAX, 0);
	ck_assert(!json_walk(path, strlen(path), note, leaves));
}
END_TEST

START_TEST(a_value_is_found_by_its_path)
{
	static const char document[] = "{\"ok\":true,\"job\":{\"phase\":\"copying\",\"round\":12}}";
	char value[8];
	ck_assert(json_get(document, strlen(document), "job.phase", value, sizeof(value)));
	ck_assert_str_eq(value, "copying");
	ck_assert(json_get(document, strlen(document), "job.round", value, sizeof(value)));
	ck_assert_str_eq(value, "12");
	ck_assert(!json_get(document, strlen(document), "job", value, sizeof(value)));
	ck_assert(!json_get(document, strlen(document), "job.phas", value, sizeof(value)));
	ck_assert(!json_get(document, strlen(document), "job.phase", value, sizeof(value) - 1));
	ck_assert(!json_get(document, strlen(document) - 1, "ok", value, sizeof(value)));
}
END_TEST

/* Whatever bytes a string has but NUL, it is read as it was written. */
START_TEST(what_is_written_is_read)
{
	static const char *const parts[] = { "a",
					     "\"\\/",
					     "\x01\x1f\x7f",
					     "\x80",
					     "\xbf",
					     "\xc3\xa9",
					     "\xe2\x82\xac",
					     "\xed\xa0\x80",
					     "\xf0\x9f\x98\x80",
					     "\xf4\x90\x80\x80",
					     "\xc0\xaf",
					     "\xff" };
	size_t nr = sizeof(parts) / sizeof(parts[0]);
	for (size_t i = 0; i < nr * nr; i++) {
		char text[16], value[16], *document = NULL;
		size_t size = 0;
		snprintf(text, sizeof(text), "%s%s", parts[i / nr], parts[i % nr]);
		struct json json = { .out = open_memstream(&document, &size) };
		json_string(&json, NULL, text);
		fclose(json.out);
		for (size_t k = 0; k < size; k++)
			ck_assert(document[k] >= 0x20 && document[k] < 0x7f);
		ck_assert(json_get(document, size, "", value, sizeof(value)));
		ck_assert_str_eq(value, text);
		free(document);
	}
}
END_TEST

UNIT_MAIN("json_read", every_leaf_has_its_path, what_is_no_document_is_refused, a_value_is_found_by_its_path,
	  what_is_written_is_read)
