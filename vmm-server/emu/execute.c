/* SPDX-License-Identifier: BSD-2-Clause */
/* The executor's dispatch table. */
#include "emu_internal.h"

static emu_executor *const executors[EMU_CPUID] = {
	[EMU_ADD... EMU_CMP] = emu_do_binary,
	[EMU_TEST] = emu_do_binary,
	[EMU_ROL... EMU_SAR] = emu_do_shift,
	[EMU_NOT... EMU_DEC] = emu_do_unary,
	[EMU_MUL] = emu_do_multiply,
	[EMU_IMUL] = emu_do_multiply,
	[EMU_DIV] = emu_do_divide,
	[EMU_IDIV] = emu_do_divide,
	[EMU_SHLD] = emu_do_double_shift,
	[EMU_SHRD] = emu_do_double_shift,
	[EMU_XCHG] = emu_do_xchg,
	[EMU_CMPXCHG] = emu_do_cmpxchg,
	[EMU_CMPXCHG8B] = emu_do_cmpxchg8b,
	[EMU_XADD] = emu_do_xadd,
	[EMU_BT... EMU_BTC] = emu_do_bit,
	[EMU_BSF] = emu_do_scan,
	[EMU_BSR] = emu_do_scan,
	[EMU_MOV] = emu_do_mov,
	[EMU_MOVZX] = emu_do_movx,
	[EMU_MOVSX] = emu_do_movx,
	[EMU_MOV_FROM_SEG] = emu_do_mov_from_seg,
	[EMU_SETCC] = emu_do_setcc,
	[EMU_CMOVCC] = emu_do_cmovcc,
	[EMU_XLAT] = emu_do_xlat,
	[EMU_PUSH] = emu_do_push,
	[EMU_POP] = emu_do_pop,
	[EMU_CALL] = emu_do_call,
	[EMU_JMP] = emu_do_jmp,
	[EMU_RET] = emu_do_ret,
	[EMU_LEAVE] = emu_do_leave,
	[EMU_MOVS... EMU_OUTS] = emu_do_string,
	[EMU_IN] = emu_do_port,
	[EMU_OUT] = emu_do_port,
};

enum emu_result emu_execute(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	if (insn->op >= EMU_CPUID || !executors[insn->op])
		return EMU_UNSUPPORTED;
	return executors[insn->op](ctx, insn);
}
