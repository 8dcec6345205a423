/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions, control registers and MSRs (SDM vol. 3/4, APM vol. 2). */
#ifndef ARCH_X86_H
#define ARCH_X86_H

#include <stdint.h>
#include "layout.h"

#define RFLAGS_IF      (1ul << 9)
#define CR0_PE	       (1ul << 0)
#define CR0_MP	       (1ul << 1)
#define CR0_TS	       (1ul << 3)
#define CR0_NE	       (1ul << 5)
#define CR0_WP	       (1ul << 16)
#define CR4_PAE	       (1ul << 5)
#define CR4_MCE	       (1ul << 6)
#define CR4_OSFXSR     (1ul << 9)
#define CR4_OSXMMEXCPT (1ul << 10)
#define CR4_UMIP       (1ul << 11)
#define CR4_OSXSAVE    (1ul << 18)
#define CR4_SMEP       (1ul << 20)
#define CR4_SMAP       (1ul << 21)

#define FPU_CLEAN 576 /* FXSAVE image and XSAVE header */

#define MSR_APIC_BASE	   0x1b
#define MSR_SYSENTER_CS	   0x174
#define MSR_MCG_CAP	   0x179
#define MSR_MCG_STATUS	   0x17a
#define MSR_MCG_CTL	   0x17b
#define MSR_PAT		   0x277
#define MSR_MC0_CTL	   0x400
#define MSR_TSC_DEADLINE   0x6e0
#define MSR_EFER	   0xc0000080
#define MSR_STAR	   0xc0000081
#define MSR_LSTAR	   0xc0000082
#define MSR_CSTAR	   0xc0000083
#define MSR_FMASK	   0xc0000084
#define MSR_FS_BASE	   0xc0000100
#define MSR_GS_BASE	   0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_VM_CR	   0xc0010114
#define MSR_VM_HSAVE_PA	   0xc0010117
#define EFER_SCE	   (1ul << 0)
#define EFER_NXE	   (1ul << 11)
#define EFER_SVME	   (1ul << 12)

struct cpuid {
	uint32_t a, b, c, d;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "0"(leaf), "2"(sub));
	return r;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

#define CONTROL_REGISTER(n)                                                                                                 \
	static inline uint64_t read_cr##n(void)                                                                             \
	{                                                                                                                   \
		uint64_t v;                                                                                                 \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v));                                                           \
		return v;                                                                                                   \
	}                                                                                                                   \
	static inline void write_cr##n(uint64_t v)                                                                          \
	{                                                                                                                   \
		__asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory");                                                  \
	}
CONTROL_REGISTER(0)
CONTROL_REGISTER(2)
CONTROL_REGISTER(3)
CONTROL_REGISTER(4)

static inline void xsetbv(uint64_t xcr0)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)xcr0), "d"((uint32_t)(xcr0 >> 32)));
}

static inline void invlpg(uint64_t va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

/* What is done against attacks on speculation, on all CPUs; constant after boot. speculation.c has more of them. */
enum { IBPB = 1, L1D = 2, VERW = 4 };
extern uint32_t speculation;

/* A page of the fixmap as 32-bit registers. */
static inline volatile uint32_t *fixmap(uint32_t page)
{
	return (volatile uint32_t *)(FIXMAP_VA + (uint64_t)page * 4096);
}

#endif
