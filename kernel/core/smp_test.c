/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of many CPUs: what one asks of another, seen from both sides. The other CPUs answer at once (host_hal.c). */
#include <hal/host/host_boot.h>

static struct ec *started(uint64_t cpu, uint32_t *sel)
{
	struct ec *e;

	make_on = cpu;
	e = make_thread(5, sel);
	must(call1(RESUME, *sel));
	return e;
}

static struct ec *runs_on(uint32_t cpu)
{
	host_on(cpu);
	schedule(cpus[cpu]);
	host_on(0);
	return cpus[cpu]->current;
}

static void a_thread_runs_on_its_cpu_only(void **state)
{
	uint32_t t;
	struct ec *e;

	(void)state;
	host_cpus(3);
	e = started(2, &t);
	assert_int_equal(e->cpu, 2);
	assert_null(runs_on(0));
	assert_null(runs_on(1));
	assert_ptr_equal(runs_on(2), e);
	must(call1(SUSPEND, t));
	assert_null(runs_on(2));
	must(call1(RESUME, t));
	assert_ptr_equal(runs_on(2), e);
}

static void a_cpu_that_does_not_run_is_refused(void **state)
{
	struct thread_config c = {0};
	uint32_t t = make(CAP_THREAD, 0, 0);

	(void)state;
	host_cpus(2);
	c.space = home_space();
	c.captable = S_TABLE;
	c.buffer = make_frame(PAGE_BITS_4K);
	c.cpu = 2;
	memcpy(driver_buffer.words, &c, sizeof(c));
	must_be(CAIRN_ERR_CPU, call2(THREAD_CONFIGURE, t, THREAD_SPACE));
	assert_int_equal(SLOT(c.buffer).bound, 0);
	assert_int_equal(object_of(t)->status, EC_NEW);
	assert_null(cpus[1]->list);
}

static void a_signal_reaches_a_waiting_thread_of_another_cpu(void **state)
{
	uint32_t t;
	struct ec *e;

	(void)state;
	host_cpus(2);
	e = started(1, &t);
	assert_ptr_equal(runs_on(1), e);
	host_on(1);
	ec_call(e, CAIRN_CALL_WAIT, 0, 0, 0, 0, 0, 0);
	host_on(0);
	assert_null(runs_on(1));
	must(call1(SIGNAL, copy_of(t, RIGHT_SIGNAL, 4)));
	assert_ptr_equal(runs_on(1), e);
	assert_int_equal(e->gpr[GPR_RDI], 4);
}

static void a_call_stays_on_its_cpu(void **state)
{
	uint32_t t, h;
	struct ec *e;

	(void)state;
	host_cpus(2);
	make_on = 1;
	make_thread(0, &h);
	e = started(0, &t);
	assert_int_equal(ec_call(e, CAIRN_CALL_CALL, make_portal(h, 0, 0), 0, 0, 0, 0, 0), CAIRN_ERR_CPU);
}

static void a_destroyed_thread_leaves_its_cpu(void **state)
{
	uint32_t t, h;
	struct ec *e, *caller;

	(void)state;
	host_cpus(2);
	make_on = 1;
	make_thread(0, &h);
	caller = started(1, &t);
	assert_ptr_equal(runs_on(1), caller);
	host_on(1);
	assert_int_equal(ec_call(caller, CAIRN_CALL_CALL, make_portal(h, 0, 0), 0, 0, 0, 0, 0),
			 CAIRN_CALL_BASE + CAIRN_CALL_CALL);
	host_on(0);
	e = object_of(h);
	assert_ptr_equal(cpus[1]->current, e);
	revoke_all(S_TABLE, h);
	must(delete_all(S_TABLE, h));
	assert_null(cpus[1]->current);
	assert_ptr_equal(runs_on(1), caller);
	assert_int_equal(caller->gpr[GPR_RAX], CAIRN_ERR_ABORTED);
	must(delete_all(S_TABLE, t));
	assert_null(cpus[1]->list);
	assert_null(runs_on(1));
}

static void users_of_a_space_stop_on_all_cpus(void **state)
{
	uint32_t t[3], i;
	struct ec *e[3];

	(void)state;
	host_cpus(3);
	for (i = 0; i < 3; i++) {
		e[i] = started(i, &t[i]);
		assert_ptr_equal(runs_on(i), e[i]);
	}
	must(delete_all(S_TABLE, home_space()));
	for (i = 0; i < 3; i++) {
		assert_int_equal(e[i]->status, EC_STOPPED);
		assert_null(runs_on(i));
	}
}

