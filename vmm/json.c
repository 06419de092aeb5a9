#include "json.h"

#include <inttypes.h>

/*
 * The code point of the UTF-8 sequence at text, and its length; a byte that begins none is told as U+DC00 and the byte,
 * which is no code point of a text.  Longer forms than need be, surrogates and what is beyond U+10FFFF are none
 * (RFC 3629).
 */
static unsigned decode(const unsigned char *text, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned length = text[0] < 0xc0 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : text[0] < 0xf8 ? 4 : 1, i;
	uint32_t code = text[0] & (0xffu >> (length + 1));
	for (i = 1; i < length && (text[i] & 0xc0) == 0x80; i++)
		code = code << 6 | (text[i] & 0x3f);
	if (length > 1 && i == length && code >= least[length] && (code < 0xd800 || code > 0xdfff) &&
	    code <= 0x10ffff) {
		*ret = code;
		return length;
	}
	*ret = text[0] < 0x80 ? text[0] : 0xdc00u + text[0];
	return 1;
}

static void quote(FILE *out, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	uint32_t code;
	fputc('"', out);
	while (*at != '\0') {
		at += decode(at, &code);
		if (code == '"' || code == '\\')
			fprintf(out, "\\%c", (int)code);
		else if (code >= 0x20 && code < 0x7f)
			fputc((int)code, out);
		else if (code < 0x10000)
			fprintf(out, "\\u%04x", code);
		else
			fprintf(out, "\\u%04x\\u%04x", 0xd7c0 + (code >> 10), 0xdc00 + (code & 0x3ff));
	}
	fputc('"', out);
}

static void member(struct json *json, const char *name)
{
	if (json->has_member)
		fputc(',', json->out);
	json->has_member = true;
	if (name != NULL) {
		quote(json->out, name);
		fputc(':', json->out);
	}
}

static void begin(struct json *json, const char *name, char bracket)
{
	member(json, name);
	fputc(bracket, json->out);
	json->has_member = false;
}

static void end(struct json *json, char bracket)
{
	fputc(bracket, json->out);
	json->has_member = true;
}

void json_object_begin(struct json *json, const char *name)
{
	begin(json, name, '{');
}

void json_object_end(struct json *json)
{
	end(json, '}');
}

void json_array_begin(struct json *json, const char *name)
{
	begin(json, name, '[');
}

void json_array_end(struct json *json)
{
	end(json, ']');
}

void json_string(struct json *json, const char *name, const char *value)
{
	member(json, name);
	quote(json->out, value);
}

void json_bytes(struct json *json, const char *name, const uint8_t *data, size_t size)
{
	member(json, name);
	fputc('"', json->out);
	for (size_t i = 0; i < size; i++)
		fprintf(json->out, "%02x", data[i]);
	fputc('"', json->out);
}

void json_number(struct json *json, const char *name, uint64_t value)
{
	member(json, name);
	fprintf(json->out, "%" PRIu64, value);
}

void json_bool(struct json *json, const char *name, bool value)
{
	member(json, name);
	fputs(value ? "true" : "false", json->out);
}

void json_end(struct json *json)
{
	fputc('\n', json->out);
}
