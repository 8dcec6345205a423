/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the control thread: machine-check notices are queued once and answered, ends are
 * reported. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <cairn/byte_ring.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/mca_ring.h>
#include "main/control.h"
#include "main/vm.h"

#define TTY 1
#define MCA 2

struct vm vm;
static struct server_info info;
static struct mca_channel *mca;
static struct tty_channel tty;
static unsigned recalls, suspends, log_lines;
static void (*while_waiting)(void);
static uint64_t asked, asked_w2, asked_w3;

cairn_status_t cairn_recall(uint64_t vcpu)
{
	(void)vcpu;
	recalls++;
	return CAIRN_OK;
}

cairn_status_t cairn_suspend(uint64_t target)
{
	(void)target;
	suspends++;
	return CAIRN_OK;
}

cairn_status_t cairn_signal(uint64_t thread)
{
	(void)thread;
	return CAIRN_OK;
}

uint64_t cairn_request(uint64_t request, uint64_t w2, uint64_t w3)
{
	asked = request;
	asked_w2 = w2;
	asked_w3 = w3;
	return 0;
}

uint64_t cairn_wait_signals(uint64_t deadline)
{
	(void)deadline;
	if (while_waiting != NULL)
		while_waiting();
	return 0;
}

uint64_t cairn_ticks_from_us(uint64_t us)
{
	return us;
}

const char *cairn_status_name(uint64_t status)
{
	(void)status;
	return "";
}

void cairn_log(const char *format, ...)
{
	(void)format;
	log_lines++;
}

