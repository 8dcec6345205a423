/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of machine checks: the record ring, who is told, poison everywhere, held and frozen contexts. */
#include <core/smp.h>
#include <hal/host/host_boot.h>

#define RW	(RIGHT_READ | RIGHT_WRITE)
#define RING	64u
#define RESERVE 32u /* of it, kept for exceptions */

static uint64_t first; /* the ring goes on from test to test: the newest sequence before this one */

static int boot(void **state)
{
	host_boot(state);
	mca_forget(mca_bound());
	first = mca_sequence(&host.cpu);
	must(call3(MC_HARVEST, S_MC, 0, first));
	return 0;
}

static struct mca_record record(uint64_t addr)
{
	struct mca_record r = {.addr = addr, .status = 1ull << 63, .bank = 3};

	return r;
}

static int push(uint64_t addr, int poll)
{
	struct mca_record r = record(addr);

	return mca_push(&host.cpu, &r, poll);
}

static const struct mca_record *harvest(uint64_t acknowledged, uint64_t count)
{
	must(call3(MC_HARVEST, S_MC, 0, acknowledged));
	assert_int_equal(driver.gpr[GPR_RDI], count);
	return (const struct mca_record *)driver_buffer.words;
}

static void records_come_out_in_order_until_acknowledged(void **state)
{
	const struct mca_record *r;

	(void)state;
	assert_true(push(0x1000, 0));
	assert_true(push(0x2000, 0));
	r = harvest(0, 2);
	assert_int_equal(r->addr, 0x1000);
	assert_int_equal(r->sequence, first + 1);
	assert_int_equal(r->bank, 3);
	r = harvest(0, 2); /* again: nothing was acknowledged */
	assert_int_equal(r->addr, 0x1000);
	r = harvest(first + 1, 1);
	assert_int_equal(r->addr, 0x2000);
	assert_int_equal(r->sequence, first + 2);
	harvest(first + 2, 0);
	harvest(first, 0); /* an old acknowledgement takes nothing back */
	must_be(CAIRN_ERR_ARG, call3(MC_HARVEST, S_MC, 0, first + 3));
	must_be(CAIRN_ERR_ARG, call3(MC_HARVEST, S_MC, 0, UINT64_MAX));
}

static void the_poll_leaves_room_for_exceptions(void **state)
{
	uint32_t i, polled = 0, pushed = 0;

	(void)state;
	for (i = 0; i < RING + 1; i++)
		polled += (uint32_t)push(i, 1);
	assert_int_equal(polled, RING - RESERVE);
	for (i = 0; i < RING + 1; i++)
		pushed += (uint32_t)push(100 + i, 0);
	assert_int_equal(pushed, RESERVE);
	for (i = 0; i < RING; i++) {
		const struct mca_record *r = harvest(first + i, RING - i);

		assert_int_equal(r->sequence, first + i + 1);
		assert_int_equal(r->addr, i < polled ? i : 100 + i - polled);
	}
	harvest(first + RING, 0);
	assert_true(push(7, 1)); /* there is room again */
}

static void harvest_polls_the_banks(void **state)
{
	(void)state;
	host.poll[0] = record(0x5000);
	host.polls = 1;
	mc_epoch = mc_complete = 9;
	assert_int_equal(harvest(0, 1)->addr, 0x5000);
	assert_int_equal(driver.gpr[GPR_RSI], 9);
	assert_int_equal(host.polls, 0);
	harvest(first + 1, 0);
}

static void the_bound_thread_is_told(void **state)
{
	uint32_t t, badged;
	struct ec *e = make_thread(5, &t);

	(void)state;
	mca_notify(); /* nobody is bound: nothing happens */
	badged = copy_of(t, RIGHT_SIGNAL, 8);
	must_be(CAIRN_ERR_RIGHTS, call2(MC_BIND, S_MC, copy_of(t, RIGHT_CONTROL, 0)));
	must(call2(MC_BIND, S_MC, badged));
	assert_ptr_equal(mca_bound(), e);
	assert_int_equal(e->notification, 0);
	mca_notify();
	assert_int_equal(e->notification, 8);
	e->notification = 0;
	/* A restarted server is told of what its predecessor did not acknowledge. */
	push(0x1000, 0);
	must(call2(MC_BIND, S_MC, badged));
	assert_int_equal(e->notification, 8);
	must(call2(DELETE, S_TABLE, badged));
	must(revoke_all(S_TABLE, t));
	must(call2(DELETE, S_TABLE, t));
	assert_null(mca_bound());
	mca_notify();
}

