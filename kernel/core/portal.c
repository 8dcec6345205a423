/* SPDX-License-Identifier: BSD-2-Clause */
/* Portals: a message enters a handler thread on the sender's time; the reply ends it. CPU-local, no lock. */
#include <core/caps.h>
#include <hal/hal.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* Words 1-4 and their number; words 5.. are in a buffer. */
struct words {
	uint64_t w1, w2, w3, w4, count;
};

/* Words 5.. of a message come from the sender's buffer; those of a fault are kept in the context itself. */
static __attribute__((noinline)) int copy_to_handler(struct ec *h, const struct ec *from, uint64_t count)
{
	const uint64_t *words = from->call_kind == CALL_MESSAGE ? from->buffer->words : from->msg;

	return hal_copy(words + 4, h->buffer->words + 4, count - 4);
}

/* Handler `h` (idle) takes the message of `from`, words 5.. are there already; the chain's time goes on with it. */
static ALWAYS_INLINE void handler_start(struct ec *h, struct ec *from, uint64_t badge, struct words m)
{
	struct ec *root = from->root;

	h->gpr[GPR_RDI] = badge;
	h->gpr[GPR_RSI] = m.w1;
	h->gpr[GPR_RDX] = m.w2;
	h->gpr[GPR_R10] = m.w3;
	h->gpr[GPR_R8] = m.w4;
	h->gpr[GPR_R9] = m.count;
	h->mode = MODE_HANDLER; /* entry.S: entry_rip, entry_rsp, all other registers 0 */
	h->caller = from;
	h->root = root;
	h->depth = (uint8_t)(from->depth + 1);
	root->leaf = h;
	h->status = EC_READY;
	from->partner = h;
	from->status = EC_CALL;
}

/* Puts `from` into the queue of `h`, behind its equals. Bounded by the number of execution contexts. */
static void queue_insert(struct ec *h, struct ec *from)
{
	struct ec **p = &h->queue_head;

	while (*p && (*p)->root->effective >= from->root->effective) /* bound: threads of this CPU */
		p = &(*p)->queue_next;
	from->queue_next = *p;
	*p = from;
}

static void queue_remove(struct ec *h, struct ec *from)
{
	struct ec **p;

	for (p = &h->queue_head; *p && *p != from; p = &(*p)->queue_next) /* bound: threads of this CPU */
		;
	if (*p)
		*p = from->queue_next;
}

/* What the chain of `root` should run at: its own, or the highest of who waits for a handler in it. */
static uint32_t owed(const struct ec *root)
{
	uint32_t p = root->priority, n;
	const struct ec *i;

	for (i = root->leaf, n = 0; i && n <= CALL_MAX_DEPTH; i = i->caller, n++) /* bound: CALL_MAX_DEPTH + 1 */
		if (i->queue_head && i->queue_head->root->effective > p)
			p = i->queue_head->root->effective;
	return p;
}

/*
 * The waiting callers of `h` have changed: its chain gets what they lend, and, where that chain waits itself, so does the
 * one it waits for, and so on. Each step goes to another chain; a ring of waiting chains ends it after CALL_MAX_DEPTH.
 */
static void lend(struct ec *h)
{
	uint32_t n;

	for (n = 0; n <= CALL_MAX_DEPTH; n++) {
		struct ec *root = h->root, *leaf = root->leaf;
		uint32_t p = owed(root);

		if (!root->priority || p == root->effective)
			return;
		chain_priority(root, p);
		if (leaf->status != EC_QUEUED)
			return;
		h = leaf->partner;
		queue_remove(h, leaf);
		queue_insert(h, leaf);
	}
}

/* `h` is busy: `from` waits for its turn, its words 1-4 and badge kept in itself. */
static __attribute__((noinline)) void queue_by_priority(struct ec *h, struct ec *from, uint64_t badge, const struct words *m)
{
	from->msg[0] = m->w1;
	from->msg[1] = m->w2;
	from->msg[2] = m->w3;
	from->msg[3] = m->w4;
	from->msg_count = m->count;
	from->queue_badge = badge;
	from->partner = h;
	from->status = EC_QUEUED;
	queue_insert(h, from);
	chain_update(from->root);
	lend(h);
	hal_cpu()->resched = 1;
}

