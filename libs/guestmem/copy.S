/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions that touch guest memory (single loads and stores: guestmem.c), each with a fix-up: when one of them faults, libs/fault/entry.S continues
 * at the fix-up with RAX = GUESTMEM_FAULT or GUESTMEM_POISON, all other registers as they were. Every routine returns
 * 0 in EAX when nothing faulted. They keep nothing on the stack, so a fix-up may simply return.
 */

#ifdef CAIRN_HOST
#define FIXUP_FLAGS "aw"	/* a host test is position-independent: its loader writes here */
#else
#define FIXUP_FLAGS "a"
#endif

	/* Table of {first instruction, end, fix-up}; read by libs/fault/entry.S. */
	.macro	fixup from, to, target
	.pushsection cairn_fixups, FIXUP_FLAGS, @progbits
	.quad	\from, \to, \target
	.popsection
	.endm

	.macro	function name
	.globl	\name
	.type	\name, @function
\name:
	.endm

	.text
	/* int guestmem_copy(void *to, const void *from, uint64_t length) */
	function guestmem_copy
	mov	%rdx, %rcx
	shr	$3, %rcx		/* words first: a byte each costs eight times as many steps */
1:	rep movsq
	mov	%edx, %ecx
	and	$7, %ecx
	rep movsb
2:	xor	%eax, %eax
3:	ret
	fixup	1b, 2b, 3b

	/* int guestmem_zero(void *to, uint64_t length) */
	function guestmem_zero
	mov	%rsi, %rcx
	shr	$3, %rcx
	xor	%eax, %eax
1:	rep stosq
	mov	%esi, %ecx
	and	$7, %ecx
	rep stosb
2:	xor	%eax, %eax
3:	ret
	fixup	1b, 2b, 3b

	/*
	 * int guestmem_cmpxchg{1,2,4,8}(void *at, uint64_t *expected, uint64_t value, int *swapped)
	 * CMPXCHG compares with RAX; the value found comes back there (SDM vol. 2, CMPXCHG).
	 */
	.macro	exchange bytes, instruction, register
	function guestmem_cmpxchg\bytes
	mov	(%rsi), %rax
1:	lock \instruction \register, (%rdi)
2:	mov	%rax, (%rsi)
	mov	$0, %eax
	sete	%al
	mov	%eax, (%rcx)
	xor	%eax, %eax
3:	ret
	fixup	1b, 2b, 3b
	.endm

	exchange 1, cmpxchgb, %dl
	exchange 2, cmpxchgw, %dx
	exchange 4, cmpxchgl, %edx
	exchange 8, cmpxchgq, %rdx

	.section .note.GNU-stack, "", @progbits
