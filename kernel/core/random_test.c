/* SPDX-License-Identifier: BSD-2-Clause */
/* Random operations from a seed; now and then all of the kernel's state is checked against what it must mean.
 * CAIRN_SEED=n begins with another seed, CAIRN_SECONDS=n goes on for longer. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <hal/host/host_boot.h>
#include <hal/host/host_check.h>
#include <hal/host/host_operations.h>

#define OPERATIONS 6000u /* per seed */
#define SEEDS_MIN  4u	 /* one for each number of CPUs */
#define CHECK_EACH 40u
#define HASH_EACH  8u

static uint64_t seed_now, state_now;
static uint32_t operation;

_Noreturn void host_fault(const char *what)
{
	fail_msg("seed %lu operation %u: %s", seed_now, operation, what);
	abort();
}

uint32_t host_any(uint32_t below)
{
	state_now ^= state_now << 13;
	state_now ^= state_now >> 7;
	state_now ^= state_now << 17;
	return (uint32_t)((state_now >> 16) % below);
}

<<<<<<< HEAD
=======
/* ---- the checker: it reads slots and memory, and calls nothing of the kernel ---- */

static uint8_t owner[HOST_PAGES];      /* type of the object on the page; 0: none */
static uint8_t bound_page[HOST_PAGES]; /* somebody's buffer */
static uint8_t poisoned[HOST_PAGES];   /* the model's */
static uint8_t entry_owner[HOST_PAGES][ENTRIES];

static uint32_t page_of(uint64_t phys)
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
			claim(!bound_page[page_of(c->base)]);
			bound_page[page_of(c->base)] = 1;
		}
		if (!c->original)
			continue;
		check_siblings(s);
		for (a = c->base; c->type != CAP_UNTYPED && a < c->base + c->size; a += PAGE_SIZE_4K) {
			claim(!owner[page_of(a)]);
			owner[page_of(a)] = c->type == CAP_PAGETABLE && c->pt_kind ? PAGE_GUEST_PT : c->type;
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

		claim((hal_page_byte(at) & ~PAGE_BOUND) == (type | (poisoned[p] ? PAGE_POISONED : 0)));
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

static uint64_t page_word(const struct slot *f, uint64_t page)
{
	uint32_t rights = (f->m_read ? RIGHT_READ : 0u) | (f->m_write ? RIGHT_WRITE : 0u) | (f->m_exec ? RIGHT_EXEC : 0u);

	return poisoned[page_of(page)] ? HOST_PT_POISON : page | HOST_PT_PAGE | (uint64_t)rights << HOST_PT_RIGHTS;
}

static void check_split(const struct slot *f, const struct slot *d)
{
	uint32_t i, bad = 0;

	claim(d->live && d->type == CAP_PAGETABLE && d->pt_level == 1 && !hangs(d));
	claim(!poisoned[page_of(d->base)] && (d->used == 0 || d->used == ENTRIES));
	for (i = 0; i < ENTRIES; i++) {
		bad |= poisoned[page_of(f->base) + i];
		claim(word(d, i) == (d->used ? page_word(f, f->base + i * PAGE_SIZE_4K) : 0));
		entry_owner[page_of(d->base)][i] = d->used != 0;
	}
	if (hangs(f))
		claim(!bad || d->used);
}

/* The entry of what hangs: it is its own, and says what it must. */
static void check_hung(uint32_t s)
{
	const struct slot *c = &slots[s], *p = &slots[c->map_pt];
	uint8_t *mine = &entry_owner[page_of(p->base)][c->map_index];
	uint64_t expected;

	claim(p->original);
	claim(!p->deposit);
	claim(!*mine);
	*mine = 1;
	if (c->type == CAP_PAGETABLE) {
		claim(p->pt_level == c->pt_level + 1 && p->pt_kind == c->pt_kind && !poisoned[page_of(c->base)]);
		expected = c->base | HOST_PT_TABLE;
	} else {
		claim(p->pt_level == (c->size == PAGE_SIZE_2M ? 2 : 1));
		claim(c->m_read <= c->r_read && c->m_write <= c->r_write && c->m_exec <= c->r_exec);
		claim(p->pt_kind == PT_GUEST || !c->m_write || !c->m_exec);
		claim((c->size == PAGE_SIZE_2M) == (c->deposit != 0));
		expected = c->deposit && slots[c->deposit].used ? slots[c->deposit].base | HOST_PT_TABLE
								: page_word(c, c->base);
	}
	if (!poisoned[page_of(p->base)])
		claim(word(p, c->map_index) == expected);
}

/* Every entry of every structure belongs to exactly one slot, and the other way round. */
static void check_tables(void)
{
	uint32_t s, i;

	for_each_slot(s) if (slots[s].type == CAP_PAGETABLE) memset(entry_owner[page_of(slots[s].base)], 0, ENTRIES);
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

		if (c->type != CAP_PAGETABLE || !c->original || poisoned[page_of(c->base)])
			continue;
		for (i = 0; i < limit; i++) {
			claim((word(c, i) != 0) == entry_owner[page_of(c->base)][i]);
			used += word(c, i) != 0;
		}
		claim(used == c->used);
	}
}

