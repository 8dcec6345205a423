/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Machine check (vector 18), own IST stack, whose top word is the CPU's struct cpu: GS cannot be trusted here.
 * mc_record reads the banks and builds, off this stack, the frame to leave by; only then MCG_STATUS.MCIP is cleared, for a
 * further #MC would overwrite this stack.
 */
#include "../macros.S"

	.text
	.globl mc_entry
mc_entry:
	PUSH_ALL
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
	POP_ALL
	iretq

/* It interrupted the NMI handler: IRET would unmask NMIs, so RFLAGS and RIP are restored one by one. */
mc_to_nmi:
	POP_ALL
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
