/* SPDX-License-Identifier: BSD-2-Clause */
/* The opcode maps (SDM vol. 2 appendix A; APM vol. 3 appendix A for what only AMD has). */
#include "emu.h"
#include "emu_tables.h"

/* clang-format off */
#define V     OPC_VALID
#define M     (OPC_VALID | OPC_MODRM)
#define B     OPC_BYTE
#define IB    OPC_IMM(IMM_B)
#define IZ    OPC_IMM(IMM_Z)

#define ROW(flags_, op_, form_)          { .flags = (flags_), .op = (op_), .form = (form_) }
#define SIZED(flags_, op_, form_, size_) { .flags = (flags_), .op = (op_), .form = (form_), .source_size = (size_) }
#define LENGTH(flags_)                   { .flags = (flags_) }
#define INDEX(flags_, index_)            { .flags = (flags_), .index = (index_) }

enum group {
	G1B, G1Z, G1X, G1A, G2B, G2Z, G2B1, G2Z1, G2BC, G2ZC, G3B, G3Z, G4, G5,
	G6, G7, G8, G9, G11B, G11Z, G12, G13, G14,
};
enum mask { F_D8, F_D9, F_DA, F_DB, F_DC, F_DD, F_DE, F_DF, K_0F01, K_0FAE };

#define ALU(base, op, lock)                                                                    \
	[(base) + 0] = ROW(M | B | (lock), op, FORM_EG), [(base) + 1] = ROW(M | (lock), op, FORM_EG), \
	[(base) + 2] = ROW(M | B, op, FORM_GE),          [(base) + 3] = ROW(M, op, FORM_GE),          \
	[(base) + 4] = ROW(V | B | IB, op, FORM_AI),     [(base) + 5] = ROW(V | IZ, op, FORM_AI)
#define PREFIX LENGTH(V | OPC_PREFIX)
#define NO64   LENGTH(V | OPC_NO64)

