/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who never gives the CPU back, starves nobody of equal or higher priority, and gets no more than
 * its budget. Counted in turns and in TSC ticks of those who run: how long a second takes plays no
 * part.
 */
#include <stdio.h>
#include <cairn/hypercalls.h>
#include "check.h"
#include "domain.h"
#include "guest.h"
#include "worker.h"

#define SPINNERS      3u
#define TURNS	      5u
#define SAMPLES	      5000u
#define SAMPLE_US     2000u
#define GAP_US	      5000u /* what runs looks at the TSC much more often */
#define BUDGET_US     10000u
#define PERIOD_US     50000u
#define BUDGETS	      8u
#define PATIENCE      200u /* periods */
#define SHORT_WAITS   20u
#define SHORT_WAIT_US 500u

static struct guest guest;
static struct isolation *guest_data;

/* A guest that spins with its interrupts off. */
static void make_spinning_guest(const uint8_t *entry, uint64_t priority, uint64_t budget_us)
{
	guest = (struct guest){.priority = priority,
			       .budget_us = budget_us,
			       .period_us = budget_us ? PERIOD_US : 0};
	guest_make(&guest, isolation_code, 1, (unsigned)(entry - isolation_code));
	guest_data = guest_at(&guest, GUEST_CODE + PAGE_SIZE_4K);
	guest_data->gap = cairn_ticks_from_us(GAP_US);
}

static uint64_t make_spinner(struct isolation **data, uint64_t priority, uint64_t budget_us)
{
	const struct forge_thread config = {.priority = priority,
					    .budget_us = budget_us,
					    .period_us = budget_us ? PERIOD_US : 0};
	uint64_t thread = domain_make(data, isolation_busy, &config);

	(*data)->gap = cairn_ticks_from_us(GAP_US);
	return thread;
}

/* Whether all have had some time of their own again and again: each in at least TURNS samples. */
static bool all_have_turns(struct isolation *const *data, unsigned count)
{
	uint64_t used[SPINNERS + 1] = {0};
	unsigned turns[SPINNERS + 1] = {0}, enough = 0;

	for (unsigned sample = 0; sample < SAMPLES && enough < count; sample++) {
		pause_us(SAMPLE_US);
		enough = 0;
		for (unsigned i = 0; i < count; i++) {
			turns[i] += data[i]->used != used[i];
			used[i] = data[i]->used;
			enough += turns[i] >= TURNS;
		}
	}
	return enough == count;
}

static void equals_take_turns(void)
{
	struct isolation *data[SPINNERS + 1];
	uint64_t threads[SPINNERS];

	make_spinning_guest(isolation_busy, PRIORITY_LOW, 0);
	data[SPINNERS] = guest_data;
	for (unsigned i = 0; i < SPINNERS; i++)
		threads[i] = make_spinner(&data[i], PRIORITY_LOW, 0);
	forge_must(cairn_resume(guest.vcpu), "resuming a VCpu");
	for (unsigned i = 0; i < SPINNERS; i++)
		forge_must(cairn_resume(threads[i]), "resuming a thread");
	check_true("a-guest-with-interrupts-off-takes-turns-with-its-equals",
		   all_have_turns(data, SPINNERS + 1), "one of them got no time");
}

static volatile uint64_t wakes;

static void wake_often(uint64_t arg)
{
	(void)arg;
	for (unsigned i = 0; i < SHORT_WAITS; i++) {
		forge_ignore(cairn_wait(cairn_tsc() + cairn_ticks_from_us(SHORT_WAIT_US), NULL));
		wakes++;
	}
}

/* A guest that executes one jump for ever, and threads above it and beside it. */
static void higher_ones_run(void)
{
	struct isolation *data[1];
	struct worker w;
	uint64_t thread;

	wakes = 0;
	make_spinning_guest(isolation_stuck, PRIORITY_LOW, 0);
	forge_must(cairn_resume(guest.vcpu), "resuming a VCpu");
	check_true("a-guest-spins-with-its-interrupts-off", domain_wait(&guest_data->done, 0),
		   "it does not run");
	worker_make(&w, wake_often, 0, PRIORITY_LOW + 1, NULL);
	worker_resume(&w);
	for (unsigned i = 0; i < SAMPLES && wakes < SHORT_WAITS; i++)
		pause_us(SAMPLE_US);
	check_value("it-delays-no-deadline-of-a-higher-thread", wakes, SHORT_WAITS);
	thread = make_spinner(&data[0], PRIORITY_LOW, 0);
	forge_must(cairn_resume(thread), "resuming a thread");
	check_true("nor-starves-an-equal-one", all_have_turns(data, 1), "it got no time");
	check_status("it-can-be-suspended", cairn_suspend(guest.vcpu), CAIRN_OK);
	check_status("and-recalled", cairn_recall(guest.vcpu), CAIRN_OK);
	forge_must(cairn_resume(guest.vcpu), "resuming a VCpu");
	check_true("which-makes-it-leave", domain_wait(&guest.exits[EXIT_RECALL], 0),
		   "no exit came");
}

