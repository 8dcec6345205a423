/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One page of code that fills every register it can with what its data say, lets others run, and stores every register
 * as it finds it. It runs as a thread in a space of its own or as a guest; its data lie right behind it.
 */
#include <cairn/hypercall_numbers.h>
#include "isolation.h"

#define CALL(name) (CAIRN_CALL_BASE + CAIRN_CALL_##name)
#define CR4_OSXSAVE_BIT 18
#include "registers.inc"

	.set	data, isolation_code + 4096
#define DATA(offset) (data + (offset))(%rip)

	.text
	.balign	4096
	.globl	isolation_code
isolation_code:
	/* A thread: selectors first, for they change the FS base. It spins: only an interrupt takes the CPU from it. */
	.globl	isolation_thread
isolation_thread:
	FILL_SELECTORS data
	movq	DATA(ISOLATION_FSBASE), %rdi
	movl	$CALL(SET_FS), %eax
	syscall
	FILL_FPU data
	FILL_GENERAL data
5:	incq	DATA(ISOLATION_TURNS)
	cmpq	$0, DATA(ISOLATION_GO)
	je	5b
	/* The same without filling: what a new thread finds. */
	.globl	isolation_new_thread
isolation_new_thread:
	FIND data
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

	/* A thread that calls the kernel with these registers, or faults, with all of them filled. What comes then may also be
	 * its entry for foreign calls, or for its own faults. */
	.globl	isolation_call, isolation_called, isolation_fault, isolation_ud2
isolation_call:
	FILL_FPU data
	FILL_GENERAL data
	syscall
isolation_called:
	jmp	isolation_new_thread
isolation_fault:
	FILL_FPU data
	FILL_GENERAL data
isolation_ud2:
	ud2
	jmp	isolation_new_thread

	/*
	 * A thread or a guest that never stops. It adds up the time it has, and counts its turns: whenever the TSC has jumped, others
	 * had the CPU. A guest has its interrupts off.
	 */
	.globl	isolation_busy
isolation_busy:
	rdtsc
	shlq	$32, %rdx
	leaq	(%rdx, %rax), %rbx
1:	rdtsc
	shlq	$32, %rdx
	addq	%rdx, %rax
	movq	%rax, %rcx
	subq	%rbx, %rcx
	movq	%rax, %rbx
	cmpq	DATA(ISOLATION_GAP), %rcx
	ja	2f
	addq	%rcx, DATA(ISOLATION_USED)
	jmp	1b
2:	incq	DATA(ISOLATION_TURNS)
	jmp	1b

	/* A thread or a guest that writes to its data for ever. */
	.globl	isolation_count
isolation_count:
	incq	DATA(ISOLATION_TURNS)
	jmp	isolation_count

	/* A thread that makes one hypercall again and again, and counts what is answered. */
	.globl	isolation_calls
isolation_calls:
	movq	DATA(ISOLATION_IN + 8 * 0), %rax
	movq	DATA(ISOLATION_IN + 8 * 7), %rdi
	movq	DATA(ISOLATION_IN + 8 * 6), %rsi
	movq	DATA(ISOLATION_IN + 8 * 2), %rdx
	movq	DATA(ISOLATION_IN + 8 * 10), %r10
	movq	DATA(ISOLATION_IN + 8 * 8), %r8
	movq	DATA(ISOLATION_IN + 8 * 9), %r9
	syscall
	andl	$15, %eax
	leaq	DATA(ISOLATION_STATUS), %rcx
	incq	(%rcx, %rax, 8)
	incq	DATA(ISOLATION_TURNS)
	jmp	isolation_calls

	/* A guest that exits for ever. */
	.globl	isolation_exits
isolation_exits:
	cpuid
	incq	DATA(ISOLATION_TURNS)
	jmp	isolation_exits

	/* A guest that does nothing at all, with its interrupts off. */
	.globl	isolation_stuck
isolation_stuck:
	cli
	movq	$1, DATA(ISOLATION_DONE)
3:	jmp	3b

	/* A guest: also what only ring 0 can write. CPUID exits to the VMM at each turn; no register changes. */
	.globl	isolation_guest
isolation_guest:
	FILL_SELECTORS data
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
	FILL_FPU data
	FILL_GENERAL data
5:	incq	DATA(ISOLATION_TURNS)
	cpuid
	cmpq	$0, DATA(ISOLATION_GO)
	je	5b
	/* The same without filling: what a new guest finds. */
	.globl	isolation_new_guest
isolation_new_guest:
	FIND data
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
