/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the decoding of hypercalls: numbers, selectors, types and rights; ports, interrupts, FS. */
#include <hal/host/host_boot.h>

static void wrong_numbers_are_refused(void **state)
{
	static const uint64_t numbers[] = {
		0, 1, CAIRN_CALL_BASE - 1, CAIRN_CALL_BASE + CAIRN_CALL_COUNT, CAIRN_CALL_BASE | 1ull << 32, UINT64_MAX};
	uint32_t i;

	(void)state;
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		driver.gpr[GPR_RAX] = numbers[i];
		syscall_dispatch(&driver);
		assert_int_equal(driver.gpr[GPR_RAX], CAIRN_ERR_CALL);
	}
	must(call1(IDENTIFY, 0));
	assert_int_equal(driver.gpr[GPR_RDI], CAIRN_INTERFACE_VERSION);
}

/* Every call that begins with a selector, with one out of range, one empty and one of another type. */
static void selectors_are_checked_in_every_call(void **state)
{
	static const uint8_t calls[] = {
		CAIRN_CALL_SIGNAL,	   CAIRN_CALL_RETYPE,	CAIRN_CALL_DELETE,     CAIRN_CALL_REVOKE,
		CAIRN_CALL_PAGETABLE_LINK, CAIRN_CALL_MAP,	CAIRN_CALL_UNMAP,      CAIRN_CALL_THREAD_CONFIGURE,
		CAIRN_CALL_VCPU_CONFIGURE, CAIRN_CALL_RESUME,	CAIRN_CALL_SUSPEND,    CAIRN_CALL_PORTAL_CREATE,
		CAIRN_CALL_RECALL,	   CAIRN_CALL_IRQ_BIND, CAIRN_CALL_IRQ_ACK,    CAIRN_CALL_PORT_IN,
		CAIRN_CALL_PORT_OUT,	   CAIRN_CALL_MC_BIND,	CAIRN_CALL_MC_HARVEST, CAIRN_CALL_MC_POISON,
		CAIRN_CALL_MC_THAW,	   CAIRN_CALL_SERIAL,
	};
	uint32_t portal = make_portal(make(CAP_THREAD, 0, 0), 0, 0), i, n;

	(void)state;
	for (i = 0; i < sizeof(calls); i++) {
		n = check_list();
		must_be(CAIRN_ERR_CAP, ec_call(&driver, calls[i], ROOT_SLOTS, 0, 0, 0, 0, 0));
		must_be(CAIRN_ERR_CAP, ec_call(&driver, calls[i], 1ull << 32, 0, 0, 0, 0, 0));
		must_be(CAIRN_ERR_CAP, ec_call(&driver, calls[i], UINT64_MAX, 0, 0, 0, 0, 0));
		must_be(CAIRN_ERR_CAP, ec_call(&driver, calls[i], ROOT_SLOTS - 1, 0, 0, 0, 0, 0));
		must_be(CAIRN_ERR_TYPE, ec_call(&driver, calls[i], portal, 0, 0, 0, 0, 0));
		assert_int_equal(check_list(), n);
	}
}

