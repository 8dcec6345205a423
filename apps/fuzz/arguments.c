/* SPDX-License-Identifier: BSD-2-Clause */
/* Arguments that may well be accepted, chosen by what the domain's slots seem to hold, and their
 * mutation. */
#include <cairn/status.h>
#include "fuzz.h"

#define OWN_TABLE_SIZE 32u
#define TYPE_UNKNOWN   0xffu /* something is there */

static uint32_t any_slot(struct thread_state *t)
{
	return SLOT_FREE + below(t, SLOTS - SLOT_FREE);
}

/* A slot that seems to hold `type` with `detail` in the bits of `mask`; else any, and retype makes
 * one when it comes to that. */
static uint32_t pick_detail(struct thread_state *t, uint8_t type, uint8_t mask, uint8_t detail)
{
	struct domain_state *d = domain_state();
	const struct hint *hint = d->hint;
	uint32_t start = below(t, SLOTS);

	for (uint32_t i = 0; i < SLOTS; i++) {
		uint32_t s = start + i < SLOTS ? start + i : start + i - SLOTS;

		if (hint[s].type == type && (hint[s].detail & mask) == detail)
			return s;
	}
	if (type <= CAP_VCPU)
		d->wish = (struct hint){.type = type, .detail = detail};
	return start;
}

static uint32_t pick(struct thread_state *t, uint8_t type)
{
	return pick_detail(t, type, 0, 0);
}

static uint32_t pick_object(struct thread_state *t)
{
	static const uint8_t types[8] = {CAP_FRAME, CAP_FRAME,	   CAP_THREAD,	CAP_PORTAL,
					 CAP_VCPU,  CAP_PAGETABLE, CAP_UNTYPED, CAP_IRQ};

	return one_in(t, 16) ? pick(t, CAP_IOPORTS + (uint8_t)below(t, 3))
			     : pick(t, types[below(t, 8)]);
}

/* An empty slot, mostly. */
static uint32_t place_for(struct thread_state *t)
{
	uint32_t s = pick(t, CAP_FREE);

	return s < SLOT_FREE && !one_in(t, 8) ? any_slot(t) : s;
}

static uint32_t pick_table(struct thread_state *t)
{
	return one_in(t, 16) ? pick_detail(t, CAP_CAPTABLE, 1, 0) : SLOT_TABLE;
}

/* Something to take away: mostly what the domain made itself. */
static uint32_t victim(struct thread_state *t)
{
	uint32_t s = one_in(t, 16) ? SLOT_EXIT + below(t, SLOTS - SLOT_EXIT) : any_slot(t);

	/* One that holds something, if it is near. */
	for (uint32_t i = 0; i < 8 && s >= SLOT_FREE && domain_state()->hint[s].type == CAP_FREE;
	     i++)
		s = s + 1 < SLOTS ? s + 1 : SLOT_FREE;
	return s;
}

static void choose_retype(struct thread_state *t, uint64_t a[6])
{
	static const uint8_t types[16] = {
		CAP_UNTYPED,   CAP_UNTYPED,   CAP_UNTYPED,   CAP_FRAME,	  CAP_FRAME, CAP_FRAME,
		CAP_FRAME,     CAP_THREAD,    CAP_THREAD,    CAP_VCPU,	  CAP_VCPU,  CAP_PAGETABLE,
		CAP_PAGETABLE, CAP_PAGETABLE, CAP_PAGETABLE, CAP_CAPTABLE};
	struct domain_state *d = domain_state();
	uint64_t level = one_in(t, 2) ? 1 : 1 + below(t, 4), kind = below(t, 2);

	a[0] = one_in(t, 4) ? SLOT_UNTYPED : pick(t, CAP_UNTYPED);
	a[1] = types[below(t, 16)];
	if (d->wish.type != CAP_FREE && one_in(t, 2)) {
		a[1] = d->wish.type;
		level = d->wish.detail & 0xf ? d->wish.detail & 0xf : 1;
		kind = d->wish.detail >> 4;
		d->wish.type = CAP_FREE;
	}
	a[2] = a[1] == CAP_FRAME && one_in(t, 64) ? PAGE_BITS_2M : PAGE_BITS_4K;
	a[3] = pick_table(t);
	a[4] = a[3] == SLOT_TABLE ? place_for(t) : below(t, OWN_TABLE_SIZE);
	a[5] = 0;
	if (a[1] == CAP_UNTYPED) {
		a[0] = one_in(t, 2) ? SLOT_UNTYPED : a[0];
		a[2] = PAGE_BITS_4K + 1 + below(t, 4);
	} else if (a[1] == CAP_PAGETABLE) {
		a[5] = level | kind << 8 | (level == 4 ? (uint64_t)(0x40 + below(t, 8)) << 32 : 0);
	} else if (a[1] == CAP_CAPTABLE) {
		a[5] = (d->first_number + OWN_TABLE_SIZE * below(t, NUMBERS / OWN_TABLE_SIZE)) |
		       (uint64_t)OWN_TABLE_SIZE << 32;
	}
}

