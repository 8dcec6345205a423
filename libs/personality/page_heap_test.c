/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the heap's page allocator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "libs/personality/page_heap.h"

#define PAGES 160u
#define BRK   10u

static struct page_heap heap;

static int start(void **state)
{
	(void)state;
	page_heap_init(&heap, PAGES);
	return heap.brk_pages != BRK;
}

static void whole_heap_can_be_taken_and_no_more(void **state)
{
	(void)state;
	assert_int_equal(page_heap_take(&heap, PAGES - BRK), BRK);
	assert_int_equal(page_heap_take(&heap, 1), -1);
	assert_true(page_heap_give(&heap, BRK, PAGES - BRK));
	assert_int_equal(page_heap_take(&heap, 1), BRK);
}

static void a_hole_is_found_again(void **state)
{
	(void)state;
	assert_int_equal(page_heap_take(&heap, 4), BRK);
	assert_int_equal(page_heap_take(&heap, 4), BRK + 4);
	assert_true(page_heap_give(&heap, BRK, 4));
	assert_int_equal(page_heap_take(&heap, 5), BRK + 8);
	assert_int_equal(page_heap_take(&heap, 4), BRK);
}

static void extends_only_into_free_pages(void **state)
{
	(void)state;
	assert_int_equal(page_heap_take(&heap, 2), BRK);
	assert_true(page_heap_extend(&heap, BRK + 2, 3));
	assert_true(page_heap_is_used(&heap, BRK, 5));
	assert_int_equal(page_heap_take(&heap, 1), BRK + 5);
	assert_false(page_heap_extend(&heap, BRK + 5, 1));
	assert_false(page_heap_extend(&heap, PAGES, 1));
}

static void brk_area_is_never_touched(void **state)
{
	(void)state;
	assert_false(page_heap_give(&heap, BRK - 1, 1));
	assert_false(page_heap_give(&heap, 0, PAGES));
	assert_false(page_heap_is_used(&heap, 0, 1));
}

static void senseless_numbers_are_refused(void **state)
{
	(void)state;
	assert_int_equal(page_heap_take(&heap, 0), -1);
	assert_int_equal(page_heap_take(&heap, UINT64_MAX), -1);
	assert_false(page_heap_give(&heap, BRK, UINT64_MAX));
	assert_false(page_heap_give(&heap, UINT64_MAX, 2));
	assert_false(page_heap_extend(&heap, UINT64_MAX - 1, 3));
	assert_false(page_heap_is_used(&heap, BRK, UINT64_MAX));
	page_heap_init(&heap, UINT64_MAX);
	assert_int_equal(heap.pages, PAGE_HEAP_MAX_PAGES);
}

/* Whatever the order, no page is handed out twice. */
static void no_page_has_two_owners(void **state)
{
	int64_t first[32], count[32];
	uint8_t taken[PAGES] = {0};

	(void)state;
	for (int i = 0; i < 32; i++)
		first[i] = -1;
	srand(4);
	for (int round = 0; round < 20000; round++) {
		int i = rand() % 32;

		if (first[i] >= 0) {
			assert_true(page_heap_give(&heap, (uint64_t)first[i], (uint64_t)count[i]));
			for (int64_t page = first[i]; page < first[i] + count[i]; page++)
				taken[page] = 0;
			first[i] = -1;
			continue;
		}
		count[i] = 1 + rand() % 12;
		first[i] = page_heap_take(&heap, (uint64_t)count[i]);
		for (int64_t page = first[i]; first[i] >= 0 && page < first[i] + count[i]; page++) {
			assert_int_equal(taken[page], 0);
			taken[page] = 1;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(whole_heap_can_be_taken_and_no_more, start),
		cmocka_unit_test_setup(a_hole_is_found_again, start),
		cmocka_unit_test_setup(extends_only_into_free_pages, start),
		cmocka_unit_test_setup(brk_area_is_never_touched, start),
		cmocka_unit_test_setup(senseless_numbers_are_refused, start),
		cmocka_unit_test_setup(no_page_has_two_owners, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
