/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many CPUs. What is bound to a CPU (its Threads and VCpus, their chains, timers, FPU state) is changed by that CPU alone, and
 * by it without a lock. All else is changed by whoever holds the one lock, who asks other CPUs for their part.
 */
#ifndef CORE_SMP_H
#define CORE_SMP_H

#include <core/ec.h>

/* What the holder of the lock may ask of a CPU. */
enum request {
	REQ_BARRIER,	/* nothing: it is in no path that began before */
	REQ_FLUSH,	/* arg: enum cairn_pt_kind */
	REQ_LEAVE,	/* arg: page of a host root that it may have loaded */
	REQ_USERS_STOP, /* arg: slot of a space or buffer */
	REQ_TABLE_GONE, /* arg: first slot of a CapTable */
	REQ_CONFIGURE,	/* arg: address of the plan (objects.c) */
	REQ_RESUME,
	REQ_SUSPEND,
	REQ_RECALL,
	REQ_NOTIFY, /* arg: bits */
	REQ_DESTROY,
	REQ_THAW,	/* arg: epoch */
	REQ_MC_HARVEST, /* arg: acknowledged sequence */
	REQ_MC_BIND,
};

/* CPUs that run, by index. Only the holder of the lock adds one. */
extern struct cpu *cpus[CPU_MAX];
extern uint32_t cpu_count;

/* Takes the lock, in the order of asking. Answers requests while it waits: the current context may be changed or gone after. */
void lock_take(void);
void lock_drop(void);

/* Has CPU `index` do it for `e`, and waits until it has. The caller holds the lock. */
status_t ask(uint32_t index, enum request what, struct ec *e, uint64_t arg);
/* Has every CPU do it. */
void ask_all(enum request what, uint64_t arg);
/* On a CPU that was asked (hal_ipi): does it. */
void mail_serve(struct cpu *cpu);

#endif
