/* SPDX-License-Identifier: BSD-2-Clause */
/* After #VMEXIT: what is the kernel's own business, and the exit class of all else. */
#include <hal/hal.h>
#include "../arch.h"
#include "vmcb.h"

#define CLASS_KERNEL 0xff

#define TIMES16(v) v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v

/* Exit code (APM appendix C) -> class. */
/* clang-format off */
static const uint8_t classes[EXIT_CODE_COUNT] = {
	TIMES16(EXIT_CR), TIMES16(EXIT_CR),                                         /* 0x00 CR read, write */
	TIMES16(EXIT_DR), TIMES16(EXIT_DR),                                         /* 0x20 DR read, write */
	TIMES16(EXIT_EXCEPTION),                                                    /* 0x40 exceptions */
	EXIT_EXCEPTION, EXIT_EXCEPTION, CLASS_KERNEL, EXIT_EXCEPTION,               /* 0x50; 0x52: #MC */
	EXIT_EXCEPTION, EXIT_EXCEPTION, EXIT_EXCEPTION, EXIT_EXCEPTION,
	EXIT_EXCEPTION, EXIT_EXCEPTION, EXIT_EXCEPTION, EXIT_EXCEPTION,
	EXIT_EXCEPTION, EXIT_EXCEPTION, EXIT_EXCEPTION, EXIT_EXCEPTION,
	CLASS_KERNEL, CLASS_KERNEL, CLASS_KERNEL, CLASS_KERNEL,                     /* 0x60 INTR NMI SMI INIT */
	EXIT_OTHER, EXIT_CR, EXIT_OTHER, EXIT_OTHER,                                /* VINTR, CR0 */
	EXIT_OTHER, EXIT_OTHER, EXIT_OTHER, EXIT_OTHER,                             /* 0x68 */
	EXIT_OTHER, EXIT_OTHER, EXIT_OTHER, EXIT_OTHER,
	EXIT_OTHER, EXIT_OTHER, EXIT_CPUID, EXIT_OTHER,                             /* 0x70 */
	EXIT_NMI_WINDOW, EXIT_OTHER, EXIT_OTHER, EXIT_OTHER,                        /* 0x74 IRET */
	EXIT_HLT, EXIT_OTHER, EXIT_OTHER, EXIT_IO,                                  /* 0x78 */
	EXIT_MSR, EXIT_OTHER, EXIT_OTHER, EXIT_SHUTDOWN,                            /* 0x7c */
	EXIT_OTHER, EXIT_VMCALL, EXIT_OTHER, EXIT_OTHER,                            /* 0x80 */
	EXIT_OTHER, EXIT_OTHER, EXIT_OTHER, EXIT_OTHER,
	EXIT_OTHER, EXIT_OTHER, EXIT_OTHER, EXIT_OTHER,
	EXIT_OTHER, EXIT_OTHER, EXIT_OTHER, EXIT_OTHER,
};
/* clang-format on */

/* The CPU refused the state. QEMU leaves the host's RIP, RSP and RAX in the VMCB then: the VMM gets its own back. */
static uint32_t refused(const struct ec *v, struct vmcb *b)
{
	b->rip = v->state->rip;
	b->rsp = v->state->gpr[GPR_RSP];
	b->rax = v->state->gpr[GPR_RAX];
	return EXIT_INVALID;
}

static uint32_t classify(const struct ec *v, struct vmcb *b)
{
	uint32_t code = (uint32_t)b->exit_code; /* some report 32 bits of -1 */

	if (code < EXIT_CODE_COUNT)
		return classes[code];
	if (code == EXIT_CODE_NPF)
		return pt_poisoned(b->n_cr3, b->exit_info2) ? EXIT_POISONED : EXIT_NESTED;
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
	b->tlb_control = 0;
	v->vectoring_info = 0;
	if (b->exit_int_info & EVENT_VALID) {
		v->vectoring_info = (uint32_t)b->exit_int_info & (EVENT_VALID | EVENT_ERROR | EVENT_TYPE | 0xff);
		v->vectoring_error = (uint32_t)(b->exit_int_info >> 32);
	}
	if (class != CLASS_KERNEL) {
		vcpu_exit(v, class);
		return;
	}
	/* An exception or NMI whose delivery was interrupted is delivered again; an interrupt is still in V_IRQ. */
	if (v->vectoring_info & EVENT_VALID) {
		uint32_t type = v->vectoring_info & EVENT_TYPE;

		if (type != EVENT_INTR && !(type == EVENT_EXC && (v->vectoring_info & 0xff) >= 32))
			b->event_inj = v->vectoring_info | (uint64_t)v->vectoring_error << 32;
		v->vectoring_info = 0;
	}
	if ((uint32_t)b->exit_code == EXIT_CODE_MC)
		guest_mc();
	irq_window();
}
