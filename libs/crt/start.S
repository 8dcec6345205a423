/* SPDX-License-Identifier: BSD-2-Clause */
/* Entry of every server and of the root-task, and the note that tells the root-task where upcalls enter. */

	.section .text._start, "ax", @progbits
	.globl _start
	.type _start, @function
_start:
	xor	%ebp, %ebp
	and	$-16, %rsp
	call	cairn_start		/* does not return */
	ud2
	.size _start, . - _start

	/* struct elf_image.syscall_entry and .fault_entry (libs/elf). */
	.section .note.cairn, "a", @note
	.balign	4
	.long	6			/* name size */
	.long	16			/* descriptor size */
	.long	1			/* type */
	.asciz	"Cairn"
	.balign	4
	.quad	cairn_syscall_entry
	.quad	cairn_fault_entry

	.section .note.GNU-stack, "", @progbits
