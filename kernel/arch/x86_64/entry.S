/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ways into the kernel and out of it, except VM exits (svm/entry.S) and the machine check (mca/entry.S).
 * GS points to struct cpu while the kernel runs; user level's GS base is 0 and waits in KERNEL_GS_BASE.
 */
#include <cairn/hypercall_numbers.h>
#include "layout.h"

#define RAX 0
#define RCX 1
#define RDX 2
#define RBX 3
#define RSP 4
#define RBP 5
#define RSI 6
#define RDI 7

/* What a system call must bring back: into the struct ec that RDI points to. */
.macro SAVE_PRESERVED
	mov %rbx, EC_GPR(RBX)(%rdi)
	mov %rbp, EC_GPR(RBP)(%rdi)
	mov %r12, EC_GPR(12)(%rdi)
	mov %r13, EC_GPR(13)(%rdi)
	mov %r14, EC_GPR(14)(%rdi)
	mov %r15, EC_GPR(15)(%rdi)
.endm

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
	cmp $CAIRN_CALL_REPLY, %rax
	ja system_call
	je reply
	test %rax, %rax
	jz system_call

	/* call: the words go on in their registers; all else is saved. */
	push %rdi
	mov %gs:CPU_CURRENT, %rdi                /* RDI: struct ec */
	SAVE_PRESERVED
	mov %rcx, EC_RIP(%rdi)
	mov %r11, EC_RFLAGS(%rdi)
	mov %gs:CPU_USER_RSP, %rcx
	mov %rcx, EC_GPR(RSP)(%rdi)
	movb $0, EC_MODE(%rdi)                   /* MODE_SYSRET */
	pop %rdi
	mov %r10, %rcx
	call portal_call                         /* (selector, w1, w2, w3, w4, count) */
	jmp resume

	/* reply: the handler's context ends here; C keeps the preserved registers in case of an error. */
reply:
	push %rcx
	push %r11
	mov %r10, %rcx
	call portal_reply                        /* (0, w1, w2, w3, w4, count) */
	test %eax, %eax
	jz resume
	mov %gs:CPU_CURRENT, %rdi
	SAVE_PRESERVED
	mov %eax, %eax
	mov %rax, EC_GPR(RAX)(%rdi)
	pop EC_RFLAGS(%rdi)
	pop EC_RIP(%rdi)
	mov %gs:CPU_USER_RSP, %rcx
	mov %rcx, EC_GPR(RSP)(%rdi)
	movb $0, EC_MODE(%rdi)
	jmp resume

system_call:
	push %rdi
	mov %gs:CPU_CURRENT, %rdi
	SAVE_PRESERVED
	mov %rcx, EC_RIP(%rdi)
	mov %r11, EC_RFLAGS(%rdi)
	pop EC_GPR(RDI)(%rdi)
	lea CAIRN_CALL_BASE(%rax), %rcx
	mov %rcx, EC_GPR(RAX)(%rdi)
	mov %rdx, EC_GPR(RDX)(%rdi)
	mov %rsi, EC_GPR(RSI)(%rdi)
	mov %r8, EC_GPR(8)(%rdi)
	mov %r9, EC_GPR(9)(%rdi)
	mov %r10, EC_GPR(10)(%rdi)
	mov %gs:CPU_USER_RSP, %rcx
	mov %rcx, EC_GPR(RSP)(%rdi)
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
	mov %gs:CPU_CURRENT, %rax                /* RAX: struct ec */
	test %rax, %rax
	jz idle
	cmpb $2, EC_MODE(%rax)
	je resume_guest
	ja resume_handler
	cmpb $1, EC_MODE(%rax)
	je resume_iret

	mov EC_RIP(%rax), %rcx
	mov EC_RFLAGS(%rax), %r11
	mov EC_GPR(RDX)(%rax), %rdx
	mov EC_GPR(RBX)(%rax), %rbx
	mov EC_GPR(RBP)(%rax), %rbp
	mov EC_GPR(RSI)(%rax), %rsi
	mov EC_GPR(RDI)(%rax), %rdi
	mov EC_GPR(8)(%rax), %r8
	mov EC_GPR(9)(%rax), %r9
	mov EC_GPR(10)(%rax), %r10
	mov EC_GPR(12)(%rax), %r12
	mov EC_GPR(13)(%rax), %r13
	mov EC_GPR(14)(%rax), %r14
	mov EC_GPR(15)(%rax), %r15
	.globl sysret_window, sysret_window_end
sysret_window:                                   /* CPL 0 with the user's RSP from here */
	mov EC_GPR(RSP)(%rax), %rsp
	mov EC_GPR(RAX)(%rax), %rax
	swapgs
	sysretq
