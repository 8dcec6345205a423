/* SPDX-License-Identifier: BSD-2-Clause */
/* Assembler: registers by lists. gpr_rax … gpr_r15 are the offsets of enum vcpu_gpr, in struct ec and in the state page. */
#include "layout.h"

	.set index, 0
	.irp r, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	.set gpr_\r, index * 8
	.set index, index + 1
	.endr

.macro STORE base, regs:vararg
	.irp r, \regs
	mov %\r, gpr_\r(%\base)
	.endr
.endm

.macro LOAD base, regs:vararg
	.irp r, \regs
	mov gpr_\r(%\base), %\r
	.endr
.endm

.macro PUSH_ALL
	.irp r, rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	push %\r
	.endr
.endm

.macro POP_ALL
	.irp r, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax
	pop %\r
	.endr
.endm

/*
 * Last before user level or a guest: nothing, or, where speculation_init says so, VERW, which then clears the CPU's buffers of
 * what the kernel handled. Loads nothing after it but what is the next context's own. ZF changes.
 */
.macro CLEAR_BUFFERS
.Lclear\@: nopw verw_selector(%rip)
	.pushsection .sites.verw, "a"; .quad .Lclear\@; .popsection
.endm
