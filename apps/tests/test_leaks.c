/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What user level finds in its registers, message buffers and state pages after each kind of entry:
 * what the interface says or what was there before, and nothing of the kernel or of anybody else.
 * Hypercalls are looked at in each trial (trial.c), interrupts in test_isolation.c.
 */
#include <stdio.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include "check.h"
#include "domain.h"
#include "guest.h"
#include "registers.h"
#include "trial.h"

#define PATTERN	    0x57
#define OTHER	    0x68 /* what was in the FPU before */
#define PAGE_WORDS  (PAGE_SIZE_4K / 8)
#define USER_FLAGS  0x202ul
#define BADGE	    0xbad6eul
#define VECTOR_UD   6u
#define KERNEL_HALF 0xffff800000000000ul
#define RFLAGS_RF   0x10000ul /* a CPU may set it in what a fault stores */
#define FLAGS_IN    (RFLAGS_IF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID | 0x8d7ul)

extern const uint8_t cairn_handler_trampoline[];

/* ---- pages ---- */

static uint64_t page_before[PAGE_WORDS];

/* Fills a message buffer, but not the mark that the thread is in a fault. */
static void fill_buffer(struct message_buffer *buffer, uint8_t pattern)
{
	uint64_t *words = (uint64_t *)buffer;

	for (unsigned i = 0; i < PAGE_WORDS; i++)
		words[i] = word_of(pattern, i & 0xff) | (uint64_t)i << 48;
	buffer->fault_active = 0;
	memcpy(page_before, buffer, sizeof(page_before));
}

/* Whether a page is as it was but for words first .. last - 1. */
static bool unchanged_but(const void *page, size_t first, size_t last)
{
	const uint64_t *words = page;

	for (size_t i = 0; i < PAGE_WORDS; i++)
		if ((i < first || i >= last) && words[i] != page_before[i])
			return false;
	return true;
}

/* Segment limits, which the VMM has set itself, look like one. */
static bool any_kernel_address(const volatile struct vcpu_state *state)
{
	const volatile uint64_t *words = (const volatile uint64_t *)state;

	for (unsigned i = 0; i < offsetof(struct vcpu_state, seg) / 8; i++)
		if (words[i] >= KERNEL_HALF)
			return true;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		if (state->seg[i].base >= KERNEL_HALF)
			return true;
	return state->seg[SEG_GDTR].base >= KERNEL_HALF || state->seg[SEG_IDTR].base >= KERNEL_HALF;
}

/* ---- threads ---- */

static struct domain domain;

/* A thread with all its registers and the FPU filled; what it does is its entry's business. */
static void make_filled(const uint8_t *entry, const struct forge_thread *more)
{
	static uint8_t other[4096] __attribute__((aligned(64)));
	struct isolation *d;

	domain_make_all(&domain, entry, more);
	d = domain.data;
	d->mask = components();
	for (unsigned r = 0; r < GPR_COUNT; r++)
		d->in.gpr[r] = word_of(PATTERN, r);
	d->in.rflags = FLAGS_IN;
	fill_fpu(d->fpu, PATTERN, d->mask);
	fill_fpu(other, OTHER, d->mask);
	fill_buffer(domain.buffer, PATTERN);
	load_fpu(other, d->mask); /* the FPU of whoever ran before */
	reset_fpu();
}

static void run_filled(void)
{
	forge_must(cairn_resume(domain.thread), "resuming a thread");
	check_true("the-thread-comes-to-its-end", domain_wait(&domain.data->done, 0),
		   "it does not");
}

/* What the thread found: these registers, and of all else what it had loaded. */
static void check_found(const char *what, const uint64_t *want, uint64_t flags)
{
	const struct isolation *d = domain.data;
	char name[96];

	snprintf(name, sizeof(name), "%s-shows-only-its-registers", what);
	check_registers(name, d, want);
	snprintf(name, sizeof(name), "%s-has-the-right-flags", what);
	check_value(name, d->out.rflags, flags);
	snprintf(name, sizeof(name), "%s-keeps-the-fpu", what);
	check_true(name, same_fpu(d), "it found something else than it had loaded");
	snprintf(name, sizeof(name), "%s-shows-no-selector", what);
	check_true(name,
		   !d->out.selector[0] && !d->out.selector[1] && !d->out.selector[2] &&
			   !d->out.selector[3],
		   "one is not 0");
}

