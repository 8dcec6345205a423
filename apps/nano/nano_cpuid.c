/* SPDX-License-Identifier: BSD-2-Clause */
/* Measures what a VM exit costs: CPUID, and a write to a port of an emulated device, in TSC ticks
 * per iteration. */
#include "nano.h"

#define ITERATIONS 25u /* few: other CPUs take turns with this one in the emulator */
#define REPEATS	   400u

/* Four guest instructions per iteration, as for the figures of other systems. */
static uint64_t cpuid_loop(void)
{
	uint64_t start = rdtsc(), n = ITERATIONS;

	__asm__ volatile("1: xorl %%eax, %%eax\n\t"
			 "cpuid\n\t"
			 "decq %0\n\t"
			 "jnz 1b"
			 : "+S"(n)
			 :
			 : "rax", "rbx", "rcx", "rdx", "cc");
	return rdtsc() - start;
}

static uint64_t port_loop(void)
{
	uint64_t start = rdtsc(), n = ITERATIONS;

	__asm__ volatile("1: movl $0x5a, %%eax\n\t"
			 "outb %%al, %%dx\n\t"
			 "decq %0\n\t"
			 "jnz 1b"
			 : "+S"(n)
			 : "d"(PORT_SCRATCH)
			 : "rax", "cc");
	return rdtsc() - start;
}

static const struct bench {
	const char *name;
	uint64_t (*loop)(void);
} benches[] = {
	{"vmexit_cpuid", cpuid_loop},
	{"vmexit_pio_device", port_loop},
};

static void run(const struct bench *bench)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < REPEATS; i++) {
		uint64_t ticks = bench->loop();

		if (ticks < best)
			best = ticks;
	}
	nano_puts("bench ");
	nano_puts(bench->name);
	nano_puts(" ");
	nano_put_dec(best / ITERATIONS);
	nano_puts("\n");
}

void nano_main(void)
{
	uint32_t out[4];

	cpuid(0, out);
	if (out[0] < 1)
		nano_fail("cpuid-answers", "highest leaf", out[0], 1);
	else
		nano_ok("cpuid-answers");
	for (unsigned i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
		run(&benches[i]);
	/* The device must really have been written to, or the figure means nothing. */
	if (inb(PORT_SCRATCH) != 0x5a)
		nano_fail("scratch-register-keeps", "value", inb(PORT_SCRATCH), 0x5a);
	else
		nano_ok("scratch-register-keeps");
}
