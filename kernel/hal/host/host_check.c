/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks all of the kernel's state against what it must mean. It reads slots and memory, and calls nothing of the kernel. */
#include "host_boot.h"
#include "host_check.h"

#define ENTRIES 512u

#define claim(condition)                                                                                                    \
	do {                                                                                                                \
		if (!(condition))                                                                                           \
			host_fault(#condition);                                                                             \
	} while (0)

static uint8_t owner[HOST_PAGES];      /* type of the object on the page; 0: none */
static uint8_t bound_page[HOST_PAGES]; /* somebody's buffer */
uint8_t host_poisoned[HOST_PAGES];
static uint8_t entry_owner[HOST_PAGES][ENTRIES];

uint32_t host_page(uint64_t phys)
{
	return (uint32_t)((phys - HOST_RAM_BASE) / PAGE_SIZE_4K);
}

/* Is slot `s` backed? Only the root table and the far range ever are. */
static int there(uint32_t s)
{
	return (s >= ROOT_FIRST && s < ROOT_FIRST + ROOT_SLOTS) || (s >= FAR && s < FAR + FAR_SLOTS && slot_backed(s));
}

#define for_each_slot(s)                                                                                                    \
	for (s = ROOT_FIRST; s < FAR + FAR_SLOTS; s = s + 1 == ROOT_FIRST + ROOT_SLOTS ? FAR : s + 1)                       \
		if (there(s) && slots[s].live)

static void check_child(const struct slot *c, const struct slot *p)
{
	if (c->original) {
		claim(p->type == CAP_UNTYPED && c->device == p->device);
		claim(c->base >= p->base && c->base + c->size <= p->base + p->used && p->used <= p->size);
		return;
	}
	if (c->type == CAP_PORTAL && p->type == CAP_THREAD) {
		claim(c->base == p->base);
		return;
	}
	claim(c->type == p->type && c->type != CAP_UNTYPED);
	claim(!((uint32_t)c->r_read > p->r_read || c->r_write > p->r_write || c->r_exec > p->r_exec ||
		c->r_control > p->r_control || c->r_signal > p->r_signal || c->r_grant > p->r_grant));
	claim(c->base >= p->base && c->base + c->size <= p->base + p->size);
	claim(c->type == CAP_IRQ || c->type == CAP_IOPORTS || (c->base == p->base && c->size == p->size));
	claim(!p->badge || c->badge == p->badge);
	claim(c->first == p->first && c->count == p->count && c->device == p->device);
}

/* Siblings made from one Untyped share no byte. */
static void check_siblings(uint32_t s)
{
	uint32_t i;

	for (i = slots[s].next; i != SLOT_NIL && slots[i].depth >= slots[s].depth; i = slots[i].next)
		if (slots[i].parent == slots[s].parent && slots[i].original)
			claim(slots[i].base + slots[i].size <= slots[s].base ||
			      slots[s].base + slots[s].size <= slots[i].base);
}

static void check_tree(void)
{
	static const struct slot empty;
	uint32_t s;
	uint64_t a;

	check_list();
	memset(owner, 0, sizeof(owner));
	memset(bound_page, 0, sizeof(bound_page));
	for (s = ROOT_FIRST; s < FAR + FAR_SLOTS; s++)
		if (there(s) && !slots[s].live)
			claim(!memcmp(&slots[s], &empty, sizeof(empty)));
	for_each_slot(s)
	{
		const struct slot *c = &slots[s];

		if (c->parent)
			check_child(c, &slots[c->parent]);
		if (c->bound) {
			claim(c->type == CAP_FRAME || c->type == CAP_IRQ || c->type == CAP_MACHINECHECK);
		}
		if (c->bound && c->type == CAP_FRAME) {
			claim(!bound_page[host_page(c->base)]);
			bound_page[host_page(c->base)] = 1;
		}
		if (!c->original)
			continue;
		check_siblings(s);
		for (a = c->base; c->type != CAP_UNTYPED && a < c->base + c->size; a += PAGE_SIZE_4K) {
			claim(!owner[host_page(a)]);
			owner[host_page(a)] = c->type == CAP_PAGETABLE && c->pt_kind ? PAGE_GUEST_PT : c->type;
		}
	}
}

/* Page bytes, the window, and no object on a page that was poisoned before. */
static void check_pages(void)
{
	uint32_t p, tables = (ROOT_FIRST + ROOT_SLOTS) / SLOTS_PER_PAGE;

	for (p = tables; p < HOST_PAGES; p++) {
		uint64_t at = HOST_RAM_BASE + p * PAGE_SIZE_4K;
		uint8_t type = owner[p] == CAP_FRAME ? PAGE_USER : owner[p];

		claim(hal_page_byte(at) ==
		      (type | (host_poisoned[p] ? PAGE_POISONED : 0) | (bound_page[p] ? PAGE_BOUND : 0)));
		claim(host_in_window(at) == (bound_page[p] || (type && type != CAP_CAPTABLE)));
	}
}

static int hangs(const struct slot *c)
{
	uint32_t p = c->map_pt;

	return p && there(p) && slots[p].live && slots[p].type == CAP_PAGETABLE && slots[p].id == c->map_id;
}

static uint64_t word(const struct slot *pt, uint32_t index)
{
	return ((uint64_t *)host_ram(pt->base))[index];
}

static uint64_t plain_word(const struct slot *f, uint64_t page)
{
	uint32_t rights = (f->m_read ? RIGHT_READ : 0u) | (f->m_write ? RIGHT_WRITE : 0u) | (f->m_exec ? RIGHT_EXEC : 0u);

	return page | HOST_PT_PAGE | (uint64_t)rights << HOST_PT_RIGHTS;
}

static uint64_t page_word(const struct slot *f, uint64_t page)
{
	return host_poisoned[host_page(page)] ? HOST_PT_POISON : plain_word(f, page);
}

static void check_split(const struct slot *f, const struct slot *d)
{
	uint32_t i, bad = 0;

	claim(d->live && d->type == CAP_PAGETABLE && d->pt_level == 1 && !hangs(d));
	claim(!host_poisoned[host_page(d->base)] && (d->used == 0 || d->used == ENTRIES));
	for (i = 0; i < ENTRIES; i++) {
		bad |= host_poisoned[host_page(f->base) + i];
		/* Nobody looks after one that hangs nowhere: it is made anew when the Frame is mapped again. */
		claim(word(d, i) == (d->used ? page_word(f, f->base + i * PAGE_SIZE_4K) : 0) ||
		      (d->used && !hangs(f) && word(d, i) == plain_word(f, f->base + i * PAGE_SIZE_4K)));
		entry_owner[host_page(d->base)][i] = d->used != 0;
	}
	if (hangs(f))
		claim(!bad || d->used);
}

/* The entry of what hangs: it is its own, and says what it must. */
static void check_hung(uint32_t s)
{
	const struct slot *c = &slots[s], *p = &slots[c->map_pt];
	uint8_t *mine = &entry_owner[host_page(p->base)][c->map_index];
	uint64_t expected;

	claim(p->original);
	claim(!p->deposit);
	claim(!*mine);
	*mine = 1;
	if (c->type == CAP_PAGETABLE) {
		claim(p->pt_level == c->pt_level + 1 && p->pt_kind == c->pt_kind && !host_poisoned[host_page(c->base)]);
		expected = c->base | HOST_PT_TABLE;
	} else {
		claim(p->pt_level == (c->size == PAGE_SIZE_2M ? 2 : 1));
		claim(c->m_read <= c->r_read && c->m_write <= c->r_write && c->m_exec <= c->r_exec);
		claim(p->pt_kind == PT_GUEST || !c->m_write || !c->m_exec);
		claim((c->size == PAGE_SIZE_2M) == (c->deposit != 0));
		expected = c->deposit && slots[c->deposit].used ? slots[c->deposit].base | HOST_PT_TABLE
								: page_word(c, c->base);
	}
	if (!host_poisoned[host_page(p->base)])
		claim(word(p, c->map_index) == expected);
}

/* Every entry of every structure belongs to exactly one slot, and the other way round. */
static void check_tables(void)
{
	uint32_t s, i;

	for_each_slot(s) if (slots[s].type == CAP_PAGETABLE) memset(entry_owner[host_page(slots[s].base)], 0, ENTRIES);
	for_each_slot(s)
	{
		const struct slot *c = &slots[s];

		if (c->deposit)
			claim(there(c->deposit) && slots[c->deposit].deposit == s &&
			      (c->type == CAP_FRAME || c->type == CAP_PAGETABLE));
		if (c->deposit && c->type == CAP_FRAME)
			check_split(c, &slots[c->deposit]);
		if ((c->type == CAP_FRAME || c->type == CAP_PAGETABLE) && hangs(c))
			check_hung(s);
	}
	for_each_slot(s)
	{
		const struct slot *c = &slots[s];
		uint32_t limit = c->pt_level == 4 && c->pt_kind == PT_HOST ? 256 : ENTRIES, used = 0;

		if (c->type != CAP_PAGETABLE || !c->original || host_poisoned[host_page(c->base)])
			continue;
		for (i = 0; i < limit; i++) {
			claim((word(c, i) != 0) == entry_owner[host_page(c->base)][i]);
			used += word(c, i) != 0;
		}
		claim(used == c->used);
	}
}

static int listed(const struct cpu *cpu, const struct ec *e)
{
	const struct ec *i;

	for (i = cpu->list; i && i != e; i = i->all_next)
		;
	return i != NULL;
}

static int waits_in(const struct ec *h, const struct ec *e)
{
	const struct ec *i;

	for (i = h->queue_head; i && i != e; i = i->queue_next)
		;
	return i != NULL;
}

/* Calls and those who wait for them agree about each other, and the run queue holds exactly those who can run. */
static void check_chain(const struct cpu *cpu, const struct ec *e)
{
	const struct ec *leaf = e->root->leaf, *i;
	uint32_t n = 0;

	claim(listed(cpu, e->root) && e->root->root == e->root && listed(cpu, leaf));
	for (i = leaf; i && i != e; i = i->caller)
		claim(++n <= CALL_MAX_DEPTH + 1);
	claim(i == e);
	claim((e->status == EC_CALL) == (e != leaf));
	if (e->status == EC_CALL)
		claim(e->partner && e->partner->caller == e && e->partner->root == e->root);
	if (e->status == EC_QUEUED)
		claim(listed(cpu, e->partner) && waits_in(e->partner, e));
	if (e->caller)
		claim(listed(cpu, e->caller) && e->caller->status == EC_CALL && e->caller->partner == e && !e->orphan);
	for (i = e->queue_head; i; i = i->queue_next)
		claim(listed(cpu, i) && i->status == EC_QUEUED && i->partner == e);
	if (e->status == EC_IDLE)
		claim(e->handler && !e->caller && !e->queue_head && e->root == e && !e->orphan);
	claim(e->queued ==
	      (e->priority && e->root == e && leaf->status == EC_READY && !leaf->suspended && !leaf->held && !e->throttled));
	claim(e->effective >= e->priority && (!e->orphan || e->handler));
}

/* One execution context of CPU `cpu`; 1 when it has a buffer. */
static uint32_t check_context(uint32_t cpu, const struct ec *e)
{
	claim(owner[host_page(e->phys)] == CAP_THREAD || owner[host_page(e->phys)] == CAP_VCPU);
	claim(e == hal_window(e->phys) && e->status != EC_NEW && e->cpu == cpu);
	claim(!e->all_next || e->all_next->all_prev == e);
	if (e->buffer_slot)
		claim(slots[e->buffer_slot].live && slots[e->buffer_slot].bound);
	if (e->status != EC_STOPPED) {
		claim(slots[e->space_slot].live && slots[e->space_slot].base == e->cr3 && e->buffer_slot);
		claim(!host_poisoned[host_page(e->cr3)]);
	}
	if (e->status != EC_STOPPED && e->kind == EC_VCPU)
		claim(slots[e->guest_slot].live && slots[e->guest_slot].pt_kind == PT_GUEST &&
		      !host_poisoned[host_page(slots[e->guest_slot].base)]);
	check_chain(cpus[cpu], e);
	return e->buffer_slot != SLOT_NIL;
}

static void check_contexts(void)
{
	struct ec *e;
	uint32_t s, n = 0, buffers = 0, i, c;

	for (c = 0; c < cpu_count; c++)
		for (e = cpus[c]->list; e; e = e->all_next, n++)
			buffers += check_context(c, e);
	for_each_slot(s)
	{
		if (slots[s].bound && slots[s].type == CAP_FRAME)
			buffers--;
		if ((slots[s].type == CAP_THREAD || slots[s].type == CAP_VCPU) && slots[s].original)
			n -= ((const struct ec *)host_ram(slots[s].base))->status != EC_NEW;
	}
	claim(!n && !buffers);
	for (c = 0; c < cpu_count; c++)
		for (i = 0; i < PRIORITIES; i++)
			if (cpus[c]->run[i])
				claim(listed(cpus[c], cpus[c]->run[i]) && listed(cpus[c], cpus[c]->run[i]->run_next));
	for (i = 0; i < HOST_LINES; i++)
		if (host.line[i].thread)
			claim(owner[host_page(((uint8_t *)host.line[i].thread - (uint8_t *)hal_window(HOST_RAM_BASE)) +
					      HOST_RAM_BASE)] == CAP_THREAD);
	mca_notify(); /* to memory that is still a Thread */
}

void host_check(void)
{
	check_tree();
	check_pages();
	check_tables();
	check_contexts();
}

/* All that the kernel holds: slots, page bytes, objects. */
uint64_t host_hash(void)
{
	uint64_t h = 1469598103934665603ull, i;
	uint32_t s, p;

	for (s = 0; s < FAR + FAR_SLOTS; s += SLOTS_PER_PAGE)
		for (i = 0; !s || there(s) ? i < PAGE_SIZE_4K / 8 : 0; i++)
			h = (h ^ ((uint64_t *)&slots[s])[i]) * 1099511628211ull;
	for (p = 0; p < HOST_PAGES; p++) {
		const uint64_t *w = host_ram(HOST_RAM_BASE + p * PAGE_SIZE_4K);

		h = (h ^ hal_page_byte(HOST_RAM_BASE + p * PAGE_SIZE_4K)) * 1099511628211ull;
		for (i = 0; host_in_window(HOST_RAM_BASE + p * PAGE_SIZE_4K) && i < PAGE_SIZE_4K / 8; i++)
			h = (h ^ w[i]) * 1099511628211ull;
	}
	return h;
}
