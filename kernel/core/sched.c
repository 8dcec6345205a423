/* SPDX-License-Identifier: BSD-2-Clause */
/* Who runs: priorities, round robin among equals, budgets, deadlines. */
#include <core/caps.h>
#include <hal/hal.h>

static void run_insert(struct cpu *cpu, struct ec *e)
{
	struct ec *head = cpu->run[e->effective];

	if (head) {
		e->run_next = head;
		e->run_prev = head->run_prev;
		e->run_prev->run_next = e;
		head->run_prev = e;
	} else {
		e->run_next = e->run_prev = e;
		cpu->run[e->effective] = e;
		cpu->ready |= 1ull << e->effective;
	}
	e->queued = 1;
}

static void run_remove(struct cpu *cpu, struct ec *e)
{
	if (e->run_next == e) {
		cpu->run[e->effective] = NULL;
		cpu->ready &= ~(1ull << e->effective);
	} else {
		e->run_next->run_prev = e->run_prev;
		e->run_prev->run_next = e->run_next;
		if (cpu->run[e->effective] == e)
			cpu->run[e->effective] = e->run_next;
	}
	e->queued = 0;
}

void chain_update(struct ec *root)
{
	struct cpu *cpu = hal_cpu();
	int can;

	if (!root || !root->priority)
		return;
	/* A suspended caller does not stop who works for it. */
	can = root->leaf->status == EC_READY && !root->leaf->suspended && !root->leaf->held && !root->throttled;
	if (can && !root->queued) {
		run_insert(cpu, root);
		if (!cpu->sc || root->effective >= cpu->sc->effective)
			cpu->resched = 1;
	} else if (!can && root->queued) {
		run_remove(cpu, root);
		if (cpu->sc == root)
			cpu->resched = 1;
	}
}

void chain_priority(struct ec *root, uint32_t effective)
{
	struct cpu *cpu = hal_cpu();

	if (effective == root->effective)
		return;
	if (root->queued)
		run_remove(cpu, root);
	root->effective = effective;
	cpu->resched = 1; /* schedule() compares anew */
	chain_update(root);
}

void timer_cancel(struct cpu *cpu, struct timer *t)
{
	(void)cpu;
	if (!t->next)
		return;
	t->next->prev = t->prev;
	t->prev->next = t->next;
	t->next = t->prev = NULL;
}

/* Bounded by the number of armed timers: two per execution context of this CPU. */
void timer_arm(struct cpu *cpu, struct timer *t, uint64_t when)
{
	struct timer *i;

	timer_cancel(cpu, t);
	t->when = when;
	for (i = cpu->timers.next; i != &cpu->timers && i->when <= when; i = i->next)
		;
	t->next = i;
	t->prev = i->prev;
	i->prev->next = t;
	i->prev = t;
	if (cpu->timers.next == t)
		cpu->resched = 1; /* schedule() arms the hardware */
}

static void timer_due(struct cpu *cpu, struct timer *t)
{
	struct ec *e = t->owner;

	timer_cancel(cpu, t);
	if (t->kind == TIMER_VERDICT) {
		hal_mca_fatal("the verdict deadline passed on CPU", cpu->index);
	} else if (t->kind == TIMER_REPLENISH) {
		e->left = e->budget;
		e->period_start = t->when;
		e->throttled = 0;
		chain_update(e);
	} else if (e->kind == EC_VCPU) {
		vcpu_recall(e);
	} else if (e->status == EC_WAIT) {
		e->status = EC_READY;
		e->gpr[GPR_RAX] = CAIRN_ERR_TIMEOUT;
		e->gpr[GPR_RDI] = 0;
		chain_update(e->root);
	}
}

void timers_expire(struct cpu *cpu)
{
	uint64_t now = hal_now();

	while (cpu->timers.next != &cpu->timers && cpu->timers.next->when <= now)
		timer_due(cpu, cpu->timers.next);
}

/* Charges what the running chain has used; one that has spent its budget waits for its next period. */
static void charge(struct cpu *cpu, uint64_t now)
{
	struct ec *sc = cpu->sc;
	uint64_t used;

	if (!sc)
		return;
	used = now - cpu->sc_start;
	cpu->sc_start = now;
	sc->slice = used < sc->slice ? sc->slice - used : 0;
	if (!sc->budget)
		return;
	sc->left = used < sc->left ? sc->left - used : 0;
	if (sc->left)
		return;
	if (now >= sc->period_start + sc->period) {
		sc->period_start = now;
		sc->left = sc->budget;
		return;
	}
	sc->throttled = 1;
	timer_arm(cpu, &sc->replenish, sc->period_start + sc->period);
	chain_update(sc);
}

static void arm_hardware(struct cpu *cpu, uint64_t now)
{
	uint64_t when = cpu->timers.next != &cpu->timers ? cpu->timers.next->when : 0;
	struct ec *sc = cpu->sc;

	if (sc) {
		uint64_t end = 0;

		if (sc->budget)
			end = now + sc->left;
		if (sc->run_next != sc && (!end || end > now + sc->slice))
			end = now + sc->slice;
		if (end && (!when || end < when))
			when = end;
	}
	if (when != cpu->armed) {
		cpu->armed = when;
		hal_timer(when);
	}
}

/* A VCpu at the end of the picked chain: may it enter its guest? 0: pick again. */
static int guest_may_enter(struct ec *v)
{
	if (v->thawed < mc_epoch) {
		v->status = EC_FROZEN; /* R-BAS-2: no VM enters before the verdict */
		chain_update(v->root);
		return 0;
	}
	if (!v->started) {
		v->started = 1;
		vcpu_exit(v, EXIT_STARTUP);
		return 0;
	}
	if (v->recalled) {
		v->recalled = 0;
		vcpu_exit(v, EXIT_RECALL);
		return 0;
	}
	return 1;
}

void schedule(struct cpu *cpu)
{
	uint64_t now;

	/* Each turn either ends or takes one VCpu out of the queue or into its handler: bounded by their number. */
	for (;;) {
		struct ec *next;

		cpu->resched = 0;
		timers_expire(cpu);
		now = hal_now();
		charge(cpu, now);
		next = cpu->ready ? cpu->run[63 - (uint32_t)__builtin_clzll(cpu->ready)] : NULL;
		if (next && !next->slice) {
			next->slice = hal_ticks(SLICE_US);
			cpu->run[next->effective] = next->run_next; /* round robin */
			next = next->run_next;
		}
		cpu->sc = next;
		cpu->sc_start = now;
		if (!next) {
			cpu->current = NULL;
			break;
		}
		if (next->leaf->kind == EC_VCPU && !guest_may_enter(next->leaf))
			continue;
		hal_switch(cpu, next->leaf);
		break;
	}
	cpu->resched = 0;
	arm_hardware(cpu, now);
}

void sched_init(struct cpu *cpu)
{
	cpu->timers.next = cpu->timers.prev = &cpu->timers;
	cpu->verdict.kind = TIMER_VERDICT;
}
