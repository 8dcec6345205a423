/* SPDX-License-Identifier: BSD-2-Clause */
/* One ring of requests for each server: one producer, one consumer, indices run freely. */
#include <cairn/system.h>
#include "requests.h"

_Static_assert((REQUESTS & (REQUESTS - 1)) == 0, "free-running indices need a power of two");

static struct {
	uint32_t head, tail;
	struct request request[REQUESTS];
} rings[SYSTEM_SERVERS];

bool requests_put(uint32_t server, const struct request *request)
{
	uint32_t head = __atomic_load_n(&rings[server].head, __ATOMIC_RELAXED);

	if (head - __atomic_load_n(&rings[server].tail, __ATOMIC_ACQUIRE) == REQUESTS)
		return false;
	rings[server].request[head % REQUESTS] = *request;
	__atomic_store_n(&rings[server].head, head + 1, __ATOMIC_RELEASE);
	return true;
}

bool requests_take(uint32_t server, uint32_t generation, struct request *request)
{
	uint32_t tail = __atomic_load_n(&rings[server].tail, __ATOMIC_RELAXED);

	while (tail != __atomic_load_n(&rings[server].head, __ATOMIC_ACQUIRE)) {
		*request = rings[server].request[tail % REQUESTS];
		__atomic_store_n(&rings[server].tail, ++tail, __ATOMIC_RELEASE);
		if (request->generation == generation)
			return true;
	}
	return false;
}
