/* SPDX-License-Identifier: BSD-2-Clause */
/* String instructions with REP, element by element, and port I/O. */
#include "emu_internal.h"

static bool repeated(const struct emu_insn *insn)
{
	return insn->prefixes & (EMU_REPE | EMU_REPNE);
}

static enum emu_result source_address(struct emu_ctx *ctx, const struct emu_insn *insn,
				      uint64_t *linear)
{
	unsigned segment = insn->segment != EMU_NO_REG ? insn->segment : SEG_DS;
	uint64_t offset = ctx->state->gpr[GPR_RSI] & emu_mask(insn->address_size);

	return emu_linear(ctx, insn, segment, offset, insn->operand_size, false, linear);
}

/* The destination is in ES whatever the prefixes say. */
static enum emu_result destination_address(struct emu_ctx *ctx, const struct emu_insn *insn,
					   bool write, uint64_t *linear)
{
	uint64_t offset = ctx->state->gpr[GPR_RDI] & emu_mask(insn->address_size);

	return emu_linear(ctx, insn, SEG_ES, offset, insn->operand_size, write, linear);
}

static enum emu_result read_source(struct emu_ctx *ctx, const struct emu_insn *insn,
				   uint64_t *value)
{
	uint64_t linear;
	enum emu_result result = source_address(ctx, insn, &linear);

	*value = 0;
	return result == EMU_DONE ? ctx->ops->read(ctx, linear, value, insn->operand_size, false)
				  : result;
}

static enum emu_result read_destination(struct emu_ctx *ctx, const struct emu_insn *insn,
					uint64_t *value)
{
	uint64_t linear;
	enum emu_result result = destination_address(ctx, insn, false, &linear);

	*value = 0;
	return result == EMU_DONE ? ctx->ops->read(ctx, linear, value, insn->operand_size, false)
				  : result;
}

static enum emu_result write_destination(struct emu_ctx *ctx, const struct emu_insn *insn,
					 uint64_t value)
{
	uint64_t linear;
	enum emu_result result = destination_address(ctx, insn, true, &linear);

	return result == EMU_DONE ? ctx->ops->write(ctx, linear, &value, insn->operand_size)
				  : result;
}

static void step(struct emu_ctx *ctx, const struct emu_insn *insn, unsigned reg)
{
	uint64_t delta = insn->operand_size;

	if (ctx->state->rflags & FLAG_DF)
		delta = 0 - delta;
	emu_put_reg(ctx, reg, insn->address_size, ctx->state->gpr[reg] + delta);
}

/* Port I/O is bytes, words or doublewords: REX.W counts for nothing. */
static unsigned port_size(const struct emu_insn *insn)
{
	return insn->operand_size == 8 ? 4 : insn->operand_size;
}

/* Only the port that the exit was for: the CPU checked the guest's right to that one. */
static enum emu_result check_port(const struct emu_ctx *ctx, uint16_t port)
{
	if (ctx->io_port < 0 || !ctx->ops->port_read || !ctx->ops->port_write)
		return EMU_UNSUPPORTED;
	return ctx->io_port == port ? EMU_DONE : EMU_AGAIN;
}

static enum emu_result one_ins(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint16_t port = (uint16_t)ctx->state->gpr[GPR_RDX];
	uint64_t linear;
	uint32_t value = 0;
	enum emu_result result = check_port(ctx, port);

	if (result == EMU_DONE)
		result = destination_address(ctx, insn, true, &linear);
	if (result == EMU_DONE && ctx->ops->probe_write) /* a read of a port cannot be taken back */
		result = ctx->ops->probe_write(ctx, linear, insn->operand_size);
	if (result == EMU_DONE)
		result = ctx->ops->port_read(ctx, port, insn->operand_size, &value);
	if (result == EMU_DONE)
		result = ctx->ops->write(ctx, linear, &value, insn->operand_size);
	if (result == EMU_DONE)
		step(ctx, insn, GPR_RDI);
	return result;
}

static enum emu_result one_outs(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint16_t port = (uint16_t)ctx->state->gpr[GPR_RDX];
	uint64_t value;
	enum emu_result result = check_port(ctx, port);

	if (result == EMU_DONE)
		result = read_source(ctx, insn, &value);
	if (result == EMU_DONE)
		result = ctx->ops->port_write(ctx, port, insn->operand_size, (uint32_t)value);
	if (result == EMU_DONE)
		step(ctx, insn, GPR_RSI);
	return result;
}

static enum emu_result one_movs(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint64_t value;
	enum emu_result result = read_source(ctx, insn, &value);

	if (result == EMU_DONE)
		result = write_destination(ctx, insn, value);
	if (result != EMU_DONE)
		return result;
	step(ctx, insn, GPR_RSI);
	step(ctx, insn, GPR_RDI);
	return EMU_DONE;
}

