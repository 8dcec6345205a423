/* SPDX-License-Identifier: BSD-2-Clause */
/* The on-target tests: every hypercall is tried from user level, and the result ends the system. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include "check.h"
#include "guest.h"
#include "worker.h"

#define ARENA_BITS 23 /* 8 MiB: room for 2 MiB Frames and much else */

unsigned checks_ok, checks_failed;
static uint64_t arena;

static void report(const char *name, bool good)
{
	if (good) {
		checks_ok++;
		printf("ok %s\n", name);
	} else {
		checks_failed++;
	}
}

void check_status(const char *name, cairn_status_t got, cairn_status_t want)
{
	if (got != want)
		printf("FAIL %s: the status is %s, not %s\n", name, cairn_status_name(got),
		       cairn_status_name(want));
	report(name, got == want);
}

void check_value(const char *name, uint64_t got, uint64_t want)
{
	if (got != want)
		printf("FAIL %s: the value is 0x%lx, not 0x%lx\n", name, got, want);
	report(name, got == want);
}

void check_true(const char *name, bool good, const char *why)
{
	if (!good)
		printf("FAIL %s: %s\n", name, why);
	report(name, good);
}

cairn_status_t revoke_all(uint64_t selector)
{
	cairn_status_t status;

	do
		status = cairn_revoke(SEL_CAPTABLE, selector);
	while (status == CAIRN_ERR_AGAIN);
	return status;
}

cairn_status_t delete_all(uint64_t selector)
{
	cairn_status_t status;

	do
		status = cairn_delete(SEL_CAPTABLE, selector);
	while (status == CAIRN_ERR_AGAIN);
	return status;
}

/* What a test derived from capabilities that are not made from the arena; without the grant there
 * are none. */
static void revoke_grants(void)
{
	static const uint64_t granted[] = {SEL_SPACE, SEL_IRQS, SEL_PORTS, SEL_CPUS, SEL_ERRORS};

	for (unsigned i = 0; i < sizeof(granted) / sizeof(granted[0]); i++)
		forge_ignore(revoke_all(granted[i]));
}

void in_arena(void (*test)(void))
{
	struct forge_mark mark = forge_mark();
	uint64_t before = forge_use(arena);

	test();
	revoke_grants();
	forge_must(revoke_all(arena), "taking back what a test made");
	forge_use(before);
	forge_release(mark);
	workers_reset();
	guests_reset();
}

static const struct suite {
	const char *name;
	void (*run)(void);
} suites[] = {
	{"refusals", suite_refusals},	{"parameters", suite_parameters},
	{"poison", suite_poison},	{"capabilities", suite_capabilities},
	{"memory", suite_memory},	{"portals", suite_portals},
	{"threads", suite_threads},	{"faults", suite_faults},
	{"registers", suite_registers}, {"fpu", suite_fpu},
	{"isolation", suite_isolation}, {"leaks", suite_leaks},
	{"time", suite_time},		{"limits", suite_limits},
	{"cpus", suite_cpus},		{"vcpu", suite_vcpu},
	{"lifetimes", suite_lifetimes}, {"machinecheck", suite_machinecheck},
	{"ports", suite_ports},		{"random", suite_random},
	{"libc", suite_libc},
};

/* Behind the arena, which forge_init's few pages push to the next multiple of its size. */
static uint64_t arena_end(void)
{
	return (cairn_info()->untyped_base & ~((1ul << ARENA_BITS) - 1)) + (2ul << ARENA_BITS);
}

/* For the scenario that looks at CPUs with nothing to do. */
static void __attribute__((noreturn)) idle(void)
{
	puts("tests: idle");
	for (;;)
		(void)cairn_wait_signals(0);
}

int main(int argc, char **argv)
{
	/* Arguments: a suite, if only that is to run, or `idle`; for `random` also a seed. */
	if (argc > 2)
		random_start(strtoul(argv[2], NULL, 0) | 1);
	if (argc > 1 && strcmp(argv[1], "idle") == 0)
		idle();
	forge_init();
	arena = forge_untyped(ARENA_BITS);
	if (cairn_info()->untyped_base)
		poison_prepare(arena_end());
	for (unsigned i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		if (argc > 1 && strcmp(argv[1], suites[i].name) != 0)
			continue;
		suites[i].run();
	}
	if (argc == 1)
		suite_coverage();
	printf("tests: %u ok, %u failed\n", checks_ok, checks_failed);
	fflush(stdout);
	/* An empty run is a failed run. */
	cairn_request(ROOT_SHUTDOWN, checks_failed != 0 || checks_ok == 0, 0);
	return 1;
}
