/* SPDX-License-Identifier: BSD-2-Clause */
/* The lock, and requests from CPU to CPU. Every wait is bounded: after an NMI that does not help, the machine stops. */
#include <core/caps.h>
#include <core/smp.h>
#include <hal/hal.h>

#define PATIENCE_US 10000000u

struct cpu *cpus[CPU_MAX];
uint32_t cpu_count;
static uint32_t lock_next, lock_serving;

static status_t perform(enum request what, struct ec *e, uint64_t arg)
{
	switch (what) {
	case REQ_FLUSH:
		hal_flush((uint8_t)arg);
		break;
	case REQ_LEAVE:
		hal_space_leave(arg);
		break;
	case REQ_USERS_STOP:
		users_stop_here((uint32_t)arg);
		break;
	case REQ_TABLE_GONE:
		table_gone_here((uint32_t)arg);
		break;
	case REQ_CONFIGURE:
		return configure_here(e, arg);
	case REQ_RESUME:
		return ec_resume(e);
	case REQ_SUSPEND:
		return ec_suspend(e);
	case REQ_RECALL:
		return vcpu_recall(e);
	case REQ_NOTIFY:
		notify(e, arg);
		break;
	case REQ_DESTROY:
		destroy_here(e);
		break;
	case REQ_THAW:
		mca_thaw(e, arg);
		break;
	case REQ_MC_HARVEST:
		mca_harvest_here(arg);
		break;
	case REQ_MC_BIND:
		mca_bind_here();
		break;
	case REQ_BARRIER:
		break;
	}
	return CAIRN_OK;
}

void mail_serve(struct cpu *cpu)
{
	if (!__atomic_load_n(&cpu->mail.waiting, __ATOMIC_ACQUIRE))
		return;
	cpu->mail.answer = perform(cpu->mail.what, cpu->mail.e, cpu->mail.arg);
	__atomic_store_n(&cpu->mail.waiting, 0, __ATOMIC_RELEASE);
}

/* One turn of a wait that began at `start`; `silent` is who does not answer. */
static void wait_turn(uint64_t *start, uint64_t *pushed, struct cpu *silent)
{
	hal_relax();
	if (hal_now() - *start < hal_ticks(PATIENCE_US))
		return;
	if ((*pushed)++)
		hal_panic("a CPU does not answer");
	hal_nmi(silent);
	*start = hal_now();
}

void lock_take(void)
{
	uint32_t ticket = __atomic_fetch_add(&lock_next, 1, __ATOMIC_RELAXED), seen = ticket, serving;
	uint64_t start = 0, pushed = 0;

	/* bound: CPU_MAX holders, each for bounded times; PATIENCE_US twice where one has died */
	for (; (serving = __atomic_load_n(&lock_serving, __ATOMIC_ACQUIRE)) != ticket; seen = serving) {
		start = serving == seen ? start : hal_now();
		mail_serve(hal_cpu());
		wait_turn(&start, &pushed, hal_cpu());
	}
}

void lock_drop(void)
{
	__atomic_store_n(&lock_serving, lock_serving + 1, __ATOMIC_RELEASE);
}

static void post(struct cpu *to, enum request what, struct ec *e, uint64_t arg)
{
	to->mail.what = what;
	to->mail.e = e;
	to->mail.arg = arg;
	__atomic_store_n(&to->mail.waiting, 1, __ATOMIC_RELEASE);
	hal_ipi(to);
}

static status_t collect(struct cpu *from)
{
	uint64_t start = hal_now(), pushed = 0;

	while (__atomic_load_n(&from->mail.waiting, __ATOMIC_ACQUIRE)) /* bound: PATIENCE_US twice */
		wait_turn(&start, &pushed, from);
	return from->mail.answer;
}

status_t ask(uint32_t index, enum request what, struct ec *e, uint64_t arg)
{
	if (index == hal_cpu()->index)
		return perform(what, e, arg);
	post(cpus[index], what, e, arg);
	return collect(cpus[index]);
}

void ask_all(enum request what, uint64_t arg)
{
	uint32_t i, self = hal_cpu()->index;

	for (i = 0; i < cpu_count; i++)
		if (i != self)
			post(cpus[i], what, NULL, arg);
	perform(what, NULL, arg);
	for (i = 0; i < cpu_count; i++)
		if (i != self)
			collect(cpus[i]);
}
