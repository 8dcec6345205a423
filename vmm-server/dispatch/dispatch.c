/* SPDX-License-Identifier: BSD-2-Clause */
/* From an exit to its function and back: what every exit goes through. */
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include "dispatch/exit.h"

#define DR6_BS	     (1ull << 14)
#define LOCK_TRIES   100u
#define LOCK_US	     100u
#define FIRST_NESTED (3ull << 32)

/* Least first: CPUID needs nothing but what always travels. Rare classes take all. */
/* clang-format off */
const uint32_t exit_groups[EXIT_CLASSES] = {
	[EXIT_STARTUP] = VCPU_MTD_ALL,
	[EXIT_RECALL] = VCPU_MTD_ALL,
	[EXIT_CPUID] = 0,
	[EXIT_HLT] = VCPU_MTD_INJECT,
	[EXIT_IO] = VCPU_MTD_INJECT,
	[EXIT_MSR] = VCPU_MTD_INJECT,
	[EXIT_NESTED] = VCPU_MTD_INJECT | VCPU_MTD_CR | VCPU_MTD_SEG,
	[EXIT_POISONED] = VCPU_MTD_INJECT | VCPU_MTD_CR,
	[EXIT_EXCEPTION] = VCPU_MTD_ALL,
	[EXIT_CR] = VCPU_MTD_ALL,
	[EXIT_DR] = VCPU_MTD_ALL,
	[EXIT_NMI_WINDOW] = VCPU_MTD_ALL,
	[EXIT_SHUTDOWN] = VCPU_MTD_ALL,
	[EXIT_VMCALL] = VCPU_MTD_INJECT,
	[EXIT_INVALID] = VCPU_MTD_ALL,
	[EXIT_OTHER] = VCPU_MTD_ALL,
};
/* clang-format on */

static void start_by_sipi(struct vcpu *v)
{
	boot_sipi_state(v->sipi_vector, v->state);
	v->state->exceptions = vm.exceptions;
	v->state->ctl_nmi_window = 0;
	v->wait_for_sipi = false;
	v->sipi_pending = false;
	v->reply |= VCPU_MTD_ALL;
}

static void on_startup(struct vcpu *v)
{
	if (v->index == 0)
		boot_state(&vm.entry, v->state);
	else
		boot_sipi_state(0, v->state); /* never entered so: it waits for its SIPI */
	v->state->exceptions = vm.exceptions;
	v->state->ctl_nmi_window = 0;
	v->state->tsc_offset = 0;
	v->state->deadline = 0;
	v->reply = VCPU_MTD_ALL;
	if (v->sipi_pending) /* the recall found a vCPU that had not been started yet */
		start_by_sipi(v);
}

static void take_notices(struct vcpu *v)
{
	uint64_t gpa;
	uint32_t flags;

	while (mailbox_get(&vm.mailbox.notices, &gpa, &flags))
		(void)vmce_queue_optional(&v->vmce, gpa);
}

/* What the first vCPU's recalls are for besides itself. */
static void serve_vm(struct vcpu *v)
{
	if (v->index != 0)
		return;
	take_notices(v);
	vm.tty_deadline = 0;
	io_poll(v);
}

/*
 * An INIT came while this vCPU ran: what it exited for, and what was being delivered, belongs to a
 * state that is gone. Nothing but a SIPI arrives (R-ACT-4).
 */
static void on_any_after_init(struct vcpu *v)
{
	v->event.info = 0;
	v->redo = false;
	serve_vm(v);
	if (v->sipi_pending)
		start_by_sipi(v);
}

static void on_recall(struct vcpu *v)
{
	bool redo = v->redo && v->redo_rip == v->state->rip &&
		    !(v->state->vectoring_info & EVENT_VALID);
	int32_t port = v->redo_port;

	serve_vm(v);
	(void)lapic_timer_expire(&v->lapic, vcpu_tsc(v));
	v->redo = false;
	if (redo)
		emulate(v, port);
}

