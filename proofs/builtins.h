/* SPDX-License-Identifier: BSD-2-Clause */
/* What Frama-C reads in place of the atomic builtins: one CPU alone (docs/proofs.md). */
#ifndef PROOFS_BUILTINS_H
#define PROOFS_BUILTINS_H

#define __atomic_signal_fence(order)	       ((void)0)
#define __atomic_load_n(place, order)	       (*(place))
#define __atomic_store_n(place, value, order)  ((void)(*(place) = (value)))
#define __atomic_add_fetch(place, more, order) (*(place) += (more))
#define __atomic_fetch_add(place, more, order) ((*(place) += (more)) - (more))

/* The descendants of one slot (core/slot.h). */
struct tree_row {
	unsigned char below[262144];
};

#endif
