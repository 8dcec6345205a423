/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the 16550A: what Linux probes for, flow control by the ring's room, interrupts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <cairn/byte_ring.h>
#include "dev/uart.h"

static struct tty_channel tty;
static struct uart uart;

static int setup(void **state)
{
	(void)state;
	memset(&tty, 0, sizeof(tty));
	uart_reset(&uart, &tty);
	return 0;
}

static void it_looks_like_a_16550a(void **state)
{
	(void)state;
	uart_write(&uart, 7, 0x5a);
	assert_int_equal(uart_read(&uart, 7), 0x5a);
	uart_write(&uart, 1, 0xff);
	assert_int_equal(uart_read(&uart, 1), 0x0f);
	uart_write(&uart, 1, 0);
	uart_write(&uart, 4,
		   0x1a); /* loopback with RTS and OUT2: CTS and DCD (Linux' autoconfig) */
	assert_int_equal(uart_read(&uart, 6) & 0xf0, 0x90);
	uart_write(&uart, 4, 0);
	assert_int_equal(uart_read(&uart, 2) >> 6, 0);
	uart_write(&uart, 2, 1);
	assert_int_equal(uart_read(&uart, 2) >> 6, 3);
	uart_write(&uart, 3, 0x80);
	uart_write(&uart, 0, 0x0c);
	uart_write(&uart, 1, 0x01);
	assert_int_equal(uart_read(&uart, 0), 0x0c);
	assert_int_equal(uart_read(&uart, 1), 0x01);
	assert_int_equal(byte_ring_used(&tty.out), 0);
}

static void loopback_returns_what_was_sent(void **state)
{
	(void)state;
	uart_write(&uart, 4, 0x10);
	for (unsigned i = 0; i < 20; i++)
		uart_write(&uart, 0, (uint8_t)i);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(uart_read(&uart, 5) & 1, 1);
		assert_int_equal(uart_read(&uart, 0), i);
	}
	assert_int_equal(uart_read(&uart, 5) & 1, 0);
	assert_int_equal(uart_read(&uart, 0), 0);
	assert_int_equal(byte_ring_used(&tty.out), 0);
}

static void output_reaches_the_ring_and_stops_when_it_is_full(void **state)
{
	unsigned sent = 0;
	uint8_t drain[64];

	(void)state;
	while (uart_read(&uart, 5) & 0x20) {
		uart_write(&uart, 0, (uint8_t)sent++);
		assert_true(sent <= BYTE_RING_SIZE);
	}
	assert_true(sent >= BYTE_RING_SIZE - 64);
	assert_int_equal(byte_ring_used(&tty.out), sent);
	assert_int_equal(byte_ring_read(&tty.out, drain, sizeof(drain)), sizeof(drain));
	assert_int_equal(drain[5], 5);
	assert_int_equal(uart_read(&uart, 5) & 0x60, 0x60);
}

static void the_other_end_is_told_at_the_end_of_a_line(void **state)
{
	(void)state;
	uart_write(&uart, 0, 'a');
	assert_true(uart.unsent);
	assert_false(uart.newline);
	uart_write(&uart, 0, '\n');
	assert_true(uart.newline);
}

static void input_interrupts_while_there_is_some(void **state)
{
	(void)state;
	uart_write(&uart, 1, 1);
	uart_write(&uart, 4, 8);
	assert_false(uart_line(&uart));
	assert_int_equal(byte_ring_write(&tty.in, "xy", 2), 2);
	assert_true(uart_line(&uart));
	assert_int_equal(uart_read(&uart, 2) & 0xf, 4);
	assert_int_equal(uart_read(&uart, 0), 'x');
	assert_true(uart_line(&uart));
	assert_int_equal(uart_read(&uart, 0), 'y');
	assert_false(uart_line(&uart));
	assert_int_equal(uart_read(&uart, 2) & 0xf, 1);
	uart_write(&uart, 4, 0); /* OUT2 is the gate to the interrupt line */
	assert_int_equal(byte_ring_write(&tty.in, "x", 1), 1);
	assert_false(uart_line(&uart));
}

static void transmitter_interrupts_once_per_emptying(void **state)
{
	(void)state;
	uart_write(&uart, 4, 8);
	uart_write(&uart, 1, 2);
	assert_true(uart_line(&uart));
	assert_int_equal(uart_read(&uart, 2) & 0xf, 2);
	assert_false(uart_line(&uart));
	uart_write(&uart, 0, 'z');
	assert_true(uart_line(&uart));
	(void)uart_read(&uart, 2);
	uart_write(&uart, 1, 0);
	uart_write(&uart, 1, 2);
	assert_true(uart_line(&uart));
}

static void full_ring_holds_the_interrupt_back(void **state)
{
	uint8_t drain[256];

	(void)state;
	uart_write(&uart, 4, 8);
	uart_write(&uart, 1, 2);
	while (uart_read(&uart, 5) & 0x20)
		uart_write(&uart, 0, 'z');
	assert_false(uart_line(&uart));
	assert_int_equal(byte_ring_read(&tty.out, drain, sizeof(drain)), sizeof(drain));
	uart_poll(&uart);
	assert_true(uart_line(&uart));
}

static void hostile_indices_do_no_harm(void **state)
{
	(void)state;
	tty.in.head = 0xffffffff;
	tty.in.tail = 7;
	tty.out.head = 1;
	tty.out.tail = 0x80000000;
	for (unsigned reg = 0; reg < 8; reg++) {
		uart_write(&uart, reg, 0xa5);
		(void)uart_read(&uart, reg);
	}
	uart_poll(&uart);
	(void)uart_line(&uart);
}

static void without_a_console_output_vanishes(void **state)
{
	(void)state;
	uart_reset(&uart, NULL);
	for (unsigned i = 0; i < 100000; i++)
		uart_write(&uart, 0, 'q');
	assert_int_equal(uart_read(&uart, 5), 0x60);
	assert_int_equal(uart_read(&uart, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_looks_like_a_16550a, setup),
		cmocka_unit_test_setup(loopback_returns_what_was_sent, setup),
		cmocka_unit_test_setup(output_reaches_the_ring_and_stops_when_it_is_full, setup),
		cmocka_unit_test_setup(the_other_end_is_told_at_the_end_of_a_line, setup),
		cmocka_unit_test_setup(input_interrupts_while_there_is_some, setup),
		cmocka_unit_test_setup(transmitter_interrupts_once_per_emptying, setup),
		cmocka_unit_test_setup(full_ring_holds_the_interrupt_back, setup),
		cmocka_unit_test_setup(hostile_indices_do_no_harm, setup),
		cmocka_unit_test_setup(without_a_console_output_vanishes, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
