/* SPDX-License-Identifier: BSD-2-Clause */
/* What is used up is refused with a clear error, and everybody else goes on: memory, slots, slot
 * numbers, interrupt lines, depth of derivation, depth of calls. */
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/types.h>
#include "check.h"
#include "trial.h"
#include "worker.h"

#define MAX_DEPTH  1000u
#define CALL_DEPTH 8u
#define TABLE	   32u
#define MEMORY_MAX 2000u

static cairn_status_t make(uint64_t untyped, enum cairn_type type, uint64_t selector)
{
	uint64_t param = type == CAP_PAGETABLE ? 1 : 0;

	return cairn_retype(untyped, type, PAGE_BITS_4K, SEL_CAPTABLE, selector, param);
}

/* An Untyped of 16 pages is used up with objects of each type; the next one beside it is not
 * affected. */
static void memory(void)
{
	static const enum cairn_type types[] = {CAP_UNTYPED, CAP_FRAME, CAP_THREAD, CAP_VCPU,
						CAP_PAGETABLE};
	uint64_t untyped = forge_untyped(16), other = forge_untyped(16), last = 0;
	cairn_status_t status = CAIRN_OK;
	unsigned count = 0;

	for (unsigned i = 0; count < MEMORY_MAX; i++, count++) {
		last = forge_select();
		status = make(untyped, types[i % 4], last);
		if (status != CAIRN_OK)
			break;
	}
	check_status("an-untyped-is-used-up", status, CAIRN_ERR_MEMORY);
	check_true("after-as-much-as-it-has", count > 8 && count <= 16,
		   "another number of objects");
	/* A VCpu takes two pages: one may still be left for smaller ones. */
	while (make(untyped, CAP_FRAME, forge_select()) == CAIRN_OK && count < MEMORY_MAX)
		count++;
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]) && status == CAIRN_ERR_MEMORY;
	     i++)
		status = make(untyped, types[i], last);
	check_status("nothing-more-is-made-of-it", status, CAIRN_ERR_MEMORY);
	check_status("the-next-untyped-is-not-affected", make(other, CAP_FRAME, last), CAIRN_OK);
	check_status("it-can-be-taken-back", revoke_all(untyped), CAIRN_OK);
	check_status("and-used-again", make(untyped, CAP_THREAD, forge_select()), CAIRN_OK);
}

static void full_table(void)
{
	uint64_t table = forge_captable(TABLE), frame = forge_frame(), movable = forge_frame();
	struct worker handler;
	cairn_status_t status = CAIRN_OK;
	uint64_t i;

	handler_make(&handler, NULL);
	for (i = 0; status == CAIRN_OK; i++)
		status = cairn_copy(frame, table, i, RIGHT_ALL, 0);
	check_status("a-table-ends", status, CAIRN_ERR_ARG);
	check_value("after-as-many-slots-as-it-has", i - 1, TABLE);
	status = CAIRN_ERR_BUSY;
	for (i = 0; i < TABLE && status == CAIRN_ERR_BUSY; i++)
		status = cairn_copy(frame, table, i, RIGHT_ALL, 0);
	check_status("a-full-table-takes-no-copy", status, CAIRN_ERR_BUSY);
	check_status("nor-an-object",
		     cairn_retype(forge_used(), CAP_FRAME, PAGE_BITS_4K, table, 7, 0),
		     CAIRN_ERR_BUSY);
	check_status("nor-what-is-moved", cairn_move(movable, table, 7), CAIRN_ERR_BUSY);
	check_status("nor-a-portal", cairn_portal_create(handler.thread, table, 7, 0, 0),
		     CAIRN_ERR_BUSY);
	check_status("until-a-slot-is-emptied", cairn_delete(table, 7), CAIRN_OK);
	check_status("which-takes-one-again", cairn_move(movable, table, 7), CAIRN_OK);
}

