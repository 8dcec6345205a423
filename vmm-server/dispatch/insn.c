/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions: lengths the CPU does not tell, and emulation. */
#include <string.h>
#include <cairn/guestmem.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include "dispatch/exit.h"

#define WORD 8u
#define PAGE 0x1000u

#define CR4_TSD	 (1ull << 2)
#define CR4_UMIP (1ull << 11)

unsigned insn_length(struct vcpu *v, enum emu_op op)
{
	return v->state->inst_len ? v->state->inst_len : insn_remembered(v, op);
}

static void remember(struct vcpu *v, const struct emu_insn *insn, const uint8_t *bytes,
		     uint64_t gpa)
{
	struct insn_place *place = insn_place(v, v->state->rip);

	if (insn->length > WORD || gpa % PAGE > PAGE - WORD || !vm_is_ram(gpa))
		return;
	place->rip = v->state->rip;
	place->at = vm.ram + gpa;
	place->mask = ~0ull >> (WORD - insn->length) * 8;
	memcpy(&place->bytes, bytes, WORD);
	place->bytes &= place->mask;
	place->length = insn->length;
	place->op = insn->op;
}

void redo_with_all_state(struct vcpu *v, int32_t port)
{
	v->redo = true;
	v->redo_rip = v->state->rip;
	v->redo_port = port;
	v->redo_size = VCPU_IO_SIZE(v->state->qualification);
	if (cairn_recall(SEL_VCPU + v->index) != CAIRN_OK)
		cairn_log("cannot recall vCPU %u", v->index);
}

static void do_cpuid(struct vcpu *v, unsigned length)
{
	uint64_t *gpr = v->state->gpr;
	const struct cpuid_regs *regs =
		cpuid_lookup(&v->cpuid, (uint32_t)gpr[GPR_RAX], (uint32_t)gpr[GPR_RCX]);

	gpr[GPR_RAX] = regs->eax;
	gpr[GPR_RBX] = regs->ebx;
	gpr[GPR_RCX] = regs->ecx;
	gpr[GPR_RDX] = regs->edx;
	retire(v, length);
}

static void do_rdmsr(struct vcpu *v, unsigned length)
{
	uint64_t value;

	if (msr_read(v, (uint32_t)v->state->gpr[GPR_RCX], &value) != MSR_DONE) {
		raise_gp(v);
		return;
	}
	v->state->gpr[GPR_RAX] = (uint32_t)value;
	v->state->gpr[GPR_RDX] = value >> 32;
	retire(v, length);
}

static void do_wrmsr(struct vcpu *v, unsigned length)
{
	uint64_t value = (uint32_t)v->state->gpr[GPR_RAX] | v->state->gpr[GPR_RDX] << 32;

	if (msr_write(v, (uint32_t)v->state->gpr[GPR_RCX], value) != MSR_DONE)
		raise_gp(v);
	else
		retire(v, length);
}

static void do_rdtsc(struct vcpu *v, unsigned length)
{
	uint64_t tsc = vcpu_tsc(v);

	v->state->gpr[GPR_RAX] = (uint32_t)tsc;
	v->state->gpr[GPR_RDX] = tsc >> 32;
	retire(v, length);
}

static bool is_privileged(enum emu_op op, uint64_t cr4)
{
	switch (op) {
	case EMU_RDTSC:
		return cr4 & CR4_TSD;
	case EMU_SMSW:
		return cr4 & CR4_UMIP;
	case EMU_RDMSR:
	case EMU_WRMSR:
	case EMU_MOV_FROM_CR:
	case EMU_MOV_TO_CR:
	case EMU_CLTS:
	case EMU_LMSW:
	case EMU_MOV_FROM_DR:
	case EMU_MOV_TO_DR:
	case EMU_HLT:
	case EMU_INVD:
	case EMU_WBINVD:
	case EMU_INVLPG:
	case EMU_RDPMC:
		return true;
	default:
		return false;
	}
}

