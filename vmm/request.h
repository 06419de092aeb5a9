/*
 * A line of the control protocol (docs/CONTROL.md), as words.
 */
#ifndef STASIS_VMM_REQUEST_H
#define STASIS_VMM_REQUEST_H

#include <stddef.h>

#include "error.h"

#define REQUEST_LINE_MAX  16384 /* bytes, without the newline: a name of PATH_MAX bytes, each as an escape, fits */
#define REQUEST_WORDS_MAX 8

struct request {
	unsigned nr_words;
	char *words[REQUEST_WORDS_MAX + 1]; /* in the line; NULL behind the last */
};

/*
 * Splits a line of size bytes, without its newline, into words: blanks (space, tab, a carriage return) stand between
 * them, and a word that begins with a double quote is a string of JSON.  The line is changed, line[size] too.
 * ERROR_USAGE where it has no word, too many, a control character, or a string that does not end; *ret is then as it
 * was.
 */
int request_parse(char *line, size_t size, struct request *ret, struct error *err);

#endif