static void slot_numbers(void)
{
	uint64_t mine = forge_table_param(TABLE), selector = forge_select();
	uint64_t first = (uint32_t)mine;

	forge_must(cairn_retype(forge_used(), CAP_CAPTABLE, 0, SEL_CAPTABLE, forge_select(), mine),
		   "making a CapTable");
	check_status("slot-numbers-serve-one-table",
		     cairn_retype(forge_used(), CAP_CAPTABLE, 0, SEL_CAPTABLE, selector, mine),
		     CAIRN_ERR_BUSY);
	check_status("nor-may-a-table-begin-before-and-reach-into-them",
		     cairn_retype(forge_used(), CAP_CAPTABLE, 0, SEL_CAPTABLE, selector,
				  (first - TABLE) | 2ul * TABLE << 32),
		     CAIRN_ERR_BUSY);
	check_status("nor-in-this-servers-own",
		     cairn_retype(forge_used(), CAP_CAPTABLE, 0, SEL_CAPTABLE, selector,
				  (cairn_info()->first_slot - TABLE) | 1ul * TABLE << 32),
		     CAIRN_ERR_BUSY);
	check_status("the-numbers-behind-are-free",
		     cairn_retype(forge_used(), CAP_CAPTABLE, 0, SEL_CAPTABLE, selector,
				  forge_table_param(TABLE)),
		     CAIRN_OK);
}

/* Copies of copies, until the tree is as deep as it may be; returns the last, *count of them. */
static uint64_t deepest(uint64_t from, unsigned *count)
{
	uint64_t copy = forge_select();

	for (*count = 0;
	     cairn_copy(from, SEL_CAPTABLE, copy, RIGHT_ALL, 0) == CAIRN_OK && *count <= MAX_DEPTH;
	     (*count)++) {
		from = copy;
		copy = forge_select();
	}
	return from;
}

static void depth_of_derivation(void)
{
	uint64_t frame = forge_frame(), place = forge_select(), last, thread;
	unsigned count, threads;
	struct worker w;

	last = deepest(frame, &count);
	check_true("copies-of-copies-end-at-a-depth", count > MAX_DEPTH - 10 && count < MAX_DEPTH,
		   "another depth");
	check_status("deeper-ones-are-refused", cairn_copy(last, SEL_CAPTABLE, place, RIGHT_ALL, 0),
		     CAIRN_ERR_ARG);
	check_status("the-deepest-can-be-moved", cairn_move(last, SEL_CAPTABLE, place), CAIRN_OK);
	check_status("and-used", cairn_unmap(place), CAIRN_ERR_STATE);
	check_status("others-can-be-copied", cairn_copy(frame, SEL_CAPTABLE, last, RIGHT_ALL, 0),
		     CAIRN_OK);
	check_status("all-of-them-go-at-once", revoke_all(frame), CAIRN_OK);
	check_status("down-to-the-last", cairn_unmap(place), CAIRN_ERR_CAP);

	handler_make(&w, NULL);
	thread = deepest(w.thread, &threads);
	check_status("a-portal-is-no-exception",
		     cairn_portal_create(thread, SEL_CAPTABLE, place, 0, 0), CAIRN_ERR_ARG);
	check_status("nor-is-anything-taken", revoke_all(w.thread), CAIRN_OK);
}

/* A chain of handlers: number n (its badge) calls number n + 1, the last one faults if it is to. */
static uint64_t chain[CALL_DEPTH + 1];
static volatile uint64_t deepest_status, entered;
static volatile bool last_one_faults;

static void next_in_chain(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			  uint64_t count)
{
	(void)w1, (void)w2, (void)w3, (void)w4, (void)count;
	entered++;
	if (badge + 1 == CALL_DEPTH && last_one_faults)
		__asm__ volatile("ud2");
	deepest_status = cairn_call(chain[badge + 1], 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL);
	if (badge + 1 < CALL_DEPTH && deepest_status == CAIRN_OK)
		deepest_status = CAIRN_ERR_DEPTH; /* the answer to the last one's call */
	forge_ignore(cairn_reply(0, deepest_status, 0, 0, 0, 1));
}

static cairn_status_t call_chain(uint64_t *answer)
{
	return cairn_call(chain[0], 0, 0, 0, 0, 0, NULL, answer, NULL, NULL, NULL);
}

static void depth_of_calls(void)
{
	struct worker handler;
	uint64_t answer = 0;

	entered = 0;
	last_one_faults = false;
	for (unsigned i = 0; i <= CALL_DEPTH; i++) {
		handler_make(&handler, next_in_chain);
		chain[i] = forge_portal(handler.thread, i);
	}
	check_status("calls-are-nested-as-deep-as-they-may-be", call_chain(&answer), CAIRN_OK);
	check_value("that-is-eight-calls", entered, CALL_DEPTH);
	check_value("the-ninth-is-refused", answer, CAIRN_ERR_DEPTH);
	entered = 0;
	check_status("the-chain-can-be-used-again", call_chain(&answer), CAIRN_OK);
	check_value("and-is-entered-as-deep", entered, CALL_DEPTH);
}

