/* SPDX-License-Identifier: BSD-2-Clause */
/* Into a guest and out of it (APM vol. 2, 15.5). Nothing touches the state page between CLGI and STGI. */
#include "../macros.S"

	.text
/*
 * RAX: struct ec of the VCpu; the stack is empty. The guest's RAX, RSP, RIP, RFLAGS are in its VMCB; its other
 * general registers in the state page. With GIF = 0 neither NMI nor #MC arrives, so that nothing can come between
 * the check for work and VMRUN.
 */
	.globl svm_resume
svm_resume:
	pushq EC_STATE(%rax)                     /* 24(%rsp) */
	pushq %gs:CPU_HOST_VMCB                  /* 16(%rsp) */
	pushq EC_VMCB(%rax)                      /*  8(%rsp) */
	pushq EC_THAWED(%rax)                    /*  0(%rsp) */
	mov EC_STATE(%rax), %rax
	LOAD rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	clgi
	cmpb $0, %gs:CPU_RESCHED
	jne 1f
	mov mc_epoch(%rip), %rax                 /* a machine check without verdict: no entry (R-BAS-2) */
	cmp 0(%rsp), %rax
	ja 1f
	mov 8(%rsp), %rax
	CLEAR_BUFFERS
	sti                                      /* V_INTR_MASKING: host IF says whether interrupts exit */
	vmload %rax
	vmrun %rax
	/* Host RSP and RAX are back; all other general registers, FS, GS, TR and the system-call MSRs are the guest's. */
	vmsave %rax
	mov 16(%rsp), %rax
	vmload %rax                              /* GS, TR are ours again: from here an IST switch can be trusted */
	cli
	.globl guest_left, guest_left_end
guest_left:
	stgi                                     /* a pending NMI, and a #MC behind it, is taken right here */
	mov 24(%rsp), %rax
guest_left_end:
	STORE rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	mov %gs:CPU_CURRENT, %rdi
	add $32, %rsp
	cld
	call svm_exit                            /* (ec) */
	jmp resume
1:	stgi                                     /* no entry: the state page still holds the registers */
	movb $1, %gs:CPU_RESCHED
	jmp resume
	.section .note.GNU-stack, "", @progbits
