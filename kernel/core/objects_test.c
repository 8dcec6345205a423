/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of Threads and VCpus: what configuration refuses, what happens when something they stand on goes. */
#include <hal/host/host_boot.h>

#define FAR 4096u

static struct thread_config config;
static uint32_t thread;

static int boot(void **state)
{
	host_boot(state);
	memset(&config, 0, sizeof(config));
	config.space = home_space();
	config.captable = S_TABLE;
	config.buffer = make_frame(PAGE_BITS_4K);
	config.supervisor = ~0ull;
	config.rip = 0x400000;
	config.rsp = 0x500000;
	config.priority = 5;
	thread = make(CAP_THREAD, 0, 0);
	return 0;
}

static uint64_t configure(uint64_t mask)
{
	memcpy(driver_buffer.words, &config, sizeof(config));
	return call2(THREAD_CONFIGURE, thread, mask);
}

#define ALL (THREAD_SPACE | THREAD_REGS | THREAD_UPCALLS | THREAD_TIME)

/* Refused, and right again afterwards. */
#define refused(status, field, value)                                                                                       \
	do {                                                                                                                \
		uint64_t good = config.field;                                                                               \
		config.field = (value);                                                                                     \
		must_be(status, configure(ALL));                                                                            \
		config.field = good;                                                                                        \
	} while (0)

static void wrong_configurations_are_refused(void **state)
{
	uint32_t guest = make_pt(PT_GUEST, 4, 7), inner = make_pt(PT_HOST, 3, 0), image = new_sel();

	(void)state;
	must(call6(RETYPE, S_IMAGE, CAP_FRAME, PAGE_BITS_4K, S_TABLE, image, 0));
	must_be(CAIRN_ERR_ARG, configure(0));
	must_be(CAIRN_ERR_ARG, configure(ALL | 0x10));
	must_be(CAIRN_ERR_ARG, configure(ALL | 1ull << 32));
	must_be(CAIRN_ERR_STATE, configure(THREAD_REGS)); /* its space comes first */
	refused(CAIRN_ERR_TYPE, space, guest);
	refused(CAIRN_ERR_TYPE, space, inner);
	refused(CAIRN_ERR_TYPE, space, S_TABLE);
	refused(CAIRN_ERR_CAP, space, UINT64_MAX);
	refused(CAIRN_ERR_RIGHTS, space, copy_of((uint32_t)config.space, RIGHT_GRANT, 0));
	refused(CAIRN_ERR_TYPE, captable, thread);
	refused(CAIRN_ERR_RIGHTS, buffer, copy_of((uint32_t)config.buffer, RIGHT_READ, 0));
	refused(CAIRN_ERR_ARG, buffer, make_frame(PAGE_BITS_2M));
	refused(CAIRN_ERR_ARG, buffer, image);
	refused(CAIRN_ERR_CPU, cpu, 1);
	refused(CAIRN_ERR_ARG, rip, USER_END);
	refused(CAIRN_ERR_ARG, rsp, UINT64_MAX);
	refused(CAIRN_ERR_ARG, fs_base, USER_END);
	refused(CAIRN_ERR_ARG, syscall_entry, USER_END);
	refused(CAIRN_ERR_ARG, fault_entry, USER_END);
	refused(CAIRN_ERR_ARG, priority, PRIORITIES);
	refused(CAIRN_ERR_ARG, budget_us, 1000); /* more than its period */
	refused(CAIRN_ERR_ARG, period_us, UINT64_MAX);
	config.period_us = 1000;
	refused(CAIRN_ERR_ARG, budget_us, 99);
	assert_int_equal(object_of(thread)->status, EC_NEW);
	assert_null(host.cpu.list);
	assert_false(host_in_window(SLOT(config.buffer).base));
	assert_int_equal(SLOT(config.buffer).bound, 0);
	must_be(CAIRN_ERR_STATE, call1(RESUME, thread));
	must_be(CAIRN_ERR_STATE, call1(SUSPEND, thread));
	must(configure(ALL));
	must_be(CAIRN_ERR_STATE, configure(ALL)); /* once */
}

static void a_configured_thread_is_what_was_said(void **state)
{
	struct ec *e;

	(void)state;
	config.fs_base = 0x600000;
	config.arg = 42;
	config.budget_us = 1000;
	config.period_us = 2000;
	must(configure(ALL));
	e = object_of(thread);
	assert_int_equal(e->rip, 0x400000);
	assert_int_equal(e->gpr[GPR_RSP], 0x500000);
	assert_int_equal(e->gpr[GPR_RDI], 42);
	assert_int_equal(e->rflags, RFLAGS_USER);
	assert_int_equal(e->fs_base, 0x600000);
	assert_int_equal(e->cr3, SLOT(config.space).base);
	assert_int_equal(e->label, 2);
	assert_int_equal(e->left, 1000000);
	assert_true(host_in_window(SLOT(config.buffer).base));
	schedule(&host.cpu);
	assert_null(host.cpu.current); /* until resume */
	must(call1(RESUME, thread));
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, e);
	config.syscall_entry = 0x401000;
	must_be(CAIRN_ERR_STATE, configure(THREAD_REGS)); /* it runs */
	must_be(CAIRN_ERR_STATE, configure(THREAD_TIME));
	must(configure(THREAD_UPCALLS)); /* its own entries it may register at any time */
	assert_int_equal(e->syscall_entry, 0x401000);
	must(call1(SUSPEND, thread));
	must(configure(THREAD_REGS | THREAD_TIME));
}

