/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the nesting rules against table 6-5 of the SDM, written down independently, for every
 * pair of vectors. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "inject/reflect.h"

/* One letter per vector 0..31: Benign, Contributory, Page fault, Double fault (SDM table 6-4,
 * R-REF-6). */
static const char kind[] = "CBBBBBBBDBCCCCPBBBBBPBBBBBBBBBBB";

static enum reflect_outcome by_table(char first, char second)
{
	if (first == 'B' || second == 'B')
		return REFLECT_EVENT;
	if (first == 'D' || second == 'D')
		return REFLECT_TRIPLE_FAULT;
	if (first == 'C' && second == 'P')
		return REFLECT_EVENT;
	return REFLECT_DOUBLE_FAULT;
}

static void every_pair_of_exceptions_follows_table_6_5(void **state)
{
	(void)state;
	for (uint32_t f = 0; f < 32; f++) {
		for (uint32_t x = 0; x < 32; x++) {
			struct event second = event_exception(x, 0x10), out;
			enum reflect_outcome expected = by_table(kind[f], kind[x]);
			enum reflect_outcome got;

			if (x == VECTOR_MC)
				expected = REFLECT_KEEP_FIRST;
			got = reflect(EVENT_VALID | EVENT_EXC | f, second, &out);
			assert_int_equal(got, expected);
			if (got == REFLECT_DOUBLE_FAULT) {
				assert_int_equal(out.info,
						 EVENT_VALID | EVENT_ERROR | EVENT_EXC | 8);
				assert_int_equal(out.error, 0);
			} else if (got != REFLECT_TRIPLE_FAULT) {
				assert_int_equal(out.info, second.info);
				assert_int_equal(out.error, second.error);
			}
		}
	}
}

static void nothing_in_delivery_reflects_as_it_is(void **state)
{
	struct event out;

	(void)state;
	for (uint32_t x = 0; x < 32; x++)
		for (uint32_t f = 0; f < 0x1000; f++)
			assert_int_equal(reflect(f, event_exception(x, 4), &out), REFLECT_EVENT);
}

static void interrupts_and_nmis_in_delivery_are_kept(void **state)
{
	struct event out;

	(void)state;
	for (uint32_t x = 0; x < 32; x++) {
		assert_int_equal(
			reflect(EVENT_VALID | EVENT_INTR | 0x40, event_exception(x, 0), &out),
			REFLECT_KEEP_FIRST);
		assert_int_equal(reflect(EVENT_VALID | EVENT_NMI | 2, event_exception(x, 0), &out),
				 REFLECT_KEEP_FIRST);
	}
}

static void software_interrupts_never_make_a_double_fault(void **state)
{
	struct event out;

	(void)state;
	for (uint32_t type = 4; type <= 6; type++)
		for (uint32_t f = 0; f < 256; f++)
			for (uint32_t x = 0; x < 32; x++) {
				enum reflect_outcome got = reflect(EVENT_VALID | type << 8 | f,
								   event_exception(x, 0), &out);

				assert_int_equal(got, x == VECTOR_MC ? REFLECT_KEEP_FIRST
								     : REFLECT_EVENT);
			}
}

static void reserved_bits_never_reach_an_injection(void **state)
{
	struct event x = {.info = 0xffffffffu & ~EVENT_TYPE, .error = 5, .length = 2}, out;

	(void)state;
	x.info = (x.info & ~0xffu) | 13 | EVENT_EXC;
	assert_int_equal(reflect(0, x, &out), REFLECT_EVENT);
	assert_int_equal(out.info, EVENT_VALID | EVENT_ERROR | EVENT_EXC | 13);
	assert_int_equal(out.length, 0);
	out = event_reinject(EVENT_VALID | EVENT_SOFT | 1u << 12 | 0x80, 7, 2);
	assert_int_equal(out.info, EVENT_VALID | EVENT_SOFT | 0x80);
	assert_int_equal(out.error, 0);
	assert_int_equal(out.length, 2);
}

