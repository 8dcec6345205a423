/* SPDX-License-Identifier: BSD-2-Clause */
/* Execution contexts: the kernel's part of a Thread or a VCpu, and the per-CPU state. */
#ifndef CORE_EC_H
#define CORE_EC_H

#include <stddef.h>
#include <stdint.h>
#include <core/slot.h>
#include <cairn/vcpu.h>
#include <cairn/mca.h>

#define SLICE_US       10000u /* among chains of one priority */
#define PRIORITIES     64u
#define RFLAGS_USER    0x202u /* IF */
#define CALL_MAX_DEPTH 8u
#define FPU_AREA       2752u /* of XSAVE: AVX-512 needs 2,688, or 2,696 with the PKRU behind it */

enum ec_kind { EC_THREAD = 1, EC_VCPU = 2 };

enum ec_state {
	EC_NEW = 0,	/* not configured */
	EC_READY = 1,	/* can run (if its chain's root has time and nobody in it is suspended) */
	EC_IDLE = 2,	/* handler waiting for a message */
	EC_WAIT = 3,	/* in wait() */
	EC_CALL = 4,	/* its message is being handled by `partner` */
	EC_QUEUED = 5,	/* its message waits for the busy handler `partner` */
	EC_HALT = 6,	/* VCpu: waits for recall or its deadline */
	EC_FROZEN = 7,	/* waits for the verdict on a machine check */
	EC_STOPPED = 8, /* fatal fault, or something it needs was destroyed */
};

enum ec_call { CALL_MESSAGE = 0, CALL_FAULT = 1, CALL_EXIT = 2 };

/* How resume (entry.S) leaves the kernel. */
enum ec_mode { MODE_SYSRET = 0, MODE_IRET = 1, MODE_GUEST = 2, MODE_HANDLER = 3 };

#define VMX_MSRS 5u /* in an area that the VMCS names */

struct ec;

struct timer {
	struct timer *next, *prev; /* NULL: not armed */
	uint64_t when;		   /* absolute TSC */
	struct ec *owner;
	uint32_t kind; /* enum timer_kind */
};
enum timer_kind { TIMER_DEADLINE = 0, TIMER_REPLENISH = 1, TIMER_VERDICT = 2 };

/* Offsets of the fields up to `entry_rsp` are known to entry.S (arch/x86_64/layout.h, checked in cpu.c). */
struct ec {
	uint64_t gpr[GPR_COUNT]; /* thread: user registers */
	uint64_t rip, rflags;
	struct vcpu_state *state; /* VCpu: its state page in the kernel window */
	uint64_t vmcb_phys;	  /* VCpu */
	uint64_t thawed;	  /* VCpu: machine-check epoch up to which it may enter */
	uint8_t mode;		  /* enum ec_mode */
	uint8_t kind;		  /* enum ec_kind */
	uint8_t status;		  /* enum ec_state */
	uint8_t suspended;
	uint8_t call_kind;	       /* enum ec_call: what its pending call is */
	uint8_t depth;		       /* of nested calls below the chain's root */
	uint8_t started;	       /* VCpu: has had its EXIT_STARTUP */
	uint8_t recalled;	       /* VCpu: leave the guest at the next opportunity */
	uint64_t entry_rip, entry_rsp; /* handler: where messages enter */
	uint64_t cr2;		       /* VCpu, VMX: the guest's */
	uint32_t cpu;
	uint32_t label; /* of its space (thread) or guest space (VCpu) */

	uint64_t cr3; /* host space; VCpu: of its VMM */
	uint64_t fs_base;
	uint32_t space_slot;		   /* root PageTable of the host space */
	uint32_t guest_slot;		   /* VCpu: root PageTable of the guest space */
	uint32_t table_first, table_count; /* CapTable: slot range */
	uint32_t buffer_slot;		   /* Frame: message buffer, or state page */
	uint32_t supervisor;		   /* thread: selector of the Portal for fatal faults */
	struct message_buffer *buffer;	   /* thread: in the kernel window */
	uint64_t syscall_entry, fault_entry;
	uint64_t exit_base;			  /* VCpu: selector of the Portal for class 0 */
	uint32_t vectoring_info, vectoring_error; /* VCpu: event whose delivery the last exit interrupted */
	uint64_t flush_seen;			  /* VCpu: generation of guest TLB flushes it has entered with */
	/* VCpu, VMX: what has no field in the VMCS. */
	uint64_t dr6, reason; /* reason: of the last exit */
	uint32_t tpr, virq;   /* the guest's CR8; virq as in the state page */
	uint8_t launched;     /* while its VMCS is not the current one */
	uint64_t guest_msrs[2 * VMX_MSRS] __attribute__((aligned(16)));

	/* Chain of calls: root lends its time to leaf. */
	struct ec *root, *leaf, *caller, *partner;
	struct ec *queue_head, *queue_next;	/* callers waiting for this handler, by priority */
	uint64_t queue_badge;			/* while EC_QUEUED: the badge its message will carry */
	uint64_t msg[MESSAGE_WORDS], msg_count; /* words 1-4 while EC_QUEUED, words 5.. of a fault; and how many */
	uint8_t handler;			/* thread without time of its own: entered through portals */
	uint8_t orphan;				/* handler whose caller is gone: runs on at the priority that was lent */

