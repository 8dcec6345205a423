/* SPDX-License-Identifier: BSD-2-Clause */
/* One CPU: descriptor tables, control registers, and the switch between execution contexts. */
#include <core/caps.h>
#include <hal/hal.h>
#include <cairn/hypercall_numbers.h>
#include "arch.h"

_Static_assert(offsetof(struct ec, gpr) == 0 && GPR_R15 == 15, "macros.S");
_Static_assert(offsetof(struct ec, rip) == EC_RIP && offsetof(struct ec, rflags) == EC_RFLAGS, "layout.h");
_Static_assert(offsetof(struct ec, state) == EC_STATE && offsetof(struct ec, vmcb_phys) == EC_VMCB, "layout.h");
_Static_assert(offsetof(struct ec, thawed) == EC_THAWED && offsetof(struct ec, mode) == EC_MODE, "layout.h");
_Static_assert(offsetof(struct cpu, stack_top) == CPU_STACK && offsetof(struct cpu, user_rsp) == CPU_USER_RSP, "layout.h");
_Static_assert(offsetof(struct cpu, resched) == CPU_RESCHED && offsetof(struct cpu, host_vmcb) == CPU_HOST_VMCB, "layout.h");
_Static_assert(offsetof(struct ec, entry_rip) == EC_ENTRY_RIP && offsetof(struct ec, entry_rsp) == EC_ENTRY_RSP, "layout.h");
_Static_assert(offsetof(struct ec, cr2) == EC_CR2 && offsetof(struct cpu, launched) == CPU_LAUNCHED, "layout.h");
_Static_assert(offsetof(struct cpu, gdtr) == CPU_GDTR, "layout.h");
_Static_assert(CAIRN_CALL_CALL == 1 && CAIRN_CALL_REPLY == 2 && MODE_GUEST == 2 && RFLAGS_USER == 0x202, "entry.S");
_Static_assert(offsetof(struct vcpu_state, gpr) == 0, "entry.S stores at the page's start");

struct percpu percpus[CPU_MAX] __attribute__((aligned(4096)));
enum cpu_vendor cpu_vendor;

struct gate {
	uint16_t low, sel;
	uint8_t ist, attr;
	uint16_t mid;
	uint32_t high, zero;
};
static struct gate idt[256];
const uint16_t verw_selector = SEL_KDATA; /* macros.S */

struct pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

extern char trap_stubs[], nmi_entry[], mc_entry[], syscall_entry[];

struct percpu *percpu_of(struct cpu *cpu)
{
	return (struct percpu *)cpu;
}

static void set_gate(uint32_t vector, const char *entry, uint8_t ist, uint8_t dpl)
{
	uint64_t a = (uint64_t)entry;

	idt[vector] = (struct gate){(uint16_t)a,	 SEL_KCODE,	      ist, (uint8_t)(0x8e | dpl << 5),
				    (uint16_t)(a >> 16), (uint32_t)(a >> 32), 0};
}

static void idt_init(void) /* all CPUs have this one */
{
	uint32_t v;

	for (v = 0; v < 256; v++)
		set_gate(v, trap_stubs + 16 * v, 0, v == 3 ? 3 : 0);
	set_gate(2, nmi_entry, IST_NMI, 0);
	set_gate(8, trap_stubs + 16 * 8, IST_DF, 0);
	set_gate(18, mc_entry, IST_MC, 0);
}

uint64_t idt_base(void)
{
	return (uint64_t)idt;
}

