/* SPDX-License-Identifier: BSD-2-Clause */
/* The two ends of a byte ring: indices are read once and bounded, so a hostile peer reaches nothing
 * but the ring. */
#include <string.h>
#include <cairn/byte_ring.h>

_Static_assert((BYTE_RING_SIZE & (BYTE_RING_SIZE - 1)) == 0,
	       "free-running indices need a power of two");

static uint32_t load(const uint32_t *index)
{
	return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *index, uint32_t value)
{
	__atomic_store_n(index, value, __ATOMIC_RELEASE);
}

uint32_t byte_ring_used(const struct byte_ring *ring)
{
	uint32_t used = load(&ring->head) - load(&ring->tail);

	return used <= BYTE_RING_SIZE ? used : 0;
}

uint32_t byte_ring_free(const struct byte_ring *ring)
{
	uint32_t used = load(&ring->head) - load(&ring->tail);

	return used <= BYTE_RING_SIZE ? BYTE_RING_SIZE - used : 0;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

uint32_t byte_ring_write(struct byte_ring *ring, const void *data, uint32_t length)
{
	uint32_t head = load(&ring->head);
	uint32_t used = head - load(&ring->tail);
	uint32_t at = head % BYTE_RING_SIZE, first;

	if (used > BYTE_RING_SIZE)
		return 0;
	length = smaller(length, BYTE_RING_SIZE - used);
	first = smaller(length, BYTE_RING_SIZE - at);
	memcpy(ring->data + at, data, first);
	memcpy(ring->data, (const uint8_t *)data + first, length - first);
	store(&ring->head, head + length);
	return length;
}

uint32_t byte_ring_read(struct byte_ring *ring, void *data, uint32_t length)
{
	uint32_t head = load(&ring->head), tail = load(&ring->tail);
	uint32_t used = head - tail;
	uint32_t at = tail % BYTE_RING_SIZE, first;

	if (used > BYTE_RING_SIZE) {
		store(&ring->tail, head);
		return 0;
	}
	length = smaller(length, used);
	first = smaller(length, BYTE_RING_SIZE - at);
	memcpy(data, ring->data + at, first);
	memcpy((uint8_t *)data + first, ring->data, length - first);
	store(&ring->tail, tail + length);
	return length;
}
