/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads and VCpus: configuration, start and stop, and what goes when an object is destroyed. */
#include <core/caps.h>
#include <hal/hal.h>

static void list_insert(struct ec *e)
{
	e->all_next = ec_list;
	e->all_prev = NULL;
	if (ec_list)
		ec_list->all_prev = e;
	ec_list = e;
}

static void list_remove(struct ec *e)
{
	if (e->all_next)
		e->all_next->all_prev = e->all_prev;
	if (e->all_prev)
		e->all_prev->all_next = e->all_next;
	else
		ec_list = e->all_next;
}

/* What thread and VCpu configuration have in common, looked up. */
struct home {
	uint32_t space, table, frame;
};

static status_t get_space(const struct ec *self, uint64_t sel, uint8_t kind, uint32_t *slot)
{
	status_t st = cap_get(self, sel, CAP_PAGETABLE, RIGHT_CONTROL, slot);

	if (st != CAIRN_OK)
		return st;
	if (slots[*slot].pt_kind != kind || slots[*slot].pt_level != 4)
		return CAIRN_ERR_TYPE;
	return hal_page_byte(slots[*slot].base) & PAGE_POISONED ? CAIRN_ERR_BUSY : CAIRN_OK;
}

/* Is the page somebody's buffer already, through whatever capability? The kernel has one translation for it. */
static int page_bound(uint64_t base)
{
	const struct ec *e;

	for (e = ec_list; e; e = e->all_next) /* bounded by the number of execution contexts */
		if (e->buffer_slot != SLOT_NIL && slots[e->buffer_slot].base == base)
			return 1;
	return 0;
}

static status_t get_home(const struct ec *self, uint64_t space, uint64_t table, uint64_t frame, uint64_t cpu, struct home *h)
{
	status_t st = get_space(self, space, PT_HOST, &h->space);

	if (st == CAIRN_OK)
		st = cap_get(self, table, CAP_CAPTABLE, 0, &h->table);
	if (st == CAIRN_OK)
		st = cap_get(self, frame, CAP_FRAME, RIGHT_READ | RIGHT_WRITE, &h->frame);
	if (st != CAIRN_OK)
		return st;
	if (slots[h->frame].size != PAGE_SIZE_4K || slots[h->frame].device)
		return CAIRN_ERR_ARG;
	if (page_bound(slots[h->frame].base) || (hal_page_byte(slots[h->frame].base) & PAGE_POISONED))
		return CAIRN_ERR_BUSY;
	return cpu == hal_cpu()->index ? CAIRN_OK : CAIRN_ERR_CPU;
}

static void set_home(struct ec *e, const struct home *h, uint32_t object, uint8_t kind)
{
	e->kind = kind;
	e->phys = slots[object].base;
	e->cpu = hal_cpu()->index;
	e->space_slot = h->space;
	e->label = slots[h->space].label;
	e->cr3 = slots[h->space].base;
	e->table_first = slots[h->table].first;
	e->table_count = slots[h->table].count;
	e->buffer_slot = h->frame;
	slots[h->frame].bound = 1;
	hal_window_map(slots[h->frame].base);
	e->root = e->leaf = e;
	e->deadline.owner = e->replenish.owner = e;
	e->deadline.kind = TIMER_DEADLINE;
	e->replenish.kind = TIMER_REPLENISH;
	list_insert(e);
}

static uint64_t ticks(uint64_t us)
{
	return us * hal_tsc_khz / 1000;
}

#define TIME_MAX_US 3600000000ull

static status_t check_time(uint64_t priority, uint64_t budget, uint64_t period)
{
	if (priority >= PRIORITIES || budget > TIME_MAX_US || period > TIME_MAX_US ||
	    (budget && (budget > period || budget < 100)))
		return CAIRN_ERR_ARG;
	return CAIRN_OK;
}

static void set_time(struct ec *e, uint64_t priority, uint64_t budget, uint64_t period)
{
	chain_update(e); /* suspended or idle: not queued */
	e->priority = e->effective = (uint32_t)priority;
	e->budget = e->left = ticks(budget);
	e->period = ticks(period);
	e->slice = ticks(SLICE_US);
	e->period_start = hal_now();
	e->handler = !priority;
	e->depth = 0; /* a former handler keeps none of its last caller's */
}

static status_t check_regs(const struct thread_config *c)
{
	return c->rip < USER_END && c->rsp < USER_END && c->fs_base < USER_END ? CAIRN_OK : CAIRN_ERR_ARG;
}