/* The rest of portal_enter: handler `h` is not simply waiting, or there are more words than registers. */
static __attribute__((noinline)) status_t enter_slowly(struct ec *h, struct ec *from, uint64_t badge, struct words m)
{
	hal_speculation_barrier(); /* `h` is a thread: from here on its pointers are followed */
	if (h->cpu != hal_cpu()->index || !h->handler || h->status == EC_STOPPED)
		return CAIRN_ERR_ABORTED;
	if (h->status != EC_IDLE) {
		queue_by_priority(h, from, badge, &m);
		return CAIRN_OK;
	}
	if (m.count > 4 && copy_to_handler(h, from, m.count))
		return CAIRN_ERR_ABORTED;
	handler_start(h, from, badge, m);
	if (!h->suspended) {
		hal_switch_call(hal_cpu(), from, h, from->kind == EC_VCPU);
		return CAIRN_OK;
	}
	h->fpu_fresh = 1;
	chain_update(h->root); /* it starts when it is resumed */
	return CAIRN_OK;
}

/* Enters the handler of portal capability `p` on behalf of `from`. On the path of every exit and every call. */
static ALWAYS_INLINE status_t portal_enter(struct cpu *cpu, struct ec *from, const struct slot *p, enum ec_call kind,
					   struct words m)
{
	struct ec *h = hal_window(p->base);
	uint8_t status = h->status;

	hal_order(); /* that of a new one is read before another CPU makes it its own */
	if (h->cpu != cpu->index)
		return CAIRN_ERR_CPU;
	if (from->depth >= CALL_MAX_DEPTH)
		return CAIRN_ERR_DEPTH;
	from->call_kind = (uint8_t)kind;
	if (status != EC_IDLE || h->suspended || (kind == CALL_MESSAGE && m.count > 4))
		return enter_slowly(h, from, p->badge, m);
	if (kind == CALL_FAULT && copy_to_handler(h, from, m.count))
		return CAIRN_ERR_ABORTED;
	handler_start(h, from, p->badge, m);
	hal_switch_call(cpu, from, h, kind == CALL_EXIT);
	return CAIRN_OK;
}

static void set_results(struct ec *e, status_t st, const struct words *m)
{
	e->gpr[GPR_RAX] = st;
	e->gpr[GPR_RDI] = m->count;
	e->gpr[GPR_RSI] = m->w1;
	e->gpr[GPR_RDX] = m->w2;
	e->gpr[GPR_R10] = m->w3;
	e->gpr[GPR_R8] = m->w4;
	e->gpr[GPR_R9] = 0;
}

static __attribute__((noinline)) void call_refused(struct ec *e, status_t st)
{
	struct words none = {0};

	set_results(e, st, &none);
}

static ALWAYS_INLINE status_t check_call(const struct slot *s, uint64_t count)
{
	if (!slot_is(s, CAP_PORTAL)) /* the type again: one may just have appeared */
		return s->live && s->type != CAP_PORTAL ? CAIRN_ERR_TYPE : CAIRN_ERR_CAP;
	if (!s->r_signal)
		return CAIRN_ERR_RIGHTS;
	return count <= MESSAGE_WORDS ? CAIRN_OK : CAIRN_ERR_ARG;
}

void portal_call(uint64_t sel, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t count)
{
	struct cpu *cpu = hal_cpu();
	struct ec *e = cpu->current;
	const struct slot *p = &slots[hal_select(e->table_first, e->table_count, sel)];
	struct words m = {w1, w2, w3, w4, count};
	status_t st = check_call(p, count);

	if (st == CAIRN_OK)
		st = portal_enter(cpu, e, p, CALL_MESSAGE, m);
	if (st != CAIRN_OK)
		call_refused(e, st);
}

/* The reply of `h` reaches a thread that called. */
static inline void reply_message(struct ec *h, struct ec *to, struct words *m)
{
	if (m->count > 4 && hal_copy(h->buffer->words + 4, to->buffer->words + 4, m->count - 4)) {
		call_refused(to, CAIRN_ERR_ABORTED);
		return;
	}
	set_results(to, CAIRN_OK, m);
}

static void reply_fault(struct ec *to, const struct words *m)
{
	if (m->w1 == FAULT_REPLY_RIP && m->w2 < USER_END)
		to->rip = m->w2;
	else if (m->w1 != FAULT_REPLY_RESUME)
		ec_stop(to);
}

