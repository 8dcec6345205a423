/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of copy, move, delete and revoke. */
#include <hal/host/host_boot.h>

#define FAR 4096u

static uint64_t copy(uint64_t from, uint64_t to, uint64_t rights, uint64_t badge)
{
	return call5(COPY, from, S_TABLE, to, rights, badge);
}

static void rights_only_shrink(void **state)
{
	uint32_t f = make_frame(PAGE_BITS_4K), a, b, x = new_sel();

	(void)state;
	a = copy_of(f, RIGHT_READ | RIGHT_GRANT, 0);
	b = copy_of(a, RIGHT_ALL, 0);
	assert_int_equal(slot_rights(slot_of(b)), RIGHT_READ | RIGHT_GRANT);
	assert_int_equal(SLOT(b).parent, slot_of(a));
	assert_int_equal(SLOT(b).original, 0);
	b = copy_of(a, RIGHT_READ, 0);
	must_be(CAIRN_ERR_RIGHTS, copy(b, x, RIGHT_READ, 0));
	must_be(CAIRN_ERR_ARG, copy(a, x, RIGHT_ALL + 1, 0));
	must_be(CAIRN_ERR_ARG, copy(a, x, 1ull << 32 | RIGHT_READ, 0));
	must_be(CAIRN_ERR_ARG, copy(a, x, RIGHT_READ, 1)); /* a Frame has no badge */
	must_be(CAIRN_ERR_TYPE, copy(S_UNTYPED, x, RIGHT_ALL, 0));
	must_be(CAIRN_ERR_TYPE, copy(make_pt(PT_HOST, 3, 0), x, RIGHT_ALL, 0));
	must_be(CAIRN_ERR_BUSY, copy(a, b, RIGHT_READ, 0));
	must_be(CAIRN_ERR_CAP, copy(x, x, RIGHT_READ, 0));
	must_be(CAIRN_ERR_CAP, copy(ROOT_SLOTS, x, RIGHT_READ, 0));
	check_list();
}

static void a_badge_is_given_once(void **state)
{
	uint32_t t = make(CAP_THREAD, 0, 0), a = copy_of(t, RIGHT_ALL, 0), b = copy_of(a, RIGHT_ALL, 7), x = new_sel();

	(void)state;
	assert_int_equal(SLOT(a).badge, 0);
	assert_int_equal(SLOT(b).badge, 7);
	assert_int_equal(SLOT(copy_of(b, RIGHT_SIGNAL, 0)).badge, 7);
	must_be(CAIRN_ERR_ARG, copy(b, x, RIGHT_SIGNAL, 8));
}

static void ranges_only_shrink(void **state)
{
	uint32_t a = copy_of(S_PORTS, RIGHT_ALL, 0x3f8 | 0x3ffull << 16), b, x = new_sel();

	(void)state;
	assert_int_equal(SLOT(a).base, 0x3f8);
	assert_int_equal(SLOT(a).size, 8);
	b = copy_of(a, RIGHT_ALL, 0);
	assert_int_equal(SLOT(b).base, 0x3f8);
	assert_int_equal(SLOT(b).size, 8);
	b = copy_of(a, RIGHT_ALL, 0x3ff | 0x3ffull << 16);
	assert_int_equal(SLOT(b).size, 1);
	must_be(CAIRN_ERR_ARG, copy(a, x, RIGHT_ALL, 0x3f7 | 0x3f9ull << 16));
	must_be(CAIRN_ERR_ARG, copy(a, x, RIGHT_ALL, 0x3f8 | 0x400ull << 16));
	must_be(CAIRN_ERR_ARG, copy(a, x, RIGHT_ALL, 0x3f9 | 0x3f8ull << 16));
	must_be(CAIRN_ERR_ARG, copy(a, x, RIGHT_ALL, 0x3f8 | 0x3f8ull << 16 | 1ull << 32));
	b = copy_of(S_IRQ, RIGHT_ALL, 4 | 4ull << 16);
	assert_int_equal(SLOT(b).base, 4);
	must_be(CAIRN_ERR_ARG, copy(b, x, RIGHT_ALL, 5 | 5ull << 16));
	must_be(CAIRN_ERR_ARG, copy(S_IRQ, x, RIGHT_ALL, 0 | 24ull << 16));
}

