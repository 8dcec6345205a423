/* SPDX-License-Identifier: BSD-2-Clause */
/* Which serial port the system talks through: the one that the firmware names, else COM1. */
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include "output.h"
#include "root.h"

/* 16550, register names as in its data sheet; offsets from its first port. */
#define IER	1
#define FCR	2
#define LCR	3
#define MCR	4
#define LSR	5
#define SCRATCH 7
#define PORTS	8

#define LCR_8N1	      0x03
#define LCR_DLAB      0x80
#define FCR_START     0x07 /* FIFOs on and empty */
#define MCR_START     0x03 /* DTR, RTS */
#define LSR_IDLE      0x40
#define SCRATCH_VALUE 0x5a
#define MAX_POLLS     100000

#define COM1	       0x3f8
#define COM1_LINE      4
#define DIVISOR_115200 1

struct acpi_serial serial = {COM1, DIVISOR_115200, COM1_LINE};

static bool out(uint16_t port, unsigned value)
{
	return cairn_port_out(ROOT_IOPORTS, port, 1, value & 0xff) == CAIRN_OK;
}

/* Who wrote there before must not lose it when the FIFOs are emptied. */
static void wait_idle(uint16_t port)
{
	uint64_t lsr = 0;

	for (int i = 0; i < MAX_POLLS && (lsr & LSR_IDLE) == 0; i++) {
		if (cairn_port_in(ROOT_IOPORTS, port + LSR, 1, &lsr) != CAIRN_OK)
			return;
	}
}

/* Whether there is one, which is then set up. */
static bool start(const struct acpi_serial *found)
{
	uint16_t port = found->port;
	uint64_t value = 0;

	if (!out(port + SCRATCH, SCRATCH_VALUE) ||
	    cairn_port_in(ROOT_IOPORTS, port + SCRATCH, 1, &value) != CAIRN_OK ||
	    value != SCRATCH_VALUE || !out(port + IER, 0))
		return false;
	wait_idle(port);
	if (found->divisor != 0 &&
	    !(out(port + LCR, LCR_DLAB) && out(port, found->divisor) &&
	      out(port + IER, found->divisor >> 8) && out(port + LCR, LCR_8N1)))
		return false;
	return out(port + FCR, FCR_START) && out(port + MCR, MCR_START);
}

/* The kernel repeats there what it has said so far. */
static bool tell_kernel(uint16_t port)
{
	uint32_t ports = slot_take(&root_domain, true);

	return ports != 0 &&
	       report(cairn_copy(ROOT_IOPORTS, ROOT_CAPTABLE, ports, RIGHT_ALL,
				 port | (uint64_t)(port + PORTS - 1) << 16),
		      "take the serial port") &&
	       report(cairn_serial(ports), "tell the kernel of the serial port");
}

void serial_find(void)
{
	const uint8_t *table;
	uint32_t length;
	struct acpi_serial found;
	const char *wrong = firmware_table("SPCR", &table, &length);

	if (wrong == NULL && length != 0)
		wrong = acpi_read_serial(table, length, &found);
	physical_unmap();
	if (wrong == NULL && length != 0 && !start(&found))
		wrong = "no 16550 answers where the ACPI table SPCR says";
	if (wrong == NULL && length != 0) {
		serial = found;
		output_to_port(found.port);
		if (found.port != COM1 || found.divisor != DIVISOR_115200)
			tell_kernel(found.port);
	}
	if (wrong != NULL)
		cairn_log("serial port: %s: COM1 is used", wrong);
}