static void choose_copy(struct thread_state *t, uint64_t a[6])
{
	a[0] = pick_object(t);
	a[1] = pick_table(t);
	a[2] = a[1] == SLOT_TABLE ? place_for(t) : below(t, OWN_TABLE_SIZE);
	a[3] = one_in(t, 4) ? below(t, 64) : RIGHT_ALL;
	a[4] = 0;
	if (domain_state()->hint[a[0]].type == CAP_THREAD && one_in(t, 2))
		a[4] = 1ul << below(t, 64);
	if (domain_state()->hint[a[0]].type == CAP_IRQ && one_in(t, 2))
		a[4] = 16 + below(t, 8), a[4] |= a[4] << 16;
}

static void choose_move(struct thread_state *t, uint64_t a[6])
{
	static const uint8_t types[4] = {CAP_FRAME, CAP_PORTAL, CAP_THREAD, CAP_UNTYPED};

	a[0] = one_in(t, 4) ? victim(t) : pick(t, types[below(t, 4)]);
	if (a[0] < SLOT_FREE)
		a[0] = victim(t);
	a[1] = SLOT_TABLE;
	a[2] = place_for(t);
}

static void choose_removal(struct thread_state *t, uint64_t number, uint64_t a[6])
{
	struct domain_state *d = domain_state();

	a[0] = pick_table(t);
	a[1] = a[0] == SLOT_TABLE ? victim(t) : below(t, OWN_TABLE_SIZE);
	if (number != CAIRN_CALL_REVOKE || a[0] != SLOT_TABLE)
		return;
	/* What is used up goes, so that there is memory again: of all it has only now and then. */
	if (d->revoke > SLOT_UNTYPED || (d->revoke && one_in(t, 8)))
		a[1] = d->revoke;
}

static void choose_link(struct thread_state *t, uint64_t a[6])
{
	const struct hint *hint = domain_state()->hint;
	uint32_t child = 0;

	for (uint32_t i = 0; i < 6 && (hint[child].type != CAP_PAGETABLE || hint[child].mapped);
	     i++)
		child = pick_detail(t, CAP_PAGETABLE, 0x0f, (uint8_t)(1 + below(t, 3)));
	a[0] = pick_detail(t, CAP_PAGETABLE, 0xff, (uint8_t)(hint[child].detail + 1));
	a[1] = 1 + below(t, one_in(t, 4) ? 255 : 8);
	a[2] = child;
}

static void choose_map(struct thread_state *t, uint64_t a[6])
{
	const struct hint *hint = domain_state()->hint;
	uint8_t large = one_in(t, 8), kind;

	a[0] = pick_detail(t, CAP_FRAME, 1, large);
	if (hint[a[0]].mapped)
		a[0] = pick_detail(t, CAP_FRAME, 1, large);
	a[1] = pick_detail(t, CAP_PAGETABLE, 0x0f, large ? 2 : 1);
	kind = hint[a[1]].detail >> 4 & 1;
	a[2] = 2 + below(t, one_in(t, 4) ? 510 : 16);
	a[3] = RIGHT_READ | (kind ? below(t, 8) : one_in(t, 2) ? RIGHT_WRITE : RIGHT_EXEC);
	a[4] = large ? pick_detail(t, CAP_PAGETABLE, 0xff, (uint8_t)(1 | kind << 4)) : 0;
}

