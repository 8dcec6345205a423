/* SPDX-License-Identifier: BSD-2-Clause */
/* The state machine against a world of memory: who goes on when, who is told, who is killed, what
 * is logged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <cairn/boot.h>
#include <cairn/mca_ring.h>
#include "fake_test.h"

#define PAGE 0x10345000ull /* in linux-1 at gpa 0x345000 */

static int setup(void **unused)
{
	(void)unused;
	fake_reset();
	return 0;
}

static void an_srar_in_one_vm_freezes_only_that_vm_until_it_is_queued(void **unused)
{
	struct mca_message message;

	(void)unused;
	fake_map_guest(0, PAGE, 0x345000);
	fake_mce(STATUS_SRAR, PAGE + 0x678, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	assert_false(fake_runs(1));
	mca_turn(&mca);
	assert_true(fake_is_poisoned(PAGE));
	assert_false(fake_runs(0));
	assert_true(fake_runs(1));
	assert_true(fake_runs(2));
	assert_int_equal(fake.cpu[0].acknowledged, 1);
	assert_int_equal(fake.signals[0], 1);
	assert_int_equal(fake.signals[1], 0);
	assert_true(fake_logged(
		"record cpu 0 seq 1 bank 4 status 0xbd80000000000134 addr 0x10345678 misc 0x8c mcg "
		"0x7 "
		"context guest-user owner linux-1 class SRAR action recover\n"
		"retired page 0x10345000 holders: server vmm-linux-1 va 0x100000345000, "
		"vm linux-1 gpa 0x345000\n"
		"vm linux-2 thawed\nvm linux-3 thawed\n"));
	assert_true(fake_take(0, &message));
	assert_int_equal(message.kind, MCA_MSG_BAD_PAGE);
	assert_int_equal(message.flags, MCA_NOTICE_AR);
	assert_int_equal(message.gpa, 0x345000);
	assert_int_equal(message.spa, PAGE);
	assert_int_equal(message.epoch, 1);
	assert_int_equal(message.record_cpu_sequence, 1);
	fake_answer(0, message.sequence);
	mca_turn(&mca);
	assert_true(fake_runs(0));
	assert_true(fake_logged("vm linux-1 thawed"));
	assert_false(fake_logged("killed"));
}

static void what_a_bank_held_before_the_reset_is_logged_and_nothing_else(void **unused)
{
	struct mca_message message;

	(void)unused;
	fake_map_guest(0, PAGE, 0x345000);
	fake_left_over(0xbe00000000000135, PAGE); /* context corrupt: now it would be fatal */
	fake_left_over(STATUS_SRAR, PAGE);
	mca_turn(&mca);
	mca_turn(&mca);
	assert_false(fake_is_poisoned(PAGE));
	assert_true(fake_runs(0));
	assert_false(fake_take(0, &message));
	assert_int_equal(fake.cpu[0].acknowledged, 2);
	assert_false(mca.stopping);
	assert_true(
		fake_logged("from before the last reset: record cpu 0 seq 1 bank 4 status "
			    "0xbe00000000000135 addr 0x10345000 misc 0x8c class FATAL: nothing is "
			    "done about it\nfrom before the last reset: record cpu 0 seq 2 "));
	assert_false(fake_logged("verdict"));
	assert_false(fake_logged("retired"));
}

static void an_srao_is_told_early(void **unused)
{
	struct mca_message message;

	(void)unused;
	fake_map_guest(1, PAGE, 0x1000);
	fake_mce(STATUS_SRAO, PAGE, 5, MCA_CTX_IDLE, 0);
	mca_turn(&mca);
	assert_true(fake_runs(0));
	assert_false(fake_runs(1));
	assert_true(fake_take(1, &message));
	assert_int_equal(message.flags, MCA_NOTICE_AO);
	assert_true(fake_logged("context idle owner linux-2 class SRAO action recover-optional"));
}

static void two_vms_that_share_a_page_thaw_each_for_itself(void **unused)
{
	struct mca_message message;

	(void)unused;
	fake_map_guest(0, PAGE, 0x5000);
	fake_map_guest(1, PAGE, 0x9000);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_KERNEL, LABEL_VM(1));
	mca_turn(&mca);
	assert_false(fake_runs(0));
	assert_false(fake_runs(1));
	assert_true(fake_runs(2));
	assert_true(fake_logged("owner linux-1,linux-2 class"));
	assert_true(fake_take(0, &message));
	assert_int_equal(message.gpa, 0x5000);
	fake_answer(0, message.sequence);
	mca_turn(&mca);
	assert_true(fake_runs(0));
	assert_false(fake_runs(1));
	assert_true(fake_take(1, &message));
	assert_int_equal(message.gpa, 0x9000);
	fake_answer(1, message.sequence);
	mca_turn(&mca);
	assert_true(fake_runs(1));
}

static void a_vm_that_does_not_answer_is_killed_at_its_deadline(void **unused)
{
	uint64_t wake;

	(void)unused;
	fake_map_guest(0, PAGE, 0);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	wake = mca_turn(&mca);
	assert_true(wake <= fake.now + 100 * FAKE_MS);
	fake.now += 1990 * FAKE_MS;
	wake = mca_turn(&mca);
	assert_int_equal(fake.killed[0], 0);
	assert_true(wake <= fake.now + 10 * FAKE_MS);
	fake.now = wake;
	mca_turn(&mca);
	assert_int_equal(fake.killed[0], 1);
	assert_int_equal(fake.killed[1], 0);
	assert_true(fake_logged("vm linux-1 killed: its vmm-server did not answer in time"));
	/* The answer that comes too late changes nothing. */
	fake_answer_all(0);
	fake.now += 5000 * FAKE_MS;
	mca_turn(&mca);
	assert_int_equal(fake.killed[0], 1);
	assert_true(fake_runs(1));
}

