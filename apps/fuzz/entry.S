/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a domain's threads enter, and the code of its guests. The stack pointer tells the place. */
#include <cairn/hypercall_numbers.h>

	.set	STACKS, 0x510000		/* DOMAIN_VA(PAGE_STACK) */
	.set	CLAIMED, 0x500000		/* domain_state()->claimed */

	.text
	/* EDI = the place of this stack; jumps to \taken if a thread is on it already. */
	.macro	CLAIM taken
	movl	%esp, %edi
	decl	%edi
	subl	$STACKS, %edi
	shrl	$12, %edi
	cmpl	$16, %edi
	jae	\taken
	lock btsq %rdi, CLAIMED
	jc	\taken
	.endm

	.globl	domain_thread, domain_handler, domain_bounce, domain_fault, domain_undefined, domain_reply
domain_thread:
	CLAIM	park
	xorl	%ebp, %ebp
	pushq	$0
	jmp	generate

	/* RDI badge, RSI RDX R10 R8 words, R9 count. */
domain_handler:
	movq	%rsi, %rdx			/* w1 */
	movq	%rdi, %rsi			/* badge */
	movq	%r9, %rcx			/* count */
	CLAIM	1f
	xorl	%ebp, %ebp
	pushq	$0
	jmp	handle
1:	xorl	%edi, %edi
	xorl	%r9d, %r9d
	movl	$(CAIRN_CALL_BASE + CAIRN_CALL_REPLY), %eax
	syscall
	/* Nobody waits for an answer, or its own registers are not those of a handler. */
park:	xorl	%edi, %edi
	movl	$(CAIRN_CALL_BASE + CAIRN_CALL_WAIT), %eax
	syscall
	jmp	park

	/* (place, w1, w2, w3, w4, count) */
domain_reply:
	movq	%rcx, %r10
	lock btrq %rdi, CLAIMED
	xorl	%edi, %edi
	movl	$(CAIRN_CALL_BASE + CAIRN_CALL_REPLY), %eax
	syscall
	jmp	park

domain_bounce:
	movl	$0x1234, %eax
	jmp	*%rcx

domain_fault:
	jmp	park

domain_undefined:
	ud2
	ret

	/* The guest runs in real mode. Every piece exits, or ends in one that does. */
	.section .rodata.guest_code, "a", @progbits
	.globl	guest_code, guest_code_end
	.code16
	.macro	PIECE instruction:vararg
	.balign	16, 0x90
	\instruction
	.endm
	.balign	16
guest_code:
	PIECE	cpuid
	PIECE	hlt
	PIECE	outb %al, $0x80
	PIECE	inb $0x80, %al
	PIECE	rdmsr
	PIECE	wrmsr
	PIECE	vmmcall
	PIECE	movb %al, 0x9000		/* no memory */
	PIECE	movl %cr0, %eax
	PIECE	movl %cr4, %eax
	PIECE	sti; hlt
	PIECE	ud2				/* through a vector table of code */
	PIECE	int $0x21
	PIECE	movl %db7, %eax
	PIECE	lock incw 0x1f00; rdtsc
	PIECE	jmp . /* until it is recalled */
	.balign	16, 0x90
	hlt
guest_code_end:

	.section .note.GNU-stack, "", @progbits
