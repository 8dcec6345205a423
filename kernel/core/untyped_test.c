/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of retype: where objects lie, what is refused, what a new object looks like. */
#include <hal/host/host_boot.h>

#define FAR 4096u /* slot numbers that no table has */

static uint64_t retype(uint64_t from, uint64_t type, uint64_t bits, uint64_t index, uint64_t param)
{
	return call6(RETYPE, from, type, bits, S_TABLE, index, param);
}

static void objects_lie_one_behind_the_other(void **state)
{
	uint32_t u = make_untyped(20), a = new_sel(), b = new_sel(), c = new_sel();
	uint64_t base = SLOT(u).base;

	(void)state;
	assert_int_equal(base % (1u << 20), 0);
	must(retype(u, CAP_FRAME, PAGE_BITS_4K, a, 0));
	must(retype(u, CAP_UNTYPED, 14, b, 0));
	must(retype(u, CAP_VCPU, 0, c, 0));
	assert_int_equal(SLOT(a).base, base);
	assert_int_equal(SLOT(b).base, base + 0x4000); /* naturally aligned */
	assert_int_equal(SLOT(c).base, base + 0x8000);
	assert_int_equal(SLOT(c).size, 0x2000);
	assert_int_equal(SLOT(u).used, 0xa000);
	assert_int_equal(SLOT(a).parent, slot_of(u));
	assert_int_equal(slot_rights(slot_of(b)), RIGHT_ALL);
	check_list();
}

static void memory_comes_back_when_all_children_are_gone(void **state)
{
	uint32_t u = make_untyped(13), a = new_sel(), b = new_sel(), c = new_sel();

	(void)state;
	must(retype(u, CAP_FRAME, PAGE_BITS_4K, a, 0));
	must(retype(u, CAP_FRAME, PAGE_BITS_4K, b, 0));
	must_be(CAIRN_ERR_MEMORY, retype(u, CAP_FRAME, PAGE_BITS_4K, c, 0));
	must(call2(DELETE, S_TABLE, a));
	must_be(CAIRN_ERR_MEMORY, retype(u, CAP_FRAME, PAGE_BITS_4K, c, 0)); /* b lives */
	must(call2(DELETE, S_TABLE, b));
	must(retype(u, CAP_FRAME, PAGE_BITS_4K, c, 0));
	assert_int_equal(SLOT(c).base, SLOT(u).base);
}

static void exactly_full_is_not_too_full(void **state)
{
	uint32_t u = make_untyped(21), f = new_sel();

	(void)state;
	must_be(CAIRN_ERR_MEMORY, retype(u, CAP_UNTYPED, 22, f, 0));
	must(retype(u, CAP_FRAME, PAGE_BITS_2M, f, 0));
	assert_int_equal(SLOT(f).base + SLOT(f).size, SLOT(u).base + SLOT(u).size);
	must_be(CAIRN_ERR_MEMORY, retype(u, CAP_THREAD, 0, new_sel(), 0));
}

static void frames_are_zeroed(void **state)
{
	uint32_t u = make_untyped(21), f = new_sel(), i;
	const uint8_t *p = host_ram(SLOT(u).base);

	(void)state;
	memset(host_ram(SLOT(u).base), 0xa5, PAGE_SIZE_2M);
	must(retype(u, CAP_FRAME, PAGE_BITS_2M, f, 0));
	for (i = 0; i < PAGE_SIZE_2M; i++)
		if (p[i])
			fail_msg("byte %u of the Frame is not zero", i);
}

static void an_untyped_leaves_its_content_alone(void **state)
{
	uint32_t u = make_untyped(13), v = new_sel();
	const uint8_t *p = host_ram(SLOT(u).base);

	(void)state;
	memset(host_ram(SLOT(u).base), 0xa5, 0x2000);
	must(retype(u, CAP_UNTYPED, 13, v, 0));
	assert_int_equal(p[0], 0xa5);
	assert_int_equal(p[0x1fff], 0xa5);
}

static void image_memory_keeps_its_content_and_makes_no_objects(void **state)
{
	uint32_t f = new_sel(), u = new_sel(), g = new_sel(), x = new_sel();
	const uint64_t *p = host_ram(IMAGE_BASE);

	(void)state;
	must(retype(S_IMAGE, CAP_FRAME, PAGE_BITS_4K, f, 0));
	must(retype(S_IMAGE, CAP_UNTYPED, 13, u, 0));
	must(retype(u, CAP_FRAME, PAGE_BITS_4K, g, 0));
	assert_int_equal(p[0], IMAGE_WORD);
	assert_int_equal(*(uint64_t *)host_ram(SLOT(g).base), IMAGE_WORD);
	assert_int_equal(SLOT(g).device, 1);
	must_be(CAIRN_ERR_TYPE, retype(S_IMAGE, CAP_THREAD, 0, x, 0));
	must_be(CAIRN_ERR_TYPE, retype(u, CAP_PAGETABLE, 0, x, 1));
	must_be(CAIRN_ERR_TYPE, retype(u, CAP_CAPTABLE, 0, x, FAR | 32ull << 32));
}