static void a_vm_that_answers_step_by_step_is_given_time(void **unused)
{
	struct mca_message message;

	(void)unused;
	for (unsigned i = 0; i < 3; i++) {
		fake_map_guest(0, PAGE + i * 0x1000, i * 0x1000);
		fake_mce(STATUS_SRAR, PAGE + i * 0x1000, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	}
	mca_turn(&mca);
	for (unsigned i = 0; i < 3; i++) {
		fake.now += 1500 * FAKE_MS;
		assert_true(fake_take(0, &message));
		fake_answer(0, message.sequence);
		assert_false(fake_runs(0));
		mca_turn(&mca);
	}
	assert_int_equal(fake.killed[0], 0);
	assert_true(fake_runs(0));
}

static void a_full_ring_keeps_the_vm_frozen_and_loses_nothing(void **unused)
{
	uint32_t told = 0;

	(void)unused;
	for (unsigned i = 0; i < 100; i++) {
		fake_map_guest(0, PAGE + i * 0x1000, i * 0x1000);
		fake_mce(STATUS_SRAR, PAGE + i * 0x1000, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	}
	/* One turn takes a bounded number of records and asks to be called at once. */
	assert_true(mca_turn(&mca) <= fake.now);
	assert_false(fake_runs(1));
	mca_turn(&mca);
	assert_true(fake_runs(1));
	for (unsigned turn = 0; turn < 10 && !fake_runs(0); turn++) {
		told += fake_answer_all(0);
		mca_turn(&mca);
		if (told < 100)
			assert_false(fake_runs(0));
	}
	assert_int_equal(told, 100);
	assert_true(fake_runs(0));
}

static void a_full_ring_is_tried_again_soon(void **unused)
{
	(void)unused;
	fake.channel[0].to_vmm.head =
		MCA_RING_MESSAGES; /* nothing was taken by the vmm-server yet */
	fake_map_guest(0, PAGE, 0);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	assert_true(mca_turn(&mca) <= fake.now + 10 * FAKE_MS);
	assert_int_equal(fake.signals[0], 0);
	fake.channel[0].to_vmm.tail = MCA_RING_MESSAGES;
	mca_turn(&mca);
	assert_int_equal(fake.signals[0], 1);
	assert_int_equal(fake_answer_all(0), 1);
	mca_turn(&mca);
	assert_true(fake_runs(0));
}

static void a_repeated_record_has_no_second_effect(void **unused)
{
	(void)unused;
	fake_map_guest(0, PAGE, 0);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	mca_turn(&mca);
	assert_int_equal(fake_answer_all(0), 1);
	mca_turn(&mca);
	/* The kernel delivers it again, as after a restart. */
	fake.cpu[0].acknowledged = 0;
	mca.acknowledge[0] = 0;
	mca_turn(&mca);
	assert_int_equal(fake.poisoned_count, 1);
	assert_int_equal(fake_answer_all(0), 0);
	assert_int_equal(fake.cpu[0].acknowledged, 1);
	assert_true(fake_logged("record cpu 0 seq 1 again"));
	assert_int_equal(fake_count("class SRAR"), 1);
}

static void a_page_hit_twice_is_retired_once_and_the_vm_goes_on(void **unused)
{
	(void)unused;
	fake_map_guest(0, PAGE, 0);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	mca_turn(&mca);
	fake_answer_all(0);
	mca_turn(&mca);
	fake_mce(STATUS_SRAO, PAGE + 0x40, 5, MCA_CTX_GUEST_USER, LABEL_VM(0));
	mca_turn(&mca);
	assert_int_equal(fake.poisoned_count, 1);
	assert_true(fake_logged("page 0x10345000 was retired before"));
	assert_true(fake_runs(0));
	assert_true(fake_runs(1));
	assert_int_equal(fake_answer_all(0), 0);
}

static void policy_kill_ends_the_vm_and_no_other(void **unused)
{
	(void)unused;
	fake_policy(0, POLICY_KILL);
	fake_map_guest(0, PAGE, 0);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	mca_turn(&mca);
	assert_int_equal(fake.killed[0], 1);
	assert_int_equal(fake_answer_all(0), 0);
	assert_true(fake_runs(1));
	assert_true(fake_logged(
		"vm linux-1 killed: its memory is lost and its policy is kill (page 0x10345000)"));
	fake_mce(STATUS_SRAR, PAGE + 0x1000, 7, MCA_CTX_IDLE, 0);
	mca_turn(&mca); /* the world asserts that a killed VM is never thawed */
	assert_true(fake_runs(1));
	assert_int_equal(fake.killed[0], 1);
}

static void policy_restart_kills_the_vm_each_time_and_thaws_its_next_life(void **unused)
{
	(void)unused;
	fake_policy(0, POLICY_RESTART);
	for (uint32_t life = 1; life <= 3; life++) {
		uint64_t page = PAGE + life * 0x1000;

		fake_map_guest(0, page, 0);
		fake_mce(STATUS_SRAR, page, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
		mca_turn(&mca);
		assert_int_equal(fake.killed[0], life);
		assert_int_equal(fake_answer_all(0), 0);
		assert_true(fake_runs(1));
		/* The world asserts that the old VCpus are not thawed while the root-task builds.
		 */
		fake_mce(STATUS_SRAR, PAGE + 0x100000 * life, 7, MCA_CTX_IDLE, 0);
		mca_turn(&mca);
		mca_turn(&mca);
		assert_true(fake_runs(1));
		fake_built_anew(0);
		assert_false(fake_runs(0));
		mca_turn(&mca);
		assert_true(fake_runs(0));
		assert_int_equal(fake_count("vm linux-1 lives again"), life);
	}
	assert_true(fake_logged("vm linux-1 killed: its memory is lost and its policy is restart "
				"(page 0x10346000); it is started anew"));
	assert_int_equal(fake.killed[1] + fake.killed[2], 0);
}

static void a_vm_that_is_built_anew_owes_nothing(void **unused)
{
	struct mca_message message;

	(void)unused;
	fake_map_guest(0, PAGE, 0);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	mca_turn(&mca);
	assert_false(fake_runs(0));
	fake_built_anew(0); /* its guest had asked for that before it was frozen */
	mca_turn(&mca);
	assert_true(fake_runs(0));
	fake.now += 10000 * FAKE_MS;
	mca_turn(&mca);
	assert_int_equal(fake.killed[0], 0);
	assert_false(fake_take(0, &message));
	/* And it is told of its own pages as before. */
	fake_map_guest(0, PAGE + 0x1000, 0x1000);
	fake_mce(STATUS_SRAR, PAGE + 0x1000, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	mca_turn(&mca);
	assert_int_equal(fake_answer_all(0), 1);
	mca_turn(&mca);
	assert_true(fake_runs(0));
}

static void a_shared_page_kills_one_and_informs_the_other(void **unused)
{
	(void)unused;
	fake_policy(0, POLICY_KILL);
	fake_map_guest(0, PAGE, 0);
	fake_map_guest(1, PAGE, 0x9000);
	fake_mce(STATUS_SRAO, PAGE, 5, MCA_CTX_IDLE, 0);
	mca_turn(&mca);
	assert_int_equal(fake.killed[0], 1);
	assert_int_equal(fake_answer_all(1), 1);
	mca_turn(&mca);
	assert_true(fake_runs(1));
}

static void a_deferred_error_stops_nobody(void **unused)
{
	struct mca_message message;

	(void)unused;
	fake_amd(true);
	fake_map_guest(0, PAGE, 0x345000);
	fake_polled(STATUS_DEFERRED, PAGE);
	mca_turn(&mca);
	assert_true(fake_runs(0));
	assert_true(fake_is_poisoned(PAGE));
	assert_true(fake_take(0, &message));
	assert_int_equal(message.flags, MCA_NOTICE_AO);
	assert_int_equal(message.epoch, 0);
	assert_true(
		fake_logged("context poll owner linux-1 class DEFERRED action recover-optional"));
	/* Nobody waits for the answer. */
	fake.now += 10000 * FAKE_MS;
	mca_turn(&mca);
	assert_int_equal(fake.killed[0], 0);
	fake_answer(0, message.sequence);
	mca_turn(&mca);
	assert_false(fake_logged("ignored"));
}

static void a_vmm_server_that_never_answers_early_notices_is_still_told(void **unused)
{
	struct mca_message message;
	uint32_t told = 0;

	(void)unused;
	fake_amd(true);
	for (unsigned i = 0; i < 500; i++) {
		fake.holders = 0;
		fake_map_guest(0, PAGE + i * 0x1000, i * 0x1000);
		fake_polled(STATUS_DEFERRED, PAGE + i * 0x1000);
		mca_turn(&mca);
		while (fake_take(0, &message)) {
			assert_int_equal(message.gpa, told * 0x1000);
			told++;
		}
	}
	assert_int_equal(told, 500);
	assert_false(fake_logged("is not told"));
}

static void a_vm_that_was_built_anew_is_thawed_too(void **unused)
{
	(void)unused;
	fake_mce(STATUS_SRAO, 0x7000, 5, MCA_CTX_IDLE, 0);
	mca_turn(&mca);
	assert_true(fake_runs(1));
	fake_built_anew(1);
	assert_false(fake_runs(1));
	mca_turn(&mca);
	assert_true(fake_runs(1));
	/* Nobody is asked to thaw what is thawed. */
	fake.thawed[2] = 0;
	mca_turn(&mca);
	assert_int_equal(fake.thawed[2], 0);
}

static void a_corrected_error_is_logged_with_its_owner(void **unused)
{
	(void)unused;
	fake_map_guest(1, 0x20001000, 0x1000);
	fake_polled(STATUS_CE, 0x20001234);
	mca_turn(&mca);
	assert_true(fake_logged(
		"status 0x9c00004000000091 addr 0x20001234 misc 0x8c mcg 0x0 context poll "
		"owner linux-2 class CE action log\n"));
	assert_int_equal(fake.poisoned_count, 0);
	assert_int_equal(fake_answer_all(1), 0);
	assert_int_equal(fake.signals[1], 0);
}

static void a_fatal_error_ends_the_system_and_thaws_nobody(void **unused)
{
	uint64_t wake;

	(void)unused;
	fake_map_guest(0, PAGE, 0);
	fake_mce(STATUS_FATAL, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	fake_mce(STATUS_SRAO, PAGE, 5, MCA_CTX_GUEST_USER, LABEL_VM(0));
	wake = mca_turn(&mca);
	assert_int_equal(fake.poisoned_count, 0);
	assert_true(fake_logged("class FATAL action reset\nverdict: reset: "));
	assert_int_equal(fake.shutdowns, 0);
	fake.now = wake;
	mca_turn(&mca);
	assert_int_equal(fake.shutdowns, 1);
	assert_int_equal(fake.shutdown_value, MCA_EXIT_RESET);
	for (uint32_t i = 0; i < FAKE_VMS; i++)
		assert_false(fake_runs(i));
	assert_int_equal(fake.cpu[0].acknowledged, 0);
}

static void a_fatal_bank_keeps_the_others_from_being_acted_on(void **unused)
{
	(void)unused;
	fake_map_guest(0, PAGE, 0);
	fake_bank(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0), false);
	fake_bank(STATUS_FATAL, 0, 7, MCA_CTX_GUEST_USER, LABEL_VM(0), true);
	mca_turn(&mca);
	assert_int_equal(fake.poisoned_count, 0);
	assert_true(fake_logged("class SRAR action recover"));
	assert_true(fake_logged("class FATAL action reset"));
	assert_false(fake_runs(1));
}

static void an_answer_counts_once(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		fake_map_guest(0, PAGE + i * 0x1000, i * 0x1000);
		fake_mce(STATUS_SRAR, PAGE + i * 0x1000, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	}
	mca_turn(&mca);
	fake_answer(0, 2);
	fake_answer(0, 2);
	mca_turn(&mca);
	assert_false(fake_runs(0));
	fake_answer(0, 1);
	mca_turn(&mca);
	assert_true(fake_runs(0));
}

static void several_banks_make_one_verdict(void **unused)
{
	(void)unused;
	fake_map_guest(0, PAGE, 0);
	fake_bank(STATUS_CE, 0x20000000, 7, MCA_CTX_GUEST_USER, LABEL_VM(0), false);
	fake_bank(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0), true);
	mca_turn(&mca);
	assert_int_equal(fake.shutdowns, 0);
	assert_true(fake_logged("class CE action log"));
	assert_true(fake_logged("class SRAR action recover"));
	assert_int_equal(fake_answer_all(0), 1);
	mca_turn(&mca);
	assert_true(fake_runs(0));
}

static void two_srar_banks_of_one_exception_end_the_system(void **unused)
{
	(void)unused;
	fake_map_guest(0, PAGE, 0);
	fake_bank(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0), false);
	fake_bank(STATUS_SRAR, PAGE + 0x1000, 7, MCA_CTX_GUEST_USER, LABEL_VM(0), true);
	fake.now = mca_turn(&mca);
	mca_turn(&mca);
	assert_true(fake_logged("two action-required errors on one CPU"));
	assert_int_equal(fake.shutdowns, 1);
	assert_false(fake_runs(1));
}

static void an_exception_whose_last_record_is_missing_is_decided_all_the_same(void **unused)
{
	(void)unused;
	fake_map_guest(0, PAGE, 0);
	fake_bank(STATUS_CE, 0, 7, MCA_CTX_GUEST_USER, LABEL_VM(0), false);
	fake_bank(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0), false);
	fake_end();
	mca_turn(&mca);
	assert_true(fake_logged("the last record of an exception is missing: decided on 2"));
	assert_true(fake_is_poisoned(PAGE));
	assert_true(fake_runs(1));
	assert_false(fake_runs(0));
	assert_int_equal(fake_answer_all(0), 1);
	mca_turn(&mca);
	assert_true(fake_runs(0));
	assert_int_equal(fake.shutdowns, 0);
}

static void two_exceptions_are_never_taken_for_one(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		fake_map_guest(i, PAGE + i * 0x1000, 0);
		fake_bank(STATUS_SRAR, PAGE + i * 0x1000, 7, MCA_CTX_GUEST_USER, LABEL_VM(i),
			  false);
		fake_end();
	}
	mca_turn(&mca);
	assert_int_equal(fake_answer_all(0) + fake_answer_all(1), 2);
	mca_turn(&mca);
	assert_true(fake_runs(0));
	assert_true(fake_runs(1));
	assert_false(fake_logged("reset"));
}

