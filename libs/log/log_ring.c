/* SPDX-License-Identifier: BSD-2-Clause */
/* The two ends of the log ring. Indices run freely; all that is read from shared memory is read
 * once and bounded. */
#include <string.h>
#include <cairn/log_ring.h>

#define MAX_RECORDS_OF_LINE 16 /* what is longer is cut */

static uint64_t records_of(size_t length)
{
	uint64_t count = (length + LOG_TEXT - 1) / LOG_TEXT;

	return count == 0 ? 1 : count;
}

/* Claims `count` adjacent records, so that lines of several threads do not mix. False: no room. */
static bool claim(struct log_ring *ring, uint64_t count, uint64_t *first)
{
	uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);

	do {
		uint64_t waiting = head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);

		if (waiting > LOG_RECORDS || count > LOG_RECORDS - waiting)
			return false;
	} while (!__atomic_compare_exchange_n(&ring->head, &head, head + count, false,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	*first = head;
	return true;
}

static void fill(struct log_ring *ring, uint64_t index, uint64_t tsc, const char *text,
		 size_t length, uint32_t flags)
{
	struct log_record *record = &ring->record[index % LOG_RECORDS];

	record->tsc = tsc;
	record->length = (uint32_t)length;
	record->flags = flags;
	memcpy(record->text, text, length);
	__atomic_store_n(&record->committed, index + 1, __ATOMIC_RELEASE);
}

bool log_ring_try_put(struct log_ring *ring, uint64_t tsc, const char *text, size_t length)
{
	uint64_t first, count;

	if (length > MAX_RECORDS_OF_LINE * LOG_TEXT)
		length = MAX_RECORDS_OF_LINE * LOG_TEXT;
	count = records_of(length);
	if (!claim(ring, count, &first))
		return false;
	for (uint64_t i = 0; i < count; i++) {
		size_t part = length < LOG_TEXT ? length : LOG_TEXT;

		fill(ring, first + i, tsc, text, part, i + 1 < count);
		text += part;
		length -= part;
	}
	return true;
}

bool log_ring_put(struct log_ring *ring, uint64_t tsc, const char *text, size_t length)
{
	if (log_ring_try_put(ring, tsc, text, length))
		return true;
	__atomic_fetch_add(&ring->dropped, 1, __ATOMIC_RELAXED);
	return false;
}

/* The ring may be zeroed for a new producer while the consumer takes a record: its tail is then far
 * from the head. */
static bool tail_is_lost(struct log_ring *ring, uint64_t tail)
{
	uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);

	if (head - tail <= LOG_RECORDS)
		return false;
	__atomic_store_n(&ring->tail, head, __ATOMIC_RELEASE);
	return true;
}

bool log_ring_get(struct log_ring *ring, struct log_record *copy)
{
	uint64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
	const struct log_record *record = &ring->record[tail % LOG_RECORDS];

	if (tail_is_lost(ring, tail) ||
	    __atomic_load_n(&record->committed, __ATOMIC_ACQUIRE) != tail + 1)
		return false;
	memcpy(copy, record, sizeof(*copy));
	if (copy->length > LOG_TEXT)
		copy->length = LOG_TEXT;
	copy->flags &= 1;
	__atomic_store_n(&ring->tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}
