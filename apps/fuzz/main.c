/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver of the fuzz server: it starts domains, wakes what waits, ends and rebuilds them at
 * random, and at last says what was made and accepted. Arguments: seed=N calls=N (0: for ever)
 * watch=N (refused hypercalls that must be seen to change nothing) cpus=N (of the machine: those
 * that the root-task has not started are started by the domains) first_cpu=N (no domain runs on
 * those before) progress=N (a line after so many calls) look_us=N (between
 * two looks of the driver at the domains).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cairn/debug.h>
#include <cairn/hypercalls.h>
#include <cairn/runtime.h>
#include "driver.h"

#define LOOK_US	     500u
#define STILL_MAX    8u	      /* looks without a call: its threads wait for each other */
#define LIFE	     400u     /* a domain ends at one look of so many */
#define SHARE_LEAST  5u	      /* per cent */
#define JUDGED_CALLS 1000000u /* shares of fewer calls in all say little */
#define PROGRESS     1000000u
#define WORLD_SLOTS  4096u

static struct {
	uint64_t seed, calls, cpus, watch, first_cpu, progress, look_us;
} wanted = {.seed = 1, .calls = 100000, .cpus = 1, .progress = PROGRESS, .look_us = LOOK_US};
static unsigned cpus = 1, checks_failed;

static const char *const names[CAIRN_CALL_COUNT] = {
	"identify",	  "call",	 "reply",	  "signal",	      "wait",
	"retype",	  "copy",	 "move",	  "delete",	      "revoke",
	"pagetable_link", "map",	 "unmap",	  "thread_configure", "vcpu_configure",
	"resume",	  "suspend",	 "portal_create", "recall",	      "irq_bind",
	"irq_ack",	  "port_in",	 "port_out",	  "set_fs",	      "mc_bind",
	"mc_harvest",	  "mc_poison",	 "mc_thaw",	  "debug_write",      "cpu_start",
	"serial",	  "debug_check",
};

static void read_arguments(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint64_t *value;
	} known[] = {{"seed=", &wanted.seed},		{"calls=", &wanted.calls},
		     {"cpus=", &wanted.cpus},		{"watch=", &wanted.watch},
		     {"first_cpu=", &wanted.first_cpu}, {"look_us=", &wanted.look_us},
		     {"progress=", &wanted.progress}};

	for (int i = 1; i < argc; i++)
		for (unsigned n = 0; n < sizeof(known) / sizeof(known[0]); n++)
			if (strncmp(argv[i], known[n].name, strlen(known[n].name)) == 0)
				*known[n].value = strtoul(argv[i] + strlen(known[n].name), NULL, 0);
	if (wanted.cpus > MAX_CPUS)
		wanted.cpus = MAX_CPUS;
}

static void report(const char *name, bool good, const char *why)
{
	if (good)
		printf("ok %s\n", name);
	else
		printf("FAIL %s: %s\n", name, why);
	checks_failed += !good;
	fflush(stdout);
}

static uint64_t calls_now(void)
{
	uint64_t calls = total_calls;

	for (unsigned i = 0; i < DOMAINS; i++)
		calls += domain_calls(&domains[i]);
	return calls;
}

__attribute__((noreturn)) static void end(void)
{
	cairn_request(ROOT_SHUTDOWN, checks_failed != 0, 0);
	for (;;)
		(void)cairn_wait_signals(0);
}

static void violation(uint64_t fault, uint64_t place, uint64_t line, uint64_t number)
{
	char why[160];

	snprintf(
		why, sizeof(why),
		"fault %lu at 0x%lx (kernel/debug/check.c:%lu) after %s, seed %lu, about %lu calls",
		fault, place, line, names[number % CAIRN_CALL_COUNT], wanted.seed, calls_now());
	report("no-invariant-is-violated", false, why);
	end();
}

#define STARTS_EACH                                                                                \
	8u /* tries for each CPU that can be started: cpu_start is accepted only once for each */

/* A domain has started a CPU; one before may have done so, too, and was ended before it could say
 * it. */
static void use_cpu(const struct domain *d)
{
	while (cpus <= d->state->started && cpus < wanted_cpus) {
		supervisor_make(cpus++);
		printf("fuzz: CPU %u was started (domain %u)\n", cpus - 1, d->index);
		fflush(stdout);
	}
}

static void check_state(const struct domain *d)
{
	uint64_t fault = __atomic_load_n(&d->state->fault, __ATOMIC_ACQUIRE);

	if (fault != DEBUG_SOUND)
		violation(fault, d->state->place, d->state->line, d->state->number);
	use_cpu(d);
}

/* The driver's own look, where a domain ended before its threads had looked often enough. */
static void check_now(void)
{
	uint64_t fault = DEBUG_SOUND, place = 0, line = 0;

	if (cairn_debug_check(DEBUG_INVARIANTS, 0, &fault, &place, &line) == CAIRN_OK &&
	    fault != DEBUG_SOUND)
		violation(fault, place, line, CAIRN_CALL_REVOKE);
	total_checks++;
}

