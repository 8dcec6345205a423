/* SPDX-License-Identifier: BSD-2-Clause */
/* What is done against attacks on speculation. */
#ifndef ARCH_SPECULATION_H
#define ARCH_SPECULATION_H

#include <stdint.h>

#define SPECULATION_IBRS     (1u << 0)
#define SPECULATION_AIBRS    (1u << 1)
#define SPECULATION_STIBP    (1u << 2)
#define SPECULATION_LFENCE   (1u << 3)
#define SPECULATION_ZENBLEED (1u << 4)
#define SPECULATION_IBPB     (1u << 5)
#define SPECULATION_L1D	     (1u << 6)
#define SPECULATION_VERW     (1u << 7)
#define SPECULATION_MDS	     (1u << 8) /* this one and the next: what is not */
#define SPECULATION_MELTDOWN (1u << 9)
#define SPECULATION_SPACE    (SPECULATION_IBPB | SPECULATION_L1D)

/* The same on all CPUs, constant after boot. */
extern uint32_t speculation;
/* Switches on what this CPU needs; the first one decides for all, and says so. */
void speculation_init(int first);

struct cpu;
struct ec;
/* Another address space is loaded: another protection domain. To be called where SPECULATION_SPACE asks for it. */
void speculation_space(struct cpu *cpu);
/* Another guest than the last one here will be entered, or the same one after speculation_space. */
void speculation_guest(struct cpu *cpu, const struct ec *next);

#endif
