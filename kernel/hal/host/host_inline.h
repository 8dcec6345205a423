/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of the hal contract that the machine has inline, for the host. */
#ifndef HOST_INLINE_H
#define HOST_INLINE_H

#include <core/ec.h>

struct cpu *hal_cpu(void);
void *hal_window(uint64_t phys);
void hal_switch(struct cpu *cpu, struct ec *next);
#define hal_switch_call(cpu, from, h, guest) hal_switch(cpu, h)
#define hal_switch_reply		     hal_switch

static inline uint64_t hal_select(uint32_t first, uint32_t count, uint64_t sel)
{
	return sel < count ? first + sel : SLOT_NIL;
}

#define hal_speculation_barrier() ((void)0)

#endif
