/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one CPU does to threads, VCpus and memory that another CPU is using at that moment. Where
 * something is to stop, it has stopped when the hypercall returns: a counter in memory never moves
 * again.
 */
#include <stdio.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include "check.h"
#include "domain.h"
#include "guest.h"
#include "registers.h"
#include "trial.h"
#include "worker.h"

#define ROUNDS	     50u
#define FEW_ROUNDS   12u
#define STILL_US     2000u /* a counter that moves does so much sooner */
#define PORTAL_PLACE 3u
#define DOMAIN_BITS  18u

static uint64_t other; /* index of the CPU that the others of a test are on */

/* Spins: this CPU is busy, too. */
static void spin_us(uint64_t us)
{
	uint64_t end = cairn_tsc() + cairn_ticks_from_us(us);

	while (cairn_tsc() < end)
		;
}

static bool moves(const volatile uint64_t *counter)
{
	return domain_wait(counter, *counter);
}

static bool stands_still(const volatile uint64_t *counter)
{
	uint64_t before = *counter;

	spin_us(STILL_US);
	return *counter == before;
}

static struct forge_thread there(uint64_t priority)
{
	return (struct forge_thread){.cpu = other, .priority = priority};
}

static void make_there(struct domain *domain, const uint8_t *entry)
{
	const struct forge_thread config = there(PRIORITY_LOW);

	domain_make_all(domain, entry, &config);
}

static void start(uint64_t target)
{
	forge_must(cairn_resume(target), "starting something on another CPU");
}

static void worker_there(struct worker *w, void (*entry)(uint64_t), uint64_t arg)
{
	const struct forge_thread config = there(PRIORITY_LOW);

	worker_make(w, entry, arg, PRIORITY_LOW, &config);
}

/* ---- both at once ---- */

static void in_parallel(void)
{
	struct domain domain;
	uint64_t before;

	make_there(&domain, isolation_count);
	start(domain.thread);
	check_true("a-thread-runs-on-another-cpu", moves(&domain.data->turns), "it does not");
	before = domain.data->turns;
	for (unsigned i = 0; i < 1000 && domain.data->turns == before; i++)
		spin_us(1000);
	check_true("while-this-one-is-busy", domain.data->turns != before,
		   "it stands still meanwhile");
}

/* ---- signals ---- */

static volatile uint64_t seen_bits, rounds_seen, waiting;

static void ping(uint64_t arg)
{
	(void)arg;
	for (;;) {
		uint64_t bits = 0;

		waiting = 1;
		forge_ignore(cairn_wait(0, &bits));
		seen_bits = bits;
		rounds_seen++;
		worker_tell();
	}
}

static void signals(void)
{
	struct worker w;
	uint64_t badged;
	unsigned good = 0;

	rounds_seen = waiting = 0;
	worker_there(&w, ping, 0);
	badged = forge_copy(w.thread, RIGHT_SIGNAL, 0x700);
	forge_must(cairn_signal(badged), "signalling");
	forge_must(cairn_signal(w.signal), "signalling");
	start(w.thread);
	(void)main_wait();
	check_value("signals-wait-for-a-thread-of-another-cpu", seen_bits, 0x701);
	for (unsigned i = 0; i < ROUNDS && good == i; i++) {
		forge_must(cairn_signal(i % 2 ? badged : w.signal), "signalling");
		good += main_wait() && seen_bits == (i % 2 ? 0x700 : 1);
	}
	check_value("signals-go-to-and-fro-between-cpus", good, ROUNDS);
	check_value("each-wakes-once", rounds_seen, ROUNDS + 1);
}

static volatile uint64_t late_by;

static void wait_a_while(uint64_t ticks)
{
	uint64_t end = cairn_tsc() + ticks;

	forge_ignore(cairn_wait(end, NULL));
	late_by = cairn_tsc() - end;
}

static void deadlines(void)
{
	struct worker w;

	late_by = ~0ul;
	worker_there(&w, wait_a_while, cairn_ticks_from_us(3000));
	start(w.thread);
	(void)main_wait();
	check_true("deadlines-pass-on-another-cpu", late_by < cairn_ticks_from_us(10000000),
		   "it woke before its deadline, or never");
}

/* ---- calls ---- */

