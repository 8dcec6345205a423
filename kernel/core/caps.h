/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on capabilities: each first checks everything, then changes what it must. */
#ifndef CORE_CAPS_H
#define CORE_CAPS_H

#include <core/ec.h>

/* Looks up selector `sel` of `e`'s CapTable; the slot must hold a capability of `type` (CAP_FREE: any) with `rights`. */
MUST_USE status_t cap_get(const struct ec *e, uint64_t sel, uint8_t type, uint32_t rights, uint32_t *slot);

/* ---- untyped.c ---- */
MUST_USE status_t cap_retype(uint32_t u, uint64_t type, uint64_t size_bits, uint32_t dst, uint64_t param);
/* ---- derive.c ---- */
/*@
  // What `a` is of lies within what `b` is of.
  predicate within(struct slot *a, struct slot *b) = b->base <= a->base && a->base + a->size <= b->base + b->size;
*/
/*@ requires slots_ok && member(src) && 0 < dst < SLOT_COUNT && !member(dst) && slots[src].depth <= SLOT_MAX_DEPTH;
  requires slots[src].base + slots[src].size <= 0xffffffffffffffff;
  assigns slots[dst], slots[src].next, slots[slots[src].next].prev, tree_member[dst], tree_order[..], tree_under[..];
  exits \false;
  ensures tree: slots_ok;
  ensures derived: \result == CAIRN_OK ==> member(dst) && slots[dst].parent == src;
  ensures derived_rights: \result == CAIRN_OK ==> no_more_rights(&slots[dst], &slots[src]);
  ensures derived_memory: \result == CAIRN_OK ==> within(&slots[dst], &slots[src]);
  ensures refused: \result != CAIRN_OK ==> !member(dst) && slots[dst] == \old(slots[dst]);
*/
MUST_USE status_t cap_copy(uint32_t src, uint32_t dst, uint64_t rights, uint64_t badge);
MUST_USE status_t cap_move(uint32_t src, uint32_t dst);
/* Deletes leaf `s`. */
MUST_USE status_t cap_delete(uint32_t s);
/* Deletes descendants of `s`, a bounded number; CAIRN_ERR_AGAIN when some are left. */
MUST_USE status_t cap_revoke(uint32_t s);
/* ---- paging.c ---- */
MUST_USE status_t pt_link(uint32_t parent, uint64_t index, uint32_t child);
void pt_unlink(uint32_t child);
/* Is the PageTable or Frame in `s` hung in a PageTable that still exists? */
int pt_hung(uint32_t s);
MUST_USE status_t frame_map(uint32_t frame, uint32_t pt, uint64_t index, uint64_t rights, uint32_t deposit);
void frame_unmap(uint32_t frame);
/* Is one of these pages poisoned? */
/*@ assigns \nothing;
  exits \false; */
int any_poison(uint64_t at, uint64_t size);
/* Where `frame`'s mapping lies: label of the root (0: not below a root) and address. */
uint32_t frame_where(uint32_t frame, uint64_t *address);
/* Makes page `page` of mapped `frame` a poison tag; a 2 MiB mapping is split first. */
void frame_poison(uint32_t frame, uint64_t page);
/* ---- objects.c ---- */
/* Irq or MachineCheck capability `s` has bound a thread; the one that had is no longer what holds the binding. */
void binding_made(uint32_t s);
/* The capability that holds a binding goes, and the binding with it. */
void binding_gone(uint32_t s);
/* The object of original capability `s` goes. */
void object_destroy(uint32_t s);
/* Every execution context that uses `s` (space, guest space, buffer) stops. */
void object_users_stop(uint32_t s);
/* The part of this CPU in that, in the end of a CapTable, of one of its contexts, and in a configuration. */
void users_stop_here(uint32_t s);
void table_gone_here(uint32_t first);
void destroy_here(struct ec *e);
MUST_USE status_t configure_here(struct ec *e, uint64_t plan);
MUST_USE status_t thread_configure(struct ec *self, uint32_t slot, uint64_t mask);
MUST_USE status_t vcpu_configure(struct ec *self, uint32_t slot);
MUST_USE status_t ec_resume(struct ec *e);
MUST_USE status_t ec_suspend(struct ec *e);
/* ---- mca.c ---- */
struct holder {
	uint64_t kind, label, address, rights;
};
/* One bounded step of making `page` unreachable; *cursor 0: start, and on return: done. */
void poison_step(uint64_t page, uint64_t *cursor, struct holder *out);
void mca_bind(struct ec *thread, uint64_t badge);
void mca_unbind(void);
/* A thread is destroyed, or stops for good. */
void mca_forget(struct ec *thread);
/* Appends a record to this CPU's ring (sequence is filled in); 0: the ring is full, nothing was kept. A #MC may
 * interrupt a push of the poll and push its own; `poll` leaves room for exceptions. */
int mca_push(struct cpu *cpu, struct mca_record *r, int poll);
/* Tells the bound thread that there are records. */
void mca_notify(void);
/* Is anybody there to decide? */
struct ec *mca_bound(void);
/* hypercall mc_harvest; and the part of the CPU whose records they are: acknowledges, polls. */
MUST_USE status_t mca_harvest(struct ec *e, uint32_t cpu, uint64_t acknowledged, uint64_t *count, uint64_t *epoch);
void mca_harvest_here(uint64_t acknowledged);
/* A new thread is bound: an exception that waits for its verdict gets its time once more. */
void mca_bind_here(void);
/* Machine-check exceptions of all CPUs, counted as they begin and as their records are complete. */
extern uint64_t mc_epoch, mc_complete;
/* The newest that a VCpu was thawed for: those up to it have their verdict. */
extern uint64_t mca_decided;
void mca_thaw(struct ec *v, uint64_t epoch);
uint64_t mca_sequence(const struct cpu *cpu);
/* On the way out of the kernel: what the #MC stub left is told, and what it interrupted waits. */
void mca_process(struct cpu *cpu);

#endif
