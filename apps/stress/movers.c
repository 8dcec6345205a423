/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread on each CPU that never lets go: copies of the probes' Frames are mapped, moved, unmapped
 * and revoked in spaces of its own and in this server's, and an Untyped is retyped over and over.
 * What it maps may be reported by mc_poison or not: it comes and goes.
 */
#include <cairn/hypercalls.h>
#include <cairn/runtime.h>
#include "stress.h"

#define SELECTORS 40u
#define RW	  (RIGHT_READ | RIGHT_WRITE)
/* Places in its spaces, and in this server's. */
#define PAGES	    128u /* … of level 1, from PAGE on */
#define PAGE	    256u
#define GROUND_PAGE 400u
#define LARGE_PAGE  8u
#define TABLE_PAGE  16u
#define OWN_PAGE    200u /* + CPU */
#define OWN_LARGE   16u	 /* + CPU */
#define GROUND_MOST 16u	 /* objects per turn */

struct mover movers[CPUS_MAX];

static uint64_t selector(const struct mover *m, unsigned n)
{
	return m->selectors + n;
}

/* One of the two answers is right. */
static void want(struct mover *m, cairn_status_t status, cairn_status_t other, const char *what)
{
	if (status == CAIRN_OK || status == other || m->refused)
		return;
	m->status = status;
	m->refused = what;
}

static void must(struct mover *m, cairn_status_t status, const char *what)
{
	want(m, status, CAIRN_OK, what);
}

static void drop(struct mover *m, unsigned n)
{
	cairn_status_t status;

	do
		status = cairn_revoke(SEL_CAPTABLE, selector(m, n));
	while (status == CAIRN_ERR_AGAIN);
	must(m, status, "revoke");
	do
		status = cairn_delete(SEL_CAPTABLE, selector(m, n));
	while (status == CAIRN_ERR_AGAIN);
	must(m, status, "delete");
	m->revokes++;
}

static void copy(struct mover *m, uint64_t source, unsigned n)
{
	must(m, cairn_copy(source, SEL_CAPTABLE, selector(m, n), RIGHT_ALL, 0), "copy");
}

static void map(struct mover *m, unsigned n, uint64_t table, uint64_t index, uint64_t deposit)
{
	must(m, cairn_map(selector(m, n), table, index, RW, deposit), "map");
	m->maps++;
}

/* For a while, others go on. */
static void linger(struct mover *m)
{
	for (uint32_t n = random_below(&m->seed, 2000); n; n--)
		__asm__ volatile("pause");
}

/* Mostly the one that is being poisoned now. */
static unsigned some_probe(struct mover *m, bool large)
{
	unsigned i = *(volatile unsigned *)&poisoned_now;

	if (random_below(&m->seed, 4) == 0)
		i = PROBES;
	while (i >= PROBES || probes[i].large != large)
		i = random_below(&m->seed, PROBES);
	return i;
}

/* A copy and the copy of the copy, in two spaces; taken back one by one or both at once. */
static void two_copies(struct mover *m)
{
	uint64_t frame = probes[some_probe(m, false)].frame;

	copy(m, frame, 0);
	copy(m, selector(m, 0), 1);
	map(m, 0, m->host.level1, PAGE + random_below(&m->seed, PAGES), 0);
	map(m, 1, m->guest.level1, PAGE + random_below(&m->seed, PAGES), 0);
	linger(m);
	if (random_below(&m->seed, 2)) {
		must(m, cairn_unmap(selector(m, 1)), "unmap");
		must(m, cairn_unmap(selector(m, 0)), "unmap");
	}
	drop(m, 0);
}

static void large(struct mover *m)
{
	uint64_t frame = probes[some_probe(m, true)].frame;

	copy(m, frame, 2);
	copy(m, frame, 3);
	map(m, 2, m->host.level2, LARGE_PAGE + random_below(&m->seed, 4), m->deposit);
	map(m, 3, m->guest.level2, LARGE_PAGE + random_below(&m->seed, 4), m->guest_deposit);
	linger(m);
	drop(m, 3);
	must(m, cairn_unmap(selector(m, 2)), "unmap");
	drop(m, 2);
}

