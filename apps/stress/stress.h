/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Machine checks under stress: pages that many spaces on all CPUs share are poisoned while their
 * holders read them and others map, unmap, copy, move, retype and revoke (poison.c); and guests on
 * all CPUs are frozen by machine checks and thawed one by one (freeze.c). For C and assembler.
 */
#ifndef STRESS_H
#define STRESS_H

#define PROBES	32 /* pages that are poisoned one after the other */
#define PATTERN 0x50000000

/* struct board */
#define BOARD_OFFSET 8
#define BOARD_BEGUN  (BOARD_OFFSET + 4 * PROBES)
#define BOARD_DONE   (BOARD_BEGUN + PROBES)
/* struct touch */
#define TOUCH_BASE	  0
#define TOUCH_BOARD	  8
#define TOUCH_BUFFER	  16
#define TOUCH_PASSES	  24
#define TOUCH_READS	  28
#define TOUCH_FAULTS	  32
#define TOUCH_READ_ON	  36
#define TOUCH_TOO_EARLY	  40
#define TOUCH_WRONG_DATA  44
#define TOUCH_WRONG_FAULT 48
#define TOUCH_WRONG_WHAT  56
#define TOUCH_WRONG_WHERE 64
#define TOUCH_FAULTED	  72
/* struct message_buffer */
#define BUFFER_ACTIVE  3968
#define BUFFER_VECTOR  3976
#define BUFFER_ADDRESS 3992
#define BUFFER_POISON  4000
/* struct count */
#define COUNT_TURNS 0
#define COUNT_TSC   8

/* Pages of a guest space, which starts at 0. */
#define GUEST_CODE  0x0000
#define GUEST_BOARD 0x1000

#define VECTOR_PF 14

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cairn/types.h>
#include "forge.h"

#define CPUS_MAX 8u

/* What all who read the probes share. */
struct board {
	uint32_t probes, reserved;
	uint32_t offset[PROBES]; /* of each probe in every space */
	uint8_t begun[PROBES];	 /* its poisoning has begun: it may fault */
	uint8_t done[PROBES];	 /* … and is done: whoever reads it later must fault */
};
_Static_assert(offsetof(struct board, offset) == BOARD_OFFSET, "actors.S");
_Static_assert(offsetof(struct board, begun) == BOARD_BEGUN, "actors.S");
_Static_assert(offsetof(struct board, done) == BOARD_DONE, "actors.S");

/* What one reader has seen. */
struct touch {
	uint64_t base, board, buffer; /* addresses, for a thread */
	uint32_t passes, reads, faults;
	uint32_t read_on;     /* a read of a page that was done */
	uint32_t too_early;   /* a fault of a page that was not begun */
	uint32_t wrong_data;  /* a read of something else */
	uint32_t wrong_fault; /* another fault or exit than one with the poison tag */
	uint32_t reserved;
	uint64_t wrong_what, wrong_where; /* the last such: vector or class, address */
	uint8_t faulted[PROBES];
};
_Static_assert(offsetof(struct touch, passes) == TOUCH_PASSES, "actors.S");
_Static_assert(offsetof(struct touch, read_on) == TOUCH_READ_ON, "actors.S");
_Static_assert(offsetof(struct touch, wrong_fault) == TOUCH_WRONG_FAULT, "actors.S");
_Static_assert(offsetof(struct touch, wrong_where) == TOUCH_WRONG_WHERE, "actors.S");
_Static_assert(offsetof(struct touch, faulted) == TOUCH_FAULTED, "actors.S");
_Static_assert(offsetof(struct message_buffer, fault_active) == BUFFER_ACTIVE, "actors.S");
_Static_assert(offsetof(struct message_buffer, fault_vector) == BUFFER_VECTOR, "actors.S");
_Static_assert(offsetof(struct message_buffer, fault_poison) == BUFFER_POISON, "actors.S");

/* What a counting guest writes. */
struct count {
	uint32_t turns, reserved;
	uint64_t tsc; /* of its last turn */
};
_Static_assert(offsetof(struct count, tsc) == COUNT_TSC, "actors.S");

