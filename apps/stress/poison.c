/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page after page is poisoned while threads and guests on all CPUs read them and movers churn. Each
 * space that held a page throughout must be reported once, with its label and address; who reads
 * the page after that must fault. What is left in the paging structures is looked at from outside
 * (tools/scenarios/poison_stress.py).
 */
#include <stdio.h>
#include <cairn/hypercalls.h>
#include <cairn/mca.h>
#include <cairn/runtime.h>
#include "stress.h"

#define STABLE	      5u /* spaces that hold every probe throughout */
#define GROUND_PROBES 4u /* pages of each mover's Untyped that are poisoned as well */
#define GROUND_STEP   7u
#define PAUSE_US      1000u
#define PATIENCE_US   300000000u
#define LABEL_HOST    0x200u
#define LABEL_GUEST   0x280u
#define CODE(name)    name##_code, name##_end

#define TARGETS (PROBES + GROUND_PROBES * CPUS_MAX)

static struct space stable[STABLE]; /* two host spaces, two guest spaces, and this server's */
static struct touch *touches[(STABLE - 1) * CPUS_MAX];
static unsigned touch_count;
static struct {
	uint64_t phys;
	int probe; /* -1: none, but a page of a mover's Untyped */
} targets[TARGETS];
static unsigned target_count;
static uint64_t reports, moving;
unsigned poisoned_now = PROBES;

static void share(const struct space *space)
{
	space_map(space, board_frame, 1, RIGHT_READ);
	for (unsigned i = 0; i < PROBES; i++) {
		unsigned page = (unsigned)(board->offset[i] / PAGE_SIZE_4K);

		if (!probes[i].large)
			space_map(space, probes[i].frame, page, RIGHT_READ | RIGHT_WRITE);
		else if (!i || probes[i].frame != probes[i - 1].frame)
			space_map_large(space, probes[i].frame, page / 512);
	}
}

static void build(void)
{
	for (unsigned n = 0; n < STABLE - 1; n++) {
		bool guest = n >= 2;

		space_make(&stable[n], guest ? PT_GUEST : PT_HOST,
			   (guest ? LABEL_GUEST : LABEL_HOST) + n);
		if (guest)
			space_load(&stable[n], CODE(stress_guest));
		else
			space_load(&stable[n], CODE(stress_host));
		share(&stable[n]);
		/* One space of each kind is read on all CPUs, the other on one. */
		for (unsigned cpu = n & 1 ? cpu_count() - 1 : 0; cpu < cpu_count(); cpu++)
			touches[touch_count++] = guest ? guest_touching(&stable[n], cpu)
						       : thread_touching(&stable[n], cpu);
	}
	stable[STABLE - 1] = self;
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++)
		mover_start(cpu);
}

static void choose_targets(void)
{
	uint64_t seed = cairn_tsc() | 1;

	printf("stress: seed 0x%lx\n", seed);
	for (int i = 0; i < PROBES; i++) {
		targets[target_count].phys = probes[i].phys;
		targets[target_count++].probe = i;
	}
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++)
		for (unsigned n = 0; n < GROUND_PROBES; n++) {
			targets[target_count].phys =
				movers[cpu].ground_phys + n * GROUND_STEP * PAGE_SIZE_4K;
			targets[target_count++].probe = -1;
		}
	for (unsigned i = target_count - 1; i; i--) {
		unsigned j = random_below(&seed, i + 1);
		__typeof__(targets[0]) t = targets[i];

		targets[i] = targets[j];
		targets[j] = t;
	}
}

static uint64_t rounds(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < cpu_count(); i++)
		sum += ((volatile struct mover *)&movers[i])->rounds;
	return sum;
}

static bool is_mover(uint64_t label)
{
	return (label >= LABEL_MOVER_HOST && label < LABEL_MOVER_HOST + cpu_count()) ||
	       (label >= LABEL_MOVER_GUEST && label < LABEL_MOVER_GUEST + cpu_count());
}

/* Which of the stable spaces this is; STABLE: none. */
static unsigned stable_of(uint64_t kind, uint64_t label, uint64_t address, int probe)
{
	unsigned n;

	if (probe < 0)
		return STABLE;
	for (n = 0; n < STABLE; n++)
		if (label == stable[n].label && address == stable[n].base + board->offset[probe] &&
		    (kind == MCA_HOLDER_GUEST) == (stable[n].kind == PT_GUEST))
			break;
	return n;
}

static void report(unsigned target, uint64_t kind, uint64_t label, uint64_t address,
		   unsigned seen[STABLE])
{
	int probe = targets[target].probe;
	unsigned n;

	if (kind == MCA_HOLDER_NONE)
		return;
	reports++;
	n = stable_of(kind, label, address, probe);
	if (n < STABLE && seen[n]++)
		fail("page 0x%lx: space 0x%lx was reported twice", targets[target].phys, label);
	if (n < STABLE)
		return;
	moving++;
	if (kind == MCA_HOLDER_KERNEL && probe < 0)
		return; /* a paging structure of a mover */
	if ((kind == MCA_HOLDER_HOST || kind == MCA_HOLDER_GUEST) &&
	    (is_mover(label) || label == self.label))
		return;
	fail("page 0x%lx: a report of kind %lu, space 0x%lx, address 0x%lx, which nobody is",
	     targets[target].phys, kind, label, address);
}

/* Lets the others of this CPU run. */
static void rest(uint64_t us)
{
	uint64_t end = cairn_tsc() + cairn_ticks_from_us(us);

	while (cairn_tsc() < end)
		(void)cairn_wait_signals(end);
}

