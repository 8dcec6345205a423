/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC: registers, interrupt priorities, timer. */
#include <string.h>
#include "dev/lapic.h"

#define VERSION		     0x00060014u /* 7 LVT entries; 0x14: an integrated APIC (SDM 10.4.8) */
#define SVR_RESET	     0x000000ffu
#define SVR_ENABLE	     (1u << 8)
#define SVR_WRITABLE	     0x3ffu
#define LVT_MASKED	     (1u << 16)
#define LVT_VECTOR	     0xffu
#define TIMER_MODE	     (3u << 17)
#define TIMER_ONE_SHOT	     (0u << 17)
#define TIMER_PERIODIC	     (1u << 17)
#define TIMER_TSC_DEADLINE   (2u << 17)
#define ESR_SEND_ILLEGAL     (1u << 5)
#define ESR_RECEIVE_ILLEGAL  (1u << 6)
#define ESR_ILLEGAL_REGISTER (1u << 7)
#define BASE_BOOTSTRAP	     (1ull << 8)
#define BASE_ENABLE	     (1ull << 11)
#define LOWEST_VECTOR	     16u
/* In ticks of the TSC, a tenth of a millisecond or so: a periodic timer that takes the CPU for less
 * would leave the guest none of it. */
#define PERIOD_MIN 200000ull

enum lvt { LVT_CMCI, LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR };

