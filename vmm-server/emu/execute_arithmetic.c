/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that compute: ADD to CMP, TEST, INC, shifts, MUL, DIV, bit tests and scans. */
#include "emu_internal.h"

/* The two operands of a binary instruction, of the instruction's operand size; `dst` is where the
 * result goes. */
static enum emu_result two_operands(struct emu_ctx *ctx, const struct emu_insn *insn, bool write,
				    struct emu_place *dst, uint64_t *a, uint64_t *b)
{
	unsigned size = insn->operand_size;
	struct emu_place other = emu_place_reg(insn, insn->reg, size);
	enum emu_result result;

	switch (insn->form) {
	case FORM_GE:
		*dst = other;
		result = emu_place_rm(ctx, insn, size, false, 0, &other);
		if (result != EMU_DONE)
			return result;
		result = emu_get(ctx, &other, size, false, b);
		if (result != EMU_DONE)
			return result;
		return emu_get(ctx, dst, size, false, a);
	case FORM_AI:
		*dst = emu_place_reg(insn, GPR_RAX, size);
		*b = insn->imm & emu_mask(size);
		return emu_get(ctx, dst, size, false, a);
	case FORM_EI:
		*b = insn->imm & emu_mask(size);
		break;
	default: /* FORM_EG: a register cannot fail */
		(void)emu_get(ctx, &other, size, false, b);
		break;
	}
	result = emu_place_rm(ctx, insn, size, write, 0, dst);
	if (result != EMU_DONE)
		return result;
	return emu_get(ctx, dst, size, write, a);
}

enum emu_result emu_do_binary(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	bool write = insn->op != EMU_CMP && insn->op != EMU_TEST;
	uint64_t a = 0, b = 0, value, flags = ctx->state->rflags;
	struct emu_place dst;
	enum emu_result result = two_operands(ctx, insn, write, &dst, &a, &b);

	if (result != EMU_DONE)
		return result;
	value = emu_alu(insn->op, a, b, insn->operand_size, &flags);
	if (write) {
		result = emu_put(ctx, insn, &dst, insn->operand_size, a, value);
		if (result != EMU_DONE)
			return result;
	}
	ctx->state->rflags = flags;
	emu_finish(ctx, insn);
	return EMU_DONE;
}

enum emu_result emu_do_unary(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	unsigned size = insn->operand_size;
	uint64_t a, value, flags = ctx->state->rflags;
	struct emu_place dst = emu_place_reg(insn, insn->rm, size);
	enum emu_result result = EMU_DONE;

	if (insn->form == FORM_E)
		result = emu_place_rm(ctx, insn, size, true, 0, &dst);
	if (result == EMU_DONE)
		result = emu_get(ctx, &dst, size, true, &a);
	if (result != EMU_DONE)
		return result;
	value = insn->op == EMU_NOT ? ~a & emu_mask(size) : emu_alu(insn->op, a, 0, size, &flags);
	result = emu_put(ctx, insn, &dst, size, a, value);
	if (result != EMU_DONE)
		return result;
	ctx->state->rflags = flags;
	emu_finish(ctx, insn);
	return EMU_DONE;
}

static unsigned shift_count(const struct emu_ctx *ctx, const struct emu_insn *insn)
{
	switch (insn->form) {
	case FORM_E1:
		return 1;
	case FORM_EC:
	case FORM_EGC:
		return ctx->state->gpr[GPR_RCX] & 0xff;
	default:
		return insn->imm & 0xff;
	}
}

enum emu_result emu_do_shift(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	unsigned size = insn->operand_size;
	uint64_t a, value, flags = ctx->state->rflags;
	struct emu_place dst;
	enum emu_result result = emu_place_rm(ctx, insn, size, true, 0, &dst);

	if (result == EMU_DONE)
		result = emu_get(ctx, &dst, size, true, &a);
	if (result != EMU_DONE)
		return result;
	value = emu_shift(insn->op, a, shift_count(ctx, insn), size, &flags);
	result = emu_put(ctx, insn, &dst, size, a, value);
	if (result != EMU_DONE)
		return result;
	ctx->state->rflags = flags;
	emu_finish(ctx, insn);
	return EMU_DONE;
}

