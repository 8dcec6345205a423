/* SPDX-License-Identifier: BSD-2-Clause */
/* AMD SVM: turning it on, a VCpu's control block, and guest state to and from the state page. */
#include <hal/hal.h>
#include "../arch.h"
#include "vmcb.h"

#define VM_CR_SVMDIS (1u << 4)
#define RFLAGS_GUEST 0x3f7fd5ul /* bits a guest may set; bit 1 is always 1 */
#define DR7_FIXED    0x400ul
/* #MC is the kernel's (R-MC-2); a guest could make the delivery of #DB or #AC raise it again for ever, inside one
 * instruction that no interrupt ends: the VMM reflects them. */
#define EXCEPTIONS_FORCED (1u << 18 | 1u << 1 | 1u << 17)
/* OSXSAVE, PKE, CET: would give the guest state (XCR0, YMM, PKRU, …) that nobody switches. */
#define CR4_NOT_SWITCHED (1ul << 18 | 1ul << 22 | 1ul << 23)

static uint8_t io_map[3 * 4096] __attribute__((aligned(4096)));
static uint8_t msr_map[2 * 4096] __attribute__((aligned(4096)));

/* Two bits per MSR (read, write), 1: intercept. Bases of the three ranges (APM 15.11). */
static void msr_pass(uint32_t msr)
{
	uint32_t bit = msr >= 0xc0000000 ? 0x800 * 8 + (msr - 0xc0000000) * 2 : msr * 2;

	msr_map[bit / 8] &= (uint8_t) ~(3u << (bit % 8));
}

static void maps_init(void)
{
	/* VMLOAD and VMSAVE switch these, so the guest may have them. */
	static const uint32_t own[] = {0x174,	   0x175,      0x176,	   0xc0000081, 0xc0000082,
				       0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102};
	uint32_t i;

	for (i = 0; i < sizeof(io_map); i++)
		io_map[i] = 0xff;
	for (i = 0; i < sizeof(msr_map); i++)
		msr_map[i] = 0xff;
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		msr_pass(own[i]);
}

const char *svm_init(struct percpu *p)
{
	struct cpuid max = cpuid(0x80000000, 0), f;

	f = cpuid(0x80000001, 0);
	if (max.a < 0x8000000a || !(f.c & 1u << 2))
		return NO_GUESTS;
	if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
		return "AMD-V (SVM) is switched off by the firmware: enable it in the firmware's set-up";
	if (!(cpuid(0x8000000a, 0).d & 1))
		return "this CPU's AMD-V has no nested paging, which Cairn needs: use a newer machine";
	if (!p->cpu.index)
		maps_init();
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, image_phys(p->host_save));
	p->cpu.host_vmcb = image_phys(p->host_vmcb);
	__asm__ volatile("vmsave %%rax" : : "a"(p->cpu.host_vmcb) : "memory");
	return NULL;
}

static struct vmcb *vmcb_of(const struct ec *v)
{
	return hal_window(v->phys + PAGE_SIZE_4K);
}

void svm_vcpu_init(struct ec *v, uint64_t root)
{
	static uint32_t next_asid;
	struct vmcb *b = vmcb_of(v);
	uint32_t asids = cpuid(0x8000000a, 0).b;

	b->cr_write = 1u << 4;
	b->cr_read = 1u << 4;
	b->dr_read = b->dr_write = 0xf;
	b->exceptions = EXCEPTIONS_FORCED;
	b->misc1 = INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_SMI | INTERCEPT_INIT | INTERCEPT_RDPMC | INTERCEPT_CPUID |
		   INTERCEPT_INVD | INTERCEPT_HLT | INTERCEPT_INVLPGA | INTERCEPT_IOIO | INTERCEPT_MSR | INTERCEPT_FERR |
		   INTERCEPT_SHUTDOWN;
	b->misc2 = INTERCEPT_SVM | INTERCEPT_WBINVD | INTERCEPT_MONITOR | INTERCEPT_MWAIT | INTERCEPT_XSETBV;
	b->iopm = image_phys(io_map);
	b->msrpm = image_phys(msr_map);
	b->asid = asids > 1 ? 1 + next_asid++ % (asids - 1) : 1; /* a VCpu that was not the last one here flushes */
	b->v_intr = V_INTR_MASKING;
	b->np_enable = 1;
	b->n_cr3 = root;
	b->efer = EFER_SVME;
	b->cr4 = CR4_MCE;
	b->rflags = 2;
	b->dr7 = DR7_FIXED;
	b->g_pat = 0x0007040600070406ul;
}

