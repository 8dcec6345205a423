/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of spaces: linking, mapping, deposits, poisoned pages, and what happens when a part of it goes. */
#include <hal/host/host_boot.h>

#define FAR 4096u
#define RW  (RIGHT_READ | RIGHT_WRITE)

static uint32_t host_sel[5], guest_sel[5];

static int boot(void **state)
{
	host_boot(state);
	make_space(PT_HOST, 11, host_sel);
	make_space(PT_GUEST, 12, guest_sel);
	return 0;
}

static uint64_t word_at(const uint32_t *space, uint64_t address)
{
	uint64_t table;

	return host_walk(SLOT(space[4]).base, address, &table);
}

static uint64_t page_word(uint32_t frame, uint64_t offset, uint32_t rights)
{
	return (SLOT(frame).base + offset) | HOST_PT_PAGE | (uint64_t)rights << HOST_PT_RIGHTS;
}

static void a_frame_appears_where_it_is_mapped(void **state)
{
	uint32_t f = make_frame(PAGE_BITS_4K), g = copy_of(f, RIGHT_READ | RIGHT_EXEC, 0);
	uint64_t address;

	(void)state;
	must(call5(MAP, f, host_sel[1], 511, RW, 0));
	must(call5(MAP, g, guest_sel[1], 0, RIGHT_READ | RIGHT_EXEC, 0));
	assert_int_equal(word_at(host_sel, 511 * PAGE_SIZE_4K), page_word(f, 0, RW));
	assert_int_equal(word_at(guest_sel, 0), page_word(f, 0, RIGHT_READ | RIGHT_EXEC));
	assert_int_equal(word_at(host_sel, 0), 0);
	assert_int_equal(frame_where(slot_of(f), &address), 11);
	assert_int_equal(address, 511 * PAGE_SIZE_4K);
	assert_int_equal(SLOT(host_sel[1]).used, 1);
	must_be(CAIRN_ERR_BUSY, call5(MAP, f, host_sel[1], 1, RIGHT_READ, 0)); /* once per capability */
	must_be(CAIRN_ERR_BUSY, call5(MAP, make_frame(PAGE_BITS_4K), host_sel[1], 511, RIGHT_READ, 0));
}

static void where_names_every_level(void **state)
{
	uint32_t f = make_frame(PAGE_BITS_4K), l3 = make_pt(PT_GUEST, 3, 0), l2 = make_pt(PT_GUEST, 2, 0),
		 l1 = make_pt(PT_GUEST, 1, 0);
	uint64_t address, at = 300ul << 39 | 5ul << 30 | 6ul << 21 | 7ul << 12;

	(void)state;
	must(call3(PAGETABLE_LINK, guest_sel[4], 300, l3));
	must(call3(PAGETABLE_LINK, l3, 5, l2));
	must(call3(PAGETABLE_LINK, l2, 6, l1));
	must(call5(MAP, f, l1, 7, RW, 0));
	assert_int_equal(frame_where(slot_of(f), &address), 12);
	assert_int_equal(address, at);
	assert_int_equal(word_at(guest_sel, at), page_word(f, 0, RW));
}

static void unmap_clears_and_flushes(void **state)
{
	uint32_t f = make_frame(PAGE_BITS_4K);

	(void)state;
	must_be(CAIRN_ERR_STATE, call1(UNMAP, f));
	must(call5(MAP, f, guest_sel[1], 2, RW, 0));
	host.events = 0;
	must(call1(UNMAP, f));
	assert_int_equal(host.events, 2);
	assert_int_equal(host.event[0].op, HOST_CLEAR);
	assert_int_equal(host.event[1].op, HOST_FLUSH);
	assert_int_equal(host.event[1].index, PT_GUEST);
	assert_int_equal(word_at(guest_sel, 2 * PAGE_SIZE_4K), 0);
	assert_int_equal(SLOT(guest_sel[1]).used, 0);
	must_be(CAIRN_ERR_STATE, call1(UNMAP, f));
	must(call5(MAP, f, host_sel[1], 2, RW, 0));
}

