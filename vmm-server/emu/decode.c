/* SPDX-License-Identifier: BSD-2-Clause */
/* The instruction decoder: prefixes, opcode, ModRM, SIB, displacement, immediates (SDM vol. 2
 * chapter 2). */
#include "emu.h"
#include "emu_tables.h"

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

struct cursor {
	const uint8_t *bytes;
	unsigned pos;
	unsigned end; /* never more than EMU_MAX_LENGTH */
};

/* Why the bytes ran out. */
static enum emu_decode_result out_of_bytes(const struct cursor *c)
{
	return c->end == EMU_MAX_LENGTH ? EMU_DECODE_LONG : EMU_DECODE_MORE;
}

static inline bool next(struct cursor *c, uint8_t *byte)
{
	if (c->pos >= c->end)
		return false;
	*byte = c->bytes[c->pos++];
	return true;
}

/* Little-endian number of `size` bytes, sign-extended. */
static bool next_number(struct cursor *c, unsigned size, int64_t *value)
{
	uint64_t bits = 0;
	unsigned shift = 64 - 8 * size;

	if (c->end - c->pos < size)
		return false;
	for (unsigned i = 0; i < size; i++)
		bits |= (uint64_t)c->bytes[c->pos++] << (8 * i);
	*value = (int64_t)(bits << shift) >> shift;
	return true;
}

static bool is_64(const struct emu_insn *insn)
{
	return (insn->mode & EMU_MODE_SIZE) == EMU_MODE_64;
}

/* ---- Prefixes ---- */

static void note_prefix(struct emu_insn *insn, uint8_t byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e: /* ES CS SS DS, in the order of enum vcpu_seg; void in 64-bit mode (SDM vol.
		      2, 2.1.1) */
		if (!is_64(insn))
			insn->segment = (byte >> 3) & 3;
		break;
	case 0x64:
	case 0x65:
		insn->segment = byte == 0x64 ? SEG_FS : SEG_GS;
		break;
	case 0x66:
		insn->prefixes |= EMU_66;
		break;
	case 0x67:
		insn->prefixes |= EMU_67;
		break;
	case 0xf0:
		insn->prefixes |= EMU_LOCK;
		break;
	case 0xf2:
		insn->prefixes = (uint8_t)((insn->prefixes & ~EMU_REPE) | EMU_REPNE);
		break;
	default: /* f3 */
		insn->prefixes = (uint8_t)((insn->prefixes & ~EMU_REPNE) | EMU_REPE);
		break;
	}
}

/* Leaves the first byte that is no prefix in insn->opcode. */
static bool take_prefixes(struct cursor *c, struct emu_insn *insn)
{
	bool long_mode = is_64(insn);
	uint8_t byte;

	while (next(c, &byte)) {
		if (emu_one_byte[byte].flags & OPC_PREFIX) {
			note_prefix(insn, byte);
			insn->rex = 0; /* a REX counts only right before the opcode */
		} else if (long_mode && (byte & 0xf0) == 0x40) {
			insn->rex = byte;
		} else {
			insn->opcode = byte;
			return true;
		}
	}
	return false;
}

static unsigned address_size(const struct emu_insn *insn)
{
	bool other = insn->prefixes & EMU_67;

	switch (insn->mode & EMU_MODE_SIZE) {
	case EMU_MODE_64:
		return other ? 4 : 8;
	case EMU_MODE_32:
		return other ? 2 : 4;
	default:
		return other ? 4 : 2;
	}
}

static unsigned operand_size(const struct emu_insn *insn, uint32_t flags)
{
	bool other = insn->prefixes & EMU_66;

	if (flags & OPC_BYTE)
		return 1;
	if (flags & OPC_Y)
		return insn->rex & REX_W ? 8 : 4;
	if ((insn->mode & EMU_MODE_SIZE) != EMU_MODE_64)
		return ((insn->mode & EMU_MODE_SIZE) == EMU_MODE_32) == other ? 2 : 4;
	if (flags & OPC_CRDR)
		return 8;
	if (insn->rex & REX_W)
		return 8;
	if (flags & OPC_F64)
		return other && (insn->mode & EMU_MODE_AMD) ? 2 : 8;
	if (other)
		return 2;
	return flags & OPC_D64 ? 8 : 4;
}

