/* SPDX-License-Identifier: BSD-2-Clause */
/* Clock, reset, power-off, and the places where a guest looks for devices that are not there. */
#include <string.h>
#include "dev/legacy.h"

#define PORT_PIT_2	 0x42u
#define PORT_61		 0x61u
#define PORT_KBC_STATUS	 0x64u
#define PORT_CMOS_INDEX	 0x70u
#define PORT_CMOS_DATA	 0x71u
#define PORT_92		 0x92u
#define KBC_RESET	 0xfeu
#define PORT_61_OUT2	 0x20u
#define PORT_61_WRITABLE 0x0fu
#define PORT_92_A20	 0x02u
#define PORT_92_RESET	 0x01u
#define RESET_NOW	 0x04u
#define SLEEP_ENABLE	 0x20u
#define SLEEP_TYPE(v)	 ((v) >> 2 & 7u)

/* The guest's day begins here, whenever it is started: runs are repeatable. 2025-01-01 00:00:00
 * UTC. */
#define EPOCH_YEAR    2025u
#define EPOCH_WEEKDAY 3u /* Wednesday; Sunday is 0 */

struct port_range {
	uint16_t first, last;
};

/* Places where software routinely probes or delays; nothing is there, and nobody wants a log line
 * about it. */
/* clang-format off */
static const struct port_range expected_empty[] = {
	{ 0x20, 0x21 },   { 0x2e, 0x2f },   { 0x40, 0x43 },   { 0x4e, 0x4f },   { 0x60, 0x64 },
	{ 0x80, 0x8f },   { 0xa0, 0xa1 },   { 0xed, 0xed },   { 0x2e8, 0x2ef }, { 0x2f8, 0x2ff },
	{ 0x3b0, 0x3df }, { 0x3e8, 0x3ef }, { 0x4d0, 0x4d1 }, { 0xcf8, 0xcff },
};
/* clang-format on */

struct date {
	unsigned year, month, day, hour, minute, second, weekday;
};

void legacy_reset(struct legacy *legacy, uint64_t tsc_khz, uint64_t now)
{
	memset(legacy, 0, sizeof(*legacy));
	legacy->tsc_khz = tsc_khz;
	legacy->start_tsc = now;
}

static bool is_leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of_month(unsigned year, unsigned month)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

static struct date date_after(uint64_t seconds)
{
	struct date date = {.year = EPOCH_YEAR, .month = 1, .day = 1};
	uint64_t days = seconds / 86400;

	date.second = seconds % 60;
	date.minute = seconds / 60 % 60;
	date.hour = seconds / 3600 % 24;
	date.weekday = (unsigned)((days + EPOCH_WEEKDAY) % 7);
	if (days > 36500)
		days = 36500; /* a clock that stands still after a century */
	while (days >= days_of_month(date.year, date.month)) {
		days -= days_of_month(date.year, date.month);
		if (++date.month > 12) {
			date.month = 1;
			date.year++;
		}
	}
	date.day += (unsigned)days;
	return date;
}

static uint8_t bcd(unsigned value)
{
	return (uint8_t)(value / 10 % 10 << 4 | value % 10);
}

/* MC146818 registers; the update-in-progress bit of register A is never set. */
static uint8_t cmos(const struct legacy *legacy, uint64_t now)
{
	uint64_t khz = legacy->tsc_khz ? legacy->tsc_khz : 1;
	struct date date = date_after((now - legacy->start_tsc) / khz / 1000);

	switch (legacy->cmos_index & 0x7f) {
	case 0x00:
		return bcd(date.second);
	case 0x02:
		return bcd(date.minute);
	case 0x04:
		return bcd(date.hour);
	case 0x06:
		return bcd(date.weekday + 1);
	case 0x07:
		return bcd(date.day);
	case 0x08:
		return bcd(date.month);
	case 0x09:
		return bcd(date.year % 100);
	case 0x0a:
		return 0x26; /* 32.768 kHz, 1024 Hz */
	case 0x0b:
		return 0x02; /* 24 hours, BCD */
	case 0x0d:
		return 0x80; /* the battery is good */
	case 0x32:
		return bcd(date.year / 100);
	default:
		return 0;
	}
}

static bool is_expected_empty(uint16_t port)
{
	for (unsigned i = 0; i < sizeof(expected_empty) / sizeof(expected_empty[0]); i++)
		if (port >= expected_empty[i].first && port <= expected_empty[i].last)
			return true;
	return false;
}

uint8_t legacy_read(struct legacy *legacy, uint16_t port, uint64_t now, bool *known)
{
	*known = true;
	switch (port) {
	case PORT_PIT_2: /* a counter that has run out: Linux stops polling it at once */
		return 0;
	case PORT_61:
		return legacy->port61 | PORT_61_OUT2;
	case PORT_KBC_STATUS: /* ready to take a command: the reset */
		return 0;
	case PORT_CMOS_INDEX:
		return legacy->cmos_index;
	case PORT_CMOS_DATA:
		return cmos(legacy, now);
	case PORT_92:
		return PORT_92_A20;
	case RESET_PORT:
		return legacy->reset_control;
	case ACPI_SLEEP_CONTROL:
		return legacy->sleep_control;
	case ACPI_SLEEP_STATUS:
		return 0;
	default:
		*known = is_expected_empty(port);
		return 0xff;
	}
}

static enum legacy_request sleep_request(struct legacy *legacy, uint8_t value)
{
	legacy->sleep_control = value & (uint8_t)~SLEEP_ENABLE;
	if ((value & SLEEP_ENABLE) && SLEEP_TYPE(value) == ACPI_S5_TYPE)
		return LEGACY_POWER_OFF;
	return LEGACY_NONE;
}

enum legacy_request legacy_write(struct legacy *legacy, uint16_t port, uint8_t value, bool *known)
{
	*known = true;
	switch (port) {
	case PORT_61:
		legacy->port61 = value & PORT_61_WRITABLE;
		return LEGACY_NONE;
	case PORT_KBC_STATUS:
		return value == KBC_RESET ? LEGACY_RESET : LEGACY_NONE;
	case PORT_CMOS_INDEX:
		legacy->cmos_index = value;
		return LEGACY_NONE;
	case PORT_CMOS_DATA:
		return LEGACY_NONE;
	case PORT_92:
		return value & PORT_92_RESET ? LEGACY_RESET : LEGACY_NONE;
	case RESET_PORT:
		legacy->reset_control = value & (uint8_t)~RESET_NOW;
		return value & RESET_NOW ? LEGACY_RESET : LEGACY_NONE;
	case ACPI_SLEEP_CONTROL:
		return sleep_request(legacy, value);
	case ACPI_SLEEP_STATUS:
		return LEGACY_NONE;
	default:
		*known = is_expected_empty(port);
		return LEGACY_NONE;
	}
}
