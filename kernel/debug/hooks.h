/* SPDX-License-Identifier: BSD-2-Clause */
/* Where core comes by the checks of debug builds. Release builds have nothing of them. */
#ifndef DEBUG_HOOKS_H
#define DEBUG_HOOKS_H

#include <core/ec.h>

#ifdef CAIRN_DEBUG
/* Performs hypercall `n` of `e`, which holds the lock: debug_check itself, and all others; while debug_check's DEBUG_WATCH counts,
 * one that is refused must not change any object. */
MUST_USE status_t debug_perform(status_t (*perform)(struct ec *e, uint64_t n), struct ec *e, uint64_t n);
#else
#define debug_perform(perform, e, n) (perform)(e, n)
#endif

#endif
