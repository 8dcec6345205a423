/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages between the APICs, memory-mapped registers, and the end of the VM. */
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include "dispatch/exit.h"

#define REGISTER_ALIGN 16u

/* What another vCPU was given it sees when it leaves the guest. */
static void wake(struct vcpu *from, struct vcpu *to)
{
	if (from != to && cairn_recall(SEL_VCPU + to->index) != CAIRN_OK)
		cairn_log("cannot recall vCPU %u", to->index);
}

/*
 * The bootstrap vCPU waits for a SIPI like the others: there is no firmware for it to run, and a
 * kernel that was started on another vCPU (kexec after a crash) wants it back so.
 */
static void init_vcpu(struct vcpu *to)
{
	lapic_reset(&to->lapic, to->lapic.id, to->lapic.bootstrap);
	to->offered = 0; /* it may be taken by now: the new APIC knows nothing of it */
	to->wait_for_sipi = true;
	to->sipi_pending = false;
	to->halted = false;
	to->trap_kept = false;
	to->nmi_pending = to->nmi_masked = to->nmi_stepping = to->nmi_step_left = false;
}

/*
 * The vector that `to` has on offer may be in service on its CPU already, which shows only when it
 * exits: then its bit in IRR stands for what was taken, and this interrupt needs one of its own.
 */
static void note_repeat(struct vcpu *to, const struct apic_message *message)
{
	if (to->offered != (EVENT_VALID | message->vector))
		return;
	to->again = true;
	to->again_level = message->level;
}

/* R-ACT-4: while it waits for a SIPI, nothing else arrives. */
static void deliver(const struct vcpu *from, struct vcpu *to, const struct apic_message *message)
{
	if (to->wait_for_sipi && message->delivery != APIC_SIPI)
		return;
	switch (message->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST:
		lapic_accept(&to->lapic, message->vector, message->level);
		break;
	case APIC_NMI:
		to->nmi_pending = true;
		break;
	/* The level de-assert of old does nothing (R-ACT-5), nor does the first vCPU's INIT of
	 * itself: it may be the only one, and then nobody could send the SIPI. */
	case APIC_INIT:
		if ((!message->level || message->assert) && !(to == from && to->index == 0))
			init_vcpu(to);
		break;
	case APIC_SIPI: /* a second one finds it running (R-ACT-3) */
		if (to->wait_for_sipi) {
			to->sipi_vector = message->vector;
			to->sipi_pending = true;
		}
		break;
	default: /* SMI and external interrupts: there is no SMM and no PIC */
		break;
	}
}

/* One of those addressed takes a lowest-priority interrupt, so it must be one that can. */
static bool is_addressed(const struct vcpu *from, const struct vcpu *to,
			 const struct apic_message *message)
{
	if (!lapic_matches(&to->lapic, message, to == from))
		return false;
	return message->delivery != APIC_LOWEST || (lapic_is_on(&to->lapic) && !to->wait_for_sipi);
}

void bus_send(struct vcpu *from, const struct apic_message *message)
{
	for (unsigned i = 0; i < vm.vcpus; i++) {
		struct vcpu *to = &vm.vcpu[i];

		if (!is_addressed(from, to, message))
			continue;
		deliver(from, to, message);
		if (to != from && message->delivery <= APIC_LOWEST)
			note_repeat(to, message);
		wake(from, to);
		if (message->delivery == APIC_LOWEST)
			return; /* one of them is enough */
	}
}

void bus_ioapic(struct vcpu *v)
{
	struct apic_message message;

	while (ioapic_next(&vm.ioapic, &message)) {
		/* As from outside: a shorthand does not occur, so the sender matters only for
		 * waking. */
		bus_send(v, &message);
	}
}

static bool is_lapic(const struct vcpu *v, uint64_t gpa)
{
	return v->lapic.enabled && gpa - LAPIC_DEFAULT_BASE < LAPIC_SIZE;
}

bool bus_is_mmio(uint64_t gpa)
{
	return gpa - LAPIC_DEFAULT_BASE < LAPIC_SIZE || gpa - IOAPIC_BASE < IOAPIC_SIZE;
}

uint32_t bus_mmio_read(struct vcpu *v, uint64_t gpa)
{
	if (is_lapic(v, gpa))
		return lapic_read(&v->lapic,
				  (uint32_t)(gpa - LAPIC_DEFAULT_BASE) & ~(REGISTER_ALIGN - 1),
				  vcpu_tsc(v)) >>
		       (gpa & 3) * 8;
	if (gpa - IOAPIC_BASE < IOAPIC_SIZE)
		return ioapic_read(&vm.ioapic, (uint32_t)(gpa - IOAPIC_BASE));
	return 0xffffffffu;
}

static void lapic_register(struct vcpu *v, uint32_t offset, uint32_t value)
{
	struct lapic_effects effects = {0};

	lapic_write(&v->lapic, offset, value, vcpu_tsc(v), &effects);
	if (offset == LAPIC_TPR) {
		v->state->cr8 = v->lapic.tpr >> 4;
		v->reply |= VCPU_MTD_CR;
	}
	if (effects.eoi) {
		ioapic_eoi(&vm.ioapic, effects.eoi_vector);
		bus_ioapic(v);
	}
	if (effects.send)
		bus_send(v, &effects.message);
}

void bus_mmio_write(struct vcpu *v, uint64_t gpa, uint32_t value)
{
	if (is_lapic(v, gpa)) {
		if (gpa % REGISTER_ALIGN == 0)
			lapic_register(v, (uint32_t)(gpa - LAPIC_DEFAULT_BASE), value);
	} else if (gpa - IOAPIC_BASE < IOAPIC_SIZE) {
		ioapic_write(&vm.ioapic, (uint32_t)(gpa - IOAPIC_BASE), value);
		bus_ioapic(v);
	}
}

void bus_wake_control(void)
{
	if (cairn_signal(SEL_SELF) != CAIRN_OK)
		cairn_log("cannot signal the control thread");
}

void bus_end_vm(struct vcpu *v, enum end_kind kind, uint32_t value)
{
	if (vm.stopping)
		return;
	vm.stopping = true;
	vm.mailbox.end_value = value;
	atomic_store_explicit(&vm.mailbox.end, kind, memory_order_release);
	for (unsigned i = 0; i < vm.vcpus; i++)
		wake(v, &vm.vcpu[i]);
	bus_wake_control();
}

bool first_time(uint64_t number)
{
	static uint64_t seen[64];
	static unsigned count;

	for (unsigned i = 0; i < count; i++)
		if (seen[i] == number)
			return false;
	if (count == sizeof(seen) / sizeof(seen[0]))
		return false;
	seen[count++] = number;
	return true;
}
