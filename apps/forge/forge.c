/* SPDX-License-Identifier: BSD-2-Clause */
/* Objects made from a server's own Untyped, one hypercall after the other. */
#include <stdio.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include "forge.h"

#define LEVEL4_INDEX(va) ((va) >> 39 & 511)
#define LEVEL3_INDEX(va) ((va) >> 30 & 511)
#define LEVEL2_INDEX(va) ((va) >> 21 & 511)
#define SLOTS_PER_PAGE	 32u /* a CapTable's slots come in whole pages */

static uint64_t untyped = SEL_UNTYPED;
static uint64_t next_selector = SEL_FREE;
static uint64_t next_table_slot;
static uint64_t window_level1;
static unsigned window_next;

void forge_must(cairn_status_t status, const char *what)
{
	if (status == CAIRN_OK)
		return;
	printf("FAIL forge: %s: %s\n", what, cairn_status_name(status));
	fflush(stdout);
	cairn_request(ROOT_SHUTDOWN, 1, 0);
	for (;;)
		(void)cairn_wait_signals(0);
}

uint64_t forge_use(uint64_t other)
{
	uint64_t before = untyped;

	untyped = other;
	return before;
}

uint64_t forge_used(void)
{
	return untyped;
}

uint64_t forge_select(void)
{
	return next_selector++;
}

struct forge_mark forge_mark(void)
{
	return (struct forge_mark){next_selector, next_table_slot, window_next};
}

void forge_release(struct forge_mark mark)
{
	next_selector = mark.selector;
	next_table_slot = mark.table_slot;
	window_next = mark.window;
}

static uint64_t retype(enum cairn_type type, unsigned size_bits, uint64_t param, const char *what)
{
	uint64_t selector = forge_select();

	forge_must(cairn_retype(untyped, type, size_bits, SEL_CAPTABLE, selector, param), what);
	return selector;
}

uint64_t forge_untyped(unsigned bits)
{
	return retype(CAP_UNTYPED, bits, 0, "making an Untyped");
}

uint64_t forge_frame(void)
{
	return retype(CAP_FRAME, PAGE_BITS_4K, 0, "making a Frame");
}

uint64_t forge_pagetable(enum cairn_pt_kind kind, unsigned level, uint32_t label)
{
	return retype(CAP_PAGETABLE, 0, level | (uint64_t)kind << 8 | (uint64_t)label << 32,
		      "making a PageTable");
}

uint64_t forge_table_param(unsigned slots)
{
	const struct server_info *info = cairn_info();
	uint64_t first;

	/* The numbers are the server's share of the kernel's slot array. */
	if (!next_table_slot)
		next_table_slot = info->first_slot;
	first = (next_table_slot + SLOTS_PER_PAGE - 1) & ~(uint64_t)(SLOTS_PER_PAGE - 1);
	next_table_slot = first + slots;
	if (next_table_slot > info->first_slot + info->slot_count)
		forge_must(CAIRN_ERR_MEMORY, "finding slot numbers for a CapTable");
	return first | (uint64_t)slots << 32;
}

uint64_t forge_captable(unsigned slots)
{
	return retype(CAP_CAPTABLE, 0, forge_table_param(slots), "making a CapTable");
}

uint64_t forge_copy(uint64_t source, uint32_t rights, uint64_t badge)
{
	uint64_t selector = forge_select();

	forge_must(cairn_copy(source, SEL_CAPTABLE, selector, rights, badge),
		   "copying a capability");
	return selector;
}

uint64_t forge_portal(uint64_t thread, uint64_t badge)
{
	uint64_t selector = forge_select();

	forge_must(cairn_portal_create(thread, SEL_CAPTABLE, selector, badge, 0),
		   "making a Portal");
	return selector;
}

