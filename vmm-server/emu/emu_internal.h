/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the executor share. Private to vmm-server/emu. */
#ifndef VMM_EMU_INTERNAL_H
#define VMM_EMU_INTERNAL_H

#include "emu.h"
#include "emu_tables.h"

#define FLAG_CF		 0x001ull
#define FLAG_PF		 0x004ull
#define FLAG_AF		 0x010ull
#define FLAG_ZF		 0x040ull
#define FLAG_SF		 0x080ull
#define FLAG_DF		 0x400ull
#define FLAG_OF		 0x800ull
#define FLAG_VM		 0x20000ull
#define FLAGS_ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define VECTOR_DE 0u
#define VECTOR_SS 12u
#define VECTOR_GP 13u
#define VECTOR_PF 14u

/* Where an operand is: a general register or memory. */
struct emu_place {
	uint64_t linear;
	uint8_t reg;
	bool high; /* AH CH DH BH */
	bool memory;
};

static inline uint64_t emu_mask(unsigned size)
{
	return size == 8 ? ~0ull : (1ull << (8 * size)) - 1;
}

static inline uint64_t emu_sign(unsigned size)
{
	return 1ull << (8 * size - 1);
}

/* Sign-extends the low `size` bytes. */
static inline uint64_t emu_extend(uint64_t value, unsigned size)
{
	unsigned shift = 64 - 8 * size;

	return (uint64_t)((int64_t)(value << shift) >> shift);
}

static inline bool emu_is_64(const struct emu_insn *insn)
{
	return (insn->mode & EMU_MODE_SIZE) == EMU_MODE_64;
}

enum emu_result emu_raise(struct emu_ctx *ctx, uint32_t vector, uint32_t error);

/* ---- execute_operand.c ---- */
enum emu_result emu_linear(struct emu_ctx *ctx, const struct emu_insn *insn, unsigned segment,
			   uint64_t offset, unsigned size, bool write, uint64_t *linear);
/* The ModRM operand; `extra` is added to its offset. */
enum emu_result emu_place_rm(struct emu_ctx *ctx, const struct emu_insn *insn, unsigned size,
			     bool write, int64_t extra, struct emu_place *place);
struct emu_place emu_place_reg(const struct emu_insn *insn, unsigned reg, unsigned size);
enum emu_result emu_get(struct emu_ctx *ctx, const struct emu_place *place, unsigned size,
			bool to_write, uint64_t *value);
/* Replaces `old`, which emu_get gave. */
enum emu_result emu_put(struct emu_ctx *ctx, const struct emu_insn *insn,
			const struct emu_place *place, unsigned size, uint64_t old, uint64_t value);
void emu_put_reg(struct emu_ctx *ctx, unsigned reg, unsigned size, uint64_t value);
void emu_finish(struct emu_ctx *ctx, const struct emu_insn *insn); /* steps RIP over it */
uint64_t emu_next_rip(const struct emu_ctx *ctx, const struct emu_insn *insn);
bool emu_canonical(const struct vcpu_state *state, uint64_t linear);

/* ---- execute_alu.c: pure ---- */
uint64_t emu_alu(unsigned op, uint64_t a, uint64_t b, unsigned size, uint64_t *flags);
uint64_t emu_shift(unsigned op, uint64_t value, unsigned count, unsigned size, uint64_t *flags);
bool emu_condition(unsigned code, uint64_t flags);

/* ---- one function per kind of instruction ---- */
typedef enum emu_result emu_executor(struct emu_ctx *ctx, const struct emu_insn *insn);
emu_executor emu_do_binary, emu_do_unary, emu_do_shift, emu_do_double_shift, emu_do_multiply,
	emu_do_divide;
emu_executor emu_do_xchg, emu_do_cmpxchg, emu_do_cmpxchg8b, emu_do_xadd, emu_do_bit, emu_do_scan;
emu_executor emu_do_mov, emu_do_movx, emu_do_mov_from_seg, emu_do_setcc, emu_do_cmovcc, emu_do_xlat;
emu_executor emu_do_push, emu_do_pop, emu_do_call, emu_do_jmp, emu_do_ret, emu_do_leave;
emu_executor emu_do_string, emu_do_port;

#endif