	/* Time. The run queue holds chain roots. */
	uint32_t priority;  /* 0: no time of its own */
	uint32_t effective; /* what its chain runs at: its own, or what a waiting caller lends */
	uint32_t ceiling;   /* the highest priority that it may give */
	uint32_t queued;    /* in the run queue */
	struct ec *run_next, *run_prev;
	uint64_t budget, period, left; /* TSC ticks; budget 0: no limit */
	uint64_t period_start, slice;
	uint32_t throttled;
	struct timer deadline, replenish;

	uint64_t notification;
	uint64_t held;	    /* interrupted by a machine check: waits until this record is acknowledged; 0: not */
	uint32_t fpu_fresh; /* starts with a clean FPU at its next use */

	struct ec *all_next, *all_prev; /* every configured ec of its CPU */
	uint64_t phys;

	/* Its FPU state while it is not in the FPU: XSAVE area (64-byte aligned) or FXSAVE image. Zeros, until it was saved. */
	uint8_t fpu[FPU_AREA] __attribute__((aligned(64)));
};
_Static_assert(sizeof(struct ec) <= 4096 && FPU_AREA >= 2696, "one page, and AVX-512 fits");

#define CPU_MAX 64u

/* A request of the lock's holder (smp.h) to a CPU. */
struct mail {
	uint32_t waiting;
	uint32_t what; /* enum request */
	struct ec *e;
	uint64_t arg;
	cairn_status_t answer;
};

struct cpu {
	struct ec *current; /* runs, or is about to; NULL: idle. Known to entry.S, as are the next six */
	uint64_t stack_top;
	uint64_t user_rsp; /* scratch of the system-call entry */
	uint8_t resched;   /* work before the next return to user or guest */
	uint8_t launched;  /* VMX: the current VMCS has been entered */
	uint8_t pad[6];
	uint64_t host_vmcb; /* SVM, physical: VMSAVE area of the host */
	uint16_t gdtr[5];   /* for LGDT */

	struct cpu *self;
	uint8_t mc_pending;	/* the #MC stub left records that nobody was told of */
	uint8_t mc_restartable; /* RIPV of what it interrupted */
	struct ec *mc_context;	/* guest or thread that it interrupted; NULL: none, or dealt with */
	uint64_t mc_sequence;	/* the last record of the last exception */
	uint64_t mc_exceptions; /* here, so far */
	uint32_t mc_stage;	/* of its meeting with the other CPUs (mca/mca.c) */
	struct timer verdict;	/* armed while an exception waits for its acknowledgement */
	uint8_t verdict_again;	/* a new mca-server has been given its time */
	struct ec *dying;	/* to be stopped (portal.c), linked by queue_next */
	uint32_t index;
	struct ec *sc;	   /* root whose time runs */
	uint64_t sc_start; /* TSC */
	uint64_t ready;	   /* bit per priority */
	struct ec *run[PRIORITIES];
	struct timer timers;   /* list head, by `when` */
	uint64_t armed;	       /* what the hardware timer is set to; 0: off */
	uint64_t cr3;	       /* loaded now */
	struct ec *fpu_owner;  /* whose state is in the FPU */
	struct ec *nobody;     /* … when that was destroyed */
	uint32_t ts;	       /* CR0.TS is set: FPU use traps (#NM) */
	struct ec *last_guest; /* entered here last: another one flushes the guest TLB */
	uint64_t guest_flush;  /* generation: a VCpu that has entered with an older one flushes as well */
	struct ec *list;       /* every configured ec bound to this CPU */
	struct ec *vmcs;       /* VMX: whose VMCS is current */
	uint8_t disturbed;     /* `current` was changed by a request while it waited for the lock */
	struct mail mail __attribute__((aligned(64))); /* written by others */
	uint32_t apic_id;			       /* read by others */
};

/* ---- scheduling (sched.c) ---- */

/* Makes the run queue agree with whether `root`'s chain can run. */
void chain_update(struct ec *root);
/* Its chain runs at another priority from now on. */
void chain_priority(struct ec *root, uint32_t effective);
/* Picks the chain to run; sets cpu->current (NULL: idle) and its time. Charges the time used. */
void schedule(struct cpu *cpu);
/* Due timers: deadlines and replenishments. */
void timers_expire(struct cpu *cpu);
void timer_arm(struct cpu *cpu, struct timer *t, uint64_t when);
void timer_cancel(struct cpu *cpu, struct timer *t);
void sched_init(struct cpu *cpu);

/* ---- messages (portal.c) ---- */

/* Hypercalls call and reply, from entry.S: arguments as in hypercalls.toml; the current thread's callee-saved registers,
 * RIP, RSP and RFLAGS are in its gpr[] for a call. */
void portal_call(uint64_t sel, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t count);
MUST_USE status_t portal_reply(uint64_t zero, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4, uint64_t count);
/* Undoes every tie `e` has to others: callers get ERR_ABORTED. */
void ec_disconnect(struct ec *e);
void ec_stop(struct ec *e);
/* A request changes `e`: should it be in the middle of a hypercall, that begins anew. */
void ec_disturb(struct ec *e);
/* Delivers notification bits to a thread. */
void notify(struct ec *thread, uint64_t bits);
/* Fatal fault of a thread: to its supervisor, or stopped for good. */
void thread_fault(struct ec *e, uint64_t vector, uint64_t error, uint64_t address, int poison);
/* Ends a halt, or marks a VCpu that runs or is to run; STATE: it is not configured, or stopped. */
status_t vcpu_recall(struct ec *v);
/* Delivers exit class `class` of VCpu `v` to its VMM; groups are copied by the backend. */
void vcpu_exit(struct ec *v, enum vcpu_exit_class class);

#endif