/* The kernel has one translation for a page: whoever comes second would lose it with the first. */
static void a_page_is_one_threads_buffer(void **state)
{
	uint32_t first = thread;

	(void)state;
	must(configure(ALL));
	thread = make(CAP_THREAD, 0, 0);
	must_be(CAIRN_ERR_BUSY, configure(ALL));
	config.buffer = copy_of((uint32_t)config.buffer, RIGHT_ALL, 0);
	must_be(CAIRN_ERR_BUSY, configure(ALL));
	must(call2(DELETE, S_TABLE, first));
	must(configure(ALL));
	assert_true(host_in_window(SLOT(config.buffer).base));
}

static void poisoned_pages_are_no_buffer_and_no_space(void **state)
{
	(void)state;
	hal_page_set(SLOT(config.buffer).base, PAGE_POISONED);
	must_be(CAIRN_ERR_BUSY, configure(ALL));
	hal_page_set(SLOT(config.buffer).base, PAGE_USER);
	hal_page_set(SLOT(config.space).base, CAP_PAGETABLE | PAGE_POISONED);
	must_be(CAIRN_ERR_BUSY, configure(ALL));
	hal_page_set(SLOT(config.space).base, CAP_PAGETABLE);
	must(configure(ALL));
}

static void a_thread_without_space_is_not_revived(void **state)
{
	struct ec *e;

	(void)state;
	must(configure(ALL));
	must(call1(RESUME, thread));
	e = object_of(thread);
	must(call2(DELETE, S_TABLE, config.space));
	assert_int_equal(e->status, EC_STOPPED);
	assert_int_not_equal(host.space_left, 0);
	must_be(CAIRN_ERR_STATE, configure(THREAD_REGS));
	must_be(CAIRN_ERR_STATE, call1(RESUME, thread));
	schedule(&host.cpu);
	assert_null(host.cpu.current);
	must(call2(DELETE, S_TABLE, config.buffer)); /* still its buffer */
	assert_int_equal(e->buffer_slot, SLOT_NIL);
	must(call2(DELETE, S_TABLE, thread));
	assert_null(host.cpu.list);
}

static void a_thread_without_buffer_is_not_revived(void **state)
{
	uint64_t page = SLOT(config.buffer).base;

	(void)state;
	must(configure(ALL));
	must(call1(RESUME, thread));
	must(call2(DELETE, S_TABLE, config.buffer));
	assert_false(host_in_window(page));
	assert_null(object_of(thread)->buffer);
	must_be(CAIRN_ERR_STATE, configure(THREAD_REGS));
	must_be(CAIRN_ERR_STATE, call1(RESUME, thread));
}

static void a_stopped_thread_may_start_again(void **state)
{
	struct ec *e;

	(void)state;
	must(configure(ALL));
	must(call1(RESUME, thread));
	schedule(&host.cpu);
	e = host.cpu.current;
	thread_fault(e, 13, 0, 0, 0);
	assert_int_equal(e->status, EC_STOPPED);
	must(configure(THREAD_REGS));
	must(call1(RESUME, thread));
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, e);
}

static void destruction_frees_everything(void **state)
{
	uint64_t page = SLOT(thread).base, buffer = SLOT(config.buffer).base;

	(void)state;
	must(configure(ALL));
	must(call1(RESUME, thread));
	must(call2(IRQ_BIND, copy_of(S_IRQ, RIGHT_ALL, 4 | 4 << 16), thread));
	schedule(&host.cpu);
	host.cpu.fpu_owner = host.cpu.last_guest = host.cpu.current;
	must(call2(DELETE, S_TABLE, thread));
	assert_null(host.cpu.current);
	assert_null(host.cpu.sc);
	assert_null(host.cpu.fpu_owner);
	assert_null(host.cpu.last_guest);
	assert_null(host.line[4].thread);
	assert_null(host.cpu.list);
	assert_int_equal(host.cpu.ready, 0);
	assert_false(host_in_window(page));
	assert_false(host_in_window(buffer));
	assert_int_equal(SLOT(config.buffer).bound, 0);
	assert_int_equal(hal_page_byte(page), PAGE_USER);
}