/* ---- Memory operand ---- */

static enum emu_decode_result memory_16(struct cursor *c, struct emu_insn *insn)
{
	static const uint8_t base[8] = {GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP,
					GPR_RSI, GPR_RDI, GPR_RBP, GPR_RBX};
	static const uint8_t index[4] = {GPR_RSI, GPR_RDI, GPR_RSI, GPR_RDI};
	unsigned mod = insn->modrm >> 6, rm = insn->modrm & 7;
	unsigned size = mod; /* of the displacement */

	insn->base = base[rm];
	if (rm < 4)
		insn->index = index[rm];
	if (mod == 0 && rm == 6) {
		insn->base = EMU_NO_REG;
		size = 2;
	}
	if (size && !next_number(c, size, &insn->disp))
		return out_of_bytes(c);
	return EMU_DECODE_OK;
}

static enum emu_decode_result memory_32(struct cursor *c, struct emu_insn *insn)
{
	static const uint8_t size_of_mod[3] = {0, 1, 4};
	unsigned mod = insn->modrm >> 6, base = insn->modrm & 7;
	unsigned size = size_of_mod[mod];
	uint8_t sib = 0;
	bool has_sib = base == 4;

	if (has_sib) {
		if (!next(c, &sib))
			return out_of_bytes(c);
		base = sib & 7;
		insn->scale = sib >> 6;
		insn->index = (uint8_t)((sib >> 3 & 7) | (insn->rex & REX_X ? 8 : 0));
		if (insn->index == GPR_RSP)
			insn->index = EMU_NO_REG;
	}
	insn->base = (uint8_t)(base | (insn->rex & REX_B ? 8 : 0));
	if (mod == 0 && base == 5) {
		insn->base = is_64(insn) && !has_sib ? EMU_REG_RIP : EMU_NO_REG;
		size = 4;
	}
	if (size && !next_number(c, size, &insn->disp))
		return out_of_bytes(c);
	return EMU_DECODE_OK;
}

/* SIB and displacement of insn->modrm. */
static enum emu_decode_result take_memory(struct cursor *c, struct emu_insn *insn)
{
	insn->reg = (uint8_t)((insn->modrm >> 3 & 7) | (insn->rex & REX_R ? 8 : 0));
	insn->rm = (uint8_t)((insn->modrm & 7) | (insn->rex & REX_B ? 8 : 0));
	if (insn->modrm >= 0xc0)
		return EMU_DECODE_OK;
	insn->memory = 1;
	return insn->address_size == 2 ? memory_16(c, insn) : memory_32(c, insn);
}

/* ---- Immediates ---- */

static bool take_two(struct cursor *c, struct emu_insn *insn, unsigned first, unsigned second)
{
	int64_t value = 0, value2 = 0;

	if (!next_number(c, first, &value) || !next_number(c, second, &value2))
		return false;
	insn->imm = (uint64_t)value;
	insn->imm2 = (uint16_t)(second == 1 ? value2 & 0xff : value2);
	return true;
}

static bool take_one(struct cursor *c, struct emu_insn *insn, unsigned size)
{
	int64_t value = 0;

	if (!next_number(c, size, &value))
		return false;
	insn->imm = (uint64_t)value;
	return true;
}

