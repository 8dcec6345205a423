/* SPDX-License-Identifier: BSD-2-Clause */
/* The log's ring of lines: order, places kept for later, what is cut, and what is overwritten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "events.h"

static struct mca_events events;
static char first[MCA_EVENT_TEXT + 1], last[MCA_EVENT_TEXT + 1];
static unsigned printed;

static void print(const char *line, size_t length)
{
	assert_true(length < MCA_EVENT_TEXT);
	assert_int_equal(strlen(line), length);
	strcpy(printed++ ? last : first, line);
}

static void print_all(void)
{
	printed = 0;
	first[0] = last[0] = 0;
	events_print(&events, print);
}

static int setup(void **unused)
{
	(void)unused;
	memset(&events, 0, sizeof(events));
	return 0;
}

static void lines_are_printed_once_in_their_order(void **unused)
{
	(void)unused;
	events_add(&events, "line %d", 1);
	events_add(&events, "line %d", 2);
	print_all();
	assert_int_equal(printed, 2);
	assert_string_equal(first, "line 1");
	assert_string_equal(last, "line 2");
	print_all();
	assert_int_equal(printed, 0);
}

static void a_place_kept_for_later_keeps_its_turn(void **unused)
{
	uint64_t place = events_reserve(&events);

	(void)unused;
	events_add(&events, "after it");
	events_set(&events, place, "%s", "the verdict");
	print_all();
	assert_string_equal(first, "the verdict");
	assert_string_equal(last, "after it");
}

static void what_was_overwritten_is_counted_once_and_said(void **unused)
{
	uint64_t place = events_reserve(&events);

	(void)unused;
	for (unsigned i = 1; i < MCA_EVENTS + 3; i++)
		events_add(&events, "line %u", i);
	events_set(&events, place, "too late");
	print_all();
	assert_int_equal(events.lost, 3);
	assert_int_equal(printed, MCA_EVENTS + 1);
	assert_string_equal(first, "3 lines of this log were overwritten before they were printed");
	assert_string_equal(last, "line 258");
	events_add(&events, "next");
	print_all();
	assert_int_equal(printed, 1);
	assert_string_equal(first, "next");
}

static void what_does_not_fit_is_cut(void **unused)
{
	char text[2 * MCA_EVENT_TEXT];
	char line[10] = "";
	size_t length;

	(void)unused;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	events_add(&events, "%s", text);
	print_all();
	assert_int_equal(strlen(first), MCA_EVENT_TEXT - 1);
	length = events_append(line, sizeof(line), 0, "%s", "12345");
	assert_int_equal(length, 5);
	length = events_append(line, sizeof(line), length, "%s", "6789abc");
	assert_int_equal(length, 9);
	assert_string_equal(line, "123456789");
	assert_int_equal(events_append(line, sizeof(line), length, "%s", "more"), 9);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_are_printed_once_in_their_order),
		TEST(a_place_kept_for_later_keeps_its_turn),
		TEST(what_was_overwritten_is_counted_once_and_said),
		TEST(what_does_not_fit_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