/* Where the hardware broadcasts, CPUs whose banks hold nothing meet the others and leave no record.
 */
static void a_cpu_that_only_met_the_others_holds_nobody_up(void **unused)
{
	(void)unused;
	fake_map_guest(0, PAGE, 0);
	for (fake.on = 0; fake.on < FAKE_CPUS; fake.on++)
		fake_begin();
	fake.on = 2;
	fake_bank(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0), true);
	mca_turn(&mca);
	assert_true(fake_is_poisoned(PAGE));
	assert_false(fake_runs(1)); /* the others have not left yet */
	for (fake.on = 0; fake.on < FAKE_CPUS; fake.on++)
		if (fake.on != 2)
			fake_end();
	mca_turn(&mca);
	assert_true(fake_runs(1));
	assert_false(fake_runs(0));
	assert_int_equal(fake_answer_all(0), 1);
	mca_turn(&mca);
	assert_true(fake_runs(0));
	assert_int_equal(fake.shutdowns, 0);
}

static void every_cpus_records_are_taken_at_each_turn(void **unused)
{
	(void)unused;
	for (fake.on = 0; fake.on < FAKE_CPUS; fake.on++) {
		fake_map_guest(fake.on % FAKE_VMS, PAGE + fake.on * 0x1000, 0x1000);
		fake_mce(STATUS_SRAR, PAGE + fake.on * 0x1000, 7, MCA_CTX_GUEST_USER,
			 LABEL_VM(fake.on % FAKE_VMS));
		fake_polled(STATUS_CE, 0x1000);
	}
	mca_turn(&mca);
	for (uint32_t cpu = 0; cpu < FAKE_CPUS; cpu++) {
		assert_true(fake_is_poisoned(PAGE + cpu * 0x1000));
		assert_int_equal(fake.cpu[cpu].acknowledged, 2);
	}
	assert_true(fake_logged("record cpu 3 seq 1 bank 4"));
	assert_true(fake_logged("record cpu 3 seq 2 bank 4"));
	for (uint32_t vm = 0; vm < FAKE_VMS; vm++) {
		assert_false(fake_runs(vm));
		assert_int_equal(fake_answer_all(vm), vm == 0 ? 2 : 1);
	}
	mca_turn(&mca);
	for (uint32_t vm = 0; vm < FAKE_VMS; vm++)
		assert_true(fake_runs(vm));
}

