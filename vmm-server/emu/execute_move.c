/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that move: MOV and its kin, XCHG, CMPXCHG, XADD, SETcc, CMOVcc, XLAT. */
#include "emu_internal.h"

static enum emu_result store(struct emu_ctx *ctx, const struct emu_insn *insn, unsigned size,
			     uint64_t value)
{
	struct emu_place dst;
	enum emu_result result = emu_place_rm(ctx, insn, size, true, 0, &dst);

	if (result == EMU_DONE)
		result = emu_put(ctx, insn, &dst, size, 0, value);
	if (result == EMU_DONE)
		emu_finish(ctx, insn);
	return result;
}

static enum emu_result load(struct emu_ctx *ctx, const struct emu_insn *insn, unsigned size,
			    uint64_t *value)
{
	struct emu_place src;
	enum emu_result result = emu_place_rm(ctx, insn, size, false, 0, &src);

	return result == EMU_DONE ? emu_get(ctx, &src, size, false, value) : result;
}

/* A register cannot fail. */
static uint64_t read_reg(struct emu_ctx *ctx, const struct emu_insn *insn, unsigned reg,
			 unsigned size)
{
	struct emu_place place = emu_place_reg(insn, reg, size);
	uint64_t value = 0;

	(void)emu_get(ctx, &place, size, false, &value);
	return value;
}

static void write_reg(struct emu_ctx *ctx, const struct emu_insn *insn, unsigned reg, unsigned size,
		      uint64_t value)
{
	struct emu_place place = emu_place_reg(insn, reg, size);

	(void)emu_put(ctx, insn, &place, size, 0, value);
}

enum emu_result emu_do_mov(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	unsigned size = insn->operand_size;
	enum emu_result result = EMU_DONE;
	uint64_t value = insn->imm;

	switch (insn->form) {
	case FORM_EG:
		return store(ctx, insn, size, read_reg(ctx, insn, insn->reg, size));
	case FORM_EI:
		return store(ctx, insn, size, insn->imm & emu_mask(size));
	case FORM_OA:
		return store(ctx, insn, size, read_reg(ctx, insn, GPR_RAX, size));
	case FORM_RI:
		write_reg(ctx, insn, insn->rm, size, value);
		break;
	default: /* FORM_GE, FORM_AO */
		result = load(ctx, insn, size, &value);
		if (result != EMU_DONE)
			return result;
		write_reg(ctx, insn, insn->form == FORM_AO ? GPR_RAX : insn->reg, size, value);
		break;
	}
	emu_finish(ctx, insn);
	return EMU_DONE;
}

/* MOVZX, MOVSX, MOVSXD. */
enum emu_result emu_do_movx(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint64_t value;
	enum emu_result result = load(ctx, insn, insn->source_size, &value);

	if (result != EMU_DONE)
		return result;
	if (insn->op == EMU_MOVSX)
		value = emu_extend(value, insn->source_size);
	emu_put_reg(ctx, insn->reg, insn->operand_size, value);
	emu_finish(ctx, insn);
	return EMU_DONE;
}

/* MOV of a segment register: two bytes in memory, zero-extended in a register. */
enum emu_result emu_do_mov_from_seg(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	return store(ctx, insn, insn->memory ? 2 : insn->operand_size,
		     ctx->state->seg[insn->modrm >> 3 & 7].sel);
}

enum emu_result emu_do_setcc(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	return store(ctx, insn, 1, emu_condition(insn->opcode, ctx->state->rflags));
}

/* Memory is read, and a 32-bit destination extended, even if the condition is false. */
enum emu_result emu_do_cmovcc(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint64_t value;
	enum emu_result result = load(ctx, insn, insn->operand_size, &value);

	if (result != EMU_DONE)
		return result;
	if (!emu_condition(insn->opcode, ctx->state->rflags))
		value = read_reg(ctx, insn, insn->reg, insn->operand_size);
	emu_put_reg(ctx, insn->reg, insn->operand_size, value);
	emu_finish(ctx, insn);
	return EMU_DONE;
}

enum emu_result emu_do_xlat(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	const uint64_t *gpr = ctx->state->gpr;
	uint64_t offset = (gpr[GPR_RBX] + (gpr[GPR_RAX] & 0xff)) & emu_mask(insn->address_size);
	struct emu_place src = {.memory = true};
	uint64_t value;
	enum emu_result result =
		emu_linear(ctx, insn, insn->segment != EMU_NO_REG ? insn->segment : SEG_DS, offset,
			   1, false, &src.linear);

	if (result == EMU_DONE)
		result = emu_get(ctx, &src, 1, false, &value);
	if (result != EMU_DONE)
		return result;
	emu_put_reg(ctx, GPR_RAX, 1, value);
	emu_finish(ctx, insn);
	return EMU_DONE;
}

/* XCHG of rAX with the register in the opcode. 90 is NOP: it does not clear the upper half. */
static enum emu_result exchange_rax(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	unsigned size = insn->operand_size;
	uint64_t a = read_reg(ctx, insn, GPR_RAX, size), b = read_reg(ctx, insn, insn->rm, size);

	if (insn->rm != GPR_RAX) {
		emu_put_reg(ctx, GPR_RAX, size, b);
		emu_put_reg(ctx, insn->rm, size, a);
	}
	emu_finish(ctx, insn);
	return EMU_DONE;
}