static void deleting_a_frame_unmaps_it(void **state)
{
	uint32_t f = make_frame(PAGE_BITS_4K), c = copy_of(f, RIGHT_ALL, 0);

	(void)state;
	must(call5(MAP, f, host_sel[1], 2, RW, 0));
	must(call5(MAP, c, guest_sel[1], 2, RW, 0));
	must(revoke_all(S_TABLE, f));
	assert_int_equal(word_at(guest_sel, 2 * PAGE_SIZE_4K), 0);
	assert_int_equal(word_at(host_sel, 2 * PAGE_SIZE_4K), page_word(f, 0, RW));
	must(call2(DELETE, S_TABLE, f));
	assert_int_equal(word_at(host_sel, 2 * PAGE_SIZE_4K), 0);
	assert_int_equal(host.flushes[PT_HOST], 1);
	assert_int_equal(host.flushes[PT_GUEST], 1);
}

static void rights_of_a_mapping_are_those_of_the_frame(void **state)
{
	uint32_t f = make_frame(PAGE_BITS_4K), r = copy_of(f, RIGHT_READ, 0), w = copy_of(f, RIGHT_WRITE, 0);

	(void)state;
	must_be(CAIRN_ERR_RIGHTS, call5(MAP, r, host_sel[1], 0, RW, 0));
	must_be(CAIRN_ERR_RIGHTS, call5(MAP, r, guest_sel[1], 0, RIGHT_READ | RIGHT_EXEC, 0));
	must_be(CAIRN_ERR_RIGHTS, call5(MAP, f, host_sel[1], 0, RW | RIGHT_EXEC, 0)); /* W^X */
	must_be(CAIRN_ERR_ARG, call5(MAP, f, host_sel[1], 0, 0, 0));
	must_be(CAIRN_ERR_ARG, call5(MAP, f, host_sel[1], 0, RIGHT_READ | RIGHT_GRANT, 0));
	must_be(CAIRN_ERR_ARG, call5(MAP, f, host_sel[1], 0, RIGHT_READ | 1ull << 32, 0));
	/* A page that is present can be read: without READ there is no mapping. */
	must_be(CAIRN_ERR_ARG, call5(MAP, w, host_sel[1], 0, RIGHT_WRITE, 0));
	must_be(CAIRN_ERR_RIGHTS, call5(MAP, w, host_sel[1], 0, RW, 0));
	must_be(CAIRN_ERR_ARG, call5(MAP, f, guest_sel[1], 0, RIGHT_EXEC, 0));
	assert_int_equal(SLOT(host_sel[1]).used + SLOT(guest_sel[1]).used, 0);
	must(call5(MAP, f, guest_sel[1], 0, RW | RIGHT_EXEC, 0));
}

static void levels_kinds_and_entries_fit(void **state)
{
	uint32_t f = make_frame(PAGE_BITS_4K), g3 = make_pt(PT_GUEST, 3, 0), h3 = make_pt(PT_HOST, 3, 0),
		 h1 = make_pt(PT_HOST, 1, 0);

	(void)state;
	must_be(CAIRN_ERR_TYPE, call3(PAGETABLE_LINK, host_sel[4], 1, g3));
	must_be(CAIRN_ERR_TYPE, call3(PAGETABLE_LINK, host_sel[4], 1, h1));
	must_be(CAIRN_ERR_TYPE, call3(PAGETABLE_LINK, h3, 1, host_sel[4]));
	must_be(CAIRN_ERR_ARG, call3(PAGETABLE_LINK, host_sel[4], 255, h3)); /* USER_END */
	must_be(CAIRN_ERR_ARG, call3(PAGETABLE_LINK, guest_sel[4], 512, g3));
	must_be(CAIRN_ERR_ARG, call3(PAGETABLE_LINK, guest_sel[4], 1ull << 32, g3));
	must_be(CAIRN_ERR_BUSY, call3(PAGETABLE_LINK, guest_sel[4], 0, g3));
	must(call3(PAGETABLE_LINK, host_sel[4], 254, h3));
	must_be(CAIRN_ERR_BUSY, call3(PAGETABLE_LINK, host_sel[4], 253, h3));
	must(call3(PAGETABLE_LINK, guest_sel[4], 511, g3));
	must_be(CAIRN_ERR_TYPE, call5(MAP, f, host_sel[2], 1, RIGHT_READ, 0));
	must_be(CAIRN_ERR_ARG, call5(MAP, f, host_sel[1], 512, RIGHT_READ, 0));
	must_be(CAIRN_ERR_TYPE, call5(MAP, host_sel[1], host_sel[1], 1, RIGHT_READ, 0));
}