static bool take_immediate(struct cursor *c, struct emu_insn *insn, unsigned kind)
{
	unsigned z = insn->operand_size == 2 ? 2 : 4;

	switch (kind) {
	case IMM_NONE:
		return true;
	case IMM_B:
		return take_one(c, insn, 1);
	case IMM_W:
		return take_one(c, insn, 2);
	case IMM_Z:
		return take_one(c, insn, z);
	case IMM_V:
		return take_one(c, insn, insn->operand_size);
	case IMM_D:
		return take_one(c, insn, 4);
	case IMM_FAR:
		return take_two(c, insn, z, 2);
	case IMM_WB:
		return take_two(c, insn, 2, 1);
	case IMM_BB:
		return take_two(c, insn, 1, 1);
	default: /* IMM_MOFFS */
		insn->memory = 1;
		return next_number(c, insn->address_size, &insn->disp);
	}
}

/* ---- VEX, EVEX, XOP: only their length ---- */

static bool vector_immediate(const struct emu_insn *insn)
{
	if (insn->encoding == EMU_XOP)
		return insn->map == 8;
	if (insn->map == 3)
		return true;
	return insn->map == 1 &&
	       ((insn->opcode >= 0x70 && insn->opcode <= 0x73) || insn->opcode == 0xc2 ||
		(insn->opcode >= 0xc4 && insn->opcode <= 0xc6));
}

/* From the opcode on. */
static enum emu_decode_result take_vector(struct cursor *c, struct emu_insn *insn)
{
	enum emu_decode_result result;
	unsigned kind = IMM_NONE;

	if (!next(c, &insn->opcode))
		return out_of_bytes(c);
	insn->address_size = (uint8_t)address_size(insn);
	if (insn->encoding == EMU_VEX && insn->map == 1 && insn->opcode == 0x77) /* VZEROUPPER */
		goto done;
	if (!next(c, &insn->modrm))
		return out_of_bytes(c);
	result = take_memory(c, insn);
	if (result != EMU_DECODE_OK)
		return result;
	if (vector_immediate(insn))
		kind = IMM_B;
	else if (insn->encoding == EMU_XOP && insn->map == 10)
		kind = IMM_D;
	if (!take_immediate(c, insn, kind))
		return out_of_bytes(c);
done:
	insn->length = (uint8_t)c->pos;
	return EMU_DECODE_OK;
}

static enum emu_decode_result take_vex(struct cursor *c, struct emu_insn *insn)
{
	uint8_t p0, p1;

	if (!next(c, &p0))
		return out_of_bytes(c);
	insn->encoding = EMU_VEX;
	insn->map = 1;
	insn->rex = p0 & 0x80 ? 0 : REX_R; /* the bits are stored inverted (SDM vol. 2, 2.3.5) */
	if (insn->opcode == 0xc4) {
		insn->map = p0 & 0x1f;
		if (insn->map < 1 || insn->map > 3)
			return EMU_DECODE_INVALID;
		insn->rex = (uint8_t)(~p0 >> 5 & 7);
		if (!next(c, &p1))
			return out_of_bytes(c);
	}
	return take_vector(c, insn);
}

static enum emu_decode_result take_evex(struct cursor *c, struct emu_insn *insn)
{
	uint8_t p0, p1, p2;

	if (!next(c, &p0) || !next(c, &p1) || !next(c, &p2))
		return out_of_bytes(c);
	insn->encoding = EMU_EVEX;
	insn->map = p0 & 7;
	insn->rex = (uint8_t)(~p0 >> 5 & 7);
	if ((p0 & 8) || !(p1 & 4)) /* SDM vol. 2, 2.7.1: fixed bits */
		return EMU_DECODE_INVALID;
	if (insn->map == 0 || insn->map == 4 || insn->map == 7)
		return EMU_DECODE_INVALID;
	return take_vector(c, insn);
}

static enum emu_decode_result take_xop(struct cursor *c, struct emu_insn *insn)
{
	uint8_t p0, p1;

	if (!next(c, &p0) || !next(c, &p1))
		return out_of_bytes(c);
	insn->encoding = EMU_XOP;
	insn->map = p0 & 0x1f;
	insn->rex = (uint8_t)(~p0 >> 5 & 7);
	if (insn->map < 8 || insn->map > 10)
		return EMU_DECODE_INVALID;
	return take_vector(c, insn);
}

