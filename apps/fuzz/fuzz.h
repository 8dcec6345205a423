/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fuzz server builds domains: each has a CapTable, an address space, memory of its own and
 * threads on several CPUs that make random hypercalls by themselves. This is what the driver
 * (main.c, domain.c: the server itself) and the code that runs in a domain (generate.c,
 * arguments.c, handler.c, entry.S) share. A domain's code sees nothing but its state and its
 * stacks.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <cairn/hypercall_numbers.h>
#include <cairn/types.h>
#include <cairn/vcpu.h>

#define MAX_CPUS     4u
#define PLACES	     16u /* stacks and message buffers for a domain's threads: so many can run */
#define CHECK_EACH   1000u
#define PRIORITY_MAX 20u /* the ceiling of all its threads: the driver runs above */

/* Pages of a domain's space, behind FORGE_SPACE_VA; its code lies at the server's own addresses, in
 * the first ones. */
#define PAGE_STATE   256u
#define STATE_PAGES  3u
#define PAGE_STACK   272u /* + place */
#define PAGE_BUFFER  288u /* + place */
#define PAGE_VCPU    304u /* + n: state pages */
#define VCPU_PAGES   2u
#define DOMAIN_VA(p) (0x400000ul + (uint64_t)(p)*PAGE_SIZE_4K)
#define STATE_VA     DOMAIN_VA(PAGE_STATE)

/* A domain's CapTable. What comes before FREE is given by the driver and is rarely deleted. */
enum domain_selector {
	SLOT_TABLE = 0,
	SLOT_UNTYPED = 1,
	SLOT_SPACE = 2,	 /* root of its space: a copy */
	SLOT_GUEST = 3,	 /* root of its guest space: a copy */
	SLOT_ERRORS = 4, /* MachineCheck */
	SLOT_IRQS = 5,	 /* lines nobody uses */
	SLOT_IRQ = 6,	 /* one of them */
	SLOT_PORTS = 7,	 /* ports nobody uses */
	SLOT_CPUS = 8,
	SLOT_THREAD =
		9, /* + n: those the driver made: 0, 1: run; 2, 3: handlers on the CPUs of 0, 1 */
	SLOT_SUPERVISOR = 13, /* + CPU: Portal to the driver's handler of faults there */
	SLOT_PEER = 17,	      /* + n: Portals to handlers of other domains */
	SLOT_VCPU_PAGE = 21,  /* + n: Frames, mapped at PAGE_VCPU */
	SLOT_BUFFER = 23,     /* + place: Frames, mapped at PAGE_BUFFER */
	SLOT_BAD = 39,	      /* + n: Frames whose memory mc_poison may take */
	SLOT_BAD_TABLE = 42,  /* a PageTable whose memory it may take */
	SLOT_EXIT = 43, /* + 16 * n + class: Portals to handler n, made by the domain itself */
	SLOT_COM = 75,	/* the ports of the serial line, which the kernel writes to */
	SLOT_FREE = 76,
	SLOTS = 128,
};
#define DRIVER_THREADS 4u
#define PEERS	       4u
#define BADGE_CALL                                                                                 \
	16u /* portals between domains have this badge or more; exits come with the number of a    \
	       state page */
#define BAD_FRAMES 3u /* the last one is of 2 MiB */

/* What a slot seems to hold. Several threads write it: it may be wrong. */
struct hint {
	uint8_t type;	/* enum cairn_type */
	uint8_t detail; /* Untyped: size in bits; Frame: 1: of 2 MiB; PageTable: level | kind << 4;
			   Irq: 1: one line; Thread, VCpu: 1: configured; CapTable: 1: the domain's
			   own */
	uint8_t mapped; /* Frame, PageTable: hangs somewhere */
};