static uint64_t call_portal;
static volatile uint64_t call_status[3], entries;

static cairn_status_t call0(uint64_t portal)
{
	return cairn_call(portal, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL);
}

static void caller(uint64_t number)
{
	call_status[number] = call0(call_portal);
}

static void answer(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
		   uint64_t count)
{
	(void)badge, (void)w1, (void)w2, (void)w3, (void)w4, (void)count;
	entries++;
	forge_ignore(cairn_reply(0, 0, 0, 0, 0, 0));
}

/* Answers when it is signalled. */
static void answer_later(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			 uint64_t count)
{
	(void)badge, (void)w1, (void)w2, (void)w3, (void)w4, (void)count;
	entries++;
	worker_sleep();
	forge_ignore(cairn_reply(0, 0, 0, 0, 0, 0));
}

static void calls(void)
{
	struct worker handler, w;

	entries = 0;
	handler_make_on(&handler, answer, other);
	call_portal = forge_portal(handler.thread, 0);
	check_status("a-call-to-another-cpu-is-refused", call0(call_portal), CAIRN_ERR_CPU);
	check_value("and-does-not-enter", entries, 0);
	worker_there(&w, caller, 0);
	start(w.thread);
	(void)main_wait();
	check_value("on-that-cpu-it-works", call_status[0], CAIRN_OK);
	check_value("and-enters", entries, 1);
	handler_make(&handler, answer);
	call_portal = forge_portal(handler.thread, 0);
	worker_there(&w, caller, 1);
	start(w.thread);
	(void)main_wait();
	check_value("nor-is-this-cpu-called-from-there", call_status[1], CAIRN_ERR_CPU);
}

static void undefined(uint64_t arg)
{
	(void)arg;
	__asm__ volatile("ud2");
}

static bool stopped(uint64_t target)
{
	for (unsigned i = 0; i < 1000; i++) {
		if (cairn_suspend(target) == CAIRN_ERR_STATE)
			return true;
		forge_ignore(cairn_resume(target));
		pause_us(1000);
	}
	return false;
}

static void faults(void)
{
	struct forge_thread config = there(PRIORITY_LOW);
	struct worker w;

	config.supervisor = supervisor_make(); /* on this CPU */
	worker_make(&w, undefined, 0, PRIORITY_LOW, &config);
	start(w.thread);
	check_true("a-fault-that-no-supervisor-on-its-cpu-takes-stops-the-thread",
		   stopped(w.thread), "it runs on");
	check_value("and-enters-nobody", fault_seen.count, 0);
}

/* ---- suspend, resume, configure, destroy ---- */

static void destroy(uint64_t target)
{
	forge_must(revoke_all(target), "revoking something in use");
	forge_must(delete_all(target), "deleting something in use");
}

static void in_user_mode(void)
{
	struct thread_config *config = (struct thread_config *)cairn_buffer()->words;
	struct domain domain;
	const volatile uint64_t *turns;
	unsigned good = 0;

	make_there(&domain, isolation_count);
	turns = &domain.data->turns;
	for (unsigned i = 0; i < ROUNDS && good == i; i++) {
		start(domain.thread);
		good += moves(turns) && cairn_suspend(domain.thread) == CAIRN_OK &&
			stands_still(turns);
	}
	check_value("a-thread-is-suspended-when-suspend-returns", good, ROUNDS);
	start(domain.thread);
	memset(config, 0, sizeof(*config));
	config->rip = domain_address(isolation_count);
	config->rsp = DOMAIN_DATA;
	check_status("while-it-runs-its-registers-stay",
		     cairn_thread_configure(domain.thread, THREAD_REGS), CAIRN_ERR_STATE);
	check_true("and-it-runs-on", moves(turns), "it does not");
	forge_must(cairn_suspend(domain.thread), "suspending");
	check_status("suspended-it-takes-new-ones",
		     cairn_thread_configure(domain.thread, THREAD_REGS), CAIRN_OK);
	start(domain.thread);
	check_true("and-goes-on-from-there", moves(turns), "it does not");
	destroy(domain.thread);
	check_true("destroyed-it-stands-still-at-once", stands_still(turns), "it runs on");
	check_status("and-is-gone", cairn_resume(domain.thread), CAIRN_ERR_CAP);
}

