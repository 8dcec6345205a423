/* SPDX-License-Identifier: BSD-2-Clause */
/* Trials of paging: link, map, unmap. */
#include <cairn/hypercalls.h>
#include <cairn/types.h>
#include "check.h"
#include "trial.h"
#include "worker.h"

#define ENTRY 5u

static uint64_t frame;

static bool not_mapped(void)
{
	return cairn_unmap(frame) == CAIRN_ERR_STATE;
}

static uint64_t large_frame(void)
{
	uint64_t large = forge_select();

	forge_must(cairn_retype(forge_used(), CAP_FRAME, PAGE_BITS_2M, SEL_CAPTABLE, large, 0),
		   "making a 2 MiB Frame");
	return large;
}

HYPERCALL_TEST(pagetable_link)
{
	uint64_t root = forge_pagetable(PT_HOST, 4, 1), level3 = forge_pagetable(PT_HOST, 3, 0);
	uint64_t level2 = forge_pagetable(PT_HOST, 2, 0), level1 = forge_pagetable(PT_HOST, 1, 0);
	uint64_t guest3 = forge_pagetable(PT_GUEST, 3, 0), other3 = forge_pagetable(PT_HOST, 3, 0);
	uint64_t guest_root = forge_pagetable(PT_GUEST, 4, 1),
		 deposit = forge_pagetable(PT_HOST, 1, 0);

	forge_must(cairn_pagetable_link(root, 0, other3), "linking");
	forge_must(cairn_map(large_frame(), level2, 0, RIGHT_READ, deposit), "mapping 2 MiB");

	const struct wrong lower[] = {
		{0, root, CAIRN_ERR_TYPE},    {0, level3, CAIRN_ERR_TYPE},
		{0, level1, CAIRN_ERR_TYPE},  {1, 0, CAIRN_ERR_BUSY},
		{2, level2, CAIRN_ERR_TYPE},  {2, root, CAIRN_ERR_TYPE},
		{2, deposit, CAIRN_ERR_BUSY},
	};
	const struct wrong upper[] = {
		{0, guest_root, CAIRN_ERR_TYPE}, {1, 0, CAIRN_ERR_BUSY},
		{1, 255, CAIRN_ERR_ARG}, /* the kernel's half, and the last below it */
		{1, 256, CAIRN_ERR_ARG},	 {1, 511, CAIRN_ERR_ARG},
		{2, guest3, CAIRN_ERR_TYPE},	 {2, level2, CAIRN_ERR_TYPE},
		{2, other3, CAIRN_ERR_BUSY},
	};
	struct trial t = {.name = "link", .number = CAIRN_CALL_PAGETABLE_LINK, TRIAL_MORE(lower)};

	t.good[0] = level2;
	t.good[1] = 511;
	t.good[2] = level1;
	trial_run(&t);
	t.name = "link-to-a-root";
	t.more = upper;
	t.more_count = sizeof(upper) / sizeof(upper[0]);
	t.good[0] = root;
	t.good[1] = 254;
	t.good[2] = level3;
	trial_run(&t);
}

