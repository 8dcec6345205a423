/* SPDX-License-Identifier: BSD-2-Clause */
/* Intel VMX: turning it on, a VCpu's VMCS, and guest state to and from the state page. */
#include <hal/hal.h>
#include "bochs.h"
#include "vmx.h"

#define MSR_FEATURE_CONTROL 0x3a
#define FEATURE_LOCK	    1u
#define FEATURE_VMX	    4u
#define MSR_VMX_BASIC	    0x480
#define MSR_VMX_PROC2	    0x48b
#define MSR_VMX_EPT_VPID    0x48c
#define BASIC_TRUE	    (1ul << 55) /* the capability MSRs that follow are the exact ones */
/* EPT: 4 levels, write-back, 2 MiB pages, INVEPT of one context; VPID: INVVPID of one context. */
#define EPT_VPID_NEEDED (1ul << 6 | 1ul << 14 | 1ul << 16 | 1ul << 20 | 1ul << 25 | 1ul << 32 | 1ul << 41)
#define EPT_VPID_AD	(1ul << 21)
#define EPTP_WB_4	(6u | 3u << 3)
#define EPTP_AD		(1u << 6)
#define RFLAGS_GUEST	0x3f7fd5ul
#define RFLAGS_TF	(1ul << 8)
#define DR6_FIXED	0xffff0ff0u
/* #MC is the kernel's (R-MC-2); #DB and #AC as in svm.c: their delivery could raise them again for ever. */
#define EXCEPTIONS_FORCED (1u << 18 | 1u << 1 | 1u << 17)
#define CR4_VMXE	  (1ul << 13)
/* VMXE, and as in svm.c what nobody switches: OSXSAVE, PKE, CET. */
#define CR4_NOT_SWITCHED (CR4_VMXE | 1ul << 18 | 1ul << 22 | 1ul << 23)
#define CR0_NE_BIT	 (1ul << 5)
#define CR0_CACHE	 (3ul << 29) /* CD, NW: the machine's caches are not the guest's */
#define CR0_OWNED	 (CR0_NE_BIT | CR0_CACHE)

static uint8_t io_bitmap[4096] __attribute__((aligned(4096)));
static uint8_t msr_bitmap[4096] __attribute__((aligned(4096)));

/* MSRs that the areas of the VMCS switch; in the host they are the same on all CPUs. */
struct msr_entry {
	uint32_t index, reserved;
	uint64_t value;
};
static struct msr_entry host_msrs[VMX_MSRS] __attribute__((aligned(16)));
static const uint32_t switched[VMX_MSRS] = {MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_FMASK, MSR_KERNEL_GS_BASE};
static uint32_t controls[5]; /* pin, processor, exit, entry, secondary: what every VMCS starts with */
static uint64_t eptp_bits;

/* Wanted bits with those that must be set; 0: the CPU cannot do one that is wanted. */
static uint32_t allowed(uint32_t msr, uint32_t wanted)
{
	uint64_t cap = rdmsr(msr);

	wanted |= (uint32_t)cap;
	return wanted & ~(uint32_t)(cap >> 32) ? 0 : wanted;
}

static void bitmaps_init(void)
{
	static const uint32_t own[] = {0x174,	  0x175,     0x176,	  MSR_STAR,    MSR_LSTAR,
				       MSR_CSTAR, MSR_FMASK, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE};
	uint32_t i;

	for (i = 0; i < 4096; i++)
		io_bitmap[i] = msr_bitmap[i] = 0xff;
	/* Reads of the low range, of the high one, then writes: 1,024 bytes each. */
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		uint32_t n = own[i] & 0x1fff, at = (own[i] >> 31 ? 1024 : 0) + n / 8;

		msr_bitmap[at] &= (uint8_t) ~(1u << n % 8);
		msr_bitmap[at + 2048] &= (uint8_t) ~(1u << n % 8);
	}
}

