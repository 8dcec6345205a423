/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the virtual machine-check registers: the register contract of section E2, and what is
 * shown when. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "vmce/vmce.h"

static struct vmce intel(void)
{
	struct vmce vmce;

	vmce_reset(&vmce, false, false);
	return vmce;
}

static struct vmce amd(void)
{
	struct vmce vmce;

	vmce_reset(&vmce, true, false);
	return vmce;
}

static uint64_t get(const struct vmce *vmce, uint32_t msr)
{
	uint64_t value = 0x5555;

	assert_true(vmce_read_msr(vmce, msr, &value));
	return value;
}

static void capabilities_are_those_of_the_profile(void **state)
{
	struct vmce i = intel(), a = amd();

	(void)state;
	assert_int_equal(get(&i, MSR_MCG_CAP), 0x1000c02);
	assert_int_equal(get(&a, MSR_MCG_CAP), 2);
}

static void registers_take_only_what_the_manual_allows(void **state)
{
	struct vmce v = intel();

	(void)state;
	assert_false(vmce_write_msr(&v, MSR_MCG_CAP, 0));
	assert_false(vmce_write_msr(&v, MSR_MCG_STATUS, 1));
	assert_true(vmce_write_msr(&v, MSR_MCG_STATUS, 0));
	for (uint32_t bank = 0; bank < VMCE_BANKS; bank++) {
		assert_int_equal(get(&v, MSR_MC0_CTL + 4 * bank), ~0ull);
		assert_true(vmce_write_msr(&v, MSR_MC0_CTL + 4 * bank, 0x1234));
		assert_int_equal(get(&v, MSR_MC0_CTL + 4 * bank), ~0ull);
		for (uint32_t reg = 1; reg < 4; reg++) {
			assert_true(vmce_write_msr(&v, MSR_MC0_CTL + 4 * bank + reg, 0));
			assert_false(vmce_write_msr(&v, MSR_MC0_CTL + 4 * bank + reg, 1));
			assert_false(vmce_write_msr(&v, MSR_MC0_CTL + 4 * bank + reg, ~0ull));
		}
		assert_true(vmce_write_msr(&v, MSR_MC0_CTL2 + bank, 0x40007fff));
		assert_int_equal(get(&v, MSR_MC0_CTL2 + bank), 0x40007fff);
		assert_false(vmce_write_msr(&v, MSR_MC0_CTL2 + bank, 1ull << 29));
	}
}

static void what_does_not_exist_faults(void **state)
{
	struct vmce profiles[2] = {intel(), amd()};
	uint64_t value;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct vmce *v = &profiles[i];

		for (uint32_t msr = MSR_MC0_CTL + 4 * VMCE_BANKS; msr <= MSR_MC31_MISC; msr++) {
			assert_true(vmce_owns_msr(msr));
			assert_false(vmce_read_msr(v, msr, &value));
			assert_false(vmce_write_msr(v, msr, 0));
		}
		for (uint32_t msr = MSR_MC0_CTL2 + VMCE_BANKS; msr <= MSR_MC31_CTL2; msr++)
			assert_false(vmce_read_msr(v, msr, &value));
		for (uint32_t msr = MSR_MCG_EXT_FIRST; msr <= MSR_MCG_EXT_LAST; msr++)
			assert_false(vmce_read_msr(v, msr, &value));
		assert_false(vmce_read_msr(v, MSR_MCG_CTL, &value));
		assert_false(vmce_read_msr(v, MSR_MCG_EXT_CTL, &value));
	}
	assert_false(vmce_read_msr(&profiles[1], MSR_MC0_CTL2, &value));
	assert_false(vmce_write_msr(&profiles[1], MSR_MC0_CTL2, 0));
	assert_false(vmce_owns_msr(0x10));
	assert_false(vmce_owns_msr(0x480));
}

static void consumption_shows_the_guest_physical_address(void **state)
{
	struct vmce i = intel(), a = amd();

	(void)state;
	assert_int_equal(vmce_action_required(&i, 0x1f057040, true), VMCE_INJECT);
	assert_int_equal(get(&i, 0x405), 0xbd80000000000134);
	assert_int_equal(get(&i, 0x406), 0x1f057040);
	assert_int_equal(get(&i, 0x407), 0x8c);
	assert_int_equal(get(&i, MSR_MCG_STATUS), 7);
	assert_int_equal(get(&i, 0x401), 0); /* bank 0 stays empty */
	assert_int_equal(vmce_action_required(&a, 0x2000, true), VMCE_INJECT);
	assert_int_equal(get(&a, 0x405), 0xbc00000000000134);
	assert_int_equal(get(&a, MSR_MCG_STATUS), 7);
}

static void one_of_several_cpus_says_that_it_is_local(void **state)
{
	struct vmce v;
	uint64_t gpa;

	(void)state;
	vmce_reset(&v, false, true);
	assert_int_equal(vmce_action_required(&v, 0x1000, true), VMCE_INJECT);
	assert_int_equal(get(&v, MSR_MCG_STATUS), 0xf);
	vmce_reset(&v, false, true);
	assert_true(vmce_queue_optional(&v, 0x1000));
	assert_int_equal(vmce_next_optional(&v, true, &gpa), VMCE_INJECT);
	assert_int_equal(get(&v, MSR_MCG_STATUS), 0xd);
	vmce_reset(&v, true, true);
	assert_int_equal(vmce_action_required(&v, 0x1000, true), VMCE_INJECT);
	assert_int_equal(get(&v, MSR_MCG_STATUS), 7);
}

