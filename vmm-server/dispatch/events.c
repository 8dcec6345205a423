/* SPDX-License-Identifier: BSD-2-Clause */
/* What surrounds each exit: interrupted deliveries, faults, NMIs, machine checks, interrupts,
 * deadline, halt. */
#include <cairn/log.h>
#include "dispatch/exit.h"

#define DR6_BS		 (1ull << 14)
#define CR4_MCE		 (1ull << 6)
#define REPORTS_A_SECOND 32u
#define SHADOW		 (VCPU_BLOCK_STI | VCPU_BLOCK_MOVSS)

/* An event whose delivery did not happen and that nothing will repeat: back to where it waits
 * (R-RES-5). */
static bool give_back(struct vcpu *v, uint32_t info)
{
	if (!(info & EVENT_VALID))
		return false;
	if ((info & EVENT_TYPE) == EVENT_INTR) {
		lapic_untake(&v->lapic, (uint8_t)info);
		return true;
	}
	if ((info & EVENT_TYPE) == EVENT_NMI) {
		v->nmi_pending = true;
		v->nmi_masked = false;
		return true;
	}
	return false;
}

/*
 * QEMU says of an interrupt whose delivery exited that it is an exception of that vector, and still
 * holds it in V_IRQ. Vectors 16 to 31 could be either; an exception it is when the interrupt could
 * not have been taken.
 */
static bool is_virq_mark(const struct vcpu *v)
{
	const struct vcpu_state *s = v->state;

	return v->offered && s->virq == v->offered &&
	       (s->vectoring_info & (EVENT_TYPE | 0xff)) == (EVENT_EXC | (v->offered & 0xff)) &&
	       (s->rflags & RFLAGS_IF);
}

/*
 * Only the delivery of an event clears TF under a step of ours, so the IRET faulted: that ends the
 * blocking of NMIs, too (R-RES-1). TF is in the frame of the fault, and the step is still to be
 * hidden.
 */
static void note_faulted_iret(struct vcpu *v)
{
	if (!v->nmi_stepping || (v->state->rflags & RFLAGS_TF))
		return;
	v->nmi_stepping = v->nmi_masked = false;
	v->nmi_step_left = true;
}

void exit_begin(struct vcpu *v, uint64_t exit_class)
{
	struct vcpu_state *s = v->state;

	v->have = exit_groups[exit_class];
	v->reply = 0;
	note_faulted_iret(v);
	if (v->offered && !(s->virq & EVENT_VALID)) {
		lapic_take(&v->lapic, (uint8_t)v->offered);
		if (v->again)
			lapic_accept(&v->lapic, (uint8_t)v->offered, v->again_level);
		v->offered = 0;
	}
	v->again = false;
	if (v->lapic.tpr >> 4 != (s->cr8 & 0xf)) /* MOV CR8 clears TPR's lower half */
		v->lapic.tpr = s->cr8 << 4 & 0xf0;
	v->event.info = 0;
	if (!(s->vectoring_info & EVENT_VALID) || v->wait_for_sipi)
		return;
	if (is_virq_mark(v)) /* as the CPU would say it, for all that look at it in this exit */
		s->vectoring_info = EVENT_VALID | EVENT_INTR | (v->offered & 0xff);
	v->event = event_reinject(s->vectoring_info, s->vectoring_error, s->inst_len);
	if (give_back(v, v->event.info))
		v->event.info = 0;
}

/*
 * A machine check takes the place of what was being delivered (R-REF-9). Interrupts and NMIs were
 * given back, and faults happen again; only a single-step trap would be gone. It comes when the
 * guest's handler returns, at the step over its IRET.
 */
static void keep_trap(struct vcpu *v)
{
	if ((v->event.info & (EVENT_TYPE | 0xff)) != (EVENT_EXC | VECTOR_DB) ||
	    !(v->state->rflags & RFLAGS_TF))
		return;
	v->trap_kept = true;
	v->trap_rip = v->state->rip;
	v->state->ctl_nmi_window = 1;
	v->reply |= VCPU_MTD_CTL;
}

