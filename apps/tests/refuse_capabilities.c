/* SPDX-License-Identifier: BSD-2-Clause */
/* Trials of what makes, copies, moves and deletes capabilities. */
#include <cairn/hypercalls.h>
#include <cairn/types.h>
#include "check.h"
#include "trial.h"
#include "worker.h"

#define PLACE 5u /* the slot that these calls are aimed at */

static uint64_t table, small, source, child;

static bool place_is_empty(void)
{
	return trial_empty(table, PLACE);
}

static bool place_is_used(void)
{
	return !trial_empty(table, PLACE);
}

/* An Untyped of four pages; one is used, so that its watermark counts. */
static uint64_t part_of_four_pages(void)
{
	uint64_t untyped = forge_untyped(14), before = forge_use(untyped);

	(void)forge_frame();
	forge_use(before);
	return untyped;
}

/* How many 4 KiB Frames an Untyped still yields: its watermark. */
static unsigned frames_in(uint64_t untyped)
{
	unsigned count = 0;

	while (cairn_retype(untyped, CAP_FRAME, PAGE_BITS_4K, SEL_CAPTABLE, forge_select(), 0) ==
	       CAIRN_OK)
		count++;
	return count;
}

HYPERCALL_TEST(retype)
{
	static const struct wrong frame[] = {
		{1, CAP_FREE, CAIRN_ERR_ARG},
		{1, CAP_PORTAL, CAIRN_ERR_ARG},
		{1, CAP_IRQ, CAIRN_ERR_ARG},
		{1, CAP_IOPORTS, CAIRN_ERR_ARG},
		{1, CAP_MACHINECHECK, CAIRN_ERR_ARG},
		{1, CAP_CPUS, CAIRN_ERR_ARG},
		{1, CAP_CPUS + 1, CAIRN_ERR_ARG},
		{1, 255, CAIRN_ERR_ARG},
		{1, 256 | CAP_FRAME, CAIRN_ERR_ARG},
		{1, 1ul << 32 | CAP_FRAME, CAIRN_ERR_ARG},
		{1, 1ul << 63 | CAP_FRAME, CAIRN_ERR_ARG},
		{1, ~0ul, CAIRN_ERR_ARG},
		{2, 0, CAIRN_ERR_ARG},
		{2, 11, CAIRN_ERR_ARG},
		{2, 13, CAIRN_ERR_ARG},
		{2, 20, CAIRN_ERR_ARG},
		{2, 22, CAIRN_ERR_ARG},
		{2, 30, CAIRN_ERR_ARG},
		{2, 64, CAIRN_ERR_ARG},
		{2, 1ul << 32 | 12, CAIRN_ERR_ARG},
		{2, ~0ul, CAIRN_ERR_ARG},
		{2, PAGE_BITS_2M, CAIRN_ERR_MEMORY},
	};
	static const struct wrong untyped[] = {
		{1, ~0ul, CAIRN_ERR_ARG},  {2, 0, CAIRN_ERR_ARG},
		{2, 11, CAIRN_ERR_ARG},	   {2, 49, CAIRN_ERR_ARG},
		{2, 63, CAIRN_ERR_ARG},	   {2, 64, CAIRN_ERR_ARG},
		{2, 76, CAIRN_ERR_ARG},	   {2, 1ul << 32 | 12, CAIRN_ERR_ARG},
		{2, ~0ul, CAIRN_ERR_ARG},  {2, 15, CAIRN_ERR_MEMORY},
		{2, 48, CAIRN_ERR_MEMORY},
	};
	struct trial t = {.name = "retype",
			  .number = CAIRN_CALL_RETYPE,
			  .ignored = 1u << 5,
			  .unchanged = place_is_empty,
			  TRIAL_MORE(frame)};

	table = trial_table();
	small = part_of_four_pages();
	t.good[0] = small;
	t.good[1] = CAP_FRAME;
	t.good[2] = PAGE_BITS_4K;
	t.good[3] = table;
	t.good[4] = PLACE;
	trial_refused(&t);
	t.name = "retype-to-an-untyped";
	t.good[1] = CAP_UNTYPED;
	t.more = untyped;
	t.more_count = sizeof(untyped) / sizeof(untyped[0]);
	trial_refused(&t);
	check_value("refused-retypes-use-no-memory", frames_in(small), 3);
	forge_must(revoke_all(small), "taking Frames back");
	trial_accepted(&t);
	check_value("an-untyped-yields-what-is-left", frames_in(small), 3);
}

