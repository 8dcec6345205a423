/* SPDX-License-Identifier: BSD-2-Clause */
/* The root-task's own output: to the serial port itself until the console server runs, then through
 * its log channel. */
#ifndef ROOT_OUTPUT_H
#define ROOT_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

struct log_ring;

/* The serial port is the 16550 there, which is set up. COM1 before that. */
void output_to_port(uint16_t first);

void output_line(const char *text, size_t length);

/* From now on lines go to this ring; `console`: selector of the console's Thread, to be signalled.
 * NULL: back. */
void output_to_console(struct log_ring *ring, unsigned long console);

/* Makes the console server look at the ring. */
void output_poke_console(void);

/* Writes a line to the serial port whatever else is in use: for the last words. */
void output_serial_line(const char *text, size_t length);

#endif
