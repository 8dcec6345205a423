/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of messages: call and reply, queues, lent time, faults, exits, and callers or handlers that go in between. */
#include <hal/host/host_boot.h>

static struct ec *client, *handler;
static uint32_t client_sel, handler_sel, portal_sel;

/* A client that runs, and an idle handler behind a portal with badge 5. */
static int boot(void **state)
{
	host_boot(state);
	client = make_thread(10, &client_sel);
	handler = make_thread(0, &handler_sel);
	portal_sel = make_portal(handler_sel, 5, VCPU_MTD_RIP);
	must(call1(RESUME, client_sel));
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, client);
	return 0;
}

static uint64_t send(struct ec *from, uint32_t portal, uint64_t count)
{
	return ec_call(from, CAIRN_CALL_CALL, portal, 11, 12, 13, 14, count);
}

static uint64_t reply(struct ec *h, uint64_t count)
{
	return ec_call(h, CAIRN_CALL_REPLY, 0, 21, 22, 23, 24, count);
}

static void a_message_enters_the_handler(void **state)
{
	(void)state;
	client->buffer->words[4] = 1005;
	client->buffer->words[15] = 1016;
	client->buffer->words[16] = 1017;
	send(client, portal_sel, 16);
	assert_ptr_equal(host.cpu.current, handler);
	assert_int_equal(handler->gpr[GPR_RDI], 5);
	assert_int_equal(handler->gpr[GPR_RSI], 11);
	assert_int_equal(handler->gpr[GPR_RDX], 12);
	assert_int_equal(handler->gpr[GPR_R10], 13);
	assert_int_equal(handler->gpr[GPR_R8], 14);
	assert_int_equal(handler->gpr[GPR_R9], 16);
	assert_int_equal(handler->mode, MODE_HANDLER); /* entry.S: a context without anything of the message before */
	assert_int_equal(handler->entry_rip, 0x400000 + handler_sel);
	assert_int_equal(handler->entry_rsp, 0x800000 + handler_sel);
	assert_int_equal(handler->buffer->words[4], 1005);
	assert_int_equal(handler->buffer->words[15], 1016);
	assert_int_equal(handler->buffer->words[16], 0); /* 16 words are all that travels */
	assert_ptr_equal(handler->root, client);
	assert_ptr_equal(client->leaf, handler);
	assert_int_equal(client->status, EC_CALL);
}

static void a_reply_returns_to_the_caller(void **state)
{
	(void)state;
	send(client, portal_sel, 0);
	handler->buffer->words[4] = 2005;
	handler->buffer->words[5] = 2006;
	reply(handler, 5);
	assert_ptr_equal(host.cpu.current, client);
	assert_int_equal(client->gpr[GPR_RAX], CAIRN_OK);
	assert_int_equal(client->gpr[GPR_RDI], 5);
	assert_int_equal(client->gpr[GPR_RSI], 21);
	assert_int_equal(client->gpr[GPR_RDX], 22);
	assert_int_equal(client->gpr[GPR_R10], 23);
	assert_int_equal(client->gpr[GPR_R8], 24);
	assert_int_equal(client->gpr[GPR_R9], 0);
	assert_int_equal(client->buffer->words[4], 2005);
	assert_int_equal(client->buffer->words[5], 0);
	assert_int_equal(handler->status, EC_IDLE);
	assert_null(handler->caller);
	assert_ptr_equal(client->leaf, client);
}

static void wrong_messages_are_refused(void **state)
{
	uint32_t weak;

	(void)state;
	must_be(CAIRN_ERR_ARG, send(client, portal_sel, 17));
	must_be(CAIRN_ERR_ARG, send(client, portal_sel, 1ull << 63));
	must_be(CAIRN_ERR_CAP, send(client, ROOT_SLOTS - 1, 0));
	must_be(CAIRN_ERR_CAP, send(client, ROOT_SLOTS, 0));
	must_be(CAIRN_ERR_TYPE, send(client, S_MC, 0));
	weak = copy_of(portal_sel, RIGHT_GRANT, 0);
	must_be(CAIRN_ERR_RIGHTS, send(client, weak, 0));
	must_be(CAIRN_ERR_STATE, reply(client, 0)); /* nobody called it */
	assert_int_equal(client->status, EC_READY);
	send(client, portal_sel, 0);
	must_be(CAIRN_ERR_ARG, reply(handler, 17));
	must_be(CAIRN_ERR_ARG, ec_call(handler, CAIRN_CALL_REPLY, 1, 0, 0, 0, 0, 0));
	assert_int_equal(client->status, EC_CALL);
	assert_ptr_equal(host.cpu.current, handler);
}

