/* SPDX-License-Identifier: BSD-2-Clause */
/* Exceptions and interrupts in C, and foreign system calls: all of user level's troubles go back to user level. */
#include <hal/hal.h>
#include "arch.h"

#define VECTOR_NM 7
#define VECTOR_PF 14
#define PF_P	  1u /* error code: the page was there */

extern char hal_copy_end[], hal_copy_fixup[], idle[], idle_end[];

/* To the thread's own fault entry; 0 when it has none or is in it already. */
static int fault_upcall(struct ec *e, uint64_t vector, uint64_t error, uint64_t address, int poison)
{
	struct message_buffer *b = e->buffer;

	if (!e->fault_entry || b->fault_active)
		return 0;
	b->fault_active = 1;
	b->fault_vector = vector;
	b->fault_error = error;
	b->fault_address = address;
	b->fault_poison = (uint64_t)poison;
	b->fault_rip = e->rip;
	b->fault_rsp = e->gpr[GPR_RSP];
	b->fault_rflags = e->rflags;
	e->rip = e->fault_entry;
	e->rflags = RFLAGS_USER;
	return 1;
}

static void fault(struct ec *e, uint64_t vector, uint64_t error)
{
	enum pt_leaf leaf = PT_LEAF_NONE;
	uint64_t address = 0;

	if (vector == VECTOR_PF) {
		address = read_cr2();
		if (address < USER_END)
			leaf = pt_leaf(e->cr3, address);
		if (leaf == PT_LEAF_PAGE && !(error & PF_P))
			return; /* another CPU has changed it meanwhile: again */
	}
	if (!fault_upcall(e, vector, error, address, leaf == PT_LEAF_POISON))
		thread_fault(e, vector, error, address, leaf == PT_LEAF_POISON);
}

void trap_user(struct ec *e, uint64_t vector, uint64_t error)
{
	hal_speculation_barrier(); /* here and below: GS, whichever way entry.S's branch was guessed (CVE-2019-1125) */
	if (vector >= 32)
		irq_handle(vector);
	else if (vector == VECTOR_NM)
		fpu_take(hal_cpu(), e); /* it runs while its guest's FPU state is live */
	else
		fault(e, vector, error);
}

void trap_kernel(struct trap_frame *f)
{
	hal_speculation_barrier();
	if (f->vector >= 32) {
		irq_handle(f->vector); /* in idle or irq_window */
		if (f->rip >= (uint64_t)idle && f->rip <= (uint64_t)idle_end) {
			f->rip = (uint64_t)idle_end; /* even if it came before HLT: an NMI breaks STI's shadow */
			f->rflags &= ~RFLAGS_IF;
		}
	} else if (f->vector == VECTOR_PF && f->rip >= (uint64_t)hal_copy && f->rip < (uint64_t)hal_copy_end) {
		f->rip = (uint64_t)hal_copy_fixup;
	} else {
		panic_frame("exception in the kernel", f);
	}
}

/* A `syscall` whose number is not ours: the thread's own entry, RCX = return RIP, R11 = RFLAGS, all else untouched. */
void syscall_bounce(struct ec *e)
{
	e->mode = MODE_IRET;
	if (!e->syscall_entry) {
		thread_fault(e, 6, 0, 0, 0); /* as on a machine without SYSCALL: #UD */
		return;
	}
	e->gpr[GPR_RCX] = e->rip;
	e->gpr[GPR_R11] = e->rflags;
	e->rip = e->syscall_entry;
	e->rflags = RFLAGS_USER;
}
