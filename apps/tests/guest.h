/* SPDX-License-Identifier: BSD-2-Clause */
/* Guests of a few pages in 64-bit mode, with this server as their VMM. */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <cairn/vcpu.h>
#include "worker.h"

#define GUEST_CODE  0x5000ul /* guest-physical and virtual address of the code; its data follow */
#define GUEST_PAGES 12u	     /* from 0x1000 on: paging structures, code, data */

struct guest {
	uint64_t vcpu, entry; /* selector; offset in the code */
	volatile struct vcpu_state *state;
	uint8_t *memory; /* guest-physical 0x1000, GUEST_PAGES long */
	uint64_t data;	 /* selector: its first page behind the code, which it has a copy of */
	uint64_t root;	 /* selector: of its space */
	struct worker handler;
	/* How often each class exited. */
	volatile uint64_t exits[EXIT_CLASSES];
	/* Called at each exit, on the handler's thread; may be NULL. At EXIT_STARTUP the state is
	 * complete, and may be changed. */
	void (*hook)(struct guest *guest, enum vcpu_exit_class class);
	uint64_t flags; /* RFLAGS at the start */
	bool no_groups; /* exits copy only what always travels */
	uint64_t cpu, priority, budget_us, period_us;
};

/* What the guest sees at `address`. */
static inline void *guest_at(const struct guest *guest, uint64_t address)
{
	return guest->memory + (address - 0x1000);
}

/*
 * Makes the guest in `guest`, whose fields from `hook` on the caller has set; the rest is filled
 * in. It is to start at `entry` in its copy of `code` (whole pages, at GUEST_CODE). Not resumed
 * yet. CPUID, MSR accesses and those of DR0 to DR3 do nothing; HLT halts and tells the main thread,
 * and so does the end at any other exit.
 */
void guest_make(struct guest *guest, const uint8_t *code, unsigned pages, unsigned entry);

/* Forgets all guests: their objects are gone. */
void guests_reset(void);

#endif
