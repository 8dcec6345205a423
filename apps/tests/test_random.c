/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls at random from a protection domain of its own: whatever it does with its own
 * capabilities, the kernel stays up, nobody else notices, and all its memory can be taken back.
 */
#include <stdio.h>
#include <cairn/hypercall_numbers.h>
#include <cairn/hypercalls.h>
#include <cairn/types.h>
#include "check.h"
#include "trial.h"
#include "worker.h"

#define ROUNDS	      200u
#define SHARED_ROUNDS 8u
#define PATIENCE      5u /* times 2 milliseconds without a call */
#define CALLS	      1500u
#define SHARED_CALLS  300u /* other CPUs have a part in many of them */
#define TABLE_SLOTS   128u
#define MEMORY_BITS   19u /* 512 KiB per round */

/* Where the last object of each kind was made; calls that are to succeed are aimed at these. */
struct objects {
	uint64_t frame, thread, vcpu, portal;
	uint64_t table[2][5]; /* PageTables by kind and level */
};
static const struct objects nothing = {2, 2, 2, 2, {{2, 2, 2, 2, 2}, {2, 2, 2, 2, 2}}};

/* Who calls at random, one on each CPU that takes part. */
#define FUZZERS_MAX 4u
static struct fuzzer {
	uint64_t state; /* of its random numbers */
	struct objects last;
	struct message_buffer *buffer;
	volatile bool finished;
	uint64_t wanted;
	volatile uint64_t successes, calls;
} fuzzers[FUZZERS_MAX];

static uint64_t seed = 0x9e3779b97f4a7c15ul;
static uint64_t successes, calls_made;
static uint64_t cpus; /* that objects may be put on */

/* xorshift64: the same numbers in each run. */
static uint64_t random_word(struct fuzzer *f)
{
	f->state ^= f->state << 13;
	f->state ^= f->state >> 7;
	f->state ^= f->state << 17;
	return f->state;
}

static uint64_t below(struct fuzzer *f, uint64_t limit)
{
	return (random_word(f) >> 11) % limit;
}

