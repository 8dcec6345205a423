/* SPDX-License-Identifier: BSD-2-Clause */
/* Leaves the VM for one reason and for another, in turn and for ever: tools/paths follows that. */
#include "nano.h"

void nano_main(void)
{
	uint32_t out[4];

	for (;;) {
		cpuid(0, out);
		outb(PORT_SCRATCH, 0x5a);
	}
}
