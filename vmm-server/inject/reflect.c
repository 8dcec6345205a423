/* SPDX-License-Identifier: BSD-2-Clause */
/* Nesting rules of exceptions and the checks of an injection: pure functions. */
#include "inject/reflect.h"

#define INFO_VECTOR   0xffu
#define INFO_KEPT     (INFO_VECTOR | EVENT_TYPE | EVENT_ERROR | EVENT_VALID)
#define CR0_PE	      1ull
#define RFLAGS_IF     (1ull << 9)
#define MAX_EXCEPTION 31u

enum nesting_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT, CLASS_DOUBLE_FAULT };

/* SDM table 6-4; vector 20 counts as a page fault, 15 and 21 to 31 as benign (R-REF-6). */
static enum nesting_class nesting_class(uint32_t vector)
{
	switch (vector) {
	case VECTOR_DE:
	case VECTOR_TS:
	case VECTOR_NP:
	case VECTOR_SS:
	case VECTOR_GP:
		return CLASS_CONTRIBUTORY;
	case VECTOR_PF:
	case VECTOR_VE:
		return CLASS_PAGE_FAULT;
	case VECTOR_DF:
		return CLASS_DOUBLE_FAULT;
	default:
		return CLASS_BENIGN;
	}
}

bool event_pushes_error(uint32_t vector)
{
	switch (vector) {
	case VECTOR_DF:
	case VECTOR_TS:
	case VECTOR_NP:
	case VECTOR_SS:
	case VECTOR_GP:
	case VECTOR_PF:
	case VECTOR_AC:
		return true;
	default:
		return false;
	}
}

struct event event_exception(uint32_t vector, uint32_t error)
{
	struct event event = {.info = EVENT_VALID | EVENT_EXC | (vector & INFO_VECTOR)};

	if (event_pushes_error(vector)) {
		event.info |= EVENT_ERROR;
		event.error = error;
	}
	return event;
}

static struct event clean(struct event x)
{
	x.info &= INFO_KEPT; /* R-REF-1: bits 30:12 */
	if (!(x.info & EVENT_ERROR))
		x.error = 0;
	if ((x.info & EVENT_TYPE) < EVENT_SOFT)
		x.length = 0; /* R-REF-2 */
	return x;
}

enum reflect_outcome reflect(uint32_t vectoring_info, struct event x, struct event *out)
{
	uint32_t first_type = vectoring_info & EVENT_TYPE;
	enum nesting_class first = nesting_class(vectoring_info & INFO_VECTOR);
	enum nesting_class second = nesting_class(x.info & INFO_VECTOR);

	*out = clean(x);
	if (!(vectoring_info & EVENT_VALID))
		return REFLECT_EVENT;
	/* R-REF-9: #MC never takes part in nesting; what it interrupted is still to be delivered.
	 */
	if ((x.info & INFO_VECTOR) == VECTOR_MC)
		return REFLECT_KEEP_FIRST;
	/* An interrupt or NMI was accepted already: it must not be lost (R-RES-5). */
	if (first_type == EVENT_INTR || first_type == EVENT_NMI)
		return REFLECT_KEEP_FIRST;
	if (first_type != EVENT_EXC || first == CLASS_BENIGN || second == CLASS_BENIGN)
		return REFLECT_EVENT; /* R-REF-3 */
	if (first == CLASS_CONTRIBUTORY && second == CLASS_PAGE_FAULT)
		return REFLECT_EVENT;
	if (first == CLASS_DOUBLE_FAULT || second == CLASS_DOUBLE_FAULT)
		return REFLECT_TRIPLE_FAULT;  /* R-REF-5 */
	*out = event_exception(VECTOR_DF, 0); /* R-REF-4 */
	return REFLECT_DOUBLE_FAULT;
}

struct event event_reinject(uint32_t vectoring_info, uint32_t vectoring_error, uint32_t inst_len)
{
	struct event event = {.info = vectoring_info, .error = vectoring_error, .length = inst_len};
	uint32_t type = vectoring_info & EVENT_TYPE, vector = vectoring_info & INFO_VECTOR;
	struct event none = {0};

	if (!(vectoring_info & EVENT_VALID))
		return none;
	if (type == EVENT_EXC && vector > MAX_EXCEPTION)
		return none;
	if (type == EVENT_EXC && (vector == VECTOR_BP || vector == VECTOR_OF))
		return none;
	if (type >= EVENT_SOFT && inst_len == 0)
		return none;
	return clean(event);
}

static bool type_fits_vector(const struct event *event, uint64_t cr0)
{
	uint32_t vector = event->info & INFO_VECTOR;
	bool error = event->info & EVENT_ERROR;

	switch (event->info & EVENT_TYPE) {
	case EVENT_INTR:
		return !error;
	case EVENT_NMI:
		return vector == VECTOR_NMI && !error;
	case EVENT_EXC:
		if (vector > MAX_EXCEPTION || vector == VECTOR_NMI)
			return false;
		return error == ((cr0 & CR0_PE) && event_pushes_error(vector));
	case EVENT_SOFT:
		return !error && event->length >= 1 && event->length <= 15;
	default:
		return false;
	}
}

static bool is_unblocked(const struct event *event, const struct entry_state *state)
{
	uint32_t shadow = state->interruptibility & (VCPU_BLOCK_STI | VCPU_BLOCK_MOVSS);

	switch (event->info & EVENT_TYPE) {
	case EVENT_INTR:
		return (state->rflags & RFLAGS_IF) && !shadow;
	case EVENT_NMI:
		return !shadow && !(state->interruptibility & VCPU_BLOCK_NMI);
	default:
		return true;
	}
}

bool event_can_enter(const struct event *event, const struct entry_state *state)
{
	if (!(event->info & EVENT_VALID) || (event->info & ~INFO_KEPT))
		return false;
	if (event->error & 0xffff8000u)
		return false;
	return type_fits_vector(event, state->cr0) && is_unblocked(event, state);
}
