/* SPDX-License-Identifier: BSD-2-Clause */
/* Start of a nano guest: from the PVH entry (32-bit, paging off, EBX = start info) to 64-bit C; trap stubs. */

#define CR0_MP	   (1 << 1)
#define CR0_WP	   (1 << 16)
#define CR0_PG	   (1 << 31)
#define CR4_PAE	   (1 << 5)
#define CR4_FXSR   (1 << 9)
#define CR4_XMM	   (1 << 10)
#define EFER	   0xc0000080
#define EFER_LME   (1 << 8)
#define EFER_NXE   (1 << 11)
#define PTE_P	   1
#define PTE_W	   2
#define PTE_PCD	   0x10
#define PTE_LARGE  0x80

	/* XEN_ELFNOTE_PHYS32_ENTRY: where a PVH loader enters. */
	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long nano_entry

	.section .text.start, "ax", @progbits
	.code32
	.globl nano_entry
nano_entry:
	cli
	cld
	movl $nano_stack_top, %esp
	movl %ebx, nano_start_info

	/* Identity map of the first 4 GiB in 2 MiB pages; the last GiB (APICs) uncached. */
	movl $(nano_pdpt + PTE_P + PTE_W), nano_pml4
	movl $nano_pdpt, %edi
	movl $(nano_pd + PTE_P + PTE_W), %eax
	movl $4, %ecx
1:	movl %eax, (%edi)
	addl $8, %edi
	addl $4096, %eax
	loop 1b
	movl $nano_pd, %edi
	movl $(PTE_P + PTE_W + PTE_LARGE), %eax
	movl $2048, %ecx
2:	cmpl $0xc0000000, %eax
	jb 3f
	orl $PTE_PCD, %eax
3:	movl %eax, (%edi)
	addl $8, %edi
	addl $0x200000, %eax
	loop 2b

	movl $nano_pml4, %eax
	movl %eax, %cr3
	movl $(CR4_PAE | CR4_FXSR | CR4_XMM), %eax
	movl %eax, %cr4
	movl $EFER, %ecx
	rdmsr
	orl $(EFER_LME | EFER_NXE), %eax
	wrmsr
	movl %cr0, %eax
	orl $(CR0_PG | CR0_WP | CR0_MP), %eax
	movl %eax, %cr0
	lgdt nano_gdt_pointer
	ljmp $0x08, $nano_start64

	.code64
nano_start64:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	leaq nano_stack_top(%rip), %rsp
	xorl %ebp, %ebp
	call nano_begin
4:	cli
	hlt
	jmp 4b

	.text
	/* Vectors on which the CPU pushes an error code: 8, 10-14, 17, 21, 29, 30. */
	.set vector, 0
	.balign 16
	.globl nano_trap_stubs
nano_trap_stubs:
	.rept 256
	.balign 16
	.set has_code, (vector >= 10) && (vector <= 14)
	.set has_code, has_code || (vector == 8) || (vector == 17) || (vector == 21)
	.set has_code, has_code || (vector == 29) || (vector == 30)
	.if !has_code
	pushq $0
	.endif
	pushq $vector
	jmp nano_trap_common
	.set vector, vector + 1
	.endr

nano_trap_common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	movq %rsp, %rdi
	movq %rsp, %rbp
	andq $-16, %rsp
	cld
	call nano_trap
	movq %rbp, %rsp
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

	/* nano_enter_user(rip, rsp): drops to ring 3; nano_leave_user below brings back whoever entered. */
	.globl nano_enter_user
nano_enter_user:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, nano_user_return(%rip)
	pushq $0x1b
	pushq %rsi
	pushq $2
	pushq $0x23
	pushq %rdi
	iretq

	/* A trap handler makes its frame return here (ring 0, any stack). */
	.globl nano_leave_user
nano_leave_user:
	movq nano_user_return(%rip), %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

	.data
	.balign 16
	.globl nano_gdt
nano_gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 0x08: ring 0 code */
	.quad 0x00cf93000000ffff /* 0x10: ring 0 data */
	.quad 0x00cff3000000ffff /* 0x18: ring 3 data */
	.quad 0x00affb000000ffff /* 0x20: ring 3 code */
	.quad 0, 0               /* 0x28: TSS, filled in by nano_begin */
nano_gdt_end:
nano_gdt_pointer:
	.word nano_gdt_end - nano_gdt - 1
	.quad nano_gdt
	.globl nano_start_info
nano_start_info:
	.quad 0
nano_user_return:
	.quad 0

	.bss
	.balign 4096
	.globl nano_pml4
nano_pml4:
	.skip 4096
nano_pdpt:
	.skip 4096
nano_pd:
	.skip 4 * 4096
	.skip 16384
nano_stack_top:

	.section .note.GNU-stack, "", @progbits
