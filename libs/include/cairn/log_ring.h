/* SPDX-License-Identifier: BSD-2-Clause */
/* The two ends of the log ring (struct log_ring in server.h). Neither trusts the other. */
#ifndef CAIRN_LOG_RING_H
#define CAIRN_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cairn/server.h>

/*
 * Producer: one line (a long one spans records). False: no room; nothing was put, or only a part of
 * the line, and the drop is counted. Lock-free: any thread of the server may call it at any time.
 */
bool log_ring_put(struct log_ring *ring, uint64_t tsc, const char *text, size_t length);

/* The same for who will try again: what finds no room is not counted. */
bool log_ring_try_put(struct log_ring *ring, uint64_t tsc, const char *text, size_t length);

/* Consumer: copies the oldest committed record; false: there is none. length and flags of the copy
 * are checked. Indices that make no sense: drops all. */
bool log_ring_get(struct log_ring *ring, struct log_record *copy);

#endif