static int group_setup(void **state)
{
	void *at = (void *)(SERVER_CHANNEL_VA + MCA * CHANNEL_SIZE);

	(void)state;
	mca = mmap(at, CHANNEL_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	return mca == at ? 0 : -1;
}

static int setup(void **state)
{
	(void)state;
	memset(&vm, 0, sizeof(vm));
	memset(mca, 0, sizeof(*mca));
	vm.info = &info;
	vm.vcpus = 2;
	vm.low = 0x1000000;
	vm.tty_channel = TTY;
	vm.mca_channel = MCA;
	recalls = suspends = log_lines = 0;
	asked = 0;
	while_waiting = NULL;
	return 0;
}

/* The control thread remembers sequences for good, so each test goes on counting. */
static uint64_t sequence;

static void tell(uint32_t kind, uint32_t flags, uint64_t gpa)
{
	struct mca_message message = {.sequence = ++sequence, .kind = kind, .flags = flags};

	message.gpa = gpa;
	message.epoch = 7;
	assert_true(mca_ring_put(&mca->to_vmm, &message));
}

static void expect_answer(void)
{
	struct mca_message answer;

	assert_true(mca_ring_get(&mca->to_mca, &answer));
	assert_int_equal(answer.kind, MCA_MSG_QUEUED);
	assert_int_equal(answer.sequence, sequence);
	assert_int_equal(answer.epoch, 7);
	assert_false(mca_ring_get(&mca->to_mca, &answer));
}

static unsigned notices(uint64_t *gpa)
{
	uint32_t flags;
	unsigned n = 0;

	while (mailbox_get(&vm.mailbox.notices, gpa, &flags))
		n++;
	return n;
}

static void early_notice_reaches_the_handlers_and_is_answered(void **state)
{
	uint64_t gpa = 0;

	(void)state;
	tell(MCA_MSG_BAD_PAGE, MCA_NOTICE_AO | MCA_NOTICE_AR, 0x5000);
	control_step(1ull << MCA);
	expect_answer();
	assert_int_equal(notices(&gpa), 1);
	assert_int_equal(gpa, 0x5000);
	assert_int_equal(recalls, 1);
}

static void repeat_is_answered_but_not_queued(void **state)
{
	uint64_t gpa;

	(void)state;
	tell(MCA_MSG_BAD_PAGE, MCA_NOTICE_AO, 0x5000);
	control_step(1ull << MCA);
	expect_answer();
	assert_int_equal(notices(&gpa), 1);
	sequence--;
	tell(MCA_MSG_BAD_PAGE, MCA_NOTICE_AO, 0x5000);
	control_step(1ull << MCA);
	expect_answer();
	assert_int_equal(notices(&gpa), 0);
}

static void what_needs_no_early_notice_is_only_answered(void **state)
{
	uint64_t gpa;

	(void)state;
	tell(MCA_MSG_BAD_PAGE, MCA_NOTICE_AR, 0x5000);
	control_step(1ull << MCA);
	expect_answer();
	tell(MCA_MSG_BAD_PAGE, MCA_NOTICE_AO, 0xfee00000); /* not RAM */
	control_step(1ull << MCA);
	expect_answer();
	tell(MCA_MSG_CORRECTED, 0, 0x5000);
	control_step(1ull << MCA);
	expect_answer();
	tell(99, 0, 0x5000);
	control_step(1ull << MCA);
	expect_answer();
	assert_int_equal(notices(&gpa), 0);
	assert_int_equal(recalls, 0);
}

static void full_mailbox_costs_the_early_notice_but_not_the_answer(void **state)
{
	uint64_t gpa;

	(void)state;
	for (unsigned i = 0; i < MAILBOX_SIZE; i++)
		assert_true(mailbox_put(&vm.mailbox.notices, i << 12, MCA_NOTICE_AO));
	for (unsigned i = 0; i < 3; i++) {
		tell(MCA_MSG_BAD_PAGE, MCA_NOTICE_AO, 0xabc000 + (i << 12));
		control_step(1ull << MCA);
		expect_answer();
	}
	assert_int_equal(log_lines, 1);
	assert_int_equal(notices(&gpa), MAILBOX_SIZE);
	/* There is room again. */
	tell(MCA_MSG_BAD_PAGE, MCA_NOTICE_AO, 0xdef000);
	control_step(1ull << MCA);
	expect_answer();
	assert_int_equal(notices(&gpa), 1);
	assert_int_equal(gpa, 0xdef000);
}

static void stop_suspends_every_vcpu(void **state)
{
	(void)state;
	tell(MCA_MSG_STOP, 0, 0);
	control_step(1ull << MCA);
	expect_answer();
	assert_int_equal(suspends, 2);
}

static void delivered_checks_are_reported(void **state)
{
	struct mca_message report;

	(void)state;
	assert_true(mailbox_put(&vm.mailbox.injected, 0x1234, MCA_NOTICE_AR));
	control_step(SIGNAL_SELF);
	assert_true(mca_ring_get(&mca->to_mca, &report));
	assert_int_equal(report.kind, MCA_MSG_INJECTED);
	assert_int_equal(report.flags, MCA_NOTICE_AR);
	assert_int_equal(report.gpa, 0x1234);
}

/* On another CPU it may take its time; none of what it waits for may be lost. */
static void what_the_mca_server_has_no_room_for_is_kept(void **state)
{
	struct mca_message report;

	(void)state;
	mca->to_mca.head = MCA_RING_MESSAGES;
	tell(MCA_MSG_BAD_PAGE, MCA_NOTICE_AR, 0x5000);
	assert_true(mailbox_put(&vm.mailbox.injected, 0x1234, MCA_NOTICE_AR));
	control_step(1ull << MCA);
	assert_int_equal(mca->to_mca.head, MCA_RING_MESSAGES);
	assert_int_not_equal(control_deadline(), 0);
	assert_int_equal(log_lines, 0);
	mca->to_mca.tail = 1; /* room for one of the two */
	control_step(0);
	assert_int_not_equal(control_deadline(), 0);
	mca->to_mca.tail = MCA_RING_MESSAGES;
	expect_answer();
	control_step(0);
	assert_true(mca_ring_get(&mca->to_mca, &report));
	assert_int_equal(report.kind, MCA_MSG_INJECTED);
	assert_int_equal(control_deadline(), 0);
}

static void console_signal_recalls_the_vcpu(void **state)
{
	(void)state;
	control_step(1ull << TTY);
	assert_int_equal(recalls, 1);
	vm.stopping = true;
	control_step(1ull << TTY);
	assert_int_equal(recalls, 1);
}

static void notice_arrives(void)
{
	tell(MCA_MSG_BAD_PAGE, MCA_NOTICE_AR, 0x5000);
	while_waiting = NULL;
}

static void notice_is_answered_while_the_console_shows_the_last_words(void **state)
{
	(void)state;
	memset(&tty, 0, sizeof(tty));
	vm.uart.tty = &tty;
	assert_int_equal(byte_ring_write(&tty.out, "bye", 3), 3);
	while_waiting = notice_arrives;
	atomic_store(&vm.mailbox.end, END_POWER_OFF);
	control_step(SIGNAL_SELF);
	assert_int_equal(asked, ROOT_VM_STOPPED);
	expect_answer();
}

static void expect_end(enum end_kind kind, uint64_t request, uint64_t w2, uint64_t w3)
{
	setup(NULL);
	vm.mailbox.end_value = 42;
	atomic_store(&vm.mailbox.end, kind);
	control_step(SIGNAL_SELF);
	assert_int_equal(asked, request);
	assert_int_equal(asked_w2, w2);
	assert_int_equal(asked_w3, w3);
	asked = 0;
	control_step(SIGNAL_SELF); /* once */
	assert_int_equal(asked, 0);
}

static void each_end_is_told_to_the_root_task_once(void **state)
{
	(void)state;
	expect_end(END_RESET, ROOT_VM_RESET, 0, 0);
	expect_end(END_POWER_OFF, ROOT_VM_STOPPED, VM_STOP_POWEROFF, 0);
	expect_end(END_DEBUG_EXIT, ROOT_VM_STOPPED, VM_STOP_DEBUG_EXIT, 42);
	expect_end(END_ERROR, ROOT_VM_STOPPED, VM_STOP_ERROR, 42);
}

static void hostile_rings_do_no_harm(void **state)
{
	(void)state;
	mca->to_vmm.head = 0x80000000;
	mca->to_vmm.tail = 3;
	mca->to_mca.head = 5;
	mca->to_mca.tail = 0x70000000;
	control_step(~0ull);
	assert_true(mailbox_put(&vm.mailbox.injected, 0x1234, MCA_NOTICE_AR));
	control_step(~0ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(early_notice_reaches_the_handlers_and_is_answered, setup),
		cmocka_unit_test_setup(repeat_is_answered_but_not_queued, setup),
		cmocka_unit_test_setup(what_needs_no_early_notice_is_only_answered, setup),
		cmocka_unit_test_setup(full_mailbox_costs_the_early_notice_but_not_the_answer,
				       setup),
		cmocka_unit_test_setup(stop_suspends_every_vcpu, setup),
		cmocka_unit_test_setup(delivered_checks_are_reported, setup),
		cmocka_unit_test_setup(what_the_mca_server_has_no_room_for_is_kept, setup),
		cmocka_unit_test_setup(console_signal_recalls_the_vcpu, setup),
		cmocka_unit_test_setup(each_end_is_told_to_the_root_task_once, setup),
		cmocka_unit_test_setup(notice_is_answered_while_the_console_shows_the_last_words,
				       setup),
		cmocka_unit_test_setup(hostile_rings_do_no_harm, setup),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
