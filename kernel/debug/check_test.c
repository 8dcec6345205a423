/* SPDX-License-Identifier: BSD-2-Clause */
/* Each invariant finds what breaks it, and a sound kernel has no fault. */
#include <hal/host/host_boot.h>
#include "debug.h"
#include "hooks.h"

#define FAR 4096u

static uint64_t place, line;
static uint32_t space[5], guest[5], frame, mapped, copy, large, deposit, table, thread_sel, portal;
static struct ec *thread, *vcpu;

static enum debug_fault check(void)
{
	return debug_invariants(&place, &line);
}

/* A world with one of everything. */
static int build(void **state)
{
	uint32_t sel;

	host_boot(state);
	make_space(PT_HOST, 4, space);
	make_space(PT_GUEST, 5, guest);
	frame = make_untyped(16);
	frame = make_frame(PAGE_BITS_4K);
	mapped = make_frame(PAGE_BITS_4K);
	copy = copy_of(mapped, RIGHT_READ | RIGHT_WRITE, 0);
	must(call5(MAP, mapped, space[1], 3, RIGHT_READ | RIGHT_WRITE, 0));
	must(call5(MAP, copy, guest[1], 3, RIGHT_READ, 0));
	large = make_frame(PAGE_BITS_2M);
	deposit = make_pt(PT_HOST, 1, 0);
	must(call5(MAP, large, space[2], 4, RIGHT_READ, deposit));
	table = make_table(FAR, 64);
	must(call5(COPY, frame, table, 1, RIGHT_ALL, 0));
	thread = make_thread(3, &thread_sel);
	portal = make_portal(thread_sel, 7, 0);
	vcpu = make_vcpu(2, 40, &sel);
	must(call2(MC_BIND, S_MC, thread_sel));
	return 0;
}

#define broken(fault, where, field, wrong)                                                                                  \
	do {                                                                                                                \
		__typeof__(field) kept = (field);                                                                           \
                                                                                                                            \
		(field) = (__typeof__(field))(wrong);                                                                       \
		assert_int_equal(check(), fault);                                                                           \
		if (where)                                                                                                  \
			assert_int_equal(place, where);                                                                     \
		(field) = kept;                                                                                             \
		assert_int_equal(check(), DEBUG_SOUND);                                                                     \
	} while (0)

static void a_sound_kernel_has_no_fault(void **state)
{
	uint64_t cursor = 0;

	(void)state;
	assert_int_equal(check(), DEBUG_SOUND);
	assert_int_equal(place | line, 0);
	do { /* splits the large page */
		must(call3(MC_POISON, S_MC, SLOT(large).base + 5 * PAGE_SIZE_4K, cursor));
		assert_int_equal(check(), DEBUG_SOUND);
		cursor = driver.gpr[GPR_RDI];
	} while (cursor);
	assert_int_equal(SLOT(deposit).used, 512);
	/* A lost structure is passed by. */
	must(call3(MC_POISON, S_MC, SLOT(space[1]).base, 0));
	assert_int_equal(check(), DEBUG_SOUND);
	must(revoke_all(S_TABLE, S_UNTYPED));
	assert_int_equal(check(), DEBUG_SOUND);
}

static void the_derivation_list(void **state)
{
	(void)state;
	broken(DEBUG_DERIVATION, slot_of(frame), SLOT(frame).prev, slot_of(large));
	broken(DEBUG_DERIVATION, slot_of(frame), SLOT(frame).depth, 1);
	broken(DEBUG_DERIVATION, slot_of(copy), SLOT(copy).parent, slot_of(frame));
	broken(DEBUG_DERIVATION, slot_of(frame), SLOT(frame).live, 0);
	broken(DEBUG_DERIVATION, 0, slots[0].prev, slot_of(frame));
	broken(DEBUG_DERIVATION, 0, slots[SLOT(mapped).next].next, SLOT(copy).next + 1);
	broken(DEBUG_DERIVATION, 0, slots[FAR + 9].live, 1); /* not in the list */
	broken(DEBUG_DERIVATION, FAR + 9, slots[FAR + 9].badge, 1);
	broken(DEBUG_DERIVATION, slot_of(copy), SLOT(mapped).r_write, 0); /* the copy has more than its source */
	broken(DEBUG_DERIVATION, slot_of(copy), SLOT(copy).type, CAP_THREAD);
	broken(DEBUG_DERIVATION, slot_of(copy), SLOT(copy).device, 1);
	broken(DEBUG_DERIVATION, slot_of(portal), SLOT(portal).base, SLOT(frame).base);
}

