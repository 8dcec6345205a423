/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the kernel enters when a thread of this server faults: all general registers as at the fault, the fault in the
 * thread's message buffer (struct message_buffer.fault_*). A fault in a guest-memory accessor continues at its fix-up;
 * any other is repeated with fault_active still set, so that the supervisor gets it with everything as it was.
 *
 * The stack is not touched: it may be what faulted. RSP is saved in the buffer, so RSP itself serves to find the buffer
 * (thread n's stack lies in the n-th MiB from SERVER_STACK_VA, its buffer is the n-th page from SERVER_BUFFER_VA).
 */

	.set	STACK_VA, 0x30000000	/* SERVER_STACK_VA, checked in layout.c like all of these */
	.set	BUFFER_VA, 0x10100000	/* SERVER_BUFFER_VA */
	.set	THREADS, 8		/* SEL_THREAD .. SEL_CHANNEL - 1 */
	.set	STUB_BITS, 4
	.set	FAULT_ACTIVE, 3968
	.set	FAULT_POISON, 4000
	.set	FAULT_RIP, 4008
	.set	FAULT_RSP, 4016
	.set	FAULT_RFLAGS, 4024
	.set	SAVED, 4032		/* reserved[0..2]: RAX, RCX, the stub */

	/* The linker's bounds of section cairn_fixups; both 0 in a server that touches no guest memory. */
	.weak	__start_cairn_fixups
	.weak	__stop_cairn_fixups

	.text
	.globl cairn_fault_entry
	.type cairn_fault_entry, @function
cairn_fault_entry:
	sub	$STACK_VA, %rsp
	shr	$20, %rsp
	cmp	$THREADS, %rsp
	jae	cairn_fault_bad_stack
	shl	$12, %rsp
	add	$BUFFER_VA, %rsp
	mov	%rax, SAVED(%rsp)
	mov	%rcx, SAVED + 8(%rsp)

	mov	FAULT_RIP(%rsp), %rax
	mov	$__start_cairn_fixups, %ecx
1:	cmp	$__stop_cairn_fixups, %rcx
	jae	repeat
	cmp	(%rcx), %rax
	jb	2f
	cmp	8(%rcx), %rax
	jb	found
2:	add	$24, %rcx
	jmp	1b

found:	mov	16(%rcx), %rcx		/* the fix-up; the accessors expect RCX to change */
	mov	FAULT_POISON(%rsp), %rax
	cmp	$1, %rax		/* carry: 0, no poison */
	mov	$2, %eax		/* GUESTMEM_POISON */
	sbb	$0, %eax		/* GUESTMEM_FAULT */
	movq	$0, FAULT_ACTIVE(%rsp)
	mov	FAULT_RSP(%rsp), %rsp
	cld
	jmp	*%rcx

	/*
	 * Everything as it was, then a jump to the faulting address. That takes two memory operands at addresses which no
	 * register may hold, hence one stub per thread. (IRETQ would do all at once, but QEMU's TCG reads its frame with
	 * the kernel's rights, which SMAP refuses.)
	 */
repeat:	mov	%rsp, %rax
	sub	$BUFFER_VA, %rax
	shr	$12 - STUB_BITS, %rax
	add	$stubs, %rax
	mov	%rax, SAVED + 16(%rsp)
	mov	SAVED(%rsp), %rax
	mov	SAVED + 8(%rsp), %rcx
	lea	FAULT_RFLAGS(%rsp), %rsp
	popfq
	lea	16(%rsp), %rsp
	ret
	.size cairn_fault_entry, . - cairn_fault_entry

	.balign	1 << STUB_BITS
stubs:
	.set	buffer, BUFFER_VA
	.rept	THREADS
	mov	buffer + FAULT_RSP, %rsp
	jmp	*buffer + FAULT_RIP
	.balign	1 << STUB_BITS
	.set	buffer, buffer + 4096
	.endr

	/* RSP points to no stack of this server: the original place of the fault is lost, this one tells why. */
	.globl cairn_fault_bad_stack
	.type cairn_fault_bad_stack, @function
cairn_fault_bad_stack:
	ud2
	.size cairn_fault_bad_stack, . - cairn_fault_bad_stack

	.section .note.GNU-stack, "", @progbits
