/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads: configuration, notifications, deadlines, suspend and resume, priorities, budgets. */
#include <string.h>
#include <cairn/hypercalls.h>
#include "check.h"
#include "worker.h"

static volatile uint64_t spins, done, done_at[3];
static volatile unsigned next_done;

static void spin(uint64_t arg)
{
	(void)arg;
	for (;;)
		spins++;
}

static void mark(uint64_t number)
{
	done |= 1ul << number;
	done_at[next_done++ % 3] = number;
}

static struct thread_config *good_config(struct worker *w)
{
	struct thread_config *config = (struct thread_config *)cairn_buffer()->words;

	memset(config, 0, sizeof(*config));
	config->space = SEL_SPACE;
	config->captable = SEL_CAPTABLE;
	config->buffer = forge_frame();
	config->supervisor = ~0ull;
	config->rip = (uint64_t)spin;
	config->rsp = 0x1000;
	config->priority = PRIORITY_LOW;
	w->thread = forge_select();
	forge_must(cairn_retype(forge_used(), CAP_THREAD, 0, SEL_CAPTABLE, w->thread, 0),
		   "making a Thread");
	return config;
}

static cairn_status_t configure(const struct worker *w, uint64_t mask)
{
	return cairn_thread_configure(w->thread, mask);
}

#define ALL (THREAD_SPACE | THREAD_REGS | THREAD_UPCALLS | THREAD_TIME)

static void configuration(void)
{
	struct worker w;
	struct thread_config *config = good_config(&w);
	uint64_t frame = forge_frame(), read_only = forge_copy(config->buffer, RIGHT_READ, 0);
	uint64_t copy = forge_copy(config->buffer, RIGHT_ALL, 0);
	uint64_t level3 = forge_pagetable(PT_HOST, 3, 0), guest = forge_pagetable(PT_GUEST, 4, 1);
	const struct thread_config good = *config;

	check_status("resume-before-configuration-is-refused", cairn_resume(w.thread),
		     CAIRN_ERR_STATE);
	check_status("suspend-before-configuration-is-refused", cairn_suspend(w.thread),
		     CAIRN_ERR_STATE);
	check_status("registers-before-the-space-are-refused", configure(&w, THREAD_REGS),
		     CAIRN_ERR_STATE);
	check_status("an-empty-mask-is-refused", configure(&w, 0), CAIRN_ERR_ARG);
	check_status("an-unknown-mask-is-refused", configure(&w, ALL | 0x10), CAIRN_ERR_ARG);

#define REFUSED(name, field, value, want)                                                          \
	do {                                                                                       \
		*config = good;                                                                    \
		config->field = (value);                                                           \
		check_status(name, configure(&w, ALL), want);                                      \
	} while (0)
	REFUSED("a-space-that-is-no-root-is-refused", space, level3, CAIRN_ERR_TYPE);
	REFUSED("a-guest-space-is-refused", space, guest, CAIRN_ERR_TYPE);
	REFUSED("a-space-that-is-no-pagetable-is-refused", space, frame, CAIRN_ERR_TYPE);
	REFUSED("no-space-is-refused", space, 1ul << 40, CAIRN_ERR_CAP);
	REFUSED("a-captable-that-is-none-is-refused", captable, frame, CAIRN_ERR_TYPE);
	REFUSED("a-buffer-without-write-is-refused", buffer, read_only, CAIRN_ERR_RIGHTS);
	REFUSED("a-buffer-that-is-no-frame-is-refused", buffer, SEL_CAPTABLE, CAIRN_ERR_TYPE);
	REFUSED("a-cpu-that-is-not-there-is-refused", cpu, 4000, CAIRN_ERR_CPU);
	REFUSED("a-rip-in-the-kernel-is-refused", rip, 0xffffffff80100000ul, CAIRN_ERR_ARG);
	REFUSED("a-non-canonical-rip-is-refused", rip, 0x800000000000ul, CAIRN_ERR_ARG);
	REFUSED("a-non-canonical-rsp-is-refused", rsp, 1ul << 63, CAIRN_ERR_ARG);
	REFUSED("an-fs-base-in-the-kernel-is-refused", fs_base, ~0ul << 40, CAIRN_ERR_ARG);
	REFUSED("a-syscall-entry-in-the-kernel-is-refused", syscall_entry, ~0ul, CAIRN_ERR_ARG);
	REFUSED("a-fault-entry-in-the-kernel-is-refused", fault_entry, ~0ul, CAIRN_ERR_ARG);
	REFUSED("priority-64-is-refused", priority, 64, CAIRN_ERR_ARG);
	REFUSED("a-huge-priority-is-refused", priority, 1ul << 32 | 5, CAIRN_ERR_ARG);
	REFUSED("a-budget-above-its-period-is-refused", budget_us, 5000, CAIRN_ERR_ARG);

	*config = good;
	check_status("a-good-configuration-works", configure(&w, ALL), CAIRN_OK);
	*config = good;
	check_status("the-space-is-set-once", configure(&w, ALL), CAIRN_ERR_STATE);
	*config = good;
	check_status("registers-of-a-suspended-thread-can-be-set", configure(&w, THREAD_REGS),
		     CAIRN_OK);
	forge_must(cairn_resume(w.thread), "resuming");
	*config = good;
	check_status("registers-of-a-running-thread-cannot", configure(&w, THREAD_REGS),
		     CAIRN_ERR_STATE);

	*good_config(&w) = good;
	check_status("a-buffer-serves-one-thread", configure(&w, ALL), CAIRN_ERR_BUSY);
	*config = good;
	config->buffer = copy;
	check_status("whichever-copy-is-named", configure(&w, ALL), CAIRN_ERR_BUSY);
}