/* With a copy that may only be copied. */
static void rights_are_checked_in_every_call(void **state)
{
	uint32_t thread = copy_of(make(CAP_THREAD, 0, 0), RIGHT_GRANT, 0),
		 vcpu = copy_of(make(CAP_VCPU, 0, 0), RIGHT_GRANT, 0);
	uint32_t root = copy_of(make_pt(PT_HOST, 4, 1), RIGHT_GRANT, 0), ports = copy_of(S_PORTS, RIGHT_GRANT, 0);
	uint32_t irq = copy_of(S_IRQ, RIGHT_GRANT, 4 | 4 << 16), mc = copy_of(S_MC, RIGHT_GRANT, 0);
	uint32_t frame = make_frame(PAGE_BITS_4K), good = make(CAP_THREAD, 0, 0),
		 goodirq = copy_of(S_IRQ, RIGHT_ALL, 5 | 5 << 16);

	(void)state;
	must_be(CAIRN_ERR_RIGHTS, call1(SIGNAL, thread));
	must_be(CAIRN_ERR_RIGHTS, call1(RESUME, thread));
	must_be(CAIRN_ERR_RIGHTS, call1(SUSPEND, thread));
	must_be(CAIRN_ERR_RIGHTS, call2(THREAD_CONFIGURE, thread, 1));
	must_be(CAIRN_ERR_RIGHTS, call5(PORTAL_CREATE, thread, S_TABLE, ROOT_SLOTS - 1, 0, 0));
	must_be(CAIRN_ERR_RIGHTS, call1(VCPU_CONFIGURE, vcpu));
	must_be(CAIRN_ERR_RIGHTS, call1(RESUME, vcpu));
	must_be(CAIRN_ERR_RIGHTS, call1(SUSPEND, vcpu));
	must_be(CAIRN_ERR_RIGHTS, call1(RECALL, vcpu));
	must_be(CAIRN_ERR_RIGHTS, call3(PAGETABLE_LINK, root, 0, make_pt(PT_HOST, 3, 0)));
	must_be(CAIRN_ERR_RIGHTS, call5(MAP, frame, root, 0, RIGHT_READ, 0));
	must_be(CAIRN_ERR_RIGHTS, call3(PORT_IN, ports, 0x60, 1));
	must_be(CAIRN_ERR_RIGHTS, call3(PORT_OUT, ports, 0x60, 1));
	must_be(CAIRN_ERR_RIGHTS, call1(SERIAL, copy_of(S_PORTS, RIGHT_ALL & ~RIGHT_CONTROL, 0x2f8 | 0x2ffull << 16)));
	must_be(CAIRN_ERR_RIGHTS, call2(IRQ_BIND, irq, good));
	must_be(CAIRN_ERR_RIGHTS, call2(IRQ_BIND, goodirq, thread));
	must_be(CAIRN_ERR_RIGHTS, call1(IRQ_ACK, irq));
	must_be(CAIRN_ERR_RIGHTS, call2(MC_BIND, mc, good));
	must_be(CAIRN_ERR_RIGHTS, call2(MC_BIND, S_MC, thread));
	must_be(CAIRN_ERR_RIGHTS, call2(MC_HARVEST, mc, 0));
	must_be(CAIRN_ERR_RIGHTS, call3(MC_THAW, mc, vcpu, 0));
}

static void ports_stay_in_their_range(void **state)
{
	uint32_t p = copy_of(S_PORTS, RIGHT_ALL, 0x3f8 | 0x3ffull << 16);

	(void)state;
	host.port_value = 0xab;
	must(call3(PORT_IN, p, 0x3f8, 1));
	assert_int_equal(driver.gpr[GPR_RDI], 0xab);
	assert_int_equal(host.port, 0x3f8);
	must(call6(PORT_OUT, p, 0x3fc, 4, 0x12345678, 0, 0));
	assert_int_equal(host.port_value, 0x12345678);
	assert_int_equal(host.port_width, 4);
	must(call3(PORT_IN, p, 0x3ff, 1));
	host.port = 1;
	must_be(CAIRN_ERR_ARG, call3(PORT_IN, p, 0x3f7, 1));
	must_be(CAIRN_ERR_ARG, call3(PORT_IN, p, 0x3f7, 2));
	must_be(CAIRN_ERR_ARG, call3(PORT_IN, p, 0x3ff, 2));
	must_be(CAIRN_ERR_ARG, call3(PORT_IN, p, 0x400, 1));
	must_be(CAIRN_ERR_ARG, call3(PORT_IN, p, 0x3f8, 0));
	must_be(CAIRN_ERR_ARG, call3(PORT_IN, p, 0x3f8, 3));
	must_be(CAIRN_ERR_ARG, call3(PORT_IN, p, 0x3f8, 8));
	must_be(CAIRN_ERR_ARG, call3(PORT_IN, p, 0x3f8 + 0x10000, 1));
	must_be(CAIRN_ERR_ARG, call3(PORT_IN, S_PORTS, 0x10000, 1));
	must_be(CAIRN_ERR_ARG, call3(PORT_IN, S_PORTS, 0xffff, 2));
	must_be(CAIRN_ERR_ARG, call3(PORT_IN, S_PORTS, UINT64_MAX, 1));
	must_be(CAIRN_ERR_ARG, call3(PORT_OUT, p, 0x400, 1));
	assert_int_equal(host.port, 1);
}

static void the_serial_port_is_one_of_eight_ports(void **state)
{
	(void)state;
	must_be(CAIRN_ERR_ARG, call1(SERIAL, S_PORTS));
	must_be(CAIRN_ERR_ARG, call1(SERIAL, copy_of(S_PORTS, RIGHT_ALL, 0x2f8 | 0x2feull << 16)));
	must_be(CAIRN_ERR_ARG, call1(SERIAL, copy_of(S_PORTS, RIGHT_ALL, 0x2f8 | 0x300ull << 16)));
	assert_int_equal(host.serial, 0);
	must(call1(SERIAL, copy_of(S_PORTS, RIGHT_ALL, 0x2f8 | 0x2ffull << 16)));
	assert_int_equal(host.serial, 0x2f8);
}