static const char *choose_controls(void)
{
	uint32_t exact = rdmsr(MSR_VMX_BASIC) & BASIC_TRUE ? 0x48d : 0x481, i;

	controls[0] = allowed(exact, PIN_EXTERNAL | PIN_NMI | PIN_VIRTUAL_NMIS | (IS_BOCHS() ? PIN_PREEMPTION : 0));
	controls[1] = allowed(exact + 1, PROC_TSC_OFFSET | PROC_HLT | PROC_MWAIT | PROC_RDPMC | PROC_CR8 | PROC_MOV_DR |
						 PROC_IO_BITMAPS | PROC_MSR_BITMAP | PROC_MONITOR | PROC_SECONDARY);
	controls[2] = allowed(exact + 2, EXIT_DEBUG | EXIT_HOST_64 | EXIT_PAT_EFER);
	controls[3] = allowed(exact + 3, ENTRY_DEBUG | ENTRY_PAT_EFER);
	controls[4] = allowed(MSR_VMX_PROC2, PROC2_EPT | PROC2_RDTSCP | PROC2_VPID | PROC2_WBINVD | PROC2_UNRESTRICTED);
	for (i = 0; i < 5; i++)
		if (!controls[i])
			return "this CPU's VT-x lacks a control that Cairn needs (EPT, VPID, unrestricted guest, virtual "
			       "NMIs): use a newer machine";
	if (~rdmsr(MSR_VMX_EPT_VPID) & EPT_VPID_NEEDED)
		return "this CPU's VT-x has no 2 MiB pages in EPT, or no INVEPT and INVVPID, which Cairn needs: use a newer "
		       "machine";
	eptp_bits = EPTP_WB_4 | (rdmsr(MSR_VMX_EPT_VPID) & EPT_VPID_AD ? EPTP_AD : 0);
	return NULL;
}

static void host_msrs_init(void)
{
	uint32_t i;

	for (i = 0; i < VMX_MSRS; i++)
		host_msrs[i] = (struct msr_entry){switched[i], 0, rdmsr(switched[i])};
}

const char *vmx_init(struct percpu *p)
{
	uint64_t feature = rdmsr(MSR_FEATURE_CONTROL), region = image_phys(p->host_save);
	const char *missing = p->cpu.index ? NULL : choose_controls();
	uint8_t failed;

	if ((feature & FEATURE_LOCK) && !(feature & FEATURE_VMX))
		return "VT-x is switched off by the firmware: enable it in the firmware's set-up";
	if (missing)
		return missing;
	if (!(feature & FEATURE_LOCK))
		wrmsr(MSR_FEATURE_CONTROL, feature | FEATURE_LOCK | FEATURE_VMX);
	if (!p->cpu.index) {
		bitmaps_init();
		host_msrs_init();
	}
	*(uint32_t *)p->host_save = (uint32_t)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	write_cr4(read_cr4() | CR4_VMXE);
	__asm__ volatile("vmxon %1; setna %0" : "=qm"(failed) : "m"(region) : "cc", "memory");
	return failed ? "VT-x could not be turned on (VMXON failed)" : NULL;
}

void vmcs_load(struct ec *v)
{
	struct cpu *cpu = hal_cpu();

	if (cpu->vmcs == v)
		return;
	if (cpu->vmcs)
		cpu->vmcs->launched = cpu->launched;
	__asm__ volatile("vmptrld %0" : : "m"(v->vmcb_phys) : "cc", "memory");
	cpu->vmcs = v;
	cpu->launched = v->launched;
	cpu->last_guest = NULL; /* another one's VMCS: hal_switch_guest looks again */
}

void proc_control(uint32_t bit, int on)
{
	uint64_t now = vmread(PROC_CONTROLS), then = on ? now | bit : now & ~(uint64_t)bit;

	if (now != then)
		vmwrite(PROC_CONTROLS, then);
}

extern char vmx_left[];

static void write_host(const struct ec *v)
{
	struct percpu *p = percpu_of(hal_cpu());

	vmwrite(HOST_CS, SEL_KCODE);
	vmwrite(HOST_SS, SEL_KDATA);
	vmwrite(HOST_TR, SEL_TSS);
	vmwrite(HOST_PAT, rdmsr(MSR_PAT));
	vmwrite(HOST_EFER, rdmsr(MSR_EFER));
	vmwrite(HOST_CR0, read_cr0() | CR0_TS); /* the guest's FPU state is live: vmx_exit says so */
	vmwrite(HOST_CR3, v->cr3);
	vmwrite(HOST_CR4, read_cr4());
	vmwrite(HOST_GS_BASE, (uint64_t)&p->cpu);
	vmwrite(HOST_TR_BASE, (uint64_t)&p->tss);
	vmwrite(HOST_GDTR_BASE, (uint64_t)p->gdt);
	vmwrite(HOST_IDTR_BASE, idt_base());
	vmwrite(HOST_RSP, p->cpu.stack_top - 8);
	vmwrite(HOST_RIP, (uint64_t)vmx_left);
}

static struct msr_entry *guest_msrs(struct ec *v)
{
	return (struct msr_entry *)v->guest_msrs;
}

