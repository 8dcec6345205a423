/* SPDX-License-Identifier: BSD-2-Clause */
/* The page-table walk against a table of cases: every kind of paging, right, page size, error code,
 * A and D bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "emu.h"

#define P   0x001ull
#define W   0x002ull
#define U   0x004ull
#define A   0x020ull
#define D   0x040ull
#define PS  0x080ull
#define NX  (1ull << 63)
#define PW  (P | W)
#define PU  (P | U)
#define PWU (P | W | U)

#define PG   (1ull << 31)
#define WP   (1ull << 16)
#define PSE  (1ull << 4)
#define PAE  (1ull << 5)
#define LA57 (1ull << 12)
#define SMEP (1ull << 20)
#define SMAP (1ull << 21)
#define LMA  (1ull << 10)
#define NXE  (1ull << 11)
#define AC   (1ull << 18)

/* Tables of level n are at n * 0x1000; the walk uses index 1 at every level (0 or 1 of the PAE
 * top). */
#define LEVELS 5
struct memory {
	uint64_t entry[LEVELS + 1];
	unsigned reads, replaces;
	unsigned changes; /* how often another CPU changes an entry before a replace */
	uint64_t missing; /* physical address that is not RAM */
	unsigned size;
};

/* Every level's entry 1 is what the walk needs; any other address is a mistake. */
static uint64_t *entry_at(struct memory *m, uint64_t physical, unsigned size)
{
	uint64_t level = physical >> 12;

	assert_int_equal(size, m->size);
	assert_true(level >= 1 && level <= LEVELS);
	assert_int_equal(physical & 0xfff, size);
	return &m->entry[level];
}

static enum emu_result read_entry(void *vm, uint64_t physical, unsigned size, uint64_t *value)
{
	struct memory *m = vm;

	m->reads++;
	if (m->missing && physical >> 12 == m->missing >> 12)
		return EMU_ABORTED;
	*value = *entry_at(m, physical, size);
	return EMU_DONE;
}

static enum emu_result replace_entry(void *vm, uint64_t physical, unsigned size, uint64_t old,
				     uint64_t value)
{
	struct memory *m = vm;
	uint64_t *entry = entry_at(m, physical, size);

	m->replaces++;
	if (m->changes) {
		m->changes--;
		*entry ^= 1u << 9; /* a bit for software */
	}
	if (*entry != old)
		return EMU_AGAIN;
	*entry = value;
	return EMU_DONE;
}

static const struct emu_walk_ops ops = {.read = read_entry, .replace = replace_entry};

enum kind { K32, KPAE, K64, K57 };

struct test_case {
	const char *name;
	enum kind kind;
	uint64_t cr0, cr4, efer, rflags; /* besides what the kind needs */
	uint64_t
		entry[LEVELS + 1]; /* [1] PTE, [2] PDE … the address part is filled in for tables */
	unsigned access;
	int error; /* of the page fault, or -1: no fault */
	uint64_t physical;
	uint64_t page_size;
	bool writable;
};

#define READ	 0u
#define WRITE	 EMU_WALK_WRITE
#define USER	 EMU_WALK_USER
#define FETCH	 EMU_WALK_FETCH
#define IMPLICIT EMU_WALK_IMPLICIT
#define T4(l4, l3, l2, l1)                                                                         \
	{                                                                                          \
		0, (l1), (l2), (l3), (l4), 0                                                       \
	}
#define T3(l3, l2, l1)                                                                             \
	{                                                                                          \
		0, (l1), (l2), (l3), 0, 0                                                          \
	}
#define T2(l2, l1)                                                                                 \
	{                                                                                          \
		0, (l1), (l2), 0, 0, 0                                                             \
	}
#define F	0x123456000ull /* frame of the page */
#define F32	0x12345000ull
#define OK4K(p) -1, (p), 0x1000

