/* SPDX-License-Identifier: BSD-2-Clause */
/* Page allocator for a program's one premapped heap: brk at its low end, anonymous mappings above.
 * Pure; host-tested. */
#ifndef LIBS_PAGE_HEAP_H
#define LIBS_PAGE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_HEAP_MAX_PAGES 65536u /* 256 MiB */

struct page_heap {
	uint32_t brk_pages;			 /* the first ones belong to brk */
	uint32_t pages;				 /* in all */
	uint64_t used[PAGE_HEAP_MAX_PAGES / 64]; /* bit set: mapped */
};

/* A heap of `pages` pages (cut to the maximum); a sixteenth of them is brk's. */
void page_heap_init(struct page_heap *heap, uint64_t pages);

/* Takes `count` adjacent pages; returns the first one's index, or -1: no room (or count is 0). */
int64_t page_heap_take(struct page_heap *heap, uint64_t count);

/* Extends the used range that ends before `end` by `count` pages in place; false: something is
 * there. */
bool page_heap_extend(struct page_heap *heap, uint64_t end, uint64_t count);

/* Gives [first, first + count) back; pages that were free stay free. False: outside the mapping
 * area; nothing done. */
bool page_heap_give(struct page_heap *heap, uint64_t first, uint64_t count);

/* Whether all of [first, first + count) is mapped. */
bool page_heap_is_used(const struct page_heap *heap, uint64_t first, uint64_t count);

#endif