const struct emu_opcode emu_one_byte[256] = {
	ALU(0x00, EMU_ADD, OPC_LOCK), ALU(0x08, EMU_OR, OPC_LOCK),
	ALU(0x10, EMU_ADC, OPC_LOCK), ALU(0x18, EMU_SBB, OPC_LOCK),
	ALU(0x20, EMU_AND, OPC_LOCK), ALU(0x28, EMU_SUB, OPC_LOCK),
	ALU(0x30, EMU_XOR, OPC_LOCK), ALU(0x38, EMU_CMP, 0),
	[0x06] = NO64, [0x07] = NO64, [0x0e] = NO64, /* push/pop of segment registers */
	[0x16] = NO64, [0x17] = NO64, [0x1e] = NO64, [0x1f] = NO64,
	[0x27] = NO64, [0x2f] = NO64, [0x37] = NO64, [0x3f] = NO64, /* DAA DAS AAA AAS */
	[0x26] = PREFIX, [0x2e] = PREFIX, [0x36] = PREFIX, [0x3e] = PREFIX,
	[0x40 ... 0x47] = ROW(V | OPC_NO64, EMU_INC, FORM_R), /* REX in 64-bit mode */
	[0x48 ... 0x4f] = ROW(V | OPC_NO64, EMU_DEC, FORM_R),
	[0x50 ... 0x57] = ROW(V | OPC_D64, EMU_PUSH, FORM_R),
	[0x58 ... 0x5f] = ROW(V | OPC_D64, EMU_POP, FORM_R),
	[0x60] = NO64, [0x61] = NO64,
	[0x62] = LENGTH(M | OPC_NO64 | OPC_MEM), /* BOUND; EVEX is found before */
	[0x63] = SIZED(M | OPC_REST, EMU_MOVSX, FORM_GE, 4), /* MOVSXD; ARPL outside 64-bit mode */
	[0x64 ... 0x67] = PREFIX,
	[0x68] = ROW(V | OPC_D64 | IZ, EMU_PUSH, FORM_I),
	[0x69] = ROW(M | IZ, EMU_IMUL, FORM_GEI),
	[0x6a] = ROW(V | OPC_D64 | IB, EMU_PUSH, FORM_I),
	[0x6b] = ROW(M | IB, EMU_IMUL, FORM_GEI),
	[0x6c] = ROW(V | B, EMU_INS, FORM_STRING), [0x6d] = ROW(V, EMU_INS, FORM_STRING),
	[0x6e] = ROW(V | B, EMU_OUTS, FORM_STRING), [0x6f] = ROW(V, EMU_OUTS, FORM_STRING),
	[0x70 ... 0x7f] = LENGTH(V | OPC_F64 | IB),
	[0x80] = INDEX(M | OPC_GROUP, G1B), [0x81] = INDEX(M | OPC_GROUP, G1Z),
	[0x82] = INDEX(M | OPC_GROUP | OPC_NO64, G1B), [0x83] = INDEX(M | OPC_GROUP, G1X),
	[0x84] = ROW(M | B, EMU_TEST, FORM_EG), [0x85] = ROW(M, EMU_TEST, FORM_EG),
	[0x86] = ROW(M | B | OPC_LOCK, EMU_XCHG, FORM_EG), [0x87] = ROW(M | OPC_LOCK, EMU_XCHG, FORM_EG),
	[0x88] = ROW(M | B, EMU_MOV, FORM_EG), [0x89] = ROW(M, EMU_MOV, FORM_EG),
	[0x8a] = ROW(M | B, EMU_MOV, FORM_GE), [0x8b] = ROW(M, EMU_MOV, FORM_GE),
	[0x8c] = ROW(M | OPC_REST, EMU_MOV_FROM_SEG, FORM_ES),
	[0x8d] = LENGTH(M | OPC_MEM), /* LEA */
	[0x8e] = LENGTH(M | OPC_REST),
	[0x8f] = INDEX(M | OPC_GROUP, G1A),
	[0x90] = ROW(V | OPC_REST, EMU_XCHG, FORM_AR), /* F3 90 is PAUSE */
	[0x91 ... 0x97] = ROW(V, EMU_XCHG, FORM_AR),
	[0x98] = LENGTH(V), [0x99] = LENGTH(V),
	[0x9a] = LENGTH(V | OPC_NO64 | OPC_IMM(IMM_FAR)),
	[0x9b] = LENGTH(V),
	[0x9c] = ROW(V | OPC_D64, EMU_PUSHF, FORM_NONE), [0x9d] = ROW(V | OPC_D64, EMU_POPF, FORM_NONE),
	[0x9e] = LENGTH(V), [0x9f] = LENGTH(V),
	[0xa0] = ROW(V | B | OPC_IMM(IMM_MOFFS), EMU_MOV, FORM_AO),
	[0xa1] = ROW(V | OPC_IMM(IMM_MOFFS), EMU_MOV, FORM_AO),
	[0xa2] = ROW(V | B | OPC_IMM(IMM_MOFFS), EMU_MOV, FORM_OA),
	[0xa3] = ROW(V | OPC_IMM(IMM_MOFFS), EMU_MOV, FORM_OA),
	[0xa4] = ROW(V | B, EMU_MOVS, FORM_STRING), [0xa5] = ROW(V, EMU_MOVS, FORM_STRING),
	[0xa6] = ROW(V | B, EMU_CMPS, FORM_STRING), [0xa7] = ROW(V, EMU_CMPS, FORM_STRING),
	[0xa8] = ROW(V | B | IB, EMU_TEST, FORM_AI), [0xa9] = ROW(V | IZ, EMU_TEST, FORM_AI),
	[0xaa] = ROW(V | B, EMU_STOS, FORM_STRING), [0xab] = ROW(V, EMU_STOS, FORM_STRING),
	[0xac] = ROW(V | B, EMU_LODS, FORM_STRING), [0xad] = ROW(V, EMU_LODS, FORM_STRING),
	[0xae] = ROW(V | B, EMU_SCAS, FORM_STRING), [0xaf] = ROW(V, EMU_SCAS, FORM_STRING),
	[0xb0 ... 0xb7] = ROW(V | B | IB, EMU_MOV, FORM_RI),
	[0xb8 ... 0xbf] = ROW(V | OPC_IMM(IMM_V), EMU_MOV, FORM_RI),
	[0xc0] = INDEX(M | OPC_GROUP, G2B), [0xc1] = INDEX(M | OPC_GROUP, G2Z),
	[0xc2] = ROW(V | OPC_F64 | OPC_IMM(IMM_W), EMU_RET, FORM_I),
	[0xc3] = ROW(V | OPC_F64, EMU_RET, FORM_NONE),
	[0xc4] = LENGTH(M | OPC_NO64 | OPC_MEM), [0xc5] = LENGTH(M | OPC_NO64 | OPC_MEM), /* LES LDS; VEX before */
	[0xc6] = INDEX(M | OPC_GROUP, G11B), [0xc7] = INDEX(M | OPC_GROUP, G11Z),
	[0xc8] = LENGTH(V | OPC_D64 | OPC_IMM(IMM_WB)),
	[0xc9] = ROW(V | OPC_D64, EMU_LEAVE, FORM_NONE),
	[0xca] = LENGTH(V | OPC_IMM(IMM_W)), [0xcb] = LENGTH(V),
	[0xcc] = ROW(V, EMU_INT3, FORM_NONE), [0xcd] = ROW(V | IB, EMU_INT, FORM_I),
	[0xce] = ROW(V | OPC_NO64, EMU_INTO, FORM_NONE), [0xcf] = ROW(V, EMU_IRET, FORM_NONE),
	[0xd0] = INDEX(M | OPC_GROUP, G2B1), [0xd1] = INDEX(M | OPC_GROUP, G2Z1),
	[0xd2] = INDEX(M | OPC_GROUP, G2BC), [0xd3] = INDEX(M | OPC_GROUP, G2ZC),
	[0xd4] = LENGTH(V | OPC_NO64 | IB), [0xd5] = LENGTH(V | OPC_NO64 | IB),
	[0xd6] = NO64, /* SALC */
	[0xd7] = ROW(V | B, EMU_XLAT, FORM_NONE),
	[0xd8] = INDEX(M | OPC_MASK, F_D8), [0xd9] = INDEX(M | OPC_MASK, F_D9),
	[0xda] = INDEX(M | OPC_MASK, F_DA), [0xdb] = INDEX(M | OPC_MASK, F_DB),
	[0xdc] = INDEX(M | OPC_MASK, F_DC), [0xdd] = INDEX(M | OPC_MASK, F_DD),
	[0xde] = INDEX(M | OPC_MASK, F_DE), [0xdf] = INDEX(M | OPC_MASK, F_DF),
	[0xe0 ... 0xe3] = LENGTH(V | OPC_F64 | IB),
	[0xe4] = ROW(V | B | IB, EMU_IN, FORM_I), [0xe5] = ROW(V | IB, EMU_IN, FORM_I),
	[0xe6] = ROW(V | B | IB, EMU_OUT, FORM_I), [0xe7] = ROW(V | IB, EMU_OUT, FORM_I),
	[0xe8] = ROW(V | OPC_F64 | IZ, EMU_CALL, FORM_REL),
	[0xe9] = ROW(V | OPC_F64 | IZ, EMU_JMP, FORM_REL),
	[0xea] = LENGTH(V | OPC_NO64 | OPC_IMM(IMM_FAR)),
	[0xeb] = ROW(V | OPC_F64 | IB, EMU_JMP, FORM_REL),
	[0xec] = ROW(V | B, EMU_IN, FORM_DX), [0xed] = ROW(V, EMU_IN, FORM_DX),
	[0xee] = ROW(V | B, EMU_OUT, FORM_DX), [0xef] = ROW(V, EMU_OUT, FORM_DX),
	[0xf0] = PREFIX, [0xf2] = PREFIX, [0xf3] = PREFIX,
	[0xf1] = ROW(V, EMU_INT1, FORM_NONE),
	[0xf4] = ROW(V, EMU_HLT, FORM_NONE), [0xf5] = LENGTH(V),
	[0xf6] = INDEX(M | OPC_GROUP, G3B), [0xf7] = INDEX(M | OPC_GROUP, G3Z),
	[0xf8 ... 0xfd] = LENGTH(V),
	[0xfe] = INDEX(M | OPC_GROUP, G4), [0xff] = INDEX(M | OPC_GROUP, G5),
};

