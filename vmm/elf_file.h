/*
 * ELF files for x86, 32 and 64 bits wide, as far as a boot loader looks at them: ET_EXEC with segments at their
 * physical addresses.  ET_DYN is refused: its relocations would be ours to apply.
 * ELF: System V ABI, "Object Files"; x86-64 supplement 4.1.  The names are <elf.h>'s.
 */
#ifndef STASIS_VMM_ELF_FILE_H
#define STASIS_VMM_ELF_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "boot.h"
#include "boot_layout.h"

#define ELF_PROGRAM_HEADERS_MAX 32
#define ELF_NOTES_MAX           256 /* in one file */

/* A PT_LOAD that is not empty. */
struct elf_segment {
	unsigned index; /* of its program header */
	uint64_t gpa, size;
	struct bytes contents;
};

struct elf {
	uint8_t class; /* ELFCLASS32 or ELFCLASS64 */
	uint64_t entry;
	unsigned nr_segments, nr_notes;
	struct elf_segment segments[ELF_PROGRAM_HEADERS_MAX];
	struct bytes notes[ELF_PROGRAM_HEADERS_MAX]; /* of each PT_NOTE */
};

/* Does it start as an ELF file does? */
bool elf_is_elf(struct bytes image);

/* Checks and reads headers; errors name the file and the header's field. */
int elf_read(const struct boot_file *file, struct elf *ret, struct error *err);

/* Adds the segments to a layout. */
int elf_add_segments(const struct elf *elf, struct boot_layout *layout, struct error *err);

/* Finds a note by owner and type; false where there is none, or the notes are damaged before it. */
bool elf_find_note(const struct elf *elf, const char *owner, uint32_t type, struct bytes *ret);

#endif
