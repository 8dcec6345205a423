/* SPDX-License-Identifier: BSD-2-Clause */
/* Switching the machine off, by ACPI's fixed hardware (ACPI 6.5, 4.8.3.2 and 16.1). */
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/runtime.h>
#include "acpi.h"
#include "root.h"

#define SCI_ENABLED    1u /* ACPI mode: the control registers are ours */
#define SLEEP_TYPE     10u
#define SLEEP_ENABLE   (1u << 13)
#define SLEEP_BITS     (7u << SLEEP_TYPE | SLEEP_ENABLE)
#define ENABLE_WAIT_US 3000000u /* for the firmware to leave legacy mode */

static struct acpi_power power; /* control[0] == 0: not known */

static const char *read_tables(void)
{
	struct acpi_power found;
	const uint8_t *table;
	uint32_t length;
	const char *wrong = firmware_table("FACP", &table, &length);

	if (wrong == NULL)
		wrong = length != 0 ? acpi_read_power(table, length, &found)
				    : "there is no ACPI table FACP";
	if (wrong == NULL)
		wrong = firmware_table_at(found.dsdt, "DSDT", &table, &length);
	if (wrong == NULL)
		wrong = acpi_read_off(table, length, &found);
	if (wrong == NULL)
		power = found;
	return wrong;
}

void power_find(void)
{
	const char *wrong = read_tables();

	physical_unmap();
	if (wrong != NULL)
		cairn_log("%s: the machine stays on when the system has ended", wrong);
}

static uint64_t control(unsigned n)
{
	uint64_t value = 0;

	if (cairn_port_in(ROOT_IOPORTS, power.control[n], 2, &value) != CAIRN_OK)
		return 0;
	return value;
}

static void enter_acpi_mode(void)
{
	uint64_t end = cairn_tsc() + cairn_ticks_from_us(ENABLE_WAIT_US);

	if ((control(0) & SCI_ENABLED) != 0 || power.command == 0 || power.enable == 0)
		return;
	if (cairn_port_out(ROOT_IOPORTS, power.command, 1, power.enable) != CAIRN_OK)
		return;
	while ((control(0) & SCI_ENABLED) == 0 && cairn_tsc() < end)
		;
}

void power_off(void)
{
	if (power.control[0] == 0)
		return;
	enter_acpi_mode();
	for (unsigned n = 0; n < 2 && power.control[n] != 0; n++) {
		uint64_t value = (control(n) & ~(uint64_t)SLEEP_BITS) |
				 (uint64_t)power.type[n] << SLEEP_TYPE | SLEEP_ENABLE;

		if (cairn_port_out(ROOT_IOPORTS, power.control[n], 2, value) != CAIRN_OK)
			return;
	}
}
