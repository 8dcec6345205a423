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
int slot_backed(uint32_t s);

/* Marks a page of slots (number / SLOTS_PER_PAGE) as backed or not. */
void slot_page_set(uint32_t page, int backed);

/* Puts a cleared slot `s` into the list right behind its parent, live. The caller has filled it. parent may be NIL. */
void slot_insert(uint32_t s, uint32_t parent);

/* Takes leaf `s`, which may have been made not live before, out of the list and clears it. */
void slot_remove(uint32_t s);

/* Moves a capability, its children's parent index included. dst is empty. */
void slot_move(uint32_t src, uint32_t dst);

/* Has `s` no descendants? */
static inline int slot_leaf(uint32_t s)
{
	uint32_t n = slots[s].next;

	return n == SLOT_NIL || slots[n].depth <= slots[s].depth;
}

/* Rights of a slot as a RIGHT_* mask, and the reverse (only lowering). */
uint32_t slot_rights(uint32_t s);
void slot_set_rights(uint32_t s, uint32_t rights);

#endif