/* clang-format off */
static const struct test_case cases[] = {
	/* 4-level: rights of user and supervisor */
	{ "supervisor reads", K64, 0, 0, NXE, 0, T4(PW, PW, PW, F | P), READ, OK4K(F + 0x678), false },
	{ "supervisor reads a user page", K64, 0, 0, NXE, 0, T4(PWU, PWU, PWU, F | PWU), READ, OK4K(F + 0x678), false },
	{ "supervisor writes", K64, WP, 0, 0, 0, T4(PW, PW, PW, F | PW), WRITE, OK4K(F + 0x678), true },
	{ "supervisor writes read-only, WP", K64, WP, 0, 0, 0, T4(PW, PW, PW, F | P), WRITE, 3, 0, 0, false },
	{ "supervisor writes read-only, no WP", K64, 0, 0, 0, 0, T4(PW, PW, PW, F | P), WRITE, OK4K(F + 0x678), true },
	{ "read-only at level 4 counts", K64, WP, 0, 0, 0, T4(P, PW, PW, F | PW), WRITE, 3, 0, 0, false },
	{ "read-only at level 3 counts", K64, WP, 0, 0, 0, T4(PW, P, PW, F | PW), WRITE, 3, 0, 0, false },
	{ "read-only at level 2 counts", K64, WP, 0, 0, 0, T4(PW, PW, P, F | PW), WRITE, 3, 0, 0, false },
	{ "user reads", K64, 0, 0, 0, 0, T4(PU, PU, PU, F | PU), USER, OK4K(F + 0x678), false },
	{ "user writes", K64, 0, 0, 0, 0, T4(PWU, PWU, PWU, F | PWU), USER | WRITE, OK4K(F + 0x678), true },
	{ "user writes read-only", K64, 0, 0, 0, 0, T4(PWU, PWU, PWU, F | PU), USER | WRITE, 7, 0, 0, false },
	{ "user reads supervisor page", K64, 0, 0, 0, 0, T4(PWU, PWU, PWU, F | PW), USER, 5, 0, 0, false },
	{ "supervisor at level 4 counts", K64, 0, 0, 0, 0, T4(PW, PWU, PWU, F | PWU), USER, 5, 0, 0, false },
	{ "supervisor at level 2 counts", K64, 0, 0, 0, 0, T4(PWU, PWU, PW, F | PWU), USER | WRITE, 7, 0, 0, false },
	/* not present at each level */
	{ "absent PTE", K64, 0, 0, NXE, 0, T4(PW, PW, PW, F), READ, 0, 0, 0, false },
	{ "absent PDE", K64, 0, 0, NXE, 0, T4(PW, PW, 0, F | P), WRITE, 2, 0, 0, false },
	{ "absent PDPTE", K64, 0, 0, NXE, 0, T4(PW, 0, PW, F | P), USER, 4, 0, 0, false },
	{ "absent PML4E", K64, 0, 0, NXE, 0, T4(W, PW, PW, F | P), USER | WRITE, 6, 0, 0, false },
	{ "absent, fetch with NX on", K64, 0, 0, NXE, 0, T4(PW, PW, PW, 0), USER | FETCH, 0x14, 0, 0, false },
	{ "absent, fetch with NX off", K64, 0, 0, 0, 0, T4(PW, PW, PW, 0), USER | FETCH, 4, 0, 0, false },
	{ "absent, fetch with SMEP", K64, 0, SMEP, 0, 0, T4(PW, PW, PW, 0), FETCH, 0x10, 0, 0, false },
	/* no-execute */
	{ "fetch", K64, 0, 0, NXE, 0, T4(PU, PU, PU, F | PU), USER | FETCH, OK4K(F + 0x678), false },
	{ "fetch from NX page", K64, 0, 0, NXE, 0, T4(PU, PU, PU, NX | F | PU), USER | FETCH, 0x15, 0, 0, false },
	{ "fetch from NX directory", K64, 0, 0, NXE, 0, T4(PU, NX | PU, PU, F | PU), FETCH, 0x11, 0, 0, false },
	{ "read from NX page", K64, 0, 0, NXE, 0, T4(PU, PU, PU, NX | F | PU), READ, OK4K(F + 0x678), false },
	{ "NX is reserved without NXE", K64, 0, 0, 0, 0, T4(PU, PU, PU, NX | F | PU), READ, 9, 0, 0, false },
	/* SMEP and SMAP */
	{ "SMEP stops a fetch", K64, 0, SMEP, NXE, 0, T4(PU, PU, PU, F | PU), FETCH, 0x11, 0, 0, false },
	{ "SMEP stops no supervisor page", K64, 0, SMEP, NXE, 0, T4(PU, PU, P, F | PU), FETCH, OK4K(F + 0x678), false },
	{ "SMEP stops no user", K64, 0, SMEP, NXE, 0, T4(PU, PU, PU, F | PU), USER | FETCH, OK4K(F + 0x678), false },
	{ "SMAP stops a read", K64, 0, SMAP, NXE, 0, T4(PU, PU, PU, F | PU), READ, 1, 0, 0, false },
	{ "SMAP stops a write", K64, 0, SMAP, NXE, 0, T4(PWU, PWU, PWU, F | PWU), WRITE, 3, 0, 0, false },
	{ "SMAP and AC", K64, 0, SMAP, NXE, AC, T4(PU, PU, PU, F | PU), READ, OK4K(F + 0x678), false },
	{ "SMAP, AC, implicit", K64, 0, SMAP, NXE, AC, T4(PU, PU, PU, F | PU), IMPLICIT, 1, 0, 0, false },
	{ "SMAP stops no fetch", K64, 0, SMAP, NXE, 0, T4(PU, PU, PU, F | PU), FETCH, OK4K(F + 0x678), false },
	/* large pages */
	{ "2 MiB", K64, 0, 0, 0, 0, T4(PW, PW, 0x40600000 | PS | PW, 0), READ, -1, 0x40600000 + 0x1678, 0x200000, false },
	{ "2 MiB PAT", K64, 0, 0, 0, 0, T4(PW, PW, 0x40601000 | PS | PW, 0), READ, -1, 0x40600000 + 0x1678, 0x200000, false },
	{ "2 MiB reserved bit 13", K64, 0, 0, 0, 0, T4(PW, PW, 0x40602000 | PS | PW, 0), READ, 9, 0, 0, false },
	{ "2 MiB reserved bit 20", K64, 0, 0, 0, 0, T4(PW, PW, 0x40700000 | PS | PW, 0), WRITE, 0xb, 0, 0, false },
	{ "1 GiB", K64, 0, 0, 0, 0, T4(PW, 0xc0000000 | PS | PW, 0, 0), READ, -1, 0xc0000000 + 0x201678, 0x40000000, false },
	{ "1 GiB reserved", K64, 0, 0, 0, 0, T4(PW, 0xe0000000 | PS | PW, 0, 0), USER, 0xd, 0, 0, false },
	{ "PS in a PML4E", K64, 0, 0, 0, 0, T4(PW | PS, PW, PW, F | PW), READ, 9, 0, 0, false },
	{ "address beyond MAXPHYADDR", K64, 0, 0, 0, 0, T4(PW, PW, PW, 1ull << 40 | PW), READ, 9, 0, 0, false },
	{ "bits 62:52 are software's", K64, 0, 0, 0, 0, T4(PW, PW, PW, 0x7ffull << 52 | F | PW), READ, OK4K(F + 0x678), false },
	/* 5-level */
	{ "5-level", K57, WP, 0, 0, 0, { 0, F | PW, PW, PW, PW, PW }, WRITE, OK4K(F + 0x678), true },
	{ "5-level, absent at the top", K57, WP, 0, 0, 0, { 0, F | PW, PW, PW, PW, 0 }, WRITE, 2, 0, 0, false },
	{ "5-level, PS at the top", K57, WP, 0, 0, 0, { 0, F | PW, PW, PW, PW, PW | PS }, READ, 9, 0, 0, false },
	/* PAE */
	{ "PAE", KPAE, WP, 0, NXE, 0, T3(P, PWU, F | PWU), USER | WRITE, OK4K(F + 0x678), true },
	{ "PAE PDPTE has no rights", KPAE, WP, 0, 0, 0, T3(PW, PW, F | PW), WRITE, 9 | 2, 0, 0, false },
	{ "PAE PDPTE NX is reserved", KPAE, 0, 0, NXE, 0, T3(NX | P, PW, F | PW), READ, 9, 0, 0, false },
	{ "PAE 2 MiB", KPAE, 0, 0, NXE, 0, T3(P, 0x40600000 | PS | PW, 0), READ, -1, 0x40600000 + 0x1678, 0x200000, false },
	{ "PAE bits 62:52 are reserved", KPAE, 0, 0, NXE, 0, T3(P, PW, 1ull << 52 | F | PW), READ, 9, 0, 0, false },
	{ "PAE NX", KPAE, 0, 0, NXE, 0, T3(P, PW, NX | F | PW), FETCH, 0x11, 0, 0, false },
	{ "PAE absent PDPTE", KPAE, 0, 0, NXE, 0, T3(0, PW, F | PW), FETCH, 0x10, 0, 0, false },
	/* 32-bit */
	{ "32-bit", K32, WP, 0, 0, 0, T2(PWU, F32 | PWU), USER | WRITE, OK4K(F32 + 0x678), true },
	{ "32-bit read-only directory", K32, WP, 0, 0, 0, T2(PU, F32 | PWU), USER | WRITE, 7, 0, 0, false },
	{ "32-bit fetch is a read", K32, WP, 0, NXE, 0, T2(PW, F32 | PWU), USER | FETCH, 5, 0, 0, false },
	{ "32-bit SMEP", K32, WP, SMEP, 0, 0, T2(PU, F32 | PU), FETCH, 0x11, 0, 0, false },
	{ "32-bit 4 MiB", K32, WP, PSE, 0, 0, T2(0x40800000 | PS | PW, 0), READ, -1, 0x40800000 + 0x1678, 0x400000, false },
	{ "32-bit PS without PSE", K32, WP, 0, 0, 0, T2(PS | PW, F32 | PW), READ, OK4K(F32 + 0x678), false },
	{ "PSE-36", K32, WP, PSE, 0, 0, T2(0x40816000 | PS | PW, 0), READ, -1, 0xb40800000 + 0x1678, 0x400000, false },
	{ "PSE-36 reserved", K32, WP, PSE, 0, 0, T2(0x40a00000 | PS | PW, 0), READ, 9, 0, 0, false },
};
/* clang-format on */

