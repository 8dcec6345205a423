/* SPDX-License-Identifier: BSD-2-Clause */
/* Page allocator for a program's one premapped heap: a bitmap, first fit. */
#include <string.h>
#include "libs/personality/page_heap.h"

static bool get(const struct page_heap *heap, uint64_t page)
{
	return heap->used[page / 64] >> (page % 64) & 1;
}

static void set(struct page_heap *heap, uint64_t page, bool used)
{
	uint64_t bit = 1ull << (page % 64);

	if (used)
		heap->used[page / 64] |= bit;
	else
		heap->used[page / 64] &= ~bit;
}

static void set_range(struct page_heap *heap, uint64_t first, uint64_t count, bool used)
{
	for (uint64_t page = first; page < first + count; page++)
		set(heap, page, used);
}

/* Whether [first, first + count) lies in the mapping area; written so that nothing wraps. */
static bool inside(const struct page_heap *heap, uint64_t first, uint64_t count)
{
	return first >= heap->brk_pages && first <= heap->pages && count <= heap->pages - first;
}

void page_heap_init(struct page_heap *heap, uint64_t pages)
{
	memset(heap, 0, sizeof(*heap));
	heap->pages = (uint32_t)(pages < PAGE_HEAP_MAX_PAGES ? pages : PAGE_HEAP_MAX_PAGES);
	heap->brk_pages = heap->pages / 16;
}

int64_t page_heap_take(struct page_heap *heap, uint64_t count)
{
	uint64_t run = 0;

	if (count == 0)
		return -1;
	for (uint64_t page = heap->brk_pages; page < heap->pages; page++) {
		run = get(heap, page) ? 0 : run + 1;
		if (run == count) {
			set_range(heap, page + 1 - count, count, true);
			return (int64_t)(page + 1 - count);
		}
	}
	return -1;
}

bool page_heap_extend(struct page_heap *heap, uint64_t end, uint64_t count)
{
	if (!inside(heap, end, count))
		return false;
	for (uint64_t page = end; page < end + count; page++) {
		if (get(heap, page))
			return false;
	}
	set_range(heap, end, count, true);
	return true;
}

bool page_heap_give(struct page_heap *heap, uint64_t first, uint64_t count)
{
	if (!inside(heap, first, count))
		return false;
	set_range(heap, first, count, false);
	return true;
}

bool page_heap_is_used(const struct page_heap *heap, uint64_t first, uint64_t count)
{
	if (!inside(heap, first, count))
		return false;
	for (uint64_t page = first; page < first + count; page++) {
		if (!get(heap, page))
			return false;
	}
	return true;
}