static void banks_of_several_cpus_are_not_mixed(void **unused)
{
	(void)unused;
	/* Two action-required errors in one exception would end the system; these are two CPUs'. */
	for (unsigned i = 0; i < 2; i++) {
		for (fake.on = 0; fake.on < 2; fake.on++) {
			uint64_t page = PAGE + fake.on * 0x1000;

			if (i)
				fake_map_guest(fake.on, page, 0);
			fake_bank(i ? STATUS_SRAR : STATUS_CE, page, 7, MCA_CTX_GUEST_USER,
				  LABEL_VM(fake.on), i);
		}
		mca_turn(&mca);
		assert_int_equal(fake_runs(2), i);
	}
	assert_false(fake_logged("reset"));
	assert_false(fake_logged("missing"));
	assert_int_equal(fake_answer_all(0), 1);
	assert_int_equal(fake_answer_all(1), 1);
	mca_turn(&mca);
	assert_true(fake_runs(0));
	assert_true(fake_runs(1));
}

static void records_of_one_cpu_do_not_count_as_anothers(void **unused)
{
	(void)unused;
	fake_mce(STATUS_SRAO, 0x7000, 5, MCA_CTX_IDLE, 0);
	mca_turn(&mca);
	fake.on = 1; /* its first record has sequence 1, too */
	fake_mce(STATUS_SRAO, 0x8000, 5, MCA_CTX_IDLE, 0);
	mca_turn(&mca);
	assert_true(fake_is_poisoned(0x8000));
	assert_false(fake_logged("again"));
	assert_false(fake_logged("were lost"));
	assert_true(fake_runs(0));
}

/* An exception of CPU 0 that strikes when its ring was seen empty, and that of CPU 3 not yet. */
static void strike_behind(uint32_t cpu)
{
	if (cpu != 3 || fake.begun == 2)
		return;
	fake.on = 0;
	fake_map_guest(1, PAGE + 0x1000, 0);
	fake_mce(STATUS_SRAR, PAGE + 0x1000, 7, MCA_CTX_GUEST_USER, LABEL_VM(1));
}

static void an_exception_behind_the_looks_is_not_taken_for_decided(void **unused)
{
	(void)unused;
	fake.on = 3;
	fake_map_guest(0, PAGE, 0);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	fake.before_look = strike_behind;
	mca_turn(&mca); /* the world asserts that nobody is thawed for what was not taken */
	assert_int_equal(fake.begun, 2);
	assert_int_equal(fake.thawed[4], 1);
	assert_false(fake_runs(2));
	mca_turn(&mca);
	assert_true(fake_runs(2));
	assert_false(fake_runs(0));
	assert_false(fake_runs(1));
	assert_int_equal(fake_answer_all(0) + fake_answer_all(1), 2);
	mca_turn(&mca);
	assert_true(fake_runs(0));
	assert_true(fake_runs(1));
}

/* The same on a CPU whose ring is still to be looked at: taken in this pass, decided by the next.
 */