static void read_control(const struct vmcb *b, struct vcpu_state *s)
{
	s->cr0 = b->cr0;
	s->cr3 = b->cr3;
	/* MCE is ours and always set; the guest's own bit is 0 exactly while its reads of CR4 are intercepted. */
	s->cr4 = b->cr_read & 1u << 4 ? b->cr4 & ~CR4_MCE : b->cr4;
	s->efer = b->efer & ~EFER_SVME;
}

static void write_control(struct vmcb *b, const volatile struct vcpu_state *s)
{
	uint64_t cr0 = s->cr0, cr3 = s->cr3, cr4 = s->cr4 & ~CR4_NOT_SWITCHED, efer = s->efer | EFER_SVME;

	/* What a write of these would flush on the CPU, the guest's global pages included, when the VMM does it instead. */
	if (cr0 != b->cr0 || cr3 != b->cr3 || (cr4 | CR4_MCE) != b->cr4 || efer != b->efer)
		b->tlb_control = 1;
	b->cr0 = cr0;
	b->cr2 = s->cr2;
	b->cr3 = cr3;
	b->cr4 = cr4 | CR4_MCE; /* R-CR-1 */
	b->cr_read = cr4 & CR4_MCE ? 0 : 1u << 4;
	b->efer = efer;
	b->v_intr = (b->v_intr & ~(uint64_t)V_TPR) | (s->cr8 & 0xf);
}

/* What every exit tells. SVM gives no instruction length except for I/O, and next RIP where CPUID says so. */
static void read_always(struct ec *v, struct vmcb *b, struct vcpu_state *s, uint32_t class)
{
	uint64_t next = class == EXIT_IO ? b->exit_info2 : b->next_rip;

	s->gpr[GPR_RAX] = b->rax;
	s->gpr[GPR_RSP] = b->rsp;
	s->rip = b->rip;
	s->inst_len = next - b->rip <= 15 ? (uint32_t)(next - b->rip) : 0;
	s->exit_class = class;
	s->exit_reason = b->exit_code;
	if (b->event_inj & EVENT_VALID) {
		/* Told to leave before it could enter: what was to be injected still is (svm_exit clears it). */
		v->vectoring_info = (uint32_t)b->event_inj;
		v->vectoring_error = (uint32_t)(b->event_inj >> 32);
		b->event_inj = 0;
	}
	s->vectoring_info = v->vectoring_info;
	s->vectoring_error = v->vectoring_error;
	v->vectoring_info = 0; /* told once */
	s->cr2 = b->cr2;
	s->rflags = b->rflags;
	s->interruptibility = b->interrupt_shadow & 1 ? VCPU_BLOCK_STI : 0;
	s->cpl = b->cpl;
	s->cr8 = b->v_intr & 0xf;
	if (!(b->v_intr & V_IRQ))
		s->virq = 0;
}

static void read_qualification(const struct vmcb *b, struct vcpu_state *s, uint32_t class)
{
	uint64_t code = b->exit_code;

	s->qualification = b->exit_info1;
	s->qualification2 = b->exit_info2;
	/* EXIT_IO: IN 0, string 2, REP 3, size 4-6, port 16-31 as APM 15.10.2 has them; EXIT_MSR: write 0. */
	if (class == EXIT_NESTED || class == EXIT_POISONED) {
		s->qualification = (b->exit_info1 & 0x12) | (b->exit_info1 >> 33 & 1 ? VCPU_NPF_WALK : 0);
	} else if (class == EXIT_CR || class == EXIT_DR) {
		s->qualification = (code & 0xf) | (code & 0x10 ? 1u << 8 : 0);
	} else if (class == EXIT_EXCEPTION) {
		uint32_t vector = (uint32_t)code & 0x1f;
		int error = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;

		s->intr_info = EVENT_VALID | EVENT_EXC | vector | (error ? EVENT_ERROR : 0);
		s->intr_error = error ? (uint32_t)b->exit_info1 : 0;
		s->qualification = b->exit_info2;
	}
}

