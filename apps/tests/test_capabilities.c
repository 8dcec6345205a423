/* SPDX-License-Identifier: BSD-2-Clause */
/* Retype, copy, move, delete, revoke: what they make, what they refuse, and that rights never grow.
 */
#include <string.h>
#include <cairn/hypercalls.h>
#include "check.h"
#include "worker.h"

#define TABLE_SLOTS 32u

static cairn_status_t retype_to(uint64_t table, uint64_t index, enum cairn_type type,
				unsigned size_bits, uint64_t param)
{
	return cairn_retype(forge_used(), type, size_bits, table, index, param);
}

static cairn_status_t try_retype(enum cairn_type type, unsigned size_bits, uint64_t param)
{
	return retype_to(SEL_CAPTABLE, forge_select(), type, size_bits, param);
}

static cairn_status_t try_copy(uint64_t source, uint64_t index, uint64_t rights, uint64_t badge)
{
	return cairn_copy(source, SEL_CAPTABLE, index, rights, badge);
}

/* Whether a slot of the own CapTable holds a capability, told without changing anything. */
static bool is_live(uint64_t selector)
{
	return cairn_call(selector, 0, 0, 0, 0, MESSAGE_WORDS + 1, NULL, NULL, NULL, NULL, NULL) !=
	       CAIRN_ERR_CAP;
}

static void retype_makes_each_type(void)
{
	cairn_status_t last = CAIRN_OK;

	check_status("retype-makes-an-untyped", try_retype(CAP_UNTYPED, 14, 0), CAIRN_OK);
	check_status("retype-makes-a-4k-frame", try_retype(CAP_FRAME, 12, 0), CAIRN_OK);
	check_status("retype-makes-a-thread", try_retype(CAP_THREAD, 0, 0), CAIRN_OK);
	check_status("retype-makes-a-vcpu", try_retype(CAP_VCPU, 0, 0), CAIRN_OK);
	check_status("retype-makes-a-captable",
		     try_retype(CAP_CAPTABLE, 0, forge_table_param(TABLE_SLOTS)), CAIRN_OK);
	for (uint64_t level = 1; level <= 4 && last == CAIRN_OK; level++)
		last = try_retype(CAP_PAGETABLE, 0,
				  level | PT_HOST << 8 | (level == 4 ? 0x7ful << 32 : 0));
	check_status("retype-makes-host-pagetables-of-each-level", last, CAIRN_OK);
	check_status("retype-makes-a-guest-root-with-a-label",
		     try_retype(CAP_PAGETABLE, 0, 4 | PT_GUEST << 8 | 0x7ful << 32), CAIRN_OK);
	check_status("retype-makes-a-2m-frame", try_retype(CAP_FRAME, 21, 0), CAIRN_OK);
}

