#include "elf_file.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Notes, their names and their contents are aligned to 4 bytes in both classes, as linkers and kernels do it. */
#define NOTE_ALIGNMENT 4

/* A field of a header that can only have one value. */
struct fixed {
	const char *field;
	uint64_t found, expected;
	const char *meaning;
};

bool elf_is_elf(struct bytes image)
{
	return image.size >= SELFMAG && memcmp(image.data, ELFMAG, SELFMAG) == 0;
}

/* Reads the file's header, widened to 64 bits. */
static bool read_header(struct bytes file, uint8_t class, Elf64_Ehdr *ret)
{
	Elf32_Ehdr h;
	if (class == ELFCLASS64)
		return bytes_read(file, 0, ret, sizeof(*ret));
	if (!bytes_read(file, 0, &h, sizeof(h)))
		return false;
	*ret = (Elf64_Ehdr){ .e_type = h.e_type,
			     .e_machine = h.e_machine,
			     .e_version = h.e_version,
			     .e_entry = h.e_entry,
			     .e_phoff = h.e_phoff,
			     .e_phentsize = h.e_phentsize,
			     .e_phnum = h.e_phnum };
	memcpy(ret->e_ident, h.e_ident, sizeof(h.e_ident));
	return true;
}

/* Reads the program header at offset, widened to 64 bits. */
static bool read_program_header(struct bytes file, uint8_t class, uint64_t offset, Elf64_Phdr *ret)
{
	Elf32_Phdr h;
	if (class == ELFCLASS64)
		return bytes_read(file, offset, ret, sizeof(*ret));
	if (!bytes_read(file, offset, &h, sizeof(h)))
		return false;
	*ret = (Elf64_Phdr){ .p_type = h.p_type,
			     .p_offset = h.p_offset,
			     .p_paddr = h.p_paddr,
			     .p_filesz = h.p_filesz,
			     .p_memsz = h.p_memsz };
	return true;
}

static int check_header(const struct boot_file *file, const Elf64_Ehdr *h, struct error *err)
{
	bool is_64 = h->e_ident[EI_CLASS] == ELFCLASS64;
	const struct fixed fields[] = {
		{ "e_ident[EI_DATA]", h->e_ident[EI_DATA], ELFDATA2LSB, "little-endian" },
		{ "e_ident[EI_VERSION]", h->e_ident[EI_VERSION], EV_CURRENT, "the only version" },
		{ "e_type", h->e_type, ET_EXEC, "ET_EXEC; link it with -no-pie" },
		{ "e_machine", h->e_machine, is_64 ? EM_X86_64 : EM_386, is_64 ? "EM_X86_64" : "EM_386" },
		{ "e_version", h->e_version, EV_CURRENT, "the only version" },
		{ "e_phentsize", h->e_phentsize, is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr),
		  "the size of a program header" },
	};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (fields[i].found != fields[i].expected)
			return error_set(err, ERROR_DATA,
					 "%s: ELF header: %s is %" PRIu64 ": expected %" PRIu64 " (%s)", file->name,
					 fields[i].field, fields[i].found, fields[i].expected, fields[i].meaning);
	if (h->e_phnum == 0 || h->e_phnum > ELF_PROGRAM_HEADERS_MAX)
		return error_set(err, ERROR_DATA, "%s: ELF header: e_phnum is %u: expected 1 to %u program headers",
				 file->name, h->e_phnum, ELF_PROGRAM_HEADERS_MAX);
	return 0;
}

static int read_segment(const struct boot_file *file, unsigned index, const Elf64_Phdr *h, struct elf *elf,
			struct error *err)
{
	struct bytes contents;
	if (h->p_type == PT_INTERP)
		return error_set(err, ERROR_DATA,
				 "%s: program header %u is PT_INTERP: expected an image that needs no dynamic linker",
				 file->name, index);
	if (h->p_type != PT_LOAD && h->p_type != PT_NOTE)
		return 0;
	if (!bytes_slice(file->contents, h->p_offset, h->p_filesz, &contents))
		return error_set(err, ERROR_DATA,
				 "%s: program header %u: p_offset 0x%" PRIx64 " with p_filesz 0x%" PRIx64
				 ": expected inside the file of 0x%zx bytes",
				 file->name, index, h->p_offset, h->p_filesz, file->contents.size);
	if (h->p_type == PT_NOTE) {
		elf->notes[elf->nr_notes++] = contents;
		return 0;
	}
	if (h->p_filesz > h->p_memsz)
		return error_set(err, ERROR_DATA,
				 "%s: program header %u: p_filesz is 0x%" PRIx64
				 ": expected at most p_memsz, 0x%" PRIx64,
				 file->name, index, h->p_filesz, h->p_memsz);
	if (h->p_memsz != 0)
		elf->segments[elf->nr_segments++] = (struct elf_segment){
			.index = index, .gpa = h->p_paddr, .size = h->p_memsz, .contents = contents
		};
	return 0;
}

