/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls: decode (check everything), then perform. See docs/manual/hypercalls.md. */
#include <core/caps.h>
#include <core/smp.h>
#include <core/syscall.h>
#include <debug/hooks.h>
#include <cairn/hypercall_numbers.h>
#include <hal/hal.h>

#define ARG1(e) ((e)->gpr[GPR_RDI])
#define ARG2(e) ((e)->gpr[GPR_RSI])
#define ARG3(e) ((e)->gpr[GPR_RDX])
#define ARG4(e) ((e)->gpr[GPR_R10])
#define ARG5(e) ((e)->gpr[GPR_R8])
#define ARG6(e) ((e)->gpr[GPR_R9])

#define CAP_ANY CAP_FREE /* for cap_get */

status_t cap_get(const struct ec *e, uint64_t sel, uint8_t type, uint32_t rights, uint32_t *slot)
{
	*slot = (uint32_t)hal_select(e->table_first, e->table_count, sel);
	if (!slot_live(*slot))
		return CAIRN_ERR_CAP;
	if (type != CAP_ANY && slots[*slot].type != type)
		return CAIRN_ERR_TYPE;
	if (rights & ~slot_rights(*slot))
		return CAIRN_ERR_RIGHTS;
	/* A copy of a root stands for the original, which alone counts its entries. At most SLOT_MAX_DEPTH steps. */
	while (type == CAP_PAGETABLE && !slots[*slot].original) /* bound: SLOT_MAX_DEPTH */
		*slot = slots[*slot].parent;
	hal_speculation_barrier();
	return CAIRN_OK;
}

/* Slot `index` of CapTable `table`; SLOT_NIL: it has no such one. */
static uint32_t place(uint32_t table, uint64_t index)
{
	return (uint32_t)hal_select(slots[table].first, slots[table].count, index);
}

/* The empty slot that (table selector, index) names, with room in the tree below `parent`. */
static status_t empty_place(const struct ec *e, uint64_t table, uint64_t index, uint32_t parent, uint32_t *slot)
{
	uint32_t t;
	status_t st = cap_get(e, table, CAP_CAPTABLE, RIGHT_WRITE, &t);

	if (st != CAIRN_OK)
		return st;
	*slot = place(t, index);
	if (*slot == SLOT_NIL)
		return CAIRN_ERR_ARG;
	if (slot_live(*slot))
		return CAIRN_ERR_BUSY;
	return slots[parent].depth < SLOT_MAX_DEPTH ? CAIRN_OK : CAIRN_ERR_ARG;
}

static struct ec *ec_of(uint32_t slot)
{
	return hal_window(slots[slot].base);
}

static int sys_identify(struct ec *e)
{
	e->gpr[GPR_RDI] = CAIRN_INTERFACE_VERSION;
	e->gpr[GPR_RAX] = CAIRN_OK;
	return 1;
}

/*
 * Hypercalls under the lock. `s` is the slot of the first argument's capability, which is of the type and has the rights that
 * perform_locked names; each function checks the rest, and then performs.
 */
static status_t sys_signal(struct ec *e, uint32_t s)
{
	(void)e;
	return ask(ec_of(s)->cpu, REQ_NOTIFY, ec_of(s), slots[s].badge);
}

/* Without the lock: to a Thread of this CPU. 0: it is not for here, or wrong. */
static int signal_here(struct ec *e)
{
	const struct slot *s = &slots[hal_select(e->table_first, e->table_count, ARG1(e))];
	struct ec *t;

	if (!slot_is(s, CAP_THREAD) || !s->r_signal)
		return 0;
	hal_speculation_barrier();
	t = hal_window(s->base);
	if (t->status == EC_NEW) /* it may yet become another CPU's */
		return 0;
	hal_order();
	if (t->cpu != hal_cpu()->index)
		return 0;
	notify(t, s->badge);
	e->gpr[GPR_RAX] = CAIRN_OK;
	return 1;
}