/* Its object is gone although it was never more than memory. */
static void an_unconfigured_thread_has_no_cpu_to_be_told_on(void **state)
{
	uint32_t t = make(CAP_THREAD, 0, 0);

	(void)state;
	must_be(CAIRN_ERR_STATE, call2(MC_BIND, S_MC, t));
	must_be(CAIRN_ERR_STATE, call2(IRQ_BIND, copy_of(S_IRQ, RIGHT_ALL, 4 | 4 << 16), t));
	assert_null(mca_bound());
	assert_null(host.line[4].thread);
}

static void a_held_thread_goes_on_after_its_record(void **state)
{
	uint32_t t;
	struct ec *e = make_thread(5, &t);

	(void)state;
	must(call1(RESUME, t));
	push(0, 0);
	push(0, 0);
	e->held = first + 2;
	chain_update(e);
	schedule(&host.cpu);
	assert_null(host.cpu.current);
	harvest(first + 1, 1);
	assert_int_equal(e->held, first + 2);
	harvest(first + 2, 0);
	assert_int_equal(e->held, 0);
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, e);
}

/* As the stub leaves it: with a record or none, and `e` was interrupted. */
static void exception(int records, struct ec *e)
{
	struct cpu *cpu = &host.cpu;

	if (records)
		push(0x1000, 0);
	mc_complete = ++mc_epoch;
	cpu->mc_sequence = mca_sequence(cpu);
	cpu->mc_context = e;
	cpu->mc_restartable = cpu->mc_pending = 1;
	mca_process(cpu);
}

/* The mca-server waits for the handler it called: holding that would hold up the verdict for ever. */
static void who_works_for_the_mca_server_is_not_held(void **state)
{
	uint32_t t, h, other;
	struct ec *server = make_thread(5, &t), *handler = make_thread(0, &h), *e = make_thread(4, &other);

	(void)state;
	must(call2(MC_BIND, S_MC, t));
	must(call1(RESUME, t));
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, server);
	ec_call(server, CAIRN_CALL_CALL, make_portal(h, 0, 0), 0, 0, 0, 0, 0);
	assert_ptr_equal(host.cpu.current, handler);
	exception(1, handler);
	assert_int_equal(handler->held, 0);
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, handler);
	exception(1, e);
	assert_int_equal(e->held, mca_sequence(&host.cpu));
	harvest(e->held, 0);
}

/* The mca-server was told by another CPU, and was quick: before this one got out of the kernel. */
static void who_was_dealt_with_already_is_not_held(void **state)
{
	uint32_t t;
	struct ec *e = make_thread(5, &t);
	struct cpu *cpu = &host.cpu;

	(void)state;
	must(call1(RESUME, t));
	push(0x1000, 0);
	harvest(mca_sequence(cpu), 0);
	mc_complete = ++mc_epoch;
	cpu->mc_sequence = mca_sequence(cpu);
	cpu->mc_context = e;
	cpu->mc_restartable = cpu->mc_pending = 1;
	mca_process(cpu);
	assert_int_equal(e->held, 0);
	schedule(cpu);
	assert_ptr_equal(cpu->current, e);
	harvest(0, 0); /* no verdict is waited for */
	assert_null(cpu->verdict.next);
}

static void a_vcpu_made_before_the_verdict_waits_for_it(void **state)
{
	uint32_t v[3], i;
	struct ec *e[3];

	(void)state;
	e[0] = make_vcpu(5, 800, &v[0]);
	exception(1, NULL);
	e[1] = make_vcpu(5, 800, &v[1]);
	harvest(mca_sequence(&host.cpu), 0); /* acknowledged, but nobody has thawed anything */
	e[2] = make_vcpu(5, 800, &v[2]);
	for (i = 0; i < 3; i++) {
		must(call1(RESUME, v[i]));
		schedule(&host.cpu);
		assert_int_equal(e[i]->status, EC_FROZEN);
	}
	must(call3(MC_THAW, S_MC, v[0], 1));
	assert_int_equal(make_vcpu(5, 800, &v[1])->thawed, 1);
	exception(1, NULL);
	assert_int_equal(make_vcpu(5, 800, &v[1])->thawed, 1);
	harvest(mca_sequence(&host.cpu), 0);
}

