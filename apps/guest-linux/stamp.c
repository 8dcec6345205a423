/* SPDX-License-Identifier: BSD-2-Clause */
/* Prints its arguments and the time-stamp counter: under `-icount shift=0` that is the instructions
 * executed so far. */
#include <stdint.h>
#include <stdio.h>

static uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

int main(int argc, char **argv)
{
	uint64_t tsc = read_tsc();

	for (int i = 1; i < argc; i++)
		printf("%s ", argv[i]);
	printf("tsc %llu\n", (unsigned long long)tsc);
	return 0;
}