/* clang-format off */
static void write_controls(struct ec *v)
{
	static uint32_t next_vpid;
	/* Host selectors and SYSENTER, masks of page faults, CR3 targets, debug control, activity and the like: 0. */
	static const uint16_t zeros[] = {0x0c00, 0x0c06, 0x0c08, 0x0c0a, 0x4c00, 0x6c06, 0x6c10, 0x6c12, 0x4006, 0x4008, 0x400a, 0x2802,
					 0x4826, 0x4016, 0x4824, 0x6006, 0x6822, 0x2806};
	uint64_t area = v->phys + offsetof(struct ec, guest_msrs);
	const struct {
		uint64_t field, value;
	} own[] = {
		{PIN_CONTROLS, controls[0]}, {PROC_CONTROLS, controls[1]}, {EXIT_CONTROLS, controls[2]}, {ENTRY_CONTROLS, controls[3]},
		{PROC2_CONTROLS, controls[4]}, {VPID, 1 + next_vpid++ % 0xffff /* a VCpu that was not the last one here flushes */},
		{IO_BITMAP_A, image_phys(io_bitmap)}, {IO_BITMAP_B, image_phys(io_bitmap)}, {MSR_BITMAP, image_phys(msr_bitmap)},
		{EXIT_MSR_STORE, area}, {ENTRY_MSR_LOAD, area}, {EXIT_MSR_STORE_COUNT, VMX_MSRS}, {ENTRY_MSR_LOAD_COUNT, VMX_MSRS},
		{EXIT_MSR_LOAD, image_phys(host_msrs)}, {EXIT_MSR_LOAD_COUNT, VMX_MSRS},
		{EXCEPTION_BITMAP, EXCEPTIONS_FORCED}, {VMCS_LINK, ~0ul}, {CR0_MASK, CR0_OWNED}, {CR4_MASK, ~0ul},
		{GUEST_PAT, 0x0007040600070406ul}, {GUEST_CR0, CR0_NE_BIT}, {GUEST_CR4, CR4_MCE | CR4_VMXE}, {GUEST_RFLAGS, 2},
		{GUEST_DR7, 0x400}, {PREEMPTION_TIMER, BOCHS_STAY /* no effect on a CPU */},
	};
	uint32_t i;

	for (i = 0; i < sizeof(zeros) / sizeof(zeros[0]); i++)
		vmwrite(zeros[i], 0);
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		vmwrite(own[i].field, own[i].value);
}
/* clang-format on */

void vmx_vcpu_init(struct ec *v, uint64_t root)
{
	uint32_t i;

	*(uint32_t *)hal_window(v->vmcb_phys) = (uint32_t)rdmsr(MSR_VMX_BASIC) & 0x7fffffff;
	__asm__ volatile("vmclear %0" : : "m"(v->vmcb_phys) : "cc", "memory");
	for (i = 0; i < VMX_MSRS; i++)
		guest_msrs(v)[i] = (struct msr_entry){switched[i], 0, 0};
	v->dr6 = DR6_FIXED;
	vmcs_load(v);
	write_host(v);
	write_controls(v);
	vmwrite(EPT_POINTER, root | eptp_bits);
}

/* Its memory is about to be something else. */
void vmx_vcpu_forget(struct ec *v)
{
	__asm__ volatile("vmclear %0" : : "m"(v->vmcb_phys) : "cc", "memory");
	if (hal_cpu()->vmcs == v)
		hal_cpu()->vmcs = NULL;
}

/*
 * INVEPT also drops what was cached of linear addresses through this EPT pointer (SDM 29.4.3.1); INVVPID what another VCpu with
 * the same number may have left, and what the guest's own writes of control registers would have flushed.
 */
void vmx_flush(struct ec *v)
{
	struct {
		uint64_t what, address;
	} ept, vpid;

	vmcs_load(v);
	hal_cpu()->last_guest = v;
	ept.what = vmread(EPT_POINTER);
	vpid.what = vmread(VPID);
	ept.address = vpid.address = 0;
	__asm__ volatile("invept %0, %1" : : "m"(ept), "r"(1ul) : "cc", "memory");
	__asm__ volatile("invvpid %0, %1" : : "m"(vpid), "r"(1ul) : "cc", "memory");
}

/* Numbers of the registers in the fields' encodings: ES to GS, LDTR, TR; the others have fields of their own. */
static const uint8_t seg_number[SEG_COUNT] = {0, 1, 2, 3, 4, 5, 8, 6, 9, 7};