void forge_init(void)
{
	uint64_t level3 = forge_pagetable(PT_HOST, 3, 0);
	uint64_t level2 = forge_pagetable(PT_HOST, 2, 0);

	window_level1 = forge_pagetable(PT_HOST, 1, 0);
	forge_must(cairn_pagetable_link(SEL_SPACE, LEVEL4_INDEX(FORGE_WINDOW_VA), level3),
		   "linking the window's level 3");
	forge_must(cairn_pagetable_link(level3, LEVEL3_INDEX(FORGE_WINDOW_VA), level2),
		   "linking the window's level 2");
	forge_must(cairn_pagetable_link(level2, LEVEL2_INDEX(FORGE_WINDOW_VA), window_level1),
		   "linking the window's level 1");
}

static void *window_map(uint64_t frame, uint32_t rights)
{
	unsigned page = window_next++;

	if (page >= FORGE_WINDOW_PAGES)
		forge_must(CAIRN_ERR_MEMORY, "finding room in the window");
	forge_must(cairn_map(frame, window_level1, page, rights, 0),
		   "mapping a Frame in the window");
	return (void *)(FORGE_WINDOW_VA + page * PAGE_SIZE_4K);
}

void *forge_window(uint64_t frame)
{
	return window_map(frame, RIGHT_READ | RIGHT_WRITE);
}

void *forge_window_copy(uint64_t frame, uint32_t rights)
{
	return window_map(forge_copy(frame, rights, 0), rights);
}

void forge_space_make(struct forge_space *space, uint32_t label)
{
	uint64_t level3 = forge_pagetable(PT_HOST, 3, 0);
	uint64_t level2 = forge_pagetable(PT_HOST, 2, 0);

	space->root = forge_pagetable(PT_HOST, 4, label);
	space->level1 = forge_pagetable(PT_HOST, 1, 0);
	forge_must(cairn_pagetable_link(space->root, LEVEL4_INDEX(FORGE_SPACE_VA), level3),
		   "linking a level 3");
	forge_must(cairn_pagetable_link(level3, LEVEL3_INDEX(FORGE_SPACE_VA), level2),
		   "linking a level 2");
	forge_must(cairn_pagetable_link(level2, LEVEL2_INDEX(FORGE_SPACE_VA), space->level1),
		   "linking a level 1");
}

uint64_t forge_space_map(const struct forge_space *space, uint64_t frame, unsigned page,
			 uint32_t rights)
{
	uint64_t copy = forge_copy(frame, rights, 0);

	forge_must(cairn_map(copy, space->level1, page, rights, 0), "mapping a Frame in a space");
	return copy;
}

uint64_t forge_thread(const struct forge_thread *wanted, struct message_buffer **buffer)
{
	struct thread_config *config = (struct thread_config *)cairn_buffer()->words;
	uint64_t thread = retype(CAP_THREAD, 0, 0, "making a Thread");
	uint64_t frame = wanted->buffer ? wanted->buffer : forge_frame();

	if (buffer)
		*buffer = forge_window_copy(frame, RIGHT_READ | RIGHT_WRITE);
	memset(config, 0, sizeof(*config));
	config->space = wanted->space ? wanted->space : SEL_SPACE;
	config->captable = wanted->captable ? wanted->captable : SEL_CAPTABLE;
	config->buffer = frame;
	config->cpu = wanted->cpu;
	config->supervisor = wanted->supervisor ? wanted->supervisor : ~0ull;
	config->rip = wanted->rip;
	config->rsp = wanted->rsp;
	config->arg = wanted->arg;
	config->fs_base = wanted->fs_base;
	config->syscall_entry = wanted->syscall_entry;
	config->fault_entry = wanted->fault_entry;
	config->priority = wanted->priority;
	config->budget_us = wanted->budget_us;
	config->period_us = wanted->period_us;
	config->ceiling = wanted->ceiling;
	forge_must(cairn_thread_configure(thread, THREAD_SPACE | THREAD_REGS | THREAD_UPCALLS |
							  THREAD_TIME),
		   "configuring a Thread");
	return thread;
}