static int sys_wait(struct ec *e)
{
	uint64_t deadline = ARG1(e);
	struct cpu *cpu = hal_cpu();

	if (e->notification) {
		e->gpr[GPR_RAX] = CAIRN_OK;
		e->gpr[GPR_RDI] = e->notification;
		e->notification = 0;
		return 1;
	}
	e->gpr[GPR_RAX] = CAIRN_ERR_TIMEOUT;
	e->gpr[GPR_RDI] = 0;
	if (deadline && deadline <= hal_now())
		return 1;
	e->status = EC_WAIT;
	if (deadline)
		timer_arm(cpu, &e->deadline, deadline);
	chain_update(e->root);
	cpu->resched = 1;
	return 1;
}

static status_t sys_retype(struct ec *e, uint32_t u)
{
	uint32_t dst;
	status_t st = empty_place(e, ARG4(e), ARG5(e), u, &dst);

	return st == CAIRN_OK ? cap_retype(u, ARG2(e), ARG3(e), dst, ARG6(e)) : st;
}

static status_t sys_copy(struct ec *e, uint32_t src)
{
	uint32_t dst;
	status_t st = empty_place(e, ARG2(e), ARG3(e), src, &dst);

	return st == CAIRN_OK ? cap_copy(src, dst, ARG4(e), ARG5(e)) : st;
}

static status_t sys_move(struct ec *e, uint32_t src)
{
	uint32_t dst;
	status_t st = empty_place(e, ARG2(e), ARG3(e), slots[src].parent, &dst);

	return st == CAIRN_OK ? cap_move(src, dst) : st;
}

static status_t live_place(const struct ec *e, uint32_t table, uint32_t *s)
{
	*s = place(table, ARG2(e));
	if (*s == SLOT_NIL)
		return CAIRN_ERR_ARG;
	return slot_live(*s) ? CAIRN_OK : CAIRN_ERR_CAP;
}

static status_t sys_delete(struct ec *e, uint32_t table)
{
	uint32_t s;
	status_t st = live_place(e, table, &s);

	return st == CAIRN_OK ? cap_delete(s) : st;
}

static status_t sys_revoke(struct ec *e, uint32_t table)
{
	uint32_t s;
	status_t st = live_place(e, table, &s);

	return st == CAIRN_OK ? cap_revoke(s) : st;
}

static status_t sys_pagetable_link(struct ec *e, uint32_t parent)
{
	uint32_t child;
	status_t st = cap_get(e, ARG3(e), CAP_PAGETABLE, RIGHT_CONTROL, &child);

	return st == CAIRN_OK ? pt_link(parent, ARG2(e), child) : st;
}

static status_t sys_map(struct ec *e, uint32_t frame)
{
	uint32_t pt, deposit = SLOT_NIL;
	status_t st = cap_get(e, ARG2(e), CAP_PAGETABLE, RIGHT_CONTROL, &pt);

	if (st == CAIRN_OK && slots[frame].size == PAGE_SIZE_2M)
		st = cap_get(e, ARG5(e), CAP_PAGETABLE, RIGHT_CONTROL, &deposit);
	return st == CAIRN_OK ? frame_map(frame, pt, ARG3(e), ARG4(e), deposit) : st;
}

static status_t sys_unmap(struct ec *e, uint32_t frame)
{
	(void)e;
	if (!pt_hung(frame))
		return CAIRN_ERR_STATE;
	frame_unmap(frame);
	return CAIRN_OK;
}

static status_t sys_thread_configure(struct ec *e, uint32_t s)
{
	return thread_configure(e, s, ARG2(e));
}

/* resume and suspend take either a Thread or a VCpu. */
static status_t sys_resume_suspend(struct ec *e, uint32_t s)
{
	enum request what = e->gpr[GPR_RAX] == CAIRN_CALL_BASE + CAIRN_CALL_RESUME ? REQ_RESUME : REQ_SUSPEND;

	if (slots[s].type != CAP_THREAD && slots[s].type != CAP_VCPU)
		return CAIRN_ERR_TYPE;
	return slots[s].r_control ? ask(ec_of(s)->cpu, what, ec_of(s), 0) : CAIRN_ERR_RIGHTS;
}