#define SIMD     LENGTH(M)
#define SIMD_MEM LENGTH(M | OPC_MEM)
#define VECTOR   ROW(M, EMU_MOV_VECTOR, FORM_NONE)

const struct emu_opcode emu_two_byte[256] = {
	[0x00] = INDEX(M | OPC_GROUP, G6), [0x01] = INDEX(M | OPC_GROUP, G7),
	[0x02] = LENGTH(M), [0x03] = LENGTH(M), /* LAR LSL */
	[0x05] = LENGTH(V), [0x06] = ROW(V, EMU_CLTS, FORM_NONE), [0x07] = LENGTH(V),
	[0x08] = ROW(V, EMU_INVD, FORM_NONE), [0x09] = ROW(V, EMU_WBINVD, FORM_NONE),
	[0x0b] = LENGTH(V), /* UD2: always #UD, but two bytes long */
	[0x0d] = LENGTH(M), [0x0e] = LENGTH(V),
	[0x0f] = LENGTH(M | IB), /* 3DNow!: the opcode comes last */
	[0x10] = VECTOR, [0x11] = VECTOR, [0x12] = VECTOR, [0x13] = SIMD_MEM,
	[0x14] = SIMD, [0x15] = SIMD, [0x16] = VECTOR, [0x17] = SIMD_MEM,
	[0x18 ... 0x1f] = LENGTH(M), /* hints; 1F /0 is NOP */
	[0x20] = ROW(M | OPC_CRDR, EMU_MOV_FROM_CR, FORM_NONE),
	[0x21] = ROW(M | OPC_CRDR, EMU_MOV_FROM_DR, FORM_NONE),
	[0x22] = ROW(M | OPC_CRDR, EMU_MOV_TO_CR, FORM_NONE),
	[0x23] = ROW(M | OPC_CRDR, EMU_MOV_TO_DR, FORM_NONE),
	[0x28] = VECTOR, [0x29] = VECTOR, [0x2a] = SIMD,
	[0x2b] = ROW(M | OPC_MEM, EMU_MOV_VECTOR, FORM_NONE),
	[0x2c ... 0x2f] = SIMD,
	[0x30] = ROW(V, EMU_WRMSR, FORM_NONE), [0x31] = ROW(V, EMU_RDTSC, FORM_NONE),
	[0x32] = ROW(V, EMU_RDMSR, FORM_NONE), [0x33] = ROW(V, EMU_RDPMC, FORM_NONE),
	[0x34] = LENGTH(V), [0x35] = LENGTH(V), [0x37] = LENGTH(V | OPC_REST), /* SYSENTER SYSEXIT GETSEC */
	[0x40 ... 0x4f] = ROW(M, EMU_CMOVCC, FORM_GE),
	[0x50] = LENGTH(M | OPC_REG), [0x51 ... 0x6d] = SIMD,
	[0x6e] = VECTOR, [0x6f] = VECTOR, [0x70] = LENGTH(M | IB),
	[0x71] = INDEX(M | OPC_GROUP, G12), [0x72] = INDEX(M | OPC_GROUP, G13),
	[0x73] = INDEX(M | OPC_GROUP, G14),
	[0x74 ... 0x76] = SIMD, [0x77] = LENGTH(V), /* EMMS */
	[0x78] = LENGTH(M | OPC_REST), /* VMREAD; with 66 or F2: EXTRQ, INSERTQ with two bytes more */
	[0x79] = LENGTH(M), [0x7c] = SIMD, [0x7d] = SIMD,
	[0x7e] = VECTOR, [0x7f] = VECTOR,
	[0x80 ... 0x8f] = LENGTH(V | OPC_F64 | IZ),
	[0x90 ... 0x9f] = ROW(M | B, EMU_SETCC, FORM_E),
	[0xa0] = LENGTH(V | OPC_D64), [0xa1] = LENGTH(V | OPC_D64), /* PUSH/POP FS */
	[0xa2] = ROW(V, EMU_CPUID, FORM_NONE), [0xa3] = ROW(M, EMU_BT, FORM_EG),
	[0xa4] = ROW(M | IB, EMU_SHLD, FORM_EGI), [0xa5] = ROW(M, EMU_SHLD, FORM_EGC),
	[0xa8] = LENGTH(V | OPC_D64), [0xa9] = LENGTH(V | OPC_D64), /* PUSH/POP GS */
	[0xaa] = LENGTH(V), [0xab] = ROW(M | OPC_LOCK, EMU_BTS, FORM_EG),
	[0xac] = ROW(M | IB, EMU_SHRD, FORM_EGI), [0xad] = ROW(M, EMU_SHRD, FORM_EGC),
	[0xae] = INDEX(M | OPC_MASK, K_0FAE),
	[0xaf] = ROW(M, EMU_IMUL, FORM_GE),
	[0xb0] = ROW(M | B | OPC_LOCK, EMU_CMPXCHG, FORM_EG),
	[0xb1] = ROW(M | OPC_LOCK, EMU_CMPXCHG, FORM_EG),
	[0xb2] = LENGTH(M | OPC_MEM), [0xb3] = ROW(M | OPC_LOCK, EMU_BTR, FORM_EG),
	[0xb4] = LENGTH(M | OPC_MEM), [0xb5] = LENGTH(M | OPC_MEM), /* LSS LFS LGS */
	[0xb6] = SIZED(M, EMU_MOVZX, FORM_GE, 1), [0xb7] = SIZED(M, EMU_MOVZX, FORM_GE, 2),
	[0xb8] = LENGTH(M | OPC_REST), /* F3: POPCNT */
	[0xb9] = LENGTH(M),            /* UD1 */
	[0xba] = INDEX(M | OPC_GROUP, G8), [0xbb] = ROW(M | OPC_LOCK, EMU_BTC, FORM_EG),
	[0xbc] = ROW(M | OPC_NOREP, EMU_BSF, FORM_GE), [0xbd] = ROW(M | OPC_NOREP, EMU_BSR, FORM_GE),
	[0xbe] = SIZED(M, EMU_MOVSX, FORM_GE, 1), [0xbf] = SIZED(M, EMU_MOVSX, FORM_GE, 2),
	[0xc0] = ROW(M | B | OPC_LOCK, EMU_XADD, FORM_EG), [0xc1] = ROW(M | OPC_LOCK, EMU_XADD, FORM_EG),
	[0xc2] = LENGTH(M | IB),
	[0xc3] = ROW(M | OPC_MEM | OPC_PLAIN | OPC_Y, EMU_MOV, FORM_EG), /* MOVNTI */
	[0xc4] = LENGTH(M | IB), [0xc5] = LENGTH(M | OPC_REG | IB), [0xc6] = LENGTH(M | IB),
	[0xc7] = INDEX(M | OPC_GROUP, G9),
	[0xc8 ... 0xcf] = LENGTH(V), /* BSWAP */
	[0xd0 ... 0xd5] = SIMD, [0xd6] = VECTOR, [0xd7] = LENGTH(M | OPC_REG),
	[0xd8 ... 0xe6] = SIMD, [0xe7] = ROW(M | OPC_MEM, EMU_MOV_VECTOR, FORM_NONE),
	[0xe8 ... 0xf6] = SIMD, [0xf7] = LENGTH(M | OPC_REG), [0xf8 ... 0xff] = SIMD,
};

