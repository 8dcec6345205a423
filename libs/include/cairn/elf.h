/* SPDX-License-Identifier: BSD-2-Clause */
/* Reader of static ELF64 programs as untrusted bytes: servers (root-task) and guests (vmm-server's
 * PVH payloads). */
#ifndef CAIRN_ELF_H
#define CAIRN_ELF_H

#include <stddef.h>
#include <stdint.h>

#define ELF_SEGMENTS 16

#define ELF_FLAG_X 1u
#define ELF_FLAG_W 2u
#define ELF_FLAG_R 4u

struct elf_segment {
	uint64_t offset, file_size; /* inside the image, checked */
	uint64_t vaddr, paddr,
		memory_size; /* vaddr + memory_size does not wrap; memory_size >= file_size > = 0 */
	uint32_t flags;	     /* ELF_FLAG_* */
};

/* What the note of a Cairn server says (libs/crt): where its threads' upcalls enter. 0: no such
 * note. */
struct elf_image {
	uint64_t entry;
	uint64_t syscall_entry, fault_entry;
	uint64_t pvh_entry; /* physical entry of a PVH note (XEN_ELFNOTE_PHYS32_ENTRY); 0: none */
	unsigned segment_count;
	struct elf_segment segment[ELF_SEGMENTS];
};

/*
 * Checks and reads the headers of `size` bytes at `bytes`. Returns NULL, or one clause that says
 * what is wrong
 * ("it is not an ELF file"). It never reads outside [bytes, bytes + size).
 */
const char *elf_parse(const void *bytes, size_t size, struct elf_image *image);

/* Whether every segment lies in [low, high) of virtual addresses; NULL or what is wrong. */
const char *elf_check_range(const struct elf_image *image, uint64_t low, uint64_t high);

#endif