static unsigned levels_of(enum kind kind)
{
	return kind == K32 ? 2 : kind == KPAE ? 3 : kind == K64 ? 4 : 5;
}

/* The linear address with index 1 at every level and offset 0x678. */
static uint64_t linear_of(enum kind kind)
{
	uint64_t linear = 0x678;

	for (unsigned level = 1; level <= levels_of(kind); level++)
		linear |= 1ull << (12 + (kind == K32 ? 10 : 9) * (level - 1));
	return linear;
}

static void prepare(const struct test_case *c, struct memory *m, struct emu_paging *paging)
{
	unsigned levels = levels_of(c->kind);

	memset(m, 0, sizeof(*m));
	m->size = c->kind == K32 ? 4 : 8;
	for (unsigned level = 1; level <= levels; level++) {
		m->entry[level] = c->entry[level];
		/* an entry without an address is a pointer to the next table */
		if (level > 1 && !(c->entry[level] & 0x7ffffffffffff000))
			m->entry[level] |= (uint64_t)(level - 1) << 12;
	}
	*paging = (struct emu_paging){.cr0 = PG | c->cr0,
				      .cr3 = (uint64_t)levels << 12,
				      .cr4 = c->cr4,
				      .efer = c->efer,
				      .rflags = c->rflags,
				      .physical_bits = 40,
				      .pages_1g = true};
	if (c->kind != K32)
		paging->cr4 |= PAE;
	if (c->kind >= K64)
		paging->efer |= LMA;
	if (c->kind == K57)
		paging->cr4 |= LA57;
}

