/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What boot loaders pass, whole and broken: from any memory map come regions of whole pages that do not overlap, and no byte
 * behind what the boot loader says is its own is read: it ends where a page ends that may not be touched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <cairn/types.h>
#include "multiboot.h"

#define AREA	 0x10000u
#define MIB	 0x100000ul
#define GIB	 0x40000000ul
#define NOTHING	 "the boot loader gave no memory map"
#define RESERVED 2

static uint8_t *area, *area_end; /* below 4 GiB; what lies behind faults */
static struct regions ram;
static uint8_t root_pointer[36];

struct line {
	uint64_t base, length;
	uint32_t type;
};

static int setup(void **state)
{
	(void)state;
	area = mmap(NULL, AREA + PAGE_SIZE_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (area == MAP_FAILED)
		return -1;
	area_end = area + AREA;
	return mprotect(area_end, PAGE_SIZE_4K, PROT_NONE);
}

static void put32(uint8_t *at, uint64_t value)
{
	uint32_t v = (uint32_t)value;

	memcpy(at, &v, 4);
}

static void put_line(uint8_t *at, const struct line *l)
{
	memcpy(at, &l->base, 8);
	memcpy(at + 8, &l->length, 8);
	put32(at + 16, l->type);
}

/* Pages, in bounds, apart from each other. */
static void check_regions(void)
{
	uint64_t i, n;

	assert_true(ram.count <= REGIONS);
	for (i = 0; i < ram.count; i++) {
		const struct region *r = &ram.at[i];

		assert_true(r->base < r->end && r->base >= LOW_MEMORY && r->end <= WINDOW_LIMIT);
		assert_int_equal((r->base | r->end) % PAGE_SIZE_4K, 0);
		for (n = 0; n < i; n++)
			assert_true(r->end <= ram.at[n].base || r->base >= ram.at[n].end);
	}
}

static const char *read_area(uint32_t magic, const uint8_t *info)
{
	const char *wrong;

	memset(&ram, 0, sizeof(ram));
	memset(root_pointer, 0, sizeof(root_pointer));
	wrong = multiboot_read(magic, (uintptr_t)info, &ram, root_pointer);
	check_regions();
	return wrong;
}

/* multiboot1: the information, then the map at the very end. */
static const char *read1(const struct line *lines, uint32_t count)
{
	uint8_t *map = area_end - count * 24, *info = area;
	uint32_t i;

	memset(info, 0xee, 128);
	put32(info, 1 << 6);
	put32(info + 44, count * 24);
	put32(info + 48, (uintptr_t)map);
	for (i = 0; i < count; i++) {
		put32(map + 24 * i, 20);
		put_line(map + 24 * i + 4, &lines[i]);
	}
	return read_area(MULTIBOOT1, info);
}

/* multiboot2 being put together, to be moved to the end of the area. */
static uint8_t tags[AREA];
static uint32_t tags_size;

static void tag(uint32_t type, const void *content, uint32_t size)
{
	put32(tags + tags_size, type);
	put32(tags + tags_size + 4, size + 8);
	memcpy(tags + tags_size + 8, content, size);
	tags_size = (tags_size + 8 + size + 7) & ~7u;
}

static void map_tag(const struct line *lines, uint32_t count, uint32_t entry)
{
	static uint8_t content[AREA / 2];
	uint32_t i;

	put32(content, entry);
	put32(content + 4, 0);
	for (i = 0; i < count; i++)
		put_line(content + 8 + i * entry, &lines[i]);
	tag(6, content, 8 + count * entry);
}

static void begin(void)
{
	memset(tags, 0, sizeof(tags));
	tags_size = 8;
}

/* The first `size` bytes of it, which say that they are `said`. */
static const char *read2_part(uint32_t size, uint32_t said)
{
	put32(tags, said);
	memcpy(area_end - size, tags, size);
	return read_area(MULTIBOOT2, area_end - size);
}

static const char *read2(void)
{
	tag(0, "", 0);
	return read2_part(tags_size, tags_size);
}

static const char *read2_lines(const struct line *lines, uint32_t count)
{
	begin();
	map_tag(lines, count, 24);
	return read2();
}

static uint64_t bytes(void)
{
	uint64_t i, sum = 0;

	for (i = 0; i < ram.count; i++)
		sum += ram.at[i].end - ram.at[i].base;
	return sum;
}

static int has(uint64_t address)
{
	uint64_t i;

	for (i = 0; i < ram.count; i++)
		if (address >= ram.at[i].base && address < ram.at[i].end)
			return 1;
	return 0;
}

/* By either protocol. */
static void read_both(const struct line *lines, uint32_t count, uint64_t expected)
{
	assert_ptr_equal(read1(lines, count), NULL);
	assert_int_equal(bytes(), expected);
	assert_ptr_equal(read2_lines(lines, count), NULL);
	assert_int_equal(bytes(), expected);
}

static void a_pc_with_holes_below_and_above_4_gib(void **state)
{
	static const struct line pc[] = {
		{0, 0x9fc00, 1},       {0x9fc00, 0x400, RESERVED},	{0xf0000, 0x10000, RESERVED},
		{MIB, 0x7fee0000, 1},  {0x7ffe0000, 0x20000, RESERVED}, {0xfffc0000, 0x40000, RESERVED},
		{4 * GIB, 2 * GIB, 1}, {64 * GIB, 2 * GIB, 1}};

	(void)state;
	read_both(pc, 8, 0x7fee0000 + 4 * GIB);
	assert_int_equal(ram.count, 3);
	assert_true(has(MIB) && has(0x7ffdffff) && has(4 * GIB) && has(66 * GIB - 1));
	assert_false(has(MIB - 1) || has(0x7ffe0000) || has(6 * GIB) || has(64 * GIB - 1));
}

static void the_order_of_a_map_does_not_matter(void **state)
{
	static const struct line backwards[] = {{64 * GIB, GIB, 1},
						{0x40000000, 0x1000, RESERVED},
						{0xc0000000, 0x40000000, RESERVED},
						{MIB, 2 * GIB, 1},
						{0, 0xa0000, 1}};

	(void)state;
	read_both(backwards, 5, 3 * GIB - 0x1000);
	assert_false(has(0x40000000));
	assert_true(has(0x40001000) && has(0x3fffffff));
}

static void what_overlaps_is_there_once_and_no_ram_wins(void **state)
{
	static const struct line twice[] = {
		{MIB, 16 * MIB, 1}, {8 * MIB, 16 * MIB, 1}, {MIB, 16 * MIB, 1}, {10 * MIB, MIB, 1}};
	static const struct line wins[] = {{5 * MIB + 0xfff, 2, RESERVED},
					   {MIB, 16 * MIB, 1},
					   {3 * MIB, MIB, 3},
					   {16 * MIB, 4 * MIB, 4},
					   {3 * MIB, MIB, 1}};

	(void)state;
	read_both(twice, 4, 23 * MIB);
	read_both(wins, 5, 15 * MIB - MIB - 0x2000); /* two bytes, on two pages */
	assert_false(has(3 * MIB) || has(5 * MIB) || has(5 * MIB + 0x1000) || has(16 * MIB));
	assert_true(has(4 * MIB) && has(5 * MIB + 0x2000));
}

static void ram_shrinks_to_whole_pages(void **state)
{
	static const struct line odd[] = {{2 * MIB + 1, 0x2fff, 1},
					  {4 * MIB + 1, 0xffe, 1},
					  {5 * MIB, 0xfff, 1},
					  {6 * MIB, 0, 1},
					  {7 * MIB + 0xfff, 2, 1}};

	(void)state;
	read_both(odd, 5, 0x2000);
	assert_true(has(2 * MIB + 0x1000) && has(2 * MIB + 0x2fff));
}

static void entries_of_length_0_change_nothing(void **state)
{
	static const struct line nothing[] = {{MIB, 8 * MIB, 1}, {4 * MIB, 0, RESERVED}, {5 * MIB, 0, 1}, {0, 0, 0}};

	(void)state;
	read_both(nothing, 4, 8 * MIB);
}

static void ram_beyond_all_addresses_is_none_and_the_rest_ends_at_the_limit(void **state)
{
	static const struct line wrap[] = {
		{MIB, 8 * MIB, 1}, {5 * MIB, ~0ul, 1}, {~0ul - 0x7ff, 0x1000, 1}, {~0xffful, 0xfff, 1}, {0x800, ~0ul, 1}};
	static const struct line reserved[] = {{MIB, 8 * MIB, 1}, {64 * GIB, 4 * GIB, 1}, {16 * GIB, ~0ul, RESERVED}};
	static const struct line high[] = {
		{MIB, 8 * MIB, 1}, {WINDOW_LIMIT - MIB, 4 * GIB, 1}, {WINDOW_LIMIT, 4 * GIB, 1}, {1ul << 52, GIB, 1}};

	(void)state;
	read_both(wrap, 5, 8 * MIB);
	read_both(reserved, 3, 8 * MIB);
	read_both(high, 4, 9 * MIB);
}

static void more_pieces_than_there_is_room_for_are_counted(void **state)
{
	static struct line many[3 * REGIONS];
	static struct line holes[1 + 2 * REGIONS];
	uint32_t i;

	(void)state;
	for (i = 0; i < 3 * REGIONS; i++)
		many[i] = (struct line){(i + 1) * 2 * MIB, MIB, 1};
	read_both(many, 3 * REGIONS, REGIONS * MIB);
	assert_int_equal(ram.lost, 2 * REGIONS * MIB);
	holes[0] = (struct line){MIB, 1024 * MIB, 1};
	for (i = 1; i <= 2 * REGIONS; i++)
		holes[i] = (struct line){2 * i * MIB, PAGE_SIZE_4K, RESERVED};
	assert_null(read2_lines(holes, 1 + 2 * REGIONS));
	/* The large rest behind the holes is kept, small ones go. */
	assert_int_equal(bytes() + ram.lost + 2 * REGIONS * PAGE_SIZE_4K, 1024 * MIB);
	assert_true(has(1024 * MIB) && ram.lost < 2 * (REGIONS + 2) * MIB);
	for (i = 1; i <= 2 * REGIONS; i++)
		assert_false(has(2 * i * MIB));
}

static void a_map_without_ram_or_no_map_is_said(void **state)
{
	static const struct line none[] = {{0, 0xa0000, 1}, {MIB, GIB, RESERVED}}, some[] = {{MIB, MIB, 1}};

	(void)state;
	assert_string_equal(read1(none, 2), NOTHING);
	assert_string_equal(read1(none, 0), NOTHING);
	assert_string_equal(read2_lines(none, 2), NOTHING);
	assert_null(read1(some, 1));
	put32(area, 0xffffffbf); /* all flags but that of the map */
	assert_string_equal(read_area(MULTIBOOT1, area), NOTHING);
	begin();
	assert_string_equal(read2(), NOTHING);
	assert_string_equal(read_area(0x12345678, NULL), "started by something that is no multiboot boot loader");
}

/* Wherever multiboot2's information is cut off, what lies behind is not read, and the whole entries before count. */
static void information_that_is_cut_short_is_read_as_far_as_it_goes(void **state)
{
	static const struct line lines[] = {{MIB, MIB, 1}, {4 * MIB, MIB, 1}, {8 * MIB, MIB, 1}};
	uint32_t size, whole;

	(void)state;
	begin();
	tag(1, "a command line", 15);
	tag(15, "RSD PTR and what follows it, more...", 36);
	map_tag(lines, 3, 24);
	tag(0, "", 0);
	whole = tags_size - 8;
	for (size = 8; size <= tags_size; size += 4) {
		const char *wrong = read2_part(size, size);

		assert_true((wrong == NULL) == (size >= whole));
		assert_int_equal(bytes(), size >= whole ? 3 * MIB : 0);
	}
	assert_memory_equal(root_pointer, "RSD PTR and what follows it, more...", 36);
}

/* Lengths in the tags that lie. */
static void lengths_that_lead_out_of_the_information_are_not_followed(void **state)
{
	static const uint32_t sizes[] = {0,  1,	 7,  8,	 9,	     15,	 16,	     17,	39,
					 40, 41, 63, 64, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff};
	static const struct line lines[] = {{MIB, MIB, 1}, {4 * MIB, MIB, 1}};
	uint32_t i, n;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (n = 0; n < 3; n++) {
			begin();
			map_tag(lines, 2, 24);
			tag(14, "old", 3);
			tag(0, "", 0);
			put32(tags + (n == 0   ? 12
				      : n == 1 ? 16
					       : 76),
			      sizes[i]); /* the map's size, its entries', the root pointer's */
			(void)read2_part(tags_size, tags_size);
			assert_true(bytes() <= 2 * MIB);
		}
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_null(read1(lines, 2));
		put32(area_end - 48, sizes[i]); /* how long the first entry says it is */
		(void)read_area(MULTIBOOT1, area);
	}
}

