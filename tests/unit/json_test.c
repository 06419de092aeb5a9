#include "unit.h"

#include <string.h>

#include "vmm/json.h"

/* A document in memory. */
struct document {
	struct json json;
	char *text;
	size_t size;
};

static void open_document(struct document *document)
{
	*document = (struct document){ 0 };
	document->json.out = open_memstream(&document->text, &document->size);
	ck_assert_ptr_nonnull(document->json.out);
}

static void assert_document(struct document *document, const char *expected)
{
	fclose(document->json.out);
	ck_assert_str_eq(document->text, expected);
	free(document->text);
}

START_TEST(members_are_set_apart)
{
	struct document document;
	open_document(&document);
	struct json *json = &document.json;
	json_object_begin(json, NULL);
	json_string(json, "name", "stasis");
	json_number(json, "largest", UINT64_MAX);
	json_bool(json, "yes", true);
	json_bool(json, "no", false);
	json_object_end(json);
	json_end(json);
	assert_document(&document,
			"{\"name\":\"stasis\",\"largest\":18446744073709551615,\"yes\":true,\"no\":false}\n");
}
END_TEST

START_TEST(objects_and_arrays_nest)
{
	struct document document;
	open_document(&document);
	struct json *json = &document.json;
	json_object_begin(json, NULL);
	json_array_begin(json, "empty");
	json_array_end(json);
	json_array_begin(json, "rows");
	json_object_begin(json, NULL);
	json_number(json, "a", 1);
	json_object_end(json);
	json_object_begin(json, NULL);
	json_object_end(json);
	json_array_begin(json, NULL);
	json_string(json, NULL, "x");
	json_number(json, NULL, 2);
	json_array_end(json);
	json_array_end(json);
	json_bool(json, "after", true);
	json_object_end(json);
	assert_document(&document, "{\"empty\":[],\"rows\":[{\"a\":1},{},[\"x\",2]],\"after\":true}");
}
END_TEST

/* A string may hold any byte, as file names may: the document stays ASCII, and what is UTF-8 is its code points. */
START_TEST(strings_are_escaped)
{
	struct document document;
	open_document(&document);
	json_object_begin(&document.json, NULL);
	json_string(&document.json, "q\"", "a\"b\\c/d");
	json_string(&document.json, "control", "\n\t\x01\x1f\x7f~ ");
	json_string(&document.json, "high", "\x80\xff\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	json_string(&document.json, "empty", "");
	json_object_end(&document.json);
	assert_document(&document, "{\"q\\\"\":\"a\\\"b\\\\c/d\",\"control\":\"\\u000a\\u0009\\u0001\\u001f\\u007f~ \","
				   "\"high\":\"\\udc80\\udcff\\u00e9\\u20ac\\ud83d\\ude00\",\"empty\":\"\"}");
}
END_TEST

UNIT_MAIN("json", members_are_set_apart, objects_and_arrays_nest, strings_are_escaped)
