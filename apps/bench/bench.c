/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measures hypercalls and IPC round trips: TSC ticks per iteration over 25 iterations, the least
 * of 400 repeats, the caller's own instructions included. Run under an instruction-counting
 * emulator, a tick is an instruction.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include "forge.h"

#define ITERATIONS  25ul /* few: other CPUs take turns with this one in the emulator */
#define REPEATS	    400u
#define LABEL_OTHER 0x7fu /* no server of the description has it */

extern const unsigned char bench_stubs[], bench_stub_echo[], bench_stub_skip[], bench_stubs_end[];

static uint64_t portal_same, portal_cross;

/* Each loop is one system call, its arguments set anew, a decrement and a jump per iteration. */
static uint64_t loop_null(void)
{
	uint64_t n = ITERATIONS, start = cairn_tsc();

	__asm__ volatile("1: movl %1, %%eax\n\t"
			 "syscall\n\t"
			 "decq %0\n\t"
			 "jnz 1b"
			 : "+b"(n)
			 : "i"(CAIRN_CALL_BASE + CAIRN_CALL_IDENTIFY)
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc",
			   "memory");
	return cairn_tsc() - start;
}

static uint64_t loop_signal(void)
{
	uint64_t n = ITERATIONS, start = cairn_tsc();

	__asm__ volatile("1: movl %1, %%eax\n\t"
			 "movl %2, %%edi\n\t"
			 "syscall\n\t"
			 "decq %0\n\t"
			 "jnz 1b"
			 : "+b"(n)
			 : "i"(CAIRN_CALL_BASE + CAIRN_CALL_SIGNAL), "i"(SEL_SELF)
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc",
			   "memory");
	return cairn_tsc() - start;
}

/* The words themselves are what the registers hold; words 5.. are in the buffer already. */
static uint64_t loop_call(uint64_t portal, uint64_t words)
{
	uint64_t n = ITERATIONS, start = cairn_tsc();

	__asm__ volatile("1: movl %1, %%eax\n\t"
			 "movq %2, %%rdi\n\t"
			 "movl %k3, %%r9d\n\t"
			 "syscall\n\t"
			 "decq %0\n\t"
			 "jnz 1b"
			 : "+b"(n)
			 : "i"(CAIRN_CALL_BASE + CAIRN_CALL_CALL), "r"(portal), "r"(words)
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc",
			   "memory");
	return cairn_tsc() - start;
}

static uint64_t ipc_same_1(void)
{
	return loop_call(portal_same, 1);
}

static uint64_t ipc_cross_1(void)
{
	return loop_call(portal_cross, 1);
}

static uint64_t ipc_cross_4(void)
{
	return loop_call(portal_cross, 4);
}

static uint64_t ipc_cross_16(void)
{
	return loop_call(portal_cross, 16);
}

/* A thread of its own faults, because the main thread's supervisor is the root-task. */
static struct {
	uint64_t ticks; /* the least of its repeats */
	uint8_t stack[4096] __attribute__((aligned(16)));
} faulter;

static void fault_thread(void)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < REPEATS; i++) {
		uint64_t n = ITERATIONS, start = cairn_tsc(), ticks;

		__asm__ volatile("1: ud2\n\t"
				 "decq %0\n\t"
				 "jnz 1b"
				 : "+r"(n)
				 :
				 : "cc", "memory");
		ticks = cairn_tsc() - start;
		if (ticks < best)
			best = ticks;
	}
	__atomic_store_n(&faulter.ticks, best, __ATOMIC_RELEASE);
	for (;;) {
		forge_ignore(cairn_signal(SEL_SELF));
		forge_ignore(cairn_wait(0, NULL));
	}
}

static const struct bench {
	const char *name;
	uint64_t (*loop)(void);
} benches[] = {
	{"null_syscall", loop_null},  {"signal", loop_signal},	    {"ipc_same_1", ipc_same_1},
	{"ipc_cross_1", ipc_cross_1}, {"ipc_cross_4", ipc_cross_4}, {"ipc_cross_16", ipc_cross_16},
};

