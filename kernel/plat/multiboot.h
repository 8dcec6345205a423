/* SPDX-License-Identifier: BSD-2-Clause */
/* What a boot loader passes: Multiboot Specification 0.6.96 (3.3), Multiboot2 Specification 2.0 (3.6). */
#ifndef PLAT_MULTIBOOT_H
#define PLAT_MULTIBOOT_H

#include <stdint.h>

#define MULTIBOOT1   0x2badb002u
#define MULTIBOOT2   0x36d76289u
#define BOOT_LIMIT   (1ul << 32)   /* what the boot tables map */
#define WINDOW_LIMIT (448ul << 30) /* RAM that is used: the tables for so much fill the 1 GiB that there is for the carve */
#define LOW_MEMORY   0x100000ul	   /* below: the firmware's */
#define REGIONS	     64u

/* Ranges of physical memory, whole pages, no two of which overlap. */
struct regions {
	uint64_t count, lost; /* lost: bytes that found no place */
	struct region {
		uint64_t base, end;
	} at[REGIONS];
};

void regions_add(struct regions *list, uint64_t base, uint64_t end);
/* Takes [base, end) out. */
void regions_take(struct regions *list, uint64_t base, uint64_t end);

/*
 * RAM between LOW_MEMORY and WINDOW_LIMIT as the memory map at `info` has it: what an entry calls something else is no RAM,
 * whatever others say of it. And the bytes of the ACPI root pointer; all 0: none. Each length is bounded before it is
 * followed. Returns what is wrong, or NULL.
 */
const char *multiboot_read(uint32_t magic, uint64_t info, struct regions *ram, uint8_t root_pointer[36]);

#endif