static void notifications(void)
{
	struct worker w;
	uint64_t bits = 0, no_signal;

	while (cairn_wait(1, &bits) == CAIRN_OK)
		; /* whatever came before, such as the console's answers */
	check_status("wait-that-does-not-block-times-out", cairn_wait(1, &bits), CAIRN_ERR_TIMEOUT);
	check_value("and-returns-no-bits", bits, 0);
	forge_must(cairn_signal(SEL_SELF), "signalling");
	check_status("wait-takes-a-pending-signal", cairn_wait(0, &bits), CAIRN_OK);
	check_value("with-the-badge", bits & SIGNAL_SELF, SIGNAL_SELF);
	check_status("and-clears-it", cairn_wait(1, &bits), CAIRN_ERR_TIMEOUT);

	worker_make(&w, spin, 0, PRIORITY_LOW, NULL);
	no_signal = forge_copy(w.thread, RIGHT_ALL & ~RIGHT_SIGNAL, 0);
	check_status("signal-without-the-right-is-refused", cairn_signal(no_signal),
		     CAIRN_ERR_RIGHTS);
}

/* Collects bits until it has seen both of its signallers. */
static volatile uint64_t collected;

static void collector(uint64_t arg)
{
	uint64_t bits;

	(void)arg;
	while (cairn_wait(0, &bits) == CAIRN_OK) {
		collected = bits;
		worker_tell();
	}
}

static void badges_are_ored(void)
{
	struct worker w;
	uint64_t first, second;

	worker_make(&w, collector, 0, PRIORITY_LOW, NULL);
	first = forge_copy(w.thread, RIGHT_SIGNAL, 0x100);
	second = forge_copy(w.thread, RIGHT_SIGNAL, 0x8000000000000000ul);
	worker_resume(&w);
	forge_must(cairn_signal(first), "signalling");
	forge_must(cairn_signal(second), "signalling");
	(void)main_wait(); /* only now does it run */
	check_value("signals-are-ored-together", collected, 0x8000000000000100ul);
	forge_must(cairn_signal(first), "signalling");
	(void)main_wait();
	check_value("a-waiting-thread-wakes-with-the-badge", collected, 0x100);
}

