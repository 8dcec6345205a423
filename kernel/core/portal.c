/* SPDX-License-Identifier: BSD-2-Clause */
/* Portals: a message enters a handler thread on the sender's time; the reply ends it. CPU-local, no lock. */
#include <core/ec.h>
#include <hal/hal.h>

/* Words 5.. of a message come from the sender's buffer; those of a fault are kept in the context itself. */
static const uint64_t *message_words(const struct ec *from)
{
	return from->call_kind == CALL_MESSAGE ? from->buffer->words : from->msg;
}

static uint64_t message_count(const struct ec *from)
{
	return from->call_kind == CALL_MESSAGE ? from->gpr[GPR_R9] : from->msg_count;
}

/* Handler `h` (idle) takes the message of `from`; the chain's time goes on with it. -1: a buffer is gone. */
static int handler_start(struct ec *h, struct ec *from, uint64_t badge)
{
	uint64_t count = message_count(from);

	if (count > 4 && hal_copy(message_words(from) + 4, h->buffer->words + 4, count - 4))
		return -1;
	if (from->call_kind == CALL_MESSAGE) {
		h->gpr[GPR_RSI] = from->gpr[GPR_RSI];
		h->gpr[GPR_RDX] = from->gpr[GPR_RDX];
		h->gpr[GPR_R10] = from->gpr[GPR_R10];
		h->gpr[GPR_R8] = from->gpr[GPR_R8];
	} else {
		h->gpr[GPR_RSI] = from->msg[0];
		h->gpr[GPR_RDX] = from->msg[1];
		h->gpr[GPR_R10] = from->msg[2];
		h->gpr[GPR_R8] = from->msg[3];
	}
	h->gpr[GPR_RDI] = badge;
	h->gpr[GPR_R9] = count;
	h->caller = from;
	h->root = from->root;
	h->depth = (uint8_t)(from->depth + 1);
	h->root->leaf = h;
	h->status = EC_READY;
	h->mode = MODE_SYSRET;
	h->fpu_fresh = 1;
	h->rip = h->entry_rip;
	h->rflags = RFLAGS_USER;
	h->gpr[GPR_RSP] = h->entry_rsp;
	h->gpr[GPR_RAX] = h->gpr[GPR_RBX] = h->gpr[GPR_RBP] = 0;
	h->gpr[GPR_R12] = h->gpr[GPR_R13] = h->gpr[GPR_R14] = h->gpr[GPR_R15] = 0;
	from->partner = h;
	from->status = EC_CALL;
	return 0;
}

static void queue_by_priority(struct ec *h, struct ec *from)
{
	struct ec **p = &h->queue_head;

	/* Bounded by the number of execution contexts. */
	while (*p && (*p)->root->priority >= from->root->priority)
		p = &(*p)->queue_next;
	from->queue_next = *p;
	*p = from;
	from->partner = h;
	from->status = EC_QUEUED;
}

status_t portal_enter(struct ec *from, uint32_t slot, enum ec_call kind)
{
	struct cpu *cpu = hal_cpu();
	struct ec *h = hal_window(slots[slot].base);

	if (h->cpu != cpu->index)
		return CAIRN_ERR_CPU;
	if (from->depth >= CALL_MAX_DEPTH)
		return CAIRN_ERR_DEPTH;
	if (!h->handler || h->status == EC_STOPPED)
		return CAIRN_ERR_ABORTED;
	from->call_kind = (uint8_t)kind;
	if (h->status != EC_IDLE) {
		from->queue_badge = slots[slot].badge;
		queue_by_priority(h, from);
		chain_update(from->root);
		cpu->resched = 1;
		return CAIRN_OK;
	}
	if (handler_start(h, from, slots[slot].badge))
		return CAIRN_ERR_ABORTED;
	if (h->suspended)
		chain_update(h->root);
	else
		hal_switch(cpu, h);
	return CAIRN_OK;
}

/* The reply of `h` reaches a thread that called. */
static void reply_message(struct ec *h, struct ec *to)
{
	uint64_t count = h->gpr[GPR_R9];

	to->gpr[GPR_RAX] = CAIRN_OK;
	if (count > 4 && hal_copy(h->buffer->words + 4, to->buffer->words + 4, count - 4)) {
		to->gpr[GPR_RAX] = CAIRN_ERR_ABORTED;
		count = 0;
	}
	to->gpr[GPR_RDI] = count;
	to->gpr[GPR_RSI] = h->gpr[GPR_RSI];
	to->gpr[GPR_RDX] = h->gpr[GPR_RDX];
	to->gpr[GPR_R10] = h->gpr[GPR_R10];
	to->gpr[GPR_R8] = h->gpr[GPR_R8];
	to->gpr[GPR_R9] = 0;
}

static void reply_fault(struct ec *h, struct ec *to)
{
	if (h->gpr[GPR_RSI] == FAULT_REPLY_RIP && h->gpr[GPR_RDX] < USER_END)
		to->rip = h->gpr[GPR_RDX];
	else if (h->gpr[GPR_RSI] != FAULT_REPLY_RESUME)
		ec_stop(to);
}

static void reply_exit(struct ec *h, struct ec *v)
{
	uint32_t w = (uint32_t)h->gpr[GPR_RSI];

	if (hal_vcpu_write(v, w & VCPU_MTD_ALL)) {
		ec_stop(v); /* its state page is gone */
		return;
	}
	if (w & VCPU_REPLY_STOP)
		v->suspended = 1;
	if ((w & VCPU_REPLY_HALT) && !v->recalled)
		v->status = EC_HALT;
	if (v->recalled || v->suspended || v->status == EC_HALT)
		hal_cpu()->resched = 1;
}

