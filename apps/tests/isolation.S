/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One page of code that fills every register it can with what its data say, lets others run, and stores every register
 * as it finds it. It runs as a thread in a space of its own or as a guest; its data lie right behind it.
 */
#include <cairn/hypercall_numbers.h>
#include "isolation.h"

#define CALL(name) (CAIRN_CALL_BASE + CAIRN_CALL_##name)
#define DATA(offset) (isolation_code + 4096 + (offset))(%rip)
#define CR4_OSXSAVE_BIT 18

	/* Segment registers, FPU, RFLAGS, then all general registers. */
	.macro	FILL_FPU
	movl	DATA(ISOLATION_MASK), %eax
	movl	DATA(ISOLATION_MASK + 4), %edx
	testl	%eax, %eax
	jz	1f
	xrstor64 DATA(ISOLATION_FPU)
	jmp	2f
1:	fxrstor64 DATA(ISOLATION_FPU)
2:
	.endm

	.macro	FILL_SELECTORS
	movl	DATA(ISOLATION_IN + ISOLATION_DS), %eax
	movl	%eax, %ds
	movl	DATA(ISOLATION_IN + ISOLATION_ES), %eax
	movl	%eax, %es
	movl	DATA(ISOLATION_IN + ISOLATION_FS), %eax
	movl	%eax, %fs
	movl	DATA(ISOLATION_IN + ISOLATION_GS), %eax
	movl	%eax, %gs
	.endm

	.macro	FILL_GENERAL
	leaq	DATA(0x1000), %rsp
	pushq	DATA(ISOLATION_IN + ISOLATION_RFLAGS)
	popfq
	movq	DATA(ISOLATION_IN + 8 * 0), %rax
	movq	DATA(ISOLATION_IN + 8 * 1), %rcx
	movq	DATA(ISOLATION_IN + 8 * 2), %rdx
	movq	DATA(ISOLATION_IN + 8 * 3), %rbx
	movq	DATA(ISOLATION_IN + 8 * 4), %rsp
	movq	DATA(ISOLATION_IN + 8 * 5), %rbp
	movq	DATA(ISOLATION_IN + 8 * 6), %rsi
	movq	DATA(ISOLATION_IN + 8 * 7), %rdi
	movq	DATA(ISOLATION_IN + 8 * 8), %r8
	movq	DATA(ISOLATION_IN + 8 * 9), %r9
	movq	DATA(ISOLATION_IN + 8 * 10), %r10
	movq	DATA(ISOLATION_IN + 8 * 11), %r11
	movq	DATA(ISOLATION_IN + 8 * 12), %r12
	movq	DATA(ISOLATION_IN + 8 * 13), %r13
	movq	DATA(ISOLATION_IN + 8 * 14), %r14
	movq	DATA(ISOLATION_IN + 8 * 15), %r15
	.endm

	/* Stores everything before it changes anything. */
	.macro	FIND
	movq	%rax, DATA(ISOLATION_OUT + 8 * 0)
	movq	%rcx, DATA(ISOLATION_OUT + 8 * 1)
	movq	%rdx, DATA(ISOLATION_OUT + 8 * 2)
	movq	%rbx, DATA(ISOLATION_OUT + 8 * 3)
	movq	%rsp, DATA(ISOLATION_OUT + 8 * 4)
	movq	%rbp, DATA(ISOLATION_OUT + 8 * 5)
	movq	%rsi, DATA(ISOLATION_OUT + 8 * 6)
	movq	%rdi, DATA(ISOLATION_OUT + 8 * 7)
	movq	%r8, DATA(ISOLATION_OUT + 8 * 8)
	movq	%r9, DATA(ISOLATION_OUT + 8 * 9)
	movq	%r10, DATA(ISOLATION_OUT + 8 * 10)
	movq	%r11, DATA(ISOLATION_OUT + 8 * 11)
	movq	%r12, DATA(ISOLATION_OUT + 8 * 12)
	movq	%r13, DATA(ISOLATION_OUT + 8 * 13)
	movq	%r14, DATA(ISOLATION_OUT + 8 * 14)
	movq	%r15, DATA(ISOLATION_OUT + 8 * 15)
	leaq	DATA(0x1000), %rsp
	pushfq
	popq	DATA(ISOLATION_OUT + ISOLATION_RFLAGS)
	pushq	$2
	popfq
	xorl	%eax, %eax
	movl	%ds, %eax
	movq	%rax, DATA(ISOLATION_OUT + ISOLATION_DS)
	movl	%es, %eax
	movq	%rax, DATA(ISOLATION_OUT + ISOLATION_ES)
	movl	%fs, %eax
	movq	%rax, DATA(ISOLATION_OUT + ISOLATION_FS)
	movl	%gs, %eax
	movq	%rax, DATA(ISOLATION_OUT + ISOLATION_GS)
	movl	DATA(ISOLATION_MASK), %eax
	movl	DATA(ISOLATION_MASK + 4), %edx
	testl	%eax, %eax
	jz	3f
	xsave64	DATA(ISOLATION_FPU2)
	jmp	4f
