/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages: words and badges there and back, nested calls, queues, and handlers that go away. */
#include <string.h>
#include <cairn/hypercalls.h>
#include "check.h"
#include "worker.h"

/* What the handlers of this file work on; only one is entered at a time. */
static struct message_buffer *handler_buffer;
static volatile uint64_t seen_badge, seen_count, seen_words[MESSAGE_WORDS];

/* Notes all it can see and answers with each word plus one. */
static void increment(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
		      uint64_t count)
{
	seen_badge = badge;
	seen_count = count;
	seen_words[0] = w1;
	seen_words[1] = w2;
	seen_words[2] = w3;
	seen_words[3] = w4;
	for (unsigned i = 4; i < MESSAGE_WORDS; i++) {
		seen_words[i] = handler_buffer->words[i];
		handler_buffer->words[i]++;
	}
	forge_ignore(cairn_reply(0, w1 + 1, w2 + 1, w3 + 1, w4 + 1, count));
}

static bool words_travel(uint64_t portal, unsigned count)
{
	struct message_buffer *mine = cairn_buffer();
	uint64_t back[4], got = ~0ul;

	for (unsigned i = 4; i < MESSAGE_WORDS; i++) {
		mine->words[i] = 1000 + i;
		handler_buffer->words[i] = 5000 + i;
	}
	if (cairn_call(portal, 1000, 1001, 1002, 1003, count, &got, &back[0], &back[1], &back[2],
		       &back[3]) != CAIRN_OK)
		return false;
	if (got != count || seen_count != count)
		return false;
	for (unsigned i = 0; i < MESSAGE_WORDS && i < count; i++) {
		uint64_t answer = i < 4 ? back[i] : mine->words[i];

		if (seen_words[i] != 1000 + i || answer != 1001 + i)
			return false;
	}
	/* What lies behind the last word belongs to each side alone. */
	for (unsigned i = count < 4 ? 4 : count; i < MESSAGE_WORDS; i++)
		if (seen_words[i] != 5000 + i || mine->words[i] != 1000 + i)
			return false;
	return true;
}

static void words(void)
{
	struct worker handler;
	uint64_t portal;
	bool good = true;

	handler_make(&handler, increment);
	handler_buffer = handler.buffer;
	portal = forge_portal(handler.thread, 0xbad6e);
	for (unsigned count = 0; count <= MESSAGE_WORDS; count++)
		good = good && words_travel(portal, count);
	check_true("0-to-16-words-travel-there-and-back", good, "some did not arrive as sent");
	check_value("the-badge-arrives", seen_badge, 0xbad6e);
	check_status("17-words-are-refused",
		     cairn_call(portal, 0, 0, 0, 0, 17, NULL, NULL, NULL, NULL, NULL),
		     CAIRN_ERR_ARG);
	check_status("a-silly-count-is-refused",
		     cairn_call(portal, 0, 0, 0, 0, 1ul << 32, NULL, NULL, NULL, NULL, NULL),
		     CAIRN_ERR_ARG);
	portal = forge_copy(portal, RIGHT_ALL & ~RIGHT_SIGNAL, 0);
	check_status("a-portal-without-signal-cannot-be-called",
		     cairn_call(portal, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL),
		     CAIRN_ERR_RIGHTS);
}

static uint64_t slow_portal;
static volatile uint64_t call_status[4];

static void caller(uint64_t number)
{
	call_status[number] =
		cairn_call(slow_portal, number, 0, 0, 0, 1, NULL, NULL, NULL, NULL, NULL);
}

static cairn_status_t call0(uint64_t portal)
{
	return cairn_call(portal, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL);
}

