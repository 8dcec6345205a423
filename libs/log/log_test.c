/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the log: what a line does that finds the console's ring full. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/log_ring.h>
#include <cairn/runtime.h>

static struct log_ring *ring;
static struct server_info *info;
static unsigned signals, console_after; /* the console empties the ring at this signal; 0: never */
static bool far;			/* it is on another CPU, and does so some time later */
static unsigned waits;			/* how often that was waited for */
static pthread_t console;

static void *empty_ring(void *unused)
{
	struct log_record record;

	while (log_ring_get(ring, &record))
		;
	return unused;
}

cairn_status_t cairn_signal(uint64_t thread)
{
	assert_int_equal(thread, SEL_CHANNEL + 0);
	if (++signals != console_after)
		return CAIRN_OK;
	if (!far) {
		empty_ring(NULL);
		return CAIRN_OK;
	}
	assert_int_equal(pthread_create(&console, NULL, empty_ring, NULL), 0);
	return CAIRN_OK;
}

/* Long enough for a thread to be started, whatever the machine. */
uint64_t cairn_ticks_from_us(uint64_t us)
{
	waits++;
	return console_after != 0 ? ~0ull >> 2 : us;
}

cairn_status_t cairn_debug_write(uint64_t characters)
{
	(void)characters;
	fail_msg("there is a console");
	return CAIRN_OK;
}

static void *map(uintptr_t address, size_t size)
{
	void *at = mmap((void *)address, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return at == (void *)address ? at : NULL;
}

static int group_setup(void **state)
{
	(void)state;
	info = map(SERVER_INFO_VA, sizeof(*info));
	ring = map(SERVER_CHANNEL_VA, CHANNEL_SIZE);
	if (info == NULL || ring == NULL)
		return -1;
	info->channel[0].present = 1;
	info->channel[0].kind = CHANNEL_LOG;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	memset(ring, 0, sizeof(*ring));
	signals = console_after = 0;
	far = false;
	waits = 0;
	info->channel[0].cpu = info->cpu = 1;
	for (unsigned i = 0; i < LOG_RECORDS; i++)
		assert_true(log_ring_put(ring, 0, "", 0));
	return 0;
}

static void line_that_is_lost_is_counted_once(void **state)
{
	(void)state;
	cairn_log("lost");
	assert_int_equal(waits, 0); /* waiting here would keep the console from running */
	assert_true(signals > 1);   /* it was tried again */
	assert_int_equal(ring->dropped, 1);
}

static void line_that_fits_after_a_signal_is_not_counted(void **state)
{
	struct log_record record;

	(void)state;
	console_after = 1;
	cairn_log("kept %d", 7);
	assert_int_equal(ring->dropped, 0);
	assert_true(log_ring_get(ring, &record));
	assert_int_equal(record.length, 6);
	assert_memory_equal(record.text, "kept 7", 6);
}

/* Where the console is on another CPU, a signal alone has emptied nothing yet. */
static void line_waits_for_a_console_on_another_cpu(void **state)
{
	(void)state;
	far = true;
	info->channel[0].cpu = 0;
	console_after = 1;
	cairn_log("kept");
	pthread_join(console, NULL);
	assert_int_equal(waits, 1);
	assert_int_equal(ring->dropped, 0);
	assert_int_equal(ring->head, LOG_RECORDS + 1);
}

static void dead_console_on_another_cpu_costs_its_time_once(void **state)
{
	struct log_record record;

	(void)state;
	info->channel[0].cpu = 0;
	for (unsigned i = 0; i < 10; i++)
		cairn_log("lost");
	assert_int_equal(waits, 1);
	assert_int_equal(ring->dropped, 10);
	/* It lives after all: the next time it is waited for again. */
	assert_true(log_ring_get(ring, &record));
	cairn_log("kept");
	cairn_log("lost");
	assert_int_equal(waits, 2);
	assert_int_equal(ring->dropped, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(line_that_is_lost_is_counted_once, setup),
		cmocka_unit_test_setup(line_that_fits_after_a_signal_is_not_counted, setup),
		cmocka_unit_test_setup(line_waits_for_a_console_on_another_cpu, setup),
		cmocka_unit_test_setup(dead_console_on_another_cpu_costs_its_time_once, setup),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