/* One that left no record here has frozen the VMs all the same. */
static void an_exception_that_nobody_looks_at_stops_the_machine(void **state)
{
	int records;

	(void)state;
	for (records = 0; records < 2; records++) {
		exception(records, NULL);
		harvest(mca_sequence(&host.cpu), 0);
		host.now += hal_tsc_khz * 60000;
		schedule(&host.cpu);
		exception(records, NULL);
		host.now += hal_tsc_khz * 60000;
		host.expect_fatal = 1;
		if (!setjmp(host.fatal)) {
			schedule(&host.cpu);
			fail_msg("the machine goes on");
		}
		host.expect_fatal = 0;
		harvest(mca_sequence(&host.cpu), 0);
	}
}

/* ---- poison ---- */

struct found {
	uint64_t kind, label, address, rights;
};

/* Poisons and collects the holders. */
static uint32_t poison(uint64_t page, struct found *out, uint32_t max)
{
	uint64_t cursor = 0;
	uint32_t n = 0, steps = 0;

	do {
		must(call3(MC_POISON, S_MC, page, cursor));
		cursor = driver.gpr[GPR_RDI];
		if (driver.gpr[GPR_RSI] != MCA_HOLDER_NONE) {
			assert_true(n < max);
			out[n++] = (struct found){driver.gpr[GPR_RSI], driver.gpr[GPR_RDX], driver.gpr[GPR_R10],
						  driver.gpr[GPR_R8]};
		}
		assert_true(++steps < 2000);
	} while (cursor);
	return n;
}

static uint64_t word_at(uint32_t root, uint64_t address)
{
	uint64_t table;

	return host_walk(SLOT(root).base, address, &table);
}

static void every_mapping_becomes_a_tag_and_is_reported(void **state)
{
	uint32_t h[5], g1[5], g2[5], f = make_frame(PAGE_BITS_4K), c1, c2, unmapped, other = make_frame(PAGE_BITS_4K);
	struct found found[4];

	(void)state;
	make_space(PT_HOST, 21, h);
	make_space(PT_GUEST, 22, g1);
	make_space(PT_GUEST, 23, g2);
	c1 = copy_of(f, RIGHT_ALL, 0);
	c2 = copy_of(c1, RIGHT_READ, 0);
	unmapped = copy_of(f, RIGHT_ALL, 0);
	must(call5(MAP, f, h[1], 3, RW, 0));
	must(call5(MAP, c1, g1[1], 4, RW | RIGHT_EXEC, 0));
	must(call5(MAP, c2, g2[1], 5, RIGHT_READ, 0));
	must(call5(MAP, other, h[1], 4, RW, 0));
	assert_int_equal(poison(SLOT(f).base, found, 4), 3);
	assert_int_equal(found[0].kind, MCA_HOLDER_HOST);
	assert_int_equal(found[0].label, 21);
	assert_int_equal(found[0].address, 3 * PAGE_SIZE_4K);
	assert_int_equal(found[0].rights, RW);
	assert_int_equal(found[1].kind, MCA_HOLDER_GUEST);
	assert_int_equal(found[1].label, 22);
	assert_int_equal(found[1].address, 4 * PAGE_SIZE_4K);
	assert_int_equal(found[1].rights, RW | RIGHT_EXEC);
	assert_int_equal(found[2].label, 23);
	assert_int_equal(word_at(h[4], 3 * PAGE_SIZE_4K), HOST_PT_POISON);
	assert_int_equal(word_at(g1[4], 4 * PAGE_SIZE_4K), HOST_PT_POISON);
	assert_int_equal(word_at(g2[4], 5 * PAGE_SIZE_4K), HOST_PT_POISON);
	assert_int_equal(word_at(h[4], 4 * PAGE_SIZE_4K) & HOST_PT_ADDRESS, SLOT(other).base);
	assert_int_equal(hal_page_byte(SLOT(f).base), PAGE_USER | PAGE_POISONED);
	assert_true(host.flushes[PT_HOST] && host.flushes[PT_GUEST]);
	must(call5(MAP, unmapped, h[1], 9, RW, 0)); /* whoever comes later */
	assert_int_equal(word_at(h[4], 9 * PAGE_SIZE_4K), HOST_PT_POISON);
}

