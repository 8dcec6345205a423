/* SPDX-License-Identifier: BSD-2-Clause */
/* Trials of what configures, starts and stops threads and VCpus. */
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/types.h>
#include <cairn/vcpu.h>
#include "check.h"
#include "trial.h"
#include "worker.h"

#define THREAD_ALL (THREAD_SPACE | THREAD_REGS | THREAD_UPCALLS | THREAD_TIME)
#define TIME_MAX   3600000000ul /* microseconds */

/* The fields of the structs, in the order of hypercalls.toml. */
enum {
	T_SPACE,
	T_CAPTABLE,
	T_BUFFER,
	T_CPU,
	T_SUPERVISOR,
	T_RIP,
	T_RSP,
	T_FS,
	T_ARG,
	T_SYSCALL,
	T_FAULT,
	T_PRIORITY,
	T_BUDGET,
	T_PERIOD,
	T_CEILING
};
enum { V_GUEST, V_HOME, V_CAPTABLE, V_EXIT_BASE, V_STATE, V_CPU, V_PRIORITY, V_BUDGET, V_PERIOD };

static uint64_t target;
static struct worker worker;
static volatile uint64_t turns;

static uint64_t bare(enum cairn_type type)
{
	uint64_t selector = forge_select();

	forge_must(cairn_retype(forge_used(), type, 0, SEL_CAPTABLE, selector, 0),
		   "making an execution context");
	return selector;
}

static uint64_t large_frame(void)
{
	uint64_t large = forge_select();

	forge_must(cairn_retype(forge_used(), CAP_FRAME, PAGE_BITS_2M, SEL_CAPTABLE, large, 0),
		   "making a 2 MiB Frame");
	return large;
}

/* Turns each time it is poked. */
static void turner(uint64_t arg)
{
	(void)arg;
	for (;;) {
		turns++;
		worker_sleep();
	}
}

static bool not_configured(void)
{
	return cairn_resume(target) == CAIRN_ERR_STATE;
}

HYPERCALL_TEST(thread_configure)
{
	struct worker other;
	const uint64_t lower = forge_pagetable(PT_HOST, 3, 0);
	const uint64_t guest = forge_pagetable(PT_GUEST, 4, 1), large = large_frame();

	handler_make(&other, NULL);
	const struct wrong more[] = {
		{0, other.thread, CAIRN_ERR_STATE}, /* its space is set */
		{1, 0, CAIRN_ERR_ARG},
		{1, THREAD_REGS, CAIRN_ERR_STATE}, /* its space is not */
		{1, THREAD_UPCALLS, CAIRN_ERR_STATE},
		{1, THREAD_TIME, CAIRN_ERR_STATE},
		{TRIAL_FIELD(T_SPACE), lower, CAIRN_ERR_TYPE},
		{TRIAL_FIELD(T_SPACE), guest, CAIRN_ERR_TYPE},
		{TRIAL_FIELD(T_BUFFER), large, CAIRN_ERR_ARG},
		{TRIAL_FIELD(T_BUFFER), other.thread + 1,
		 CAIRN_ERR_BUSY}, /* forge_thread made it next */
		{TRIAL_FIELD(T_PRIORITY), CEILING + 1, CAIRN_ERR_RIGHTS},
		{TRIAL_FIELD(T_CEILING), CEILING + 1, CAIRN_ERR_RIGHTS},
		{TRIAL_FIELD(T_CEILING), ~0ul, CAIRN_ERR_RIGHTS},
		{TRIAL_FIELD(T_BUDGET), 1, CAIRN_ERR_ARG},
		{TRIAL_FIELD(T_BUDGET), 99, CAIRN_ERR_ARG},
		{TRIAL_FIELD(T_BUDGET), 10001, CAIRN_ERR_ARG},
		{TRIAL_FIELD(T_BUDGET), 1ul << 32, CAIRN_ERR_ARG},
		{TRIAL_FIELD(T_BUDGET), ~0ul, CAIRN_ERR_ARG},
		{TRIAL_FIELD(T_PERIOD), 999, CAIRN_ERR_ARG},
		{TRIAL_FIELD(T_PERIOD), 0, CAIRN_ERR_ARG},
		{TRIAL_FIELD(T_PERIOD), TIME_MAX + 1, CAIRN_ERR_ARG},
		{TRIAL_FIELD(T_PERIOD), ~0ul, CAIRN_ERR_ARG},
	};
	struct trial t = {.name = "thread-configure",
			  .number = CAIRN_CALL_THREAD_CONFIGURE,
			  .unchanged = not_configured,
			  TRIAL_MORE(more)};
	uint64_t *config = t.good + TRIAL_FIELD(0);

	target = bare(CAP_THREAD);
	t.good[0] = target;
	t.good[1] = THREAD_ALL;
	config[T_SPACE] = SEL_SPACE;
	config[T_CAPTABLE] = SEL_CAPTABLE;
	config[T_BUFFER] = forge_frame();
	config[T_SUPERVISOR] = ~0ul;
	config[T_RIP] = (uint64_t)turner;
	config[T_RSP] = USER_END - 1;
	config[T_FS] = USER_END - 1;
	config[T_SYSCALL] = USER_END - 1;
	config[T_FAULT] = USER_END - 1;
	config[T_PRIORITY] = 10;
	config[T_BUDGET] = 1000;
	config[T_PERIOD] = 10000;
	config[T_CEILING] = CEILING;
	trial_run(&t);
}

