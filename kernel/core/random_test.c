/* SPDX-License-Identifier: BSD-2-Clause */
/* Random operations from a seed; now and then all of the kernel's state is checked against what it must mean.
 * CAIRN_SEED=n begins with another seed, CAIRN_SECONDS=n goes on for longer. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <hal/host/host_boot.h>
#include <hal/host/host_check.h>
#include <hal/host/host_operations.h>

#define OPERATIONS 6000u /* per seed */
#define SEEDS_MIN  4u	 /* one for each number of CPUs */
#define CHECK_EACH 40u
#define HASH_EACH  8u

static uint64_t seed_now, state_now;
static uint32_t operation;

_Noreturn void host_fault(const char *what)
{
	fail_msg("seed %lu operation %u: %s", seed_now, operation, what);
	abort();
}

uint32_t host_any(uint32_t below)
{
	state_now ^= state_now << 13;
	state_now ^= state_now >> 7;
	state_now ^= state_now << 17;
	return (uint32_t)((state_now >> 16) % below);
}

static void run_seed(uint64_t seed)
{
	host_operations_begin(1 + seed % HOST_CPUS);
	seed_now = seed;
	state_now = seed * 0x9e3779b97f4a7c15ul + 1;
	for (operation = 1; operation <= OPERATIONS; operation++) {
		host_operate(operation % HASH_EACH == 0);
		if (operation % CHECK_EACH == 0)
			host_check();
	}
	host_operations_end();
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 0) : otherwise;
}

static void random_operations_leave_a_sound_kernel(void **state)
{
	uint64_t first = setting("CAIRN_SEED", 1), seed = first, times;
	time_t end = time(NULL) + (time_t)setting("CAIRN_SECONDS", 4);
	const char *name;
	uint32_t i;

	(void)state;
	do
		run_seed(seed++);
	while (time(NULL) < end || seed < first + SEEDS_MIN);
	for (i = 0; (name = host_operation(i, &times)); i++)
		printf("%s %lu\n", name, times);
	for (i = 0; (name = host_operation(i, &times)); i++)
		if (!times) /* the test would not test it */
			fail_msg("operation %s never succeeded", name);
	print_message("%lu seeds of %u operations\n", seed - first, OPERATIONS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations_leave_a_sound_kernel)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