/* One step of SHLD or SHRD: the bits of `from` come in from its far end. */
static uint64_t double_shift(const struct emu_insn *insn, uint64_t value, uint64_t from,
			     unsigned count, uint64_t *flags)
{
	unsigned size = insn->operand_size;
	uint64_t sign = emu_sign(size), scratch = *flags;
	bool carry = false, before = false;

	for (unsigned i = 0; i < count; i++) {
		before = value & sign;
		if (insn->op == EMU_SHLD) {
			carry = value & sign;
			value = (value << 1 | !!(from & sign)) & emu_mask(size);
			from = from << 1 & emu_mask(size);
		} else {
			carry = value & 1;
			value = value >> 1 | (from & 1 ? sign : 0);
			from >>= 1;
		}
	}
	(void)emu_alu(EMU_OR, value, 0, size, &scratch); /* SF ZF PF */
	*flags = scratch | (carry ? FLAG_CF : 0) | (before != !!(value & sign) ? FLAG_OF : 0);
	return value;
}

enum emu_result emu_do_double_shift(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	unsigned size = insn->operand_size;
	unsigned count = shift_count(ctx, insn) & (size == 8 ? 63 : 31);
	uint64_t a, from, value, flags = ctx->state->rflags;
	struct emu_place dst, src = emu_place_reg(insn, insn->reg, size);
	enum emu_result result = emu_place_rm(ctx, insn, size, true, 0, &dst);

	if (count > 8 * size) /* the result is undefined (SDM vol. 2, SHLD) */
		return EMU_UNSUPPORTED;
	if (result == EMU_DONE)
		result = emu_get(ctx, &dst, size, true, &a);
	if (result != EMU_DONE)
		return result;
	(void)emu_get(ctx, &src, size, false, &from);
	value = count ? double_shift(insn, a, from, count, &flags) : a;
	result = emu_put(ctx, insn, &dst, size, a, value);
	if (result != EMU_DONE)
		return result;
	ctx->state->rflags = flags;
	emu_finish(ctx, insn);
	return EMU_DONE;
}

/* Low and high half of a product of two operands of `size` bytes. */
static void product(bool is_signed, uint64_t a, uint64_t b, unsigned size, uint64_t *low,
		    uint64_t *high)
{
	unsigned __int128 all;

	if (is_signed)
		all = (unsigned __int128)((__int128)(int64_t)emu_extend(a, size) *
					  (int64_t)emu_extend(b, size));
	else
		all = (unsigned __int128)a * b;
	*low = (uint64_t)all & emu_mask(size);
	*high = (uint64_t)(all >> (8 * size)) & emu_mask(size);
}

static void set_multiply_flags(struct emu_ctx *ctx, bool overflow)
{
	uint64_t *flags = &ctx->state->rflags;

	*flags = overflow ? *flags | FLAG_CF | FLAG_OF : *flags & ~(FLAG_CF | FLAG_OF);
}

/* IMUL to a register. */
static void multiply_short(struct emu_ctx *ctx, const struct emu_insn *insn, uint64_t b)
{
	unsigned size = insn->operand_size;
	uint64_t a = insn->form == FORM_GEI ? insn->imm & emu_mask(size)
					    : ctx->state->gpr[insn->reg] & emu_mask(size);
	uint64_t low, high;

	product(true, a, b, size, &low, &high);
	emu_put_reg(ctx, insn->reg, size, low);
	set_multiply_flags(ctx, high != (low & emu_sign(size) ? emu_mask(size) : 0));
}

/* MUL and IMUL to rDX:rAX. */
static void multiply_long(struct emu_ctx *ctx, const struct emu_insn *insn, uint64_t b)
{
	unsigned size = insn->operand_size;
	bool is_signed = insn->op == EMU_IMUL;
	uint64_t low, high, none;

	product(is_signed, ctx->state->gpr[GPR_RAX] & emu_mask(size), b, size, &low, &high);
	none = is_signed && (low & emu_sign(size)) ? emu_mask(size) : 0;
	if (size == 1) {
		emu_put_reg(ctx, GPR_RAX, 2, low | high << 8);
	} else {
		emu_put_reg(ctx, GPR_RAX, size, low);
		emu_put_reg(ctx, GPR_RDX, size, high);
	}
	set_multiply_flags(ctx, high != none);
}

static enum emu_result source_rm(struct emu_ctx *ctx, const struct emu_insn *insn, uint64_t *value)
{
	struct emu_place src;
	enum emu_result result = emu_place_rm(ctx, insn, insn->operand_size, false, 0, &src);

	return result == EMU_DONE ? emu_get(ctx, &src, insn->operand_size, false, value) : result;
}

enum emu_result emu_do_multiply(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint64_t b;
	enum emu_result result = source_rm(ctx, insn, &b);

	if (result != EMU_DONE)
		return result;
	if (insn->form == FORM_E)
		multiply_long(ctx, insn, b);
	else
		multiply_short(ctx, insn, b);
	emu_finish(ctx, insn);
	return EMU_DONE;
}

