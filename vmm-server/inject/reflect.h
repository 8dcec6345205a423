/* SPDX-License-Identifier: BSD-2-Clause */
/* What becomes of an exception that arises while another event is being delivered; entry checks of
 * an injection. */
#ifndef VMM_REFLECT_H
#define VMM_REFLECT_H

#include <stdbool.h>
#include <stdint.h>
#include <cairn/vcpu.h>

/* clang-format off */
enum x86_vector {
	VECTOR_DE = 0, VECTOR_DB = 1, VECTOR_NMI = 2, VECTOR_BP = 3, VECTOR_OF = 4, VECTOR_BR = 5,
	VECTOR_UD = 6, VECTOR_NM = 7, VECTOR_DF = 8, VECTOR_TS = 10, VECTOR_NP = 11, VECTOR_SS = 12,
	VECTOR_GP = 13, VECTOR_PF = 14, VECTOR_MF = 16, VECTOR_AC = 17, VECTOR_MC = 18, VECTOR_XM = 19,
	VECTOR_VE = 20,
};
/* clang-format on */

/* info as in struct vcpu_state: vector, EVENT_*; 0: none. */
struct event {
	uint32_t info, error, length;
};

enum reflect_outcome {
	REFLECT_EVENT,	      /* inject *out: the new exception; the first event is done with */
	REFLECT_KEEP_FIRST,   /* inject *out; the first event is still to be delivered afterwards,
			       * if it does not happen again by itself */
	REFLECT_DOUBLE_FAULT, /* inject *out: #DF */
	REFLECT_TRIPLE_FAULT, /* the vCPU shuts down */
};

/* Whether the vector, as a hardware exception in protected mode, pushes an error code (SDM 6.13).
 */
bool event_pushes_error(uint32_t vector);

/* A hardware exception; error counts where the vector has one. */
struct event event_exception(uint32_t vector, uint32_t error);

/*
 * The exception x (info valid, type EVENT_EXC or EVENT_SOFT) arose while `vectoring_info` was being
 * delivered (EVENT_VALID clear: nothing was). R-REF-1 to R-REF-6, R-REF-9; SDM table 6-5.
 */
enum reflect_outcome reflect(uint32_t vectoring_info, struct event x, struct event *out);

/*
 * The interrupted event F as it is to be injected again (R-RES-2): reserved bits cleared; info 0
 * where there is nothing to inject again: none, QEMU's mark of an interrupt that V_IRQ still holds
 * (type 3, vector above 31), or an INT n, INT3 or INTO whose length is not known: RIP still points
 * to it, so it is executed again. (SVM would push that RIP instead of the one behind it, and
 * reports INT3 and INTO as type 3, which VMX does not: APM 2, 15.7.2.)
 */
struct event event_reinject(uint32_t vectoring_info, uint32_t vectoring_error, uint32_t inst_len);

/* What a CPU asks of an injection (R-REF-10, R-REF-11). */
struct entry_state {
	uint64_t cr0, rflags;
	uint32_t interruptibility; /* VCPU_BLOCK_* */
};
bool event_can_enter(const struct event *event, const struct entry_state *state);

#endif
