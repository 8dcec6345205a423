/* SPDX-License-Identifier: BSD-2-Clause */
/* What each thread keeps and what a handler starts with: general registers, SSE, x87, control
 * words. */
#include <string.h>
#include <cairn/hypercalls.h>
#include "check.h"
#include "worker.h"

#define MXCSR_DEFAULT 0x1f80u
#define FCW_DEFAULT   0x037fu

extern char spoiling_handler[];
extern volatile uint64_t seen_gpr[7];
extern uint8_t seen_fpu[512];
uint64_t call_and_compare(uint64_t portal);

static uint32_t word_at(const uint8_t *image, unsigned offset)
{
	uint32_t word;

	memcpy(&word, image + offset, sizeof(word));
	return word;
}

static void calls_keep_registers(void)
{
	struct worker handler;
	uint64_t portal, changed;
	bool clean = true;

	handler_make_raw(&handler, spoiling_handler);
	portal = forge_portal(handler.thread, 0);
	changed = call_and_compare(portal);
	check_value("a-call-keeps-the-callers-registers", changed, 0);
	for (unsigned i = 0; i < 7; i++)
		clean = clean && seen_gpr[i] == 0;
	check_true("a-handler-sees-none-of-its-callers-registers", clean, "one is not 0");
	clean = true;
	for (unsigned i = 160; i < 416; i++)
		clean = clean && seen_fpu[i] == 0;
	check_true("a-handler-sees-none-of-its-callers-sse-registers", clean, "one is not 0");
	check_value("a-handler-starts-with-the-default-mxcsr", word_at(seen_fpu, 24),
		    MXCSR_DEFAULT);
	check_value("a-handler-starts-with-the-default-x87-control-word",
		    word_at(seen_fpu, 0) & 0xffff, FCW_DEFAULT);
	check_value("a-handler-starts-with-an-empty-x87-stack", word_at(seen_fpu, 4) & 0xff, 0);
	/* And the second message starts as clean as the first, although the first spoiled
	 * everything. */
	changed = call_and_compare(portal);
	check_value("a-second-call-keeps-them-too", changed, 0);
	check_value("a-handler-starts-clean-each-time", word_at(seen_fpu, 24), MXCSR_DEFAULT);
}

/* Two workers with different SSE and x87 contents, which wait in between. */
static volatile uint64_t sse_wrong[2];

static void keep_fpu(uint64_t number)
{
	uint8_t image[512] __attribute__((aligned(64))) = {0};
	uint8_t after[512] __attribute__((aligned(64)));
	uint32_t mxcsr = number ? 0x3f80 : 0x5f80; /* rounding down, up */

	memcpy(image, &(uint16_t){number ? 0x0a7f : 0x077f}, 2);
	memcpy(image + 24, &mxcsr, sizeof(mxcsr));
	for (unsigned i = 0; i < 256; i++)
		image[160 + i] = (uint8_t)(i * 3 + number * 100);
	for (unsigned i = 0; i < 20; i++) {
		uint64_t rax = CAIRN_CALL_BASE + CAIRN_CALL_SIGNAL;

		__asm__ volatile("fxrstor64 %[image]\n\t"
				 "movl %[self], %%edi\n\t"
				 "syscall\n\t" /* the main thread may run now */
				 "movl %[wait], %%eax\n\t"
				 "xorl %%edi, %%edi\n\t"
				 "syscall\n\t" /* and here the other worker does */
				 "fxsave64 %[after]"
				 : "+a"(rax), [after] "=m"(after)
				 : [image] "m"(image), [self] "i"(SEL_SELF),
				   [wait] "i"(CAIRN_CALL_BASE + CAIRN_CALL_WAIT)
				 : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory",
				   "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
				   "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
				   "xmm15");
		if (memcmp(image + 160, after + 160, 256) != 0 || memcmp(image, after, 2) != 0 ||
		    memcmp(image + 24, after + 24, 4) != 0)
			sse_wrong[number]++;
	}
	__asm__ volatile("fninit; ldmxcsr %0" : : "m"((uint32_t){MXCSR_DEFAULT}));
}

static void threads_keep_fpu(void)
{
	struct worker w[2];
	uint8_t mine[64], spoiled = 0;

	for (unsigned i = 0; i < 2; i++) {
		sse_wrong[i] = 0;
		worker_make(&w[i], keep_fpu, i, PRIORITY_HIGH, NULL);
		worker_resume(&w[i]);
	}
	for (unsigned round = 0; round < 20; round++) {
		/* The main thread's own use: musl's memset and memcmp are SSE code. */
		memset(mine, (int)round, sizeof(mine));
		for (unsigned i = 0; i < 2; i++)
			worker_poke(&w[i]);
		for (unsigned i = 0; i < sizeof(mine); i++)
			spoiled |= mine[i] != round;
	}
	check_value("a-thread-keeps-its-sse-state", sse_wrong[0], 0);
	check_value("and-so-does-another-beside-it", sse_wrong[1], 0);
	check_value("and-the-main-thread", spoiled, 0);
}

/* The same, when it is the timer that switches. */
static volatile uint64_t preempted_wrong[2], preempted_rounds[2];

static void compute(uint64_t number)
{
	for (;;) {
		uint64_t low, high;

		__asm__ volatile("movq %2, %%xmm7\n\t"
				 "movq %2, %%xmm15\n\t"
				 "movl $20000, %%ecx\n"
				 "1: decl %%ecx\n\t"
				 "jnz 1b\n\t"
				 "movq %%xmm7, %0\n\t"
				 "movq %%xmm15, %1"
				 : "=&r"(low), "=&r"(high)
				 : "r"(number + 0xabc)
				 : "rcx", "xmm7", "xmm15");
		if (low != number + 0xabc || high != low)
			preempted_wrong[number]++;
		preempted_rounds[number]++;
	}
}

static void preemption_keeps_fpu(void)
{
	struct worker w[2];

	for (unsigned i = 0; i < 2; i++) {
		preempted_wrong[i] = preempted_rounds[i] = 0;
		worker_make(&w[i], compute, i, PRIORITY_LOW, NULL);
		worker_resume(&w[i]);
	}
	pause_us(100000);
	check_true("preempted-threads-keep-their-sse-state",
		   !preempted_wrong[0] && !preempted_wrong[1] && preempted_rounds[0] &&
			   preempted_rounds[1],
		   "one of them read another's, or never ran");
}

void suite_registers(void)
{
	in_arena(calls_keep_registers);
	in_arena(threads_keep_fpu);
	in_arena(preemption_keeps_fpu);
}
