/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the kernel enters when this address space executes `syscall` with a number that is no hypercall:
 * RAX = Linux number, RDI RSI RDX R10 R8 R9 = arguments, RCX = return address, R11 = RFLAGS, RSP = the caller's.
 * As under Linux only RAX, RCX and R11 may change: musl's callers may hold values in every other register, SSE included.
 */

	.text
	.globl cairn_syscall_entry
	.type cairn_syscall_entry, @function
cairn_syscall_entry:
	lea	-128(%rsp), %rsp	/* the caller's red zone (AMD64 ABI 3.2.2) */
	push	%rcx
	push	%r11
	push	%rbp
	mov	%rsp, %rbp
	push	%rax			/* struct linux_call, from its end */
	push	%r9
	push	%r8
	push	%r10
	push	%rdx
	push	%rsi
	push	%rdi
	mov	%rsp, %rdi
	and	$-16, %rsp
	sub	$512, %rsp
	fxsave64 (%rsp)
	cld
	call	personality_call
	fxrstor64 (%rsp)
	lea	-56(%rbp), %rsp
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%r10
	pop	%r8
	pop	%r9
	lea	8(%rsp), %rsp
	pop	%rbp
	popfq
	pop	%rcx
	lea	128(%rsp), %rsp
	jmp	*%rcx
	.size cairn_syscall_entry, . - cairn_syscall_entry

	.section .note.GNU-stack, "", @progbits
