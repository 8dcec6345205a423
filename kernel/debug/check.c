/* SPDX-License-Identifier: BSD-2-Clause */
/* The invariants of the whole kernel state. The caller holds the lock; other CPUs may run, but change nothing that is read. */
#include <core/caps.h>
#include <core/smp.h>
#include <hal/hal.h>
#include "debug.h"

#define ENTRIES 512u

static uint64_t found_place, found_line;
static struct debug_pages expected;

#define REQUIRE(condition, fault, place)                                                                                    \
	do {                                                                                                                \
		if (!(condition)) {                                                                                         \
			found_place = (place);                                                                              \
			found_line = __LINE__;                                                                              \
			return fault;                                                                                       \
		}                                                                                                           \
	} while (0)

/* A capability and what it was derived from. */
static enum debug_fault check_derived(uint32_t s, const struct slot *c, const struct slot *p)
{
	if (c->type == CAP_PORTAL && p->type == CAP_THREAD) {
		REQUIRE(c->base == p->base && c->size == p->size, DEBUG_DERIVATION, s);
		return DEBUG_SOUND;
	}
	REQUIRE(c->type == p->type && c->type != CAP_UNTYPED, DEBUG_DERIVATION, s);
	REQUIRE(!(slot_rights(s) & ~slot_rights(c->parent)), DEBUG_DERIVATION, s);
	REQUIRE(!p->badge || c->badge == p->badge, DEBUG_DERIVATION, s);
	REQUIRE(c->first == p->first && c->count == p->count && c->device == p->device && c->label == p->label &&
			c->pt_level == p->pt_level && c->pt_kind == p->pt_kind,
		DEBUG_DERIVATION, s);
	REQUIRE(c->base >= p->base && c->base + c->size <= p->base + p->size, DEBUG_OUTSIDE, s);
	REQUIRE(c->type == CAP_IRQ || c->type == CAP_IOPORTS || (c->base == p->base && c->size == p->size), DEBUG_OUTSIDE,
		s);
	return DEBUG_SOUND;
}

/* Live slots by a look at all of them; a dead one holds nothing. */
static enum debug_fault check_slots(uint32_t listed)
{
	uint32_t s, i;

	for (s = 0; s < SLOT_COUNT; s++) {
		const uint64_t *w = (const uint64_t *)&slots[s];

		if (!slot_backed(s)) {
			s |= SLOTS_PER_PAGE - 1;
			continue;
		}
		listed -= slot_live(s) != 0;
		for (i = 0; !slot_live(s) && i < sizeof(slots[s]) / 8; i++)
			REQUIRE(!w[i], DEBUG_DERIVATION, s);
	}
	REQUIRE(!listed, DEBUG_DERIVATION, listed);
	return DEBUG_SOUND;
}

/*
 * The list in preorder. Each object made from an Untyped lies above those made before, and stands in front of them: so it is
 * enough to compare neighbours.
 */
static enum debug_fault check_derivation(void)
{
	static uint32_t path[SLOT_MAX_DEPTH + 2];
	static uint64_t ceiling[SLOT_MAX_DEPTH + 2]; /* the next object made from path[depth - 1] ends here at the latest */
	uint32_t s, before = SLOT_NIL, n = 0;
	enum debug_fault f;

	for (s = slots[SLOT_NIL].next; s != SLOT_NIL; before = s, s = slots[s].next) {
		const struct slot *c = &slots[s], *p = &slots[c->parent];
		uint64_t end = c->base + c->size;

		REQUIRE(slot_backed(s) && c->live == 1 && c->prev == before && ++n < SLOT_COUNT, DEBUG_DERIVATION, s);
		REQUIRE(c->depth && c->depth <= SLOT_MAX_DEPTH && c->depth <= slots[before].depth + 1u, DEBUG_DERIVATION, s);
		REQUIRE(c->parent == path[c->depth - 1], DEBUG_DERIVATION, s);
		path[c->depth] = s;
		ceiling[c->depth + 1] = c->base + c->used;
		if (!c->original) {
			f = c->parent ? check_derived(s, c, p) : DEBUG_SOUND;
			if (f)
				return f;
			continue;
		}
		REQUIRE(p->type == CAP_UNTYPED && c->device == p->device, DEBUG_DERIVATION, s);
		REQUIRE(c->base >= p->base && end <= p->base + p->used && p->used <= p->size, DEBUG_OUTSIDE, s);
		REQUIRE(end <= ceiling[c->depth], DEBUG_OVERLAP, s);
		ceiling[c->depth] = c->base;
	}
	REQUIRE(slots[SLOT_NIL].prev == before, DEBUG_DERIVATION, before);
	return check_slots(n);
}

