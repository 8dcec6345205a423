/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads of the test server itself: workers with time of their own, and portal handlers. */
#ifndef WORKER_H
#define WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include "forge.h"

/* The main thread's priority, as systems/tests.toml says, and those of workers that run before or
 * after it. */
#define PRIORITY_MAIN 24u
#define PRIORITY_HIGH 30u
#define PRIORITY_LOW  10u
#define CEILING	      40u /* and what the main thread may give, and gives on */

struct worker {
	uint64_t thread;	       /* selector */
	uint64_t signal;	       /* selector: the same with badge 1 */
	struct message_buffer *buffer; /* its message buffer */
	uint64_t rsp;		       /* a handler's: where each message finds its stack */
};

/*
 * A thread that runs entry(arg) and then signals the main thread and sleeps. It may use neither
 * malloc nor stdio nor errno: there is no thread-local storage. `more` (may be NULL) supplies
 * supervisor, entries and times.
 */
void worker_make(struct worker *w, void (*entry)(uint64_t arg), uint64_t arg, uint64_t priority,
		 const struct forge_thread *more);
void worker_resume(const struct worker *w);
/* Also starts it. Returns when the main thread was signalled. */
void worker_run(const struct worker *w);

/* For workers: tells the main thread; waits until the main thread calls worker_poke. */
void worker_tell(void);
void worker_sleep(void);
void worker_poke(const struct worker *w);

/* Waits until a worker told something, at most ten seconds. */
bool main_wait(void);
/* The same, but it does not wait. */
bool main_told(void);

/* A portal handler that enters the C function `fn` (see cairn_handler_fn) for each message. */
void handler_make(struct worker *w, cairn_handler_fn *fn);
/* The same with another CapTable than the server's. */
void handler_make_in(struct worker *w, cairn_handler_fn *fn, uint64_t captable);
/* The same with a supervisor (an index in the server's CapTable). */
void handler_make_supervised(struct worker *w, cairn_handler_fn *fn, uint64_t supervisor);
/* The same on another CPU. */
void handler_make_on(struct worker *w, cairn_handler_fn *fn, uint64_t cpu);
/* From now on messages enter it here instead, with the same stack. */
void handler_enter_at(const struct worker *w, const void *entry);
/* The same for a raw entry point with no stack. */
void handler_make_raw(struct worker *w, const void *entry);

/* What the supervisor portal saw last. */
struct fault_seen {
	uint64_t count;
	uint64_t vector, error, address, rip, rsp, rflags;
	uint64_t poison, badge;
	uint64_t registers[10];
};
extern volatile struct fault_seen fault_seen;
/* What it answers: FAULT_REPLY_*, and the RIP for FAULT_REPLY_RIP. */
extern volatile uint64_t fault_answer, fault_answer_rip;

/* A portal whose handler records faults and tells the main thread; returns its selector. */
uint64_t supervisor_make(void);

/* Forgets all threads: their objects are gone. */
void workers_reset(void);

/* Sleeps for a while; the signals that arrive meanwhile stay pending for main_wait. */
void pause_us(uint64_t us);

#endif
