/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only way a server touches guest memory: copies with a registered fix-up, so that a page lost
 * to a memory error (or a page that is not there) is an error code, not the server's death
 * (R-BAS-2).
 */
#ifndef CAIRN_GUESTMEM_H
#define CAIRN_GUESTMEM_H

#include <stdbool.h>
#include <stdint.h>

/* After anything but OK it is not told how much was copied. */
#define GUESTMEM_OK	0
#define GUESTMEM_FAULT	1 /* outside the region, or not mapped */
#define GUESTMEM_POISON 2 /* the page was lost to a memory error */

/* A VM's RAM as its server sees it: guest-physical [gpa, gpa + size) at `base`. Up to
 * GUESTMEM_REGIONS of them. */
#define GUESTMEM_REGIONS 4
struct guest_region {
	uint64_t gpa, size;
	unsigned char *base;
};

/* Registers a region; returns 0, or -1 when it overlaps another, wraps, or there are too many. Main
 * thread, at start. */
int guestmem_add_region(uint64_t gpa, uint64_t size, void *base);

/* Copies `length` bytes from / to guest-physical memory; a copy never crosses the end of a region.
 * GUESTMEM_*. */
int guest_read(void *to, uint64_t gpa, uint64_t length) __attribute__((warn_unused_result));
int guest_write(uint64_t gpa, const void *from, uint64_t length)
	__attribute__((warn_unused_result));

/* Fills `length` bytes of guest memory with zero. */
int guest_zero(uint64_t gpa, uint64_t length) __attribute__((warn_unused_result));

/*
 * Single naturally aligned accesses of 1, 2, 4 or 8 bytes that the guest's CPUs see as one access
 * (page-table entries, rings). Another size or a misaligned address: GUESTMEM_FAULT.
 */
int guest_load(uint64_t gpa, unsigned size, uint64_t *value) __attribute__((warn_unused_result));
int guest_store(uint64_t gpa, unsigned size, uint64_t value) __attribute__((warn_unused_result));

/*
 * Locked compare-and-exchange of 1, 2, 4 or 8 naturally aligned bytes: stores `value` if memory
 * holds *expected; *expected becomes what was there. *swapped tells whether it stored.
 */
int guest_cmpxchg(uint64_t gpa, unsigned size, uint64_t *expected, uint64_t value, int *swapped)
	__attribute__((warn_unused_result));

/*
 * For the shortest paths: 8 bytes (no alignment needed) at an address inside a region, which the
 * caller has checked before; false: the page was lost. The entry in cairn_fixups is that of
 * guestmem/copy.S.
 */
#ifdef CAIRN_HOST
#define GUESTMEM_FIXUP_FLAGS "aw"
#else
#define GUESTMEM_FIXUP_FLAGS "a"
#endif
static inline bool guestmem_peek8(const void *at, uint64_t *value)
{
	uint32_t fault = 0;

	__asm__ volatile("1:	movq (%2), %1\n"
			 "2:	.pushsection cairn_fixups, \"" GUESTMEM_FIXUP_FLAGS
			 "\", @progbits\n"
			 "	.quad 1b, 2b, 2b\n"
			 "	.popsection"
			 : "+a"(fault), "=&r"(*value)
			 : "r"(at)
			 : "rcx", "memory"); /* libs/fault loses RCX */
	return fault == 0;
}

#endif
