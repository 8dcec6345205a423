/* SPDX-License-Identifier: BSD-2-Clause */
/* Operands of the executor: addresses with their segment checks, registers, memory through the
 * callbacks. */
#include "emu_internal.h"

#define ATTR_CODE	 0x008u /* VMCB attributes: APM vol. 2, 15.5.1 */
#define ATTR_EXPAND_DOWN 0x004u /* of a data segment */
#define ATTR_RW		 0x002u /* data: writable; code: readable */
#define ATTR_PRESENT	 0x080u
#define ATTR_BIG	 0x400u

#define CR4_LA57 0x1000u

enum emu_result emu_raise(struct emu_ctx *ctx, uint32_t vector, uint32_t error)
{
	ctx->fault = (struct emu_fault){.vector = vector, .error = error};
	return EMU_FAULT;
}

bool emu_canonical(const struct vcpu_state *state, uint64_t linear)
{
	unsigned shift = state->cr4 & CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(linear << shift) >> shift) == linear;
}

/* Does the segment allow this access (SDM vol. 3, 5.3 and 5.5)? */
static bool segment_allows(const struct vcpu_state *state, const struct vcpu_segment *segment,
			   uint32_t offset, unsigned size, bool write)
{
	bool real = !(state->cr0 & 1) || (state->rflags & FLAG_VM); /* no types there */
	uint16_t attr = segment->attr;
	uint32_t last = offset + (size - 1);

	if (!real) {
		if (!(attr & ATTR_PRESENT)) /* a null selector */
			return false;
		if (write && ((attr & ATTR_CODE) || !(attr & ATTR_RW)))
			return false;
		if (!write && (attr & ATTR_CODE) && !(attr & ATTR_RW))
			return false;
	}
	if (last < offset)
		return false;
	if ((attr & (ATTR_CODE | ATTR_EXPAND_DOWN)) == ATTR_EXPAND_DOWN)
		return offset > segment->limit && last <= (attr & ATTR_BIG ? 0xffffffffu : 0xffffu);
	return last <= segment->limit;
}

enum emu_result emu_linear(struct emu_ctx *ctx, const struct emu_insn *insn, unsigned segment,
			   uint64_t offset, unsigned size, bool write, uint64_t *linear)
{
	const struct vcpu_segment *s = &ctx->state->seg[segment];
	uint32_t vector = segment == SEG_SS ? VECTOR_SS : VECTOR_GP;

	if (emu_is_64(insn)) {
		*linear = offset + (segment == SEG_FS || segment == SEG_GS ? s->base : 0);
		if (!emu_canonical(ctx->state, *linear) ||
		    !emu_canonical(ctx->state, *linear + (size - 1)))
			return emu_raise(ctx, vector, 0);
		return EMU_DONE;
	}
	if (!segment_allows(ctx->state, s, (uint32_t)offset, size, write))
		return emu_raise(ctx, vector, 0);
	*linear = (uint32_t)(s->base + offset);
	return EMU_DONE;
}

static unsigned operand_segment(const struct emu_insn *insn)
{
	if (insn->segment != EMU_NO_REG)
		return insn->segment;
	return insn->base == GPR_RSP || insn->base == GPR_RBP ? SEG_SS : SEG_DS;
}

static uint64_t operand_offset(const struct emu_ctx *ctx, const struct emu_insn *insn,
			       int64_t extra)
{
	const uint64_t *gpr = ctx->state->gpr;
	uint64_t offset = (uint64_t)insn->disp + (uint64_t)extra;

	if (insn->base == EMU_REG_RIP)
		offset += ctx->state->rip + insn->length;
	else if (insn->base != EMU_NO_REG)
		offset += gpr[insn->base];
	if (insn->index != EMU_NO_REG)
		offset += gpr[insn->index] << insn->scale;
	return offset & emu_mask(insn->address_size);
}

enum emu_result emu_place_rm(struct emu_ctx *ctx, const struct emu_insn *insn, unsigned size,
			     bool write, int64_t extra, struct emu_place *place)
{
	if (!insn->memory) {
		*place = emu_place_reg(insn, insn->rm, size);
		return EMU_DONE;
	}
	*place = (struct emu_place){.memory = true};
	return emu_linear(ctx, insn, operand_segment(insn), operand_offset(ctx, insn, extra), size,
			  write, &place->linear);
}

struct emu_place emu_place_reg(const struct emu_insn *insn, unsigned reg, unsigned size)
{
	if (size == 1 && !insn->rex && reg >= 4) /* SDM vol. 2, table 3-1 */
		return (struct emu_place){.reg = (uint8_t)(reg - 4), .high = true};
	return (struct emu_place){.reg = (uint8_t)reg};
}

enum emu_result emu_get(struct emu_ctx *ctx, const struct emu_place *place, unsigned size,
			bool to_write, uint64_t *value)
{
	if (place->memory) {
		*value = 0; /* the callback fills the low bytes */
		return ctx->ops->read(ctx, place->linear, value, size, to_write);
	}
	*value = ctx->state->gpr[place->reg] >> (place->high ? 8 : 0) & emu_mask(size);
	return EMU_DONE;
}

void emu_put_reg(struct emu_ctx *ctx, unsigned reg, unsigned size, uint64_t value)
{
	uint64_t *gpr = &ctx->state->gpr[reg];
	uint64_t mask = size == 4 ? ~0ull : emu_mask(size); /* 32 bits clear the upper half */

	*gpr = (*gpr & ~mask) | (value & emu_mask(size));
}

enum emu_result emu_put(struct emu_ctx *ctx, const struct emu_insn *insn,
			const struct emu_place *place, unsigned size, uint64_t old, uint64_t value)
{
	uint64_t *gpr = &ctx->state->gpr[place->reg];
	bool locked = (insn->prefixes & EMU_LOCK) || insn->op == EMU_XCHG;

	if (place->memory && locked && ctx->ops->replace)
		return ctx->ops->replace(ctx, place->linear, &old, &value, size);
	if (place->memory)
		return ctx->ops->write(ctx, place->linear, &value, size);
	if (place->high)
		*gpr = (*gpr & ~0xff00ull) | (value & 0xff) << 8;
	else
		emu_put_reg(ctx, place->reg, size, value);
	return EMU_DONE;
}

uint64_t emu_next_rip(const struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint64_t next = ctx->state->rip + insn->length;

	switch (insn->mode & EMU_MODE_SIZE) {
	case EMU_MODE_64:
		return next;
	case EMU_MODE_32:
		return (uint32_t)next;
	default:
		return next & 0xffff;
	}
}

void emu_finish(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	ctx->state->rip = emu_next_rip(ctx, insn);
}

enum emu_result emu_address(struct emu_ctx *ctx, const struct emu_insn *insn, unsigned size,
			    bool write, uint64_t *linear)
{
	struct emu_place place;
	enum emu_result result;

	if (!insn->memory || size == 0)
		return EMU_UNSUPPORTED;
	result = emu_place_rm(ctx, insn, size, write, 0, &place);
	*linear = place.linear;
	return result;
}

uint64_t emu_fetch_address(const struct vcpu_state *state)
{
	if (emu_mode(state) == EMU_MODE_64)
		return state->rip;
	return (uint32_t)(state->seg[SEG_CS].base + state->rip);
}
