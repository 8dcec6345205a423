/* SPDX-License-Identifier: BSD-2-Clause */
/* Which test, as the first argument says: `poison` or `freeze`. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cairn/runtime.h>
#include "stress.h"

_Noreturn void fail(const char *format, ...)
{
	va_list list;

	printf("stress: FAIL ");
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	printf("\n");
	fflush(stdout);
	for (;;)
		(void)cairn_wait_signals(0);
}

int main(int argc, char **argv)
{
	place_init();
	forge_init();
	if (argc == 2 && strcmp(argv[1], "poison") == 0) {
		place_probes();
		poison_test();
	} else if (argc == 2 && strcmp(argv[1], "freeze") == 0) {
		freeze_test();
	} else {
		fail("the argument is `poison` or `freeze`");
	}
	fflush(stdout);
	for (;;)
		(void)cairn_wait_signals(0);
}