static void a_page_inside_a_large_frame_is_found(void **state)
{
	uint32_t g[5], f = make_frame(PAGE_BITS_2M);
	struct found found[2];

	(void)state;
	make_space(PT_GUEST, 22, g);
	must(call5(MAP, f, g[2], 7, RW, make_pt(PT_GUEST, 1, 0)));
	assert_int_equal(poison(SLOT(f).base + 9 * PAGE_SIZE_4K, found, 2), 1);
	assert_int_equal(found[0].address, 7 * PAGE_SIZE_2M + 9 * PAGE_SIZE_4K);
	assert_int_equal(word_at(g[4], found[0].address), HOST_PT_POISON);
	assert_int_equal(word_at(g[4], found[0].address + PAGE_SIZE_4K) & HOST_PT_PAGE, HOST_PT_PAGE);
	assert_int_equal(poison(SLOT(f).base + 9 * PAGE_SIZE_4K, found, 2), 1); /* again: the same answer */
}

static void poison_takes_bounded_steps(void **state)
{
	uint64_t cursor = 0;
	uint32_t steps = 0;

	(void)state;
	make_table(8192, 8192);
	do {
		uint64_t before = cursor;

		must(call3(MC_POISON, S_MC, HOST_RAM_END - PAGE_SIZE_4K, cursor));
		cursor = driver.gpr[GPR_RDI];
		assert_true(!cursor || cursor > before);
		steps++;
	} while (cursor);
	assert_in_range(steps, (8192 + ROOT_SLOTS) / 512, 2 * SLOT_COUNT / SLOTS_PER_PAGE / 512 + 8192 / 512 + 8);
}

static void wrong_pages_and_cursors_are_refused(void **state)
{
	(void)state;
	must_be(CAIRN_ERR_ARG, call3(MC_POISON, S_MC, HOST_RAM_BASE + 8, 0));
	must_be(CAIRN_ERR_ARG, call3(MC_POISON, S_MC, HOST_RAM_END, 0));
	must_be(CAIRN_ERR_ARG, call3(MC_POISON, S_MC, 1ull << 63, 0));
	must_be(CAIRN_ERR_ARG, call3(MC_POISON, S_MC, HOST_RAM_BASE, SLOT_COUNT));
	must_be(CAIRN_ERR_ARG, call3(MC_POISON, S_MC, HOST_RAM_BASE, UINT64_MAX));
	must_be(CAIRN_ERR_RIGHTS, call3(MC_POISON, copy_of(S_MC, RIGHT_GRANT, 0), HOST_RAM_BASE, 0));
	must_be(CAIRN_ERR_TYPE, call3(MC_POISON, S_TABLE, HOST_RAM_BASE, 0));
	assert_int_equal(hal_page_byte(HOST_RAM_BASE), CAP_CAPTABLE);
}

static void a_buffer_that_is_hit_costs_its_thread(void **state)
{
	uint32_t t;
	struct ec *e = make_thread(5, &t);
	uint64_t page = slots[e->buffer_slot].base;
	struct found found[2];

	(void)state;
	must(call1(RESUME, t));
	assert_true(host_in_window(page));
	poison(page, found, 2);
	assert_false(host_in_window(page));
	assert_int_equal(e->status, EC_STOPPED);
	must_be(CAIRN_ERR_STATE, call1(RESUME, t));
	must(call2(DELETE, S_TABLE, t));
	assert_false(host_in_window(page));
}

static void a_nested_structure_that_is_hit_is_unlinked(void **state)
{
	uint32_t g[5], f = make_frame(PAGE_BITS_4K);
	struct found found[2];

	(void)state;
	make_space(PT_GUEST, 22, g);
	must(call5(MAP, f, g[1], 0, RW, 0));
	memset(host_ram(SLOT(g[1]).base), 0xee, 8); /* what the error left */
	assert_int_equal(poison(SLOT(g[1]).base, found, 2), 1);
	assert_int_equal(found[0].kind, MCA_HOLDER_KERNEL);
	assert_int_equal(found[0].label, 0);
	assert_int_equal(word_at(g[4], 0), 0);
	assert_int_equal(SLOT(g[2]).used, 0);
	must(call1(UNMAP, f));
	assert_int_equal(*(uint8_t *)host_ram(SLOT(g[1]).base), 0xee); /* never touched again */
	must(call2(DELETE, S_TABLE, g[1]));
	assert_int_equal(*(uint8_t *)host_ram(SLOT(g[2]).base), 0);
}