#define L   (M | OPC_LOCK)
#define ARITH(flags, lock, form)                                                   \
	{ ROW((flags) | (lock), EMU_ADD, form), ROW((flags) | (lock), EMU_OR, form),  \
	  ROW((flags) | (lock), EMU_ADC, form), ROW((flags) | (lock), EMU_SBB, form), \
	  ROW((flags) | (lock), EMU_AND, form), ROW((flags) | (lock), EMU_SUB, form), \
	  ROW((flags) | (lock), EMU_XOR, form), ROW((flags), EMU_CMP, form) }
#define SHIFT(flags, form)                                                         \
	{ ROW(flags, EMU_ROL, form), ROW(flags, EMU_ROR, form), ROW(flags, EMU_RCL, form), \
	  ROW(flags, EMU_RCR, form), ROW(flags, EMU_SHL, form), ROW(flags, EMU_SHR, form), \
	  ROW(flags, EMU_SAL, form), ROW(flags, EMU_SAR, form) }
#define UNARY(flags, imm)                                                           \
	{ ROW((flags) | (imm), EMU_TEST, FORM_EI), ROW((flags) | (imm), EMU_TEST, FORM_EI), \
	  ROW((flags) | OPC_LOCK, EMU_NOT, FORM_E), ROW((flags) | OPC_LOCK, EMU_NEG, FORM_E), \
	  ROW(flags, EMU_MUL, FORM_E), ROW(flags, EMU_IMUL, FORM_E),                 \
	  ROW(flags, EMU_DIV, FORM_E), ROW(flags, EMU_IDIV, FORM_E) }