static void rebuild(struct domain *d)
{
	if (d->state) {
		check_state(d);
		domain_end(d);
	}
	while (total_checks < total_calls / CHECK_EACH)
		check_now();
	domain_build(d, cpus);
	for (unsigned i = 0; i < DOMAINS; i++)
		if (domains[i].state)
			domain_connect(&domains[i]);
	domain_start(d);
}

/* What waits for ever or was suspended goes on; what does not is built anew. */
static void look_after(struct domain *d)
{
	uint64_t calls = domain_calls(d);

	check_state(d);
	d->still = calls == d->seen ? d->still + 1 : 0;
	d->seen = calls;
	for (unsigned n = 0; n < 2 && d->still; n++) {
		forge_ignore(cairn_resume(d->thread[n]));
		forge_ignore(cairn_resume(d->thread[2 + n]));
		forge_ignore(cairn_signal(d->signal[n]));
	}
	if (d->still > STILL_MAX || (d->state->cpu_starts == 0 && driver_below(LIFE) == 0))
		rebuild(d);
}

static void look(void)
{
	static uint64_t last_progress;

	(void)cairn_wait_signals(cairn_tsc() + cairn_ticks_from_us(wanted.look_us));
	for (unsigned i = 0; i < DOMAINS; i++)
		look_after(&domains[i]);
	if (calls_now() < last_progress + wanted.progress)
		return;
	printf("fuzz: %lu calls, %lu looks for violations, %lu domains\n", calls_now(),
	       total_checks, domains_built);
	fflush(stdout);
	last_progress += wanted.progress;
}

static void check_shares(void)
{
	for (unsigned n = 0; n < CAIRN_CALL_COUNT; n++) {
		uint64_t made = total_made[n], accepted = total_accepted[n],
			 share = made ? accepted * 1000 / made : 0;
		char name[48];

		printf("fuzz: %-16s %9lu made, %9lu accepted, %lu.%lu %%\n", names[n], made,
		       accepted, share / 10, share % 10);
		if (total_calls < JUDGED_CALLS ||
		    ((n == CAIRN_CALL_CPU_START || n == CAIRN_CALL_SERIAL) && !made))
			continue;
		snprintf(name, sizeof(name), "%s-is-accepted-often-enough", names[n]);
		report(name, accepted && share >= 10 * SHARE_LEAST,
		       "hardly ever: the calls try too little");
	}
}

static void finish(void)
{
	uint64_t left = 0;

	for (unsigned i = 0; i < DOMAINS; i++) {
		check_state(&domains[i]);
		domain_end(&domains[i]);
	}
	check_now();
	report("no-invariant-is-violated", true, "");
	check_shares();
	if (cairn_debug_check(DEBUG_WATCHED, 0, NULL, &left, NULL) == CAIRN_OK && wanted.watch)
		report("refused-calls-were-watched", left == 0, "there were too few");
	printf("fuzz: %lu calls on %u CPUs, %lu looks for violations, %lu domains, seed %lu\n",
	       total_calls, cpus, total_checks, domains_built, wanted.seed);
	report("all-calls-were-made", total_calls >= wanted.calls, "too few");
	/* Those that ran at the end are still to be followed by theirs. */
	report("every-thousand-calls-were-followed-by-a-look",
	       total_checks + DOMAINS * PLACES >= total_calls / CHECK_EACH, "too few");
	end();
}

static void use_cpus(void)
{
	cpus = cairn_info()->cpu_count < MAX_CPUS ? cairn_info()->cpu_count : MAX_CPUS;
	wanted_cpus = wanted.cpus > cpus ? (unsigned)wanted.cpus : cpus;
	cpu_starts = (wanted_cpus - cpus) * STARTS_EACH;
	first_cpu = wanted.first_cpu < cpus ? (unsigned)wanted.first_cpu : 0;
	for (unsigned i = 0; i < cpus; i++)
		supervisor_make(i);
}

int main(int argc, char **argv)
{
	read_arguments(argc, argv);
	driver_seed(wanted.seed);
	domains_prepare();
	use_cpus();
	/* The checker takes the longer, the larger the world is; release builds have none. */
	report("the-world-has-4096-slots-at-most",
	       !cairn_info()->debug || domains_numbers() <= WORLD_SLOTS, "give it less");
	printf("fuzz: seed %lu, %lu calls, %u CPUs\n", wanted.seed, wanted.calls, cpus);
	fflush(stdout);
	forge_ignore(cairn_debug_check(DEBUG_WATCH, wanted.watch, NULL, NULL, NULL));
	for (unsigned i = 0; i < DOMAINS; i++)
		rebuild(&domains[i]);
	while (!wanted.calls || calls_now() < wanted.calls)
		look();
	finish();
}
