/* SPDX-License-Identifier: BSD-2-Clause */
/* The start of another CPU (SDM 8.4.4.1): INIT, two start-up interrupts, then its own part of what boot_main did. */
#include <core/smp.h>
#include <hal/hal.h>
#include "arch.h"

#define INIT_US	  10000u
#define START_US  200u
#define ANSWER_US 2000000u

/* Taken by the CPU that starts (boot.S): one that comes when nobody waits for it halts. */
struct percpu *cpu_starting;

void hal_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* Until the CPU has come as far as `answer` says, if that is given. 1: in time. */
static int wait_us(uint64_t us, const struct percpu *answer)
{
	uint64_t start = rdtsc();

	while (rdtsc() - start < us * hal_tsc_khz / 1000) {
		if (answer && __atomic_load_n(&answer->online, __ATOMIC_ACQUIRE))
			return 1;
		hal_relax();
	}
	return 0;
}

int hal_cpu_start(uint32_t index, uint32_t apic_id)
{
	struct percpu *p = &percpus[index];
	uint32_t i;

	cpu_prepare(p, index);
	p->cpu.apic_id = apic_id;
	__atomic_store_n(&cpu_starting, p, __ATOMIC_RELEASE);
	lapic_ipi(apic_id, ICR_INIT);
	wait_us(INIT_US, NULL);
	for (i = 0; i < 2 && !p->online; i++) {
		lapic_ipi(apic_id, ICR_START | AP_PHYS >> 12);
		wait_us(START_US, p);
	}
	/* Nobody came, or it has begun and must be waited for: from here on nobody else may take the place. */
	if (!p->online && !wait_us(ANSWER_US, p) && __atomic_exchange_n(&cpu_starting, NULL, __ATOMIC_ACQ_REL))
		return -1;
	if (!p->online && !wait_us(ANSWER_US, p))
		hal_panic("a CPU stopped while it started");
	cpus[index] = &p->cpu;
	hal_order(); /* a #MC goes through those that are counted, on any CPU */
	cpu_count++;
	return 0;
}

/* From boot.S, on the boot tables and the stack of `p`, its interrupts off. */
_Noreturn void ap_main(struct percpu *p)
{
	write_cr3(kernel_pml4());
	cpu_init(p);
	if (guest_init(p))
		hal_panic("a CPU lacks what the boot CPU has");
	lapic_init();
	mca_init(&p->cpu);
	__atomic_store_n(&p->online, 1, __ATOMIC_RELEASE);
	__asm__ volatile("jmp resume");
	__builtin_unreachable();
}