#define VSHIFT { {0}, {0}, LENGTH(M | IB | OPC_REG), {0}, LENGTH(M | IB | OPC_REG), {0}, LENGTH(M | IB | OPC_REG), {0} }

const struct emu_opcode emu_groups[][8] = {
	[G1B] = ARITH(M | B | IB, OPC_LOCK, FORM_EI),
	[G1Z] = ARITH(M | IZ, OPC_LOCK, FORM_EI),
	[G1X] = ARITH(M | IB, OPC_LOCK, FORM_EI),
	[G1A] = { ROW(M | OPC_D64, EMU_POP, FORM_E) },
	[G2B] = SHIFT(M | B | IB, FORM_EI), [G2Z] = SHIFT(M | IB, FORM_EI),
	[G2B1] = SHIFT(M | B, FORM_E1), [G2Z1] = SHIFT(M, FORM_E1),
	[G2BC] = SHIFT(M | B, FORM_EC), [G2ZC] = SHIFT(M, FORM_EC),
	[G3B] = UNARY(M | B, IB), [G3Z] = UNARY(M, IZ),
	[G4] = { ROW(L | B, EMU_INC, FORM_E), ROW(L | B, EMU_DEC, FORM_E) },
	[G5] = { ROW(L, EMU_INC, FORM_E), ROW(L, EMU_DEC, FORM_E),
		 ROW(M | OPC_F64, EMU_CALL, FORM_E), LENGTH(M | OPC_MEM),
		 ROW(M | OPC_F64, EMU_JMP, FORM_E), LENGTH(M | OPC_MEM),
		 ROW(M | OPC_D64, EMU_PUSH, FORM_E), {0} },
	[G6] = { LENGTH(M), LENGTH(M), LENGTH(M), LENGTH(M), LENGTH(M), LENGTH(M), {0}, {0} },
	[G7] = { INDEX(M | OPC_MASK, K_0F01), INDEX(M | OPC_MASK, K_0F01), INDEX(M | OPC_MASK, K_0F01),
		 INDEX(M | OPC_MASK, K_0F01),
		 { .flags = M | OPC_MASK, .op = EMU_SMSW, .form = FORM_E, .index = K_0F01 },
		 INDEX(M | OPC_MASK, K_0F01),
		 { .flags = M | OPC_MASK, .op = EMU_LMSW, .form = FORM_E, .index = K_0F01 },
		 { .flags = M | OPC_MASK, .op = EMU_INVLPG, .form = FORM_E, .index = K_0F01 } },
	[G8] = { {0}, {0}, {0}, {0}, ROW(M | IB, EMU_BT, FORM_EI), ROW(L | IB, EMU_BTS, FORM_EI),
		 ROW(L | IB, EMU_BTR, FORM_EI), ROW(L | IB, EMU_BTC, FORM_EI) },
	[G9] = { {0}, ROW(L | OPC_MEM, EMU_CMPXCHG8B, FORM_E), {0}, LENGTH(M | OPC_MEM),
		 LENGTH(M | OPC_MEM), LENGTH(M | OPC_MEM), LENGTH(M), LENGTH(M) },
	[G11B] = { ROW(M | B | IB, EMU_MOV, FORM_EI), {0}, {0}, {0}, {0}, {0}, {0}, LENGTH(M | B | IB | OPC_REST) },
	[G11Z] = { ROW(M | IZ, EMU_MOV, FORM_EI), {0}, {0}, {0}, {0}, {0}, {0}, LENGTH(M | IZ | OPC_REST) },
	[G12] = VSHIFT, [G13] = VSHIFT,
	[G14] = { {0}, {0}, LENGTH(M | IB | OPC_REG), LENGTH(M | IB | OPC_REG), {0}, {0},
		  LENGTH(M | IB | OPC_REG), LENGTH(M | IB | OPC_REG) },
};