/* Is the opcode just read (62, 8F, C4, C5) the first byte of such a prefix? Decided by the next
 * byte. */
static bool is_vector_prefix(const struct emu_insn *insn, uint8_t following)
{
	if (insn->opcode ==
	    0x8f) /* XOP: map 8 and above, where ModRM.reg of POP is 0 (APM vol. 3, 1.2.5) */
		return (following & 0x1f) >= 8;
	return is_64(insn) ||
	       following >= 0xc0; /* else BOUND, LES, LDS, which have no register form */
}

static bool may_be_vector_prefix(uint8_t opcode)
{
	return opcode == 0x62 || opcode == 0x8f || opcode == 0xc4 || opcode == 0xc5;
}

static enum emu_decode_result take_vector_prefix(struct cursor *c, struct emu_insn *insn)
{
	if ((insn->prefixes & (EMU_LOCK | EMU_REPE | EMU_REPNE | EMU_66)) || insn->rex)
		return EMU_DECODE_INVALID; /* SDM vol. 2, 2.3.2 */
	if (insn->opcode == 0x62)
		return take_evex(c, insn);
	if (insn->opcode == 0x8f)
		return take_xop(c, insn);
	return take_vex(c, insn);
}

/* ---- Legacy opcodes ---- */

static const struct emu_opcode opcode_38 = {.flags = OPC_VALID | OPC_MODRM};
static const struct emu_opcode opcode_3a = {.flags = OPC_VALID | OPC_MODRM | OPC_IMM(IMM_B)};
static const struct emu_opcode undefined;

/* The table entry; the bytes after 0F are read here. NULL: out of bytes. */
static inline const struct emu_opcode *take_opcode(struct cursor *c, struct emu_insn *insn)
{
	const uint32_t *map;

	if (insn->opcode != 0x0f)
		return &emu_one_byte[insn->opcode];
	if (!next(c, &insn->opcode))
		return 0;
	insn->map = 1;
	if (insn->opcode != 0x38 && insn->opcode != 0x3a)
		return &emu_two_byte[insn->opcode];
	insn->map = insn->opcode == 0x38 ? 2 : 3;
	map = insn->map == 2 ? emu_map_38 : emu_map_3a;
	if (!next(c, &insn->opcode))
		return 0;
	if (!(map[insn->opcode >> 5] >> (insn->opcode & 31) & 1))
		return &undefined;
	return insn->map == 2 ? &opcode_38 : &opcode_3a;
}

/* MOV to and from control and debug registers: the numbers that exist. */
static enum emu_decode_result check_crdr(struct emu_insn *insn)
{
	bool debug = insn->opcode & 1;

	if ((insn->prefixes & EMU_LOCK) &&
	    !debug) { /* APM vol. 3, MOV CRn: CR8 outside 64-bit mode */
		if (!(insn->mode & EMU_MODE_AMD) || insn->reg != 0)
			return EMU_DECODE_INVALID;
		insn->reg = 8;
	} else if (insn->prefixes & EMU_LOCK) {
		return EMU_DECODE_INVALID;
	}
	if (debug)
		return insn->reg < 8 ? EMU_DECODE_OK : EMU_DECODE_INVALID;
	return insn->reg <= 8 && (0x11du >> insn->reg & 1) ? EMU_DECODE_OK : EMU_DECODE_INVALID;
}

