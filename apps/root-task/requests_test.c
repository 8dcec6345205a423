/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests: they come in order, none is lost, and none outlives the server that asked. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <cairn/system.h>
#include "requests.h"

#define MANY 200000u

static bool put(uint32_t server, uint32_t generation, uint64_t kind)
{
	const struct request request = {
		.kind = kind, .generation = generation, .value = {kind + 1, kind + 2}};

	return requests_put(server, &request);
}

static void expect(uint32_t server, uint32_t generation, uint64_t kind)
{
	struct request request;

	assert_true(requests_take(server, generation, &request));
	assert_int_equal(request.kind, kind);
	assert_int_equal(request.value[0], kind + 1);
	assert_int_equal(request.value[1], kind + 2);
}

static void requests_come_in_order_until_there_are_too_many(void **unused)
{
	struct request request;

	(void)unused;
	for (unsigned round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < REQUESTS; i++)
			assert_true(put(0, 0, i));
		assert_false(put(0, 0, 99));
		for (uint64_t i = 0; i < REQUESTS; i++)
			expect(0, 0, i);
		assert_false(requests_take(0, 0, &request));
	}
}

static void a_server_that_asks_too_much_takes_no_place_of_another(void **unused)
{
	(void)unused;
	while (put(1, 0, 7))
		;
	for (uint32_t server = 2; server < SYSTEM_SERVERS; server++) {
		assert_true(put(server, 0, server));
		expect(server, 0, server);
	}
	expect(1, 0, 7);
}

static void what_an_earlier_life_asked_for_is_dropped(void **unused)
{
	struct request request;

	(void)unused;
	assert_true(put(3, 4, 1));
	assert_true(put(3, 4, 2));
	assert_true(put(3, 5, 3));
	assert_true(put(3, 4, 4));
	assert_true(put(3, 5, 5));
	expect(3, 5, 3);
	expect(3, 5, 5);
	assert_false(requests_take(3, 5, &request));
	assert_true(put(3, 5, 6));
	assert_false(requests_take(3, 6, &request));
	assert_false(requests_take(3, 5, &request));
}

static void *produce(void *unused)
{
	for (uint64_t i = 0; i < MANY;)
		i += put(4, 1, i);
	return unused;
}

static void none_is_lost_between_two_cpus(void **unused)
{
	struct request request;
	pthread_t producer;

	(void)unused;
	assert_int_equal(pthread_create(&producer, NULL, produce, NULL), 0);
	for (uint64_t i = 0; i < MANY;) {
		if (!requests_take(4, 1, &request))
			continue;
		assert_int_equal(request.kind, i);
		assert_int_equal(request.value[1], i + 2);
		i++;
	}
	pthread_join(producer, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_come_in_order_until_there_are_too_many),
		cmocka_unit_test(a_server_that_asks_too_much_takes_no_place_of_another),
		cmocka_unit_test(what_an_earlier_life_asked_for_is_dropped),
		cmocka_unit_test(none_is_lost_between_two_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
