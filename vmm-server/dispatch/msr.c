/* SPDX-License-Identifier: BSD-2-Clause */
/* Model-specific registers: a constant table of what each one is; what is not in it does not exist
 * (R-MSR-1). */
#include <stddef.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include "dispatch/exit.h"

#define EFER_SCE  (1ull << 0)
#define EFER_LME  (1ull << 8)
#define EFER_LMA  (1ull << 10)
#define CR0_PG	  (1ull << 31)
#define FIRST_MSR (2ull << 32) /* what first_time() remembers of MSRs */

#define MICROCODE_REVISION     0x100000000ull /* Intel: revision 1, in the upper half */
#define MISC_ENABLE_FIXED      0x1801ull      /* fast strings; no BTS, no PEBS */
#define MISC_ENABLE_WRITABLE   0x400001ull    /* fast strings, limit CPUID */
#define FEATURE_CONTROL_LOCKED 1ull
#define MTRR_CAP	       0x400ull /* no variable, no fixed ranges; write-combining exists */
#define MTRR_DEFAULT_RESET     0x806ull /* enabled, write-back */
#define MTRR_DEFAULT_MASK      0xc07ull
#define HWCR_RESET	       0x1000000ull /* the TSC counts at P0 frequency */
#define DE_CFG_LFENCE	       2ull	    /* LFENCE serializes */

enum msr_kind {
	MSR_CONSTANT,	   /* reads `value`; writes fault */
	MSR_IGNORED,	   /* reads `value`; writes change nothing */
	MSR_STATE,	   /* 64 bits at offset `value` of struct vcpu_state, in group `groups` */
	MSR_STATE_ADDRESS, /* the same, canonical */
	MSR_SEGMENT,	   /* base of segment `value` */
	MSR_PAT,
	MSR_EFER,
	MSR_TSC,
	MSR_TSC_DEADLINE,
	MSR_APIC_BASE,
	MSR_MISC_ENABLE,
	MSR_MTRR_DEFAULT,
	MSR_HWCR,
};

#define FOR_INTEL 1u
#define FOR_AMD	  2u
#define FOR_ALL	  3u

struct msr_entry {
	uint32_t msr;
	uint8_t kind; /* enum msr_kind */
	uint8_t vendors;
	uint8_t groups; /* of the state that it lives in */
	uint64_t value;
};

#define STATE(field) offsetof(struct vcpu_state, field)

