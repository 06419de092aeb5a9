/*
 * Writing JSON (RFC 8259): commas, quotes and escapes are seen to here.  A name of NULL is for members of arrays
 * and for the document itself.
 *
 * A document is ASCII.  Strings are UTF-8; a byte that is not, as names of files may have, stands as \udc80 to \udcff,
 * as Python's surrogateescape has it, so that it can be told back.  json_read.h reads it.
 */
#ifndef STASIS_VMM_JSON_H
#define STASIS_VMM_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *out;
	bool has_member; /* the current object or array has one already */
};

void json_object_begin(struct json *json, const char *name);
void json_object_end(struct json *json);
void json_array_begin(struct json *json, const char *name);
void json_array_end(struct json *json);
void json_string(struct json *json, const char *name, const char *value);
/* Bytes as a string of hexadecimal digits, two a byte. */
void json_bytes(struct json *json, const char *name, const uint8_t *data, size_t size);
void json_number(struct json *json, const char *name, uint64_t value);
void json_bool(struct json *json, const char *name, bool value);

/* Ends the document with a newline. */
void json_end(struct json *json);

#endif
