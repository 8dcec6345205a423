/* SPDX-License-Identifier: BSD-2-Clause */
/* Machine checks: the record ring of each CPU, poison, freeze and thaw. No decision is made here. */
#include <core/caps.h>
#include <hal/hal.h>

#define RING_RECORDS 64u
#define RING_RESERVE 32u  /* kept free for exceptions */
#define POISON_STEP  512u /* slots looked at per hypercall */

/* Filled by the #MC stub, which takes no lock, and by the poll, which it may interrupt. */
struct error_ring {
	struct mca_record record[RING_RECORDS];
	uint64_t head;	       /* sequence of the newest record */
	uint64_t acknowledged; /* the newest that the mca-server is done with */
};
static struct error_ring rings[CPU_MAX];

static struct {
	struct ec *thread;
	uint64_t badge;
} bound;

#define VERDICT_US 10000000u /* for the mca-server to acknowledge an exception */

static void verdict_arm(struct cpu *cpu)
{
	timer_arm(cpu, &cpu->verdict, hal_now() + VERDICT_US / 1000 * hal_tsc_khz);
}

void mca_bind(struct ec *thread, uint64_t badge)
{
	struct cpu *cpu = hal_cpu();

	bound.thread = thread;
	bound.badge = badge;
	if (cpu->verdict.next && !cpu->verdict_again) {
		cpu->verdict_again = 1; /* a restarted mca-server gets the time once more */
		verdict_arm(cpu);
	}
	if (rings[cpu->index].head > rings[cpu->index].acknowledged)
		mca_notify(); /* what nobody has acknowledged is delivered again */
}

/* What the exception interrupted waits until its record is dealt with; only who deals with it cannot wait. */
static void suspend_interrupted(struct cpu *cpu, struct ec *e)
{
	if (e->kind == EC_VCPU) {
		if (!cpu->mc_restartable) /* R-MC-8: its saved state is no state to go on from */
			e->suspended = 1;
	} else if (!cpu->mc_restartable && e == cpu->current) {
		thread_fault(e, 18, 0, 0, 1);
	} else if (!cpu->mc_restartable) {
		ec_stop(e);
	} else if (e != bound.thread) {
		e->held = cpu->mc_sequence;
	}
	chain_update(e->root);
}

void mca_process(struct cpu *cpu)
{
	struct ec *e = cpu->mc_context;

	if (!cpu->mc_pending)
		return;
	cpu->mc_pending = 0;
	cpu->mc_context = NULL;
	cpu->verdict_again = 0;
	verdict_arm(cpu);
	if (e)
		suspend_interrupted(cpu, e);
	mca_notify();
}

void mca_unbind(void)
{
	bound.thread = NULL;
}

void mca_forget(struct ec *thread)
{
	if (bound.thread == thread)
		bound.thread = NULL;
	if (hal_cpu()->mc_context == thread)
		hal_cpu()->mc_context = NULL;
}

struct ec *mca_bound(void)
{
	return bound.thread && bound.thread->status != EC_STOPPED ? bound.thread : NULL;
}

void mca_notify(void)
{
	if (bound.thread)
		notify(bound.thread, bound.badge);
}

int mca_push(struct cpu *cpu, struct mca_record *r, int poll)
{
	struct error_ring *q = &rings[cpu->index];

	if (q->head - q->acknowledged >= RING_RECORDS - (poll ? RING_RESERVE : 0))
		return 0;
	/* One instruction claims the place: whoever interrupts takes the next. Nobody reads before all are filled. */
	r->sequence = __atomic_add_fetch(&q->head, 1, __ATOMIC_RELAXED);
	r->cpu = cpu->index;
	q->record[r->sequence % RING_RECORDS] = *r;
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

	for (e = ec_list; e; e = e->all_next) {
		if (!e->held || e->held > acknowledged)
			continue;
		e->held = 0;
		chain_update(e->root);
	}
}

status_t mca_harvest(struct ec *e, uint64_t acknowledged, uint64_t *count)
{
	struct error_ring *q = &rings[hal_cpu()->index];
	const struct mca_record *r;

	if (acknowledged > q->head)
		return CAIRN_ERR_ARG;
	if (acknowledged > q->acknowledged) {
		q->acknowledged = acknowledged;
		release_held(acknowledged);
		if (acknowledged >= hal_cpu()->mc_sequence)
			timer_cancel(hal_cpu(), &hal_cpu()->verdict);
	}
	hal_mca_poll();
	*count = q->head - q->acknowledged;
	if (!*count)
		return CAIRN_OK;
	r = &q->record[(q->acknowledged + 1) % RING_RECORDS];
	if (hal_copy((const uint64_t *)r, e->buffer->words, sizeof(*r) / 8))
		return CAIRN_ERR_ARG;
	return CAIRN_OK;
}

void mca_thaw(struct ec *v, uint64_t epoch)
{
	if (epoch > v->thawed)
		v->thawed = epoch;
	if (v->status == EC_FROZEN && v->thawed >= hal_cpu()->epoch) {
		v->status = EC_READY;
		chain_update(v);
	}
}

/* A paging structure that was hit is taken out of its parent (a root: from its users), never touched. */
static void unlink_structure(uint64_t page)
{
	uint32_t s;

	for (s = 1; s < SLOT_COUNT; s++) {
		if (!slot_page_get(s / SLOTS_PER_PAGE)) {
			s |= SLOTS_PER_PAGE - 1;
			continue;
		}
		if (slot_live(s) && slots[s].type == CAP_PAGETABLE && slots[s].original && slots[s].base == page) {
			if (slots[s].deposit) /* linked in the place of its Frame, or about to be */
				frame_unmap(slots[s].deposit);
			if (slots[s].pt_level == 4) {
				object_users_stop(s);
				hal_space_leave(page);
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
		hal_mca_fatal("the memory belongs to the kernel", page);
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

	for (e = ec_list; e; e = e->all_next)
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
		if (!slot_page_get((uint32_t)s / SLOTS_PER_PAGE)) {
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
