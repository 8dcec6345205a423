/* SPDX-License-Identifier: BSD-2-Clause */
/* After #VMEXIT: what is the kernel's own business, and the exit class of all else. */
#include <hal/hal.h>
#include "../arch.h"
#include "vmcb.h"

#define CLASS_KERNEL 0xff

/* Exit code (APM appendix C) -> class. */
/* clang-format off */
static const uint8_t classes[EXIT_CODE_COUNT] = {
	[0x00 ... 0x1f] = EXIT_CR, [0x20 ... 0x3f] = EXIT_DR,
	[0x40 ... 0x51] = EXIT_EXCEPTION, [EXIT_CODE_MC] = CLASS_KERNEL, [0x53 ... 0x5f] = EXIT_EXCEPTION,
	[0x60 ... 0x63] = CLASS_KERNEL /* INTR, NMI, SMI, INIT */, [0x64] = EXIT_OTHER, [0x65] = EXIT_CR,
	[0x66 ... 0x71] = EXIT_OTHER, [0x72] = EXIT_CPUID, [0x73] = EXIT_OTHER, [0x74] = EXIT_NMI_WINDOW /* IRET */,
	[0x75 ... 0x77] = EXIT_OTHER, [0x78] = EXIT_HLT, [0x79 ... 0x7a] = EXIT_OTHER, [0x7b] = EXIT_IO, [0x7c] = EXIT_MSR,
	[0x7d ... 0x7e] = EXIT_OTHER, [0x7f] = EXIT_SHUTDOWN, [0x80] = EXIT_OTHER, [0x81] = EXIT_VMCALL,
	[0x82 ... EXIT_CODE_COUNT - 1] = EXIT_OTHER,
};
/* clang-format on */

/* The CPU refused the state. QEMU leaves the host's RIP, RSP and RAX in the VMCB then: the VMM gets its own back; and it clears
 * V_INTR_MASKING, without which a guest decides whether this CPU is interrupted. */
static uint32_t refused(const struct ec *v, struct vmcb *b)
{
	b->rip = v->state->rip;
	b->rsp = v->state->gpr[GPR_RSP];
	b->rax = v->state->gpr[GPR_RAX];
	b->v_intr |= V_INTR_MASKING;
	return EXIT_INVALID;
}

#define NPF_P 1u /* exit_info1: the page was there */

static uint32_t nested(const struct vmcb *b)
{
	enum pt_leaf leaf = pt_leaf(b->n_cr3, b->exit_info2);

	if (leaf == PT_LEAF_PAGE && !(b->exit_info1 & NPF_P))
		return CLASS_KERNEL; /* another CPU has changed it meanwhile: again */
	return leaf == PT_LEAF_POISON ? EXIT_POISONED : EXIT_NESTED;
}

static uint32_t classify(const struct ec *v, struct vmcb *b)
{
	uint32_t code = (uint32_t)b->exit_code; /* some report 32 bits of -1 */

	if (code < EXIT_CODE_COUNT)
		return classes[code];
	if (code == EXIT_CODE_NPF)
		return nested(b);
	if (code == 0xffffffff)
		return refused(v, b);
	return EXIT_OTHER;
}

void guest_mc(void);

/* The CPU is in the guest no more, its state page is complete. */
void svm_exit(struct ec *v)
{
	struct vmcb *b = hal_window(v->phys + PAGE_SIZE_4K);
	uint32_t class = classify(v, b);

	b->event_inj = 0;
	b->tlb_control = class == EXIT_INVALID; /* a refused entry may not have flushed */
	v->vectoring_info = 0;
	if (b->exit_int_info & EVENT_VALID) {
		v->vectoring_info = (uint32_t)b->exit_int_info & (EVENT_VALID | EVENT_ERROR | EVENT_TYPE | 0xff);
		v->vectoring_error = (uint32_t)(b->exit_int_info >> 32);
	}
	if (class != CLASS_KERNEL) {
		vcpu_exit(v, class);
		return;
	}
	/* An exception or NMI whose delivery was interrupted is delivered again; an interrupt is still in V_IRQ; INT, INT3 and
	 * INTO are executed again. */
	if (v->vectoring_info & EVENT_VALID) {
		uint32_t type = v->vectoring_info & EVENT_TYPE, vector = v->vectoring_info & 0xff;

		if (type == EVENT_NMI || (type == EVENT_EXC && vector < 32 && vector != 3 && vector != 4))
			b->event_inj = v->vectoring_info | (uint64_t)v->vectoring_error << 32;
		v->vectoring_info = 0;
	}
	if ((uint32_t)b->exit_code == EXIT_CODE_MC)
		guest_mc();
	irq_window();
}
