/* SPDX-License-Identifier: BSD-2-Clause */
/* A process of one thread: identity, thread-local storage, signals as far as abort() needs them,
 * its end, random bytes. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <cairn/hooks.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/runtime.h>
#include "libs/personality/personality.h"
#include "libs/personality/text.h"

#define PROCESS_ID	      1
#define ARCH_SET_FS	      0x1002 /* Linux's <asm/prctl.h>, which musl does not have */
#define KERNEL_SIGACTION_SIZE 32     /* handler, flags, restorer, mask */
#define SIGNALS		      65     /* as Linux counts them */

long linux_arch_prctl(const struct linux_call *call)
{
	if (call->arg[0] != ARCH_SET_FS)
		return -EINVAL;
	return cairn_set_fs(call->arg[1]) == CAIRN_OK ? 0 : -EPERM;
}

long linux_set_tid_address(const struct linux_call *call)
{
	(void)call; /* the address would be cleared at the thread's end, for a joiner that cannot
		       exist */
	return PROCESS_ID;
}

long linux_getpid(const struct linux_call *call)
{
	(void)call;
	return PROCESS_ID;
}

long linux_getuid(const struct linux_call *call)
{
	(void)call;
	return 0;
}

/* No signal is ever delivered to a handler: the dispositions are accepted and never used. */
long linux_rt_sigaction(const struct linux_call *call)
{
	if (call->arg[0] == 0 || call->arg[0] >= SIGNALS)
		return -EINVAL;
	if (call->arg[2] != 0)
		memset((void *)call->arg[2], 0, KERNEL_SIGACTION_SIZE);
	return 0;
}

long linux_rt_sigprocmask(const struct linux_call *call)
{
	if (call->arg[3] != sizeof(uint64_t))
		return -EINVAL;
	if (call->arg[2] != 0)
		memset((void *)call->arg[2], 0, sizeof(uint64_t));
	return 0;
}

static long end_by_signal(uint64_t signal)
{
	struct text text = {0};

	if (signal == 0)
		return 0;
	if (signal >= SIGNALS)
		return -EINVAL;
	personality_output_flush();
	text_add(&text, "personality: ended by signal ");
	text_add_number(&text, signal);
	text_add(&text, signal == SIGABRT ? " (abort)" : "");
	cairn_log_text(text.bytes, text.length);
	personality_end(128 + (int)signal);
}

long linux_tkill(const struct linux_call *call)
{
	return call->arg[0] == PROCESS_ID ? end_by_signal(call->arg[1]) : -ESRCH;
}

long linux_kill(const struct linux_call *call)
{
	return linux_tkill(call);
}

long linux_tgkill(const struct linux_call *call)
{
	return call->arg[1] == PROCESS_ID ? end_by_signal(call->arg[2]) : -ESRCH;
}

long linux_exit(const struct linux_call *call)
{
	personality_output_flush();
	personality_end((int)call->arg[0]);
}

/* The root-task suspends the server for good; should it not, there is still nothing left to run. */
void personality_end(int status)
{
	if (&cairn_hooks != NULL && cairn_hooks.end != NULL)
		cairn_hooks.end(status);
	for (;;) {
		cairn_request(ROOT_EXIT, (uint64_t)(unsigned)status, 0);
		if (cairn_wait(0, NULL) != CAIRN_OK)
			continue;
	}
}

/* CPUID.01H:ECX bit 30 (SDM vol. 2, CPUID). */
static bool has_rdrand(void)
{
	uint32_t eax = 1, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ecx >> 30 & 1;
}

/* SDM vol. 1, 7.3.17: RDRAND may fail for lack of entropy; ten tries are the advised number. */
static uint64_t rdrand(void)
{
	uint64_t value = 0;
	uint8_t done = 0;

	for (int i = 0; i < 10 && !done; i++)
		__asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=qm"(done) : : "cc");
	return done ? value : 0;
}

/* The finalizer of SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

void personality_random(void *to, size_t length)
{
	static uint64_t state;
	bool rdrand_there = has_rdrand();
	unsigned char *at = to;

	for (size_t i = 0; i < length; i++) {
		if (i % 8 == 0)
			state = mix(state + cairn_tsc() + 0x9e3779b97f4a7c15ull) ^
				(rdrand_there ? rdrand() : 0);
		at[i] = (unsigned char)(state >> (i % 8 * 8));
	}
}

long linux_getrandom(const struct linux_call *call)
{
	personality_random((void *)call->arg[0], call->arg[1]);
	return (long)call->arg[1];
}
