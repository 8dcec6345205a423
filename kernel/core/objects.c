/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads and VCpus: configuration, start and stop, and what goes when an object is destroyed. */
#include <core/caps.h>
#include <core/smp.h>
#include <hal/hal.h>

static void list_insert(struct ec **list, struct ec *e)
{
	e->all_next = *list;
	e->all_prev = NULL;
	if (*list)
		(*list)->all_prev = e;
	*list = e;
}

static void list_remove(struct ec **list, struct ec *e)
{
	if (e->all_next)
		e->all_next->all_prev = e->all_prev;
	if (e->all_prev)
		e->all_prev->all_next = e->all_next;
	else
		*list = e->all_next;
}

/* What thread and VCpu configuration have in common, looked up. */
struct home {
	uint32_t space, table, frame, cpu;
};

/* What one CPU has decoded and the CPU of the context performs. */
struct plan {
	struct home home;
	uint32_t object; /* slot */
	uint32_t guest;	 /* VCpu: slot of the root of its guest space */
	uint64_t mask;	 /* THREAD_*; 0: a VCpu */
	struct thread_config thread;
	struct vcpu_config vcpu;
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
	/* Bound through whatever capability: the kernel has one translation for it. */
	if (hal_page_byte(slots[h->frame].base) & (PAGE_BOUND | PAGE_POISONED))
		return CAIRN_ERR_BUSY;
	h->cpu = (uint32_t)cpu;
	return cpu < cpu_count ? CAIRN_OK : CAIRN_ERR_CPU;
}

/* The kernel's translation of a buffer or state page, and its end. */
static void buffer_bind(uint32_t frame)
{
	slots[frame].bound = 1;
	hal_page_set(slots[frame].base, PAGE_USER | PAGE_BOUND);
	hal_window_map(slots[frame].base);
}

static void buffer_unbind(uint32_t frame)
{
	slots[frame].bound = 0;
	hal_page_set(slots[frame].base, (uint8_t)(hal_page_byte(slots[frame].base) & ~PAGE_BOUND));
	hal_window_unmap(slots[frame].base);
	ask_all(REQ_FLUSH, PT_HOST);
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
	e->root = e->leaf = e;
	e->deadline.owner = e->replenish.owner = e;
	e->deadline.kind = TIMER_DEADLINE;
	e->replenish.kind = TIMER_REPLENISH;
	list_insert(&hal_cpu()->list, e);
}

#define TIME_MAX_US 3600000000ull

static status_t check_time(const struct ec *self, uint64_t priority, uint64_t budget, uint64_t period)
{
	if (priority >= PRIORITIES || budget > TIME_MAX_US || period > TIME_MAX_US ||
	    (budget && (budget > period || budget < 100)))
		return CAIRN_ERR_ARG;
	return priority <= self->ceiling ? CAIRN_OK : CAIRN_ERR_RIGHTS;
}

static void set_time(struct ec *e, uint64_t priority, uint64_t budget, uint64_t period)
{
	chain_update(e); /* suspended or idle: not queued */
	e->priority = e->effective = (uint32_t)priority;
	e->budget = e->left = hal_ticks(budget);
	e->period = hal_ticks(period);
	e->slice = hal_ticks(SLICE_US);
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
	return e->status == EC_READY && e->suspended && !e->orphan && e->root == e && e->leaf == e;
}