/* param of a CapTable and of a PageTable. */
static void param_of_a_captable(void)
{
	uint64_t good = forge_table_param(TRIAL_SLOTS), taken = forge_table_param(TRIAL_SLOTS);
	uint64_t first = (uint32_t)good, count = 32;
	const struct wrong more[] = {
		{1, ~0ul, CAIRN_ERR_ARG},
		{5, 0, CAIRN_ERR_ARG},
		{5, count << 32, CAIRN_ERR_ARG}, /* slot number 0 */
		{5, first, CAIRN_ERR_ARG},	 /* no slots */
		{5, good + 1, CAIRN_ERR_ARG},
		{5, good + 31, CAIRN_ERR_ARG},
		{5, first | 31ul << 32, CAIRN_ERR_ARG},
		{5, first | 33ul << 32, CAIRN_ERR_ARG},
		{5, first | 65568ul << 32, CAIRN_ERR_ARG},
		{5, 262144 | count << 32, CAIRN_ERR_ARG}, /* beyond all slots */
		{5, (262144 - 32) | 64ul << 32, CAIRN_ERR_ARG},
		{5, 0xffffffe0ul | count << 32, CAIRN_ERR_ARG},
		{5, ~0ul, CAIRN_ERR_ARG},
		{5, 32 | count << 32, CAIRN_ERR_BUSY}, /* the root-task's */
		{5, taken, CAIRN_ERR_BUSY},
		{5, good | 64ul << 32, CAIRN_ERR_BUSY}, /* the second half is taken */
		{5, first | 65536ul << 32, CAIRN_ERR_MEMORY},
	};
	struct trial t = {.name = "retype-to-a-captable",
			  .number = CAIRN_CALL_RETYPE,
			  .ignored = 1u << 2,
			  .unchanged = place_is_empty,
			  TRIAL_MORE(more)};

	table = trial_table();
	small = part_of_four_pages();
	forge_must(cairn_retype(forge_used(), CAP_CAPTABLE, 0, SEL_CAPTABLE, forge_select(), taken),
		   "taking slot numbers");
	t.good[0] = small;
	t.good[1] = CAP_CAPTABLE;
	t.good[3] = table;
	t.good[4] = PLACE;
	t.good[5] = good;
	trial_run(&t);
	check_value("a-captable-of-32-slots-takes-a-page", frames_in(small), 2);
}

static void param_of_a_pagetable(void)
{
	static const struct wrong more[] = {
		{1, ~0ul, CAIRN_ERR_ARG},
		{5, 0, CAIRN_ERR_ARG},
		{5, 5, CAIRN_ERR_ARG},
		{5, 255, CAIRN_ERR_ARG},
		{5, 4, CAIRN_ERR_ARG}, /* a root without a label */
		{5, 4 | PT_GUEST << 8, CAIRN_ERR_ARG},
		{5, 1 | 5ul << 32, CAIRN_ERR_ARG}, /* a label below the root */
		{5, 3 | 5ul << 32, CAIRN_ERR_ARG},
		{5, 4 | 3 << 8 | 5ul << 32, CAIRN_ERR_ARG}, /* kinds */
		{5, 4 | 255 << 8 | 5ul << 32, CAIRN_ERR_ARG},
		{5, 4 | 1ul << 16 | 5ul << 32, CAIRN_ERR_ARG},
		{5, 4 | 1ul << 31 | 5ul << 32, CAIRN_ERR_ARG},
		{5, ~0ul, CAIRN_ERR_ARG},
	};
	struct trial t = {.name = "retype-to-a-pagetable",
			  .number = CAIRN_CALL_RETYPE,
			  .ignored = 1u << 2,
			  .unchanged = place_is_empty,
			  TRIAL_MORE(more)};

	table = trial_table();
	small = part_of_four_pages();
	t.good[0] = small;
	t.good[1] = CAP_PAGETABLE;
	t.good[3] = table;
	t.good[4] = PLACE;
	t.good[5] = 4 | PT_HOST << 8 | 0x7ful << 32;
	trial_run(&t);
	check_value("a-pagetable-takes-a-page", frames_in(small), 2);
}

