/* SPDX-License-Identifier: BSD-2-Clause */
/* Paging: what may be mapped where, with which rights, and what an access without a mapping does.
 */
#include <cairn/hypercalls.h>
#include "check.h"
#include "worker.h"

#define PF_PRESENT 1u
#define PF_WRITE   2u
#define PF_USER	   4u
#define PF_FETCH   16u
#define VECTOR_PF  14u

static void map_refuses(void)
{
	uint64_t frame = forge_frame(), other = forge_frame();
	uint64_t level1 = forge_pagetable(PT_HOST, 1, 0), level2 = forge_pagetable(PT_HOST, 2, 0);
	uint64_t guest1 = forge_pagetable(PT_GUEST, 1, 0);

	check_status("unmap-of-an-unmapped-frame-is-refused", cairn_unmap(frame), CAIRN_ERR_STATE);
	check_status("map-for-write-and-exec-is-refused",
		     cairn_map(frame, level1, 0, RIGHT_READ | RIGHT_WRITE | RIGHT_EXEC, 0),
		     CAIRN_ERR_RIGHTS);
	check_status("a-guest-mapping-may-have-both",
		     cairn_map(frame, guest1, 0, RIGHT_READ | RIGHT_WRITE | RIGHT_EXEC, 0),
		     CAIRN_OK);
	check_status("map-of-a-mapped-frame-is-refused", cairn_map(frame, level1, 0, RIGHT_READ, 0),
		     CAIRN_ERR_BUSY);
	check_status("unmap-works", cairn_unmap(frame), CAIRN_OK);
	check_status("map-without-rights-is-refused", cairn_map(frame, level1, 0, 0, 0),
		     CAIRN_ERR_ARG);
	check_status("map-without-read-is-refused", cairn_map(frame, level1, 0, RIGHT_WRITE, 0),
		     CAIRN_ERR_ARG);
	check_status("map-with-unknown-rights-is-refused",
		     cairn_map(frame, level1, 0, RIGHT_READ | RIGHT_SIGNAL, 0), CAIRN_ERR_ARG);
	check_status("map-beyond-the-table-is-refused",
		     cairn_map(frame, level1, 512, RIGHT_READ, 0), CAIRN_ERR_ARG);
	check_status("map-at-a-huge-index-is-refused",
		     cairn_map(frame, level1, 1ul << 32, RIGHT_READ, 0), CAIRN_ERR_ARG);
	check_status("map-of-4k-at-level-2-is-refused", cairn_map(frame, level2, 0, RIGHT_READ, 0),
		     CAIRN_ERR_TYPE);
	check_status("map-at-the-last-index-works", cairn_map(frame, level1, 511, RIGHT_READ, 0),
		     CAIRN_OK);
	check_status("map-to-a-used-entry-is-refused", cairn_map(other, level1, 511, RIGHT_READ, 0),
		     CAIRN_ERR_BUSY);
}

static void large_frames(void)
{
	uint64_t level1 = forge_pagetable(PT_HOST, 1, 0), level2 = forge_pagetable(PT_HOST, 2, 0);
	uint64_t guest1 = forge_pagetable(PT_GUEST, 1, 0), large = forge_select(), again;
	uint64_t small = forge_frame();

	forge_must(cairn_retype(forge_used(), CAP_FRAME, PAGE_BITS_2M, SEL_CAPTABLE, large, 0),
		   "making a 2 MiB Frame");
	again = forge_copy(large, RIGHT_ALL, 0);
	check_status("map-of-2m-at-level-1-is-refused",
		     cairn_map(large, level1, 0, RIGHT_READ, level1), CAIRN_ERR_TYPE);
	check_status("map-of-2m-without-a-deposit-is-refused",
		     cairn_map(large, level2, 0, RIGHT_READ, 0), CAIRN_ERR_TYPE);
	check_status("a-deposit-of-another-kind-is-refused",
		     cairn_map(large, level2, 0, RIGHT_READ, guest1), CAIRN_ERR_TYPE);
	check_status("map-of-2m-works", cairn_map(large, level2, 0, RIGHT_READ, level1), CAIRN_OK);
	check_status("a-deposit-serves-once", cairn_map(again, level2, 1, RIGHT_READ, level1),
		     CAIRN_ERR_BUSY);
	check_status("a-deposited-table-cannot-be-linked", cairn_pagetable_link(level2, 2, level1),
		     CAIRN_ERR_BUSY);
	check_status("nothing-is-mapped-in-a-deposited-table",
		     cairn_map(small, level1, 0, RIGHT_READ, 0), CAIRN_ERR_BUSY);
	check_status("unmap-of-2m-works", cairn_unmap(large), CAIRN_OK);
	check_status("unmap-frees-the-deposit", cairn_map(again, level2, 1, RIGHT_READ, level1),
		     CAIRN_OK);
	check_status("delete-of-the-deposit-unmaps", delete_all(level1), CAIRN_OK);
	check_status("after-that-nothing-is-mapped", cairn_unmap(again), CAIRN_ERR_STATE);
}