static void read_segments(struct vcpu_state *s)
{
	uint32_t i;

	for (i = 0; i < SEG_COUNT; i++) {
		uint32_t n = 2u * seg_number[i];

		s->seg[i].base = vmread(GUEST_BASE + n);
		s->seg[i].limit = (uint32_t)vmread(GUEST_LIMIT + n);
		if (i != SEG_GDTR && i != SEG_IDTR) {
			uint64_t rights = vmread(GUEST_RIGHTS + n);

			s->seg[i].sel = (uint16_t)vmread(GUEST_SEL + n);
			/* Unusable: not present, with its privilege level, which is the CPU's for SS. */
			s->seg[i].attr = (uint16_t)(rights & RIGHTS_UNUSABLE ? rights & 0x60
									     : (rights & 0xff) | (rights >> 4 & 0xf00));
		}
	}
}

static void write_segments(const volatile struct vcpu_state *s)
{
	uint32_t i;

	for (i = 0; i < SEG_COUNT; i++) {
		uint32_t n = 2u * seg_number[i], limit = s->seg[i].limit, attr = s->seg[i].attr;

		vmwrite(GUEST_BASE + n, s->seg[i].base);
		if (i == SEG_GDTR || i == SEG_IDTR) {
			vmwrite(GUEST_LIMIT + n, limit & 0xffff);
			continue;
		}
		vmwrite(GUEST_LIMIT + n, limit);
		vmwrite(GUEST_SEL + n, s->seg[i].sel);
		vmwrite(GUEST_RIGHTS + n, (attr & 0xff) | (attr & 0xf00) << 4 | (attr & 0x80 ? 0 : RIGHTS_UNUSABLE));
	}
}

static void read_control(struct vcpu_state *s)
{
	s->cr0 = (vmread(GUEST_CR0) & ~CR0_OWNED) | (vmread(CR0_SHADOW) & CR0_OWNED);
	s->cr3 = vmread(GUEST_CR3);
	s->cr4 = vmread(CR4_SHADOW);
	s->efer = vmread(GUEST_EFER);
}

static void write_control(struct ec *v, const volatile struct vcpu_state *s)
{
	uint64_t cr0 = s->cr0, cr4 = s->cr4 & ~CR4_NOT_SWITCHED, efer = s->efer;

	v->cr2 = s->cr2;
	v->tpr = s->cr8 & 0xf;
	vmwrite(GUEST_CR0, (cr0 & ~CR0_CACHE) | CR0_NE_BIT);
	vmwrite(CR0_SHADOW, cr0);
	vmwrite(GUEST_CR3, s->cr3);
	vmwrite(GUEST_CR4, cr4 | CR4_MCE | CR4_VMXE); /* R-CR-1 */
	vmwrite(CR4_SHADOW, cr4);
	vmwrite(GUEST_EFER, efer);
	vmwrite(ENTRY_CONTROLS, controls[3] | (efer >> 10 & 1 ? ENTRY_GUEST_64 : 0)); /* EFER.LMA */
	hal_cpu()->last_guest = NULL; /* flushes what the write of one of these would */
}

/* An address that the CPU refuses would make the entry fail: the nearest that it accepts. */
static uint64_t canonical(uint64_t a)
{
	return (uint64_t)((int64_t)(a << 16) >> 16);
}

static void read_msrs(struct ec *v, struct vcpu_state *s)
{
	const struct msr_entry *m = guest_msrs(v);

	s->msr = (struct vcpu_msrs){m[0].value,
				    m[1].value,
				    m[2].value,
				    m[3].value,
				    m[4].value,
				    vmread(GUEST_SYSENTER_CS),
				    vmread(GUEST_SYSENTER_ESP),
				    vmread(GUEST_SYSENTER_EIP)};
	s->pat = vmread(GUEST_PAT);
}

static void write_msrs(struct ec *v, const volatile struct vcpu_state *s)
{
	const struct vcpu_msrs r = s->msr;
	const uint64_t value[VMX_MSRS] = {r.star, canonical(r.lstar), canonical(r.cstar), r.sfmask & 0xffffffff,
					  canonical(r.kernel_gs_base)};
	uint32_t i;

	for (i = 0; i < VMX_MSRS; i++)
		guest_msrs(v)[i].value = value[i];
	vmwrite(GUEST_SYSENTER_CS, r.sysenter_cs);
	vmwrite(GUEST_SYSENTER_ESP, r.sysenter_esp);
	vmwrite(GUEST_SYSENTER_EIP, r.sysenter_eip);
	vmwrite(GUEST_PAT, s->pat);
}

