/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of exit handling, and what they call of each other. All of it runs in handler threads.
 */
#ifndef VMM_EXIT_H
#define VMM_EXIT_H

#include <stdbool.h>
#include <stdint.h>
#include <cairn/guestmem.h>
#include "main/vm.h"

#define RFLAGS_TF (1ull << 8)
#define RFLAGS_IF (1ull << 9)
#define RFLAGS_RF (1ull << 16)

/* ---- dispatch.c ---- */

/* Groups of state that the portal of each exit class copies (mask of portal_create). */
extern const uint32_t exit_groups[EXIT_CLASSES];

/* The handler of all exit portals (cairn_handler_fn). */
void exit_entry(uint64_t badge, uint64_t exit_class, uint64_t w2, uint64_t w3, uint64_t w4,
		uint64_t count);

/* The same up to the reply: returns the reply's w1. */
uint64_t exit_dispatch(struct vcpu *v, uint64_t exit_class);

/* ---- events.c: what surrounds each exit ---- */

/* Takes note of what the CPU did since the last exit; F becomes v->event (R-RES-2). */
void exit_begin(struct vcpu *v, uint64_t exit_class);
/* Chooses what to inject, the interrupt on offer, the deadline, halt or not; returns the reply's
 * w1. */
uint64_t exit_end(struct vcpu *v, uint64_t exit_class);

/* Raises a fault at the current instruction, by the nesting rules; cr2 counts for #PF. */
void raise_fault(struct vcpu *v, uint32_t vector, uint32_t error, uint64_t cr2);
void raise_event(struct vcpu *v, struct event x, uint64_t cr2);
static inline void raise_gp(struct vcpu *v)
{
	raise_fault(v, VECTOR_GP, 0, 0);
}
static inline void raise_ud(struct vcpu *v)
{
	raise_fault(v, VECTOR_UD, 0, 0);
}

/* The instruction of `length` bytes is done (R-RES-6). */
void retire(struct vcpu *v, unsigned length);
/* The same when RIP was moved already. */
void retired(struct vcpu *v);

/* The page at gpa is lost and the current instruction needs it: the action-required vMCE. */
void raise_lost_page(struct vcpu *v, uint64_t gpa);

/* ---- insn.c: instructions ---- */

static inline struct insn_place *insn_place(struct vcpu *v, uint64_t rip)
{
	return &v->insn[(rip ^ rip >> 6) % INSN_CACHE];
}

/*
 * Length of the instruction at RIP, if it is an `op` that was seen at this address before; 0: it is
 * not known. The place was found through the page tables then, and its bytes are compared each
 * time. An address space that has the same instruction with other prefixes at the same address is
 * mistaken only while the page that it was seen in still holds the old bytes.
 */
static inline unsigned insn_remembered(struct vcpu *v, enum emu_op op)
{
	const struct insn_place *place = insn_place(v, v->state->rip);
	uint64_t word;

	if (place->rip != v->state->rip || place->op != op || !guestmem_peek8(place->at, &word))
		return 0;
	return (word & place->mask) == place->bytes ? place->length : 0;
}

/* Length of the exiting instruction, known to be `op`; 0: not known without all state
 * (redo_with_all_state). */
unsigned insn_length(struct vcpu *v, enum emu_op op);
/* Makes the vCPU come back with all groups of state, and then emulates what is at RIP. */
void redo_with_all_state(struct vcpu *v, int32_t port);
/* Emulates the instruction at RIP; needs the groups CR and SEG. */
void emulate(struct vcpu *v, int32_t port);
/* The operation of the instruction at RIP; EMU_OTHER where it cannot be fetched. Needs the groups
 * CR and SEG. */
enum emu_op peek_op(struct vcpu *v);
/* Whether the instruction could be finished with what is here: single steps need the debug
 * registers. */
static inline bool needs_redo(const struct vcpu *v)
{
	return (v->state->rflags & RFLAGS_TF) && !(v->have & VCPU_MTD_DR);
}

/* ---- memory.c: the guest's linear addresses, RAM and memory-mapped devices ---- */

struct access_context {
	struct emu_ctx emu; /* first: callbacks get its address */
	struct vcpu *v;
	bool lost;	   /* an access hit a lost page … */
	uint64_t lost_gpa; /* … here */
};
void access_begin(struct access_context *access, struct vcpu *v, int32_t port);
/* Fetches up to 15 bytes at RIP: EMU_DONE and *n of them, or EMU_FAULT, EMU_ABORTED, EMU_AGAIN. */
enum emu_result access_fetch(struct access_context *access, uint8_t bytes[EMU_MAX_LENGTH],
			     unsigned *n, uint64_t *gpa);

/* ---- io.c, msr.c, cr.c ---- */

uint32_t io_read(struct vcpu *v, uint16_t port, unsigned size);
void io_write(struct vcpu *v, uint16_t port, unsigned size, uint32_t value);
/* The UART's line or the console's ring may have changed. */
void io_poll(struct vcpu *v);
/* Tells the console of what is in its ring if that is due. */
void io_flush(bool now);

enum msr_result { MSR_DONE, MSR_FAULT, MSR_NEEDS_STATE };
enum msr_result msr_read(struct vcpu *v, uint32_t msr, uint64_t *value);
enum msr_result msr_write(struct vcpu *v, uint32_t msr, uint64_t value);

/* Control and debug register instructions; insn is decoded, nothing is retired on a fault. */
void cr_emulate(struct vcpu *v, const struct emu_insn *insn);
void dr_emulate(struct vcpu *v, const struct emu_insn *insn);

/* ---- bus.c: between the APICs, and out of the VM ---- */

void bus_send(struct vcpu *from, const struct apic_message *message);
/* Sends what the I/O APIC has pending. */
void bus_ioapic(struct vcpu *v);
uint32_t bus_mmio_read(struct vcpu *v, uint64_t gpa);
void bus_mmio_write(struct vcpu *v, uint64_t gpa, uint32_t value);
bool bus_is_mmio(uint64_t gpa);
/* The guest ends: no vCPU enters again, and the control thread tells the root-task. */
void bus_end_vm(struct vcpu *v, enum end_kind kind, uint32_t value);

void bus_wake_control(void);

/* Says a thing once per number (of at most 64 different ones), to keep a guest from flooding the
 * log. */
bool first_time(uint64_t number);

#endif