static inline void reply_exit(struct cpu *cpu, struct ec *v, uint32_t w)
{
	if (hal_vcpu_write(v, w & VCPU_MTD_ALL)) {
		ec_stop(v); /* its state page is gone */
		return;
	}
	if (w & (VCPU_REPLY_STOP | VCPU_REPLY_HALT)) {
		if (w & VCPU_REPLY_STOP)
			v->suspended = 1;
		if ((w & VCPU_REPLY_HALT) && !v->recalled)
			v->status = EC_HALT;
		cpu->resched = 1;
	}
	if (v->recalled)
		cpu->resched = 1;
}

/* `from`, which called or faulted or exited, gets no answer any more. */
static void sender_abort(struct ec *from)
{
	from->partner = NULL;
	if (from->call_kind == CALL_MESSAGE) {
		from->status = EC_READY;
		call_refused(from, CAIRN_ERR_ABORTED);
		chain_update(from->root);
	} else {
		/* A fault or an exit that nobody will answer: it stops (stop_dying), and takes its own callers along. */
		from->status = EC_STOPPED;
		from->queue_next = hal_cpu()->dying;
		hal_cpu()->dying = from;
	}
}

static void stop_dying(struct cpu *cpu);

/* `h` is done; it loses what an orphan was lent, and if others wait, the first enters. */
static void handler_next(struct ec *h)
{
	if (h->orphan) {
		h->orphan = 0;
		chain_update(h); /* leaves the run queue */
		h->priority = h->effective = 0;
	}
	while (h->status == EC_IDLE && h->queue_head) { /* bound: threads of this CPU */
		struct ec *from = h->queue_head;
		struct words m = {from->msg[0], from->msg[1], from->msg[2], from->msg[3], from->msg_count};

		h->queue_head = from->queue_next;
		if (m.count > 4 && copy_to_handler(h, from, m.count)) {
			sender_abort(from);
			continue;
		}
		handler_start(h, from, from->queue_badge, m);
		h->fpu_fresh = 1;
		chain_update(h->root);
		lend(h);
	}
	stop_dying(hal_cpu());
}

status_t portal_reply(uint64_t zero, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t count)
{
	struct cpu *cpu = hal_cpu();
	struct ec *h = cpu->current, *to = h->caller;
	struct words m = {w1, w2, w3, w4, count};

	if (!to && !h->orphan)
		return CAIRN_ERR_STATE;
	if (zero || count > MESSAGE_WORDS)
		return CAIRN_ERR_ARG;
	h->status = EC_IDLE;
	h->caller = NULL;
	h->root = h;
	if (!to) {
		handler_next(h);
		cpu->resched = 1;
		return CAIRN_OK;
	}
	to->status = EC_READY;
	to->partner = NULL;
	to->root->leaf = to;
	if (to->call_kind == CALL_EXIT)
		reply_exit(cpu, to, (uint32_t)w1);
	else if (to->call_kind == CALL_MESSAGE)
		reply_message(h, to, &m);
	else
		reply_fault(to, &m);
	if (h->queue_head) {
		handler_next(h);
		lend(to); /* what was lent to get `h` free goes back */
	}
	if (to->status == EC_READY && !to->suspended && !cpu->resched) {
		hal_switch_reply(cpu, to);
		return CAIRN_OK;
	}
	chain_update(to->root);
	cpu->resched = 1;
	return CAIRN_OK;
}

/* The caller of `h` is gone: `h` finishes for nobody, as a chain of its own at the priority that was lent. */
static void handler_orphan(struct ec *h, struct ec *root)
{
	struct ec *i, *leaf = root->leaf;

	h->caller = NULL;
	h->orphan = 1;
	h->priority = h->effective = root->effective;
	for (i = h; i; i = i->status == EC_CALL ? i->partner : NULL) /* bound: CALL_MAX_DEPTH */
		i->root = h;
	h->leaf = leaf;
	chain_update(h);
}

void ec_disconnect(struct ec *e)
{
	if (e->partner && e->status == EC_CALL) {
		handler_orphan(e->partner, e->root);
	} else if (e->partner && e->status == EC_QUEUED) {
		queue_remove(e->partner, e);
		e->status = EC_STOPPED; /* where it waits for its own chain, lend() would put it back */
		lend(e->partner);
	}
	e->partner = NULL;
	if (e->caller) {
		struct ec *c = e->caller;

		e->caller = NULL;
		c->root->leaf = c;
		sender_abort(c);
		lend(c);
	}
	while (e->queue_head) { /* bound: threads of this CPU */
		struct ec *from = e->queue_head;

		e->queue_head = from->queue_next;
		sender_abort(from);
	}
	e->root = e->leaf = e;
}