sysret_window_end:

/* A message enters: badge, words and count in registers, all else clean. RAX: struct ec. */
resume_handler:
	mov EC_ENTRY_RIP(%rax), %rcx
	mov $0x202, %r11d                        /* RFLAGS_USER */
	mov EC_GPR(RDI)(%rax), %rdi
	mov EC_GPR(RSI)(%rax), %rsi
	mov EC_GPR(RDX)(%rax), %rdx
	mov EC_GPR(10)(%rax), %r10
	mov EC_GPR(8)(%rax), %r8
	mov EC_GPR(9)(%rax), %r9
	xor %ebx, %ebx
	xor %ebp, %ebp
	xor %r12d, %r12d
	xor %r13d, %r13d
	xor %r14d, %r14d
	xor %r15d, %r15d
	.globl handler_window, handler_window_end
handler_window:                                  /* CPL 0 with the user's RSP from here */
	mov EC_ENTRY_RSP(%rax), %rsp
	xor %eax, %eax
	swapgs
	sysretq
handler_window_end:

2:	call schedule_cpu
	jmp resume

/* Nobody can run. */
	.globl idle, idle_end
idle:
	sti
	hlt
idle_end:                                        /* trap_kernel comes back here, IF = 0 */
	movb $1, %gs:CPU_RESCHED
	jmp resume

/* Back to user level with every register as it was (interrupted or faulted threads). RAX: struct ec. */
resume_iret:
	pushq $SEL_UDATA
	pushq EC_GPR(RSP)(%rax)
	pushq EC_RFLAGS(%rax)
	pushq $SEL_UCODE
	pushq EC_RIP(%rax)
	mov EC_GPR(RCX)(%rax), %rcx
	mov EC_GPR(RDX)(%rax), %rdx
	mov EC_GPR(RBX)(%rax), %rbx
	mov EC_GPR(RBP)(%rax), %rbp
	mov EC_GPR(RSI)(%rax), %rsi
	mov EC_GPR(RDI)(%rax), %rdi
	mov EC_GPR(8)(%rax), %r8
	mov EC_GPR(9)(%rax), %r9
	mov EC_GPR(10)(%rax), %r10
	mov EC_GPR(11)(%rax), %r11
	mov EC_GPR(12)(%rax), %r12
	mov EC_GPR(13)(%rax), %r13
	mov EC_GPR(14)(%rax), %r14
	mov EC_GPR(15)(%rax), %r15
	mov EC_GPR(RAX)(%rax), %rax
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
	mov %rcx, EC_GPR(RCX)(%rax)
	mov %rdx, EC_GPR(RDX)(%rax)
	mov %rbx, EC_GPR(RBX)(%rax)
	mov %rbp, EC_GPR(RBP)(%rax)
	mov %rsi, EC_GPR(RSI)(%rax)
	mov %rdi, EC_GPR(RDI)(%rax)
	mov %r8, EC_GPR(8)(%rax)
	mov %r9, EC_GPR(9)(%rax)
	mov %r10, EC_GPR(10)(%rax)
	mov %r11, EC_GPR(11)(%rax)
	mov %r12, EC_GPR(12)(%rax)
	mov %r13, EC_GPR(13)(%rax)
	mov %r14, EC_GPR(14)(%rax)
	mov %r15, EC_GPR(15)(%rax)
	movb $1, EC_MODE(%rax)                   /* MODE_IRET */
	pop %rcx
	mov %rcx, EC_GPR(RAX)(%rax)
	pop %rsi                                 /* vector */
	pop %rdx                                 /* error code */
	pop %rcx
	mov %rcx, EC_RIP(%rax)
	mov 8(%rsp), %rcx
	mov %rcx, EC_RFLAGS(%rax)
	mov 16(%rsp), %rcx
	mov %rcx, EC_GPR(RSP)(%rax)
	mov %rax, %rdi
	mov %gs:CPU_STACK, %rsp
	pushq $2                                 /* DF and AC are the user's: clear */
	popfq
	call trap_user                           /* (ec, vector, error) */
	jmp resume

/* In the kernel: an interrupt in idle or in irq_window, or a bug. Only what C may change is saved. */
trap_from_kernel:
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
	mov %rsp, %rdi                           /* struct trap_frame */
	call trap_kernel
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
	add $16, %rsp
	iretq

/*
 * Non-maskable interrupt, own stack: it only makes the CPU leave a guest or a halt; no register changes. POPFQ gives a
 * machine check that is pending behind the NMI the chance to be taken in here, where its stub sees it (mca/entry.S).
 */
	.globl nmi_entry
nmi_entry:
	pushfq
	popfq
	iretq

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