/* A thread that deletes itself does not hear the answer, and nothing is written to what it was. */
static void a_thread_may_delete_itself(void **state)
{
	struct ec *e;

	(void)state;
	must(configure(ALL));
	must(call1(RESUME, thread));
	schedule(&host.cpu);
	e = host.cpu.current;
	ec_call(e, CAIRN_CALL_DELETE, S_TABLE, thread, 0, 0, 0, 0);
	assert_false(slot_live(slot_of(thread)));
	schedule(&host.cpu);
	assert_null(host.cpu.current);
}

/* ---- VCpus ---- */

static struct vcpu_config vc;

static uint64_t configure_vcpu(uint32_t v)
{
	memcpy(driver_buffer.words, &vc, sizeof(vc));
	return call1(VCPU_CONFIGURE, v);
}

/* seL4's maximum controlled priority. */
static void nobody_gives_more_than_its_ceiling(void **state)
{
	uint32_t v = make(CAP_VCPU, 0, 0);

	(void)state;
	driver.ceiling = 7;
	refused(CAIRN_ERR_RIGHTS, priority, 8);
	refused(CAIRN_ERR_RIGHTS, ceiling, 8);
	refused(CAIRN_ERR_RIGHTS, ceiling, 1ull << 32);
	config.priority = config.ceiling = 7;
	must(configure(ALL));
	assert_int_equal(object_of(thread)->ceiling, 7);
	config.priority = 8;
	must_be(CAIRN_ERR_RIGHTS, configure(THREAD_TIME));
	config.ceiling = 9; /* only with its space */
	config.priority = 6;
	must(configure(THREAD_TIME));
	assert_int_equal(object_of(thread)->ceiling, 7);
	vc = (struct vcpu_config){.guest_root = make_pt(PT_GUEST, 4, 8),
				  .home = home_space(),
				  .captable = S_TABLE,
				  .state = make_frame(PAGE_BITS_4K),
				  .priority = 8};
	must_be(CAIRN_ERR_RIGHTS, configure_vcpu(v));
	vc.priority = 7;
	must(configure_vcpu(v));
}

static void vcpu_configurations_are_checked(void **state)
{
	uint32_t v = make(CAP_VCPU, 0, 0);
	struct ec *e = object_of(v);

	(void)state;
	vc = (struct vcpu_config){
		.guest_root = make_pt(PT_GUEST, 4, 8), .home = home_space(), .captable = S_TABLE, .state = config.buffer};
	must_be(CAIRN_ERR_ARG, configure_vcpu(v)); /* a VCpu has time of its own */
	vc.priority = 9;
	vc.exit_base = SLOT_COUNT;
	must_be(CAIRN_ERR_ARG, configure_vcpu(v));
	vc.exit_base = ROOT_SLOTS; /* beyond its table: its first exit stops it */
	vc.guest_root = home_space();
	must_be(CAIRN_ERR_TYPE, configure_vcpu(v));
	vc.guest_root = make_pt(PT_GUEST, 4, 8);
	vc.home = vc.guest_root;
	must_be(CAIRN_ERR_TYPE, configure_vcpu(v));
	vc.home = home_space();
	assert_null(host.cpu.list);
	assert_int_equal(e->status, EC_NEW);
	must_be(CAIRN_ERR_STATE, call1(RECALL, v));
	must(configure_vcpu(v));
	must_be(CAIRN_ERR_STATE, configure_vcpu(v));
	assert_int_equal(e->label, 8);
	assert_int_equal(host.vcpu_root, SLOT(vc.guest_root).base);
	assert_ptr_equal(e->state, hal_window(SLOT(config.buffer).base));
	must(call1(RESUME, v));
	schedule(&host.cpu);
	assert_null(host.cpu.current);
	assert_int_equal(e->status, EC_STOPPED);
}

static void a_vcpu_stops_with_its_guest_space(void **state)
{
	uint32_t v;
	struct ec *e = make_vcpu(9, 800, &v);

	(void)state;
	must(call1(RESUME, v));
	must(call2(DELETE, S_TABLE, e->guest_slot - ROOT_FIRST));
	assert_int_equal(e->status, EC_STOPPED);
	must_be(CAIRN_ERR_STATE, call1(RESUME, v));
	schedule(&host.cpu);
	assert_null(host.cpu.current);
	must(call2(DELETE, S_TABLE, v));
}

#define test(f) cmocka_unit_test_setup(f, boot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(wrong_configurations_are_refused),
		test(a_configured_thread_is_what_was_said),
		test(a_page_is_one_threads_buffer),
		test(poisoned_pages_are_no_buffer_and_no_space),
		test(a_thread_without_space_is_not_revived),
		test(a_thread_without_buffer_is_not_revived),
		test(a_stopped_thread_may_start_again),
		test(destruction_frees_everything),
		test(a_thread_may_delete_itself),
		test(nobody_gives_more_than_its_ceiling),
		test(vcpu_configurations_are_checked),
		test(a_vcpu_stops_with_its_guest_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