void raise_event(struct vcpu *v, struct event x, uint64_t cr2)
{
	struct event out;
	enum reflect_outcome outcome = reflect(v->state->vectoring_info, x, &out);

	if (outcome == REFLECT_TRIPLE_FAULT) {
		cairn_log("triple fault: vector %u during vector %u at rip 0x%llx", x.info & 0xff,
			  v->state->vectoring_info & 0xff, (unsigned long long)v->state->rip);
		bus_end_vm(v, END_RESET, 0);
		return;
	}
	if ((x.info & (EVENT_TYPE | 0xff)) == (EVENT_EXC | VECTOR_PF) && (v->have & VCPU_MTD_CR)) {
		v->state->cr2 = cr2; /* R-REF-7 */
		v->reply |= VCPU_MTD_CR;
	}
	if (outcome == REFLECT_KEEP_FIRST)
		keep_trap(v);
	v->event = out;
}

void raise_fault(struct vcpu *v, uint32_t vector, uint32_t error, uint64_t cr2)
{
	raise_event(v, event_exception(vector, error), cr2);
}

void retired(struct vcpu *v)
{
	struct vcpu_state *s = v->state;

	v->reply |= VCPU_MTD_RIP;
	if ((s->interruptibility & SHADOW) || (s->rflags & RFLAGS_RF)) {
		s->interruptibility &= ~SHADOW;
		s->rflags &= ~RFLAGS_RF;
		v->reply |= VCPU_MTD_FLAGS;
	}
	if ((s->rflags & RFLAGS_TF) && (v->have & VCPU_MTD_DR)) {
		s->dr6 |= DR6_BS;
		v->reply |= VCPU_MTD_DR;
		raise_fault(v, VECTOR_DB, 0, 0);
	}
}

void retire(struct vcpu *v, unsigned length)
{
	uint64_t next = v->state->rip + length;

	/* Outside 64-bit mode EIP wraps. Where CS did not come the instruction is not at the very
	 * end of 4 GiB. */
	if ((v->have & VCPU_MTD_SEG) && emu_mode(v->state) != EMU_MODE_64)
		next &= 0xffffffffu;
	v->state->rip = next;
	retired(v);
}

/*
 * A guest can touch a lost page again and again, and the log and the mca-server are everybody's:
 * of one second only so many are told.
 */
static bool may_report(void)
{
	uint64_t now = cairn_tsc();

	if (now - vm.report_second >= cairn_ticks_from_us(1000000)) {
		vm.report_second = now;
		vm.reports = 0;
	}
	if (vm.reports == REPORTS_A_SECOND)
		return false;
	if (++vm.reports == REPORTS_A_SECOND)
		cairn_log("many vMCEs: the next ones of this second are not reported");
	return true;
}

/* The control thread tells the mca-server; a full ring costs only that report. */
static void report_injected(const struct vcpu *v, const char *kind, uint64_t gpa, uint32_t flags)
{
	if (!may_report())
		return;
	cairn_log("vMCE injected: %s gpa 0x%llx rip 0x%llx cpl %u", kind, (unsigned long long)gpa,
		  (unsigned long long)v->state->rip, v->state->cpl);
	if (mailbox_put(&vm.mailbox.injected, gpa, flags))
		bus_wake_control();
}

void raise_lost_page(struct vcpu *v, uint64_t gpa)
{
	if (vmce_action_required(&v->vmce, gpa, v->state->cr4 & CR4_MCE) == VMCE_SHUTDOWN) {
		cairn_log("memory error at gpa 0x%llx while the guest could not take a machine "
			  "check (rip 0x%llx): "
			  "it shuts down",
			  (unsigned long long)gpa, (unsigned long long)v->state->rip);
		bus_end_vm(v, END_RESET, 0);
		return;
	}
	raise_fault(v, VECTOR_MC, 0, 0);
	report_injected(v, "AR", gpa, MCA_NOTICE_AR);
}