static void in_wait(void)
{
	struct worker w;

	rounds_seen = waiting = 0;
	worker_there(&w, ping, 0);
	start(w.thread);
	(void)domain_wait(&waiting, 0);
	forge_must(cairn_suspend(w.thread), "suspending");
	forge_must(cairn_signal(w.signal), "signalling");
	spin_us(STILL_US);
	check_value("a-thread-suspended-in-wait-does-not-wake", rounds_seen, 0);
	start(w.thread);
	(void)main_wait();
	check_value("resumed-it-does", rounds_seen, 1);
	destroy(w.thread);
	check_status("it-can-be-destroyed-there", cairn_resume(w.thread), CAIRN_ERR_CAP);
	spin_us(STILL_US);
	check_value("and-never-wakes-again", rounds_seen, 1);
}

static struct worker handler, callers[3];

/* A handler there that answers late, and callers: the first is being handled, the others wait. */
static void make_callers(unsigned count)
{
	entries = 0;
	handler_make_on(&handler, answer_later, other);
	call_portal = forge_portal(handler.thread, 0);
	for (unsigned i = 0; i < count; i++) {
		call_status[i] = ~0ul;
		worker_there(&callers[i], caller, i);
		start(callers[i].thread);
		if (i == 0)
			(void)domain_wait(&entries, 0);
	}
	pause_us(
		STILL_US); /* the others have come to their calls by now; if not, they come later */
}

static void suspended_callers(void)
{
	make_callers(2);
	forge_must(cairn_suspend(callers[0].thread), "suspending a caller");
	forge_must(cairn_suspend(callers[1].thread), "suspending a waiting caller");
	worker_poke(&handler);
	(void)domain_wait(&entries, 1);
	worker_poke(&handler);
	spin_us(STILL_US);
	check_true("suspended-callers-do-not-go-on",
		   call_status[0] == ~0ul && call_status[1] == ~0ul, "one does");
	start(callers[0].thread);
	start(callers[1].thread);
	(void)main_wait();
	(void)main_wait();
	check_true("resumed-they-have-their-answers",
		   call_status[0] == CAIRN_OK && call_status[1] == CAIRN_OK, "one has not");
}

static void destroyed_callers(void)
{
	make_callers(3);
	destroy(callers[1].thread);
	destroy(callers[0].thread);
	worker_poke(&handler); /* it finishes for nobody */
	check_true("the-next-caller-enters-when-those-before-are-destroyed",
		   domain_wait(&entries, 1), "it does not");
	worker_poke(&handler);
	(void)main_wait();
	check_value("and-has-its-answer", call_status[2], CAIRN_OK);
	check_true("the-others-have-none", call_status[0] == ~0ul && call_status[1] == ~0ul,
		   "one has");
}

static void destroyed_handler(void)
{
	make_callers(3);
	destroy(handler.thread);
	for (unsigned i = 0; i < 3; i++)
		(void)main_wait();
	check_value("a-call-is-aborted-when-its-handler-is-destroyed", call_status[0],
		    CAIRN_ERR_ABORTED);
	/* Who came late finds no Portal any more. */
	check_true("and-so-are-those-that-wait-for-it",
		   (call_status[1] == CAIRN_ERR_ABORTED || call_status[1] == CAIRN_ERR_CAP) &&
			   (call_status[2] == CAIRN_ERR_ABORTED || call_status[2] == CAIRN_ERR_CAP),
		   "another status");
}

/* ---- memory ---- */

/* A thread there that counts in a page at `frame`, in a space made from `part`. */
struct counter {
	uint64_t thread, copy; /* selectors: also of the mapping it counts through */
	struct forge_space space;
	volatile uint64_t *count;
};

static void count_there(struct counter *c, uint64_t frame, uint64_t part)
{
	struct forge_thread config = there(PRIORITY_LOW);
	uint64_t code = forge_frame(), before = forge_use(part);

	memcpy(forge_window(code), isolation_code, PAGE_SIZE_4K);
	forge_space_make(&c->space, 0x7f);
	forge_use(before);
	forge_space_map(&c->space, code, 0, RIGHT_READ | RIGHT_EXEC);
	c->copy = forge_space_map(&c->space, frame, 1, RIGHT_READ | RIGHT_WRITE);
	c->count = (volatile uint64_t *)forge_window(frame) + ISOLATION_TURNS / 8;
	config.space = c->space.root;
	config.rip = domain_address(isolation_count);
	config.rsp = DOMAIN_DATA;
	c->thread = forge_thread(&config, NULL);
	start(c->thread);
}

