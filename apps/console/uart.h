/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's serial port: the 16550 that the root-task names. */
#ifndef CONSOLE_UART_H
#define CONSOLE_UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sets speed and interrupts up; false: no port, or it could not be had. */
bool uart_start(void);

/* Whether it has no interrupt, and is to be looked at every few milliseconds. */
bool uart_is_polled(void);

/* Takes one received byte; false: there is none. */
bool uart_receive(uint8_t *byte);

/* How many bytes the transmitter takes now (0, or the depth of its FIFO). */
size_t uart_room(void);
void uart_send(const char *bytes, size_t length);

/* Whether the last bit has left. */
bool uart_is_idle(void);

/* Whether an interrupt is wanted when the transmitter has room again. */
void uart_want_room(bool wanted);

/* Acknowledges the interrupt after everything was looked at; false: there is something to look at
 * again. */
bool uart_acknowledge(void);

#endif
