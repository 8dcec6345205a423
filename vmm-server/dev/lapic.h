/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC of one vCPU in xAPIC mode (SDM 3A chapter 10): registers, priorities, timer. Time
 * is the TSC. */
#ifndef VMM_LAPIC_H
#define VMM_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#define LAPIC_DEFAULT_BASE 0xfee00000ull
#define LAPIC_SIZE	   0x1000ull

/* clang-format off */
enum lapic_register {
	LAPIC_ID = 0x020, LAPIC_VERSION = 0x030, LAPIC_TPR = 0x080, LAPIC_APR = 0x090, LAPIC_PPR = 0x0a0,
	LAPIC_EOI = 0x0b0, LAPIC_LDR = 0x0d0, LAPIC_DFR = 0x0e0, LAPIC_SVR = 0x0f0, LAPIC_ISR = 0x100,
	LAPIC_TMR = 0x180, LAPIC_IRR = 0x200, LAPIC_ESR = 0x280, LAPIC_LVT_CMCI = 0x2f0,
	LAPIC_ICR_LOW = 0x300, LAPIC_ICR_HIGH = 0x310, LAPIC_LVT_TIMER = 0x320, LAPIC_LVT_THERMAL = 0x330,
	LAPIC_LVT_PERF = 0x340, LAPIC_LVT_LINT0 = 0x350, LAPIC_LVT_LINT1 = 0x360, LAPIC_LVT_ERROR = 0x370,
	LAPIC_TIMER_INITIAL = 0x380, LAPIC_TIMER_CURRENT = 0x390, LAPIC_TIMER_DIVIDE = 0x3e0,
};
/* clang-format on */

enum apic_delivery {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_SIPI = 6,
	APIC_EXTINT = 7,
};
enum apic_shorthand {
	APIC_TO_DESTINATION = 0,
	APIC_TO_SELF = 1,
	APIC_TO_ALL = 2,
	APIC_TO_OTHERS = 3
};

/* What travels between APICs. */
struct apic_message {
	uint8_t vector;
	uint8_t delivery;  /* enum apic_delivery */
	uint8_t shorthand; /* enum apic_shorthand */
	uint8_t destination;
	bool logical, level, assert;
};

#define LAPIC_LVTS 7 /* CMCI, timer, thermal, performance, LINT0, LINT1, error */

struct lapic {
	uint8_t id;
	bool bootstrap;
	bool enabled; /* IA32_APIC_BASE bit 11 */
	uint32_t irr[8], isr[8], tmr[8];
	uint32_t irr_words, isr_words; /* which of the eight are not 0 */
	uint32_t tpr, ldr, dfr, svr, esr, esr_latched, icr_low, icr_high;
	uint32_t lvt[LAPIC_LVTS];
	uint32_t timer_initial, timer_divide;
	uint64_t timer_deadline; /* absolute TSC of the next expiry; 0: not armed */
};

/* What a register write asks of the rest of the VM. */
struct lapic_effects {
	bool eoi; /* a level-triggered vector was ended: tell the I/O APIC */
	uint8_t eoi_vector;
	bool send;
	struct apic_message message;
};

/* State after RESET or INIT (SDM 10.4.7). */
void lapic_reset(struct lapic *lapic, uint8_t id, bool bootstrap);

/* 32-bit accesses at offset (a multiple of 16) of the page. Unknown ones read 0 and set the ESR. */
uint32_t lapic_read(struct lapic *lapic, uint32_t offset, uint64_t now);
void lapic_write(struct lapic *lapic, uint32_t offset, uint32_t value, uint64_t now,
		 struct lapic_effects *effects);

/* IA32_APIC_BASE and IA32_TSC_DEADLINE; false: #GP(0). Only the default base and xAPIC mode exist.
 */
uint64_t lapic_read_base(const struct lapic *lapic);
bool lapic_write_base(struct lapic *lapic, uint64_t value);
uint64_t lapic_read_deadline(const struct lapic *lapic);
void lapic_write_deadline(struct lapic *lapic, uint64_t value);

/* The guest set its TSC forward by `by` (modulo 2^64): a deadline stays where it is, a count goes
 * on. */
void lapic_tsc_moved(struct lapic *lapic, uint64_t by);

/* A fixed or lowest-priority interrupt arrives. */
void lapic_accept(struct lapic *lapic, uint8_t vector, bool level);

/* Whether it would: not while it is off, in hardware or software. */
bool lapic_is_on(const struct lapic *lapic);

/* Highest vector in IRR that the vectors in service do not block; -1: none. TPR is the CPU's
 * business (CR8). */
int lapic_pending(const struct lapic *lapic);

/* The CPU took this vector: IRR -> ISR; lapic_untake: its delivery did not happen after all
 * (R-RES-5). */
void lapic_take(struct lapic *lapic, uint8_t vector);
void lapic_untake(struct lapic *lapic, uint8_t vector);

/* Lets the timer expire if its time has come; true: it did. */
bool lapic_timer_expire(struct lapic *lapic, uint64_t now);

/* Whether the message is for this APIC (SDM 10.6.2; flat and cluster model). from_self: it sent it.
 */
bool lapic_matches(const struct lapic *lapic, const struct apic_message *message, bool from_self);

#endif