static void space_goes(void)
{
	uint64_t part = forge_untyped(DOMAIN_BITS);
	unsigned good = 0;

	for (unsigned i = 0; i < FEW_ROUNDS && good == i; i++) {
		struct counter c;

		count_there(&c, forge_frame(), part);
		good += moves(c.count) && revoke_all(part) == CAIRN_OK && stands_still(c.count) &&
			cairn_resume(c.thread) == CAIRN_ERR_STATE;
	}
	check_value("the-space-another-cpu-stands-in-can-be-revoked", good, FEW_ROUNDS);
}

/* The victim writes to a page in a loop; whatever takes the page away, its next access faults. */
static bool no_access_after(cairn_status_t (*take)(const struct domain *))
{
	struct domain domain;

	make_there(&domain, isolation_count);
	start(domain.thread);
	if (!moves(&domain.data->turns) || take(&domain) != CAIRN_OK)
		return false;
	return stands_still(&domain.data->turns) && stopped(domain.thread);
}

static cairn_status_t take_by_revoke(const struct domain *domain)
{
	return revoke_all(domain->frame);
}

static void mapped_pages_go(void)
{
	unsigned good = 0;

	for (unsigned i = 0; i < FEW_ROUNDS && good == i; i++)
		good += no_access_after(take_by_revoke);
	check_value("a-revoked-page-is-gone-on-another-cpu-at-once", good, FEW_ROUNDS);
}

/* Its PageTable goes, and with it all that is mapped through it. */
static void pagetable_goes(void)
{
	struct counter c;

	count_there(&c, forge_frame(), forge_used());
	check_true("a-thread-writes-through-a-pagetable", moves(c.count), "it does not");
	check_status("which-can-be-deleted", delete_all(c.space.level1), CAIRN_OK);
	check_true("after-that-it-writes-no-more", stands_still(c.count), "it does");
	check_true("it-has-faulted", stopped(c.thread), "it runs on");
}

/* A page that is unmapped and mapped again somewhere else is never written through the old address.
 */
static void unmapped_pages(void)
{
	unsigned good = 0;

	for (unsigned i = 0; i < FEW_ROUNDS && good == i; i++) {
		struct counter c;

		count_there(&c, forge_frame(), forge_used());
		good += moves(c.count) && cairn_unmap(c.copy) == CAIRN_OK &&
			cairn_map(c.copy, c.space.level1, 2, RIGHT_READ, 0) == CAIRN_OK &&
			stands_still(c.count) && stopped(c.thread);
	}
	check_value("an-unmapped-page-is-gone-on-another-cpu-at-once", good, FEW_ROUNDS);
}

/* Nobody can read a poisoned page, so the thread's end must do. */
static void page_is_poisoned(void)
{
	uint64_t physical, frame = poison_frame(&physical);
	struct counter c;

	count_there(&c, frame, forge_used());
	check_true("a-thread-writes-to-a-page-that-goes-bad", moves(c.count), "it does not");
	check_status("the-page-can-be-poisoned", poison_page(physical), CAIRN_OK);
	check_true("the-thread-on-another-cpu-faults", stopped(c.thread), "it runs on");
	poison_release();
}

/* ---- a whole server ---- */

static void whole_servers_go(void)
{
	uint64_t part = forge_untyped(DOMAIN_BITS), echo;
	struct worker echo_handler;
	unsigned good = 0;

	handler_make_on(&echo_handler, answer, other);
	echo = forge_portal(echo_handler.thread, 0);
	for (unsigned i = 0; i < FEW_ROUNDS && good == i; i++) {
		struct forge_mark mark = forge_mark();
		uint64_t before = forge_use(part);
		bool works;
		struct domain domain;

		make_there(&domain, isolation_calls);
		forge_use(before);
		forge_must(cairn_copy(echo, domain.captable, PORTAL_PLACE, RIGHT_SIGNAL, 0),
			   "giving it a Portal");
		domain.data->in.gpr[GPR_RAX] = CAIRN_CALL_BASE + CAIRN_CALL_CALL;
		domain.data->in.gpr[GPR_RDI] = PORTAL_PLACE;
		start(domain.thread);
		works = moves(&domain.data->status[CAIRN_OK]);
		spin_us(i * 7); /* at different places of what it does */
		good += works && revoke_all(part) == CAIRN_OK;
		forge_release(mark);
	}
	check_value("a-server-at-work-on-another-cpu-can-be-revoked", good, FEW_ROUNDS);
}

