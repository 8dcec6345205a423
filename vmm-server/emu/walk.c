/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's page-table walk (SDM vol. 3, chapter 4; APM vol. 2, chapter 5): what the CPU's walker
 * would do. */
#include "emu.h"

#define CR0_PG	  (1ull << 31)
#define CR0_WP	  (1ull << 16)
#define CR4_PSE	  (1ull << 4)
#define CR4_PAE	  (1ull << 5)
#define CR4_LA57  (1ull << 12)
#define CR4_SMEP  (1ull << 20)
#define CR4_SMAP  (1ull << 21)
#define EFER_LMA  (1ull << 10)
#define EFER_NXE  (1ull << 11)
#define RFLAGS_AC (1ull << 18)

#define PTE_P  0x01ull
#define PTE_W  0x02ull
#define PTE_U  0x04ull
#define PTE_A  0x20ull
#define PTE_D  0x40ull
#define PTE_PS 0x80ull
#define PTE_NX (1ull << 63)

#define ERROR_P	   0x01u /* SDM vol. 3, 4.7 */
#define ERROR_W	   0x02u
#define ERROR_U	   0x04u
#define ERROR_RSVD 0x08u
#define ERROR_I	   0x10u

#define PAGE_FAULT   14u
#define WALK_RETRIES 8 /* the guest changes its tables under us: let it run */
#define MAX_LEVELS   5

enum paging_kind { PAGING_32, PAGING_PAE, PAGING_LONG };

/* One walk on its way down. */
struct walk {
	const struct emu_paging *paging;
	const struct emu_walk_ops *ops;
	void *vm;
	uint64_t linear;
	unsigned access;
	enum paging_kind kind;
	unsigned levels;
	unsigned level; /* of the entry last read; 1 is a PTE */
	uint64_t entry[MAX_LEVELS + 1], where[MAX_LEVELS + 1]; /* by level */
	uint64_t rights; /* W and U: the AND of all levels; NX: the OR */
};

static enum paging_kind kind_of(const struct emu_paging *paging)
{
	if (!(paging->cr4 & CR4_PAE))
		return PAGING_32;
	return paging->efer & EFER_LMA ? PAGING_LONG : PAGING_PAE;
}

static unsigned levels_of(const struct emu_paging *paging, enum paging_kind kind)
{
	switch (kind) {
	case PAGING_32:
		return 2;
	case PAGING_PAE:
		return 3;
	default:
		return paging->cr4 & CR4_LA57 ? 5 : 4;
	}
}

static enum emu_result page_fault(const struct walk *w, uint32_t error, struct emu_translation *out)
{
	const struct emu_paging *paging = w->paging;
	bool fetch_reported =
		(paging->cr4 & CR4_SMEP) || ((paging->cr4 & CR4_PAE) && (paging->efer & EFER_NXE));

	error |= w->access & (ERROR_W | ERROR_U);
	if ((w->access & EMU_WALK_FETCH) && fetch_reported)
		error |= ERROR_I;
	out->fault = (struct emu_fault){.vector = PAGE_FAULT, .error = error, .cr2 = w->linear};
	return EMU_FAULT;
}

/* Bits first..51 of an 8-byte entry that the physical address does not reach. */
static uint64_t bits_above(const struct emu_paging *paging)
{
	return ((1ull << 52) - 1) & ~((1ull << paging->physical_bits) - 1);
}

static bool is_large(const struct walk *w, uint64_t entry)
{
	if (w->level == 1 || !(entry & PTE_PS))
		return false;
	if (w->kind == PAGING_32)
		return w->paging->cr4 & CR4_PSE;
	return w->level == 2 || (w->level == 3 && w->kind == PAGING_LONG);
}

/* Reserved bits of an 8-byte entry. */
static uint64_t reserved_8(const struct walk *w, uint64_t entry)
{
	uint64_t reserved = bits_above(w->paging);

	if (!(w->paging->efer & EFER_NXE))
		reserved |= PTE_NX;
	if (w->kind == PAGING_PAE) {
		reserved |= 0x7ff0000000000000ull; /* SDM vol. 3, figure 4-7 */
		if (w->level == 3)
			return reserved | PTE_NX | 0x1e6ull;
	}
	if (w->level >= 4 || (w->level == 3 && !w->paging->pages_1g))
		return reserved | PTE_PS;
	if (is_large(w, entry)) /* bit 12 is PAT */
		reserved |= w->level == 2 ? 0x1fe000ull : 0x3fffe000ull;
	return reserved;
}

/* PSE-36: bits 20:13 hold address bits 39:32 as far as they exist; bit 21 is reserved (SDM vol. 3,
 * table 4-4). */
static uint64_t reserved_4(const struct walk *w, uint64_t entry)
{
	unsigned high = w->paging->physical_bits < 40 ? w->paging->physical_bits - 32 : 8;

	if (!is_large(w, entry))
		return 0;
	return 1ull << 21 | (0x1fe000ull & ~(((1ull << high) - 1) << 13));
}

static unsigned index_shift(const struct walk *w)
{
	return 12 + (w->kind == PAGING_32 ? 10 : 9) * (w->level - 1);
}

static unsigned entry_size(const struct walk *w)
{
	return w->kind == PAGING_32 ? 4 : 8;
}

static uint64_t table_address(const struct walk *w, uint64_t entry)
{
	return w->kind == PAGING_32 ? entry & 0xfffff000ull : entry & 0x000ffffffffff000ull;
}