static enum emu_result one_cmps(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint64_t a, b;
	enum emu_result result = read_source(ctx, insn, &a);

	if (result == EMU_DONE)
		result = read_destination(ctx, insn, &b);
	if (result != EMU_DONE)
		return result;
	(void)emu_alu(EMU_CMP, a, b, insn->operand_size, &ctx->state->rflags);
	step(ctx, insn, GPR_RSI);
	step(ctx, insn, GPR_RDI);
	return EMU_DONE;
}

static enum emu_result one_scas(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint64_t a = ctx->state->gpr[GPR_RAX] & emu_mask(insn->operand_size), b;
	enum emu_result result = read_destination(ctx, insn, &b);

	if (result != EMU_DONE)
		return result;
	(void)emu_alu(EMU_CMP, a, b, insn->operand_size, &ctx->state->rflags);
	step(ctx, insn, GPR_RDI);
	return EMU_DONE;
}

static enum emu_result one_stos(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	enum emu_result result = write_destination(
		ctx, insn, ctx->state->gpr[GPR_RAX] & emu_mask(insn->operand_size));

	if (result == EMU_DONE)
		step(ctx, insn, GPR_RDI);
	return result;
}

static enum emu_result one_lods(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint64_t value;
	enum emu_result result = read_source(ctx, insn, &value);

	if (result != EMU_DONE)
		return result;
	emu_put_reg(ctx, GPR_RAX, insn->operand_size, value);
	step(ctx, insn, GPR_RSI);
	return EMU_DONE;
}

/* In the order of enum emu_op. */
static emu_executor *const one_element[] = {
	[EMU_MOVS - EMU_MOVS] = one_movs, [EMU_CMPS - EMU_MOVS] = one_cmps,
	[EMU_STOS - EMU_MOVS] = one_stos, [EMU_LODS - EMU_MOVS] = one_lods,
	[EMU_SCAS - EMU_MOVS] = one_scas, [EMU_INS - EMU_MOVS] = one_ins,
	[EMU_OUTS - EMU_MOVS] = one_outs,
};

/* REPE and REPNE end CMPS and SCAS by ZF. */
static bool ended_by_flag(const struct emu_ctx *ctx, const struct emu_insn *insn)
{
	bool zero = ctx->state->rflags & FLAG_ZF;

	if (insn->op != EMU_CMPS && insn->op != EMU_SCAS)
		return false;
	return insn->prefixes & EMU_REPE ? !zero : zero;
}

static uint64_t rep_count(const struct emu_ctx *ctx, const struct emu_insn *insn)
{
	return ctx->state->gpr[GPR_RCX] & emu_mask(insn->address_size);
}

/* What elements are done stays done when one faults, as on the CPU (SDM vol. 2, REP). */
static enum emu_result repeat(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	emu_executor *one = one_element[insn->op - EMU_MOVS];
	uint32_t limit = ctx->rep_limit ? ctx->rep_limit : EMU_REP_LIMIT;
	uint64_t count = rep_count(ctx, insn);
	enum emu_result result;

	for (uint32_t i = 0; count && i < limit; i++) {
		result = one(ctx, insn);
		if (result != EMU_DONE)
			return result;
		count--;
		emu_put_reg(ctx, GPR_RCX, insn->address_size, count);
		if (ended_by_flag(ctx, insn))
			count = 0;
	}
	if (count)
		return EMU_AGAIN;
	emu_finish(ctx, insn);
	return EMU_DONE;
}

enum emu_result emu_do_string(struct emu_ctx *ctx, const struct emu_insn *given)
{
	struct emu_insn insn = *given;
	enum emu_result result;

	if (insn.op == EMU_INS || insn.op == EMU_OUTS)
		insn.operand_size = (uint8_t)port_size(given);
	if (repeated(&insn))
		return repeat(ctx, &insn);
	result = one_element[insn.op - EMU_MOVS](ctx, &insn);
	if (result == EMU_DONE)
		emu_finish(ctx, &insn);
	return result;
}

enum emu_result emu_do_port(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	uint16_t port =
		insn->form == FORM_DX ? (uint16_t)ctx->state->gpr[GPR_RDX] : insn->imm & 0xff;
	unsigned size = port_size(insn);
	uint32_t value = 0;
	enum emu_result result = check_port(ctx, port);

	if (result != EMU_DONE)
		return result;
	if (insn->op == EMU_OUT) {
		value = (uint32_t)(ctx->state->gpr[GPR_RAX] & emu_mask(size));
		result = ctx->ops->port_write(ctx, port, size, value);
	} else {
		result = ctx->ops->port_read(ctx, port, size, &value);
		if (result == EMU_DONE)
			emu_put_reg(ctx, GPR_RAX, size, value);
	}
	if (result == EMU_DONE)
		emu_finish(ctx, insn);
	return result;
}

enum emu_result emu_string_address(struct emu_ctx *ctx, const struct emu_insn *insn, bool source,
				   uint64_t *linear)
{
	return source ? source_address(ctx, insn, linear)
		      : destination_address(ctx, insn, insn->op != EMU_CMPS && insn->op != EMU_SCAS,
					    linear);
}
