/* SPDX-License-Identifier: BSD-2-Clause */
/* The derivation list: insertion behind the parent, removal of leaves, moves. */
#include <core/slot.h>
#include <hal/hal.h>

/* One byte per page of slots: does a CapTable back it? Slot 0's page is the root-task's. */
static uint8_t slot_page_backed[SLOT_COUNT / SLOTS_PER_PAGE];

int slot_backed(uint32_t s)
{
	return s < SLOT_COUNT && slot_page_backed[s / SLOTS_PER_PAGE];
}

void slot_page_set(uint32_t page, int backed)
{
	slot_page_backed[page] = (uint8_t)backed;
}

void slot_insert(uint32_t s, uint32_t parent)
{
	uint32_t n = slots[parent].next;

	slots[s].next = n;
	slots[s].prev = parent;
	slots[s].parent = parent;
	slots[s].depth = (uint16_t)(slots[parent].depth + 1);
	slots[n].prev = s;
	slots[parent].next = s;
	hal_order(); /* other CPUs look at it from here on */
	slots[s].live = 1;
}

void slot_remove(uint32_t s)
{
	uint32_t n = slots[s].next, p = slots[s].prev;

	slots[s].live = 0;
	slots[p].next = n;
	slots[n].prev = p;
	slots[s] = (struct slot){0};
}

void slot_move(uint32_t src, uint32_t dst)
{
	uint32_t i;

	slots[dst] = slots[src];
	slots[dst].live = 0;
	slots[slots[dst].next].prev = dst;
	slots[slots[dst].prev].next = dst;
	/* The subtree is the run of deeper slots behind it; only direct children name it. */
	for (i = slots[dst].next; i != SLOT_NIL && slots[i].depth > slots[dst].depth; i = slots[i].next)
		if (slots[i].parent == src)
			slots[i].parent = dst;
	hal_order();
	slots[dst].live = 1;
	slots[src] = (struct slot){0};
}

uint32_t slot_rights(uint32_t s)
{
	const struct slot *c = &slots[s];

	return (c->r_read ? RIGHT_READ : 0) | (c->r_write ? RIGHT_WRITE : 0) | (c->r_exec ? RIGHT_EXEC : 0) |
	       (c->r_control ? RIGHT_CONTROL : 0) | (c->r_signal ? RIGHT_SIGNAL : 0) | (c->r_grant ? RIGHT_GRANT : 0);
}

void slot_set_rights(uint32_t s, uint32_t rights)
{
	struct slot *c = &slots[s];

	c->r_read = (rights & RIGHT_READ) != 0;
	c->r_write = (rights & RIGHT_WRITE) != 0;
	c->r_exec = (rights & RIGHT_EXEC) != 0;
	c->r_control = (rights & RIGHT_CONTROL) != 0;
	c->r_signal = (rights & RIGHT_SIGNAL) != 0;
	c->r_grant = (rights & RIGHT_GRANT) != 0;
}