static void new_thread(void)
{
	const struct forge_thread config = {.priority = PRIORITY_HIGH, .arg = 0x4711};
	uint64_t want[GPR_COUNT] = {0};

	make_filled(isolation_new_thread, &config);
	run_filled();
	want[GPR_RDI] = 0x4711;
	want[GPR_RSP] = DOMAIN_DATA + PAGE_SIZE_4K;
	want[GPR_RCX] = domain_address(isolation_new_thread); /* as SYSRET leaves them */
	want[GPR_R11] = USER_FLAGS;
	check_registers("a-new-thread-shows-only-its-registers", domain.data, want);
	check_value("a-new-thread-has-the-right-flags", domain.data->out.rflags, USER_FLAGS);
	check_true("a-new-thread-has-a-clean-fpu", clean_fpu(domain.data), "it is not clean");
	check_true("a-new-threads-message-buffer-is-untouched", unchanged_but(domain.buffer, 0, 0),
		   "a word has changed");
}

/* A hypercall by a thread elsewhere, and what it must find: *result, if RDI is one. */
static void call_elsewhere(const char *what, uint64_t call, uint64_t argument,
			   cairn_status_t status, const uint64_t *result, uint64_t signal)
{
	const struct forge_thread config = {.priority = PRIORITY_HIGH};
	uint64_t want[GPR_COUNT];

	make_filled(isolation_call, &config);
	domain.data->in.gpr[GPR_RAX] = CAIRN_CALL_BASE + call;
	domain.data->in.gpr[GPR_RDI] = argument;
	memcpy(want, domain.data->in.gpr, sizeof(want));
	if (signal) {
		forge_must(cairn_resume(domain.thread), "resuming a thread");
		forge_must(cairn_signal(forge_copy(domain.thread, RIGHT_SIGNAL, signal)),
			   "signalling a thread");
	}
	run_filled();
	want[GPR_RAX] = status;
	want[GPR_RCX] = domain_address(isolation_called);
	want[GPR_R11] = FLAGS_IN;
	if (result)
		want[GPR_RDI] = *result;
	check_found(what, want, FLAGS_IN);
	check_true("and-its-message-buffer-is-untouched", unchanged_but(domain.buffer, 0, 0),
		   "a word has changed");
}

static void waits(void)
{
	const uint64_t none = 0, bits = 0x9000;

	call_elsewhere("a-wait-that-times-out-at-once", CAIRN_CALL_WAIT, 1, CAIRN_ERR_TIMEOUT,
		       &none, 0);
	call_elsewhere("a-wait-that-times-out-later", CAIRN_CALL_WAIT,
		       cairn_tsc() + cairn_ticks_from_us(3000), CAIRN_ERR_TIMEOUT, &none, 0);
	call_elsewhere("a-wait-that-a-signal-ends", CAIRN_CALL_WAIT, 0, CAIRN_OK, &bits, bits);
}

static void bounce(void)
{
	const struct forge_thread config = {.priority = PRIORITY_HIGH,
					    .syscall_entry = domain_address(isolation_called)};
	uint64_t want[GPR_COUNT];

	make_filled(isolation_call, &config);
	memcpy(want, domain.data->in.gpr, sizeof(want));
	want[GPR_RCX] = domain_address(isolation_called);
	want[GPR_R11] = FLAGS_IN;
	run_filled();
	check_found("a-foreign-call", want, USER_FLAGS);
	check_true("and-leaves-the-message-buffer", unchanged_but(domain.buffer, 0, 0),
		   "a word has changed");
}

static void own_fault(void)
{
	const struct forge_thread config = {.priority = PRIORITY_HIGH,
					    .fault_entry = domain_address(isolation_new_thread)};
	const struct message_buffer *b;

	make_filled(isolation_fault, &config);
	run_filled();
	b = domain.buffer;
	check_found("an-own-fault", domain.data->in.gpr, USER_FLAGS);
	check_true("it-tells-what-it-should",
		   b->fault_active == 1 && b->fault_vector == VECTOR_UD && b->fault_error == 0 &&
			   b->fault_address == 0 && b->fault_poison == 0 &&
			   b->fault_rip == domain_address(isolation_ud2) &&
			   b->fault_rsp == domain.data->in.gpr[GPR_RSP] &&
			   (b->fault_rflags & ~RFLAGS_RF) == FLAGS_IN,
		   "a field differs");
	check_true("and-nothing-else-in-the-buffer",
		   unchanged_but(b, offsetof(struct message_buffer, fault_active) / 8,
				 offsetof(struct message_buffer, reserved) / 8),
		   "another word has changed");
}

