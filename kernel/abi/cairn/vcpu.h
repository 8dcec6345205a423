/* SPDX-License-Identifier: BSD-2-Clause */
/* The state page of a VCpu, the exit classes, and the groups that cross with each message. */
#ifndef CAIRN_VCPU_H
#define CAIRN_VCPU_H

#include <stdint.h>

/* Vendor-neutral exit classes; the class indexes the exit table. An exit enters the handler with w1 = class. */
enum vcpu_exit_class {
	EXIT_STARTUP = 0, /* first entry: the VMM supplies the initial state */
	EXIT_RECALL = 1,  /* recall, or the deadline in the state page has passed; also ends a halt */
	EXIT_CPUID = 2,
	EXIT_HLT = 3,
	EXIT_IO = 4,	    /* qualification: see VCPU_IO_* */
	EXIT_MSR = 5,	    /* qualification: 0 RDMSR, 1 WRMSR; number in RCX */
	EXIT_NESTED = 6,    /* nested page fault (MMIO): qualification VCPU_NPF_*, qualification2 = guest-physical address */
	EXIT_POISONED = 7,  /* nested page fault on a page lost to a memory error; as EXIT_NESTED */
	EXIT_EXCEPTION = 8, /* an exception the VMM asked for: intr_info, intr_error; qualification = CR2 of #PF */
	EXIT_CR = 9,	    /* CR access: qualification = CR number | write << 8 (the VMM decodes the instruction) */
	EXIT_DR = 10,	    /* DR access: likewise */
	EXIT_NMI_WINDOW = 11, /* the guest can take an NMI again (asked for with ctl_nmi_window) */
	EXIT_SHUTDOWN = 12,   /* triple fault */
	EXIT_VMCALL = 13,
	EXIT_INVALID = 14, /* the CPU refused the guest state: exit_reason holds the vendor's code */
	EXIT_OTHER =
		15, /* anything else intercepted (INVD, WBINVD, MONITOR, MWAIT, XSETBV, RDPMC, SVM/VMX instructions …) */
	EXIT_CLASSES = 16,
};

/* qualification of EXIT_IO (the layout both vendors' hardware can fill). */
#define VCPU_IO_IN	0x1u
#define VCPU_IO_STRING	0x4u
#define VCPU_IO_REP	0x8u
#define VCPU_IO_SIZE(q) (((q) >> 4) & 7u) /* bytes: 1, 2, 4 */
#define VCPU_IO_PORT(q) (((q) >> 16) & 0xffffu)

/* qualification of EXIT_NESTED and EXIT_POISONED. */
#define VCPU_NPF_WRITE 0x2u
#define VCPU_NPF_FETCH 0x10u
#define VCPU_NPF_WALK  0x100u /* the access was the walk of the guest's own page tables */

/* Event information, laid out as the vendors do: vector 7:0, type 10:8, error code valid 11, valid 31. */
#define EVENT_INTR  (0u << 8)
#define EVENT_NMI   (2u << 8)
#define EVENT_EXC   (3u << 8)
#define EVENT_SOFT  (4u << 8)
#define EVENT_TYPE  (7u << 8)
#define EVENT_ERROR (1u << 11)
#define EVENT_VALID (1u << 31)

#define VCPU_BLOCK_STI	 0x1u /* interruptibility */
#define VCPU_BLOCK_MOVSS 0x2u
#define VCPU_BLOCK_NMI	 0x8u

/*
 * Groups of state. A portal's mask says which are copied out at an exit besides what always travels;
 * a reply's w1 says which the kernel takes back. General registers are always both.
 */
