/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of scheduling: priorities, round robin, budgets, deadlines, on a virtual clock of 1000 ticks a microsecond. */
#include <hal/host/host_boot.h>

#define US    1000ul
#define SLICE (10000 * US)

static struct ec *run(void)
{
	schedule(&host.cpu);
	return host.cpu.current;
}

static struct ec *after(uint64_t ticks)
{
	host.now += ticks;
	return run();
}

static struct ec *started(uint32_t priority, uint32_t *sel)
{
	struct ec *e = make_thread(priority, sel);

	must(call1(RESUME, *sel));
	return e;
}

static void set_budget(uint32_t sel, uint32_t priority, uint64_t budget, uint64_t period)
{
	struct thread_config c = {0};

	c.priority = priority;
	c.budget_us = budget;
	c.period_us = period;
	memcpy(driver_buffer.words, &c, sizeof(c));
	must(call2(THREAD_CONFIGURE, sel, THREAD_TIME));
}

static void nobody_means_idle(void **state)
{
	(void)state;
	assert_null(run());
	assert_int_equal(host.timer, 0);
}

static void the_highest_priority_runs(void **state)
{
	uint32_t s[3];
	struct ec *low, *high, *top;

	(void)state;
	low = started(1, &s[0]);
	assert_ptr_equal(run(), low);
	high = started(62, &s[1]);
	top = started(63, &s[2]);
	assert_int_equal(host.cpu.resched, 1);
	assert_ptr_equal(run(), top);
	must(call1(SUSPEND, s[2]));
	assert_ptr_equal(run(), high);
	must(call1(SUSPEND, s[1]));
	assert_ptr_equal(run(), low);
	must(call1(RESUME, s[2]));
	assert_ptr_equal(run(), top);
}

static void equals_take_turns(void **state)
{
	uint32_t s[3], i, turns[3] = {0};
	struct ec *e[3], *before = NULL, *now;

	(void)state;
	for (i = 0; i < 3; i++)
		e[i] = started(5, &s[i]);
	for (i = 0; i < 12; i++) {
		now = run();
		while (host.timer == host.now) /* a new one is picked once before it has a slice */
			now = run();
		assert_ptr_not_equal(now, before);
		assert_int_equal(host.timer, host.now + SLICE);
		turns[now == e[0] ? 0 : now == e[1] ? 1 : 2]++;
		before = now;
		host.now += SLICE;
	}
	for (i = 0; i < 3; i++)
		assert_in_range(turns[i], 3, 5);
}

static void alone_nobody_is_interrupted(void **state)
{
	uint32_t s;

	(void)state;
	started(5, &s);
	run();
	assert_int_equal(host.timer, 0);
}

static void a_spent_budget_waits_for_its_period(void **state)
{
	uint32_t s, t;
	struct ec *e = make_thread(10, &s), *low;
	uint64_t start;

	(void)state;
	set_budget(s, 10, 1000, 5000);
	start = host.now;
	must(call1(RESUME, s));
	low = started(5, &t);
	assert_ptr_equal(run(), e);
	assert_int_equal(host.timer, start + 1000 * US);
	assert_ptr_equal(after(999 * US), e);
	assert_ptr_equal(after(US), low);
	assert_int_equal(e->throttled, 1);
	assert_int_equal(host.timer, start + 5000 * US);
	assert_ptr_equal(after(3999 * US), low);
	assert_ptr_equal(after(US), e);
	assert_int_equal(e->left, 1000 * US);
	assert_int_equal(host.timer, start + 6000 * US);
}

static void lent_time_is_charged_to_the_lender(void **state)
{
	uint32_t s, h;
	struct ec *e = make_thread(10, &s), *handler = make_thread(0, &h);

	(void)state;
	set_budget(s, 10, 1000, 5000);
	must(call1(RESUME, s));
	assert_ptr_equal(run(), e);
	ec_call(e, CAIRN_CALL_CALL, make_portal(h, 0, 0), 0, 0, 0, 0, 0);
	assert_ptr_equal(host.cpu.current, handler);
	assert_null(after(1000 * US));
	assert_int_equal(e->throttled, 1);
	assert_ptr_equal(after(4000 * US), handler);
}

static void a_wait_ends_at_its_deadline(void **state)
{
	uint32_t s;
	struct ec *e = started(10, &s);

	(void)state;
	run();
	ec_call(e, CAIRN_CALL_WAIT, host.now + 700, 0, 0, 0, 0, 0);
	assert_int_equal(e->status, EC_WAIT);
	assert_null(run());
	assert_int_equal(host.timer, host.now + 700);
	assert_null(after(699));
	assert_ptr_equal(after(1), e);
	assert_int_equal(e->gpr[GPR_RAX], CAIRN_ERR_TIMEOUT);
	assert_int_equal(e->gpr[GPR_RDI], 0);
}