static void only_handlers_can_be_entered(void **state)
{
	uint32_t t;

	(void)state;
	must_be(CAIRN_ERR_ABORTED, send(client, make_portal(client_sel, 0, 0), 0));
	must_be(CAIRN_ERR_ABORTED, send(client, make_portal(make(CAP_THREAD, 0, 0), 0, 0), 0));
	make_thread(3, &t);
	must_be(CAIRN_ERR_ABORTED, send(client, make_portal(t, 0, 0), 0));
	assert_int_equal(client->status, EC_READY);
}

static void a_portal_of_another_cpu_is_refused(void **state)
{
	(void)state;
	handler->cpu = 1;
	must_be(CAIRN_ERR_CPU, send(client, portal_sel, 0));
	assert_int_equal(client->status, EC_READY);
}

static void calls_nest_eight_deep(void **state)
{
	struct ec *h[9], *from = client;
	uint32_t i, sel;

	(void)state;
	for (i = 0; i < 9; i++)
		h[i] = make_thread(0, &sel), h[i]->gpr[GPR_RBX] = sel;
	for (i = 0; i < 8; i++) {
		send(from, make_portal((uint32_t)h[i]->gpr[GPR_RBX], i, 0), 0);
		assert_ptr_equal(host.cpu.current, h[i]);
		assert_int_equal(h[i]->depth, i + 1);
		from = h[i];
	}
	must_be(CAIRN_ERR_DEPTH, send(from, make_portal((uint32_t)h[8]->gpr[GPR_RBX], 0, 0), 0));
	for (; i; i--) {
		reply(h[i - 1], 0);
		assert_ptr_equal(host.cpu.current, i > 1 ? h[i - 2] : client);
	}
	assert_ptr_equal(client->leaf, client);
}

/* The one with the higher priority first, among equals the one that came first. */
static void callers_queue_by_priority(void **state)
{
	static const uint32_t priority[4] = {20, 20, 30, 5}, order[4] = {2, 0, 1, 3};
	struct ec *c[4];
	uint32_t i, sel;

	(void)state;
	send(client, portal_sel, 0);
	for (i = 0; i < 4; i++) {
		c[i] = make_thread(priority[i], &sel);
		must(call1(RESUME, sel));
		ec_call(c[i], CAIRN_CALL_CALL, portal_sel, 100 + i, 0, 0, 0, 0);
		assert_int_equal(c[i]->status, EC_QUEUED);
		assert_int_equal(c[i]->queued, 0);
	}
	for (i = 0; i < 4; i++) {
		reply(handler, 0);
		assert_ptr_equal(handler->caller, c[order[i]]);
		assert_int_equal(handler->gpr[GPR_RSI], 100 + order[i]);
		assert_int_equal(handler->gpr[GPR_RDI], 5);
		schedule(&host.cpu);
		if (host.cpu.current != handler) /* who got its answer runs on at a higher priority: let it wait */
			ec_call(host.cpu.current, CAIRN_CALL_WAIT, 0, 0, 0, 0, 0, 0);
	}
	reply(handler, 0);
	assert_int_equal(handler->status, EC_IDLE);
}

static void a_suspended_handler_keeps_the_message(void **state)
{
	(void)state;
	must(call1(SUSPEND, handler_sel));
	send(client, portal_sel, 0);
	schedule(&host.cpu);
	assert_null(host.cpu.current);
	must(call1(RESUME, handler_sel));
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, handler);
}

static void a_suspended_caller_does_not_go_on(void **state)
{
	(void)state;
	send(client, portal_sel, 0);
	must(call1(SUSPEND, client_sel));
	must(call1(RESUME, client_sel));
	must(call1(SUSPEND, client_sel));
	schedule(&host.cpu);
	reply(handler, 0);
	schedule(&host.cpu);
	assert_null(host.cpu.current);
	must(call1(RESUME, client_sel));
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, client);
	assert_int_equal(client->gpr[GPR_RSI], 21);
}