static void a_table_that_goes_leaves_its_parent(void **state)
{
	uint32_t f = make_frame(PAGE_BITS_4K);

	(void)state;
	must(call5(MAP, f, host_sel[1], 0, RW, 0));
	must(call2(DELETE, S_TABLE, host_sel[1]));
	assert_int_equal(word_at(host_sel, 0), 0);
	assert_int_equal(SLOT(host_sel[2]).used, 0);
	assert_true(host.flushes[PT_HOST] > 0);
	must_be(CAIRN_ERR_STATE, call1(UNMAP, f)); /* it hangs nowhere */
	must(call5(MAP, f, guest_sel[1], 0, RW, 0));
}

/* The slot of a destroyed table is used again: by its number alone the Frame would hang there. */
static void a_new_table_in_the_old_slot_is_another_one(void **state)
{
	uint32_t f = make_frame(PAGE_BITS_4K), g = make_frame(PAGE_BITS_4K);

	(void)state;
	must(call5(MAP, f, host_sel[1], 0, RW, 0));
	must(call2(DELETE, S_TABLE, host_sel[1]));
	must(call6(RETYPE, S_UNTYPED, CAP_PAGETABLE, 0, S_TABLE, host_sel[1], 1));
	must(call3(PAGETABLE_LINK, host_sel[2], 0, host_sel[1]));
	must(call5(MAP, g, host_sel[1], 0, RW, 0));
	must_be(CAIRN_ERR_STATE, call1(UNMAP, f));
	must(call2(DELETE, S_TABLE, f));
	assert_int_equal(word_at(host_sel, 0), page_word(g, 0, RW));
	assert_int_equal(SLOT(host_sel[1]).used, 1);
}

/* The CapTable that held the PageTable is gone, so its slots are no memory any more. */
static void the_table_of_the_paging_structure_may_go(void **state)
{
	uint32_t t = make_table(FAR, 32), f = make_frame(PAGE_BITS_4K);

	(void)state;
	must(call6(RETYPE, S_UNTYPED, CAP_PAGETABLE, 0, t, 4, 1));
	must(frame_map(slot_of(f), FAR + 4, 0, RIGHT_READ, SLOT_NIL));
	must(delete_all(S_TABLE, t));
	assert_false(slot_backed(FAR + 4));
	must_be(CAIRN_ERR_STATE, call1(UNMAP, f));
	must(call5(MAP, f, host_sel[1], 0, RW, 0));
	must(call2(DELETE, S_TABLE, f));
}

/* ---- 2 MiB ---- */

struct large {
	uint32_t frame, deposit;
};

/* A 2 MiB Frame mapped at the second 2 MiB of the guest space. */
static struct large map_large(void)
{
	struct large l = {make_frame(PAGE_BITS_2M), make_pt(PT_GUEST, 1, 0)};

	must(call5(MAP, l.frame, guest_sel[2], 1, RW, l.deposit));
	return l;
}

static void a_large_page_is_one_entry(void **state)
{
	struct large l;

	(void)state;
	l = map_large();
	assert_int_equal(word_at(guest_sel, PAGE_SIZE_2M), page_word(l.frame, 0, RW));
	assert_int_equal(word_at(guest_sel, PAGE_SIZE_2M + 5 * PAGE_SIZE_4K), page_word(l.frame, 0, RW));
	assert_int_equal(SLOT(guest_sel[2]).used, 2);
	must(call1(UNMAP, l.frame));
	assert_int_equal(word_at(guest_sel, PAGE_SIZE_2M), 0);
	assert_int_equal(SLOT(l.deposit).deposit, 0);
}