static void copy_of(const char *name, uint64_t of, uint64_t badge, const struct wrong *more,
		    unsigned count)
{
	struct trial t = {.name = name,
			  .number = CAIRN_CALL_COPY,
			  .unchanged = place_is_empty,
			  .more = more,
			  .more_count = count};

	table = trial_table();
	t.good[0] = of;
	t.good[1] = table;
	t.good[2] = PLACE;
	t.good[3] = RIGHT_ALL;
	t.good[4] = badge;
	trial_run(&t);
}
#define COPY_OF(name, of, badge, more)                                                             \
	copy_of(name, of, badge, more, sizeof(more) / sizeof((more)[0]))

HYPERCALL_TEST(copy)
{
	uint64_t level1 = forge_pagetable(PT_HOST, 1, 0), level3 = forge_pagetable(PT_GUEST, 3, 0);
	struct worker w;
	const struct wrong frame[] = {
		{0, forge_used(), CAIRN_ERR_TYPE}, {0, level1, CAIRN_ERR_TYPE},
		{0, level3, CAIRN_ERR_TYPE},	   {4, 1, CAIRN_ERR_ARG},
		{4, 1ul << 63, CAIRN_ERR_ARG},	   {4, ~0ul, CAIRN_ERR_ARG},
	};
	static const struct wrong badged[] = {{4, 1, CAIRN_ERR_ARG}, {4, ~0ul, CAIRN_ERR_ARG}};
	static const struct wrong lines[] = {
		{4, 9 | 8 << 16, CAIRN_ERR_ARG},      /* first above last */
		{4, 8 | 0xffff << 16, CAIRN_ERR_ARG}, /* beyond the last line */
		{4, 0x800 | 0x800 << 16, CAIRN_ERR_ARG},
		{4, 1ul << 32 | 8 | 8 << 16, CAIRN_ERR_ARG},
		{4, ~0ul, CAIRN_ERR_ARG},
	};
	const struct wrong ports[] = {
		{4, 0x6f | 0x71 << 16, CAIRN_ERR_ARG},
		{4, 0x70 | 0x72 << 16, CAIRN_ERR_ARG},
		{4, 0x71 | 0x70 << 16, CAIRN_ERR_ARG},
		{4, 1ul << 63 | 0x70 | 0x71 << 16, CAIRN_ERR_ARG},
		{4, ~0ul, CAIRN_ERR_ARG},
	};

	COPY_OF("copy", forge_frame(), 0, frame);
	handler_make(&w, NULL);
	COPY_OF("copy-of-a-badged-thread", forge_copy(w.thread, RIGHT_ALL, 7), 0, badged);
	COPY_OF("copy-of-a-badged-portal", forge_portal(w.thread, 7), 0, badged);
	COPY_OF("copy-of-lines", SEL_IRQS, 8 | 8 << 16, lines);
	COPY_OF("copy-of-ports", forge_copy(SEL_PORTS, RIGHT_ALL, 0x70 | 0x71 << 16),
		0x71 | 0x71 << 16, ports);
}

static bool not_moved(void)
{
	/* The source is still where it was, with its descendant. */
	return place_is_empty() && cairn_delete(SEL_CAPTABLE, source) == CAIRN_ERR_BUSY;
}

