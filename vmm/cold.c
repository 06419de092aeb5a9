#include "cold.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>

#include "coder.h"

/* Where the section of that name begins, by the linker. */
extern uint8_t __start_cold[];

/* Made by pack.c, and in the program alone. */
extern const struct coder_place cold_places[] __attribute__((weak));
extern const uint8_t cold_packed[] __attribute__((weak));

static void unpack(void)
{
	size_t size = cold_places[0].size;
	int saved = errno; /* an error's text may be what it is unpacked for */
	coder_unpack(cold_packed, __start_cold, size);
	/* Constants again; the pages are their own (cold.ld).  Where this is refused they are as good. */
	mprotect(__start_cold, size, PROT_READ);
	errno = saved;
}

void cold_unpack(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	if (cold_packed != NULL)
		pthread_once(&once, unpack);
}
