/* SPDX-License-Identifier: BSD-2-Clause */
/* The VM and its vCPUs as this server keeps them, and how its threads hand things to each other. */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <stdbool.h>
#include <stdint.h>
#include <cairn/runtime.h>
#include <cairn/server.h>
#include <cairn/vcpu.h>
#include "boot/boot.h"
#include "dev/ioapic.h"
#include "dev/lapic.h"
#include "dev/legacy.h"
#include "dev/uart.h"
#include "dispatch/cpuid.h"
#include "emu/emu.h"
#include "inject/reflect.h"
#include "main/mailbox.h"
#include "vmce/vmce.h"

#define VM_VCPUS 7u /* as many as there are selectors for handler threads */

/* Where an instruction whose length the CPU did not tell was found, so that its next exit need not
 * look again. */
#define INSN_CACHE 64u
struct insn_place {
	uint64_t rip;
	const uint8_t
		*at; /* in this server's mapping of guest RAM; 8 bytes from here lie in one page */
	uint64_t mask, bytes; /* the instruction, as the beginning of those 8 */
	uint32_t length, op;  /* op EMU_OTHER: the entry is empty */
};

struct vcpu {
	struct vcpu_state
		*state; /* shared with the kernel; the kernel checks what it takes from it */
	uint32_t index;
	uint32_t have;	    /* groups (VCPU_MTD_*) of *state that are current in this exit */
	uint64_t reply;	    /* groups changed, VCPU_REPLY_* */
	uint32_t offered;   /* what we put into state->virq */
	bool again;	    /* another vCPU sent the offered vector once more meanwhile … */
	bool again_level;   /* … level-triggered */
	struct event event; /* to be injected at the next entry */
	bool nmi_pending, nmi_masked;
	bool nmi_stepping,
		own_tf;	    /* over the IRET that ends an NMI; RFLAGS.TF as the guest had it */
	bool nmi_step_left; /* the IRET faulted: its step comes with the frame of the fault */
	bool trap_kept;	    /* a single-step trap at trap_rip waits for the IRET that leads there */
	uint64_t trap_rip;
	bool halted, wait_for_sipi, sipi_pending;
	uint8_t sipi_vector;
	bool redo; /* the instruction at redo_rip exited, and is emulated once all state is here */
	uint64_t redo_rip;
	int32_t redo_port;  /* -1: it is no port I/O */
	uint32_t redo_size; /* bytes of the port I/O */
	uint64_t tsc_offset;
	uint64_t misc_enable, hwcr;
	uint64_t mtrr_default; /* as it differs from its value at reset */
	struct lapic lapic;
	struct vmce vmce;
	struct cpuid_table cpuid;
	struct insn_place insn[INSN_CACHE];
};

struct vm {
	const struct server_info *info;
	unsigned vcpus;
	uint64_t low, high; /* bytes of RAM below 3 GiB, from 4 GiB */
	const uint8_t *ram; /* guest-physical address 0 in this address space */
	bool amd;
	uint32_t exceptions; /* that the description wants intercepted and reflected */
	struct boot_entry entry;
	struct uart uart;
	struct ioapic ioapic;
	struct legacy legacy;
	int tty_channel, mca_channel; /* -1: none */
	uint64_t tty_deadline;	/* the console hears of what is in the ring at the latest now; 0:
				   nothing is */
	uint64_t report_second; /* when the second began in which … */
	uint32_t reports;	/* … so many vMCEs were reported */
	bool stopping;		/* no vCPU enters any more */
	uint32_t lock;		/* between handlers of several vCPUs */
	struct mailbox mailbox; /* between the control thread and the handlers */
	struct vcpu vcpu[VM_VCPUS];
};

extern struct vm vm;

/* What the guest reads as its TSC. */
static inline uint64_t vcpu_tsc(const struct vcpu *v)
{
	return cairn_tsc() + v->tsc_offset;
}

static inline bool vm_is_ram(uint64_t gpa)
{
	return gpa < vm.low || gpa - GUEST_HIGH_BASE < vm.high;
}

#endif
