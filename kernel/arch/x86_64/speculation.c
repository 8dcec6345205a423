/* SPDX-License-Identifier: BSD-2-Clause */
/* Against attacks on speculation: what this CPU announces and needs is switched on. docs/CAVEATS.md says what is not done. */
#include <hal/hal.h>
#include "arch.h"

/* Beside those of x86.h; the last two: what is not done. */
enum { IBRS = 8, AIBRS = 16, STIBP = 32, LFENCE = 64, ZENBLEED = 128, MDS = 256, MELTDOWN = 512 };
#define HAS(bits, n) ((bits) >> (n)&1)

extern uint8_t *const sites_verw[], *const sites_end[];
uint32_t speculation;

static struct cpuid leaf(uint32_t n)
{
	return cpuid(n & 0x80000000, 0).a >= n ? cpuid(n, 0) : (struct cpuid){0};
}

static uint32_t choose_intel(void)
{
	/* EBX 11: RTM. EDX 10: MD_CLEAR; 26: IBRS and IBPB; 27: STIBP; 28: L1D_FLUSH; 29: IA32_ARCH_CAPABILITIES. */
	struct cpuid f = leaf(7);
	/* 0: RDCL_NO, and no L1TF; 1: IBRS_ALL; 3: SKIP_L1DFL_VMENTRY; 5: MDS_NO; 8: TAA_NO; 17, 28: FB_CLEAR, RFDS_CLEAR. */
	uint64_t arch = HAS(f.d, 29) ? rdmsr(0x10a) : 0;
	uint32_t on = HAS(f.d, 26) ? IBPB | (HAS(arch, 1) ? IBRS : 0) : 0;

	on |= HAS(f.d, 27) && !(on & IBRS) ? STIBP : 0; /* IBRS covers the other thread of the core */
	on |= HAS(f.d, 28) && !HAS(arch, 0) && !HAS(arch, 3) ? L1D : 0;
	on |= HAS(arch, 17) || HAS(arch, 28) ? VERW : 0;
	if (!HAS(arch, 5) || (HAS(f.b, 11) && !HAS(arch, 8)))
		on |= HAS(f.d, 10) ? VERW : MDS;
	return on | (HAS(arch, 0) ? 0 : MELTDOWN);
}

static uint32_t choose_amd(void)
{
	/* e8.b 12: IBPB; 15: STIBP. e21.a 2: LFENCE serialises; 5: VERW clears buffers; 8: automatic IBRS (for the kernel only);
	 * e21.c 1, 2: no transient scheduler attacks. id.c 31: a hypervisor, whose family says nothing about its MSRs. */
	struct cpuid id = leaf(1), e8 = leaf(0x80000008), e21 = leaf(0x80000021);
	uint32_t family = (id.a >> 8 & 0xf) + (id.a >> 20 & 0xff), model = (id.a >> 4 & 0xf) | (id.a >> 12 & 0xf0);
	uint32_t on = (HAS(e8.b, 12) ? IBPB : 0) | (HAS(e8.b, 15) ? STIBP : 0) | (HAS(e21.a, 8) ? AIBRS : 0);

	on |= HAS(e21.a, 5) && !(HAS(e21.c, 1) && HAS(e21.c, 2)) ? VERW : 0;
	if (family < 0x10 || family == 0x11 || HAS(id.c, 31))
		return on;
	/* Zen 2: the one whose upper YMM halves can show up in another context. */
	return on | (HAS(e21.a, 2) ? 0 : LFENCE) | (family == 0x17 && model >= 0x30 && model >> 4 != 5 ? ZENBLEED : 0);
}

void speculation_init(int first)
{
	static const char *const names[] = {"IBPB",  "L1D flush", "VERW",	  "IBRS",	 "automatic IBRS",
					    "STIBP", "LFENCE",	  "Zenbleed fix", "open to MDS", "open to Meltdown"};
	const char *before = "cairn: speculation: ";
	uint32_t i;

	if (first) {
		speculation = cpu_vendor == VENDOR_INTEL ? choose_intel() : choose_amd();
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (HAS(speculation, i)) {
				print("%s%s", before, names[i]);
				before = ", ";
			}
		print(speculation ? "\n" : "cairn: speculation: nothing to switch on\n");
		if (speculation & VERW)
			patch(sites_verw, sites_end, 0x00, 5); /* VERW is 0F 00 /5 */
	}
	if (speculation & (IBRS | STIBP)) /* IA32_SPEC_CTRL */
		wrmsr(0x48, (speculation & IBRS ? 1 : 0) | (speculation & STIBP ? 2 : 0));
	if (speculation & AIBRS)
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1ul << 21);
	if (speculation & (LFENCE | ZENBLEED)) /* DE_CFG */
		wrmsr(0xc0011029,
		      rdmsr(0xc0011029) | (speculation & LFENCE ? 1u << 1 : 0) | (speculation & ZENBLEED ? 1u << 9 : 0));
}

void speculation_switch(struct cpu *cpu, int guest)
{
	if (speculation & IBPB)
		wrmsr(0x49, 1); /* IA32_PRED_CMD */
	if ((speculation & L1D) && guest)
		wrmsr(0x10b, 1); /* IA32_FLUSH_CMD: what others left, their FPU state above all */
	else if (speculation & L1D)
		cpu->last_guest = NULL; /* before the next entry */
}