static void larger_entries_are_stepped_over(void **state)
{
	static const struct line lines[] = {{MIB, MIB, 1}, {4 * MIB, MIB, 1}}, dense[] = {{MIB, MIB, 1}, {1, 0, 0}};

	(void)state;
	begin();
	map_tag(lines, 2, 40);
	assert_null(read2());
	assert_int_equal(bytes(), 2 * MIB);
	begin();
	map_tag(dense, 2, 16); /* too small to be entries */
	assert_string_equal(read2(), NOTHING);
	begin();
	tag(6, "", 0);
	assert_string_equal(read2_part(tags_size, tags_size), NOTHING);
}

static void what_follows_the_end_or_a_map_is_no_map(void **state)
{
	static const struct line first[] = {{MIB, 8 * MIB, 1}, {4 * MIB, MIB, RESERVED}},
				 second[] = {{4 * MIB, 16 * MIB, 1}};

	(void)state;
	begin();
	map_tag(first, 2, 24);
	map_tag(second, 1, 24);
	assert_null(read2());
	assert_int_equal(bytes(), 7 * MIB);
	begin();
	tag(0, "", 0);
	map_tag(first, 2, 24);
	assert_string_equal(read2(), NOTHING);
}

static void the_newer_root_pointer_is_preferred(void **state)
{
	static const struct line lines[] = {{MIB, MIB, 1}};

	(void)state;
	begin();
	map_tag(lines, 1, 24);
	assert_null(read2());
	assert_int_equal(root_pointer[0], 0);
	begin();
	tag(14, "RSD PTR old.........", 20);
	map_tag(lines, 1, 24);
	assert_null(read2());
	assert_memory_equal(root_pointer, "RSD PTR old.........\0\0\0\0", 24);
	begin();
	tag(14, "RSD PTR old.........", 20);
	tag(15, "RSD PTR new.........................more than there is room for", 60);
	tag(14, "RSD PTR old.........", 20);
	map_tag(lines, 1, 24);
	assert_null(read2());
	assert_memory_equal(root_pointer, "RSD PTR new.........................", 36);
}

