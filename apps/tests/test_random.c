/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls at random from a protection domain of its own: whatever it does with its own
 * capabilities, the kernel stays up, nobody else notices, and all its memory can be taken back.
 */
#include <cairn/hypercall_numbers.h>
#include <cairn/hypercalls.h>
#include <cairn/types.h>
#include "check.h"
#include "trial.h"
#include "worker.h"

#define ROUNDS	    200u
#define CALLS	    1500u
#define TABLE_SLOTS 128u
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

/* Where the last object of each kind was made; calls that are to succeed are aimed at these. */
static struct objects {
	uint64_t frame, thread, vcpu, portal;
	uint64_t table[2][5]; /* PageTables by kind and level */
} last;
static const struct objects nothing = {2, 2, 2, 2, {{2, 2, 2, 2, 2}, {2, 2, 2, 2, 2}}};

static uint64_t any_object(void)
{
	const uint64_t objects[] = {last.frame,	      last.thread,	last.vcpu,
				    last.portal,      last.table[0][4], last.table[1][4],
				    last.table[0][1], last.table[1][1]};

	return objects[below(sizeof(objects) / sizeof(objects[0]))];
}

static void aim_retype(uint64_t a[6])
{
	uint64_t kind = below(2), level = 1 + below(4), type = 1 + below(6);

	a[0] = 1;
	a[1] = type;
	a[2] = below(8) ? 12 : 13;
	a[3] = 0;
	a[4] = 2 + below(TABLE_SLOTS - 2);
	if (type == CAP_PAGETABLE) {
		a[5] = level | kind << 8 | (level == 4 ? 0x7ful << 32 : 0);
		last.table[kind][level] = a[4];
	} else if (type == CAP_FRAME) {
		last.frame = a[4];
	} else if (type == CAP_THREAD) {
		last.thread = a[4];
	} else if (type == CAP_VCPU) {
		last.vcpu = a[4];
	}
}

static void aim_thread(uint64_t a[6])
{
	struct thread_config *config = (struct thread_config *)random_buffer->words;

	a[0] = last.thread;
	a[1] = below(4) ? THREAD_SPACE | THREAD_REGS | THREAD_UPCALLS | THREAD_TIME : below(16);
	config->space = last.table[PT_HOST][4];
	config->captable = 0;
	config->buffer = last.frame;
	config->cpu = 0;
	config->supervisor = below(16) ? ~0ull : last.portal; /* itself, often */
	config->rip = below(8) << 12;
	config->rsp = below(8) << 12;
	config->fs_base = config->syscall_entry = 0;
	config->fault_entry = below(4) << 12;
	config->priority = below(2) ? 0 : below(40);
	config->budget_us = 0;
}

static void aim_vcpu(uint64_t a[6])
{
	struct vcpu_config *config = (struct vcpu_config *)random_buffer->words;

	a[0] = last.vcpu;
	config->guest_root = last.table[PT_GUEST][4];
	config->home = last.table[PT_HOST][4];
	config->captable = 0;
	config->exit_base = below(TABLE_SLOTS);
	config->state = last.frame;
	config->cpu = 0;
	config->priority = 1 + below(40);
	config->budget_us = 0;
}

static void aim_paging(uint64_t number, uint64_t a[6])
{
	uint64_t kind = below(2), level = 1 + below(3);

	if (number == CAIRN_CALL_MAP) {
		a[0] = last.frame;
		a[1] = last.table[kind][1];
		a[2] = below(8);
		a[3] = 1 + below(7);
	} else {
		a[0] = last.table[kind][level + 1];
		a[1] = below(3) ? 0 : below(512);
		a[2] = last.table[kind][level];
	}
}

/* Arguments that may well succeed. */
static void aim(uint64_t number, uint64_t a[6])
{
	uint64_t slot = 2 + below(TABLE_SLOTS - 2);

	switch (number) {
	case CAIRN_CALL_RETYPE:
		aim_retype(a);
		break;
	case CAIRN_CALL_COPY:
		a[0] = any_object();
		a[1] = 0;
		a[2] = slot;
		a[3] = below(2) ? RIGHT_ALL : below(64);
		a[4] = below(2) ? 0 : below(100);
		break;
	case CAIRN_CALL_MOVE:
		a[0] = any_object();
		a[1] = 0;
		a[2] = slot;
		break;
	case CAIRN_CALL_DELETE:
	case CAIRN_CALL_REVOKE:
		a[0] = 0;
		a[1] = number == CAIRN_CALL_REVOKE && !below(8) ? 1 : slot; /* 1: all it has */
		break;
	case CAIRN_CALL_PAGETABLE_LINK:
	case CAIRN_CALL_MAP:
		aim_paging(number, a);
		break;
	case CAIRN_CALL_THREAD_CONFIGURE:
		aim_thread(a);
		break;
	case CAIRN_CALL_VCPU_CONFIGURE:
		aim_vcpu(a);
		break;
	case CAIRN_CALL_PORTAL_CREATE:
		a[0] = last.thread;
		a[1] = 0;
		a[2] = last.portal = slot;
		a[4] = below(256);
		break;
	case CAIRN_CALL_CALL:
		a[0] = last.portal;
		a[5] = below(18);
		break;
	default: /* unmap, resume, suspend, recall, signal */
		a[0] = any_object();
		break;
	}
}

static uint64_t random_call(uint64_t number)
{
	uint64_t a[6], rax = CAIRN_CALL_BASE + number;

	for (unsigned i = 0; i < 6; i++)
		a[i] = random_argument();
	if (below(16))
		aim(number, a);
	if (number == CAIRN_CALL_WAIT)
		a[0] = 1; /* never block */

	register uint64_t r10 __asm__("r10") = a[3];
	register uint64_t r8 __asm__("r8") = a[4];
	register uint64_t r9 __asm__("r9") = a[5];

	__asm__ volatile("syscall"
			 : "+a"(rax), "+D"(a[0]), "+S"(a[1]), "+d"(a[2]), "+r"(r10), "+r"(r8),
			   "+r"(r9)
			 :
			 : "rcx", "r11", "cc", "memory");
	coverage_random(number, (cairn_status_t)rax);
	return rax;
}

static void random_calls(uint64_t arg)
{
	(void)arg;
	for (unsigned i = 0; i < CALLS; i++) {
		/* Making things is the most of it; the last call, debug_write, is only noise. */
		uint64_t number =
			below(4) ? below(CAIRN_CALL_DEBUG_WRITE) : (uint64_t)CAIRN_CALL_RETYPE;

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
	/* Empty slots at first, and not its CapTable or its Untyped. */
	last = nothing;
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
