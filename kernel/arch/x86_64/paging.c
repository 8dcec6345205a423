/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's tables, its window on objects, page bytes, and the words of user level's paging structures. */
#include <hal/hal.h>
#include "arch.h"

#define PTE_P	       (1ul << 0)
#define PTE_W	       (1ul << 1)
#define PTE_U	       (1ul << 2)
#define PTE_PCD	       (1ul << 4)
#define PTE_PS	       (1ul << 7)
#define PTE_NX	       (1ul << 63)
#define PTE_ADDRESS    0x000ffffffffff000ul
#define EPT_READ       (1ul << 0)
#define EPT_WRITE      (1ul << 1)
#define EPT_EXEC       (1ul << 2)
#define EPT_WRITE_BACK (6ul << 3)
/* Not present, no address: the page was lost to a memory error. */
#define PTE_POISON (3ul << 9)
/* Not present for a moment only. */
#define PTE_CHANGES (1ul << 9)

#define IMAGE_PTS 4u /* 8 MiB */
#define SLOT_PTS  (SLOT_COUNT / SLOTS_PER_PAGE / 512u)

#define PAGE_NO_RAM 0x5fu /* in the page bytes only */

static uint64_t pml4[512] __attribute__((aligned(4096)));
static uint64_t pdpt_high[512] __attribute__((aligned(4096)));
static uint64_t pd_high[512] __attribute__((aligned(4096)));
static uint64_t image_pt[IMAGE_PTS * 512] __attribute__((aligned(4096)));
static uint64_t slots_pt[SLOT_PTS * 512] __attribute__((aligned(4096)));
static uint64_t fixmap_pt[512] __attribute__((aligned(4096)));
static uint64_t pdpt_carve[512] __attribute__((aligned(4096)));
static uint64_t pd_carve[512] __attribute__((aligned(4096)));

static uint64_t *window_pte; /* one per page of [0, ram_top) */
static uint8_t *page_bytes;
static uint64_t ram_top;

extern char kernel_start[], kernel_text_end[], kernel_rodata_end[], kernel_end[];

uint64_t image_phys(const void *p)
{
	return (uint64_t)p - KERNEL_BASE;
}

uint64_t kernel_pml4(void)
{
	return image_phys(pml4);
}

static uint64_t gib(uint64_t top)
{
	return (top + (1ul << 30) - 1) >> 30;
}

static uint64_t window_tables(uint64_t top)
{
	return 1 + gib(top) + gib(top) * 512;
}

uint64_t carve_size(uint64_t top)
{
	uint64_t bytes = window_tables(top) * PAGE_SIZE_4K + (gib(top) << 18);

	return (bytes + PAGE_SIZE_2M - 1) & ~(PAGE_SIZE_2M - 1);
}

static void map_image(void)
{
	uint64_t va, flags;

	for (va = (uint64_t)kernel_start; va < (uint64_t)kernel_end; va += PAGE_SIZE_4K) {
		if (va < (uint64_t)kernel_text_end)
			flags = PTE_P;
		else if (va < (uint64_t)kernel_rodata_end)
			flags = PTE_P | PTE_NX;
		else
			flags = PTE_P | PTE_W | PTE_NX;
		image_pt[(va - KERNEL_BASE) >> 12] = (va - KERNEL_BASE) | flags;
	}
}

/* The boot tables still map the first 4 GiB one to one: carve is written through them. */
void paging_init(uint64_t carve, uint64_t top)
{
	uint64_t *tables = (uint64_t *)carve, i, n = gib(top);
	uint64_t pd = carve + PAGE_SIZE_4K, pt = pd + n * PAGE_SIZE_4K;
	uint8_t *bytes = (uint8_t *)(carve + window_tables(top) * PAGE_SIZE_4K);

	for (i = 0; i < window_tables(top) * 512; i++)
		tables[i] = 0;
	for (i = 0; i < n; i++)
		tables[i] = (pd + i * PAGE_SIZE_4K) | PTE_P | PTE_W | PTE_NX;
	for (i = 0; i < n * 512; i++)
		((uint64_t *)pd)[i] = (pt + i * PAGE_SIZE_4K) | PTE_P | PTE_W | PTE_NX;
	for (i = 0; i < n << 18; i++)
		bytes[i] = PAGE_NO_RAM;

	for (i = 0; i < carve_size(top) / PAGE_SIZE_2M; i++)
		pd_carve[i] = (carve + i * PAGE_SIZE_2M) | PTE_P | PTE_W | PTE_PS | PTE_NX;
	pdpt_carve[0] = image_phys(pd_carve) | PTE_P | PTE_W;
	map_image();
	for (i = 0; i < IMAGE_PTS; i++)
		pd_high[i] = (image_phys(image_pt) + i * PAGE_SIZE_4K) | PTE_P | PTE_W;
	for (i = 0; i < SLOT_PTS; i++)
		pd_high[(SLOTS_VA >> 21 & 511) + i] = (image_phys(slots_pt) + i * PAGE_SIZE_4K) | PTE_P | PTE_W;
	pd_high[FIXMAP_VA >> 21 & 511] = image_phys(fixmap_pt) | PTE_P | PTE_W;
	pdpt_high[510] = image_phys(pd_high) | PTE_P | PTE_W;
	pml4[256] = carve | PTE_P | PTE_W;
	pml4[257] = image_phys(pdpt_carve) | PTE_P | PTE_W;
	pml4[511] = image_phys(pdpt_high) | PTE_P | PTE_W;

	window_pte = (uint64_t *)(CARVE_VA + (1 + n) * PAGE_SIZE_4K);
	page_bytes = (uint8_t *)(CARVE_VA + window_tables(top) * PAGE_SIZE_4K);
	ram_top = n << 30;
}

