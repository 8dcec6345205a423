/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks at every register as the kernel hands it to this server: after a hypercall, and at an entry. */
#include "isolation.h"

#include "registers.inc"

	.text
	/* void leak_call(void): the hypercall that leak_data.in describes; leak_data.out is what came back. */
	.globl	leak_call, leak_called
leak_call:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, leak_stack(%rip)
	FILL_FPU leak_data
	FILL_GENERAL leak_data
	syscall
leak_called:
	FIND leak_data
	movq	leak_stack(%rip), %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	/* An entry before another one: stores every register as it is found, and goes on with all of them. */
	.globl	leak_entry
leak_entry:
	FIND leak_entered
	pushq	(leak_entered + ISOLATION_OUT + ISOLATION_RFLAGS)(%rip)
	popfq
	movq	(leak_entered + ISOLATION_OUT + 8 * 0)(%rip), %rax
	movq	(leak_entered + ISOLATION_OUT + 8 * 2)(%rip), %rdx
	movq	(leak_entered + ISOLATION_OUT + 8 * 4)(%rip), %rsp
	jmp	*leak_next(%rip)

	.bss
	.balign	4096
	.globl	leak_data, leak_entered, leak_next
leak_data:	.skip	3 * 4096
leak_entered:	.skip	3 * 4096
leak_next:	.skip	8
leak_stack:	.skip	8

	.section .note.GNU-stack, "", @progbits