static void objects_lie_apart_in_their_untyped(void **state)
{
	(void)state;
	broken(DEBUG_OVERLAP, slot_of(frame), SLOT(frame).size, 2 * PAGE_SIZE_4K);
	broken(DEBUG_OVERLAP, 0, SLOT(space[1]).base, SLOT(space[1]).base - PAGE_SIZE_4K);
	broken(DEBUG_OUTSIDE, 0, SLOT(S_UNTYPED).used, SLOT(S_UNTYPED).used - PAGE_SIZE_4K);
	broken(DEBUG_OUTSIDE, 0, SLOT(S_UNTYPED).base, SLOT(S_UNTYPED).base + SLOT(S_UNTYPED).used);
	broken(DEBUG_OUTSIDE, slot_of(copy), SLOT(copy).base, SLOT(copy).base + PAGE_SIZE_4K);
	broken(DEBUG_OUTSIDE, slot_of(copy), SLOT(copy).size, 2 * PAGE_SIZE_4K);
}

static void page_byte(uint64_t page, uint8_t wrong, enum debug_fault fault)
{
	uint8_t kept = hal_page_byte(page);

	hal_page_set(page, wrong);
	assert_int_equal(check(), fault);
	hal_page_set(page, kept);
	assert_int_equal(check(), DEBUG_SOUND);
}

static void the_window(void **state)
{
	(void)state;
	hal_window_map(SLOT(frame).base); /* nobody's buffer */
	assert_int_equal(check(), DEBUG_WINDOW);
	hal_window_unmap(SLOT(frame).base);
	broken(DEBUG_WINDOW, 0, SLOT(frame).bound, 1);
	hal_window_unmap(SLOT(space[2]).base);
	assert_int_equal(check(), DEBUG_WINDOW);
	assert_int_equal(place, SLOT(space[2]).base);
	hal_window_map(SLOT(space[2]).base);
	hal_slots_map(FAR / SLOTS_PER_PAGE + 2, SLOT(frame).base); /* memory of no CapTable */
	assert_int_equal(check(), DEBUG_WINDOW);
	hal_slots_unmap(FAR / SLOTS_PER_PAGE + 2);
	page_byte(SLOT(frame).base, CAP_THREAD, DEBUG_OVERLAP);
	page_byte(thread->phys, PAGE_USER, DEBUG_OVERLAP);
}

static void entry(uint32_t pt, uint32_t index, uint64_t wrong)
{
	uint64_t *w = (uint64_t *)host_ram(SLOT(pt).base) + index, kept = *w;

	*w = wrong;
	assert_int_equal(check(), DEBUG_MAPPING);
	*w = kept;
	assert_int_equal(check(), DEBUG_SOUND);
}

static void mappings(void **state)
{
	uint64_t writable = HOST_PT_PAGE | (uint64_t)(RIGHT_READ | RIGHT_WRITE) << HOST_PT_RIGHTS;

	(void)state;
	entry(space[1], 3, thread->phys | writable); /* the kernel's memory instead of its Frame */
	entry(space[1], 3, SLOT(frame).base | writable);
	entry(space[1], 3, 0);
	entry(space[1], 4, thread->phys | writable);
	entry(space[1], 4, SLOT(frame).base | writable);
	entry(guest[1], 3, SLOT(mapped).base | HOST_PT_PAGE | (uint64_t)RIGHT_ALL << HOST_PT_RIGHTS); /* more than it may */
	entry(space[1], 3, HOST_PT_POISON);
	entry(space[3], 0, SLOT(guest[2]).base | HOST_PT_TABLE);
	entry(space[3], 0, SLOT(space[1]).base | HOST_PT_TABLE);
	entry(space[4], 255, SLOT(space[3]).base | HOST_PT_TABLE); /* the kernel's half */
	entry(space[4], 300, SLOT(space[3]).base | HOST_PT_TABLE);
	entry(space[2], 4, (SLOT(large).base + PAGE_SIZE_2M) | writable);
	broken(DEBUG_MAPPING, slot_of(space[1]), SLOT(space[1]).used, 0);
	broken(DEBUG_MAPPING, 0, SLOT(mapped).map_pt, 0);
	broken(DEBUG_MAPPING, 0, SLOT(mapped).map_index, 4);
	broken(DEBUG_MAPPING, slot_of(large), SLOT(deposit).deposit, 0);
	broken(DEBUG_MAPPING, 0, SLOT(deposit).used, 1);
}

static void contexts(void **state)
{
	(void)state;
	broken(DEBUG_CONTEXT, thread->phys, thread->cpu, 1);
	broken(DEBUG_CONTEXT, thread->phys, thread->cr3, SLOT(space[1]).base);
	broken(DEBUG_CONTEXT, thread->phys, thread->space_slot, slot_of(space[1]));
	broken(DEBUG_CONTEXT, thread->phys, thread->buffer, 8);
	broken(DEBUG_CONTEXT, thread->phys, thread->table_first, SLOT_COUNT - SLOTS_PER_PAGE);
	broken(DEBUG_CONTEXT, thread->phys, thread->status, EC_NEW);
	broken(DEBUG_CONTEXT, vcpu->phys, vcpu->guest_slot, slot_of(space[4]));
	broken(DEBUG_CONTEXT, vcpu->phys, vcpu->kind, EC_THREAD);
	broken(DEBUG_CONTEXT, 0, host.cpu.list, host.cpu.list->all_next);
	mca_bind(hal_window(SLOT(space[1]).base), 0);
	assert_int_equal(check(), DEBUG_CONTEXT);
	mca_bind(thread, 0);
	assert_int_equal(check(), DEBUG_SOUND);
}

