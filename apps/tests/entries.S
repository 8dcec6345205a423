/* SPDX-License-Identifier: BSD-2-Clause */
/* Entry points that the tests need in assembler: handlers and upcalls that look at every register. */
#include <cairn/hypercall_numbers.h>

#define CALL(name) (CAIRN_CALL_BASE + CAIRN_CALL_##name)

	.text
	/* A handler that spoils every register it may, after it stored what it found, and replies with no words. */
	.globl	spoiling_handler
spoiling_handler:
	movq	%rax, seen_gpr(%rip)
	movq	%rbx, seen_gpr+8(%rip)
	movq	%rbp, seen_gpr+16(%rip)
	movq	%r12, seen_gpr+24(%rip)
	movq	%r13, seen_gpr+32(%rip)
	movq	%r14, seen_gpr+40(%rip)
	movq	%r15, seen_gpr+48(%rip)
	fxsave64 seen_fpu(%rip)
	movq	$-1, %rax
	movq	%rax, %rbx
	movq	%rax, %rbp
	movq	%rax, %r12
	movq	%rax, %r13
	movq	%rax, %r14
	movq	%rax, %r15
	movq	%rax, %xmm0
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqa	%xmm0, %xmm\n
	.endr
	movl	$0x1f00, spoil(%rip)		/* some exceptions unmasked */
	ldmxcsr	spoil(%rip)
	fldpi
	movl	$0x027f, spoil(%rip)
	fldcw	spoil(%rip)
	std
	xorl	%edi, %edi
	xorl	%r9d, %r9d
	movl	$CALL(REPLY), %eax
	syscall
	ud2

	/*
	 * uint64_t call_and_compare(uint64_t portal): fills every register a call must keep, calls, and returns a bit per
	 * register that changed (rbx rbp r12 r13 r14 r15 rsp), bit 8: an SSE register or MXCSR or the x87 control word,
	 * bit 9: the direction flag, bit 63: the call failed.
	 */
	.globl	call_and_compare
call_and_compare:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	subq	$8, %rsp
	movq	$0x1111, %rbx
	movq	$0x2222, %rbp
	movq	$0x3333, %r12
	movq	$0x4444, %r13
	movq	$0x5555, %r14
	movq	$0x6666, %r15
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movl	$(\n + 0x70), %eax
	movq	%rax, %xmm\n
	.endr
	fxsave64 before_fpu(%rip)
	movq	%rsp, kept_rsp(%rip)
	xorl	%r9d, %r9d
	movl	$CALL(CALL), %eax
	syscall
	pushfq
	popq	%r8
	xorl	%edx, %edx
	testl	%eax, %eax
	jz	1f
	btsq	$63, %rdx
1:	btq	$10, %r8
	jnc	1f
	orl	$0x200, %edx
	cld
1:	cmpq	$0x1111, %rbx
	je	1f
	orl	$1, %edx
1:	cmpq	$0x2222, %rbp
	je	1f
	orl	$2, %edx
1:	cmpq	$0x3333, %r12
	je	1f
	orl	$4, %edx
1:	cmpq	$0x4444, %r13
	je	1f
	orl	$8, %edx
1:	cmpq	$0x5555, %r14
	je	1f
	orl	$16, %edx
1:	cmpq	$0x6666, %r15
	je	1f
	orl	$32, %edx
1:	cmpq	kept_rsp(%rip), %rsp
	je	1f
	orl	$64, %edx
	movq	kept_rsp(%rip), %rsp
1:	fxsave64 after_fpu(%rip)
	/* Control words (bytes 0-1, 24-27) and XMM0-15 (bytes 160-415) must be as before. */
	movw	before_fpu(%rip), %ax
	cmpw	after_fpu(%rip), %ax
	jne	2f
	movl	before_fpu+24(%rip), %eax
	cmpl	after_fpu+24(%rip), %eax
	jne	2f
	leaq	before_fpu+160(%rip), %rsi
	leaq	after_fpu+160(%rip), %rdi
	movl	$32, %ecx
	repe cmpsq
	je	3f
2:	orl	$0x100, %edx
	fxrstor64 before_fpu(%rip)
3:	movq	%rdx, %rax
	addq	$8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	/* Where foreign system calls bounce to: notes what it was given, answers 0x1234. */
	.globl	bounce_entry
bounce_entry:
	movq	%rax, bounced(%rip)
	movq	%rdi, bounced+8(%rip)
	movq	%r9, bounced+16(%rip)
	movq	%rcx, bounced+24(%rip)
	movq	%rsp, bounced+32(%rip)
	movl	$0x1234, %eax
	jmp	*%rcx

	/* Where a thread's own faults are reported: goes on at upcall_resume, with RSP as it was. */
	.globl	upcall_entry
upcall_entry:
	incq	upcalls(%rip)
	movq	%rsp, upcall_rsp(%rip)
	movq	upcall_buffer(%rip), %rax
	movq	$0, 3968(%rax)			/* fault_active */
	jmp	*upcall_resume(%rip)

	/* The same, but it faults itself at once, with fault_active still set. */
	.globl	faulting_upcall, faulting_upcall_at
faulting_upcall:
	incq	upcalls(%rip)
faulting_upcall_at:
	ud2

	/*
	 * Code for another space: one page, no data. Reports to a Portal at selector 3: the status of a call to selector
	 * 200, which its CapTable does not have, and that of identify. Then it waits for ever.
	 */
	.balign	4096
	.globl	elsewhere, elsewhere_end
elsewhere:
	movl	$200, %edi
	xorl	%r9d, %r9d
	movl	$CALL(CALL), %eax
	syscall
	movq	%rax, %rbx
	movl	$CALL(IDENTIFY), %eax
	syscall
	movq	%rbx, %rsi
	movq	%rax, %rdx
	movl	$3, %edi
	movl	$2, %r9d
	movl	$CALL(CALL), %eax
	syscall
1:	xorl	%edi, %edi
	movl	$CALL(WAIT), %eax
	syscall
	jmp	1b
	/* A handler for another space: waits, then answers. */
	.globl	elsewhere_handler
elsewhere_handler:
	xorl	%edi, %edi
	movl	$CALL(WAIT), %eax
	syscall
	xorl	%edi, %edi
	xorl	%r9d, %r9d
	movl	$CALL(REPLY), %eax
	syscall
	ud2
elsewhere_end:

	.bss
	.balign	64
	.globl	seen_gpr, seen_fpu, bounced, upcalls, upcall_rsp, upcall_buffer, upcall_resume
seen_fpu:	.skip	512
before_fpu:	.skip	512
after_fpu:	.skip	512
seen_gpr:	.skip	56
kept_rsp:	.skip	8
spoil:		.skip	8
bounced:	.skip	40
upcalls:	.skip	8
upcall_rsp:	.skip	8
upcall_buffer:	.skip	8
upcall_resume:	.skip	8

	.section .note.GNU-stack, "", @progbits