static void choose_unmap(struct thread_state *t, uint64_t a[6])
{
	a[0] = pick(t, CAP_FRAME);
	for (uint32_t i = 0; i < 4 && !domain_state()->hint[a[0]].mapped; i++)
		a[0] = pick(t, CAP_FRAME);
}

static uint64_t choose_time(struct thread_state *t, uint64_t *budget, uint64_t *period)
{
	if (one_in(t, 4)) {
		*budget = 100 + below(t, 400);
		*period = *budget + below(t, 2000);
	}
	return 1 + below(t, PRIORITY_MAX);
}

/* Spoils one word of a configuration now and then. A valid priority stays one that lets the driver
 * run. */
static void mutate_words(struct thread_state *t, uint64_t *words, uint32_t count,
			 uint64_t *priority)
{
	uint32_t n = below(t, 8 * count);
	uint64_t a[6] = {0};

	if (n >= count)
		return;
	a[0] = a[1] = a[2] = a[3] = a[4] = a[5] = words[n];
	mutate(t, a);
	words[n] = a[below(t, 6)];
	if (*priority > PRIORITY_MAX)
		*priority |= 64;
}

static uint64_t any_cpu(struct thread_state *t)
{
	const struct domain_state *d = domain_state();

	return d->first_cpu + below(t, (uint32_t)(d->cpus - d->first_cpu));
}

static void choose_thread(unsigned place, uint64_t a[6])
{
	struct domain_state *d = domain_state();
	struct thread_state *t = &d->thread[place];
	struct thread_config *c = (struct thread_config *)buffer_of(place)->words;
	uint32_t other = DRIVER_THREADS + below(t, PLACES - DRIVER_THREADS);
	bool fresh = one_in(t, 2), handler = one_in(t, 2);

	a[0] = pick_detail(t, CAP_THREAD, 1, !fresh);
	a[1] = fresh ? THREAD_SPACE | THREAD_REGS | THREAD_UPCALLS | THREAD_TIME
		     : below(t, 8) * THREAD_REGS;
	*c = (struct thread_config){.space = SLOT_SPACE, .captable = SLOT_TABLE};
	c->buffer = one_in(t, 4) ? pick(t, CAP_FRAME) : SLOT_BUFFER + other;
	c->cpu = any_cpu(t);
	c->supervisor = one_in(t, 64) ? ~0ul : SLOT_SUPERVISOR + c->cpu;
	c->rip = one_in(t, 16) ? (uint64_t)below(t, 0x400) << 30
			       : (uint64_t)(handler ? domain_handler : domain_thread);
	c->rsp = DOMAIN_VA(PAGE_STACK + other + 1);
	c->fs_base = one_in(t, 4) ? random_word(t) >> 18 : 0;
	c->syscall_entry = one_in(t, 4) ? 0 : (uint64_t)domain_bounce;
	c->fault_entry = one_in(t, 8) ? (uint64_t)domain_fault : 0;
	c->ceiling = one_in(t, 4) ? below(t, PRIORITY_MAX + 2) : PRIORITY_MAX;
	if (!handler)
		c->priority = choose_time(t, &c->budget_us, &c->period_us);
	if (one_in(t, 32))
		c->space = pick_detail(t, CAP_PAGETABLE, 0xff, 4);
	mutate_words(t, &c->space, sizeof(*c) / 8, &c->priority);
	if (c->cpu < d->first_cpu)
		c->cpu = d->first_cpu;
}

