/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes each of the kernel's short paths in turn, on one or two CPUs, for tools/paths to follow.
 * Each CPU has a handler in this space, one in another, a supervisor, and two threads that call,
 * fault, signal and wait (marks.S).
 */
#include <stdio.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include "forge.h"
#include "marks.h"

#define LABEL_OTHER 0x7fu  /* no server of the description has it */
#define PRIORITY    32u	   /* above the servers and the VM of the same image */
#define ROUNDS	    1000ul /* of CPU 0, which has a VM to run then; another CPU's have no end */
#define CPUS	    2u

extern const unsigned char bench_stubs[], bench_stub_echo[], bench_stub_skip[], bench_stubs_end[];

static struct paths paths[CPUS];

/* A portal to a handler in `space`, which has the stubs as its only page, and a CapTable with
 * nothing in it. */
static uint64_t other_handler(uint64_t cpu, const struct forge_space *space, uint64_t captable,
			      const unsigned char *stub)
{
	const struct forge_thread config = {
		.space = space->root,
		.captable = captable,
		.rip = FORGE_SPACE_VA + (uint64_t)(stub - bench_stubs),
		.rsp = FORGE_SPACE_VA, /* the stubs use no stack */
		.cpu = cpu,
	};

	return forge_portal(forge_thread(&config, NULL), 0);
}

static uint64_t make_thread(uint64_t cpu, const unsigned char *entry, uint64_t supervisor,
			    uint64_t priority)
{
	const struct forge_thread config = {
		.supervisor = supervisor,
		.rip = (uint64_t)entry,
		.arg = (uint64_t)&paths[cpu],
		.priority = priority,
		.cpu = cpu,
	};

	return forge_thread(&config, NULL);
}

static void begin(uint64_t cpu, uint64_t code)
{
	const struct forge_thread same = {.rip = (uint64_t)bench_stub_echo, .cpu = cpu};
	struct paths *p = &paths[cpu];
	struct forge_space space;
	uint64_t captable = forge_captable(32), caller, waiter;

	forge_space_make(&space, LABEL_OTHER);
	forge_space_map(&space, code, 0, RIGHT_READ | RIGHT_EXEC);
	p->same = forge_portal(forge_thread(&same, NULL), 0);
	p->cross = other_handler(cpu, &space, captable, bench_stub_echo);
	caller = make_thread(cpu, paths_caller,
			     other_handler(cpu, &space, captable, bench_stub_skip), PRIORITY);
	waiter = make_thread(cpu, paths_waiter, ~0ull, PRIORITY + 1);
	p->self = forge_copy(caller, RIGHT_SIGNAL, 1);
	p->waiter = forge_copy(waiter, RIGHT_SIGNAL, 1);
	p->main = SEL_SELF;
	p->rounds = cpu == 0 ? ROUNDS : UINT64_MAX;
	forge_must(cairn_resume(waiter), "resuming the thread that waits");
	forge_must(cairn_resume(caller), "resuming the thread that takes the paths");
}

int main(void)
{
	uint64_t cpu = cairn_info()->cpu_count < CPUS ? 1 : CPUS, code;

	forge_init();
	code = forge_frame();
	memcpy(forge_window_copy(code, RIGHT_READ | RIGHT_WRITE), bench_stubs,
	       (size_t)(bench_stubs_end - bench_stubs));
	while (cpu-- > 0)
		begin(cpu, code);
	while (__atomic_load_n(&paths[0].rounds, __ATOMIC_ACQUIRE) > 0)
		(void)cairn_wait_signals(0);
	printf("paths: all were taken %lu times\n", ROUNDS);
	for (;;) /* with its end all its threads would end */
		(void)cairn_wait_signals(0);
}