static void retype_refuses(void)
{
	uint64_t used = forge_frame(), free = forge_select();
	uint64_t table = forge_captable(TABLE_SLOTS), taken = forge_table_param(TABLE_SLOTS);
	uint64_t read_only = forge_copy(table, RIGHT_READ, 0);
	const uint64_t no_type[] = {
		CAP_FREE, CAP_PORTAL, CAP_IRQ, CAP_IOPORTS,	     CAP_MACHINECHECK,
		CAP_CPUS, 12,	      255,     1ul << 32 | CAP_FRAME};
	const unsigned no_frame_size[] = {0, 11, 13, 20, 22, 30, 63};
	const unsigned no_untyped_size[] = {0, 11, 49, 63, 64, 255};
	cairn_status_t last = CAIRN_ERR_ARG;

	for (unsigned i = 0; i < sizeof(no_type) / sizeof(no_type[0]) && last == CAIRN_ERR_ARG; i++)
		last = cairn_retype(forge_used(), no_type[i], 12, SEL_CAPTABLE, forge_select(), 0);
	check_status("retype-to-a-type-that-is-no-object-is-refused", last, CAIRN_ERR_ARG);
	last = CAIRN_ERR_ARG;
	for (unsigned i = 0;
	     i < sizeof(no_frame_size) / sizeof(no_frame_size[0]) && last == CAIRN_ERR_ARG; i++)
		last = try_retype(CAP_FRAME, no_frame_size[i], 0);
	check_status("frame-of-another-size-is-refused", last, CAIRN_ERR_ARG);
	last = CAIRN_ERR_ARG;
	for (unsigned i = 0;
	     i < sizeof(no_untyped_size) / sizeof(no_untyped_size[0]) && last == CAIRN_ERR_ARG; i++)
		last = try_retype(CAP_UNTYPED, no_untyped_size[i], 0);
	check_status("untyped-of-a-silly-size-is-refused", last, CAIRN_ERR_ARG);
	check_status("pagetable-of-level-0-is-refused", try_retype(CAP_PAGETABLE, 0, 0),
		     CAIRN_ERR_ARG);
	check_status("pagetable-of-level-5-is-refused", try_retype(CAP_PAGETABLE, 0, 5),
		     CAIRN_ERR_ARG);
	check_status("pagetable-of-an-unknown-kind-is-refused",
		     try_retype(CAP_PAGETABLE, 0, 4 | 7 << 8), CAIRN_ERR_ARG);
	check_status("root-without-a-label-is-refused", try_retype(CAP_PAGETABLE, 0, 4),
		     CAIRN_ERR_ARG);
	check_status("label-below-the-root-is-refused", try_retype(CAP_PAGETABLE, 0, 1 | 5ul << 32),
		     CAIRN_ERR_ARG);
	check_status("captable-without-slots-is-refused",
		     try_retype(CAP_CAPTABLE, 0, taken & 0xffffffff), CAIRN_ERR_ARG);
	check_status("captable-of-a-part-of-a-page-is-refused",
		     try_retype(CAP_CAPTABLE, 0, (taken & 0xffffffff) | 33ul << 32), CAIRN_ERR_ARG);
	check_status("captable-at-a-misaligned-slot-is-refused",
		     try_retype(CAP_CAPTABLE, 0, taken + 1), CAIRN_ERR_ARG);
	check_status("captable-beyond-all-slots-is-refused",
		     try_retype(CAP_CAPTABLE, 0, 0xffffffe0ul | 32ul << 32), CAIRN_ERR_ARG);
	check_status("captable-over-the-root-tasks-slots-is-refused",
		     try_retype(CAP_CAPTABLE, 0, 32 | 32ul << 32), CAIRN_ERR_BUSY);
	check_status("captable-over-another-is-refused",
		     try_retype(CAP_CAPTABLE, 0, taken - TABLE_SLOTS), CAIRN_ERR_BUSY);

	check_status("retype-into-a-used-slot-is-refused",
		     retype_to(SEL_CAPTABLE, used, CAP_FRAME, 12, 0), CAIRN_ERR_BUSY);
	check_status("retype-beyond-the-table-is-refused",
		     retype_to(table, TABLE_SLOTS, CAP_FRAME, 12, 0), CAIRN_ERR_ARG);
	check_status("retype-at-a-huge-index-is-refused",
		     retype_to(table, 1ul << 32 | 5, CAP_FRAME, 12, 0), CAIRN_ERR_ARG);
	check_status("retype-into-no-table-is-refused", retype_to(used, 5, CAP_FRAME, 12, 0),
		     CAIRN_ERR_TYPE);
	check_status("retype-into-an-empty-selector-is-refused",
		     retype_to(free, 5, CAP_FRAME, 12, 0), CAIRN_ERR_CAP);
	check_status("retype-into-a-table-without-write-is-refused",
		     retype_to(read_only, 5, CAP_FRAME, 12, 0), CAIRN_ERR_RIGHTS);
	check_status("retype-into-another-table-works", retype_to(table, 5, CAP_FRAME, 12, 0),
		     CAIRN_OK);
}

static void memory_is_bounded_and_comes_back(void)
{
	uint64_t small = forge_untyped(14), before = forge_use(small);
	uint64_t frames[5];
	volatile uint64_t *page;
	cairn_status_t last = CAIRN_OK;

	for (unsigned i = 0; i < 4; i++)
		frames[i] = forge_frame();
	last = try_retype(CAP_FRAME, 12, 0);
	check_status("an-exhausted-untyped-says-so", last, CAIRN_ERR_MEMORY);
	page = forge_window(frames[3]);
	page[17] = 0x5ec4e7;
	check_status("delete-of-a-parent-is-refused", cairn_delete(SEL_CAPTABLE, small),
		     CAIRN_ERR_BUSY);
	check_status("revoke-of-an-untyped-works", revoke_all(small), CAIRN_OK);
	check_true("revoke-takes-all-frames", !is_live(frames[0]) && !is_live(frames[3]),
		   "a Frame is still there");
	for (unsigned i = 0; i < 4; i++)
		frames[i] = forge_frame();
	page = forge_window(frames[3]);
	check_value("memory-is-zeroed-before-it-is-used-again", page[17], 0);
	forge_use(before);
}