static void second_error_or_disabled_check_shuts_down(void **state)
{
	struct vmce v = intel();

	(void)state;
	assert_int_equal(vmce_action_required(&v, 0x1000, false), VMCE_SHUTDOWN);
	assert_int_equal(vmce_action_required(&v, 0x1000, true), VMCE_INJECT);
	assert_int_equal(vmce_action_required(&v, 0x2000, true), VMCE_SHUTDOWN);
	assert_true(vmce_write_msr(&v, MSR_MCG_STATUS, 0));
	/* The bank still holds the first one: the next says that one was overwritten. */
	assert_int_equal(vmce_action_required(&v, 0x2000, true), VMCE_INJECT);
	assert_int_equal(get(&v, 0x405), 0xbd80000000000134 | MCI_STATUS_OVER);
}

static void optional_errors_come_one_at_a_time(void **state)
{
	struct vmce v = intel();
	uint64_t gpa = 0;

	(void)state;
	assert_true(vmce_queue_optional(&v, 0x5123));
	assert_false(vmce_queue_optional(&v, 0x5456));
	assert_true(vmce_queue_optional(&v, 0x6000));
	assert_int_equal(vmce_next_optional(&v, false, &gpa), VMCE_NOTHING);
	assert_int_equal(vmce_next_optional(&v, true, &gpa), VMCE_INJECT);
	assert_int_equal(gpa, 0x5000);
	assert_int_equal(get(&v, 0x405), 0xbd000000000000c0);
	assert_int_equal(get(&v, MSR_MCG_STATUS), 5);
	assert_false(vmce_queue_optional(&v, 0x5000));
	assert_int_equal(vmce_next_optional(&v, true, &gpa), VMCE_NOTHING);
	assert_true(vmce_write_msr(&v, 0x405, 0));
	assert_int_equal(vmce_next_optional(&v, true, &gpa), VMCE_NOTHING); /* MCIP is set */
	assert_true(vmce_write_msr(&v, MSR_MCG_STATUS, 0));
	assert_int_equal(vmce_next_optional(&v, true, &gpa), VMCE_INJECT);
	assert_int_equal(gpa, 0x6000);
	assert_int_equal(vmce_next_optional(&v, true, &gpa), VMCE_NOTHING);
}

static void deferred_errors_wait_in_the_bank_without_an_exception(void **state)
{
	struct vmce v = amd();
	uint64_t gpa = 0;

	(void)state;
	assert_true(vmce_queue_optional(&v, 0x7000));
	assert_int_equal(vmce_next_optional(&v, false, &gpa), VMCE_LOGGED);
	assert_int_equal(get(&v, 0x405), 0x9c00100000000811);
	assert_int_equal(get(&v, 0x406), 0x7000);
	assert_int_equal(get(&v, MSR_MCG_STATUS), 0);
}

static void consumption_overtakes_an_unread_deferred_error(void **state)
{
	struct vmce v = amd();
	uint64_t gpa = 0;

	(void)state;
	assert_true(vmce_queue_optional(&v, 0x7000));
	assert_true(vmce_queue_optional(&v, 0x8000));
	assert_int_equal(vmce_next_optional(&v, true, &gpa), VMCE_LOGGED);
	assert_int_equal(vmce_action_required(&v, 0x9008, true), VMCE_INJECT);
	assert_int_equal(get(&v, 0x405), 0xbc00000000000134); /* no OVER */
	assert_true(vmce_write_msr(&v, 0x405, 0));
	assert_true(vmce_write_msr(&v, MSR_MCG_STATUS, 0));
	/* The page that is consumed needs no early notice any more. */
	assert_int_equal(vmce_action_required(&v, 0x8000, true), VMCE_INJECT);
	assert_true(vmce_write_msr(&v, 0x405, 0));
	assert_true(vmce_write_msr(&v, MSR_MCG_STATUS, 0));
	assert_int_equal(vmce_next_optional(&v, true, &gpa), VMCE_LOGGED);
	assert_int_equal(gpa, 0x7000);
	assert_true(vmce_write_msr(&v, 0x405, 0));
	assert_int_equal(vmce_next_optional(&v, true, &gpa), VMCE_NOTHING);
}

static void a_full_queue_says_so(void **state)
{
	struct vmce v = amd();
	uint64_t gpa = 0;

	(void)state;
	for (uint64_t i = 0; i <= VMCE_QUEUE; i++)
		assert_true(vmce_queue_optional(&v, i << 12));
	assert_int_equal(v.queued, VMCE_QUEUE);
	assert_int_equal(vmce_next_optional(&v, true, &gpa), VMCE_LOGGED);
	assert_int_equal(get(&v, 0x405), 0x9c00100000000811 | MCI_STATUS_OVER);
	assert_true(vmce_queue_optional(&v, 0x777000));
	assert_int_equal(vmce_action_required(&v, 0x999000, true), VMCE_INJECT);
	assert_int_equal(v.queued, VMCE_QUEUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capabilities_are_those_of_the_profile),
		cmocka_unit_test(registers_take_only_what_the_manual_allows),
		cmocka_unit_test(what_does_not_exist_faults),
		cmocka_unit_test(consumption_shows_the_guest_physical_address),
		cmocka_unit_test(one_of_several_cpus_says_that_it_is_local),
		cmocka_unit_test(second_error_or_disabled_check_shuts_down),
		cmocka_unit_test(optional_errors_come_one_at_a_time),
		cmocka_unit_test(deferred_errors_wait_in_the_bank_without_an_exception),
		cmocka_unit_test(consumption_overtakes_an_unread_deferred_error),
		cmocka_unit_test(a_full_queue_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
