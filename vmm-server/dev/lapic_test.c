/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the local APIC: priorities, end of interrupt, timer modes, messages, what a reset
 * leaves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "dev/lapic.h"

static struct lapic lapic;
static struct lapic_effects effects;

static int setup(void **state)
{
	(void)state;
	lapic_reset(&lapic, 3, true);
	effects = (struct lapic_effects){0};
	lapic_write(&lapic, LAPIC_SVR, 0x1ff, 0, &effects);
	return 0;
}

static void put(uint32_t offset, uint32_t value)
{
	lapic_write(&lapic, offset, value, 0, &effects);
}

static void reset_masks_everything(void **state)
{
	(void)state;
	lapic_reset(&lapic, 5, false);
	assert_int_equal(lapic_read(&lapic, LAPIC_ID, 0), 5u << 24);
	assert_int_equal(lapic_read(&lapic, LAPIC_SVR, 0), 0xff);
	for (uint32_t lvt = LAPIC_LVT_TIMER; lvt <= LAPIC_LVT_ERROR; lvt += 16)
		assert_int_equal(lapic_read(&lapic, lvt, 0), 0x10000);
	lapic_accept(&lapic, 0x40, false);
	assert_int_equal(lapic_pending(&lapic), -1); /* software-disabled */
}

static void higher_class_comes_first_and_blocks_lower(void **state)
{
	(void)state;
	lapic_accept(&lapic, 0x31, false);
	lapic_accept(&lapic, 0x52, false);
	lapic_accept(&lapic, 0x51, false);
	assert_int_equal(lapic_pending(&lapic), 0x52);
	lapic_take(&lapic, 0x52);
	assert_int_equal(lapic_pending(&lapic), -1); /* 0x51 is of the same class */
	lapic_accept(&lapic, 0x60, false);
	assert_int_equal(lapic_pending(&lapic), 0x60);
	lapic_take(&lapic, 0x60);
	put(LAPIC_EOI, 0);
	assert_int_equal(lapic_pending(&lapic), -1);
	put(LAPIC_EOI, 0);
	assert_int_equal(lapic_pending(&lapic), 0x51);
	assert_false(effects.eoi);
}

static void interrupt_that_was_not_delivered_waits_again(void **state)
{
	(void)state;
	lapic_accept(&lapic, 0x40, false);
	lapic_take(&lapic, 0x40);
	lapic_untake(&lapic, 0x40);
	assert_int_equal(lapic_pending(&lapic), 0x40);
	lapic_take(&lapic, 0x40);
	put(LAPIC_EOI, 0);
	assert_int_equal(lapic_pending(&lapic), -1);
}

static void end_of_level_interrupt_is_told(void **state)
{
	(void)state;
	lapic_accept(&lapic, 0x77, true);
	assert_int_equal(lapic_read(&lapic, LAPIC_TMR + 3 * 16, 0), 1u << 0x17);
	lapic_take(&lapic, 0x77);
	put(LAPIC_EOI, 0);
	assert_true(effects.eoi);
	assert_int_equal(effects.eoi_vector, 0x77);
}

static void registers_show_the_vectors(void **state)
{
	(void)state;
	lapic_accept(&lapic, 0xff, false);
	assert_int_equal(lapic_read(&lapic, LAPIC_IRR + 7 * 16, 0), 1u << 31);
	lapic_take(&lapic, 0xff);
	assert_int_equal(lapic_read(&lapic, LAPIC_IRR + 7 * 16, 0), 0);
	assert_int_equal(lapic_read(&lapic, LAPIC_ISR + 7 * 16, 0), 1u << 31);
	assert_int_equal(lapic_read(&lapic, LAPIC_PPR, 0), 0xf0);
}

static void illegal_vectors_and_registers_are_errors(void **state)
{
	(void)state;
	lapic_accept(&lapic, 15, false);
	assert_int_equal(lapic_pending(&lapic), -1);
	assert_int_equal(lapic_read(&lapic, 0x0c0, 0), 0);
	put(LAPIC_ICR_LOW, 0x0000000f);
	assert_false(effects.send);
	assert_int_equal(lapic_read(&lapic, LAPIC_ESR, 0), 0);
	put(LAPIC_ESR, 0);
	assert_int_equal(lapic_read(&lapic, LAPIC_ESR, 0), 0xe0);
}