static void a_signal_ends_a_wait(void **state)
{
	uint32_t s, a, b;
	struct ec *e = started(10, &s);

	(void)state;
	a = copy_of(s, RIGHT_SIGNAL, 1);
	b = copy_of(s, RIGHT_SIGNAL, 4);
	run();
	ec_call(e, CAIRN_CALL_WAIT, host.now + 700, 0, 0, 0, 0, 0);
	assert_null(run());
	must(call1(SIGNAL, b));
	assert_ptr_equal(run(), e);
	assert_int_equal(e->gpr[GPR_RAX], CAIRN_OK);
	assert_int_equal(e->gpr[GPR_RDI], 4);
	assert_int_equal(host.timer, 0); /* its deadline is off */
	assert_ptr_equal(after(1000), e);
	assert_int_equal(e->gpr[GPR_RAX], CAIRN_OK);
	/* Signals that come before the wait are kept, and taken once. */
	must(call1(SIGNAL, a));
	must(call1(SIGNAL, b));
	must(ec_call(e, CAIRN_CALL_WAIT, 0, 0, 0, 0, 0, 0));
	assert_int_equal(e->gpr[GPR_RDI], 5);
	must_be(CAIRN_ERR_TIMEOUT, ec_call(e, CAIRN_CALL_WAIT, 1, 0, 0, 0, 0, 0));
	assert_int_equal(e->status, EC_READY);
	must_be(CAIRN_ERR_TIMEOUT, ec_call(e, CAIRN_CALL_WAIT, host.now, 0, 0, 0, 0, 0));
}

static void timers_fire_in_order(void **state)
{
	static const uint64_t when[4] = {300, 100, 400, 100};
	uint32_t s[4], i;
	struct ec *e[4];

	(void)state;
	for (i = 0; i < 4; i++) {
		e[i] = started(10, &s[i]);
		ec_call(e[i], CAIRN_CALL_WAIT, host.now + when[i], 0, 0, 0, 0, 0);
	}
	run();
	assert_int_equal(host.timer, host.now + 100);
	timer_cancel(&host.cpu, &e[1]->deadline);
	timer_cancel(&host.cpu, &e[1]->deadline); /* twice does no harm */
	host.now += 100;
	timers_expire(&host.cpu);
	assert_int_equal(e[3]->status, EC_READY);
	assert_int_equal(e[0]->status, EC_WAIT);
	assert_int_equal(e[1]->status, EC_WAIT);
	host.now += 1000;
	timers_expire(&host.cpu);
	assert_int_equal(e[0]->status + e[2]->status, 2 * EC_READY);
	assert_ptr_equal(host.cpu.timers.next, &host.cpu.timers);
}

static void the_destroyed_leave_queue_and_timers(void **state)
{
	uint32_t s[2];
	struct ec *e = started(10, &s[0]);

	(void)state;
	started(10, &s[1]);
	ec_call(e, CAIRN_CALL_WAIT, host.now + 700, 0, 0, 0, 0, 0);
	run();
	must(call2(DELETE, S_TABLE, s[0]));
	must(call2(DELETE, S_TABLE, s[1]));
	assert_null(after(1000));
	assert_ptr_equal(host.cpu.timers.next, &host.cpu.timers);
	assert_int_equal(host.cpu.ready, 0);
	assert_null(host.cpu.sc);
	assert_null(host.cpu.list);
}

/* R-BAS-2: no VM enters before the verdict. */
static void a_frozen_vcpu_waits_for_its_thaw(void **state)
{
	uint32_t h, v, class;
	struct ec *handler = make_thread(0, &h), *vcpu;

	(void)state;
	for (class = 0; class < EXIT_CLASSES; class ++)
		must(call5(PORTAL_CREATE, h, S_TABLE, 800 + class, 0, 0));
	vcpu = make_vcpu(10, 800, &v);
	must(call1(RESUME, v));
	assert_ptr_equal(run(), handler);
	ec_call(handler, CAIRN_CALL_REPLY, 0, 0, 0, 0, 0, 0);
	assert_ptr_equal(run(), vcpu);
	mc_epoch = mc_complete = 2;
	assert_null(run());
	assert_int_equal(vcpu->status, EC_FROZEN);
	must(call3(MC_THAW, S_MC, v, 1)); /* another one came since */
	assert_null(run());
	must_be(CAIRN_ERR_ARG, call3(MC_THAW, S_MC, v, 3));
	must(call3(MC_THAW, S_MC, v, 2));
	assert_ptr_equal(run(), vcpu);
}

static void a_recall_comes_before_the_entry(void **state)
{
	uint32_t h, v, class;
	struct ec *handler = make_thread(0, &h), *vcpu;

	(void)state;
	for (class = 0; class < EXIT_CLASSES; class ++)
		must(call5(PORTAL_CREATE, h, S_TABLE, 800 + class, class, 0));
	vcpu = make_vcpu(10, 800, &v);
	must(call1(RECALL, v));
	must(call1(RESUME, v));
	assert_ptr_equal(run(), handler);
	assert_int_equal(handler->gpr[GPR_RDI], EXIT_STARTUP);
	ec_call(handler, CAIRN_CALL_REPLY, 0, 0, 0, 0, 0, 0);
	assert_ptr_equal(run(), handler);
	assert_int_equal(handler->gpr[GPR_RDI], EXIT_RECALL);
	ec_call(handler, CAIRN_CALL_REPLY, 0, 0, 0, 0, 0, 0);
	assert_ptr_equal(host.cpu.current, vcpu);
}

#define test(f) cmocka_unit_test_setup(f, host_boot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(nobody_means_idle),
		test(the_highest_priority_runs),
		test(equals_take_turns),
		test(alone_nobody_is_interrupted),
		test(a_spent_budget_waits_for_its_period),
		test(lent_time_is_charged_to_the_lender),
		test(a_wait_ends_at_its_deadline),
		test(a_signal_ends_a_wait),
		test(timers_fire_in_order),
		test(the_destroyed_leave_queue_and_timers),
		test(a_frozen_vcpu_waits_for_its_thaw),
		test(a_recall_comes_before_the_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