static void interrupt_held_by_virq_is_not_injected_again(void **state)
{
	(void)state;
	for (uint32_t v = 32; v < 256; v++)
		assert_int_equal(event_reinject(EVENT_VALID | EVENT_EXC | v, 0, 0).info, 0);
	for (uint32_t v = 0; v < 32; v++)
		if (v != VECTOR_BP && v != VECTOR_OF)
			assert_int_equal(event_reinject(EVENT_VALID | EVENT_EXC | v, 0, 0).info,
					 EVENT_VALID | EVENT_EXC | v);
	assert_int_equal(event_reinject(EVENT_EXC | 14, 0, 0).info, 0);
}

static void software_interrupt_of_unknown_length_is_executed_again(void **state)
{
	(void)state;
	assert_int_equal(event_reinject(EVENT_VALID | EVENT_SOFT | 0x80, 0, 0).info, 0);
	assert_int_equal(event_reinject(EVENT_VALID | 6u << 8 | VECTOR_BP, 0, 0).info, 0);
	assert_int_equal(event_reinject(EVENT_VALID | 6u << 8 | VECTOR_BP, 0, 1).length, 1);
	assert_int_equal(event_reinject(EVENT_VALID | EVENT_EXC | VECTOR_BP, 0, 0).info, 0);
	assert_int_equal(event_reinject(EVENT_VALID | EVENT_EXC | VECTOR_OF, 0, 0).info, 0);
}

static void entry_checks_follow_the_manual(void **state)
{
	struct entry_state open = {.cr0 = 1, .rflags = 0x202}, closed = {.cr0 = 1, .rflags = 2};
	struct entry_state shadow = {.cr0 = 1, .rflags = 0x202, .interruptibility = VCPU_BLOCK_STI};
	struct entry_state masked = {.cr0 = 1, .rflags = 0x202, .interruptibility = VCPU_BLOCK_NMI};
	struct entry_state real = {.cr0 = 0, .rflags = 0x202};
	struct event intr = {.info = EVENT_VALID | EVENT_INTR | 0x30};
	struct event nmi = {.info = EVENT_VALID | EVENT_NMI | 2};
	struct event wrong_nmi = {.info = EVENT_VALID | EVENT_NMI | 3};
	struct event mc = event_exception(VECTOR_MC, 0), gp = event_exception(VECTOR_GP, 0);
	struct event high = {.info = EVENT_VALID | EVENT_EXC | 40};
	struct event soft = {.info = EVENT_VALID | EVENT_SOFT | 0x80};
	struct event reserved = {.info = EVENT_VALID | 1u << 8 | 0x30};
	struct event dirty = {.info = EVENT_VALID | EVENT_INTR | 1u << 12 | 0x30};

	(void)state;
	assert_true(event_can_enter(&intr, &open));
	assert_false(event_can_enter(&intr, &closed));
	assert_false(event_can_enter(&intr, &shadow));
	assert_true(event_can_enter(&nmi, &closed));
	assert_false(event_can_enter(&nmi, &masked));
	assert_false(event_can_enter(&wrong_nmi, &open));
	assert_false(mc.info & EVENT_ERROR); /* R-REF-11 */
	assert_true(event_can_enter(&mc, &closed));
	assert_true(event_can_enter(&mc, &shadow));
	assert_true(event_can_enter(&gp, &closed));
	assert_false(event_can_enter(&gp, &real)); /* no error codes in real mode */
	assert_false(event_can_enter(&high, &open));
	assert_false(event_can_enter(&soft, &open)); /* needs a length */
	soft.length = 2;
	assert_true(event_can_enter(&soft, &open));
	assert_false(event_can_enter(&reserved, &open));
	assert_false(event_can_enter(&dirty, &open));
	gp.error = 0x10000;
	assert_false(event_can_enter(&gp, &open));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_of_exceptions_follows_table_6_5),
		cmocka_unit_test(nothing_in_delivery_reflects_as_it_is),
		cmocka_unit_test(interrupts_and_nmis_in_delivery_are_kept),
		cmocka_unit_test(software_interrupts_never_make_a_double_fault),
		cmocka_unit_test(reserved_bits_never_reach_an_injection),
		cmocka_unit_test(interrupt_held_by_virq_is_not_injected_again),
		cmocka_unit_test(software_interrupt_of_unknown_length_is_executed_again),
		cmocka_unit_test(entry_checks_follow_the_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