/* Ascending, for the search. */
/* clang-format off */
static const struct msr_entry msrs[] = {
	{ 0x00000010, MSR_TSC, FOR_ALL, 0, 0 },
	{ 0x00000017, MSR_CONSTANT, FOR_INTEL, 0, 0 }, /* PLATFORM_ID */
	{ 0x0000001b, MSR_APIC_BASE, FOR_ALL, 0, 0 },
	{ 0x0000002a, MSR_IGNORED, FOR_INTEL, 0, 0 },  /* EBL_CR_POWERON */
	{ 0x0000003a, MSR_CONSTANT, FOR_INTEL, 0, FEATURE_CONTROL_LOCKED },
	{ 0x00000079, MSR_IGNORED, FOR_INTEL, 0, 0 },  /* BIOS_UPDT_TRIG */
	{ 0x0000008b, MSR_IGNORED, FOR_INTEL, 0, MICROCODE_REVISION }, /* BIOS_SIGN_ID */
	{ 0x0000008b, MSR_IGNORED, FOR_AMD, 0, 1 },    /* PATCH_LEVEL */
	{ 0x000000ce, MSR_CONSTANT, FOR_INTEL, 0, 0 }, /* PLATFORM_INFO */
	{ 0x000000fe, MSR_CONSTANT, FOR_ALL, 0, MTRR_CAP },
	{ 0x00000174, MSR_STATE, FOR_ALL, VCPU_MTD_MSR, STATE(msr.sysenter_cs) },
	{ 0x00000175, MSR_STATE_ADDRESS, FOR_ALL, VCPU_MTD_MSR, STATE(msr.sysenter_esp) },
	{ 0x00000176, MSR_STATE_ADDRESS, FOR_ALL, VCPU_MTD_MSR, STATE(msr.sysenter_eip) },
	{ 0x00000198, MSR_CONSTANT, FOR_INTEL, 0, 0 }, /* PERF_STATUS */
	{ 0x000001a0, MSR_MISC_ENABLE, FOR_INTEL, 0, 0 },
	{ 0x000001d9, MSR_IGNORED, FOR_ALL, 0, 0 },    /* DEBUGCTL: no branch records */
	{ 0x00000277, MSR_PAT, FOR_ALL, VCPU_MTD_MSR, STATE(pat) },
	{ 0x000002ff, MSR_MTRR_DEFAULT, FOR_ALL, 0, 0 },
	{ 0x000006e0, MSR_TSC_DEADLINE, FOR_ALL, 0, 0 },
	{ 0xc0000080, MSR_EFER, FOR_ALL, VCPU_MTD_CR, STATE(efer) },
	{ 0xc0000081, MSR_STATE, FOR_ALL, VCPU_MTD_MSR, STATE(msr.star) },
	{ 0xc0000082, MSR_STATE_ADDRESS, FOR_ALL, VCPU_MTD_MSR, STATE(msr.lstar) },
	{ 0xc0000083, MSR_STATE_ADDRESS, FOR_ALL, VCPU_MTD_MSR, STATE(msr.cstar) },
	{ 0xc0000084, MSR_STATE, FOR_ALL, VCPU_MTD_MSR, STATE(msr.sfmask) },
	{ 0xc0000100, MSR_SEGMENT, FOR_ALL, VCPU_MTD_SEG, SEG_FS },
	{ 0xc0000101, MSR_SEGMENT, FOR_ALL, VCPU_MTD_SEG, SEG_GS },
	{ 0xc0000102, MSR_STATE_ADDRESS, FOR_ALL, VCPU_MTD_MSR, STATE(msr.kernel_gs_base) },
	{ 0xc0010010, MSR_CONSTANT, FOR_AMD, 0, 0 },   /* SYSCFG */
	{ 0xc0010015, MSR_HWCR, FOR_AMD, 0, 0 },
	{ 0xc001001f, MSR_IGNORED, FOR_AMD, 0, 0 },    /* NB_CFG */
	{ 0xc0010055, MSR_IGNORED, FOR_AMD, 0, 0 },    /* INT_PENDING_MSG */
	{ 0xc0011029, MSR_IGNORED, FOR_AMD, 0, DE_CFG_LFENCE },
};
/* clang-format on */

static const struct msr_entry *find(const struct vcpu *v, uint32_t msr)
{
	uint8_t vendor = cpuid_is_amd(&v->cpuid) ? FOR_AMD : FOR_INTEL;

	for (unsigned i = 0; i < sizeof(msrs) / sizeof(msrs[0]) && msrs[i].msr <= msr; i++)
		if (msrs[i].msr == msr && (msrs[i].vendors & vendor))
			return &msrs[i];
	return NULL;
}

static bool is_canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static uint64_t *state_field(struct vcpu *v, const struct msr_entry *entry)
{
	if (entry->kind == MSR_SEGMENT)
		return &v->state->seg[entry->value].base;
	return (uint64_t *)((char *)v->state + entry->value);
}

static enum msr_result unknown(uint32_t msr, const char *what)
{
	if (first_time(FIRST_MSR | msr))
		cairn_log("no MSR 0x%x (%s): #GP; further accesses are not logged", msr, what);
	return MSR_FAULT;
}

enum msr_result msr_read(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	const struct msr_entry *entry;

	if (vmce_owns_msr(msr))
		return vmce_read_msr(&v->vmce, msr, value) ? MSR_DONE : MSR_FAULT;
	entry = find(v, msr);
	if (entry == NULL)
		return unknown(msr, "read");
	if (entry->groups & ~v->have)
		return MSR_NEEDS_STATE;
	switch (entry->kind) {
	case MSR_CONSTANT:
	case MSR_IGNORED:
		*value = entry->value;
		break;
	case MSR_TSC:
		*value = vcpu_tsc(v);
		break;
	case MSR_TSC_DEADLINE:
		*value = lapic_read_deadline(&v->lapic);
		break;
	case MSR_APIC_BASE:
		*value = lapic_read_base(&v->lapic);
		break;
	case MSR_MISC_ENABLE:
		*value = MISC_ENABLE_FIXED | v->misc_enable;
		break;
	case MSR_MTRR_DEFAULT:
		*value = v->mtrr_default ^ MTRR_DEFAULT_RESET;
		break;
	case MSR_HWCR:
		*value = HWCR_RESET | v->hwcr;
		break;
	default:
		*value = *state_field(v, entry);
		break;
	}
	return MSR_DONE;
}

