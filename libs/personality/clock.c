/* SPDX-License-Identifier: BSD-2-Clause */
/* Time by the TSC: every clock counts from the machine's start (there is no date), sleeping is
 * wait() with a deadline. */
#include <errno.h>
#include <sys/time.h>
#include <time.h>
#include <cairn/log.h>
#include <cairn/runtime.h>
#include "libs/personality/personality.h"
#include "libs/personality/signals.h"

/* Linux's <linux/futex.h>, which musl does not have. */
#define FUTEX_WAIT     0
#define FUTEX_WAKE     1
#define FUTEX_CMD_MASK 0x7f /* without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME */

#define NS_PER_S  1000000000ull
#define NS_PER_US 1000ull
#define US_PER_S  1000000ull

static void now(struct timespec *time)
{
	uint64_t us = cairn_us_from_ticks(cairn_tsc());

	time->tv_sec = (time_t)(us / US_PER_S);
	time->tv_nsec = (long)(us % US_PER_S * NS_PER_US);
}

static bool known_clock(uint64_t clock)
{
	return clock <= CLOCK_BOOTTIME;
}

long linux_clock_gettime(const struct linux_call *call)
{
	if (!known_clock(call->arg[0]))
		return -EINVAL;
	now((struct timespec *)call->arg[1]);
	return 0;
}

long linux_clock_getres(const struct linux_call *call)
{
	struct timespec *resolution = (struct timespec *)call->arg[1];

	if (!known_clock(call->arg[0]))
		return -EINVAL;
	if (resolution != NULL)
		*resolution = (struct timespec){.tv_nsec = (long)NS_PER_US};
	return 0;
}

long linux_gettimeofday(const struct linux_call *call)
{
	struct timeval *value = (struct timeval *)call->arg[0];
	struct timespec time;

	now(&time);
	if (value != NULL) {
		value->tv_sec = time.tv_sec;
		value->tv_usec = time.tv_nsec / (long)NS_PER_US;
	}
	return 0;
}

static bool valid(const struct timespec *time)
{
	return time->tv_sec >= 0 && time->tv_nsec >= 0 && (uint64_t)time->tv_nsec < NS_PER_S;
}

/* Microseconds, rounded up; beyond a million years it no longer matters how many. */
static uint64_t us_of(const struct timespec *time)
{
	uint64_t seconds = (uint64_t)time->tv_sec;

	if (seconds > UINT32_MAX)
		seconds = UINT32_MAX;
	return seconds * US_PER_S + ((uint64_t)time->tv_nsec + NS_PER_US - 1) / NS_PER_US;
}

long linux_nanosleep(const struct linux_call *call)
{
	const struct timespec *time = (const struct timespec *)call->arg[0];

	if (!valid(time))
		return -EINVAL;
	personality_sleep_until(cairn_tsc() + cairn_ticks_from_us(us_of(time)));
	return 0;
}

long linux_clock_nanosleep(const struct linux_call *call)
{
	const struct timespec *time = (const struct timespec *)call->arg[2];
	uint64_t start = (call->arg[1] & TIMER_ABSTIME) != 0 ? 0 : cairn_tsc();

	if (!known_clock(call->arg[0]) || !valid(time))
		return -EINVAL;
	personality_sleep_until(start + cairn_ticks_from_us(us_of(time)));
	return 0;
}

/* Threads of other servers run when this one waits; there is nobody else to yield to. */
long linux_sched_yield(const struct linux_call *call)
{
	(void)call;
	return 0;
}

/*
 * musl's locks are for its own threads, and here there is one: a wake finds nobody, and a wait
 * without an end would be a deadlock, which is better reported than slept through.
 */
long linux_futex(const struct linux_call *call)
{
	const volatile uint32_t *word = (const volatile uint32_t *)call->arg[0];
	const struct timespec *timeout = (const struct timespec *)call->arg[3];

	switch (call->arg[1] & FUTEX_CMD_MASK) {
	case FUTEX_WAKE:
		return 0;
	case FUTEX_WAIT:
		if (*word != (uint32_t)call->arg[2])
			return -EAGAIN;
		if (timeout != NULL) {
			if (!valid(timeout))
				return -EINVAL;
			personality_sleep_until(cairn_tsc() + cairn_ticks_from_us(us_of(timeout)));
			return -ETIMEDOUT;
		}
		cairn_log("personality: a lock that nobody can release: the server ends");
		personality_end(128);
	default:
		return -ENOSYS;
	}
}
