/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads and guests on any CPU: those that read the probes in a space, those that count. */
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/runtime.h>
#include <cairn/vcpu.h>
#include "stress.h"

#define STACKS	    64u
#define STACK_SIZE  4096u
#define RESULT_PAGE 2u /* + CPU */
#define BUFFER_PAGE 16u
#define BOARD_PAGE  1u
#define GUESTS	    (3 * CPUS_MAX)
#define CR0_PE_ET   0x11u
#define RW	    (RIGHT_READ | RIGHT_WRITE)

extern char cairn_handler_trampoline[]; /* libs/handler: the stack's top holds the C function */

static uint8_t stacks[STACKS][STACK_SIZE] __attribute__((aligned(16)));
static unsigned next_stack;

static struct guest {
	volatile struct vcpu_state *state;
	struct touch *touch; /* NULL: it counts */
	uint64_t edi;
} guests[GUESTS];
static unsigned guest_count;

unsigned cpu_count(void)
{
	uint32_t n = cairn_info()->cpu_count;

	return n < CPUS_MAX ? n : CPUS_MAX;
}

static uint64_t *new_stack(void)
{
	if (next_stack == STACKS)
		fail("there are %u stacks only", STACKS);
	return (uint64_t *)(stacks[next_stack++] + STACK_SIZE);
}

static void never(void)
{
	__builtin_trap();
}

uint64_t thread_moving(void (*fn)(uint64_t arg), uint64_t arg, unsigned cpu,
		       struct message_buffer **buffer)
{
	uint64_t *top = new_stack();
	struct forge_thread config = {
		.rip = (uintptr_t)fn,
		.rsp = (uintptr_t)(top - 1), /* as if called from never() */
		.arg = arg,
		.fault_entry = (uintptr_t)stress_peek_fault,
		.priority = PRIORITY_MOVER,
		.budget_us = 4000,
		.period_us = 10000,
		.cpu = cpu,
	};

	top[-1] = (uintptr_t)never;
	return forge_thread(&config, buffer);
}

/* A page of `space` that this server sees as well. */
static void *shared_page(const struct space *space, unsigned page)
{
	uint64_t frame = forge_frame();

	space_map(space, frame, page, RW);
	return forge_window(frame);
}

struct touch *thread_touching(const struct space *space, unsigned cpu)
{
	struct touch *touch = shared_page(space, RESULT_PAGE + cpu);
	uint64_t buffer = forge_frame();
	struct forge_thread config = {
		.space = space->root,
		.rip = space->base,
		.arg = space->base + (RESULT_PAGE + cpu) * PAGE_SIZE_4K,
		.fault_entry = space->base + (uint64_t)(stress_host_fault - stress_host_code),
		.priority = PRIORITY_READER,
		.cpu = cpu,
		.buffer = buffer,
	};

	space_map(space, buffer, BUFFER_PAGE + cpu, RW);
	touch->base = space->base;
	touch->board = space->base + BOARD_PAGE * PAGE_SIZE_4K;
	touch->buffer = space->base + (BUFFER_PAGE + cpu) * PAGE_SIZE_4K;
	forge_must(cairn_resume(forge_thread(&config, NULL)), "resuming a reader");
	return touch;
}

static void set_segment(volatile struct vcpu_segment *segment, uint16_t attributes)
{
	segment->sel = 0;
	segment->attr = attributes;
	segment->limit = 0xffffffff;
	segment->base = 0;
}

/* 32-bit protected mode, flat, without paging. */
static uint64_t start_up(const struct guest *g)
{
	volatile struct vcpu_state *s = g->state;

	for (unsigned i = 0; i < SEG_COUNT; i++)
		set_segment(&s->seg[i], 0xc93);
	set_segment(&s->seg[SEG_CS], 0xc9b);
	set_segment(&s->seg[SEG_LDTR], 0x82);
	set_segment(&s->seg[SEG_TR], 0x8b);
	s->cr0 = CR0_PE_ET;
	s->cr3 = s->cr4 = s->efer = 0;
	s->dr6 = 0xffff0ff0;
	s->dr7 = 0x400;
	s->pat = 0x0007040600070406;
	s->rflags = 2;
	s->rip = GUEST_CODE;
	s->gpr[GPR_RDI] = g->edi;
	return VCPU_MTD_ALL;
}