/* Who suspends a client must not stop the server that works for it: others need that server. */
static void the_handler_of_a_suspended_caller_works_on(void **state)
{
	(void)state;
	send(client, portal_sel, 0);
	must(call1(SUSPEND, client_sel));
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, handler);
}

static void callers_of_a_destroyed_handler_are_aborted(void **state)
{
	struct ec *second;
	uint32_t sel;

	(void)state;
	second = make_thread(20, &sel);
	must(call1(RESUME, sel));
	send(client, portal_sel, 0);
	send(second, portal_sel, 0);
	must(revoke_all(S_TABLE, handler_sel));
	must(call2(DELETE, S_TABLE, handler_sel));
	assert_int_equal(client->gpr[GPR_RAX], CAIRN_ERR_ABORTED);
	assert_int_equal(second->gpr[GPR_RAX], CAIRN_ERR_ABORTED);
	assert_ptr_equal(client->leaf, client);
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, second);
	must_be(CAIRN_ERR_CAP, send(client, portal_sel, 0));
}

static void the_handler_of_a_destroyed_caller_ends_its_work(void **state)
{
	struct ec *second;
	uint32_t sel;

	(void)state;
	second = make_thread(5, &sel);
	must(call1(RESUME, sel));
	send(client, portal_sel, 0);
	send(second, portal_sel, 0);
	must(call2(DELETE, S_TABLE, client_sel));
	assert_null(handler->caller);
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, handler); /* at the priority it was lent */
	assert_int_equal(handler->priority, 10);
	reply(handler, 0);
	assert_int_equal(handler->priority, 0);
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, handler); /* for the next one */
	assert_ptr_equal(handler->root, second);
	reply(handler, 0);
	assert_ptr_equal(host.cpu.current, second);
	assert_int_equal(second->gpr[GPR_RAX], CAIRN_OK);
}

/* While a caller of priority 30 waits for the handler, nobody of priority 20 keeps the handler from going on. */
static void a_waiting_caller_lends_its_priority(void **state)
{
	uint32_t middle_sel, high_sel;
	struct ec *middle = make_thread(20, &middle_sel), *high = make_thread(30, &high_sel);

	(void)state;
	send(client, portal_sel, 0);
	must(call1(RESUME, high_sel));
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, high);
	send(high, portal_sel, 0);
	must(call1(RESUME, middle_sel));
	schedule(&host.cpu);
	assert_int_equal(client->effective, 30);
	assert_ptr_equal(host.cpu.current, handler);
	assert_ptr_equal(host.cpu.sc, client);
	reply(handler, 0);
	schedule(&host.cpu);
	assert_int_equal(client->effective, 10); /* given back with the answer */
	assert_ptr_equal(host.cpu.current, handler);
	assert_ptr_equal(handler->root, high);
	reply(handler, 0);
	must(call1(SUSPEND, high_sel));
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, middle);
}

/* Who waits behind somebody that waits lends to both. */
static void lending_reaches_whom_the_lender_waits_for(void **state)
{
	uint32_t second_sel, second_portal, low_sel, high_sel;
	struct ec *second = make_thread(0, &second_sel), *low = make_thread(5, &low_sel);
	struct ec *high = make_thread(30, &high_sel);

	(void)state;
	second_portal = make_portal(second_sel, 0, 0);
	send(client, portal_sel, 0); /* client -> handler */
	must(call1(SUSPEND, handler_sel));
	must(call1(RESUME, low_sel));
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, low);
	send(low, second_portal, 0); /* low -> second, which then waits for handler */
	assert_ptr_equal(host.cpu.current, second);
	send(second, portal_sel, 0);
	must(call1(RESUME, high_sel));
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, high);
	send(high, second_portal, 0);
	assert_int_equal(low->effective, 30);
	assert_int_equal(client->effective, 30);
	must(call2(DELETE, 0, high_sel)); /* the lender goes: so does what it lent */
	assert_int_equal(low->effective, 5);
	assert_int_equal(client->effective, 10);
}

