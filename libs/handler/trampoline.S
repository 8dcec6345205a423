/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where each message enters a handler thread: RDI = badge, RSI RDX R10 R8 = words 1-4, R9 = their count. The top of
 * the stack holds the C function (cairn_handler_setup), and is 16-byte aligned, as a call wants it.
 */

	.text
	.globl cairn_handler_trampoline
	.type cairn_handler_trampoline, @function
cairn_handler_trampoline:
	mov	%r10, %rcx		/* the fourth argument of a C function */
	xor	%ebp, %ebp
	call	*(%rsp)
	ud2				/* a handler ends with cairn_reply(), and must not return */
	.size cairn_handler_trampoline, . - cairn_handler_trampoline

	.section .note.GNU-stack, "", @progbits
