/* SPDX-License-Identifier: BSD-2-Clause */
/* What core asks of the machine. Physical addresses are integers; only the machine side turns them into pointers. */
#ifndef HAL_H
#define HAL_H

#include <stdint.h>
#include <core/slot.h>
#include <core/ec.h>

/* What only the machine side knows, for proofs. */
/*@ ghost int machine; */

/* ---- CPU ---- */

/*
 * On every path, therefore inline: hal_cpu, this CPU; hal_window, where the kernel window shows a page; hal_switch(cpu, next): loads
 * address space, FS base and FPU policy of `next`, which becomes cpu->current; hal_switch_call(cpu, from, h, guest): the same from
 * `from` (guest: a VCpu) into its idle handler `h`, which starts with a clean FPU; hal_switch_reply(cpu, to): from a handler whose
 * context ends. hal_select(first, count, sel): the slot of selector `sel` in a table of `count` slots from `first` on, SLOT_NIL
 * (never live) if it has none, found without a branch, so that no mispredicted one leads out of the table.
 * hal_speculation_barrier: nothing behind it is done on a mere guess about the checks before it.
 */
#ifdef CAIRN_HOST
#include <hal/host/host_inline.h>
#else
#include <arch/x86_64/hal_inline.h>
#endif
/* Now, in TSC ticks. */
uint64_t hal_now(void);
/* Orders what the compiler wrote before and writes after (the machine keeps the order of stores). */
#define hal_order() __atomic_signal_fence(__ATOMIC_SEQ_CST)
/* In a loop that waits for another CPU. */
void hal_relax(void);
/* Makes a CPU serve its mail (mail_serve); makes it leave a guest or halt even with interrupts off. */
void hal_ipi(struct cpu *to);
void hal_nmi(struct cpu *to);
/* Starts the CPU with this local APIC id as cpus[index]; 0, or -1: it did not answer. */
MUST_USE int hal_cpu_start(uint32_t index, uint32_t apic_id);
/* Arms the CPU's one-shot timer for an absolute TSC value; 0: off. */
void hal_timer(uint64_t when);
/* Copies words to or from a message buffer; 0, or -1 when the buffer is gone (memory error). */
MUST_USE int hal_copy(const uint64_t *from, uint64_t *to, uint64_t words);
/* Prints the fault of a thread that nobody supervises: the root-task's above all. */
void hal_report_fault(uint32_t label, uint64_t vector, uint64_t error, uint64_t address, uint64_t rip);
/* Says what and where, and stops the machine. */
_Noreturn void hal_panic(const char *what);
extern uint64_t hal_tsc_khz;
static inline uint64_t hal_ticks(uint64_t us)
{
	return us * hal_tsc_khz / 1000;
}

/* ---- Page bytes: what each page of RAM is used as ---- */

#define PAGE_POISONED 0x80u
#define PAGE_BOUND    0x20u /* somebody's message buffer or state page */
#define PAGE_TYPE     0x5fu
#define PAGE_USER     0u    /* Untyped or Frame memory; else an enum cairn_type, or: */
#define PAGE_KERNEL   0x40u /* the kernel's own */
#define PAGE_GUEST_PT 0x41u /* PageTable of a guest space (CAP_PAGETABLE: of a host space) */
/* Byte of the page at `phys`; pages that are no RAM read as PAGE_USER. */
/*@ assigns \nothing;
  exits \false; */
uint8_t hal_page_byte(uint64_t phys);
/*@ assigns machine;
  exits \false; */
void hal_page_set(uint64_t phys, uint8_t byte);
/* Is there RAM at this page that has a page byte? */
int hal_page_known(uint64_t phys);

/* ---- Kernel window ---- */

/* Gives the kernel a translation for a page, or takes it away; the other CPUs still have it until they flush (PT_HOST). */
/*@ assigns machine;
  exits \false; */
void hal_window_map(uint64_t phys);
void hal_window_unmap(uint64_t phys);
/* Backs page `page` of slots[] with memory that the caller has zeroed, or takes it away. */
/*@ assigns machine;
  exits \false; */
void hal_slots_map(uint32_t page, uint64_t phys);
void hal_slots_unmap(uint32_t page);
/* Zeroes a page that has no kernel translation. */
/*@ assigns machine;
  exits \false; */
void hal_zero(uint64_t phys);

/* ---- Paging structures (the page is in the window) ---- */

/* Root of a space: kernel part filled in for a host space. */
/*@ assigns machine;
  exits \false; */
void hal_pt_init(uint64_t pt, uint8_t kind, uint8_t level);
/* Sets entry `index` to a table of the next lower level, to a page, to the poison tag, or to nothing. */
void hal_pt_table(uint64_t pt, uint8_t kind, uint32_t index, uint64_t child);
void hal_pt_page(uint64_t pt, uint8_t kind, uint8_t level, uint32_t index, uint64_t phys, uint32_t rights);
void hal_pt_poison(uint64_t pt, uint32_t index);
/* Takes a page away for a moment: who comes there tries again until it is set to something else. */
void hal_pt_changes(uint64_t pt, uint32_t index);
void hal_pt_clear(uint64_t pt, uint32_t index);
int hal_pt_used(uint64_t pt, uint32_t index);
/* This CPU uses no old translation of `kind` any more. */
void hal_flush(uint8_t kind);
/* This CPU stands in the host space of this root no more. */
void hal_space_leave(uint64_t root);
/* Entries [0, limit) of a table are user level's: 255 in a host root, else 512. */
uint32_t hal_pt_limit(uint8_t kind, uint8_t level);

/* ---- VCpus ---- */

/* Prepares the control structures of a new VCpu (pages at v->phys) whose guest space has this root page. */
void hal_vcpu_init(struct ec *v, uint64_t root);
/* Copies what always travels and groups of guest state into the state page, or takes groups from there,
 * validated, and arms the deadline; -1: the state page is gone. */
MUST_USE int hal_vcpu_read(struct ec *v, uint32_t class, uint32_t groups);
MUST_USE int hal_vcpu_write(struct ec *v, uint32_t groups);
/* Nothing of it is left in this CPU. */
void hal_vcpu_forget(struct ec *v);

/* ---- Interrupts, ports, machine check ---- */

int hal_irq_valid(uint64_t line);
void hal_irq_bind(uint64_t line, struct ec *thread, uint64_t badge);
/* Masks the line; nobody is told of it any more. Of all lines of a thread; of one line. */
void hal_irq_forget(struct ec *thread);
void hal_irq_unbind(uint64_t line);
void hal_irq_unmask(uint64_t line);
uint64_t hal_port_in(uint64_t port, uint64_t width);
void hal_port_out(uint64_t port, uint64_t width, uint64_t value);
void hal_debug_write(uint64_t characters);
/* The kernel's own output goes to the 16550 at `port` from now on, what it has said so far once more. */
void hal_serial(uint64_t port);
/* Reads the banks of this CPU outside an exception: corrected and deferred errors go to the ring. */
void hal_mca_poll(void);
/* A memory error that cannot be left to user level: says so, and stops the machine. */
_Noreturn void hal_mca_fatal(const char *why, uint64_t where);

#endif
