/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtual machine-check registers and the queue of errors not yet shown to the guest. */
#include <string.h>
#include "vmce/vmce.h"

#define PAGE_MASK (~0xfffull)

enum bank_register { BANK_CTL, BANK_STATUS, BANK_ADDR, BANK_MISC };

void vmce_reset(struct vmce *vmce, bool amd, bool local)
{
	memset(vmce, 0, sizeof(*vmce));
	vmce->amd = amd;
	vmce->local = local;
}

bool vmce_owns_msr(uint32_t msr)
{
	if (msr <= MSR_P5_MC_TYPE || msr == MSR_MCG_EXT_CTL)
		return true;
	if (msr >= MSR_MCG_CAP && msr <= MSR_MCG_CTL)
		return true;
	if (msr >= MSR_MCG_EXT_FIRST && msr <= MSR_MCG_EXT_LAST)
		return true;
	if (msr >= MSR_MC0_CTL2 && msr <= MSR_MC31_CTL2)
		return true;
	return msr >= MSR_MC0_CTL && msr <= MSR_MC31_MISC;
}

static uint64_t mcg_cap(const struct vmce *vmce)
{
	/* Never SER_P for AMD: Linux honours it whatever the vendor, and then ignores AMD's errors.
	 */
	if (vmce->amd)
		return VMCE_BANKS;
	return MCG_CAP_SER_P | MCG_CAP_TES_P | MCG_CAP_CMCI_P | VMCE_BANKS;
}

static bool is_bank_msr(uint32_t msr)
{
	return msr >= MSR_MC0_CTL && msr < MSR_MC0_CTL + 4 * VMCE_BANKS;
}

static bool is_ctl2_msr(const struct vmce *vmce, uint32_t msr)
{
	return !vmce->amd && msr >= MSR_MC0_CTL2 && msr < MSR_MC0_CTL2 + VMCE_BANKS;
}

static uint64_t read_bank(const struct vmce *vmce, uint32_t msr)
{
	const struct vmce_bank *bank = &vmce->bank[(msr - MSR_MC0_CTL) / 4];

	switch ((msr - MSR_MC0_CTL) % 4) {
	case BANK_STATUS:
		return bank->status;
	case BANK_ADDR:
		return bank->addr;
	case BANK_MISC:
		return bank->misc;
	default:
		return ~0ull; /* every error is enabled, always */
	}
}

bool vmce_read_msr(const struct vmce *vmce, uint32_t msr, uint64_t *value)
{
	switch (msr) {
	case MSR_P5_MC_ADDR:
		*value = vmce->bank[VMCE_ERROR_BANK].addr;
		return true;
	case MSR_P5_MC_TYPE:
		*value = vmce->bank[VMCE_ERROR_BANK].status;
		return true;
	case MSR_MCG_CAP:
		*value = mcg_cap(vmce);
		return true;
	case MSR_MCG_STATUS:
		*value = vmce->mcg_status;
		return true;
	default:
		break;
	}
	if (is_bank_msr(msr)) {
		*value = read_bank(vmce, msr);
		return true;
	}
	if (is_ctl2_msr(vmce, msr)) {
		*value = vmce->bank[msr - MSR_MC0_CTL2].ctl2;
		return true;
	}
	return false;
}

/* MCi_CTL ignores writes; the others take only 0 (SDM 15.3.2.2 to 15.3.2.4). */
static bool write_bank(struct vmce *vmce, uint32_t msr, uint64_t value)
{
	uint32_t index = (msr - MSR_MC0_CTL) / 4;
	struct vmce_bank *bank = &vmce->bank[index];
	uint32_t reg = (msr - MSR_MC0_CTL) % 4;

	if (reg == BANK_CTL)
		return true;
	if (value != 0)
		return false;
	switch (reg) {
	case BANK_STATUS:
		bank->status = 0;
		if (index == VMCE_ERROR_BANK)
			vmce->filled_optional = false;
		break;
	case BANK_ADDR:
		bank->addr = 0;
		break;
	default:
		bank->misc = 0;
		break;
	}
	return true;
}

