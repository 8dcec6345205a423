/* SPDX-License-Identifier: BSD-2-Clause */
/* What every server gets from the library: its description, its thread's message buffer, signals,
 * time, requests. */
#ifndef CAIRN_RUNTIME_H
#define CAIRN_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cairn/server.h>
#include <cairn/types.h>
#include <cairn/status.h>

/* The server's description, read-only. Not for the root-task, which has struct boot_info instead.
 */
static inline const struct server_info *cairn_info(void)
{
	return (const struct server_info *)SERVER_INFO_VA;
}

/* Memory of channel n (CHANNEL_SIZE bytes, shared with its other end, which may write anything at
 * any time). */
static inline void *cairn_channel(unsigned n)
{
	return (void *)(SERVER_CHANNEL_VA + n * CHANNEL_SIZE);
}

/*
 * Index of the calling thread (0: main, 1..: handlers), found from its stack pointer: all threads
 * of a server share one FS base, so there is no thread-local storage to tell them apart.
 */
static inline unsigned cairn_thread_index(void)
{
	uint64_t rsp;

	__asm__ volatile("mov %%rsp, %0" : "=r"(rsp));
	return (unsigned)((rsp - SERVER_STACK_VA) >> 20);
}

/* The calling thread's message buffer: words[4..15] are words 5..16 of a message. Not for the
 * root-task. */
static inline struct message_buffer *cairn_buffer(void)
{
	return (struct message_buffer *)(SERVER_BUFFER_VA + cairn_thread_index() * PAGE_SIZE_4K);
}

static inline uint64_t cairn_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* TSC ticks of a number of microseconds; the root-task's and every server's clock is the TSC. */
uint64_t cairn_ticks_from_us(uint64_t us);
uint64_t cairn_us_from_ticks(uint64_t ticks);

/*
 * wait() as servers should use it: returns the notification bits, 0 when the deadline (absolute
 * TSC; 0: none; 1: do not block) passed. Bits that arrived while the personality slept for the
 * server (nanosleep) are not lost: they are returned here. Main thread only.
 */
uint64_t cairn_wait_signals(uint64_t deadline);

/*
 * First channel of this kind with index >= first, or -1. vm: only those about this VM; SYSTEM_NONE:
 * any.
 */
int cairn_find_channel(enum channel_kind kind, uint32_t vm, unsigned first);

/* Asks the root-task (enum root_request). Returns its answer: 0, or a cairn_status. */
uint64_t cairn_request(uint64_t request, uint64_t w2, uint64_t w3);

/*
 * What a handler thread runs for each message: it ends by calling cairn_reply() and never returns.
 * It may use neither malloc nor stdio (cairn_log is fine): it shares the main thread's thread-local
 * storage. badge: the portal's; w1..w4: the first words; count: number of words (5.. are in
 * cairn_buffer()->words[4..]).
 */
typedef void cairn_handler_fn(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			      uint64_t count);

/* Configures handler thread n (1..) so that each message enters `handler`. Errors: those of
 * thread_configure. */
cairn_status_t cairn_handler_setup(unsigned n, cairn_handler_fn *handler)
	__attribute__((warn_unused_result));

/* A status as a word ("CAP", "BUSY" …), for messages. */
const char *cairn_status_name(uint64_t status);

#endif
