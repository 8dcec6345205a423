/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86 instruction decoder, executor and guest page-table walk for the vmm-server. Pure C: no
 * globals that change, no I/O, no allocation, no recursion; whatever lies outside goes through
 * callbacks.
 *
 * Manuals: "SDM" is Intel's Software Developer's Manual, "APM" AMD's Architecture Programmer's
 * Manual.
 */
#ifndef VMM_EMU_H
#define VMM_EMU_H

#include <stdbool.h>
#include <stdint.h>
#include <cairn/vcpu.h>

/* ---- Decoder ---- */

#define EMU_MAX_LENGTH 15u /* SDM 2.3.11: a longer instruction is #GP */

/* The mode argument of emu_decode: size of code, and the vendor where the two differ. */
#define EMU_MODE_16   0u
#define EMU_MODE_32   1u
#define EMU_MODE_64   2u
#define EMU_MODE_SIZE 3u
/*
 * AMD: in 64-bit mode a 66 prefix makes a near branch 16 bits wide (Intel ignores it) and leaves
 * the source of MOVSXD 32 bits wide; LOCK MOV CR0 is MOV CR8; CALL pushes before it looks at its
 * target.
 */
#define EMU_MODE_AMD 4u

enum emu_decode_result {
	EMU_DECODE_OK,
	EMU_DECODE_MORE,    /* the bytes given are a proper beginning: fetch more */
	EMU_DECODE_INVALID, /* #UD */
	EMU_DECODE_LONG,    /* more than 15 bytes: #GP(0) */
};

/*
 * What the instruction does. From EMU_ADD to the last before EMU_CPUID emu_execute performs it;
 * from EMU_CPUID on it is only named; EMU_OTHER has only its length.
 */
/* clang-format off */
enum emu_op {
	EMU_OTHER,
	/* in the order of opcode bits 5:3 and of group 1 */
	EMU_ADD, EMU_OR, EMU_ADC, EMU_SBB, EMU_AND, EMU_SUB, EMU_XOR, EMU_CMP,
	/* in the order of group 2 */
	EMU_ROL, EMU_ROR, EMU_RCL, EMU_RCR, EMU_SHL, EMU_SHR, EMU_SAL, EMU_SAR,
	EMU_TEST, EMU_NOT, EMU_NEG, EMU_INC, EMU_DEC,
	EMU_MUL, EMU_IMUL, EMU_DIV, EMU_IDIV,
	EMU_SHLD, EMU_SHRD,
	EMU_XCHG, EMU_CMPXCHG, EMU_CMPXCHG8B, EMU_XADD,
	/* in the order of group 8 */
	EMU_BT, EMU_BTS, EMU_BTR, EMU_BTC,
	EMU_BSF, EMU_BSR,
	EMU_MOV, EMU_MOVZX, EMU_MOVSX, EMU_MOV_FROM_SEG, EMU_SETCC, EMU_CMOVCC, EMU_XLAT,
	EMU_PUSH, EMU_POP, EMU_CALL, EMU_JMP, EMU_RET, EMU_LEAVE,
	EMU_MOVS, EMU_CMPS, EMU_STOS, EMU_LODS, EMU_SCAS, EMU_INS, EMU_OUTS,
	EMU_IN, EMU_OUT,
	/* named only */
	EMU_CPUID,
	EMU_MOV_FROM_CR, EMU_MOV_TO_CR, EMU_MOV_FROM_DR, EMU_MOV_TO_DR, EMU_CLTS, EMU_LMSW, EMU_SMSW,
	EMU_HLT, EMU_RDMSR, EMU_WRMSR, EMU_VMCALL, EMU_VMMCALL, EMU_INVD, EMU_WBINVD, EMU_INVLPG,
	EMU_MONITOR, EMU_MWAIT, EMU_XSETBV, EMU_RDPMC, EMU_RDTSC, EMU_RDTSCP, EMU_PAUSE,
	EMU_INT, EMU_INT3, EMU_INTO, EMU_INT1, EMU_IRET, EMU_PUSHF, EMU_POPF,
	EMU_MOV_VECTOR, /* MOVUPS/MOVAPS/MOVDQA/MOVDQU/MOVQ/MOVD …: emu_execute refuses it */
	EMU_OP_COUNT,
};
/* clang-format on */

#define EMU_LOCK  0x01u /* prefixes */
#define EMU_REPE  0x02u /* F3; of F2 and F3 the last counts */
#define EMU_REPNE 0x04u /* F2 */
#define EMU_66	  0x08u
#define EMU_67	  0x10u

