/* SPDX-License-Identifier: BSD-2-Clause */
/* The root-task's slots: none is given to two, all are used, and those of a domain come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "root.h"

#define FIRST 100u
#define SLOTS 110u
#define TOTAL 4096u

static const struct boot_info boot_fake = {
	.first_free = FIRST, .slots_total = TOTAL, .slots_used = 33};
static const struct image_header image_fake = {.root_slots = SLOTS};
const struct boot_info *const boot = &boot_fake;
const struct image_header *const image = &image_fake;
static unsigned complaints;

bool report_text(const char *what)
{
	(void)what;
	complaints++;
	return false;
}

bool report(cairn_status_t status, const char *what)
{
	(void)what;
	return status == CAIRN_OK;
}

static const struct domain one = {.owner = 1}, two = {.owner = 2};

static int setup(void **unused)
{
	(void)unused;
	complaints = 0;
	return slots_init() ? 0 : -1;
}

static int teardown(void **unused)
{
	(void)unused;
	for (uint32_t slot = FIRST; slot < SLOTS; slot++)
		slot_release(slot);
	return 0;
}

static void each_slot_is_given_once_until_none_is_left(void **unused)
{
	uint8_t given[SLOTS] = {0};

	(void)unused;
	for (uint32_t i = FIRST; i < SLOTS; i++) {
		uint32_t slot = slot_take(i % 2 ? &one : &two, i % 3 == 0);

		assert_in_range(slot, FIRST, SLOTS - 1);
		assert_false(given[slot]);
		given[slot] = 1;
	}
	assert_int_equal(complaints, 0);
	assert_int_equal(slot_take(&one, false), 0);
	assert_int_equal(complaints, 1);
}

static void a_released_slot_is_the_only_one_to_have(void **unused)
{
	(void)unused;
	for (uint32_t i = FIRST; i < SLOTS; i++)
		assert_int_not_equal(slot_take(&one, false), 0);
	slot_release(FIRST + 4);
	assert_int_equal(slot_take(&two, false), FIRST + 4);
	assert_int_equal(slot_take(&two, false), 0);
}

static void forgetting_a_domain_frees_its_own_slots_only(void **unused)
{
	uint32_t own[2] = {slot_take(&one, false), slot_take(&one, false)};
	uint32_t foreign = slot_take(&one, true), others = slot_take(&two, false);
	unsigned left = 0;

	(void)unused;
	slots_forget(&one);
	for (uint32_t slot; (slot = slot_take(&two, false)) != 0; left++) {
		assert_int_not_equal(slot, foreign);
		assert_int_not_equal(slot, others);
	}
	assert_int_equal(left, SLOTS - FIRST - 2);
	assert_int_not_equal(own[0], own[1]);
}

static void numbers_for_other_tables_are_whole_pages_and_end(void **unused)
{
	(void)unused;
	assert_int_equal(slot_numbers_take(64), 64); /* 33 are used: the next page of 32 slots */
	assert_int_equal(slot_numbers_take(TOTAL), 0);
	assert_int_equal(complaints, 1);
	assert_int_equal(slot_numbers_take(TOTAL - 128), 128);
	assert_int_equal(slot_numbers_take(1), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_slot_is_given_once_until_none_is_left),
		TEST(a_released_slot_is_the_only_one_to_have),
		TEST(forgetting_a_domain_frees_its_own_slots_only),
		TEST(numbers_for_other_tables_are_whole_pages_and_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
