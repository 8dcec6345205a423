/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC: one-shot timer (TSC-deadline where there is one), end of interrupt, interrupts to other CPUs. */
#include <hal/hal.h>
#include "arch.h"

#define LAPIC_SVR    (0xf0 / 4)
#define LAPIC_EOI    (0xb0 / 4)
#define LAPIC_ICR    (0x300 / 4)
#define LAPIC_LVTT   (0x320 / 4)
#define LAPIC_LINT0  (0x350 / 4)
#define LAPIC_LINT1  (0x360 / 4)
#define LAPIC_INIT   (0x380 / 4)
#define LAPIC_COUNT  (0x390 / 4)
#define LAPIC_DIV    (0x3e0 / 4)
#define LVT_MASKED   (1u << 16)
#define LVT_DEADLINE (2u << 17)
#define LVT_NMI	     0x400u
#define LAPIC_ICR2   (0x310 / 4)
#define ICR_BUSY     (1u << 12)
#define ICR_ASSERT   (1u << 14)
#define ICR_PATIENCE 100000u /* reads: a command before is on its way within microseconds */

#define PIT_HZ	     1193182u
#define CALIBRATE_HZ 100u
#define PIT_PATIENCE 10000000u /* reads of port 0x61, each some hundred nanoseconds: long past the 10 ms */

uint64_t hal_tsc_khz;
static uint64_t lapic_khz;
static int deadline_mode;

/* Channel 2 of the PIT, gated by port 0x61, counts down once: 10 ms. */
static int pit_wait(void)
{
	uint32_t count = PIT_HZ / CALIBRATE_HZ, n;

	outb(0x61, (inb(0x61) & ~2) | 1);
	outb(0x43, 0xb0); /* channel 2, low then high byte, mode 0 */
	outb(0x42, (uint8_t)count);
	outb(0x42, (uint8_t)(count >> 8));
	for (n = 0; n < PIT_PATIENCE && !(inb(0x61) & 0x20); n++)
		;
	return n < PIT_PATIENCE;
}

static void calibrate(void)
{
	uint64_t start, used;

	fixmap(FIX_LAPIC)[LAPIC_LVTT] = LVT_MASKED | VECTOR_TIMER;
	fixmap(FIX_LAPIC)[LAPIC_INIT] = 0xffffffff;
	start = rdtsc();
	if (!pit_wait())
		hal_panic("there is no timer to calibrate with: channel 2 of the PIT does not count");
	used = 0xffffffffu - fixmap(FIX_LAPIC)[LAPIC_COUNT];
	hal_tsc_khz = (rdtsc() - start) * CALIBRATE_HZ / 1000;
	lapic_khz = used * CALIBRATE_HZ / 1000;
	fixmap(FIX_LAPIC)[LAPIC_INIT] = 0;
	if (!hal_tsc_khz || !lapic_khz)
		hal_panic("the timers do not run: no PIT?");
}

uint64_t lapic_phys(void)
{
	return rdmsr(MSR_APIC_BASE) & 0xffffff000ul;
}

void lapic_init(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 1u << 11);
	fixmap(FIX_LAPIC)[LAPIC_SVR] = 0x100 | VECTOR_SPURIOUS;
	fixmap(FIX_LAPIC)[LAPIC_LINT0] = LVT_MASKED;
	fixmap(FIX_LAPIC)[LAPIC_LINT1] = LVT_NMI;
	fixmap(FIX_LAPIC)[LAPIC_DIV] = 0xb; /* by 1 */
	fixmap(FIX_LAPIC)[LAPIC_LVTT] = VECTOR_TIMER | (deadline_mode ? LVT_DEADLINE : 0);
	__asm__ volatile("mfence" : : : "memory"); /* SDM 10.5.4.1: before the first deadline */
}

void timer_init(void)
{
	outb(0x21, 0xff); /* both 8259, while their line to the CPU still works: none stays pending */
	outb(0xa1, 0xff);
	fixmap_set(FIX_LAPIC, lapic_phys(), 1);
	lapic_init();
	calibrate();
	deadline_mode = (cpuid(1, 0).c >> 24) & 1;
	lapic_init();
}

void hal_timer(uint64_t when)
{
	uint64_t now, ticks = 0;

	if (deadline_mode) {
		wrmsr(MSR_TSC_DEADLINE, when);
		return;
	}
	if (when) {
		now = rdtsc();
		ticks = when > now ? (when - now) * lapic_khz / hal_tsc_khz + 1 : 1;
		if (ticks > 0xffffffff)
			ticks = 0xffffffff; /* comes early: the next schedule() arms it again */
	}
	fixmap(FIX_LAPIC)[LAPIC_INIT] = (uint32_t)ticks;
}

void lapic_eoi(void)
{
	fixmap(FIX_LAPIC)[LAPIC_EOI] = 0;
}

/* The command before, which may be that of a sender whom a #MC interrupted, is on its way. */
static void icr_wait(void)
{
	uint32_t n;

	for (n = 0; n < ICR_PATIENCE && (fixmap(FIX_LAPIC)[LAPIC_ICR] & ICR_BUSY); n++)
		;
}

/* A #MC may come between the two words: it writes the second one only, with a shorthand. */
void lapic_ipi(uint32_t apic_id, uint32_t command)
{
	icr_wait();
	fixmap(FIX_LAPIC)[LAPIC_ICR2] = apic_id << 24;
	lapic_broadcast(command);
}

void lapic_broadcast(uint32_t command)
{
	icr_wait();
	fixmap(FIX_LAPIC)[LAPIC_ICR] = command | ICR_ASSERT;
}

void hal_ipi(struct cpu *to)
{
	lapic_ipi(to->apic_id, VECTOR_MAIL);
}

void hal_nmi(struct cpu *to)
{
	lapic_ipi(to->apic_id, ICR_NMI);
}
