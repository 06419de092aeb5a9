/*
 * Reading JSON (RFC 8259) that a stranger wrote: one string, or a document leaf by leaf.  Nothing is changed unless it
 * is valid, and depth and names are bounded.
 */
#ifndef STASIS_VMM_JSON_READ_H
#define STASIS_VMM_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_DEPTH_MAX 8
#define JSON_PATH_MAX  128 /* bytes of a leaf's path, with its end */

/*
 * Reads the string whose opening quote *at stands at, into ret, with a NUL behind it; *at is then behind the closing
 * quote.  ret needs no more room than the string takes as it stands, and may be the same place.  Escapes become UTF-8;
 * \udc80 to \udcff become the byte that they are for (json.h).  False where it is no string, ends in the middle, or has
 * a NUL, which no string in C can hold.
 */
bool json_read_string(const char **at, const char *end, char *ret);

enum json_kind { JSON_STRING, JSON_NUMBER, JSON_BOOL, JSON_NULL };

/* path: the names on the way, with dots between them, and numbers from 0 in arrays: "job.phase", "rows.0". */
typedef void json_visit(void *context, const char *path, enum json_kind kind, const char *value);

/* Visits each leaf of the document, in its order; false where it is none.  What was visited before that, was. */
bool json_walk(const char *text, size_t size, json_visit *visit, void *context);

/* The value at path as a string, in ret; false where there is none, or it does not fit. */
bool json_get(const char *text, size_t size, const char *path, char *ret, size_t ret_size);

#endif
