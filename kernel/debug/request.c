/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercall debug_check, the checksum, and the watch over hypercalls that are refused. */
#include <core/caps.h>
#include <core/smp.h>
#include <core/syscall.h>
#include <cairn/hypercall_numbers.h>
#include <hal/hal.h>
#include "debug.h"
#include "hooks.h"

#define FNV_START 14695981039346656037ull

static uint64_t watched; /* refused hypercalls that are still to be looked at */
static uint64_t changed; /* the first one that changed something */

static uint64_t mix(uint64_t h, uint64_t w)
{
	return (h ^ w) * DEBUG_PRIME;
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
	h = mix(mix(mix(mix(h, e->kind), e->entry_rip), e->entry_rsp), (uint64_t)e->cpu << 32 | e->label);
	h = mix_range(mix(h, e->cr3), &e->space_slot, &e->vectoring_info);
	return mix(mix(mix(h, e->budget), e->period), e->phys);
}

/* The contexts of this CPU, entirely, but for the registers of `self`: nobody else changes them now. */
static uint64_t mix_own(uint64_t h, const struct ec *self)
{
	const struct ec *e;

	for (e = hal_cpu()->list; e; e = e->all_next)
		h = mix_range(h, e == self ? (const void *)&e->state : (const void *)e, e->fpu);
	return h;
}

uint64_t debug_checksum(const struct ec *self)
{
	uint64_t h = mix_own(FNV_START, self);
	const struct ec *e;
	uint32_t s, i;

	for (s = slots[SLOT_NIL].next; s != SLOT_NIL; s = slots[s].next) {
		const struct slot *c = &slots[s];

		h = mix_range(mix(h, s), c, c + 1);
		if (c->type == CAP_PAGETABLE && c->original && !(hal_page_byte(c->base) & PAGE_POISONED))
			h = debug_mix_table(h, c->base);
	}
	for (i = 0; i < cpu_count; i++)
		for (e = cpus[i]->list; e && i != hal_cpu()->index; e = e->all_next)
			h = mix_other(h, e);
	return debug_mix_bytes(h);
}

static int watching(void)
{
	return __atomic_load_n(&watched, __ATOMIC_RELAXED) != 0;
}

static void judge(uint64_t number, uint64_t status, uint64_t before, uint64_t after)
{
	__atomic_sub_fetch(&watched, 1, __ATOMIC_RELAXED);
	if (after != before && !changed)
		changed = number | status << 32;
}

static status_t perform_request(uint64_t request, uint64_t argument, uint64_t result[3])
{
	switch (request) {
	case DEBUG_INVARIANTS:
		result[0] = debug_invariants(&result[1], &result[2]);
		if (result[0] || !changed)
			break;
		result[0] = DEBUG_CHANGED;
		result[1] = changed;
		break;
	case DEBUG_WATCH:
		__atomic_store_n(&watched, argument, __ATOMIC_RELAXED);
		break;
	case DEBUG_WATCHED:
		result[1] = watched;
		break;
	default:
		return CAIRN_ERR_ARG;
	}
	return CAIRN_OK;
}

status_t debug_answer(struct ec *e)
{
	uint64_t result[3] = {0};
	status_t st = perform_request(e->gpr[GPR_RDI], e->gpr[GPR_RSI], result);

	e->gpr[GPR_RDI] = result[0];
	e->gpr[GPR_RSI] = result[1];
	e->gpr[GPR_RDX] = result[2];
	return st;
}

uint64_t debug_before(const struct ec *e)
{
	return watching() ? debug_checksum(e) : 0;
}

void debug_after(const struct ec *e, uint64_t n, status_t st, uint64_t before)
{
	/* What removed a part only has done a part of its work. */
	if (before && n != CAIRN_CALL_DEBUG_CHECK && st != CAIRN_OK && st != CAIRN_ERR_AGAIN && hal_cpu()->current == e)
		judge(n, st, before, debug_checksum(e));
}

/* What takes no lock changes objects of this CPU at most. These are called in place of what they are named after (--wrap). */
void __real_syscall_dispatch(struct ec *e);
void __wrap_syscall_dispatch(struct ec *e);
void __real_portal_call(uint64_t sel, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t count);
void __wrap_portal_call(uint64_t sel, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t count);
status_t __real_portal_reply(uint64_t zero, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t count);
status_t __wrap_portal_reply(uint64_t zero, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t count);

void __wrap_syscall_dispatch(struct ec *e)
{
	uint64_t number = e->gpr[GPR_RAX] - CAIRN_CALL_BASE, before;

	if (!watching() || (number != CAIRN_CALL_WAIT && number != CAIRN_CALL_SET_FS)) {
		__real_syscall_dispatch(e);
		return;
	}
	before = mix_own(FNV_START, e);
	__real_syscall_dispatch(e);
	if (e->status == EC_READY && e->gpr[GPR_RAX] != CAIRN_OK)
		judge(number, e->gpr[GPR_RAX], before, mix_own(FNV_START, e));
}

void __wrap_portal_call(uint64_t sel, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t count)
{
	struct ec *e = hal_cpu()->current;
	uint64_t before = watching() ? mix_own(FNV_START, e) : 0;
	uint8_t call_kind = e->call_kind; /* means something while it waits for an answer only */

	__real_portal_call(sel, w1, w2, w3, w4, count);
	if (!before || e->status != EC_READY)
		return;
	e->call_kind = call_kind;
	judge(CAIRN_CALL_CALL, e->gpr[GPR_RAX], before, mix_own(FNV_START, e));
}

status_t __wrap_portal_reply(uint64_t zero, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t count)
{
	struct ec *e = hal_cpu()->current;
	uint64_t before = watching() ? mix_own(FNV_START, e) : 0;
	status_t st = __real_portal_reply(zero, w1, w2, w3, w4, count);

	if (before && st != CAIRN_OK)
		judge(CAIRN_CALL_REPLY, st, before, mix_own(FNV_START, e));
	return st;
}
