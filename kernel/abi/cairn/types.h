/* SPDX-License-Identifier: BSD-2-Clause */
/* Object types, rights, and the structs that hypercalls read from the message buffer. */
#ifndef CAIRN_TYPES_H
#define CAIRN_TYPES_H

#include <stdint.h>

/* Types of capabilities. FREE is no capability. */
enum cairn_type {
	CAP_FREE = 0,
	CAP_UNTYPED = 1,
	CAP_CAPTABLE = 2,
	CAP_FRAME = 3,
	CAP_PAGETABLE = 4,
	CAP_THREAD = 5,
	CAP_VCPU = 6,
	CAP_PORTAL = 7,
	CAP_IRQ = 8,
	CAP_IOPORTS = 9,
	CAP_MACHINECHECK = 10,
	CAP_CPUS = 11,
};

/* Rights: a derived capability never has more than its source. */
#define RIGHT_READ    0x01u /* Frame */
#define RIGHT_WRITE   0x02u /* Frame; CapTable: change slots; IoPorts: use */
#define RIGHT_EXEC    0x04u /* Frame */
#define RIGHT_CONTROL 0x08u /* Thread, VCpu: configure, resume, suspend; PageTable: map; Irq: bind; Cpus: start */
#define RIGHT_SIGNAL  0x10u /* Thread: signal; VCpu: recall; Portal: call */
#define RIGHT_GRANT   0x20u /* may be copied */
#define RIGHT_ALL     0x3fu

/* Kinds of paging structure (bits 15:8 of retype's param); level is in bits 7:0, 4 is a root. */
enum cairn_pt_kind { PT_HOST = 0, PT_GUEST = 1, PT_DMA = 2 };

#define PAGE_SIZE_4K 0x1000ul
#define PAGE_SIZE_2M 0x200000ul
#define PAGE_BITS_4K 12
#define PAGE_BITS_2M 21

/* User addresses lie below this. Nothing is mapped near the canonical limit: SYSRET to it would fault in ring 0. */
#define USER_END 0x00007f8000000000ul

/* thread_configure's mask. */
#define THREAD_SPACE   0x01u /* space, captable, buffer, cpu, supervisor, ceiling: once, together, before the rest */
#define THREAD_REGS    0x02u /* rip, rsp, fs_base, arg (in rdi) */
#define THREAD_UPCALLS 0x04u /* syscall_entry, fault_entry */
#define THREAD_TIME    0x08u /* priority, budget_us, period_us */

/*
 * A thread either has time of its own (priority > 0) and is started with resume, or is a portal handler
 * (priority 0) that runs on its callers' time. rip/rsp is then where each message enters it.
 * Times are in microseconds; priority 1..63, higher first. budget 0: no limit. ceiling: the highest priority that it may
 * give to threads, VCpus and their ceilings; at most the caller's own (seL4's maximum controlled priority).
 */
struct thread_config {
	uint64_t space;	     /* selector: root PageTable, PT_HOST */
	uint64_t captable;   /* selector */
	uint64_t buffer;     /* selector: 4 KiB Frame, its message buffer (struct message_buffer) */
	uint64_t cpu;	     /* index, as cpu_start returned it */
	uint64_t supervisor; /* index in its own CapTable of the Portal that gets its fatal faults; ~0: none */
	uint64_t rip, rsp;   /* user addresses */
	uint64_t fs_base, arg;
	uint64_t syscall_entry; /* where foreign `syscall` numbers bounce to; 0: they are faults */
	uint64_t fault_entry;	/* where its own faults are reported; 0: straight to the supervisor */
	uint64_t priority, budget_us, period_us;
	uint64_t ceiling;
};

struct vcpu_config {
	uint64_t guest_root; /* selector: root PageTable, PT_GUEST */
	uint64_t home;	     /* selector: root PageTable, PT_HOST, of its VMM */
	uint64_t captable;   /* selector: the CapTable that holds the exit table */
	uint64_t exit_base;  /* index of the Portal for exit class 0 there */
	uint64_t state;	     /* selector: 4 KiB Frame, the state page (struct vcpu_state) */
	uint64_t cpu;	     /* index, as cpu_start returned it */
	uint64_t priority, budget_us, period_us;
};

/* One page per thread, mapped by it and, while bound, known to the kernel. */
#define MESSAGE_WORDS 16
struct message_buffer {
	uint64_t words[512 - 16]; /* words[4..15]: words 5..16 of a message; configure structs and records at words[0] */
	/* A fault of the thread itself (fault_entry). The thread clears `active` when it has dealt with it;
	 * a fault while it is set goes to the supervisor. */
	uint64_t fault_active;
	uint64_t fault_vector;	/* x86 vector */
	uint64_t fault_error;	/* error code, 0 if none */
	uint64_t fault_address; /* CR2 for #PF */
	uint64_t fault_poison;	/* 1: the page is gone because of a memory error */
	uint64_t fault_rip, fault_rsp, fault_rflags;
	uint64_t reserved[8];
};
_Static_assert(sizeof(struct message_buffer) == 4096, "one page");
_Static_assert(sizeof(struct thread_config) <= 4096 - 128, "fits the buffer");

/*
 * A fatal fault as a message to the supervisor's portal (badge: as created):
 * w1 = vector | poison << 8, w2 = error code, w3 = address (CR2), w4 = RIP, and in the buffer
 * w5 = RSP, w6 = RFLAGS, w7.. = RAX RCX RDX RBX RBP RSI RDI R8 R9 R10.
 * Reply w1: 0 keeps the thread stopped for good; 1 resumes it; 2 resumes it at RIP = w2.
 */
#define FAULT_REPLY_STOP   0u
#define FAULT_REPLY_RESUME 1u
#define FAULT_REPLY_RIP	   2u

#endif
