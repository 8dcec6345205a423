/* SPDX-License-Identifier: BSD-2-Clause */
/* The control thread: the VM's dealings with the console, the mca-server and the root-task. */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include <stdint.h>

/* Deals with these notification bits. */
void control_step(uint64_t bits);

/* When the next step is due even without a signal (absolute TSC; 0: it is not). */
uint64_t control_deadline(void);

/* Waits for signals, for ever. */
_Noreturn void control_run(void);

/* Tells the root-task that the VM cannot go on, and waits for ever. */
_Noreturn void control_give_up(void);

#endif
