/*
 * Errors as values.  A function that can fail takes a struct error last, returns 0 or a negative
 * error code, and leaves its outputs unchanged on failure.  Only the command layer prints them.
 */
#ifndef STASIS_VMM_ERROR_H
#define STASIS_VMM_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include "cold.h"

enum error_code {
	ERROR_NONE = 0,
	ERROR_DIFFERENT,  /* the answer is "no": a mismatch, or a host that would not take the state */
	ERROR_USAGE,      /* the command line is wrong */
	ERROR_DATA,       /* an input file is damaged or not what it should be */
	ERROR_VERSION,    /* an input file is newer than this program */
	ERROR_NO_INPUT,   /* an input file is missing */
	ERROR_NO_KVM,     /* no usable KVM on this host */
	ERROR_INTERNAL,   /* a guest or kernel did what this program cannot go on from */
	ERROR_SYSTEM,     /* the operating system refused something */
	ERROR_CREATE,     /* an output file cannot be created */
	ERROR_IO,         /* reading or writing failed half way */
	ERROR_PERMISSION, /* not allowed */
	ERROR_NOT_NOW,    /* something else is under way, or it was given up: later it may succeed */
	ERROR_CODES
};

#define ERROR_TEXT_MAX 1024

struct error {
	enum error_code code;
	char text[ERROR_TEXT_MAX]; /* one sentence: the thing, what was found, what was expected, what to do */
};

/*
 * Sets *err and returns -code, so that "return error_set(...)" reads as it should.
 * err may be NULL where the caller only wants to know that something failed.
 */
int error_set(struct error *err, enum error_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As error_set(), with ": " and the text of the current errno behind it. */
int error_errno(struct error *err, enum error_code code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of the text of *err; returns -err->code. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Compilers and analyzers do not look into another file: here they see that an error is never 0 (error.c asserts it),
 * so that what is set only without one is not taken for missing.
 */
static inline int error_status(int status)
{
	if (status >= 0)
		__builtin_unreachable();
	return status;
}

/* Formats are literals, and cold (cold.h). */
#define ERROR_WITH(call, format)                                                                                       \
	__extension__({                                                                                                \
		static const char text_[] COLD_TEXT = format;                                                          \
		error_status(call);                                                                                    \
	})
#define error_set(err, code, format, ...)   ERROR_WITH(error_set(err, code, text_, ##__VA_ARGS__), format)
#define error_errno(err, code, format, ...) ERROR_WITH(error_errno(err, code, text_, ##__VA_ARGS__), format)
#define error_prefix(err, format, ...)      ERROR_WITH(error_prefix(err, text_, ##__VA_ARGS__), format)

/* The code for an errno of open(2) or stat(2) on an input file: no input, no permission, or otherwise. */
enum error_code error_code_of_open(int errno_value);

/* A code's name in the control protocol, "no-input"; and back: false where there is no such name. */
const char *error_code_name(enum error_code code);
bool error_code_parse(const char *name, enum error_code *ret);

/* The process exit status for a code: 0, 1, or a value of sysexits.h (CLI contract). */
int error_exit_status(enum error_code code);

#endif