static void a_configuration_is_made_on_the_threads_cpu(void **state)
{
	struct thread_config c = {0};
	uint32_t t;
	struct ec *e;

	(void)state;
	host_cpus(2);
	e = started(1, &t);
	c.rip = 0x1234;
	memcpy(driver_buffer.words, &c, sizeof(c));
	must_be(CAIRN_ERR_STATE, call2(THREAD_CONFIGURE, t, THREAD_REGS)); /* it runs */
	must(call1(SUSPEND, t));
	must(call2(THREAD_CONFIGURE, t, THREAD_REGS));
	assert_int_equal(e->rip, 0x1234);
}

/* By CPU 1, which asks CPU 0 for something while that waits. */
static void lock_is_taken(enum request what, struct ec *e)
{
	host_on(1);
	lock_take();
	host_on(0);
	host.while_waiting.what = what;
	host.while_waiting.e = e;
	host.while_waiting.turns = 3;
}

static void a_hypercall_that_is_disturbed_begins_anew(void **state)
{
	uint32_t t;
	struct ec *e;

	(void)state;
	host_cpus(2);
	e = started(0, &t);
	assert_ptr_equal(runs_on(0), e);
	e->rip = 0x1002;
	lock_is_taken(REQ_SUSPEND, e);
	ec_call(e, CAIRN_CALL_DELETE, 0, S_IMAGE, 0, 0, 0, 0);
	assert_int_equal(host.while_waiting.turns, 0);
	assert_int_equal(e->rip, 0x1000); /* at the instruction, with all it needs */
	assert_int_equal(e->gpr[GPR_RAX], CAIRN_CALL_BASE + CAIRN_CALL_DELETE);
	assert_int_equal(SLOT(S_IMAGE).live, 1);
	assert_int_equal(e->suspended, 1);
	e->suspended = 0;
	e->rip = 0x1002;
	lock_is_taken(REQ_FLUSH, e);
	must(ec_call(e, CAIRN_CALL_DELETE, S_TABLE, S_IMAGE, 0, 0, 0, 0));
	assert_int_equal(e->rip, 0x1002);
	assert_int_equal(SLOT(S_IMAGE).live, 0);
}

static void started_cpus_get_the_next_index(void **state)
{
	(void)state;
	must_be(CAIRN_ERR_TYPE, call2(CPU_START, S_MC, 1));
	must_be(CAIRN_ERR_BUSY, call2(CPU_START, S_CPUS, 0));
	must_be(CAIRN_ERR_ARG, call2(CPU_START, S_CPUS, 255));
	must_be(CAIRN_ERR_CPU, call2(CPU_START, S_CPUS, HOST_CPUS));
	assert_int_equal(cpu_count, 1);
	must(call2(CPU_START, S_CPUS, 2));
	assert_int_equal(driver.gpr[GPR_RDI], 1);
	must(call2(CPU_START, S_CPUS, 1));
	assert_int_equal(driver.gpr[GPR_RDI], 2);
	assert_int_equal(cpus[1]->apic_id, 2);
	must_be(CAIRN_ERR_BUSY, call2(CPU_START, S_CPUS, 2));
}

static void each_cpu_has_its_own_records(void **state)
{
	struct mca_record r = {.addr = 0x1000, .last = 1}, copy;

	(void)state;
	host_cpus(2);
	host_on(1);
	assert_true(mca_push(cpus[1], &r, 0));
	host_on(0);
	must(call3(MC_HARVEST, S_MC, 0, 0));
	assert_int_equal(driver.gpr[GPR_RDI], 0);
	must(call3(MC_HARVEST, S_MC, 1, 0));
	assert_int_equal(driver.gpr[GPR_RDI], 1);
	memcpy(&copy, driver_buffer.words, sizeof(copy));
	assert_int_equal(copy.cpu, 1);
	assert_int_equal(copy.addr, 0x1000);
	must(call3(MC_HARVEST, S_MC, 1, copy.sequence));
	assert_int_equal(driver.gpr[GPR_RDI], 0);
	must_be(CAIRN_ERR_CPU, call3(MC_HARVEST, S_MC, 2, 0));
}

