/* SPDX-License-Identifier: BSD-2-Clause */
/* Ends in a triple fault: the VM, and nothing else, is to be reset. Each start prints one line, so
 * that resets can be counted. */
#include "nano.h"

void nano_main(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = {0, 0};

	nano_ok("started-before-triple-fault");
	/* No gate for #BP, none for the #GP of that, none for #DF. */
	__asm__ volatile("lidt %0; int3" : : "m"(none));
	nano_fail("triple-fault-does-not-return", "vector", 3, 0);
}
