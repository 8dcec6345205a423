/* SPDX-License-Identifier: BSD-2-Clause */
/* The notification word, shared between the server's own waiting and the personality's sleeping. */
#ifndef LIBS_SIGNALS_H
#define LIBS_SIGNALS_H

#include <stdint.h>

/* Sleeps until the TSC has reached `deadline`; bits that arrive meanwhile are kept for
 * cairn_wait_signals. */
void personality_sleep_until(uint64_t deadline);

#endif
