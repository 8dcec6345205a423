/* SPDX-License-Identifier: BSD-2-Clause */
/* Stacks, start-up and signals of the test server's threads. */
#include <stdbool.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/runtime.h>
#include "worker.h"

#define STACKS	   24u
#define STACK_SIZE 8192u

extern char cairn_handler_trampoline[]; /* libs/handler: stack top holds the C function */

static uint8_t stacks[STACKS][STACK_SIZE] __attribute__((aligned(16)));
static unsigned next_stack;
static uint64_t told; /* times a worker told something that main_wait has not yet reported */

volatile struct fault_seen fault_seen;
volatile uint64_t fault_answer, fault_answer_rip;
static struct message_buffer *supervisor_buffer;

void workers_reset(void)
{
	next_stack = 0;
	told = 0;
}

static uint64_t *new_stack(void)
{
	if (next_stack == STACKS)
		forge_must(CAIRN_ERR_MEMORY, "finding a stack for a thread");
	return (uint64_t *)(stacks[next_stack++] + STACK_SIZE);
}

/* Where a worker's entry returns to. */
static void worker_end(void)
{
	for (;;) {
		worker_tell();
		worker_sleep();
	}
}

void worker_make(struct worker *w, void (*entry)(uint64_t arg), uint64_t arg, uint64_t priority,
		 const struct forge_thread *more)
{
	struct forge_thread config = {0};
	uint64_t *top = new_stack();

	if (more)
		config = *more;
	top[-1] = (uint64_t)worker_end; /* as if called from there: RSP is 8 off a multiple of 16 */
	config.rip = (uint64_t)entry;
	config.rsp = (uint64_t)(top - 1);
	config.arg = arg;
	config.priority = priority;
	config.ceiling = CEILING;
	w->thread = forge_thread(&config, &w->buffer);
	w->signal = forge_copy(w->thread, RIGHT_SIGNAL, 1);
}

void worker_resume(const struct worker *w)
{
	forge_must(cairn_resume(w->thread), "resuming a worker");
}

void worker_run(const struct worker *w)
{
	worker_resume(w);
	(void)main_wait();
}

void worker_tell(void)
{
	__atomic_add_fetch(&told, 1, __ATOMIC_RELEASE);
	forge_ignore(cairn_signal(SEL_SELF));
}

void worker_sleep(void)
{
	forge_ignore(cairn_wait(0, NULL));
}

void worker_poke(const struct worker *w)
{
	forge_must(cairn_signal(w->signal), "signalling a worker");
}

bool main_wait(void)
{
	uint64_t end = cairn_tsc() + cairn_ticks_from_us(10000000);

	while (__atomic_load_n(&told, __ATOMIC_ACQUIRE) == 0)
		if (cairn_wait_signals(end) == 0)
			return false;
	__atomic_sub_fetch(&told, 1, __ATOMIC_RELEASE);
	return true;
}

bool main_told(void)
{
	if (__atomic_load_n(&told, __ATOMIC_ACQUIRE) == 0)
		return false;
	__atomic_sub_fetch(&told, 1, __ATOMIC_RELEASE);
	return true;
}

void pause_us(uint64_t us)
{
	uint64_t end = cairn_tsc() + cairn_ticks_from_us(us);

	/* What was told is counted in `told`, so the signal itself may be taken here. */
	while (cairn_tsc() < end)
		(void)cairn_wait_signals(end);
}

static void make_handler(struct worker *w, cairn_handler_fn *fn, struct forge_thread config)
{
	uint64_t *top = new_stack() - 2;

	top[0] = (uint64_t)fn;
	config.rip = (uint64_t)cairn_handler_trampoline;
	config.rsp = w->rsp = (uint64_t)top;
	w->thread = forge_thread(&config, &w->buffer);
	w->signal = forge_copy(w->thread, RIGHT_SIGNAL, 1);
}

void handler_enter_at(const struct worker *w, const void *entry)
{
	struct thread_config *config = (struct thread_config *)cairn_buffer()->words;

	memset(config, 0, sizeof(*config));
	config->rip = (uint64_t)entry;
	config->rsp = w->rsp;
	forge_must(cairn_thread_configure(w->thread, THREAD_REGS), "changing a handler's entry");
}

void handler_make_in(struct worker *w, cairn_handler_fn *fn, uint64_t captable)
{
	make_handler(w, fn, (struct forge_thread){.captable = captable});
}

void handler_make_supervised(struct worker *w, cairn_handler_fn *fn, uint64_t supervisor)
{
	make_handler(w, fn, (struct forge_thread){.supervisor = supervisor});
}

void handler_make_on(struct worker *w, cairn_handler_fn *fn, uint64_t cpu)
{
	make_handler(w, fn, (struct forge_thread){.cpu = cpu});
}

void handler_make(struct worker *w, cairn_handler_fn *fn)
{
	make_handler(w, fn, (struct forge_thread){0});
}

void handler_make_raw(struct worker *w, const void *entry)
{
	const struct forge_thread config = {.rip = (uint64_t)entry, .rsp = (uint64_t)new_stack()};

	w->thread = forge_thread(&config, &w->buffer);
	w->signal = forge_copy(w->thread, RIGHT_SIGNAL, 1);
}

static void supervise(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
		      uint64_t count)
{
	const uint64_t *words = supervisor_buffer->words;

	(void)count;
	fault_seen.vector = w1 & 0xff;
	fault_seen.poison = w1 >> 8;
	fault_seen.error = w2;
	fault_seen.address = w3;
	fault_seen.rip = w4;
	fault_seen.rsp = words[4];
	fault_seen.rflags = words[5];
	for (unsigned i = 0; i < 10; i++)
		fault_seen.registers[i] = words[6 + i];
	fault_seen.badge = badge;
	fault_seen.count++;
	worker_tell();
	forge_ignore(cairn_reply(0, fault_answer, fault_answer_rip, 0, 0, 2));
}

uint64_t supervisor_make(void)
{
	struct worker handler;

	handler_make(&handler, supervise);
	supervisor_buffer = handler.buffer;
	fault_seen = (struct fault_seen){0};
	fault_answer = FAULT_REPLY_STOP;
	return forge_portal(handler.thread, 77);
}
