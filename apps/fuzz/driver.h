/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver's side: building and ending domains. */
#ifndef FUZZ_DRIVER_H
#define FUZZ_DRIVER_H

#include "forge.h"
#include "fuzz.h"

#define DOMAINS 6u

struct domain {
	unsigned index;
	struct forge_mark mark; /* its selectors in the driver's CapTable, its slot numbers, its
				   part of the window */
	uint64_t untyped;	/* all it is made of */
	uint64_t table;
	struct forge_space space, guest;
	uint64_t thread[DRIVER_THREADS]; /* selectors */
	uint64_t signal[2];		 /* the same with a badge */
	uint64_t buffer[DRIVER_THREADS];
	unsigned bits;		    /* size of the Untyped it was given */
	struct domain_state *state; /* NULL: it is not there */
	uint64_t seen;		    /* calls at the last look */
	unsigned still;		    /* looks since it last made one */
};
extern struct domain domains[DOMAINS];
/* So many CPUs there are; how often domains may still try to start one; which CPU is the first that
 * they use. */
extern unsigned wanted_cpus, cpu_starts, first_cpu;

/* What all of them have made. */
extern uint64_t total_made[CAIRN_CALL_COUNT], total_accepted[CAIRN_CALL_COUNT], total_calls,
	total_checks, domains_built;

/* To be called once, before anything else is made: memory that may be poisoned, and the code. */
void domains_prepare(void);
/* All slot numbers that are in use lie below this one: the system has no other server. */
uint64_t domains_numbers(void);
/* The handler of domains' faults on a CPU that runs. */
void supervisor_make(unsigned cpu);
/* A domain with threads on two of that many CPUs. */
void domain_build(struct domain *d, unsigned cpus);
void domain_start(struct domain *d);
/* Portals to handlers of others on its CPUs, where it has none. */
void domain_connect(struct domain *d);
/* How many hypercalls its threads have made. */
uint64_t domain_calls(const struct domain *d);
/* Takes all of it back, and adds what it counted to the totals. */
void domain_end(struct domain *d);

/* A random number of the driver's own. */
uint32_t driver_below(uint32_t limit);
void driver_seed(uint64_t seed);

#endif
