/*
 * A guest for measuring and trying rewinds: a checkpoint; then it counts up in eight pages, and ends with the last
 * count. A flat image for long mode.
 */
#ifndef STASIS_TESTS_EIGHT_PAGES_H
#define STASIS_TESTS_EIGHT_PAGES_H

#include <stdint.h>

#define EIGHT_PAGES     8
#define EIGHT_PAGES_GPA 0x200000

/* clang-format off */
static const uint8_t eight_pages[] = {
	0x31, 0xc0,                               /* xor %eax, %eax */
	0xe7, 0xf8,                               /* out %eax, $PORT_CHECKPOINT */
	0xbf, 0x00, 0x00, 0x20, 0x00,             /* mov $EIGHT_PAGES_GPA, %edi */
	0xb9, EIGHT_PAGES, 0x00, 0x00, 0x00,      /* mov $EIGHT_PAGES, %ecx */
	0x48, 0xff, 0x07,                         /* 1: incq (%rdi) */
	0x48, 0x81, 0xc7, 0x00, 0x10, 0x00, 0x00, /* add $0x1000, %rdi */
	0xff, 0xc9,                               /* dec %ecx */
	0x75, 0xf2,                               /* jnz 1b */
	0x8b, 0x87, 0x00, 0xf0, 0xff, 0xff,       /* mov -0x1000(%rdi), %eax */
	0xe7, 0xf4,                               /* out %eax, $PORT_EXIT */
	0xf4,                                     /* hlt */
};
/* clang-format on */

#endif
