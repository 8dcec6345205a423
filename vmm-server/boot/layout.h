/* SPDX-License-Identifier: BSD-2-Clause */
/* Where boot data lies in guest memory, and what both protocols share. */
#ifndef VMM_BOOT_LAYOUT_H
#define VMM_BOOT_LAYOUT_H

#include <stdint.h>
#include "boot/boot.h"

#define LAYOUT_GDT 0x1000u
#define LAYOUT_PARAMS                                                                              \
	0x2000u /* struct boot_params, or struct hvm_start_info and what it points to */
#define LAYOUT_CMDLINE	    0x3000u
#define LAYOUT_CMDLINE_SIZE 0x1000u
#define LAYOUT_LOW_END                                                                             \
	0x9f000u /* usable below; above: reserved up to 1 MiB, with the ACPI tables in it */
#define LAYOUT_RESET_VECTOR 0xffff0u
#define LAYOUT_KERNEL_MIN   0x100000u

#define RAM_USABLE   1u
#define RAM_RESERVED 2u
#define RAM_RANGES   4u

struct ram_range {
	uint64_t base, size;
	uint32_t type;
};

/* The memory map of the guest; returns the number of ranges. */
unsigned layout_ram_map(uint64_t memory, struct ram_range map[RAM_RANGES]);

/* GDT, ACPI tables and command line: NULL or what went wrong. */
const char *layout_write_common(const struct boot_payload *payload);

/* Highest page-aligned place for the initrd below `limit`, above `floor`; 0: it does not fit. */
uint64_t layout_place_initrd(const struct boot_payload *payload, uint64_t floor, uint64_t limit);

#endif