static void strike_ahead(uint32_t cpu)
{
	if (cpu != 1 || fake.begun == 2)
		return;
	fake.on = 3;
	fake_bank(STATUS_CE, 0, 7, MCA_CTX_GUEST_USER, LABEL_VM(1), false);
}

static void an_exception_in_the_middle_of_its_records_is_waited_for(void **unused)
{
	(void)unused;
	fake_map_guest(0, PAGE, 0);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	fake.before_look = strike_ahead;
	mca_turn(&mca);
	assert_false(fake_logged("missing"));
	assert_int_equal(fake.thawed[4], 1);
	fake.before_look = NULL;
	mca_turn(&mca);
	assert_false(fake_logged("missing"));
	assert_false(fake_runs(2));
	fake_map_guest(1, PAGE + 0x1000, 0);
	fake_bank(STATUS_SRAR, PAGE + 0x1000, 7, MCA_CTX_GUEST_USER, LABEL_VM(1), true);
	mca_turn(&mca);
	assert_false(fake_logged("missing"));
	assert_true(fake_runs(2));
	assert_int_equal(fake_answer_all(0) + fake_answer_all(1), 2);
	mca_turn(&mca);
	assert_true(fake_runs(0));
	assert_true(fake_runs(1));
}

static void a_flood_on_one_cpu_leaves_the_others_their_turn(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 300; i++)
		fake_polled(STATUS_CE, 0x1000);
	fake.on = 3;
	fake_mce(STATUS_SRAO, 0x8000, 5, MCA_CTX_IDLE, 0);
	assert_true(mca_turn(&mca) <= fake.now); /* there is more */
	assert_true(fake_is_poisoned(0x8000));
	assert_int_equal(fake.cpu[3].acknowledged, 1);
	for (unsigned turn = 0; turn < 10; turn++)
		mca_turn(&mca);
	assert_int_equal(fake.cpu[0].acknowledged, 300);
	assert_true(fake_runs(0));
}

static void a_fatal_error_of_any_cpu_ends_the_system(void **unused)
{
	(void)unused;
	fake_map_guest(0, PAGE, 0);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	fake.on = 2;
	fake_mce(STATUS_FATAL, 0, 7, MCA_CTX_IDLE, 0);
	fake.now = mca_turn(&mca);
	mca_turn(&mca);
	assert_int_equal(fake.shutdowns, 1);
	for (uint32_t i = 0; i < FAKE_VMS; i++)
		assert_false(fake_runs(i));
	assert_int_equal(fake.cpu[2].acknowledged, 0);
}

static void a_record_of_another_cpu_ends_the_system(void **unused)
{
	(void)unused;
	fake.on = 1;
	fake_mce(STATUS_SRAO, 0x8000, 5, MCA_CTX_IDLE, 0);
	fake.cpu[1].ring[0].cpu = 2;
	mca_turn(&mca);
	assert_true(fake_logged("names another CPU"));
	assert_false(fake_runs(0));
}

static void a_second_error_while_one_is_pending_keeps_both_apart(void **unused)
{
	struct mca_message first, second;

	(void)unused;
	fake_map_guest(0, PAGE, 0);
	fake_map_guest(1, PAGE + 0x1000, 0x1000);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	mca_turn(&mca);
	assert_true(fake_runs(1));
	fake_mce(STATUS_SRAR, PAGE + 0x1000, 7, MCA_CTX_GUEST_USER, LABEL_VM(1));
	assert_false(fake_runs(2));
	mca_turn(&mca);
	assert_true(fake_runs(2));
	assert_false(fake_runs(0));
	assert_false(fake_runs(1));
	/* The second VM answers first, and goes on although the first still waits. */
	assert_true(fake_take(1, &second));
	fake_answer(1, second.sequence);
	mca_turn(&mca);
	assert_true(fake_runs(1));
	assert_false(fake_runs(0));
	assert_true(fake_take(0, &first));
	fake_answer(0, first.sequence);
	mca_turn(&mca);
	assert_true(fake_runs(0));
	assert_int_equal(fake.thawed[0], 2);
}

static void a_hostile_vmm_server_changes_nothing_but_its_own_vm(void **unused)
{
	struct mca_message message, lie = {.kind = MCA_MSG_QUEUED};

	(void)unused;
	fake_map_guest(0, PAGE, 0);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	/* Before it is told anything, and of no notice there is. */
	fake_answer(0, 1);
	mca_turn(&mca);
	assert_false(fake_runs(0));
	for (uint64_t sequence = 0; sequence < 40; sequence++)
		if (sequence != 1)
			fake_answer(0, sequence);
	fake_answer(0, ~0ull);
	for (uint32_t kind = 0; kind < 20; kind++) {
		lie = (struct mca_message){.kind = kind == MCA_MSG_QUEUED ? ~0u : kind,
					   .sequence = 1};
		mca_ring_put(&fake.channel[0].to_mca, &lie);
	}
	mca_turn(&mca);
	assert_false(fake_runs(0));
	assert_true(fake_runs(1));
	/* The log is not flooded. */
	assert_int_equal(fake_count("from its vmm-server ignored: there is no such notice"), 4);
	assert_int_equal(fake_count("ignored:"), 4);
	/* Indices without sense. */
	fake.channel[0].to_mca.head = 0xdeadbeef;
	fake.channel[0].to_vmm.head = 77;
	fake.channel[0].to_vmm.tail = 0xffff0000;
	mca_turn(&mca);
	mca_turn(&mca);
	assert_false(fake_runs(0));
	assert_true(fake_runs(1));
	/* The right answer still counts, once. */
	fake_answer(0, 1);
	mca_turn(&mca);
	assert_true(fake_runs(0));
	fake_answer(0, 1);
	mca_turn(&mca);
	assert_false(fake_take(1, &message));
	assert_int_equal(fake.killed[0] + fake.killed[1] + fake.killed[2], 0);
}

static void a_flood_of_reports_of_injections_is_not_logged_line_by_line(void **unused)
{
	struct mca_message report = {
		.kind = MCA_MSG_INJECTED, .flags = MCA_NOTICE_AR, .gpa = 0x5000};

	(void)unused;
	for (unsigned i = 0; i < 1000; i++) {
		mca_ring_put(&fake.channel[0].to_mca, &report);
		mca_turn(&mca);
	}
	assert_true(fake_logged(
		"vm linux-1: action-required vMCE delivered for gpa 0x5000 (number 1)"));
	assert_true(fake_count("vMCE delivered") < 100);
}