/* Bits of each entry that can be written (SDM figure 10-8). */
static const uint32_t lvt_writable[LAPIC_LVTS] = {
	[LVT_CMCI] = 0x107ff,  [LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
	[LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff, [LVT_ERROR] = 0x100ff,
};

void lapic_reset(struct lapic *lapic, uint8_t id, bool bootstrap)
{
	memset(lapic, 0, sizeof(*lapic));
	lapic->id = id;
	lapic->bootstrap = bootstrap;
	lapic->enabled = true;
	lapic->dfr = 0xffffffffu;
	lapic->svr = SVR_RESET;
	for (unsigned i = 0; i < LAPIC_LVTS; i++)
		lapic->lvt[i] = LVT_MASKED;
}

static bool bit(const uint32_t *map, unsigned vector)
{
	return map[vector / 32] >> (vector % 32) & 1;
}

static void set_bit(uint32_t *map, unsigned vector)
{
	map[vector / 32] |= 1u << (vector % 32);
}

static void clear_bit(uint32_t *map, unsigned vector)
{
	map[vector / 32] &= ~(1u << (vector % 32));
}

static void note_words(uint32_t *words, const uint32_t *map, unsigned vector)
{
	uint32_t word = 1u << (vector / 32);

	*words = map[vector / 32] ? *words | word : *words & ~word;
}

static void set_request(struct lapic *lapic, unsigned vector, bool on)
{
	if (on)
		set_bit(lapic->irr, vector);
	else
		clear_bit(lapic->irr, vector);
	note_words(&lapic->irr_words, lapic->irr, vector);
}

static void set_service(struct lapic *lapic, unsigned vector, bool on)
{
	if (on)
		set_bit(lapic->isr, vector);
	else
		clear_bit(lapic->isr, vector);
	note_words(&lapic->isr_words, lapic->isr, vector);
}

static int highest(const uint32_t *map, uint32_t words)
{
	int word;

	if (words == 0)
		return -1;
	word = 31 - __builtin_clz(words);
	return word * 32 + 31 - __builtin_clz(map[word]);
}

static uint32_t timer_shift(const struct lapic *lapic)
{
	uint32_t code = (lapic->timer_divide & 3) | (lapic->timer_divide >> 1 & 4);

	return (code + 1) & 7; /* SDM figure 10-10: 0: by 2 … 6: by 128, 7: by 1 */
}

static uint32_t timer_current(const struct lapic *lapic, uint64_t now)
{
	uint64_t left;

	if ((lapic->lvt[LVT_TIMER] & TIMER_MODE) >= TIMER_TSC_DEADLINE)
		return 0;
	if (lapic->timer_deadline <= now)
		return 0;
	left = (lapic->timer_deadline - now) >> timer_shift(lapic);
	/* A period that was stretched (PERIOD_MIN) shows its beginning for longer. */
	return left < lapic->timer_initial ? (uint32_t)left : lapic->timer_initial;
}

static uint32_t priority(const struct lapic *lapic)
{
	int in_service = highest(lapic->isr, lapic->isr_words);
	uint32_t service = in_service < 0 ? 0 : (uint32_t)in_service & 0xf0;

	return (lapic->tpr & 0xf0) >= service ? lapic->tpr : service;
}

static int lvt_index(uint32_t offset)
{
	if (offset == LAPIC_LVT_CMCI)
		return LVT_CMCI;
	if (offset >= LAPIC_LVT_TIMER && offset <= LAPIC_LVT_ERROR)
		return (int)((offset - LAPIC_LVT_TIMER) / 16) + LVT_TIMER;
	return -1;
}

static uint32_t read_other(struct lapic *lapic, uint32_t offset)
{
	int lvt = lvt_index(offset);

	if (lvt >= 0)
		return lapic->lvt[lvt];
	if (offset >= LAPIC_ISR && offset < LAPIC_ISR + 0x80)
		return lapic->isr[(offset - LAPIC_ISR) / 16];
	if (offset >= LAPIC_TMR && offset < LAPIC_TMR + 0x80)
		return lapic->tmr[(offset - LAPIC_TMR) / 16];
	if (offset >= LAPIC_IRR && offset < LAPIC_IRR + 0x80)
		return lapic->irr[(offset - LAPIC_IRR) / 16];
	lapic->esr_latched |= ESR_ILLEGAL_REGISTER;
	return 0;
}

uint32_t lapic_read(struct lapic *lapic, uint32_t offset, uint64_t now)
{
	switch (offset) {
	case LAPIC_ID:
		return (uint32_t)lapic->id << 24;
	case LAPIC_VERSION:
		return VERSION;
	case LAPIC_TPR:
		return lapic->tpr;
	case LAPIC_APR:
	case LAPIC_PPR:
		return priority(lapic);
	case LAPIC_EOI:
		return 0;
	case LAPIC_LDR:
		return lapic->ldr;
	case LAPIC_DFR:
		return lapic->dfr;
	case LAPIC_SVR:
		return lapic->svr;
	case LAPIC_ESR:
		return lapic->esr;
	case LAPIC_ICR_LOW:
		return lapic->icr_low;
	case LAPIC_ICR_HIGH:
		return lapic->icr_high;
	case LAPIC_TIMER_INITIAL:
		return lapic->timer_initial;
	case LAPIC_TIMER_CURRENT:
		return timer_current(lapic, now);
	case LAPIC_TIMER_DIVIDE:
		return lapic->timer_divide;
	default:
		return read_other(lapic, offset);
	}
}

static void end_of_interrupt(struct lapic *lapic, struct lapic_effects *effects)
{
	int vector = highest(lapic->isr, lapic->isr_words);

	if (vector < 0)
		return;
	set_service(lapic, (unsigned)vector, false);
	if (bit(lapic->tmr, (unsigned)vector)) {
		effects->eoi = true;
		effects->eoi_vector = (uint8_t)vector;
	}
}

static void send(struct lapic *lapic, uint32_t value, struct lapic_effects *effects)
{
	struct apic_message *message = &effects->message;

	lapic->icr_low = value & 0xccfffu & ~(1u << 12); /* delivery is always done at once */
	message->vector = (uint8_t)value;
	message->delivery = value >> 8 & 7;
	message->logical = value >> 11 & 1;
	message->assert = value >> 14 & 1;
	message->level = value >> 15 & 1;
	message->shorthand = value >> 18 & 3;
	message->destination = (uint8_t)(lapic->icr_high >> 24);
	if (message->delivery <= APIC_LOWEST && message->vector < LOWEST_VECTOR) {
		lapic->esr_latched |= ESR_SEND_ILLEGAL;
		return;
	}
	effects->send = true;
}

static void write_lvt(struct lapic *lapic, unsigned index, uint32_t value)
{
	uint32_t old_mode = lapic->lvt[LVT_TIMER] & TIMER_MODE;

	lapic->lvt[index] = value & lvt_writable[index];
	if (!(lapic->svr & SVR_ENABLE))
		lapic->lvt[index] |= LVT_MASKED; /* SDM 10.4.7.2 */
	/* Changing to or from TSC-deadline mode disarms the timer (SDM 10.5.4.1). */
	if (index == LVT_TIMER && ((old_mode ^ lapic->lvt[index]) & TIMER_TSC_DEADLINE)) {
		lapic->timer_deadline = 0;
		lapic->timer_initial = 0;
	}
}

static void write_svr(struct lapic *lapic, uint32_t value)
{
	lapic->svr = value & SVR_WRITABLE;
	if (lapic->svr & SVR_ENABLE)
		return;
	for (unsigned i = 0; i < LAPIC_LVTS; i++)
		lapic->lvt[i] |= LVT_MASKED;
}

static void write_timer(struct lapic *lapic, uint32_t value, uint64_t now)
{
	if ((lapic->lvt[LVT_TIMER] & TIMER_MODE) >= TIMER_TSC_DEADLINE)
		return;
	lapic->timer_initial = value;
	lapic->timer_deadline = value ? now + ((uint64_t)value << timer_shift(lapic)) : 0;
}

/* A running count keeps its remaining ticks when the divisor changes. */
static void write_divide(struct lapic *lapic, uint32_t value, uint64_t now)
{
	uint32_t left = timer_current(lapic, now);

	lapic->timer_divide = value & 0xb;
	if (left)
		lapic->timer_deadline = now + ((uint64_t)left << timer_shift(lapic));
}

static void write_other(struct lapic *lapic, uint32_t offset, uint32_t value)
{
	int lvt = lvt_index(offset);

	if (lvt >= 0)
		write_lvt(lapic, (unsigned)lvt, value);
	else if (offset != LAPIC_ID && offset != LAPIC_VERSION && offset != LAPIC_TIMER_CURRENT)
		lapic->esr_latched |= ESR_ILLEGAL_REGISTER;
}

void lapic_write(struct lapic *lapic, uint32_t offset, uint32_t value, uint64_t now,
		 struct lapic_effects *effects)
{
	switch (offset) {
	case LAPIC_TPR:
		lapic->tpr = value & 0xff;
		break;
	case LAPIC_EOI:
		end_of_interrupt(lapic, effects);
		break;
	case LAPIC_LDR:
		lapic->ldr = value & 0xff000000u;
		break;
	case LAPIC_DFR:
		lapic->dfr = value | 0x0fffffffu;
		break;
	case LAPIC_SVR:
		write_svr(lapic, value);
		break;
	case LAPIC_ESR: /* a write moves what was collected into view (SDM 10.5.3) */
		lapic->esr = lapic->esr_latched;
		lapic->esr_latched = 0;
		break;
	case LAPIC_ICR_LOW:
		send(lapic, value, effects);
		break;
	case LAPIC_ICR_HIGH:
		lapic->icr_high = value & 0xff000000u;
		break;
	case LAPIC_TIMER_INITIAL:
		write_timer(lapic, value, now);
		break;
	case LAPIC_TIMER_DIVIDE:
		write_divide(lapic, value, now);
		break;
	default:
		write_other(lapic, offset, value);
		break;
	}
}

uint64_t lapic_read_base(const struct lapic *lapic)
{
	return LAPIC_DEFAULT_BASE | (lapic->bootstrap ? BASE_BOOTSTRAP : 0) |
	       (lapic->enabled ? BASE_ENABLE : 0);
}

bool lapic_write_base(struct lapic *lapic, uint64_t value)
{
	uint64_t fixed = LAPIC_DEFAULT_BASE | (lapic->bootstrap ? BASE_BOOTSTRAP : 0);

	if ((value & ~BASE_ENABLE) != fixed)
		return false;
	lapic->enabled = value & BASE_ENABLE;
	return true;
}

uint64_t lapic_read_deadline(const struct lapic *lapic)
{
	if ((lapic->lvt[LVT_TIMER] & TIMER_MODE) != TIMER_TSC_DEADLINE)
		return 0;
	return lapic->timer_deadline;
}

void lapic_write_deadline(struct lapic *lapic, uint64_t value)
{
	/* Ignored in the other modes (SDM 10.5.4.1). */
	if ((lapic->lvt[LVT_TIMER] & TIMER_MODE) == TIMER_TSC_DEADLINE)
		lapic->timer_deadline = value;
}

void lapic_tsc_moved(struct lapic *lapic, uint64_t by)
{
	if ((lapic->lvt[LVT_TIMER] & TIMER_MODE) < TIMER_TSC_DEADLINE && lapic->timer_deadline)
		lapic->timer_deadline += by;
}

bool lapic_is_on(const struct lapic *lapic)
{
	return lapic->enabled && (lapic->svr & SVR_ENABLE);
}

void lapic_accept(struct lapic *lapic, uint8_t vector, bool level)
{
	if (!lapic_is_on(lapic))
		return;
	if (vector < LOWEST_VECTOR) {
		lapic->esr_latched |= ESR_RECEIVE_ILLEGAL;
		return;
	}
	set_request(lapic, vector, true);
	if (level)
		set_bit(lapic->tmr, vector);
	else
		clear_bit(lapic->tmr, vector);
}

int lapic_pending(const struct lapic *lapic)
{
	int request = highest(lapic->irr, lapic->irr_words);
	int service;

	if (request < 0)
		return -1;
	service = highest(lapic->isr, lapic->isr_words);
	if (service >= 0 && request >> 4 <= service >> 4)
		return -1;
	return request;
}

void lapic_take(struct lapic *lapic, uint8_t vector)
{
	set_request(lapic, vector, false);
	set_service(lapic, vector, true);
}

void lapic_untake(struct lapic *lapic, uint8_t vector)
{
	set_service(lapic, vector, false);
	set_request(lapic, vector, true);
}

bool lapic_timer_expire(struct lapic *lapic, uint64_t now)
{
	uint32_t mode = lapic->lvt[LVT_TIMER] & TIMER_MODE;
	uint64_t period = (uint64_t)lapic->timer_initial << timer_shift(lapic);

	if (lapic->timer_deadline == 0 || lapic->timer_deadline > now)
		return false;
	if (mode == TIMER_PERIODIC && period) {
		period = period < PERIOD_MIN ? PERIOD_MIN : period;
		/* Periods that passed unnoticed are one interrupt, as they would be in IRR. */
		lapic->timer_deadline += ((now - lapic->timer_deadline) / period + 1) * period;
	} else {
		lapic->timer_deadline = 0;
	}
	if (!(lapic->lvt[LVT_TIMER] & LVT_MASKED))
		lapic_accept(lapic, lapic->lvt[LVT_TIMER] & LVT_VECTOR, false);
	return true;
}

static bool matches_logical(const struct lapic *lapic, uint8_t destination)
{
	uint8_t own = (uint8_t)(lapic->ldr >> 24);

	if (destination == 0xff)
		return true;
	if (lapic->dfr >> 28 == 0xf)
		return own & destination; /* flat */
	return (own >> 4 == destination >> 4) && (own & destination & 0xf);
}

bool lapic_matches(const struct lapic *lapic, const struct apic_message *message, bool from_self)
{
	switch (message->shorthand) {
	case APIC_TO_SELF:
		return from_self;
	case APIC_TO_ALL:
		return true;
	case APIC_TO_OTHERS:
		return !from_self;
	default:
		break;
	}
	if (message->logical)
		return matches_logical(lapic, message->destination);
	return message->destination == 0xff || message->destination == lapic->id;
}