/* Quotient and remainder by magnitudes; false: the quotient does not fit (#DE). */
static bool divide(bool is_signed, unsigned __int128 a, uint64_t b, unsigned size,
		   uint64_t *quotient, uint64_t *remainder)
{
	bool negative_a = false, negative_b = false;
	unsigned __int128 q, r, limit = emu_mask(size);

	if (is_signed) {
		negative_a = a >> 127;
		negative_b = b & emu_sign(size);
		a = negative_a ? -a : a;
		b = negative_b ? (0 - b) & emu_mask(size) : b;
		limit = negative_a != negative_b ? emu_sign(size) : emu_sign(size) - 1;
	}
	if (b == 0)
		return false;
	q = a / b;
	r = a % b;
	if (q > limit)
		return false;
	*quotient = (negative_a != negative_b ? 0 - (uint64_t)q : (uint64_t)q) & emu_mask(size);
	*remainder = (negative_a ? 0 - (uint64_t)r : (uint64_t)r) & emu_mask(size);
	return true;
}

enum emu_result emu_do_divide(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	const uint64_t *gpr = ctx->state->gpr;
	unsigned size = insn->operand_size;
	uint64_t b, quotient = 0, remainder = 0, high, low;
	unsigned __int128 a;
	bool is_signed = insn->op == EMU_IDIV;
	enum emu_result result = source_rm(ctx, insn, &b);

	if (result != EMU_DONE)
		return result;
	low = gpr[GPR_RAX] & emu_mask(size);
	high = (size == 1 ? gpr[GPR_RAX] >> 8 : gpr[GPR_RDX]) & emu_mask(size);
	if (is_signed)
		high = emu_extend(high, size);
	a = (is_signed && (high >> 63) ? ~(unsigned __int128)0 << 64 : 0) | high;
	a = a << (8 * size) | low;
	if (!divide(is_signed, a, b, size, &quotient, &remainder))
		return emu_raise(ctx, VECTOR_DE, EMU_FAULT_NO_ERROR);
	if (size == 1) {
		emu_put_reg(ctx, GPR_RAX, 2, quotient | remainder << 8);
	} else {
		emu_put_reg(ctx, GPR_RAX, size, quotient);
		emu_put_reg(ctx, GPR_RDX, size, remainder);
	}
	emu_finish(ctx, insn);
	return EMU_DONE;
}

/* BT, BTS, BTR, BTC. A bit number in a register reaches beyond the operand in memory (SDM vol. 2,
 * BT). */
enum emu_result emu_do_bit(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	unsigned size = insn->operand_size, bits = 8 * size;
	bool write = insn->op != EMU_BT;
	int64_t number = (int64_t)insn->imm, extra = 0;
	uint64_t value, changed, bit;
	struct emu_place dst;
	enum emu_result result;

	if (insn->form == FORM_EG) {
		number = (int64_t)emu_extend(ctx->state->gpr[insn->reg], size);
		extra = (number >> (size == 8 ? 6 : size == 4 ? 5 : 4)) * (int64_t)size;
	}
	result = emu_place_rm(ctx, insn, size, write, extra, &dst);
	if (result == EMU_DONE)
		result = emu_get(ctx, &dst, size, write, &value);
	if (result != EMU_DONE)
		return result;
	bit = 1ull << ((uint64_t)number & (bits - 1));
	changed = insn->op == EMU_BTS	? value | bit
		  : insn->op == EMU_BTR ? value & ~bit
					: value ^ bit;
	if (write) {
		result = emu_put(ctx, insn, &dst, size, value, changed);
		if (result != EMU_DONE)
			return result;
	}
	ctx->state->rflags = (ctx->state->rflags & ~FLAG_CF) | (value & bit ? FLAG_CF : 0);
	emu_finish(ctx, insn);
	return EMU_DONE;
}

/* BSF, BSR: of 0 they leave the register alone, as AMD documents and Intel's CPUs do. */
enum emu_result emu_do_scan(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint64_t value;
	enum emu_result result = source_rm(ctx, insn, &value);
	unsigned found;

	if (result != EMU_DONE)
		return result;
	if (value) {
		found = (unsigned)(insn->op == EMU_BSF ? __builtin_ctzll(value)
						       : 63 - __builtin_clzll(value));
		emu_put_reg(ctx, insn->reg, insn->operand_size, found);
		ctx->state->rflags &= ~FLAG_ZF;
	} else {
		ctx->state->rflags |= FLAG_ZF;
	}
	emu_finish(ctx, insn);
	return EMU_DONE;
}
