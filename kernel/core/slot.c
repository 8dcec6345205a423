/* SPDX-License-Identifier: BSD-2-Clause */
/* The derivation list: insertion behind the parent, removal of leaves, moves. */
#include <core/slot.h>
#include <hal/hal.h>

/* One byte per page of slots: does a CapTable back it? Slot 0's page is the root-task's. */
uint8_t slot_page_backed[SLOT_COUNT / SLOTS_PER_PAGE];

int slot_backed(uint32_t s)
{
	return s < SLOT_COUNT && slot_page_backed[s / SLOTS_PER_PAGE];
}

void slot_page_set(uint32_t page, int backed)
{
	slot_page_backed[page] = (uint8_t)backed;
}

/*@ ghost
/@ requires tree_ordered && 0 < s < SLOT_COUNT && is_slot(before) && s != before;
  assigns tree_order[..];
  exits \false;
  ensures tree_ordered;
  ensures \forall integer i; is_slot(i) && i != s ==>
    (ahead(i, s) <==> i == before || \old(ahead(i, before))) && (ahead(s, i) <==> \old(ahead(before, i)));
  ensures \forall integer i, j; is_slot(i) && is_slot(j) && i != s && j != s ==> (ahead(i, j) <==> \old(ahead(i, j)));
@/
static void order_behind(uint32_t s, uint32_t before)
{
	uint32_t from = tree_order[s], to = tree_order[before], i;

	/@ loop invariant 0 <= i <= SLOT_COUNT;
	  loop invariant \forall integer j; i <= j < SLOT_COUNT ==> tree_order[j] == \at(tree_order[j], Pre);
	  loop invariant \forall integer j; 0 <= j < i ==> tree_order[j] == \at(tree_order[j], Pre) +
	    (to < \at(tree_order[j], Pre) < from ? 1 : from < \at(tree_order[j], Pre) <= to ? -1 : 0);
	  loop assigns i, tree_order[..];
	  loop variant SLOT_COUNT - i;
	@/
	for (i = 0; i < SLOT_COUNT; i++)
		if (tree_order[i] > to && tree_order[i] < from)
			tree_order[i]++;
		else if (tree_order[i] > from && tree_order[i] <= to)
			tree_order[i]--;
	tree_order[s] = from > to ? to + 1 : to;
}

/@ requires is_slot(s) && is_slot(parent) && s != parent;
  assigns tree_under[..];
  exits \false;
  ensures \forall integer a; is_slot(a) && a != s ==>
    (under(a, s) <==> a == parent || \old(tree_under[a].below[parent]) == 1);
  ensures \forall integer i; is_slot(i) ==> !under(s, i);
  ensures \forall integer a, i; is_slot(a) && is_slot(i) && a != s && i != s ==>
    tree_under[a].below[i] == \old(tree_under[a].below[i]);
@/
static void under_parent(uint32_t s, uint32_t parent)
{
	uint32_t a;

	/@ loop invariant 0 <= a <= SLOT_COUNT;
	  loop invariant \forall integer j; 0 <= j < a ==> tree_under[s].below[j] == 0 &&
	    (j != s ==> tree_under[j].below[s] == (j == parent || \at(tree_under[j].below[parent], Pre) == 1 ? 1 : 0));
	  loop invariant \forall integer j, k; is_slot(j) && is_slot(k) && j != s && k != s ==>
	    tree_under[j].below[k] == \at(tree_under[j].below[k], Pre);
	  loop assigns a, tree_under[..];
	  loop variant SLOT_COUNT - a;
	@/
	for (a = 0; a < SLOT_COUNT; a++) {
		tree_under[a].below[s] = a == parent || tree_under[a].below[parent] == 1;
		tree_under[s].below[a] = 0;
	}
}

/@ requires tree_ok && 0 < s < SLOT_COUNT && !member(s) && listed(parent) && s != parent;
  assigns tree_member[s], tree_order[..], tree_under[..];
  exits \false;
  ensures tree_ordered;
  ensures tree_forward;
  ensures tree_runs;
  ensures member(s) && leaf(s);
  ensures \forall integer a; listed(a) && a != s ==> (under(a, s) <==> a == parent || \old(under(a, parent)));
  ensures \forall integer i; is_slot(i) && i != s ==>
    (ahead(i, s) <==> i == parent || \old(ahead(i, parent))) && (ahead(s, i) <==> \old(ahead(parent, i)));
  ensures \forall integer a, i; is_slot(a) && is_slot(i) && a != s && i != s ==>
    tree_under[a].below[i] == \old(tree_under[a].below[i]) && (ahead(a, i) <==> \old(ahead(a, i)));
@/
static void tree_insert(uint32_t s, uint32_t parent)
{
	order_behind(s, parent);
	under_parent(s, parent);
	tree_member[s] = 1;
}

/@ requires tree_ok && member(src) && 0 < dst < SLOT_COUNT && !member(dst);
  assigns tree_member[..], tree_order[..],
    tree_under[..];
  exits \false;
  ensures tree_ordered;
  ensures tree_forward;
  ensures tree_runs;
  ensures member(dst) && !member(src);
  ensures \forall integer i; i != src && i != dst ==> (member(i) <==> \old(member(i)));
  ensures \forall integer i; is_slot(i) && i != src && i != dst ==>
    (ahead(i, dst) <==> \old(ahead(i, src))) && (ahead(dst, i) <==> \old(ahead(src, i)));
  ensures \forall integer a, i; is_slot(a) && is_slot(i) && a != src && i != src && a != dst && i != dst ==>
    (ahead(a, i) <==> \old(ahead(a, i)));
  ensures \forall integer a, i; is_slot(a) && is_slot(i) && a != src && i != src && a != dst && i != dst ==>
    tree_under[a].below[i] == \old(tree_under[a].below[i]);
  ensures \forall integer i; is_slot(i) && i != src && i != dst ==>
    tree_under[dst].below[i] == \old(tree_under[src].below[i]) && tree_under[i].below[dst] == \old(tree_under[i].below[src]);
@/
static void tree_move(uint32_t src, uint32_t dst)
{
	uint32_t order = tree_order[src], a;

	/@ loop invariant 0 <= a <= SLOT_COUNT;
	  loop invariant \forall integer j; 0 <= j < a && j != src && j != dst ==>
	    tree_under[j].below[dst] == \at(tree_under[j].below[src], Pre) && tree_under[dst].below[j] == \at(tree_under[src].below[j], Pre);
	  loop invariant \forall integer j, k; is_slot(j) && is_slot(k) && j != dst && k != dst ==>
	    tree_under[j].below[k] == \at(tree_under[j].below[k], Pre);
	  loop assigns a, tree_under[..];
	  loop variant SLOT_COUNT - a;
	@/
	for (a = 0; a < SLOT_COUNT; a++) {
		tree_under[dst].below[a] = tree_under[src].below[a];
		tree_under[a].below[dst] = tree_under[a].below[src];
	}
	tree_under[dst].below[dst] = 0;
	tree_order[src] = tree_order[dst];
	tree_order[dst] = order;
	tree_member[src] = 0;
	tree_member[dst] = 1;
}
*/

