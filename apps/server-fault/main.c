/* SPDX-License-Identifier: BSD-2-Clause */
/* A server that dereferences NULL, to show that nobody else is harmed by it. */
#include <stddef.h>
#include <stdio.h>
#include <time.h>

/* Volatile: the compiler may not reason about the pointer's value. */
static volatile unsigned *volatile nowhere = NULL;

int main(void)
{
	struct timespec while_others_start = {.tv_sec = 1};

	printf("is about to read address 0\n");
	nanosleep(&while_others_start, NULL);
	printf("read %u: this line must never be seen\n", *nowhere);
	return 0;
}