static void rights_never_grow(void)
{
	uint64_t frame = forge_frame(), level1 = forge_pagetable(PT_HOST, 1, 0);
	uint64_t read = forge_copy(frame, RIGHT_READ | RIGHT_GRANT, 0);
	uint64_t again = forge_copy(read, RIGHT_ALL, 0);
	uint64_t no_grant = forge_copy(frame, RIGHT_ALL & ~RIGHT_GRANT, 0);

	check_status("a-copy-of-a-read-only-frame-maps-for-reading",
		     cairn_map(again, level1, 0, RIGHT_READ, 0), CAIRN_OK);
	forge_must(cairn_unmap(again), "unmapping");
	check_status("a-copy-of-a-read-only-frame-never-gains-write",
		     cairn_map(again, level1, 0, RIGHT_READ | RIGHT_WRITE, 0), CAIRN_ERR_RIGHTS);
	check_status("a-copy-of-a-read-only-frame-never-gains-exec",
		     cairn_map(again, level1, 0, RIGHT_READ | RIGHT_EXEC, 0), CAIRN_ERR_RIGHTS);
	check_status("without-grant-nothing-is-copied",
		     try_copy(no_grant, forge_select(), RIGHT_READ, 0), CAIRN_ERR_RIGHTS);
	check_status("unknown-rights-are-refused", try_copy(frame, forge_select(), 0x40, 0),
		     CAIRN_ERR_ARG);
	check_status("rights-beyond-32-bits-are-refused",
		     try_copy(frame, forge_select(), 1ul << 32 | RIGHT_READ, 0), CAIRN_ERR_ARG);
}

static void copy_refuses(void)
{
	uint64_t frame = forge_frame(), other = forge_frame();
	uint64_t table = forge_captable(TABLE_SLOTS), level1 = forge_pagetable(PT_HOST, 1, 0);
	uint64_t untyped = forge_untyped(13);

	check_status("copy-to-a-used-slot-is-refused", try_copy(frame, other, RIGHT_READ, 0),
		     CAIRN_ERR_BUSY);
	check_status("copy-of-an-untyped-is-refused",
		     try_copy(untyped, forge_select(), RIGHT_ALL, 0), CAIRN_ERR_TYPE);
	check_status("copy-of-a-lower-pagetable-is-refused",
		     try_copy(level1, forge_select(), RIGHT_ALL, 0), CAIRN_ERR_TYPE);
	check_status("copy-of-a-frame-with-a-badge-is-refused",
		     try_copy(frame, forge_select(), RIGHT_READ, 3), CAIRN_ERR_ARG);
	check_status("copy-beyond-the-table-is-refused",
		     cairn_copy(frame, table, TABLE_SLOTS, RIGHT_READ, 0), CAIRN_ERR_ARG);
	check_status("copy-into-no-table-is-refused", cairn_copy(frame, other, 3, RIGHT_READ, 0),
		     CAIRN_ERR_TYPE);
	check_status("copy-into-another-table-works", cairn_copy(frame, table, 3, RIGHT_READ, 0),
		     CAIRN_OK);
}

static void badges_stay(void)
{
	struct worker w;
	uint64_t badged;

	handler_make(&w, NULL);
	badged = forge_copy(w.thread, RIGHT_ALL, 0x10);
	check_status("a-badge-is-not-replaced",
		     try_copy(badged, forge_select(), RIGHT_SIGNAL, 0x20), CAIRN_ERR_ARG);
	check_status("a-badge-is-inherited", try_copy(badged, forge_select(), RIGHT_SIGNAL, 0),
		     CAIRN_OK);
}

static void move_keeps_the_place(void)
{
	uint64_t frame = forge_frame(), copy = forge_copy(frame, RIGHT_ALL, 0);
	uint64_t grandchild = forge_copy(copy, RIGHT_READ, 0), to = forge_select();
	uint64_t other = forge_frame(), empty = forge_select();
	uint64_t table = forge_captable(TABLE_SLOTS);

	check_status("move-to-a-used-slot-is-refused", cairn_move(copy, SEL_CAPTABLE, other),
		     CAIRN_ERR_BUSY);
	check_status("move-of-nothing-is-refused", cairn_move(empty, SEL_CAPTABLE, to),
		     CAIRN_ERR_CAP);
	check_status("move-beyond-the-table-is-refused", cairn_move(copy, table, 1000),
		     CAIRN_ERR_ARG);
	check_status("move-works", cairn_move(copy, SEL_CAPTABLE, to), CAIRN_OK);
	check_true("move-empties-the-old-slot", !is_live(copy), "it still holds a capability");
	check_status("a-moved-parent-cannot-be-deleted", cairn_delete(SEL_CAPTABLE, to),
		     CAIRN_ERR_BUSY);
	check_status("revoke-reaches-what-was-moved", revoke_all(frame), CAIRN_OK);
	check_true("revoke-took-the-moved-and-its-child", !is_live(to) && !is_live(grandchild),
		   "one is still there");
	check_true("revoke-keeps-the-capability-itself", is_live(frame), "it is gone");
	check_status("move-to-another-table-works", cairn_move(other, table, 7), CAIRN_OK);
	check_status("move-of-a-table-is-refused", cairn_move(table, SEL_CAPTABLE, forge_select()),
		     CAIRN_ERR_BUSY);
	check_status("move-of-an-untyped-in-use-is-refused",
		     cairn_move(forge_used(), SEL_CAPTABLE, forge_select()), CAIRN_ERR_BUSY);
}