/* Which entries a successful walk marks. */
static void check_marks(const struct test_case *c, const struct memory *before,
			const struct memory *m)
{
	unsigned leaf = c->page_size == 0x1000 ? 1 : c->page_size == 0x40000000 ? 3 : 2;

	for (unsigned level = 1; level <= levels_of(c->kind); level++) {
		uint64_t expected = before->entry[level];

		if (level >= leaf && !(c->kind == KPAE && level == 3))
			expected |= A;
		if (level == leaf && (c->access & WRITE))
			expected |= D;
		if (m->entry[level] != expected)
			fail_msg("%s: level %u is %llx", c->name, level,
				 (unsigned long long)m->entry[level]);
	}
}

static void every_case_translates_or_faults_as_it_should(void **state)
{
	struct emu_translation out;
	struct emu_paging paging;
	struct memory m, before;
	enum emu_result result;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct test_case *c = &cases[i];

		prepare(c, &m, &paging);
		before = m;
		result = emu_walk(&paging, &ops, &m, linear_of(c->kind), c->access, &out);
		if (result != (c->error < 0 ? EMU_DONE : EMU_FAULT))
			fail_msg("%s: answered %d, error %x", c->name, result, out.fault.error);
		if (result == EMU_DONE) {
			if (out.physical != c->physical || out.page_size != c->page_size ||
			    out.writable != c->writable)
				fail_msg("%s: %llx size %llx writable %d", c->name,
					 (unsigned long long)out.physical,
					 (unsigned long long)out.page_size, out.writable);
			check_marks(c, &before, &m);
			continue;
		}
		if (out.fault.vector != 14 || out.fault.error != (uint32_t)c->error ||
		    out.fault.cr2 != linear_of(c->kind))
			fail_msg("%s: error %x", c->name, out.fault.error);
		assert_memory_equal(m.entry, before.entry, sizeof(m.entry));
	}
}

