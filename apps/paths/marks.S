/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions that tools/paths follows into the kernel: each lies between labels path_NAME and path_NAME_end.
 * Other servers have other code at the same addresses, so R15 holds PATHS_MARK. tools/paths sets R12 where a thread
 * shall also do what concerns another CPU: the other one may be slow to answer.
 */
#include <cairn/hypercall_numbers.h>
#include "marks.h"

.macro MARK name, instruction:vararg
	.globl	path_\name, path_\name\()_end
path_\name:
	\instruction
path_\name\()_end:
.endm

/* The words are what the registers and the message buffer hold. */
.macro CALL name, portal, words
	movq	\portal(%rbx), %rdi
	movl	$\words, %r9d
	movl	$(CAIRN_CALL_BASE + CAIRN_CALL_CALL), %eax
	MARK	\name, syscall
.endm

	.text
	.globl	paths_caller, paths_waiter
paths_caller:
	movabs	$PATHS_MARK, %r15
	xorl	%r12d, %r12d
	movq	%rdi, %rbx
1:	CALL	call_same_1, PATHS_SAME, 1
	CALL	call_same_16, PATHS_SAME, 16
	CALL	call_cross_1, PATHS_CROSS, 1
	CALL	call_cross_16, PATHS_CROSS, 16
	MARK	fault, ud2
	movq	PATHS_SELF(%rbx), %rdi
	movl	$(CAIRN_CALL_BASE + CAIRN_CALL_SIGNAL), %eax
	MARK	signal_ready, syscall
	xorl	%edi, %edi
	movl	$(CAIRN_CALL_BASE + CAIRN_CALL_WAIT), %eax
	MARK	wait_signalled, syscall
	/* Here the waiter, which has the higher priority, goes on until it waits again. */
	movq	PATHS_WAITER(%rbx), %rdi
	movl	$(CAIRN_CALL_BASE + CAIRN_CALL_SIGNAL), %eax
	MARK	signal_waiting, syscall
	testl	%r12d, %r12d
	jz	2f
	movq	PATHS_MAIN(%rbx), %rdi
	movl	$(CAIRN_CALL_BASE + CAIRN_CALL_SIGNAL), %eax
	MARK	signal_main, syscall
2:	decq	PATHS_ROUNDS(%rbx)
	jnz	1b
	movq	PATHS_MAIN(%rbx), %rdi
	movl	$(CAIRN_CALL_BASE + CAIRN_CALL_SIGNAL), %eax
	syscall
3:	xorl	%edi, %edi
	movl	$(CAIRN_CALL_BASE + CAIRN_CALL_WAIT), %eax
	syscall
	jmp	3b

paths_waiter:
	movabs	$PATHS_MARK, %r15
1:	xorl	%edi, %edi
	movl	$(CAIRN_CALL_BASE + CAIRN_CALL_WAIT), %eax
	MARK	wait_blocks, syscall
	jmp	1b

	.section .note.GNU-stack, "", @progbits
