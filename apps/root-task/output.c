/* SPDX-License-Identifier: BSD-2-Clause */
/* The root-task's own output: polled writes to COM1, or lines for the console server. */
#include <stdbool.h>
#include <string.h>
#include <cairn/boot.h>
#include <cairn/hypercalls.h>
#include <cairn/log_ring.h>
#include <cairn/runtime.h>
#include "output.h"

/* 16550: data and line-status register, its bit "transmitter holding register empty", depth of the
 * FIFO. */
#define COM1_DATA 0x3f8
#define COM1_LSR  0x3fd
#define LSR_THRE  0x20
#define FIFO	  16
#define MAX_POLLS 100000

static struct log_ring *console_ring;
static unsigned long console_thread;

/* Bounded: a machine without this port must not stop the root-task. */
static bool wait_for_room(void)
{
	uint64_t lsr = 0;

	for (int i = 0; i < MAX_POLLS; i++) {
		if (cairn_port_in(ROOT_IOPORTS, COM1_LSR, 1, &lsr) != CAIRN_OK)
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
		if (cairn_port_out(ROOT_IOPORTS, COM1_DATA, 1, (unsigned char)bytes[i]) != CAIRN_OK)
			return;
	}
}

void output_serial_line(const char *text, size_t length)
{
	static const char mark[] = "[system] root: ";

	serial_put(mark, strlen(mark));
	serial_put(text, length);
	serial_put("\r\n", 2);
}

void output_to_console(struct log_ring *ring, unsigned long console)
{
	console_ring = ring;
	console_thread = console;
}

void output_poke_console(void)
{
	if (console_ring != NULL && cairn_signal(console_thread) != CAIRN_OK)
		console_ring = NULL; /* it is gone */
}

void output_line(const char *text, size_t length)
{
	if (console_ring != NULL && log_ring_put(console_ring, cairn_tsc(), text, length) &&
	    cairn_signal(console_thread) == CAIRN_OK)
		return;
	output_serial_line(text, length);
}
