/* SPDX-License-Identifier: BSD-2-Clause */
/* What a domain's threads do: one random hypercall after the other; each looks for violations after
 * every thousand. */
#include <cairn/debug.h>
#include <cairn/status.h>
#include "fuzz.h"

/* How often each hypercall is chosen. */
static const uint8_t weights[CAIRN_CALL_COUNT] = {
	[CAIRN_CALL_IDENTIFY] = 2,	 [CAIRN_CALL_CALL] = 14,
	[CAIRN_CALL_REPLY] = 2,		 [CAIRN_CALL_SIGNAL] = 12,
	[CAIRN_CALL_WAIT] = 10,		 [CAIRN_CALL_RETYPE] = 30,
	[CAIRN_CALL_COPY] = 22,		 [CAIRN_CALL_MOVE] = 10,
	[CAIRN_CALL_DELETE] = 26,	 [CAIRN_CALL_REVOKE] = 6,
	[CAIRN_CALL_PAGETABLE_LINK] = 8, [CAIRN_CALL_MAP] = 16,
	[CAIRN_CALL_UNMAP] = 8,		 [CAIRN_CALL_THREAD_CONFIGURE] = 8,
	[CAIRN_CALL_VCPU_CONFIGURE] = 6, [CAIRN_CALL_RESUME] = 8,
	[CAIRN_CALL_SUSPEND] = 4,	 [CAIRN_CALL_PORTAL_CREATE] = 12,
	[CAIRN_CALL_RECALL] = 4,	 [CAIRN_CALL_IRQ_BIND] = 2,
	[CAIRN_CALL_IRQ_ACK] = 2,	 [CAIRN_CALL_PORT_IN] = 2,
	[CAIRN_CALL_PORT_OUT] = 2,	 [CAIRN_CALL_SET_FS] = 3,
	[CAIRN_CALL_MC_BIND] = 2,	 [CAIRN_CALL_MC_HARVEST] = 2,
	[CAIRN_CALL_MC_POISON] = 3,	 [CAIRN_CALL_MC_THAW] = 2,
	[CAIRN_CALL_DEBUG_WRITE] = 1,	 [CAIRN_CALL_DEBUG_CHECK] = 1,
};
#define WEIGHTS 231u

static uint64_t choose_number(struct thread_state *t)
{
	uint32_t n = below(t, WEIGHTS), number = 0;

	while (n >= weights[number])
		n -= weights[number++];
	return number;
}

static inline uint64_t system_call(uint64_t rax, uint64_t a[6])
{
	register uint64_t r10 __asm__("r10") = a[3];
	register uint64_t r8 __asm__("r8") = a[4];
	register uint64_t r9 __asm__("r9") = a[5];

	__asm__ volatile("syscall"
			 : "+a"(rax), "+D"(a[0]), "+S"(a[1]), "+d"(a[2]), "+r"(r10), "+r"(r8),
			   "+r"(r9)
			 :
			 : "rcx", "r11", "cc", "memory");
	a[3] = r10;
	a[4] = r8;
	a[5] = r9;
	return rax;
}

/* The first thousand calls that nobody looked at; the driver sees what was found. */
static void look(struct thread_state *t, uint64_t number)
{
	struct domain_state *d = domain_state();
	uint64_t a[6] = {DEBUG_INVARIANTS};

	t->unchecked = 0;
	if (system_call(CAIRN_CALL_BASE + CAIRN_CALL_DEBUG_CHECK, a) != CAIRN_OK)
		return; /* a release build */
	__atomic_add_fetch(&d->checks, 1, __ATOMIC_RELAXED);
	if (a[0] == DEBUG_SOUND || d->fault != DEBUG_SOUND)
		return;
	d->place = a[1];
	d->line = a[2];
	d->number = number;
	__atomic_store_n(&d->fault, a[0], __ATOMIC_RELEASE);
}