bool vmce_write_msr(struct vmce *vmce, uint32_t msr, uint64_t value)
{
	if (msr <= MSR_P5_MC_TYPE)
		return value == 0;
	if (msr == MSR_MCG_STATUS) {
		if (value != 0)
			return false;
		vmce->mcg_status = 0;
		return true;
	}
	if (is_bank_msr(msr))
		return write_bank(vmce, msr, value);
	if (is_ctl2_msr(vmce, msr)) {
		if (value & ~MCI_CTL2_MASK)
			return false;
		vmce->bank[msr - MSR_MC0_CTL2].ctl2 = value;
		return true;
	}
	return false; /* MCG_CAP is read-only; there is no MCG_CTL (no CTL_P), no extended state, no
			 LMCE_P */
}

static void fill(struct vmce *vmce, uint64_t status, uint64_t gpa)
{
	struct vmce_bank *bank = &vmce->bank[VMCE_ERROR_BANK];

	bank->status = status | (bank->status & MCI_STATUS_VAL ? MCI_STATUS_OVER : 0);
	bank->addr = gpa;
	bank->misc = VMCE_MISC;
}

static void forget(struct vmce *vmce, uint64_t page)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < vmce->queued; i++)
		if (vmce->queue[i] != page)
			vmce->queue[kept++] = vmce->queue[i];
	vmce->queued = kept;
}

/* The error in the bank was ours and nobody has read it for good: it can wait, so nothing
 * overflows. */
static void take_back_optional(struct vmce *vmce)
{
	if (!vmce->filled_optional)
		return;
	vmce->filled_optional = false;
	vmce->bank[VMCE_ERROR_BANK].status = 0;
	if (vmce->queued == VMCE_QUEUE) {
		vmce->lost = true;
		return;
	}
	memmove(&vmce->queue[1], &vmce->queue[0], vmce->queued * sizeof(vmce->queue[0]));
	vmce->queue[0] = vmce->filled_gpa;
	vmce->queued++;
}

enum vmce_verdict vmce_action_required(struct vmce *vmce, uint64_t gpa, bool cr4_mce)
{
	/* A second #MC while one is in progress, or one that is not enabled, shuts the CPU down
	 * (SDM 15.3.1.2). */
	if (!cr4_mce || (vmce->mcg_status & MCG_STATUS_MCIP))
		return VMCE_SHUTDOWN;
	take_back_optional(vmce);
	forget(vmce, gpa & PAGE_MASK);
	fill(vmce, vmce->amd ? VMCE_AMD_AR : VMCE_INTEL_SRAR, gpa);
	vmce->mcg_status = MCG_STATUS_RIPV | MCG_STATUS_EIPV | MCG_STATUS_MCIP;
	if (vmce->local && !vmce->amd)
		vmce->mcg_status |= MCG_STATUS_LMCES;
	return VMCE_INJECT;
}

bool vmce_queue_optional(struct vmce *vmce, uint64_t gpa)
{
	uint64_t page = gpa & PAGE_MASK;

	if (vmce->filled_optional && vmce->filled_gpa == page)
		return false;
	for (uint32_t i = 0; i < vmce->queued; i++)
		if (vmce->queue[i] == page)
			return false;
	if (vmce->queued == VMCE_QUEUE) {
		vmce->lost = true; /* it is still unmapped: a touch becomes action-required */
		return true;
	}
	vmce->queue[vmce->queued++] = page;
	return true;
}

enum vmce_verdict vmce_next_optional(struct vmce *vmce, bool cr4_mce, uint64_t *gpa)
{
	bool free = !(vmce->bank[VMCE_ERROR_BANK].status & MCI_STATUS_VAL);

	if (vmce->queued == 0 || !free)
		return VMCE_NOTHING;
	if (!vmce->amd && (!cr4_mce || (vmce->mcg_status & MCG_STATUS_MCIP)))
		return VMCE_NOTHING;
	*gpa = vmce->queue[0];
	vmce->queued--;
	memmove(&vmce->queue[0], &vmce->queue[1], vmce->queued * sizeof(vmce->queue[0]));
	vmce->filled_optional = true;
	vmce->filled_gpa = *gpa;
	fill(vmce, vmce->amd ? VMCE_AMD_DEFERRED : VMCE_INTEL_SRAO, *gpa);
	if (vmce->lost)
		vmce->bank[VMCE_ERROR_BANK].status |= MCI_STATUS_OVER;
	vmce->lost = false;
	if (vmce->amd)
		return VMCE_LOGGED;
	vmce->mcg_status = MCG_STATUS_RIPV | MCG_STATUS_MCIP;
	if (vmce->local)
		vmce->mcg_status |= MCG_STATUS_LMCES;
	return VMCE_INJECT;
}