HYPERCALL_TEST(move)
{
	struct worker w;
	uint64_t bound, line = forge_copy(SEL_IRQS, RIGHT_ALL, 8 | 8 << 16), in_use;
	uint64_t root = forge_pagetable(PT_HOST, 4, 1),
		 errors = forge_copy(SEL_ERRORS, RIGHT_ALL, 0);

	table = trial_table();
	source = forge_frame();
	child = forge_copy(source, RIGHT_ALL, 0);
	in_use = forge_untyped(13);
	forge_must(cairn_retype(in_use, CAP_FRAME, PAGE_BITS_4K, SEL_CAPTABLE, forge_select(), 0),
		   "using an Untyped");
	handler_make(&w, NULL);
	bound = w.thread + 1; /* forge_thread makes the buffer next */
	forge_must(cairn_irq_bind(line, SEL_SELF), "binding a line");
	forge_must(cairn_mc_bind(errors, SEL_SELF), "binding machine checks");

	const struct wrong more[] = {
		{0, in_use, CAIRN_ERR_BUSY}, {0, table, CAIRN_ERR_BUSY},
		{0, root, CAIRN_ERR_BUSY},   {0, forge_pagetable(PT_HOST, 1, 0), CAIRN_ERR_BUSY},
		{0, bound, CAIRN_ERR_BUSY},  {0, line, CAIRN_ERR_BUSY},
		{0, errors, CAIRN_ERR_BUSY},
	};
	struct trial t = {.name = "move",
			  .number = CAIRN_CALL_MOVE,
			  .unchanged = not_moved,
			  TRIAL_MORE(more)};

	t.good[0] = source;
	t.good[1] = table;
	t.good[2] = PLACE;
	trial_run(&t);
	check_status("what-was-moved-is-gone-from-its-place", cairn_delete(SEL_CAPTABLE, source),
		     CAIRN_ERR_CAP);
	check_status("and-brings-its-descendants", cairn_delete(table, PLACE), CAIRN_ERR_BUSY);
}

/* A Frame with a copy, moved to slot `index` of the table; returns the copy. */
static uint64_t parent_in_table(uint64_t index)
{
	uint64_t frame = forge_frame(), copy = forge_copy(frame, RIGHT_ALL, 0);

	forge_must(cairn_move(frame, table, index), "moving a Frame");
	return copy;
}

HYPERCALL_TEST(delete)
{
	static const struct wrong more[] = {{1, 3, CAIRN_ERR_BUSY}};
	struct trial t = {.name = "delete",
			  .number = CAIRN_CALL_DELETE,
			  .unchanged = place_is_used,
			  TRIAL_MORE(more)};
	uint64_t full = forge_captable(2 * TRIAL_SLOTS), frame = forge_frame();

	table = trial_table();
	forge_must(cairn_copy(frame, table, PLACE, RIGHT_ALL, 0), "filling a slot");
	child = parent_in_table(3);
	t.good[0] = table;
	t.good[1] = PLACE;
	trial_run(&t);
	check_true("delete-empties-the-slot", place_is_empty(), "it still holds a capability");
	check_status("a-refused-delete-keeps-descendants", cairn_delete(SEL_CAPTABLE, child),
		     CAIRN_OK);
	check_status("and-without-them-it-works", cairn_delete(table, 3), CAIRN_OK);
	for (unsigned i = 0; i < 2 * TRIAL_SLOTS; i++)
		forge_must(cairn_copy(frame, full, i, RIGHT_ALL, 0), "filling a table");
	check_status("delete-of-a-full-table-takes-several-steps", cairn_delete(SEL_CAPTABLE, full),
		     CAIRN_ERR_AGAIN);
	check_status("which-come-to-an-end", delete_all(full), CAIRN_OK);
}

static bool child_is_there(void)
{
	return cairn_unmap(child) == CAIRN_ERR_STATE;
}

HYPERCALL_TEST(revoke)
{
	struct trial t = {
		.name = "revoke", .number = CAIRN_CALL_REVOKE, .unchanged = child_is_there};

	table = trial_table();
	child = parent_in_table(PLACE);
	t.good[0] = table;
	t.good[1] = PLACE;
	trial_run(&t);
	check_true("revoke-takes-the-descendant", !child_is_there(), "it is still there");
	check_true("and-keeps-the-capability", place_is_used(), "it is gone");
}

void suite_parameters(void)
{
	in_arena(param_of_a_captable);
	in_arena(param_of_a_pagetable);
}
