/* SPDX-License-Identifier: BSD-2-Clause */
/* From the boot loader (either multiboot: 32-bit, paging off, EAX magic, EBX information) to 64-bit C. */
#include "layout.h"

#define PHYS(sym) ((sym) - KERNEL_BASE)

	.section .boot, "ax"
	.code32
	.globl boot_entry
boot_entry:
	cli
	cld
	mov %eax, %edi                   /* EDI: magic, ESI: information, kept for boot_main */
	mov %ebx, %esi
	mov $PHYS(boot_stack_end), %esp
	mov $0x80000000, %eax
	cpuid
	cmp $0x80000001, %eax
	jb no_long_mode
	mov $0x80000001, %eax
	cpuid
	bt $29, %edx
	jnc no_long_mode

	mov $PHYS(boot_pml4), %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x20, %eax                   /* CR4.PAE */
	mov %eax, %cr4
	mov $0xc0000080, %ecx            /* EFER: LME, NXE */
	rdmsr
	or $0x900, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80010000, %eax             /* CR0.PG, WP */
	mov %eax, %cr0
	lgdt PHYS(boot_gdt_pointer)
	ljmp $SEL_KCODE, $PHYS(boot_64)

no_long_mode:
	mov $PHYS(no_long_mode_text), %esi
	mov $no_long_mode_end - no_long_mode_text, %ecx
	mov $0x3f8, %dx
	rep outsb
4:	hlt
	jmp 4b
no_long_mode_text:
	.ascii "cairn: this CPU has no 64-bit mode; Cairn needs an x86-64 CPU\r\n"
no_long_mode_end:

	.code64
boot_64:
	mov $SEL_KDATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov $boot_stack_end, %rsp
	mov %edi, %edi                   /* zero-extend both arguments */
	mov %esi, %esi
	mov $boot_main, %rax
	call *%rax                       /* does not return */
5:	hlt
	jmp 5b

/*
 * A started CPU, in real mode at AP_PHYS, where boot_main has copied [ap_start, ap_end): straight into 64-bit mode on the
 * boot tables. CS base = AP_PHYS.
 */
	.globl ap_start, ap_end
	.code16
ap_start:
	cli
	cld
	lgdtl %cs:(ap_gdt_pointer - ap_start)
	mov $0x20, %eax                  /* CR4.PAE */
	mov %eax, %cr4
	mov $PHYS(boot_pml4), %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx            /* EFER: LME, NXE */
	rdmsr
	or $0x900, %eax
	wrmsr
	mov $0x80010011, %eax            /* CR0: PG, WP, ET, PE; caches on */
	mov %eax, %cr0
	ljmpl $SEL_KCODE, $PHYS(ap_64)
	.align 4
ap_gdt_pointer:
	.word 23
	.long PHYS(boot_gdt)
ap_end:

	.code64
ap_64:
	mov $SEL_KDATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	xor %edi, %edi
	mov $cpu_starting, %rax
	xchg %rdi, (%rax)                /* RDI: struct percpu; 0: it came too late */
	test %rdi, %rdi
	jz 5b
	mov CPU_STACK(%rdi), %rsp
	mov $ap_main, %rax
	call *%rax                       /* does not return */

	.align 8
boot_gdt:
	.quad 0
	.quad 0x00af9a000000ffff         /* 64-bit code */
	.quad 0x00cf92000000ffff         /* data */
boot_gdt_pointer:
	.word 23
	.long PHYS(boot_gdt)

	/* Identity map of the first 4 GiB in 2 MiB pages (present, write, large); the same first GiB at KERNEL_BASE. */
	.data
	.align 4096
boot_pml4:
	.quad PHYS(boot_pdpt) + 3
	.fill 510, 8, 0
	.quad PHYS(boot_pdpt_high) + 3
boot_pdpt_high:
	.fill 510, 8, 0
	.quad PHYS(boot_pd) + 3, 0
boot_pdpt:
	.quad PHYS(boot_pd) + 3, PHYS(boot_pd) + 0x1003, PHYS(boot_pd) + 0x2003, PHYS(boot_pd) + 0x3003
	.fill 508, 8, 0
boot_pd:
	.set page, 0
	.rept 2048
	.quad page * 0x200000 + 0x83
	.set page, page + 1
	.endr

	.bss
	.align 16
	.skip 4096
boot_stack_end:
	.section .note.GNU-stack, "", @progbits