enum emu_encoding { EMU_LEGACY, EMU_VEX, EMU_EVEX, EMU_XOP };

#define EMU_NO_REG  0xffu /* base, index, segment: none */
#define EMU_REG_RIP 0x10u /* base: the next instruction */

struct emu_insn {
	uint8_t length;
	uint8_t op;	  /* enum emu_op */
	uint8_t form;	  /* which operands: enum emu_form of emu_tables.h */
	uint8_t mode;	  /* as given to emu_decode */
	uint8_t encoding; /* enum emu_encoding */
	uint8_t map;	  /* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A; of VEX, EVEX, XOP: the field */
	uint8_t opcode;	  /* last byte of the opcode */
	uint8_t prefixes; /* EMU_LOCK … */
	uint8_t rex;	  /* the whole prefix; 0: none (or VEX) */
	uint8_t segment;  /* override that counts: SEG_*, or EMU_NO_REG */
	/* In bytes. 0 where nothing depends on it. */
	uint8_t operand_size; /* 1, 2, 4, 8 */
	uint8_t source_size;  /* of the ModRM operand of MOVZX, MOVSX */
	uint8_t address_size; /* 2, 4, 8 */
	uint8_t modrm;	      /* 0 if there is none */
	uint8_t memory;	      /* 1: there is a ModRM (or moffs) memory operand */
	/* Of ModRM, with REX bits. MOV CR/DR: reg is the CR or DR, rm the general register. */
	uint8_t reg, rm;
	uint8_t base, index, scale; /* of the memory operand; scale is a shift count */
	uint16_t imm2;		    /* selector of a far pointer, level of ENTER */
	int64_t disp;
	uint64_t imm; /* sign-extended */
};

/*
 * Decodes the instruction at bytes[0..n). Never reads more than min(n, 15) bytes. Everything but
 * EMU_DECODE_OK leaves *out undefined. Instructions of a SIMD map may pass although their prefixes
 * or operands are #UD: the length is then that of their neighbours.
 */
enum emu_decode_result emu_decode(const uint8_t *bytes, unsigned n, unsigned mode,
				  struct emu_insn *out);

/* Size of code for the state of a vCPU: EMU_MODE_16, _32 or _64 (needs seg[SEG_CS], cr0, efer). */
static inline unsigned emu_mode(const struct vcpu_state *state)
{
	uint16_t cs = state->seg[SEG_CS].attr;

	if ((state->efer & 0x400) && (cs & 0x200)) /* EFER.LMA and CS.L */
		return EMU_MODE_64;
	return cs & 0x400 ? EMU_MODE_32 : EMU_MODE_16; /* CS.D */
}

/* ---- Executor ---- */

enum emu_result {
	EMU_DONE,
	/* Not finished, the state is consistent, RIP unmoved: enter the guest, or call again. */
	EMU_AGAIN,
	/* ctx->fault says which; nothing has changed but finished elements of a REP string. */
	EMU_FAULT,
	/* Not an instruction emu_execute performs; nothing has changed. */
	EMU_UNSUPPORTED,
	/* A callback gave up, for a reason that only its owner knows; otherwise as EMU_FAULT. */
	EMU_ABORTED,
};

#define EMU_FAULT_NO_ERROR 0xffffffffu
struct emu_fault {
	uint32_t vector;
	uint32_t error; /* EMU_FAULT_NO_ERROR: this vector has none */
	uint64_t cr2;	/* #PF */
};

struct emu_ctx;

/*
 * Memory is addressed linearly; the callee translates, decides between RAM and device, and splits
 * what crosses a page; it checks all of an access before it changes anything. size is 1, 2, 4, 8 or
 * 16 (CMPXCHG16B). Each returns EMU_DONE, EMU_FAULT (having filled ctx->fault), EMU_ABORTED, or
 * EMU_AGAIN (nothing done: the guest shall repeat the instruction).
 */
struct emu_ops {
	/* to_write: a write to the same place follows, so that a page fault is one of a write */
	enum emu_result (*read)(struct emu_ctx *ctx, uint64_t linear, void *data, unsigned size,
				bool to_write);
	enum emu_result (*write)(struct emu_ctx *ctx, uint64_t linear, const void *data,
				 unsigned size);
	/* LOCK: atomically writes `data` if memory still holds `old`, else EMU_AGAIN. NULL: write
	 * is used instead. */
	enum emu_result (*replace)(struct emu_ctx *ctx, uint64_t linear, const void *old,
				   const void *data, unsigned size);
	/* Would a write fault? INS must know before it reads the port, AMD's CALL before it looks
	 * at its target. NULL: it would not. */
	enum emu_result (*probe_write)(struct emu_ctx *ctx, uint64_t linear, unsigned size);
	/* size is 1, 2 or 4. NULL: port I/O is EMU_UNSUPPORTED. */
	enum emu_result (*port_read)(struct emu_ctx *ctx, uint16_t port, unsigned size,
				     uint32_t *value);
	enum emu_result (*port_write)(struct emu_ctx *ctx, uint16_t port, unsigned size,
				      uint32_t value);
};

