/* SPDX-License-Identifier: BSD-2-Clause */
/* After a VM exit: what is the kernel's own business, and the exit class of all else. */
#include <hal/hal.h>
#include "vmx.h"

#define CLASS_KERNEL 0xff

#define IRET_UNBLOCKED                                                                                                      \
	(1u << 12) /* in the interruption information of an exception, and in an EPT violation's qualification */

/* Basic exit reason (SDM appendix C) -> class; 0: EXIT_OTHER. */
/* clang-format off */
static const uint8_t classes[REASON_COUNT] = {
	[REASON_EXCEPTION] = EXIT_EXCEPTION, [REASON_INTERRUPT] = CLASS_KERNEL, [2] = EXIT_SHUTDOWN, [3] = CLASS_KERNEL /* INIT */,
	[REASON_INTR_WINDOW] = CLASS_KERNEL, [8] = EXIT_NMI_WINDOW, [10] = EXIT_CPUID, [12] = EXIT_HLT, [18] = EXIT_VMCALL,
	[REASON_CR] = EXIT_CR, [REASON_DR] = EXIT_DR, [REASON_IO] = EXIT_IO, [31] = EXIT_MSR, [REASON_WRMSR] = EXIT_MSR,
	[REASON_INVALID] = EXIT_INVALID, [REASON_MSR_LOADING] = EXIT_INVALID, [REASON_MC_AT_ENTRY] = CLASS_KERNEL,
	[REASON_EPT] = EXIT_NESTED, [52] = CLASS_KERNEL /* preemption timer */,
};
/* clang-format on */

void guest_mc(void);

/* 1: it was the machine's own: an NMI or a machine check, which has been dealt with as if it had interrupted the kernel. */
static int host_exception(uint32_t reason)
{
	uint32_t info = reason == REASON_EXCEPTION ? (uint32_t)vmread(EXIT_INTR_INFO) : 0;

	if ((info & EVENT_TYPE) == EVENT_NMI)
		__asm__ volatile("int $2"); /* its IRET ends the blocking of NMIs */
	else if (reason == REASON_MC_AT_ENTRY || (info & 0xff) == 18)
		guest_mc();
	else
		return 0;
	return 1;
}

#define EPT_PRESENT (7u << 3) /* qualification: what the entries permit */

static uint32_t nested(void)
{
	enum pt_leaf leaf = pt_leaf(vmread(EPT_POINTER) & ~0xffful, vmread(GUEST_PHYSICAL_ADDRESS));

	if (leaf == PT_LEAF_PAGE && !(vmread(QUALIFICATION) & EPT_PRESENT))
		return CLASS_KERNEL; /* another CPU has changed it meanwhile: again */
	return leaf == PT_LEAF_POISON ? EXIT_POISONED : EXIT_NESTED;
}

static uint32_t classify(uint32_t reason)
{
	uint32_t class = reason == REASON_CONTROLS ? EXIT_INVALID : reason < REASON_COUNT ? classes[reason] : 0;

	if (reason == REASON_EXCEPTION || reason == REASON_MC_AT_ENTRY)
		return host_exception(reason) ? CLASS_KERNEL : class;
	if (class == EXIT_NESTED)
		return nested();
	return class ? class : EXIT_OTHER;
}

/* R-RES-1: an IRET that did not finish has ended the blocking of NMIs nevertheless. */
static void block_nmis_again(struct ec *v, uint32_t reason)
{
	uint64_t where = reason == REASON_EXCEPTION ? vmread(EXIT_INTR_INFO)
			 : reason == REASON_EPT	    ? vmread(QUALIFICATION)
						    : 0;

	if ((where & IRET_UNBLOCKED) && !v->vectoring_info)
		vmwrite(GUEST_INTERRUPTIBILITY, vmread(GUEST_INTERRUPTIBILITY) | VCPU_BLOCK_NMI);
}

/* The CPU is in the guest no more, its state page is complete. refused: nothing was loaded, and nothing told. */
void vmx_exit(struct ec *v, uint32_t refused)
{
	struct cpu *cpu = hal_cpu();
	uint32_t reason = refused ? REASON_CONTROLS : (uint32_t)vmread(EXIT_REASON), basic = reason & 0xffff, class;

	v->reason = reason;
	v->cr2 = read_cr2();
	v->vectoring_info = 0;
	if (!refused)
		cpu->ts = 1; /* as HOST_CR0 has it */
	if (!(reason >> 31) && !refused) {
		v->vectoring_info = (uint32_t)vmread(VECTORING_INFO) & (EVENT_VALID | EVENT_ERROR | EVENT_TYPE | 0xff);
		v->vectoring_error = (uint32_t)vmread(VECTORING_ERROR);
		if (!(v->vectoring_info & EVENT_VALID))
			v->vectoring_info = 0;
		block_nmis_again(v, basic);
		cpu->launched = 1; /* a refused or failed entry leaves it as it was */
	}
	class = classify(basic);
	if (class != CLASS_KERNEL) {
		vcpu_exit(v, class);
		return;
	}
	/* What was being delivered is delivered again. */
	if (v->vectoring_info) {
		vmwrite(ENTRY_INTR_INFO, v->vectoring_info);
		vmwrite(ENTRY_ERROR, v->vectoring_error);
		vmwrite(ENTRY_LENGTH, vmread(EXIT_LENGTH));
		v->vectoring_info = 0;
	}
	virq_offer(v);
	irq_window();
}
