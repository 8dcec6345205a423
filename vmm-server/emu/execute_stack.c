/* SPDX-License-Identifier: BSD-2-Clause */
/* PUSH, POP, near CALL, JMP and RET, LEAVE. */
#include "emu_internal.h"

/* Bytes of the stack pointer that count: SDM vol. 1, 6.2.3. */
static unsigned stack_width(const struct emu_ctx *ctx, const struct emu_insn *insn)
{
	if (emu_is_64(insn))
		return 8;
	return ctx->state->seg[SEG_SS].attr & 0x400 ? 4 : 2; /* SS.B */
}

static enum emu_result push(struct emu_ctx *ctx, const struct emu_insn *insn, unsigned size,
			    uint64_t value)
{
	unsigned width = stack_width(ctx, insn);
	uint64_t sp = (ctx->state->gpr[GPR_RSP] - size) & emu_mask(width);
	uint64_t linear;
	enum emu_result result = emu_linear(ctx, insn, SEG_SS, sp, size, true, &linear);

	if (result == EMU_DONE)
		result = ctx->ops->write(ctx, linear, &value, size);
	if (result == EMU_DONE)
		emu_put_reg(ctx, GPR_RSP, width, sp);
	return result;
}

/* Reads what is at stack offset `sp` and leaves RSP alone. */
static enum emu_result peek(struct emu_ctx *ctx, const struct emu_insn *insn, uint64_t sp,
			    unsigned size, uint64_t *value)
{
	uint64_t linear;
	enum emu_result result = emu_linear(
		ctx, insn, SEG_SS, sp & emu_mask(stack_width(ctx, insn)), size, false, &linear);

	*value = 0;
	return result == EMU_DONE ? ctx->ops->read(ctx, linear, value, size, false) : result;
}

static void set_sp(struct emu_ctx *ctx, const struct emu_insn *insn, uint64_t sp)
{
	emu_put_reg(ctx, GPR_RSP, stack_width(ctx, insn), sp);
}

enum emu_result emu_do_push(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	unsigned size = insn->operand_size;
	uint64_t value = insn->imm;
	struct emu_place src = emu_place_reg(insn, insn->rm, size);
	enum emu_result result = EMU_DONE;

	if (insn->form == FORM_E)
		result = emu_place_rm(ctx, insn, size, false, 0, &src);
	if (result == EMU_DONE && insn->form != FORM_I)
		result = emu_get(ctx, &src, size, false, &value);
	if (result == EMU_DONE)
		result = push(ctx, insn, size, value);
	if (result == EMU_DONE)
		emu_finish(ctx, insn);
	return result;
}

/* An address with RSP as its base is computed after RSP has moved (SDM vol. 2, POP). */
enum emu_result emu_do_pop(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	unsigned size = insn->operand_size;
	uint64_t value, sp = ctx->state->gpr[GPR_RSP];
	struct emu_place dst = emu_place_reg(insn, insn->rm, size);
	enum emu_result result = peek(ctx, insn, sp, size, &value);

	if (result == EMU_DONE && insn->form == FORM_E)
		result =
			emu_place_rm(ctx, insn, size, true, insn->base == GPR_RSP ? size : 0, &dst);
	if (result != EMU_DONE)
		return result;
	if (!dst.memory)
		set_sp(ctx, insn, sp + size); /* before: POP RSP keeps what was popped */
	result = emu_put(ctx, insn, &dst, size, 0, value);
	if (result != EMU_DONE)
		return result;
	if (dst.memory)
		set_sp(ctx, insn, sp + size);
	emu_finish(ctx, insn);
	return EMU_DONE;
}

/* May execution go on at `target` (already cut to the operand size)? */
static enum emu_result check_target(struct emu_ctx *ctx, const struct emu_insn *insn,
				    uint64_t target)
{
	bool fine = emu_is_64(insn) ? emu_canonical(ctx->state, target)
				    : target <= ctx->state->seg[SEG_CS].limit;

	return fine ? EMU_DONE : emu_raise(ctx, VECTOR_GP, 0);
}

static enum emu_result read_target(struct emu_ctx *ctx, const struct emu_insn *insn,
				   uint64_t *target)
{
	unsigned size = insn->operand_size;
	struct emu_place src;
	enum emu_result result;

	if (insn->form == FORM_REL) {
		*target = (emu_next_rip(ctx, insn) + insn->imm) & emu_mask(size);
		return EMU_DONE;
	}
	result = emu_place_rm(ctx, insn, size, false, 0, &src);
	return result == EMU_DONE ? emu_get(ctx, &src, size, false, target) : result;
}

enum emu_result emu_do_jmp(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint64_t target;
	enum emu_result result = read_target(ctx, insn, &target);

	if (result == EMU_DONE)
		result = check_target(ctx, insn, target);
	if (result == EMU_DONE)
		ctx->state->rip = target;
	return result;
}

/* Would the push of CALL fault? */
static enum emu_result check_push(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	unsigned size = insn->operand_size;
	uint64_t linear, sp = ctx->state->gpr[GPR_RSP] - size;
	enum emu_result result = emu_linear(
		ctx, insn, SEG_SS, sp & emu_mask(stack_width(ctx, insn)), size, true, &linear);

	if (result == EMU_DONE && ctx->ops->probe_write)
		result = ctx->ops->probe_write(ctx, linear, size);
	return result;
}

/* AMD's CPUs find a fault of the push before one of the target, Intel's the other way round (SDM
 * vol. 2, CALL). */
enum emu_result emu_do_call(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint64_t target;
	enum emu_result result = read_target(ctx, insn, &target);

	if (result == EMU_DONE && (insn->mode & EMU_MODE_AMD))
		result = check_push(ctx, insn);
	if (result == EMU_DONE)
		result = check_target(ctx, insn, target);
	if (result == EMU_DONE)
		result = push(ctx, insn, insn->operand_size, emu_next_rip(ctx, insn));
	if (result == EMU_DONE)
		ctx->state->rip = target;
	return result;
}

enum emu_result emu_do_ret(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint64_t target, sp = ctx->state->gpr[GPR_RSP];
	enum emu_result result = peek(ctx, insn, sp, insn->operand_size, &target);

	if (result == EMU_DONE)
		result = check_target(ctx, insn, target);
	if (result != EMU_DONE)
		return result;
	set_sp(ctx, insn, sp + insn->operand_size + (insn->imm & 0xffff));
	ctx->state->rip = target;
	return EMU_DONE;
}

enum emu_result emu_do_leave(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint64_t value, sp = ctx->state->gpr[GPR_RBP];
	enum emu_result result = peek(ctx, insn, sp, insn->operand_size, &value);

	if (result != EMU_DONE)
		return result;
	set_sp(ctx, insn, sp + insn->operand_size);
	emu_put_reg(ctx, GPR_RBP, insn->operand_size, value);
	emu_finish(ctx, insn);
	return EMU_DONE;
}