void svm_vcpu_read(struct ec *v, uint32_t class, uint32_t groups)
{
	struct vmcb *b = vmcb_of(v);
	struct vcpu_state *s = v->state;

	read_always(v, b, s, class);
	if (class >= EXIT_IO)
		read_qualification(b, s, class);
	if (groups & VCPU_MTD_SEG)
		__builtin_memcpy(s->seg, b->seg, sizeof(s->seg));
	if (groups & VCPU_MTD_CR)
		read_control(b, s);
	if (groups & VCPU_MTD_DR) {
		s->dr6 = b->dr6;
		s->dr7 = b->dr7;
	}
	if (groups & VCPU_MTD_MSR) {
		s->msr = b->msr;
		s->pat = b->g_pat;
	}
}

static void write_inject(struct vmcb *b, const volatile struct vcpu_state *s)
{
	uint32_t info = s->inject_info, virq = s->virq;
	uint32_t type = info & EVENT_TYPE, vector = info & 0xff;

	b->event_inj = 0;
	if ((info & EVENT_VALID) && (type == EVENT_NMI || type == EVENT_SOFT || (type == EVENT_EXC && vector < 32)))
		b->event_inj = (info & (EVENT_VALID | EVENT_TYPE | 0xff)) |
			       /* R-REF-10: no error code in real mode */
			       (b->cr0 & CR0_PE ? (info & EVENT_ERROR) | (uint64_t)s->inject_error << 32 : 0);
	b->v_intr &= ~V_REQUEST;
	if (virq & EVENT_VALID)
		b->v_intr |= V_IRQ | V_PRIO(virq & 0xff) | V_VECTOR(virq & 0xff);
}

static void write_ctl(struct vmcb *b, const volatile struct vcpu_state *s)
{
	b->tsc_offset = s->tsc_offset;
	b->exceptions = s->exceptions | EXCEPTIONS_FORCED;
	b->misc1 = (b->misc1 & ~INTERCEPT_IRET) | (s->ctl_nmi_window ? INTERCEPT_IRET : 0);
}

static void write_rare(struct vmcb *b, const volatile struct vcpu_state *s, uint32_t groups)
{
	uint32_t i;

	if (groups & VCPU_MTD_SEG) {
		for (i = 0; i < SEG_COUNT; i++)
			b->seg[i] = s->seg[i];
		b->cpl = b->seg[SEG_SS].attr >> 5 & 3;
	}
	if (groups & VCPU_MTD_CR)
		write_control(b, s);
	if (groups & VCPU_MTD_DR) {
		b->dr6 = s->dr6 & 0xffffffff;
		b->dr7 = (s->dr7 & 0xffffffff) | DR7_FIXED;
	}
	if (groups & VCPU_MTD_MSR) {
		b->msr = s->msr;
		b->g_pat = s->pat;
	}
	if (groups & VCPU_MTD_CTL)
		write_ctl(b, s);
}

void svm_vcpu_write(struct ec *v, uint32_t groups)
{
	struct vmcb *b = vmcb_of(v);
	const volatile struct vcpu_state *s = v->state; /* the VMM can write it meanwhile: each field is read once */

	b->rax = s->gpr[GPR_RAX];
	b->rsp = s->gpr[GPR_RSP];
	if (groups & VCPU_MTD_RIP)
		b->rip = s->rip;
	if (groups & VCPU_MTD_FLAGS) {
		b->rflags = (s->rflags & RFLAGS_GUEST) | 2;
		b->interrupt_shadow = s->interruptibility & (VCPU_BLOCK_STI | VCPU_BLOCK_MOVSS) ? 1 : 0;
	}
	if (groups & ~(uint32_t)(VCPU_MTD_RIP | VCPU_MTD_FLAGS | VCPU_MTD_INJECT))
		write_rare(b, s, groups);
	if (groups & VCPU_MTD_INJECT)
		write_inject(b, s);
}

void svm_interrupted(struct ec *v, uint64_t *rip, uint32_t *cs, uint32_t *cpl)
{
	const struct vmcb *b = vmcb_of(v);

	*rip = b->rip;
	*cs = b->seg[SEG_CS].sel;
	*cpl = b->cpl;
}

void svm_flush(struct ec *v)
{
	vmcb_of(v)->tlb_control = 1;
}