/* What a hypercall of a broken kernel would do. */
static uint64_t answer;
static uint8_t *target;

static status_t call_that_changes(struct ec *e, uint64_t n)
{
	(void)e;
	(void)n;
	*target ^= 1;
	return (status_t)answer;
}

static uint64_t watched(uint64_t status, void *changes)
{
	answer = status;
	target = changes;
	hal_cpu()->current = &driver;
	assert_int_equal(debug_perform(call_that_changes, &driver, CAIRN_CALL_MAP), status);
	*target ^= 1;
	must(call2(DEBUG_CHECK, DEBUG_INVARIANTS, 0));
	return driver.gpr[GPR_RDI];
}

static void what_a_refused_call_changes_is_seen(void **state)
{
	uint64_t nothing = 0;

	(void)state;
	assert_int_equal(watched(CAIRN_ERR_BUSY, &SLOT(frame).label), DEBUG_SOUND); /* nobody watches */
	must(call2(DEBUG_CHECK, DEBUG_WATCH, 8));
	assert_int_equal(watched(CAIRN_OK, &SLOT(frame).label), DEBUG_SOUND);
	assert_int_equal(watched(CAIRN_ERR_AGAIN, &SLOT(frame).label), DEBUG_SOUND);
	assert_int_equal(watched(CAIRN_ERR_BUSY, &nothing), DEBUG_SOUND);
	must_be(CAIRN_ERR_CAP, call2(UNMAP, 999, 0));
	/* What takes no lock is looked at, too. */
	must_be(CAIRN_ERR_CAP, ec_call(thread, CAIRN_CALL_CALL, 999, 0, 0, 0, 0, 0));
	must_be(CAIRN_ERR_ABORTED, ec_call(thread, CAIRN_CALL_CALL, portal, 0, 0, 0, 0, 0));
	must_be(CAIRN_ERR_STATE, ec_call(thread, CAIRN_CALL_REPLY, 0, 0, 0, 0, 0, 0));
	must_be(CAIRN_ERR_TIMEOUT, ec_call(thread, CAIRN_CALL_WAIT, 1, 0, 0, 0, 0, 0));
	must_be(CAIRN_ERR_ARG, ec_call(thread, CAIRN_CALL_SET_FS, ~0ull, 0, 0, 0, 0, 0));
	must(call2(DEBUG_CHECK, DEBUG_WATCHED, 0));
	assert_int_equal(driver.gpr[GPR_RSI], 1);
	assert_int_equal(watched(CAIRN_ERR_BUSY, &SLOT(frame).label), DEBUG_CHANGED);
	assert_int_equal(driver.gpr[GPR_RSI], CAIRN_CALL_MAP | (uint64_t)CAIRN_ERR_BUSY << 32);
}

static void the_checksum_covers_all(void **state)
{
	uint64_t before = debug_checksum(&driver);
	uint8_t *seen[] = {(uint8_t *)&SLOT(portal).badge, (uint8_t *)host_ram(SLOT(guest[3]).base) + 4088,
			   (uint8_t *)&thread->notification, (uint8_t *)&thread->gpr[3], (uint8_t *)&vcpu->exit_base};
	uint32_t i;

	(void)state;
	for (i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
		*seen[i] ^= 1;
		assert_int_not_equal(debug_checksum(&driver), before);
		*seen[i] ^= 1;
	}
	hal_page_set(SLOT(frame).base, PAGE_POISONED);
	assert_int_not_equal(debug_checksum(&driver), before);
	hal_page_set(SLOT(frame).base, PAGE_USER);
	thread->gpr[GPR_RAX]++; /* the caller's own result */
	before = debug_checksum(thread);
	thread->gpr[GPR_RAX]--;
	assert_int_equal(debug_checksum(thread), before);
	host_cpus(2);
	host_on(1);
	before = debug_checksum(&driver);
	thread->notification = 1; /* its CPU may do that at any time */
	assert_int_equal(debug_checksum(&driver), before);
	thread->cr3++;
	assert_int_not_equal(debug_checksum(&driver), before);
}

static void requests(void **state)
{
	(void)state;
	must_be(CAIRN_ERR_ARG, call2(DEBUG_CHECK, DEBUG_WATCHED + 1, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_sound_kernel_has_no_fault, build),
		cmocka_unit_test_setup(the_derivation_list, build),
		cmocka_unit_test_setup(objects_lie_apart_in_their_untyped, build),
		cmocka_unit_test_setup(the_window, build),
		cmocka_unit_test_setup(mappings, build),
		cmocka_unit_test_setup(contexts, build),
		cmocka_unit_test_setup(requests, build),
		cmocka_unit_test_setup(the_checksum_covers_all, build),
		cmocka_unit_test_setup(what_a_refused_call_changes_is_seen, build),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
