/* SPDX-License-Identifier: BSD-2-Clause */
/* Capability slots: one array, preorder derivation list with depth and parent index. */
#ifndef CORE_SLOT_H
#define CORE_SLOT_H

#include <stdint.h>
#include <cairn/types.h>
#include <cairn/status.h>

typedef cairn_status_t status_t;
#define MUST_USE __attribute__((warn_unused_result))

#define SLOT_COUNT     262144u /* room for this many; backed page by page when CapTables are made */
#define SLOT_NIL       0u      /* slot 0 is the head of the derivation list, never a capability */
#define SLOTS_PER_PAGE 32u
#define SLOT_MAX_DEPTH 1000u

struct slot {
	uint64_t live;	     /* 1: holds a capability. One 8-byte store takes it away */
	uint32_t next, prev; /* preorder list */
	uint32_t parent;
	uint16_t depth;
	uint8_t type;	  /* enum cairn_type */
	uint8_t original; /* 1: made by retype; its object dies with it */
	uint8_t r_read, r_write, r_exec, r_control, r_signal, r_grant;
	uint8_t device;			 /* Untyped, Frame: memory keeps its content (boot image, device) */
	uint8_t pt_kind;		 /* PageTable: enum cairn_pt_kind */
	uint8_t pt_level;		 /* PageTable: 1..4 */
	uint8_t m_read, m_write, m_exec; /* Frame: rights of its mapping */
	uint8_t bound;			 /* Frame: message buffer or state page; Irq, MachineCheck: used to bind */
	uint64_t base, size;		 /* memory or object, physical bytes; IoPorts, Irq: first, count */
	uint64_t used;	 /* Untyped: watermark in bytes; PageTable: entries in use; CapTable: where to look for live slots */
	uint64_t id;	 /* PageTable: number of this object, never used again */
	uint64_t map_id; /* of the PageTable below */
	uint32_t map_pt; /* Frame, PageTable: slot of the PageTable that holds its entry; 0: none */
	uint32_t map_index;    /* … and which entry */
	uint32_t deposit;      /* 2 MiB Frame: slot of the deposited PageTable; PageTable: slot of the Frame it serves */
	uint32_t label;	       /* root PageTable */
	uint64_t badge;	       /* Thread, Portal */
	uint32_t first, count; /* CapTable: its slots; Portal: count is its transfer mask */
	uint64_t pad[2];
};
_Static_assert(sizeof(struct slot) == 128, "32 slots a page");

extern struct slot slots[SLOT_COUNT];
extern uint8_t slot_page_backed[SLOT_COUNT / SLOTS_PER_PAGE]; /* by slot_page_set */

/*
 * What holds of the slots whenever none of the functions below is at work (docs/proofs.md). The tree of derivation, for
 * proofs only: which slots are in the list; their order in it, as numbers that are a permutation of all slots; and who
 * descends from whom.
 */