#define EMU_REP_LIMIT 4096u /* elements per call if ctx->rep_limit is 0 */

/*
 * The executor trusts the CPU to have checked privilege before the exit (APM 15.7: exceptions come
 * before intercepts) for the instruction that exited. Another vCPU may have changed the bytes
 * since: so no privileged instruction is performed here, and port I/O only on the port the exit was
 * for.
 */
struct emu_ctx {
	struct vcpu_state *state; /* reads cr0, efer, seg; changes gpr, rip, rflags */
	const struct emu_ops *ops;
	void *vm; /* for the callbacks */
	/* The port of this exit; any other: EMU_AGAIN. -1: port I/O is EMU_UNSUPPORTED. */
	int32_t io_port;
	uint32_t rep_limit;	/* most elements of a REP string per call; 0: EMU_REP_LIMIT */
	struct emu_fault fault; /* answer of EMU_FAULT */
};

/*
 * Performs one instruction (or part of a REP string) at state->rip. RF, interruptibility and a
 * pending single step are the caller's (R-RES-6), and so is #AC, which is never raised.
 */
enum emu_result emu_execute(struct emu_ctx *ctx, const struct emu_insn *insn);

/*
 * Linear address of the instruction's ModRM/moffs memory operand, or of the string operand [rSI]
 * (string_source) or ES:[rDI], with segment and canonical checks for an access of `size` bytes.
 * EMU_DONE or EMU_FAULT.
 */
enum emu_result emu_address(struct emu_ctx *ctx, const struct emu_insn *insn, unsigned size,
			    bool write, uint64_t *linear);
enum emu_result emu_string_address(struct emu_ctx *ctx, const struct emu_insn *insn, bool source,
				   uint64_t *linear);

/* Linear address of the instruction at state->rip, to fetch it from. */
uint64_t emu_fetch_address(const struct vcpu_state *state);

/* ---- Guest page-table walk ---- */

/* The access: bits of the #PF error code (SDM vol. 3, 4.7), and: */
#define EMU_WALK_WRITE 0x2u
#define EMU_WALK_USER  0x4u
#define EMU_WALK_FETCH 0x10u
#define EMU_WALK_IMPLICIT                                                                          \
	0x100u		      /* by the CPU itself (descriptor tables): AC does not excuse it      \
			       */
#define EMU_WALK_PROBE 0x200u /* leave accessed and dirty bits alone */

/* What the walk depends on. */
struct emu_paging {
	uint64_t cr0, cr3, cr4, efer, rflags;
	unsigned physical_bits; /* MAXPHYADDR the guest sees: 32..52 */
	bool pages_1g;		/* CPUID 8000_0001 EDX[26] as the guest sees it */
};

/* Entries are 4 or 8 bytes, aligned. Both may answer EMU_ABORTED for reasons of their own. */
struct emu_walk_ops {
	enum emu_result (*read)(void *vm, uint64_t physical, unsigned size, uint64_t *value);
	/* Atomically replaces old by value; EMU_AGAIN when the entry no longer is `old` */
	enum emu_result (*replace)(void *vm, uint64_t physical, unsigned size, uint64_t old,
				   uint64_t value);
};

struct emu_translation {
	uint64_t physical;  /* guest-physical address */
	uint64_t page_size; /* 4 KiB, 2 MiB, 4 MiB, 1 GiB; no paging: 4 KiB */
	/* A write of the same privilege would succeed without a walk: the dirty bit is set. */
	bool writable;
	struct emu_fault fault;
};

/*
 * Translates one linear address (the caller splits what crosses a page). EMU_DONE, EMU_FAULT (#PF,
 * in out->fault), EMU_ABORTED, or EMU_AGAIN when the tables kept changing under it. Protection
 * keys, CET shadow stacks and LAM are not known: the VMM must not offer them.
 */
enum emu_result emu_walk(const struct emu_paging *paging, const struct emu_walk_ops *ops, void *vm,
			 uint64_t linear, unsigned access, struct emu_translation *out);

#endif