static void creation(void)
{
	struct worker handler;
	uint64_t no_control, own_time, free = forge_select(), taken = forge_frame();
	uint64_t bare = forge_select();

	handler_make(&handler, increment);
	handler_buffer = handler.buffer;
	no_control = forge_copy(handler.thread, RIGHT_SIGNAL | RIGHT_GRANT, 0);
	check_status("portal-without-control-is-refused",
		     cairn_portal_create(no_control, SEL_CAPTABLE, free, 0, 0), CAIRN_ERR_RIGHTS);
	check_status("portal-with-an-unknown-group-is-refused",
		     cairn_portal_create(handler.thread, SEL_CAPTABLE, free, 0, 0x100),
		     CAIRN_ERR_ARG);
	check_status("portal-in-a-used-slot-is-refused",
		     cairn_portal_create(handler.thread, SEL_CAPTABLE, taken, 0, 0),
		     CAIRN_ERR_BUSY);
	check_status("portal-with-a-badge-works",
		     cairn_portal_create(handler.thread, SEL_CAPTABLE, free, 5, 0), CAIRN_OK);
	check_status("it-can-be-called", call0(free), CAIRN_OK);
	check_value("with-its-badge", seen_badge, 5);
	check_status("revoke-of-the-thread-takes-the-portal", revoke_all(handler.thread), CAIRN_OK);
	check_status("after-that-it-cannot-be-called", call0(free), CAIRN_ERR_CAP);

	worker_make(&handler, caller, 0, PRIORITY_LOW, NULL);
	own_time = forge_portal(handler.thread, 0);
	check_status("a-thread-with-its-own-time-is-no-handler", call0(own_time),
		     CAIRN_ERR_ABORTED);

	forge_must(cairn_retype(forge_used(), CAP_THREAD, 0, SEL_CAPTABLE, bare, 0),
		   "making a Thread");
	check_status("a-thread-that-is-not-configured-is-no-handler", call0(forge_portal(bare, 0)),
		     CAIRN_ERR_ABORTED);
}

/* A chain of handlers: number n (its badge) calls number n + 1. */
#define CHAIN 12u
static uint64_t chain_portals[CHAIN];

static void next_in_chain(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			  uint64_t count)
{
	uint64_t depth = badge, status = CAIRN_OK, got[2] = {0, 0};

	(void)w1, (void)w2, (void)w3, (void)w4, (void)count;
	if (badge + 1 < CHAIN) {
		status = cairn_call(chain_portals[badge + 1], 0, 0, 0, 0, 0, NULL, &got[0], &got[1],
				    NULL, NULL);
		if (status == CAIRN_OK) {
			status = got[0];
			depth = got[1];
		}
	}
	forge_ignore(cairn_reply(0, status, depth, 0, 0, 2));
}

static void nesting(void)
{
	struct worker handler;
	uint64_t status = ~0ul, depth = 0;

	for (unsigned i = 0; i < CHAIN; i++) {
		handler_make(&handler, next_in_chain);
		chain_portals[i] = forge_portal(handler.thread, i);
	}
	check_status("calls-may-be-nested",
		     cairn_call(chain_portals[CHAIN - 4], 0, 0, 0, 0, 0, NULL, &status, &depth,
				NULL, NULL),
		     CAIRN_OK);
	check_value("nested-calls-all-answer", status, CAIRN_OK);
	check_value("nested-calls-reach-the-last", depth, CHAIN - 1);
	check_status("a-long-chain-answers-too",
		     cairn_call(chain_portals[0], 0, 0, 0, 0, 0, NULL, &status, &depth, NULL, NULL),
		     CAIRN_OK);
	check_value("nesting-is-bounded", status, CAIRN_ERR_DEPTH);
	check_true("the-bound-is-not-reached-at-once", depth >= 3 && depth < CHAIN - 1,
		   "the depth is silly");
}

static void reply_refuses(void)
{
	check_status("reply-without-a-caller-is-refused", cairn_reply(0, 0, 0, 0, 0, 0),
		     CAIRN_ERR_STATE);
}

/* A handler that tries replies that must fail, then tells how they failed. */
static void bad_replies(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			uint64_t count)
{
	uint64_t first = cairn_reply(1, 0, 0, 0, 0, 0);
	uint64_t second = cairn_reply(0, 0, 0, 0, 0, MESSAGE_WORDS + 1);

	(void)badge, (void)w1, (void)w2, (void)w3, (void)w4, (void)count;
	forge_ignore(cairn_reply(0, first, second, 0, 0, 2));
}