static void objects_get_page_byte_and_window(void **state)
{
	static const uint8_t types[] = {CAP_THREAD, CAP_VCPU, CAP_PAGETABLE};
	uint32_t i, s;
	uint64_t base, size, a;

	(void)state;
	for (i = 0; i < 3; i++) {
		s = make(types[i], 0, types[i] == CAP_PAGETABLE ? 4 | 1ull << 32 : 0);
		base = SLOT(s).base;
		size = SLOT(s).size;
		for (a = base; a < base + size; a += PAGE_SIZE_4K) {
			assert_int_equal(hal_page_byte(a), types[i]);
			assert_true(host_in_window(a));
		}
		must(call2(DELETE, S_TABLE, s));
		for (a = base; a < base + size; a += PAGE_SIZE_4K) {
			assert_int_equal(hal_page_byte(a), PAGE_USER);
			assert_false(host_in_window(a));
		}
	}
	s = make_pt(PT_GUEST, 2, 0);
	assert_int_equal(hal_page_byte(SLOT(s).base), PAGE_GUEST_PT);
	s = make_frame(PAGE_BITS_4K);
	assert_int_equal(hal_page_byte(SLOT(s).base), PAGE_USER);
	assert_false(host_in_window(SLOT(s).base)); /* no direct map of user memory */
}

static void used_memory_makes_clean_objects(void **state)
{
	uint32_t u = make_untyped(13), s = new_sel();

	(void)state;
	memset(host_ram(SLOT(u).base), 0xff, 0x2000);
	must(retype(u, CAP_THREAD, 0, s, 0));
	assert_int_equal(object_of(s)->status, EC_NEW);
	must(call2(DELETE, S_TABLE, s));
	memset(host_ram(SLOT(u).base), 0xff, 0x2000);
	must(retype(u, CAP_CAPTABLE, 0, s, FAR | 64ull << 32));
	assert_false(slot_live(FAR));
	assert_false(slot_live(FAR + 63));
	check_list();
}

static void table_ranges_do_not_overlap(void **state)
{
	uint32_t t = make_table(FAR, 64), x = new_sel();

	(void)state;
	assert_int_equal(SLOT(t).first, FAR);
	assert_int_equal(SLOT(t).count, 64);
	assert_true(slot_backed(FAR + 63));
	assert_false(slot_backed(FAR + 64));
	assert_int_equal(hal_page_byte(SLOT(t).base), CAP_CAPTABLE);
	assert_false(host_in_window(SLOT(t).base)); /* slots[] is its only translation */
	must_be(CAIRN_ERR_BUSY, retype(S_UNTYPED, CAP_CAPTABLE, 0, x, FAR | 32ull << 32));
	must_be(CAIRN_ERR_BUSY, retype(S_UNTYPED, CAP_CAPTABLE, 0, x, (FAR - 32) | 64ull << 32));
	must_be(CAIRN_ERR_BUSY, retype(S_UNTYPED, CAP_CAPTABLE, 0, x, (FAR + 32) | 64ull << 32));
	must_be(CAIRN_ERR_BUSY, retype(S_UNTYPED, CAP_CAPTABLE, 0, x, ROOT_FIRST | 32ull << 32));
	must(retype(S_UNTYPED, CAP_CAPTABLE, 0, x, (FAR + 64) | 32ull << 32));
	must(call2(DELETE, S_TABLE, t));
	assert_false(slot_backed(FAR));
	make_table(FAR, 64);
}

static void table_ranges_stay_below_the_limit(void **state)
{
	uint32_t x = new_sel();

	(void)state;
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_CAPTABLE, 0, x, 0 | 32ull << 32)); /* the list's head */
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_CAPTABLE, 0, x, FAR));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_CAPTABLE, 0, x, FAR | 33ull << 32));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_CAPTABLE, 0, x, (FAR + 1) | 32ull << 32));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_CAPTABLE, 0, x, FAR | (65536ull + 32) << 32));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_CAPTABLE, 0, x, SLOT_COUNT | 32ull << 32));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_CAPTABLE, 0, x, (SLOT_COUNT - 32) | 64ull << 32));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_CAPTABLE, 0, x, 0xffffffe0 | 64ull << 32));
	must(retype(S_UNTYPED, CAP_CAPTABLE, 0, x, (SLOT_COUNT - 32) | 32ull << 32));
}

