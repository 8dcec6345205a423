/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * brk and anonymous memory from the premapped heap. All of it stays readable and writable:
 * protections are accepted as far as that is a harmless answer, and refused where it is not
 * (execution).
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <cairn/types.h>
#include "libs/personality/page_heap.h"
#include "libs/personality/personality.h"

static struct page_heap heap;
static unsigned char *base;
static uintptr_t break_now;

void personality_memory_init(unsigned char *memory, size_t size)
{
	base = memory;
	break_now = (uintptr_t)memory;
	page_heap_init(&heap, size / PAGE_SIZE_4K);
}

static uint64_t pages_of(uint64_t length)
{
	return length / PAGE_SIZE_4K + (length % PAGE_SIZE_4K != 0);
}

/* Index of the page at a page-aligned heap address; false: it is no such address. */
static bool page_of(uint64_t address, uint64_t *page)
{
	if (address % PAGE_SIZE_4K != 0 || address < (uintptr_t)base)
		return false;
	*page = (address - (uintptr_t)base) / PAGE_SIZE_4K;
	return *page < heap.pages;
}

/* As Linux does: an impossible break is answered with the old one. */
long linux_brk(const struct linux_call *call)
{
	uint64_t wanted = call->arg[0];
	uintptr_t low = (uintptr_t)base;

	if (wanted < low || wanted > low + heap.brk_pages * PAGE_SIZE_4K)
		return (long)break_now;
	if (wanted > break_now)
		memset((void *)break_now, 0, wanted - break_now);
	break_now = wanted;
	return (long)break_now;
}

long linux_mmap(const struct linux_call *call)
{
	uint64_t length = call->arg[1], protection = call->arg[2], flags = call->arg[3];
	int64_t page;

	if (length == 0)
		return -EINVAL;
	if ((flags & MAP_FIXED) != 0 || (flags & MAP_ANONYMOUS) == 0)
		return -ENODEV; /* there are no files, and no addresses to choose */
	if ((protection & PROT_EXEC) != 0)
		return -EACCES; /* heap pages are mapped without execution right */
	page = page_heap_take(&heap, pages_of(length));
	if (page < 0)
		return -ENOMEM;
	memset(base + (uint64_t)page * PAGE_SIZE_4K, 0, pages_of(length) * PAGE_SIZE_4K);
	return (long)(base + (uint64_t)page * PAGE_SIZE_4K);
}

long linux_munmap(const struct linux_call *call)
{
	uint64_t page;

	if (!page_of(call->arg[0], &page) || call->arg[1] == 0)
		return -EINVAL;
	return page_heap_give(&heap, page, pages_of(call->arg[1])) ? 0 : -EINVAL;
}

long linux_mprotect(const struct linux_call *call)
{
	uint64_t page;

	if ((call->arg[2] & PROT_EXEC) != 0)
		return -EACCES;
	if (!page_of(call->arg[0], &page))
		return -ENOMEM;
	if (page < heap.brk_pages)
		return 0;
	return page_heap_is_used(&heap, page, pages_of(call->arg[1])) ? 0 : -ENOMEM;
}

static long move(uint64_t page, uint64_t old_pages, uint64_t new_pages)
{
	int64_t target = page_heap_take(&heap, new_pages);
	unsigned char *to;

	if (target < 0)
		return -ENOMEM;
	to = base + (uint64_t)target * PAGE_SIZE_4K;
	memcpy(to, base + page * PAGE_SIZE_4K, old_pages * PAGE_SIZE_4K);
	memset(to + old_pages * PAGE_SIZE_4K, 0, (new_pages - old_pages) * PAGE_SIZE_4K);
	page_heap_give(&heap, page, old_pages);
	return (long)to;
}

long linux_mremap(const struct linux_call *call)
{
	uint64_t old_pages = pages_of(call->arg[1]), new_pages = pages_of(call->arg[2]);
	uint64_t flags = call->arg[3], page;

	if ((flags & ~(uint64_t)MREMAP_MAYMOVE) != 0 || new_pages == 0 || old_pages == 0)
		return -EINVAL;
	if (!page_of(call->arg[0], &page) || !page_heap_is_used(&heap, page, old_pages))
		return -EFAULT;
	if (new_pages <= old_pages) {
		page_heap_give(&heap, page + new_pages, old_pages - new_pages);
		return (long)call->arg[0];
	}
	if (page_heap_extend(&heap, page + old_pages, new_pages - old_pages)) {
		memset(base + (page + old_pages) * PAGE_SIZE_4K, 0,
		       (new_pages - old_pages) * PAGE_SIZE_4K);
		return (long)call->arg[0];
	}
	return (flags & MREMAP_MAYMOVE) != 0 ? move(page, old_pages, new_pages) : -ENOMEM;
}

/* Advice changes nothing, but MADV_DONTNEED must leave zeros, and MADV_FREE may. */
long linux_madvise(const struct linux_call *call)
{
	uint64_t page, count = pages_of(call->arg[1]);

	if (!page_of(call->arg[0], &page) || !page_heap_is_used(&heap, page, count))
		return -ENOMEM;
	if (call->arg[2] == MADV_DONTNEED)
		memset(base + page * PAGE_SIZE_4K, 0, count * PAGE_SIZE_4K);
	return 0;
}
