/* SPDX-License-Identifier: BSD-2-Clause */
/* An address space that the root-task builds: its paging structures, made as they are needed. */
#ifndef ROOT_SPACE_H
#define ROOT_SPACE_H

#include <stdbool.h>
#include <stdint.h>
#include "memory.h"

#define SPACE_TABLES 128

struct space {
	struct domain *domain;
	uint32_t kind; /* enum cairn_pt_kind */
	uint32_t root; /* selector */
	unsigned count;
	struct {
		uint64_t base; /* first address it covers */
		uint32_t selector;
		uint32_t level;
	} table[SPACE_TABLES];
};

/* Makes the root. */
bool space_create(struct space *space, struct domain *domain, uint32_t kind, uint32_t label);
/* Adopts a root that exists already (the root-task's own). */
void space_adopt(struct space *space, struct domain *domain, uint32_t root);
/* Maps a 4 KiB Frame. */
bool space_map(struct space *space, uint32_t frame, uint64_t address, uint64_t rights);
/* Maps a 2 MiB Frame with a PageTable deposited for its split. */
bool space_map_large(struct space *space, uint32_t frame, uint64_t address, uint64_t rights);

#endif
