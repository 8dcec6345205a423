/* SPDX-License-Identifier: BSD-2-Clause */
/* Spaces: user level hangs every paging structure and page itself; each slot knows where it hangs. */
#include <core/caps.h>
#include <core/smp.h>
#include <hal/hal.h>

#define ENTRIES 512u

int pt_hung(uint32_t s)
{
	uint32_t p = slots[s].map_pt;

	/* The CapTable that held the PageTable may be gone as well. */
	return p != SLOT_NIL && slot_backed(p) && slot_live(p) && slots[p].type == CAP_PAGETABLE &&
	       slots[p].id == slots[s].map_id;
}

/* Is the structure on a poisoned page? The CPU must not walk it again. */
static int lost(const struct slot *pt)
{
	return (hal_page_byte(pt->base) & PAGE_POISONED) != 0;
}

static void hang(uint32_t s, uint32_t pt, uint32_t index)
{
	slots[s].map_pt = pt;
	slots[s].map_index = index;
	slots[s].map_id = slots[pt].id;
	slots[pt].used++;
}

static void take_down(uint32_t s)
{
	uint32_t pt = slots[s].map_pt;

	if (pt_hung(s)) {
		hal_pt_clear(slots[pt].base, slots[s].map_index);
		slots[pt].used--;
		ask_all(REQ_FLUSH, slots[pt].pt_kind);
	}
	slots[s].map_pt = SLOT_NIL;
}

status_t pt_link(uint32_t parent, uint64_t index, uint32_t child)
{
	struct slot *p = &slots[parent], *c = &slots[child];

	if (p->pt_kind != c->pt_kind || p->pt_level != c->pt_level + 1)
		return CAIRN_ERR_TYPE;
	if (index >= hal_pt_limit(p->pt_kind, p->pt_level))
		return CAIRN_ERR_ARG;
	if (pt_hung(child) || c->deposit || lost(c) || lost(p) || hal_pt_used(p->base, (uint32_t)index))
		return CAIRN_ERR_BUSY;
	hal_pt_table(p->base, p->pt_kind, (uint32_t)index, c->base);
	hang(child, parent, (uint32_t)index);
	return CAIRN_OK;
}

void pt_unlink(uint32_t child)
{
	take_down(child);
}

static uint32_t mapped_rights(const struct slot *f)
{
	return (f->m_read ? RIGHT_READ : 0) | (f->m_write ? RIGHT_WRITE : 0) | (f->m_exec ? RIGHT_EXEC : 0);
}

/* Fills the deposited table of 2 MiB frame `f` with its 512 pages, poisoned ones tagged. */
static void fill_split(uint32_t f)
{
	struct slot *s = &slots[f], *d = &slots[s->deposit];
	uint32_t i;

	for (i = 0; i < ENTRIES; i++) {
		uint64_t page = s->base + i * PAGE_SIZE_4K;

		if (hal_page_byte(page) & PAGE_POISONED)
			hal_pt_poison(d->base, i);
		else
			hal_pt_page(d->base, d->pt_kind, 1, i, page, mapped_rights(s));
	}
}

int any_poison(uint64_t at, uint64_t size)
{
	uint64_t a;

	/*@ loop assigns a; */
	for (a = at; a < at + size; a += PAGE_SIZE_4K)
		if (hal_page_byte(a) & PAGE_POISONED)
			return 1;
	return 0;
}

/* `frame` may still own it, from a mapping whose table is gone. */
static status_t check_deposit(const struct slot *p, uint32_t deposit, uint32_t frame)
{
	const struct slot *d = &slots[deposit];

	if (d->pt_kind != p->pt_kind || d->pt_level != 1)
		return CAIRN_ERR_TYPE;
	if (d->deposit == frame && !lost(d))
		return CAIRN_OK;
	if (pt_hung(deposit) || d->deposit || d->used || lost(d))
		return CAIRN_ERR_BUSY;
	return CAIRN_OK;
}

