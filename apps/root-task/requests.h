/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What servers ask the root-task for, on its way from the supervisor's threads to the main thread.
 * A server is on one CPU, so one thread alone puts its requests; who asks too much fills its own
 * places only.
 */
#ifndef ROOT_REQUESTS_H
#define ROOT_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#define REQUESTS 16u /* of one server that wait */

struct request {
	uint64_t kind, value[2];
	uint32_t generation; /* the life of the server that asks */
};

/* From the supervisor's thread on the server's CPU; false: too many wait. */
bool requests_put(uint32_t server, const struct request *request);

/*
 * The oldest request of this life of the server; what an earlier one asked for is dropped. False:
 * there is none. Main thread only.
 */
bool requests_take(uint32_t server, uint32_t generation, struct request *request);

#endif
