/* SPDX-License-Identifier: BSD-2-Clause */
/* The harvest of machine-check banks: #MC stub in C, poll, fatal end. Bounded by the number of banks; takes no lock. */
#include <core/caps.h>
#include <core/smp.h>
#include <hal/hal.h>
#include "../arch.h"

#define STATUS_VAL   (1ul << 63)
#define STATUS_UC    (1ul << 61)
#define STATUS_MISCV (1ul << 59)
#define STATUS_ADDRV (1ul << 58)
#define STATUS_PCC   (1ul << 57)
#define STATUS_S     (1ul << 56)
#define MCG_RIPV     (1ul << 0)
#define MCG_MCIP     (1ul << 2)
#define MCG_LMCE     (1ul << 3)
#define MCG_CTL_P    (1ul << 8)
#define MCG_SER_P    (1ul << 24)
#define MAX_BANKS    32u      /* as many as the ring takes without an exception */
#define MEET_US	     1000000u /* for all CPUs to come: firmware may hold one for long */
#define LATE_US	     2000000u /* in which a late one may still belong to an error that others have found */

#define CPL(cs) ((cs)&3)

/* Built by mc_entry on the machine-check stack. */
struct mc_frame {
	uint64_t gpr[15]; /* r15 r14 r13 r12 r11 r10 r9 r8 rdi rsi rbp rbx rdx rcx rax */
	uint64_t rip, cs, rflags, rsp, ss;
	struct cpu *cpu;
};

#define FRAME_RDI 8
#define FRAME_RSI 9

/* struct cpu's mc_stage; 0: in no machine check. */
enum { MEET_ARRIVED = 1, MEET_SCANNED = 2 };

enum mc_return { MC_TO_USER = 0, MC_TO_KERNEL = 1, MC_TO_NMI = 2 };

struct mc_exit {
	uint64_t rsp, how;
};

uint64_t mcg_cap;
static uint64_t found_tsc; /* of the last record that an exception left, on any CPU; 0: there was none */

extern char syscall_entry[], syscall_entry_stack[], sysret_window[], sysret_window_end[];
extern char vmx_window[] __attribute__((weak)), vmx_window_end[] __attribute__((weak)), vmx_abort[] __attribute__((weak));
extern char handler_window[], handler_window_end[];
extern char guest_left[] __attribute__((weak)), guest_left_end[] __attribute__((weak)), guest_mc[], guest_mc_end[], idle[],
	idle_end[];
extern char hal_copy_end[], hal_copy_fixup[];

static int within(uint64_t rip, const char *from, const char *to)
{
	return rip >= (uint64_t)from && rip < (uint64_t)to;
}

static const char *const contexts[] = {"poll", "guest-user", "guest-kernel", "kernel", "server", "idle"};

static void print_record(const struct mca_record *r)
{
	print("cairn: record cpu %lu bank %lu status 0x%lx addr 0x%lx misc 0x%lx mcg 0x%lx rip 0x%lx cs 0x%lx "
	      "context %s label 0x%lx\n",
	      (uint64_t)r->cpu, (uint64_t)r->bank, r->status, r->addr, r->misc, r->mcg_status, r->rip, (uint64_t)r->cs,
	      contexts[r->context], (uint64_t)r->label);
}

static _Noreturn void fatal(const char *why, const struct mca_record *r)
{
	stop_others();
	print("\ncairn: fatal machine check: %s\n", why);
	print_record(r);
	stop();
}

_Noreturn void hal_mca_fatal(const char *why, uint64_t where)
{
	stop_others();
	print("\ncairn: fatal machine check: %s 0x%lx\n", why, where);
	stop();
}

/* Bank `i`, if it holds an error: 1. */
static int read_bank(uint32_t i, struct mca_record *r)
{
	r->status = rdmsr(MSR_MC0_CTL + 1 + 4 * i);
	if (!(r->status & STATUS_VAL))
		return 0;
	r->bank = i;
	r->addr = r->status & STATUS_ADDRV ? rdmsr(MSR_MC0_CTL + 2 + 4 * i) : 0;
	r->misc = r->status & STATUS_MISCV ? rdmsr(MSR_MC0_CTL + 3 + 4 * i) : 0;
	r->mcg_cap = mcg_cap;
	r->tsc = rdtsc();
	return 1;
}