static void read_always(struct ec *v, struct vcpu_state *s, uint32_t class)
{
	uint64_t entry = vmread(ENTRY_INTR_INFO);

	s->gpr[GPR_RSP] = vmread(GUEST_RSP);
	s->rip = vmread(GUEST_RIP);
	s->exit_class = class;
	s->exit_reason = v->reason;
	if (entry & EVENT_VALID) {
		/* It never entered: an interrupt is still to be taken, what was to be injected still is. */
		vmwrite(ENTRY_INTR_INFO, 0);
		if ((entry & EVENT_TYPE) == EVENT_INTR) {
			v->virq = EVENT_VALID | (entry & 0xff);
		} else {
			v->vectoring_info = (uint32_t)entry;
			v->vectoring_error = (uint32_t)vmread(ENTRY_ERROR);
		}
	}
	/* The length is that of the instruction whose exit, or software interrupt, it was; a nested fault has none. */
	s->inst_len = v->vectoring_info || (class != EXIT_NESTED && class != EXIT_POISONED && class > EXIT_RECALL)
			      ? (uint32_t)vmread(EXIT_LENGTH) & 0xf
			      : 0;
	s->vectoring_info = v->vectoring_info;
	s->vectoring_error = v->vectoring_error;
	v->vectoring_info = 0; /* told once */
	s->cr2 = v->cr2;
	s->rflags = vmread(GUEST_RFLAGS);
	s->interruptibility =
		(uint32_t)vmread(GUEST_INTERRUPTIBILITY) & (VCPU_BLOCK_STI | VCPU_BLOCK_MOVSS | VCPU_BLOCK_NMI);
	s->cpl = vmread(GUEST_SS_RIGHTS) >> 5 & 3;
	s->cr8 = v->tpr;
	if (!v->virq)
		s->virq = 0;
}

/* What the classes' qualifications in cairn/vcpu.h say, from the CPU's (SDM 28.2.1). */
static void read_qualification(struct vcpu_state *s, uint32_t class, uint32_t reason)
{
	uint64_t q = vmread(QUALIFICATION), size = (q & 7) + 1;

	s->qualification = q;
	if (class == EXIT_IO) {
		s->qualification = (q & 0xffff0000) | size << 4 | (q & 8 ? VCPU_IO_IN : 0) |
				   (q & 0x10 ? VCPU_IO_STRING : 0) | (q & 0x20 ? VCPU_IO_REP : 0);
	} else if (class == EXIT_MSR) {
		s->qualification = reason == REASON_WRMSR;
	} else if (class == EXIT_NESTED || class == EXIT_POISONED) {
		s->qualification = (q & 2 ? VCPU_NPF_WRITE : 0) | (q & 4 ? VCPU_NPF_FETCH : 0) |
				   ((q & 0x180) == 0x80 ? VCPU_NPF_WALK : 0);
		s->qualification2 = vmread(GUEST_PHYSICAL_ADDRESS);
	} else if (class == EXIT_CR) {
		s->qualification = (q & 0xf) | ((q >> 4 & 3) == 1 ? 0 : 1u << 8); /* only MOV from CR reads */
	} else if (class == EXIT_DR) {
		s->qualification = (q & 7) | (q & 0x10 ? 0 : 1u << 8);
	} else if (class == EXIT_EXCEPTION) {
		s->intr_info = ((uint32_t)vmread(EXIT_INTR_INFO) & (EVENT_VALID | EVENT_ERROR | 0xff)) | EVENT_EXC;
		s->intr_error = s->intr_info & EVENT_ERROR ? (uint32_t)vmread(EXIT_ERROR) : 0;
	}
}

void vmx_vcpu_read(struct ec *v, uint32_t class, uint32_t groups)
{
	struct vcpu_state *s = v->state;

	vmcs_load(v);
	read_always(v, s, class);
	if (class >= EXIT_IO)
		read_qualification(s, class, (uint32_t)v->reason);
	if (groups & VCPU_MTD_SEG)
		read_segments(s);
	if (groups & VCPU_MTD_CR)
		read_control(s);
	if (groups & VCPU_MTD_DR) {
		/* The CPU left DR6 as it was: the causes of a #DB are in the qualification. */
		if (class == EXIT_EXCEPTION && (s->intr_info & 0xff) == 1)
			v->dr6 = (v->dr6 & ~0xful) | (s->qualification & 0x600f);
		s->dr6 = v->dr6;
		s->dr7 = vmread(GUEST_DR7);
	}
	if (groups & VCPU_MTD_MSR)
		read_msrs(v, s);
}