static void an_interrupt_line_notifies_its_thread(void **state)
{
	uint32_t line = copy_of(S_IRQ, RIGHT_ALL, 4 | 4 << 16), t, badged;
	struct ec *e = make_thread(5, &t);

	(void)state;
	badged = copy_of(t, RIGHT_SIGNAL, 0x10);
	must_be(CAIRN_ERR_ARG, call2(IRQ_BIND, S_IRQ, badged)); /* one line, not a range */
	must(call2(IRQ_BIND, line, badged));
	assert_ptr_equal(host.line[4].thread, e);
	assert_int_equal(host.line[4].badge, 0x10);
	host.line[4].unmasked = 0;
	must(call1(IRQ_ACK, line));
	assert_int_equal(host.line[4].unmasked, 1);
}

/* A binding lasts as long as the capability it was made with, or until another one makes its own. */
static void a_binding_goes_with_its_capability(void **state)
{
	uint32_t first = copy_of(S_IRQ, RIGHT_ALL, 4 | 4 << 16), second = copy_of(S_IRQ, RIGHT_ALL, 4 | 4 << 16), t;
	struct ec *e = make_thread(5, &t);

	(void)state;
	must(call2(IRQ_BIND, first, t));
	must_be(CAIRN_ERR_BUSY, call3(MOVE, first, S_TABLE, ROOT_SLOTS - 1));
	must(call2(IRQ_BIND, second, t));
	must(call2(DELETE, S_TABLE, first));
	assert_ptr_equal(host.line[4].thread, e);
	must(call2(DELETE, S_TABLE, second));
	assert_null(host.line[4].thread);
}

static void fs_base_is_a_user_address(void **state)
{
	uint32_t t;
	struct ec *e = make_thread(5, &t);

	(void)state;
	must(ec_call(e, CAIRN_CALL_SET_FS, USER_END - 8, 0, 0, 0, 0, 0));
	assert_int_equal(e->fs_base, USER_END - 8);
	must_be(CAIRN_ERR_ARG, ec_call(e, CAIRN_CALL_SET_FS, USER_END, 0, 0, 0, 0, 0));
	must_be(CAIRN_ERR_ARG, ec_call(e, CAIRN_CALL_SET_FS, 1ull << 63, 0, 0, 0, 0, 0));
	assert_int_equal(e->fs_base, USER_END - 8);
}

static void a_portal_mask_names_groups_only(void **state)
{
	uint32_t t = make(CAP_THREAD, 0, 0), p;

	(void)state;
	must_be(CAIRN_ERR_ARG, call5(PORTAL_CREATE, t, S_TABLE, ROOT_SLOTS - 1, 0, VCPU_MTD_ALL + 1));
	must_be(CAIRN_ERR_ARG, call5(PORTAL_CREATE, t, S_TABLE, ROOT_SLOTS - 1, 0, 1ull << 32));
	must_be(CAIRN_ERR_BUSY, call5(PORTAL_CREATE, t, S_TABLE, S_MC, 0, 0));
	p = make_portal(t, ~0ull, VCPU_MTD_ALL);
	assert_int_equal(SLOT(p).badge, ~0ull);
	assert_int_equal(slot_rights(slot_of(p)), RIGHT_SIGNAL | RIGHT_GRANT);
	assert_int_equal(SLOT(p).parent, slot_of(t));
	must_be(CAIRN_ERR_BUSY, call2(DELETE, S_TABLE, t));
	assert_int_equal(SLOT(copy_of(p, RIGHT_SIGNAL, 0)).count, VCPU_MTD_ALL);
	p = make_portal(copy_of(t, RIGHT_CONTROL | RIGHT_SIGNAL, 0), 0, 0);
	assert_int_equal(slot_rights(slot_of(p)), RIGHT_SIGNAL); /* no more than its Thread capability */
}

static void debug_characters_reach_the_machine(void **state)
{
	(void)state;
#ifdef CAIRN_DEBUG
	must(call1(DEBUG_WRITE, 0x6948));
	assert_int_equal(host.debug, 0x6948);
#else
	must_be(CAIRN_ERR_CALL, call1(DEBUG_WRITE, 0x6948));
	assert_int_equal(host.debug, 0);
#endif
}

#define test(f) cmocka_unit_test_setup(f, host_boot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(wrong_numbers_are_refused),
		test(selectors_are_checked_in_every_call),
		test(rights_are_checked_in_every_call),
		test(ports_stay_in_their_range),
		test(the_serial_port_is_one_of_eight_ports),
		test(an_interrupt_line_notifies_its_thread),
		test(a_binding_goes_with_its_capability),
		test(fs_base_is_a_user_address),
		test(a_portal_mask_names_groups_only),
		test(debug_characters_reach_the_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