static void an_epoch_is_told_when_its_records_are_complete(void **state)
{
	(void)state;
	host_cpus(2);
	mc_epoch = mc_complete = 4;
	must(call3(MC_HARVEST, S_MC, 0, 0));
	assert_int_equal(driver.gpr[GPR_RSI], 4);
	mc_epoch = 6; /* two CPUs are in the middle of theirs */
	must(call3(MC_HARVEST, S_MC, 0, 0));
	assert_int_equal(driver.gpr[GPR_RSI], 4);
	mc_complete = 5;
	must(call3(MC_HARVEST, S_MC, 1, 0));
	assert_int_equal(driver.gpr[GPR_RSI], 4);
	mc_complete = 6;
	must(call3(MC_HARVEST, S_MC, 0, 0));
	assert_int_equal(driver.gpr[GPR_RSI], 6);
}

static void a_vcpu_of_another_cpu_is_frozen_and_thawed(void **state)
{
	uint32_t v;
	struct ec *e;

	(void)state;
	host_cpus(2);
	make_on = 1;
	e = make_vcpu(5, 0, &v);
	e->started = 1;
	must(call1(RESUME, v));
	assert_ptr_equal(runs_on(1), e);
	mc_epoch = mc_complete = 1;
	cpus[1]->resched = 1;
	assert_null(runs_on(1));
	assert_int_equal(e->status, EC_FROZEN);
	must_be(CAIRN_ERR_ARG, call3(MC_THAW, S_MC, v, 2));
	must(call3(MC_THAW, S_MC, v, 1));
	assert_ptr_equal(runs_on(1), e);
}

static void a_cpu_that_does_not_answer_gets_an_nmi(void **state)
{
	uint32_t t;

	(void)state;
	host_cpus(2);
	make_on = 1;
	make_thread(5, &t);
	host.deaf = 1;
	must(call1(RESUME, t));
	assert_int_equal(host.nmis, 1);
}

static void a_cpu_that_answers_nothing_is_the_end(void **state)
{
	uint32_t t;

	(void)state;
	host_cpus(2);
	make_on = 1;
	make_thread(5, &t);
	host.deaf = 2;
	host.expect_fatal = 1;
	if (!setjmp(host.fatal)) {
		call1(RESUME, t);
		fail_msg("it goes on");
	}
	lock_drop();
	assert_int_equal(host.nmis, 1);
}

static void a_lock_that_is_never_given_back_is_the_end(void **state)
{
	(void)state;
	host_cpus(2);
	host_on(1);
	lock_take();
	host_on(0);
	host.deaf = 2;
	host.expect_fatal = 1;
	if (!setjmp(host.fatal)) {
		lock_take();
		fail_msg("it goes on");
	}
	lock_drop();
	lock_drop();
	assert_int_equal(host.nmis, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_thread_runs_on_its_cpu_only, host_boot),
		cmocka_unit_test_setup(a_cpu_that_does_not_run_is_refused, host_boot),
		cmocka_unit_test_setup(a_signal_reaches_a_waiting_thread_of_another_cpu, host_boot),
		cmocka_unit_test_setup(a_call_stays_on_its_cpu, host_boot),
		cmocka_unit_test_setup(a_destroyed_thread_leaves_its_cpu, host_boot),
		cmocka_unit_test_setup(users_of_a_space_stop_on_all_cpus, host_boot),
		cmocka_unit_test_setup(a_configuration_is_made_on_the_threads_cpu, host_boot),
		cmocka_unit_test_setup(a_hypercall_that_is_disturbed_begins_anew, host_boot),
		cmocka_unit_test_setup(started_cpus_get_the_next_index, host_boot),
		cmocka_unit_test_setup(each_cpu_has_its_own_records, host_boot),
		cmocka_unit_test_setup(an_epoch_is_told_when_its_records_are_complete, host_boot),
		cmocka_unit_test_setup(a_vcpu_of_another_cpu_is_frozen_and_thawed, host_boot),
		cmocka_unit_test_setup(a_cpu_that_does_not_answer_gets_an_nmi, host_boot),
		cmocka_unit_test_setup(a_cpu_that_answers_nothing_is_the_end, host_boot),
		cmocka_unit_test_setup(a_lock_that_is_never_given_back_is_the_end, host_boot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