struct thread_state {
	uint64_t random;
	uint64_t calls;	    /* hypercalls made */
	uint32_t unchecked; /* since the last look for violations */
	uint32_t replying;  /* a reply was made that has not failed yet */
	uint32_t made[CAIRN_CALL_COUNT], accepted[CAIRN_CALL_COUNT];
};

/* Mapped by the driver and, at STATE_VA, by the domain. */
struct domain_state {
	uint64_t claimed;      /* bit per place: a thread is on its stack */
	uint64_t cpus;	       /* that run */
	uint64_t first_cpu;    /* of those it may use */
	uint64_t cpu[2];       /* of threads 0, 1 and handlers 2, 3 */
	uint64_t first_number; /* slot numbers for CapTables of its own: NUMBERS of them */
	uint64_t bad_page[BAD_FRAMES + 1]; /* physical addresses of SLOT_BAD and SLOT_BAD_TABLE; 0:
					      there is none */
	uint64_t poison_page, cursor;	   /* of the mc_poison that is on its way */
	uint64_t cpu_starts;		   /* how often cpu_start may still be tried */
	uint64_t serials;   /* how often serial may still be tried: it repeats what was said */
	uint64_t next_apic; /* local APIC id of a CPU that does not run yet, or of one that does */
	uint64_t started;   /* index of the CPU that it has started */
	uint64_t checks;    /* looks for violations */
	uint64_t fault, place, line,
		number;	  /* the first one: what debug_check said, and after which hypercall */
	uint64_t revoke;  /* selector of an Untyped that is used up */
	struct hint wish; /* what was looked for and not found */
	struct hint hint[SLOTS];
	struct thread_state thread[PLACES];
};
_Static_assert(sizeof(struct domain_state) <= STATE_PAGES * PAGE_SIZE_4K, "fits its pages");
#define NUMBERS 64u

/* ---- the domain's side ---- */

static inline struct domain_state *domain_state(void)
{
	return (struct domain_state *)STATE_VA;
}

static inline struct message_buffer *buffer_of(unsigned place)
{
	return (struct message_buffer *)DOMAIN_VA(PAGE_BUFFER + place);
}

static inline uint64_t random_word(struct thread_state *t)
{
	uint64_t x = t->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	t->random = x;
	return x;
}

static inline uint32_t below(struct thread_state *t, uint32_t limit)
{
	return (uint32_t)((random_word(t) >> 32) * limit >> 32);
}

static inline bool one_in(struct thread_state *t, uint32_t n)
{
	return below(t, n) == 0;
}

/* entry.S: where a domain's threads and handlers begin, where foreign system calls bounce to, and
 * where its own faults do. */
extern const char domain_thread[], domain_handler[], domain_bounce[], domain_fault[];
/* One instruction that faults and that the supervisor steps over. */
void domain_undefined(void);
/* Replies from no stack: the place is given back first. */
_Noreturn void domain_reply(uint64_t place, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			    uint64_t count);

/* The loop of a thread on place `place`. */
_Noreturn void generate(unsigned place);
/* Some calls of a thread; `handling`: it must not block. */
void generate_some(unsigned place, unsigned calls, bool handling);
/* A message entered. */
_Noreturn void handle(unsigned place, uint64_t badge, uint64_t w1, uint64_t count);

/* One hypercall, counted; arguments in, results out. */
uint64_t hypercall(struct thread_state *t, uint64_t number, uint64_t a[6]);
/* Arguments of hypercall `number` that may well be accepted. */
void choose(unsigned place, uint64_t number, uint64_t a[6]);
/* Spoils one of them. */
void mutate(struct thread_state *t, uint64_t a[6]);
/* What the answer tells about the slots. */
void learn(uint64_t number, const uint64_t a[6], uint64_t status, const uint64_t out[6]);

/* ---- entry.S: code of a guest, one piece of GUEST_PIECE bytes after the other ---- */
#define GUEST_PIECE 16u
extern const char guest_code[], guest_code_end[];
#define GUEST_CODE_GPA 0x1000ul

#endif
