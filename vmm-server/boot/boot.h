/* SPDX-License-Identifier: BSD-2-Clause */
/* Puts a payload into guest memory and says how its first vCPU starts. */
#ifndef VMM_BOOT_H
#define VMM_BOOT_H

#include <stdint.h>
#include <cairn/vcpu.h>

/* Guest RAM: [0, low) and [4 GiB, 4 GiB + high). */
#define GUEST_LOW_LIMIT 0xc0000000ull
#define GUEST_HIGH_BASE 0x100000000ull

struct boot_payload {
	const uint8_t *kernel;
	uint64_t kernel_size;
	const uint8_t *initrd; /* size 0: none */
	uint64_t initrd_size;
	const char *cmdline; /* at most BOOT_CMDLINE bytes are looked at */
	uint64_t memory;     /* bytes of guest RAM */
	uint64_t tsc_khz;
	unsigned vcpus;
};
#define BOOT_CMDLINE 1024u

/* 32-bit protected mode, flat segments, no paging: what both protocols ask for. */
struct boot_entry {
	uint32_t eip;
	uint32_t ebx, esi; /* PVH: start info; Linux: boot parameters */
};

/*
 * Each loads a payload through guest memory's accessors. NULL, or one clause that says what is
 * wrong with the payload
 * ("it is not a bzImage"). boot_linux: a bzImage (Linux's Documentation/x86/boot.rst); boot_elf: an
 * ELF file with a PVH note (Xen's docs/misc/pvh.pandoc).
 */
const char *boot_linux(const struct boot_payload *payload, struct boot_entry *entry);
const char *boot_elf(const struct boot_payload *payload, struct boot_entry *entry);

/* All groups of the state of a vCPU that starts there; and of one at reset that a SIPI started
 * (R-ACT-3). */
void boot_state(const struct boot_entry *entry, struct vcpu_state *state);
void boot_sipi_state(uint8_t vector, struct vcpu_state *state);

/* The command line with what this VM must add; room: sizeof out. The result is always terminated.
 */
void boot_cmdline(const struct boot_payload *payload, char *out, uint64_t room);

#endif
