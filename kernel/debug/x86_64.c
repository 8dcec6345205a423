/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tables of this machine really say: read as the CPU does, from the top, not by way of what paging.c remembers. */
#include "../arch/x86_64/arch.h"
#include "debug.h"

#define PTE_P	       (1ul << 0)
#define PTE_W	       (1ul << 1)
#define PTE_U	       (1ul << 2)
#define PTE_PS	       (1ul << 7)
#define PTE_USED       (3ul << 5) /* accessed, dirty: the CPU's */
#define PTE_NX	       (1ul << 63)
#define PTE_ADDRESS    0x000ffffffffff000ul
#define EPT_EXEC       (1ul << 2)
#define EPT_WRITE_BACK (6ul << 3)
#define PTE_POISON     (3ul << 9)
#define WINDOW_ENTRY   (WINDOW_VA >> 39 & 511)
#define TABLE_ENTRIES  512u

static const uint64_t *top_table(void)
{
	return (const uint64_t *)(KERNEL_BASE + kernel_pml4());
}

/* A table of the kernel's own: it lies in the image, or in what was carved at boot, where the window's top table comes first. */
static const uint64_t *own_table(uint64_t entry)
{
	uint64_t phys = entry & PTE_ADDRESS, carve = top_table()[WINDOW_ENTRY] & PTE_ADDRESS;

	if (!(entry & PTE_P))
		return NULL;
	return (const uint64_t *)(phys >= carve ? CARVE_VA + (phys - carve) : KERNEL_BASE + phys);
}

/* The level-1 table that maps `va` in the kernel's half. */
static const uint64_t *level1_of(uint64_t va)
{
	const uint64_t *t = top_table();
	uint32_t shift;

	for (shift = 39; t && shift > 12; shift -= 9)
		t = own_table(t[va >> shift & 511]);
	return t;
}

/* For the kernel alone, data. */
static int maps(uint64_t va, uint64_t phys)
{
	const uint64_t *t = level1_of(va);

	return t && (t[va >> 12 & 511] & ~PTE_USED) == (phys | PTE_P | PTE_W | PTE_NX);
}

int debug_in_window(uint64_t phys)
{
	return maps(WINDOW_VA + phys, phys);
}

int debug_slots_at(uint32_t page, uint64_t phys)
{
	return maps(SLOTS_VA + (uint64_t)page * PAGE_SIZE_4K, phys);
}

static uint64_t present(const uint64_t *t)
{
	uint64_t n = 0;
	uint32_t i;

	for (i = 0; i < TABLE_ENTRIES; i++)
		n += t[i] & PTE_P;
	return n;
}

static const uint8_t *page_bytes(uint64_t *pages)
{
	static uint64_t top;
	uint64_t gib = present(own_table(top_table()[WINDOW_ENTRY]));

	if (!top) /* the last page of RAM, found once */
		for (top = gib << 18; top && !hal_page_known((top - 1) << 12); top--)
			;
	*pages = top;
	return (const uint8_t *)CARVE_VA + (1 + gib + gib * TABLE_ENTRIES) * PAGE_SIZE_4K;
}

void debug_count(struct debug_pages *pages)
{
	uint64_t i, count;
	const uint8_t *bytes = page_bytes(&count);

	*pages = (struct debug_pages){0};
	for (i = 0; i < count; i += TABLE_ENTRIES)
		pages->window += present(level1_of(WINDOW_VA + (i << 12)));
	for (i = 0; i < SLOT_COUNT / SLOTS_PER_PAGE; i += TABLE_ENTRIES)
		pages->slots += present(level1_of(SLOTS_VA + (i << 12)));
	for (i = 0; i < count; i++) {
		uint8_t type = bytes[i] & PAGE_TYPE;

		pages->objects += type == CAP_CAPTABLE || type == CAP_PAGETABLE || type == CAP_THREAD || type == CAP_VCPU ||
				  type == PAGE_GUEST_PT;
	}
}

#define GROUP 8u

/* Most words are 0: these are looked at, and no more. */
static uint64_t mix_sparse(uint64_t h, const uint64_t *w, uint64_t count, uint64_t mask)
{
	uint64_t i, k;

	for (i = 0; i + GROUP <= count; i += GROUP) {
		if (!((w[i] | w[i + 1] | w[i + 2] | w[i + 3] | w[i + 4] | w[i + 5] | w[i + 6] | w[i + 7]) & mask))
			continue;
		h = (h ^ i) * DEBUG_PRIME;
		for (k = i; k < i + GROUP; k++)
			h = (h ^ (w[k] & mask)) * DEBUG_PRIME;
	}
	for (; i < count; i++)
		h = (h ^ (w[i] & mask)) * DEBUG_PRIME;
	return h;
}

uint64_t debug_mix_bytes(uint64_t h)
{
	uint64_t count;
	const uint64_t *w = (const uint64_t *)page_bytes(&count);

	return mix_sparse(h, w, count / 8, ~0ul);
}

uint64_t debug_mix_table(uint64_t h, uint64_t pt)
{
	return mix_sparse(h, hal_window(pt), TABLE_ENTRIES, ~PTE_USED);
}

enum debug_entry debug_entry(uint64_t w, uint8_t kind, uint8_t level, uint64_t *phys, uint32_t *rights)
{
	uint64_t flags = w & ~PTE_ADDRESS & ~PTE_USED;

	*phys = w & PTE_ADDRESS;
	if (w == PTE_POISON)
		return ENTRY_POISON;
	if (kind > PT_GUEST)
		return ENTRY_OTHER;
	/* In EPT these bits are read, write, execute. */
	if (level > 1 && flags == (PTE_P | PTE_W | PTE_U))
		return ENTRY_TABLE;
	if (level > 2 || (level == 2) != ((w & PTE_PS) != 0))
		return ENTRY_OTHER;
	*rights = RIGHT_READ | (w & PTE_W ? RIGHT_WRITE : 0);
	if (kind == PT_GUEST && use_vmx()) {
		*rights |= w & EPT_EXEC ? RIGHT_EXEC : 0;
		return (w & ~PTE_ADDRESS & ~(PTE_W | EPT_EXEC | PTE_PS)) == (PTE_P | EPT_WRITE_BACK) ? ENTRY_PAGE
												     : ENTRY_OTHER;
	}
	*rights |= w & PTE_NX ? 0 : RIGHT_EXEC;
	return (flags & ~(PTE_W | PTE_NX | PTE_PS)) == (PTE_P | PTE_U) ? ENTRY_PAGE : ENTRY_OTHER;
}

int debug_kernel_half(uint64_t root)
{
	const uint64_t *t = hal_window(root);
	uint32_t i;

	for (i = hal_pt_limit(PT_HOST, 4); i < TABLE_ENTRIES; i++)
		if (((t[i] ^ top_table()[i]) & ~PTE_USED) || (t[i] & PTE_U))
			return 0;
	return 1;
}