/* Names what shares 0F 01 with mod = 3. */
static void name_0f01(struct emu_insn *insn)
{
	insn->form = FORM_NONE;
	if (insn->op == EMU_INVLPG)
		insn->op = EMU_OTHER;
	if ((insn->prefixes & (EMU_66 | EMU_REPE | EMU_REPNE)) &&
	    insn->modrm < 0xd8) /* not SVM, SMSW … */
		return;
	switch (insn->modrm) {
	case 0xc1:
		insn->op = EMU_VMCALL;
		break;
	case 0xc8:
		insn->op = EMU_MONITOR;
		break;
	case 0xc9:
		insn->op = EMU_MWAIT;
		break;
	case 0xd1:
		insn->op = EMU_XSETBV;
		break;
	case 0xd9:
		insn->op = EMU_VMMCALL;
		break;
	case 0xf9:
		insn->op = EMU_RDTSCP;
		break;
	default:
		break;
	}
}

/* What the tables cannot say: OPC_REST. `flags` may get another immediate. */
static enum emu_decode_result special_rule(struct emu_insn *insn, uint32_t *flags)
{
	unsigned reg = insn->modrm >> 3 & 7;
	bool valid = true;

	if (insn->map == 0) {
		switch (insn->opcode) {
		case 0x63:
			if (!is_64(insn))
				insn->op = EMU_OTHER; /* ARPL */
			if (insn->mode & EMU_MODE_AMD)
				insn->source_size = 4;
			break;
		case 0x8c:
			valid = reg <= SEG_GS;
			break;
		case 0x8e:
			valid = reg <= SEG_GS && reg != SEG_CS;
			break;
		case 0x90:
			if ((insn->prefixes & EMU_REPE) && !(insn->rex & REX_B))
				insn->op = EMU_PAUSE;
			break;
		default: /* C6, C7 /7: XABORT, XBEGIN */
			valid = insn->modrm == 0xf8;
			break;
		}
	} else if (insn->opcode == 0x37) { /* GETSEC */
		valid = !(insn->prefixes & (EMU_66 | EMU_REPE | EMU_REPNE));
	} else if (insn->opcode == 0x78) {
		if (insn->prefixes & (EMU_66 | EMU_REPNE))
			*flags |= OPC_IMM(IMM_BB);
	} else { /* B8 */
		valid = insn->prefixes & EMU_REPE;
	}
	return valid ? EMU_DECODE_OK : EMU_DECODE_INVALID;
}

/* Is this ModRM byte defined for the opcode? */
static bool modrm_defined(const struct emu_insn *insn, const struct emu_opcode *entry)
{
	if (insn->modrm >= 0xc0) {
		if (entry->flags & OPC_MEM)
			return false;
		if (entry->flags & OPC_MASK)
			return emu_masks[entry->index].reg >> (insn->modrm & 63) & 1;
		return true;
	}
	if (entry->flags & OPC_REG)
		return false;
	if (entry->flags & OPC_MASK)
		return emu_masks[entry->index].memory >> (insn->modrm >> 3 & 7) & 1;
	return true;
}

static void name_operation(struct emu_insn *insn, const struct emu_opcode *entry, uint32_t flags)
{
	insn->op = entry->op;
	insn->form = entry->form;
	insn->operand_size = (uint8_t)operand_size(insn, flags);
	insn->source_size =
		entry->source_size < insn->operand_size ? entry->source_size : insn->operand_size;
	if (((flags & OPC_PLAIN) && (insn->prefixes & (EMU_66 | EMU_REPE | EMU_REPNE))) ||
	    ((flags & OPC_NOREP) && (insn->prefixes & (EMU_REPE | EMU_REPNE))))
		insn->op = EMU_OTHER;
	if (insn->map == 1 && insn->opcode == 0x01 && insn->modrm >= 0xc0)
		name_0f01(insn);
}

