/* SPDX-License-Identifier: BSD-2-Clause */
/* Machine checks: the record ring of each CPU, poison, freeze and thaw. No decision is made here. */
#include <core/caps.h>
#include <core/smp.h>
#include <hal/hal.h>

#define RING_RECORDS 64u
#define RING_RESERVE 32u  /* kept free for exceptions */
#define POISON_STEP  512u /* slots looked at per hypercall */

/* Filled by the #MC stub, which takes no lock, and by the poll, which it may interrupt. */
struct error_ring {
	uint64_t head;	       /* sequence of the newest record */
	uint64_t acknowledged; /* the newest that the mca-server is done with */
};
static struct error_ring rings[CPU_MAX];
static struct mca_record records[CPU_MAX][RING_RECORDS];

/*@
  // What waits is in order, each record in the place of its sequence, with none missing.
  predicate ring_ok(integer c) =
    rings[c].acknowledged <= rings[c].head <= rings[c].acknowledged + RING_RECORDS &&
    \forall integer n; rings[c].acknowledged < n <= rings[c].head ==> records[c][n % RING_RECORDS].sequence == n;
*/

uint64_t mc_epoch, mc_complete;

static struct {
	struct ec *thread;
	uint64_t badge;
} bound;

#define VERDICT_US 10000000u /* for the mca-server to acknowledge an exception */

static void verdict_arm(struct cpu *cpu)
{
	timer_arm(cpu, &cpu->verdict, hal_now() + hal_ticks(VERDICT_US));
}

void mca_bind_here(void)
{
	struct cpu *cpu = hal_cpu();

	if (!cpu->verdict.next || cpu->verdict_again)
		return;
	cpu->verdict_again = 1; /* a restarted mca-server gets the time once more */
	verdict_arm(cpu);
}

void mca_bind(struct ec *thread, uint64_t badge)
{
	uint32_t i;

	bound.thread = thread;
	bound.badge = badge;
	ask_all(REQ_MC_BIND, 0);
	for (i = 0; i < cpu_count; i++)
		if (rings[i].head > rings[i].acknowledged) {
			mca_notify(); /* what nobody has acknowledged is delivered again */
			break;
		}
}

/* What the exception interrupted waits until its record is dealt with; only who deals with it, or works for that, cannot wait. */
static void suspend_interrupted(struct cpu *cpu, struct ec *e)
{
	if (e->kind == EC_VCPU) {
		if (!cpu->mc_restartable) /* R-MC-8: its saved state is no state to go on from */
			e->suspended = 1;
	} else if (!cpu->mc_restartable && e == cpu->current) {
		thread_fault(e, 18, 0, 0, 1);
	} else if (!cpu->mc_restartable) {
		ec_stop(e);
	} else if (e->root != bound.thread && cpu->mc_sequence > rings[cpu->index].acknowledged) {
		e->held = cpu->mc_sequence; /* the mca-server may have harvested it already */
	}
	chain_update(e->root);
}

void mca_process(struct cpu *cpu)
{
	struct ec *e;

	if (!cpu->mc_pending)
		return;
	cpu->mc_pending = 0; /* a #MC from here on makes this come again */
	hal_order();
	e = cpu->mc_context;
	cpu->mc_context = NULL;
	cpu->verdict_again = 0;
	verdict_arm(cpu); /* even if it left no record here: the VMs wait */
	if (e)
		suspend_interrupted(cpu, e);
	lock_take();
	mca_notify();
	lock_drop();
}

void mca_unbind(void)
{
	bound.thread = NULL;
}

void mca_forget(struct ec *thread)
{
	if (bound.thread == thread)
		bound.thread = NULL;
}

struct ec *mca_bound(void)
{
	return bound.thread;
}

void mca_notify(void)
{
	struct ec *t = bound.thread; /* its CPU may be taking it away */

	if (t)
		ask(t->cpu, REQ_NOTIFY, t, bound.badge);
}

/*@
  requires \valid(to) && \valid(r) && \separated(to, r);
  assigns *to, r->sequence, r->cpu;
  ensures to->sequence == sequence;
*/
static void record_fill(struct mca_record *to, struct mca_record *r, uint32_t cpu, uint64_t sequence)
{
	r->sequence = 0;
	r->cpu = cpu;
	*to = *r;
	hal_order();
	to->sequence = sequence;
}