static void deadlines(void)
{
	uint64_t ticks = cairn_ticks_from_us(5000), bits, start = cairn_tsc(), took;

	while (cairn_wait(1, &bits) == CAIRN_OK)
		;
	start = cairn_tsc();
	check_status("wait-ends-at-its-deadline", cairn_wait(start + ticks, &bits),
		     CAIRN_ERR_TIMEOUT);
	took = cairn_tsc() - start;
	check_true("not-before-it", took >= ticks, "it ended too early");
	check_true("and-soon-after-it", took < 40 * ticks, "it ended far too late");
	start = cairn_tsc();
	check_status("a-deadline-in-the-past-ends-at-once", cairn_wait(start - ticks, &bits),
		     CAIRN_ERR_TIMEOUT);
}

static void suspend_and_resume(void)
{
	struct worker w;
	uint64_t before, no_control;

	spins = 0;
	worker_make(&w, spin, 0, PRIORITY_LOW, NULL);
	no_control = forge_copy(w.thread, RIGHT_SIGNAL | RIGHT_GRANT, 0);
	pause_us(5000);
	check_value("a-configured-thread-waits-for-resume", spins, 0);
	worker_resume(&w);
	pause_us(5000);
	check_true("a-resumed-thread-runs", spins != 0, "it did not");
	check_status("suspend-works", cairn_suspend(w.thread), CAIRN_OK);
	before = spins;
	pause_us(5000);
	check_value("a-suspended-thread-stands-still", spins, before);
	check_status("resume-without-control-is-refused", cairn_resume(no_control),
		     CAIRN_ERR_RIGHTS);
	check_status("suspend-without-control-is-refused", cairn_suspend(no_control),
		     CAIRN_ERR_RIGHTS);
	worker_resume(&w);
	pause_us(5000);
	check_true("it-goes-on-where-it-was", spins > before, "it did not go on");
}

static void priorities(void)
{
	struct worker high, low, lower;

	done = 0;
	next_done = 0;
	worker_make(&low, mark, 1, PRIORITY_LOW, NULL);
	worker_make(&lower, mark, 2, PRIORITY_LOW - 1, NULL);
	worker_make(&high, mark, 0, PRIORITY_HIGH, NULL);
	worker_resume(&lower);
	worker_resume(&low);
	check_value("a-lower-thread-waits", done, 0);
	worker_resume(&high);
	check_value("a-higher-thread-runs-at-once", done, 1);
	pause_us(5000);
	check_value("the-lower-ones-run-when-the-main-thread-waits", done, 7);
	check_true("in-the-order-of-their-priorities", done_at[1] == 1 && done_at[2] == 2,
		   "another order");
}

static volatile uint64_t counts[2];

static void count(uint64_t number)
{
	for (;;)
		counts[number]++;
}

static void round_robin(void)
{
	struct worker w[2];

	for (unsigned i = 0; i < 2; i++) {
		counts[i] = 0;
		worker_make(&w[i], count, i, PRIORITY_LOW, NULL);
		worker_resume(&w[i]);
	}
	pause_us(100000);
	check_true("threads-of-one-priority-take-turns", counts[0] && counts[1],
		   "one of them never ran");
}

/* Counts the pauses that its budget forces on it. */
static volatile uint64_t budget_gaps;

static void notice_gaps(uint64_t gap)
{
	uint64_t last = cairn_tsc();

	for (;;) {
		uint64_t now = cairn_tsc();

		if (now - last > gap)
			budget_gaps++;
		last = now;
	}
}

static void budgets(void)
{
	const struct forge_thread limits = {.budget_us = 1000, .period_us = 10000};
	struct worker w;
	uint64_t end;

	budget_gaps = 0;
	worker_make(&w, notice_gaps, cairn_ticks_from_us(5000), PRIORITY_HIGH, &limits);
	worker_resume(&w);
	end = cairn_tsc() + cairn_ticks_from_us(200000);
	/* Without its budget the worker would never let the main thread get here and see the time
	 * pass. */
	while (cairn_tsc() < end)
		;
	check_true("a-budget-ends-and-comes-back", budget_gaps >= 5, "too few pauses were forced");
	check_true("no-more-often-than-its-period", budget_gaps <= 25, "too many pauses");
}