static void a_copied_root_stands_for_the_original(void **state)
{
	uint32_t root = make_pt(PT_HOST, 4, 9), c = copy_of(root, RIGHT_CONTROL | RIGHT_GRANT, 0), child;
	uint32_t weak = copy_of(c, RIGHT_GRANT, 0);

	(void)state;
	child = make_pt(PT_HOST, 3, 0);
	must_be(CAIRN_ERR_RIGHTS, call3(PAGETABLE_LINK, weak, 1, child));
	must(call3(PAGETABLE_LINK, c, 1, child));
	assert_int_equal(SLOT(child).map_pt, slot_of(root));
	assert_int_equal(SLOT(root).used, 1);
	assert_int_equal(SLOT(c).used, 0);
	must_be(CAIRN_ERR_BUSY, call2(DELETE, S_TABLE, root));
	must(call2(DELETE, S_TABLE, weak));
	must(call2(DELETE, S_TABLE, c));
	assert_true(host_in_window(SLOT(root).base)); /* the object stays */
	must(call2(DELETE, S_TABLE, root));
}

/* Each copy is one deeper than its source, until there is no room below. */
static void depth_has_a_limit(void **state)
{
	uint32_t f = make_frame(PAGE_BITS_4K), t = make_table(FAR, 1024), i = 1;
	uint64_t st;

	(void)state;
	must(call5(COPY, t, t, 0, RIGHT_ALL, 0));
	must(call5(COPY, f, t, 1, RIGHT_ALL, 0));
	driver.table_first = FAR;
	driver.table_count = 1024;
	do
		st = call5(COPY, i, 0, i + 1, RIGHT_ALL, 0);
	while (st == CAIRN_OK && ++i < 1020);
	assert_int_equal(st, CAIRN_ERR_ARG);
	assert_int_equal(slots[FAR + i].depth, SLOT_MAX_DEPTH);
	must(call3(MOVE, i, 0, i + 2)); /* no deeper than it was */
	driver.table_first = ROOT_FIRST;
	driver.table_count = ROOT_SLOTS;
	assert_int_equal(check_list(), BOOT_CAPS + 3 + i);
	must(revoke_all(S_TABLE, f));
	assert_int_equal(check_list(), BOOT_CAPS + 3);
}

static void move_keeps_mapping_and_children(void **state)
{
	uint32_t sel[5], f = make_frame(PAGE_BITS_4K), c, to = new_sel();
	uint64_t table, word;

	(void)state;
	make_space(PT_HOST, 4, sel);
	c = copy_of(f, RIGHT_READ, 0);
	must(call5(MAP, f, sel[1], 3, RIGHT_READ, 0));
	must(call3(MOVE, f, S_TABLE, to));
	assert_int_equal(SLOT(c).parent, slot_of(to));
	must_be(CAIRN_ERR_CAP, call1(UNMAP, f));
	must_be(CAIRN_ERR_BUSY, call2(DELETE, S_TABLE, to));
	must(call1(UNMAP, to));
	word = host_walk(SLOT(sel[4]).base, 3 * PAGE_SIZE_4K, &table);
	assert_int_equal(word, 0);
	assert_int_equal(SLOT(sel[1]).used, 0);
	check_list();
}

static void what_others_name_by_slot_does_not_move(void **state)
{
	uint32_t sel[5], f = make_frame(PAGE_BITS_2M), d = make_pt(PT_HOST, 1, 0), t, to = new_sel();
	struct ec *e = make_thread(5, &t);

	(void)state;
	make_space(PT_HOST, 4, sel);
	must(call2(DELETE, S_TABLE, sel[1]));
	must(call5(MAP, f, sel[2], 0, RIGHT_READ, d));
	must_be(CAIRN_ERR_BUSY, call3(MOVE, f, S_TABLE, to));
	must_be(CAIRN_ERR_BUSY, call3(MOVE, sel[2], S_TABLE, to));
	must_be(CAIRN_ERR_BUSY, call3(MOVE, e->buffer_slot - ROOT_FIRST, S_TABLE, to));
	must_be(CAIRN_ERR_BUSY, call3(MOVE, t, S_TABLE, f));
	must_be(CAIRN_ERR_ARG, call3(MOVE, t, S_TABLE, ROOT_SLOTS));
	must(call3(MOVE, t, S_TABLE, to));
}

