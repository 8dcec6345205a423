/* SPDX-License-Identifier: BSD-2-Clause */
/* The opcode tables: what the decoder must know of each opcode byte. Private to vmm-server/emu. */
#ifndef VMM_EMU_TABLES_H
#define VMM_EMU_TABLES_H

#include <stdint.h>

/*
 * Operands, in the letters of the SDM's opcode map: E the ModRM register or memory, G the ModRM
 * register, I an immediate, R the register in the opcode's low bits, A rAX, O a moffs address, S a
 * segment register.
 */
/* clang-format off */
enum emu_form {
	FORM_NONE,
	FORM_EG, FORM_GE, FORM_EI, FORM_AI, FORM_E, FORM_R, FORM_RI, FORM_I,
	FORM_AO, FORM_OA, FORM_AR, FORM_ES, FORM_GEI,
	FORM_E1, FORM_EC, FORM_EGI, FORM_EGC, /* shifts by 1, by CL */
	FORM_REL, FORM_DX, FORM_STRING,
};
/* clang-format on */

#define OPC_VALID  0x0001u
#define OPC_MODRM  0x0002u
#define OPC_BYTE   0x0004u /* operand size 1, whatever the prefixes */
#define OPC_D64	   0x0008u /* operand size 64 by default in 64-bit mode */
#define OPC_F64	   0x0010u /* near branch: 64 in 64-bit mode; AMD lets 66 make it 16 */
#define OPC_NO64   0x0020u /* #UD in 64-bit mode */
#define OPC_LOCK   0x0040u /* LOCK is allowed if the operand is memory */
#define OPC_MEM	   0x0080u /* #UD with a register operand */
#define OPC_REG	   0x0100u /* #UD with a memory operand */
#define OPC_GROUP  0x0200u /* `index` is a row of emu_groups, chosen by ModRM.reg */
#define OPC_MASK   0x0400u /* `index` is an entry of emu_masks */
#define OPC_PREFIX 0x0800u
#define OPC_PLAIN  0x1000u  /* with 66, F2 or F3 it is something else, of the same length */
#define OPC_NOREP  0x2000u  /* with F2 or F3 it is something else, of the same length */
#define OPC_CRDR   0x4000u  /* MOV CR/DR: ModRM.mod is ignored (SDM vol. 2, MOV) */
#define OPC_REST   0x8000u  /* decode.c has a rule of its own for it */
#define OPC_Y	   0x10000u /* operand size 8 with REX.W, else 4 */

/* Immediates. */
#define OPC_IMM(kind)	  ((uint32_t)(kind) << 24)
#define OPC_IMM_OF(flags) ((flags) >> 24)
enum emu_imm {
	IMM_NONE,
	IMM_B,	   /* 1 byte */
	IMM_W,	   /* 2 */
	IMM_Z,	   /* 2 or 4, by operand size */
	IMM_V,	   /* 2, 4 or 8 */
	IMM_FAR,   /* 2 or 4, then a selector */
	IMM_WB,	   /* 2, then 1 (ENTER) */
	IMM_BB,	   /* 1 and 1 (EXTRQ, INSERTQ) */
	IMM_MOFFS, /* by address size */
	IMM_D,	   /* 4 */
};

struct emu_opcode {
	uint32_t flags;
	uint8_t op;   /* enum emu_op */
	uint8_t form; /* enum emu_form */
	uint8_t index;
	uint8_t source_size; /* bytes of E where it is not the operand size (MOVZX …), else 0 */
};

/* Which ModRM bytes are defined. */
struct emu_mask {
	uint64_t reg;	/* mod = 3: bit ModRM & 63 */
	uint8_t memory; /* else: bit ModRM.reg */
};

extern const struct emu_opcode emu_one_byte[256];
extern const struct emu_opcode emu_two_byte[256];
extern const struct emu_opcode emu_groups[][8];
extern const struct emu_mask emu_masks[];
extern const uint32_t
	emu_map_38[8]; /* bit set: defined without VEX; all have ModRM and no immediate */
extern const uint32_t emu_map_3a[8]; /* all have ModRM and a byte */

#endif