static status_t sys_portal_create(struct ec *e, uint32_t t)
{
	uint32_t dst;
	status_t st = empty_place(e, ARG2(e), ARG3(e), t, &dst);

	if (st == CAIRN_OK && (ARG5(e) & ~(uint64_t)VCPU_MTD_ALL))
		st = CAIRN_ERR_ARG;
	if (st != CAIRN_OK)
		return st;
	slot_clear(dst);
	slots[dst].type = CAP_PORTAL;
	slots[dst].base = slots[t].base;
	slots[dst].size = slots[t].size;
	slots[dst].badge = ARG4(e);
	slots[dst].count = (uint32_t)ARG5(e);
	slot_set_rights(dst, &slots[t], RIGHT_SIGNAL | RIGHT_GRANT);
	slot_insert(dst, t);
	return CAIRN_OK;
}

static status_t sys_recall(struct ec *e, uint32_t s)
{
	(void)e;
	return ask(ec_of(s)->cpu, REQ_RECALL, ec_of(s), 0);
}

/* A configured Thread to tell of something: its CPU is known. */
static status_t get_listener(const struct ec *e, uint64_t sel, uint32_t *slot)
{
	status_t st = cap_get(e, sel, CAP_THREAD, RIGHT_SIGNAL, slot);

	return st == CAIRN_OK && ec_of(*slot)->status == EC_NEW ? CAIRN_ERR_STATE : st;
}

/* One line of this machine, not a range. */
static int is_line(uint32_t s)
{
	return slots[s].size == 1 && hal_irq_valid(slots[s].base);
}

static status_t sys_irq_bind(struct ec *e, uint32_t s)
{
	uint32_t t;
	status_t st = is_line(s) ? get_listener(e, ARG2(e), &t) : CAIRN_ERR_ARG;

	if (st == CAIRN_OK) {
		binding_made(s);
		hal_irq_bind(slots[s].base, ec_of(t), slots[t].badge);
	}
	return st;
}

static status_t sys_irq_ack(struct ec *e, uint32_t s)
{
	(void)e;
	if (!is_line(s))
		return CAIRN_ERR_ARG;
	hal_irq_unmask(slots[s].base);
	return CAIRN_OK;
}

static int port_allowed(const struct ec *e, uint32_t s)
{
	uint64_t port = ARG2(e), width = ARG3(e);

	return (width == 1 || width == 2 || width == 4) && port <= 0xffff && port >= slots[s].base &&
	       port + width <= slots[s].base + slots[s].size;
}

static status_t sys_port_in(struct ec *e, uint32_t s)
{
	if (!port_allowed(e, s))
		return CAIRN_ERR_ARG;
	e->gpr[GPR_RDI] = hal_port_in(ARG2(e), ARG3(e));
	return CAIRN_OK;
}

static status_t sys_port_out(struct ec *e, uint32_t s)
{
	if (!port_allowed(e, s))
		return CAIRN_ERR_ARG;
	hal_port_out(ARG2(e), ARG3(e), ARG4(e));
	return CAIRN_OK;
}

static status_t sys_serial(struct ec *e, uint32_t s)
{
	(void)e;
	if (slots[s].size != 8)
		return CAIRN_ERR_ARG;
	hal_serial(slots[s].base);
	return CAIRN_OK;
}

static int sys_set_fs(struct ec *e)
{
	struct cpu *cpu = hal_cpu();

	if (ARG1(e) >= USER_END) {
		e->gpr[GPR_RAX] = CAIRN_ERR_ARG;
		return 1;
	}
	e->fs_base = ARG1(e);
	e->gpr[GPR_RAX] = CAIRN_OK;
	hal_switch(cpu, e);
	return 1;
}

