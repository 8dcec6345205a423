/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes and reads of control and debug registers, with the checks a CPU makes (SDM 3A 2.5, 17.2).
 */
#include "dispatch/exit.h"

#define CR0_PE	     (1ull << 0)
#define CR0_MP	     (1ull << 1)
#define CR0_EM	     (1ull << 2)
#define CR0_TS	     (1ull << 3)
#define CR0_ET	     (1ull << 4)
#define CR0_NW	     (1ull << 29)
#define CR0_CD	     (1ull << 30)
#define CR0_PG	     (1ull << 31)
#define CR0_DEFINED  0xe005003full
#define CR4_DE	     (1ull << 3)
#define CR4_PAE	     (1ull << 5)
#define EFER_LME     (1ull << 8)
#define EFER_LMA     (1ull << 10)
#define CS_L	     0x200u
#define DR6_FIXED    0xffff0ff0ull
#define DR6_WRITABLE 0xe00full
#define DR7_FIXED    0x400ull
#define DR7_WRITABLE 0xffff2bffull
#define DR7_GD	     (1ull << 13)
#define DR6_BD	     (1ull << 13)
#define LMSW_BITS    0xfull

/* False: #GP(0). */
static bool write_cr0(struct vcpu *v, uint64_t value)
{
	struct vcpu_state *s = v->state;
	bool paging = value & CR0_PG;

	if (value >> 32)
		return false;
	value = (value & CR0_DEFINED) | CR0_ET;
	if ((paging && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
		return false;
	if (paging && !(s->cr0 & CR0_PG)) {
		if ((s->efer & EFER_LME) && (!(s->cr4 & CR4_PAE) || (s->seg[SEG_CS].attr & CS_L)))
			return false;
		if (s->efer & EFER_LME)
			s->efer |= EFER_LMA;
	}
	if (!paging && (s->cr0 & CR0_PG)) {
		if (emu_mode(s) == EMU_MODE_64)
			return false;
		s->efer &= ~EFER_LMA;
	}
	s->cr0 = value;
	return true;
}

static bool write_cr3(struct vcpu *v, uint64_t value)
{
	if ((v->state->efer & EFER_LMA) && value >> cpuid_physical_bits(&v->cpuid))
		return false;
	v->state->cr3 = value;
	return true;
}

/* On the CPU MCE stays set whatever is written here (R-CR-1): the kernel sees to that. */
static bool write_cr4(struct vcpu *v, uint64_t value)
{
	if (value & ~cpuid_cr4_mask(&v->cpuid))
		return false;
	if ((v->state->efer & EFER_LMA) && !(value & CR4_PAE))
		return false;
	v->state->cr4 = value;
	return true;
}

static bool write_cr(struct vcpu *v, unsigned cr, uint64_t value)
{
	switch (cr) {
	case 0:
		return write_cr0(v, value);
	case 2:
		v->state->cr2 = value;
		return true;
	case 3:
		return write_cr3(v, value);
	case 4:
		return write_cr4(v, value);
	default:
		if (value > 0xf)
			return false;
		v->state->cr8 = value;
		return true;
	}
}

static uint64_t read_cr(const struct vcpu *v, unsigned cr)
{
	switch (cr) {
	case 0:
		return v->state->cr0;
	case 2:
		return v->state->cr2;
	case 3:
		return v->state->cr3;
	case 4:
		return v->state->cr4;
	default:
		return v->state->cr8;
	}
}

static bool cr_exists(const struct vcpu *v, unsigned cr)
{
	return cr == 0 || cr == 2 || cr == 3 || cr == 4 ||
	       (cr == 8 && (emu_mode(v->state) == EMU_MODE_64 || cpuid_is_amd(&v->cpuid)));
}

static void finish_write(struct vcpu *v, bool allowed, unsigned length)
{
	if (!allowed) {
		raise_gp(v);
		return;
	}
	v->reply |= VCPU_MTD_CR;
	retire(v, length);
}

static uint64_t operand(const struct vcpu *v, unsigned reg)
{
	uint64_t value = v->state->gpr[reg & 0xf];

	return emu_mode(v->state) == EMU_MODE_64 ? value : (uint32_t)value;
}

static void set_operand(struct vcpu *v, unsigned reg, uint64_t value)
{
	v->state->gpr[reg & 0xf] = emu_mode(v->state) == EMU_MODE_64 ? value : (uint32_t)value;
}

/* LMSW and SMSW take a memory operand too; memory is read and written through the emulator's access
 * only elsewhere. */
static void machine_status(struct vcpu *v, const struct emu_insn *insn)
{
	struct vcpu_state *s = v->state;
	uint64_t value;

	if (insn->memory) {
		raise_ud(v);
		return;
	}
	if (insn->op == EMU_SMSW) {
		uint64_t mask = insn->operand_size == 2	  ? 0xffff
				: insn->operand_size == 4 ? 0xffffffff
							  : ~0ull;
		uint64_t kept = insn->operand_size == 2 ? s->gpr[insn->rm & 0xf] & ~mask : 0;

		s->gpr[insn->rm & 0xf] = kept | (s->cr0 & mask);
		retire(v, insn->length);
		return;
	}
	/* LMSW can set PE and not clear it. */
	value = (s->cr0 & ~(LMSW_BITS & ~CR0_PE)) | (s->gpr[insn->rm & 0xf] & LMSW_BITS);
	finish_write(v, write_cr0(v, value), insn->length);
}

void cr_emulate(struct vcpu *v, const struct emu_insn *insn)
{
	switch (insn->op) {
	case EMU_CLTS:
		v->state->cr0 &= ~CR0_TS;
		finish_write(v, true, insn->length);
		break;
	case EMU_LMSW:
	case EMU_SMSW:
		machine_status(v, insn);
		break;
	case EMU_MOV_FROM_CR:
		if (!cr_exists(v, insn->reg)) {
			raise_ud(v);
			break;
		}
		set_operand(v, insn->rm, read_cr(v, insn->reg));
		retire(v, insn->length);
		break;
	default:
		if (!cr_exists(v, insn->reg)) {
			raise_ud(v);
			break;
		}
		finish_write(v, write_cr(v, insn->reg, operand(v, insn->rm)), insn->length);
		break;
	}
}

static uint64_t *debug_register(struct vcpu *v, unsigned dr)
{
	if (dr < 4)
		return &v->state->dr[dr];
	return dr == 6 || dr == 4 ? &v->state->dr6 : &v->state->dr7;
}

static bool write_dr(struct vcpu *v, unsigned dr, uint64_t value)
{
	uint64_t *reg = debug_register(v, dr);

	if (dr >= 4 && value >> 32)
		return false;
	if (reg == &v->state->dr6)
		value = (value & DR6_WRITABLE) | DR6_FIXED;
	else if (reg == &v->state->dr7)
		value = (value & DR7_WRITABLE) | DR7_FIXED;
	*reg = value;
	return true;
}

void dr_emulate(struct vcpu *v, const struct emu_insn *insn)
{
	unsigned dr = insn->reg;

	if (dr > 7 || ((dr == 4 || dr == 5) && (v->state->cr4 & CR4_DE))) {
		raise_ud(v);
		return;
	}
	if (v->state->dr7 & DR7_GD) {
		v->state->dr6 |= DR6_BD;
		v->state->dr7 &= ~DR7_GD;
		v->reply |= VCPU_MTD_DR;
		raise_fault(v, VECTOR_DB, 0, 0);
		return;
	}
	if (insn->op == EMU_MOV_FROM_DR) {
		set_operand(v, insn->rm, *debug_register(v, dr));
	} else if (!write_dr(v, dr, operand(v, insn->rm))) {
		raise_gp(v);
		return;
	}
	v->reply |= VCPU_MTD_DR;
	retire(v, insn->length);
}
