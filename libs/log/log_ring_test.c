/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the log ring: long lines, several producers at once, a hostile peer on either side. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <cairn/log_ring.h>

#define PRODUCERS     4
#define LINES_OF_EACH 5000

static struct log_ring *ring;

static int start(void **state)
{
	(void)state;
	ring = calloc(1, sizeof(*ring));
	return ring == NULL;
}

static int end(void **state)
{
	(void)state;
	free(ring);
	return 0;
}

static void line_comes_out_as_it_went_in(void **state)
{
	struct log_record record;

	(void)state;
	assert_true(log_ring_put(ring, 77, "hello", 5));
	assert_true(log_ring_get(ring, &record));
	assert_int_equal(record.length, 5);
	assert_int_equal(record.tsc, 77);
	assert_int_equal(record.flags, 0);
	assert_memory_equal(record.text, "hello", 5);
	assert_false(log_ring_get(ring, &record));
}

static void long_line_spans_records(void **state)
{
	char line[2 * LOG_TEXT + 10];
	struct log_record record;

	(void)state;
	memset(line, 'x', sizeof(line));
	assert_true(log_ring_put(ring, 0, line, sizeof(line)));
	assert_true(log_ring_get(ring, &record));
	assert_int_equal(record.length, LOG_TEXT);
	assert_int_equal(record.flags, 1);
	assert_true(log_ring_get(ring, &record));
	assert_int_equal(record.flags, 1);
	assert_true(log_ring_get(ring, &record));
	assert_int_equal(record.length, 10);
	assert_int_equal(record.flags, 0);
}

static void full_ring_counts_drops(void **state)
{
	struct log_record record;

	(void)state;
	for (int i = 0; i < LOG_RECORDS; i++)
		assert_true(log_ring_put(ring, 0, "", 0));
	assert_false(log_ring_put(ring, 0, "lost", 4));
	assert_int_equal(ring->dropped, 1);
	assert_true(log_ring_get(ring, &record));
	assert_true(log_ring_put(ring, 0, "fits", 4));
}

static void *produce(void *argument)
{
	char line[400];
	int id = *(int *)argument;

	for (int i = 0; i < LINES_OF_EACH;) {
		int length = snprintf(line, sizeof(line), "%d %d", id, i);

		memset(line + length, '.', sizeof(line) - (size_t)length);
		i += log_ring_put(ring, 0, line, i % 2 == 0 ? sizeof(line) : (size_t)length);
	}
	return NULL;
}

static void several_producers_lose_nothing_and_do_not_mix(void **state)
{
	pthread_t threads[PRODUCERS];
	int ids[PRODUCERS], next[PRODUCERS] = {0}, done = 0;
	struct log_record record;

	(void)state;
	for (int i = 0; i < PRODUCERS; i++) {
		ids[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, produce, &ids[i]), 0);
	}
	while (done < PRODUCERS * LINES_OF_EACH) {
		int id, line;

		if (!log_ring_get(ring, &record))
			continue;
		record.text[record.length < LOG_TEXT ? record.length : LOG_TEXT - 1] = 0;
		assert_int_equal(sscanf(record.text, "%d %d", &id, &line), 2);
		assert_int_equal(line, next[id]);
		next[id]++;
		done++;
		assert_int_equal(record.flags, line % 2 == 0);
		if (record.flags == 0)
			continue;
		while (!log_ring_get(ring, &record))
			;
		assert_int_equal(record.text[0], '.');
		assert_int_equal(record.flags, 0);
	}
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(threads[i], NULL);
}

static void hostile_producer_cannot_enlarge_a_record(void **state)
{
	struct log_record record;

	(void)state;
	assert_true(log_ring_put(ring, 0, "x", 1));
	ring->record[0].length = UINT32_MAX;
	ring->record[0].flags = UINT32_MAX;
	assert_true(log_ring_get(ring, &record));
	assert_int_equal(record.length, LOG_TEXT);
	assert_int_equal(record.flags, 1);
}

static void hostile_peer_reaches_nothing_outside(void **state)
{
	static const char line[1000];
	struct log_record record;

	(void)state;
	srand(3);
	for (int round = 0; round < 20000; round++) {
		ring->head = (uint64_t)rand() << 33 | (uint64_t)rand();
		ring->tail =
			rand() % 2 ? ring->head - (uint64_t)rand() % 300 : (uint64_t)rand() << 32;
		log_ring_put(ring, 0, line, (size_t)rand() % sizeof(line));
		ring->record[ring->tail % LOG_RECORDS].committed = ring->tail + 1;
		ring->record[ring->tail % LOG_RECORDS].length = (uint32_t)rand();
		if (ring->head - ring->tail > LOG_RECORDS)
			assert_false(log_ring_get(ring, &record));
		else
			assert_true(log_ring_get(ring, &record) && record.length <= LOG_TEXT);
		assert_true(ring->head - ring->tail <= LOG_RECORDS);
	}
}

/* As when a server is built anew while the console takes its last line. */
static void ring_that_is_zeroed_meanwhile_serves_again(void **state)
{
	struct log_record record;

	(void)state;
	for (int i = 0; i < 300; i++) {
		assert_true(log_ring_put(ring, 0, "old", 3));
		assert_true(log_ring_get(ring, &record));
	}
	memset(ring, 0, sizeof(*ring));
	ring->tail = 301; /* what the consumer stores at last */
	assert_false(log_ring_put(ring, 0, "lost", 4));
	assert_false(log_ring_get(ring, &record));
	assert_true(log_ring_put(ring, 0, "new", 3));
	assert_true(log_ring_get(ring, &record));
	assert_memory_equal(record.text, "new", 3);
	assert_false(log_ring_get(ring, &record));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(line_comes_out_as_it_went_in, start, end),
		cmocka_unit_test_setup_teardown(long_line_spans_records, start, end),
		cmocka_unit_test_setup_teardown(full_ring_counts_drops, start, end),
		cmocka_unit_test_setup_teardown(several_producers_lose_nothing_and_do_not_mix,
						start, end),
		cmocka_unit_test_setup_teardown(hostile_producer_cannot_enlarge_a_record, start,
						end),
		cmocka_unit_test_setup_teardown(hostile_peer_reaches_nothing_outside, start, end),
		cmocka_unit_test_setup_teardown(ring_that_is_zeroed_meanwhile_serves_again, start,
						end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
