/* SPDX-License-Identifier: BSD-2-Clause */
/* A 16550A at COM1, its line being a struct tty_channel: the receive FIFO is the channel's ring
 * itself. */
#ifndef VMM_UART_H
#define VMM_UART_H

#include <stdbool.h>
#include <stdint.h>
#include <cairn/server.h>

#define UART_PORT  0x3f8u
#define UART_PORTS 8u
#define UART_IRQ   4u

struct uart {
	struct tty_channel *tty; /* NULL: nobody listens; output is dropped */
	uint8_t ier, fcr, lcr, mcr, scratch, divisor_low, divisor_high;
	bool thr_empty_pending; /* the transmitter became empty and nobody was told */
	bool blocked;		/* a write found the ring full */
	uint8_t loop[16];	/* loopback mode: what was sent */
	uint8_t loop_count;
	bool unsent;  /* bytes in the ring that the other end was not told of */
	bool newline; /* … and a line is complete, or the ring is half full: tell it now */
};

void uart_reset(struct uart *uart, struct tty_channel *tty);
uint8_t uart_read(struct uart *uart, unsigned reg);
void uart_write(struct uart *uart, unsigned reg, uint8_t value);

/* The other end may have sent or taken bytes. */
void uart_poll(struct uart *uart);

/* Level of the interrupt line. */
bool uart_line(const struct uart *uart);

#endif