static void a_deposit_serves_one_mapping_and_nothing_else(void **state)
{
	struct large l;
	uint32_t f = make_frame(PAGE_BITS_2M), small = make_frame(PAGE_BITS_4K), d = make_pt(PT_GUEST, 1, 0);

	(void)state;
	l = map_large();
	must_be(CAIRN_ERR_BUSY, call5(MAP, f, guest_sel[2], 2, RW, l.deposit));
	must_be(CAIRN_ERR_BUSY, call3(PAGETABLE_LINK, guest_sel[2], 2, l.deposit));
	/* Else it would look as if it were split, and poison would not reach the large page. */
	must_be(CAIRN_ERR_BUSY, call5(MAP, small, l.deposit, 0, RW, 0));
	must_be(CAIRN_ERR_BUSY, call5(MAP, f, guest_sel[2], 2, RW, guest_sel[1])); /* linked */
	must(call5(MAP, small, d, 9, RW, 0));
	must_be(CAIRN_ERR_BUSY, call5(MAP, f, guest_sel[2], 2, RW, d)); /* has entries */
	must_be(CAIRN_ERR_TYPE, call5(MAP, f, guest_sel[2], 2, RW, make_pt(PT_HOST, 1, 0)));
	must_be(CAIRN_ERR_TYPE, call5(MAP, f, guest_sel[2], 2, RW, make_pt(PT_GUEST, 2, 0)));
	must_be(CAIRN_ERR_TYPE, call5(MAP, f, guest_sel[1], 2, RW, d));
	must_be(CAIRN_ERR_CAP, call5(MAP, f, guest_sel[2], 2, RW, new_sel()));
	must(call1(UNMAP, l.frame));
	must(call5(MAP, f, guest_sel[2], 2, RW, l.deposit));
}

static void deleting_the_deposit_unmaps(void **state)
{
	struct large l;

	(void)state;
	l = map_large();
	must(call2(DELETE, S_TABLE, l.deposit));
	assert_int_equal(word_at(guest_sel, PAGE_SIZE_2M), 0);
	assert_int_equal(SLOT(l.frame).deposit, 0);
	assert_int_equal(SLOT(guest_sel[2]).used, 1);
	must(call5(MAP, l.frame, guest_sel[2], 1, RW, make_pt(PT_GUEST, 1, 0)));
}

static void a_deposit_outlives_the_level_2_table(void **state)
{
	struct large l;
	uint32_t d = make_pt(PT_GUEST, 1, 0), l2 = make_pt(PT_GUEST, 2, 0);

	(void)state;
	l = map_large();
	must(call2(DELETE, S_TABLE, guest_sel[2]));
	must(call3(PAGETABLE_LINK, guest_sel[3], 0, l2));
	must(call5(MAP, l.frame, l2, 0, RW, d)); /* with another one */
	assert_int_equal(SLOT(l.deposit).deposit, 0);
	must(call2(DELETE, S_TABLE, l.deposit));
	assert_int_equal(word_at(guest_sel, 0), page_word(l.frame, 0, RW));
}

static void poison_splits_a_large_page(void **state)
{
	struct large l;
	uint64_t bad, i;

	(void)state;
	l = map_large();
	bad = SLOT(l.frame).base + 77 * PAGE_SIZE_4K;
	hal_page_set(bad, PAGE_POISONED);
	host.events = 0;
	frame_poison(slot_of(l.frame), bad);
	for (i = 0; i < 512; i++)
		assert_int_equal(word_at(guest_sel, PAGE_SIZE_2M + i * PAGE_SIZE_4K),
				 i == 77 ? HOST_PT_POISON : page_word(l.frame, i * PAGE_SIZE_4K, RW));
	assert_int_equal(SLOT(guest_sel[2]).used, 2);
	/* The second one finds it split. */
	hal_page_set(bad + PAGE_SIZE_4K, PAGE_POISONED);
	frame_poison(slot_of(l.frame), bad + PAGE_SIZE_4K);
	assert_int_equal(word_at(guest_sel, PAGE_SIZE_2M + 78 * PAGE_SIZE_4K), HOST_PT_POISON);
	must(call1(UNMAP, l.frame));
	assert_int_equal(word_at(guest_sel, PAGE_SIZE_2M), 0);
	for (i = 0; i < 512; i++)
		assert_int_equal(((uint64_t *)host_ram(SLOT(l.deposit).base))[i], 0);
	assert_int_equal(SLOT(l.deposit).used, 0);
}

