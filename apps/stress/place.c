/* SPDX-License-Identifier: BSD-2-Clause */
/* Spaces, and memory whose physical address is known. */
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/runtime.h>
#include "stress.h"

#define POOL_BITS  24u
#define HOST_BASE  0x40000000ul
#define SELF_BASE  0x210000000000ul /* a top-level entry that nothing else uses */
#define SMALL	   16u /* probes that are Frames of 4 KiB; the others lie in large ones */
#define LARGE	   2u
#define PER_LARGE  ((PROBES - SMALL) / LARGE)
#define LARGE_STEP 61u /* pages from one probe in a large Frame to the next */
#define SMALL_PAGE 64u /* where in each space */
#define RW	   (RIGHT_READ | RIGHT_WRITE)

struct probe probes[PROBES];
struct board *board;
uint64_t board_frame;
struct space self;

static uint64_t pool, pool_phys, pool_used;

void place_init(void)
{
	const struct server_info *info = cairn_info();

	pool = forge_untyped(POOL_BITS); /* the first from SEL_UNTYPED: at its start */
	pool_phys = info->untyped_base;
	if (!pool_phys || pool_phys & ((1ul << POOL_BITS) - 1))
		fail("the grant `hardware` is missing, or its memory is not at a multiple of 16 "
		     "MiB");
}

/* As the kernel's watermark goes. */
static uint64_t place(uint64_t size)
{
	uint64_t at = (pool_used + size - 1) & ~(size - 1);

	pool_used = at + size;
	return pool_phys + at;
}

uint64_t place_frame(unsigned bits, uint64_t *phys)
{
	uint64_t selector = forge_select();

	*phys = place(1ul << bits);
	forge_must(cairn_retype(pool, CAP_FRAME, bits, SEL_CAPTABLE, selector, 0),
		   "making a Frame that is shared");
	return selector;
}

uint64_t place_untyped(unsigned bits, uint64_t *phys)
{
	uint64_t before = forge_use(pool), selector = forge_untyped(bits);

	forge_use(before);
	*phys = place(1ul << bits);
	return selector;
}

void space_join(struct space *space, uint64_t root, uint32_t label, uint64_t base)
{
	uint64_t level3 = forge_pagetable(space->kind, 3, 0);

	space->root = root;
	space->label = label;
	space->base = base;
	space->level2 = forge_pagetable(space->kind, 2, 0);
	space->level1 = forge_pagetable(space->kind, 1, 0);
	forge_must(cairn_pagetable_link(root, base >> 39 & 511, level3), "linking a level 3");
	forge_must(cairn_pagetable_link(level3, base >> 30 & 511, space->level2),
		   "linking a level 2");
	forge_must(cairn_pagetable_link(space->level2, 0, space->level1), "linking a level 1");
}

void space_make(struct space *space, enum cairn_pt_kind kind, uint32_t label)
{
	space->kind = kind;
	space_join(space, forge_pagetable(kind, 4, label), label, kind == PT_HOST ? HOST_BASE : 0);
}

void space_map(const struct space *space, uint64_t frame, unsigned page, uint32_t rights)
{
	forge_must(cairn_map(forge_copy(frame, rights, 0), space->level1, page, rights, 0),
		   "mapping a page");
}

void space_map_large(const struct space *space, uint64_t frame, unsigned page)
{
	forge_must(cairn_map(forge_copy(frame, RW, 0), space->level2, page, RW,
			     forge_pagetable(space->kind, 1, 0)),
		   "mapping a large page");
}

void space_load(const struct space *space, const uint8_t *code, const uint8_t *end)
{
	uint64_t frame = forge_frame();

	memcpy(forge_window(frame), code, (size_t)(end - code));
	space_map(space, frame, 0, RIGHT_READ | RIGHT_EXEC);
}

/* The originals hang in this server's own space: it is a holder like the others. */
static void show(uint64_t frame, unsigned i, bool large)
{
	uint64_t deposit = large ? forge_pagetable(PT_HOST, 1, 0) : 0;
	uint64_t table = large ? self.level2 : self.level1;

	forge_must(cairn_map(frame, table, large ? 1 + i : SMALL_PAGE + i, RW, deposit),
		   "mapping a probe");
}

static void set(unsigned i, uint64_t frame, uint64_t phys, uint32_t offset)
{
	probes[i] = (struct probe){.frame = frame, .phys = phys, .large = i >= SMALL};
	board->offset[i] = offset;
	*(volatile uint32_t *)(self.base + offset) = PATTERN + i;
}

void place_probes(void)
{
	uint64_t phys;

	space_join(&self, SEL_SPACE, LABEL_SERVER(cairn_info()->index), SELF_BASE);
	board_frame = forge_frame();
	board = forge_window(board_frame);
	board->probes = PROBES;
	for (unsigned k = 0; k < LARGE; k++) {
		uint64_t frame = place_frame(PAGE_BITS_2M, &phys);

		show(frame, k, true);
		for (unsigned j = 0; j < PER_LARGE; j++) {
			uint32_t page = 1 + j * LARGE_STEP;

			set(SMALL + k * PER_LARGE + j, frame, phys + page * PAGE_SIZE_4K,
			    (uint32_t)((k + 1) * PAGE_SIZE_2M + page * PAGE_SIZE_4K));
		}
	}
	for (unsigned i = 0; i < SMALL; i++) {
		uint64_t frame = place_frame(PAGE_BITS_4K, &phys);

		show(frame, i, false);
		set(i, frame, phys, (uint32_t)((SMALL_PAGE + i) * PAGE_SIZE_4K));
	}
}