static void choose_vcpu(unsigned place, uint64_t a[6])
{
	struct domain_state *d = domain_state();
	struct thread_state *t = &d->thread[place];
	struct vcpu_config *c = (struct vcpu_config *)buffer_of(place)->words;
	uint32_t n = below(t, 2);

	a[0] = pick_detail(t, CAP_VCPU, 1, 0);
	*c = (struct vcpu_config){
		.guest_root = SLOT_GUEST, .home = SLOT_SPACE, .captable = SLOT_TABLE};
	c->exit_base = SLOT_EXIT + EXIT_CLASSES * n;
	c->state = one_in(t, 2) ? SLOT_VCPU_PAGE + n : pick(t, CAP_FRAME);
	c->cpu = one_in(t, 32) ? any_cpu(t) : d->cpu[n];
	/* Some guests never leave by themselves. */
	c->priority = choose_time(t, &c->budget_us, &c->period_us);
	c->budget_us = 100 + below(t, 200);
	c->period_us = 10 * c->budget_us;
	if (one_in(t, 32))
		c->guest_root = pick_detail(t, CAP_PAGETABLE, 0xff, 4 | 1 << 4);
	mutate_words(t, &c->guest_root, sizeof(*c) / 8, &c->priority);
	if (!c->budget_us) { /* no limit: one whose exits change nothing would run for ever */
		c->budget_us = 100;
		c->period_us = 1000;
	}
	if (c->cpu < d->first_cpu)
		c->cpu = d->first_cpu;
}

static void choose_poison(struct thread_state *t, uint64_t a[6])
{
	struct domain_state *d = domain_state();
	uint32_t n = below(t, BAD_FRAMES + 1);

	if (!d->cursor) {
		d->poison_page = d->bad_page[n];
		if (n == BAD_FRAMES - 1 && d->poison_page)
			d->poison_page += (uint64_t)below(t, 512) << PAGE_BITS_4K;
	}
	a[0] = SLOT_ERRORS;
	a[1] = d->poison_page;
	a[2] = d->cursor;
}

static void choose_portal(struct thread_state *t, uint64_t a[6])
{
	uint32_t n = below(t, 2);

	a[0] = SLOT_THREAD + 2 + n;
	a[1] = SLOT_TABLE;
	a[2] = SLOT_EXIT + EXIT_CLASSES * n + below(t, EXIT_CLASSES);
	a[3] = n;
	a[4] = below(t, VCPU_MTD_ALL + 1);
	if (one_in(t, 2))
		return;
	a[0] = pick(t, CAP_THREAD);
	a[2] = place_for(t);
	a[3] = below(t, 16);
}

/* A handler of this domain or of another. */
static void choose_call(struct thread_state *t, unsigned place, uint64_t a[6])
{
	/* Those of the driver's threads that are on its CPU. */
	a[0] = one_in(t, 2) ? SLOT_PEER + (below(t, PEERS) & ~1u) + (place & 1)
			    : pick(t, CAP_PORTAL);
	for (uint32_t i = 1; i < 5; i++)
		a[i] = random_word(t);
	a[5] = below(t, MESSAGE_WORDS + 1);
}

static void choose_ports(struct thread_state *t, uint64_t a[6])
{
	a[0] = pick(t, CAP_IOPORTS);
	a[1] = 0x80 + below(t, 8);
	a[2] = 1u << below(t, 3);
	a[3] = random_word(t);
}

/* Both kinds of context that can be resumed, suspended or recalled. */
static uint32_t pick_context(struct thread_state *t)
{
	return pick_detail(t, one_in(t, 2) ? CAP_THREAD : CAP_VCPU, 1, !one_in(t, 8));
}

