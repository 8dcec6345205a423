/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens to threads and VCpus when something they need goes away, or they themselves do. */
#include <string.h>
#include <cairn/hypercalls.h>
#include "check.h"
#include "worker.h"

extern const uint8_t elsewhere[], elsewhere_handler[], elsewhere_end[];

static cairn_status_t call0(uint64_t portal)
{
	return cairn_call(portal, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL);
}

/* A space that holds the page of code from entries.S, made from the arena's part `untyped`. */
static void make_elsewhere(struct forge_space *space, uint64_t untyped)
{
	uint64_t before = forge_use(untyped), code = forge_frame();

	memcpy(forge_window_copy(code, RIGHT_READ | RIGHT_WRITE), elsewhere,
	       (size_t)(elsewhere_end - elsewhere));
	forge_space_make(space, 0x7f);
	forge_space_map(space, code, 0, RIGHT_READ | RIGHT_EXEC);
	forge_use(before);
}

static volatile uint64_t reported[2];

static void take_report(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			uint64_t count)
{
	(void)badge, (void)w3, (void)w4, (void)count;
	reported[0] = w1;
	reported[1] = w2;
	worker_tell();
	forge_ignore(cairn_reply(0, 0, 0, 0, 0, 0));
}

static void another_domain(void)
{
	struct forge_space space;
	struct forge_thread config = {
		.priority = PRIORITY_LOW, .rip = FORGE_SPACE_VA, .rsp = 0x1000};
	struct worker handler;
	uint64_t portal;

	make_elsewhere(&space, forge_used());
	handler_make(&handler, take_report);
	portal = forge_portal(handler.thread, 0);
	config.space = space.root;
	config.captable = forge_captable(32);
	forge_must(cairn_copy(portal, config.captable, 3, RIGHT_SIGNAL, 0), "giving it a Portal");
	forge_must(cairn_resume(forge_thread(&config, NULL)), "starting a thread elsewhere");
	(void)main_wait();
	check_value("another-domain-cannot-name-what-it-was-not-given", reported[0], CAIRN_ERR_CAP);
	check_value("but-may-use-what-it-was-given", reported[1], CAIRN_OK);
}

static uint64_t target_portal;
static volatile uint64_t call_status;

static void call_target(uint64_t arg)
{
	(void)arg;
	call_status = call0(target_portal);
}

static void handlers_space_goes(void)
{
	struct forge_space space;
	struct forge_thread config = {
		.rip = FORGE_SPACE_VA + (uint64_t)(elsewhere_handler - elsewhere), .rsp = 0x1000};
	struct worker w;
	uint64_t part = forge_untyped(17);

	make_elsewhere(&space, part);
	config.space = space.root;
	target_portal = forge_portal(forge_thread(&config, NULL), 0);
	call_status = ~0ul;
	worker_make(&w, call_target, 0, PRIORITY_HIGH, NULL);
	worker_resume(&w);
	check_value("a-call-waits-for-its-handler-elsewhere", call_status, ~0ul);
	forge_must(revoke_all(part), "revoking the handler's space");
	(void)main_wait();
	check_value("a-call-is-aborted-when-the-handlers-space-goes", call_status,
		    CAIRN_ERR_ABORTED);
	check_status("and-so-is-every-later-one", call0(target_portal), CAIRN_ERR_ABORTED);
}

static volatile uint64_t table_status;

static void use_table_later(uint64_t arg)
{
	(void)arg;
	worker_tell(); /* selector 2 of its own table: nothing is there, the main thread looks
			  itself */
	worker_sleep();
	table_status = call0(5);
}

static void table_goes(void)
{
	struct forge_thread config = {0};
	struct worker w;

	table_status = ~0ul;
	config.captable = forge_captable(32);
	worker_make(&w, use_table_later, 0, PRIORITY_HIGH, &config);
	worker_resume(&w);
	check_status("a-table-in-use-can-be-deleted", delete_all(config.captable), CAIRN_OK);
	worker_poke(&w);
	check_value("its-thread-then-has-no-capability", table_status, CAIRN_ERR_CAP);
}

static uint64_t own_thread;

static void delete_itself(uint64_t arg)
{
	(void)arg;
	(void)revoke_all(own_thread);
	(void)delete_all(own_thread);
	call_status = 1; /* never reached */
	worker_tell();
}

static void thread_deletes_itself(void)
{
	struct worker w;

	call_status = 0;
	worker_make(&w, delete_itself, 0, PRIORITY_HIGH, NULL);
	own_thread = w.thread;
	worker_resume(&w);
	check_value("a-thread-that-deletes-itself-is-gone", call_status, 0);
	check_status("with-its-capability", cairn_resume(w.thread), CAIRN_ERR_CAP);
	check_status("and-nobody-can-signal-it", cairn_signal(w.signal), CAIRN_ERR_CAP);
}

static volatile uint64_t steps;

static void suspend_itself(uint64_t arg)
{
	(void)arg;
	steps = 1;
	forge_ignore(cairn_suspend(own_thread));
	steps = 2;
}

static void thread_suspends_itself(void)
{
	struct worker w;

	steps = 0;
	worker_make(&w, suspend_itself, 0, PRIORITY_HIGH, NULL);
	own_thread = w.thread;
	worker_resume(&w);
	check_value("a-thread-can-suspend-itself", steps, 1);
	worker_run(&w);
	check_value("and-be-resumed", steps, 2);
}

static void wait_then_answer(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			     uint64_t count)
{
	(void)badge, (void)w1, (void)w2, (void)w3, (void)w4, (void)count;
	worker_sleep();
	forge_ignore(cairn_reply(0, 0, 0, 0, 0, 0));
}

static void suspended_in_a_call(void)
{
	struct worker handler, w;

	handler_make(&handler, wait_then_answer);
	target_portal = forge_portal(handler.thread, 0);
	call_status = ~0ul;
	worker_make(&w, call_target, 0, PRIORITY_HIGH, NULL);
	worker_resume(&w);
	forge_must(cairn_suspend(handler.thread), "suspending the handler");
	worker_poke(&handler);
	pause_us(1000);
	check_value("a-suspended-handler-does-not-answer", call_status, ~0ul);
	forge_must(cairn_suspend(w.thread), "suspending the caller");
	forge_must(cairn_resume(handler.thread), "resuming the handler");
	pause_us(1000);
	check_value("a-suspended-caller-does-not-go-on", call_status, ~0ul);
	worker_run(&w);
	check_value("resumed-it-has-its-answer", call_status, CAIRN_OK);
}

static void read_nothing(uint64_t arg)
{
	(void)arg;
	__asm__ volatile("movl $0x123, %%eax; movq (%%rax), %%rax" : : : "rax", "memory");
}

static void supervisor_goes(void)
{
	struct worker w;
	uint64_t portal = supervisor_make();
	struct forge_thread config = {.supervisor = portal};

	worker_make(&w, read_nothing, 0, PRIORITY_HIGH, &config);
	forge_must(delete_all(portal), "deleting the supervisor's Portal");
	worker_resume(&w);
	check_value("a-fault-without-a-portal-reaches-nobody", fault_seen.count, 0);
	check_status("and-stops-the-thread", cairn_resume(w.thread), CAIRN_ERR_STATE);
}

void suite_lifetimes(void)
{
	in_arena(another_domain);
	in_arena(handlers_space_goes);
	in_arena(table_goes);
	in_arena(thread_deletes_itself);
	in_arena(thread_suspends_itself);
	in_arena(suspended_in_a_call);
	in_arena(supervisor_goes);
}