static void report(const char *name, uint64_t ticks)
{
	printf("bench %s %lu\n", name, ticks / ITERATIONS);
}

static void run(const struct bench *bench)
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < REPEATS; i++) {
		uint64_t ticks = bench->loop();

		if (ticks < best)
			best = ticks;
	}
	report(bench->name, best);
}

/* The words must really come back, or a figure would say nothing. */
static void check_echo(uint64_t portal, const char *what)
{
	uint64_t w[4], count;
	struct message_buffer *buffer = cairn_buffer();

	for (unsigned i = 4; i < MESSAGE_WORDS; i++)
		buffer->words[i] = 100 + i;
	forge_must(cairn_call(portal, 11, 22, 33, 44, MESSAGE_WORDS, &count, &w[0], &w[1], &w[2],
			      &w[3]),
		   what);
	if (count != MESSAGE_WORDS || w[0] != 11 || w[1] != 22 || w[2] != 33 || w[3] != 44 ||
	    buffer->words[4] != 104 || buffer->words[15] != 115)
		forge_must(CAIRN_ERR_STATE, what);
}

/* A space with a page of handlers and nothing else, and a CapTable with nothing in it. */
static void make_other_space(struct forge_space *space, uint64_t *captable)
{
	uint64_t code = forge_frame();

	memcpy(forge_window_copy(code, RIGHT_READ | RIGHT_WRITE), bench_stubs,
	       (size_t)(bench_stubs_end - bench_stubs));
	forge_space_make(space, LABEL_OTHER);
	forge_space_map(space, code, 0, RIGHT_READ | RIGHT_EXEC);
	*captable = forge_captable(64);
}

static uint64_t other_handler(const struct forge_space *space, uint64_t captable,
			      const unsigned char *stub)
{
	const struct forge_thread config = {
		.space = space->root,
		.captable = captable,
		.rip = FORGE_SPACE_VA + (uint64_t)(stub - bench_stubs),
		.rsp = FORGE_SPACE_VA, /* the stubs use no stack */
	};

	return forge_portal(forge_thread(&config, NULL), 0);
}

static void measure_faults(uint64_t supervisor)
{
	const struct forge_thread config = {
		.supervisor = supervisor,
		.rip = (uint64_t)fault_thread,
		.rsp = (uint64_t)(faulter.stack + sizeof(faulter.stack) - 8),
		.priority = 32, /* above the VM that the same image measures */
	};
	uint64_t thread = forge_thread(&config, NULL);

	forge_must(cairn_resume(thread), "resuming the thread that faults");
	while (__atomic_load_n(&faulter.ticks, __ATOMIC_ACQUIRE) == 0)
		(void)cairn_wait_signals(0);
	forge_must(cairn_suspend(thread), "suspending the thread that faults");
	report("fault_resume", faulter.ticks);
}

/* Others begin meanwhile, those of this CPU do not. An emulator that runs one CPU after the other
 * goes on to the next at each PAUSE. */
static void let_others_begin(uint64_t ms)
{
	uint64_t start = cairn_tsc();

	while (cairn_tsc() - start < cairn_ticks_from_us(1000 * ms))
		__asm__ volatile("pause");
}

/* The argument, if there is one: milliseconds until it begins. */
int main(int argc, char **argv)
{
	const struct forge_thread same = {.rip = (uint64_t)bench_stub_echo,
					  .rsp = (uint64_t)bench_stub_echo};
	struct forge_space space;
	uint64_t captable;

	let_others_begin(argc > 1 ? strtoul(argv[1], NULL, 10) : 0);
	forge_init();
	make_other_space(&space, &captable);
	portal_same = forge_portal(forge_thread(&same, NULL), 0);
	portal_cross = other_handler(&space, captable, bench_stub_echo);
	check_echo(portal_same, "16 words there and back in this space");
	check_echo(portal_cross, "16 words there and back to another space");
	for (unsigned i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
		run(&benches[i]);
	measure_faults(other_handler(&space, captable, bench_stub_skip));
	printf("bench: done\n");
	return 0;
}