HYPERCALL_TEST(vcpu_configure)
{
	const uint64_t lower = forge_pagetable(PT_HOST, 3, 0),
		       host = forge_pagetable(PT_HOST, 4, 1);
	const uint64_t lower_guest = forge_pagetable(PT_GUEST, 3, 0);
	const uint64_t guest = forge_pagetable(PT_GUEST, 4, 1), large = large_frame();
	struct worker other;

	handler_make(&other, NULL);
	const struct wrong more[] = {
		{TRIAL_FIELD(V_GUEST), host, CAIRN_ERR_TYPE},
		{TRIAL_FIELD(V_GUEST), lower_guest, CAIRN_ERR_TYPE},
		{TRIAL_FIELD(V_HOME), guest, CAIRN_ERR_TYPE},
		{TRIAL_FIELD(V_HOME), lower, CAIRN_ERR_TYPE},
		{TRIAL_FIELD(V_STATE), large, CAIRN_ERR_ARG},
		{TRIAL_FIELD(V_STATE), other.thread + 1, CAIRN_ERR_BUSY},
		{TRIAL_FIELD(V_PRIORITY), CEILING + 1, CAIRN_ERR_RIGHTS},
		{TRIAL_FIELD(V_BUDGET), 1, CAIRN_ERR_ARG},
		{TRIAL_FIELD(V_BUDGET), 99, CAIRN_ERR_ARG},
		{TRIAL_FIELD(V_BUDGET), 10001, CAIRN_ERR_ARG},
		{TRIAL_FIELD(V_BUDGET), ~0ul, CAIRN_ERR_ARG},
		{TRIAL_FIELD(V_PERIOD), 999, CAIRN_ERR_ARG},
		{TRIAL_FIELD(V_PERIOD), TIME_MAX + 1, CAIRN_ERR_ARG},
		{TRIAL_FIELD(V_PERIOD), ~0ul, CAIRN_ERR_ARG},
	};
	struct trial t = {.name = "vcpu-configure",
			  .number = CAIRN_CALL_VCPU_CONFIGURE,
			  .unchanged = not_configured,
			  TRIAL_MORE(more)};
	uint64_t *config = t.good + TRIAL_FIELD(0);

	target = bare(CAP_VCPU);
	t.good[0] = target;
	config[V_GUEST] = guest;
	config[V_HOME] = SEL_SPACE;
	config[V_CAPTABLE] = SEL_CAPTABLE;
	config[V_STATE] = forge_frame();
	config[V_PRIORITY] = 10;
	config[V_BUDGET] = 1000;
	config[V_PERIOD] = 10000;
	trial_run(&t);
	check_status("vcpu-configure-works-only-once", raw_call(t.number, t.good), CAIRN_ERR_STATE);
}

static bool stands_still(void)
{
	return turns == 0;
}

static bool turns_when_poked(void)
{
	uint64_t before = turns;

	worker_poke(&worker);
	return turns == before + 1;
}

static uint64_t configured_vcpu(void)
{
	struct vcpu_config *config = (struct vcpu_config *)cairn_buffer()->words;
	uint64_t vcpu = bare(CAP_VCPU), guest = forge_pagetable(PT_GUEST, 4, 1),
		 state = forge_frame();

	memset(config, 0, sizeof(*config));
	config->guest_root = guest;
	config->home = SEL_SPACE;
	config->captable = SEL_CAPTABLE;
	config->state = state;
	config->exit_base = SEL_FREE; /* no Portal there: its first exit stops it */
	config->priority = PRIORITY_HIGH;
	forge_must(cairn_vcpu_configure(vcpu), "configuring a VCpu");
	return vcpu;
}

HYPERCALL_TEST(resume)
{
	const struct wrong more[] = {{0, bare(CAP_THREAD), CAIRN_ERR_STATE},
				     {0, bare(CAP_VCPU), CAIRN_ERR_STATE}};
	struct trial t = {.name = "resume",
			  .number = CAIRN_CALL_RESUME,
			  .unchanged = stands_still,
			  TRIAL_MORE(more)};

	turns = 0;
	worker_make(&worker, turner, 0, PRIORITY_HIGH, NULL);
	t.good[0] = worker.thread;
	trial_run(&t);
	check_value("a-resumed-thread-runs-at-once", turns, 1);
	t.name = "resume-of-a-vcpu";
	t.unchanged = NULL;
	t.good[0] = configured_vcpu();
	trial_run(&t);
	check_status("a-vcpu-without-portals-stops-at-its-first-exit", cairn_suspend(t.good[0]),
		     CAIRN_ERR_STATE);
}

HYPERCALL_TEST(suspend)
{
	const struct wrong more[] = {{0, bare(CAP_THREAD), CAIRN_ERR_STATE},
				     {0, bare(CAP_VCPU), CAIRN_ERR_STATE}};
	struct trial t = {.name = "suspend",
			  .number = CAIRN_CALL_SUSPEND,
			  .unchanged = turns_when_poked,
			  TRIAL_MORE(more)};

	turns = 0;
	worker_make(&worker, turner, 0, PRIORITY_HIGH, NULL);
	worker_resume(&worker);
	t.good[0] = worker.thread;
	trial_run(&t);
	check_true("a-suspended-thread-does-not-turn", !turns_when_poked(), "it does");
	t.name = "suspend-of-a-vcpu";
	t.unchanged = NULL;
	t.good[0] = configured_vcpu();
	trial_run(&t);
}

static bool fs_is_musls(void)
{
	uint64_t base;

	/* musl's thread control block begins with its own address. */
	__asm__ volatile("movq %%fs:0, %0" : "=r"(base));
	__asm__ volatile("" : "+r"(base));
	return base != 0 && *(uint64_t *)base == base;
}

HYPERCALL_TEST(set_fs)
{
	struct trial t = {.name = "set-fs", .number = CAIRN_CALL_SET_FS, .unchanged = fs_is_musls};

	__asm__ volatile("movq %%fs:0, %0" : "=r"(t.good[0]));
	trial_run(&t);
}