/* Anything at all: no crash, and regions as they must be. */
static void random_maps_give_sound_regions(void **state)
{
	static struct line lines[100];
	uint32_t round, i, count;

	(void)state;
	srandom(1);
	for (round = 0; round < 3000; round++) {
		uint32_t shift = (uint32_t)random() % 64;

		count = 1 + (uint32_t)random() % 100;
		for (i = 0; i < count; i++) {
			uint64_t a = (uint64_t)random() << 33 ^ (uint64_t)random() << 11 ^ (uint64_t)random();

			lines[i] = (struct line){a >> shift, (uint64_t)random() << 12 >> random() % 31,
						 1 + (uint32_t)random() % 3 % 2};
		}
		(void)read1(lines, count);
		begin();
		map_tag(lines, count, 24);
		for (i = 0; i < (uint32_t)random() % 4; i++)
			tags[8 + random() % (tags_size - 8)] = (uint8_t)random();
		(void)read2();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pc_with_holes_below_and_above_4_gib),
		cmocka_unit_test(the_order_of_a_map_does_not_matter),
		cmocka_unit_test(what_overlaps_is_there_once_and_no_ram_wins),
		cmocka_unit_test(ram_shrinks_to_whole_pages),
		cmocka_unit_test(entries_of_length_0_change_nothing),
		cmocka_unit_test(ram_beyond_all_addresses_is_none_and_the_rest_ends_at_the_limit),
		cmocka_unit_test(more_pieces_than_there_is_room_for_are_counted),
		cmocka_unit_test(a_map_without_ram_or_no_map_is_said),
		cmocka_unit_test(information_that_is_cut_short_is_read_as_far_as_it_goes),
		cmocka_unit_test(lengths_that_lead_out_of_the_information_are_not_followed),
		cmocka_unit_test(larger_entries_are_stepped_over),
		cmocka_unit_test(what_follows_the_end_or_a_map_is_no_map),
		cmocka_unit_test(the_newer_root_pointer_is_preferred),
		cmocka_unit_test(random_maps_give_sound_regions),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