static status_t sys_mc_bind(struct ec *e, uint32_t mc)
{
	uint32_t t;
	status_t st = get_listener(e, ARG2(e), &t);

	if (st == CAIRN_OK) {
		binding_made(mc);
		mca_bind(ec_of(t), slots[t].badge);
	}
	return st;
}

static status_t sys_mc_harvest(struct ec *e, uint32_t mc)
{
	uint64_t count = 0, epoch = 0;
	status_t st = CAIRN_ERR_CPU;

	(void)mc;
	if (ARG2(e) < cpu_count)
		st = mca_harvest(e, (uint32_t)ARG2(e), ARG3(e), &count, &epoch);
	e->gpr[GPR_RDI] = count;
	e->gpr[GPR_RSI] = epoch;
	return st;
}

static status_t sys_mc_poison(struct ec *e, uint32_t mc)
{
	struct holder h = {0};
	uint64_t cursor = ARG3(e);

	(void)mc;
	if ((ARG2(e) & (PAGE_SIZE_4K - 1)) || !hal_page_known(ARG2(e)) || cursor >= SLOT_COUNT)
		return CAIRN_ERR_ARG;
	poison_step(ARG2(e), &cursor, &h);
	e->gpr[GPR_RDI] = cursor;
	e->gpr[GPR_RSI] = h.kind;
	e->gpr[GPR_RDX] = h.label;
	e->gpr[GPR_R10] = h.address;
	e->gpr[GPR_R8] = h.rights;
	return CAIRN_OK;
}

static status_t sys_mc_thaw(struct ec *e, uint32_t mc)
{
	uint32_t v;
	status_t st = cap_get(e, ARG2(e), CAP_VCPU, 0, &v);

	(void)mc;
	if (st == CAIRN_OK && ARG3(e) > mc_epoch)
		st = CAIRN_ERR_ARG;
	return st == CAIRN_OK ? ask(ec_of(v)->cpu, REQ_THAW, ec_of(v), ARG3(e)) : st;
}

#define APIC_ID_MAX 254u /* 255 means all of them */

static status_t sys_cpu_start(struct ec *e, uint32_t s)
{
	uint32_t i;

	(void)s;
	if (ARG2(e) > APIC_ID_MAX)
		return CAIRN_ERR_ARG;
	for (i = 0; i < cpu_count; i++)
		if (cpus[i]->apic_id == ARG2(e))
			return CAIRN_ERR_BUSY;
	if (cpu_count == CPU_MAX)
		return CAIRN_ERR_MEMORY;
	e->gpr[GPR_RDI] = cpu_count;
	return hal_cpu_start(cpu_count, (uint32_t)ARG2(e)) ? CAIRN_ERR_CPU : CAIRN_OK;
}

static status_t sys_debug_write(struct ec *e)
{
#ifdef CAIRN_DEBUG
	hal_debug_write(ARG1(e));
	return CAIRN_OK;
#else
	(void)e;
	return CAIRN_ERR_CALL;
#endif
}

/* Which call it is, is decided by direct branches: an indirect one could be led elsewhere by whoever trained its prediction.
 * What touches nothing but the caller and its CPU takes no lock; 0: this one is not for here. */
static int perform_here(struct ec *e, uint64_t n)
{
	if (n == CAIRN_CALL_SIGNAL)
		return signal_here(e);
	if (n == CAIRN_CALL_WAIT)
		return sys_wait(e);
	if (n == CAIRN_CALL_IDENTIFY)
		return sys_identify(e);
	return n == CAIRN_CALL_SET_FS && sys_set_fs(e);
}

#define PERFORM(name, function, type, rights)                                                                               \
	case CAIRN_CALL_##name:                                                                                             \
		st = cap_get(e, ARG1(e), type, rights, &s);                                                                 \
		return st == CAIRN_OK ? function(e, s) : st