/* The pages of kernel object `s`: their bytes and their translations. */
static enum debug_fault check_object(const struct slot *c)
{
	uint8_t byte = c->type == CAP_PAGETABLE && c->pt_kind != PT_HOST ? PAGE_GUEST_PT : c->type;
	uint32_t page = c->first / SLOTS_PER_PAGE;
	uint64_t a;

	for (a = c->base; a < c->base + c->size; a += PAGE_SIZE_4K) {
		REQUIRE((hal_page_byte(a) & PAGE_TYPE) == byte, DEBUG_OVERLAP, a);
		expected.objects++;
		if (c->type == CAP_CAPTABLE) {
			REQUIRE(slot_backed(page * SLOTS_PER_PAGE) && debug_slots_at(page, a), DEBUG_WINDOW, a);
			expected.slots++;
			page++;
		} else {
			REQUIRE(debug_in_window(a), DEBUG_WINDOW, a);
			expected.window++;
		}
	}
	return DEBUG_SOUND;
}

static int is_object(const struct slot *c)
{
	/* The root-task's CapTable is nobody's child. */
	return c->type == CAP_CAPTABLE
		       ? c->original || !c->parent
		       : c->original && (c->type == CAP_THREAD || c->type == CAP_VCPU || c->type == CAP_PAGETABLE);
}

static enum debug_fault check_window(void)
{
	struct debug_pages pages;
	uint32_t s;

	expected = (struct debug_pages){.slots = 1, .objects = 1}; /* the list's head */
	for (s = slots[SLOT_NIL].next; s != SLOT_NIL; s = slots[s].next) {
		const struct slot *c = &slots[s];

		if (is_object(c)) {
			enum debug_fault f = check_object(c);

			if (f)
				return f;
		} else if (c->type == CAP_FRAME && c->bound) {
			REQUIRE(debug_in_window(c->base) && (hal_page_byte(c->base) & PAGE_BOUND), DEBUG_WINDOW, c->base);
			expected.window++;
		}
	}
	debug_count(&pages);
	REQUIRE(pages.window == expected.window, DEBUG_WINDOW, pages.window - expected.window);
	REQUIRE(pages.slots == expected.slots, DEBUG_WINDOW, pages.slots - expected.slots);
	REQUIRE(pages.objects == expected.objects, DEBUG_OVERLAP, pages.objects - expected.objects);
	return DEBUG_SOUND;
}

/* A page that user level can reach is no kernel memory. (One that is lost may be mapped until mc_poison comes to it.) */
static enum debug_fault check_page(uint32_t s, uint64_t phys, uint64_t size)
{
	uint64_t a;

	for (a = phys; a < phys + size; a += PAGE_SIZE_4K)
		REQUIRE((hal_page_byte(a) & PAGE_TYPE) == PAGE_USER, DEBUG_MAPPING, s);
	return DEBUG_SOUND;
}

/* Each entry of PageTable `s`; `used` counts them. */
static enum debug_fault check_table(uint32_t s, const struct slot *c, uint32_t *used)
{
	const uint64_t *words = hal_window(c->base);
	uint32_t i, rights, limit = hal_pt_limit(c->pt_kind, c->pt_level);
	enum debug_fault f;
	uint64_t phys;

