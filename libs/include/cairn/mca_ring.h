/* SPDX-License-Identifier: BSD-2-Clause */
/* The two ends of a ring of machine-check messages (struct mca_ring in server.h), safe against a
 * hostile peer. */
#ifndef CAIRN_MCA_RING_H
#define CAIRN_MCA_RING_H

#include <stdbool.h>
#include <cairn/server.h>

/* Producer: whether mca_ring_put would take a message. */
bool mca_ring_has_room(const struct mca_ring *ring);

/* Producer: false when the ring is full (or its indices make no sense). */
bool mca_ring_put(struct mca_ring *ring, const struct mca_message *message);

/* Consumer: copies the oldest message out; false when there is none. Indices that make no sense:
 * drops all. */
bool mca_ring_get(struct mca_ring *ring, struct mca_message *message);

#endif
