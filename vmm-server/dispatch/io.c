/* SPDX-License-Identifier: BSD-2-Clause */
/* Port I/O: which device answers. */
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include "dispatch/exit.h"

#define PORT_DEBUG_EXIT 0xf4u
#define IIR		2u
#define IIR_NONE	1u
#define LCR		3u
#define SCRATCH		7u
#define FLUSH_US	2000u	     /* a byte waits at most so long for its line to be complete */
#define FIRST_PORT	(1ull << 32) /* what first_time() remembers of ports */

static bool is_uart(uint16_t port)
{
	return port >= UART_PORT && port < UART_PORT + UART_PORTS;
}

void io_poll(struct vcpu *v)
{
	uart_poll(&vm.uart);
	ioapic_set_line(&vm.ioapic, UART_IRQ, uart_line(&vm.uart));
	bus_ioapic(v);
}

static void signal_console(void)
{
	vm.uart.unsent = false;
	vm.uart.newline = false;
	vm.tty_deadline = 0;
	if (vm.tty_channel >= 0 && cairn_signal(SEL_CHANNEL + (unsigned)vm.tty_channel) != CAIRN_OK)
		cairn_log("cannot signal the console");
}

void io_flush(bool now)
{
	if (vm.uart.unsent && (now || vm.uart.newline))
		signal_console();
	if ((vm.uart.unsent || vm.uart.blocked) && vm.tty_deadline == 0)
		vm.tty_deadline = cairn_tsc() + cairn_ticks_from_us(FLUSH_US);
}

static void report_unknown(uint16_t port, const char *what)
{
	if (first_time(FIRST_PORT | port))
		cairn_log("no device at port 0x%x (%s); further accesses are not logged", port,
			  what);
}

/* Registers that neither raise nor lower the interrupt line. */
static bool has_effect(unsigned reg)
{
	return reg != SCRATCH && reg != LCR;
}

static uint8_t uart_in(struct vcpu *v, unsigned reg)
{
	uint8_t value = uart_read(&vm.uart, reg);

	/* The guest was told "nothing pending": what comes from now on is a new edge. */
	if (reg == IIR && (value & IIR_NONE))
		ioapic_set_line(&vm.ioapic, UART_IRQ, false);
	if (has_effect(reg))
		io_poll(v);
	return value;
}

/* The clock goes on whatever the guest writes to its TSC. */
static uint8_t read_byte(struct vcpu *v, uint16_t port)
{
	uint8_t value;
	bool known;

	if (is_uart(port))
		return uart_in(v, port - UART_PORT);
	value = legacy_read(&vm.legacy, port, cairn_tsc(), &known);
	if (!known)
		report_unknown(port, "read");
	return value;
}

static void write_byte(struct vcpu *v, uint16_t port, uint8_t value)
{
	bool known;

	if (is_uart(port)) {
		uart_write(&vm.uart, port - UART_PORT, value);
		if (has_effect(port - UART_PORT))
			io_poll(v);
		return;
	}
	switch (legacy_write(&vm.legacy, port, value, &known)) {
	case LEGACY_RESET:
		bus_end_vm(v, END_RESET, 0);
		break;
	case LEGACY_POWER_OFF:
		bus_end_vm(v, END_POWER_OFF, 0);
		break;
	default:
		break;
	}
	if (!known)
		report_unknown(port, "write");
}

/* PCI's configuration registers: 0xcf8 is one only as a double word; nobody answers behind it. */
static bool is_pci_config(uint16_t port, unsigned size)
{
	return (port == 0xcf8 && size == 4) || (port >= 0xcfc && port <= 0xcff);
}

uint32_t io_read(struct vcpu *v, uint16_t port, unsigned size)
{
	uint32_t value = 0;

	if (is_pci_config(port, size))
		return size == 4 ? 0xffffffffu : (1u << size * 8) - 1;
	if (size == 1)
		return read_byte(v, port);
	for (unsigned i = 0; i < size; i++)
		value |= (uint32_t)read_byte(v, (uint16_t)(port + i)) << i * 8;
	return value;
}

void io_write(struct vcpu *v, uint16_t port, unsigned size, uint32_t value)
{
	if (is_pci_config(port, size))
		return;
	if (port == PORT_DEBUG_EXIT && vm.info->vm.debug_exit) {
		bus_end_vm(v, END_DEBUG_EXIT, value);
		return;
	}
	for (unsigned i = 0; i < size; i++)
		write_byte(v, (uint16_t)(port + i), (uint8_t)(value >> i * 8));
}