/* Whichever capability to it stands first in slots[]: the original is what its users name. */
static void a_root_that_is_hit_stops_its_users(void **state)
{
	uint32_t low = new_sel(), v;
	struct ec *e = make_vcpu(5, 800, &v);
	uint32_t root = e->guest_slot - ROOT_FIRST;
	struct found found[2];

	(void)state;
	must(call5(COPY, root, S_TABLE, low, RIGHT_ALL, 0));
	must(call1(RESUME, v));
	assert_int_equal(poison(SLOT(root).base, found, 2), 1);
	assert_int_equal(found[0].kind, MCA_HOLDER_KERNEL);
	assert_int_equal(e->status, EC_STOPPED);
	must_be(CAIRN_ERR_STATE, call1(RESUME, v));
}

/* A page of the kernel's own objects cannot be taken away. */
static void a_kernel_page_that_is_hit_is_fatal(void **state)
{
	uint32_t t;

	(void)state;
	make_thread(5, &t);
	host.expect_fatal = 1;
	if (!setjmp(host.fatal)) {
		(void)call3(MC_POISON, S_MC, SLOT(t).base, 0);
		fail_msg("the machine goes on");
	}
	lock_drop();
	assert_int_equal(host.fatal_page, SLOT(t).base);
}

static void a_deposit_that_is_hit_is_unlinked(void **state)
{
	uint32_t g[5], f = make_frame(PAGE_BITS_2M), d = make_pt(PT_GUEST, 1, 0);
	struct found found[2];

	(void)state;
	make_space(PT_GUEST, 22, g);
	must(call5(MAP, f, g[2], 7, RW, d));
	poison(SLOT(f).base, found, 2); /* splits: the deposit is linked now */
	poison(SLOT(d).base, found, 2);
	assert_int_equal(word_at(g[4], 7 * PAGE_SIZE_2M), 0);
	assert_int_equal(SLOT(f).deposit, 0);
	must_be(CAIRN_ERR_BUSY, call5(MAP, f, g[2], 7, RW, d));
	must(call5(MAP, f, g[2], 7, RW, make_pt(PT_GUEST, 1, 0)));
	assert_int_equal(word_at(g[4], 7 * PAGE_SIZE_2M), HOST_PT_POISON);
}

/* Between two steps a server moves its Frame from ahead of the cursor to behind it. */
static void no_mapping_slips_behind_the_cursor(void **state)
{
	uint32_t h[5], f = make_frame(PAGE_BITS_4K), c, behind = new_sel(), ahead = ROOT_SLOTS - 1;
	uint64_t cursor;

	(void)state;
	make_space(PT_HOST, 21, h);
	c = copy_of(f, RIGHT_ALL, 0);
	must(call3(MOVE, c, S_TABLE, ahead));
	must(call5(MAP, ahead, h[1], 3, RW, 0));
	must(call3(MC_POISON, S_MC, SLOT(f).base, 0));
	cursor = driver.gpr[GPR_RDI];
	assert_in_range(cursor, slot_of(behind) + 1, slot_of(ahead));
	must_be(CAIRN_ERR_BUSY, call3(MOVE, ahead, S_TABLE, behind));
	while (cursor) {
		must(call3(MC_POISON, S_MC, SLOT(f).base, cursor));
		cursor = driver.gpr[GPR_RDI];
	}
	assert_int_equal(word_at(h[4], 3 * PAGE_SIZE_4K), HOST_PT_POISON);
	must(call1(UNMAP, ahead));
	must(call3(MOVE, ahead, S_TABLE, behind));
}

#define test(f) cmocka_unit_test_setup(f, boot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(records_come_out_in_order_until_acknowledged),
		test(the_poll_leaves_room_for_exceptions),
		test(harvest_polls_the_banks),
		test(the_bound_thread_is_told),
		test(an_unconfigured_thread_has_no_cpu_to_be_told_on),
		test(a_held_thread_goes_on_after_its_record),
		test(who_works_for_the_mca_server_is_not_held),
		test(who_was_dealt_with_already_is_not_held),
		test(a_vcpu_made_before_the_verdict_waits_for_it),
		test(an_exception_that_nobody_looks_at_stops_the_machine),
		test(every_mapping_becomes_a_tag_and_is_reported),
		test(a_page_inside_a_large_frame_is_found),
		test(poison_takes_bounded_steps),
		test(wrong_pages_and_cursors_are_refused),
		test(a_buffer_that_is_hit_costs_its_thread),
		test(a_nested_structure_that_is_hit_is_unlinked),
		test(a_root_that_is_hit_stops_its_users),
		test(a_kernel_page_that_is_hit_is_fatal),
		test(a_deposit_that_is_hit_is_unlinked),
		test(no_mapping_slips_behind_the_cursor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