int elf_read(const struct boot_file *file, struct elf *ret, struct error *err)
{
	Elf64_Ehdr header;
	uint8_t ident[EI_NIDENT];
	if (!elf_is_elf(file->contents) || !bytes_read(file->contents, 0, ident, sizeof(ident)))
		return error_set(err, ERROR_DATA, "%s: expected an ELF file: it does not begin with an ELF header",
				 file->name);
	if (ident[EI_CLASS] != ELFCLASS32 && ident[EI_CLASS] != ELFCLASS64)
		return error_set(err, ERROR_DATA, "%s: ELF header: e_ident[EI_CLASS] is %u: expected %u or %u",
				 file->name, ident[EI_CLASS], ELFCLASS32, ELFCLASS64);
	if (!read_header(file->contents, ident[EI_CLASS], &header))
		return error_set(err, ERROR_DATA, "%s: ELF header: the file ends inside it, after %zu bytes",
				 file->name, file->contents.size);
	int status = check_header(file, &header, err);
	if (status < 0)
		return status;

	struct elf elf = { .class = ident[EI_CLASS], .entry = header.e_entry };
	if (!range_is_inside(header.e_phoff, (uint64_t)header.e_phnum * header.e_phentsize, file->contents.size))
		return error_set(err, ERROR_DATA,
				 "%s: ELF header: e_phoff is 0x%" PRIx64
				 ": expected %u program headers inside the file of 0x%zx bytes",
				 file->name, header.e_phoff, header.e_phnum, file->contents.size);
	for (unsigned i = 0; i < header.e_phnum && status == 0; i++) {
		Elf64_Phdr segment = { 0 };
		read_program_header(file->contents, elf.class, header.e_phoff + (uint64_t)i * header.e_phentsize,
				    &segment);
		status = read_segment(file, i, &segment, &elf, err);
	}
	if (status == 0)
		*ret = elf;
	return status;
}

int elf_add_segments(const struct elf *elf, struct boot_layout *layout, struct error *err)
{
	int status = 0;
	for (unsigned i = 0; i < elf->nr_segments && status == 0; i++) {
		const struct elf_segment *segment = &elf->segments[i];
		struct boot_part part = { .gpa = segment->gpa, .size = segment->size, .contents = segment->contents };
		snprintf(part.name, sizeof(part.name), "program header %u (p_paddr, p_memsz)", segment->index);
		status = boot_layout_add(layout, &part, err);
	}
	return status;
}

/* Takes the note at *offset apart and moves *offset behind it; false at the end or at a damaged note. */
static bool next_note(struct bytes notes, uint64_t *offset, Elf64_Nhdr *ret_header, struct bytes *ret_owner,
		      struct bytes *ret_contents)
{
	if (!bytes_read(notes, *offset, ret_header, sizeof(*ret_header)))
		return false;
	uint64_t owner = *offset + sizeof(*ret_header);
	uint64_t contents = owner + align_up(ret_header->n_namesz, NOTE_ALIGNMENT);
	if (!bytes_slice(notes, owner, ret_header->n_namesz, ret_owner) ||
	    !bytes_slice(notes, contents, ret_header->n_descsz, ret_contents))
		return false;
	*offset = contents + align_up(ret_header->n_descsz, NOTE_ALIGNMENT);
	return true;
}

bool elf_find_note(const struct elf *elf, const char *owner, uint32_t type, struct bytes *ret)
{
	unsigned seen = 0;
	for (unsigned i = 0; i < elf->nr_notes; i++) {
		Elf64_Nhdr header;
		struct bytes name, contents;
		uint64_t offset = 0;
		while (seen++ < ELF_NOTES_MAX && next_note(elf->notes[i], &offset, &header, &name, &contents)) {
			if (header.n_type != type || name.size != strlen(owner) + 1 ||
			    memcmp(name.data, owner, name.size) != 0)
				continue;
			*ret = contents;
			return true;
		}
	}
	return false;
}