/* ---- handlers ---- */

static struct worker handler;
static uint64_t reply_words[5]; /* w1 .. w4, count */

static void answer(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
		   uint64_t count)
{
	(void)badge, (void)w1, (void)w2, (void)w3, (void)w4, (void)count;
	forge_ignore(cairn_reply(0, reply_words[0], reply_words[1], reply_words[2], reply_words[3],
				 reply_words[4]));
}

/* A handler whose registers are looked at before it answers. */
static uint64_t make_looking(void)
{
	handler_make(&handler, answer);
	handler_enter_at(&handler, leak_entry);
	leak_next = cairn_handler_trampoline;
	leak_entered.mask = components();
	return forge_portal(handler.thread, BADGE);
}

static void check_entered(const char *what, const uint64_t *words, uint64_t count)
{
	uint64_t want[GPR_COUNT] = {0};
	char name[96];

	want[GPR_RDI] = BADGE;
	want[GPR_RSI] = words[0];
	want[GPR_RDX] = words[1];
	want[GPR_R10] = words[2];
	want[GPR_R8] = words[3];
	want[GPR_R9] = count;
	want[GPR_RSP] = handler.rsp;
	want[GPR_RCX] = (uint64_t)leak_entry;
	want[GPR_R11] = USER_FLAGS;
	snprintf(name, sizeof(name), "%s-enters-with-only-its-words", what);
	check_registers(name, &leak_entered, want);
	snprintf(name, sizeof(name), "%s-enters-with-clean-flags", what);
	check_value(name, leak_entered.out.rflags, USER_FLAGS);
	snprintf(name, sizeof(name), "%s-enters-with-a-clean-fpu", what);
	check_true(name, clean_fpu(&leak_entered), "it is not clean");
}

static void fault_message(void)
{
	static const enum vcpu_gpr order[10] = {GPR_RAX, GPR_RCX, GPR_RDX, GPR_RBX, GPR_RBP,
						GPR_RSI, GPR_RDI, GPR_R8,  GPR_R9,  GPR_R10};
	struct forge_thread config = {.priority = PRIORITY_HIGH, .supervisor = 5};
	uint64_t portal = make_looking(), words[4] = {VECTOR_UD, 0, 0, 0};
	const uint64_t *told;
	bool good;

	make_filled(isolation_fault, &config);
	forge_must(cairn_copy(portal, domain.captable, 5, RIGHT_SIGNAL, 0), "giving it a Portal");
	fill_buffer(domain.buffer, PATTERN);
	reply_words[0] = FAULT_REPLY_RIP;
	reply_words[1] = domain_address(isolation_ud2) + 2;
	reply_words[4] = 2;
	fill_buffer(handler.buffer, PATTERN);
	run_filled();
	words[3] = domain_address(isolation_ud2);
	check_entered("a-fault", words, MESSAGE_WORDS);
	told = handler.buffer->words + 4;
	good = told[0] == domain.data->in.gpr[GPR_RSP] && (told[1] & ~RFLAGS_RF) == FLAGS_IN;
	for (unsigned i = 0; i < 10; i++)
		good = good && told[2 + i] == domain.data->in.gpr[order[i]];
	check_true("its-buffer-tells-the-threads-registers", good, "a word differs");
	check_true("and-nothing-else", unchanged_but(handler.buffer, 4, MESSAGE_WORDS),
		   "another word has changed");
	check_found("a-thread-resumed-after-its-fault", domain.data->in.gpr, FLAGS_IN);
}

/* A call with `count` words there and back; both buffers are looked at as a whole. */
static bool call_with(uint64_t portal, uint64_t count)
{
	struct message_buffer *mine = cairn_buffer();
	const uint64_t arguments[TRIAL_ARGUMENTS] = {portal, 11, 12, 13, 14, count};
	bool good = true;

	for (unsigned i = 0; i < 4; i++)
		reply_words[i] = 21 + i;
	reply_words[4] = count;
	fill_buffer(mine, PATTERN);
	fill_buffer(handler.buffer, OTHER);
	if (raw_call(CAIRN_CALL_CALL, arguments) != CAIRN_OK)
		return false;
	/* What the handler got, it sends back. */
	for (unsigned i = 4; i < count; i++)
		good = good && handler.buffer->words[i] == mine->words[i];
	good = good && unchanged_but(handler.buffer, 4, count);
	fill_buffer(handler.buffer, PATTERN);
	return good && unchanged_but(mine, 0, 0);
}