static int listed(const struct ec *e)
{
	const struct ec *i;

	for (i = host.cpu.list; i && i != e; i = i->all_next)
		;
	return i != NULL;
}

static void check_contexts(void)
{
	struct ec *e;
	uint32_t s, n = 0, buffers = 0, i;

	for (e = host.cpu.list; e; e = e->all_next, n++) {
		claim(owner[page_of(e->phys)] == CAP_THREAD || owner[page_of(e->phys)] == CAP_VCPU);
		claim(e == hal_window(e->phys) && e->status != EC_NEW);
		claim(!e->all_next || e->all_next->all_prev == e);
		if (e->buffer_slot) {
			claim(slots[e->buffer_slot].live && slots[e->buffer_slot].bound);
			buffers++;
		}
		if (e->status != EC_STOPPED) {
			claim(slots[e->space_slot].live && slots[e->space_slot].base == e->cr3 && e->buffer_slot);
			claim(!poisoned[page_of(e->cr3)]);
		}
		if (e->status != EC_STOPPED && e->kind == EC_VCPU)
			claim(slots[e->guest_slot].live && slots[e->guest_slot].pt_kind == PT_GUEST &&
			      !poisoned[page_of(slots[e->guest_slot].base)]);
		claim(e->queued == (e->priority && e->status == EC_READY && !e->suspended));
	}
	for_each_slot(s)
	{
		if (slots[s].bound && slots[s].type == CAP_FRAME)
			buffers--;
		if ((slots[s].type == CAP_THREAD || slots[s].type == CAP_VCPU) && slots[s].original)
			n -= ((const struct ec *)host_ram(slots[s].base))->status != EC_NEW;
	}
	claim(!n && !buffers);
	for (i = 0; i < PRIORITIES; i++)
		if (host.cpu.run[i])
			claim(listed(host.cpu.run[i]) && listed(host.cpu.run[i]->run_next));
	for (i = 0; i < HOST_LINES; i++)
		if (host.line[i].thread)
			claim(owner[page_of(((uint8_t *)host.line[i].thread - (uint8_t *)hal_window(HOST_RAM_BASE)) +
					    HOST_RAM_BASE)] == CAP_THREAD);
	mca_notify(); /* to memory that is still a Thread */
}

static void check_all(void)
{
	check_tree();
	check_pages();
	check_tables();
	check_contexts();
}

/* All that the kernel holds: slots, page bytes, objects. */
static uint64_t hash(void)
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

/* ---- the operations ---- */

/* A selector of the root table that holds `type`, mostly; each with the same chance. */
static uint64_t pick(uint8_t type)
{
	uint32_t found = any(ROOT_SLOTS + 8), n = 0, i;

	if (any(16) == 0)
		return found;
	for (i = 0; i < ROOT_SLOTS; i++)
		if (SLOT(i).live && SLOT(i).type == type && any(++n) == 0)
			found = i;
	return found;
}

/* Low ones are used again and again. */
static uint64_t place(void)
{
	return S_FREE + any(any(3) ? 150 : ROOT_SLOTS);
}

static uint64_t table(void)
{
	return any(3) ? S_TABLE : pick(CAP_CAPTABLE);
}

static uint64_t pick_any(void)
{
	static const uint8_t types[] = {CAP_UNTYPED, CAP_FRAME, CAP_FRAME,   CAP_PAGETABLE, CAP_THREAD, CAP_VCPU,
					CAP_PORTAL,  CAP_IRQ,	CAP_IOPORTS, CAP_CAPTABLE,  CAP_FRAME};

	return pick(types[any(sizeof(types))]);
}

/* The first capabilities stay: everything is reached through them. */
static int first_ones(uint64_t table_sel, uint64_t index)
{
	return table_sel < ROOT_SLOTS && SLOT(table_sel).type == CAP_CAPTABLE && SLOT(table_sel).first == ROOT_FIRST &&
	       index < S_FREE;
}

