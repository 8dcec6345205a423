/* SPDX-License-Identifier: BSD-2-Clause */
/* The two ends of a byte ring (struct byte_ring in server.h). A hostile peer can garble its stream,
 * nothing else. */
#ifndef CAIRN_BYTE_RING_H
#define CAIRN_BYTE_RING_H

#include <stdint.h>
#include <cairn/server.h>

/* Bytes waiting, at most BYTE_RING_SIZE (indices that make no sense count as an empty ring). */
uint32_t byte_ring_used(const struct byte_ring *ring);

/* Bytes that byte_ring_write would take (0 when the indices make no sense). */
uint32_t byte_ring_free(const struct byte_ring *ring);

/* Producer: puts as many of `length` bytes as there is room for; returns how many. */
uint32_t byte_ring_write(struct byte_ring *ring, const void *data, uint32_t length);

/* Consumer: takes up to `length` bytes; returns how many. Indices that make no sense: drops all,
 * returns 0. */
uint32_t byte_ring_read(struct byte_ring *ring, void *data, uint32_t length);

#endif
