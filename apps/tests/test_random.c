/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls at random from a protection domain of its own: whatever it does with its own
 * capabilities, the kernel stays up, nobody else notices, and all its memory can be taken back.
 */
#include <cairn/hypercall_numbers.h>
#include <cairn/hypercalls.h>
#include "check.h"
#include "worker.h"

#define ROUNDS	    60u
#define CALLS	    600u
#define TABLE_SLOTS 64u
#define MEMORY_BITS 19u /* 512 KiB per round */

static volatile bool finished;
static unsigned rounds_finished;
static uint64_t random_state = 0x9e3779b97f4a7c15ul;
static volatile uint64_t successes, calls_made;
static struct message_buffer *random_buffer;

/* xorshift64: the same numbers in each run. */
static uint64_t random_word(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t below(uint64_t limit)
{
	return (random_word() >> 11) % limit;
}

/* Mostly selectors and small numbers, so that many calls get somewhere. */
static uint64_t random_argument(void)
{
	static const uint64_t edges[] = {
		0x1000, 0x200000,   0xffff800000000000ul, ~0ul,	 1ul << 63, 1ul << 32,
		511,	512,	    4 | 1ul << 32,	  0x104, 0x103,	    0x102,
		0x101,	32ul << 32, FORGE_SPACE_VA,	  0xff,	 RIGHT_ALL};

	switch (below(8)) {
	case 0:
		return edges[below(sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return random_word();
	case 2:
	case 3:
		return below(8);
	default:
		return below(TABLE_SLOTS);
	}
}

static uint64_t random_call(uint64_t number)
{
	uint64_t rax = CAIRN_CALL_BASE + number, rdi = random_argument(), rsi = random_argument();
	uint64_t rdx = random_argument();
	register uint64_t r10 __asm__("r10") = random_argument();
	register uint64_t r8 __asm__("r8") = random_argument();
	register uint64_t r9 __asm__("r9") = random_argument();

	if (number == CAIRN_CALL_WAIT)
		rdi = 1; /* never block */
	if (number == CAIRN_CALL_RETYPE && below(2)) {
		/* A sensible one: the Untyped is in slot 1, the table in slot 0. */
		rdi = 1;
		rsi = 1 + below(6);
		rdx = below(8) ? 12 : 13;
		r10 = 0;
		r8 = below(TABLE_SLOTS);
		r9 = rsi == CAP_PAGETABLE ? 1 + below(4) + (below(2) << 8) : r9;
	}
	__asm__ volatile("syscall"
			 : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10), "+r"(r8), "+r"(r9)
			 :
			 : "rcx", "r11", "cc", "memory");
	return rax;
}

static void random_calls(uint64_t arg)
{
	(void)arg;
	for (unsigned i = 0; i < CALLS; i++) {
		uint64_t number = below(CAIRN_CALL_DEBUG_WRITE); /* the last one, and only noise */

		for (unsigned w = 0; w < 16; w++)
			random_buffer->words[w] = random_argument();
		calls_made++;
		if (random_call(number) == CAIRN_OK)
			successes++;
	}
	finished = true;
}

static void one_round(void)
{
	uint64_t untyped = forge_untyped(MEMORY_BITS);
	struct forge_thread config = {.captable = forge_captable(TABLE_SLOTS)};
	struct worker w;

	forge_must(cairn_copy(config.captable, config.captable, 0, RIGHT_ALL, 0),
		   "giving it its CapTable");
	forge_must(cairn_move(untyped, config.captable, 1), "giving it its Untyped");
	worker_make(&w, random_calls, 0, PRIORITY_HIGH, &config);
	random_buffer = w.buffer;
	finished = false;
	worker_resume(&w);
	/* It may be waiting for a handler that it made and that never answers: its own affair. */
	for (unsigned i = 0; i < 5 && !finished; i++)
		pause_us(2000);
	rounds_finished += finished;
}

static void echo(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t count)
{
	(void)badge;
	forge_ignore(cairn_reply(0, w1, w2, w3, w4, count));
}

/* The kernel still does what it should. */
static void afterwards(void)
{
	struct worker handler;
	uint64_t word = 0;

	handler_make(&handler, echo);
	check_status("after-random-calls-messages-still-travel",
		     cairn_call(forge_portal(handler.thread, 0), 815, 0, 0, 0, 1, NULL, &word, NULL,
				NULL, NULL),
		     CAIRN_OK);
	check_value("and-arrive-as-sent", word, 815);
}

void random_start(uint64_t seed)
{
	random_state = seed;
}

void suite_random(void)
{
	rounds_finished = successes = calls_made = 0;
	for (unsigned i = 0; i < ROUNDS; i++)
		in_arena(one_round);
	check_true("most-random-rounds-come-to-their-end", rounds_finished > ROUNDS / 2,
		   "too many wait for ever: the test tries little");
	check_true("many-random-calls-succeed", successes > calls_made / 20,
		   "hardly one succeeded: the test tries nothing");
	check_true("many-random-calls-are-refused", successes < calls_made * 9 / 10,
		   "hardly one was refused");
	in_arena(afterwards);
}
