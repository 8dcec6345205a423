/* SPDX-License-Identifier: BSD-2-Clause */
/* Retype: every object is made from memory that user level owns. */
#include <core/caps.h>
#include <hal/hal.h>

#define PHYS_LIMIT 0x000fffffffffffffull
#define TABLE_MAX  65536u

static uint64_t next_id = 1;

struct plan {
	uint64_t at, size;
	uint8_t byte;
};

/* Size of the object; 0: arguments out of range. */
/*@ assigns \nothing;
  exits \false; */
static uint64_t object_size(uint64_t type, uint64_t size_bits, uint64_t param)
{
	uint64_t count = param >> 32;

	switch (type) {
	case CAP_UNTYPED:
		return size_bits >= 12 && size_bits <= 48 ? 1ull << size_bits : 0;
	case CAP_FRAME:
		return size_bits == PAGE_BITS_4K || size_bits == PAGE_BITS_2M ? 1ull << size_bits : 0;
	case CAP_CAPTABLE:
		if (!count || count > TABLE_MAX || count % SLOTS_PER_PAGE)
			return 0;
		return count / SLOTS_PER_PAGE * PAGE_SIZE_4K;
	case CAP_THREAD:
	case CAP_PAGETABLE:
		return PAGE_SIZE_4K;
	case CAP_VCPU:
		return 2 * PAGE_SIZE_4K;
	default:
		return 0;
	}
}

/*@ assigns \nothing;
  exits \false;
  ensures table: \result == CAIRN_OK ==> (uint32_t)param + (uint32_t)(param >> 32) <= SLOT_COUNT; */
static status_t check_table(uint64_t param)
{
	uint64_t first = (uint32_t)param, count = (uint32_t)(param >> 32), p;

	if (!first || first % SLOTS_PER_PAGE || first + count > SLOT_COUNT)
		return CAIRN_ERR_ARG;
	/*@ loop invariant p <= SLOT_COUNT / SLOTS_PER_PAGE;
	  loop assigns p; */
	for (p = first / SLOTS_PER_PAGE; p < (first + count) / SLOTS_PER_PAGE; p++)
		if (slot_backed((uint32_t)p * SLOTS_PER_PAGE))
			return CAIRN_ERR_BUSY;
	return CAIRN_OK;
}

/*@ assigns \nothing;
  exits \false; */
static status_t check_pagetable(uint64_t param)
{
	uint64_t level = param & 0xff, kind = param >> 8 & 0xff;

	if (level < 1 || level > 4 || kind > PT_GUEST || (param & 0xffff0000u))
		return CAIRN_ERR_ARG;
	if ((level == 4) != (param >> 32 != 0)) /* a root has a label, for reports; nothing else has */
		return CAIRN_ERR_ARG;
	return CAIRN_OK;
}

/*@ requires dst < SLOT_COUNT && \valid_read(p);
  assigns slots[dst].device, machine;
  exits \false; */
static void make_memory(uint32_t dst, const struct plan *p, uint8_t device)
{
	uint64_t a;

	slots[dst].device = device;
	if (slots[dst].type != CAP_FRAME || device)
		return;
	/*@ loop assigns a, machine; */
	for (a = p->at; a < p->at + p->size; a += PAGE_SIZE_4K)
		if (!(hal_page_byte(a) & PAGE_POISONED))
			hal_zero(a);
}

/*@ requires dst < SLOT_COUNT && \valid_read(p);
  requires slots[dst].type == CAP_CAPTABLE ==> (uint32_t)param + (uint32_t)(param >> 32) <= SLOT_COUNT;
  assigns slots[dst].first, slots[dst].count, slots[dst].pt_level, slots[dst].pt_kind, slots[dst].label, slots[dst].id,
    slot_page_backed[..], next_id, machine;
  exits \false; */
static void make_object(uint32_t dst, const struct plan *p, uint64_t param)
{
	struct slot *s = &slots[dst];
	uint64_t a;
	uint32_t i = 0;

	/*@ loop assigns a, i, machine; */
	for (a = p->at; a < p->at + p->size; a += PAGE_SIZE_4K) {
		hal_page_set(a, p->byte);
		hal_zero(a);
		if (s->type == CAP_CAPTABLE)
			hal_slots_map((uint32_t)param / SLOTS_PER_PAGE + i++, a);
		else
			hal_window_map(a);
	}
	if (s->type == CAP_CAPTABLE) {
		s->first = (uint32_t)param;
		s->count = (uint32_t)(param >> 32);
		/*@ loop assigns i, slot_page_backed[..]; */
		for (i = 0; i < s->count / SLOTS_PER_PAGE; i++)
			slot_page_set(s->first / SLOTS_PER_PAGE + i, 1);
	} else if (s->type == CAP_PAGETABLE) {
		s->pt_level = (uint8_t)param;
		s->pt_kind = (uint8_t)(param >> 8);
		s->label = (uint32_t)(param >> 32);
		s->id = next_id++;
		hal_pt_init(p->at, s->pt_kind, s->pt_level);
	}
}

/* Where the object comes to lie: behind the watermark; 0: there is no room. */
/*@ requires \valid_read(us) && \valid(p) && \separated(us, p);
  requires us->base + us->size <= PHYS_LIMIT + 1 && used <= us->size && 0 < align <= PHYS_LIMIT + 1;
  assigns p->at;
  exits \false;
  ensures retype_behind: \result != 0 ==> us->base + used <= p->at;
  ensures retype_inside: \result != 0 ==> p->at + p->size <= us->base + us->size;
*/
static int find_place(const struct slot *us, uint64_t used, uint64_t align, struct plan *p)
{
	p->at = us->base + used;
	p->at += (align - p->at % align) % align;
	return p->at <= us->base + us->size && p->size <= us->base + us->size - p->at;
}

status_t cap_retype(uint32_t u, uint64_t type, uint64_t size_bits, uint32_t dst, uint64_t param)
{
	struct slot *us = &slots[u];
	uint64_t align, used = slot_leaf(u) ? 0 : us->used;
	struct plan p = {0};
	status_t st = CAIRN_OK;

	p.size = object_size(type, size_bits, param);
	if (!p.size)
		return CAIRN_ERR_ARG;
	p.byte = type == CAP_PAGETABLE && (param >> 8 & 0xff) != PT_HOST ? PAGE_GUEST_PT : (uint8_t)type;
	align = type == CAP_UNTYPED || type == CAP_FRAME ? p.size : PAGE_SIZE_4K;
	if (us->device && type != CAP_FRAME && type != CAP_UNTYPED)
		return CAIRN_ERR_TYPE;
	if (!find_place(us, used, align, &p))
		return CAIRN_ERR_MEMORY;
	if (type == CAP_CAPTABLE)
		st = check_table(param);
	else if (type == CAP_PAGETABLE)
		st = check_pagetable(param);
	/* A kernel object never lies on a poisoned page. */
	if (st == CAIRN_OK && type != CAP_UNTYPED && type != CAP_FRAME && any_poison(p.at, p.size))
		st = CAIRN_ERR_POISON;
	if (st != CAIRN_OK)
		return st;

	us->used = p.at + p.size - us->base;
	slot_clear(dst);
	slots[dst].type = (uint8_t)type;
	slots[dst].original = 1;
	slots[dst].base = p.at;
	slots[dst].size = p.size;
	slot_set_rights(dst, us, RIGHT_ALL);
	if (type == CAP_UNTYPED || type == CAP_FRAME)
		make_memory(dst, &p, us->device);
	else
		make_object(dst, &p, param);
	slot_insert(dst, u);
	return CAIRN_OK;
}