	for (i = 0; i < limit; i++) {
		if (!words[i])
			continue;
		++*used;
		switch (debug_entry(words[i], c->pt_kind, c->pt_level, &phys, &rights)) {
		case ENTRY_TABLE:
			REQUIRE(hal_page_byte(phys) == (c->pt_kind == PT_HOST ? CAP_PAGETABLE : PAGE_GUEST_PT),
				DEBUG_MAPPING, s);
			break;
		case ENTRY_PAGE:
			f = check_page(s, phys, c->pt_level == 2 ? PAGE_SIZE_2M : PAGE_SIZE_4K);
			if (f)
				return f;
			break;
		case ENTRY_POISON:
			break;
		default:
			REQUIRE(0, DEBUG_MAPPING, s);
		}
	}
	REQUIRE(limit == ENTRIES || debug_kernel_half(c->base), DEBUG_MAPPING, s);
	REQUIRE(*used == c->used, DEBUG_MAPPING, s);
	return DEBUG_SOUND;
}

/* The deposit of a 2 MiB Frame: unused, or the split mapping. */
static enum debug_fault check_deposit(uint32_t s, const struct slot *f)
{
	const struct slot *d = &slots[f->deposit];
	const uint64_t *words = hal_window(d->base);
	uint32_t i, rights;
	uint64_t phys;

	REQUIRE(slot_backed(f->deposit) && slot_live(f->deposit) && d->type == CAP_PAGETABLE && d->deposit == s,
		DEBUG_MAPPING, s);
	REQUIRE(d->used == 0 || d->used == ENTRIES, DEBUG_MAPPING, s);
	for (i = 0; i < d->used; i++)
		REQUIRE(debug_entry(words[i], d->pt_kind, 1, &phys, &rights) != ENTRY_PAGE ||
				phys == f->base + i * PAGE_SIZE_4K,
			DEBUG_MAPPING, s);
	return DEBUG_SOUND;
}

/* What hangs in a PageTable: its entry says so. One on a lost page is not touched. */
static enum debug_fault check_hung(uint32_t s, const struct slot *c)
{
	const struct slot *p = &slots[c->map_pt];
	const struct slot *table = c->type == CAP_PAGETABLE		  ? c
				   : c->deposit && slots[c->deposit].used ? &slots[c->deposit]
									  : NULL;
	uint32_t rights = 0;
	enum debug_entry e;
	uint64_t phys = 0;

	REQUIRE(p->original && c->map_index < hal_pt_limit(p->pt_kind, p->pt_level), DEBUG_MAPPING, s);
	if (hal_page_byte(p->base) & PAGE_POISONED)
		return DEBUG_SOUND;
	e = debug_entry(((const uint64_t *)hal_window(p->base))[c->map_index], p->pt_kind, p->pt_level, &phys, &rights);
	if (table) {
		REQUIRE(e == ENTRY_TABLE && phys == table->base && p->pt_level == table->pt_level + 1, DEBUG_MAPPING, s);
		REQUIRE(table->pt_kind == p->pt_kind, DEBUG_MAPPING, s);
	} else if (e == ENTRY_PAGE) {
		REQUIRE(phys == c->base && c->size == (p->pt_level == 2 ? PAGE_SIZE_2M : PAGE_SIZE_4K), DEBUG_MAPPING, s);
		REQUIRE(!(rights & ~slot_rights(s)), DEBUG_MAPPING, s);
		REQUIRE(p->pt_kind != PT_HOST || !(rights & RIGHT_WRITE) || !(rights & RIGHT_EXEC), DEBUG_MAPPING, s);
	} else {
		REQUIRE(e == ENTRY_POISON && (hal_page_byte(c->base) & PAGE_POISONED), DEBUG_MAPPING, s);
	}
	return DEBUG_SOUND;
}

/* Every entry of every structure belongs to one capability, and the other way round: their numbers agree, too. */
static enum debug_fault check_mappings(void)
{
	uint32_t s, entries = 0, owners = 0;
	enum debug_fault f = DEBUG_SOUND;

	for (s = slots[SLOT_NIL].next; s != SLOT_NIL && !f; s = slots[s].next) {
		const struct slot *c = &slots[s];
		uint32_t used = 0;

		if (c->type == CAP_PAGETABLE && c->original && !(hal_page_byte(c->base) & PAGE_POISONED))
			f = check_table(s, c, &used);
		entries += used;
		if (c->type == CAP_FRAME && c->deposit && !f) {
			f = check_deposit(s, c);
			owners +=
				hal_page_byte(slots[c->deposit].base) & PAGE_POISONED ? 0 : (uint32_t)slots[c->deposit].used;
		}
		if ((c->type == CAP_FRAME || c->type == CAP_PAGETABLE) && pt_hung(s) && !f) {
			f = check_hung(s, c);
			owners += !(hal_page_byte(slots[c->map_pt].base) & PAGE_POISONED);
		}
	}
	if (f)
		return f;
	REQUIRE(entries == owners, DEBUG_MAPPING, entries - owners);
	return DEBUG_SOUND;
}

