/* SPDX-License-Identifier: BSD-2-Clause */
/* Code that runs in spaces of its own, copied there: it reads every probe again and again, or counts. */
#include "stress.h"

	.section .rodata

/*
 * A thread: RDI = its struct touch. Whether a probe is done is looked at before it is read: then the read must fault.
 */
	.globl stress_host_code, stress_host_fault, stress_host_end
stress_host_code:
	mov %rdi, %r14
	mov TOUCH_BASE(%r14), %r12
	mov TOUCH_BOARD(%r14), %r13
	mov TOUCH_BUFFER(%r14), %r15
0:	xor %ebx, %ebx
1:	mov BOARD_OFFSET(%r13,%rbx,4), %esi
	movzbl BOARD_DONE(%r13,%rbx), %ecx
	mov (%r12,%rsi), %eax
	incl TOUCH_READS(%r14)
	test %ecx, %ecx
	jz 2f
	incl TOUCH_READ_ON(%r14)
2:	lea PATTERN(%rbx), %edx
	cmp %edx, %eax
	je 3f
	incl TOUCH_WRONG_DATA(%r14)
3:	inc %ebx
	cmp $PROBES, %ebx
	jb 1b
	incl TOUCH_PASSES(%r14)
	jmp 0b

/* Its fault entry: all registers are as they were. */
stress_host_fault:
	incl TOUCH_FAULTS(%r14)
	cmpl $VECTOR_PF, BUFFER_VECTOR(%r15)
	jne 4f
	cmpl $1, BUFFER_POISON(%r15)
	jne 4f
	movb $1, TOUCH_FAULTED(%r14,%rbx)
	cmpb $0, BOARD_BEGUN(%r13,%rbx)
	jne 5f
	incl TOUCH_TOO_EARLY(%r14)
	jmp 5f
4:	incl TOUCH_WRONG_FAULT(%r14)
	mov BUFFER_VECTOR(%r15), %rax
	mov %rax, TOUCH_WRONG_WHAT(%r14)
	mov BUFFER_ADDRESS(%r15), %rax
	mov %rax, TOUCH_WRONG_WHERE(%r14)
5:	movq $0, BUFFER_ACTIVE(%r15)
	jmp 3b
stress_host_end:

/* A guest in 32-bit protected mode without paging: EDI = its struct touch. Its exits are dealt with in actors.c. */
	.code32
	.globl stress_guest_code, stress_guest_next, stress_guest_end
stress_guest_code:
	mov $GUEST_BOARD, %ebp
0:	xor %ebx, %ebx
1:	mov BOARD_OFFSET(%ebp,%ebx,4), %esi
	movzbl BOARD_DONE(%ebp,%ebx), %ecx
	mov (%esi), %eax
	incl TOUCH_READS(%edi)
	test %ecx, %ecx
	jz 2f
	incl TOUCH_READ_ON(%edi)
2:	lea PATTERN(%ebx), %edx
	cmp %edx, %eax
	je stress_guest_next
	incl TOUCH_WRONG_DATA(%edi)
stress_guest_next:
	inc %ebx
	cmp $PROBES, %ebx
	jb 1b
	incl TOUCH_PASSES(%edi)
	jmp 0b
stress_guest_end:

/* A guest that counts: EDI = its struct count. */
	.globl stress_count_code, stress_count_end
stress_count_code:
	rdtsc
	mov %eax, COUNT_TSC(%edi)
	mov %edx, COUNT_TSC + 4(%edi)
	incl COUNT_TURNS(%edi)
	jmp stress_count_code
stress_count_end:

	.code64
	.text
/* int stress_peek(const volatile void *at, uint32_t *value, struct message_buffer *buffer) */
	.globl stress_peek, stress_peek_fault
stress_peek:
	mov (%rdi), %eax
	mov %eax, (%rsi)
	xor %eax, %eax
	ret
stress_peek_fault:
	mov $2, %eax
	cmpl $VECTOR_PF, BUFFER_VECTOR(%rdx)
	jne 1f
	sub BUFFER_POISON(%rdx), %eax
1:	movq $0, BUFFER_ACTIVE(%rdx)
	ret

	.section .note.GNU-stack, "", @progbits