#define ALL 0xffull
#define ROWS(r0, r1, r2, r3, r4, r5, r6, r7)                                                 \
	((r0) | (r1) << 8 | (r2) << 16 | (r3) << 24 | (r4) << 32 | (r5) << 40 | (r6) << 48 | (r7) << 56)

const struct emu_mask emu_masks[] = {
	/* x87 (SDM vol. 2 A.5.2), with the aliases that CPUs accept */
	[F_D8] = { ROWS(ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL), 0xff },
	[F_D9] = { ROWS(ALL, ALL, 0x01ull, ALL, 0x33ull, 0x7full, ALL, ALL), 0xfd },
	[F_DA] = { ROWS(ALL, ALL, ALL, ALL, 0ull, 0x02ull, 0ull, 0ull), 0xff },
	[F_DB] = { ROWS(ALL, ALL, ALL, ALL, 0x1full, ALL, ALL, 0ull), 0xaf },
	[F_DC] = { ROWS(ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL), 0xff },
	[F_DD] = { ROWS(ALL, ALL, ALL, ALL, ALL, ALL, 0ull, 0ull), 0xdf },
	[F_DE] = { ROWS(ALL, ALL, ALL, 0x02ull, ALL, ALL, ALL, ALL), 0xff },
	[F_DF] = { ROWS(ALL, ALL, ALL, ALL, 0x01ull, ALL, ALL, 0ull), 0xff },
	/* VMX, MONITOR, XGETBV, SVM, SMSW, CET, LMSW, SWAPGS */
	[K_0F01] = { ROWS(0x7full, ALL, ALL, ALL, ALL, ALL, ALL, ALL), 0xff },
	/* memory: FXSAVE … CLFLUSH; registers: RDFSBASE …, LFENCE, MFENCE, SFENCE */
	[K_0FAE] = { ROWS(ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL), 0xff },
};

/* One word per 32 opcodes, bit n for opcode base + n. */
const uint32_t emu_map_38[8] = {
	0x70b10fffu, /* 00-0b 10 14 15 17 1c-1e */
	0xffff0f3fu,               /* 20-25 28-2b 30-3f */
	0x00000003u,               /* 40 41 */
	0,
	0x00000007u,               /* 80-82 */
	0,
	0xf900bf00u,               /* c8-cd cf d8 db-df */
	0x1f630000u, /* f0 f1 f5 f6 f8-fc */
};
const uint32_t emu_map_3a[8] = {
	0x00f0ff00u, /* 08-0f 14-17 */
	0x00000007u, /* 20-22 */
	0x00000017u, /* 40-42 44 */
	0x0000000fu, /* 60-63 */
	0,
	0,
	0x8000d000u, /* cc ce cf df */
	0x00010000u, /* f0 */
};
