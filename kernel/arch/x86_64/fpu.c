/* SPDX-License-Identifier: BSD-2-Clause */
/* FPU and vector state: how it is saved on this machine (XSAVE, or else FXSAVE), and what a new context starts with. */
#include "arch.h"

#define CPUID1_XSAVE   (1u << 26) /* ECX */
#define CPUIDD_OPT     (1u << 0)  /* leaf 0Dh, subleaf 1, EAX: XSAVEOPT */
#define MODRM_XSAVE    4	  /* 0F AE with this in ModRM.reg: FXSAVE is 0, XRSTOR 5, and FXRSTOR 1 */
#define MODRM_XSAVEOPT 6

/*
 * FXSAVE image: FCW 0x37f at 0, MXCSR 0x1f80 at 24. As an XSAVE area its header (XSTATE_BV, at 512) is 0: XRSTOR puts all
 * components into their initial state, and takes only MXCSR from here.
 */
const uint8_t clean_fpu[FPU_CLEAN] __attribute__((aligned(64))) = {[0] = 0x7f, [1] = 0x03, [24] = 0x80, [25] = 0x1f};

extern uint8_t *const sites_save[], *const sites_restore[], *const sites_verw[];

static uint64_t xcr0;

/* The most of AVX-512, AVX and SSE that fits. Nothing else: MPX, PKRU and AMX would be more state, and PKRU is about rights. */
static uint64_t choose(void)
{
	static const uint8_t sets[] = {0xe7, 0x07};
	uint32_t i;

	for (i = 0; i < sizeof(sets); i++) {
		if (sets[i] & ~cpuid(0xd, 0).a)
			continue;
		xsetbv(sets[i]);
		if (cpuid(0xd, 0).b <= FPU_AREA) /* EBX: size for what XCR0 has now */
			return sets[i];
	}
	xsetbv(3); /* which always is 576 bytes */
	return 3;
}

void patch(uint8_t *const *from, uint8_t *const *to, uint8_t opcode, uint32_t reg)
{
	for (; from < to; from++) {
		(*from)[2] = opcode;
		(*from)[3] |= (uint8_t)(reg << 3);
	}
}

void fpu_init(int first)
{
	if (!(cpuid(1, 0).c & CPUID1_XSAVE) || cpuid(0, 0).a < 0xd)
		return;
	write_cr4(read_cr4() | CR4_OSXSAVE);
	if (!first) {
		xsetbv(xcr0);
		return;
	}
	xcr0 = choose();
	/*
	 * XSAVEOPT may leave out what is as XRSTOR last loaded it, if that was at CPL 0 and from the same address. Nobody else
	 * writes to an area after its context's first use, which is an XRSTOR of clean_fpu; guests have no XRSTOR.
	 */
	patch(sites_save, sites_restore, 0xae, cpuid(0xd, 1).a & CPUIDD_OPT ? MODRM_XSAVEOPT : MODRM_XSAVE);
	patch(sites_restore, sites_verw, 0xae, MODRM_XSAVE);
}