void ec_disturb(struct ec *e)
{
	struct cpu *cpu = hal_cpu();

	if (cpu->current != e)
		return;
	cpu->disturbed = 1;
	cpu->resched = 1;
}

static void stop_one(struct cpu *cpu, struct ec *e)
{
	ec_disconnect(e);
	mca_forget(e);
	e->status = EC_STOPPED;
	timer_cancel(cpu, &e->deadline);
	timer_cancel(cpu, &e->replenish);
	chain_update(e); /* leaves the run queue */
	e->effective = e->priority;
	e->throttled = 0;
	if (e->orphan) {
		e->orphan = 0;
		e->priority = e->effective = 0;
	}
	ec_disturb(e);
}

/* Each one stopped may let others die: at most as many as are nested in calls. */
static void stop_dying(struct cpu *cpu)
{
	while (cpu->dying) { /* bound: threads of this CPU: each dies once */
		struct ec *e = cpu->dying;

		cpu->dying = e->queue_next;
		stop_one(cpu, e);
	}
}

void ec_stop(struct ec *e)
{
	struct cpu *cpu = hal_cpu();

	stop_one(cpu, e);
	stop_dying(cpu);
}

void notify(struct ec *t, uint64_t bits)
{
	t->notification |= bits;
	if (t->status != EC_WAIT)
		return;
	timer_cancel(hal_cpu(), &t->deadline);
	t->status = EC_READY;
	t->gpr[GPR_RAX] = CAIRN_OK;
	t->gpr[GPR_RDI] = t->notification;
	t->notification = 0;
	chain_update(t->root);
}

status_t vcpu_recall(struct ec *v)
{
	if (v->status == EC_NEW || v->status == EC_STOPPED)
		return CAIRN_ERR_STATE;
	v->recalled = 1;
	if (v->status == EC_HALT) {
		v->status = EC_READY;
		chain_update(v);
	}
	if (hal_cpu()->current == v)
		hal_cpu()->resched = 1;
	return CAIRN_OK;
}

void vcpu_exit(struct ec *v, enum vcpu_exit_class class)
{
	uint32_t slot = (uint32_t)hal_select(v->table_first, v->table_count, v->exit_base + class);
	struct words m = {.w1 = class, .count = 1};

	/* No portal there: its VMM has not said who handles this. -1: its state page is gone. */
	if (!slot_is(&slots[slot], CAP_PORTAL) || hal_vcpu_read(v, class, slots[slot].count) ||
	    portal_enter(hal_cpu(), v, &slots[slot], CALL_EXIT, m) != CAIRN_OK)
		ec_stop(v);
}

void thread_fault(struct ec *e, uint64_t vector, uint64_t error, uint64_t address, int poison)
{
	uint32_t slot = (uint32_t)hal_select(e->table_first, e->table_count, e->supervisor);
	struct words m = {vector | (poison ? 1u << 8 : 0u), error, address, e->rip, MESSAGE_WORDS};

	e->mode = MODE_IRET;
	e->msg[4] = e->gpr[GPR_RSP];
	e->msg[5] = e->rflags;
	e->msg[6] = e->gpr[GPR_RAX];
	e->msg[7] = e->gpr[GPR_RCX];
	e->msg[8] = e->gpr[GPR_RDX];
	e->msg[9] = e->gpr[GPR_RBX];
	e->msg[10] = e->gpr[GPR_RBP];
	e->msg[11] = e->gpr[GPR_RSI];
	e->msg[12] = e->gpr[GPR_RDI];
	e->msg[13] = e->gpr[GPR_R8];
	e->msg[14] = e->gpr[GPR_R9];
	e->msg[15] = e->gpr[GPR_R10];
	if (!slot_is(&slots[slot], CAP_PORTAL) || portal_enter(hal_cpu(), e, &slots[slot], CALL_FAULT, m) != CAIRN_OK) {
		hal_report_fault(e->label, vector, error, address, e->rip);
		ec_stop(e);
	}
}
