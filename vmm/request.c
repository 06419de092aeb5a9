#include "request.h"

#include <stdbool.h>

#include "json_read.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static int check_characters(const char *line, size_t size, struct error *err)
{
	for (size_t i = 0; i < size; i++)
		if (((unsigned char)line[i] < 0x20 || line[i] == 0x7f) && !is_blank(line[i]))
			return error_set(
				err, ERROR_USAGE,
				"byte %zu of the request is the control character 0x%02x; in a string, \\u00%02x "
				"stands for it",
				i, (unsigned)(unsigned char)line[i], (unsigned)(unsigned char)line[i]);
	return 0;
}

/* The word at *at, which is ended there; *at is then behind it and its end. */
static int take_word(char **at, char *end, char **ret, struct error *err)
{
	char *word = *at, *behind = word;
	if (*word == '"') {
		const char *from = word;
		if (!json_read_string(&from, end, word))
			return error_set(err, ERROR_USAGE,
					 "a string of the request is none of JSON's, does not end, or has a NUL");
		behind += from - word;
		if (behind < end && !is_blank(*behind))
			return error_set(err, ERROR_USAGE, "a blank is missing behind a string of the request");
	} else {
		for (; behind < end && !is_blank(*behind); behind++)
			if (*behind == '"')
				return error_set(err, ERROR_USAGE,
						 "a quote in the middle of a word of the request; the whole word can "
						 "be a string");
		*behind = '\0';
	}
	*at = behind < end ? behind + 1 : end;
	*ret = word;
	return 0;
}

int request_parse(char *line, size_t size, struct request *ret, struct error *err)
{
	struct request request = { 0 };
	char *at = line, *end = line + size;
	int status = check_characters(line, size, err);
	while (status == 0) {
		while (at < end && is_blank(*at))
			at++;
		if (at == end)
			break;
		if (request.nr_words == REQUEST_WORDS_MAX)
			return error_set(err, ERROR_USAGE, "the request has more than %d words", REQUEST_WORDS_MAX);
		status = take_word(&at, end, &request.words[request.nr_words], err);
		request.nr_words++;
	}
	if (status == 0 && request.nr_words == 0)
		status = error_set(err, ERROR_USAGE, "the request is empty; help lists what can be asked for");
	if (status == 0)
		*ret = request;
	return status;
}
