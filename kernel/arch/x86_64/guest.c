/* SPDX-License-Identifier: BSD-2-Clause */
/* The one place where the two ways of running a guest meet: which one this machine has is decided at boot. */
#include <hal/hal.h>
#include "arch.h"

#define BACKEND(call) (use_vmx() ? vmx_##call : svm_##call)

uint8_t guest_vmx;

const char *guest_init(struct percpu *p)
{
	struct cpuid c = cpuid(1, 0);

	guest_vmx = CAIRN_VMX && (!CAIRN_SVM || (c.c & 1u << 5));
	if (!guest_vmx)
		return svm_init(p);
	return c.c & 1u << 5 ? vmx_init(p) : NO_GUESTS;
}

void hal_vcpu_init(struct ec *v, uint64_t root)
{
	v->vmcb_phys = v->phys + PAGE_SIZE_4K;
	v->fpu_fresh = 1;
	BACKEND(vcpu_init(v, root));
}

void hal_vcpu_forget(struct ec *v)
{
	if (use_vmx())
		vmx_vcpu_forget(v);
}

int hal_vcpu_read(struct ec *v, uint32_t class, uint32_t groups)
{
	if (!v->state)
		return -1;
	BACKEND(vcpu_read(v, class, groups));
	return 0;
}

static void write_deadline(struct ec *v)
{
	uint64_t deadline = ((const volatile struct vcpu_state *)v->state)->deadline;

	if (deadline)
		timer_arm(hal_cpu(), &v->deadline, deadline);
	else
		timer_cancel(hal_cpu(), &v->deadline);
}

int hal_vcpu_write(struct ec *v, uint32_t groups)
{
	if (!v->state)
		return -1;
	BACKEND(vcpu_write(v, groups));
	if (groups & VCPU_MTD_CTL)
		write_deadline(v);
	return 0;
}

void guest_changed(struct cpu *cpu, struct ec *next)
{
	speculation_switch(cpu, 1);
	cpu->last_guest = next;
	next->flush_seen = cpu->guest_flush;
	if (use_vmx())
		vmx_flush(next);
	else
		svm_flush(next);
}

void guest_interrupted(struct ec *v, uint64_t *rip, uint32_t *cs, uint32_t *cpl)
{
	BACKEND(interrupted(v, rip, cs, cpl));
}
