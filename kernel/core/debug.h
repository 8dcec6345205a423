/* SPDX-License-Identifier: BSD-2-Clause */
/* What debug builds add (kernel/debug): checks of the whole kernel state. Release builds have nothing of it. */
#ifndef CORE_DEBUG_H
#define CORE_DEBUG_H

#include <core/ec.h>

#ifdef CAIRN_DEBUG
/* Performs hypercall `n` of `e`; while debug_check's DEBUG_WATCH counts, one that is refused must not change any object. */
MUST_USE status_t debug_perform(status_t (*perform)(struct ec *e, uint64_t n), struct ec *e, uint64_t n);
/* Hypercall debug_check: the first violation; 0: none. The caller holds the lock. */
MUST_USE status_t debug_check(uint64_t request, uint64_t argument, uint64_t result[3]);
#else
#define debug_perform(perform, e, n) (perform)(e, n)
#endif

#endif
