/* SPDX-License-Identifier: BSD-2-Clause */
/* What the checks of debug builds (debug/check.c) ask of the machine, on the host's model of it. */
#include <debug/debug.h>
#include "host_hal.h"

enum debug_entry debug_entry(uint64_t w, uint8_t kind, uint8_t level, uint64_t *phys, uint32_t *rights)
{
	*phys = w & HOST_PT_ADDRESS;
	*rights = (uint32_t)(w >> HOST_PT_RIGHTS) & (RIGHT_READ | RIGHT_WRITE | RIGHT_EXEC);
	if (kind > PT_GUEST)
		return ENTRY_OTHER;
	if (w == HOST_PT_POISON)
		return ENTRY_POISON;
	if (w == (*phys | HOST_PT_TABLE))
		return level > 1 ? ENTRY_TABLE : ENTRY_OTHER;
	return w == (*phys | HOST_PT_PAGE | (uint64_t)*rights << HOST_PT_RIGHTS) ? ENTRY_PAGE : ENTRY_OTHER;
}

int debug_kernel_half(uint64_t root)
{
	const uint64_t *t = hal_window(root);
	uint32_t i;

	for (i = 256; i < 512; i++)
		if (t[i] != HOST_PT_KERNEL)
			return 0;
	return !t[255];
}

int debug_in_window(uint64_t phys)
{
	return host_in_window(phys);
}

int debug_slots_at(uint32_t page, uint64_t phys)
{
	return host_slots_at(page) == phys;
}

void debug_count(struct debug_pages *pages)
{
	uint64_t a;
	uint32_t i;

	*pages = (struct debug_pages){0};
	for (a = HOST_RAM_BASE; a < HOST_RAM_END; a += PAGE_SIZE_4K) {
		pages->window += (uint64_t)host_in_window(a);
		pages->objects += (hal_page_byte(a) & PAGE_TYPE) != PAGE_USER;
	}
	for (i = 0; i < SLOT_COUNT / SLOTS_PER_PAGE; i++)
		pages->slots += host_slots_at(i) != 0;
}

uint64_t debug_mix_bytes(uint64_t h)
{
	uint64_t a;

	for (a = HOST_RAM_BASE; a < HOST_RAM_END; a += PAGE_SIZE_4K)
		h = (h ^ hal_page_byte(a)) * DEBUG_PRIME;
	return h;
}

uint64_t debug_mix_table(uint64_t h, uint64_t pt)
{
	const uint64_t *w = host_ram(pt);
	uint32_t i;

	for (i = 0; i < 512; i++)
		h = (h ^ w[i]) * DEBUG_PRIME;
	return h;
}
