/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of this server's log: into the ring of channel 0, then a signal to the console server. */
#include <stdarg.h>
#include <stdio.h>
#include <cairn/hooks.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/log_ring.h>
#include <cairn/runtime.h>

#define CONSOLE_TRIES	3
#define CONSOLE_WAIT_US 20000u

static bool has_console(void)
{
	return cairn_info()->channel[0].present && cairn_info()->channel[0].kind == CHANNEL_LOG;
}

static bool is_half_full(const struct log_ring *ring)
{
	return __atomic_load_n(&ring->head, __ATOMIC_RELAXED) -
		       __atomic_load_n(&ring->tail, __ATOMIC_RELAXED) >
	       LOG_RECORDS / 2;
}

static uint32_t waited_in_vain; /* since a line was put last */

/*
 * After a signal that finds the ring full. On this CPU the console server has a higher priority and
 * has emptied the ring before this thread runs on. On another one it needs a moment; a console that
 * does not take it is waited for once.
 */
static void let_console_run(const struct log_ring *ring)
{
	uint64_t end;

	if (cairn_info()->channel[0].cpu == cairn_info()->cpu ||
	    __atomic_load_n(&waited_in_vain, __ATOMIC_RELAXED))
		return;
	end = cairn_tsc() + cairn_ticks_from_us(CONSOLE_WAIT_US);
	while (is_half_full(ring)) {
		if (cairn_tsc() >= end) {
			__atomic_store_n(&waited_in_vain, 1, __ATOMIC_RELAXED);
			return;
		}
		__builtin_ia32_pause();
	}
}

static void to_console(const char *text, size_t length)
{
	struct log_ring *ring = cairn_channel(0);
	uint64_t tsc = cairn_tsc();
	bool put = false;

	for (int i = 0; i < CONSOLE_TRIES && !put; i++) {
		/* A line counts as dropped once. */
		put = i + 1 < CONSOLE_TRIES ? log_ring_try_put(ring, tsc, text, length)
					    : log_ring_put(ring, tsc, text, length);
		if (cairn_signal(SEL_CHANNEL + 0) != CAIRN_OK)
			return; /* the console is gone: there is nobody to tell */
		if (!put && i + 1 < CONSOLE_TRIES)
			let_console_run(ring);
	}
	if (put)
		__atomic_store_n(&waited_in_vain, 0, __ATOMIC_RELAXED);
}

/* Without a channel only the kernel's own output is left, in debug builds. */
static void to_kernel(const char *text, size_t length)
{
	for (size_t at = 0; at <= length; at += 8) {
		uint64_t word = 0;

		for (size_t i = 0; i < 8 && at + i <= length; i++) {
			uint64_t c = at + i == length ? '\n' : (unsigned char)text[at + i];

			word |= c << (8 * i);
		}
		if (cairn_debug_write(word) != CAIRN_OK)
			return;
	}
}

void cairn_log_text(const char *text, size_t length)
{
	if (&cairn_hooks != NULL && cairn_hooks.log_line != NULL)
		cairn_hooks.log_line(text, length);
	else if (has_console())
		to_console(text, length);
	else
		to_kernel(text, length);
}

void cairn_log(const char *format, ...)
{
	char line[CAIRN_LOG_LINE];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	cairn_log_text(line, (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1);
}