/* A handler that waits for its own chain, whose priority falls when it goes. */
static void who_waits_for_its_own_chain_leaves_the_queue(void **state)
{
	uint32_t second_sel, second_portal, high_sel;
	struct ec *second = make_thread(0, &second_sel), *high = make_thread(30, &high_sel);

	(void)state;
	second_portal = make_portal(second_sel, 0, 0);
	send(client, portal_sel, 0);
	send(handler, second_portal, 0);
	send(second, portal_sel, 0);
	must(call1(RESUME, high_sel));
	schedule(&host.cpu);
	send(high, portal_sel, 0);
	must(call2(DELETE, S_TABLE, high_sel));
	assert_ptr_equal(handler->queue_head, second);
	must(call2(REVOKE, S_TABLE, second_sel));
	must(call2(DELETE, S_TABLE, second_sel));
	assert_null(handler->queue_head);
}

static void a_destroyed_caller_leaves_the_queue(void **state)
{
	struct ec *second;
	uint32_t sel;

	(void)state;
	second = make_thread(20, &sel);
	must(call1(RESUME, sel));
	send(client, portal_sel, 0);
	send(second, portal_sel, 0);
	assert_ptr_equal(handler->queue_head, second);
	must(call2(DELETE, S_TABLE, sel));
	assert_null(handler->queue_head);
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, handler);
	reply(handler, 0);
	assert_ptr_equal(host.cpu.current, client);
}

static void a_chain_that_loses_its_middle(void **state)
{
	struct ec *inner;
	uint32_t sel, portal;

	(void)state;
	inner = make_thread(0, &sel);
	portal = make_portal(sel, 6, 0);
	send(client, portal_sel, 0);
	send(handler, portal, 0);
	assert_ptr_equal(client->leaf, inner);
	must(revoke_all(S_TABLE, handler_sel));
	must(call2(DELETE, S_TABLE, handler_sel));
	assert_int_equal(client->gpr[GPR_RAX], CAIRN_ERR_ABORTED);
	assert_ptr_equal(client->leaf, client);
	assert_ptr_equal(inner->root, inner);
	schedule(&host.cpu);
	reply(inner, 0);
	assert_int_equal(inner->status, EC_IDLE);
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, client);
}

/* A handler that became a thread of its own starts at depth 0 again. */
static void a_former_handler_may_call(void **state)
{
	struct thread_config c = {0};
	struct ec *inner = NULL, *from = client;
	uint32_t i, sel = 0, other;

	(void)state;
	for (i = 0; i < 8; i++, from = inner) {
		inner = make_thread(0, &sel);
		send(from, make_portal(sel, 0, 0), 0);
	}
	assert_int_equal(inner->depth, 8);
	reply(inner, 0);
	c.priority = 20;
	memcpy(driver_buffer.words, &c, sizeof(c));
	must(call2(THREAD_CONFIGURE, sel, THREAD_TIME));
	must(call1(RESUME, sel));
	make_thread(0, &other);
	must_be(CAIRN_CALL_BASE + CAIRN_CALL_CALL, send(inner, make_portal(other, 0, 0), 0)); /* waits */
}

/* ---- faults ---- */

static void supervise(struct ec *e)
{
	e->supervisor = portal_sel;
}

static void a_fault_is_a_message_to_the_supervisor(void **state)
{
	(void)state;
	supervise(client);
	client->gpr[GPR_RAX] = 1;
	client->gpr[GPR_R10] = 10;
	client->gpr[GPR_RSP] = 0x7000;
	client->rip = 0x1234;
	thread_fault(client, 14, 7, 0xdead000, 1);
	assert_ptr_equal(host.cpu.current, handler);
	assert_int_equal(handler->gpr[GPR_RSI], 14 | 1 << 8);
	assert_int_equal(handler->gpr[GPR_RDX], 7);
	assert_int_equal(handler->gpr[GPR_R10], 0xdead000);
	assert_int_equal(handler->gpr[GPR_R8], 0x1234);
	assert_int_equal(handler->gpr[GPR_R9], 16);
	assert_int_equal(handler->buffer->words[4], 0x7000);
	assert_int_equal(handler->buffer->words[6], 1);
	assert_int_equal(handler->buffer->words[15], 10);
	ec_call(handler, CAIRN_CALL_REPLY, 0, FAULT_REPLY_RIP, 0x5678, 0, 0, 0);
	assert_ptr_equal(host.cpu.current, client);
	assert_int_equal(client->rip, 0x5678);
	assert_int_equal(client->gpr[GPR_RAX], 1); /* its registers are its own */
	assert_int_equal(client->mode, MODE_IRET);
}