/* Early notice of a lost page: Intel by #MC when the guest can take it, AMD in a bank that it
 * polls. */
static bool next_optional(struct vcpu *v)
{
	enum vmce_verdict verdict;
	uint64_t gpa;

	if (v->vmce.queued == 0 || !(v->have & VCPU_MTD_CR) || v->wait_for_sipi) /* R-ACT-6 */
		return false;
	verdict = vmce_next_optional(&v->vmce, v->state->cr4 & CR4_MCE, &gpa);
	if (verdict == VMCE_NOTHING)
		return false;
	report_injected(v, "AO", gpa, MCA_NOTICE_AO);
	if (verdict != VMCE_INJECT)
		return false;
	v->event = event_exception(VECTOR_MC, 0);
	return true;
}

static void next_nmi(struct vcpu *v)
{
	struct vcpu_state *s = v->state;

	if (!v->nmi_pending)
		return;
	if (v->nmi_stepping)
		return;
	if (v->nmi_masked || (s->interruptibility & (SHADOW | VCPU_BLOCK_NMI)) || v->event.info) {
		if (!s->ctl_nmi_window) {
			s->ctl_nmi_window = 1;
			v->reply |= VCPU_MTD_CTL;
		}
		return;
	}
	v->nmi_pending = false;
	v->nmi_masked = true; /* until its IRET: the window exit says when */
	v->event = (struct event){.info = EVENT_VALID | EVENT_NMI | VECTOR_NMI};
	s->ctl_nmi_window = 1;
	v->reply |= VCPU_MTD_CTL;
}

/* Highest first: what was interrupted or raised, vMCE, NMI (R-MC-12); interrupts go beside, through
 * virq. */
static void choose_event(struct vcpu *v)
{
	if (!v->event.info)
		(void)next_optional(v);
	next_nmi(v);
	if (v->state->inject_info == 0 && v->event.info == 0)
		return;
	v->state->inject_info = v->event.info;
	v->state->inject_error = v->event.error;
	v->state->inject_len = v->event.length;
	v->reply |= VCPU_MTD_INJECT;
}

static void offer_interrupt(struct vcpu *v)
{
	int vector = lapic_pending(&v->lapic);
	uint32_t want = vector < 0 ? 0 : EVENT_VALID | (uint32_t)vector;

	if (v->state->virq != want) {
		v->state->virq = want;
		v->reply |= VCPU_MTD_INJECT;
	}
	v->offered = want;
}

static void set_deadline(struct vcpu *v)
{
	uint64_t deadline = v->lapic.timer_deadline;

	if (deadline) {
		deadline -= v->tsc_offset;
		deadline = deadline ? deadline : 1;
	}
	if (v->index == 0 && vm.tty_deadline && (deadline == 0 || vm.tty_deadline < deadline))
		deadline = vm.tty_deadline;
	if (v->state->deadline != deadline) {
		v->state->deadline = deadline;
		v->reply |= VCPU_MTD_CTL;
	}
}

static bool interrupt_wakes(const struct vcpu *v)
{
	uint32_t virq = v->state->virq;

	return (virq & EVENT_VALID) && (v->state->rflags & RFLAGS_IF) &&
	       (virq >> 4 & 0xf) > (v->state->cr8 & 0xf);
}

uint64_t exit_end(struct vcpu *v, uint64_t exit_class)
{
	if (vm.stopping) {
		io_flush(true);
		return VCPU_REPLY_STOP;
	}
	choose_event(v);
	offer_interrupt(v);
	if (v->halted && (v->event.info || interrupt_wakes(v)))
		v->halted = false;
	io_flush(v->halted || exit_class != EXIT_IO);
	set_deadline(v);
	if (v->halted || v->wait_for_sipi)
		v->reply |= VCPU_REPLY_HALT;
	return v->reply;
}