static void more_pages_than_a_vm_can_be_told_of_kill_it(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < MCA_NOTICES + 1; i++)
		fake_map(PAGE, MCA_HOLDER_GUEST, LABEL_VM(0), i * 0x1000);
	/* One page at so many addresses: beyond what one page's holders are told. */
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	mca_turn(&mca);
	assert_true(fake_logged("vm linux-1 gpa 0x5000, "));
	assert_true(fake_logged(" more\n"));
	assert_int_equal(fake.killed[0], 0);
	for (unsigned i = 0; i < MCA_NOTICES; i++) {
		fake.holders = 0;
		fake_map_guest(0, 0x18000000 + i * 0x1000ul, 0x1000);
		if (fake.cpu[0].head < 500)
			fake_mce(STATUS_SRAR, 0x18000000 + i * 0x1000ul, 7, MCA_CTX_GUEST_USER,
				 LABEL_VM(0));
		mca_turn(&mca);
	}
	assert_int_equal(fake.killed[0], 1);
	assert_true(fake_logged(
		"vm linux-1 killed: it lost more pages than its vmm-server has taken notice of"));
	assert_true(fake_runs(1));
}

static void an_unused_page_is_retired(void **unused)
{
	(void)unused;
	fake_mce(STATUS_SRAO, 0x7000, 5, MCA_CTX_GUEST_USER, LABEL_VM(0));
	mca_turn(&mca);
	assert_true(fake_is_poisoned(0x7000));
	assert_true(fake_logged("owner none class SRAO action recover-optional\nretired page "
				"0x7000 holders: none\n"));
	assert_true(fake_runs(0));
}

static void a_servers_page_is_reported_and_everybody_goes_on(void **unused)
{
	(void)unused;
	fake_map(PAGE, MCA_HOLDER_HOST, LABEL_SERVER(FAKE_VMS), 0x401000);
	fake_map(PAGE, MCA_HOLDER_BUFFER, 0x33, 0);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_SERVER, LABEL_SERVER(FAKE_VMS));
	mca_turn(&mca);
	assert_true(
		fake_logged("context server owner console,label-0x33 class SRAR action recover\n"
			    "retired page 0x10345000 holders: server console va 0x401000, "
			    "buffer label-0x33\n"));
	assert_true(fake_runs(0));
}

static void a_page_of_the_root_task_ends_the_system(void **unused)
{
	(void)unused;
	fake_map(PAGE, MCA_HOLDER_HOST, LABEL_ROOT, 0x10002000);
	fake_mce(STATUS_SRAO, PAGE, 5, MCA_CTX_IDLE, 0);
	mca_turn(&mca);
	assert_true(fake_logged("owner root-task class SRAO action recover-optional\n"
				"retired page 0x10345000 holders: server root-task va "
				"0x10002000\n"));
	assert_true(fake_logged("verdict: reset: the root-task lost a page; the system ends"));
	assert_false(fake_runs(0));
	fake.now += 1000 * FAKE_MS;
	mca_turn(&mca);
	assert_false(fake_runs(1));
	assert_int_equal(fake.shutdowns, 1);
}

static void a_vcpu_that_cannot_be_resumed_ends_its_vm(void **unused)
{
	(void)unused;
	fake_map_guest(1, PAGE, 0);
	fake_mce(STATUS_SRAR, PAGE, 6, MCA_CTX_GUEST_USER, LABEL_VM(0));
	mca_turn(&mca);
	assert_int_equal(fake.killed[0], 1);
	assert_true(
		fake_logged("vm linux-1 killed: the interrupted vCPU cannot be resumed (RIPV=0)"));
	assert_int_equal(fake_answer_all(1), 1);
	mca_turn(&mca);
	assert_true(fake_runs(1));
}

static void a_server_that_cannot_be_resumed_ends_the_system(void **unused)
{
	(void)unused;
	fake_mce(STATUS_SRAR, PAGE, 6, MCA_CTX_SERVER, LABEL_SERVER(0));
	fake.now = mca_turn(&mca);
	mca_turn(&mca);
	assert_int_equal(fake.shutdowns, 1);
}

static void an_address_that_is_no_memory_ends_only_its_consumer(void **unused)
{
	(void)unused;
	fake_mce(STATUS_SRAR, 0xfee000000, 7, MCA_CTX_GUEST_KERNEL, LABEL_VM(2));
	fake_mce(STATUS_SRAO, 0xfee001000, 5, MCA_CTX_GUEST_KERNEL, LABEL_VM(1));
	mca_turn(&mca);
	assert_int_equal(fake.killed[2], 1);
	assert_true(fake_logged("page 0xfee000000 cannot be retired"));
	assert_true(fake_runs(0));
	assert_true(fake_runs(1));
}

static void a_range_of_pages_is_retired_as_a_whole(void **unused)
{
	(void)unused;
	fake_map_guest(0, PAGE - 0x1000, 0x344000);
	fake_map_guest(0, PAGE, 0x345000);
	fake_mce(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	fake.cpu[0].ring[0].misc = 0x8d; /* LSB 13: two pages */
	mca_turn(&mca);
	assert_true(fake_is_poisoned(PAGE - 0x1000));
	assert_true(fake_is_poisoned(PAGE));
	assert_int_equal(fake.poisoned_count, 2);
	assert_true(
		fake_logged("retired range 0x10344000 of 2 pages: 2 now, 0 before, 0 cannot be"));
	assert_int_equal(fake_answer_all(0), 2);
	mca_turn(&mca);
	assert_true(fake_runs(0));
}

static void amd_needs_succor_and_the_override_is_announced(void **unused)
{
	(void)unused;
	fake_amd(true);
	assert_true(fake_logged("override: SUCCOR supplied by the system description (CPUID does "
				"not report it)\n"));
	fake_map_guest(0, PAGE, 0);
	fake_mce(STATUS_AMD_AR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	mca_turn(&mca);
	assert_int_equal(fake_answer_all(0), 1);
	mca_turn(&mca);
	assert_true(fake_runs(0));
	fake_reset();
	fake_amd(false);
	assert_false(fake_logged("override"));
	fake_map_guest(0, PAGE, 0);
	fake_mce(STATUS_AMD_AR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0));
	fake.now = mca_turn(&mca);
	mca_turn(&mca);
	assert_int_equal(fake.shutdowns, 1);
}

static void a_vm_that_is_gone_is_said_once(void **unused)
{
	(void)unused;
	fake.thaw_status = CAIRN_ERR_CAP;
	for (unsigned i = 0; i < 5; i++) {
		fake_mce(STATUS_SRAO, 0x7000 + i * 0x1000, 5, MCA_CTX_IDLE, 0);
		mca_turn(&mca);
		assert_int_equal(fake_count("vm linux-1 cannot be thawed"), i >= 3);
		fake.now += 700 * FAKE_MS;
	}
	assert_false(fake_logged("linux-1 thawed"));
}

static void a_vm_that_is_gone_for_a_moment_is_not_spoken_of(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 3; i++) {
		fake.thaw_status = CAIRN_ERR_CAP;
		fake_mce(STATUS_SRAO, 0x7000 + i * 0x1000, 5, MCA_CTX_IDLE, 0);
		mca_turn(&mca);
		fake.now += 1900 * FAKE_MS;
		mca_turn(&mca);
		fake.thaw_status = CAIRN_OK;
		mca_turn(&mca);
		fake.now += 1900 * FAKE_MS;
	}
	assert_false(fake_logged("cannot be thawed"));
	assert_int_equal(fake_count("vm linux-1 thawed"), 3);
	assert_true(fake_runs(0));
}