void virq_offer(struct ec *v)
{
	int can = 0;

	if (v->virq && (v->virq >> 4 & 0xf) > v->tpr) {
		can = (vmread(GUEST_RFLAGS) & RFLAGS_IF) &&
		      !(vmread(GUEST_INTERRUPTIBILITY) & (VCPU_BLOCK_STI | VCPU_BLOCK_MOVSS)) &&
		      !(vmread(ENTRY_INTR_INFO) & EVENT_VALID);
		proc_control(PROC_INTR_WINDOW, !can);
		if (can) {
			vmwrite(ENTRY_INTR_INFO, EVENT_VALID | EVENT_INTR | (v->virq & 0xff));
			v->virq = 0;
		}
	} else {
		proc_control(PROC_INTR_WINDOW, 0);
	}
}

static void write_inject(struct ec *v, const volatile struct vcpu_state *s)
{
	uint32_t info = s->inject_info, virq = s->virq;
	uint32_t type = info & EVENT_TYPE, vector = info & 0xff;

	vmwrite(ENTRY_INTR_INFO, 0);
	if ((info & EVENT_VALID) && (type == EVENT_NMI || type == EVENT_SOFT || (type == EVENT_EXC && vector < 32))) {
		if (!(vmread(GUEST_CR0) & CR0_PE))
			info &= ~EVENT_ERROR; /* R-REF-10: no error code in real mode */
		vmwrite(ENTRY_INTR_INFO, info & (EVENT_VALID | EVENT_ERROR | EVENT_TYPE | 0xff));
		vmwrite(ENTRY_ERROR, s->inject_error);
		vmwrite(ENTRY_LENGTH, s->inject_len);
	}
	v->virq = virq & EVENT_VALID ? EVENT_VALID | (virq & 0xff) : 0;
}

static void write_rare(struct ec *v, const volatile struct vcpu_state *s, uint32_t groups)
{
	if (groups & VCPU_MTD_SEG)
		write_segments(s);
	if (groups & VCPU_MTD_CR)
		write_control(v, s);
	if (groups & VCPU_MTD_DR) {
		v->dr6 = s->dr6 & 0xffffffff;
		vmwrite(GUEST_DR7, (s->dr7 & 0xffffffff) | 0x400);
	}
	if (groups & VCPU_MTD_MSR)
		write_msrs(v, s);
	if (groups & VCPU_MTD_CTL) {
		vmwrite(TSC_OFFSET, s->tsc_offset);
		vmwrite(EXCEPTION_BITMAP, s->exceptions | EXCEPTIONS_FORCED);
		proc_control(PROC_NMI_WINDOW, s->ctl_nmi_window != 0);
	}
}

void vmx_vcpu_write(struct ec *v, uint32_t groups)
{
	const volatile struct vcpu_state *s = v->state; /* the VMM can write it meanwhile: each field is read once */
	uint64_t rflags, block;

	vmcs_load(v);
	vmwrite(GUEST_RSP, s->gpr[GPR_RSP]);
	if (groups & VCPU_MTD_RIP)
		vmwrite(GUEST_RIP, s->rip);
	if (groups & VCPU_MTD_FLAGS) {
		rflags = (s->rflags & RFLAGS_GUEST) | 2;
		block = s->interruptibility & (VCPU_BLOCK_STI | VCPU_BLOCK_MOVSS | VCPU_BLOCK_NMI);
		vmwrite(GUEST_RFLAGS, rflags);
		vmwrite(GUEST_INTERRUPTIBILITY, block);
		/* SDM 27.3.1.5: a single step that waits behind the shadow */
		vmwrite(GUEST_PENDING_DEBUG, (rflags & RFLAGS_TF) && (block & 3) ? 1u << 14 : 0);
	}
	if (groups & ~(uint32_t)(VCPU_MTD_RIP | VCPU_MTD_FLAGS | VCPU_MTD_INJECT))
		write_rare(v, s, groups);
	if (groups & VCPU_MTD_INJECT)
		write_inject(v, s);
	virq_offer(v);
}

void vmx_interrupted(struct ec *v, uint64_t *rip, uint32_t *cs, uint32_t *cpl)
{
	vmcs_load(v);
	*rip = vmread(GUEST_RIP);
	*cs = (uint32_t)vmread(GUEST_CS_SEL);
	*cpl = vmread(GUEST_SS_RIGHTS) >> 5 & 3;
}