void choose(unsigned place, uint64_t number, uint64_t a[6])
{
	struct domain_state *d = domain_state();
	struct thread_state *t = &d->thread[place];

	for (uint32_t i = 0; i < 6; i++)
		a[i] = 0;
	switch (number) {
	case CAIRN_CALL_CALL:
		choose_call(t, place, a);
		break;
	case CAIRN_CALL_SIGNAL:
		a[0] = one_in(t, 2) ? SLOT_THREAD + below(t, 2) : pick(t, CAP_THREAD);
		break;
	case CAIRN_CALL_RETYPE:
		choose_retype(t, a);
		break;
	case CAIRN_CALL_COPY:
		choose_copy(t, a);
		break;
	case CAIRN_CALL_MOVE:
		choose_move(t, a);
		break;
	case CAIRN_CALL_DELETE:
	case CAIRN_CALL_REVOKE:
		choose_removal(t, number, a);
		break;
	case CAIRN_CALL_PAGETABLE_LINK:
		choose_link(t, a);
		break;
	case CAIRN_CALL_MAP:
		choose_map(t, a);
		break;
	case CAIRN_CALL_UNMAP:
		choose_unmap(t, a);
		break;
	case CAIRN_CALL_THREAD_CONFIGURE:
		choose_thread(place, a);
		break;
	case CAIRN_CALL_VCPU_CONFIGURE:
		choose_vcpu(place, a);
		break;
	case CAIRN_CALL_RESUME:
	case CAIRN_CALL_SUSPEND:
		a[0] = pick_context(t);
		break;
	case CAIRN_CALL_PORTAL_CREATE:
		choose_portal(t, a);
		break;
	case CAIRN_CALL_RECALL:
		a[0] = pick_detail(t, CAP_VCPU, 1, 1);
		break;
	case CAIRN_CALL_IRQ_BIND:
	case CAIRN_CALL_IRQ_ACK:
		a[0] = one_in(t, 2) ? SLOT_IRQ : pick(t, CAP_IRQ);
		a[1] = pick_detail(t, CAP_THREAD, 1, 1);
		break;
	case CAIRN_CALL_PORT_IN:
	case CAIRN_CALL_PORT_OUT:
		choose_ports(t, a);
		break;
	case CAIRN_CALL_SET_FS:
		a[0] = random_word(t) >> (one_in(t, 2) ? 16 : 18);
		break;
	case CAIRN_CALL_MC_BIND:
		a[0] = pick(t, CAP_MACHINECHECK);
		a[1] = pick_detail(t, CAP_THREAD, 1, 1);
		break;
	case CAIRN_CALL_MC_HARVEST:
		a[0] = pick(t, CAP_MACHINECHECK);
		a[1] = below(t, (uint32_t)d->cpus);
		break;
	case CAIRN_CALL_MC_POISON:
		choose_poison(t, a);
		break;
	case CAIRN_CALL_MC_THAW:
		a[0] = pick(t, CAP_MACHINECHECK);
		a[1] = pick(t, CAP_VCPU);
		break;
	case CAIRN_CALL_SERIAL:
		a[0] = one_in(t, 4) ? pick(t, CAP_IOPORTS) : SLOT_COM;
		break;
	case CAIRN_CALL_CPU_START: /* a CPU that is not there is waited for: ids of no machine
				      instead */
		a[0] = SLOT_CPUS;
		a[1] = one_in(t, 4) ? 255 + below(t, 16) : d->next_apic;
		break;
	case CAIRN_CALL_DEBUG_CHECK:
		a[0] = 2; /* how many are watched */
		break;
	default: /* identify, reply, wait, debug_write (of nothing) */
		break;
	}
}

void mutate(struct thread_state *t, uint64_t a[6])
{
	static const uint64_t edges[16] = {0x1000,
					   0x200000,
					   0xffff800000000000ul,
					   ~0ul,
					   1ul << 63,
					   1ul << 32,
					   511,
					   512,
					   0x104,
					   0x7f8000000000ul,
					   0x7f7ffffffffful,
					   0xff,
					   RIGHT_ALL,
					   SLOTS,
					   1ul << 24,
					   0xffffffff};
	uint64_t *one = &a[below(t, 6)];

	switch (below(t, 6)) {
	case 0:
		*one = edges[below(t, 16)];
		break;
	case 1:
		*one = random_word(t);
		break;
	case 2:
		*one ^= 1ul << below(t, 64);
		break;
	case 3:
		*one = below(t, 16);
		break;
	case 4:
		*one = a[below(t, 6)];
		break;
	default:
		*one = pick_object(t);
	}
}

static void learn_new(struct hint *hint, uint8_t type, uint8_t detail)
{
	*hint = (struct hint){.type = type, .detail = detail};
}

static void learn_retype(struct hint *hint, const uint64_t a[6])
{
	uint8_t detail = 0;

	if (a[1] == CAP_UNTYPED)
		detail = (uint8_t)a[2];
	else if (a[1] == CAP_FRAME)
		detail = a[2] == PAGE_BITS_2M;
	else if (a[1] == CAP_PAGETABLE)
		detail = (uint8_t)((a[5] & 0xf) | (a[5] >> 8 & 1) << 4);
	learn_new(&hint[a[4]], (uint8_t)a[1], detail);
}

