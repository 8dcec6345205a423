/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trials: a call whose arguments are all right is tried with each argument wrong in each way of its
 * kind (kernel/abi/hypercalls.toml), alone. Each must be refused as documented and change nothing;
 * at last the call itself must succeed, which shows that nothing else was wrong with it.
 */
#ifndef TRIAL_H
#define TRIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <cairn/status.h>

#define TRIAL_ARGUMENTS 6u
#define TRIAL_FIELDS	15u

/* One for each hypercall; gen_table.py looks for these. */
#define HYPERCALL_TEST(name) void test_##name(void)

/* A wrong value of an argument, and what it must answer. */
struct wrong {
	unsigned argument; /* TRIAL_FIELD(n): field n of the struct in the message buffer */
	uint64_t value;
	cairn_status_t status;
};
#define TRIAL_FIELD(n) (TRIAL_ARGUMENTS + (n))

struct trial {
	const char *name; /* for the report */
	uint64_t number;  /* CAIRN_CALL_* */
	uint64_t good[TRIAL_ARGUMENTS + TRIAL_FIELDS];
	uint32_t ignored; /* bit per argument that the call does not look at with these others */
	/* Wrong values besides those of the argument's kind. */
	const struct wrong *more;
	unsigned more_count;
	/* Whether all is as it was before the trial; NULL: there is nothing to see. */
	bool (*unchanged)(void);
	/* Who calls; NULL: the main thread itself. */
	cairn_status_t (*call)(uint64_t number, const uint64_t *arguments);
};
#define TRIAL_MORE(list) .more = (list), .more_count = sizeof(list) / sizeof((list)[0])

/* Tries all that is wrong: one report per argument. */
void trial_refused(const struct trial *trial);
/* Tries what is right. */
void trial_accepted(const struct trial *trial);
/* Both. */
void trial_run(const struct trial *trial);

/* A CapTable of 32 slots for (table, index) arguments; all but the last are empty. */
#define TRIAL_SLOTS 32u
uint64_t trial_table(void);
/* Whether this slot of a CapTable is empty. It may hold a capability without descendants at most.
 */
bool trial_empty(uint64_t table, uint64_t index);

/* Any hypercall by its number. */
cairn_status_t raw_call(uint64_t number, const uint64_t *arguments);

/* Number of CPUs that run. */
unsigned cpu_count(void);

/* Notes what a call answered (the stubs do it themselves) and returns it. */
cairn_status_t coverage_record(uint64_t number, cairn_status_t status);
/* The same for calls at random: an answer that is not documented counts, one that is does not. */
void coverage_random(uint64_t number, cairn_status_t status);

#endif
