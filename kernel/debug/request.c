/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercall debug_check, the checksum, and the watch over hypercalls that are refused. */
#include <core/caps.h>
#include <core/debug.h>
#include <core/smp.h>
#include <cairn/hypercall_numbers.h>
#include <hal/hal.h>
#include "debug.h"

#define FNV_START 14695981039346656037ull
#define FNV_PRIME 1099511628211ull

static uint64_t watched; /* refused hypercalls that are still to be compared */
static uint64_t changed; /* the first one that changed something */

static uint64_t mix(uint64_t h, uint64_t w)
{
	return (h ^ w) * FNV_PRIME;
}

/* Up to `end`, a multiple of 8 bytes. */
static uint64_t mix_range(uint64_t h, const void *from, const void *end)
{
	const uint64_t *w;

	for (w = from; w < (const uint64_t *)end; w++)
		h = mix(h, *w);
	return h;
}

/* What only the holder of the lock changes. */
static uint64_t mix_other(uint64_t h, const struct ec *e)
{
	h = mix_range(mix(h, e->kind), &e->entry_rip, &e->cr3);
	h = mix_range(mix(h, e->cr3), &e->space_slot, &e->vectoring_info);
	return mix(mix(mix(h, e->budget), e->period), e->phys);
}

uint64_t debug_checksum(const struct ec *self)
{
	uint64_t h = FNV_START;
	const struct ec *e;
	uint32_t s, i;

	for (s = slots[SLOT_NIL].next; s != SLOT_NIL; s = slots[s].next) {
		const struct slot *c = &slots[s];

		h = mix_range(mix(h, s), c, c + 1);
		if (c->type == CAP_PAGETABLE && c->original && !(hal_page_byte(c->base) & PAGE_POISONED))
			h = mix_range(h, hal_window(c->base), (uint8_t *)hal_window(c->base) + PAGE_SIZE_4K);
	}
	for (i = 0; i < cpu_count; i++)
		for (e = cpus[i]->list; e; e = e->all_next)
			h = i != hal_cpu()->index ? mix_other(h, e)
						  : mix_range(h, e == self ? (const void *)&e->state : (const void *)e, e->fpu);
	return debug_mix_bytes(h);
}

void debug_perform(void (*call)(struct ec *e), struct ec *e)
{
	uint64_t number = e->gpr[GPR_RAX] - CAIRN_CALL_BASE, status, before;

	if (!watched) {
		call(e);
		return;
	}
	before = debug_checksum(e);
	call(e);
	/* Who deleted itself was not refused. What removed a part only has done a part of its work. */
	status = hal_cpu()->current == e ? e->gpr[GPR_RAX] : CAIRN_OK;
	if (status == CAIRN_OK || status == CAIRN_ERR_AGAIN)
		return;
	watched -= watched != 0;
	if (debug_checksum(e) != before && !changed)
		changed = number | status << 32;
}

status_t debug_check(const struct ec *e, uint64_t request, uint64_t argument, uint64_t result[3])
{
	status_t st = CAIRN_OK;
	uint32_t s;

	switch (request) {
	case DEBUG_INVARIANTS:
		result[0] = debug_invariants(&result[1], &result[2]);
		if (result[0] || !changed)
			break;
		result[0] = DEBUG_CHANGED;
		result[1] = changed;
		break;
	case DEBUG_CHECKSUM:
		result[1] = debug_checksum(e);
		break;
	case DEBUG_WATCH:
		watched = argument;
		break;
	case DEBUG_WATCHED:
		result[1] = watched;
		break;
	case DEBUG_WHERE:
		if (cap_any(e, argument, &s) == CAIRN_OK)
			result[1] = slots[s].base;
		else
			st = CAIRN_ERR_ARG;
		break;
	default:
		st = CAIRN_ERR_ARG;
	}
	return st;
}
