/* SPDX-License-Identifier: BSD-2-Clause */
/* An address space that the root-task builds: its paging structures, made as they are needed. */
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/types.h>
#include "root.h"

/* log2 of what one entry of a table of this level covers (SDM vol. 3, 4.5; APM vol. 2, 5.3). */
static unsigned entry_shift(uint32_t level)
{
	return 12 + 9 * (level - 1);
}

static uint64_t entry_of(uint64_t address, uint32_t level)
{
	return address >> entry_shift(level) & 511;
}

/* First address covered by the table of this level that covers `address`. */
static uint64_t table_base(uint64_t address, uint32_t level)
{
	return address & ~((1ul << entry_shift(level + 1)) - 1);
}

void space_adopt(struct space *space, struct domain *domain, uint32_t root)
{
	memset(space, 0, sizeof(*space));
	space->domain = domain;
	space->root = root;
}

bool space_create(struct space *space, struct domain *domain, uint32_t kind, uint32_t label)
{
	uint32_t root = domain_make(domain, CAP_PAGETABLE, 0,
				    4 | (uint64_t)kind << 8 | (uint64_t)label << 32,
				    "make an address space");

	space_adopt(space, domain, root);
	space->kind = kind;
	return root != 0;
}

static uint32_t find(const struct space *space, uint64_t base, uint32_t level)
{
	for (unsigned i = space->count; i > 0; i--) { /* the newest are wanted most often */
		if (space->table[i - 1].base == base && space->table[i - 1].level == level)
			return space->table[i - 1].selector;
	}
	return 0;
}

static uint32_t new_table(const struct space *space, uint32_t level)
{
	return domain_make(space->domain, CAP_PAGETABLE, 0, level | (uint64_t)space->kind << 8,
			   "make a paging structure");
}

static uint32_t add(struct space *space, uint32_t parent, uint64_t address, uint32_t level)
{
	uint32_t selector;

	if (space->count == SPACE_TABLES) {
		report_text(
			"its address space needs more paging structures than are kept track of");
		return 0;
	}
	selector = new_table(space, level);
	if (selector == 0)
		return 0;
	if (!report(cairn_pagetable_link(parent, entry_of(address, level + 1), selector),
		    "link a paging structure"))
		return 0;
	space->table[space->count].base = table_base(address, level);
	space->table[space->count].level = level;
	space->table[space->count++].selector = selector;
	return selector;
}

/* The table of `level` that covers `address`, made with all above it where it is missing; 0 after a
 * message. */
static uint32_t table_for(struct space *space, uint64_t address, uint32_t level)
{
	uint32_t parent = space->root;

	for (uint32_t at = 3; at >= level && parent != 0; at--) {
		uint32_t table = find(space, table_base(address, at), at);

		parent = table != 0 ? table : add(space, parent, address, at);
	}
	return parent;
}

bool space_map(struct space *space, uint32_t frame, uint64_t address, uint64_t rights)
{
	uint32_t table = table_for(space, address, 1);

	return table != 0 &&
	       report(cairn_map(frame, table, entry_of(address, 1), rights, 0), "map a page");
}

bool space_map_large(struct space *space, uint32_t frame, uint64_t address, uint64_t rights)
{
	uint32_t table = table_for(space, address, 2);
	uint32_t deposit = table != 0 ? new_table(space, 1) : 0;

	return deposit != 0 &&
	       report(cairn_map(frame, table, entry_of(address, 2), rights, deposit),
		      "map a 2 MiB page");
}
