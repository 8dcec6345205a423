/* SPDX-License-Identifier: BSD-2-Clause */
/* Copy, move, delete, revoke. */
#include <core/caps.h>
#include <core/smp.h>
#include <hal/hal.h>

#define REVOKE_STEP   16u			    /* deletions per hypercall */
#define TABLE_NESTING (SLOT_COUNT / SLOTS_PER_PAGE) /* each CapTable has a page of slots of its own */

/* An Untyped's watermark and a PageTable's place exist once; a root has no place. */
static int copyable(const struct slot *s)
{
	return s->type != CAP_UNTYPED && (s->type != CAP_PAGETABLE || s->pt_level == 4);
}

static status_t check_badge(const struct slot *s, uint64_t badge)
{
	uint64_t first = badge & 0xffff, last = badge >> 16 & 0xffff;

	switch (s->type) {
	case CAP_THREAD:
	case CAP_PORTAL:
		return !badge || !s->badge ? CAIRN_OK : CAIRN_ERR_ARG;
	case CAP_IRQ:
	case CAP_IOPORTS:
		if (!badge)
			return CAIRN_OK;
		if (badge >> 32 || first > last || first < s->base || last >= s->base + s->size)
			return CAIRN_ERR_ARG;
		return CAIRN_OK;
	default:
		return badge ? CAIRN_ERR_ARG : CAIRN_OK;
	}
}

/* Portals and Threads are used without the lock: nobody is in the middle of that any more when their slot changes. */
static void slot_hide(uint32_t s)
{
	slots[s].live = 0;
	if (slots[s].type == CAP_PORTAL || slots[s].type == CAP_THREAD)
		ask_all(REQ_BARRIER, 0);
}

status_t cap_copy(uint32_t src, uint32_t dst, uint64_t rights, uint64_t badge)
{
	struct slot *s = &slots[src], *d = &slots[dst];
	status_t st;

	if (!copyable(s))
		return CAIRN_ERR_TYPE;
	if (!s->r_grant)
		return CAIRN_ERR_RIGHTS;
	if (rights & ~(uint64_t)RIGHT_ALL)
		return CAIRN_ERR_ARG;
	st = check_badge(s, badge);
	if (st != CAIRN_OK)
		return st;

	*d = (struct slot){0};
	d->type = s->type;
	d->device = s->device;
	d->base = s->base;
	d->size = s->size;
	d->first = s->first;
	d->count = s->count;
	d->badge = s->badge;
	d->pt_level = s->pt_level;
	d->pt_kind = s->pt_kind;
	d->label = s->label;
	if (badge && (s->type == CAP_IRQ || s->type == CAP_IOPORTS)) {
		d->base = badge & 0xffff;
		d->size = (badge >> 16 & 0xffff) - d->base + 1;
	} else if (badge) {
		d->badge = badge;
	}
	slot_set_rights(dst, slot_rights(src) & (uint32_t)rights);
	slot_insert(dst, src);
	return CAIRN_OK;
}

status_t cap_move(uint32_t src, uint32_t dst)
{
	struct slot *s = &slots[src];

	/* Others name these by their slot. */
	if (s->type == CAP_PAGETABLE || s->bound || (s->type == CAP_FRAME && s->deposit))
		return CAIRN_ERR_BUSY;
	/* Else it could pass the steps of mc_poison from ahead to behind: its mapping would stay. */
	if (s->type == CAP_FRAME && pt_hung(src) && (hal_page_byte(s->base) & PAGE_POISONED))
		return CAIRN_ERR_BUSY;
	/* It stays in a table older than itself: tables that hold each other could never be emptied. */
	if ((s->type == CAP_CAPTABLE && s->original) || (s->type == CAP_UNTYPED && !slot_leaf(src)))
		return CAIRN_ERR_BUSY;
	slot_hide(src);
	slot_move(src, dst);
	return CAIRN_OK;
}

/* A live slot of CapTable `t`, or SLOT_NIL. slots[t].used remembers where the last search stopped. */
static uint32_t table_live(uint32_t t)
{
	struct slot *s = &slots[t];
	uint64_t i, start = s->used;

	for (i = start; i < s->count; i++) /* bound: slots of the table */
		if (slot_live(s->first + (uint32_t)i)) {
			s->used = i;
			return s->first + (uint32_t)i;
		}
	for (i = 0; i < start && i < s->count; i++) /* bound: slots of the table */
		if (slot_live(s->first + (uint32_t)i)) {
			s->used = i;
			return s->first + (uint32_t)i;
		}
	return SLOT_NIL;
}

static uint32_t first_leaf(uint32_t s)
{
	while (!slot_leaf(s)) /* bound: SLOT_MAX_DEPTH: each step is one deeper */
		s = slots[s].next;
	return s;
}

/*
 * What must go first so that leaf `s` can go: a CapTable is emptied before it goes, and what was derived from
 * its content goes with it. SLOT_NIL: the table holds its own ancestor.
 */
static uint32_t victim(uint32_t s)
{
	uint32_t n;

	for (n = 0; n < TABLE_NESTING; n++) {
		uint32_t inside;

		if (slots[s].type != CAP_CAPTABLE || !slots[s].original)
			return s;
		inside = table_live(s);
		if (inside == SLOT_NIL)
			return s;
		s = first_leaf(inside);
	}
	return SLOT_NIL;
}

static void remove_leaf(uint32_t s)
{
	slot_hide(s);
	if (slots[s].type == CAP_FRAME) {
		if (slots[s].bound)
			object_users_stop(s);
		frame_unmap(s);
	}
	if ((slots[s].type == CAP_IRQ || slots[s].type == CAP_MACHINECHECK) && slots[s].bound)
		binding_gone(s);
	if (slots[s].original)
		object_destroy(s);
	slot_remove(s);
}

status_t cap_delete(uint32_t s)
{
	uint32_t v, n;

	if (!slot_leaf(s))
		return CAIRN_ERR_BUSY;
	for (n = 0; n < REVOKE_STEP; n++) {
		v = victim(s);
		if (v == SLOT_NIL)
			return CAIRN_ERR_BUSY;
		remove_leaf(v);
		if (v == s)
			return CAIRN_OK;
	}
	return CAIRN_ERR_AGAIN;
}

status_t cap_revoke(uint32_t s)
{
	uint32_t n, v;

	for (n = 0; n < REVOKE_STEP; n++) {
		if (slot_leaf(s))
			return CAIRN_OK;
		v = victim(first_leaf(s));
		if (v == SLOT_NIL)
			return CAIRN_ERR_BUSY;
		remove_leaf(v);
	}
	return slot_leaf(s) ? CAIRN_OK : CAIRN_ERR_AGAIN;
}