/* Instructions with ModRM or an immediate or a rule of their own. */
static enum emu_decode_result take_operands(struct cursor *c, struct emu_insn *insn,
					    const struct emu_opcode *entry)
{
	enum emu_decode_result result;
	uint32_t flags = entry->flags;

	if ((flags & OPC_NO64) && is_64(insn))
		return EMU_DECODE_INVALID;
	if (flags & OPC_MODRM) {
		if (!next(c, &insn->modrm))
			return out_of_bytes(c);
		if (flags & OPC_GROUP) {
			entry = &emu_groups[entry->index][insn->modrm >> 3 & 7];
			flags = entry->flags;
		}
		if (!(flags & OPC_VALID))
			return EMU_DECODE_INVALID;
	}
	insn->address_size = (uint8_t)address_size(insn);
	name_operation(insn, entry, flags);
	if (flags & OPC_MODRM) {
		if (flags & OPC_CRDR) {
			insn->modrm |= 0xc0;
		} else if (!modrm_defined(insn, entry)) {
			return EMU_DECODE_INVALID;
		}
		result = take_memory(c, insn);
		if (result != EMU_DECODE_OK)
			return result;
		if (flags & OPC_CRDR)
			result = check_crdr(insn);
		else if ((insn->prefixes & EMU_LOCK) && !((flags & OPC_LOCK) && insn->memory))
			result = EMU_DECODE_INVALID;
		if (result != EMU_DECODE_OK)
			return result;
	} else {
		insn->rm = (uint8_t)((insn->opcode & 7) | (insn->rex & REX_B ? 8 : 0));
		if (insn->prefixes & EMU_LOCK)
			return EMU_DECODE_INVALID;
	}
	if (flags & OPC_REST) {
		result = special_rule(insn, &flags);
		if (result != EMU_DECODE_OK)
			return result;
	}
	if (!take_immediate(c, insn, OPC_IMM_OF(flags)))
		return out_of_bytes(c);
	insn->length = (uint8_t)c->pos;
	return EMU_DECODE_OK;
}

/* Nothing follows the opcode, and neither length nor meaning depends on prefixes or mode. */
static inline bool stands_alone(const struct emu_opcode *entry)
{
	return entry->flags == OPC_VALID && entry->form == FORM_NONE;
}

__attribute__((noinline)) static enum emu_decode_result decode_any(const uint8_t *bytes, unsigned n,
								   struct emu_insn *out)
{
	struct cursor c = {.bytes = bytes, .end = n < EMU_MAX_LENGTH ? n : EMU_MAX_LENGTH};
	const struct emu_opcode *entry;

	if (!take_prefixes(&c, out))
		return out_of_bytes(&c);
	if (may_be_vector_prefix(out->opcode)) {
		if (c.pos >= c.end)
			return out_of_bytes(&c);
		if (is_vector_prefix(out, bytes[c.pos]))
			return take_vector_prefix(&c, out);
	}
	entry = take_opcode(&c, out);
	if (!entry)
		return out_of_bytes(&c);
	if (!(entry->flags & OPC_VALID))
		return EMU_DECODE_INVALID;
	if (!stands_alone(entry) || (out->prefixes & EMU_LOCK))
		return take_operands(&c, out, entry);
	out->op = entry->op;
	out->length = (uint8_t)c.pos;
	return EMU_DECODE_OK;
}

/*
 * CPUID, HLT, RDMSR … without prefixes are found here, in some 30 instructions: CPUID is the most
 * frequent exit where the CPU does not tell the length.
 */
enum emu_decode_result emu_decode(const uint8_t *bytes, unsigned n, unsigned mode,
				  struct emu_insn *out)
{
	const struct emu_opcode *entry;
	unsigned length = 1;

	*out = (struct emu_insn){.mode = (uint8_t)mode,
				 .segment = EMU_NO_REG,
				 .base = EMU_NO_REG,
				 .index = EMU_NO_REG};
	if (n < 2)
		return decode_any(bytes, n, out);
	entry = &emu_one_byte[bytes[0]];
	if (bytes[0] == 0x0f) {
		entry = &emu_two_byte[bytes[1]];
		length = 2;
	}
	if (!stands_alone(entry))
		return decode_any(bytes, n, out);
	out->op = entry->op;
	out->map = (uint8_t)(length - 1);
	out->opcode = bytes[length - 1];
	out->length = (uint8_t)length;
	return EMU_DECODE_OK;
}
