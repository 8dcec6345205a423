/* SPDX-License-Identifier: BSD-2-Clause */
/* Driver of a 16550, register names as in its data sheet (National Semiconductor
 * PC16550D). */
#include <cairn/hypercalls.h>
#include <cairn/runtime.h>
#include "uart.h"

#define RBR 0 /* THR when written, divisor low with DLAB */
#define IER 1 /* divisor high with DLAB */
#define IIR 2 /* FCR when written */
#define LCR 3
#define MCR 4
#define LSR 5

#define IER_RECEIVED  0x01
#define IER_THR_EMPTY 0x02
#define IIR_NONE      0x01
#define FCR_START     0x07 /* FIFOs on and empty; an interrupt for each received byte */
#define LCR_8N1	      0x03
#define LCR_DLAB      0x80
#define MCR_START     0x0b /* DTR, RTS, and OUT2, which lets the interrupt through on a PC */
#define LSR_RECEIVED  0x01
#define LSR_THR_EMPTY 0x20
#define LSR_IDLE      0x40
#define FIFO	      16
#define MAX_POLLS     100000
#define MAX_CAUSES    16

static uint8_t ier = IER_RECEIVED;

/* A port that cannot be read looks like one that is not there: all ones. */
static uint8_t in(unsigned reg)
{
	uint64_t value = 0xff, port = cairn_info()->serial_port + reg;

	return cairn_port_in(SEL_SERIAL_PORTS, port, 1, &value) == CAIRN_OK ? (uint8_t)value : 0xff;
}

static bool out(unsigned reg, uint8_t value)
{
	return cairn_port_out(SEL_SERIAL_PORTS, cairn_info()->serial_port + reg, 1, value) ==
	       CAIRN_OK;
}

bool uart_is_polled(void)
{
	return cairn_info()->serial_line == SERIAL_NO_LINE;
}

static bool set_speed(void)
{
	uint32_t divisor = cairn_info()->serial_divisor;

	return divisor == 0 || (out(LCR, LCR_DLAB) && out(RBR, (uint8_t)divisor) &&
				out(IER, (uint8_t)(divisor >> 8)) && out(LCR, LCR_8N1));
}

/* What the root-task wrote before must leave first: emptying the FIFOs would lose it. */
static void wait_idle(void)
{
	for (int i = 0; i < MAX_POLLS && !uart_is_idle(); i++)
		;
}

bool uart_start(void)
{
	if (in(LSR) == 0xff)
		return false;
	wait_idle();
	if (uart_is_polled())
		ier = 0;
	return out(IER, 0) && set_speed() && out(IIR, FCR_START) && out(MCR, MCR_START) &&
	       out(IER, ier) &&
	       (uart_is_polled() || cairn_irq_bind(SEL_SERIAL_IRQ, SEL_SELF) == CAIRN_OK);
}

bool uart_receive(uint8_t *byte)
{
	if ((in(LSR)&LSR_RECEIVED) == 0)
		return false;
	*byte = in(RBR);
	return true;
}

size_t uart_room(void)
{
	return (in(LSR)&LSR_THR_EMPTY) != 0 ? FIFO : 0;
}

void uart_send(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (!out(RBR, (uint8_t)bytes[i]))
			return;
	}
}

bool uart_is_idle(void)
{
	return (in(LSR)&LSR_IDLE) != 0;
}

void uart_want_room(bool wanted)
{
	uint8_t value = IER_RECEIVED | (wanted ? IER_THR_EMPTY : 0);

	if (!uart_is_polled() && value != ier && out(IER, value))
		ier = value;
}

/*
 * The line is an edge, and one that comes while it is masked may be lost. So it is unmasked first,
 * and what is pending then is looked for: either it is seen here, or the line was low and its next
 * edge will come.
 */
bool uart_acknowledge(void)
{
	if (uart_is_polled() || cairn_irq_ack(SEL_SERIAL_IRQ) != CAIRN_OK)
		return true;
	/* Reading IIR takes the transmitter's cause back; that of received bytes stays until they
	 * are read. */
	for (int i = 0; i < MAX_CAUSES; i++) {
		if ((in(IIR)&IIR_NONE) != 0)
			return true;
	}
	return (in(LSR)&LSR_RECEIVED) == 0;
}