static status_t perform_locked(struct ec *e, uint64_t n)
{
	uint32_t s = SLOT_NIL;
	status_t st;

	switch (n) {
		PERFORM(SIGNAL, sys_signal, CAP_THREAD, RIGHT_SIGNAL);
		PERFORM(RETYPE, sys_retype, CAP_UNTYPED, 0);
		PERFORM(COPY, sys_copy, CAP_ANY, 0);
		PERFORM(MOVE, sys_move, CAP_ANY, 0);
		PERFORM(DELETE, sys_delete, CAP_CAPTABLE, RIGHT_WRITE);
		PERFORM(REVOKE, sys_revoke, CAP_CAPTABLE, RIGHT_WRITE);
		PERFORM(PAGETABLE_LINK, sys_pagetable_link, CAP_PAGETABLE, RIGHT_CONTROL);
		PERFORM(MAP, sys_map, CAP_FRAME, 0);
		PERFORM(UNMAP, sys_unmap, CAP_FRAME, 0);
		PERFORM(THREAD_CONFIGURE, sys_thread_configure, CAP_THREAD, RIGHT_CONTROL);
		PERFORM(VCPU_CONFIGURE, vcpu_configure, CAP_VCPU, RIGHT_CONTROL);
		PERFORM(RESUME, sys_resume_suspend, CAP_ANY, 0);
		PERFORM(SUSPEND, sys_resume_suspend, CAP_ANY, 0);
		PERFORM(PORTAL_CREATE, sys_portal_create, CAP_THREAD, RIGHT_CONTROL);
		PERFORM(RECALL, sys_recall, CAP_VCPU, RIGHT_SIGNAL);
		PERFORM(IRQ_BIND, sys_irq_bind, CAP_IRQ, RIGHT_CONTROL);
		PERFORM(IRQ_ACK, sys_irq_ack, CAP_IRQ, RIGHT_CONTROL);
		PERFORM(PORT_IN, sys_port_in, CAP_IOPORTS, RIGHT_WRITE);
		PERFORM(PORT_OUT, sys_port_out, CAP_IOPORTS, RIGHT_WRITE);
		PERFORM(SERIAL, sys_serial, CAP_IOPORTS, RIGHT_CONTROL);
		PERFORM(MC_BIND, sys_mc_bind, CAP_MACHINECHECK, RIGHT_CONTROL);
		PERFORM(MC_HARVEST, sys_mc_harvest, CAP_MACHINECHECK, RIGHT_CONTROL);
		PERFORM(MC_POISON, sys_mc_poison, CAP_MACHINECHECK, RIGHT_CONTROL);
		PERFORM(MC_THAW, sys_mc_thaw, CAP_MACHINECHECK, RIGHT_CONTROL);
		PERFORM(CPU_START, sys_cpu_start, CAP_CPUS, RIGHT_CONTROL);
	case CAIRN_CALL_DEBUG_WRITE:
		return sys_debug_write(e);
	default: /* call and reply never come here: entry.S */
		return CAIRN_ERR_CALL;
	}
}

#define SYSCALL_LENGTH 2 /* bytes of the instruction */

static __attribute__((noinline)) void dispatch_locked(struct ec *e, uint64_t n)
{
	struct cpu *cpu = hal_cpu();
	status_t st;

	/* A request may change the caller while it waits: then it has not called yet, and does so when it runs again. */
	e->rip -= SYSCALL_LENGTH;
	cpu->disturbed = 0;
	lock_take();
	if (!cpu->disturbed) {
		e->rip += SYSCALL_LENGTH;
		st = debug_perform(perform_locked, e, n);
		if (cpu->current == e) /* it may have deleted itself */
			e->gpr[GPR_RAX] = st;
	}
	lock_drop();
}

void syscall_dispatch(struct ec *e)
{
	uint64_t n = e->gpr[GPR_RAX] - CAIRN_CALL_BASE;

	if (n >= CAIRN_CALL_COUNT)
		e->gpr[GPR_RAX] = CAIRN_ERR_CALL;
	else if (!perform_here(e, n))
		dispatch_locked(e, n);
}
