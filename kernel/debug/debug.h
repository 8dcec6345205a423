/* SPDX-License-Identifier: BSD-2-Clause */
/* What the checks of debug builds ask of the machine, besides hal.h: what its own tables really say. */
#ifndef DEBUG_H
#define DEBUG_H

#include <hal/hal.h>
#include <cairn/debug.h>

enum debug_entry {
	ENTRY_TABLE, /* to a table of the next lower level */
	ENTRY_PAGE,
	ENTRY_POISON, /* the tag of a lost page */
	ENTRY_OTHER,  /* what hal_pt_* never writes there */
};

/* What word `w` of a paging structure means: address and RIGHT_* of a page. It is not 0. */
enum debug_entry debug_entry(uint64_t w, uint8_t kind, uint8_t level, uint64_t *phys, uint32_t *rights);
/* Is what lies beyond user level's entries in a host root (hal_pt_limit) the kernel's, and out of user level's reach? */
int debug_kernel_half(uint64_t root);
/* Does the window translate this page to itself, for the kernel alone? And page `page` of slots[] to that page? */
int debug_in_window(uint64_t phys);
int debug_slots_at(uint32_t page, uint64_t phys);

/* Pages: that the window has, that slots[] has, and whose byte says that they are a kernel object. */
struct debug_pages {
	uint64_t window, slots, objects;
};
void debug_count(struct debug_pages *pages);
/* The page bytes, and a paging structure but for what CPUs note in it, mixed into a checksum. */
uint64_t debug_mix_bytes(uint64_t h);
uint64_t debug_mix_table(uint64_t h, uint64_t pt);
#define DEBUG_PRIME 1099511628211ull

/* The first violation of an invariant: fault, place, line of check.c. */
enum debug_fault debug_invariants(uint64_t *place, uint64_t *line);
/* Of all slots, paging structures, page bytes, and contexts: those of this CPU entirely (but for the registers of `self`), of
 * those of other CPUs, which run, what only the holder of the lock changes. */
uint64_t debug_checksum(const struct ec *self);

#endif