/* SCE and NXE at will; LME only while paging is off; LMA follows (SDM 3A 2.2.1). */
static enum msr_result write_efer(struct vcpu *v, uint64_t value)
{
	uint64_t old = v->state->efer;

	if (value & ~cpuid_efer_mask(&v->cpuid))
		return MSR_FAULT;
	if (((old ^ value) & EFER_LME) && (v->state->cr0 & CR0_PG))
		return MSR_FAULT;
	v->state->efer = (value & ~EFER_LMA) | (old & EFER_LMA);
	v->reply |= VCPU_MTD_CR;
	return MSR_DONE;
}

/* Each of the eight types is one of UC, WC, WT, WP, WB, UC- (SDM 3A 11.12.2). */
static enum msr_result write_pat(struct vcpu *v, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++) {
		uint8_t type = (uint8_t)(value >> i * 8);

		if (type > 7 || type == 2 || type == 3)
			return MSR_FAULT;
	}
	v->state->pat = value;
	v->reply |= VCPU_MTD_MSR;
	return MSR_DONE;
}

static enum msr_result write_mtrr_default(struct vcpu *v, uint64_t value)
{
	uint8_t type = value & 7;

	if ((value & ~MTRR_DEFAULT_MASK) || type == 2 || type == 3 || type == 7)
		return MSR_FAULT;
	v->mtrr_default = value ^ MTRR_DEFAULT_RESET;
	return MSR_DONE;
}

static enum msr_result write_state(struct vcpu *v, const struct msr_entry *entry, uint64_t value)
{
	if (entry->kind != MSR_STATE && !is_canonical(value))
		return MSR_FAULT;
	*state_field(v, entry) = value;
	v->reply |= entry->groups;
	return MSR_DONE;
}

static enum msr_result write_tsc(struct vcpu *v, uint64_t value)
{
	uint64_t offset = value - cairn_tsc();

	lapic_tsc_moved(&v->lapic, offset - v->tsc_offset);
	v->tsc_offset = offset;
	v->state->tsc_offset = offset;
	(void)lapic_timer_expire(&v->lapic, vcpu_tsc(v));
	v->reply |= VCPU_MTD_CTL;
	return MSR_DONE;
}

/* A register of the machine check that became free may be the place for the next error: it needs
 * CR4 to be known. */
static enum msr_result write_vmce(struct vcpu *v, uint32_t msr, uint64_t value)
{
	if (!vmce_write_msr(&v->vmce, msr, value))
		return MSR_FAULT;
	if (v->vmce.queued && !(v->have & VCPU_MTD_CR) &&
	    cairn_recall(SEL_VCPU + v->index) != CAIRN_OK)
		cairn_log("cannot recall vCPU %u", v->index);
	return MSR_DONE;
}

enum msr_result msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	const struct msr_entry *entry;

	if (vmce_owns_msr(msr))
		return write_vmce(v, msr, value);
	entry = find(v, msr);
	if (entry == NULL)
		return unknown(msr, "write");
	if (entry->groups & ~v->have)
		return MSR_NEEDS_STATE;
	switch (entry->kind) {
	case MSR_CONSTANT:
		return MSR_FAULT;
	case MSR_IGNORED:
		return MSR_DONE;
	case MSR_TSC:
		return write_tsc(v, value);
	case MSR_TSC_DEADLINE:
		lapic_write_deadline(&v->lapic, value);
		(void)lapic_timer_expire(&v->lapic, vcpu_tsc(v));
		return MSR_DONE;
	case MSR_APIC_BASE:
		return lapic_write_base(&v->lapic, value) ? MSR_DONE : MSR_FAULT;
	case MSR_MISC_ENABLE:
		v->misc_enable = value & MISC_ENABLE_WRITABLE;
		return MSR_DONE;
	case MSR_MTRR_DEFAULT:
		return write_mtrr_default(v, value);
	case MSR_HWCR:
		v->hwcr = 0; /* nothing of it changes what this VM does */
		return MSR_DONE;
	case MSR_PAT:
		return write_pat(v, value);
	case MSR_EFER:
		return write_efer(v, value);
	default:
		return write_state(v, entry, value);
	}
}