static void life_ends_with_the_space(void)
{
	struct thread_config *config = (struct thread_config *)cairn_buffer()->words;
	uint64_t arena = forge_untyped(17), before = forge_use(arena);
	struct forge_space space;
	struct forge_thread wanted = {
		.priority = PRIORITY_LOW, .rip = FORGE_SPACE_VA, .rsp = 0x1000};
	uint64_t thread;

	forge_space_make(&space, 0x7f);
	wanted.space = space.root;
	forge_use(before);
	thread = forge_thread(&wanted, NULL);
	forge_must(revoke_all(arena), "revoking the space");
	check_status("a-thread-without-space-does-not-resume", cairn_resume(thread),
		     CAIRN_ERR_STATE);
	memset(config, 0, sizeof(*config));
	config->rip = FORGE_SPACE_VA;
	config->rsp = 0x1000;
	check_status("a-thread-without-space-cannot-be-revived",
		     cairn_thread_configure(thread, THREAD_REGS), CAIRN_ERR_STATE);
}

static void life_ends_with_the_buffer(void)
{
	struct worker w;
	struct thread_config *config = good_config(&w);
	uint64_t buffer = config->buffer;

	forge_must(configure(&w, ALL), "configuring");
	forge_must(revoke_all(buffer), "revoking the buffer");
	forge_must(delete_all(buffer), "deleting the buffer");
	check_status("a-thread-without-buffer-does-not-resume", cairn_resume(w.thread),
		     CAIRN_ERR_STATE);
}

static void set_fs(void)
{
	check_status("an-fs-base-in-the-kernel-half-is-refused", cairn_set_fs(0xffff800000000000ul),
		     CAIRN_ERR_ARG);
	check_status("a-non-canonical-fs-base-is-refused", cairn_set_fs(1ul << 47), CAIRN_ERR_ARG);
}

/* With an FS base of its own, which must survive the other threads. */
static volatile uint64_t fs_words[2], fs_seen[2];

static void use_fs(uint64_t number)
{
	forge_ignore(cairn_set_fs((uint64_t)&fs_words[number]));
	for (unsigned i = 0; i < 2; i++) {
		worker_tell();
		worker_sleep();
		__asm__ volatile("movq %%fs:0, %0" : "=r"(fs_seen[number]));
	}
}

static void fs_is_kept(void)
{
	struct worker w[2];

	for (unsigned i = 0; i < 2; i++) {
		fs_words[i] = 70 + i;
		worker_make(&w[i], use_fs, i, PRIORITY_HIGH, NULL);
		worker_run(&w[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		worker_poke(&w[i]);
		(void)main_wait();
	}
	check_true("each-thread-keeps-its-fs-base", fs_seen[0] == 70 && fs_seen[1] == 71,
		   "one read another's memory");
}

/* Both have the same FS base; the first then loads a selector, which sets its base to 0. */
static void load_fs_selector(uint64_t number)
{
	forge_ignore(cairn_set_fs((uint64_t)&fs_words[0]));
	worker_tell();
	worker_sleep();
	if (number == 1) {
		__asm__ volatile("movq %%fs:0, %0" : "=r"(fs_seen[1]));
		return;
	}
	__asm__ volatile("movl %%ss, %%eax\n\tmovl %%eax, %%fs" : : : "rax");
	worker_sleep(); /* without a word to the main thread: the other one runs next */
}

static void fs_selector_is_kept(void)
{
	struct worker w[2];

	fs_words[0] = 4712;
	fs_seen[1] = 0;
	for (unsigned i = 0; i < 2; i++) {
		worker_make(&w[i], load_fs_selector, i, PRIORITY_LOW, NULL);
		worker_run(&w[i]);
	}
	worker_poke(&w[0]);
	worker_poke(&w[1]);
	(void)main_wait();
	check_value("an-fs-selector-stays-with-its-thread", fs_seen[1], 4712);
}

void suite_threads(void)
{
	in_arena(configuration);
	in_arena(notifications);
	in_arena(badges_are_ored);
	in_arena(deadlines);
	in_arena(suspend_and_resume);
	in_arena(priorities);
	in_arena(round_robin);
	in_arena(budgets);
	in_arena(life_ends_with_the_space);
	in_arena(life_ends_with_the_buffer);
	in_arena(set_fs);
	in_arena(fs_is_kept);
	in_arena(fs_selector_is_kept);
}
