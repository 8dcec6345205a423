/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages lost to memory errors, without an error: mc_poison marks them all the same. They come from
 * Untypeds of their own, which nobody uses afterwards.
 */
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/mca.h>
#include <cairn/types.h>
#include "check.h"
#include "trial.h"
#include "worker.h"

#define POISON_BITS 22u
#define VECTOR_PF   14u
#define PATTERN	    0x70a3d2b51e5f1e1dul
#define LAST_SLOT   262143ul
#define LATER_BITS  16u /* so it lies at the next multiple of that behind one_page */
#define HOLDERS	    8u
#define LARGE_VA    0x300000000000ul /* nobody else uses this top-level entry */

/* An Untyped, where it lies, and how many bytes of it are used. */
static struct {
	uint64_t selector, physical, used;
} memory, one_page, later;

void poison_prepare(uint64_t arena_end)
{
	const uint64_t size = 1ul << POISON_BITS;

	memory.selector = forge_untyped(POISON_BITS);
	memory.physical = (arena_end + size - 1) & ~(size - 1);
	one_page.selector = forge_untyped(PAGE_BITS_4K);
	one_page.physical = memory.physical + size;
	later.selector = forge_untyped(LATER_BITS);
	later.physical = memory.physical + size + (1ul << LATER_BITS);
}

/* An object of one page from that memory; *page: where it lies. */
static uint64_t make(enum cairn_type type, uint64_t param, uint64_t *page)
{
	uint64_t selector = forge_select();

	forge_must(cairn_retype(memory.selector, type, PAGE_BITS_4K, SEL_CAPTABLE, selector, param),
		   "making an object to be poisoned");
	*page = memory.physical + memory.used;
	memory.used += PAGE_SIZE_4K;
	return selector;
}

uint64_t poison_frame(uint64_t *page)
{
	uint64_t selector = forge_select();

	forge_must(cairn_retype(later.selector, CAP_FRAME, PAGE_BITS_4K, SEL_CAPTABLE, selector, 0),
		   "making a Frame to be poisoned");
	*page = later.physical + later.used;
	later.used += PAGE_SIZE_4K;
	return selector;
}

void poison_release(void)
{
	forge_must(revoke_all(later.selector), "taking a poisoned Frame back");
}

static struct holder {
	uint64_t kind, label, address, rights;
} holders[HOLDERS];
static unsigned holder_count;

/* Poisons a page for good and collects its holders. */
cairn_status_t poison_page(uint64_t page)
{
	uint64_t cursor = 0;
	cairn_status_t status;

	holder_count = 0;
	do {
		struct holder *h = &holders[holder_count % HOLDERS];

		status = cairn_mc_poison(SEL_ERRORS, page, cursor, &cursor, &h->kind, &h->label,
					 &h->address, &h->rights);
		holder_count += status == CAIRN_OK && h->kind != MCA_HOLDER_NONE;
	} while (status == CAIRN_OK && cursor != 0);
	return status;
}

static void check_holder(const char *name, uint64_t kind, uint64_t address, uint64_t rights)
{
	const struct holder *h = holders;

	if (holder_count != 1)
		check_value(name, holder_count, 1);
	else if (h->kind != kind || h->address != address)
		check_value(name, h->kind != kind ? h->kind : h->address,
			    h->kind != kind ? kind : address);
	else
		check_value(name, h->rights, rights);
}

static volatile uint64_t *touched;

static void touch(uint64_t arg)
{
	(void)arg;
	(void)*touched;
}

/* A read of this address by a worker ends in a poison fault there. */
static void check_poison_fault(const char *name, volatile uint64_t *address)
{
	const struct forge_thread config = {.supervisor = supervisor_make()};
	struct worker w;

	touched = address;
	worker_make(&w, touch, 0, PRIORITY_HIGH, &config);
	worker_run(&w);
	check_true(name,
		   fault_seen.count == 1 && fault_seen.vector == VECTOR_PF &&
			   fault_seen.poison == 1 && fault_seen.address == (uint64_t)address,
		   "there was no such fault");
}

static volatile uint64_t *window;

static bool page_is_there(void)
{
	return *window == PATTERN;
}