static void set_regs(struct ec *e, const struct thread_config *c)
{
	uint32_t i;

	for (i = 0; i < GPR_COUNT; i++)
		e->gpr[i] = 0;
	e->rip = e->entry_rip = c->rip;
	e->gpr[GPR_RSP] = e->entry_rsp = c->rsp;
	e->gpr[GPR_RDI] = c->arg;
	e->fs_base = c->fs_base;
	e->rflags = RFLAGS_USER;
	e->mode = MODE_SYSRET;
	e->fpu_fresh = 1;
}

/* May the registers and times of `e` change now? */
static int quiet(const struct ec *e)
{
	if (e->status == EC_IDLE || e->status == EC_STOPPED)
		return 1;
	return e->status == EC_READY && e->suspended && e->root == e && e->leaf == e;
}

status_t thread_configure(struct ec *self, uint32_t slot, uint64_t mask)
{
	struct ec *e = hal_window(slots[slot].base);
	struct thread_config c;
	struct home h = {0};
	status_t st = CAIRN_OK;

	if (!mask || (mask & ~(uint64_t)(THREAD_SPACE | THREAD_REGS | THREAD_UPCALLS | THREAD_TIME)))
		return CAIRN_ERR_ARG;
	if (hal_copy(self->buffer->words, (uint64_t *)&c, sizeof(c) / 8))
		return CAIRN_ERR_ARG;
	if (((mask & THREAD_SPACE) != 0) != (e->status == EC_NEW))
		return CAIRN_ERR_STATE;
	if (!(mask & THREAD_SPACE) && e->space_slot == SLOT_NIL)
		return CAIRN_ERR_STATE; /* its space or buffer is gone */
	if (mask & THREAD_SPACE)
		st = get_home(self, c.space, c.captable, c.buffer, c.cpu, &h);
	else if (mask != THREAD_UPCALLS && !quiet(e)) /* a running thread may register its own entries */
		st = CAIRN_ERR_STATE;
	if (st == CAIRN_OK && (mask & THREAD_REGS))
		st = check_regs(&c);
	if (st == CAIRN_OK && (mask & THREAD_UPCALLS) && (c.syscall_entry >= USER_END || c.fault_entry >= USER_END))
		st = CAIRN_ERR_ARG;
	if (st == CAIRN_OK && (mask & THREAD_TIME))
		st = check_time(c.priority, c.budget_us, c.period_us);
	if (st != CAIRN_OK)
		return st;

	if (mask & THREAD_SPACE) {
		set_home(e, &h, slot, EC_THREAD);
		e->buffer = hal_window(slots[h.frame].base);
		e->supervisor = c.supervisor < SLOT_COUNT ? (uint32_t)c.supervisor : SLOT_COUNT;
		e->handler = 1;
		e->status = EC_IDLE;
	}
	if (mask & THREAD_REGS)
		set_regs(e, &c);
	if (mask & THREAD_UPCALLS) {
		e->syscall_entry = c.syscall_entry;
		e->fault_entry = c.fault_entry;
	}
	if (mask & THREAD_TIME)
		set_time(e, c.priority, c.budget_us, c.period_us);
	if (mask & (THREAD_TIME | THREAD_REGS)) {
		e->status = e->handler ? EC_IDLE : EC_READY;
		e->suspended = !e->handler;
	}
	return CAIRN_OK;
}

status_t vcpu_configure(struct ec *self, uint32_t slot)
{
	struct ec *v = hal_window(slots[slot].base);
	struct vcpu_config c;
	struct home h = {0};
	uint32_t guest;
	status_t st;

	if (v->status != EC_NEW)
		return CAIRN_ERR_STATE;
	if (hal_copy(self->buffer->words, (uint64_t *)&c, sizeof(c) / 8))
		return CAIRN_ERR_ARG;
	st = get_home(self, c.home, c.captable, c.state, c.cpu, &h);
	if (st == CAIRN_OK)
		st = get_space(self, c.guest_root, PT_GUEST, &guest);
	if (st == CAIRN_OK && c.exit_base >= SLOT_COUNT)
		st = CAIRN_ERR_ARG;
	if (st == CAIRN_OK)
		st = check_time(c.priority, c.budget_us, c.period_us);
	if (st == CAIRN_OK && !c.priority)
		st = CAIRN_ERR_ARG;
	if (st != CAIRN_OK)
		return st;

	set_home(v, &h, slot, EC_VCPU);
	v->label = slots[guest].label;
	v->guest_slot = guest;
	v->state = hal_window(slots[h.frame].base);
	v->exit_base = c.exit_base;
	v->mode = MODE_GUEST;
	v->thawed = hal_cpu()->verdict.next ? 0 : hal_cpu()->epoch; /* R-BAS-2 */
	set_time(v, c.priority, c.budget_us, c.period_us);
	v->handler = 0;
	v->suspended = 1;
	v->status = EC_READY;
	hal_vcpu_init(v);
	hal_vcpu_root(v, slots[guest].base);
	return CAIRN_OK;
}

