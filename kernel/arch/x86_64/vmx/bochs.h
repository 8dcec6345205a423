/* SPDX-License-Identifier: BSD-2-Clause */
/* What Bochs 2.7 does otherwise than a CPU, and what is done about it: there and nowhere else. */
#ifndef VMX_BOCHS_H
#define VMX_BOCHS_H

/* Its VMCS revision identifier, which no CPU has. */
#define BOCHS_REVISION 0x2bu
#define IS_BOCHS()     ((rdmsr(MSR_VMX_BASIC) & 0x7fffffff) == BOCHS_REVISION)

/*
 * No external interrupt leaves a guest that was entered with RFLAGS.IF = 0 until it changes IF: a guest that spins so would have the
 * CPU for ever. There the preemption timer ends each stay in a guest, and the exit lets interrupts in. Ticks of the TSC.
 */
#define BOCHS_STAY 100000u

#endif