/* The read half of XCHG, CMPXCHG, XADD. */
static enum emu_result read_to_write(struct emu_ctx *ctx, const struct emu_insn *insn,
				     struct emu_place *dst, uint64_t *old)
{
	enum emu_result result = emu_place_rm(ctx, insn, insn->operand_size, true, 0, dst);

	return result == EMU_DONE ? emu_get(ctx, dst, insn->operand_size, true, old) : result;
}

enum emu_result emu_do_xchg(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	unsigned size = insn->operand_size;
	struct emu_place dst;
	uint64_t old, value;
	enum emu_result result;

	if (insn->form == FORM_AR)
		return exchange_rax(ctx, insn);
	value = read_reg(ctx, insn, insn->reg, size);
	result = read_to_write(ctx, insn, &dst, &old);
	if (result == EMU_DONE)
		result = emu_put(ctx, insn, &dst, size, old, value);
	if (result != EMU_DONE)
		return result;
	write_reg(ctx, insn, insn->reg, size, old);
	emu_finish(ctx, insn);
	return EMU_DONE;
}

enum emu_result emu_do_xadd(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	unsigned size = insn->operand_size;
	struct emu_place dst;
	uint64_t old, sum, flags = ctx->state->rflags;
	enum emu_result result = read_to_write(ctx, insn, &dst, &old);

	if (result != EMU_DONE)
		return result;
	sum = emu_alu(EMU_XADD, old, read_reg(ctx, insn, insn->reg, size), size, &flags);
	if (!dst.memory) /* with twice the same register the sum stays */
		write_reg(ctx, insn, insn->reg, size, old);
	result = emu_put(ctx, insn, &dst, size, old, sum);
	if (result != EMU_DONE)
		return result;
	if (dst.memory)
		write_reg(ctx, insn, insn->reg, size, old);
	ctx->state->rflags = flags;
	emu_finish(ctx, insn);
	return EMU_DONE;
}

/* Memory is written either way (SDM vol. 2, CMPXCHG): with its old value if they differ. */
enum emu_result emu_do_cmpxchg(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	unsigned size = insn->operand_size;
	uint64_t old, flags = ctx->state->rflags, rax = read_reg(ctx, insn, GPR_RAX, size);
	struct emu_place dst;
	enum emu_result result = read_to_write(ctx, insn, &dst, &old);
	bool equal = old == rax;

	if (result != EMU_DONE)
		return result;
	(void)emu_alu(EMU_CMP, rax, old, size, &flags);
	if (equal || dst.memory) {
		result = emu_put(ctx, insn, &dst, size, old,
				 equal ? read_reg(ctx, insn, insn->reg, size) : old);
		if (result != EMU_DONE)
			return result;
	}
	if (!equal)
		emu_put_reg(ctx, GPR_RAX, size, old);
	ctx->state->rflags = flags;
	emu_finish(ctx, insn);
	return EMU_DONE;
}

static enum emu_result write_pair(struct emu_ctx *ctx, const struct emu_insn *insn, uint64_t linear,
				  const uint64_t *old, const uint64_t *value, unsigned size)
{
	if ((insn->prefixes & EMU_LOCK) && ctx->ops->replace)
		return ctx->ops->replace(ctx, linear, old, value, size);
	return ctx->ops->write(ctx, linear, value, size);
}

/* A pair of registers as the CPU lays it out in memory: `half` bytes each. */
static void pair(const struct emu_ctx *ctx, unsigned low, unsigned high, unsigned half,
		 uint64_t *out)
{
	const uint64_t *gpr = ctx->state->gpr;

	out[0] = half == 8 ? gpr[low] : (uint32_t)gpr[low] | gpr[high] << 32;
	out[1] = half == 8 ? gpr[high] : 0;
}

/* CMPXCHG8B, CMPXCHG16B. */
enum emu_result emu_do_cmpxchg8b(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	unsigned half = insn->rex & 8 ? 8 : 4;
	uint64_t old[2] = {0, 0}, expected[2], value[2], linear;
	enum emu_result result = emu_address(ctx, insn, 2 * half, true, &linear);
	bool equal;

	if (result != EMU_DONE)
		return result;
	if (half == 8 && (linear & 15))
		return emu_raise(ctx, VECTOR_GP, 0);
	result = ctx->ops->read(ctx, linear, old, 2 * half, true);
	if (result != EMU_DONE)
		return result;
	pair(ctx, GPR_RAX, GPR_RDX, half, expected);
	pair(ctx, GPR_RBX, GPR_RCX, half, value);
	equal = old[0] == expected[0] && old[1] == expected[1];
	result = write_pair(ctx, insn, linear, old, equal ? value : old, 2 * half);
	if (result != EMU_DONE)
		return result;
	if (!equal) {
		emu_put_reg(ctx, GPR_RAX, half, old[0]);
		emu_put_reg(ctx, GPR_RDX, half, half == 8 ? old[1] : old[0] >> 32);
	}
	ctx->state->rflags = (ctx->state->rflags & ~FLAG_ZF) | (equal ? FLAG_ZF : 0);
	emu_finish(ctx, insn);
	return EMU_DONE;
}
