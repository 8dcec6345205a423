/* SPDX-License-Identifier: BSD-2-Clause */
/* The data of the code in isolation.S, three pages right behind it; offsets for both languages. */
#ifndef ISOLATION_H
#define ISOLATION_H

#define ISOLATION_GO	 0x00 /* 0: goes on taking turns; 1: stores what it finds */
#define ISOLATION_DONE	 0x08
#define ISOLATION_TURNS	 0x10
#define ISOLATION_MASK	 0x18 /* state components for XSAVE; 0: FXSAVE */
#define ISOLATION_FSBASE 0x20
#define ISOLATION_USED	 0x28 /* TSC ticks that it ran, by its own account */
#define ISOLATION_GAP	 0x30 /* so many ticks between two looks at the TSC were somebody else's */
#define ISOLATION_IN	 0x100
#define ISOLATION_OUT	 0x200
#define ISOLATION_RFLAGS 0x80 /* in these two, behind the 16 general registers */
#define ISOLATION_DS	 0x88
#define ISOLATION_ES	 0x90
#define ISOLATION_FS	 0x98
#define ISOLATION_GS	 0xa0
#define ISOLATION_WORD	 0xa8  /* what lies at the FS base */
#define ISOLATION_MSR	 0x400 /* pairs of number and value */
#define ISOLATION_MSR2	 0x4c0 /* what it found: values */
#define ISOLATION_MSRS	 10
#define ISOLATION_CR2	 0x540
#define ISOLATION_DR6	 0x548
#define ISOLATION_DR7	 0x550
#define ISOLATION_CR2B	 0x560 /* what it found */
#define ISOLATION_DR6B	 0x568
#define ISOLATION_DR7B	 0x570
#define ISOLATION_CR3B	 0x578
#define ISOLATION_CR4B	 0x580
#define ISOLATION_STATUS 0x600 /* how often each status was answered */
#define ISOLATION_FPU	 0x1000
#define ISOLATION_FPU2	 0x2000
#define ISOLATION_PAGES	 4u /* with the code */

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>
#include <cairn/vcpu.h>

struct isolation_registers {
	uint64_t gpr[GPR_COUNT];
	uint64_t rflags, selector[4], word;
};

struct isolation {
	volatile uint64_t go, done, turns, mask, fs_base, used, gap, pad0[25];
	struct isolation_registers in;
	uint64_t pad1[10];
	struct isolation_registers out;
	uint64_t pad3[42];
	struct {
		uint64_t number, value;
	} msr[ISOLATION_MSRS];
	uint64_t pad4[4], msr_found[ISOLATION_MSRS], pad5[6];
	uint64_t cr2, dr6, dr7, pad6;
	uint64_t cr2_found, dr6_found, dr7_found, cr3_found, cr4_found;
	uint64_t pad7[15];
	volatile uint64_t status[16];
	uint8_t stack[0x1000 - ISOLATION_STATUS - 8 * 16];
	uint8_t fpu[4096], fpu_found[4096];
};
_Static_assert(offsetof(struct isolation, in) == ISOLATION_IN, "isolation.S");
_Static_assert(offsetof(struct isolation, out) == ISOLATION_OUT, "isolation.S");
_Static_assert(offsetof(struct isolation, msr) == ISOLATION_MSR, "isolation.S");
_Static_assert(offsetof(struct isolation, cr2) == ISOLATION_CR2, "isolation.S");
_Static_assert(offsetof(struct isolation, cr4_found) == ISOLATION_CR4B, "isolation.S");
_Static_assert(offsetof(struct isolation, status) == ISOLATION_STATUS, "isolation.S");
_Static_assert(sizeof(struct isolation) == (ISOLATION_PAGES - 1) * 4096, "isolation.S");
#endif

#endif