/* Slot `s` is the root of a space of that kind, on memory that is not lost. */
static int is_root(uint32_t s, uint8_t kind)
{
	const struct slot *c = &slots[s];

	return s && slot_backed(s) && slot_live(s) && c->type == CAP_PAGETABLE && c->original && c->pt_level == 4 &&
	       c->pt_kind == kind && !(hal_page_byte(c->base) & PAGE_POISONED);
}

/* Its own CPU may be stopping it now: that it stands on something is asked for as long as its space is said to be there. */
static enum debug_fault check_context(const struct ec *e, uint32_t cpu)
{
	const struct slot *b = &slots[e->buffer_slot];

	REQUIRE(hal_page_byte(e->phys) == (e->kind == EC_VCPU ? CAP_VCPU : CAP_THREAD), DEBUG_CONTEXT, e->phys);
	REQUIRE(e == hal_window(e->phys) && e->cpu == cpu && e->status != EC_NEW, DEBUG_CONTEXT, e->phys);
	REQUIRE(!e->table_count || slot_backed(e->table_first), DEBUG_CONTEXT, e->phys);
	if (e->buffer_slot) {
		REQUIRE(slot_backed(e->buffer_slot) && b->live && b->type == CAP_FRAME && b->bound, DEBUG_CONTEXT, e->phys);
		REQUIRE(hal_window(b->base) == (e->kind == EC_VCPU ? (void *)e->state : (void *)e->buffer), DEBUG_CONTEXT,
			e->phys);
	}
	if (!e->space_slot)
		return DEBUG_SOUND;
	REQUIRE(e->buffer_slot && is_root(e->space_slot, PT_HOST), DEBUG_CONTEXT, e->phys);
	REQUIRE(slots[e->space_slot].base == e->cr3, DEBUG_CONTEXT, e->phys);
	REQUIRE(e->kind == EC_THREAD || is_root(e->guest_slot, PT_GUEST), DEBUG_CONTEXT, e->phys);
	return DEBUG_SOUND;
}

static enum debug_fault check_contexts(void)
{
	const struct ec *e, *bound = mca_bound();
	uint32_t i, s, contexts = 0, buffers = 0;

	for (i = 0; i < cpu_count; i++)
		for (e = cpus[i]->list; e; e = e->all_next) {
			enum debug_fault f = check_context(e, i);

			if (f)
				return f;
			REQUIRE(!e->all_next || e->all_next->all_prev == e, DEBUG_CONTEXT, e->phys);
			contexts++;
			buffers += e->buffer_slot != SLOT_NIL;
		}
	for (s = slots[SLOT_NIL].next; s != SLOT_NIL; s = slots[s].next) {
		const struct slot *c = &slots[s];

		buffers -= c->type == CAP_FRAME && c->bound;
		if (c->original && (c->type == CAP_THREAD || c->type == CAP_VCPU)) {
			contexts -= ((const struct ec *)hal_window(c->base))->status != EC_NEW;
			if (bound == hal_window(c->base))
				bound = NULL;
		}
	}
	REQUIRE(!contexts, DEBUG_CONTEXT, contexts);
	REQUIRE(!buffers, DEBUG_CONTEXT, buffers);
	REQUIRE(!bound, DEBUG_CONTEXT, (uint64_t)bound);
	return DEBUG_SOUND;
}

enum debug_fault debug_invariants(uint64_t *place, uint64_t *line)
{
	enum debug_fault f = check_derivation();

	/* In this order: each relies on what the one before has established. */
	if (!f)
		f = check_window();
	if (!f)
		f = check_mappings();
	if (!f)
		f = check_contexts();
	*place = f ? found_place : 0;
	*line = f ? found_line : 0;
	return f;
}
