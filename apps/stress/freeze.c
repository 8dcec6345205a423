/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counting guests, one on each CPU, and this server in the place of the mca-server. After each
 * machine check (tools/scenarios/freeze_thaw.py injects them) it lets time pass before it looks at
 * the records, and more before it thaws: no guest may count meanwhile. Then it thaws one after the
 * other: that one must count again, and no other.
 */
#include <stdio.h>
#include <cairn/hypercalls.h>
#include <cairn/mca.h>
#include <cairn/runtime.h>
#include "stress.h"

#define PAGES	     256u /* of each VM, to be lost */
#define FIRST_PAGE   16u  /* … from here on in its space */
#define HOLD_US	     500000u
#define PATIENCE_US  60000000u
#define LABEL_FROZEN 0x400u
#define RW	     (RIGHT_READ | RIGHT_WRITE)

static struct machine {
	volatile struct count *count;
	uint64_t vcpu;
	uint64_t first; /* physical address of its pages */
	uint32_t seen;	/* turns, when it was frozen */
} machines[CPUS_MAX];
static uint64_t acknowledged[CPUS_MAX];

static void make_machine(unsigned cpu)
{
	struct machine *m = &machines[cpu];
	struct space space;
	uint64_t phys, count = place_frame(PAGE_BITS_4K, &phys);

	space_make(&space, PT_GUEST, LABEL_FROZEN + cpu);
	space_load(&space, stress_count_code, stress_count_end);
	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t at, frame = place_frame(PAGE_BITS_4K, &at);

		if (!i)
			m->first = at;
		space_map(&space, frame, FIRST_PAGE + i, RW);
	}
	m->count = guest_counting(&space, cpu, count, &m->vcpu);
	printf("stress: vm %u on CPU %u: counter at 0x%lx, pages 0x%lx..0x%lx\n", cpu, cpu, phys,
	       m->first, m->first + PAGES * PAGE_SIZE_4K);
}

static void rest(uint64_t us)
{
	uint64_t end = cairn_tsc() + cairn_ticks_from_us(us);

	/* Notifications may end a wait. */
	while (cairn_tsc() < end)
		forge_ignore(cairn_wait(end, NULL));
}

/* Takes the oldest record of a CPU, if there is one. */
static bool look(unsigned cpu, struct mca_record *record, uint64_t *epoch)
{
	uint64_t count = 0;
	cairn_status_t status =
		cairn_mc_harvest(SEL_MACHINECHECK, cpu, acknowledged[cpu], &count, epoch);

	if (status != CAIRN_OK)
		fail("mc_harvest of CPU %u answers %s", cpu, cairn_status_name(status));
	*record = *(const struct mca_record *)cairn_buffer()->words;
	return count != 0;
}

static void take(unsigned cpu, const struct mca_record *r)
{
	int64_t late = 0;

	if (r->cpu != cpu || r->sequence != acknowledged[cpu] + 1)
		fail("CPU %u, after record %lu: one of CPU %u with number %lu", cpu,
		     acknowledged[cpu], r->cpu, r->sequence);
	acknowledged[cpu] = r->sequence;
	for (unsigned i = 0; i < cpu_count(); i++)
		if ((int64_t)(machines[i].count->tsc - r->tsc) > late)
			late = (int64_t)(machines[i].count->tsc - r->tsc);
	printf("stress: record cpu %u seq %lu bank %u status 0x%lx addr 0x%lx mcg 0x%lx context %u "
	       "label 0x%x last %u epoch %lu; a guest left %lu us later\n",
	       r->cpu, r->sequence, r->bank, r->status, r->addr, r->mcg_status, r->context,
	       r->label, r->last, r->epoch, cairn_us_from_ticks((uint64_t)late));
}

/* All records of all exceptions up to what it returns. */
static uint64_t take_all(uint64_t *records)
{
	struct mca_record record;
	uint64_t first = 0, epoch = 0, last;

	do {
		last = epoch;
		for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
			while (look(cpu, &record, cpu ? &first : &epoch)) {
				take(cpu, &record);
				++*records;
			}
		}
	} while (epoch != last);
	return epoch;
}

static void remember(void)
{
	for (unsigned i = 0; i < cpu_count(); i++)
		machines[i].seen = machines[i].count->turns;
}

/* None of the machines that `thawed` does not name has counted. */
static void none_runs(uint32_t thawed, const char *when)
{
	for (unsigned i = 0; i < cpu_count(); i++)
		if (!(thawed >> i & 1) && machines[i].count->turns != machines[i].seen)
			fail("vm %u counted from %u to %u %s", i, machines[i].seen,
			     machines[i].count->turns, when);
}

static void wait_count(unsigned i, const char *when)
{
	uint64_t end = cairn_tsc() + cairn_ticks_from_us(PATIENCE_US);
	uint32_t before = machines[i].count->turns;

	while (machines[i].count->turns == before) {
		if (cairn_tsc() > end)
			fail("vm %u does not count %s", i, when);
		rest(1000);
	}
}

/* Returns the epoch that all were thawed for. */
static uint64_t round_of(unsigned number)
{
	struct mca_record record;
	uint64_t epoch = 0, records = 0;
	uint32_t thawed = 0;

	/* Each CPU answers this in its kernel: no guest runs from here on. */
	for (unsigned cpu = 0; cpu < cpu_count(); cpu++)
		(void)look(cpu, &record, &epoch);
	remember();
	rest(HOLD_US);
	none_runs(0, "before anybody had looked");
	epoch = take_all(&records);
	rest(HOLD_US / 4);
	none_runs(0, "after its records were acknowledged, but before it was thawed");
	for (unsigned n = 0; n < cpu_count(); n++) {
		unsigned i = (n + number) % cpu_count();

		forge_must(cairn_mc_thaw(SEL_MACHINECHECK, machines[i].vcpu, epoch), "thawing");
		thawed |= 1u << i;
		wait_count(i, "after its thaw");
		none_runs(thawed, "when another was thawed");
	}
	printf("stress: round %u: %lu records, epoch %lu, %u vms frozen and thawed: ok\n", number,
	       records, epoch, cpu_count());
	fflush(stdout);
	return epoch;
}

void freeze_test(void)
{
	uint64_t epoch = 0, known = 0;
	struct mca_record record;

	for (unsigned cpu = 0; cpu < cpu_count(); cpu++)
		make_machine(cpu);
	forge_must(cairn_mc_bind(SEL_MACHINECHECK, SEL_SELF), "binding");
	for (unsigned i = 0; i < cpu_count(); i++)
		wait_count(i, "at the start");
	printf("stress: ready\n");
	fflush(stdout);
	for (unsigned number = 1;; number++) {
		while (epoch == known) {
			forge_ignore(cairn_wait(cairn_tsc() + cairn_ticks_from_us(100000), NULL));
			for (unsigned cpu = 0; cpu < cpu_count() && epoch == known; cpu++)
				if (look(cpu, &record, &epoch) && !record.epoch)
					take(cpu, &record);
		}
		known = epoch = round_of(number);
	}
}
