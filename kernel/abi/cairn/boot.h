/* SPDX-License-Identifier: BSD-2-Clause */
/* The boot image that the composer writes, and what the kernel tells the root-task. */
#ifndef CAIRN_BOOT_H
#define CAIRN_BOOT_H

#include <stdint.h>

/*
 * The image is one ELF file: the kernel, and at IMAGE_PHYS (2 MiB aligned, one PT_LOAD) the system blob:
 *   page 0            struct image_header
 *   page 1..          the root-task's segments, as whole pages, bss included, in the order of root.segment[]
 *   from 2 MiB on     modules, each page aligned, payloads of VMs alone on their 2 MiB pages
 */
#define IMAGE_PHYS     0x1000000ul
#define IMAGE_MAGIC    0x6d492d6e72696143ul /* "Cairn-Im" */
#define IMAGE_VERSION  1
#define IMAGE_SEGMENTS 8
#define IMAGE_MODULES  32

#define SEGMENT_WRITE 1u
#define SEGMENT_EXEC  2u

struct image_segment {
	uint64_t vaddr; /* page aligned, below USER_END */
	uint64_t pages;
	uint64_t offset; /* in the blob, page aligned */
	uint64_t flags;	 /* SEGMENT_* */
};

struct image_module {
	char name[32];	 /* NUL-terminated */
	uint64_t offset; /* in the blob, page aligned */
	uint64_t size;	 /* bytes */
};

struct image_header {
	uint64_t magic;
	uint32_t version;
	uint32_t module_count;
	uint64_t size;	     /* of the blob, a multiple of 2 MiB */
	uint64_t root_entry; /* virtual */
	uint64_t root_slots; /* size of the root-task's CapTable */
	uint64_t segment_count;
	struct image_segment segment[IMAGE_SEGMENTS];
	struct image_module module[IMAGE_MODULES];
};
_Static_assert(sizeof(struct image_header) <= 4096, "one page");

/* Where the kernel maps things for the root-task (host space, label 1). */
#define ROOT_INFO_VA   0x10000000ul /* struct boot_info, read-only */
#define ROOT_IMAGE_VA  0x10001000ul /* struct image_header, read-only */
#define ROOT_BUFFER_VA 0x10002000ul /* message buffer */
#define ROOT_STACK_TOP 0x10100000ul /* 16 pages below */

/* Selectors of the root-task's CapTable at the start. */
enum root_selector {
	ROOT_CAPTABLE = 0,
	ROOT_SPACE = 1, /* PageTable root, label 1 */
	ROOT_THREAD = 2,
	ROOT_BUFFER = 3,
	ROOT_MACHINECHECK = 4,
	ROOT_IOPORTS = 5, /* 0..0xffff */
	ROOT_IRQ = 6,	  /* all lines */
	ROOT_IMAGE = 7,	  /* Untyped of the blob: its memory keeps its content; Frames only */
	ROOT_CPUS = 8,	  /* the right to start CPUs */
	ROOT_UNTYPED = 9, /* the first of boot_info.untyped_count */
};

#define BOOT_MAGIC   0x6f422d6e72696143ul /* "Cairn-Bo" */
#define BOOT_UNTYPED 128

enum cpu_vendor { VENDOR_INTEL = 0, VENDOR_AMD = 1 };

struct boot_untyped {
	uint64_t base, size; /* bytes; one capability each, any page multiple */
	uint64_t device;     /* 1: no RAM, or firmware's: Frames only, and their content is kept */
};

struct boot_info {
	uint64_t magic;
	uint32_t version; /* of the hypercall interface */
	uint32_t vendor;  /* enum cpu_vendor */
	uint32_t apic_id; /* of the boot CPU, index 0: the only one that runs at the start */
	uint32_t untyped_count;
	uint64_t tsc_khz;
	uint64_t mcg_cap; /* IA32_MCG_CAP, 0 without machine-check architecture */
	uint64_t image_size;
	uint64_t first_free;	  /* first empty selector of the root-task's CapTable */
	uint64_t slots_total;	  /* number of slots the kernel has room for (retype's CapTable ranges lie below) */
	uint64_t slots_used;	  /* slots [0, slots_used) are taken by the root-task's CapTable */
	uint64_t memory_size;	  /* bytes of RAM the kernel found */
	uint64_t debug;		  /* 1: debug build */
	uint64_t no_guests;	  /* 1: this machine cannot run virtual machines; the kernel has said why */
	uint8_t root_pointer[36]; /* the ACPI root pointer (RSDP), if the boot loader passed it; else zeros */
	struct boot_untyped untyped[BOOT_UNTYPED];
};
_Static_assert(sizeof(struct boot_info) <= 4096, "one page");

#endif