static void a_probe_answers_the_same_and_marks_nothing(void **state)
{
	struct emu_translation out, probed;
	struct emu_paging paging;
	struct memory m, before;
	enum emu_result result;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		prepare(&cases[i], &m, &paging);
		before = m;
		result = emu_walk(&paging, &ops, &m, linear_of(cases[i].kind),
				  cases[i].access | EMU_WALK_PROBE, &probed);
		assert_memory_equal(m.entry, before.entry, sizeof(m.entry));
		assert_int_equal(m.replaces, 0);
		assert_int_equal(result, emu_walk(&paging, &ops, &m, linear_of(cases[i].kind),
						  cases[i].access, &out));
		assert_int_equal(probed.physical, out.physical);
		assert_int_equal(probed.fault.error, out.fault.error);
	}
}

static void marked_entries_are_not_written_again(void **state)
{
	struct emu_translation out;
	struct emu_paging paging;
	struct memory m;

	(void)state;
	prepare(&cases[2], &m, &paging);
	assert_int_equal(emu_walk(&paging, &ops, &m, linear_of(K64), WRITE, &out), EMU_DONE);
	assert_int_equal(m.replaces, 4);
	assert_int_equal(emu_walk(&paging, &ops, &m, linear_of(K64), WRITE, &out), EMU_DONE);
	assert_int_equal(m.replaces, 4);
	assert_true(out.writable);
}

static void tables_that_change_are_walked_anew(void **state)
{
	struct emu_translation out;
	struct emu_paging paging;
	struct memory m;

	(void)state;
	prepare(&cases[2], &m, &paging);
	m.changes = 3;
	assert_int_equal(emu_walk(&paging, &ops, &m, linear_of(K64), WRITE, &out), EMU_DONE);
	assert_int_equal(out.physical, F + 0x678);
	prepare(&cases[2], &m, &paging);
	m.changes = 1000; /* for ever: the guest shall run on */
	assert_int_equal(emu_walk(&paging, &ops, &m, linear_of(K64), WRITE, &out), EMU_AGAIN);
}

static void a_table_outside_ram_ends_the_walk(void **state)
{
	struct emu_translation out;
	struct emu_paging paging;
	struct memory m;

	(void)state;
	prepare(&cases[2], &m, &paging);
	m.missing = 0x2000;
	assert_int_equal(emu_walk(&paging, &ops, &m, linear_of(K64), WRITE, &out), EMU_ABORTED);
	assert_int_equal(m.replaces, 0);
}

static void without_paging_linear_is_physical(void **state)
{
	struct emu_paging paging = {.cr0 = 1, .cr4 = PAE, .physical_bits = 40};
	struct emu_translation out;
	struct memory m = {.size = 8};

	(void)state;
	assert_int_equal(emu_walk(&paging, &ops, &m, 0xfee00020, USER | WRITE, &out), EMU_DONE);
	assert_int_equal(out.physical, 0xfee00020);
	assert_true(out.writable);
	assert_int_equal(m.reads, 0);
}

static void one_gib_pages_can_be_hidden(void **state)
{
	struct test_case c = {"",   K64, 0, 0, 0,    0, T4(PW, 0xc0000000 | PS | PW, 0, 0),
			      READ, 9,	 0, 0, false};
	struct emu_translation out;
	struct emu_paging paging;
	struct memory m;

	(void)state;
	prepare(&c, &m, &paging);
	paging.pages_1g = false;
	assert_int_equal(emu_walk(&paging, &ops, &m, linear_of(K64), READ, &out), EMU_FAULT);
	assert_int_equal(out.fault.error, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_translates_or_faults_as_it_should),
		cmocka_unit_test(a_probe_answers_the_same_and_marks_nothing),
		cmocka_unit_test(marked_entries_are_not_written_again),
		cmocka_unit_test(tables_that_change_are_walked_anew),
		cmocka_unit_test(a_table_outside_ram_ends_the_walk),
		cmocka_unit_test(without_paging_linear_is_physical),
		cmocka_unit_test(one_gib_pages_can_be_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
