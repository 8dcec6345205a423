/* SPDX-License-Identifier: BSD-2-Clause */
/* The 16550A. */
#include <string.h>
#include <cairn/byte_ring.h>
#include "dev/uart.h"

enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCRATCH };

#define IER_RECEIVE  0x01u
#define IER_TRANSMIT 0x02u
#define IIR_NONE     0x01u
#define IIR_TRANSMIT 0x02u
#define IIR_RECEIVE  0x04u
#define IIR_FIFO     0xc0u
#define FCR_ENABLE   0x01u
#define FCR_CLEAR_RX 0x02u
#define LCR_DLAB     0x80u
#define MCR_OUT2     0x08u
#define MCR_LOOP     0x10u
#define LSR_DATA     0x01u
#define LSR_THRE     0x20u
#define LSR_TEMT     0x40u
#define MSR_LINE     0xb0u /* CTS, DSR, DCD: someone is there */

/* The transmitter says that it is busy while the ring has less room than Linux sends in one go (its
 * FIFO). */
#define TRANSMIT_ROOM 16u

void uart_reset(struct uart *uart, struct tty_channel *tty)
{
	memset(uart, 0, sizeof(*uart));
	uart->tty = tty;
	uart->divisor_low = 1;
	uart->thr_empty_pending = true;
}

static bool can_send(const struct uart *uart)
{
	return uart->tty == NULL || byte_ring_free(&uart->tty->out) >= TRANSMIT_ROOM;
}

static bool has_data(const struct uart *uart)
{
	if (uart->mcr & MCR_LOOP)
		return uart->loop_count != 0;
	return uart->tty != NULL && byte_ring_used(&uart->tty->in) != 0;
}

static uint8_t interrupt_identity(const struct uart *uart)
{
	uint8_t fifo = uart->fcr & FCR_ENABLE ? IIR_FIFO : 0;

	if ((uart->ier & IER_RECEIVE) && has_data(uart))
		return IIR_RECEIVE | fifo;
	if ((uart->ier & IER_TRANSMIT) && uart->thr_empty_pending)
		return IIR_TRANSMIT | fifo;
	return IIR_NONE | fifo;
}

bool uart_line(const struct uart *uart)
{
	return (uart->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2 &&
	       !(interrupt_identity(uart) & IIR_NONE);
}

static uint8_t receive(struct uart *uart)
{
	uint8_t byte = 0;

	if (uart->mcr & MCR_LOOP) {
		if (uart->loop_count == 0)
			return 0;
		byte = uart->loop[0];
		uart->loop_count--;
		memmove(&uart->loop[0], &uart->loop[1], uart->loop_count);
		return byte;
	}
	if (uart->tty != NULL)
		(void)byte_ring_read(&uart->tty->in, &byte, 1);
	return byte;
}

static void transmit(struct uart *uart, uint8_t byte)
{
	if (uart->mcr & MCR_LOOP) {
		if (uart->loop_count < sizeof(uart->loop))
			uart->loop[uart->loop_count++] = byte;
	} else if (uart->tty != NULL && byte_ring_write(&uart->tty->out, &byte, 1) == 1) {
		uart->unsent = true;
		if (byte == '\n' || byte_ring_used(&uart->tty->out) >= BYTE_RING_SIZE / 2)
			uart->newline = true;
	}
	uart->blocked = !can_send(uart);
	uart->thr_empty_pending = !uart->blocked;
}

void uart_poll(struct uart *uart)
{
	if (uart->blocked && can_send(uart)) {
		uart->blocked = false;
		uart->thr_empty_pending = true;
	}
}

static uint8_t line_status(struct uart *uart)
{
	uint8_t status = has_data(uart) ? LSR_DATA : 0;

	uart_poll(uart);
	if (!uart->blocked)
		status |= LSR_THRE | LSR_TEMT;
	return status;
}

static uint8_t modem_status(const struct uart *uart)
{
	uint8_t m = uart->mcr;

	if (!(m & MCR_LOOP))
		return MSR_LINE;
	/* RTS -> CTS, DTR -> DSR, OUT1 -> RI, OUT2 -> DCD */
	return (uint8_t)((m & 2) << 3 | (m & 1) << 5 | (m & 4) << 4 | (m & 8) << 4);
}

uint8_t uart_read(struct uart *uart, unsigned reg)
{
	uint8_t identity;

	switch (reg) {
	case REG_DATA:
		return uart->lcr & LCR_DLAB ? uart->divisor_low : receive(uart);
	case REG_IER:
		return uart->lcr & LCR_DLAB ? uart->divisor_high : uart->ier;
	case REG_IIR_FCR:
		identity = interrupt_identity(uart);
		if ((identity & 0xf) == IIR_TRANSMIT)
			uart->thr_empty_pending = false;
		return identity;
	case REG_LCR:
		return uart->lcr;
	case REG_MCR:
		return uart->mcr;
	case REG_LSR:
		return line_status(uart);
	case REG_MSR:
		return modem_status(uart);
	case REG_SCRATCH:
		return uart->scratch;
	default:
		return 0xff;
	}
}

static void write_ier(struct uart *uart, uint8_t value)
{
	/* Enabling the transmitter's interrupt while it is empty raises it. */
	if ((value & ~uart->ier & IER_TRANSMIT) && !uart->blocked)
		uart->thr_empty_pending = true;
	uart->ier = value & 0xf;
}

void uart_write(struct uart *uart, unsigned reg, uint8_t value)
{
	bool dlab = uart->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		if (dlab)
			uart->divisor_low = value;
		else
			transmit(uart, value);
		break;
	case REG_IER:
		if (dlab)
			uart->divisor_high = value;
		else
			write_ier(uart, value);
		break;
	case REG_IIR_FCR:
		/* Clearing the receive FIFO does not drop what a person typed ahead: the ring is
		 * the line, not the FIFO. */
		uart->fcr = value & (uint8_t) ~(FCR_CLEAR_RX | 4u);
		if (value & FCR_CLEAR_RX)
			uart->loop_count = 0;
		break;
	case REG_LCR:
		uart->lcr = value;
		break;
	case REG_MCR:
		uart->mcr = value & 0x1f;
		break;
	case REG_SCRATCH:
		uart->scratch = value;
		break;
	default: /* line and modem status are read-only */
		break;
	}
}