static uint64_t top_table(const struct walk *w)
{
	if (w->kind == PAGING_PAE) /* four entries, 32-byte aligned */
		return w->paging->cr3 & 0xffffffe0ull;
	return table_address(w, w->paging->cr3);
}

/* Reads the entry of w->level in `table`. */
static enum emu_result read_entry(struct walk *w, uint64_t table)
{
	uint64_t index = w->linear >> index_shift(w) & (w->kind == PAGING_32 ? 0x3ff : 0x1ff);

	if (w->kind == PAGING_PAE && w->level == 3)
		index &= 3;
	w->where[w->level] = table + index * entry_size(w);
	w->entry[w->level] = 0; /* the callback fills the low bytes */
	return w->ops->read(w->vm, w->where[w->level], entry_size(w), &w->entry[w->level]);
}

/* Is the entry usable? Else *error is what the page fault says of it. */
static bool usable(const struct walk *w, uint32_t *error)
{
	uint64_t entry = w->entry[w->level];

	*error = 0;
	if (!(entry & PTE_P))
		return false;
	*error = ERROR_P | ERROR_RSVD;
	return !(entry & (w->kind == PAGING_32 ? reserved_4(w, entry) : reserved_8(w, entry)));
}

/* PDPTEs of PAE paging carry no rights. */
static void add_rights(struct walk *w)
{
	uint64_t entry = w->entry[w->level];

	if (w->kind == PAGING_PAE && w->level == 3)
		return;
	w->rights &= entry | ~(PTE_W | PTE_U);
	if (w->kind != PAGING_32)
		w->rights |= entry & PTE_NX;
}

/* SDM vol. 3, 4.6.1. */
static bool allowed(const struct walk *w)
{
	const struct emu_paging *paging = w->paging;
	bool user_page = w->rights & PTE_U, user = w->access & EMU_WALK_USER;
	bool smap_off = (paging->rflags & RFLAGS_AC) && !(w->access & EMU_WALK_IMPLICIT);

	if (user && !user_page)
		return false;
	if (w->access & EMU_WALK_FETCH) {
		if (!user && user_page && (paging->cr4 & CR4_SMEP))
			return false;
		return !((w->rights & PTE_NX) && (paging->efer & EFER_NXE));
	}
	if (!user && user_page && (paging->cr4 & CR4_SMAP) && !smap_off)
		return false;
	if (!(w->access & EMU_WALK_WRITE) || (w->rights & PTE_W))
		return true;
	return !user && !(paging->cr0 & CR0_WP);
}

/* From the top table to the entry that maps the page. */
static enum emu_result descend(struct walk *w, struct emu_translation *out)
{
	uint64_t table = top_table(w);
	enum emu_result result;
	uint32_t error;

	w->rights = PTE_W | PTE_U;
	for (w->level = w->levels; w->level >= 1; w->level--) {
		result = read_entry(w, table);
		if (result != EMU_DONE)
			return result;
		if (!usable(w, &error))
			return page_fault(w, error, out);
		add_rights(w);
		if (w->level == 1 || is_large(w, w->entry[w->level]))
			break;
		table = table_address(w, w->entry[w->level]);
	}
	return allowed(w) ? EMU_DONE : page_fault(w, ERROR_P, out);
}

/* Accessed bits from the top down, the dirty bit in the leaf. EMU_AGAIN: the guest changed an entry
 * meanwhile. */
static enum emu_result mark(struct walk *w)
{
	enum emu_result result;
	uint64_t marked;

	if (w->access & EMU_WALK_PROBE)
		return EMU_DONE;
	for (unsigned level = w->levels; level >= w->level; level--) {
		if (w->kind == PAGING_PAE && level == 3)
			continue;
		marked = w->entry[level] | PTE_A;
		if (level == w->level && (w->access & EMU_WALK_WRITE))
			marked |= PTE_D;
		if (marked == w->entry[level])
			continue;
		result = w->ops->replace(w->vm, w->where[level], entry_size(w), w->entry[level],
					 marked);
		if (result != EMU_DONE)
			return result;
		w->entry[level] = marked;
	}
	return EMU_DONE;
}

static void finish(const struct walk *w, struct emu_translation *out)
{
	uint64_t entry = w->entry[w->level];
	uint64_t size = 1ull << index_shift(w);
	uint64_t frame = table_address(w, entry) & ~(size - 1);

	if (w->kind == PAGING_32 && w->level == 2)
		frame |= (entry >> 13 & 0xff) << 32;
	out->physical = frame | (w->linear & (size - 1));
	out->page_size = size;
	out->writable = (entry & PTE_D) && ((w->rights & PTE_W) || (!(w->access & EMU_WALK_USER) &&
								    !(w->paging->cr0 & CR0_WP)));
}

enum emu_result emu_walk(const struct emu_paging *paging, const struct emu_walk_ops *ops, void *vm,
			 uint64_t linear, unsigned access, struct emu_translation *out)
{
	struct walk w = {.paging = paging,
			 .ops = ops,
			 .vm = vm,
			 .linear = linear,
			 .access = access,
			 .kind = kind_of(paging)};
	enum emu_result result = EMU_AGAIN;

	*out = (struct emu_translation){.physical = linear, .page_size = 4096, .writable = true};
	if (!(paging->cr0 & CR0_PG))
		return EMU_DONE;
	w.levels = levels_of(paging, w.kind);
	for (unsigned i = 0; i < WALK_RETRIES && result == EMU_AGAIN; i++) {
		result = descend(&w, out);
		if (result == EMU_DONE)
			result = mark(&w);
	}
	if (result == EMU_DONE)
		finish(&w, out);
	return result;
}
