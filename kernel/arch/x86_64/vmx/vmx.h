/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this backend share. */
#ifndef VMX_VMX_H
#define VMX_VMX_H

#include "../arch.h"
#include "vmcs.h"

static inline uint64_t vmread(enum vmcs_field field)
{
	uint64_t v;

	__asm__ volatile("vmread %1, %0" : "=rm"(v) : "r"((uint64_t)field) : "cc");
	return v;
}

static inline void vmwrite(enum vmcs_field field, uint64_t v)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"((uint64_t)field), "rm"(v) : "cc");
}

/* Makes the VMCS of `v` the current one. */
void vmcs_load(struct ec *v);
/* Sets or clears a bit of the primary processor controls. */
void proc_control(uint32_t bit, int on);
/* Opens the interrupt window while `v` has an interrupt that the guest cannot take yet; injects one that it can. */
void virq_offer(struct ec *v);

#endif