static void polling_is_asked_for_in_time(void **unused)
{
	(void)unused;
	assert_int_equal(mca_turn(&mca), fake.now + 100 * FAKE_MS);
}

/* Deterministic, so that a failure can be repeated (Marsaglia's xorshift). */
static uint32_t random_below(uint32_t limit)
{
	static uint32_t x = 2463534242u;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x % limit;
}

/* What VM vm's vmm-server must be told of, and what it has been told of and has not answered. */
struct told {
	uint64_t sequence[MCA_RING_MESSAGES];
	uint32_t count, expected, answered;
};

static struct told told[FAKE_VMS];
static uint32_t errors;

static void random_error(void)
{
	static const uint64_t words[] = {STATUS_SRAR, STATUS_SRAR, STATUS_SRAO, STATUS_CE};
	uint64_t page = 0x40000000 + errors++ * 0x1000ul, status = words[random_below(4)];
	uint32_t vm = random_below(FAKE_VMS);

	if (fake.cpu[fake.on].open && status == STATUS_CE)
		status = STATUS_SRAR;
	for (uint32_t i = 0; i < FAKE_VMS; i++) {
		if (random_below(4) > (i == vm ? 2u : 0u))
			continue;
		fake_map_guest(i, page, page);
		told[i].expected += status != STATUS_CE;
	}
	if (status == STATUS_CE)
		fake_polled(status, page);
	else
		fake_mce(status, page, status == STATUS_SRAR ? 7 : 5, 1 + random_below(5),
			 LABEL_VM(vm));
}

/* On any CPU: an error at once, or the beginning of an exception that ends some time later. */
static void something_happens(void)
{
	fake.on = random_below(FAKE_CPUS);
	if (errors >= 480 || fake.cpu[fake.on].head >= FAKE_RECORDS - 2)
		return;
	if (random_below(2) || fake.cpu[fake.on].open)
		random_error();
	else if (random_below(2))
		fake_begin();
	else
		fake_bank(STATUS_CE, 0x1000, 7, MCA_CTX_IDLE, 0, false);
}

static bool struck; /* something has happened since the turn began */

static void maybe_strike(uint32_t cpu)
{
	(void)cpu;
	if (random_below(40))
		return;
	struck = true;
	something_happens();
}

static bool all_complete(void)
{
	return fake.begun == fake.complete;
}

static void take_or_answer(uint32_t vm, struct told *told)
{
	struct mca_message message;

	if (told->count < MCA_RING_MESSAGES && fake_take(vm, &message)) {
		assert_int_equal(message.kind, MCA_MSG_BAD_PAGE);
		told->sequence[told->count++] = message.sequence;
	}
	if (told->count && random_below(2)) {
		uint32_t which = random_below(told->count);

		fake_answer(vm, told->sequence[which]);
		told->sequence[which] = told->sequence[--told->count];
		told->answered++;
	}
	if (!random_below(16))
		fake_answer(
			vm,
			random_below(1000)); /* nonsense, and answers to what was not taken yet */
}

static void turn_by_turn(unsigned steps, unsigned rate)
{
	for (unsigned step = 0; step < steps; step++) {
		if (rate && !random_below(rate))
			something_happens();
		for (uint32_t vm = 0; vm < FAKE_VMS; vm++)
			take_or_answer(vm, &told[vm]);
		fake.now += random_below(20) * FAKE_MS;
		struck = false;
		mca_turn(&mca);
		for (uint32_t vm = 0; vm < FAKE_VMS; vm++) {
			bool informed = told[vm].expected == told[vm].answered;

			if (fake_runs(vm))
				assert_true(informed && all_complete());
			else if (!struck && all_complete())
				assert_false(informed);
		}
	}
}

static void whatever_happens_no_vm_runs_that_was_not_told_and_none_waits_for_ever(void **unused)
{
	(void)unused;
	memset(told, 0, sizeof(told));
	errors = 0;
	fake.before_look = maybe_strike;
	for (unsigned round = 0; round < 100 && errors < 480; round++)
		turn_by_turn(200, 8);
	assert_int_equal(errors, 480);
	fake.before_look = NULL;
	for (fake.on = 0; fake.on < FAKE_CPUS; fake.on++)
		if (fake.cpu[fake.on].open)
			fake_end();
	turn_by_turn(5000, 0);
	assert_int_equal(fake.shutdowns, 0);
	for (uint32_t cpu = 0; cpu < FAKE_CPUS; cpu++)
		assert_int_equal(fake.cpu[cpu].acknowledged, fake.cpu[cpu].head);
	for (uint32_t vm = 0; vm < FAKE_VMS; vm++) {
		assert_int_equal(told[vm].expected, told[vm].answered);
		assert_true(fake_runs(vm));
	}
}

/* One turn; whether the mca-server outlived it. Dead, it is started anew. */
static bool turn_or_restart(void)
{
	if (!setjmp(fake.death)) {
		mca_turn(&mca);
		return true;
	}
	fake_restart();
	return false;
}

/* The vmm-server of VM `vm` queues what is new, and answers all; returns how much was new. */
static uint32_t queue_new(uint32_t vm, uint64_t *newest)
{
	struct mca_message message;
	uint32_t count = 0;

	while (fake_take(vm, &message)) {
		count += message.sequence > *newest;
		if (message.sequence > *newest)
			*newest = message.sequence;
		fake_answer(vm, message.sequence);
	}
	return count;
}