static void on_hlt(struct vcpu *v)
{
	unsigned length = insn_length(v, EMU_HLT);

	if (length == 0 || needs_redo(v)) {
		redo_with_all_state(v, -1);
		return;
	}
	v->halted = true;
	retire(v, length);
}

static void on_io(struct vcpu *v)
{
	struct vcpu_state *s = v->state;
	uint64_t q = s->qualification;
	uint16_t port = VCPU_IO_PORT(q);
	unsigned size = VCPU_IO_SIZE(q);
	uint32_t value;

	if (size > 4)
		size = 4; /* the kernel never says so */
	if ((q & VCPU_IO_STRING) || s->inst_len == 0 || needs_redo(v)) {
		redo_with_all_state(v, port);
		return;
	}
	if (q & VCPU_IO_IN) {
		value = io_read(v, port, size);
		if (size == 4)
			s->gpr[GPR_RAX] = value;
		else
			s->gpr[GPR_RAX] = (s->gpr[GPR_RAX] & ~((1ull << size * 8) - 1)) | value;
	} else {
		io_write(v, port, size, (uint32_t)s->gpr[GPR_RAX]);
	}
	retire(v, s->inst_len);
}

static void finish_msr(struct vcpu *v, enum msr_result result, unsigned length)
{
	if (result == MSR_NEEDS_STATE)
		redo_with_all_state(v, -1);
	else if (result == MSR_FAULT)
		raise_gp(v);
	else
		retire(v, length);
}

static void on_msr(struct vcpu *v)
{
	struct vcpu_state *s = v->state;
	bool write = s->qualification & 1;
	unsigned length = insn_length(v, write ? EMU_WRMSR : EMU_RDMSR);
	uint32_t msr = (uint32_t)s->gpr[GPR_RCX];
	enum msr_result result;
	uint64_t value;

	if (length == 0 || needs_redo(v)) {
		redo_with_all_state(v, -1);
		return;
	}
	if (write) {
		value = (uint32_t)s->gpr[GPR_RAX] | s->gpr[GPR_RDX] << 32;
		result = msr_write(v, msr, value);
	} else {
		result = msr_read(v, msr, &value);
		if (result == MSR_DONE) {
			s->gpr[GPR_RAX] = (uint32_t)value;
			s->gpr[GPR_RDX] = value >> 32;
		}
	}
	finish_msr(v, result, length);
}

/* Delivery of an event needed memory that does not exist: a CPU reads ones there and ends in a
 * triple fault. */
static void delivery_failed(struct vcpu *v)
{
	cairn_log("event 0x%x could not be delivered: no memory at gpa 0x%llx (rip 0x%llx)",
		  v->state->vectoring_info, (unsigned long long)v->state->qualification2,
		  (unsigned long long)v->state->rip);
	bus_end_vm(v, END_RESET, 0);
}

static void on_nested(struct vcpu *v)
{
	uint64_t gpa = v->state->qualification2;

	/* Mapped again meanwhile, or soon to come back as EXIT_POISONED. */
	if (vm_is_ram(gpa)) {
		if (first_time(FIRST_NESTED + (gpa >> 12)))
			cairn_log("RAM at gpa 0x%llx was not mapped", (unsigned long long)gpa);
		return;
	}
	if (!bus_is_mmio(gpa) && first_time(FIRST_NESTED + (gpa >> 12)))
		cairn_log("no memory at gpa 0x%llx (rip 0x%llx): reads as ones; further accesses "
			  "are not logged",
			  (unsigned long long)gpa, (unsigned long long)v->state->rip);
	if (v->state->vectoring_info & EVENT_VALID) {
		delivery_failed(v);
		return;
	}
	if (needs_redo(v))
		redo_with_all_state(v, -1);
	else
		emulate(v, -1);
}

static void on_poisoned(struct vcpu *v)
{
	raise_lost_page(v, v->state->qualification2);
}

