/* SPDX-License-Identifier: BSD-2-Clause */
/* Copy, move, delete, revoke. */
#include <core/caps.h>
#include <core/smp.h>
#include <hal/hal.h>

#define REVOKE_STEP   16u			    /* deletions per hypercall */
#define TABLE_NESTING (SLOT_COUNT / SLOTS_PER_PAGE) /* each CapTable has a page of slots of its own */

/* An Untyped's watermark and a PageTable's place exist once; a root has no place. */
/*@ requires \valid_read(s);
  assigns \nothing;
  exits \false;
*/
static int copyable(const struct slot *s)
{
	return s->type != CAP_UNTYPED && (s->type != CAP_PAGETABLE || s->pt_level == 4);
}

/*@ requires \valid_read(s) && s->base + s->size <= 0xffffffffffffffff;
  assigns \nothing;
  exits \false;
  ensures part: \result == CAIRN_OK && badge != 0 && (s->type == CAP_IRQ || s->type == CAP_IOPORTS) ==>
    s->base <= (badge & 0xffff) <= (badge >> 16 & 0xffff) < s->base + s->size;
  ensures none: \result == CAIRN_OK && badge != 0 ==>
    s->type == CAP_IRQ || s->type == CAP_IOPORTS || s->type == CAP_THREAD || s->type == CAP_PORTAL;
*/
static status_t check_badge(const struct slot *s, uint64_t badge)
{
	uint64_t first = badge & 0xffff, last = badge >> 16 & 0xffff;

	if (!badge)
		return CAIRN_OK;
	switch (s->type) {
	case CAP_THREAD:
	case CAP_PORTAL:
		return s->badge ? CAIRN_ERR_ARG : CAIRN_OK;
	case CAP_IRQ:
	case CAP_IOPORTS:
		if (badge >> 32 || first > last || first < s->base || last >= s->base + s->size)
			return CAIRN_ERR_ARG;
		return CAIRN_OK;
	default:
		return CAIRN_ERR_ARG;
	}
}

/* Portals and Threads are used without the lock: nobody is in the middle of that any more when their slot changes. */
static void slot_hide(uint32_t s)
{
	slots[s].live = 0;
	if (slots[s].type == CAP_PORTAL || slots[s].type == CAP_THREAD)
		ask_all(REQ_BARRIER, 0);
}

/* What copy `dst`, not in the tree yet, has of `src`. */
/*@ requires src < SLOT_COUNT && dst < SLOT_COUNT && src != dst;
  requires slots[src].base + slots[src].size <= 0xffffffffffffffff;
  requires badge != 0 && (slots[src].type == CAP_IRQ || slots[src].type == CAP_IOPORTS) ==>
    slots[src].base <= (badge & 0xffff) <= (badge >> 16 & 0xffff) < slots[src].base + slots[src].size;
  assigns slots[dst];
  exits \false;
  ensures outside: slots[dst].live == 0 && slots[dst].depth == 0;
  ensures within: within(&slots[dst], &slots[src]);
*/
static void copy_fill(uint32_t dst, uint32_t src, uint64_t badge)
{
	const struct slot *s = &slots[src];
	struct slot *d = &slots[dst];

	slot_clear(dst);
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
}

status_t cap_copy(uint32_t src, uint32_t dst, uint64_t rights, uint64_t badge)
{
	struct slot *s = &slots[src];
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

	copy_fill(dst, src, badge);
	slot_set_rights(dst, s, (uint32_t)rights);
	/*@ assert frame: \forall integer i; is_slot(i) && i != dst ==> slots[i].next == \at(slots[i].next, Pre) &&
	      slots[i].prev == \at(slots[i].prev, Pre) && slots[i].parent == \at(slots[i].parent, Pre); */
	/*@ assert next: slots[src].next == \at(slots[src].next, Pre); */
	/*@ assert depth: \forall integer i; is_slot(i) && i != dst ==> slots[i].depth == \at(slots[i].depth, Pre); */
	/*@ assert live: \forall integer i; is_slot(i) && i != dst ==> slots[i].live == \at(slots[i].live, Pre); */
	/*@ assert outside: slots[dst].live == 0 && slots[dst].depth == 0; */
	/*@ assert links: slots_links; */
	/*@ assert deep_others: \forall integer i; 0 < i < SLOT_COUNT && i != dst ==>
	      (member(i) <==> \at(slots[i].depth, Pre) > 0); */
	/*@ assert deep: \forall integer i; 0 < i < SLOT_COUNT && i != dst ==> (member(i) <==> slots[i].depth > 0); */
	/*@ assert alive: \forall integer i; 0 < i < SLOT_COUNT && slots[i].live != 0 ==> member(i); */
	/*@ assert member: slots_member; */
	/*@ assert order: slots_next && slots_forward; */
	/*@ assert parents: slots_parents; */
	/*@ assert same_parent: \forall integer i; member(i) ==> slots[i].parent == \at(slots[i].parent, Pre); */
	/*@ assert descent: slots_descent; */
	/*@ assert same_depth: \forall integer i; listed(i) ==> slots[i].depth == \at(slots[i].depth, Pre); */
	/*@ assert deeper: slots_deeper; */
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
	uint64_t i, n;

	for (n = 0; n < s->count; n++) {
		i = s->used + n - (s->used + n < s->count ? 0 : s->count);
		if (slot_live(s->first + (uint32_t)i)) {
			s->used = i;
			return s->first + (uint32_t)i;
		}
	}
	return SLOT_NIL;
}

static uint32_t first_leaf(uint32_t s)
{
	while (!slot_leaf(s)) /* at most SLOT_MAX_DEPTH: each step is one deeper */
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
