/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code for another space that looks at all FPU and vector state there is: one page of code at FORGE_SPACE_VA, behind it
 * struct vectors (test_fpu.c), behind that a VCpu's state page, where one is mapped.
 */
#include <cairn/hypercall_numbers.h>

#define CALL(name) (CAIRN_CALL_BASE + CAIRN_CALL_##name)
#define DATA	   (vectors_code + 4096)	/* struct vectors: page by page: */
#define LOADED	   (DATA)
#define STORED	   (DATA + 4096)
#define ROUNDS	   (DATA + 8192)
#define WRONG	   (DATA + 8200)
#define STATE_RIP  (DATA + 12288 + 128)		/* struct vcpu_state, after 16 registers */

	/* With all components of XCR0. */
	.macro	ALL_VECTORS instruction, area
	movl	$-1, %eax
	movl	$-1, %edx
	\instruction \area(%rip)
	.endm

	.text
	.balign	4096
	.globl	vectors_code, vectors_handler, vectors_spin, vectors_end
vectors_code:
	/*
	 * A handler: stores what it finds, loads something else, and answers with its badge: 0, or, as the answer to an exit
	 * at an instruction of two bytes, VCPU_MTD_RIP.
	 */
vectors_handler:
	ALL_VECTORS xsave64, STORED
	ALL_VECTORS xrstor64, LOADED
	incq	ROUNDS(%rip)
	movq	%rdi, %rsi
	testq	%rdi, %rdi
	jz	1f
	addq	$2, STATE_RIP(%rip)
1:	xorl	%edi, %edi
	movl	$1, %r9d
	movl	$CALL(REPLY), %eax
	syscall
	ud2

	/* A thread that runs for ever: loads, waits, stores and compares what lies above the header, and XMM0-15. */
vectors_spin:
	ALL_VECTORS xrstor64, LOADED
	movl	$20000, %ecx
1:	decl	%ecx
	jnz	1b
	ALL_VECTORS xsave64, STORED
	leaq	LOADED+160(%rip), %rsi
	leaq	STORED+160(%rip), %rdi
	movl	$32, %ecx
	repe cmpsq
	jne	2f
	leaq	LOADED+576(%rip), %rsi
	leaq	STORED+576(%rip), %rdi
	movl	$32, %ecx
	repe cmpsq
	je	3f
2:	incq	WRONG(%rip)
3:	incq	ROUNDS(%rip)
	jmp	vectors_spin
vectors_end:

	/*
	 * A guest in flat 32-bit mode, a page of its own at GPA 0x1000: what it starts with to 0x1400; loads from 0x1600; an
	 * exit to its own VMM (CPUID) and one to another space (OUT); stores to 0x1800. Then what there is no XCR0 for.
	 */
	.code32
	.globl	vectors_guest, vectors_guest_avx, vectors_guest_xgetbv, vectors_guest_end
vectors_guest:
	fxsave	0x1400
	fxrstor	0x1600
	cpuid
	outb	%al, $0x80
	fxsave	0x1800
vectors_guest_avx:
	.byte	0xc5, 0xfc, 0x57, 0xc0		/* vxorps %ymm0, %ymm0, %ymm0 */
vectors_guest_xgetbv:
	xgetbv
	hlt
vectors_guest_end:
	.code64

	.section .note.GNU-stack, "", @progbits
