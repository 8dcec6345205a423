/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting for notifications, and sleeping without losing any. Main thread only. */
#include <cairn/hypercalls.h>
#include <cairn/runtime.h>
#include "libs/personality/signals.h"

static uint64_t kept;

void personality_sleep_until(uint64_t deadline)
{
	uint64_t bits;

	while (cairn_tsc() < deadline) {
		bits = 0;
		if (cairn_wait(deadline, &bits) == CAIRN_OK)
			kept |= bits;
	}
}

uint64_t cairn_wait_signals(uint64_t deadline)
{
	uint64_t bits = 0;

	/* With bits at hand only look whether there are more. */
	if (cairn_wait(kept != 0 ? 1 : deadline, &bits) != CAIRN_OK)
		bits = 0;
	bits |= kept;
	kept = 0;
	return bits;
}
