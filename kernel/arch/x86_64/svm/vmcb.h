/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtual machine control block (APM vol. 2, appendix B). */
#ifndef SVM_VMCB_H
#define SVM_VMCB_H

#include <stddef.h>
#include <stdint.h>
#include <cairn/vcpu.h>

#define INTERCEPT_INTR	   (1u << 0) /* third word */
#define INTERCEPT_NMI	   (1u << 1)
#define INTERCEPT_SMI	   (1u << 2)
#define INTERCEPT_INIT	   (1u << 3)
#define INTERCEPT_RDPMC	   (1u << 15)
#define INTERCEPT_CPUID	   (1u << 18)
#define INTERCEPT_IRET	   (1u << 20)
#define INTERCEPT_INVD	   (1u << 22)
#define INTERCEPT_HLT	   (1u << 24)
#define INTERCEPT_INVLPGA  (1u << 26)
#define INTERCEPT_IOIO	   (1u << 27)
#define INTERCEPT_MSR	   (1u << 28)
#define INTERCEPT_FERR	   (1u << 30)
#define INTERCEPT_SHUTDOWN (1u << 31)
#define INTERCEPT_SVM	   0x7fu /* fourth word: VMRUN VMMCALL VMLOAD VMSAVE STGI CLGI SKINIT */
#define INTERCEPT_WBINVD   (1u << 9)
#define INTERCEPT_MONITOR  (1u << 10)
#define INTERCEPT_MWAIT	   (3u << 11)
#define INTERCEPT_XSETBV   (1u << 13)

#define V_IRQ		 (1u << 8)
#define V_PRIO(vector)	 ((uint64_t)((vector) >> 4) << 16)
#define V_INTR_MASKING	 (1u << 24)
#define V_VECTOR(vector) ((uint64_t)(vector) << 32)
#define V_TPR		 0xffu
#define V_REQUEST	 (V_IRQ | 0xf0000ul | 0xff00000000ul)

struct vmcb {
	uint16_t cr_read, cr_write, dr_read, dr_write;
	uint32_t exceptions, misc1, misc2;
	uint8_t pad0[0x40 - 0x14];
	uint64_t iopm, msrpm, tsc_offset;
	uint32_t asid;
	uint32_t tlb_control; /* 1: flush everything at VMRUN */
	uint64_t v_intr;
	uint64_t interrupt_shadow;
	uint64_t exit_code, exit_info1, exit_info2, exit_int_info;
	uint64_t np_enable;
	uint8_t pad1[0xa8 - 0x98];
	uint64_t event_inj, n_cr3, lbr_control;
	uint64_t clean;
	uint64_t next_rip;
	uint8_t pad2[0x400 - 0xd0];
	struct vcpu_segment seg[SEG_COUNT];
	uint8_t pad3[0x4cb - 0x4a0];
	uint8_t cpl;
	uint8_t pad4[4];
	uint64_t efer;
	uint8_t pad5[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t pad6[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t pad7[0x5f8 - 0x5e0];
	uint64_t rax;
	struct vcpu_msrs msr;
	uint64_t cr2;
	uint8_t pad8[0x668 - 0x648];
	uint64_t g_pat;
	uint8_t pad9[0x1000 - 0x670];
};
_Static_assert(offsetof(struct vmcb, iopm) == 0x40 && offsetof(struct vmcb, v_intr) == 0x60, "APM B-1");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70 && offsetof(struct vmcb, np_enable) == 0x90, "APM B-1");
_Static_assert(offsetof(struct vmcb, event_inj) == 0xa8 && offsetof(struct vmcb, next_rip) == 0xc8, "APM B-1");
_Static_assert(offsetof(struct vmcb, seg) == 0x400 && offsetof(struct vmcb, efer) == 0x4d0, "APM B-2");
_Static_assert(offsetof(struct vmcb, cr4) == 0x548 && offsetof(struct vmcb, rsp) == 0x5d8, "APM B-2");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640 && offsetof(struct vmcb, g_pat) == 0x668, "APM B-2");
_Static_assert(sizeof(struct vmcb) == 4096, "one page");

#define EXIT_CODE_MC	0x52
#define EXIT_CODE_NPF	0x400
#define EXIT_CODE_COUNT 0x90

#endif