/* `from`, which called or faulted or exited, gets no answer any more. */
static void sender_abort(struct ec *from)
{
	from->partner = NULL;
	if (from->call_kind == CALL_MESSAGE) {
		from->status = EC_READY;
		from->gpr[GPR_RAX] = CAIRN_ERR_ABORTED;
		from->gpr[GPR_RDI] = 0;
	} else {
		from->status = EC_STOPPED;
	}
	chain_update(from->root);
}

/* `h` is done with its caller; if others wait, the first enters. */
static void handler_next(struct ec *h)
{
	h->status = EC_IDLE;
	h->caller = NULL;
	if (h->orphan) {
		h->orphan = 0;
		chain_update(h); /* leaves the run queue */
		h->priority = 0;
	}
	h->root = h->leaf = h;
	while (h->status == EC_IDLE && h->queue_head) {
		struct ec *from = h->queue_head;

		h->queue_head = from->queue_next;
		if (handler_start(h, from, from->queue_badge)) {
			sender_abort(from);
			continue;
		}
		chain_update(h->root);
	}
}

/* Hypercall reply. The current thread is a handler with a caller. */
status_t portal_reply(struct cpu *cpu, struct ec *h)
{
	struct ec *to = h->caller;

	if (!to && !h->orphan)
		return CAIRN_ERR_STATE;
	if (h->gpr[GPR_RDI] || h->gpr[GPR_R9] > MESSAGE_WORDS)
		return CAIRN_ERR_ARG;
	if (!to) {
		handler_next(h);
		cpu->resched = 1;
		return CAIRN_OK;
	}
	to->status = EC_READY;
	to->partner = NULL;
	to->root->leaf = to;
	if (to->call_kind == CALL_EXIT)
		reply_exit(h, to);
	else if (to->call_kind == CALL_MESSAGE)
		reply_message(h, to);
	else
		reply_fault(h, to);
	handler_next(h);
	if (to->status == EC_READY && !to->suspended && !cpu->resched) {
		hal_switch(cpu, to);
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
	h->priority = root->priority;
	for (i = h; i; i = i->status == EC_CALL ? i->partner : NULL) /* at most CALL_MAX_DEPTH */
		i->root = h;
	h->leaf = leaf;
	chain_update(h);
}

void ec_disconnect(struct ec *e)
{
	struct ec **p;

	if (e->partner && e->status == EC_CALL) {
		handler_orphan(e->partner, e->root);
	} else if (e->partner && e->status == EC_QUEUED) {
		for (p = &e->partner->queue_head; *p && *p != e; p = &(*p)->queue_next)
			;
		if (*p)
			*p = e->queue_next;
	}
	e->partner = NULL;
	if (e->caller) {
		struct ec *c = e->caller;

		e->caller = NULL;
		c->root->leaf = c;
		sender_abort(c);
	}
	while (e->queue_head) {
		struct ec *from = e->queue_head;

		e->queue_head = from->queue_next;
		sender_abort(from);
	}
	e->root = e->leaf = e;
}

void ec_stop(struct ec *e)
{
	struct cpu *cpu = hal_cpu();

	ec_disconnect(e);
	e->status = EC_STOPPED;
	timer_cancel(cpu, &e->deadline);
	timer_cancel(cpu, &e->replenish);
	chain_update(e);
	if (cpu->current == e)
		cpu->resched = 1;
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

void vcpu_recall(struct ec *v)
{
	if (v->status == EC_NEW || v->status == EC_STOPPED)
		return;
	v->recalled = 1;
	if (v->status == EC_HALT) {
		v->status = EC_READY;
		chain_update(v);
	}
	if (hal_cpu()->current == v)
		hal_cpu()->resched = 1;
}

void vcpu_exit(struct ec *v, enum vcpu_exit_class class)
{
	uint64_t s = v->exit_base + class;
	uint32_t slot = v->table_first + (uint32_t)s;

	if (s >= v->table_count || !slot_live(slot) || slots[slot].type != CAP_PORTAL) {
		ec_stop(v); /* its VMM has not said who handles this */
		return;
	}
	if (hal_vcpu_read(v, class, slots[slot].count)) {
		ec_stop(v); /* its state page is gone */
		return;
	}
	v->msg[0] = class;
	v->msg_count = 1;
	if (portal_enter(v, slot, CALL_EXIT) != CAIRN_OK)
		ec_stop(v);
}

void thread_fault(struct ec *e, uint64_t vector, uint64_t error, uint64_t address, int poison)
{
	static const uint8_t order[10] = {GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RBP,
					  GPR_RSI, GPR_RDI, GPR_R8,  GPR_R9,  GPR_R10};
	uint32_t slot = e->table_first + e->supervisor, i;

	e->mode = MODE_IRET;
	e->msg[0] = vector | (poison ? 1u << 8 : 0u);
	e->msg[1] = error;
	e->msg[2] = address;
	e->msg[3] = e->rip;
	e->msg[4] = e->gpr[GPR_RSP];
	e->msg[5] = e->rflags;
	for (i = 0; i < 10; i++)
		e->msg[6 + i] = e->gpr[order[i]];
	e->msg_count = MESSAGE_WORDS;
	if (e->supervisor >= e->table_count || !slot_live(slot) || slots[slot].type != CAP_PORTAL ||
	    portal_enter(e, slot, CALL_FAULT) != CAIRN_OK) {
		hal_report_fault(e->label, e->msg);
		ec_stop(e);
	}
}