static void a_fault_reply_may_resume_or_stop(void **state)
{
	(void)state;
	supervise(client);
	client->rip = 0x1234;
	thread_fault(client, 3, 0, 0, 0);
	ec_call(handler, CAIRN_CALL_REPLY, 0, FAULT_REPLY_RESUME, 0x5678, 0, 0, 0);
	assert_int_equal(client->rip, 0x1234);
	assert_int_equal(client->status, EC_READY);
	thread_fault(client, 3, 0, 0, 0);
	ec_call(handler, CAIRN_CALL_REPLY, 0, FAULT_REPLY_RIP, USER_END, 0, 0, 0); /* not a user address */
	assert_int_equal(client->status, EC_STOPPED);
	must_be(CAIRN_ERR_STATE, call1(RESUME, client_sel));
	assert_int_equal(host.faults, 0);
}

static void an_unsupervised_fault_is_reported(void **state)
{
	(void)state;
	thread_fault(client, 13, 0x50, 0, 0);
	assert_int_equal(client->status, EC_STOPPED);
	assert_int_equal(host.faults, 1);
	assert_int_equal(host.fault_vector, 13);
	assert_int_equal(host.fault_error, 0x50);
	assert_int_equal(host.fault_label, 2);
	schedule(&host.cpu);
	assert_null(host.cpu.current);
}

static void a_supervisor_that_goes_stops_the_faulted(void **state)
{
	(void)state;
	supervise(client);
	thread_fault(client, 13, 0, 0, 0);
	must(revoke_all(S_TABLE, handler_sel));
	must(call2(DELETE, S_TABLE, handler_sel));
	assert_int_equal(client->status, EC_STOPPED);
	schedule(&host.cpu);
	assert_null(host.cpu.current);
}

/* ---- exits of VCpus ---- */

static struct ec *vcpu;
static uint32_t vcpu_sel;

static void start_vcpu(void)
{
	uint32_t base = 800, class;

	for (class = 0; class < EXIT_CLASSES; class ++)
		must(call5(PORTAL_CREATE, handler_sel, S_TABLE, base + class, 50 + class, class & VCPU_MTD_ALL));
	vcpu = make_vcpu(20, base, &vcpu_sel);
	must(call1(RESUME, vcpu_sel));
	schedule(&host.cpu);
}

static void answer_exit(uint64_t mask)
{
	ec_call(handler, CAIRN_CALL_REPLY, 0, mask, 0, 0, 0, 0);
	if (host.cpu.resched)
		schedule(&host.cpu);
}

static void a_vcpu_starts_with_the_startup_exit(void **state)
{
	(void)state;
	start_vcpu();
	assert_ptr_equal(host.cpu.current, handler);
	assert_int_equal(handler->gpr[GPR_RDI], 50 + EXIT_STARTUP);
	assert_int_equal(handler->gpr[GPR_RSI], EXIT_STARTUP);
	answer_exit(VCPU_MTD_ALL);
	assert_ptr_equal(host.cpu.current, vcpu);
	assert_int_equal(host.vcpu_groups, VCPU_MTD_ALL);
}

static void an_exit_goes_to_the_portal_of_its_class(void **state)
{
	(void)state;
	start_vcpu();
	answer_exit(VCPU_MTD_ALL);
	vcpu_exit(vcpu, EXIT_MSR);
	assert_int_equal(handler->gpr[GPR_RDI], 50 + EXIT_MSR);
	assert_int_equal(handler->gpr[GPR_R9], 1);
	assert_int_equal(host.vcpu_class, EXIT_MSR);
	assert_int_equal(host.vcpu_groups, EXIT_MSR);
	answer_exit(~0ull & ~(uint64_t)(VCPU_REPLY_HALT | VCPU_REPLY_STOP));
	assert_int_equal(host.vcpu_groups, VCPU_MTD_ALL); /* no bit beyond the groups */
	assert_ptr_equal(host.cpu.current, vcpu);
}

