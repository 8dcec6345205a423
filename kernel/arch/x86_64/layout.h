/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's address map and the offsets entry.S uses; for C and assembler. */
#ifndef ARCH_LAYOUT_H
#define ARCH_LAYOUT_H

/* Image: linked at KERNEL_BASE + physical address, all of it below 8 MiB. slots[] is placed by link.ld. */
#define KERNEL_BASE 0xffffffff80000000
#define SLOTS_VA    0xffffffffa0000000
#define FIXMAP_VA   0xffffffffb0000000
#define WINDOW_VA   0xffff800000000000 /* + physical address; top-level entry 256: 512 GiB */
#define CARVE_VA    0xffff808000000000 /* tables and page bytes carved at boot; top-level entry 257 */

#define IOAPIC_PHYS 0xfec00000
#define AP_PHYS	    0x8000 /* below 1 MiB: where a started CPU begins, in real mode */

/* Pages of the fixmap. */
#define FIX_LAPIC  0
#define FIX_IOAPIC 1
#define FIX_ZERO   2 /* + CPU index: window for zeroing */

#define SEL_KCODE 0x08
#define SEL_KDATA 0x10
#define SEL_UDATA 0x23
#define SEL_UCODE 0x2b
#define SEL_TSS	  0x30

/* struct ec */
#define EC_RIP	     128
#define EC_RFLAGS    136
#define EC_STATE     144
#define EC_VMCB	     152
#define EC_THAWED    160
#define EC_MODE	     168
#define EC_ENTRY_RIP 176
#define EC_ENTRY_RSP 184
#define EC_CR2	     192
/* struct cpu */
#define CPU_CURRENT   0
#define CPU_STACK     8
#define CPU_USER_RSP  16
#define CPU_RESCHED   24
#define CPU_LAUNCHED  25
#define CPU_HOST_VMCB 32
#define CPU_GDTR      40

#define VECTOR_IRQ	0x30 /* + interrupt line */
#define IRQ_LINES	24
#define VECTOR_TIMER	0xfb
#define VECTOR_MCA	0xfc /* from a machine check to all CPUs: no guest goes on */
#define VECTOR_MAIL	0xfd /* from another CPU: serve your mail */
#define VECTOR_SPURIOUS 0xff

#define STACK_SIZE 8192
#define IST_SIZE   4096
#define IST_DF	   1
#define IST_NMI	   2
#define IST_MC	   3

#endif