/* actors.S: code that is copied into spaces of its own. */
extern const uint8_t stress_host_code[], stress_host_fault[], stress_host_end[];
extern const uint8_t stress_guest_code[], stress_guest_next[], stress_guest_end[];
extern const uint8_t stress_count_code[], stress_count_end[];
/* Reads a word that may be lost: 0, 1: it is, 2: another fault. `buffer`: of the calling thread. */
int stress_peek(const volatile void *at, uint32_t *value, struct message_buffer *buffer);
extern const uint8_t stress_peek_fault[];

/* ---- place.c ---- */

/* A space with a GiB of room at `base`: page n (0..511) in its first 2 MiB, large page n (1..511)
 * behind. */
struct space {
	uint64_t root, level2, level1; /* selectors */
	uint64_t base;
	uint32_t label;
	enum cairn_pt_kind kind;
};
void space_make(struct space *space, enum cairn_pt_kind kind, uint32_t label);
/* A GiB of a space that exists, at an address that nobody uses. */
void space_join(struct space *space, uint64_t root, uint32_t label, uint64_t base);
/* Each maps a copy. */
void space_map(const struct space *space, uint64_t frame, unsigned page, uint32_t rights);
void space_map_large(const struct space *space, uint64_t frame, unsigned page);
/* Copies code into a Frame of its own, as page 0. */
void space_load(const struct space *space, const uint8_t *code, const uint8_t *end);

struct probe {
	uint64_t frame; /* selector of the original */
	uint64_t phys;
	bool large; /* a page of a 2 MiB Frame */
};
extern struct probe probes[PROBES];
extern struct board *board; /* mapped here … */
extern uint64_t board_frame;
extern struct space self; /* … as the probes are, by their originals */

/* Memory at known physical addresses; to be called before forge_init. */
void place_init(void);
void place_probes(void);
/* A Frame, an Untyped of `bits` whose physical address is told. */
uint64_t place_frame(unsigned bits, uint64_t *phys);
uint64_t place_untyped(unsigned bits, uint64_t *phys);

/* ---- actors.c ---- */

/* Movers come before readers, for less than half of the time. */
#define PRIORITY_MOVER	10u
#define PRIORITY_READER 9u

unsigned cpu_count(void); /* that are used */
/* A mover's thread, which enters fn(arg) on that CPU; *buffer: its message buffer. */
uint64_t thread_moving(void (*fn)(uint64_t arg), uint64_t arg, unsigned cpu,
		       struct message_buffer **buffer);
/* A reader of the probes in `space` on that CPU. */
struct touch *thread_touching(const struct space *space, unsigned cpu);
struct touch *guest_touching(const struct space *space, unsigned cpu);
/* A guest that only counts, in `frame`; *vcpu: its VCpu. */
struct count *guest_counting(const struct space *space, unsigned cpu, uint64_t frame,
			     uint64_t *vcpu);

/* ---- movers.c ---- */

struct mover {
	uint64_t rounds, maps, moves, retypes, revokes, reads, hits;
	uint64_t read_on, too_early, wrong_data, wrong_fault;
	const char *refused; /* what was not allowed that should have been */
	cairn_status_t status;
	uint64_t ground, ground_phys; /* an Untyped that is retyped all the time */
	uint64_t buffer;	      /* address */
	uint64_t selectors, seed;
	struct space host, guest; /* of its own */
	uint64_t deposit, guest_deposit, own_deposit;
	unsigned cpu;
};
#define GROUND_BITS 17u
extern struct mover movers[CPUS_MAX];
void mover_start(unsigned cpu);
extern unsigned poisoned_now; /* the probe whose turn it is; PROBES or more: none */
/* Labels of the movers' spaces. */
#define LABEL_MOVER_HOST  0x300u
#define LABEL_MOVER_GUEST 0x380u

/* ---- the two tests ---- */

void poison_test(void);
void freeze_test(void);

/* Prints `FAIL …` and waits for ever. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline uint32_t random_below(uint64_t *seed, uint32_t limit)
{
	*seed ^= *seed << 13; /* Marsaglia's xorshift */
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)(*seed >> 20) % limit;
}
#endif
#endif
