/* SPDX-License-Identifier: BSD-2-Clause */
/* Where core comes by the checks of debug builds. Release builds have nothing of them. */
#ifndef DEBUG_HOOKS_H
#define DEBUG_HOOKS_H

#include <core/ec.h>
#include <cairn/hypercall_numbers.h>

#ifdef CAIRN_DEBUG
/* While debug_check's DEBUG_WATCH counts: the checksum before hypercall `n` of `e`, which holds the lock; else 0. */
uint64_t debug_before(const struct ec *e);
/* The hypercall debug_check itself. */
status_t debug_answer(struct ec *e);
/* Hypercall `n` answered `st`; one that was refused must not have changed any object. */
void debug_after(const struct ec *e, uint64_t n, status_t st, uint64_t before);

/* Inlined: the kernel has no indirect branches. */
static inline __attribute__((always_inline)) status_t debug_perform(status_t (*perform)(struct ec *e, uint64_t n),
								    struct ec *e, uint64_t n)
{
	uint64_t before = debug_before(e);
	status_t st = n == CAIRN_CALL_DEBUG_CHECK ? debug_answer(e) : perform(e, n);

	debug_after(e, n, st, before);
	return st;
}
#else
#define debug_perform(perform, e, n) (perform)(e, n)
#endif

#endif