static uint64_t op_retype(void)
{
	static const uint8_t types[] = {CAP_UNTYPED, CAP_UNTYPED, CAP_FRAME,	 CAP_FRAME,	CAP_FRAME,    CAP_THREAD,
					CAP_THREAD,  CAP_VCPU,	  CAP_PAGETABLE, CAP_PAGETABLE, CAP_CAPTABLE, CAP_PORTAL};
	uint8_t type = types[any(sizeof(types))];
	uint64_t param = 0, bits = any(4) ? 12 : 21;

	if (type == CAP_UNTYPED)
		bits = 12 + any(any(2) ? 11 : 4);
	if (type == CAP_CAPTABLE)
		param = (FAR + 32 * any(FAR_SLOTS / 32 - 1)) | (uint64_t)(32 * (1 + any(2))) << 32;
	if (type == CAP_PAGETABLE) {
		uint64_t level = any(3) ? 1 + any(4) : 1;

		param = level | any(2) << 8 | (level == 4 ? 5ull << 32 : 0);
	}
	return call6(RETYPE, pick(CAP_UNTYPED), type, bits, table(), place(), param);
}

static uint64_t op_copy(void)
{
	uint64_t src = pick_any(), badge = any(8) ? 0 : any(16) | any(16) << 16;

	return call5(COPY, src, table(), place(), any(4) ? RIGHT_ALL : any(64), badge);
}

static uint64_t op_move(void)
{
	uint64_t src = pick_any();

	return src < S_FREE ? CAIRN_OK : call3(MOVE, src, table(), place());
}

static uint64_t op_delete(void)
{
	uint64_t t = table(), i = any(3) ? pick_any() : place();

	return first_ones(t, i) ? CAIRN_OK : call2(DELETE, t, i);
}

static uint64_t op_revoke(void)
{
	uint64_t i = pick_any();

	/* Of everything only rarely: else there would never be much. */
	return (i <= S_UNTYPED && any(30)) || any(3) ? CAIRN_OK : call2(REVOKE, S_TABLE, i);
}

/* A PageTable of a level and kind, mostly. */
static uint64_t pick_pt(uint32_t level, uint32_t kind)
{
	uint32_t found = any(ROOT_SLOTS), n = 0, i;

	if (any(8) == 0)
		return pick(CAP_PAGETABLE);
	for (i = 0; i < ROOT_SLOTS; i++)
		if (SLOT(i).live && SLOT(i).type == CAP_PAGETABLE && SLOT(i).pt_level == level && SLOT(i).pt_kind == kind &&
		    any(++n) == 0)
			found = i;
	return found;
}

static uint64_t op_link(void)
{
	uint32_t level = 1 + any(3), kind = any(2);

	return call3(PAGETABLE_LINK, pick_pt(level + 1, kind), any(8) ? any(4) : any(520), pick_pt(level, kind));
}

/* A 2 MiB Frame that hangs nowhere, if there is one. */
static uint64_t pick_large(void)
{
	uint32_t i, start = any(ROOT_SLOTS), sel;

	for (i = 0; i < ROOT_SLOTS; i++) {
		sel = (start + i) % ROOT_SLOTS;
		if (SLOT(sel).live && SLOT(sel).type == CAP_FRAME && SLOT(sel).size == PAGE_SIZE_2M && !SLOT(sel).map_pt)
			return sel;
	}
	return pick(CAP_FRAME);
}

static uint64_t op_map(void)
{
	uint64_t rights = any(4) ? RIGHT_READ | any(8) : any(16), f = any(3) ? pick(CAP_FRAME) : pick_large();
	uint32_t kind = any(2), level = f < ROOT_SLOTS && SLOT(f).size == PAGE_SIZE_2M ? 2 : 1, tries;
	uint64_t deposit = pick_pt(1, kind);

	for (tries = 0; tries < 4 && deposit < ROOT_SLOTS && (SLOT(deposit).map_pt || SLOT(deposit).used); tries++)
		deposit = pick_pt(1, kind);
	return call5(MAP, f, pick_pt(level, kind), any(8) ? any(8) : any(520), rights, deposit);
}

static uint64_t op_unmap(void)
{
	return call1(UNMAP, pick(CAP_FRAME));
}

static uint64_t op_thread(void)
{
	struct thread_config c = {.space = pick_pt(4, PT_HOST),
				  .captable = pick(CAP_CAPTABLE),
				  .buffer = pick(CAP_FRAME),
				  .priority = any(5),
				  .rip = 0x1000};

	memcpy(driver_buffer.words, &c, sizeof(c));
	return call2(THREAD_CONFIGURE, pick(CAP_THREAD), any(8) ? 15 : any(17));
}