/* ---- capabilities in use ---- */

/* Starts a domain there that makes this call again and again. */
static void start_calls(struct domain *domain, uint64_t number, uint64_t first)
{
	make_there(domain, isolation_calls);
	domain->data->in.gpr[GPR_RAX] = CAIRN_CALL_BASE + number;
	domain->data->in.gpr[GPR_RDI] = first;
	start(domain->thread);
}

/* Whether it was answered with one of these statuses only, and often with each of the first two. */
static bool answered(const struct domain *domain, uint64_t first, uint64_t second, uint64_t third)
{
	for (uint64_t status = 0; status < 16; status++)
		if (domain->data->status[status] != 0 && status != first && status != second &&
		    status != third)
			return false;
	return domain->data->status[first] != 0 && domain->data->status[second] != 0;
}

static void portal_comes_and_goes(void)
{
	struct worker echo;
	struct domain domain;
	uint64_t portal;
	bool good = true;

	handler_make_on(&echo, answer, other);
	portal = forge_portal(echo.thread, 0);
	start_calls(&domain, CAIRN_CALL_CALL, PORTAL_PLACE);
	for (unsigned i = 0; i < ROUNDS && good; i++) {
		good = cairn_copy(portal, domain.captable, PORTAL_PLACE, RIGHT_SIGNAL, 0) ==
			       CAIRN_OK &&
		       moves(&domain.data->status[CAIRN_OK]) &&
		       cairn_delete(domain.captable, PORTAL_PLACE) == CAIRN_OK &&
		       moves(&domain.data->status[CAIRN_ERR_CAP]);
	}
	check_true("a-portal-comes-and-goes-while-it-is-called", good, "a step failed");
	check_true("calls-answer-as-documented-meanwhile",
		   answered(&domain, CAIRN_OK, CAIRN_ERR_CAP, CAIRN_OK), "another status");
}

static void handler_comes_and_goes(void)
{
	struct domain domain;
	bool good = true;

	start_calls(&domain, CAIRN_CALL_CALL, PORTAL_PLACE);
	for (unsigned i = 0; i < FEW_ROUNDS && good; i++) {
		struct worker echo;

		handler_make_on(&echo, answer, other);
		good = cairn_portal_create(echo.thread, domain.captable, PORTAL_PLACE, 0, 0) ==
			       CAIRN_OK &&
		       moves(&domain.data->status[CAIRN_OK]) &&
		       revoke_all(echo.thread) == CAIRN_OK && delete_all(echo.thread) == CAIRN_OK &&
		       moves(&domain.data->status[CAIRN_ERR_CAP]);
	}
	check_true("a-handler-comes-and-goes-while-it-is-called", good, "a step failed");
	check_true("its-callers-hear-of-it",
		   answered(&domain, CAIRN_OK, CAIRN_ERR_CAP, CAIRN_ERR_ABORTED), "another status");
}

static void thread_comes_and_goes(void)
{
	struct domain domain;
	struct worker w;
	bool good = true;

	rounds_seen = 0;
	worker_there(&w, ping, 0);
	start(w.thread);
	start_calls(&domain, CAIRN_CALL_SIGNAL, PORTAL_PLACE);
	for (unsigned i = 0; i < ROUNDS && good; i++) {
		good = cairn_copy(w.thread, domain.captable, PORTAL_PLACE, RIGHT_SIGNAL, 1) ==
			       CAIRN_OK &&
		       moves(&domain.data->status[CAIRN_OK]) &&
		       cairn_delete(domain.captable, PORTAL_PLACE) == CAIRN_OK &&
		       moves(&domain.data->status[CAIRN_ERR_CAP]);
	}
	check_true("a-thread-comes-and-goes-while-it-is-signalled", good, "a step failed");
	check_true("signals-answer-as-documented-meanwhile",
		   answered(&domain, CAIRN_OK, CAIRN_ERR_CAP, CAIRN_OK), "another status");
	forge_must(cairn_suspend(domain.thread), "suspending");
	destroy(w.thread);
	while (main_told())
		;
}

