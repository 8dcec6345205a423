/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the derivation list: order, depth and parents through insertion, removal and moves. */
#include <hal/host/host_boot.h>

static void a_new_list_holds_what_boot_gave(void **state)
{
	(void)state;
	assert_int_equal(check_list(), BOOT_CAPS);
	assert_int_equal(SLOT(S_TABLE).depth, 1);
	assert_int_equal(SLOT(S_TABLE).parent, SLOT_NIL);
}

static void children_stand_behind_their_parent(void **state)
{
	uint32_t u = slot_of(S_UNTYPED), a = slot_of(100), b = slot_of(101), c = slot_of(102);

	(void)state;
	slot_insert(a, u);
	slot_insert(b, u);
	slot_insert(c, a);
	assert_int_equal(check_list(), BOOT_CAPS + 3);
	assert_int_equal(slots[u].next, b);
	assert_int_equal(slots[b].next, a);
	assert_int_equal(slots[a].next, c);
	assert_int_equal(slots[c].depth, 3);
	assert_int_equal(slots[c].parent, a);
	assert_false(slot_leaf(u));
	assert_false(slot_leaf(a));
	assert_true(slot_leaf(b));
	assert_true(slot_leaf(c));
}

static void removal_clears_the_slot(void **state)
{
	static const struct slot empty;
	uint32_t u = slot_of(S_UNTYPED), a = slot_of(100), b = slot_of(101);

	(void)state;
	slot_insert(a, u);
	slot_insert(b, a);
	slot_set_rights(b, &all_rights, RIGHT_ALL);
	slot_remove(b);
	assert_memory_equal(&slots[b], &empty, sizeof(empty));
	assert_true(slot_leaf(a));
	assert_int_equal(check_list(), BOOT_CAPS + 1);
	slot_remove(a);
	assert_int_equal(check_list(), BOOT_CAPS);
}

static void a_moved_parent_keeps_its_children(void **state)
{
	static const struct slot empty;
	uint32_t u = slot_of(S_UNTYPED), a = slot_of(100), b = slot_of(101), c = slot_of(102), to = slot_of(600);

	(void)state;
	slot_insert(a, u);
	slot_insert(b, a);
	slot_insert(c, a);
	slot_insert(slot_of(103), b);
	slots[a].badge = 77;
	slot_move(a, to);
	assert_memory_equal(&slots[a], &empty, sizeof(empty));
	assert_int_equal(slots[to].badge, 77);
	assert_int_equal(slots[to].live, 1);
	assert_int_equal(slots[b].parent, to);
	assert_int_equal(slots[c].parent, to);
	assert_int_equal(SLOT(103).parent, b);
	assert_int_equal(check_list(), BOOT_CAPS + 4);
}

/* The first capability and the last one, whose neighbour is the head. */
static void the_ends_of_the_list_move(void **state)
{
	uint32_t first, last;

	(void)state;
	first = slots[0].next;
	last = slots[0].prev;
	assert_int_not_equal(first, last);
	slot_move(first, slot_of(600));
	slot_move(last, slot_of(601));
	assert_int_equal(slots[0].next, slot_of(600));
	assert_int_equal(slots[0].prev, slot_of(601));
	assert_int_equal(check_list(), BOOT_CAPS);
}

static void each_right_is_kept_alone(void **state)
{
	uint32_t right, s = slot_of(100);

	(void)state;
	for (right = 1; right <= RIGHT_ALL; right <<= 1) {
		slot_set_rights(s, &all_rights, right);
		assert_int_equal(slot_rights(s), right);
		slot_set_rights(s, &all_rights, RIGHT_ALL & ~right);
		assert_int_equal(slot_rights(s), RIGHT_ALL & ~right);
		slot_set_rights(slot_of(101), &slots[s], RIGHT_ALL);
		assert_int_equal(slot_rights(slot_of(101)), RIGHT_ALL & ~right); /* no more than where they come from */
	}
}

static void only_pages_of_tables_are_backed(void **state)
{
	(void)state;
	assert_false(slot_backed(0)); /* the list's head is nobody's */
	assert_true(slot_backed(ROOT_FIRST));
	assert_true(slot_backed(ROOT_FIRST + ROOT_SLOTS - 1));
	assert_false(slot_backed(ROOT_FIRST + ROOT_SLOTS));
	assert_false(slot_backed(SLOT_COUNT));
	assert_false(slot_backed(UINT32_MAX));
	slot_page_set(SLOT_COUNT / SLOTS_PER_PAGE - 1, 1);
	assert_true(slot_backed(SLOT_COUNT - 1));
}

#define test(f) cmocka_unit_test_setup(f, host_boot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_new_list_holds_what_boot_gave), test(children_stand_behind_their_parent),
		test(removal_clears_the_slot),	       test(a_moved_parent_keeps_its_children),
		test(the_ends_of_the_list_move),       test(each_right_is_kept_alone),
		test(only_pages_of_tables_are_backed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