static void deadline_fires_once(void **state)
{
	(void)state;
	put(LAPIC_LVT_TIMER, 2u << 17 | 0xec);
	lapic_write_deadline(&lapic, 1000);
	assert_int_equal(lapic_read_deadline(&lapic), 1000);
	assert_false(lapic_timer_expire(&lapic, 999));
	assert_true(lapic_timer_expire(&lapic, 1000));
	assert_int_equal(lapic_pending(&lapic), 0xec);
	assert_int_equal(lapic_read_deadline(&lapic), 0);
	assert_false(lapic_timer_expire(&lapic, 5000));
}

static void deadline_needs_its_mode(void **state)
{
	(void)state;
	lapic_write_deadline(&lapic, 1000);
	assert_int_equal(lapic_read_deadline(&lapic), 0);
	put(LAPIC_LVT_TIMER, 2u << 17 | 0xec);
	lapic_write_deadline(&lapic, 1000);
	put(LAPIC_LVT_TIMER, 0xec); /* leaving the mode disarms */
	assert_false(lapic_timer_expire(&lapic, 2000));
	put(LAPIC_TIMER_INITIAL, 10);
	put(LAPIC_LVT_TIMER, 2u << 17 | 0xec);
	put(LAPIC_TIMER_INITIAL, 10); /* ignored here */
	assert_false(lapic_timer_expire(&lapic, 2000));
}

static void one_shot_counts_down(void **state)
{
	(void)state;
	put(LAPIC_TIMER_DIVIDE, 3); /* by 16 */
	put(LAPIC_LVT_TIMER, 0x30);
	lapic_write(&lapic, LAPIC_TIMER_INITIAL, 100, 1000, &effects);
	assert_int_equal(lapic_read(&lapic, LAPIC_TIMER_CURRENT, 1000), 100);
	assert_int_equal(lapic_read(&lapic, LAPIC_TIMER_CURRENT, 1000 + 50 * 16), 50);
	assert_false(lapic_timer_expire(&lapic, 1000 + 99 * 16));
	assert_true(lapic_timer_expire(&lapic, 1000 + 100 * 16));
	assert_int_equal(lapic_pending(&lapic), 0x30);
	assert_int_equal(lapic_read(&lapic, LAPIC_TIMER_CURRENT, 100000), 0);
}

static void divisor_codes_follow_the_manual(void **state)
{
	static const uint8_t code[] = {0xb, 0, 1, 2, 3, 8, 9, 0xa};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		setup(NULL);
		put(LAPIC_TIMER_DIVIDE, code[i]);
		lapic_write(&lapic, LAPIC_TIMER_INITIAL, 1000, 0, &effects);
		assert_int_equal(lapic.timer_deadline, 1000ull << i);
	}
}

static void periodic_timer_goes_on_and_catches_up(void **state)
{
	(void)state;
	put(LAPIC_TIMER_DIVIDE, 0xb);
	put(LAPIC_LVT_TIMER, 1u << 17 | 0x30);
	lapic_write(&lapic, LAPIC_TIMER_INITIAL, 1000000, 0, &effects);
	assert_true(lapic_timer_expire(&lapic, 1000000));
	assert_int_equal(lapic.timer_deadline, 2000000);
	assert_true(lapic_timer_expire(&lapic, 10500000));
	assert_int_equal(lapic.timer_deadline, 11000000);
}

static void tiny_period_leaves_the_guest_time_to_run(void **state)
{
	(void)state;
	put(LAPIC_TIMER_DIVIDE, 0xb);
	put(LAPIC_LVT_TIMER, 1u << 17 | 0x30);
	lapic_write(&lapic, LAPIC_TIMER_INITIAL, 3, 1000, &effects);
	assert_true(lapic_timer_expire(&lapic, 1003));
	assert_in_range(lapic.timer_deadline, 100000, 1000000);
	assert_int_equal(lapic_read(&lapic, LAPIC_TIMER_CURRENT, 1004), 3);
	assert_false(lapic_timer_expire(&lapic, 1006));
}

static void masked_timer_is_silent(void **state)
{
	(void)state;
	put(LAPIC_LVT_TIMER, 2u << 17 | 1u << 16 | 0xec);
	lapic_write_deadline(&lapic, 5);
	assert_true(lapic_timer_expire(&lapic, 5));
	assert_int_equal(lapic_pending(&lapic), -1);
}