/* Instructions that emu_execute only names. */
static void do_named(struct vcpu *v, const struct emu_insn *insn)
{
	/* The CPU checked what exited; another vCPU may have put something else in its place. */
	if (v->state->cpl != 0 && is_privileged(insn->op, v->state->cr4)) {
		raise_gp(v);
		return;
	}
	switch (insn->op) {
	case EMU_CPUID:
		do_cpuid(v, insn->length);
		break;
	case EMU_RDMSR:
		do_rdmsr(v, insn->length);
		break;
	case EMU_WRMSR:
		do_wrmsr(v, insn->length);
		break;
	case EMU_RDTSC:
		do_rdtsc(v, insn->length);
		break;
	case EMU_MOV_FROM_CR:
	case EMU_MOV_TO_CR:
	case EMU_CLTS:
	case EMU_LMSW:
	case EMU_SMSW:
		cr_emulate(v, insn);
		break;
	case EMU_MOV_FROM_DR:
	case EMU_MOV_TO_DR:
		dr_emulate(v, insn);
		break;
	case EMU_HLT:
		v->halted = true;
		retire(v, insn->length);
		break;
	case EMU_INVD: /* caches are coherent and shared: nothing to do that the guest could see */
	case EMU_WBINVD:
	case EMU_INVLPG:
	case EMU_PAUSE:
		retire(v, insn->length);
		break;
	case EMU_RDPMC: /* no counters are offered */
		raise_gp(v);
		break;
	default: /* VMX, SVM, XSETBV, MONITOR, MWAIT, RDTSCP …: not offered */
		raise_ud(v);
		break;
	}
}

static void report_unsupported(struct vcpu *v, const uint8_t *bytes, unsigned n)
{
	if (!first_time(0x1000000ull | (uint64_t)bytes[0] << 8 | (n > 1 ? bytes[1] : 0)))
		return;
	cairn_log("no emulation of instruction %02x %02x %02x %02x at rip 0x%llx (gpa 0x%llx): #UD",
		  bytes[0], n > 1 ? bytes[1] : 0, n > 2 ? bytes[2] : 0, n > 3 ? bytes[3] : 0,
		  (unsigned long long)v->state->rip, (unsigned long long)v->state->qualification2);
}

static void execute(struct access_context *access, const struct emu_insn *insn,
		    const uint8_t *bytes)
{
	struct vcpu *v = access->v;
	struct emu_fault *fault = &access->emu.fault;
	uint64_t rip = v->state->rip;

	switch (emu_execute(&access->emu, insn)) {
	case EMU_DONE:
		v->reply |= VCPU_MTD_FLAGS;
		retired(v);
		break;
	case EMU_AGAIN:
		if (v->state->rip != rip)
			v->reply |= VCPU_MTD_RIP;
		v->reply |= VCPU_MTD_FLAGS;
		break;
	case EMU_FAULT:
		v->reply |= VCPU_MTD_FLAGS;
		raise_fault(v, fault->vector, fault->error == EMU_FAULT_NO_ERROR ? 0 : fault->error,
			    fault->cr2);
		break;
	case EMU_ABORTED:
		v->reply |= VCPU_MTD_FLAGS;
		if (access->lost)
			raise_lost_page(v, access->lost_gpa);
		break;
	case EMU_UNSUPPORTED:
		report_unsupported(v, bytes, insn->length);
		raise_ud(v);
		break;
	}
}

static void decode_and_do(struct access_context *access, const uint8_t *bytes, unsigned n,
			  uint64_t gpa)
{
	struct vcpu *v = access->v;
	unsigned mode = emu_mode(v->state) | (cpuid_is_amd(&v->cpuid) ? EMU_MODE_AMD : 0);
	struct emu_insn insn;

	switch (emu_decode(bytes, n, mode, &insn)) {
	case EMU_DECODE_OK:
		break;
	case EMU_DECODE_LONG:
		raise_gp(v);
		return;
	default:
		raise_ud(v);
		return;
	}
	remember(v, &insn, bytes, gpa);
	if (insn.op >= EMU_CPUID)
		do_named(v, &insn);
	else
		execute(access, &insn, bytes);
}

enum emu_op peek_op(struct vcpu *v)
{
	struct access_context access;
	uint8_t bytes[EMU_MAX_LENGTH];
	struct emu_insn insn;
	uint64_t gpa;
	unsigned n;

	access_begin(&access, v, -1);
	if (access_fetch(&access, bytes, &n, &gpa) != EMU_DONE ||
	    emu_decode(bytes, n, emu_mode(v->state), &insn) != EMU_DECODE_OK)
		return EMU_OTHER;
	return insn.op;
}

void emulate(struct vcpu *v, int32_t port)
{
	struct access_context access;
	uint8_t bytes[EMU_MAX_LENGTH];
	uint64_t gpa;
	unsigned n;

	access_begin(&access, v, port);
	switch (access_fetch(&access, bytes, &n, &gpa)) {
	case EMU_DONE:
		decode_and_do(&access, bytes, n, gpa);
		break;
	case EMU_FAULT:
		raise_fault(v, access.emu.fault.vector,
			    access.emu.fault.error == EMU_FAULT_NO_ERROR ? 0
									 : access.emu.fault.error,
			    access.emu.fault.cr2);
		break;
	case EMU_ABORTED:
		if (access.lost)
			raise_lost_page(v, access.lost_gpa);
		break;
	default: /* the guest's other CPUs are changing its page tables: let it try again */
		break;
	}
}
