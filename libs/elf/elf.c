/* SPDX-License-Identifier: BSD-2-Clause */
/* Reader of static ELF64 programs: every offset and size is checked against the bytes that are
 * there. */
#include <stdbool.h>
#include <string.h>
#include <cairn/elf.h>

/* The parts of the ELF-64 object file format that are used here (System V ABI). */
struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
_Static_assert(sizeof(struct elf_header) == 64, "ELF-64 header");

struct program_header {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
_Static_assert(sizeof(struct program_header) == 56, "ELF-64 program header");

struct note_header {
	uint32_t name_size, descriptor_size, type;
};

#define TYPE_EXEC	 2
#define MACHINE_X86_64	 62
#define PROGRAM_LOAD	 1
#define PROGRAM_DYNAMIC	 2
#define PROGRAM_INTERP	 3
#define PROGRAM_NOTE	 4
#define MAX_HEADERS	 64
#define MAX_NOTES	 64
#define NOTE_CAIRN_ENTRY 1
#define NOTE_PVH_ENTRY	 18 /* XEN_ELFNOTE_PHYS32_ENTRY */

struct bytes {
	const uint8_t *start;
	size_t size;
};

/* Copies a struct out of the image; false: it is not all there. */
static bool get(struct bytes image, uint64_t offset, void *to, size_t length)
{
	if (offset > image.size || length > image.size - offset)
		return false;
	memcpy(to, image.start + offset, length);
	return true;
}

static const char *check_header(struct bytes file, struct elf_header *header)
{
	static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 2 /* 64 bits */, 1 /* little endian */,
					1};

	if (!get(file, 0, header, sizeof(*header)) || memcmp(header->ident, ident, 4) != 0)
		return "it is not an ELF file";
	if (memcmp(header->ident, ident, sizeof(ident)) != 0 || header->machine != MACHINE_X86_64)
		return "it is not an ELF file for x86_64";
	if (header->type != TYPE_EXEC)
		return "it is not a program linked at fixed addresses";
	if (header->phentsize != sizeof(struct program_header) || header->phnum > MAX_HEADERS)
		return "its program headers are malformed";
	return NULL;
}

static const char *add_segment(struct bytes file, const struct program_header *program,
			       struct elf_image *image)
{
	struct elf_segment *segment = &image->segment[image->segment_count];

	if (image->segment_count == ELF_SEGMENTS)
		return "it has too many segments";
	if (program->offset > file.size || program->filesz > file.size - program->offset)
		return "a segment lies outside the file";
	if (program->memsz < program->filesz)
		return "a segment is larger in the file than in memory";
	if (program->vaddr + program->memsz < program->vaddr ||
	    program->paddr + program->memsz < program->paddr)
		return "a segment wraps around the address space";
	*segment = (struct elf_segment){
		.offset = program->offset,
		.file_size = program->filesz,
		.vaddr = program->vaddr,
		.paddr = program->paddr,
		.memory_size = program->memsz,
		.flags = program->flags & (ELF_FLAG_X | ELF_FLAG_W | ELF_FLAG_R),
	};
	image->segment_count++;
	return NULL;
}

static void read_note(const struct note_header *note, struct bytes notes, uint64_t name,
		      uint64_t descriptor, struct elf_image *image)
{
	char owner[8] = {0};
	uint64_t words[2] = {0};

	if (note->name_size > sizeof(owner) || !get(notes, name, owner, note->name_size))
		return;
	if (note->descriptor_size > sizeof(words) ||
	    !get(notes, descriptor, words, note->descriptor_size))
		return;
	owner[sizeof(owner) - 1] = 0;
	if (strcmp(owner, "Cairn") == 0 && note->type == NOTE_CAIRN_ENTRY &&
	    note->descriptor_size == sizeof(words)) {
		image->syscall_entry = words[0];
		image->fault_entry = words[1];
	}
	if (strcmp(owner, "Xen") == 0 && note->type == NOTE_PVH_ENTRY &&
	    (note->descriptor_size == 4 || note->descriptor_size == 8))
		image->pvh_entry = words[0];
}

/* Sizes are 32 bits wide and offsets 64: no sum here can wrap. */
static void read_notes(struct bytes file, const struct program_header *program,
		       struct elf_image *image)
{
	struct bytes notes;
	struct note_header note;
	uint64_t at = 0;

	if (program->offset > file.size || program->filesz > file.size - program->offset)
		return;
	notes = (struct bytes){file.start + program->offset, program->filesz};
	for (int i = 0; i < MAX_NOTES && get(notes, at, &note, sizeof(note)); i++) {
		uint64_t name = at + sizeof(note);
		uint64_t descriptor = name + (((uint64_t)note.name_size + 3) & ~3ull);

		read_note(&note, notes, name, descriptor, image);
		at = descriptor + (((uint64_t)note.descriptor_size + 3) & ~3ull);
	}
}

static const char *read_program(struct bytes file, const struct program_header *program,
				struct elf_image *image)
{
	switch (program->type) {
	case PROGRAM_LOAD:
		return program->memsz == 0 ? NULL : add_segment(file, program, image);
	case PROGRAM_DYNAMIC:
	case PROGRAM_INTERP:
		return "it is dynamically linked";
	case PROGRAM_NOTE:
		read_notes(file, program, image);
		return NULL;
	default:
		return NULL;
	}
}

const char *elf_parse(const void *bytes, size_t size, struct elf_image *image)
{
	struct bytes file = {bytes, size};
	struct elf_header header;
	struct program_header program;
	const char *wrong = check_header(file, &header);

	memset(image, 0, sizeof(*image));
	if (wrong != NULL)
		return wrong;
	for (unsigned i = 0; i < header.phnum; i++) {
		/* phoff may be anything; what get() refuses cannot have wrapped past its check */
		if (header.phoff > size ||
		    !get(file, header.phoff + i * sizeof(program), &program, sizeof(program)))
			return "its program headers lie outside the file";
		wrong = read_program(file, &program, image);
		if (wrong != NULL)
			return wrong;
	}
	if (image->segment_count == 0)
		return "it has nothing to load";
	image->entry = header.entry;
	return NULL;
}

const char *elf_check_range(const struct elf_image *image, uint64_t low, uint64_t high)
{
	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct elf_segment *segment = &image->segment[i];

		if (segment->vaddr < low || segment->vaddr + segment->memory_size > high)
			return "a segment lies outside the addresses that programs may use";
	}
	return NULL;
}
