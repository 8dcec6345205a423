/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's CPUID: the host's, less what is not virtualized, and what is always there. */
#include <string.h>
#include "dispatch/cpuid.h"

#define BIT(n)		(1u << (n))
#define EXTENDED_BASE	0x80000000u
#define HYPERVISOR_BASE 0x40000000u

/*
 * Leaf 1. Not in ECX: DTES64, MONITOR, DS-CPL, VMX, SMX, EIST, TM2, FMA, xTPR, PDCM, PCID, DCA,
 * x2APIC, XSAVE, OSXSAVE, AVX, F16C (XCR0 is not switched, so whatever depends on XSAVE is hidden).
 */
#define F1_ECX_KEPT                                                                                \
	(BIT(0) | BIT(1) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(25) |    \
	 BIT(30))
#define F1_ECX_TSC_DEADLINE BIT(24)
#define F1_ECX_HYPERVISOR   BIT(31)
/* Not in EDX: PSN, DS, ACPI, TM, PBE. */
#define F1_EDX_KEPT (0x07ffffffu & ~(BIT(10) | BIT(18) | BIT(20) | BIT(21) | BIT(22)))
#define F1_EDX_MCE  BIT(7)
#define F1_EDX_APIC BIT(9)
#define F1_EDX_MCA  BIT(14)
#define F1_EDX_HTT  BIT(28)
/* Leaf 7 EBX: FSGSBASE BMI1 SMEP BMI2 ERMS RDSEED ADX SMAP CLFLUSHOPT CLWB SHA; ECX: UMIP; EDX:
 * FSRM. */
#define F7_EBX_KEPT                                                                                \
	(BIT(0) | BIT(3) | BIT(7) | BIT(8) | BIT(9) | BIT(18) | BIT(19) | BIT(20) | BIT(23) |      \
	 BIT(24) | BIT(29))
#define F7_ECX_KEPT BIT(2)
#define F7_EDX_KEPT BIT(4)
#define F6_EAX_ARAT BIT(2)
/* 8000_0001 ECX: LAHF ABM SSE4A MISALIGNSSE PREFETCHW, CR8_LEGACY; EDX: SYSCALL NX MMXEXT MMX FXSR
 * PDPE1GB LM. */
#define E1_ECX_KEPT		 (BIT(0) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8))
#define E1_ECX_CMP_LEGACY	 BIT(1)
#define E1_EDX_KEPT		 (BIT(11) | BIT(20) | BIT(22) | BIT(23) | BIT(24) | BIT(26) | BIT(29))
#define E1_EDX_MIRROR		 0x0183f3ffu /* AMD repeats leaf 1's bits here */
#define E7_EBX_OVERFLOW_RECOVERY BIT(0)
#define E7_EBX_SUCCOR		 BIT(1)
#define E7_EDX_INVARIANT_TSC	 BIT(8)

static void cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	__asm__ volatile("cpuid"
			 : "=a"(out->eax), "=b"(out->ebx), "=c"(out->ecx), "=d"(out->edx)
			 : "a"(leaf), "c"(subleaf));
}

void cpuid_read_host(struct cpuid_host *host)
{
	memset(host, 0, sizeof(*host));
	cpuid(0, 0, &host->basic[0]);
	for (uint32_t i = 1; i < CPUID_BASIC && i <= host->basic[0].eax; i++)
		cpuid(i, 0, &host->basic[i]);
	cpuid(EXTENDED_BASE, 0, &host->extended[0]);
	for (uint32_t i = 1; i < CPUID_EXTENDED && EXTENDED_BASE + i <= host->extended[0].eax; i++)
		cpuid(EXTENDED_BASE + i, 0, &host->extended[i]);
	for (uint32_t i = 0; i < CPUID_CACHES && host->basic[0].eax >= 4; i++)
		cpuid(4, i, &host->cache[i]);
}

static bool is_amd_vendor(const struct cpuid_regs *leaf0)
{
	return leaf0->ebx == 0x68747541; /* "Auth" of AuthenticAMD */
}

static uint32_t log2_up(uint32_t n)
{
	uint32_t bits = 0;

	while (1u << bits < n)
		bits++;
	return bits;
}

static void build_leaf1(const struct cpuid_host *host, const struct cpuid_config *config,
			struct cpuid_regs *leaf)
{
	*leaf = host->basic[1];
	leaf->ebx = (leaf->ebx & 0xff00u) | config->vcpus << 16 | config->vcpu << 24;
	leaf->ecx = (leaf->ecx & F1_ECX_KEPT) | F1_ECX_TSC_DEADLINE | F1_ECX_HYPERVISOR;
	leaf->edx = (leaf->edx & F1_EDX_KEPT) | F1_EDX_MCE | F1_EDX_MCA | F1_EDX_APIC;
	if (config->vcpus > 1)
		leaf->edx |= F1_EDX_HTT;
}

static void build_topology(const struct cpuid_config *config, bool amd, struct cpuid_table *table)
{
	for (unsigned i = 0; i < CPUID_CACHES; i++) {
		struct cpuid_regs *cache = &table->cache[i];

		/* Each cache belongs to one vCPU; each vCPU is a core (SDM 2A, CPUID leaf 4). */
		if (cache->eax & 0x1f)
			cache->eax = (cache->eax & 0x3fffu) | (config->vcpus - 1) << 26;
	}
	if (amd)
		return;
	table->topology[0] = (struct cpuid_regs){0, 1, 0x100, config->vcpu};
	table->topology[1] =
		(struct cpuid_regs){log2_up(config->vcpus), config->vcpus, 0x201, config->vcpu};
}