/*@
  requires ring: cpu->index < CPU_MAX && ring_ok(cpu->index) && rings[cpu->index].head < 0x7fffffffffffffff;
  requires \valid_read(cpu) && \valid(r) && \separated(r, cpu, rings + (0 .. CPU_MAX - 1), &records[0 .. CPU_MAX - 1]);
  assigns r->sequence, r->cpu, rings[cpu->index].head, records[cpu->index][(rings[cpu->index].head + 1) % RING_RECORDS];
  ensures ring_order: ring_ok(\old(cpu->index));
  ensures ring_place: \forall integer n; \old(rings[cpu->index].acknowledged) < n <= \old(rings[cpu->index].head) &&
    \result != 0 ==> n % RING_RECORDS != (\old(rings[cpu->index].head) + 1) % RING_RECORDS;
  ensures ring_kept: \result != 0 ==> rings[\old(cpu->index)].head == \old(rings[cpu->index].head) + 1;
  ensures ring_refused: \result == 0 ==> rings[\old(cpu->index)].head == \old(rings[cpu->index].head);
*/
int mca_push(struct cpu *cpu, struct mca_record *r, int poll)
{
	struct error_ring *q = &rings[cpu->index];
	uint64_t sequence;

	if (q->head - q->acknowledged >= RING_RECORDS - (poll ? RING_RESERVE : 0))
		return 0;
	/* One instruction claims the place: whoever interrupts takes the next. The sequence says that it is filled. */
	sequence = __atomic_add_fetch(&q->head, 1, __ATOMIC_RELAXED);
	/*@ assert place: \forall integer n; \at(rings[cpu->index].acknowledged, Pre) < n <= \at(rings[cpu->index].head, Pre) ==>
	      n % RING_RECORDS != (\at(rings[cpu->index].head, Pre) + 1) % RING_RECORDS; */
	record_fill(&records[cpu->index][sequence % RING_RECORDS], r, cpu->index, sequence);
	return 1;
}

uint64_t mca_sequence(const struct cpu *cpu)
{
	return rings[cpu->index].head;
}

/* Threads that a machine check interrupted go on once their record is dealt with. */
static void release_held(uint64_t acknowledged)
{
	struct ec *e;

	for (e = hal_cpu()->list; e; e = e->all_next) {
		if (!e->held || e->held > acknowledged)
			continue;
		e->held = 0;
		chain_update(e->root);
	}
}

void mca_harvest_here(uint64_t acknowledged)
{
	struct cpu *cpu = hal_cpu();
	struct error_ring *q = &rings[cpu->index];

	if (acknowledged > q->acknowledged) {
		q->acknowledged = acknowledged;
		release_held(acknowledged);
	}
	if (q->acknowledged >= cpu->mc_sequence)
		timer_cancel(cpu, &cpu->verdict);
	hal_mca_poll();
}

/* All exceptions up to the result have left their records. `last` changes under the lock only. */
static uint64_t complete_epoch(void)
{
	static uint64_t last;
	uint64_t complete = __atomic_load_n(&mc_complete, __ATOMIC_ACQUIRE);

	/* As many complete as, looked at later, have begun: then no other had begun at the time of the first look. */
	if (complete == __atomic_load_n(&mc_epoch, __ATOMIC_ACQUIRE))
		last = complete;
	return last;
}

status_t mca_harvest(struct ec *e, uint32_t cpu, uint64_t acknowledged, uint64_t *count, uint64_t *epoch)
{
	struct error_ring *q = &rings[cpu];
	const struct mca_record *r;

	if (acknowledged > q->head)
		return CAIRN_ERR_ARG;
	*epoch = complete_epoch();
	ask(cpu, REQ_MC_HARVEST, NULL, acknowledged);
	r = &records[cpu][(q->acknowledged + 1) % RING_RECORDS];
	*count = q->head - q->acknowledged;
	if (!*count || r->sequence != q->acknowledged + 1) {
		*count = 0; /* none, or its exception is about to fill it, and will notify */
		return CAIRN_OK;
	}
	if (hal_copy((const uint64_t *)r, e->buffer->words, sizeof(*r) / 8))
		return CAIRN_ERR_ARG;
	return CAIRN_OK;
}

