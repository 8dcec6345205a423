/* SPDX-License-Identifier: BSD-2-Clause */
/* The two ends of a ring of machine-check messages: indices are read once and bounded, messages are
 * copied. */
#include <string.h>
#include <cairn/mca_ring.h>

_Static_assert((MCA_RING_MESSAGES & (MCA_RING_MESSAGES - 1)) == 0, "free-running indices");

static uint32_t load(const uint32_t *index)
{
	return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *index, uint32_t value)
{
	__atomic_store_n(index, value, __ATOMIC_RELEASE);
}

/* The unsigned difference also refuses indices that make no sense. */
bool mca_ring_has_room(const struct mca_ring *ring)
{
	return load(&ring->head) - load(&ring->tail) < MCA_RING_MESSAGES;
}

bool mca_ring_put(struct mca_ring *ring, const struct mca_message *message)
{
	uint32_t head = load(&ring->head);

	if (!mca_ring_has_room(ring))
		return false;
	memcpy(&ring->message[head % MCA_RING_MESSAGES], message, sizeof(*message));
	store(&ring->head, head + 1);
	return true;
}

bool mca_ring_get(struct mca_ring *ring, struct mca_message *message)
{
	uint32_t head = load(&ring->head), tail = load(&ring->tail);

	if (head == tail)
		return false;
	if (head - tail > MCA_RING_MESSAGES) {
		store(&ring->tail, head);
		return false;
	}
	memcpy(message, &ring->message[tail % MCA_RING_MESSAGES], sizeof(*message));
	store(&ring->tail, tail + 1);
	return true;
}
