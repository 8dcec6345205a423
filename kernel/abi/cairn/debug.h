/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercall debug_check of debug builds: what it can be asked for, and what it may find. */
#ifndef CAIRN_DEBUG_H
#define CAIRN_DEBUG_H

enum debug_request {
	DEBUG_INVARIANTS = 0, /* looks for a violation: fault, place, line */
	DEBUG_WATCH =
		1, /* the next `argument` hypercalls that are refused: each must leave all kernel objects as they were */
	DEBUG_WATCHED = 2, /* place: how many of these are still to come */
};

enum debug_fault {
	DEBUG_SOUND = 0,
	DEBUG_DERIVATION =
		1, /* the derivation list is not well formed, or a capability is more than its source (place: slot) */
	DEBUG_OVERLAP = 2, /* two objects share memory (slot; or the number of pages in use as kernel objects) */
	DEBUG_OUTSIDE = 3, /* an object lies outside its Untyped, or beyond its watermark (slot) */
	DEBUG_MAPPING = 4, /* user level can reach what is not its own, or an entry and its capability disagree (slot) */
	DEBUG_WINDOW = 5,  /* the kernel window is not the set of kernel objects and bound buffers (page, or how many) */
	DEBUG_CONTEXT = 6, /* a Thread or VCpu stands on something that is gone (physical address of it) */
	DEBUG_CHANGED = 7, /* a refused hypercall changed something (its number | status << 32) */
};

#endif
