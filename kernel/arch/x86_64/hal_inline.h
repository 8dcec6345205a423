/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of the hal contract that is on every path: this CPU, the kernel window, the switch of contexts. */
#ifndef ARCH_HAL_INLINE_H
#define ARCH_HAL_INLINE_H

#include <core/ec.h>
#include "x86.h"

/* What a context starts with (SDM 8.1.5, 10.2.3): all exceptions masked, double extended precision. fpu.c. */
extern const uint8_t clean_fpu[FPU_CLEAN];

/* Rare halves, in cpu.c and guest.c. */
void guest_changed(struct cpu *cpu, struct ec *next);
/* Another protection domain comes: its address space is loaded, or its guest will be entered. */
void speculation_switch(struct cpu *cpu, int guest);

static inline struct cpu *hal_cpu(void)
{
	struct cpu *cpu;

	__asm__("mov %%gs:%c1, %0" : "=r"(cpu) : "i"(offsetof(struct cpu, self)));
	return cpu;
}

static inline uint64_t hal_select(uint32_t first, uint32_t count, uint64_t sel)
{
	uint64_t slot = first + sel;

	__asm__("cmp %2, %1; cmovae %3, %0" : "+r"(slot) : "r"(sel), "r"((uint64_t)count), "r"((uint64_t)SLOT_NIL) : "cc");
	return slot;
}

#define hal_speculation_barrier() __asm__ volatile("lfence" : : : "memory")

static inline void *hal_window(uint64_t phys)
{
	return (void *)(WINDOW_VA + phys);
}

/*
 * FXSAVE and FXRSTOR as assembled; where the CPU has XSAVE, fpu_init makes XSAVE or XSAVEOPT and XRSTOR of them at boot.
 * Those take the components EDX:EAX names, as far as XCR0 has them; it has none above bit 31, so EDX may hold anything.
 */
#define FPU_SITE(list) "\n\t.pushsection " list ", \"a\"; .quad 1b; .popsection"

static inline void fpu_save(struct ec *owner)
{
	__asm__ volatile("1: fxsave64 %0" FPU_SITE(".sites.save") : "+m"(owner->fpu) : "a"(-1));
}

static inline void fpu_load_clean(struct cpu *cpu, struct ec *next)
{
	cpu->fpu_owner = next;
	next->fpu_fresh = 0;
	__asm__ volatile("1: fxrstor64 %0" FPU_SITE(".sites.restore") : : "m"(clean_fpu), "a"(-1));
}

static inline void fpu_load(struct cpu *cpu, struct ec *next)
{
	if (next->fpu_fresh) {
		fpu_load_clean(cpu, next);
		return;
	}
	cpu->fpu_owner = next;
	__asm__ volatile("1: fxrstor64 %0" FPU_SITE(".sites.restore") : : "m"(next->fpu), "a"(-1));
}

/* The FPU's content goes to its owner, `next` gets its own. */
static inline void fpu_take(struct cpu *cpu, struct ec *next)
{
	if (cpu->fpu_owner != next) {
		if (cpu->ts) {
			__asm__ volatile("clts");
			cpu->ts = 0;
		}
		fpu_save(cpu->fpu_owner);
	}
	fpu_load(cpu, next);
}

/* FPU state is switched at once, but for a VMM's handler: its guest's stays live until the handler uses the FPU. */
static inline void switch_fpu(struct cpu *cpu, struct ec *next)
{
	struct ec *owner = cpu->fpu_owner;

	if (owner == next && !next->fpu_fresh)
		return;
	if (owner == next->caller && owner->kind == EC_VCPU && next->cr3 == owner->cr3) {
		if (!cpu->ts) {
			write_cr0(read_cr0() | CR0_TS);
			cpu->ts = 1;
		}
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
		if (__builtin_expect(speculation & (IBPB | L1D), 0))
			speculation_switch(cpu, 0);
	}
}

static inline void switch_fs(struct ec *next)
{
	wrmsr(MSR_FS_BASE, next->fs_base); /* always: user level can change it by loading FS */
}

static inline void switch_rest(struct cpu *cpu, struct ec *next)
{
	if (next->kind == EC_THREAD) {
		switch_fs(next);
	} else if (next != cpu->last_guest || next->flush_seen != cpu->guest_flush) {
		guest_changed(cpu, next);
	}
}

static inline void hal_switch(struct cpu *cpu, struct ec *next)
{
	switch_space(cpu, next);
	switch_fpu(cpu, next);
	switch_rest(cpu, next);
}

/* From a thread or VCpu that called, faulted or exited to its handler, which starts clean. */
static inline void hal_switch_call(struct cpu *cpu, struct ec *from, struct ec *h, int guest)
{
	switch_space(cpu, h);
	if (!guest && __builtin_expect(cpu->fpu_owner == from, 1)) { /* CR0.TS is clear then */
		fpu_save(from);
		fpu_load_clean(cpu, h);
	} else {
		h->fpu_fresh = 1;
		switch_fpu(cpu, h);
	}
	switch_fs(h);
}

/* A handler's context ends: its FPU state is not saved. The FPU has that, or still the one of `to` itself, a VCpu. */
static inline void hal_switch_reply(struct cpu *cpu, struct ec *to)
{
	switch_space(cpu, to);
	if (cpu->fpu_owner != to)
		fpu_load(cpu, to);
	switch_rest(cpu, to);
}

#endif
