/* SPDX-License-Identifier: BSD-2-Clause */
/* An independent look at all of the kernel's state, for tests that do anything to it. */
#ifndef HOST_CHECK_H
#define HOST_CHECK_H

#include "host_hal.h"

#define FAR	  4096u /* the tests' CapTables take slots from here */
#define FAR_SLOTS 1024u

/* By page: what the test has poisoned completely. */
extern uint8_t host_poisoned[HOST_PAGES];
uint32_t host_page(uint64_t phys);

/* Calls host_fault with what does not hold. */
void host_check(void);
/* A number made of all that the kernel holds: slots, page bytes, objects. */
uint64_t host_hash(void);
/* Supplied by the test: says what, and does not return. */
_Noreturn void host_fault(const char *what);

#endif
