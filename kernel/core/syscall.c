/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls: decode (check everything), then perform. See docs/manual/hypercalls.md. */
#include <core/caps.h>
#include <core/debug.h>
#include <core/smp.h>
#include <core/syscall.h>
#include <cairn/hypercall_numbers.h>
#include <hal/hal.h>

#define ARG1(e) ((e)->gpr[GPR_RDI])
#define ARG2(e) ((e)->gpr[GPR_RSI])
#define ARG3(e) ((e)->gpr[GPR_RDX])
#define ARG4(e) ((e)->gpr[GPR_R10])
#define ARG5(e) ((e)->gpr[GPR_R8])
#define ARG6(e) ((e)->gpr[GPR_R9])

status_t cap_any(const struct ec *e, uint64_t sel, uint32_t *slot)
{
	if (sel >= e->table_count || !slot_live(e->table_first + (uint32_t)sel))
		return CAIRN_ERR_CAP;
	*slot = e->table_first + (uint32_t)sel;
	return CAIRN_OK;
}

status_t cap_get(const struct ec *e, uint64_t sel, uint8_t type, uint32_t rights, uint32_t *slot)
{
	status_t st = cap_any(e, sel, slot);

	if (st != CAIRN_OK)
		return st;
	if (slots[*slot].type != type)
		return CAIRN_ERR_TYPE;
	if (rights & ~slot_rights(*slot))
		return CAIRN_ERR_RIGHTS;
	/* A copy of a root stands for the original, which alone counts its entries. At most SLOT_MAX_DEPTH steps. */
	while (type == CAP_PAGETABLE && !slots[*slot].original)
		*slot = slots[*slot].parent;
	return CAIRN_OK;
}

status_t cap_place(const struct ec *e, uint64_t table, uint64_t index, uint32_t *slot)
{
	uint32_t t;
	status_t st = cap_get(e, table, CAP_CAPTABLE, RIGHT_WRITE, &t);

	if (st != CAIRN_OK)
		return st;
	if (index >= slots[t].count)
		return CAIRN_ERR_ARG;
	*slot = slots[t].first + (uint32_t)index;
	return CAIRN_OK;
}

status_t cap_empty_place(const struct ec *e, uint64_t table, uint64_t index, uint32_t parent, uint32_t *slot)
{
	status_t st = cap_place(e, table, index, slot);

	if (st != CAIRN_OK)
		return st;
	if (slot_live(*slot))
		return CAIRN_ERR_BUSY;
	return slots[parent].depth < SLOT_MAX_DEPTH ? CAIRN_OK : CAIRN_ERR_ARG;
}

/* The Thread or VCpu object behind a capability. */
static status_t get_ec(const struct ec *e, uint64_t sel, uint8_t type, uint32_t rights, struct ec **out)
{
	uint32_t s;
	status_t st = cap_get(e, sel, type, rights, &s);

	if (st == CAIRN_OK)
		*out = hal_window(slots[s].base);
	return st;
}

static int sys_identify(struct ec *e)
{
	e->gpr[GPR_RDI] = CAIRN_INTERFACE_VERSION;
	e->gpr[GPR_RAX] = CAIRN_OK;
	return 1;
}

static status_t sys_signal(struct ec *e)
{
	uint32_t s;
	status_t st = cap_get(e, ARG1(e), CAP_THREAD, RIGHT_SIGNAL, &s);
	struct ec *t;

	if (st == CAIRN_OK) {
		t = hal_window(slots[s].base);
		st = ask(t->cpu, REQ_NOTIFY, t, slots[s].badge);
	}
	return st;
}