/* Only of the domain's own table, and only what its size lets be a selector. */
static void learn_accepted(uint64_t number, const uint64_t a[6], struct hint *hint)
{
	uint64_t s = a[0] < SLOTS ? a[0] : 0;

	switch (number) {
	case CAIRN_CALL_RETYPE:
		if (a[3] == SLOT_TABLE && a[4] < SLOTS)
			learn_retype(hint, a);
		break;
	case CAIRN_CALL_COPY:
		if (a[1] == SLOT_TABLE && a[2] < SLOTS)
			learn_new(&hint[a[2]], hint[s].type,
				  hint[s].type == CAP_IRQ ? a[4] != 0 : hint[s].detail);
		break;
	case CAIRN_CALL_MOVE:
		if (a[1] == SLOT_TABLE && a[2] < SLOTS)
			hint[a[2]] = hint[s];
		hint[s].type = CAP_FREE;
		break;
	case CAIRN_CALL_DELETE:
		if (a[0] == SLOT_TABLE && a[1] < SLOTS)
			hint[a[1]].type = CAP_FREE;
		break;
	case CAIRN_CALL_PAGETABLE_LINK:
		hint[a[2] < SLOTS ? a[2] : 0].mapped = 1;
		break;
	case CAIRN_CALL_MAP:
	case CAIRN_CALL_UNMAP:
		hint[s].mapped = number == CAIRN_CALL_MAP;
		break;
	case CAIRN_CALL_THREAD_CONFIGURE:
	case CAIRN_CALL_VCPU_CONFIGURE:
		hint[s].detail = 1;
		break;
	case CAIRN_CALL_PORTAL_CREATE:
		if (a[1] == SLOT_TABLE && a[2] < SLOTS)
			learn_new(&hint[a[2]], CAP_PORTAL, 0);
		break;
	default:
		break;
	}
}

void learn(uint64_t number, const uint64_t a[6], uint64_t status, const uint64_t out[6])
{
	struct domain_state *d = domain_state();
	uint64_t s = a[0] < SLOTS ? a[0] : 0;

	if (number == CAIRN_CALL_CPU_START && status == CAIRN_OK)
		d->started = out[0];
	if (number == CAIRN_CALL_MC_POISON)
		d->cursor = status == CAIRN_OK ? out[0] : 0;
	uint64_t to = number == CAIRN_CALL_RETYPE ? a[4] : a[2];
	bool places = number == CAIRN_CALL_RETYPE
			      ? a[3] == SLOT_TABLE
			      : a[1] == SLOT_TABLE &&
					(number == CAIRN_CALL_COPY || number == CAIRN_CALL_MOVE ||
					 number == CAIRN_CALL_PORTAL_CREATE);

	if (status == CAIRN_ERR_BUSY && places && to < SLOTS && d->hint[to].type == CAP_FREE)
		d->hint[to].type = TYPE_UNKNOWN;
	if (number == CAIRN_CALL_REVOKE && a[1] == d->revoke && status != CAIRN_ERR_AGAIN)
		d->revoke = 0;
	if (status == CAIRN_OK)
		learn_accepted(number, a, d->hint);
	else if (status == CAIRN_ERR_CAP && number != CAIRN_CALL_DELETE &&
		 number != CAIRN_CALL_REVOKE && s >= SLOT_FREE)
		d->hint[s].type = CAP_FREE; /* perhaps; it is tried again soon enough */
	else if (status == CAIRN_ERR_MEMORY && number == CAIRN_CALL_RETYPE)
		d->revoke = s;
	else if (number == CAIRN_CALL_UNMAP && status == CAIRN_ERR_STATE)
		d->hint[s].mapped = 0;
	else if (status == CAIRN_ERR_CAP && a[0] == SLOT_TABLE && a[1] >= SLOT_EXIT && a[1] < SLOTS)
		d->hint[a[1]].type = CAP_FREE;
}