static void build_extended(const struct cpuid_host *host, const struct cpuid_config *config,
			   bool amd, struct cpuid_table *table)
{
	struct cpuid_regs *e = table->extended;

	memcpy(e, host->extended, sizeof(table->extended));
	e[0].eax = EXTENDED_BASE + CPUID_EXTENDED - 1;
	e[1].ecx &= E1_ECX_KEPT;
	e[1].edx &= E1_EDX_KEPT;
	if (amd) {
		e[1].edx |= table->basic[1].edx & E1_EDX_MIRROR;
		if (config->vcpus > 1)
			e[1].ecx |= E1_ECX_CMP_LEGACY;
	}
	e[7] = (struct cpuid_regs){.edx = E7_EDX_INVARIANT_TSC};
	if (config->amd_profile)
		e[7].ebx = E7_EBX_OVERFLOW_RECOVERY | E7_EBX_SUCCOR;
	e[8] = (struct cpuid_regs){.eax = host->extended[8].eax & 0xffffu};
	if (amd)
		e[8].ecx = config->vcpus - 1;
}

void cpuid_build(const struct cpuid_host *host, const struct cpuid_config *config,
		 struct cpuid_table *table)
{
	bool amd = is_amd_vendor(&host->basic[0]);

	memset(table, 0, sizeof(*table));
	table->basic[0] = host->basic[0];
	if (table->basic[0].eax > 0xd)
		table->basic[0].eax = 0xd;
	build_leaf1(host, config, &table->basic[1]);
	table->basic[2] = host->basic[2];
	table->basic[6].eax = F6_EAX_ARAT;
	table->basic[7].ebx = host->basic[7].ebx & F7_EBX_KEPT;
	table->basic[7].ecx = host->basic[7].ecx & F7_ECX_KEPT;
	table->basic[7].edx = host->basic[7].edx & F7_EDX_KEPT;
	memcpy(table->cache, host->cache, sizeof(table->cache));
	build_topology(config, amd, table);
	build_extended(host, config, amd, table);
	memcpy(&table->hypervisor[0].ebx, "Cairn Cairn ", 12);
	table->hypervisor[0].eax = HYPERVISOR_BASE + 1;
}

static const struct cpuid_regs none;

static const struct cpuid_regs *with_subleaf(const struct cpuid_table *table, uint32_t leaf,
					     uint32_t subleaf)
{
	if (leaf == 4)
		return subleaf < CPUID_CACHES ? &table->cache[subleaf] : &none;
	if (leaf == 7)
		return subleaf == 0 ? &table->basic[7] : &none;
	if (leaf == 0xb)
		return subleaf < 2 ? &table->topology[subleaf] : &none;
	return &none;
}

const struct cpuid_regs *cpuid_lookup_slow(const struct cpuid_table *table, uint32_t leaf,
					   uint32_t subleaf)
{
	if (leaf < CPUID_BASIC)
		return CPUID_WITH_SUBLEAVES >> leaf & 1 ? with_subleaf(table, leaf, subleaf)
							: &table->basic[leaf];
	if (leaf - EXTENDED_BASE < CPUID_EXTENDED)
		return &table->extended[leaf - EXTENDED_BASE];
	if (leaf - HYPERVISOR_BASE < 2)
		return &table->hypervisor[leaf - HYPERVISOR_BASE];
	return &none;
}

uint64_t cpuid_cr4_mask(const struct cpuid_table *table)
{
	uint32_t edx = table->basic[1].edx, ebx7 = table->basic[7].ebx;
	uint64_t mask =
		BIT(2) | BIT(6) | BIT(8) | BIT(9) | BIT(10); /* TSD MCE PCE OSFXSR OSXMMEXCPT */

	mask |= edx & BIT(1) ? BIT(0) | BIT(1) : 0;	    /* VME PVI */
	mask |= edx & BIT(2) ? BIT(3) : 0;		    /* DE */
	mask |= edx & BIT(3) ? BIT(4) : 0;		    /* PSE */
	mask |= edx & BIT(6) ? BIT(5) : 0;		    /* PAE */
	mask |= edx & BIT(13) ? BIT(7) : 0;		    /* PGE */
	mask |= table->basic[7].ecx & BIT(2) ? BIT(11) : 0; /* UMIP */
	mask |= ebx7 & BIT(0) ? BIT(16) : 0;		    /* FSGSBASE */
	mask |= ebx7 & BIT(7) ? BIT(20) : 0;		    /* SMEP */
	mask |= ebx7 & BIT(20) ? BIT(21) : 0;		    /* SMAP */
	return mask;
}

uint64_t cpuid_efer_mask(const struct cpuid_table *table)
{
	uint32_t edx = table->extended[1].edx;
	uint64_t mask = 0;

	mask |= edx & BIT(11) ? BIT(0) : 0;	      /* SCE */
	mask |= edx & BIT(29) ? BIT(8) | BIT(10) : 0; /* LME LMA */
	mask |= edx & BIT(20) ? BIT(11) : 0;	      /* NXE */
	return mask;
}

unsigned cpuid_physical_bits(const struct cpuid_table *table)
{
	unsigned bits = table->extended[8].eax & 0xff;

	return bits < 32 || bits > 52 ? 36 : bits;
}

bool cpuid_has_1g_pages(const struct cpuid_table *table)
{
	return table->extended[1].edx & BIT(26);
}

bool cpuid_is_amd(const struct cpuid_table *table)
{
	return is_amd_vendor(&table->basic[0]);
}
