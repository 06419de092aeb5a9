#include "error.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const struct {
	const char *name;
	int exit_status;
} codes[ERROR_CODES] = {
	[ERROR_NONE] = { "none", EX_OK },
	[ERROR_DIFFERENT] = { "different", 1 },
	[ERROR_USAGE] = { "usage", EX_USAGE },
	[ERROR_DATA] = { "data", EX_DATAERR },
	[ERROR_VERSION] = { "version", EX_DATAERR },
	[ERROR_NO_INPUT] = { "no-input", EX_NOINPUT },
	[ERROR_NO_KVM] = { "no-kvm", EX_UNAVAILABLE },
	[ERROR_INTERNAL] = { "internal", EX_SOFTWARE },
	[ERROR_SYSTEM] = { "system", EX_OSERR },
	[ERROR_CREATE] = { "create", EX_CANTCREAT },
	[ERROR_IO] = { "io", EX_IOERR },
	[ERROR_PERMISSION] = { "permission", EX_NOPERM },
	[ERROR_NOT_NOW] = { "not-now", EX_TEMPFAIL },
};

const char *error_code_name(enum error_code code)
{
	return codes[code].name;
}

bool error_code_parse(const char *name, enum error_code *ret)
{
	for (unsigned i = 0; i < ERROR_CODES; i++) {
		if (strcmp(codes[i].name, name) == 0) {
			*ret = (enum error_code)i;
			return true;
		}
	}
	return false;
}

int error_exit_status(enum error_code code)
{
	return codes[code].exit_status;
}

enum error_code error_code_of_open(int errno_value)
{
	switch (errno_value) {
	case ENOENT:
	case ENOTDIR:
		return ERROR_NO_INPUT;
	case EACCES:
	case EPERM:
		return ERROR_PERMISSION;
	default:
		return ERROR_SYSTEM;
	}
}

/* What a function that failed returns. */
static int status_of(enum error_code code)
{
	assert(code > ERROR_NONE);
	return -(int)code;
}

/* What a format makes, cut off where size ends. */
__attribute__((format(printf, 3, 0))) static void make_text(char *ret, size_t size, const char *format, va_list args)
{
	cold_unpack();
	vsnprintf(ret, size, format, args);
}

__attribute__((format(printf, 3, 0))) static void set(struct error *err, enum error_code code, const char *format,
						      va_list args)
{
	if (err == NULL)
		return;
	err->code = code;
	make_text(err->text, sizeof(err->text), format, args);
	/* Names and strings in it may be a stranger's: what steers a terminal does not reach one. */
	for (char *at = err->text; *at != '\0'; at++)
		if (iscntrl((unsigned char)*at) && *at != '\n')
			*at = '?';
}

int(error_set)(struct error *err, enum error_code code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	set(err, code, format, args);
	va_end(args);
	return status_of(code);
}

int(error_errno)(struct error *err, enum error_code code, const char *format, ...)
{
	int saved = errno;
	va_list args;
	va_start(args, format);
	set(err, code, format, args);
	va_end(args);
	if (err != NULL) {
		size_t used = strlen(err->text);
		snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(saved));
	}
	return status_of(code);
}

int(error_prefix)(struct error *err, const char *format, ...)
{
	if (err == NULL)
		return status_of(ERROR_INTERNAL);
	char prefix[ERROR_TEXT_MAX], text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	make_text(prefix, sizeof(prefix), format, args);
	va_end(args);
	memcpy(text, err->text, sizeof(text));
	memcpy(err->text, prefix, sizeof(err->text));
	strncat(err->text, ": ", sizeof(err->text) - strlen(err->text) - 1); /* what does not fit is cut off */
	strncat(err->text, text, sizeof(err->text) - strlen(err->text) - 1);
	return status_of(err->code);
}
