/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupt lines of the I/O APIC, each a notification to one thread. */
#include <core/smp.h>
#include <hal/hal.h>
#include "arch.h"

#define RTE(line)  (0x10 + 2 * (uint32_t)(line))
#define RTE_MASKED (1u << 16)

static struct {
	struct ec *thread;
	uint64_t badge;
} lines[IRQ_LINES];

/* The I/O APIC has one index register, and interrupts come without the big lock: this one is held for a few writes. */
static uint32_t lines_lock;

static void lines_take(void)
{
	while (__atomic_exchange_n(&lines_lock, 1, __ATOMIC_ACQUIRE)) /* bound: CPU_MAX holders, each for IRQ_LINES steps */
		hal_relax();
}

static void lines_drop(void)
{
	__atomic_store_n(&lines_lock, 0, __ATOMIC_RELEASE);
}

static void ioapic_write(uint32_t reg, uint32_t v)
{
	fixmap(FIX_IOAPIC)[0] = reg;
	fixmap(FIX_IOAPIC)[4] = v;
}

static void line_set(uint64_t line, int masked)
{
	ioapic_write(RTE(line), (VECTOR_IRQ + (uint32_t)line) | (masked ? RTE_MASKED : 0));
}

void irq_init(void)
{
	uint32_t i;

	fixmap_set(FIX_IOAPIC, IOAPIC_PHYS, 1);
	for (i = 0; i < IRQ_LINES; i++)
		line_set(i, 1);
}

int hal_irq_valid(uint64_t line)
{
	return line < IRQ_LINES;
}

void hal_irq_bind(uint64_t line, struct ec *thread, uint64_t badge)
{
	lines_take();
	line_set(line, 1);
	lines[line].thread = thread;
	lines[line].badge = badge;
	ioapic_write(RTE(line) + 1, cpus[thread->cpu]->apic_id << 24);
	line_set(line, 0);
	lines_drop();
}

void hal_irq_unbind(uint64_t line)
{
	lines_take();
	line_set(line, 1);
	lines[line].thread = NULL;
	lines_drop();
}

void hal_irq_forget(struct ec *thread)
{
	uint32_t i;

	for (i = 0; i < IRQ_LINES; i++)
		if (lines[i].thread == thread)
			hal_irq_unbind(i);
}

void hal_irq_unmask(uint64_t line)
{
	lines_take();
	if (lines[line].thread)
		line_set(line, 0);
	lines_drop();
}

/* A line that was bound to a thread of another CPU meanwhile is not for here. */
static void line_handle(uint64_t line)
{
	struct ec *t;

	lines_take();
	t = lines[line].thread;
	if (t && t->cpu == hal_cpu()->index) {
		line_set(line, 1); /* until irq_ack */
		notify(t, lines[line].badge);
	}
	lines_drop();
}

void irq_handle(uint64_t vector)
{
	struct cpu *cpu = hal_cpu();

	cpu->resched = 1;
	if (vector == VECTOR_SPURIOUS)
		return;
	lapic_eoi();
	if (vector == VECTOR_TIMER)
		cpu->armed = 0;
	else if (vector == VECTOR_MAIL)
		mail_serve(cpu);
	else if (vector - VECTOR_IRQ < IRQ_LINES)
		line_handle(vector - VECTOR_IRQ);
}

uint64_t hal_port_in(uint64_t port, uint64_t width)
{
	uint32_t v = 0;

	if (width == 1)
		v = inb((uint16_t)port);
	else if (width == 2)
		__asm__ volatile("xor %0, %0; inw %w1, %w0" : "=&a"(v) : "d"((uint32_t)port));
	else
		__asm__ volatile("inl %w1, %0" : "=a"(v) : "d"((uint32_t)port));
	return v;
}

void hal_port_out(uint64_t port, uint64_t width, uint64_t value)
{
	if (width == 1)
		outb((uint16_t)port, (uint8_t)value);
	else if (width == 2)
		__asm__ volatile("outw %w0, %w1" : : "a"((uint32_t)value), "d"((uint32_t)port));
	else
		__asm__ volatile("outl %0, %w1" : : "a"((uint32_t)value), "d"((uint32_t)port));
}

void hal_debug_write(uint64_t characters)
{
	for (; characters & 0xff; characters >>= 8) /* bound: 8 */
		serial_putc((char)characters);
}
