/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Handlers that the benchmarks copy into another address space: one page of position-independent code. A message
 * enters with rdi = badge, rsi rdx r10 r8 = words 1-4, r9 = count.
 */
#include <cairn/hypercall_numbers.h>

	.section .text.bench_stubs, "ax", @progbits
	.balign	4096
	.globl	bench_stubs, bench_stub_echo, bench_stub_skip, bench_stubs_end
bench_stubs:
	/* Sends the words back. */
bench_stub_echo:
	xorl	%edi, %edi
	movl	$(CAIRN_CALL_BASE + CAIRN_CALL_REPLY), %eax
	syscall
	ud2

	/* Answers a fault message: go on behind the UD2 (two bytes) at word 4. */
	.balign	16
bench_stub_skip:
	xorl	%edi, %edi
	movl	$2, %esi			/* FAULT_REPLY_RIP */
	leaq	2(%r8), %rdx
	movl	$2, %r9d
	movl	$(CAIRN_CALL_BASE + CAIRN_CALL_REPLY), %eax
	syscall
	ud2
bench_stubs_end:

	.section .note.GNU-stack, "", @progbits