HYPERCALL_TEST(mc_poison)
{
	static const struct wrong more[] = {{2, LAST_SLOT + 1, CAIRN_ERR_ARG},
					    {2, 1ul << 32, CAIRN_ERR_ARG},
					    {2, 1ul << 63, CAIRN_ERR_ARG},
					    {2, ~0ul, CAIRN_ERR_ARG}};
	struct trial t = {.name = "mc-poison",
			  .number = CAIRN_CALL_MC_POISON,
			  .unchanged = page_is_there,
			  TRIAL_MORE(more)};
	uint64_t before = forge_use(one_page.selector), frame = forge_frame();
	uint64_t copy = forge_copy(frame, RIGHT_ALL, 0), page = one_page.physical;
	volatile uint64_t *again;

	forge_use(before);
	window = forge_window(frame);
	*window = PATTERN;
	t.good[0] = SEL_ERRORS;
	t.good[1] = page;
	trial_refused(&t);
	check_status("mc-poison-with-good-arguments-works", poison_page(page), CAIRN_OK);
	check_holder("mc-poison-tells-the-holder", MCA_HOLDER_HOST, (uint64_t)window,
		     RIGHT_READ | RIGHT_WRITE);
	check_poison_fault("a-poisoned-page-faults", window);
	again = forge_window_copy(copy, RIGHT_READ);
	check_poison_fault("wherever-it-is-mapped-later", again);
	check_status("a-mapped-poisoned-frame-stays-in-its-slot",
		     cairn_move(frame, SEL_CAPTABLE, forge_select()), CAIRN_ERR_BUSY);
	check_status("a-page-is-poisoned-twice", poison_page(page), CAIRN_OK);
	check_status("poisoned-memory-can-be-taken-back", revoke_all(one_page.selector), CAIRN_OK);
}

static void objects_on_poison(void)
{
	uint64_t page, untyped = make(CAP_UNTYPED, 0, &page), place = forge_select();

	forge_must(poison_page(page), "poisoning");
	check_value("a-page-that-nobody-uses-has-no-holder", holder_count, 0);
	check_status("no-thread-is-made-on-poison",
		     cairn_retype(untyped, CAP_THREAD, 0, SEL_CAPTABLE, place, 0),
		     CAIRN_ERR_POISON);
	check_status("nor-a-pagetable",
		     cairn_retype(untyped, CAP_PAGETABLE, 0, SEL_CAPTABLE, place, 1),
		     CAIRN_ERR_POISON);
	check_status("nor-a-captable",
		     cairn_retype(untyped, CAP_CAPTABLE, 0, SEL_CAPTABLE, place,
				  forge_table_param(TRIAL_SLOTS)),
		     CAIRN_ERR_POISON);
	check_status("but-a-frame-is",
		     cairn_retype(untyped, CAP_FRAME, PAGE_BITS_4K, SEL_CAPTABLE, place, 0),
		     CAIRN_OK);
}

static void buffers_on_poison(void)
{
	uint64_t page, frame = make(CAP_FRAME, 0, &page), thread = forge_select();
	uint64_t vcpu = forge_select(), guest = forge_pagetable(PT_GUEST, 4, 1);
	struct thread_config *tc = (struct thread_config *)cairn_buffer()->words;
	struct vcpu_config *vc = (struct vcpu_config *)cairn_buffer()->words;

	forge_must(poison_page(page), "poisoning");
	forge_must(cairn_retype(forge_used(), CAP_THREAD, 0, SEL_CAPTABLE, thread, 0),
		   "making a Thread");
	forge_must(cairn_retype(forge_used(), CAP_VCPU, 0, SEL_CAPTABLE, vcpu, 0), "making a VCpu");
	memset(tc, 0, sizeof(*tc));
	tc->space = SEL_SPACE;
	tc->captable = SEL_CAPTABLE;
	tc->buffer = frame;
	check_status("a-poisoned-page-is-no-message-buffer",
		     cairn_thread_configure(thread, THREAD_SPACE), CAIRN_ERR_BUSY);
	memset(vc, 0, sizeof(*vc));
	vc->guest_root = guest;
	vc->home = SEL_SPACE;
	vc->captable = SEL_CAPTABLE;
	vc->state = frame;
	vc->priority = 1;
	check_status("nor-a-state-page", cairn_vcpu_configure(vcpu), CAIRN_ERR_BUSY);
}