/* What the exception interrupted; behind an NMI, what that interrupted. */
static void find_context(struct cpu *cpu, const struct mc_frame *f, struct mca_record *r)
{
	const struct percpu *p = percpu_of(cpu);
	uint64_t nmi_top = (uint64_t)p->ist_nmi + IST_SIZE, rip = f->rip, cs = f->cs;
	struct ec *e = cpu->current;
	uint32_t cpl;

	if (!CPL(cs) && f->rsp >= (uint64_t)p->ist_nmi && f->rsp < nmi_top) {
		rip = ((const uint64_t *)nmi_top)[-5];
		cs = ((const uint64_t *)nmi_top)[-4];
	}
	r->rip = rip;
	r->cs = (uint32_t)cs;
	if (CPL(cs)) {
		r->context = MCA_CTX_SERVER;
		r->label = e ? e->label : 0;
	} else if ((within(rip, guest_left, guest_left_end) || within(rip, guest_mc, guest_mc_end)) && e &&
		   e->kind == EC_VCPU) {
		guest_interrupted(e, &r->rip, &r->cs, &cpl);
		r->context = cpl == 3 ? MCA_CTX_GUEST_USER : MCA_CTX_GUEST_KERNEL;
		r->label = e->label;
	} else if (within(rip, idle, idle_end + 1)) { /* a woken HLT's RIP is behind it */
		r->context = MCA_CTX_IDLE;
	} else {
		r->context = MCA_CTX_KERNEL;
	}
}

static int in_kernel(const struct mca_record *r)
{
	return r->context == MCA_CTX_KERNEL || r->context == MCA_CTX_IDLE;
}

/* Why a record cannot be left to user level; NULL: it can. */
static const char *why_fatal(const struct mca_record *r)
{
	uint8_t type = hal_page_byte(r->addr) & PAGE_TYPE;

	if (r->status & STATUS_PCC)
		return "processor context corrupt";
	if (!(r->mcg_status & MCG_MCIP))
		return "exception without MCIP";
	if (!(r->mcg_status & MCG_RIPV) && in_kernel(r))
		return "the kernel cannot be restarted";
	if ((r->status & STATUS_ADDRV) && type != PAGE_USER && type != PAGE_GUEST_PT)
		return "the memory belongs to the kernel";
	if (!mca_bound())
		return "no mca-server";
	return NULL;
}

/* The same error at the same place twice running, in the kernel, will not go away. */
static int repeated(const struct mca_record *r)
{
	struct percpu *p = &percpus[r->cpu];
	int again = r->context == MCA_CTX_KERNEL && r->rip == p->mc_rip && r->addr == p->mc_addr;

	p->mc_rip = r->context == MCA_CTX_KERNEL ? r->rip : 0;
	p->mc_addr = r->addr;
	return again;
}

/* Is this the exception's error? Uncorrected errors that need no action (UCNA, SDM 15.6.3) are left to the poll. */
static int signalled(const struct mca_record *r)
{
	if (!(r->status & STATUS_UC))
		return 0;
	return cpu_vendor != VENDOR_INTEL || !(mcg_cap & MCG_SER_P) || (r->status & (STATUS_S | STATUS_PCC));
}

static void check_fatal(const struct mca_record *r, int first)
{
	const char *why = why_fatal(r);

	if (!why && first && repeated(r))
		why = "the same error again";
	if (why)
		fatal(why, r); /* the bank is left for whoever looks after the reset */
}

static void keep(struct cpu *cpu, struct mca_record *r)
{
	if (!mca_push(cpu, r, 0))
		fatal("the record ring is full", r);
}

static void clear_banks(uint32_t banks)
{
	for (; banks; banks &= banks - 1)
		wrmsr(MSR_MC0_CTL + 1 + 4 * (uint32_t)__builtin_ctz(banks), 0);
}

