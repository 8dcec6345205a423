/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of the hal contract that is on every path: this CPU, the kernel window, the switch of contexts. */
#ifndef ARCH_HAL_INLINE_H
#define ARCH_HAL_INLINE_H

#include <core/ec.h>
#include "x86.h"

/* What a context starts with (SDM 8.1.5, 10.2.3): all exceptions masked, double extended precision. cpu.c. */
extern const uint8_t clean_fpu[512];

/* Rare halves, in cpu.c and svm/svm.c. */
void fpu_trap_next(struct cpu *cpu);
void fpu_untrap(struct cpu *cpu);
void svm_flush(struct ec *v);

static inline struct cpu *hal_cpu(void)
{
	struct cpu *cpu;

	__asm__("mov %%gs:%c1, %0" : "=r"(cpu) : "i"(offsetof(struct cpu, self)));
	return cpu;
}

static inline void *hal_window(uint64_t phys)
{
	return (void *)(WINDOW_VA + phys);
}

/* The FPU's content goes to its owner; `next` gets its own, or a clean one. */
static inline void fpu_take(struct cpu *cpu, struct ec *next)
{
	struct ec *owner = cpu->fpu_owner;

	if (owner != next) {
		if (cpu->ts)
			fpu_untrap(cpu);
		__asm__ volatile("fxsave64 %0" : "=m"(owner->fpu));
		cpu->fpu_owner = next;
	}
	if (!next->fpu_fresh) {
		__asm__ volatile("fxrstor64 %0" : : "m"(next->fpu));
		return;
	}
	next->fpu_fresh = 0;
	__asm__ volatile("fxrstor64 %0" : : "m"(clean_fpu));
}

/* FPU state is switched at once, but for a VMM's handler: its guest's stays live until the handler uses the FPU. */
static inline void switch_fpu(struct cpu *cpu, struct ec *next)
{
	struct ec *owner = cpu->fpu_owner;

	if (owner == next && !next->fpu_fresh)
		return;
	if (owner == next->caller && owner->kind == EC_VCPU && next->cr3 == owner->cr3) {
		if (!cpu->ts)
			fpu_trap_next(cpu);
		return;
	}
	fpu_take(cpu, next);
}

/* What user level has loaded stays in its space. A null GS may clear the base it is loaded with: let that be the user's. */
static inline void clear_selectors(void)
{
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; swapgs; mov %0, %%gs; swapgs" : : "r"(0));
}

static inline void switch_space(struct cpu *cpu, struct ec *next)
{
	cpu->current = next;
	if (cpu->cr3 != next->cr3) {
		cpu->cr3 = next->cr3;
		write_cr3(next->cr3);
		clear_selectors();
	}
	switch_fpu(cpu, next);
}

static inline void hal_switch_thread(struct cpu *cpu, struct ec *next)
{
	switch_space(cpu, next);
	wrmsr(MSR_FS_BASE, next->fs_base); /* always: user level can change it by loading FS */
}

static inline void hal_switch_guest(struct cpu *cpu, struct ec *next)
{
	switch_space(cpu, next);
	if (next != cpu->last_guest || next->flush_seen != cpu->guest_flush) {
		cpu->last_guest = next;
		next->flush_seen = cpu->guest_flush;
		svm_flush(next);
	}
}

static inline void hal_switch(struct cpu *cpu, struct ec *next)
{
	if (next->kind == EC_THREAD)
		hal_switch_thread(cpu, next);
	else
		hal_switch_guest(cpu, next);
}

#endif