status_t ec_resume(struct ec *e)
{
	if (e->status == EC_NEW || e->status == EC_STOPPED)
		return CAIRN_ERR_STATE;
	e->suspended = 0;
	chain_update(e->root);
	return CAIRN_OK;
}

status_t ec_suspend(struct ec *e)
{
	if (e->status == EC_NEW || e->status == EC_STOPPED)
		return CAIRN_ERR_STATE;
	e->suspended = 1;
	chain_update(e->root);
	if (hal_cpu()->current == e)
		hal_cpu()->resched = 1;
	return CAIRN_OK;
}

void object_users_stop(uint32_t s)
{
	struct ec *e;

	/* Bounded by the number of execution contexts. */
	for (e = ec_list; e; e = e->all_next) {
		if (e->space_slot != s && e->guest_slot != s && e->buffer_slot != s)
			continue;
		ec_stop(e);
		if (e->buffer_slot == s) {
			hal_window_unmap(slots[s].base);
			slots[s].bound = 0;
			e->buffer_slot = SLOT_NIL;
			e->buffer = NULL;
			e->state = NULL;
		}
		e->space_slot = SLOT_NIL; /* never to be revived */
	}
}

static uint32_t *binder(uint32_t s)
{
	static uint32_t mc, lines[256]; /* more than any I/O APIC has (hal_irq_valid) */

	return slots[s].type == CAP_IRQ ? &lines[slots[s].base & 0xff] : &mc;
}

void binding_made(uint32_t s)
{
	uint32_t *b = binder(s);

	slots[*b].bound = 0; /* slot 0, if there was none */
	slots[s].bound = 1;
	*b = s;
}

void binding_gone(uint32_t s)
{
	*binder(s) = SLOT_NIL;
	if (slots[s].type == CAP_IRQ)
		hal_irq_unbind(slots[s].base);
	else
		mca_unbind();
}

static void ec_destroy(struct ec *e)
{
	struct cpu *cpu = hal_cpu();

	hal_irq_forget(e); /* both take a Thread that is not configured */
	mca_forget(e);
	if (e->status == EC_NEW)
		return;
	ec_stop(e);
	list_remove(e);
	if (e->buffer_slot != SLOT_NIL) {
		slots[e->buffer_slot].bound = 0;
		hal_window_unmap(slots[e->buffer_slot].base);
	}
	if (cpu->fpu_owner == e)
		cpu->fpu_owner = cpu->nobody;
	if (cpu->last_guest == e)
		cpu->last_guest = NULL;
	if (cpu->sc == e)
		cpu->sc = NULL;
	if (cpu->current == e)
		cpu->current = NULL;
	cpu->resched = 1;
}

static void memory_release(const struct slot *s)
{
	uint64_t a;

	for (a = s->base; a < s->base + s->size; a += PAGE_SIZE_4K) {
		if (s->type != CAP_CAPTABLE)
			hal_window_unmap(a);
		hal_page_set(a, PAGE_USER | (hal_page_byte(a) & PAGE_POISONED));
	}
}

static void table_destroy(const struct slot *s)
{
	uint32_t p, first = s->first / SLOTS_PER_PAGE;
	struct ec *e;

	for (e = ec_list; e; e = e->all_next)
		if (e->table_first == s->first)
			e->table_count = 0;
	for (p = first; p < first + s->count / SLOTS_PER_PAGE; p++) {
		slot_page_set(p, 0);
		hal_slots_unmap(p);
	}
}

static void pagetable_destroy(uint32_t slot)
{
	struct slot *s = &slots[slot];

	if (s->deposit)
		frame_unmap(s->deposit);
	pt_unlink(slot);
	if (s->pt_level == 4) {
		object_users_stop(slot);
		hal_space_leave(s->base);
	}
	hal_flush(s->pt_kind);
}

void object_destroy(uint32_t slot)
{
	struct slot *s = &slots[slot];

	switch (s->type) {
	case CAP_THREAD:
	case CAP_VCPU:
		ec_destroy(hal_window(s->base));
		break;
	case CAP_CAPTABLE:
		table_destroy(s);
		break;
	case CAP_PAGETABLE:
		pagetable_destroy(slot);
		break;
	default:
		return; /* plain memory */
	}
	memory_release(s);
}
