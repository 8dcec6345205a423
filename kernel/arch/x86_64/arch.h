/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of this architecture share. */
#ifndef ARCH_H
#define ARCH_H

#include <stdint.h>
#include <core/ec.h>
#include <cairn/boot.h>
#include "x86.h"

/* SDM vol. 3, 8.7. */
struct tss {
	uint32_t reserved;
	uint64_t rsp0, rsp1, rsp2, reserved1, ist[7], reserved2;
	uint16_t reserved3, io_map;
} __attribute__((packed));

/* Everything one CPU needs; cpu comes first: GS points to it. */
struct percpu {
	struct cpu cpu;
	struct ec nobody;
	uint32_t online;
	uint32_t banks;		  /* of machine-check registers */
	uint64_t mc_rip, mc_addr; /* of the last record in the kernel */
	uint64_t gdt[8];
	struct tss tss __attribute__((aligned(16)));
	uint8_t mc_alternate[512] __attribute__((aligned(16))); /* to leave a #MC that hit while RSP was the user's */
	uint8_t host_vmcb[4096] __attribute__((aligned(4096)));
	uint8_t host_save[4096] __attribute__((aligned(4096))); /* SVM: VM_HSAVE_PA; VMX: VMXON region */
	/* Stacks, each above a page that cpu_init unmaps. */
	struct {
		uint8_t guard[4096] __attribute__((aligned(4096)));
		uint8_t stack[STACK_SIZE];
		uint8_t guard_df[4096], ist_df[IST_SIZE];
		uint8_t guard_nmi[4096], ist_nmi[IST_SIZE];
		uint8_t guard_mc[4096], ist_mc[IST_SIZE];
	};
};

/* As pushed by trap_from_kernel. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* ---- panic.c, plat/serial.c ---- */
void serial_init(void);
void serial_putc(char c);
/* %s %x (uint64_t) %u (uint64_t) only. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void panic_frame(const char *what, const struct trap_frame *f);
extern int panic_has_idt; /* a panic can trap, to show the registers */
extern uint8_t machine_stopped;
/* Stops the machine for good: no VM entry, no return to user level. */
_Noreturn void stop(void);
/* Makes all other CPUs stop, whatever they do; a CPU that comes second stops itself. */
void stop_others(void);

/* ---- cpu.c ---- */
struct percpu *percpu_of(struct cpu *cpu);
void cpu_prepare(struct percpu *p, uint32_t index);
/* On that CPU itself: its tables and control registers. */
void cpu_init(struct percpu *p);
extern enum cpu_vendor cpu_vendor;
uint64_t idt_base(void);
extern struct percpu percpus[CPU_MAX];

/* ---- fpu.c ---- */
/* Turns the FPU of this CPU on, XSAVE where there is any; the first one decides for all. */
void fpu_init(int first);

/*
 * Makes other instructions of those at `from` to `to`: a prefix, 0F, opcode, and ModRM, to whose reg field `reg` is added. Only
 * on the boot tables, which let the kernel write its text.
 */
void patch(uint8_t *const *from, uint8_t *const *to, uint8_t opcode, uint32_t reg);

/* ---- speculation.c ---- */
/* Switches on what this CPU needs; the first one decides for all, and says so. */
void speculation_init(int first);

/* ---- paging.c ---- */
/* Builds the kernel's own tables: carve is [carve, carve_end) of physical memory, 2 MiB aligned. */
uint64_t carve_size(uint64_t top);
void paging_init(uint64_t carve, uint64_t top);
/* Takes the page of the kernel image at `p` away. */
void image_unmap(const void *p);
void fixmap_set(uint32_t page, uint64_t phys, int device);
uint64_t kernel_pml4(void);
/* What the leaf entry for `address` below `root` is now: a poison tag; a page, or something that is about to be one. */
enum pt_leaf { PT_LEAF_NONE, PT_LEAF_POISON, PT_LEAF_PAGE };
enum pt_leaf pt_leaf(uint64_t root, uint64_t address);
uint64_t image_phys(const void *p);

/* ---- timer.c, irq.c ---- */
void timer_init(void);
/* The local APIC of this CPU. */
void lapic_init(void);
uint64_t lapic_phys(void);
void lapic_eoi(void);
/* A fixed vector or ICR_* to one CPU; to those of a shorthand. */
#define ICR_NMI	   0x400u
#define ICR_INIT   0x500u
#define ICR_START  0x600u /* + page */
#define ICR_ALL	   (2u << 18)
#define ICR_OTHERS (3u << 18)
void lapic_ipi(uint32_t apic_id, uint32_t command);
void lapic_broadcast(uint32_t command);
void irq_init(void);
void irq_handle(uint64_t vector);
void irq_window(void);

/* ---- guest.c: the backend of this machine ---- */
/* Turns it on, on each CPU; a sentence that says what is missing, or NULL. */
const char *guest_init(struct percpu *p);
#define NO_GUESTS                                                                                                           \
	"this CPU offers no virtual machines: enable AMD-V (SVM) or VT-x (VMX) in the firmware's set-up, or use another "   \
	"machine"
/* RIP, CS and privilege a #MC (or the NMI in front of it) interrupted, when that was a guest. */
void guest_interrupted(struct ec *v, uint64_t *rip, uint32_t *cs, uint32_t *cpl);
extern uint8_t guest_vmx; /* 1: VMX, 0: SVM; known to entry.S */
static inline int use_vmx(void)
{
	return CAIRN_VMX && (!CAIRN_SVM || guest_vmx);
}

/* ---- svm, vmx: what guest.c chooses from, as in hal.h ---- */
const char *svm_init(struct percpu *p);
void svm_vcpu_init(struct ec *v, uint64_t root);
void svm_vcpu_read(struct ec *v, uint32_t class, uint32_t groups);
void svm_vcpu_write(struct ec *v, uint32_t groups);
void svm_flush(struct ec *v);
void svm_interrupted(struct ec *v, uint64_t *rip, uint32_t *cs, uint32_t *cpl);
const char *vmx_init(struct percpu *p);
void vmx_vcpu_init(struct ec *v, uint64_t root);
void vmx_vcpu_forget(struct ec *v);
void vmx_vcpu_read(struct ec *v, uint32_t class, uint32_t groups);
void vmx_vcpu_write(struct ec *v, uint32_t groups);
void vmx_flush(struct ec *v);
void vmx_interrupted(struct ec *v, uint64_t *rip, uint32_t *cs, uint32_t *cpl);

/* ---- mca ---- */
/* On each CPU: turns its banks on, and reports what they hold from before the reset. */
void mca_init(struct cpu *cpu);
extern uint64_t mcg_cap;

#endif
