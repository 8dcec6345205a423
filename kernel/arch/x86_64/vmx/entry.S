/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Into a guest and out of it (SDM vol. 3, 27 and 28). Everything but the general registers, CR2 and what the MSR areas name is
 * loaded and saved by the CPU. Host RSP in the VMCS is CPU_STACK - 8, where the entry leaves the address of the state page.
 */
#include "../macros.S"

	.text
/*
 * RAX: struct ec of the VCpu, whose VMCS is current; the stack is empty; interrupts are off. NMI and #MC can come until VMRESUME:
 * from vmx_window on they take the abort exit instead of returning (nmi_entry, mc_record), so that nothing that they ask for
 * waits for the guest.
 */
	.globl vmx_resume
vmx_resume:
	mov mc_epoch(%rip), %rcx                 /* a machine check without verdict: no entry (R-BAS-2) */
	cmp EC_THAWED(%rax), %rcx
	ja vmx_abort
	mov EC_CR2(%rax), %rcx
	mov %rcx, %cr2
	mov EC_STATE(%rax), %rcx
	push %rcx                                /* 0(%rsp): the state page; RSP is the host's RSP of the VMCS */
	CLEAR_BUFFERS
	LOAD rcx, rax, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rcx
	CLEAR_BUFFERS
	.globl vmx_window, vmx_window_end, vmx_abort
vmx_window:                                      /* all general registers but RSP are the guest's from here on */
	cmpb $0, %gs:CPU_RESCHED
	jne vmx_abort
	cmpb $0, %gs:CPU_LAUNCHED
	je 1f
	vmresume
	jmp 2f
1:	vmlaunch
vmx_window_end:
2:	/* Refused before anything was loaded: the state page still holds the general registers. */
	mov %gs:CPU_CURRENT, %rdi
	mov $1, %esi
	call vmx_exit                            /* (ec, refused) */
	jmp resume
vmx_abort:                                       /* no entry; `resume` empties the stack */
	movb $1, %gs:CPU_RESCHED
	jmp resume

/*
 * An exit, or an entry that failed after the guest state was looked at: host CR0, CR3, CR4, EFER, PAT, RSP, segments, GS and TR
 * bases, GDTR, IDTR and the syscall MSRs are loaded; interrupts off, DF and AC clear; all other general registers are the guest's.
 */
	.globl vmx_left
vmx_left:
	push %rax                                /* 0: guest RAX, 8: state page */
	mov 8(%rsp), %rax
	STORE rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	pop %rcx
	mov %rcx, gpr_rax(%rax)
	lgdt %gs:CPU_GDTR                        /* the exit leaves a limit of 64 KiB */
	mov %gs:CPU_CURRENT, %rdi
	xor %esi, %esi
	call vmx_exit                            /* (ec, refused) */
	jmp resume
	.section .note.GNU-stack, "", @progbits