/*@ ghost uint8_t tree_member[SLOT_COUNT]; */
/*@ ghost uint32_t tree_order[SLOT_COUNT]; */
/*@ ghost struct tree_row tree_under[SLOT_COUNT]; */
/*@
  predicate is_slot(integer i) = 0 <= i < SLOT_COUNT;
  predicate member(integer i) = 0 < i < SLOT_COUNT && tree_member[i] == 1;
  predicate listed(integer i) = i == 0 || member(i);
  predicate ahead(integer i, integer j) = tree_order[i] < tree_order[j];
  predicate under(integer a, integer i) = tree_under[a].below[i] == 1;
  predicate leaf(integer s) = \forall integer i; member(i) ==> !under(s, i);

  predicate tree_ordered = tree_order[0] == 0 && (\forall integer i; is_slot(i) ==> tree_order[i] < SLOT_COUNT) &&
    (\forall integer i, j; is_slot(i) && is_slot(j) && tree_order[i] == tree_order[j] ==> i == j);
  predicate tree_forward = \forall integer a, i; listed(a) && listed(i) && under(a, i) ==> ahead(a, i);
  predicate tree_runs = \forall integer a, i, k; listed(a) && member(i) && member(k) &&
      under(a, i) && ahead(a, k) && ahead(k, i) ==> under(a, k);
  predicate tree_ok = tree_ordered && tree_forward && tree_runs;

  predicate slots_links = slots[0].depth == 0 && slots[0].live == 0 &&
    \forall integer i; listed(i) ==> listed(slots[i].prev) &&
      slots[slots[i].next].prev == i && slots[slots[i].prev].next == i;
  predicate slots_member = \forall integer i; 0 < i < SLOT_COUNT ==>
      (member(i) <==> slots[i].depth > 0) && (slots[i].live != 0 ==> member(i));
  predicate slots_next = \forall integer i, j; listed(i) && member(j) && ahead(i, j) ==>
      slots[i].next != 0 && !ahead(j, slots[i].next);
  predicate slots_forward = \forall integer i; listed(i) && slots[i].next != 0 ==>
      member(slots[i].next) && ahead(i, slots[i].next);
  predicate slots_parents = \forall integer i; member(i) ==> listed(slots[i].parent) &&
      slots[i].depth == slots[slots[i].parent].depth + 1 && slots[i].depth <= SLOT_MAX_DEPTH + 1;
  predicate slots_descent = \forall integer a, i; listed(a) && member(i) ==>
      (under(a, i) <==> a == slots[i].parent || under(a, slots[i].parent));
  predicate slots_deeper = \forall integer a, i; listed(a) && listed(i) && under(a, i) ==> slots[a].depth < slots[i].depth;
  predicate slots_ok = tree_ok && slots_links && slots_member && slots_next && slots_forward && slots_parents &&
      slots_descent && slots_deeper;

  // Two slots, at two times, hold the same but for the place in the tree.
  predicate same_rights{A, B}(integer i, integer j) =
    \at(slots[i].r_read, A) == \at(slots[j].r_read, B) && \at(slots[i].r_write, A) == \at(slots[j].r_write, B) &&
    \at(slots[i].r_exec, A) == \at(slots[j].r_exec, B) && \at(slots[i].r_control, A) == \at(slots[j].r_control, B) &&
    \at(slots[i].r_signal, A) == \at(slots[j].r_signal, B) && \at(slots[i].r_grant, A) == \at(slots[j].r_grant, B);
  predicate same_object{A, B}(integer i, integer j) =
    \at(slots[i].type, A) == \at(slots[j].type, B) && \at(slots[i].original, A) == \at(slots[j].original, B) &&
    \at(slots[i].device, A) == \at(slots[j].device, B) && \at(slots[i].pt_kind, A) == \at(slots[j].pt_kind, B) &&
    \at(slots[i].pt_level, A) == \at(slots[j].pt_level, B) && \at(slots[i].id, A) == \at(slots[j].id, B) &&
    \at(slots[i].base, A) == \at(slots[j].base, B) && \at(slots[i].size, A) == \at(slots[j].size, B) &&
    \at(slots[i].label, A) == \at(slots[j].label, B) && \at(slots[i].badge, A) == \at(slots[j].badge, B) &&
    \at(slots[i].first, A) == \at(slots[j].first, B) && \at(slots[i].count, A) == \at(slots[j].count, B);
  predicate same_mapping{A, B}(integer i, integer j) =
    \at(slots[i].m_read, A) == \at(slots[j].m_read, B) && \at(slots[i].m_write, A) == \at(slots[j].m_write, B) &&
    \at(slots[i].m_exec, A) == \at(slots[j].m_exec, B) && \at(slots[i].bound, A) == \at(slots[j].bound, B) &&
    \at(slots[i].used, A) == \at(slots[j].used, B) && \at(slots[i].map_id, A) == \at(slots[j].map_id, B) &&
    \at(slots[i].map_pt, A) == \at(slots[j].map_pt, B) && \at(slots[i].map_index, A) == \at(slots[j].map_index, B) &&
    \at(slots[i].deposit, A) == \at(slots[j].deposit, B);
  predicate same_content{A, B}(integer i, integer j) =
    same_rights{A, B}(i, j) && same_object{A, B}(i, j) && same_mapping{A, B}(i, j);
*/

/* Is slot `s` a live capability? s is any slot number below SLOT_COUNT that is backed by memory. */
static inline int slot_live(uint32_t s)
{
	return slots[s].live != 0;
}

/* Asked without the lock: what is live and of this type is that from the first field to the last. */
static inline int slot_is(const struct slot *s, uint8_t type)
{
	int is = s->type == type;

	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* before `live`: else it could be that of who had the slot before */
	return is && s->live;
}

/* May `s` be a slot number at all: below SLOT_COUNT and in a page that a CapTable backs? */
/*@ assigns \nothing;
  exits \false;
  ensures below: \result != 0 ==> s < SLOT_COUNT;
*/
int slot_backed(uint32_t s);

/* Marks a page of slots (number / SLOTS_PER_PAGE) as backed or not. */
/*@ requires page < SLOT_COUNT / SLOTS_PER_PAGE;
  assigns slot_page_backed[page];
  exits \false;
*/
void slot_page_set(uint32_t page, int backed);

/* Makes `s`, which is not in the list, a slot of nothing. */
/*@ requires s < SLOT_COUNT;
  assigns slots[s];
  exits \false;
  ensures outside: slots[s].live == 0 && slots[s].depth == 0;
  ensures nothing: slots[s].type == CAP_FREE && slots[s].original == 0 && slots[s].used == 0 && slots[s].size == 0;
*/
void slot_clear(uint32_t s);

