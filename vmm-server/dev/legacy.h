/* SPDX-License-Identifier: BSD-2-Clause */
/* What is left of a PC around the APICs and the UART: clock, reset and power registers, and empty
 * places. */
#ifndef VMM_LEGACY_H
#define VMM_LEGACY_H

#include <stdbool.h>
#include <stdint.h>

/* Sleep control and status registers of hardware-reduced ACPI (ACPI 6.4, 4.8.3.7); named in our
 * FADT. */
#define ACPI_SLEEP_CONTROL 0x600u
#define ACPI_SLEEP_STATUS  0x601u
#define ACPI_S5_TYPE	   5u
#define RESET_PORT	   0xcf9u
#define RESET_VALUE	   0x06u

enum legacy_request { LEGACY_NONE, LEGACY_RESET, LEGACY_POWER_OFF };

struct legacy {
	uint64_t tsc_khz, start_tsc;
	uint8_t cmos_index, port61, reset_control, sleep_control;
};

void legacy_reset(struct legacy *legacy, uint64_t tsc_khz, uint64_t now);

/*
 * Byte accesses. known: set to false where there is nothing at all at that port (reads are all ones
 * then, as on a bus nobody answers).
 */
uint8_t legacy_read(struct legacy *legacy, uint16_t port, uint64_t now, bool *known);
enum legacy_request legacy_write(struct legacy *legacy, uint16_t port, uint8_t value, bool *known);

#endif
