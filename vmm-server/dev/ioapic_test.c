/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the I/O APIC: edges, levels, masks, its registers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "dev/ioapic.h"

static struct ioapic ioapic;
static struct apic_message message;

static int setup(void **state)
{
	(void)state;
	ioapic_reset(&ioapic);
	return 0;
}

static void put(uint32_t index, uint32_t value)
{
	ioapic_write(&ioapic, IOAPIC_SELECT, index);
	ioapic_write(&ioapic, IOAPIC_WINDOW, value);
}

static uint32_t get(uint32_t index)
{
	ioapic_write(&ioapic, IOAPIC_SELECT, index);
	return ioapic_read(&ioapic, IOAPIC_WINDOW);
}

static void registers_are_those_of_a_82093aa(void **state)
{
	(void)state;
	assert_int_equal(get(1), 0x00170011);
	put(0, 0xffffffff);
	assert_int_equal(get(0), 0x0f000000);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		assert_int_equal(get(0x10 + 2 * pin), 0x10000);
	put(0x12, 0xffffffff);
	assert_int_equal(get(0x12), 0x1afff);
	put(0x13, 0xffffffff);
	assert_int_equal(get(0x13), 0xff000000);
	assert_int_equal(get(0x40), 0);
	put(0x40, 1);
	assert_int_equal(ioapic_read(&ioapic, 0x40), 0xffffffff);
}

static void edge_is_sent_once(void **state)
{
	(void)state;
	put(0x18, 0x31);
	put(0x19, 0x02000000);
	ioapic_set_line(&ioapic, 4, true);
	assert_true(ioapic_next(&ioapic, &message));
	assert_int_equal(message.vector, 0x31);
	assert_int_equal(message.destination, 2);
	assert_false(message.level);
	assert_false(ioapic_next(&ioapic, &message));
	ioapic_set_line(&ioapic, 4, true);
	assert_false(ioapic_next(&ioapic, &message));
	ioapic_set_line(&ioapic, 4, false);
	ioapic_set_line(&ioapic, 4, true);
	assert_true(ioapic_next(&ioapic, &message));
}

static void edge_during_mask_comes_after_it(void **state)
{
	(void)state;
	ioapic_set_line(&ioapic, 4, true);
	assert_false(ioapic_next(&ioapic, &message));
	put(0x18, 0x31);
	assert_true(ioapic_next(&ioapic, &message));
	assert_false(ioapic_next(&ioapic, &message));
}

static void level_repeats_until_it_falls(void **state)
{
	(void)state;
	put(0x20, 0x8041);
	ioapic_set_line(&ioapic, 8, true);
	assert_true(ioapic_next(&ioapic, &message));
	assert_true(message.level);
	assert_int_equal(get(0x20) & 1u << 14, 1u << 14); /* remote IRR */
	assert_false(ioapic_next(&ioapic, &message));
	ioapic_eoi(&ioapic, 0x41);
	assert_true(ioapic_next(&ioapic, &message));
	ioapic_set_line(&ioapic, 8, false);
	ioapic_eoi(&ioapic, 0x41);
	assert_false(ioapic_next(&ioapic, &message));
}

static void level_that_fell_while_masked_is_forgotten(void **state)
{
	(void)state;
	put(0x20, 0x18041);
	ioapic_set_line(&ioapic, 8, true);
	ioapic_set_line(&ioapic, 8, false);
	put(0x20, 0x8041);
	assert_false(ioapic_next(&ioapic, &message));
}

static void lines_that_do_not_exist_are_ignored(void **state)
{
	(void)state;
	ioapic_set_line(&ioapic, 24, true);
	ioapic_set_line(&ioapic, 1000, true);
	assert_int_equal(ioapic.lines, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(registers_are_those_of_a_82093aa, setup),
		cmocka_unit_test_setup(edge_is_sent_once, setup),
		cmocka_unit_test_setup(edge_during_mask_comes_after_it, setup),
		cmocka_unit_test_setup(level_repeats_until_it_falls, setup),
		cmocka_unit_test_setup(level_that_fell_while_masked_is_forgotten, setup),
		cmocka_unit_test_setup(lines_that_do_not_exist_are_ignored, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
