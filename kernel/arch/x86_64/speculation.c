/* SPDX-License-Identifier: BSD-2-Clause */
/* Against attacks on speculation: what this CPU announces and needs is switched on. docs/CAVEATS.md says what is not done. */
#include "arch.h"
#include "speculation.h"

#define MSR_SPEC_CTRL	      0x48
#define MSR_PRED_CMD	      0x49
#define MSR_ARCH_CAPABILITIES 0x10a
#define MSR_FLUSH_CMD	      0x10b
#define MSR_DE_CFG	      0xc0011029
#define EFER_AIBRSE	      (1ul << 21)

extern uint8_t *const sites_verw[], *const sites_end[];

uint32_t speculation;

static struct cpuid leaf(uint32_t n)
{
	return cpuid(n & 0x80000000, 0).a >= n ? cpuid(n, 0) : (struct cpuid){0};
}

static int has(uint64_t bits, uint32_t n)
{
	return bits >> n & 1;
}

static uint32_t choose_intel(void)
{
	/* EBX 11: RTM. EDX 10: MD_CLEAR; 26: IBRS and IBPB; 27: STIBP; 28: L1D_FLUSH; 29: IA32_ARCH_CAPABILITIES. */
	struct cpuid f = leaf(7);
	/* 0: RDCL_NO, and no L1TF; 1: IBRS_ALL; 3: SKIP_L1DFL_VMENTRY; 5: MDS_NO; 8: TAA_NO; 17, 28: FB_CLEAR, RFDS_CLEAR, for
	 * which VERW is needed. */
	uint64_t arch = has(f.d, 29) ? rdmsr(MSR_ARCH_CAPABILITIES) : 0;
	uint32_t on = 0;

	if (has(f.d, 26))
		on |= SPECULATION_IBPB | (has(arch, 1) ? SPECULATION_IBRS : 0);
	if (has(f.d, 27) && !(on & SPECULATION_IBRS)) /* which covers the other thread of the core */
		on |= SPECULATION_STIBP;
	if (has(f.d, 28) && !has(arch, 0) && !has(arch, 3))
		on |= SPECULATION_L1D;
	if (has(arch, 17) || has(arch, 28))
		on |= SPECULATION_VERW;
	if (!has(arch, 5) || (has(f.b, 11) && !has(arch, 8)))
		on |= has(f.d, 10) ? SPECULATION_VERW : SPECULATION_MDS;
	return on | (has(arch, 0) ? 0 : SPECULATION_MELTDOWN);
}

/* Family 17h, by model: Zen 2, the only one whose upper YMM halves can show up in another context. */
static int zen2(uint32_t model)
{
	return (model >= 0x30 && model < 0x50) || (model >= 0x60 && model < 0x80) || (model >= 0x90 && model < 0x92) ||
	       (model >= 0xa0 && model < 0xb0);
}

static uint32_t choose_amd(void)
{
	/* EBX 12: IBPB; 15: STIBP. */
	struct cpuid id = leaf(1), e8 = leaf(0x80000008);
	/* EAX 2: LFENCE is serialising; 5: VERW clears buffers; 8: automatic IBRS. ECX 1, 2: no transient scheduler attacks. */
	struct cpuid e21 = leaf(0x80000021);
	uint32_t family = (id.a >> 8 & 0xf) + (id.a >> 20 & 0xff), model = (id.a >> 4 & 0xf) | (id.a >> 12 & 0xf0);
	uint32_t on = has(e8.b, 12) ? SPECULATION_IBPB : 0;

	if (has(e8.b, 15))
		on |= SPECULATION_STIBP;
	if (has(e21.a, 8))
		on |= SPECULATION_AIBRS; /* for the kernel; STIBP is about user level */
	if (has(e21.a, 5) && !(has(e21.c, 1) && has(e21.c, 2)))
		on |= SPECULATION_VERW;
	/* Announced by the family alone; a hypervisor's family (ECX 31) says nothing about its MSRs. */
	if (family < 0x10 || family == 0x11 || has(id.c, 31))
		return on;
	if (!has(e21.a, 2))
		on |= SPECULATION_LFENCE;
	return on | (family == 0x17 && zen2(model) ? SPECULATION_ZENBLEED : 0);
}

static void report(void)
{
	static const char *const names[] = {"IBRS", "automatic IBRS", "STIBP", "LFENCE",      "Zenbleed fix",
					    "IBPB", "L1D flush",      "VERW",  "open to MDS", "open to Meltdown"};
	const char *before = "cairn: speculation: ";
	uint32_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (speculation & 1u << i) {
			print("%s%s", before, names[i]);
			before = ", ";
		}
	print(speculation ? "\n" : "cairn: speculation: nothing to switch on\n");
}

void speculation_init(int first)
{
	uint32_t ctrl, de_cfg;

	if (first) {
		speculation = cpu_vendor == VENDOR_INTEL ? choose_intel() : choose_amd();
		report();
		if (speculation & SPECULATION_VERW)
			patch(sites_verw, sites_end, 0x00, 5); /* VERW is 0F 00 /5 */
	}
	ctrl = (speculation & SPECULATION_IBRS ? 1 : 0) | (speculation & SPECULATION_STIBP ? 2 : 0);
	de_cfg = (speculation & SPECULATION_LFENCE ? 1u << 1 : 0) | (speculation & SPECULATION_ZENBLEED ? 1u << 9 : 0);
	if (ctrl)
		wrmsr(MSR_SPEC_CTRL, ctrl);
	if (speculation & SPECULATION_AIBRS)
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_AIBRSE);
	if (de_cfg)
		wrmsr(MSR_DE_CFG, rdmsr(MSR_DE_CFG) | de_cfg);
}

void speculation_space(struct cpu *cpu)
{
	if (speculation & SPECULATION_IBPB)
		wrmsr(MSR_PRED_CMD, 1);
	if (speculation & SPECULATION_L1D)
		cpu->last_guest = NULL; /* speculation_guest will be called */
}

void speculation_guest(struct cpu *cpu, const struct ec *next)
{
	/* Two guests of one VMM: no address space came between them. */
	if (cpu->guest_slot != next->guest_slot && (speculation & SPECULATION_IBPB))
		wrmsr(MSR_PRED_CMD, 1);
	cpu->guest_slot = next->guest_slot;
	/* L1TF: what others left, their FPU state above all. From here to the entry only what is the guest's is loaded. */
	if (speculation & SPECULATION_L1D)
		wrmsr(MSR_FLUSH_CMD, 1);
}