/* A lower thread has the CPU only when the higher one leaves it: never, in between. */
static void lower_ones_wait(void)
{
	struct isolation *high, *low;
	uint64_t threads[2], before;

	threads[0] = make_spinner(&high, PRIORITY_LOW + 1, 0);
	threads[1] = make_spinner(&low, PRIORITY_LOW, 0);
	forge_must(cairn_resume(threads[1]), "resuming a thread");
	check_true("a-low-thread-runs-while-nobody-else-does", domain_wait(&low->used, 0),
		   "it does not");
	forge_must(cairn_resume(threads[0]), "resuming a thread");
	check_true("a-higher-one-takes-over", domain_wait(&high->used, 0), "it does not run");
	before = low->used;
	for (unsigned i = 0; i < TURNS; i++)
		pause_us(20000);
	check_value("a-lower-thread-gets-nothing-meanwhile", low->used, before);
	forge_must(cairn_suspend(threads[0]), "suspending a thread");
	check_true("and-the-cpu-when-it-ends", domain_wait(&low->used, before), "it does not run");
}

/*
 * Above this thread's priority, yet within its budget: this thread sees it use up several budgets
 * while the TSC counts the periods that takes. A late timer adds to one of them (the emulator's are
 * late on a busy machine), but does not double it; without a budget this thread would never come
 * back.
 */
static void check_budget(const char *who, const struct isolation *d)
{
	uint64_t start = cairn_tsc(), before = d->used, took;
	const uint64_t budget = cairn_ticks_from_us(BUDGET_US);
	const uint64_t period = cairn_ticks_from_us(PERIOD_US);
	char name[64];

	while (d->used - before < BUDGETS * budget && cairn_tsc() - start < PATIENCE * period)
		;
	took = cairn_tsc() - start;
	snprintf(name, sizeof(name), "%s-gets-its-budget-anew-each-period", who);
	check_true(name, took < PATIENCE * period, "it does not");
	snprintf(name, sizeof(name), "%s-gets-no-more-than-its-budget", who);
	check_true(name, took >= (BUDGETS / 2 - 1) * period, "it took more than twice that");
}

static void budget_of_a_guest(void)
{
	make_spinning_guest(isolation_busy, PRIORITY_HIGH, BUDGET_US);
	forge_must(cairn_resume(guest.vcpu), "resuming a VCpu");
	check_budget("a-guest", guest_data);
}

static void budget_of_a_thread(void)
{
	struct isolation *d;

	forge_must(cairn_resume(make_spinner(&d, PRIORITY_HIGH, BUDGET_US)), "resuming a thread");
	check_budget("a-thread", d);
}

/* A handler has no time but its caller's: who calls one with a budget pays for it. */
static uint64_t spin_portal;
static struct isolation spent; /* as the threads in isolation.S keep it */

static void spin_for_caller(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			    uint64_t count)
{
	uint64_t last = cairn_tsc(), gap = cairn_ticks_from_us(GAP_US);

	(void)badge, (void)w1, (void)w2, (void)w3, (void)w4, (void)count;
	for (;;) {
		uint64_t now = cairn_tsc();

		if (now - last > gap)
			spent.turns++;
		else
			spent.used += now - last;
		last = now;
	}
}

static void call_spinner(uint64_t arg)
{
	(void)arg;
	forge_ignore(cairn_call(spin_portal, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL));
}

static void budget_of_a_caller(void)
{
	const struct forge_thread limits = {.budget_us = BUDGET_US, .period_us = PERIOD_US};
	struct worker handler, caller;

	handler_make(&handler, spin_for_caller);
	spin_portal = forge_portal(handler.thread, 0);
	worker_make(&caller, call_spinner, 0, PRIORITY_HIGH, &limits);
	worker_resume(&caller);
	check_budget("a-caller-and-its-handler", &spent);
}

/* The shortest budget in the shortest period: most of the time is the others'. */
static void shortest_budget(void)
{
	const struct forge_thread config = {
		.priority = PRIORITY_HIGH, .budget_us = 100, .period_us = 10000};
	struct isolation *d;
	uint64_t thread = domain_make(&d, isolation_busy, &config), turns;

	d->gap = cairn_ticks_from_us(GAP_US);
	forge_must(cairn_resume(thread), "resuming a thread");
	turns = d->turns;
	for (unsigned i = 0; i < 10 * SAMPLES && d->turns - turns < TURNS; i++) {
		uint64_t end = cairn_tsc() + cairn_ticks_from_us(SAMPLE_US);

		while (cairn_tsc() < end)
			;
	}
	check_true("the-shortest-budget-leaves-time-to-others", d->turns - turns >= TURNS,
		   "it has no turns");
}

void suite_time(void)
{
	in_arena(equals_take_turns);
	in_arena(higher_ones_run);
	in_arena(lower_ones_wait);
	in_arena(budget_of_a_guest);
	in_arena(budget_of_a_thread);
	in_arena(budget_of_a_caller);
	in_arena(shortest_budget);
}