static uint64_t op_vcpu(void)
{
	struct vcpu_config c = {.guest_root = pick_pt(4, PT_GUEST),
				.home = pick_pt(4, PT_HOST),
				.captable = pick(CAP_CAPTABLE),
				.state = pick(CAP_FRAME),
				.priority = 1 + any(4)};

	memcpy(driver_buffer.words, &c, sizeof(c));
	return call1(VCPU_CONFIGURE, pick(CAP_VCPU));
}

static uint64_t op_portal(void)
{
	return call5(PORTAL_CREATE, pick(CAP_THREAD), table(), place(), any(4), any(300));
}

static uint64_t op_state(void)
{
	uint64_t t = pick(any(2) ? CAP_THREAD : CAP_VCPU);

	return any(2) ? call1(RESUME, t) : call1(SUSPEND, t);
}

static uint64_t op_bind(void)
{
	return any(2) ? call2(IRQ_BIND, pick(CAP_IRQ), pick(CAP_THREAD)) : call2(MC_BIND, S_MC, pick(CAP_THREAD));
}

/* All steps: in between, what was not reached yet is still mapped. Pages whose loss stops the machine are no choice. */
static uint64_t op_poison(void)
{
	uint64_t f = pick(any(3) ? CAP_FRAME : CAP_PAGETABLE), page, cursor = 0, st;
	uint32_t p, n = 0, steps = 0;

	for (p = 0; p < HOST_PAGES; p++)
		n += poisoned[p];
	if (any(10) || n >= POISON_MAX || f >= ROOT_SLOTS || !SLOT(f).live)
		return CAIRN_OK;
	page = SLOT(f).base + any(512) * PAGE_SIZE_4K % (SLOT(f).size ? SLOT(f).size : PAGE_SIZE_4K);
	if (!hal_page_known(page) || (SLOT(f).type != CAP_FRAME && SLOT(f).type != CAP_PAGETABLE) ||
	    (hal_page_byte(page) == CAP_PAGETABLE && any(4)))
		return CAIRN_OK;
	do {
		st = call3(MC_POISON, S_MC, page, cursor);
		cursor = driver.gpr[GPR_RDI];
		claim(st == CAIRN_OK && ++steps < 1000);
	} while (cursor);
	poisoned[page_of(page)] = 1;
	return st;
}

static uint64_t (*const operations[])(void) = {
	op_retype, op_retype, op_retype, op_retype, op_copy,   op_copy,	 op_move, op_delete,
	op_delete, op_revoke, op_link,	 op_link,   op_link,   op_map,	 op_map,  op_map,
	op_unmap,  op_thread, op_thread, op_vcpu,   op_portal, op_state, op_bind, op_poison,
};

static uint64_t done[sizeof(operations) / sizeof(operations[0])];

static void operate(void)
{
	uint32_t n = any(sizeof(operations) / sizeof(operations[0]));
	uint64_t before = operation % HASH_EACH ? 0 : hash(), st = operations[n]();

	while (n && operations[n - 1] == operations[n])
		n--; /* the same one stands there several times */
	done[n] += st == CAIRN_OK;
	/* What is refused changes nothing; delete and revoke may be part of the way. */
	if (before && st != CAIRN_OK && operations[n] != op_delete && operations[n] != op_revoke)
		claim(hash() == before);
}

>>>>>>> d3c9b2e6fe4f7ccf7b9e84675cb128fcdf513a4e
static void run_seed(uint64_t seed)
{
	host_operations_begin(1 + seed % HOST_CPUS);
	seed_now = seed;
	state_now = seed * 0x9e3779b97f4a7c15ul + 1;
	for (operation = 1; operation <= OPERATIONS; operation++) {
		host_operate(operation % HASH_EACH == 0);
		if (operation % CHECK_EACH == 0)
			host_check();
	}
	host_operations_end();
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 0) : otherwise;
}

static void random_operations_leave_a_sound_kernel(void **state)
{
	uint64_t first = setting("CAIRN_SEED", 1), seed = first, times;
	time_t end = time(NULL) + (time_t)setting("CAIRN_SECONDS", 4);
	const char *name;
	uint32_t i;

	(void)state;
	do
		run_seed(seed++);
	while (time(NULL) < end || seed < first + SEEDS_MIN);
	for (i = 0; (name = host_operation(i, &times)); i++)
		printf("%s %lu\n", name, times);
	for (i = 0; (name = host_operation(i, &times)); i++)
		if (!times) /* the test would not test it */
			fail_msg("operation %s never succeeded", name);
	print_message("%lu seeds of %u operations\n", seed - first, OPERATIONS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations_leave_a_sound_kernel)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