/* Puts a cleared slot `s` into the list right behind its parent, live. The caller has filled it. parent may be NIL. */
/*@ requires slots_ok && 0 < s < SLOT_COUNT && !member(s);
  requires listed(parent) && slots[parent].depth <= SLOT_MAX_DEPTH;
  assigns slots[s].live, slots[s].next, slots[s].prev, slots[s].parent, slots[s].depth, slots[parent].next,
    slots[slots[parent].next].prev, tree_member[s], tree_order[..],
    tree_under[..];
  exits \false;
  ensures tree: tree_ok;
  ensures links: slots_links;
  ensures member: slots_member;
  ensures next: slots_next;
  ensures forward: slots_forward;
  ensures parents: slots_parents;
  ensures descent: slots_descent;
  ensures deeper: slots_deeper;
  ensures placed: member(s) && slots[s].live == 1 && slots[s].parent == parent && leaf(s);
  ensures others: \forall integer a, i; is_slot(a) && is_slot(i) && a != s && i != s ==>
    tree_under[a].below[i] == \old(tree_under[a].below[i]) && (ahead(a, i) <==> \old(ahead(a, i)));
*/
void slot_insert(uint32_t s, uint32_t parent);

/* Takes leaf `s`, which may have been made not live before, out of the list and clears it. */
/*@ requires slots_ok && member(s) && leaf(s);
  assigns slots[s], slots[slots[s].prev].next, slots[slots[s].next].prev, tree_member[s];
  exits \false;
  ensures tree: tree_ok;
  ensures links: slots_links;
  ensures member: slots_member;
  ensures next: slots_next;
  ensures forward: slots_forward;
  ensures parents: slots_parents;
  ensures descent: slots_descent;
  ensures deeper: slots_deeper;
  ensures gone: !member(s) && slots[s].live == 0 && slots[s].type == CAP_FREE && slots[s].original == 0;
*/
void slot_remove(uint32_t s);

/* Moves a capability, its children's parent index included. dst is empty. */
/*@ requires slots_ok && member(src) && 0 < dst < SLOT_COUNT && !member(dst);
  assigns slots[..], tree_member[..], tree_order[..],
    tree_under[..];
  exits \false;
  ensures tree: tree_ok;
  ensures links: slots_links;
  ensures member: slots_member;
  ensures next: slots_next;
  ensures forward: slots_forward;
  ensures parents: slots_parents;
  ensures descent: slots_descent;
  ensures deeper: slots_deeper;
  ensures moved: member(dst) && slots[dst].live == 1 && same_content{Pre, Post}(src, dst) &&
    slots[dst].parent == \old(slots[src].parent) && slots[dst].depth == \old(slots[src].depth);
  ensures gone: !member(src) && slots[src].live == 0 && slots[src].type == CAP_FREE && slots[src].original == 0;
  ensures content: \forall integer i; is_slot(i) && i != src && i != dst ==>
    same_content{Pre, Post}(i, i) && slots[i].live == \old(slots[i].live) && slots[i].depth == \old(slots[i].depth);
  ensures parent: \forall integer i; member(i) && i != dst ==>
    slots[i].parent == (\old(slots[i].parent) == src ? dst : \old(slots[i].parent));
  ensures others: \forall integer a, i; is_slot(a) && is_slot(i) && a != src && i != src && a != dst && i != dst ==>
    tree_under[a].below[i] == \old(tree_under[a].below[i]);
  ensures under: \forall integer i; is_slot(i) && i != src && i != dst ==>
    tree_under[dst].below[i] == \old(tree_under[src].below[i]) && tree_under[i].below[dst] == \old(tree_under[i].below[src]);
*/
void slot_move(uint32_t src, uint32_t dst);

/* Has `s` no descendants? */
/*@ requires slots_ok && member(s);
  assigns \nothing;
  exits \false;
  ensures leaf: \result != 0 <==> leaf(s);
*/
static inline int slot_leaf(uint32_t s)
{
	uint32_t n = slots[s].next;

	return n == SLOT_NIL || slots[n].depth <= slots[s].depth;
}

/*@
  predicate has(integer mask, integer right) = (mask & right) != 0;
  // What a right of `a` allows, `b` allows, too.
  predicate no_more_rights(struct slot *a, struct slot *b) =
    (a->r_read != 0 ==> b->r_read != 0) && (a->r_write != 0 ==> b->r_write != 0) && (a->r_exec != 0 ==> b->r_exec != 0) &&
    (a->r_control != 0 ==> b->r_control != 0) && (a->r_signal != 0 ==> b->r_signal != 0) &&
    (a->r_grant != 0 ==> b->r_grant != 0);
*/
/* Rights of a slot as a RIGHT_* mask. */
/*@ requires s < SLOT_COUNT;
  assigns \nothing;
  exits \false;
*/
uint32_t slot_rights(uint32_t s);
/* Gives `s` those rights of `from` that are in the mask; all_rights: a slot that has every right. */
extern const struct slot all_rights;
/*@ requires s < SLOT_COUNT && \valid_read(from) && \separated(from, slots + s);
  assigns slots[s].r_read, slots[s].r_write, slots[s].r_exec, slots[s].r_control, slots[s].r_signal, slots[s].r_grant;
  exits \false;
  ensures rights: no_more_rights(&slots[s], from);
*/
void slot_set_rights(uint32_t s, const struct slot *from, uint32_t rights);

#endif
