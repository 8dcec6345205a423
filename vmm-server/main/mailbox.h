/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the control thread and the handlers tell each other. The control thread may preempt a
 * handler anywhere, so each direction is a ring with one producer and one consumer (handlers of
 * several vCPUs hold the VM's lock), and no lock.
 */
#ifndef VMM_MAILBOX_H
#define VMM_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <stdatomic.h>

#define MAILBOX_SIZE 128u

struct mailbox_ring {
	_Atomic uint32_t head, tail;
	uint64_t gpa[MAILBOX_SIZE];
	uint32_t flags[MAILBOX_SIZE];
};

enum end_kind { END_NONE, END_RESET, END_POWER_OFF, END_DEBUG_EXIT, END_ERROR };

struct mailbox {
	struct mailbox_ring
		notices; /* to the handlers: lost pages the guest is to be told of early */
	struct mailbox_ring injected; /* to the control thread: vMCEs delivered */
	_Atomic uint32_t end;	      /* enum end_kind: the guest ended */
	uint32_t end_value;	      /* written before `end` */
};

static inline bool mailbox_put(struct mailbox_ring *ring, uint64_t gpa, uint32_t flags)
{
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

	if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) >= MAILBOX_SIZE)
		return false;
	ring->gpa[head % MAILBOX_SIZE] = gpa;
	ring->flags[head % MAILBOX_SIZE] = flags;
	atomic_store_explicit(&ring->head, head + 1, memory_order_release);
	return true;
}

static inline bool mailbox_get(struct mailbox_ring *ring, uint64_t *gpa, uint32_t *flags)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&ring->head, memory_order_acquire))
		return false;
	*gpa = ring->gpa[tail % MAILBOX_SIZE];
	*flags = ring->flags[tail % MAILBOX_SIZE];
	atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
	return true;
}

#endif
