#include "json.h"

#include <inttypes.h>

static void quote(FILE *out, const char *text)
{
	fputc('"', out);
	for (const char *at = text; *at != '\0'; at++) {
		unsigned char byte = (unsigned char)*at;
		if (byte == '"' || byte == '\\')
			fprintf(out, "\\%c", byte);
		else if (byte < 0x20 || byte >= 0x7f)
			fprintf(out, "\\u%04x", byte);
		else
			fputc(byte, out);
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