/* The next probe. */
static uint64_t skip(const struct guest *g)
{
	g->state->rip = GUEST_CODE + (uint64_t)(stress_guest_next - stress_guest_code);
	return VCPU_MTD_RIP;
}

static void wrong(const struct guest *g, uint64_t class)
{
	if (!g->touch)
		return;
	g->touch->wrong_fault++;
	g->touch->wrong_what = class;
	g->touch->wrong_where = g->state->qualification2;
}

static uint64_t poisoned(const struct guest *g)
{
	struct touch *touch = g->touch;
	uint64_t i = g->state->gpr[GPR_RBX];

	if (!touch)
		return VCPU_REPLY_STOP;
	touch->faults++;
	if (i >= PROBES || g->state->qualification2 != board->offset[i]) {
		wrong(g, EXIT_POISONED);
		return VCPU_REPLY_STOP;
	}
	touch->faulted[i] = 1;
	touch->too_early += !__atomic_load_n(&board->begun[i], __ATOMIC_ACQUIRE);
	return skip(g);
}

static void on_exit_class(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			  uint64_t count)
{
	const struct guest *g = &guests[badge];
	uint64_t reply;

	(void)w2, (void)w3, (void)w4, (void)count;
	if (w1 == EXIT_STARTUP) {
		reply = start_up(g);
	} else if (w1 == EXIT_POISONED) {
		reply = poisoned(g);
	} else {
		wrong(g, w1);
		reply = w1 == EXIT_NESTED && g->touch ? skip(g) : VCPU_REPLY_STOP;
	}
	forge_ignore(cairn_reply(0, reply, 0, 0, 0, 1));
}

/* A Portal for each class of exit, all to one handler; returns the first. */
static uint64_t exit_table(unsigned index, unsigned cpu)
{
	uint64_t *top = new_stack() - 2, thread, first;
	struct forge_thread config = {
		.rip = (uintptr_t)cairn_handler_trampoline, .rsp = (uintptr_t)top, .cpu = cpu};

	top[0] = (uintptr_t)on_exit_class;
	thread = forge_thread(&config, NULL);
	first = forge_portal(thread, index);
	for (unsigned i = 1; i < EXIT_CLASSES; i++)
		(void)forge_portal(thread, index);
	return first;
}

static uint64_t guest_start(const struct space *space, unsigned cpu, struct guest *g)
{
	uint64_t vcpu = forge_select(), exit_base = exit_table((unsigned)(g - guests), cpu);
	struct vcpu_config *config = (struct vcpu_config *)cairn_buffer()->words;
	uint64_t state = forge_frame();

	g->state = forge_window_copy(state, RW);
	forge_must(cairn_retype(forge_used(), CAP_VCPU, 0, SEL_CAPTABLE, vcpu, 0), "making a VCpu");
	memset(config, 0, sizeof(*config));
	config->guest_root = space->root;
	config->home = SEL_SPACE;
	config->captable = SEL_CAPTABLE;
	config->exit_base = exit_base;
	config->state = state;
	config->cpu = cpu;
	config->priority = PRIORITY_READER;
	forge_must(cairn_vcpu_configure(vcpu), "configuring a VCpu");
	forge_must(cairn_resume(vcpu), "resuming a VCpu");
	return vcpu;
}

static struct guest *new_guest(unsigned cpu)
{
	struct guest *g = &guests[guest_count++];

	if (guest_count > GUESTS)
		fail("there is room for %u guests only", GUESTS);
	g->edi = (RESULT_PAGE + cpu) * PAGE_SIZE_4K;
	return g;
}

struct touch *guest_touching(const struct space *space, unsigned cpu)
{
	struct guest *g = new_guest(cpu);

	g->touch = shared_page(space, RESULT_PAGE + cpu);
	(void)guest_start(space, cpu, g);
	return g->touch;
}

struct count *guest_counting(const struct space *space, unsigned cpu, uint64_t frame,
			     uint64_t *vcpu)
{
	struct count *count = forge_window(frame);

	space_map(space, frame, RESULT_PAGE + cpu, RW);
	*vcpu = guest_start(space, cpu, new_guest(cpu));
	return count;
}
