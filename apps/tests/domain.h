/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads that run isolation.S in a space of their own. */
#ifndef DOMAIN_H
#define DOMAIN_H

#include <stdbool.h>
#include <stdint.h>
#include "isolation.h"
#include "worker.h"

/* isolation.S: the page, and the places in it where a thread or a guest may start. */
extern const uint8_t isolation_code[];
extern const uint8_t isolation_thread[], isolation_new_thread[], isolation_call[],
	isolation_fault[];
extern const uint8_t isolation_called[], isolation_ud2[], isolation_guest[], isolation_new_guest[];
extern const uint8_t isolation_busy[], isolation_stuck[], isolation_count[], isolation_calls[];
extern const uint8_t isolation_exits[];

/* The address of a place, and of the data, in such a space. */
static inline uint64_t domain_address(const uint8_t *place)
{
	return FORGE_SPACE_VA + (uint64_t)(place - isolation_code);
}
#define DOMAIN_DATA (FORGE_SPACE_VA + PAGE_SIZE_4K)

/*
 * A thread in a new space, configured but not resumed, that starts at `entry`; returns its
 * selector. `more` supplies priority, entries, CPU and so on; its rip, rsp, space and CapTable (of
 * 32 slots, empty) are made here. *data: what it shares with this server.
 */
uint64_t domain_make(struct isolation **data, const uint8_t *entry,
		     const struct forge_thread *more);

/* The same; also its message buffer and its CapTable. */
struct domain {
	uint64_t thread, captable;
	uint64_t frame; /* selector: the first page of its data, which it has a copy of */
	struct isolation *data;
	struct message_buffer *buffer;
};
void domain_make_all(struct domain *domain, const uint8_t *entry, const struct forge_thread *more);

/* Waits at most some seconds for a word to be another one than this. */
bool domain_wait(const volatile uint64_t *word, uint64_t other_than);

#endif