/* At the greatest depth nobody can be told of a fault: the handler stops, and its callers hear of
 * it. */
static void fault_at_the_greatest_depth(void)
{
	const uint64_t supervisor = supervisor_make();
	struct worker handler, last;
	uint64_t answer = 0;

	entered = 0;
	last_one_faults = true;
	for (unsigned i = 0; i + 1 < CALL_DEPTH; i++) {
		handler_make(&handler, next_in_chain);
		chain[i] = forge_portal(handler.thread, i);
	}
	handler_make_supervised(&last, next_in_chain, supervisor);
	chain[CALL_DEPTH - 1] = forge_portal(last.thread, CALL_DEPTH - 1);
	check_status("a-chain-answers-although-its-end-has-died", call_chain(&answer), CAIRN_OK);
	check_value("its-end-was-reached", entered, CALL_DEPTH);
	check_value("the-supervisor-was-too-deep", fault_seen.count, 0);
	check_status("the-handler-has-stopped-for-good", cairn_resume(last.thread),
		     CAIRN_ERR_STATE);
}

/* ---- interrupt lines ---- */

#define RTC_LINE 8u

static uint64_t one_line(uint64_t line)
{
	uint64_t selector = forge_select();

	if (cairn_copy(SEL_IRQS, SEL_CAPTABLE, selector, RIGHT_ALL, line | line << 16) != CAIRN_OK)
		return 0;
	return selector;
}

static void lines(void)
{
	uint64_t first = one_line(RTC_LINE), second = one_line(RTC_LINE), last = 0;
	struct worker w;
	unsigned count = 0;

	while (count < 4096 && (last = one_line(count)) != 0)
		count++;
	check_true("there-are-as-many-lines-as-the-machine-has", count >= 16 && count < 4096,
		   "another number");
	check_status(
		"the-line-behind-the-last-cannot-be-named",
		cairn_copy(SEL_IRQS, SEL_CAPTABLE, forge_select(), RIGHT_ALL, count | count << 16),
		CAIRN_ERR_ARG);

	worker_make(&w, NULL, 0, PRIORITY_LOW, NULL);
	check_status("a-line-is-bound", cairn_irq_bind(first, w.signal), CAIRN_OK);
	check_status("its-capability-stays-where-it-is",
		     cairn_move(first, SEL_CAPTABLE, forge_select()), CAIRN_ERR_BUSY);
	check_status("a-line-can-be-bound-anew", cairn_irq_bind(second, SEL_SELF), CAIRN_OK);
	check_status("the-second-holds-it-now", cairn_move(second, SEL_CAPTABLE, forge_select()),
		     CAIRN_ERR_BUSY);
	check_status("and-the-first-no-more", cairn_move(first, SEL_CAPTABLE, forge_select()),
		     CAIRN_OK);
	check_status("a-bound-line-goes-with-its-capability", cairn_delete(SEL_CAPTABLE, second),
		     CAIRN_OK);
}

/* ---- CPUs ---- */

static void cpus(void)
{
	struct thread_config *config = (struct thread_config *)cairn_buffer()->words;
	uint64_t thread = forge_select(), buffer = forge_frame();

	forge_must(cairn_retype(forge_used(), CAP_THREAD, 0, SEL_CAPTABLE, thread, 0),
		   "making a Thread");
	memset(config, 0, sizeof(*config));
	config->space = SEL_SPACE;
	config->captable = SEL_CAPTABLE;
	config->buffer = buffer;
	config->cpu = cpu_count();
	check_status("a-thread-needs-a-cpu-that-runs", cairn_thread_configure(thread, THREAD_SPACE),
		     CAIRN_ERR_CPU);
	config->cpu = cpu_count() - 1;
	check_status("the-last-one-that-runs-will-do", cairn_thread_configure(thread, THREAD_SPACE),
		     CAIRN_OK);
}

void suite_limits(void)
{
	in_arena(memory);
	in_arena(full_table);
	in_arena(slot_numbers);
	in_arena(depth_of_derivation);
	in_arena(depth_of_calls);
	in_arena(fault_at_the_greatest_depth);
	in_arena(lines);
	in_arena(cpus);
}