void image_unmap(const void *p)
{
	image_pt[image_phys(p) >> 12] = 0;
	invlpg((uint64_t)p);
}

void fixmap_set(uint32_t page, uint64_t phys, int device)
{
	fixmap_pt[page] = phys | PTE_P | PTE_W | PTE_NX | (device ? PTE_PCD : 0);
	invlpg(FIXMAP_VA + (uint64_t)page * PAGE_SIZE_4K);
}

int hal_page_known(uint64_t phys)
{
	return phys < ram_top && (page_bytes[phys >> 12] & PAGE_TYPE) != PAGE_NO_RAM;
}

uint8_t hal_page_byte(uint64_t phys)
{
	return hal_page_known(phys) ? page_bytes[phys >> 12] : PAGE_USER;
}

void hal_page_set(uint64_t phys, uint8_t byte)
{
	if (phys < ram_top)
		page_bytes[phys >> 12] = byte;
}

void hal_window_map(uint64_t phys)
{
	window_pte[phys >> 12] = phys | PTE_P | PTE_W | PTE_NX;
}

void hal_window_unmap(uint64_t phys)
{
	window_pte[phys >> 12] = 0;
	invlpg(WINDOW_VA + phys);
}

void hal_slots_map(uint32_t page, uint64_t phys)
{
	slots_pt[page] = phys | PTE_P | PTE_W | PTE_NX;
}

void hal_slots_unmap(uint32_t page)
{
	slots_pt[page] = 0;
	invlpg(SLOTS_VA + (uint64_t)page * PAGE_SIZE_4K);
}

void hal_zero(uint64_t phys)
{
	uint32_t page = FIX_ZERO + hal_cpu()->index;
	void *to = (void *)fixmap(page);
	uint64_t n = PAGE_SIZE_4K / 8;

	fixmap_set(page, phys, 0);
	__asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(0ul) : "memory");
	fixmap_pt[page] = 0;
	invlpg(FIXMAP_VA + (uint64_t)page * PAGE_SIZE_4K);
}

/* Entry `index` of a structure; one on a poisoned page is never touched: its words go nowhere. The caller holds the lock. */
static uint64_t *entry(uint64_t pt, uint32_t index)
{
	static uint64_t nowhere;

	if (hal_page_byte(pt) & PAGE_POISONED) {
		nowhere = 0;
		return &nowhere;
	}
	return (uint64_t *)hal_window(pt) + index;
}

void hal_pt_init(uint64_t pt, uint8_t kind, uint8_t level)
{
	uint32_t i;

	if (kind != PT_HOST || level != 4)
		return;
	for (i = 256; i < 512; i++)
		*entry(pt, i) = pml4[i];
}

uint32_t hal_pt_limit(uint8_t kind, uint8_t level)
{
	return kind == PT_HOST && level == 4 ? 255 : 512;
}

void hal_pt_table(uint64_t pt, uint8_t kind, uint32_t index, uint64_t child)
{
	(void)kind; /* EPT: read, write, execute; the same bits */
	*entry(pt, index) = child | PTE_P | PTE_W | PTE_U;
}

void hal_pt_page(uint64_t pt, uint8_t kind, uint8_t level, uint32_t index, uint64_t phys, uint32_t rights)
{
	if (kind == PT_GUEST && use_vmx()) {
		*entry(pt, index) = phys | EPT_READ | EPT_WRITE_BACK | (rights & RIGHT_WRITE ? EPT_WRITE : 0) |
				    (rights & RIGHT_EXEC ? EPT_EXEC : 0) | (level == 2 ? PTE_PS : 0);
		return;
	}
	*entry(pt, index) = phys | PTE_P | PTE_U | (rights & RIGHT_WRITE ? PTE_W : 0) | (rights & RIGHT_EXEC ? 0 : PTE_NX) |
			    (level == 2 ? PTE_PS : 0);
}

void hal_pt_poison(uint64_t pt, uint32_t index)
{
	*entry(pt, index) = PTE_POISON;
}

void hal_pt_changes(uint64_t pt, uint32_t index)
{
	*entry(pt, index) = PTE_CHANGES;
}

void hal_pt_clear(uint64_t pt, uint32_t index)
{
	*entry(pt, index) = 0;
}

int hal_pt_used(uint64_t pt, uint32_t index)
{
	return *entry(pt, index) != 0;
}

void hal_flush(uint8_t kind)
{
	if (kind == PT_HOST)
		write_cr3(read_cr3());
	else
		hal_cpu()->guest_flush++;
}

void hal_space_leave(uint64_t root)
{
	if (hal_cpu()->cr3 != root)
		return;
	hal_cpu()->cr3 = kernel_pml4();
	write_cr3(kernel_pml4());
}

enum pt_leaf pt_leaf(uint64_t root, uint64_t address)
{
	uint64_t pt = root, e;
	uint32_t level;

	for (level = 4; level >= 1; level--) {
		if (hal_page_byte(pt) & PAGE_POISONED)
			return PT_LEAF_NONE;
		e = ((const uint64_t *)hal_window(pt))[address >> (3 + 9 * level) & 511];
		if (!(e & (PTE_P | PTE_W | PTE_U))) /* in EPT: read, write, execute */
			return e == PTE_POISON ? PT_LEAF_POISON : e == PTE_CHANGES ? PT_LEAF_PAGE : PT_LEAF_NONE;
		if (e & PTE_PS)
			break;
		pt = e & PTE_ADDRESS;
	}
	return PT_LEAF_PAGE;
}
