/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ways into the kernel and out of it, except VM exits (svm/entry.S) and the machine check (mca/entry.S).
 * GS points to struct cpu while the kernel runs; user level's GS base is 0 and waits in KERNEL_GS_BASE.
 */
#include <cairn/hypercall_numbers.h>
#include "macros.S"

/* What a system call must bring back. */
#define PRESERVED rbx, rbp, r12, r13, r14, r15

	.text
/*
 * SYSCALL: RCX = user RIP, R11 = user RFLAGS, interrupts off (FMASK), RSP and all else the user's.
 * [syscall_entry, syscall_entry_stack): CPL 0 with the user's RSP (the machine-check stub asks).
 */
	.globl syscall_entry, syscall_entry_stack
	.align 16
syscall_entry:
	swapgs
	mov %rsp, %gs:CPU_USER_RSP
	mov %gs:CPU_STACK, %rsp
syscall_entry_stack:
	sub $CAIRN_CALL_BASE, %rax
	cmp $CAIRN_CALL_CALL, %rax
	jne 1f

	/* call: the words go on in their registers; all else is saved. */
	mov %gs:CPU_CURRENT, %rax                /* RAX: struct ec */
	STORE rax, PRESERVED
	mov %rcx, EC_RIP(%rax)
	mov %r11, EC_RFLAGS(%rax)
	mov %gs:CPU_USER_RSP, %rcx
	mov %rcx, gpr_rsp(%rax)
	movb $0, EC_MODE(%rax)                   /* MODE_SYSRET */
	mov %r10, %rcx
	call portal_call                         /* (selector, w1, w2, w3, w4, count) */
	jmp resume

1:	cmp $CAIRN_CALL_REPLY, %rax
	jne system_call
	/* reply: the handler's context ends here; C keeps the preserved registers in case of an error. */
	push %rcx
	push %r11
	mov %r10, %rcx
	call portal_reply                        /* (0, w1, w2, w3, w4, count) */
	test %eax, %eax
	jz resume
	mov %gs:CPU_CURRENT, %rdi
	STORE rdi, PRESERVED
	mov %eax, %eax
	mov %rax, gpr_rax(%rdi)
	pop EC_RFLAGS(%rdi)
	pop EC_RIP(%rdi)
	mov %gs:CPU_USER_RSP, %rcx
	mov %rcx, gpr_rsp(%rdi)
	movb $0, EC_MODE(%rdi)
	jmp resume

system_call:
	push %rdi
	mov %gs:CPU_CURRENT, %rdi
	STORE rdi, PRESERVED
	mov %rcx, EC_RIP(%rdi)
	mov %r11, EC_RFLAGS(%rdi)
	pop gpr_rdi(%rdi)
	lea CAIRN_CALL_BASE(%rax), %rcx
	mov %rcx, gpr_rax(%rdi)
	STORE rdi, rdx, rsi, r8, r9, r10
	mov %gs:CPU_USER_RSP, %rcx
	mov %rcx, gpr_rsp(%rdi)
	movb $0, EC_MODE(%rdi)
	cmp $0x1000, %rax
	jae 1f
	call syscall_dispatch                    /* (struct ec) */
	jmp resume
1:	call syscall_bounce                      /* a foreign number: up to the thread's own entry */
	/* falls through */

/* Leaves the kernel into whatever cpu->current is. Nothing is live in registers; the stack is empty. */
	.globl resume
resume:
	mov %gs:CPU_STACK, %rsp
	cmpb $0, %gs:CPU_RESCHED
	jne 2f
	mov %gs:CPU_CURRENT, %rax                /* RAX: struct ec; nobody is only there when RESCHED is set */
	cmpb $2, EC_MODE(%rax)
	je 3f
	ja resume_handler
	cmpb $1, EC_MODE(%rax)
	je resume_iret

	mov EC_RIP(%rax), %rcx
	mov EC_RFLAGS(%rax), %r11
	LOAD rax, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r12, r13, r14, r15
	CLEAR_BUFFERS
	.globl sysret_window, sysret_window_end
sysret_window:                                   /* CPL 0 with the user's RSP from here */
	LOAD rax, rsp, rax
	swapgs
	sysretq
sysret_window_end:

/* A message enters: badge, words and count in registers, all else clean. RAX: struct ec. */
resume_handler:
	mov EC_ENTRY_RIP(%rax), %rcx
	mov $0x202, %r11d                        /* RFLAGS_USER */
	LOAD rax, rdi, rsi, rdx, r10, r8, r9
	.irp r, ebx, ebp, r12d, r13d, r14d, r15d
	xor %\r, %\r
	.endr
	CLEAR_BUFFERS
	.globl handler_window, handler_window_end