static void only_the_default_base_exists(void **state)
{
	(void)state;
	assert_int_equal(lapic_read_base(&lapic), 0xfee00900);
	assert_false(lapic_write_base(&lapic, 0xfee00d00)); /* x2APIC */
	assert_false(lapic_write_base(&lapic, 0xfed00900));
	assert_false(lapic_write_base(&lapic, 0xfee00800)); /* BSP flag is read-only */
	assert_true(lapic_write_base(&lapic, 0xfee00100));
	lapic_accept(&lapic, 0x40, false);
	assert_int_equal(lapic_pending(&lapic), -1);
}

static void command_register_makes_messages(void **state)
{
	(void)state;
	put(LAPIC_ICR_HIGH, 2u << 24);
	put(LAPIC_ICR_LOW, 0x000c4500); /* INIT to all others */
	assert_true(effects.send);
	assert_int_equal(effects.message.delivery, APIC_INIT);
	assert_int_equal(effects.message.shorthand, APIC_TO_OTHERS);
	assert_true(effects.message.assert);
	put(LAPIC_ICR_LOW, 0x00000840);
	assert_int_equal(effects.message.vector, 0x40);
	assert_int_equal(effects.message.destination, 2);
	assert_true(effects.message.logical);
	assert_int_equal(lapic_read(&lapic, LAPIC_ICR_LOW, 0), 0x840);
}

static void destinations_match(void **state)
{
	struct apic_message m = {.destination = 3};

	(void)state;
	assert_true(lapic_matches(&lapic, &m, false));
	m.destination = 4;
	assert_false(lapic_matches(&lapic, &m, true));
	m.destination = 0xff;
	assert_true(lapic_matches(&lapic, &m, false));
	m = (struct apic_message){.destination = 0x04, .logical = true};
	assert_false(lapic_matches(&lapic, &m, false));
	put(LAPIC_LDR, 0x05000000);
	assert_true(lapic_matches(&lapic, &m, false));
	put(LAPIC_DFR, 0x0fffffff); /* cluster */
	put(LAPIC_LDR, 0x21000000);
	m.destination = 0x23;
	assert_true(lapic_matches(&lapic, &m, false));
	m.destination = 0x31;
	assert_false(lapic_matches(&lapic, &m, false));
	m = (struct apic_message){.shorthand = APIC_TO_OTHERS};
	assert_false(lapic_matches(&lapic, &m, true));
	assert_true(lapic_matches(&lapic, &m, false));
	m.shorthand = APIC_TO_SELF;
	assert_true(lapic_matches(&lapic, &m, true));
}

static void any_access_is_survived(void **state)
{
	(void)state;
	for (uint32_t offset = 0; offset < LAPIC_SIZE; offset++)
		for (unsigned i = 0; i < 4; i++) {
			lapic_write(&lapic, offset, 0xffffffffu >> i * 8, ~0ull, &effects);
			(void)lapic_read(&lapic, offset, ~0ull);
			(void)lapic_timer_expire(&lapic, ~0ull);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reset_masks_everything, setup),
		cmocka_unit_test_setup(higher_class_comes_first_and_blocks_lower, setup),
		cmocka_unit_test_setup(interrupt_that_was_not_delivered_waits_again, setup),
		cmocka_unit_test_setup(end_of_level_interrupt_is_told, setup),
		cmocka_unit_test_setup(registers_show_the_vectors, setup),
		cmocka_unit_test_setup(illegal_vectors_and_registers_are_errors, setup),
		cmocka_unit_test_setup(deadline_fires_once, setup),
		cmocka_unit_test_setup(deadline_needs_its_mode, setup),
		cmocka_unit_test_setup(one_shot_counts_down, setup),
		cmocka_unit_test_setup(divisor_codes_follow_the_manual, setup),
		cmocka_unit_test_setup(periodic_timer_goes_on_and_catches_up, setup),
		cmocka_unit_test_setup(tiny_period_leaves_the_guest_time_to_run, setup),
		cmocka_unit_test_setup(masked_timer_is_silent, setup),
		cmocka_unit_test_setup(only_the_default_base_exists, setup),
		cmocka_unit_test_setup(command_register_makes_messages, setup),
		cmocka_unit_test_setup(destinations_match, setup),
		cmocka_unit_test_setup(any_access_is_survived, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