3:	fxsave64 DATA(ISOLATION_FPU2)
4:
	.endm

	.text
	.balign	4096
	.globl	isolation_code
isolation_code:
	/* A thread: selectors first, for they change the FS base. It spins: only an interrupt takes the CPU from it. */
	.globl	isolation_thread
isolation_thread:
	FILL_SELECTORS
	movq	DATA(ISOLATION_FSBASE), %rdi
	movl	$CALL(SET_FS), %eax
	syscall
	FILL_FPU
	FILL_GENERAL
5:	incq	DATA(ISOLATION_TURNS)
	cmpq	$0, DATA(ISOLATION_GO)
	je	5b
	/* The same without filling: what a new thread finds. */
	.globl	isolation_new_thread
isolation_new_thread:
	FIND
	movq	DATA(ISOLATION_FSBASE), %rax
	testq	%rax, %rax
	jz	6f
	movq	%fs:0, %rax
6:	movq	%rax, DATA(ISOLATION_OUT + ISOLATION_WORD)
	movq	$1, DATA(ISOLATION_DONE)
7:	xorl	%edi, %edi
	movl	$CALL(WAIT), %eax
	syscall
	jmp	7b

	/* A guest: also what only ring 0 can write. CPUID exits to the VMM at each turn; no register changes. */
	.globl	isolation_guest
isolation_guest:
	FILL_SELECTORS
	leaq	DATA(ISOLATION_MSR), %rbx
	movl	$ISOLATION_MSRS, %ebp
1:	movl	(%rbx), %ecx
	movl	8(%rbx), %eax
	movl	12(%rbx), %edx
	wrmsr
	addq	$16, %rbx
	decl	%ebp
	jnz	1b
	movq	DATA(ISOLATION_CR2), %rax
	movq	%rax, %cr2
	movq	DATA(ISOLATION_DR6), %rax
	movq	%rax, %dr6
	movq	DATA(ISOLATION_DR7), %rax
	movq	%rax, %dr7
	movq	DATA(ISOLATION_CR2), %rax
	movq	%rax, %dr0		/* these exit */
	movq	%rax, %dr1
	movq	%rax, %dr2
	movq	%rax, %dr3
	/* As much of the extended state as this guest was given. */
	movq	%cr4, %rax
	btl	$CR4_OSXSAVE_BIT, %eax
	movl	$0, %eax
	movl	$0, %edx
	jnc	1f
	xorl	%ecx, %ecx
	xgetbv
1:	movl	%eax, DATA(ISOLATION_MASK)
	movl	%edx, DATA(ISOLATION_MASK + 4)
	andl	%eax, DATA(ISOLATION_FPU + 512)
	andl	%edx, DATA(ISOLATION_FPU + 516)
	FILL_FPU
	FILL_GENERAL
5:	incq	DATA(ISOLATION_TURNS)
	cpuid
	cmpq	$0, DATA(ISOLATION_GO)
	je	5b
	/* The same without filling: what a new guest finds. */
	.globl	isolation_new_guest
isolation_new_guest:
	FIND
	leaq	DATA(ISOLATION_MSR), %rbx
	leaq	DATA(ISOLATION_MSR2), %rsi
	movl	$ISOLATION_MSRS, %ebp
1:	movl	(%rbx), %ecx
	rdmsr
	movl	%eax, (%rsi)
	movl	%edx, 4(%rsi)
	addq	$16, %rbx
	addq	$8, %rsi
	decl	%ebp
	jnz	1b
	movq	%cr2, %rax
	movq	%rax, DATA(ISOLATION_CR2B)
	movq	%dr6, %rax
	movq	%rax, DATA(ISOLATION_DR6B)
	movq	%dr7, %rax
	movq	%rax, DATA(ISOLATION_DR7B)
	movq	%cr3, %rax
	movq	%rax, DATA(ISOLATION_CR3B)
	movq	%cr4, %rax
	movq	%rax, DATA(ISOLATION_CR4B)
	movq	$1, DATA(ISOLATION_DONE)
1:	hlt
	jmp	1b
	.org	isolation_code + 4096

	.section .note.GNU-stack, "", @progbits
