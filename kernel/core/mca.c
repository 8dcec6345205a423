/* SPDX-License-Identifier: BSD-2-Clause */
/* Machine checks: the record ring of each CPU, poison, freeze and thaw. No decision is made here. */
#include <core/caps.h>
#include <hal/hal.h>

#define RING_RECORDS 64u
#define RING_RESERVE 32u /* kept free for exceptions */
#define POISON_STEP  512u /* slots looked at per hypercall */

/* Filled by the #MC stub, which takes no lock, and by the poll, which it may interrupt. */
struct error_ring {
	struct mca_record record[RING_RECORDS];
	uint64_t head;         /* sequence of the newest record */
	uint64_t acknowledged; /* the newest that the mca-server is done with */
};
static struct error_ring rings[CPU_MAX];

static struct {
	struct ec *thread;
	uint64_t badge;
} bound;

void mca_bind(struct ec *thread, uint64_t badge)
{
	bound.thread = thread;
	bound.badge = badge;
	if (rings[hal_cpu()->index].head > rings[hal_cpu()->index].acknowledged)
		mca_notify(); /* what nobody has acknowledged is delivered again */
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

/* A nested paging structure that was hit is taken out of its parent, never touched; its VM will be stopped. */
static void unlink_structure(uint64_t page)
{
	uint32_t s;

	for (s = 1; s < SLOT_COUNT; s++) {
		if (!slot_page_get(s / SLOTS_PER_PAGE)) {
			s |= SLOTS_PER_PAGE - 1;
			continue;
		}
		if (slot_live(s) && slots[s].type == CAP_PAGETABLE && slots[s].base == page) {
			if (slots[s].deposit) /* linked in the place of its Frame, or about to be */
				frame_unmap(slots[s].deposit);
			pt_unlink(s);
			return;
		}
	}
}

static int mark(uint64_t page, struct holder *out)
{
	uint8_t byte = hal_page_byte(page);

	hal_page_set(page, byte | PAGE_POISONED);
	if ((byte & PAGE_TYPE) == PAGE_USER)
		return 0;
	if ((byte & PAGE_TYPE) == PAGE_GUEST_PT)
		unlink_structure(page);
	out->kind = MCA_HOLDER_KERNEL;
	out->address = byte & PAGE_TYPE;
	return 1;
}

static int slot_hit(uint32_t s, uint64_t page, struct holder *out)
{
	struct slot *f = &slots[s];
	uint64_t address;

	if (!slot_live(s) || f->type != CAP_FRAME || page < f->base || page >= f->base + f->size)
		return 0;
	if (f->bound)
		object_users_stop(s); /* the kernel's own translation goes, and who needed it stops */
	if (!pt_hung(s))
		return 0;
	frame_poison(s, page);
	out->label = frame_where(s, &address);
	out->address = address + (page - f->base);
	out->kind = slots[f->map_pt].pt_kind == PT_GUEST ? MCA_HOLDER_GUEST : MCA_HOLDER_HOST;
	out->rights = (f->m_read ? RIGHT_READ : 0u) | (f->m_write ? RIGHT_WRITE : 0u) |
		      (f->m_exec ? RIGHT_EXEC : 0u);
	return out->label != 0;
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
		if (slot_hit((uint32_t)s++, page, out))
			break;
	}
	*cursor = s < SLOT_COUNT ? s : 0;
}