uint64_t mca_decided;

void mca_thaw(struct ec *v, uint64_t epoch)
{
	if (epoch > mca_decided)
		mca_decided = epoch;
	if (epoch > v->thawed)
		v->thawed = epoch;
	if (v->status == EC_FROZEN && v->thawed >= mc_epoch) {
		v->status = EC_READY;
		chain_update(v);
	}
}

/* A paging structure that was hit is taken out of its parent (a root: from its users), never touched. */
static void unlink_structure(uint64_t page)
{
	uint32_t s;

	for (s = 1; s < SLOT_COUNT; s++) {
		if (!slot_backed(s)) {
			s |= SLOTS_PER_PAGE - 1;
			continue;
		}
		if (slot_live(s) && slots[s].type == CAP_PAGETABLE && slots[s].original && slots[s].base == page) {
			if (slots[s].deposit) /* linked in the place of its Frame, or about to be */
				frame_unmap(slots[s].deposit);
			if (slots[s].pt_level == 4) {
				object_users_stop(s);
				ask_all(REQ_LEAVE, page);
			}
			pt_unlink(s);
			return;
		}
	}
}

static int mark(uint64_t page, struct holder *out)
{
	uint8_t byte = hal_page_byte(page), type = byte & PAGE_TYPE;

	if (type != PAGE_USER && type != PAGE_GUEST_PT && type != CAP_PAGETABLE)
		hal_mca_fatal("the memory belongs to the kernel, page", page);
	hal_page_set(page, byte | PAGE_POISONED);
	if (type == PAGE_USER)
		return 0;
	unlink_structure(page);
	out->kind = MCA_HOLDER_KERNEL;
	out->address = type;
	return 1;
}

/* The kernel's own translation of a buffer or state page goes, and who needed it stops. */
static int buffer_hit(uint32_t s, struct holder *out)
{
	const struct ec *e;
	uint32_t i;

	for (i = 0; i < cpu_count; i++)
		for (e = cpus[i]->list; e; e = e->all_next)
			if (e->buffer_slot == s)
				out->label = e->label;
	out->kind = MCA_HOLDER_BUFFER;
	object_users_stop(s);
	return 1;
}

static int slot_hit(uint32_t s, uint64_t page, struct holder *out)
{
	struct slot *f = &slots[s];
	uint64_t address;

	if (!slot_live(s) || f->type != CAP_FRAME || page < f->base || page >= f->base + f->size)
		return 0;
	if (f->bound)
		return buffer_hit(s, out);
	if (!pt_hung(s))
		return 0;
	frame_poison(s, page);
	out->label = frame_where(s, &address);
	if (!out->label)
		return 0; /* not below a root: nobody can reach it */
	out->address = address + (page - f->base);
	out->kind = slots[f->map_pt].pt_kind == PT_GUEST ? MCA_HOLDER_GUEST : MCA_HOLDER_HOST;
	out->rights = (f->m_read ? RIGHT_READ : 0u) | (f->m_write ? RIGHT_WRITE : 0u) | (f->m_exec ? RIGHT_EXEC : 0u);
	return 1;
}

void poison_step(uint64_t page, uint64_t *cursor, struct holder *out)
{
	uint64_t s = *cursor, n;

	*out = (struct holder){0};
	if (!s) {
		/* The byte is marked first: map and retype consult it, so nothing can appear behind the cursor. */
		*cursor = 1;
		if (mark(page, out))
			return;
		s = 1;
	}
	for (n = 0; n < POISON_STEP && s < SLOT_COUNT; n++) {
		if (!slot_backed((uint32_t)s)) {
			s = (s | (SLOTS_PER_PAGE - 1)) + 1;
			continue;
		}
		if (slot_hit((uint32_t)s, page, out)) {
			s += out->kind != MCA_HOLDER_BUFFER; /* its mapping is the next step's */
			break;
		}
		s++;
	}
	*cursor = s < SLOT_COUNT ? s : 0;
}
