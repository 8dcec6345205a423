/* SPDX-License-Identifier: BSD-2-Clause */
/* What a multiboot1 boot loader passes (Multiboot Specification 0.6.96, 3.3). */
#ifndef PLAT_MULTIBOOT_H
#define PLAT_MULTIBOOT_H

#include <stdint.h>

#define MULTIBOOT_MAGIC 0x2badb002u
#define MULTIBOOT_MMAP	(1u << 6)

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
	uint32_t mods_count, mods_addr, syms[4];
	uint32_t mmap_length, mmap_addr;
};

struct multiboot_mmap {
	uint32_t size; /* of the rest */
	uint64_t base, length;
	uint32_t type; /* 1: RAM */
} __attribute__((packed));

#endif
