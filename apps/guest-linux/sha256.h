/* SPDX-License-Identifier: BSD-2-Clause */
/* SHA-256 (FIPS 180-4) of one 32-byte value: the step of the bystander's chain. */
#ifndef GUEST_SHA256_H
#define GUEST_SHA256_H

#include <stdint.h>

#define SHA256_SIZE 32

/* out = SHA-256 of the 32 bytes at in; the two may be the same. */
void sha256_of_digest(const uint8_t in[SHA256_SIZE], uint8_t out[SHA256_SIZE]);

#endif
