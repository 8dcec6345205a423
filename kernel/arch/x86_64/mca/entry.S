/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Machine check (vector 18), own IST stack, whose top word is the CPU's struct cpu: GS cannot be trusted here.
 * mc_record reads the banks and builds, off this stack, the frame to leave by; only then MCG_STATUS.MCIP is cleared, for a
 * further #MC would overwrite this stack.
 */
#include "../layout.h"

	.text
	.globl mc_entry
mc_entry:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rsp, %rdi                           /* struct mc_frame */
	mov 160(%rsp), %rsi                      /* struct cpu: 15 registers + 5 words above */
	pushq $2                                 /* DF and AC may be the user's: clear */
	popfq
	call mc_record                           /* RAX: new RSP, RDX: enum mc_return */
	test %edx, %edx
	jz mc_to_user
	mov %rax, %rsp
	mov %edx, %ebx
	mov $0x17a, %ecx                         /* IA32_MCG_STATUS */
	xor %eax, %eax
	xor %edx, %edx
	wrmsr
	cmp $2, %ebx
	je mc_to_nmi
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	iretq

/* It interrupted the NMI handler: IRET would unmask NMIs, so RFLAGS and RIP are restored one by one. */
mc_to_nmi:
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	popfq
	ret

/* It interrupted user level, whose registers are in its struct ec now. */
mc_to_user:
	swapgs
	mov %gs:CPU_STACK, %rsp
	mov $0x17a, %ecx
	xor %eax, %eax
	xor %edx, %edx
	wrmsr
	movb $1, %gs:CPU_RESCHED
	jmp resume
	.section .note.GNU-stack, "", @progbits
