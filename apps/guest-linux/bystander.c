/* SPDX-License-Identifier: BSD-2-Clause */
/* A Linux process that computes on while others are hit, and whose lines show any gap or wrong
 * result. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "sha256.h"

#define HASHES_PER_STEP 500u
#define TABLE_WORDS	16384u /* 128 KiB that must keep its content from step to step */

static uint64_t table[TABLE_WORDS];

static void fill_table(uint64_t step)
{
	for (uint64_t i = 0; i < TABLE_WORDS; i++)
		table[i] = (step << 32) ^ (i * 0x9e3779b97f4a7c15ull);
}

static int table_intact(uint64_t step)
{
	for (uint64_t i = 0; i < TABLE_WORDS; i++) {
		if (table[i] != ((step << 32) ^ (i * 0x9e3779b97f4a7c15ull)))
			return 0;
	}
	return 1;
}

/* The chain: zeroes first; a step hashes HASHES_PER_STEP times. Whoever reads the lines can compute
 * it, too. */
static void advance(uint8_t digest[SHA256_SIZE])
{
	for (unsigned int i = 0; i < HASHES_PER_STEP; i++)
		sha256_of_digest(digest, digest);
}

int main(int argc, char **argv)
{
	uint8_t digest[SHA256_SIZE] = {0}, again[SHA256_SIZE];
	long pause_ms = argc > 1 ? strtol(argv[1], NULL, 10) : 200;
	struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000};

	if (argc > 2 || pause_ms < 0) {
		fputs("usage: bystander [PAUSE-MS]: one line per step, that long apart at least\n",
		      stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	fill_table(0);
	for (uint64_t step = 1;; step++) {
		memcpy(again, digest, sizeof(again));
		advance(digest);
		advance(again);
		if (memcmp(again, digest, sizeof(again)) != 0 || !table_intact(step - 1)) {
			printf("bystander: step %" PRIu64 " BAD\n", step);
			return 1;
		}
		fill_table(step);
		printf("bystander: step %" PRIu64 " ok %02x%02x%02x%02x\n", step, digest[0],
		       digest[1], digest[2], digest[3]);
		nanosleep(&pause, NULL);
	}
}
