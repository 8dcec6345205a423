/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the multiplexer: what appears on the terminal, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "mux.h"

static struct mux mux;
static char seen[MUX_OUT + 1];

static int start(void **state)
{
	(void)state;
	mux_init(&mux);
	assert_int_equal(mux_add_vm(&mux, "linux-1"), 0);
	assert_int_equal(mux_add_vm(&mux, "linux-2"), 1);
	return 0;
}

static void vm_says(int vm, const char *text, uint64_t now)
{
	mux_vm_bytes(&mux, vm, text, strlen(text), now);
}

static void log_says(const char *server, const char *text, bool vmm)
{
	mux_log(&mux, server, text, strlen(text), vmm, false);
}

static const char *screen(uint64_t now)
{
	mux_pump(&mux, now);
	seen[mux_take(&mux, seen, MUX_OUT)] = 0;
	return seen;
}

static void keys(const char *text)
{
	while (*text != 0)
		mux_key(&mux, (uint8_t)*text++);
}

static void complete_lines_are_marked(void **state)
{
	(void)state;
	vm_says(0, "one\r\ntwo\r\n\r\n", 0);
	vm_says(1, "three\n", 0);
	log_says("mca", "four", false);
	assert_string_equal(screen(0),
			    "[linux-1] one\r\n[linux-1] two\r\n[linux-1] \r\n[linux-2] three\r\n"
			    "[system] mca: four\r\n");
}

static void unfinished_line_waits_then_shows_as_prompt(void **state)
{
	(void)state;
	vm_says(0, "/ # ", 1000);
	assert_string_equal(screen(1000 + MUX_PROMPT_US - 1), "");
	assert_int_equal(mux_due_us(&mux), 1000 + MUX_PROMPT_US);
	assert_string_equal(screen(1000 + MUX_PROMPT_US), "[linux-1] / # ");
	assert_int_equal(mux_due_us(&mux), 0);
	vm_says(0, "l", 2000 + MUX_PROMPT_US);
	assert_string_equal(screen(2000 + MUX_PROMPT_US), "l");
	vm_says(0, "s\r\nbin\r\n", 3000 + MUX_PROMPT_US);
	assert_string_equal(screen(3000 + MUX_PROMPT_US), "s\r\n[linux-1] bin\r\n");
}

static void interrupted_line_appears_again_in_one_piece(void **state)
{
	(void)state;
	vm_says(0, "step 12", 0);
	assert_string_equal(screen(MUX_PROMPT_US), "[linux-1] step 12");
	vm_says(1, "other\n", MUX_PROMPT_US);
	assert_string_equal(screen(MUX_PROMPT_US), "\r\n[linux-2] other\r\n");
	vm_says(0, " ok\n", MUX_PROMPT_US);
	assert_string_equal(screen(MUX_PROMPT_US), "[linux-1] step 12 ok\r\n");
}

static void lines_of_two_vms_never_mix(void **state)
{
	(void)state;
	vm_says(0, "aaa", 0);
	vm_says(1, "bbb", 0);
	vm_says(0, "AAA\n", 0);
	vm_says(1, "BBB\n", 0);
	assert_string_equal(screen(0), "[linux-1] aaaAAA\r\n[linux-2] bbbBBB\r\n");
}

static void overlong_line_is_broken_not_lost(void **state)
{
	char long_line[MUX_CHUNK];
	size_t letters = 0;

	(void)state;
	memset(long_line, 'x', sizeof(long_line));
	for (int i = 0; i < 5; i++)
		mux_vm_bytes(&mux, 0, long_line, sizeof(long_line), 0);
	vm_says(0, "\n", 0);
	screen(0);
	for (const char *at = seen; *at != 0; at++)
		letters += *at == 'x';
	/* "linux-1" has an x as well, once in each of the three marks */
	assert_int_equal(letters, 5 * MUX_CHUNK + 3);
}

static void log_line_that_spans_records_is_one_line(void **state)
{
	(void)state;
	mux_log(&mux, "tests", "first ", 6, false, true);
	mux_log(&mux, "tests", "second", 6, false, false);
	assert_string_equal(screen(0), "[system] tests: first second\r\n");
}

static void control_characters_in_the_log_are_harmless(void **state)
{
	(void)state;
	log_says("vmm-linux-1", "a\x1b[2J\r\n[linux-2] b", true);
	assert_string_equal(screen(0), "[system] vmm-linux-1: a?[2J??[linux-2] b\r\n");
}

static void raw_mode_passes_bytes_unmarked(void **state)
{
	(void)state;
	assert_true(mux_set_mode(&mux, "mode=raw:linux-2"));
	vm_says(1, "/ # \x1b[6n\r\n/ # ", 0);
	assert_string_equal(screen(0), "/ # \x1b[6n\r\n/ # ");
}

static void raw_mode_shows_the_system_but_not_vmm_servers(void **state)
{
	(void)state;
	assert_true(mux_set_mode(&mux, "mode=raw:linux-1"));
	vm_says(0, "/ # ", 0);
	log_says("vmm-linux-1", "unknown MSR", true);
	log_says("root", "vm linux-2: stopped", false);
	assert_string_equal(screen(0), "/ # \r\n[system] root: vm linux-2: stopped\r\n");
	vm_says(0, "x", 0);
	assert_string_equal(screen(0), "/ # x");
}

static void escape_s_shows_the_whole_system_log(void **state)
{
	(void)state;
	assert_true(mux_set_mode(&mux, "mode=raw:linux-1"));
	log_says("vmm-linux-1", "unknown MSR", true);
	assert_string_equal(screen(0), "");
	keys("\x1ds");
	assert_string_equal(screen(0), "[system] vmm-linux-1: unknown MSR\r\n");
	log_says("vmm-linux-1", "unknown port", true);
	assert_string_equal(screen(0), "");
}