#define VCPU_MTD_RIP	0x01u /* rip */
#define VCPU_MTD_FLAGS	0x02u /* rflags, interruptibility */
#define VCPU_MTD_SEG	0x04u /* seg[] */
#define VCPU_MTD_CR	0x08u /* cr0 cr2 cr3 cr4 cr8 efer */
#define VCPU_MTD_DR	0x10u /* dr6 dr7 */
#define VCPU_MTD_MSR	0x20u /* star lstar cstar sfmask kernel_gs_base sysenter_* pat */
#define VCPU_MTD_INJECT 0x40u /* inject_info, inject_error, inject_len, virq */
#define VCPU_MTD_CTL	0x80u /* tsc_offset, deadline, exceptions, ctl_nmi_window */
#define VCPU_MTD_ALL	0xffu
#define VCPU_REPLY_HALT 0x100u /* reply only: do not enter; wait for recall or the deadline, then EXIT_RECALL */
#define VCPU_REPLY_STOP 0x200u /* reply only: suspend this VCpu, as `suspend` does */

/* The order of the VMCB; of SEG_GDTR and SEG_IDTR only limit and base count. */
enum vcpu_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_GDTR, SEG_LDTR, SEG_IDTR, SEG_TR, SEG_COUNT };

struct vcpu_segment {
	uint16_t sel;
	uint16_t attr; /* VMCB format: type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11 */
	uint32_t limit;
	uint64_t base;
};

/* As instructions encode them. */
/* clang-format off */
enum vcpu_gpr { GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RSP, GPR_RBP, GPR_RSI, GPR_RDI, GPR_R8, GPR_R9, GPR_R10, GPR_R11,
		GPR_R12, GPR_R13, GPR_R14, GPR_R15, GPR_COUNT };
/* clang-format on */

struct vcpu_msrs {
	uint64_t star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip;
};

struct vcpu_state {
	uint64_t gpr[GPR_COUNT];
	/* Always travels out. */
	uint64_t rip;	      /* of the instruction that exited */
	uint32_t inst_len;    /* 0: the CPU does not tell; decode */
	uint32_t exit_class;  /* for reading only */
	uint64_t exit_reason; /* vendor's own code, for logs */
	uint64_t qualification, qualification2;
	uint32_t vectoring_info, vectoring_error; /* event whose delivery the exit interrupted (R-RES-2) */
	uint32_t intr_info, intr_error;		  /* EXIT_EXCEPTION */
	uint64_t cr2;
	uint64_t rflags;
	uint32_t interruptibility; /* VCPU_BLOCK_* */
	uint32_t cpl;
	uint64_t cr8; /* task priority as the guest set it */
	/* VCPU_MTD_INJECT. inject_info is consumed by the next entry. virq stays until the guest takes it. */
	uint32_t inject_info, inject_error;
	uint32_t inject_len; /* instruction length for EVENT_SOFT */
	uint32_t virq;	     /* EVENT_VALID | vector: external interrupt to deliver as soon as the guest
				    * can take it (IF, shadow, CR8); reads as 0 at the next exit once it was taken */
	/* VCPU_MTD_CTL */
	uint64_t tsc_offset;
	uint64_t deadline;   /* absolute host TSC; 0: none. Once passed: EXIT_RECALL */
	uint32_t exceptions; /* exception bitmap the VMM wants; 1 and 17 always exit, 18 is the kernel's */
	uint32_t ctl_nmi_window;
	/* VCPU_MTD_CR: cr4 as the guest sees it: the kernel keeps MCE set and shadows it (R-CR-1) */
	uint64_t cr0, cr3, cr4, efer;
	/* VCPU_MTD_DR */
	uint64_t dr6, dr7;
	uint64_t dr[4]; /* the VMM's own store: accesses to DR0-3 exit, the CPU's are never loaded */
	/* VCPU_MTD_MSR */
	struct vcpu_msrs msr;
	uint64_t pat;
	/* VCPU_MTD_SEG */
	struct vcpu_segment seg[SEG_COUNT];
};
_Static_assert(sizeof(struct vcpu_segment) == 16, "packed by nature");
_Static_assert(sizeof(struct vcpu_state) <= 4096, "one page");

#endif
