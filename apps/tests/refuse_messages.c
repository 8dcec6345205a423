/* SPDX-License-Identifier: BSD-2-Clause */
/* Trials of messages and notifications. */
#include <cairn/debug.h>
#include <cairn/hypercalls.h>
#include <cairn/types.h>
#include "check.h"
#include "trial.h"
#include "worker.h"

#define PLACE 5u

static uint64_t portal, table;
static volatile uint64_t entries, signals;
static uint64_t tried[TRIAL_ARGUMENTS];

static void count_entries(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			  uint64_t count)
{
	(void)badge, (void)w1, (void)w2, (void)w3, (void)w4, (void)count;
	entries++;
	forge_ignore(cairn_reply(0, 0, 0, 0, 0, 0));
}

static bool not_entered(void)
{
	return entries == 0;
}

HYPERCALL_TEST(call)
{
	struct trial t = {.name = "call", .number = CAIRN_CALL_CALL, .unchanged = not_entered};
	struct worker handler;

	entries = 0;
	handler_make(&handler, count_entries);
	t.good[0] = forge_portal(handler.thread, 0);
	trial_run(&t);
	check_value("only-the-good-call-entered", entries, 1);
}

/* A wrong reply is refused, and the handler tells how in a good one. */
#define WAS_REFUSED 0x5a

static void reply_as_asked(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			   uint64_t count)
{
	cairn_status_t status = raw_call(CAIRN_CALL_REPLY, tried);

	(void)badge, (void)w1, (void)w2, (void)w3, (void)w4, (void)count;
	forge_ignore(cairn_reply(0, status, WAS_REFUSED, 0, 0, 2));
}

static cairn_status_t reply_in_a_handler(uint64_t number, const uint64_t *arguments)
{
	uint64_t status = CAIRN_OK, mark = 0;

	(void)number;
	for (unsigned i = 0; i < TRIAL_ARGUMENTS; i++)
		tried[i] = arguments[i];
	forge_must(cairn_call(portal, 0, 0, 0, 0, 0, NULL, &status, &mark, NULL, NULL),
		   "calling a handler");
	return mark == WAS_REFUSED ? (cairn_status_t)status : CAIRN_OK;
}

HYPERCALL_TEST(reply)
{
	struct trial t = {.name = "reply", .number = CAIRN_CALL_REPLY, .call = reply_in_a_handler};
	struct worker handler;

	check_status("reply-by-who-handles-nothing-is-refused", cairn_reply(0, 0, 0, 0, 0, 0),
		     CAIRN_ERR_STATE);
	handler_make(&handler, reply_as_asked);
	portal = forge_portal(handler.thread, 0);
	trial_run(&t);
}

static void count_signals(uint64_t arg)
{
	(void)arg;
	for (;;) {
		worker_sleep();
		signals++;
	}
}

static bool not_signalled(void)
{
	return signals == 0;
}

HYPERCALL_TEST(signal)
{
	struct trial t = {
		.name = "signal", .number = CAIRN_CALL_SIGNAL, .unchanged = not_signalled};
	struct worker w;

	signals = 0;
	worker_make(&w, count_signals, 0, PRIORITY_HIGH, NULL);
	worker_resume(&w);
	t.good[0] = forge_copy(w.thread, RIGHT_ALL, 4);
	trial_run(&t);
	check_value("only-the-good-signal-arrived", signals, 1);
}

HYPERCALL_TEST(wait)
{
	struct trial t = {.name = "wait", .number = CAIRN_CALL_WAIT};
	uint64_t bits = 0;

	while (cairn_wait(1, NULL) == CAIRN_OK)
		; /* whatever came before */
	check_status("wait-for-nothing-times-out", cairn_wait(1, &bits), CAIRN_ERR_TIMEOUT);
	check_status("and-so-does-a-wait-until-long-ago", cairn_wait(2, &bits), CAIRN_ERR_TIMEOUT);
	forge_must(cairn_signal(SEL_SELF), "signalling");
	t.good[0] = 1;
	trial_run(&t);
	forge_must(cairn_signal(SEL_SELF), "signalling");
	t.good[0] = ~0ul; /* no time is wrong */
	trial_run(&t);
}

static bool place_is_empty(void)
{
	return trial_empty(table, PLACE);
}

HYPERCALL_TEST(portal_create)
{
	struct trial t = {.name = "portal-create",
			  .number = CAIRN_CALL_PORTAL_CREATE,
			  .unchanged = place_is_empty};
	struct worker handler;

	handler_make(&handler, count_entries);
	table = trial_table();
	t.good[0] = handler.thread;
	t.good[1] = table;
	t.good[2] = PLACE;
	t.good[3] = ~0ul;
	t.good[4] = 0xff;
	trial_run(&t);
}

HYPERCALL_TEST(identify)
{
	struct trial t = {.name = "identify", .number = CAIRN_CALL_IDENTIFY};
	uint64_t version = 0;

	trial_run(&t);
	check_status("identify-succeeds", cairn_identify(&version), CAIRN_OK);
	check_value("identify-returns-the-version", version, CAIRN_INTERFACE_VERSION);
}

HYPERCALL_TEST(debug_write)
{
	check_status("debug-write-answers-as-the-build-says", cairn_debug_write(0),
		     cairn_info()->debug ? CAIRN_OK : CAIRN_ERR_CALL);
}

HYPERCALL_TEST(debug_check)
{
	uint64_t fault = 1, left = 0;

	if (!cairn_info()->debug) {
		check_status("debug-check-is-not-in-this-build",
			     cairn_debug_check(DEBUG_INVARIANTS, 0, NULL, NULL, NULL),
			     CAIRN_ERR_CALL);
		return;
	}
	check_status("debug-check-has-no-such-request",
		     cairn_debug_check(DEBUG_WATCHED + 1, 0, NULL, NULL, NULL), CAIRN_ERR_ARG);
	check_status("debug-check-looks-for-faults",
		     cairn_debug_check(DEBUG_INVARIANTS, 0, &fault, NULL, NULL), CAIRN_OK);
	check_value("there-is-none", fault, DEBUG_SOUND);
	check_status("debug-check-watches", cairn_debug_check(DEBUG_WATCH, 2, NULL, NULL, NULL),
		     CAIRN_OK);
	forge_ignore(cairn_unmap(SEL_CAPTABLE));
	check_status("debug-check-counts", cairn_debug_check(DEBUG_WATCHED, 0, NULL, &left, NULL),
		     CAIRN_OK);
	check_value("one-refused-call", left, 1);
	forge_ignore(cairn_unmap(SEL_CAPTABLE));
	forge_ignore(cairn_debug_check(DEBUG_INVARIANTS, 0, &fault, NULL, NULL));
	check_value("which-changed-nothing", fault, DEBUG_SOUND);
}