/* Without the lock: to a Thread of this CPU. 0: it is not for here, or wrong. */
static int signal_here(struct ec *e)
{
	uint64_t sel = ARG1(e);
	const struct slot *s;
	struct ec *t;
	uint8_t type, status;

	if (sel >= e->table_count)
		return 0;
	s = &slots[e->table_first + (uint32_t)sel];
	type = s->type;
	hal_order(); /* as in holds_portal (portal.c) */
	if (!s->live || type != CAP_THREAD || !s->r_signal)
		return 0;
	t = hal_window(s->base);
	status = t->status;
	hal_order(); /* one that is new may yet become another CPU's */
	if (status == EC_NEW || t->cpu != hal_cpu()->index)
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

static status_t sys_retype(struct ec *e)
{
	uint32_t u, dst;
	status_t st = cap_get(e, ARG1(e), CAP_UNTYPED, 0, &u);

	if (st == CAIRN_OK)
		st = cap_empty_place(e, ARG4(e), ARG5(e), u, &dst);
	return st == CAIRN_OK ? cap_retype(u, ARG2(e), ARG3(e), dst, ARG6(e)) : st;
}

static status_t sys_copy(struct ec *e)
{
	uint32_t src, dst;
	status_t st = cap_any(e, ARG1(e), &src);

	if (st == CAIRN_OK)
		st = cap_empty_place(e, ARG2(e), ARG3(e), src, &dst);
	return st == CAIRN_OK ? cap_copy(src, dst, ARG4(e), ARG5(e)) : st;
}

static status_t sys_move(struct ec *e)
{
	uint32_t src, dst;
	status_t st = cap_any(e, ARG1(e), &src);

	if (st == CAIRN_OK)
		st = cap_empty_place(e, ARG2(e), ARG3(e), slots[src].parent, &dst);
	return st == CAIRN_OK ? cap_move(src, dst) : st;
}

static status_t live_place(struct ec *e, uint32_t *s)
{
	status_t st = cap_place(e, ARG1(e), ARG2(e), s);

	return st == CAIRN_OK && !slot_live(*s) ? CAIRN_ERR_CAP : st;
}

static status_t sys_delete(struct ec *e)
{
	uint32_t s;
	status_t st = live_place(e, &s);

	return st == CAIRN_OK ? cap_delete(s) : st;
}

static status_t sys_revoke(struct ec *e)
{
	uint32_t s;
	status_t st = live_place(e, &s);

	return st == CAIRN_OK ? cap_revoke(s) : st;
}

static status_t sys_pagetable_link(struct ec *e)
{
	uint32_t parent, child;
	status_t st = cap_get(e, ARG1(e), CAP_PAGETABLE, RIGHT_CONTROL, &parent);

	if (st == CAIRN_OK)
		st = cap_get(e, ARG3(e), CAP_PAGETABLE, RIGHT_CONTROL, &child);
	return st == CAIRN_OK ? pt_link(parent, ARG2(e), child) : st;
}

static status_t sys_map(struct ec *e)
{
	uint32_t frame, pt, deposit = SLOT_NIL;
	status_t st = cap_get(e, ARG1(e), CAP_FRAME, 0, &frame);

	if (st == CAIRN_OK)
		st = cap_get(e, ARG2(e), CAP_PAGETABLE, RIGHT_CONTROL, &pt);
	if (st == CAIRN_OK && slots[frame].size == PAGE_SIZE_2M)
		st = cap_get(e, ARG5(e), CAP_PAGETABLE, RIGHT_CONTROL, &deposit);
	return st == CAIRN_OK ? frame_map(frame, pt, ARG3(e), ARG4(e), deposit) : st;
}

static status_t sys_unmap(struct ec *e)
{
	uint32_t frame;
	status_t st = cap_get(e, ARG1(e), CAP_FRAME, 0, &frame);

	if (st == CAIRN_OK && !pt_hung(frame))
		st = CAIRN_ERR_STATE;
	if (st == CAIRN_OK)
		frame_unmap(frame);
	return st;
}

static status_t sys_thread_configure(struct ec *e)
{
	uint32_t s;
	status_t st = cap_get(e, ARG1(e), CAP_THREAD, RIGHT_CONTROL, &s);

	return st == CAIRN_OK ? thread_configure(e, s, ARG2(e)) : st;
}

static status_t sys_vcpu_configure(struct ec *e)
{
	uint32_t s;
	status_t st = cap_get(e, ARG1(e), CAP_VCPU, RIGHT_CONTROL, &s);

	return st == CAIRN_OK ? vcpu_configure(e, s) : st;
}

/* resume and suspend take either a Thread or a VCpu. */
static status_t get_either(struct ec *e, struct ec **t)
{
	status_t st = get_ec(e, ARG1(e), CAP_THREAD, RIGHT_CONTROL, t);

	return st == CAIRN_ERR_TYPE ? get_ec(e, ARG1(e), CAP_VCPU, RIGHT_CONTROL, t) : st;
}

static status_t sys_resume(struct ec *e)
{
	struct ec *t;
	status_t st = get_either(e, &t);

	return st == CAIRN_OK ? ask(t->cpu, REQ_RESUME, t, 0) : st;
}

static status_t sys_suspend(struct ec *e)
{
	struct ec *t;
	status_t st = get_either(e, &t);

	return st == CAIRN_OK ? ask(t->cpu, REQ_SUSPEND, t, 0) : st;
}

static status_t sys_portal_create(struct ec *e)
{
	uint32_t t, dst;
	status_t st = cap_get(e, ARG1(e), CAP_THREAD, RIGHT_CONTROL, &t);

	if (st == CAIRN_OK)
		st = cap_empty_place(e, ARG2(e), ARG3(e), t, &dst);
	if (st == CAIRN_OK && (ARG5(e) & ~(uint64_t)VCPU_MTD_ALL))
		st = CAIRN_ERR_ARG;
	if (st != CAIRN_OK)
		return st;
	slots[dst] = (struct slot){0};
	slots[dst].type = CAP_PORTAL;
	slots[dst].base = slots[t].base;
	slots[dst].size = slots[t].size;
	slots[dst].badge = ARG4(e);
	slots[dst].count = (uint32_t)ARG5(e);
	slot_set_rights(dst, RIGHT_SIGNAL | RIGHT_GRANT);
	slot_insert(dst, t);
	return CAIRN_OK;
}

static status_t sys_recall(struct ec *e)
{
	struct ec *v;
	status_t st = get_ec(e, ARG1(e), CAP_VCPU, RIGHT_SIGNAL, &v);

	return st == CAIRN_OK ? ask(v->cpu, REQ_RECALL, v, 0) : st;
}

/* A configured Thread to tell of something: its CPU is known. */
static status_t get_listener(const struct ec *e, uint64_t sel, uint32_t *slot)
{
	status_t st = cap_get(e, sel, CAP_THREAD, RIGHT_SIGNAL, slot);

	if (st == CAIRN_OK && ((const struct ec *)hal_window(slots[*slot].base))->status == EC_NEW)
		st = CAIRN_ERR_STATE;
	return st;
}

static status_t get_irq(struct ec *e, uint32_t *slot, uint64_t *line)
{
	uint32_t s;
	status_t st = cap_get(e, ARG1(e), CAP_IRQ, RIGHT_CONTROL, &s);

	if (st != CAIRN_OK)
		return st;
	*slot = s;
	*line = slots[s].base;
	return slots[s].size == 1 && hal_irq_valid(*line) ? CAIRN_OK : CAIRN_ERR_ARG;
}

static status_t sys_irq_bind(struct ec *e)
{
	uint64_t line = 0;
	uint32_t t, s = 0;
	status_t st = get_irq(e, &s, &line);

	if (st == CAIRN_OK)
		st = get_listener(e, ARG2(e), &t);
	if (st == CAIRN_OK) {
		binding_made(s);
		hal_irq_bind(line, hal_window(slots[t].base), slots[t].badge);
	}
	return st;
}

static status_t sys_irq_ack(struct ec *e)
{
	uint64_t line = 0;
	uint32_t s = 0;
	status_t st = get_irq(e, &s, &line);

	if (st == CAIRN_OK)
		hal_irq_unmask(line);
	return st;
}

static status_t check_port(struct ec *e)
{
	uint64_t port = ARG2(e), width = ARG3(e);
	uint32_t s;
	status_t st = cap_get(e, ARG1(e), CAP_IOPORTS, RIGHT_WRITE, &s);

	if (st != CAIRN_OK)
		return st;
	if ((width != 1 && width != 2 && width != 4) || port < slots[s].base ||
	    port + width > slots[s].base + slots[s].size || port > 0xffff)
		return CAIRN_ERR_ARG;
	return CAIRN_OK;
}

static status_t sys_port_in(struct ec *e)
{
	status_t st = check_port(e);

	if (st == CAIRN_OK)
		e->gpr[GPR_RDI] = hal_port_in(ARG2(e), ARG3(e));
	return st;
}

static status_t sys_port_out(struct ec *e)
{
	status_t st = check_port(e);

	if (st == CAIRN_OK)
		hal_port_out(ARG2(e), ARG3(e), ARG4(e));
	return st;
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

static status_t sys_mc_bind(struct ec *e)
{
	uint32_t mc, t;
	status_t st = cap_get(e, ARG1(e), CAP_MACHINECHECK, RIGHT_CONTROL, &mc);

	if (st == CAIRN_OK)
		st = get_listener(e, ARG2(e), &t);
	if (st == CAIRN_OK) {
		binding_made(mc);
		mca_bind(hal_window(slots[t].base), slots[t].badge);
	}
	return st;
}

static status_t sys_mc_harvest(struct ec *e)
{
	uint64_t count = 0, epoch = 0;
	uint32_t mc;
	status_t st = cap_get(e, ARG1(e), CAP_MACHINECHECK, RIGHT_CONTROL, &mc);

	if (st == CAIRN_OK && ARG2(e) >= cpu_count)
		st = CAIRN_ERR_CPU;
	if (st == CAIRN_OK)
		st = mca_harvest(e, (uint32_t)ARG2(e), ARG3(e), &count, &epoch);
	e->gpr[GPR_RDI] = count;
	e->gpr[GPR_RSI] = epoch;
	return st;
}

static status_t sys_mc_poison(struct ec *e)
{
	struct holder h = {0};
	uint64_t cursor = ARG3(e);
	uint32_t mc;
	status_t st = cap_get(e, ARG1(e), CAP_MACHINECHECK, RIGHT_CONTROL, &mc);

	if (st == CAIRN_OK && ((ARG2(e) & (PAGE_SIZE_4K - 1)) || !hal_page_known(ARG2(e)) || cursor >= SLOT_COUNT))
		st = CAIRN_ERR_ARG;
	if (st != CAIRN_OK)
		return st;
	poison_step(ARG2(e), &cursor, &h);
	e->gpr[GPR_RDI] = cursor;
	e->gpr[GPR_RSI] = h.kind;
	e->gpr[GPR_RDX] = h.label;
	e->gpr[GPR_R10] = h.address;
	e->gpr[GPR_R8] = h.rights;
	return CAIRN_OK;
}

static status_t sys_mc_thaw(struct ec *e)
{
	struct ec *v;
	uint32_t mc;
	status_t st = cap_get(e, ARG1(e), CAP_MACHINECHECK, RIGHT_CONTROL, &mc);

	if (st == CAIRN_OK)
		st = get_ec(e, ARG2(e), CAP_VCPU, 0, &v);
	if (st == CAIRN_OK && ARG3(e) > mc_epoch)
		st = CAIRN_ERR_ARG;
	return st == CAIRN_OK ? ask(v->cpu, REQ_THAW, v, ARG3(e)) : st;
}

#define APIC_ID_MAX 254u /* 255 means all of them */

static status_t start_cpu(uint64_t apic_id)
{
	uint32_t i;

	if (apic_id > APIC_ID_MAX)
		return CAIRN_ERR_ARG;
	for (i = 0; i < cpu_count; i++)
		if (cpus[i]->apic_id == apic_id)
			return CAIRN_ERR_BUSY;
	if (cpu_count == CPU_MAX)
		return CAIRN_ERR_MEMORY;
	return hal_cpu_start(cpu_count, (uint32_t)apic_id) ? CAIRN_ERR_CPU : CAIRN_OK;
}

static status_t sys_cpu_start(struct ec *e)
{
	uint32_t s;
	status_t st = cap_get(e, ARG1(e), CAP_CPUS, RIGHT_CONTROL, &s);

	if (st == CAIRN_OK)
		st = start_cpu(ARG2(e));
	e->gpr[GPR_RDI] = st == CAIRN_OK ? cpu_count - 1 : 0;
	return st;
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

static status_t sys_debug_check(struct ec *e)
{
#ifdef CAIRN_DEBUG
	uint64_t result[3] = {0};
	status_t st = debug_check(ARG1(e), ARG2(e), result);

	e->gpr[GPR_RDI] = result[0];
	e->gpr[GPR_RSI] = result[1];
	e->gpr[GPR_RDX] = result[2];
	return st;
#else
	(void)e;
	return CAIRN_ERR_CALL;
#endif
}

static status_t sys_none(struct ec *e)
{
	(void)e;
	return CAIRN_ERR_CALL;
}

typedef status_t (*syscall_fn)(struct ec *e);

/* call and reply never come here: entry.S */
static const syscall_fn with_lock[CAIRN_CALL_COUNT] = {
	[CAIRN_CALL_CALL] = sys_none,
	[CAIRN_CALL_REPLY] = sys_none,
	[CAIRN_CALL_IDENTIFY] = sys_none,
	[CAIRN_CALL_WAIT] = sys_none,
	[CAIRN_CALL_SET_FS] = sys_none,
	[CAIRN_CALL_SIGNAL] = sys_signal,
	[CAIRN_CALL_RETYPE] = sys_retype,
	[CAIRN_CALL_COPY] = sys_copy,
	[CAIRN_CALL_MOVE] = sys_move,
	[CAIRN_CALL_DELETE] = sys_delete,
	[CAIRN_CALL_REVOKE] = sys_revoke,
	[CAIRN_CALL_PAGETABLE_LINK] = sys_pagetable_link,
	[CAIRN_CALL_MAP] = sys_map,
	[CAIRN_CALL_UNMAP] = sys_unmap,
	[CAIRN_CALL_THREAD_CONFIGURE] = sys_thread_configure,
	[CAIRN_CALL_VCPU_CONFIGURE] = sys_vcpu_configure,
	[CAIRN_CALL_RESUME] = sys_resume,
	[CAIRN_CALL_SUSPEND] = sys_suspend,
	[CAIRN_CALL_PORTAL_CREATE] = sys_portal_create,
	[CAIRN_CALL_RECALL] = sys_recall,
	[CAIRN_CALL_IRQ_BIND] = sys_irq_bind,
	[CAIRN_CALL_IRQ_ACK] = sys_irq_ack,
	[CAIRN_CALL_PORT_IN] = sys_port_in,
	[CAIRN_CALL_PORT_OUT] = sys_port_out,
	[CAIRN_CALL_MC_BIND] = sys_mc_bind,
	[CAIRN_CALL_MC_HARVEST] = sys_mc_harvest,
	[CAIRN_CALL_MC_POISON] = sys_mc_poison,
	[CAIRN_CALL_MC_THAW] = sys_mc_thaw,
	[CAIRN_CALL_DEBUG_WRITE] = sys_debug_write,
	[CAIRN_CALL_CPU_START] = sys_cpu_start,
	[CAIRN_CALL_DEBUG_CHECK] = sys_debug_check,
};

/* What touches nothing but the caller and its CPU takes no lock; 0: this one is not for here. */
static int (*const without_lock[CAIRN_CALL_COUNT])(struct ec *e) = {
	[CAIRN_CALL_IDENTIFY] = sys_identify,
	[CAIRN_CALL_SIGNAL] = signal_here,
	[CAIRN_CALL_WAIT] = sys_wait,
	[CAIRN_CALL_SET_FS] = sys_set_fs,
};

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
		st = debug_perform(with_lock[n], e);
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
	else if (!without_lock[n] || !without_lock[n](e))
		dispatch_locked(e, n);
}