static void map_small(void)
{
	uint64_t level1 = forge_pagetable(PT_HOST, 1, 0), level2 = forge_pagetable(PT_HOST, 2, 0);
	uint64_t taken = forge_frame(), deposit = forge_pagetable(PT_HOST, 1, 0);
	uint64_t other2 = forge_pagetable(PT_HOST, 2, 0), large = large_frame();

	frame = forge_frame();
	forge_must(cairn_map(taken, level1, 0, RIGHT_READ, 0), "mapping");
	forge_must(cairn_map(large, other2, 0, RIGHT_READ, deposit), "mapping 2 MiB");

	const struct wrong more[] = {
		{0, large, CAIRN_ERR_TYPE},
		{0, taken, CAIRN_ERR_BUSY},
		{0, forge_copy(frame, RIGHT_WRITE | RIGHT_EXEC, 0), CAIRN_ERR_RIGHTS},
		{1, level2, CAIRN_ERR_TYPE},
		{1, deposit, CAIRN_ERR_BUSY},
		{2, 0, CAIRN_ERR_BUSY},
		{3, 0, CAIRN_ERR_ARG},
		{3, RIGHT_WRITE, CAIRN_ERR_ARG},
		{3, RIGHT_EXEC, CAIRN_ERR_ARG},
		{3, RIGHT_WRITE | RIGHT_EXEC, CAIRN_ERR_ARG},
		{3, RIGHT_READ | RIGHT_CONTROL, CAIRN_ERR_ARG},
		{3, RIGHT_READ | RIGHT_SIGNAL, CAIRN_ERR_ARG},
		{3, RIGHT_READ | RIGHT_GRANT, CAIRN_ERR_ARG},
		{3, RIGHT_READ | 0x40, CAIRN_ERR_ARG},
		{3, RIGHT_READ | 1ul << 32, CAIRN_ERR_ARG},
		{3, RIGHT_READ | 1ul << 63, CAIRN_ERR_ARG},
		{3, ~0ul, CAIRN_ERR_ARG},
		{3, RIGHT_READ | RIGHT_WRITE | RIGHT_EXEC, CAIRN_ERR_RIGHTS},
	};
	struct trial t = {.name = "map",
			  .number = CAIRN_CALL_MAP,
			  .ignored = 1u << 4,
			  .unchanged = not_mapped,
			  TRIAL_MORE(more)};

	t.good[0] = frame;
	t.good[1] = level1;
	t.good[2] = ENTRY;
	t.good[3] = RIGHT_READ;
	trial_run(&t);
	check_status("refused-maps-leave-entries-free",
		     cairn_map(forge_frame(), level1, 511, RIGHT_READ, 0), CAIRN_OK);
}

static void map_large(void)
{
	uint64_t level2 = forge_pagetable(PT_HOST, 2, 0), deposit = forge_pagetable(PT_HOST, 1, 0);
	uint64_t linked = forge_pagetable(PT_HOST, 1, 0), used = forge_pagetable(PT_HOST, 1, 0);
	uint64_t guest1 = forge_pagetable(PT_GUEST, 1, 0), small = forge_frame();

	frame = large_frame();
	forge_must(cairn_pagetable_link(level2, 0, linked), "linking");
	forge_must(cairn_map(small, used, 0, RIGHT_READ, 0), "mapping");

	const struct wrong more[] = {
		{0, small, CAIRN_ERR_TYPE},  {1, guest1, CAIRN_ERR_TYPE},
		{2, 0, CAIRN_ERR_BUSY},	     {3, 0, CAIRN_ERR_ARG},
		{4, guest1, CAIRN_ERR_TYPE}, {4, level2, CAIRN_ERR_TYPE},
		{4, linked, CAIRN_ERR_BUSY}, {4, used, CAIRN_ERR_BUSY},
	};
	struct trial t = {.name = "map-of-2m",
			  .number = CAIRN_CALL_MAP,
			  .unchanged = not_mapped,
			  TRIAL_MORE(more)};

	t.good[0] = frame;
	t.good[1] = level2;
	t.good[2] = ENTRY;
	t.good[3] = RIGHT_READ;
	t.good[4] = deposit;
	trial_run(&t);
}

HYPERCALL_TEST(map)
{
	in_arena(map_small);
	in_arena(map_large);
}

static uint64_t page_table;

static bool still_mapped(void)
{
	return cairn_map(frame, page_table, 0, RIGHT_READ, 0) == CAIRN_ERR_BUSY;
}

HYPERCALL_TEST(unmap)
{
	const struct wrong more[] = {{0, forge_frame(), CAIRN_ERR_STATE}};
	struct trial t = {.name = "unmap",
			  .number = CAIRN_CALL_UNMAP,
			  .unchanged = still_mapped,
			  TRIAL_MORE(more)};

	frame = forge_frame();
	page_table = forge_pagetable(PT_HOST, 1, 0);
	forge_must(cairn_map(frame, page_table, ENTRY, RIGHT_READ, 0), "mapping");
	t.good[0] = frame;
	trial_run(&t);
	check_status("what-is-unmapped-can-be-mapped",
		     cairn_map(frame, page_table, 0, RIGHT_READ, 0), CAIRN_OK);
}
