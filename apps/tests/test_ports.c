/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * I/O ports and interrupts, on the serial port. Only where the system gives it to this server
 * (systems/tests-serial.toml: without a console); elsewhere only what is refused without a
 * capability is tested (test_table.c).
 */
#include <cairn/hypercalls.h>
#include "check.h"
#include "worker.h"

#define COM1	     0x3f8u
#define COM1_IER     0x3f9u
#define COM1_IIR     0x3fau
#define COM1_MCR     0x3fcu
#define COM1_SCRATCH 0x3ffu
#define IER_THRE     0x02u /* interrupt when the transmitter is empty */
#define MCR_OUT2     0x08u /* gates the interrupt line */
#define LINE_COM1    4u

static cairn_status_t port_out(uint64_t port, uint64_t width, uint64_t value)
{
	return cairn_port_out(SEL_SERIAL_PORTS, port, width, value);
}

static cairn_status_t port_in(uint64_t port, uint64_t width, uint64_t *value)
{
	return cairn_port_in(SEL_SERIAL_PORTS, port, width, value);
}

static void ports(void)
{
	uint64_t value = 0;

	check_status("a-granted-port-can-be-written", port_out(COM1_SCRATCH, 1, 0x1a5), CAIRN_OK);
	check_status("a-granted-port-can-be-read", port_in(COM1_SCRATCH, 1, &value), CAIRN_OK);
	check_value("one-byte-was-written-and-read", value, 0xa5);
	check_status("the-port-before-is-refused", port_in(COM1 - 1, 1, NULL), CAIRN_ERR_ARG);
	check_status("the-port-behind-is-refused", port_in(COM1 + 8, 1, NULL), CAIRN_ERR_ARG);
	check_status("a-width-that-leaves-the-range-is-refused", port_in(COM1_SCRATCH, 2, NULL),
		     CAIRN_ERR_ARG);
	check_status("a-wide-write-that-leaves-it-is-refused", port_out(COM1 + 5, 4, 0),
		     CAIRN_ERR_ARG);
	check_status("a-width-of-3-is-refused", port_in(COM1, 3, NULL), CAIRN_ERR_ARG);
	check_status("a-width-of-0-is-refused", port_out(COM1, 0, 0), CAIRN_ERR_ARG);
	check_status("a-width-of-8-is-refused", port_out(COM1, 8, 0), CAIRN_ERR_ARG);
	check_status("a-port-beyond-16-bits-is-refused", port_in(0x10000 + COM1, 1, NULL),
		     CAIRN_ERR_ARG);
	check_status("the-last-port-there-is-is-refused", port_in(~0ul, 1, NULL), CAIRN_ERR_ARG);
	check_status("the-debug-exit-port-is-refused", port_out(0xf4, 1, 0), CAIRN_ERR_ARG);
}

/* Makes the line go up: an empty transmitter interrupts as soon as that is enabled. */
static void raise_line(void)
{
	forge_must(port_out(COM1_IER, 1, 0), "writing the serial port");
	forge_must(port_out(COM1_MCR, 1, MCR_OUT2 | 3), "writing the serial port");
	forge_must(port_out(COM1_IER, 1, IER_THRE), "writing the serial port");
}

static void lower_line(void)
{
	uint64_t value;

	forge_must(port_in(COM1_IIR, 1, &value), "reading the serial port");
	forge_must(port_out(COM1_IER, 1, 0), "writing the serial port");
}

static uint64_t wait_bits(uint64_t us)
{
	uint64_t bits = 0;

	forge_ignore(cairn_wait(cairn_tsc() + cairn_ticks_from_us(us), &bits));
	return bits;
}

static void interrupts(void)
{
	uint64_t frame = forge_frame();

	while (wait_bits(100) != 0)
		;
	check_status("an-interrupt-to-no-thread-is-refused", cairn_irq_bind(SEL_SERIAL_IRQ, frame),
		     CAIRN_ERR_TYPE);
	check_status("an-interrupt-can-be-bound", cairn_irq_bind(SEL_SERIAL_IRQ, SEL_SELF),
		     CAIRN_OK);
	raise_line();
	check_value("it-arrives-with-the-badge", wait_bits(100000), SIGNAL_SELF);
	lower_line();
	raise_line();
	check_value("the-line-stays-masked-until-it-is-acknowledged", wait_bits(20000), 0);
	check_status("an-interrupt-can-be-acknowledged", cairn_irq_ack(SEL_SERIAL_IRQ), CAIRN_OK);
	lower_line();
	raise_line();
	check_value("then-it-arrives-again", wait_bits(100000), SIGNAL_SELF);
	lower_line();
	forge_ignore(cairn_irq_ack(SEL_SERIAL_IRQ));
}

void suite_ports(void)
{
	if (cairn_port_in(SEL_SERIAL_PORTS, COM1_SCRATCH, 1, NULL) == CAIRN_ERR_CAP)
		return;
	in_arena(ports);
	in_arena(interrupts);
}