uint64_t hypercall(struct thread_state *t, uint64_t number, uint64_t a[6])
{
	uint64_t status;

	t->made[number]++;
	t->calls++;
	status = system_call(CAIRN_CALL_BASE + number, a);
	t->accepted[number] += status == CAIRN_OK;
	if (++t->unchecked >= CHECK_EACH)
		look(t, number);
	return status;
}

static uint64_t choose_deadline(struct thread_state *t, bool handling)
{
	uint32_t low, high;

	if (handling || one_in(t, 2))
		return 1; /* do not block */
	if (one_in(t, 16))
		return 0; /* the driver signals, at last */
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return ((uint64_t)high << 32 | low) + below(t, 100000);
}

/* Numbers of no hypercall, and those that bounce to the thread's own entry (which those of the
 * driver's threads have). */
static void foreign_call(struct thread_state *t, unsigned place)
{
	uint64_t a[6] = {random_word(t), random_word(t)};

	if (place < 2 && one_in(t, 2))
		system_call(below(t, 1000), a);
	else
		system_call(CAIRN_CALL_BASE + CAIRN_CALL_COUNT + below(t, 4000), a);
}

/* What the domain was given at the start goes rarely: without its table or its memory it can do
 * little. */
static bool cripples(uint64_t number, const uint64_t a[6])
{
	if (number == CAIRN_CALL_MOVE)
		return a[0] < SLOT_FREE;
	if (number == CAIRN_CALL_REVOKE && a[1] == domain_state()->revoke)
		return false;
	if ((number != CAIRN_CALL_DELETE && number != CAIRN_CALL_REVOKE) || a[0] >= SLOTS ||
	    a[1] >= SLOT_EXIT)
		return false;
	/* Its table goes by several selectors. */
	return domain_state()->hint[a[0]].type == CAP_CAPTABLE &&
	       domain_state()->hint[a[0]].detail == 1;
}

static void one_call(struct domain_state *d, unsigned place, bool handling)
{
	struct thread_state *t = &d->thread[place];
	uint64_t number = choose_number(t), status, a[6], out[6];

	if (d->cpu_starts && one_in(t, 64)) {
		d->cpu_starts--;
		number = CAIRN_CALL_CPU_START;
	}
	if (d->serials && one_in(t, 64)) {
		d->serials--;
		number = CAIRN_CALL_SERIAL;
	}
	choose(place, number, a);
	if (number == CAIRN_CALL_WAIT)
		a[0] = choose_deadline(t, handling);
	else if (number == CAIRN_CALL_REPLY)
		a[0] = random_word(t) | 1; /* refused: the right one is the handler's last */
	else if (number == CAIRN_CALL_MC_POISON && !a[1])
		return; /* it was given nothing to poison */
	else if (number != CAIRN_CALL_MC_POISON && number != CAIRN_CALL_DEBUG_WRITE &&
		 number != CAIRN_CALL_CPU_START && number != CAIRN_CALL_SERIAL && one_in(t, 8))
		mutate(t, a);
	if (cripples(number, a) && !one_in(t, 256))
		return;
	for (unsigned i = 0; i < 6; i++)
		out[i] = a[i];
	status = hypercall(t, number, out);
	learn(number, a, status, out);
}

void generate_some(unsigned place, unsigned calls, bool handling)
{
	struct domain_state *d = domain_state();
	struct thread_state *t = &d->thread[place];

	for (unsigned i = 0; i < calls; i++) {
		one_call(d, place, handling);
		/* An emulator that runs one CPU after the other goes on to the next here; beside
		 * CPUs that are not for domains, each has its full turn. */
		if (!d->first_cpu && one_in(t, 4))
			__asm__ volatile("pause");
		if (one_in(t, 1024))
			foreign_call(t, place);
		if (one_in(t, 4096))
			domain_undefined();
	}
}

_Noreturn void generate(unsigned place)
{
	for (;;)
		generate_some(place, 1000, false);
}