static void configure_thread(struct ec *e, const struct plan *p)
{
	const struct thread_config *c = &p->thread;

	if (p->mask & THREAD_SPACE) {
		set_home(e, &p->home, p->object, EC_THREAD);
		e->buffer = hal_window(slots[p->home.frame].base);
		e->supervisor = c->supervisor < SLOT_COUNT ? (uint32_t)c->supervisor : SLOT_COUNT;
		e->ceiling = (uint32_t)c->ceiling;
		e->handler = 1;
		hal_order(); /* its CPU is known: others may look at it from here on */
		e->status = EC_IDLE;
	}
	if (p->mask & THREAD_REGS)
		set_regs(e, c);
	if (p->mask & THREAD_UPCALLS) {
		e->syscall_entry = c->syscall_entry;
		e->fault_entry = c->fault_entry;
	}
	if (p->mask & THREAD_TIME)
		set_time(e, c->priority, c->budget_us, c->period_us);
	if (p->mask & (THREAD_TIME | THREAD_REGS)) {
		e->status = e->handler ? EC_IDLE : EC_READY;
		e->suspended = !e->handler;
	}
}

static void configure_vcpu(struct ec *v, const struct plan *p)
{
	const struct vcpu_config *c = &p->vcpu;

	set_home(v, &p->home, p->object, EC_VCPU);
	v->label = slots[p->guest].label;
	v->guest_slot = p->guest;
	v->state = hal_window(slots[p->home.frame].base);
	v->exit_base = c->exit_base;
	v->mode = MODE_GUEST;
	v->thawed = mca_decided; /* R-BAS-2: what nobody has decided freezes it, too */
	set_time(v, c->priority, c->budget_us, c->period_us);
	v->handler = 0;
	v->suspended = 1;
	v->status = EC_READY;
	hal_vcpu_init(v, slots[p->guest].base);
}

status_t configure_here(struct ec *e, uint64_t plan)
{
	const struct plan *p = (const struct plan *)plan;

	if (!p->mask) {
		configure_vcpu(e, p);
		return CAIRN_OK;
	}
	/* A running thread may register its own entries. */
	if (!(p->mask & THREAD_SPACE) && p->mask != THREAD_UPCALLS && !quiet(e))
		return CAIRN_ERR_STATE;
	if (p->mask != THREAD_UPCALLS)
		ec_disturb(e);
	configure_thread(e, p);
	return CAIRN_OK;
}

status_t thread_configure(struct ec *self, uint32_t slot, uint64_t mask)
{
	struct ec *e = hal_window(slots[slot].base);
	struct plan p = {.object = slot, .mask = mask};
	struct thread_config *c = &p.thread;
	status_t st = CAIRN_OK;

	if (!mask || (mask & ~(uint64_t)(THREAD_SPACE | THREAD_REGS | THREAD_UPCALLS | THREAD_TIME)))
		return CAIRN_ERR_ARG;
	if (hal_copy(self->buffer->words, (uint64_t *)c, sizeof(*c) / 8))
		return CAIRN_ERR_ARG;
	if (((mask & THREAD_SPACE) != 0) != (e->status == EC_NEW))
		return CAIRN_ERR_STATE;
	if (!(mask & THREAD_SPACE) && e->space_slot == SLOT_NIL)
		return CAIRN_ERR_STATE; /* its space or buffer is gone */
	if (mask & THREAD_SPACE)
		st = get_home(self, c->space, c->captable, c->buffer, c->cpu, &p.home);
	if (st == CAIRN_OK && (mask & THREAD_SPACE) && c->ceiling > self->ceiling)
		st = CAIRN_ERR_RIGHTS;
	if (st == CAIRN_OK && (mask & THREAD_REGS))
		st = check_regs(c);
	if (st == CAIRN_OK && (mask & THREAD_UPCALLS) && (c->syscall_entry >= USER_END || c->fault_entry >= USER_END))
		st = CAIRN_ERR_ARG;
	if (st == CAIRN_OK && (mask & THREAD_TIME))
		st = check_time(self, c->priority, c->budget_us, c->period_us);
	if (st != CAIRN_OK)
		return st;
	if (mask & THREAD_SPACE)
		buffer_bind(p.home.frame);
	return ask(mask & THREAD_SPACE ? p.home.cpu : e->cpu, REQ_CONFIGURE, e, (uint64_t)&p);
}