/* A mover takes hold of the page whose turn it is. */
static void some_rounds(void)
{
	uint64_t end = cairn_tsc() + cairn_ticks_from_us(PATIENCE_US), before = rounds();

	while (rounds() == before) {
		if (cairn_tsc() > end)
			fail("the movers do not go on");
		rest(PAUSE_US);
	}
}

static void poison(unsigned target)
{
	uint64_t cursor = 0, kind, label, address, rights;
	unsigned seen[STABLE] = {0};
	int probe = targets[target].probe;

	poisoned_now = (unsigned)probe;
	if (probe >= 0)
		some_rounds();
	if (probe >= 0)
		__atomic_store_n(&board->begun[probe], 1, __ATOMIC_SEQ_CST);
	do {
		cairn_status_t status =
			cairn_mc_poison(SEL_MACHINECHECK, targets[target].phys, cursor, &cursor,
					&kind, &label, &address, &rights);

		if (status != CAIRN_OK)
			fail("page 0x%lx: mc_poison answers %s", targets[target].phys,
			     cairn_status_name(status));
		report(target, kind, label, address, seen);
	} while (cursor);
	if (probe < 0)
		return;
	__atomic_store_n(&board->done[probe], 1, __ATOMIC_SEQ_CST);
	for (unsigned n = 0; n < STABLE; n++)
		if (!seen[n])
			fail("page 0x%lx: space 0x%x held it and was not reported",
			     targets[target].phys, stable[n].label);
}

/* Every reader begins and ends a pass, and every mover some turns. */
static void let_all_run(void)
{
	uint64_t end = cairn_tsc() + cairn_ticks_from_us(PATIENCE_US), rounds[CPUS_MAX];
	uint32_t passes[(STABLE - 1) * CPUS_MAX];

	for (unsigned i = 0; i < touch_count; i++)
		passes[i] = ((volatile struct touch *)touches[i])->passes;
	for (unsigned i = 0; i < cpu_count(); i++)
		rounds[i] = ((volatile struct mover *)&movers[i])->rounds;
	for (unsigned i = 0; i < touch_count; i++)
		while (((volatile struct touch *)touches[i])->passes - passes[i] < 2) {
			if (cairn_tsc() > end)
				fail("reader %u of %u does not go on", i, touch_count);
			rest(PAUSE_US);
		}
	for (unsigned i = 0; i < cpu_count(); i++)
		while (((volatile struct mover *)&movers[i])->rounds - rounds[i] < 20) {
			if (cairn_tsc() > end)
				fail("the mover of CPU %u does not go on", i);
			rest(PAUSE_US);
		}
}

static void check_touch(unsigned i)
{
	const volatile struct touch *t = touches[i];

	if (t->read_on || t->too_early || t->wrong_data || t->wrong_fault)
		fail("reader %u of %u: %u reads of what is lost, %u faults too early, %u wrong "
		     "words, %u other faults (the last: %lu at 0x%lx)",
		     i, touch_count, t->read_on, t->too_early, t->wrong_data, t->wrong_fault,
		     t->wrong_what, t->wrong_where);
}

static void check_mover(unsigned cpu)
{
	const struct mover *m = &movers[cpu];

	if (m->refused)
		fail("the mover of CPU %u: %s answers %s", cpu, m->refused,
		     cairn_status_name(m->status));
	if (m->read_on || m->too_early || m->wrong_data || m->wrong_fault)
		fail("the mover of CPU %u: %lu reads of what is lost, %lu faults too early, %lu "
		     "wrong words, %lu other faults",
		     cpu, m->read_on, m->too_early, m->wrong_data, m->wrong_fault);
}

static void check_all(void)
{
	for (unsigned i = 0; i < touch_count; i++)
		check_touch(i);
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++)
		check_mover(cpu);
}

static void tell(void)
{
	uint64_t reads = 0, faults = 0;

	for (unsigned i = 0; i < touch_count; i++) {
		reads += touches[i]->reads;
		faults += touches[i]->faults;
	}
	printf("stress: %u readers: %lu reads, %lu faults\n", touch_count, reads, faults);
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
		const struct mover *m = &movers[cpu];

		printf("stress: mover %u: %lu rounds, %lu maps, %lu moves, %lu retypes, %lu "
		       "revokes, "
		       "%lu reads, %lu hits\n",
		       cpu, m->rounds, m->maps, m->moves, m->retypes, m->revokes, m->reads,
		       m->hits);
	}
	for (unsigned i = 0; i < target_count; i++)
		printf("%s0x%lx%s", i % 8 ? " " : "stress: poisoned ", targets[i].phys,
		       i % 8 == 7 || i == target_count - 1 ? "\n" : "");
	printf("stress: %u pages poisoned on %u CPUs, %lu reports, %lu of them of what moves: ok\n",
	       target_count, cpu_count(), reports, moving);
}

void poison_test(void)
{
	build();
	choose_targets();
	let_all_run();
	check_all();
	for (unsigned target = 0; target < target_count; target++) {
		poison(target);
		check_all();
	}
	let_all_run();
	check_all();
	for (unsigned i = 0; i < touch_count; i++)
		for (unsigned p = 0; p < PROBES; p++)
			if (!touches[i]->faulted[p])
				fail("reader %u of %u never met the loss of page 0x%lx", i,
				     touch_count, probes[p].phys);
	tell();
}
