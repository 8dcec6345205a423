/* SPDX-License-Identifier: BSD-2-Clause */
/* Reports of the on-target tests: one line `ok NAME` or `FAIL NAME: why` per check. */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <cairn/status.h>

void check_status(const char *name, cairn_status_t got, cairn_status_t want);
void check_value(const char *name, uint64_t got, uint64_t want);
/* why: what is wrong when `good` is false. */
void check_true(const char *name, bool good, const char *why);

extern unsigned checks_ok, checks_failed;

/* Each suite (one file each) runs its tests; each test starts from an empty arena. */
void suite_refusals(void);
void suite_parameters(void);
void suite_poison(void);
void suite_capabilities(void);
void suite_memory(void);
void suite_portals(void);
void suite_threads(void);
void suite_faults(void);
void suite_registers(void);
void suite_isolation(void);
void suite_leaks(void);
void suite_time(void);
void suite_limits(void);
void suite_cpus(void);
void suite_fpu(void);
void suite_vcpu(void);
void suite_lifetimes(void);
void suite_ports(void);
void suite_machinecheck(void);
void suite_random(void);
/* Where suite_random's numbers start (not 0); without it they are the same in each run. */
void random_start(uint64_t seed);
void suite_libc(void);
/* Last: whether every documented error was seen, and no other. */
void suite_coverage(void);

/* Sets memory aside that suite_poison may ruin. arena_end: physical address behind the arena. */
void poison_prepare(uint64_t arena_end);
/* A Frame of it, and the address of its page; it must not be used again. */
uint64_t poison_frame(uint64_t *page);
/* Takes back what poison_frame gave. */
void poison_release(void);
/* Poisons a page for good, wherever it is mapped. */
cairn_status_t poison_page(uint64_t page);

/* The test of all registers, by threads and guests of one CPU. */
void isolation_on(uint64_t cpu);

/* Runs one test in the arena and takes back all it made. */
void in_arena(void (*test)(void));

/* Revoke and delete, called again as long as they say so. */
cairn_status_t revoke_all(uint64_t selector);
cairn_status_t delete_all(uint64_t selector);

#endif