/* The IRET that ends an NMI is done (or faulted): the next NMI may come. True: the step was ours
 * alone. */
static bool end_nmi_step(struct vcpu *v)
{
	struct vcpu_state *s = v->state;
	bool stepped = (s->intr_info & 0xff) == VECTOR_DB && (s->dr6 & DR6_BS);
	bool trap = stepped && v->trap_kept && s->rip == v->trap_rip;

	if (!v->nmi_stepping && !(v->nmi_step_left && stepped))
		return false;
	if (v->nmi_stepping)
		v->nmi_masked = false;
	v->nmi_stepping = v->nmi_step_left = v->trap_kept = false;
	s->exceptions = vm.exceptions;
	v->reply |= VCPU_MTD_CTL;
	if (v->own_tf || trap)
		return false;
	if (!stepped) { /* the frame of the fault shall not hold our TF */
		s->rflags &= ~RFLAGS_TF;
		v->reply |= VCPU_MTD_FLAGS;
		return false;
	}
	s->dr6 &= ~DR6_BS;
	v->reply |= VCPU_MTD_DR;
	return true;
}

static void on_exception(struct vcpu *v)
{
	struct vcpu_state *s = v->state;
	struct event x = {.info = s->intr_info, .error = s->intr_error, .length = s->inst_len};

	if (end_nmi_step(v))
		return;
	raise_event(v, x, s->qualification);
}

static void on_emulate(struct vcpu *v)
{
	emulate(v, -1);
}

/*
 * Where the CPU has no window of its own the exit comes at the IRET, before it: an NMI now would
 * overwrite the frame that this IRET is about to use. One step later it is past (SVM has no better
 * way without virtual NMIs).
 */
static void on_nmi_window(struct vcpu *v)
{
	struct vcpu_state *s = v->state;

	s->ctl_nmi_window = 0;
	v->reply |= VCPU_MTD_CTL;
	if (peek_op(v) != EMU_IRET) {
		v->nmi_masked = v->trap_kept = false;
		return;
	}
	v->nmi_stepping = true;
	v->own_tf = s->rflags & RFLAGS_TF;
	s->rflags |= RFLAGS_TF;
	s->exceptions = vm.exceptions | 1u << VECTOR_DB;
	v->reply |= VCPU_MTD_FLAGS;
}

static void on_shutdown(struct vcpu *v)
{
	cairn_log("triple fault at rip 0x%llx cr3 0x%llx: the VM is reset",
		  (unsigned long long)v->state->rip, (unsigned long long)v->state->cr3);
	bus_end_vm(v, END_RESET, 0);
}

static void on_invalid(struct vcpu *v)
{
	const struct vcpu_state *s = v->state;

	cairn_log("the CPU refused the guest's state (code 0x%llx): rip 0x%llx rflags 0x%llx cr0 "
		  "0x%llx cr3 0x%llx "
		  "cr4 0x%llx efer 0x%llx cs 0x%x attr 0x%x inject 0x%x",
		  (unsigned long long)s->exit_reason, (unsigned long long)s->rip,
		  (unsigned long long)s->rflags, (unsigned long long)s->cr0,
		  (unsigned long long)s->cr3, (unsigned long long)s->cr4,
		  (unsigned long long)s->efer, s->seg[SEG_CS].sel, s->seg[SEG_CS].attr,
		  s->inject_info);
	bus_end_vm(v, END_ERROR, 0);
}

static void (*const handlers[EXIT_CLASSES])(struct vcpu *v) = {
	[EXIT_STARTUP] = on_startup,
	[EXIT_RECALL] = on_recall,
	[EXIT_CPUID] = on_emulate, /* not used: CPUID has its own way */
	[EXIT_HLT] = on_hlt,
	[EXIT_IO] = on_io,
	[EXIT_MSR] = on_msr,
	[EXIT_NESTED] = on_nested,
	[EXIT_POISONED] = on_poisoned,
	[EXIT_EXCEPTION] = on_exception,
	[EXIT_CR] = on_emulate,
	[EXIT_DR] = on_emulate,
	[EXIT_NMI_WINDOW] = on_nmi_window,
	[EXIT_SHUTDOWN] = on_shutdown,
	[EXIT_VMCALL] = raise_ud, /* there is no hypercall for guests */
	[EXIT_INVALID] = on_invalid,
	[EXIT_OTHER] = on_emulate,
};

