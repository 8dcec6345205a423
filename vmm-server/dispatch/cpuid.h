/* SPDX-License-Identifier: BSD-2-Clause */
/* What CPUID tells the guest: computed once from the host's answers, so that an exit is a lookup.
 */
#ifndef VMM_CPUID_H
#define VMM_CPUID_H

#include <stdbool.h>
#include <stdint.h>

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

#define CPUID_BASIC    0x10u /* leaves 0 .. 0xf */
#define CPUID_EXTENDED 0x09u /* leaves 0x80000000 .. 0x80000008 */
#define CPUID_CACHES   6u    /* subleaves of leaf 4 */

/* The host's answers (subleaf 0 unless noted). */
struct cpuid_host {
	struct cpuid_regs basic[CPUID_BASIC];
	struct cpuid_regs extended[CPUID_EXTENDED];
	struct cpuid_regs cache[CPUID_CACHES];
};

struct cpuid_table {
	struct cpuid_regs basic[CPUID_BASIC];
	struct cpuid_regs extended[CPUID_EXTENDED];
	struct cpuid_regs hypervisor[2];
	struct cpuid_regs cache[CPUID_CACHES];
	struct cpuid_regs topology[2]; /* subleaves of leaf 0xb */
};

struct cpuid_config {
	unsigned vcpus, vcpu;
	bool amd_profile; /* of the virtual machine check: SUCCOR and overflow recovery */
};

/* Asks this CPU. */
void cpuid_read_host(struct cpuid_host *host);

void cpuid_build(const struct cpuid_host *host, const struct cpuid_config *config,
		 struct cpuid_table *table);

/* For leaves with subleaves, and those out of range: zeros, as for an unknown subleaf (SDM 2A,
 * CPUID). */
const struct cpuid_regs *cpuid_lookup_slow(const struct cpuid_table *table, uint32_t leaf,
					   uint32_t subleaf);

#define CPUID_WITH_SUBLEAVES (1u << 4 | 1u << 7 | 1u << 0xb | 1u << 0xd)

static inline const struct cpuid_regs *cpuid_lookup(const struct cpuid_table *table, uint32_t leaf,
						    uint32_t subleaf)
{
	if (leaf < CPUID_BASIC && !(CPUID_WITH_SUBLEAVES >> leaf & 1))
		return &table->basic[leaf];
	return cpuid_lookup_slow(table, leaf, subleaf);
}

/* What follows from the table: writable bits of CR4, of EFER; physical address bits; 1 GiB pages;
 * AMD's manner. */
uint64_t cpuid_cr4_mask(const struct cpuid_table *table);
uint64_t cpuid_efer_mask(const struct cpuid_table *table);
unsigned cpuid_physical_bits(const struct cpuid_table *table);
bool cpuid_has_1g_pages(const struct cpuid_table *table);
bool cpuid_is_amd(const struct cpuid_table *table);

#endif