static void delete_and_revoke(void)
{
	uint64_t frame = forge_frame(), copy = forge_copy(frame, RIGHT_ALL, 0);
	uint64_t table = forge_captable(TABLE_SLOTS);
	uint64_t read_only = forge_copy(table, RIGHT_READ, 0);

	forge_must(cairn_copy(copy, table, 4, RIGHT_ALL, 0), "copying to a table");
	forge_must(cairn_copy(copy, table, 5, RIGHT_ALL, 0), "copying to a table");
	check_status("delete-of-a-leaf-works", cairn_delete(table, 5), CAIRN_OK);
	check_status("delete-of-nothing-is-refused", cairn_delete(table, 5), CAIRN_ERR_CAP);
	check_status("delete-beyond-the-table-is-refused", cairn_delete(table, TABLE_SLOTS),
		     CAIRN_ERR_ARG);
	check_status("delete-without-write-is-refused", cairn_delete(read_only, 4),
		     CAIRN_ERR_RIGHTS);
	check_status("revoke-without-write-is-refused", cairn_revoke(read_only, 4),
		     CAIRN_ERR_RIGHTS);
	check_status("revoke-of-nothing-is-refused", cairn_revoke(table, 5), CAIRN_ERR_CAP);
	check_status("revoke-works-across-tables", revoke_all(frame), CAIRN_OK);
	check_status("revoke-emptied-the-other-table", cairn_delete(table, 4), CAIRN_ERR_CAP);
	check_status("revoke-of-a-leaf-does-nothing", cairn_revoke(SEL_CAPTABLE, frame), CAIRN_OK);

	/* A table goes with all that is in it, and with what was derived from that. */
	forge_must(retype_to(table, 9, CAP_THREAD, 0, 0), "making a Thread");
	forge_must(cairn_copy(frame, table, 10, RIGHT_ALL, 0), "copying to a table");
	check_status("delete-of-a-table-with-copies-is-refused", delete_all(table), CAIRN_ERR_BUSY);
	forge_must(revoke_all(table), "revoking a table's copies");
	check_status("delete-of-a-full-table-works", delete_all(table), CAIRN_OK);
	check_status("the-source-of-a-copy-in-it-is-a-leaf-again",
		     cairn_delete(SEL_CAPTABLE, frame), CAIRN_OK);
}

static void revoke_is_bounded(void)
{
	uint64_t frame = forge_frame(), first = forge_select(), last = first;
	unsigned calls = 0;
	cairn_status_t status;

	for (unsigned i = 0; i < 100; i++) {
		last = i == 0 ? first : forge_select();
		forge_must(try_copy(frame, last, RIGHT_ALL, 0), "copying a hundred times");
	}
	do {
		status = cairn_revoke(SEL_CAPTABLE, frame);
		calls++;
	} while (status == CAIRN_ERR_AGAIN && calls < 1000);
	check_status("revoke-of-100-ends", status, CAIRN_OK);
	check_true("revoke-of-100-takes-several-steps", calls > 1, "it took one");
	check_true("revoke-of-100-took-all", !is_live(first) && !is_live(last), "one is left");
}

static void chains_of_copies(void)
{
	uint64_t frame = forge_frame(), from = frame, first = 0;

	for (unsigned i = 0; i < 60; i++) {
		from = forge_copy(from, RIGHT_ALL, 0);
		if (i == 0)
			first = from;
	}
	check_status("revoke-in-the-middle-of-a-chain-works", revoke_all(first), CAIRN_OK);
	check_true("what-lies-above-stays", is_live(frame) && is_live(first), "it is gone");
	check_true("what-lies-below-goes", !is_live(from), "it is still there");
}

void suite_capabilities(void)
{
	in_arena(retype_makes_each_type);
	in_arena(retype_refuses);
	in_arena(memory_is_bounded_and_comes_back);
	in_arena(rights_never_grow);
	in_arena(copy_refuses);
	in_arena(badges_stay);
	in_arena(move_keeps_the_place);
	in_arena(delete_and_revoke);
	in_arena(revoke_is_bounded);
	in_arena(chains_of_copies);
}