void slot_clear(uint32_t s)
{
	slots[s] = (struct slot){0};
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
	/*@ ghost tree_insert(s, parent); */
	/*@ assert none: \forall integer i; listed(i) ==> !under(s, i); */
	/*@ assert of_s: \forall integer a; listed(a) ==> (under(a, s) <==> a == parent || under(a, parent)); */
	/*@ assert others: \forall integer i; member(i) && i != s ==> slots[i].parent != s; */
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
	/*@ ghost tree_member[s] = 0; */
}

/* The subtree of `s` is the run of deeper slots behind it; only direct children name their parent. */
/*@ requires tree_ok && slots_next && slots_forward && slots_deeper;
  requires member(s) && is_slot(was) && !member(was);
  requires \forall integer i; member(i) && slots[i].parent == was ==> under(s, i);
  assigns slots[..].parent;
  exits \false;
  ensures \forall integer i; member(i) ==>
    slots[i].parent == (\old(slots[i].parent) == was ? s : \old(slots[i].parent));
*/
static void children_rename(uint32_t s, uint32_t was)
{
	uint32_t i;

	/*@ loop invariant listed(i) && (i != 0 ==> ahead(s, i));
	  loop invariant \forall integer k; member(k) ==> slots[k].parent ==
	    (\at(slots[k].parent, Pre) == was && (i == 0 || tree_order[k] < tree_order[i]) ? s : \at(slots[k].parent, Pre));
	  loop assigns i, slots[..].parent;
	  loop variant i == 0 ? 0 : SLOT_COUNT - tree_order[i];
	*/
	for (i = slots[s].next; i != SLOT_NIL && slots[i].depth > slots[s].depth; i = slots[i].next)
		if (slots[i].parent == was)
			slots[i].parent = s;
}

void slot_move(uint32_t src, uint32_t dst)
{
	slots[dst] = slots[src];
	slots[dst].live = 0;
	slots[slots[dst].next].prev = dst;
	slots[slots[dst].prev].next = dst;
	/*@ assert next_of: \forall integer i; is_slot(i) && i != src && i != dst ==> slots[i].next ==
	      ((i == 0 || tree_member[i] == 1) && \at(slots[i].next, Pre) == src ? dst : \at(slots[i].next, Pre)); */
	/*@ assert next_of_dst: slots[dst].next == \at(slots[src].next, Pre); */
	/*@ ghost tree_move(src, dst); */
	/*@ assert next: slots_next; */
	/*@ assert forward: slots_forward; */
	/*@ assert deeper: slots_deeper; */
	/*@ assert children: \forall integer i; member(i) && slots[i].parent == src ==> under(dst, i); */
	children_rename(dst, src);
	/*@ assert of_dst: \forall integer a; listed(a) ==>
	      (under(a, dst) <==> a == slots[dst].parent || under(a, slots[dst].parent)); */
	/*@ assert below_dst: \forall integer i; member(i) ==>
	      (under(dst, i) <==> dst == slots[i].parent || under(dst, slots[i].parent)); */
	/*@ assert of_moved: \forall integer a, i; listed(a) && member(i) && a != dst && i != dst && slots[i].parent == dst ==>
	      (under(a, i) <==> under(a, dst)); */
	/*@ assert of_others: \forall integer a, i; listed(a) && member(i) && a != dst && i != dst && slots[i].parent != dst ==>
	      (under(a, i) <==> a == slots[i].parent || under(a, slots[i].parent)); */
	/*@ assert descent: slots_descent; */
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

const struct slot all_rights = {.r_read = 1, .r_write = 1, .r_exec = 1, .r_control = 1, .r_signal = 1, .r_grant = 1};

void slot_set_rights(uint32_t s, const struct slot *from, uint32_t rights)
{
	struct slot *c = &slots[s];

	c->r_read = from->r_read && (rights & RIGHT_READ);
	c->r_write = from->r_write && (rights & RIGHT_WRITE);
	c->r_exec = from->r_exec && (rights & RIGHT_EXEC);
	c->r_control = from->r_control && (rights & RIGHT_CONTROL);
	c->r_signal = from->r_signal && (rights & RIGHT_SIGNAL);
	c->r_grant = from->r_grant && (rights & RIGHT_GRANT);
}
