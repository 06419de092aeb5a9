/*
 * Lines of the control protocol, as clients send them and as the client reads them: the first byte says which.  Words
 * that were found are found again when they are written as strings of JSON; a document's leaves are found again by
 * their paths.
 */
#include "fuzz.h"
#include "vmm/json.h"
#include "vmm/json_read.h"
#include "vmm/request.h"

/* The words as a line of strings; the caller frees it. */
static char *write_words(const struct request *request, size_t *ret_size)
{
	char *line = NULL;
	struct json json = { .out = open_memstream(&line, ret_size) };
	FUZZ_CHECK(json.out != NULL);
	for (unsigned i = 0; i < request->nr_words; i++) {
		json.has_member = false;
		json_string(&json, NULL, request->words[i]);
		fputc(i % 2 == 0 ? ' ' : '\t', json.out);
	}
	FUZZ_CHECK(fclose(json.out) == 0);
	return line;
}

static void check_request(const uint8_t *data, size_t size)
{
	struct request request = { .nr_words = 99 }, again;
	struct error err;
	char *line = malloc(size + 1);
	FUZZ_CHECK(line != NULL);
	if (size > 0)
		memcpy(line, data, size);
	if (request_parse(line, size, &request, &err) < 0) {
		FUZZ_CHECK(err.code == ERROR_USAGE && request.nr_words == 99);
		free(line);
		return;
	}
	FUZZ_CHECK(request.nr_words >= 1 && request.nr_words <= REQUEST_WORDS_MAX);
	FUZZ_CHECK(request.words[request.nr_words] == NULL);
	size_t written_size, used = 0;
	char *written = write_words(&request, &written_size);
	FUZZ_CHECK(request_parse(written, written_size, &again, &err) == 0 && again.nr_words == request.nr_words);
	for (unsigned i = 0; i < request.nr_words; i++) {
		FUZZ_CHECK(strcmp(again.words[i], request.words[i]) == 0);
		used += strlen(request.words[i]);
	}
	FUZZ_CHECK(used <= size);
	free(written);
	free(line);
}

/* The first leaf, to be found again. */
struct leaf {
	char path[JSON_PATH_MAX];
	char *value;
};

static void take_first(void *context, const char *path, enum json_kind kind, const char *value)
{
	struct leaf *leaf = context;
	FUZZ_CHECK(kind <= JSON_NULL && strlen(path) < JSON_PATH_MAX);
	if (leaf->value != NULL)
		return;
	memcpy(leaf->path, path, strlen(path) + 1);
	leaf->value = strdup(value);
	FUZZ_CHECK(leaf->value != NULL);
}

/* Names may come twice, and then the last of them is found. */
static void check_document(const char *text, size_t size)
{
	struct leaf leaf = { .value = NULL };
	bool good = json_walk(text, size, take_first, &leaf);
	char *value = malloc(size + 1);
	FUZZ_CHECK(value != NULL);
	FUZZ_CHECK(json_get(text, size, leaf.path, value, size + 1) == (good && leaf.value != NULL));
	if (good && size > 0)
		FUZZ_CHECK(!json_walk(text, size - 1, take_first, &leaf) ||
			   strchr(" \t\r\n0123456789", text[size - 1]));
	free(value);
	free(leaf.value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes input = { data, size };
	if (fuzz_take(&input, 1) % 2 == 0) {
		check_request(input.data, input.size);
		return 0;
	}
	char *text = malloc(input.size + 1);
	FUZZ_CHECK(text != NULL);
	if (input.size > 0)
		memcpy(text, input.data, input.size);
	check_document(text, input.size);
	free(text);
	return 0;
}