static void sizes_and_types_out_of_range_are_refused(void **state)
{
	static const uint64_t types[] = {CAP_FREE,	   CAP_PORTAL, CAP_IRQ,	       CAP_IOPORTS,
					 CAP_MACHINECHECK, 11,	       0x100000003ull, UINT64_MAX};
	uint32_t x = new_sel(), i;

	(void)state;
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, types[i], 12, x, 0));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_UNTYPED, 11, x, 0));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_UNTYPED, 49, x, 0));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_UNTYPED, 64 + 12, x, 0));
	must_be(CAIRN_ERR_MEMORY, retype(S_UNTYPED, CAP_UNTYPED, 48, x, 0));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_FRAME, 13, x, 0));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_PAGETABLE, 0, x, 0));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_PAGETABLE, 0, x, 5));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_PAGETABLE, 0, x, 4 | (uint64_t)PT_DMA << 8));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_PAGETABLE, 0, x, 4 | 1u << 16));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_PAGETABLE, 0, x, 3 | 1ull << 32)); /* only a root has a label */
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_PAGETABLE, 0, x, 4));		/* and it has one */
	must_be(CAIRN_ERR_TYPE, retype(S_TABLE, CAP_FRAME, 12, x, 0));
	must_be(CAIRN_ERR_CAP, retype(x, CAP_FRAME, 12, x, 0));
	must_be(CAIRN_ERR_BUSY, retype(S_UNTYPED, CAP_FRAME, 12, S_MC, 0));
	must_be(CAIRN_ERR_ARG, retype(S_UNTYPED, CAP_FRAME, 12, ROOT_SLOTS, 0));
	assert_false(slot_live(slot_of(x)));
	assert_int_equal(SLOT(S_UNTYPED).used, 0);
	assert_int_equal(check_list(), BOOT_CAPS);
}

static void root_tables_have_label_and_kernel_half(void **state)
{
	uint32_t host_root = make_pt(PT_HOST, 4, 5), guest = make_pt(PT_GUEST, 4, 6), inner = make_pt(PT_HOST, 3, 0);
	const uint64_t *p = host_ram(SLOT(host_root).base), *g = host_ram(SLOT(guest).base);

	(void)state;
	assert_int_equal(SLOT(host_root).label, 5);
	assert_int_equal(SLOT(guest).label, 6);
	assert_int_equal(SLOT(guest).pt_kind, PT_GUEST);
	assert_int_equal(SLOT(inner).pt_level, 3);
	assert_int_equal(p[255], 0);
	assert_int_equal(p[256], HOST_PT_KERNEL);
	assert_int_equal(g[256], 0);
	assert_int_not_equal(SLOT(host_root).id, SLOT(guest).id);
}

static void kernel_objects_avoid_poisoned_pages(void **state)
{
	uint32_t u = make_untyped(14), a = new_sel(), b = new_sel();
	uint64_t base = SLOT(u).base;

	(void)state;
	hal_page_set(base + 0x1000, PAGE_POISONED);
	must(retype(u, CAP_THREAD, 0, a, 0));
	must_be(CAIRN_ERR_POISON, retype(u, CAP_THREAD, 0, b, 0));
	must_be(CAIRN_ERR_POISON, retype(u, CAP_CAPTABLE, 0, b, FAR | 64ull << 32));
	assert_int_equal(SLOT(u).used, 0x1000);
	/* A Frame may: it steps over the page, and never touches it. */
	memset(host_ram(base + 0x1000), 0xa5, PAGE_SIZE_4K);
	must(retype(u, CAP_FRAME, PAGE_BITS_4K, b, 0));
	assert_int_equal(*(uint8_t *)host_ram(base + 0x1000), 0xa5);
	make_untyped(12);
	must(retype(u, CAP_VCPU, 0, new_sel(), 0));
}

#define test(f) cmocka_unit_test_setup(f, host_boot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(objects_lie_one_behind_the_other),
		test(memory_comes_back_when_all_children_are_gone),
		test(exactly_full_is_not_too_full),
		test(frames_are_zeroed),
		test(an_untyped_leaves_its_content_alone),
		test(image_memory_keeps_its_content_and_makes_no_objects),
		test(objects_get_page_byte_and_window),
		test(used_memory_makes_clean_objects),
		test(table_ranges_do_not_overlap),
		test(table_ranges_stay_below_the_limit),
		test(sizes_and_types_out_of_range_are_refused),
		test(root_tables_have_label_and_kernel_half),
		test(kernel_objects_avoid_poisoned_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