static void calls(void)
{
	const uint64_t words[4] = {11, 12, 13, 14};
	uint64_t portal = make_looking();
	bool good = true;
	char name[64];

	for (uint64_t count = 0; count <= MESSAGE_WORDS; count++) {
		good = good && call_with(portal, count);
		snprintf(name, sizeof(name), "a-call-with-%lu-words", count);
		check_entered(name, words, count);
	}
	check_true("calls-change-nothing-else-in-the-buffers", good, "another word has changed");
	leak_report("replies-show-only-their-words");
}

/* ---- exits ---- */

static volatile unsigned wrong_exits;

static void look_at_exit(struct guest *g, enum vcpu_exit_class class)
{
	const uint8_t *page = (const uint8_t *)g->state;

	(void)class;
	/* Behind the struct the page is the VMM's alone. */
	for (size_t i = sizeof(struct vcpu_state); i < PAGE_SIZE_4K; i++)
		if (page[i] != PATTERN) {
			wrong_exits++;
			break;
		}
	if (any_kernel_address(g->state))
		wrong_exits++;
}

/* Groups that no Portal asks for stay as the VMM left them. */
static bool groups_untouched(const volatile struct vcpu_state *state)
{
	const uint8_t *page = (const uint8_t *)state;

	for (size_t i = offsetof(struct vcpu_state, cr0); i < sizeof(*state); i++)
		if (page[i] != PATTERN)
			return false;
	return true;
}

static void exits(void)
{
	struct guest guest = {.hook = look_at_exit, .priority = PRIORITY_HIGH, .no_groups = true};
	struct isolation *d;
	const uint64_t words[4] = {EXIT_HLT, 0, 0, 0};
	uint64_t want[GPR_COUNT] = {0};

	wrong_exits = 0;
	guest_make(&guest, isolation_code, 1, (unsigned)(isolation_new_guest - isolation_code));
	handler = guest.handler;
	handler_enter_at(&handler, leak_entry);
	leak_next = cairn_handler_trampoline;
	leak_entered.mask = components();
	d = guest_at(&guest, GUEST_CODE + PAGE_SIZE_4K);
	memset((uint8_t *)guest.state + sizeof(struct vcpu_state), PATTERN,
	       PAGE_SIZE_4K - sizeof(struct vcpu_state));
	fill_buffer(handler.buffer, PATTERN);
	forge_must(cairn_resume(guest.vcpu), "resuming a VCpu");
	check_true("a-new-guest-comes-to-its-end", domain_wait(&d->done, 0), "it does not");
	check_registers("a-new-guest-shows-only-its-registers", d, want);
	check_true("a-new-guest-has-a-clean-fpu", clean_fpu(d), "it is not clean");
	/* The badge is the guest's number and the class. */
	leak_entered.out.gpr[GPR_RDI] = leak_entered.out.gpr[GPR_RDI] == EXIT_HLT ? BADGE : 0;
	check_entered("an-exit", words, 1);
	check_true("an-exit-leaves-the-message-buffer", unchanged_but(handler.buffer, 0, 0),
		   "a word has changed");
	check_value("an-exit-shows-nothing-of-the-kernel-in-the-state-page", wrong_exits, 0);
	memset((uint8_t *)guest.state + offsetof(struct vcpu_state, cr0), PATTERN,
	       PAGE_SIZE_4K - offsetof(struct vcpu_state, cr0));
	forge_must(cairn_recall(guest.vcpu), "recalling");
	check_true("an-exit-copies-only-the-groups-asked-for",
		   domain_wait(&guest.exits[EXIT_RECALL], 0) && groups_untouched(guest.state),
		   "another field has changed");
}

void suite_leaks(void)
{
	in_arena(new_thread);
	in_arena(waits);
	in_arena(bounce);
	in_arena(own_fault);
	in_arena(fault_message);
	in_arena(calls);
	in_arena(exits);
}