static void digit_moves_the_keyboard(void **state)
{
	struct mux_input input;

	(void)state;
	input = mux_key(&mux, 'a');
	assert_int_equal(input.vm, 0);
	assert_int_equal(input.byte, 'a');
	assert_int_equal(mux_key(&mux, MUX_ESCAPE).vm, MUX_NOBODY);
	assert_int_equal(mux_key(&mux, '2').vm, MUX_NOBODY);
	assert_int_equal(mux_key(&mux, 'b').vm, 1);
	assert_int_equal(mux.mode, MUX_ALL);
	keys("\x1d"
	     "9");
	assert_int_equal(mux_key(&mux, 'c').vm, 1);
	assert_string_equal(screen(0), "[system] console: there is no such VM\r\n");
}

static void escape_twice_sends_it(void **state)
{
	struct mux_input input;

	(void)state;
	mux_key(&mux, MUX_ESCAPE);
	input = mux_key(&mux, MUX_ESCAPE);
	assert_int_equal(input.vm, 0);
	assert_int_equal(input.byte, MUX_ESCAPE);
}

static void hidden_vm_is_shown_when_it_gets_the_keyboard(void **state)
{
	(void)state;
	assert_true(mux_set_mode(&mux, "mode=raw:linux-1"));
	vm_says(1, "hello\r\n/ # ", 0);
	assert_string_equal(screen(0), "");
	keys("\x1d"
	     "2");
	assert_string_equal(screen(0), "[linux-2] \r\nhello\r\n/ # ");
}

static void backlog_keeps_the_newest(void **state)
{
	char chunk[MUX_CHUNK];

	(void)state;
	assert_true(mux_set_mode(&mux, "mode=raw:linux-1"));
	memset(chunk, 'o', sizeof(chunk));
	for (unsigned i = 0; i < 2 * MUX_BACKLOG / MUX_CHUNK; i++)
		mux_vm_bytes(&mux, 1, chunk, sizeof(chunk), 0);
	vm_says(1, "newest", 0);
	keys("\x1d"
	     "2");
	screen(0);
	assert_int_equal(strlen(seen), strlen("[linux-2] \r\n") + MUX_BACKLOG);
	assert_string_equal(seen + strlen(seen) - 6, "newest");
}

static void full_output_keeps_log_for_later(void **state)
{
	(void)state;
	for (int i = 0; i < 1500; i++)
		log_says("tests",
			 "0123456789012345678901234567890123456789012345678901234567890123456789",
			 false);
	mux_pump(&mux, 0);
	assert_true(mux_room(&mux) < 1024);
	assert_false(mux_is_empty(&mux));
	for (int i = 0; i < 4; i++)
		screen(0);
	assert_true(mux_is_empty(&mux));
}

static void bad_modes_are_refused(void **state)
{
	(void)state;
	assert_false(mux_set_mode(&mux, "mode=raw:linux-3"));
	assert_false(mux_set_mode(&mux, "mode=some"));
	assert_false(mux_set_mode(&mux, "all"));
	assert_true(mux_set_mode(&mux, "mode=all"));
}

/* A hostile VM may write any bytes, and anything may be typed at any time: nothing is read or
 * written outside. */
static void any_bytes_in_any_order_are_survived(void **state)
{
	static const char wanted[] = "\r\n\x1d"
				     "12ars\x1bh";
	char chunk[MUX_CHUNK];

	(void)state;
	srand(1);
	for (int round = 0; round < 20000; round++) {
		size_t length = (size_t)rand() % (MUX_CHUNK + 1);

		for (size_t i = 0; i < length; i++)
			chunk[i] = (char)(rand() % 3 == 0 ? wanted[rand() % 9] : rand());
		if (mux_room(&mux) >= MUX_CHUNK_OUT)
			mux_vm_bytes(&mux, rand() % 2, chunk, length, (uint64_t)round * 1000);
		if (rand() % 4 == 0)
			mux_key(&mux, (uint8_t)chunk[0]);
		if (rand() % 4 == 0)
			mux_log(&mux, "x", chunk, length, rand() % 2, rand() % 2);
		mux_pump(&mux, (uint64_t)round * 1000);
		mux_take(&mux, seen, (size_t)rand() % 2000);
		assert_true(mux_room(&mux) <= MUX_OUT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(complete_lines_are_marked, start),
		cmocka_unit_test_setup(unfinished_line_waits_then_shows_as_prompt, start),
		cmocka_unit_test_setup(interrupted_line_appears_again_in_one_piece, start),
		cmocka_unit_test_setup(lines_of_two_vms_never_mix, start),
		cmocka_unit_test_setup(overlong_line_is_broken_not_lost, start),
		cmocka_unit_test_setup(log_line_that_spans_records_is_one_line, start),
		cmocka_unit_test_setup(control_characters_in_the_log_are_harmless, start),
		cmocka_unit_test_setup(raw_mode_passes_bytes_unmarked, start),
		cmocka_unit_test_setup(raw_mode_shows_the_system_but_not_vmm_servers, start),
		cmocka_unit_test_setup(escape_s_shows_the_whole_system_log, start),
		cmocka_unit_test_setup(digit_moves_the_keyboard, start),
		cmocka_unit_test_setup(escape_twice_sends_it, start),
		cmocka_unit_test_setup(hidden_vm_is_shown_when_it_gets_the_keyboard, start),
		cmocka_unit_test_setup(backlog_keeps_the_newest, start),
		cmocka_unit_test_setup(full_output_keeps_log_for_later, start),
		cmocka_unit_test_setup(bad_modes_are_refused, start),
		cmocka_unit_test_setup(any_bytes_in_any_order_are_survived, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