static void table_goes(void)
{
	struct worker echo;
	unsigned good = 0;

	handler_make_on(&echo, answer, other);
	for (unsigned i = 0; i < FEW_ROUNDS && good == i; i++) {
		struct domain domain;

		start_calls(&domain, CAIRN_CALL_CALL, PORTAL_PLACE);
		good += cairn_portal_create(echo.thread, domain.captable, PORTAL_PLACE, 0, 0) ==
				CAIRN_OK &&
			moves(&domain.data->status[CAIRN_OK]) &&
			delete_all(domain.captable) == CAIRN_OK &&
			moves(&domain.data->status[CAIRN_ERR_CAP]) &&
			answered(&domain, CAIRN_OK, CAIRN_ERR_CAP, CAIRN_OK);
		destroy(domain.thread);
	}
	check_value("a-captable-goes-while-it-is-used", good, FEW_ROUNDS);
}

/* ---- guests ---- */

static struct guest guest;
static struct isolation *guest_data;

static void make_guest_there(const uint8_t *entry)
{
	guest = (struct guest){.priority = PRIORITY_LOW, .cpu = other};
	guest_make(&guest, isolation_code, 1, (unsigned)(entry - isolation_code));
	guest_data = guest_at(&guest, GUEST_CODE + PAGE_SIZE_4K);
	start(guest.vcpu);
}

static void guest_is_recalled(void)
{
	const volatile uint64_t *recalls = &guest.exits[EXIT_RECALL];
	unsigned good = 0;

	make_guest_there(isolation_count);
	check_true("a-guest-runs-on-another-cpu", moves(&guest_data->turns), "it does not");
	for (unsigned i = 0; i < ROUNDS && good == i; i++) {
		uint64_t before = *recalls;

		good += cairn_recall(guest.vcpu) == CAIRN_OK && domain_wait(recalls, before) &&
			*recalls == before + 1 && moves(&guest_data->turns);
	}
	check_value("it-is-recalled-from-here", good, ROUNDS);
	good = 0;
	for (unsigned i = 0; i < FEW_ROUNDS && good == i; i++) {
		good += cairn_suspend(guest.vcpu) == CAIRN_OK && stands_still(&guest_data->turns) &&
			cairn_resume(guest.vcpu) == CAIRN_OK && moves(&guest_data->turns);
	}
	check_value("and-suspended-and-resumed", good, FEW_ROUNDS);
	destroy(guest.vcpu);
	check_true("and-destroyed", stands_still(&guest_data->turns), "it runs on");
}

static void guest_loses_a_page(void)
{
	make_guest_there(isolation_count);
	check_true("a-guest-writes-to-its-page", moves(&guest_data->turns), "it does not");
	check_status("the-page-can-be-revoked", revoke_all(guest.data), CAIRN_OK);
	check_true("it-is-gone-for-the-guest-at-once", stands_still(&guest_data->turns),
		   "the guest still writes to it");
	check_true("its-next-access-exits", domain_wait(&guest.exits[EXIT_NESTED], 0),
		   "no exit came");
}

static void guest_loses_its_space(void)
{
	make_guest_there(isolation_exits);
	check_true("a-guest-exits-on-another-cpu", moves(&guest_data->turns), "it does not");
	forge_must(revoke_all(guest.root), "revoking a guest's root");
	check_status("its-space-can-be-deleted", delete_all(guest.root), CAIRN_OK);
	check_true("it-is-out-at-once", stands_still(&guest_data->turns), "it runs on");
	check_status("for-good", cairn_resume(guest.vcpu), CAIRN_ERR_STATE);
}

static void exits_lose_their_portal(void)
{
	make_guest_there(isolation_exits);
	check_true("a-guest-exits-through-its-portals", moves(&guest_data->turns), "it does not");
	forge_must(revoke_all(guest.handler.thread), "revoking a VMM's Portals");
	check_true("without-them-it-stops", stopped(guest.vcpu), "it runs on");
}