/* Until the deadline: nobody signals a handler. */
static void leave_cpu(void)
{
	uint64_t deadline = cairn_tsc() + cairn_ticks_from_us(LOCK_US);

	while (cairn_wait(deadline, NULL) == CAIRN_OK)
		;
}

/*
 * Handlers of several vCPUs share the devices. They hold no lock across a reply, and the control
 * thread never takes this one. A holder that was preempted goes on only when who wants the lock
 * leaves it the CPU: after some tries it sleeps.
 */
static void lock(void)
{
	for (unsigned i = 0; vm.vcpus > 1 && __atomic_exchange_n(&vm.lock, 1, __ATOMIC_ACQUIRE);
	     i++) {
		if (i % LOCK_TRIES == LOCK_TRIES - 1)
			leave_cpu();
		else
			__builtin_ia32_pause();
	}
}

static void unlock(void)
{
	if (vm.vcpus > 1)
		__atomic_store_n(&vm.lock, 0, __ATOMIC_RELEASE);
}

/*
 * The short way of the most frequent exit: it touches neither devices nor events, and so needs no
 * bookkeeping. False: it is not short this time, and nothing was done.
 */
static inline bool cpuid_exit(struct vcpu *v)
{
	struct vcpu_state *s = v->state;
	const struct cpuid_regs *regs;
	unsigned length = s->inst_len;

	if (length == 0)
		length = insn_remembered(v, EMU_CPUID);
	if (length == 0 || (s->rflags & (RFLAGS_TF | RFLAGS_RF)) || s->interruptibility)
		return false;
	regs = cpuid_lookup(&v->cpuid, (uint32_t)s->gpr[GPR_RAX], (uint32_t)s->gpr[GPR_RCX]);
	s->gpr[GPR_RAX] = regs->eax;
	s->gpr[GPR_RBX] = regs->ebx;
	s->gpr[GPR_RCX] = regs->ecx;
	s->gpr[GPR_RDX] = regs->edx;
	s->rip += length;
	return true;
}

static __attribute__((noinline)) uint64_t full_exit(struct vcpu *v, uint64_t exit_class)
{
	uint64_t reply;

	if (exit_class == EXIT_CPUID) {
		v->have = 0;
		redo_with_all_state(v, -1);
		return 0;
	}
	exit_class &= EXIT_CLASSES - 1;
	lock();
	exit_begin(v, exit_class);
	if (v->wait_for_sipi && exit_class != EXIT_STARTUP)
		on_any_after_init(v);
	else
		handlers[exit_class](v);
	reply = exit_end(v, exit_class);
	unlock();
	return reply;
}

uint64_t exit_dispatch(struct vcpu *v, uint64_t exit_class)
{
	if (exit_class == EXIT_CPUID && cpuid_exit(v))
		return VCPU_MTD_RIP;
	return full_exit(v, exit_class);
}

void exit_entry(uint64_t badge, uint64_t exit_class, uint64_t w2, uint64_t w3, uint64_t w4,
		uint64_t count)
{
	struct vcpu *v = &vm.vcpu[badge];
	uint64_t reply = VCPU_MTD_RIP;

	(void)w2;
	(void)w3;
	(void)w4;
	(void)count;
	if (exit_class != EXIT_CPUID || !cpuid_exit(v))
		reply = full_exit(v, exit_class);
	if (cairn_reply(0, reply, 0, 0, 0, 1) != CAIRN_OK)
		__builtin_trap(); /* a reply to an exit cannot fail */
}