static void a_leaf_goes_and_a_parent_does_not(void **state)
{
	uint32_t f = make_frame(PAGE_BITS_4K), c = copy_of(f, RIGHT_ALL, 0), n = check_list();

	(void)state;
	must_be(CAIRN_ERR_BUSY, call2(DELETE, S_TABLE, f));
	must(call2(DELETE, S_TABLE, c));
	must_be(CAIRN_ERR_CAP, call2(DELETE, S_TABLE, c));
	must(call2(DELETE, S_TABLE, f));
	assert_int_equal(check_list(), n - 2);
}

static void revoke_takes_all_descendants_in_bounded_steps(void **state)
{
	uint32_t f = make_frame(PAGE_BITS_4K), other = make_frame(PAGE_BITS_4K), last = f, i, n = check_list(), steps = 0;
	uint64_t st;

	(void)state;
	for (i = 0; i < 100; i++)
		last = copy_of(i % 3 ? f : last, RIGHT_ALL, 0);
	assert_int_equal(check_list(), n + 100);
	do {
		uint32_t before = check_list();

		st = call2(REVOKE, S_TABLE, f);
		assert_in_range(before - check_list(), 1, 16);
		steps++;
	} while (st == CAIRN_ERR_AGAIN);
	assert_int_equal(st, CAIRN_OK);
	assert_int_equal(check_list(), n);
	assert_int_equal(steps, 7);
	assert_true(slot_live(slot_of(f)));
	assert_true(slot_live(slot_of(other)));
}

static void revoke_of_an_untyped_takes_everything_made_from_it(void **state)
{
	uint32_t u = make_untyped(22), n = check_list(), at[4], i;

	(void)state;
	for (i = 0; i < 4; i++)
		at[i] = new_sel();
	must(call6(RETYPE, u, CAP_UNTYPED, 14, S_TABLE, at[0], 0));
	must(call6(RETYPE, at[0], CAP_THREAD, 0, S_TABLE, at[1], 0));
	must(call6(RETYPE, at[0], CAP_PAGETABLE, 0, S_TABLE, at[2], 4 | 1ull << 32));
	must(call6(RETYPE, u, CAP_CAPTABLE, 0, S_TABLE, at[3], FAR | 64ull << 32));
	must(call5(COPY, at[1], at[3], 5, RIGHT_ALL, 0));
	must(call5(COPY, S_PORTS, at[3], 6, RIGHT_ALL, 0)); /* not made from it, but it lives there */
	must(revoke_all(S_TABLE, u));
	assert_int_equal(check_list(), n);
	assert_false(slot_backed(FAR));
	assert_int_equal(hal_page_byte(SLOT(u).base), PAGE_USER);
	must(call6(RETYPE, u, CAP_UNTYPED, 22, S_TABLE, at[0], 0)); /* all of it is there again */
}

static void a_table_is_emptied_before_it_goes(void **state)
{
	uint32_t t = make_table(FAR, 64), f = make_frame(PAGE_BITS_4K), n, i, steps = 1;

	(void)state;
	n = check_list();
	must(call3(MOVE, f, t, 63));
	for (i = 0; i < 40; i++)
		must(call5(COPY, S_PORTS, t, i, RIGHT_ALL, 0));
	must(cap_copy(FAR + 63, slot_of(900), RIGHT_ALL, 0)); /* derived from the content: goes with it */
	while (call2(DELETE, S_TABLE, t) == CAIRN_ERR_AGAIN)
		steps++;
	assert_int_equal(steps, 3); /* 40 + 2 + 1 capabilities, 16 a step */
	assert_int_equal(check_list(), n - 2);
	assert_false(slot_live(slot_of(900)));
	assert_false(slot_backed(FAR));
}

static void nested_tables_go(void **state)
{
	uint32_t t = make_table(FAR, 32), i, n = check_list();

	(void)state;
	for (i = 1; i < 20; i++)
		must(cap_retype(slot_of(S_UNTYPED), CAP_CAPTABLE, 0, FAR + 32 * (i - 1), (FAR + 32 * i) | 32ull << 32));
	must(delete_all(S_TABLE, t));
	assert_int_equal(check_list(), n - 1);
}

