/* SPDX-License-Identifier: BSD-2-Clause */
/* Random operations on the kernel's core; what is random comes from the test. */
#ifndef HOST_OPERATIONS_H
#define HOST_OPERATIONS_H

#include <stdint.h>

/* Supplied by the test: a number below `below`. */
uint32_t host_any(uint32_t below);

/* A machine with so many CPUs. */
void host_operations_begin(uint32_t cpus);
/* One operation; a hypercall that is refused must change nothing, which is looked at where `look` is not 0. */
void host_operate(int look);
/* All of it is taken back. */
void host_operations_end(void);

/* How often each operation succeeded; NULL: there is none of this number. */
const char *host_operation(uint32_t number, uint64_t *succeeded);

#endif