static void a_halt_ends_with_recall_or_deadline(void **state)
{
	(void)state;
	start_vcpu();
	answer_exit(VCPU_MTD_ALL);
	vcpu_exit(vcpu, EXIT_HLT);
	answer_exit(VCPU_REPLY_HALT);
	assert_ptr_equal(host.cpu.current, client); /* of lower priority */
	must(call1(RECALL, vcpu_sel));
	schedule(&host.cpu);
	assert_int_equal(handler->gpr[GPR_RSI], EXIT_RECALL);
	vcpu->state->deadline = host.now + 500;
	answer_exit(VCPU_REPLY_HALT | VCPU_MTD_CTL);
	assert_int_equal(host.timer, host.now + 500);
	host.now += 500;
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, handler);
	assert_int_equal(handler->gpr[GPR_RSI], EXIT_RECALL);
}

/* A recall that comes while the exit is handled is not lost in the halt. */
static void a_recall_during_the_exit_prevents_the_halt(void **state)
{
	(void)state;
	start_vcpu();
	must(call1(RECALL, vcpu_sel));
	answer_exit(VCPU_REPLY_HALT);
	assert_ptr_equal(host.cpu.current, handler);
	assert_int_equal(handler->gpr[GPR_RSI], EXIT_RECALL);
	answer_exit(0);
	assert_ptr_equal(host.cpu.current, vcpu);
}

static void a_reply_may_stop_the_vcpu(void **state)
{
	(void)state;
	start_vcpu();
	answer_exit(VCPU_REPLY_STOP);
	assert_ptr_equal(host.cpu.current, client);
	must(call1(RESUME, vcpu_sel));
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, vcpu);
}

static void an_exit_without_portal_stops_the_vcpu(void **state)
{
	(void)state;
	start_vcpu();
	answer_exit(0);
	must(call2(DELETE, S_TABLE, 800 + EXIT_IO));
	vcpu_exit(vcpu, EXIT_IO);
	assert_int_equal(vcpu->status, EC_STOPPED);
	schedule(&host.cpu);
	assert_ptr_equal(host.cpu.current, client);
}

static void a_lost_state_page_stops_the_vcpu(void **state)
{
	(void)state;
	start_vcpu();
	must(call2(DELETE, S_TABLE, vcpu->buffer_slot - ROOT_FIRST));
	assert_int_equal(vcpu->status, EC_STOPPED);
	must_be(CAIRN_ERR_STATE, call1(RESUME, vcpu_sel));
	must_be(CAIRN_ERR_STATE, call1(RECALL, vcpu_sel));
	schedule(&host.cpu);
	reply(handler, 0); /* for nobody */
	assert_int_equal(handler->status, EC_IDLE);
}

#define test(f) cmocka_unit_test_setup(f, boot)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_message_enters_the_handler),
		test(a_reply_returns_to_the_caller),
		test(wrong_messages_are_refused),
		test(only_handlers_can_be_entered),
		test(a_portal_of_another_cpu_is_refused),
		test(calls_nest_eight_deep),
		test(callers_queue_by_priority),
		test(a_waiting_caller_lends_its_priority),
		test(lending_reaches_whom_the_lender_waits_for),
		test(a_suspended_handler_keeps_the_message),
		test(a_suspended_caller_does_not_go_on),
		test(the_handler_of_a_suspended_caller_works_on),
		test(callers_of_a_destroyed_handler_are_aborted),
		test(the_handler_of_a_destroyed_caller_ends_its_work),
		test(who_waits_for_its_own_chain_leaves_the_queue),
		test(a_destroyed_caller_leaves_the_queue),
		test(a_chain_that_loses_its_middle),
		test(a_former_handler_may_call),
		test(a_fault_is_a_message_to_the_supervisor),
		test(a_fault_reply_may_resume_or_stop),
		test(an_unsupervised_fault_is_reported),
		test(a_supervisor_that_goes_stops_the_faulted),
		test(a_vcpu_starts_with_the_startup_exit),
		test(an_exit_goes_to_the_portal_of_its_class),
		test(a_halt_ends_with_recall_or_deadline),
		test(a_recall_during_the_exit_prevents_the_halt),
		test(a_reply_may_stop_the_vcpu),
		test(an_exit_without_portal_stops_the_vcpu),
		test(a_lost_state_page_stops_the_vcpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