/* Else nobody could ever take them back: each would have to be emptied before the other. */
static void tables_never_hold_each_other(void **state)
{
	uint32_t a = make_table(FAR, 32), b = make_table(FAR + 32, 32), u = S_UNTYPED;

	(void)state;
	must_be(CAIRN_ERR_BUSY, call3(MOVE, a, a, 1));
	must_be(CAIRN_ERR_BUSY, call3(MOVE, a, b, 1));
	must_be(CAIRN_ERR_BUSY, call3(MOVE, b, a, 1));
	must(call5(COPY, a, b, 2, RIGHT_ALL, 0)); /* a copy is no home */
	must(call5(COPY, b, a, 2, RIGHT_ALL, 0));
	must(call5(COPY, a, a, 3, RIGHT_ALL, 0));
	must(revoke_all(S_TABLE, u));
	assert_false(slot_backed(FAR));
	assert_false(slot_backed(FAR + 32));
}

static void a_stale_table_gives_no_access(void **state)
{
	uint32_t t = make_table(FAR, 32), th, f;
	struct thread_config c = {0};
	struct ec *e;

	(void)state;
	c.space = home_space();
	c.captable = t;
	c.buffer = f = make_frame(PAGE_BITS_4K);
	c.supervisor = ~0ull;
	memcpy(driver_buffer.words, &c, sizeof(c));
	th = make(CAP_THREAD, 0, 0);
	must(call2(THREAD_CONFIGURE, th, THREAD_SPACE));
	e = object_of(th);
	must(call5(COPY, S_PORTS, t, 1, RIGHT_ALL, 0));
	must(ec_call(e, CAIRN_CALL_PORT_IN, 1, 0x60, 1, 0, 0, 0));
	must(delete_all(S_TABLE, t));
	must_be(CAIRN_ERR_CAP, ec_call(e, CAIRN_CALL_PORT_IN, 1, 0x60, 1, 0, 0, 0));
	make_table(FAR, 32); /* another one at the same place */
	must_be(CAIRN_ERR_CAP, ec_call(e, CAIRN_CALL_PORT_IN, 1, 0x60, 1, 0, 0, 0));
	assert_int_equal(SLOT(f).bound, 1);
}

static void changing_a_table_needs_write(void **state)
{
	uint32_t t = make_table(FAR, 32), r = copy_of(t, RIGHT_READ | RIGHT_GRANT, 0), f = make_frame(PAGE_BITS_4K);

	(void)state;
	must(call5(COPY, f, t, 0, RIGHT_ALL, 0));
	must_be(CAIRN_ERR_RIGHTS, call5(COPY, f, r, 1, RIGHT_ALL, 0));
	must_be(CAIRN_ERR_RIGHTS, call3(MOVE, f, r, 1));
	must_be(CAIRN_ERR_RIGHTS, call2(DELETE, r, 0));
	must_be(CAIRN_ERR_RIGHTS, call2(REVOKE, r, 0));
	must_be(CAIRN_ERR_RIGHTS, call6(RETYPE, S_UNTYPED, CAP_FRAME, 12, r, 1, 0));
	must_be(CAIRN_ERR_RIGHTS, call5(PORTAL_CREATE, make(CAP_THREAD, 0, 0), r, 1, 0, 0));
	must_be(CAIRN_ERR_TYPE, call5(COPY, f, f, 1, RIGHT_ALL, 0));
	must(call2(DELETE, t, 0));
}

#define test(f) cmocka_unit_test_setup(f, host_boot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(rights_only_shrink),
		test(a_badge_is_given_once),
		test(ranges_only_shrink),
		test(a_copied_root_stands_for_the_original),
		test(depth_has_a_limit),
		test(move_keeps_mapping_and_children),
		test(what_others_name_by_slot_does_not_move),
		test(a_leaf_goes_and_a_parent_does_not),
		test(revoke_takes_all_descendants_in_bounded_steps),
		test(revoke_of_an_untyped_takes_everything_made_from_it),
		test(a_table_is_emptied_before_it_goes),
		test(nested_tables_go),
		test(tables_never_hold_each_other),
		test(a_stale_table_gives_no_access),
		test(changing_a_table_needs_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
