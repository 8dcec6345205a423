/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the guest-memory accessors' bounds; their fix-ups need Cairn's kernel and are tested on
 * the target. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <cairn/guestmem.h>

#define LOW_SIZE  0x4000ul
#define HIGH	  0x100000000ul
#define HIGH_SIZE 0x2000ul

static unsigned char *low, *high;

static int start(void **state)
{
	(void)state;
	low = calloc(1, LOW_SIZE);
	high = calloc(1, HIGH_SIZE);
	if (low == NULL || high == NULL)
		return 1;
	return guestmem_add_region(0, LOW_SIZE, low) || guestmem_add_region(HIGH, HIGH_SIZE, high);
}

static int end(void **state)
{
	(void)state;
	free(low);
	free(high);
	return 0;
}

static void copies_go_to_the_right_place(void **state)
{
	char out[32] = {0};

	(void)state;
	assert_int_equal(guest_write(0x1003, "thirteen byte", 13), GUESTMEM_OK);
	assert_memory_equal(low + 0x1003, "thirteen byte", 13);
	assert_int_equal(guest_read(out, 0x1003, 13), GUESTMEM_OK);
	assert_string_equal(out, "thirteen byte");
	assert_int_equal(guest_write(HIGH, "x", 1), GUESTMEM_OK);
	assert_int_equal(high[0], 'x');
	assert_int_equal(guest_zero(0x1003, 12), GUESTMEM_OK);
	assert_int_equal(low[0x1003 + 11], 0);
	assert_int_equal(low[0x1003 + 12], 'e');
	assert_int_equal(guest_read(out, LOW_SIZE - 8, 8), GUESTMEM_OK);
}

static void nothing_outside_is_touched(void **state)
{
	char out[32];

	(void)state;
	assert_int_equal(guest_read(out, LOW_SIZE - 8, 9), GUESTMEM_FAULT);
	assert_int_equal(guest_read(out, LOW_SIZE, 1), GUESTMEM_FAULT);
	assert_int_equal(guest_read(out, HIGH - 1, 2), GUESTMEM_FAULT);
	assert_int_equal(guest_write(UINT64_MAX, out, 2), GUESTMEM_FAULT);
	assert_int_equal(guest_write(8, out, UINT64_MAX), GUESTMEM_FAULT);
	assert_int_equal(guest_zero(HIGH, HIGH_SIZE + 1), GUESTMEM_FAULT);
}

static void single_accesses_have_their_size(void **state)
{
	static const uint64_t masks[] = {0xff, 0xffff, 0xffffffff, UINT64_MAX};
	uint64_t value;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		unsigned size = 1u << i;

		memset(low, 0xaa, 32);
		assert_int_equal(guest_store(8, size, 0x1122334455667788), GUESTMEM_OK);
		assert_int_equal(low[8 + size], 0xaa);
		assert_int_equal(guest_load(8, size, &value), GUESTMEM_OK);
		assert_int_equal(value, 0x1122334455667788 & masks[i]);
		assert_int_equal(guest_load(8 + size, size, &value), GUESTMEM_OK);
		assert_int_equal(value, 0xaaaaaaaaaaaaaaaa & masks[i]);
	}
}

static void exchange_stores_only_what_was_expected(void **state)
{
	(void)state;
	for (unsigned size = 1; size <= 8; size *= 2) {
		uint64_t expected = 5;
		int swapped = 7;

		memset(low, 0, 16);
		low[8] = 5;
		assert_int_equal(guest_cmpxchg(8, size, &expected, 6, &swapped), GUESTMEM_OK);
		assert_int_equal(swapped, 1);
		assert_int_equal(low[8], 6);
		assert_int_equal(guest_cmpxchg(8, size, &expected, 7, &swapped), GUESTMEM_OK);
		assert_int_equal(swapped, 0);
		assert_int_equal(expected & 0xff, 6);
		assert_int_equal(low[8], 6);
	}
}

static void bad_sizes_and_misalignment_are_refused(void **state)
{
	uint64_t value = 0;
	int swapped;

	(void)state;
	assert_int_equal(guest_load(1, 2, &value), GUESTMEM_FAULT);
	assert_int_equal(guest_load(0, 3, &value), GUESTMEM_FAULT);
	assert_int_equal(guest_load(0, 0, &value), GUESTMEM_FAULT);
	assert_int_equal(guest_store(4, 8, 0), GUESTMEM_FAULT);
	assert_int_equal(guest_store(0, 16, 0), GUESTMEM_FAULT);
	assert_int_equal(guest_cmpxchg(LOW_SIZE, 8, &value, 0, &swapped), GUESTMEM_FAULT);
}

static void overlapping_regions_are_refused(void **state)
{
	(void)state;
	assert_int_equal(guestmem_add_region(LOW_SIZE - 1, 2, low), -1);
	assert_int_equal(guestmem_add_region(HIGH - 1, 2, low), -1);
	assert_int_equal(guestmem_add_region(UINT64_MAX, 2, low), -1);
	assert_int_equal(guestmem_add_region(LOW_SIZE, 0, low), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_go_to_the_right_place),
		cmocka_unit_test(nothing_outside_is_touched),
		cmocka_unit_test(single_accesses_have_their_size),
		cmocka_unit_test(exchange_stores_only_what_was_expected),
		cmocka_unit_test(bad_sizes_and_misalignment_are_refused),
		cmocka_unit_test(overlapping_regions_are_refused),
	};

	return cmocka_run_group_tests(tests, start, end);
}