status_t vcpu_configure(struct ec *self, uint32_t slot)
{
	struct ec *v = hal_window(slots[slot].base);
	struct plan p = {.object = slot};
	struct vcpu_config *c = &p.vcpu;
	status_t st;

	if (v->status != EC_NEW)
		return CAIRN_ERR_STATE;
	if (hal_copy(self->buffer->words, (uint64_t *)c, sizeof(*c) / 8))
		return CAIRN_ERR_ARG;
	st = get_home(self, c->home, c->captable, c->state, c->cpu, &p.home);
	if (st == CAIRN_OK)
		st = get_space(self, c->guest_root, PT_GUEST, &p.guest);
	if (st == CAIRN_OK && c->exit_base >= SLOT_COUNT)
		st = CAIRN_ERR_ARG;
	if (st == CAIRN_OK)
		st = check_time(self, c->priority, c->budget_us, c->period_us);
	if (st == CAIRN_OK && !c->priority)
		st = CAIRN_ERR_ARG;
	if (st != CAIRN_OK)
		return st;
	buffer_bind(p.home.frame);
	return ask(p.home.cpu, REQ_CONFIGURE, v, (uint64_t)&p);
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
	ec_disturb(e);
	return CAIRN_OK;
}

void users_stop_here(uint32_t s)
{
	struct ec *e;

	/* Bounded by the number of execution contexts. */
	for (e = hal_cpu()->list; e; e = e->all_next) {
		if (e->space_slot != s && e->guest_slot != s && e->buffer_slot != s)
			continue;
		ec_stop(e);
		if (e->buffer_slot == s) {
			e->buffer_slot = SLOT_NIL;
			e->buffer = NULL;
			e->state = NULL;
		}
		e->space_slot = SLOT_NIL; /* never to be revived */
	}
}

void object_users_stop(uint32_t s)
{
	ask_all(REQ_USERS_STOP, s);
	if (slots[s].type == CAP_FRAME && slots[s].bound)
		buffer_unbind(s);
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

void destroy_here(struct ec *e)
{
	struct cpu *cpu = hal_cpu();

	ec_stop(e);
	list_remove(&cpu->list, e);
	if (cpu->mc_context == e)
		cpu->mc_context = NULL;
	if (cpu->fpu_owner == e)
		cpu->fpu_owner = cpu->nobody;
	if (e->kind == EC_VCPU)
		hal_vcpu_forget(e);
	if (cpu->last_guest == e)
		cpu->last_guest = NULL;
	if (cpu->sc == e)
		cpu->sc = NULL;
	if (cpu->current == e)
		cpu->current = NULL;
	cpu->resched = 1;
}

static void ec_destroy(struct ec *e)
{
	hal_irq_forget(e);
	mca_forget(e);
	if (e->status == EC_NEW)
		return;
	ask(e->cpu, REQ_DESTROY, e, 0);
	if (e->buffer_slot != SLOT_NIL)
		buffer_unbind(e->buffer_slot);
}

static void memory_release(const struct slot *s)
{
	uint64_t a;

	for (a = s->base; a < s->base + s->size; a += PAGE_SIZE_4K) {
		if (s->type != CAP_CAPTABLE)
			hal_window_unmap(a);
		hal_page_set(a, PAGE_USER | (hal_page_byte(a) & PAGE_POISONED));
	}
	ask_all(REQ_FLUSH, PT_HOST);
}

void table_gone_here(uint32_t first)
{
	struct ec *e;

	for (e = hal_cpu()->list; e; e = e->all_next) {
		if (e->table_first != first)
			continue;
		e->table_count = 0;
	}
}

static void table_destroy(const struct slot *s)
{
	uint32_t p, first = s->first / SLOTS_PER_PAGE;

	ask_all(REQ_TABLE_GONE, s->first);
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
		ask_all(REQ_LEAVE, s->base);
	}
	ask_all(REQ_FLUSH, s->pt_kind);
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