handler_window:                                  /* CPL 0 with the user's RSP from here */
	mov EC_ENTRY_RSP(%rax), %rsp
	xor %eax, %eax
	swapgs
	sysretq
handler_window_end:

3:	cmpb $0, guest_vmx(%rip)
	je svm_resume                            /* RAX: struct ec */
	jmp vmx_resume
	.weak svm_resume, guest_left, guest_left_end, vmx_resume, vmx_window, vmx_window_end, vmx_abort /* 0: built without that backend */

2:	call schedule_cpu
	cmpb $0, %gs:CPU_RESCHED
	jne 2b
	cmpq $0, %gs:CPU_CURRENT
	jne resume
	/* falls through */

/* Nobody can run. */
	.globl idle, idle_end
idle:
	sti
	hlt
idle_end:                                        /* interrupts come back here with IF = 0, NMI and #MC with IF = 1 */
	cli
	movb $1, %gs:CPU_RESCHED
	jmp resume

/* Back to user level with every register as it was (interrupted or faulted threads). RAX: struct ec. */
resume_iret:
	pushq $SEL_UDATA
	pushq gpr_rsp(%rax)
	pushq EC_RFLAGS(%rax)
	pushq $SEL_UCODE
	pushq EC_RIP(%rax)
	LOAD rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rax
	CLEAR_BUFFERS
	swapgs
	iretq

/*
 * Exceptions and interrupts: trap_stubs + 16 * vector pushes an error code where the CPU does not, then the vector.
 * Stack then: vector, error, RIP, CS, RFLAGS, RSP, SS.
 */
	.globl trap_stubs
	.align 16
trap_stubs:
	.set vector, 0
	.rept 256
	.align 16
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	pushq $0
	.endif
	pushq $vector
	jmp trap_common
	.set vector, vector + 1
	.endr

trap_common:
	testb $3, 24(%rsp)
	jz trap_from_kernel
	swapgs
	push %rax
	mov %gs:CPU_CURRENT, %rax                /* RAX: struct ec */
	STORE rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	movb $1, EC_MODE(%rax)                   /* MODE_IRET */
	pop %rcx
	mov %rcx, gpr_rax(%rax)
	pop %rsi                                 /* vector */
	pop %rdx                                 /* error code */
	pop %rcx
	mov %rcx, EC_RIP(%rax)
	mov 8(%rsp), %rcx
	mov %rcx, EC_RFLAGS(%rax)
	mov 16(%rsp), %rcx
	mov %rcx, gpr_rsp(%rax)
	mov %rax, %rdi
	mov %gs:CPU_STACK, %rsp
	pushq $2                                 /* DF and AC are the user's: clear */
	popfq
	call trap_user                           /* (ec, vector, error) */
	jmp resume

/* In the kernel: an interrupt in idle or in irq_window, or a bug. Only what C may change is saved. */
trap_from_kernel:
	PUSH_ALL
	mov %rsp, %rdi                           /* struct trap_frame */
	call trap_kernel
	POP_ALL
	add $16, %rsp
	iretq

/*
 * Non-maskable interrupt, own stack: it only makes the CPU leave a guest or a halt; no register changes. POPFQ gives a
 * machine check that is pending behind the NMI the chance to be taken in here, where its stub sees it (mca/entry.S).
 */
	.globl nmi_entry
nmi_entry:
	cmpb $0, machine_stopped(%rip)
	jne 1f
	cmpq $vmx_window, (%rsp)                 /* about to enter a guest: it does not (vmx/entry.S) */
	jb 2f
	cmpq $vmx_window_end, (%rsp)
	jae 2f
	movq $vmx_abort, (%rsp)
2:	pushfq
	popfq
	iretq
1:	cli                                      /* another CPU has stopped the machine */
	hlt
	jmp 1b

/* An exit says that the banks are full; the handler has not run. */
	.globl guest_mc, guest_mc_end
guest_mc:
	int $18
	ret
guest_mc_end:

/* int hal_copy(const uint64_t *from, uint64_t *to, uint64_t words): a fault or #MC inside gives -1. */
	.globl hal_copy, hal_copy_end, hal_copy_fixup
hal_copy:
	mov %rdx, %rcx
	xor %eax, %eax
	xchg %rsi, %rdi
	rep movsq
hal_copy_end:
	ret
hal_copy_fixup:
	mov $-1, %eax
	ret

/* Takes pending interrupts, then goes on. */
	.globl irq_window
irq_window:
	sti
	nop
	cli
	ret
	.section .note.GNU-stack, "", @progbits