/* No CPU may ever see two sizes for one address. */
static void a_split_takes_away_and_flushes_before_it_links(void **state)
{
	struct large l;
	const struct host_event *e;

	(void)state;
	l = map_large();
	hal_page_set(SLOT(l.frame).base, PAGE_POISONED);
	host.events = 0;
	frame_poison(slot_of(l.frame), SLOT(l.frame).base);
	assert_int_equal(host.events, 512 + 4);
	e = &host.event[512]; /* behind the fill, which nobody sees yet */
	assert_int_equal(e[0].op, HOST_CHANGES);
	assert_int_equal(e[0].pt, SLOT(guest_sel[2]).base);
	assert_int_equal(e[1].op, HOST_FLUSH);
	assert_int_equal(e[2].op, HOST_TABLE);
	assert_int_equal(e[2].index, 1);
	assert_int_equal(e[3].op, HOST_FLUSH);
}

static void poisoned_pages_are_mapped_as_lost(void **state)
{
	struct large l = {make_frame(PAGE_BITS_2M), make_pt(PT_GUEST, 1, 0)};
	uint32_t f = make_frame(PAGE_BITS_4K);

	(void)state;
	hal_page_set(SLOT(f).base, PAGE_POISONED);
	hal_page_set(SLOT(l.frame).base + 3 * PAGE_SIZE_4K, PAGE_POISONED);
	must(call5(MAP, f, host_sel[1], 0, RW, 0));
	assert_int_equal(word_at(host_sel, 0), HOST_PT_POISON);
	must(call5(MAP, l.frame, guest_sel[2], 1, RW, l.deposit));
	assert_int_equal(word_at(guest_sel, PAGE_SIZE_2M + 3 * PAGE_SIZE_4K), HOST_PT_POISON);
	assert_int_equal(word_at(guest_sel, PAGE_SIZE_2M + 4 * PAGE_SIZE_4K), page_word(l.frame, 4 * PAGE_SIZE_4K, RW));
	assert_int_equal(SLOT(l.deposit).used, 512);
	must(call2(DELETE, S_TABLE, l.frame));
	must(call2(DELETE, S_TABLE, f));
	assert_int_equal(word_at(host_sel, 0), 0);
}

/* A structure on a poisoned page is never written: the CPU must not walk it either. */
static void a_poisoned_structure_is_not_hung_again(void **state)
{
	uint32_t l1 = make_pt(PT_GUEST, 1, 0), f = make_frame(PAGE_BITS_2M);

	(void)state;
	hal_page_set(SLOT(l1).base, PAGE_GUEST_PT | PAGE_POISONED);
	must_be(CAIRN_ERR_BUSY, call3(PAGETABLE_LINK, guest_sel[2], 1, l1));
	must_be(CAIRN_ERR_BUSY, call5(MAP, f, guest_sel[2], 1, RW, l1));
	must(call2(DELETE, S_TABLE, l1));
	assert_int_equal(hal_page_byte(SLOT(f).base), PAGE_USER);
}

#define test(f) cmocka_unit_test_setup(f, boot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_frame_appears_where_it_is_mapped),
		test(where_names_every_level),
		test(unmap_clears_and_flushes),
		test(deleting_a_frame_unmaps_it),
		test(rights_of_a_mapping_are_those_of_the_frame),
		test(levels_kinds_and_entries_fit),
		test(a_table_that_goes_leaves_its_parent),
		test(a_new_table_in_the_old_slot_is_another_one),
		test(the_table_of_the_paging_structure_may_go),
		test(a_large_page_is_one_entry),
		test(a_deposit_serves_one_mapping_and_nothing_else),
		test(deleting_the_deposit_unmaps),
		test(a_deposit_outlives_the_level_2_table),
		test(poison_splits_a_large_page),
		test(a_split_takes_away_and_flushes_before_it_links),
		test(poisoned_pages_are_mapped_as_lost),
		test(a_poisoned_structure_is_not_hung_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