/* While it is mapped; the kernel refuses that while the page is being poisoned. */
static void move(struct mover *m)
{
	unsigned from = 4, to = 5;

	copy(m, probes[some_probe(m, false)].frame, from);
	map(m, from, m->guest.level1, PAGE - 1, 0);
	for (unsigned n = 0; n < 8; n++) {
		cairn_status_t status =
			cairn_move(selector(m, from), SEL_CAPTABLE, selector(m, to));

		want(m, status, CAIRN_ERR_BUSY, "move");
		if (status != CAIRN_OK)
			break;
		from ^= to;
		to ^= from;
		from ^= to;
		m->moves++;
	}
	drop(m, from);
}

/* In this server's own space, where it can be read: what was done before it was mapped must not be
 * there. */
static void read_own(struct mover *m)
{
	bool big = random_below(&m->seed, 4) == 0;
	unsigned i = some_probe(m, big);
	uint64_t at = self.base;
	bool done = __atomic_load_n(&board->done[i], __ATOMIC_ACQUIRE);
	uint32_t value = 0;
	int lost;

	copy(m, probes[i].frame, 6);
	if (big) {
		map(m, 6, self.level2, OWN_LARGE + m->cpu, m->own_deposit);
		at += (OWN_LARGE + m->cpu) * PAGE_SIZE_2M + board->offset[i] % PAGE_SIZE_2M;
	} else {
		map(m, 6, self.level1, OWN_PAGE + m->cpu, 0);
		at += (OWN_PAGE + m->cpu) * PAGE_SIZE_4K;
	}
	for (unsigned n = 0; n < 4; n++) {
		lost = stress_peek((const void *)at, &value, (void *)m->buffer);
		m->reads++;
		m->hits += lost == 1;
		m->read_on += !lost && done;
		m->wrong_data += !lost && value != PATTERN + i;
		m->wrong_fault += lost == 2;
		m->too_early += lost == 1 && !__atomic_load_n(&board->begun[i], __ATOMIC_ACQUIRE);
	}
	drop(m, 6);
}

/* Frames and paging structures, on pages that may be lost; then the Untyped begins anew. */
static void retype(struct mover *m)
{
	cairn_status_t status;

	for (unsigned n = 0; n < GROUND_MOST; n++) {
		bool table = random_below(&m->seed, 4) == 0;

		status = cairn_retype(m->ground, table ? CAP_PAGETABLE : CAP_FRAME,
				      table ? 0 : PAGE_BITS_4K, SEL_CAPTABLE, selector(m, 16 + n),
				      table ? 1 : 0);
		want(m, status, table ? CAIRN_ERR_POISON : CAIRN_OK, "retype");
		m->retypes++;
		if (status != CAIRN_OK)
			continue;
		if (table) {
			must(m,
			     cairn_pagetable_link(m->host.level2, TABLE_PAGE + n,
						  selector(m, 16 + n)),
			     "link");
		} else {
			map(m, 16 + n, m->host.level1, GROUND_PAGE + n, 0);
		}
	}
	linger(m);
	do
		status = cairn_revoke(SEL_CAPTABLE, m->ground);
	while (status == CAIRN_ERR_AGAIN);
	must(m, status, "revoke of an Untyped");
	m->revokes++;
}

static void mover_run(uint64_t cpu)
{
	static void (*const turns[])(struct mover * m) = {two_copies, large, move, read_own,
							  retype};
	struct mover *m = &movers[cpu];

	for (;;) {
		turns[random_below(&m->seed, sizeof(turns) / sizeof(turns[0]))](m);
		m->rounds++;
	}
}

void mover_start(unsigned cpu)
{
	struct mover *m = &movers[cpu];
	struct message_buffer *buffer;
	uint64_t thread = thread_moving(mover_run, cpu, cpu, &buffer);

	m->cpu = cpu;
	m->seed = 0x9e3779b97f4a7c15 * (cpu + 1);
	m->buffer = (uintptr_t)buffer;
	m->ground = place_untyped(GROUND_BITS, &m->ground_phys);
	m->deposit = forge_pagetable(PT_HOST, 1, 0);
	m->guest_deposit = forge_pagetable(PT_GUEST, 1, 0);
	m->own_deposit = forge_pagetable(PT_HOST, 1, 0);
	space_make(&m->host, PT_HOST, LABEL_MOVER_HOST + cpu);
	space_make(&m->guest, PT_GUEST, LABEL_MOVER_GUEST + cpu);
	m->selectors = forge_select();
	for (unsigned i = 1; i < SELECTORS; i++)
		(void)forge_select();
	forge_must(cairn_resume(thread), "resuming a mover");
}
