/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtual machine-check architecture of one vCPU: registers, pending errors, what is to be
 * injected when. */
#ifndef VMM_VMCE_H
#define VMM_VMCE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Two banks; bank 0 stays empty (family 6 models below 0x1a must not touch its control register,
 * SDM 15.3.2.1), errors appear in bank 1.
 */
#define VMCE_BANKS	2u
#define VMCE_ERROR_BANK 1u
#define VMCE_QUEUE	64u

/* MSRs (SDM 15.3, APM 2 9.3). */
#define MSR_P5_MC_ADDR	  0x000u
#define MSR_P5_MC_TYPE	  0x001u
#define MSR_MCG_CAP	  0x179u
#define MSR_MCG_STATUS	  0x17au
#define MSR_MCG_CTL	  0x17bu
#define MSR_MCG_EXT_FIRST 0x180u
#define MSR_MCG_EXT_LAST  0x197u
#define MSR_MC0_CTL2	  0x280u
#define MSR_MC31_CTL2	  0x29fu
#define MSR_MC0_CTL	  0x400u
#define MSR_MC31_MISC	  0x47fu
#define MSR_MCG_EXT_CTL	  0x4d0u

#define MCG_CAP_CMCI_P (1ull << 10)
#define MCG_CAP_TES_P  (1ull << 11)
#define MCG_CAP_SER_P  (1ull << 24)

#define MCG_STATUS_RIPV	 1ull
#define MCG_STATUS_EIPV	 2ull
#define MCG_STATUS_MCIP	 4ull
#define MCG_STATUS_LMCES 8ull

#define MCI_STATUS_VAL	(1ull << 63)
#define MCI_STATUS_OVER (1ull << 62)

#define MCI_CTL2_MASK (0x7fffull | 1ull << 30)

/* What the guest sees: facts in section 15.9 of the SDM, checked against what Linux does with each
 * word. */
#define VMCE_INTEL_SRAR	  0xbd80000000000134ull /* VAL UC EN MISCV ADDRV S AR, data load */
#define VMCE_INTEL_SRAO	  0xbd000000000000c0ull /* VAL UC EN MISCV ADDRV S, memory scrubbing */
#define VMCE_AMD_AR	  0xbc00000000000134ull /* VAL UC EN MISCV ADDRV */
#define VMCE_AMD_DEFERRED 0x9c00100000000811ull /* VAL EN MISCV ADDRV Deferred */
#define VMCE_MISC	  0x8cull /* physical address, valid from bit 12 on (SDM 15.3.2.4) */

enum vmce_verdict {
	VMCE_NOTHING,  /* nothing to inject */
	VMCE_INJECT,   /* inject #MC: vector 18, type 3, no error code (R-REF-11) */
	VMCE_LOGGED,   /* a bank was filled, without #MC: the guest finds it by polling */
	VMCE_SHUTDOWN, /* the vCPU shuts down: MCIP was set or CR4.MCE clear */
};

struct vmce_bank {
	uint64_t status, addr, misc, ctl2;
};

struct vmce {
	bool amd;   /* AMD profile: no SER_P, no CMCI, deferred errors; else Intel's */
	bool local; /* Intel with several vCPUs: only one gets the #MC, so it says LMCE_S */
	uint64_t mcg_status;
	struct vmce_bank bank[VMCE_BANKS];
	bool filled_optional; /* bank 1 holds an action-optional error … */
	uint64_t filled_gpa;  /* … of this page */
	uint64_t
		queue[VMCE_QUEUE]; /* pages of action-optional errors not shown yet, oldest first */
	uint32_t queued;
	bool lost; /* one did not fit: the next one shown says OVER */
};

/* Power-on state. */
void vmce_reset(struct vmce *vmce, bool amd, bool local);

/* Whether this MSR is the machine check's. */
bool vmce_owns_msr(uint32_t msr);

/* RDMSR and WRMSR; false: #GP(0). */
bool vmce_read_msr(const struct vmce *vmce, uint32_t msr, uint64_t *value);
bool vmce_write_msr(struct vmce *vmce, uint32_t msr, uint64_t value);

/*
 * The guest consumed the lost page at gpa: fills the bank. INJECT or SHUTDOWN. An action-optional
 * error that is shown but not yet taken from the bank goes back to the queue.
 */
enum vmce_verdict vmce_action_required(struct vmce *vmce, uint64_t gpa, bool cr4_mce);

/* Queues the early notice of a lost page; false: it is known already. */
bool vmce_queue_optional(struct vmce *vmce, uint64_t gpa);

/*
 * Shows the next queued error if the bank is free: Intel: INJECT (only while the guest could take
 * it: MCIP clear, CR4.MCE set; else NOTHING and it stays queued), AMD: LOGGED. *gpa: which.
 */
enum vmce_verdict vmce_next_optional(struct vmce *vmce, bool cr4_mce, uint64_t *gpa);

#endif