/*
 * Where the hardware broadcasts machine checks, the CPUs meet before they look at their banks and before they clear them and
 * leave: a fatal error of one stops all, and a bank that several share shows its error to each. One that does not come is
 * not waited for longer than MEET_US: it is late, and finds then that others have found the error, or it is dead.
 */
static void meet(struct cpu *cpu, uint64_t mcg_status, uint32_t stage)
{
	uint64_t start = rdtsc();
	uint32_t i;

	__atomic_store_n(&cpu->mc_stage, stage, __ATOMIC_RELEASE);
	if (cpu_vendor != VENDOR_INTEL || (mcg_status & MCG_LMCE))
		return;
	/* One that has not come (stage before MEET_ARRIVED) is not waited for a second time. */
	for (i = 0; i < cpu_count; i++)
		while (__atomic_load_n(&cpus[i]->mc_stage, __ATOMIC_ACQUIRE) == stage - 1 &&
		       rdtsc() - start < hal_ticks(MEET_US))
			hal_relax();
}

/* Has nobody found the error that brought this CPU here at `arrived`? Another may find it later than that. */
static int unexplained(uint64_t arrived)
{
	uint64_t found = __atomic_load_n(&found_tsc, __ATOMIC_ACQUIRE);

	return !found || (int64_t)(arrived - found) > (int64_t)hal_ticks(LATE_US);
}

/* Did hal_copy consume the error? Then only that copy fails. */
static uint32_t copy_hit(const struct mc_frame *f, const struct mca_record *r)
{
	uint64_t page = WINDOW_VA + (r->addr & ~(PAGE_SIZE_4K - 1));

	return within(f->rip, (const char *)hal_copy, hal_copy_end) && (r->status & STATUS_ADDRV) &&
	       ((f->gpr[FRAME_RDI] & ~(PAGE_SIZE_4K - 1)) == page || (f->gpr[FRAME_RSI] & ~(PAGE_SIZE_4K - 1)) == page);
}

/* 1: the page that hal_copy was at is the one that was lost. */
static int harvest(struct cpu *cpu, const struct mc_frame *f)
{
	struct mca_record r = {0}, kept;
	uint64_t arrived = rdtsc();
	uint32_t i, found = 0, copy = 0, taken = 0;

	r.mcg_status = rdmsr(MSR_MCG_STATUS);
	r.cpu = cpu->index;
	r.epoch = __atomic_add_fetch(&mc_epoch, 1, __ATOMIC_ACQ_REL); /* from here on no VM enters */
	lapic_broadcast(ICR_ALL | VECTOR_MCA);
	find_context(cpu, f, &r);
	meet(cpu, r.mcg_status, MEET_ARRIVED);
	for (i = 0; i < percpu_of(cpu)->banks; i++) {
		if (!read_bank(i, &r) || !signalled(&r))
			continue;
		copy |= copy_hit(f, &r);
		check_fatal(&r, !found && !copy);
		taken |= 1u << i;
		if (found++)
			keep(cpu, &kept); /* one behind, so that the last one can be marked */
		kept = r;
	}
	if (found) {
		kept.last = 1;
		keep(cpu, &kept);
		__atomic_store_n(&found_tsc, rdtsc(), __ATOMIC_RELEASE);
	}
	meet(cpu, r.mcg_status, MEET_SCANNED);
	if (!found && unexplained(arrived))
		fatal("no bank holds an error", &r);
	if (!found && !(r.mcg_status & MCG_RIPV) && in_kernel(&r))
		fatal("the kernel cannot be restarted", &r);
	clear_banks(taken);
	cpu->mc_stage = 0;
	__atomic_add_fetch(&mc_complete, 1, __ATOMIC_ACQ_REL);
	cpu->mc_exceptions++;
	cpu->mc_pending = 1;
	cpu->mc_sequence = mca_sequence(cpu);
	if ((found || !(r.mcg_status & MCG_RIPV)) && (!in_kernel(&r) || copy)) {
		cpu->mc_context = cpu->current;
		cpu->mc_restartable = (r.mcg_status & MCG_RIPV) != 0;
	}
	cpu->resched = 1;
	return (int)copy;
}