static void deposit_survives_its_table(void)
{
	uint64_t level1 = forge_pagetable(PT_HOST, 1, 0), level2 = forge_pagetable(PT_HOST, 2, 0);
	uint64_t other2 = forge_pagetable(PT_HOST, 2, 0), large = forge_select();

	forge_must(cairn_retype(forge_used(), CAP_FRAME, PAGE_BITS_2M, SEL_CAPTABLE, large, 0),
		   "making a 2 MiB Frame");
	forge_must(cairn_map(large, level2, 0, RIGHT_READ, level1), "mapping 2 MiB");
	forge_must(delete_all(level2), "deleting the table it is mapped in");
	check_status("a-deposit-is-free-when-its-table-is-gone",
		     cairn_map(large, other2, 0, RIGHT_READ, level1), CAIRN_OK);
}

static void links(void)
{
	uint64_t root = forge_pagetable(PT_HOST, 4, 1), level3 = forge_pagetable(PT_HOST, 3, 0);
	uint64_t level2 = forge_pagetable(PT_HOST, 2, 0), other3 = forge_pagetable(PT_HOST, 3, 0);
	uint64_t guest3 = forge_pagetable(PT_GUEST, 3, 0);

	check_status("link-that-skips-a-level-is-refused", cairn_pagetable_link(root, 0, level2),
		     CAIRN_ERR_TYPE);
	check_status("link-upside-down-is-refused", cairn_pagetable_link(level3, 0, root),
		     CAIRN_ERR_TYPE);
	check_status("link-of-another-kind-is-refused", cairn_pagetable_link(root, 0, guest3),
		     CAIRN_ERR_TYPE);
	check_status("link-beyond-the-table-is-refused", cairn_pagetable_link(level3, 512, level2),
		     CAIRN_ERR_ARG);
	check_status("link-into-the-kernels-half-is-refused",
		     cairn_pagetable_link(root, 256, level3), CAIRN_ERR_ARG);
	check_status("link-of-the-last-entry-is-refused", cairn_pagetable_link(root, 511, level3),
		     CAIRN_ERR_ARG);
	check_status("link-works", cairn_pagetable_link(root, 3, level3), CAIRN_OK);
	check_status("link-to-a-used-entry-is-refused", cairn_pagetable_link(root, 3, other3),
		     CAIRN_ERR_BUSY);
	check_status("link-of-a-linked-table-is-refused", cairn_pagetable_link(root, 4, level3),
		     CAIRN_ERR_BUSY);
	check_status("delete-of-a-linked-table-works", delete_all(level3), CAIRN_OK);
	check_status("its-entry-is-free-again", cairn_pagetable_link(root, 3, other3), CAIRN_OK);
}

/* What the toucher does next, and what it read. */
static volatile uint64_t touch_address, touch_value;
static volatile enum { TOUCH_READ, TOUCH_WRITE, TOUCH_JUMP } touch_how;

static void toucher(uint64_t arg)
{
	(void)arg;
	for (;;) {
		volatile uint64_t *address = (volatile uint64_t *)touch_address;

		if (touch_how == TOUCH_READ)
			touch_value = *address;
		else if (touch_how == TOUCH_WRITE)
			*address = touch_value;
		else
			__asm__ volatile("call *%0" : : "r"(address) : "memory");
		worker_tell();
		worker_sleep();
	}
}

static void make_toucher(struct worker *w)
{
	const struct forge_thread config = {.supervisor = supervisor_make()};

	worker_make(w, toucher, 0, PRIORITY_HIGH, &config);
}

static void expect_fault(const char *name, uint64_t address, uint64_t error)
{
	if (fault_seen.count != 1)
		check_value(name, fault_seen.count, 1);
	else if (fault_seen.vector != VECTOR_PF)
		check_value(name, fault_seen.vector, VECTOR_PF);
	else if (fault_seen.address != address)
		check_value(name, fault_seen.address, address);
	else
		check_value(name, fault_seen.error, error);
}

