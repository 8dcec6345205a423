/* SPDX-License-Identifier: BSD-2-Clause */
/* The root-task's own output: polled writes to the serial port, or lines for the console server. */
#include <stdbool.h>
#include <string.h>
#include <cairn/boot.h>
#include <cairn/hypercalls.h>
#include <cairn/log_ring.h>
#include <cairn/runtime.h>
#include "output.h"

/* 16550: data and line-status register, its bit "transmitter holding register empty", depth of the
 * FIFO. */
#define COM1	  0x3f8
#define LSR	  5
#define LSR_THRE  0x20
#define FIFO	  16
#define MAX_POLLS 100000
#define MAX_SPINS 10000000

static struct log_ring *console_ring; /* read by threads on every CPU */
static unsigned long console_thread;  /* written before it */
static uint32_t serial_busy;
static uint16_t port = COM1;

void output_to_port(uint16_t first)
{
	port = first;
}

/* Bounded: a machine without this port must not stop the root-task. */
static bool wait_for_room(void)
{
	uint64_t lsr = 0;

	for (int i = 0; i < MAX_POLLS; i++) {
		if (cairn_port_in(ROOT_IOPORTS, port + LSR, 1, &lsr) != CAIRN_OK)
			return false;
		if ((lsr & LSR_THRE) != 0)
			return true;
	}
	return false;
}

static void serial_put(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (i % FIFO == 0 && !wait_for_room())
			return;
		if (cairn_port_out(ROOT_IOPORTS, port, 1, (unsigned char)bytes[i]) != CAIRN_OK)
			return;
	}
}

/* So that lines of several CPUs do not mix. Bounded: this thread may have preempted the holder. */
static void serial_lock(void)
{
	for (int i = 0; i < MAX_SPINS; i++) {
		if (!__atomic_exchange_n(&serial_busy, 1, __ATOMIC_ACQUIRE))
			return;
		__builtin_ia32_pause();
	}
}

void output_serial_line(const char *text, size_t length)
{
	static const char mark[] = "[system] root: ";

	serial_lock();
	serial_put(mark, strlen(mark));
	serial_put(text, length);
	serial_put("\r\n", 2);
	__atomic_store_n(&serial_busy, 0, __ATOMIC_RELEASE);
}

void output_to_console(struct log_ring *ring, unsigned long console)
{
	if (ring != NULL)
		console_thread = console;
	__atomic_store_n(&console_ring, ring, __ATOMIC_RELEASE);
}

static struct log_ring *ring_to_console(void)
{
	return __atomic_load_n(&console_ring, __ATOMIC_ACQUIRE);
}

void output_poke_console(void)
{
	if (ring_to_console() != NULL && cairn_signal(console_thread) != CAIRN_OK)
		output_to_console(NULL, 0); /* it is gone */
}

void output_line(const char *text, size_t length)
{
	struct log_ring *ring = ring_to_console();

	if (ring != NULL && log_ring_put(ring, cairn_tsc(), text, length) &&
	    cairn_signal(console_thread) == CAIRN_OK)
		return;
	output_serial_line(text, length);
}