/* ---- interrupts ---- */

#define RTC_LINE  8u
#define RTC_INDEX 0x70u
#define RTC_DATA  0x71u

static void rtc(uint8_t index, uint8_t value)
{
	forge_must(cairn_port_out(SEL_PORTS, RTC_INDEX, 1, index), "selecting an RTC register");
	forge_must(cairn_port_out(SEL_PORTS, RTC_DATA, 1, value), "writing an RTC register");
}

static void rtc_acknowledge(void)
{
	forge_must(cairn_port_out(SEL_PORTS, RTC_INDEX, 1, 0x0c), "selecting an RTC register");
	forge_must(cairn_port_in(SEL_PORTS, RTC_DATA, 1, NULL), "reading an RTC register");
}

static void interrupts(void)
{
	uint64_t line = forge_copy(SEL_IRQS, RIGHT_ALL, RTC_LINE | RTC_LINE << 16);
	struct worker w;
	unsigned good = 0;

	rounds_seen = waiting = 0;
	worker_there(&w, ping, 0);
	start(w.thread);
	rtc(0x0a, 0x26);
	rtc(0x0b, 0x42); /* periodic interrupts */
	check_status("a-line-is-bound-to-a-thread-of-another-cpu", cairn_irq_bind(line, w.signal),
		     CAIRN_OK);
	for (unsigned i = 0; i < FEW_ROUNDS && good == i; i++) {
		rtc_acknowledge();
		good += main_wait();
		forge_must(cairn_irq_ack(line), "acknowledging an interrupt");
	}
	check_value("its-interrupts-arrive-there", good, FEW_ROUNDS);
	rtc(0x0b, 0x02);
	rtc_acknowledge();
	destroy(w.thread);
	while (main_told())
		;
}

/* ---- machine checks ---- */

static void machine_checks(void)
{
	struct worker w;
	cairn_status_t status = CAIRN_OK;
	uint64_t count = 0, epoch = 0, sum = 0;

	worker_there(&w, ping, 0);
	check_status("a-thread-of-another-cpu-may-be-told-of-errors",
		     cairn_mc_bind(SEL_ERRORS, w.signal), CAIRN_OK);
	for (uint64_t cpu = 0; cpu <= other && status == CAIRN_OK; cpu++) {
		status = cairn_mc_harvest(SEL_ERRORS, cpu, 0, &count, &epoch);
		sum += count + epoch;
	}
	check_status("each-cpus-records-can-be-harvested", status, CAIRN_OK);
	check_value("there-are-none", sum, 0);
}

static void registers(void)
{
	isolation_on(other);
}

static const struct {
	const char *name;
	void (*test)(void);
} tests[] = {
	{"in-parallel", in_parallel},
	{"signals", signals},
	{"deadlines", deadlines},
	{"calls", calls},
	{"faults", faults},
	{"in-user-mode", in_user_mode},
	{"in-wait", in_wait},
	{"suspended-callers", suspended_callers},
	{"destroyed-callers", destroyed_callers},
	{"destroyed-handler", destroyed_handler},
	{"space-goes", space_goes},
	{"mapped-pages-go", mapped_pages_go},
	{"pagetable-goes", pagetable_goes},
	{"unmapped-pages", unmapped_pages},
	{"page-is-poisoned", page_is_poisoned},
	{"whole-servers-go", whole_servers_go},
	{"portal-comes-and-goes", portal_comes_and_goes},
	{"handler-comes-and-goes", handler_comes_and_goes},
	{"thread-comes-and-goes", thread_comes_and_goes},
	{"table-goes", table_goes},
	{"guest-is-recalled", guest_is_recalled},
	{"guest-loses-a-page", guest_loses_a_page},
	{"guest-loses-its-space", guest_loses_its_space},
	{"exits-lose-their-portal", exits_lose_their_portal},
	{"interrupts", interrupts},
	{"machine-checks", machine_checks},
	{"registers", registers},
};

/* On the last CPU; with 4 of them it is not the one beside this. */
void suite_cpus(void)
{
	other = cpu_count() - 1;
	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (other == 0)
			printf("skip cpus-%s: this machine runs one CPU only\n", tests[i].name);
		else
			in_arena(tests[i].test);
	}
}