static void perform_map(uint32_t frame, uint32_t pt, uint32_t index, uint32_t deposit)
{
	struct slot *f = &slots[frame], *p = &slots[pt];

	if (deposit) {
		f->deposit = deposit;
		slots[deposit].deposit = frame;
	}
	if (deposit && any_poison(f->base, f->size)) {
		fill_split(frame);
		slots[deposit].used = ENTRIES;
		hal_pt_table(p->base, p->pt_kind, index, slots[deposit].base);
	} else if (!deposit && (hal_page_byte(f->base) & PAGE_POISONED)) {
		hal_pt_poison(p->base, index);
	} else {
		hal_pt_page(p->base, p->pt_kind, p->pt_level, index, f->base, mapped_rights(f));
	}
	hang(frame, pt, index);
}

status_t frame_map(uint32_t frame, uint32_t pt, uint64_t index, uint64_t rights, uint32_t deposit)
{
	struct slot *f = &slots[frame], *p = &slots[pt];
	uint8_t level = f->size == PAGE_SIZE_2M ? 2 : 1;
	status_t st;

	if (p->pt_level != level)
		return CAIRN_ERR_TYPE;
	/* What is present can be read. */
	if (index >= ENTRIES || !(rights & RIGHT_READ) || (rights & ~(uint64_t)(RIGHT_READ | RIGHT_WRITE | RIGHT_EXEC)) ||
	    (deposit != SLOT_NIL) != (level == 2))
		return CAIRN_ERR_ARG;
	if ((rights & ~(uint64_t)slot_rights(frame)) ||
	    (p->pt_kind == PT_HOST && (rights & RIGHT_WRITE) && (rights & RIGHT_EXEC)))
		return CAIRN_ERR_RIGHTS;
	/* A deposit with an entry of its own would pass for a split, and poison would miss the large page. */
	if (pt_hung(frame) || p->deposit || lost(p) || hal_pt_used(p->base, (uint32_t)index))
		return CAIRN_ERR_BUSY;
	if (deposit) {
		st = check_deposit(p, deposit, frame);
		if (st != CAIRN_OK)
			return st;
	}
	if (f->deposit)
		frame_unmap(frame); /* the table it hung in is gone */
	f->m_read = (rights & RIGHT_READ) != 0;
	f->m_write = (rights & RIGHT_WRITE) != 0;
	f->m_exec = (rights & RIGHT_EXEC) != 0;
	perform_map(frame, pt, (uint32_t)index, deposit);
	return CAIRN_OK;
}

void frame_unmap(uint32_t frame)
{
	uint32_t d = slots[frame].deposit, i;

	take_down(frame);
	if (!d)
		return;
	for (i = 0; i < ENTRIES && slots[d].used; i++)
		hal_pt_clear(slots[d].base, i);
	slots[d].used = 0;
	slots[d].deposit = 0;
	slots[frame].deposit = 0;
}

static uint32_t level_shift(uint8_t level)
{
	return PAGE_BITS_4K + 9u * (uint32_t)(level - 1);
}

uint32_t frame_where(uint32_t frame, uint64_t *address)
{
	uint32_t s = frame;

	*address = 0;
	while (pt_hung(s)) { /* at most 4 levels */
		uint32_t p = slots[s].map_pt;

		*address += (uint64_t)slots[s].map_index << level_shift(slots[p].pt_level);
		s = p;
	}
	return slots[s].type == CAP_PAGETABLE && slots[s].pt_level == 4 ? slots[s].label : 0;
}

void frame_poison(uint32_t frame, uint64_t page)
{
	struct slot *f = &slots[frame], *p = &slots[f->map_pt];

	if (f->size == PAGE_SIZE_4K) {
		hal_pt_poison(p->base, f->map_index);
	} else if (slots[f->deposit].used) {
		hal_pt_poison(slots[f->deposit].base, (uint32_t)((page - f->base) >> PAGE_BITS_4K));
	} else {
		/* Take it away, flush, then link the split: no CPU ever sees two sizes for one address. */
		fill_split(frame);
		slots[f->deposit].used = ENTRIES;
		hal_pt_changes(p->base, f->map_index);
		ask_all(REQ_FLUSH, p->pt_kind);
		hal_pt_table(p->base, p->pt_kind, f->map_index, slots[f->deposit].base);
	}
	ask_all(REQ_FLUSH, p->pt_kind);
}