static void reply_checks(void)
{
	struct worker handler;
	uint64_t first = 0, second = 0;

	reply_refuses();
	handler_make(&handler, bad_replies);
	forge_must(cairn_call(forge_portal(handler.thread, 0), 0, 0, 0, 0, 0, NULL, &first, &second,
			      NULL, NULL),
		   "calling the handler of bad replies");
	check_value("reply-with-a-first-argument-is-refused", first, CAIRN_ERR_ARG);
	check_value("reply-of-17-words-is-refused", second, CAIRN_ERR_ARG);
}

/* A handler that waits until it is signalled, and the order it saw. */
static volatile uint64_t order[4], orders;

static void slow(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t count)
{
	(void)badge, (void)w2, (void)w3, (void)w4, (void)count;
	order[orders++ & 3] = w1;
	forge_ignore(cairn_wait(0, NULL));
	forge_ignore(cairn_reply(0, w1, 0, 0, 0, 1));
}

static void queue(void)
{
	struct worker handler, callers[3];

	handler_make(&handler, slow);
	slow_portal = forge_portal(handler.thread, 0);
	orders = 0;
	for (unsigned i = 0; i < 3; i++) {
		call_status[i] = ~0ul;
		worker_make(&callers[i], caller, i, PRIORITY_HIGH + i, NULL);
		worker_resume(&callers[i]); /* runs until its call waits */
	}
	check_value("a-busy-handler-is-entered-once", orders, 1);
	for (unsigned i = 0; i < 3; i++) {
		worker_poke(&handler);
		(void)main_wait();
	}
	check_true("waiting-callers-enter-by-priority",
		   orders == 3 && order[0] == 0 && order[1] == 2 && order[2] == 1, "another order");
	check_true("all-of-them-are-answered",
		   !call_status[0] && !call_status[1] && !call_status[2], "a call failed");
}

static void abort_by_deletion(void)
{
	struct worker handler, callers[2];

	handler_make(&handler, slow);
	slow_portal = forge_portal(handler.thread, 0);
	orders = 0;
	for (unsigned i = 0; i < 2; i++) {
		call_status[i] = ~0ul;
		worker_make(&callers[i], caller, i, PRIORITY_HIGH, NULL);
		worker_resume(&callers[i]);
	}
	forge_must(revoke_all(handler.thread), "revoking the handler");
	forge_must(delete_all(handler.thread), "deleting the handler");
	(void)main_wait();
	(void)main_wait();
	check_value("a-call-whose-handler-dies-is-aborted", call_status[0], CAIRN_ERR_ABORTED);
	check_value("a-call-that-waits-for-it-too", call_status[1], CAIRN_ERR_ABORTED);
}

static void caller_dies(void)
{
	struct worker handler, callers[2];

	handler_make(&handler, slow);
	slow_portal = forge_portal(handler.thread, 0);
	orders = 0;
	for (unsigned i = 0; i < 2; i++) {
		call_status[i] = ~0ul;
		worker_make(&callers[i], caller, i, PRIORITY_HIGH, NULL);
	}
	worker_resume(&callers[0]);
	forge_must(revoke_all(callers[0].thread), "revoking the caller");
	forge_must(delete_all(callers[0].thread), "deleting the caller");
	worker_poke(&handler); /* finishes for nobody */
	worker_resume(&callers[1]);
	worker_poke(&handler);
	(void)main_wait();
	check_value("a-handler-outlives-its-caller", call_status[1], CAIRN_OK);
	check_value("the-dead-caller-got-no-answer", call_status[0], ~0ul);
}

void suite_portals(void)
{
	in_arena(words);
	in_arena(creation);
	in_arena(nesting);
	in_arena(reply_checks);
	in_arena(queue);
	in_arena(abort_by_deletion);
	in_arena(caller_dies);
}
