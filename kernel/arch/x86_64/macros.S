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
