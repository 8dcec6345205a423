/* SPDX-License-Identifier: BSD-2-Clause */
/* Stock musl in a server: allocation, text, numbers, errors. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cairn/hooks.h>
#include <cairn/runtime.h>
#include "check.h"

static int by_value(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static void allocation(void)
{
	char *blocks[64], *big = malloc(60000);
	void *volatile no_block;
	bool good = big != NULL;

	for (unsigned i = 0; i < 64; i++) {
		blocks[i] = malloc(17 + 13 * i);
		good = good && blocks[i] != NULL;
		if (blocks[i])
			memset(blocks[i], (int)i, 17 + 13 * i);
	}
	for (unsigned i = 0; i < 64; i++)
		good = good && blocks[i] && blocks[i][0] == (char)i && blocks[i][16] == (char)i;
	check_true("malloc-gives-separate-memory", good, "a block is missing or was overwritten");
	for (unsigned i = 0; i < 64; i += 2)
		free(blocks[i]);
	blocks[1] = realloc(blocks[1], 5000);
	check_true("realloc-keeps-the-content", blocks[1] && blocks[1][16] == 1, "it is lost");
	for (unsigned i = 1; i < 64; i += 2)
		free(blocks[i]);
	free(big);
	errno = 0;
	no_block = malloc(1ul << 40);
	__asm__ volatile("" : : : "memory"); /* clang holds that malloc leaves errno alone */
	check_true("malloc-of-too-much-fails-with-enomem", no_block == NULL && errno == ENOMEM,
		   "it did not");
	for (unsigned i = 0; i < 200; i++) {
		big = malloc(60000);
		good = good && big != NULL;
		free(big);
	}
	check_true("freed-memory-is-used-again", good, "malloc failed");
}

static void text(void)
{
	char buffer[128];
	int numbers[] = {5, -3, 99, 0, 7};

	snprintf(buffer, sizeof(buffer), "%d %s %#lx %5.2f %c", -42, "words", 0xbeeful, 3.14159,
		 'z');
	check_true("printf-formats", strcmp(buffer, "-42 words 0xbeef  3.14 z") == 0, buffer);
	check_value("strtoul-reads", strtoul("0x1f2e", NULL, 0), 0x1f2e);
	check_true("string-functions-work",
		   strlen(buffer) == 24 && strchr(buffer, 'w') == buffer + 4 &&
			   strstr(buffer, "beef") && memcmp("abc", "abd", 3) < 0 &&
			   toupper('q') == 'Q',
		   "one of them does not");
	qsort(numbers, 5, sizeof(numbers[0]), by_value);
	check_true("qsort-sorts", numbers[0] == -3 && numbers[4] == 99, "it does not");
	check_true("floating-point-works", fabs(sqrt(2.0) * sqrt(2.0) - 2.0) < 1e-12,
		   "the square root of 2 is wrong");
}

/* Whether one of the last lines of the own log starts with `text`. */
static bool logged(const char *text)
{
	const struct log_ring *ring = cairn_channel(0);

	for (uint64_t back = 1; back <= 4; back++) {
		const struct log_record *record = &ring->record[(ring->head - back) % LOG_RECORDS];

		if (ring->head >= back && strncmp(record->text, text, strlen(text)) == 0)
			return true;
	}
	return false;
}

static void errors(void)
{
	struct timespec before, after;

	errno = 0;
	check_true("an-unsupported-call-fails-with-enosys",
		   open("/etc/passwd", O_RDONLY) == -1 && errno == ENOSYS, "another result");
	check_true("and-says-its-name", logged("personality: unsupported Linux call open"),
		   "not logged");
	errno = 0;
	check_true("a-write-to-no-descriptor-fails-with-ebadf",
		   write(77, "x", 1) == -1 && errno == EBADF, "another result");
	check_true("strerror-has-words", strcmp(strerror(ENOSYS), "Function not implemented") == 0,
		   strerror(ENOSYS));
	check_true("the-clock-runs",
		   clock_gettime(CLOCK_MONOTONIC, &before) == 0 && usleep(3000) == 0 &&
			   clock_gettime(CLOCK_MONOTONIC, &after) == 0 &&
			   (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec -
					   before.tv_nsec >=
				   3000000,
		   "it stood still or usleep ended early");
}

/* The end that a failed assertion leads to, caught once: the stack of the call that ends the
 * program is left behind. */
static jmp_buf caught;
static volatile int catching, end_status;

static void catch_end(int status)
{
	end_status = status;
	if (catching)
		longjmp(caught, 1);
	for (;;)
		cairn_request(ROOT_EXIT, (uint64_t)(unsigned)status, 0);
}

const struct cairn_hooks cairn_hooks = {.end = catch_end};

static void assertions(void)
{
	const volatile int two = 2;

	catching = 1;
	if (setjmp(caught) == 0)
		assert(two == 3);
	catching = 0;
	check_value("a-failed-assertion-ends-the-program", (uint64_t)end_status, 128 + 6);
	check_true("and-says-what-and-where", logged("Assertion failed: two == 3 ("),
		   "the log does not show it");
}

void suite_libc(void)
{
	allocation();
	text();
	errors();
	assertions();
}