static void tables_init(struct percpu *p)
{
	uint64_t tss = (uint64_t)&p->tss;
	struct pointer *gdtr = (struct pointer *)p->cpu.gdtr;
	struct pointer idtr = {sizeof(idt) - 1, (uint64_t)idt};
	uint64_t mc_top = (uint64_t)p->ist_mc + IST_SIZE - 16;

	p->gdt[1] = 0x00af9b000000ffff; /* kernel code */
	p->gdt[2] = 0x00cf93000000ffff; /* kernel data */
	p->gdt[3] = 0;			/* SYSRET to 32-bit code: not offered */
	p->gdt[4] = 0x00cff3000000ffff; /* user data */
	p->gdt[5] = 0x00affb000000ffff; /* user code */
	p->gdt[6] = 103 | (tss & 0xffffff) << 16 | 0x89ull << 40 | (tss >> 24 & 0xff) << 56;
	p->gdt[7] = tss >> 32;
	p->tss.rsp0 = p->cpu.stack_top;
	p->tss.ist[IST_DF - 1] = (uint64_t)p->ist_df + IST_SIZE;
	p->tss.ist[IST_NMI - 1] = (uint64_t)p->ist_nmi + IST_SIZE;
	p->tss.ist[IST_MC - 1] = mc_top;
	*(uint64_t *)mc_top = (uint64_t)&p->cpu;
	p->tss.io_map = sizeof(p->tss); /* none: no user ports */

	*gdtr = (struct pointer){sizeof(p->gdt) - 1, (uint64_t)p->gdt};
	__asm__ volatile("lgdt %0; lidt %1" : : "m"(*gdtr), "m"(idtr));
	__asm__ volatile("mov %0, %%ss; mov %1, %%ds; mov %1, %%es; mov %1, %%fs; mov %1, %%gs; lldt %w1; ltr %w2"
			 :
			 : "r"(SEL_KDATA), "r"(0), "r"(SEL_TSS));
}

static void control_registers(void)
{
	uint64_t cr4 = CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	struct cpuid c7 = cpuid(0, 0).a >= 7 ? cpuid(7, 0) : (struct cpuid){0};

	if (c7.b & 1u << 7)
		cr4 |= CR4_SMEP;
	if (c7.b & 1u << 20)
		cr4 |= CR4_SMAP;
	if (c7.c & 1u << 2)
		cr4 |= CR4_UMIP;
	write_cr0((read_cr0() | CR0_MP | CR0_NE | CR0_WP) & ~(CR0_TS | 1ul << 2 | 3ul << 29));
	write_cr4(cr4);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE | EFER_NXE);
	wrmsr(MSR_STAR, (uint64_t)0x1b << 48 | (uint64_t)SEL_KCODE << 32);
	wrmsr(MSR_LSTAR, (uint64_t)syscall_entry);
	wrmsr(MSR_SYSENTER_CS, 0); /* not offered */
	wrmsr(MSR_FMASK, 0x47700); /* AC NT IOPL DF IF TF */
}

void cpu_prepare(struct percpu *p, uint32_t index)
{
	p->cpu.index = index;
	p->cpu.stack_top = (uint64_t)p->stack + STACK_SIZE;
	p->cpu.self = &p->cpu;
	p->cpu.nobody = p->cpu.fpu_owner = &p->nobody;
	p->cpu.cr3 = kernel_pml4();
	p->cpu.resched = 1;
	sched_init(&p->cpu);
}

/* Before the second CPU starts: a translation that goes needs no other CPU's flush. */
static void guard_stacks(void)
{
	uint32_t i;

	for (i = 0; i < CPU_MAX; i++) {
		image_unmap(percpus[i].guard);
		image_unmap(percpus[i].guard_df);
		image_unmap(percpus[i].guard_nmi);
		image_unmap(percpus[i].guard_mc);
	}
}

void cpu_init(struct percpu *p)
{
	struct cpuid v = cpuid(0, 0);

	p->cpu.apic_id = cpuid(1, 0).b >> 24;
	if (!p->cpu.index) {
		cpu_vendor = v.b == 0x756e6547 ? VENDOR_INTEL : VENDOR_AMD; /* "Genu" */
		guard_stacks();
		idt_init();
	}
	tables_init(p);
	panic_has_idt = 1;
	control_registers();
	fpu_init(!p->cpu.index);
	speculation_init(!p->cpu.index);
	wrmsr(MSR_GS_BASE, (uint64_t)&p->cpu);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	wrmsr(MSR_FS_BASE, 0);
}

uint64_t hal_now(void)
{
	return rdtsc();
}

/* entry.S: there is work before the next return. */
void schedule_cpu(void)
{
	struct cpu *cpu = hal_cpu();

	mca_process(cpu);
	schedule(cpu);
}