static void revoked_page_faults(void)
{
	uint64_t frame = forge_frame();
	volatile uint64_t *mine = forge_window(frame);
	uint64_t *theirs = forge_window_copy(frame, RIGHT_READ);
	struct worker w;

	make_toucher(&w);
	*mine = 4711;
	touch_how = TOUCH_READ;
	touch_address = (uint64_t)theirs;
	worker_run(&w);
	check_value("two-mappings-show-the-same-memory", touch_value, 4711);
	forge_must(revoke_all(frame), "revoking the copy");
	worker_poke(&w);
	(void)main_wait();
	expect_fault("touching-a-revoked-page-faults", (uint64_t)theirs, PF_USER);
	check_value("the-original-mapping-stays", *mine, 4711);
}

static void unmapped_page_faults(void)
{
	uint64_t frame = forge_frame();
	uint64_t *page = forge_window(frame);
	struct worker w;

	make_toucher(&w);
	touch_how = TOUCH_WRITE;
	touch_address = (uint64_t)page;
	touch_value = 99;
	worker_run(&w);
	check_value("a-write-reaches-memory", *page, 99);
	forge_must(cairn_unmap(frame), "unmapping");
	worker_poke(&w);
	(void)main_wait();
	expect_fault("touching-an-unmapped-page-faults", (uint64_t)page, PF_USER | PF_WRITE);
}

static void read_only_page_faults(void)
{
	uint64_t *page = forge_window_copy(forge_frame(), RIGHT_READ);
	struct worker w;

	make_toucher(&w);
	touch_how = TOUCH_WRITE;
	touch_address = (uint64_t)page;
	worker_run(&w);
	expect_fault("writing-a-read-only-page-faults", (uint64_t)page,
		     PF_USER | PF_WRITE | PF_PRESENT);
}

static void data_page_is_not_code(void)
{
	uint8_t *page = forge_window(forge_frame());
	struct worker w;

	page[0] = 0xc3; /* RET */
	make_toucher(&w);
	touch_how = TOUCH_JUMP;
	touch_address = (uint64_t)page;
	worker_run(&w);
	expect_fault("running-a-data-page-faults", (uint64_t)page, PF_USER | PF_PRESENT | PF_FETCH);
}

static void code_page_runs(void)
{
	uint64_t frame = forge_frame();
	uint8_t *page = forge_window(frame),
		*code = forge_window_copy(frame, RIGHT_READ | RIGHT_EXEC);
	struct worker w;

	page[0] = 0xc3;
	make_toucher(&w);
	touch_how = TOUCH_JUMP;
	touch_address = (uint64_t)code;
	worker_run(&w);
	check_value("a-code-page-runs", fault_seen.count, 0);
	touch_how = TOUCH_WRITE;
	worker_poke(&w);
	(void)main_wait();
	expect_fault("writing-a-code-page-faults", (uint64_t)code, PF_USER | PF_WRITE | PF_PRESENT);
}

/* The kernel's memory as a user sees it: there is none. */
static void kernel_memory_faults(void)
{
	static const struct {
		const char *name;
		uint64_t address;
	} places[] = {
		{"reading-the-kernels-image-faults", 0xffffffff80100000ul},
		{"reading-the-kernels-half-faults", 0xffff800000000000ul},
		{"reading-the-last-page-faults", 0xfffffffffffff000ul},
	};

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct worker w;

		make_toucher(&w);
		touch_how = TOUCH_READ;
		touch_address = places[i].address;
		worker_run(&w);
		if (fault_seen.count == 1 && (fault_seen.error & PF_PRESENT))
			fault_seen.error &=
				~(uint64_t)PF_PRESENT; /* hidden or absent: both will do */
		expect_fault(places[i].name, places[i].address, PF_USER);
	}
}

/* Deleting a table takes down all that is mapped through it. */
static void table_goes_with_its_mappings(void)
{
	uint64_t frame = forge_frame(), copy;
	struct forge_space space;

	forge_space_make(&space, 0x7f);
	copy = forge_space_map(&space, frame, 0, RIGHT_READ);
	check_status("delete-of-a-table-with-a-mapping-works", delete_all(space.level1), CAIRN_OK);
	check_status("its-mapping-is-gone", cairn_unmap(copy), CAIRN_ERR_STATE);
}

void suite_memory(void)
{
	in_arena(map_refuses);
	in_arena(large_frames);
	in_arena(deposit_survives_its_table);
	in_arena(links);
	in_arena(revoked_page_faults);
	in_arena(unmapped_page_faults);
	in_arena(read_only_page_faults);
	in_arena(data_page_is_not_code);
	in_arena(code_page_runs);
	in_arena(kernel_memory_faults);
	in_arena(table_goes_with_its_mappings);
}