/* Mostly selectors and small numbers, so that many calls get somewhere. */
static uint64_t random_argument(struct fuzzer *f)
{
	static const uint64_t edges[] = {
		0x1000, 0x200000,   0xffff800000000000ul, ~0ul,	 1ul << 63, 1ul << 32,
		511,	512,	    4 | 1ul << 32,	  0x104, 0x103,	    0x102,
		0x101,	32ul << 32, FORGE_SPACE_VA,	  0xff,	 RIGHT_ALL};

	switch (below(f, 8)) {
	case 0:
		return edges[below(f, sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return random_word(f);
	case 2:
	case 3:
		return below(f, 8);
	default:
		return below(f, TABLE_SLOTS);
	}
}

static uint64_t any_object(struct fuzzer *f)
{
	const uint64_t objects[] = {f->last.frame,	 f->last.thread,      f->last.vcpu,
				    f->last.portal,	 f->last.table[0][4], f->last.table[1][4],
				    f->last.table[0][1], f->last.table[1][1]};

	return objects[below(f, sizeof(objects) / sizeof(objects[0]))];
}

static void aim_retype(struct fuzzer *f, uint64_t a[6])
{
	uint64_t kind = below(f, 2), level = 1 + below(f, 4), type = 1 + below(f, 6);

	a[0] = 1;
	a[1] = type;
	a[2] = below(f, 8) ? 12 : 13;
	a[3] = 0;
	a[4] = 2 + below(f, TABLE_SLOTS - 2);
	if (type == CAP_PAGETABLE) {
		a[5] = level | kind << 8 | (level == 4 ? 0x7ful << 32 : 0);
		f->last.table[kind][level] = a[4];
	} else if (type == CAP_FRAME) {
		f->last.frame = a[4];
	} else if (type == CAP_THREAD) {
		f->last.thread = a[4];
	} else if (type == CAP_VCPU) {
		f->last.vcpu = a[4];
	}
}

static void aim_thread(struct fuzzer *f, uint64_t a[6])
{
	struct thread_config *config = (struct thread_config *)f->buffer->words;

	a[0] = f->last.thread;
	a[1] = below(f, 4) ? THREAD_SPACE | THREAD_REGS | THREAD_UPCALLS | THREAD_TIME
			   : below(f, 16);
	config->space = f->last.table[PT_HOST][4];
	config->captable = 0;
	config->buffer = f->last.frame;
	config->cpu = below(f, cpus);
	config->supervisor = below(f, 16) ? ~0ull : f->last.portal; /* itself, often */
	config->rip = below(f, 8) << 12;
	config->rsp = below(f, 8) << 12;
	config->fs_base = config->syscall_entry = 0;
	config->fault_entry = below(f, 4) << 12;
	config->priority = below(f, 2) ? 0 : below(f, 40);
	config->budget_us = 0;
}

static void aim_vcpu(struct fuzzer *f, uint64_t a[6])
{
	struct vcpu_config *config = (struct vcpu_config *)f->buffer->words;

	a[0] = f->last.vcpu;
	config->guest_root = f->last.table[PT_GUEST][4];
	config->home = f->last.table[PT_HOST][4];
	config->captable = 0;
	config->exit_base = below(f, TABLE_SLOTS);
	config->state = f->last.frame;
	config->cpu = below(f, cpus);
	config->priority = 1 + below(f, 40);
	config->budget_us = 0;
}

static void aim_paging(struct fuzzer *f, uint64_t number, uint64_t a[6])
{
	uint64_t kind = below(f, 2), level = 1 + below(f, 3);

	if (number == CAIRN_CALL_MAP) {
		a[0] = f->last.frame;
		a[1] = f->last.table[kind][1];
		a[2] = below(f, 8);
		a[3] = 1 + below(f, 7);
	} else {
		a[0] = f->last.table[kind][level + 1];
		a[1] = below(f, 3) ? 0 : below(f, 512);
		a[2] = f->last.table[kind][level];
	}
}

/* Arguments that may well succeed. */
static void aim(struct fuzzer *f, uint64_t number, uint64_t a[6])
{
	uint64_t slot = 2 + below(f, TABLE_SLOTS - 2);

	switch (number) {
	case CAIRN_CALL_RETYPE:
		aim_retype(f, a);
		break;
	case CAIRN_CALL_COPY:
		a[0] = any_object(f);
		a[1] = 0;
		a[2] = slot;
		a[3] = below(f, 2) ? RIGHT_ALL : below(f, 64);
		a[4] = below(f, 2) ? 0 : below(f, 100);
		break;
	case CAIRN_CALL_MOVE:
		a[0] = any_object(f);
		a[1] = 0;
		a[2] = slot;
		break;
	case CAIRN_CALL_DELETE:
	case CAIRN_CALL_REVOKE:
		a[0] = 0;
		a[1] = number == CAIRN_CALL_REVOKE && !below(f, 8) ? 1 : slot; /* 1: all it has */
		break;
	case CAIRN_CALL_PAGETABLE_LINK:
	case CAIRN_CALL_MAP:
		aim_paging(f, number, a);
		break;
	case CAIRN_CALL_THREAD_CONFIGURE:
		aim_thread(f, a);
		break;
	case CAIRN_CALL_VCPU_CONFIGURE:
		aim_vcpu(f, a);
		break;
	case CAIRN_CALL_PORTAL_CREATE:
		a[0] = f->last.thread;
		a[1] = 0;
		a[2] = f->last.portal = slot;
		a[4] = below(f, 256);
		break;
	case CAIRN_CALL_CALL:
		a[0] = f->last.portal;
		a[5] = below(f, 18);
		break;
	default: /* unmap, resume, suspend, recall, signal */
		a[0] = any_object(f);
		break;
	}
}

static uint64_t random_call(struct fuzzer *f, uint64_t number)
{
	uint64_t a[6], rax = CAIRN_CALL_BASE + number;

	for (unsigned i = 0; i < 6; i++)
		a[i] = random_argument(f);
	if (below(f, 16))
		aim(f, number, a);
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
	struct fuzzer *f = &fuzzers[arg];

	for (unsigned i = 0; i < f->wanted; i++) {
		/* Making things is the most of it; the last call, debug_write, is only noise. */
		uint64_t number = below(f, 4) ? below(f, CAIRN_CALL_DEBUG_WRITE)
					      : (uint64_t)CAIRN_CALL_RETYPE;

		for (unsigned w = 0; w < 16; w++)
			f->buffer->words[w] = random_argument(f);
		f->calls++;
		if (random_call(f, number) == CAIRN_OK)
			f->successes++;
	}
	f->finished = true;
}

/* A fuzzer in the domain of this CapTable. */
static void start_fuzzer(unsigned n, uint64_t captable, uint64_t calls)
{
	const struct forge_thread config = {.captable = captable, .cpu = n % cpus};
	struct fuzzer *f = &fuzzers[n];
	struct worker w;

	worker_make(&w, random_calls, n, PRIORITY_HIGH, &config);
	*f = (struct fuzzer){.buffer = w.buffer, .wanted = calls};
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	f->state = seed | 1;
	/* Empty slots at first, and not its CapTable or its Untyped. */
	f->last = nothing;
	worker_resume(&w);
}

/* A CapTable with a capability to itself in slot 0 and an Untyped of its own in slot 1. */
static uint64_t make_domain(void)
{
	uint64_t untyped = forge_untyped(MEMORY_BITS), captable = forge_captable(TABLE_SLOTS);

	forge_must(cairn_copy(captable, captable, 0, RIGHT_ALL, 0), "giving it its CapTable");
	forge_must(cairn_move(untyped, captable, 1), "giving it its Untyped");
	return captable;
}

/* One may be waiting for a handler that it made and that never answers: its own affair. */
static void wait_for_fuzzer(const struct fuzzer *f)
{
	uint64_t before = ~0ul;

	for (unsigned still = 0; still < PATIENCE && !f->finished; still++) {
		if (f->calls != before)
			still = 0;
		before = f->calls;
		pause_us(2000);
	}
	successes += f->successes;
	calls_made += f->calls;
}

static void wait_for_fuzzers(unsigned count)
{
	for (unsigned n = 0; n < count; n++)
		wait_for_fuzzer(&fuzzers[n]);
}

static void one_round(void)
{
	cpus = 1;
	start_fuzzer(0, make_domain(), CALLS);
	wait_for_fuzzers(1);
}

static unsigned fuzzers_used(void)
{
	cpus = cpu_count() < FUZZERS_MAX ? cpu_count() : FUZZERS_MAX;
	return (unsigned)(cpus < 2 ? 2 : cpus);
}

/* On all CPUs at once, each in a domain of its own, with threads and VCpus on any CPU. */
static void round_beside_others(void)
{
	unsigned count = fuzzers_used();

	for (unsigned n = 0; n < count; n++)
		start_fuzzer(n, make_domain(), SHARED_CALLS);
	wait_for_fuzzers(count);
}

/* On all CPUs at once in one domain: what one makes, another uses, changes and takes away. */
static void round_with_others(void)
{
	unsigned count = fuzzers_used();
	uint64_t captable = make_domain();

	for (unsigned n = 0; n < count; n++)
		start_fuzzer(n, captable, SHARED_CALLS);
	wait_for_fuzzers(count);
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

void random_start(uint64_t start)
{
	seed = start;
}

/* each: fuzzers in a round; wanted: calls each of them makes, if it never has to wait for ever. */
static void play(const char *how, void (*one)(void), unsigned rounds, unsigned each,
		 unsigned wanted)
{
	char name[64];

	successes = calls_made = 0;
	for (unsigned i = 0; i < rounds; i++)
		in_arena(one);
	snprintf(name, sizeof(name), "random-calls-%s-are-many", how);
	check_true(name, calls_made > (uint64_t)rounds * each * wanted / 4,
		   "too many wait for ever: the test tries little");
	snprintf(name, sizeof(name), "many-random-calls-%s-succeed", how);
	check_true(name, successes > calls_made / 20,
		   "hardly one succeeded: the test tries nothing");
	snprintf(name, sizeof(name), "many-random-calls-%s-are-refused", how);
	check_true(name, successes < calls_made * 9 / 10, "hardly one was refused");
	in_arena(afterwards);
}

void suite_random(void)
{
	play("alone", one_round, ROUNDS, 1, CALLS);
	play("beside-others", round_beside_others, SHARED_ROUNDS, fuzzers_used(), SHARED_CALLS);
	play("with-others", round_with_others, SHARED_ROUNDS, fuzzers_used(), SHARED_CALLS);
}
