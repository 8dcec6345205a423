/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the byte ring and the machine-check ring, hostile peers included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <cairn/byte_ring.h>
#include <cairn/mca_ring.h>

static struct byte_ring *ring;
static struct mca_ring *messages;

/* On the heap, exactly as large as they are: the sanitizer sees the first byte outside. */
static int start(void **state)
{
	(void)state;
	ring = calloc(1, sizeof(*ring));
	messages = calloc(1, sizeof(*messages));
	return ring == NULL || messages == NULL;
}

static int end(void **state)
{
	(void)state;
	free(ring);
	free(messages);
	return 0;
}

static void bytes_come_out_in_order(void **state)
{
	char out[16];

	(void)state;
	assert_int_equal(byte_ring_write(ring, "hello", 5), 5);
	assert_int_equal(byte_ring_used(ring), 5);
	assert_int_equal(byte_ring_read(ring, out, 3), 3);
	assert_memory_equal(out, "hel", 3);
	assert_int_equal(byte_ring_read(ring, out, sizeof(out)), 2);
	assert_memory_equal(out, "lo", 2);
	assert_int_equal(byte_ring_read(ring, out, sizeof(out)), 0);
}

static void full_ring_takes_no_more(void **state)
{
	static uint8_t data[BYTE_RING_SIZE + 10];

	(void)state;
	assert_int_equal(byte_ring_write(ring, data, sizeof(data)), BYTE_RING_SIZE);
	assert_int_equal(byte_ring_free(ring), 0);
	assert_int_equal(byte_ring_write(ring, data, 1), 0);
}

static void indices_wrap(void **state)
{
	uint8_t in[1000], out[1000];

	(void)state;
	ring->head = ring->tail = UINT32_MAX - 500;
	for (int round = 0; round < 100; round++) {
		memset(in, round, sizeof(in));
		assert_int_equal(byte_ring_write(ring, in, sizeof(in)), sizeof(in));
		assert_int_equal(byte_ring_read(ring, out, sizeof(out)), sizeof(out));
		assert_memory_equal(in, out, sizeof(in));
	}
}

static void senseless_indices_are_survived(void **state)
{
	uint8_t data[64];

	(void)state;
	ring->head = 12345678;
	ring->tail = 3;
	assert_int_equal(byte_ring_used(ring), 0);
	assert_int_equal(byte_ring_free(ring), 0);
	assert_int_equal(byte_ring_write(ring, data, sizeof(data)), 0);
	assert_int_equal(byte_ring_read(ring, data, sizeof(data)), 0);
	assert_int_equal(ring->tail, 12345678);
}

static void hostile_peer_reaches_nothing_outside(void **state)
{
	uint8_t data[BYTE_RING_SIZE];
	struct mca_message message = {0};

	(void)state;
	srand(2);
	for (int round = 0; round < 20000; round++) {
		ring->head = (uint32_t)rand() * 3u;
		ring->tail = rand() % 2 ? ring->head - (uint32_t)rand() % 20000 : (uint32_t)rand();
		byte_ring_write(ring, data, (uint32_t)rand() % sizeof(data));
		byte_ring_read(ring, data, (uint32_t)rand() % sizeof(data));
		messages->head = (uint32_t)rand() * 3u;
		messages->tail =
			rand() % 2 ? messages->head - (uint32_t)rand() % 80 : (uint32_t)rand();
		mca_ring_put(messages, &message);
		mca_ring_get(messages, &message);
	}
}

static void messages_come_out_in_order_until_empty(void **state)
{
	struct mca_message message = {0};

	(void)state;
	for (uint64_t i = 0; i < MCA_RING_MESSAGES; i++) {
		message.sequence = i;
		assert_true(mca_ring_has_room(messages));
		assert_true(mca_ring_put(messages, &message));
	}
	assert_false(mca_ring_has_room(messages));
	assert_false(mca_ring_put(messages, &message));
	for (uint64_t i = 0; i < MCA_RING_MESSAGES; i++) {
		assert_true(mca_ring_get(messages, &message));
		assert_int_equal(message.sequence, i);
	}
	assert_false(mca_ring_get(messages, &message));
}

static void senseless_message_indices_are_survived(void **state)
{
	struct mca_message message;

	(void)state;
	messages->head = 1000;
	assert_false(mca_ring_has_room(messages));
	assert_false(mca_ring_put(messages, &message));
	assert_false(mca_ring_get(messages, &message));
	assert_int_equal(messages->tail, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_come_out_in_order, start, end),
		cmocka_unit_test_setup_teardown(full_ring_takes_no_more, start, end),
		cmocka_unit_test_setup_teardown(indices_wrap, start, end),
		cmocka_unit_test_setup_teardown(senseless_indices_are_survived, start, end),
		cmocka_unit_test_setup_teardown(hostile_peer_reaches_nothing_outside, start, end),
		cmocka_unit_test_setup_teardown(messages_come_out_in_order_until_empty, start, end),
		cmocka_unit_test_setup_teardown(senseless_message_indices_are_survived, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