static void save_user(struct cpu *cpu, const struct mc_frame *f)
{
	static const uint8_t order[15] = {GPR_R15, GPR_R14, GPR_R13, GPR_R12, GPR_R11, GPR_R10, GPR_R9, GPR_R8,
					  GPR_RDI, GPR_RSI, GPR_RBP, GPR_RBX, GPR_RDX, GPR_RCX, GPR_RAX};
	struct ec *e = cpu->current;
	uint32_t i;

	for (i = 0; i < 15; i++)
		e->gpr[order[i]] = f->gpr[i];
	e->gpr[GPR_RSP] = f->rsp;
	e->rip = f->rip;
	e->rflags = f->rflags;
	e->mode = MODE_IRET;
}

struct mc_exit mc_record(const struct mc_frame *f, struct cpu *cpu)
{
	struct percpu *p = percpu_of(cpu);
	struct mc_exit x;
	uint64_t *to, rip = f->rip, i;
	int copy = harvest(cpu, f);

	if (CPL(f->cs)) {
		save_user(cpu, f);
		return (struct mc_exit){0, MC_TO_USER};
	}
	if (copy)
		rip = (uint64_t)hal_copy_fixup;
	if (within(rip, vmx_window, vmx_window_end))
		rip = (uint64_t)vmx_abort;
	to = (uint64_t *)(f->rsp & ~7ul);
	if (within(rip, syscall_entry, syscall_entry_stack) || within(rip, sysret_window, sysret_window_end) ||
	    within(rip, handler_window, handler_window_end))
		to = (uint64_t *)(p->mc_alternate + sizeof(p->mc_alternate));
	if (f->rsp >= (uint64_t)p->ist_nmi && f->rsp < (uint64_t)p->ist_nmi + IST_SIZE) {
		*--to = rip;
		*--to = f->rflags;
		x.how = MC_TO_NMI;
	} else {
		*--to = f->ss;
		*--to = f->rsp;
		*--to = f->rflags;
		*--to = f->cs;
		*--to = rip;
		x.how = MC_TO_KERNEL;
	}
	for (i = 15; i; i--)
		*--to = f->gpr[i - 1];
	x.rsp = (uint64_t)to;
	return x;
}

/* Puts records of what the banks hold outside an exception into the ring. */
static void take_banks(struct cpu *cpu, uint32_t context)
{
	struct mca_record r = {.context = context, .last = 1};
	uint32_t i;

	for (i = 0; i < percpu_of(cpu)->banks; i++) {
		uint64_t exceptions = cpu->mc_exceptions;

		if (!read_bank(i, &r) || (context == MCA_CTX_POLL && (signalled(&r) || (r.status & STATUS_PCC))))
			continue;
		/* A machine check in between has taken the bank: this copy is dropped. Full: it stays in its bank. */
		if (cpu->mc_exceptions != exceptions || !mca_push(cpu, &r, 1))
			continue;
		wrmsr(MSR_MC0_CTL + 1 + 4 * i, 0);
	}
}

void hal_mca_poll(void)
{
	take_banks(hal_cpu(), MCA_CTX_POLL);
}

/* Banks survive a reset: what they hold now is no error of this life. */
void mca_init(struct cpu *cpu)
{
	struct cpuid c = cpuid(1, 0);
	uint32_t i, banks;

	if (!(c.d & 1u << 14) || !(c.d & 1u << 7))
		return;
	mcg_cap = rdmsr(MSR_MCG_CAP);
	banks = mcg_cap & 0xff;
	if (banks > MAX_BANKS)
		banks = MAX_BANKS;
	percpu_of(cpu)->banks = banks;
	if (mcg_cap & MCG_CTL_P)
		wrmsr(MSR_MCG_CTL, ~0ul);
	for (i = 0; i < banks; i++)
		wrmsr(MSR_MC0_CTL + 4 * i, ~0ul);
	take_banks(cpu, MCA_CTX_RESET);
	wrmsr(MSR_MCG_STATUS, 0);
}