static void acknowledged_is_decided(uint32_t cpu)
{
	if (mca.acknowledge[cpu] == 2)
		assert_true(fake_is_poisoned(PAGE) && fake_is_poisoned(PAGE + 4096));
}

static void gone_at_any_call_it_loses_nothing_and_repeats_nothing(void **unused)
{
	bool died = true;

	(void)unused;
	for (uint64_t call = 1; died; call++) {
		uint32_t queued[FAKE_VMS] = {0};
		uint64_t newest[FAKE_VMS] = {0};

		fake_reset();
		fake_map_guest(0, PAGE, 0x345000);
		fake_map_guest(1, PAGE + 4096, 0x1000);
		fake_bank(STATUS_SRAO, PAGE, 5, MCA_CTX_GUEST_USER, LABEL_VM(1), false);
		fake_bank(STATUS_SRAR, PAGE + 4096, 7, MCA_CTX_GUEST_USER, LABEL_VM(1), true);
		fake.before_look = acknowledged_is_decided;
		fake.dies_at = call;
		died = false;
		for (uint32_t turn = 0; turn < 4; turn++) {
			died |= !turn_or_restart();
			for (uint32_t vm = 0; vm < FAKE_VMS; vm++)
				queued[vm] += queue_new(vm, &newest[vm]);
		}
		assert_int_equal(queued[0], 1);
		assert_int_equal(queued[1], 1);
		assert_int_equal(queued[2], 0);
		assert_int_equal(fake.cpu[0].acknowledged, 2);
		assert_int_equal(fake.shutdowns, 0);
		for (uint32_t vm = 0; vm < FAKE_VMS; vm++)
			assert_true(fake_runs(vm));
	}
}

static void gone_at_any_call_it_still_ends_the_system(void **unused)
{
	bool died = true;

	(void)unused;
	for (uint64_t call = 1; died; call++) {
		fake_reset();
		fake_map_guest(0, PAGE, 0x345000);
		fake_bank(STATUS_FATAL, 0, 5, MCA_CTX_GUEST_USER, LABEL_VM(0), false);
		fake_bank(STATUS_SRAR, PAGE, 7, MCA_CTX_GUEST_USER, LABEL_VM(0), true);
		fake.dies_at = call;
		died = false;
		for (uint32_t turn = 0; turn < 4; turn++) {
			died |= !turn_or_restart();
			for (uint32_t vm = 0; vm < FAKE_VMS; vm++)
				assert_false(fake_runs(vm));
			fake.now += 1000 * FAKE_MS;
		}
		assert_true(fake.shutdowns > 0);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_srar_in_one_vm_freezes_only_that_vm_until_it_is_queued),
		TEST(what_a_bank_held_before_the_reset_is_logged_and_nothing_else),
		TEST(an_srao_is_told_early),
		TEST(two_vms_that_share_a_page_thaw_each_for_itself),
		TEST(a_vm_that_does_not_answer_is_killed_at_its_deadline),
		TEST(a_vm_that_answers_step_by_step_is_given_time),
		TEST(a_full_ring_keeps_the_vm_frozen_and_loses_nothing),
		TEST(a_full_ring_is_tried_again_soon),
		TEST(a_repeated_record_has_no_second_effect),
		TEST(a_page_hit_twice_is_retired_once_and_the_vm_goes_on),
		TEST(policy_kill_ends_the_vm_and_no_other),
		TEST(policy_restart_kills_the_vm_each_time_and_thaws_its_next_life),
		TEST(a_vm_that_is_built_anew_owes_nothing),
		TEST(a_shared_page_kills_one_and_informs_the_other),
		TEST(a_deferred_error_stops_nobody),
		TEST(a_vmm_server_that_never_answers_early_notices_is_still_told),
		TEST(a_vm_that_was_built_anew_is_thawed_too),
		TEST(a_corrected_error_is_logged_with_its_owner),
		TEST(a_fatal_error_ends_the_system_and_thaws_nobody),
		TEST(a_fatal_bank_keeps_the_others_from_being_acted_on),
		TEST(an_answer_counts_once),
		TEST(several_banks_make_one_verdict),
		TEST(two_srar_banks_of_one_exception_end_the_system),
		TEST(an_exception_whose_last_record_is_missing_is_decided_all_the_same),
		TEST(two_exceptions_are_never_taken_for_one),
		TEST(a_cpu_that_only_met_the_others_holds_nobody_up),
		TEST(every_cpus_records_are_taken_at_each_turn),
		TEST(banks_of_several_cpus_are_not_mixed),
		TEST(records_of_one_cpu_do_not_count_as_anothers),
		TEST(an_exception_behind_the_looks_is_not_taken_for_decided),
		TEST(an_exception_in_the_middle_of_its_records_is_waited_for),
		TEST(a_flood_on_one_cpu_leaves_the_others_their_turn),
		TEST(a_fatal_error_of_any_cpu_ends_the_system),
		TEST(a_record_of_another_cpu_ends_the_system),
		TEST(a_second_error_while_one_is_pending_keeps_both_apart),
		TEST(a_hostile_vmm_server_changes_nothing_but_its_own_vm),
		TEST(a_flood_of_reports_of_injections_is_not_logged_line_by_line),
		TEST(more_pages_than_a_vm_can_be_told_of_kill_it),
		TEST(an_unused_page_is_retired),
		TEST(a_servers_page_is_reported_and_everybody_goes_on),
		TEST(a_page_of_the_root_task_ends_the_system),
		TEST(a_vcpu_that_cannot_be_resumed_ends_its_vm),
		TEST(a_server_that_cannot_be_resumed_ends_the_system),
		TEST(an_address_that_is_no_memory_ends_only_its_consumer),
		TEST(a_range_of_pages_is_retired_as_a_whole),
		TEST(amd_needs_succor_and_the_override_is_announced),
		TEST(a_vm_that_is_gone_is_said_once),
		TEST(a_vm_that_is_gone_for_a_moment_is_not_spoken_of),
		TEST(gone_at_any_call_it_loses_nothing_and_repeats_nothing),
		TEST(gone_at_any_call_it_still_ends_the_system),
		TEST(polling_is_asked_for_in_time),
		TEST(whatever_happens_no_vm_runs_that_was_not_told_and_none_waits_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
