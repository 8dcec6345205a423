/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of clock, reset and power registers, and of the empty places. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "dev/legacy.h"

#define KHZ    1000000ull
#define SECOND (KHZ * 1000)

static struct legacy legacy;
static bool known;

static int setup(void **state)
{
	(void)state;
	legacy_reset(&legacy, KHZ, 0);
	return 0;
}

static uint8_t clock_register(uint8_t index, uint64_t seconds)
{
	(void)legacy_write(&legacy, 0x70, index, &known);
	return legacy_read(&legacy, 0x71, seconds * SECOND, &known);
}

static void check_date(uint64_t seconds, uint8_t century, uint8_t year, uint8_t month, uint8_t day,
		       uint8_t hour, uint8_t minute, uint8_t second, uint8_t weekday)
{
	assert_int_equal(clock_register(0x32, seconds), century);
	assert_int_equal(clock_register(9, seconds), year);
	assert_int_equal(clock_register(8, seconds), month);
	assert_int_equal(clock_register(7, seconds), day);
	assert_int_equal(clock_register(6, seconds), weekday);
	assert_int_equal(clock_register(4, seconds), hour);
	assert_int_equal(clock_register(2, seconds), minute);
	assert_int_equal(clock_register(0, seconds), second);
}

static void clock_runs_from_its_epoch(void **state)
{
	(void)state;
	check_date(0, 0x20, 0x25, 0x01, 0x01, 0, 0, 0, 4);
	check_date(59 * 86400 + 13 * 3600 + 59 * 60 + 58, 0x20, 0x25, 0x03, 0x01, 0x13, 0x59, 0x58,
		   7);
	check_date(365 * 86400, 0x20, 0x26, 0x01, 0x01, 0, 0, 0, 5);
	check_date((365 * 3 + 59) * 86400ull, 0x20, 0x28, 0x02, 0x29, 0, 0, 0, 3); /* a leap year */
	assert_int_equal(clock_register(0x0a, 5) & 0x80, 0); /* no update in progress */
	assert_int_equal(clock_register(0x0d, 5), 0x80);
	assert_int_equal(clock_register(0x40, 5), 0);
}

static void clock_without_frequency_does_not_divide_by_zero(void **state)
{
	(void)state;
	legacy_reset(&legacy, 0, 0);
	(void)legacy_write(&legacy, 0x70, 9, &known);
	(void)legacy_read(&legacy, 0x71, ~0ull, &known);
}

static void each_way_to_reset_is_a_reset(void **state)
{
	(void)state;
	assert_int_equal(legacy_write(&legacy, 0x64, 0xfe, &known), LEGACY_RESET);
	assert_int_equal(legacy_write(&legacy, 0x64, 0xd1, &known), LEGACY_NONE);
	assert_int_equal(legacy_write(&legacy, 0xcf9, 0x02, &known), LEGACY_NONE);
	assert_int_equal(legacy_write(&legacy, 0xcf9, 0x06, &known), LEGACY_RESET);
	assert_int_equal(legacy_write(&legacy, 0x92, 0x02, &known), LEGACY_NONE);
	assert_int_equal(legacy_write(&legacy, 0x92, 0x03, &known), LEGACY_RESET);
}

static void only_s5_powers_off(void **state)
{
	(void)state;
	for (unsigned value = 0; value < 256; value++) {
		enum legacy_request request =
			legacy_write(&legacy, ACPI_SLEEP_CONTROL, (uint8_t)value, &known);
		bool off = (value & 0x20) && (value >> 2 & 7) == 5;

		assert_int_equal(request, off ? LEGACY_POWER_OFF : LEGACY_NONE);
	}
	assert_int_equal(legacy_read(&legacy, ACPI_SLEEP_STATUS, 0, &known), 0);
}

static void probes_end_at_once(void **state)
{
	(void)state;
	assert_int_equal(legacy_read(&legacy, 0x42, 0, &known), 0);
	assert_int_equal(legacy_read(&legacy, 0x61, 0, &known) & 0x20, 0x20);
	assert_int_equal(legacy_read(&legacy, 0x64, 0, &known) & 2, 0);
	assert_int_equal(legacy_read(&legacy, 0x21, 0, &known), 0xff);
	assert_true(known);
	assert_int_equal(legacy_read(&legacy, 0x1234, 0, &known), 0xff);
	assert_false(known);
	assert_int_equal(legacy_write(&legacy, 0x1234, 1, &known), LEGACY_NONE);
	assert_false(known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(clock_runs_from_its_epoch, setup),
		cmocka_unit_test_setup(clock_without_frequency_does_not_divide_by_zero, setup),
		cmocka_unit_test_setup(each_way_to_reset_is_a_reset, setup),
		cmocka_unit_test_setup(only_s5_powers_off, setup),
		cmocka_unit_test_setup(probes_end_at_once, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