static void pagetables_on_poison(void)
{
	uint64_t page1, page2, root_page;
	uint64_t level1 = make(CAP_PAGETABLE, 1, &page1), level2 = make(CAP_PAGETABLE, 2, &page2);
	uint64_t root = make(CAP_PAGETABLE, 4 | 0x7ful << 32, &root_page), frame = forge_frame();
	uint64_t free1 = forge_pagetable(PT_HOST, 1, 0), free2 = forge_pagetable(PT_HOST, 2, 0);
	uint64_t thread = forge_select(), buffer = forge_frame();
	struct thread_config *config = (struct thread_config *)cairn_buffer()->words;

	forge_must(cairn_pagetable_link(free2, 0, level1), "linking");
	forge_must(poison_page(page1), "poisoning");
	check_holder("a-paging-structure-is-reported", MCA_HOLDER_KERNEL, CAP_PAGETABLE, 0);
	check_status("nothing-is-mapped-in-it", cairn_map(frame, level1, 0, RIGHT_READ, 0),
		     CAIRN_ERR_BUSY);
	check_status("it-is-linked-nowhere", cairn_pagetable_link(free2, 0, level1),
		     CAIRN_ERR_BUSY);
	check_status("its-entry-is-free", cairn_pagetable_link(free2, 0, free1), CAIRN_OK);
	forge_must(poison_page(page2), "poisoning");
	check_status("nor-is-anything-linked-into-one", cairn_pagetable_link(level2, 0, free1),
		     CAIRN_ERR_BUSY);

	forge_must(poison_page(root_page), "poisoning");
	forge_must(cairn_retype(forge_used(), CAP_THREAD, 0, SEL_CAPTABLE, thread, 0),
		   "making a Thread");
	memset(config, 0, sizeof(*config));
	config->space = root;
	config->captable = SEL_CAPTABLE;
	config->buffer = buffer;
	check_status("no-thread-runs-in-a-poisoned-space",
		     cairn_thread_configure(thread, THREAD_SPACE), CAIRN_ERR_BUSY);
}

/* A page in the middle of a large one: the rest of it stays. */
static void part_of_a_large_page(void)
{
	uint64_t level2 = forge_pagetable(PT_HOST, 2, 0), deposit = forge_pagetable(PT_HOST, 1, 0);
	uint64_t level3 = forge_pagetable(PT_HOST, 3, 0), large = forge_select();
	const uint64_t va = LARGE_VA, at = memory.physical + PAGE_SIZE_2M;
	volatile uint64_t *page = (volatile uint64_t *)va;

	forge_must(cairn_retype(memory.selector, CAP_FRAME, PAGE_BITS_2M, SEL_CAPTABLE, large, 0),
		   "making a 2 MiB Frame");
	forge_must(cairn_pagetable_link(SEL_SPACE, LARGE_VA >> 39, level3), "linking");
	forge_must(cairn_pagetable_link(level3, 0, level2), "linking");
	forge_must(cairn_map(large, level2, 0, RIGHT_READ | RIGHT_WRITE, deposit), "mapping 2 MiB");
	page[6 * 512] = 6;
	page[8 * 512] = 8;
	forge_must(poison_page(at + 7 * PAGE_SIZE_4K), "poisoning");
	check_holder("a-page-of-a-large-one-is-reported", MCA_HOLDER_HOST, va + 7 * PAGE_SIZE_4K,
		     RIGHT_READ | RIGHT_WRITE);
	check_true("its-neighbours-stay", page[6 * 512] == 6 && page[8 * 512] == 8, "they differ");
	check_poison_fault("it-faults-itself", page + 7 * 512);
	forge_must(poison_page(at + 9 * PAGE_SIZE_4K), "poisoning");
	check_holder("and-so-does-a-second-one", MCA_HOLDER_HOST, va + 9 * PAGE_SIZE_4K,
		     RIGHT_READ | RIGHT_WRITE);
	check_poison_fault("which-faults-as-well", page + 9 * 512);
}

static void buffer_is_hit(void)
{
	uint64_t page, frame = make(CAP_FRAME, 0, &page), thread = forge_select();
	struct thread_config *config = (struct thread_config *)cairn_buffer()->words;

	forge_must(cairn_retype(forge_used(), CAP_THREAD, 0, SEL_CAPTABLE, thread, 0),
		   "making a Thread");
	memset(config, 0, sizeof(*config));
	config->space = SEL_SPACE;
	config->captable = SEL_CAPTABLE;
	config->buffer = frame;
	config->priority = PRIORITY_LOW;
	forge_must(cairn_thread_configure(thread, THREAD_SPACE | THREAD_REGS | THREAD_TIME),
		   "configuring a Thread");
	forge_must(poison_page(page), "poisoning");
	check_holder("a-message-buffer-is-reported", MCA_HOLDER_BUFFER, 0, 0);
	check_status("its-thread-stops-for-good", cairn_resume(thread), CAIRN_ERR_STATE);
}

static void all(void)
{
	objects_on_poison();
	buffers_on_poison();
	pagetables_on_poison();
	buffer_is_hit();
	part_of_a_large_page();
	check_status("all-poisoned-memory-can-be-taken-back", revoke_all(memory.selector),
		     CAIRN_OK);
}

void suite_poison(void)
{
	in_arena(all);
}
