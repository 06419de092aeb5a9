#include "json_read.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Strings ---- */

static bool read_hex4(const char *at, const char *end, uint32_t *ret)
{
	uint32_t value = 0;
	if (end - at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = at[i];
		uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
				 : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
				 : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
							: 16;
		if (digit == 16)
			return false;
		value = value << 4 | digit;
	}
	*ret = value;
	return true;
}

static char *put_utf8(char *to, uint32_t code)
{
	if (code < 0x80) {
		*to++ = (char)code;
		return to;
	}
	if (code < 0x800) {
		*to++ = (char)(0xc0 | code >> 6);
	} else {
		if (code < 0x10000) {
			*to++ = (char)(0xe0 | code >> 12);
		} else {
			*to++ = (char)(0xf0 | code >> 18);
			*to++ = (char)(0x80 | (code >> 12 & 0x3f));
		}
		*to++ = (char)(0x80 | (code >> 6 & 0x3f));
	}
	*to++ = (char)(0x80 | (code & 0x3f));
	return to;
}

/* Behind a \u: one code point, from two of them where they are a surrogate pair, or a byte. */
static bool read_code(const char **at, const char *end, char **to)
{
	uint32_t code, low;
	if (!read_hex4(*at, end, &code) || code == 0)
		return false;
	*at += 4;
	if (code >= 0xdc80 && code <= 0xdcff) {
		*(*to)++ = (char)(code - 0xdc00);
		return true;
	}
	if (code >= 0xd800 && code <= 0xdbff) {
		if (end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u' || !read_hex4(*at + 2, end, &low) ||
		    low < 0xdc00 || low > 0xdfff)
			return false;
		*at += 6;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	} else if (code >= 0xdc00 && code <= 0xdfff) {
		return false;
	}
	*to = put_utf8(*to, code);
	return true;
}

static bool read_escape(const char **at, const char *end, char **to)
{
	static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	if (*at == end)
		return false;
	char letter = *(*at)++;
	if (letter == 'u')
		return read_code(at, end, to);
	const char *found = letter != '\0' ? strchr(letters, letter) : NULL;
	if (found == NULL)
		return false;
	*(*to)++ = values[found - letters];
	return true;
}

bool json_read_string(const char **at, const char *end, char *ret)
{
	const char *from = *at;
	char *to = ret;
	if (from == end || *from++ != '"')
		return false;
	while (from < end && *from != '"') {
		if ((unsigned char)*from < 0x20)
			return false;
		if (*from != '\\') {
			*to++ = *from++;
			continue;
		}
		from++;
		if (!read_escape(&from, end, &to))
			return false;
	}
	if (from == end)
		return false;
	*at = from + 1;
	*to = '\0';
	return true;
}

/* ---- Documents ---- */

struct reader {
	const char *at, *end;
	char *scratch; /* as long as the document */
	char path[JSON_PATH_MAX];
	size_t path_used;
	unsigned depth;
	json_visit *visit;
	void *context;
};

static bool read_value(struct reader *reader);

static void skip_blanks(struct reader *reader)
{
	while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL && *reader->at != '\0')
		reader->at++;
}

static bool take(struct reader *reader, char c)
{
	skip_blanks(reader);
	if (reader->at == reader->end || *reader->at != c)
		return false;
	reader->at++;
	return true;
}

/* Reads a value that has this name under what the path is of. */
static bool read_member(struct reader *reader, const char *name)
{
	size_t before = reader->path_used, room = sizeof(reader->path) - before;
	int n = snprintf(reader->path + before, room, "%s%s", before > 0 ? "." : "", name);
	if (n < 0 || (size_t)n >= room)
		return false;
	reader->path_used += (size_t)n;
	bool good = read_value(reader);
	reader->path_used = before;
	reader->path[before] = '\0';
	return good;
}

static bool read_object(struct reader *reader)
{
	if (take(reader, '}'))
		return true;
	do {
		skip_blanks(reader);
		if (!json_read_string(&reader->at, reader->end, reader->scratch) || !take(reader, ':') ||
		    !read_member(reader, reader->scratch))
			return false;
	} while (take(reader, ','));
	return take(reader, '}');
}

static bool read_array(struct reader *reader)
{
	char name[24];
	if (take(reader, ']'))
		return true;
	for (size_t i = 0; i == 0 || take(reader, ','); i++) {
		snprintf(name, sizeof(name), "%zu", i);
		if (!read_member(reader, name))
			return false;
	}
	return take(reader, ']');
}

static size_t count_digits(const char *at, const char *end)
{
	size_t nr = 0;
	while (at + nr < end && at[nr] >= '0' && at[nr] <= '9')
		nr++;
	return nr;
}

static bool read_number(struct reader *reader)
{
	const char *at = reader->at, *end = reader->end;
	size_t nr;
	at += at < end && *at == '-';
	nr = count_digits(at, end);
	if (nr == 0 || (nr > 1 && *at == '0'))
		return false;
	at += nr;
	if (at < end && *at == '.') {
		nr = count_digits(at + 1, end);
		if (nr == 0)
			return false;
		at += 1 + nr;
	}
	if (at < end && (*at == 'e' || *at == 'E')) {
		at++;
		at += at < end && (*at == '+' || *at == '-');
		nr = count_digits(at, end);
		if (nr == 0)
			return false;
		at += nr;
	}
	size_t size = (size_t)(at - reader->at);
	memcpy(reader->scratch, reader->at, size);
	reader->scratch[size] = '\0';
	reader->at = at;
	reader->visit(reader->context, reader->path, JSON_NUMBER, reader->scratch);
	return true;
}

static bool read_word(struct reader *reader)
{
	static const struct {
		const char *word;
		enum json_kind kind;
	} words[] = { { "true", JSON_BOOL }, { "false", JSON_BOOL }, { "null", JSON_NULL } };
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t size = strlen(words[i].word);
		if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, words[i].word, size) != 0)
			continue;
		reader->at += size;
		reader->visit(reader->context, reader->path, words[i].kind, words[i].word);
		return true;
	}
	return false;
}

static bool read_value(struct reader *reader)
{
	bool is_object = take(reader, '{');
	if (is_object || take(reader, '[')) {
		if (reader->depth == JSON_DEPTH_MAX)
			return false;
		reader->depth++;
		bool good = is_object ? read_object(reader) : read_array(reader);
		reader->depth--;
		return good;
	}
	skip_blanks(reader);
	if (reader->at == reader->end)
		return false;
	if (*reader->at == '"') {
		if (!json_read_string(&reader->at, reader->end, reader->scratch))
			return false;
		reader->visit(reader->context, reader->path, JSON_STRING, reader->scratch);
		return true;
	}
	return *reader->at == '-' || (*reader->at >= '0' && *reader->at <= '9') ? read_number(reader)
										: read_word(reader);
}

bool json_walk(const char *text, size_t size, json_visit *visit, void *context)
{
	struct reader reader = { .at = text, .end = text + size, .visit = visit, .context = context };
	reader.scratch = malloc(size + 1);
	if (reader.scratch == NULL)
		return false;
	bool good = read_value(&reader);
	skip_blanks(&reader);
	free(reader.scratch);
	return good && reader.at == reader.end;
}

/* What json_get() looks for. */
struct wanted {
	const char *path;
	char *ret;
	size_t size;
	bool found;
};

static void look(void *context, const char *path, enum json_kind kind, const char *value)
{
	struct wanted *wanted = context;
	(void)kind;
	if (strcmp(path, wanted->path) != 0 || strlen(value) >= wanted->size)
		return;
	memcpy(wanted->ret, value, strlen(value) + 1);
	wanted->found = true;
}

bool json_get(const char *text, size_t size, const char *path, char *ret, size_t ret_size)
{
	struct wanted wanted = { .path = path, .ret = ret, .size = ret_size };
	return json_walk(text, size, look, &wanted) && wanted.found;
}
