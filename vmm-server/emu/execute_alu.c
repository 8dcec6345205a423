/* SPDX-License-Identifier: BSD-2-Clause */
/* Arithmetic with its flags (SDM vol. 1, 3.4.3.1): pure functions. */
#include "emu_internal.h"

static uint64_t result_flags(uint64_t result, unsigned size)
{
	uint64_t flags = 0;

	if (result == 0)
		flags |= FLAG_ZF;
	if (result & emu_sign(size))
		flags |= FLAG_SF;
	if (!(__builtin_popcount((unsigned)result & 0xff) & 1))
		flags |= FLAG_PF;
	return flags;
}

static uint64_t add(uint64_t a, uint64_t b, bool carry, unsigned size, uint64_t *flags)
{
	uint64_t sign = emu_sign(size), sum = (a + b + carry) & emu_mask(size);

	*flags = result_flags(sum, size) | ((a ^ b ^ sum) & FLAG_AF);
	if (((a & b) | ((a | b) & ~sum)) & sign)
		*flags |= FLAG_CF;
	if ((a ^ sum) & (b ^ sum) & sign)
		*flags |= FLAG_OF;
	return sum;
}

static uint64_t subtract(uint64_t a, uint64_t b, bool borrow, unsigned size, uint64_t *flags)
{
	uint64_t sign = emu_sign(size), difference = (a - b - borrow) & emu_mask(size);

	*flags = result_flags(difference, size) | ((a ^ b ^ difference) & FLAG_AF);
	if (((~a & b) | ((~a | b) & difference)) & sign)
		*flags |= FLAG_CF;
	if ((a ^ b) & (a ^ difference) & sign)
		*flags |= FLAG_OF;
	return difference;
}

/* a and b have no bits above `size`. *flags is RFLAGS; its arithmetic flags are replaced. */
uint64_t emu_alu(unsigned op, uint64_t a, uint64_t b, unsigned size, uint64_t *flags)
{
	bool carry = *flags & FLAG_CF;
	uint64_t result, now = 0;

	switch (op) {
	case EMU_ADD:
	case EMU_XADD:
		result = add(a, b, false, size, &now);
		break;
	case EMU_ADC:
		result = add(a, b, carry, size, &now);
		break;
	case EMU_SBB:
		result = subtract(a, b, carry, size, &now);
		break;
	case EMU_INC: /* CF stays */
		result = add(a, 1, false, size, &now);
		now = (now & ~FLAG_CF) | (*flags & FLAG_CF);
		break;
	case EMU_DEC:
		result = subtract(a, 1, false, size, &now);
		now = (now & ~FLAG_CF) | (*flags & FLAG_CF);
		break;
	case EMU_NEG:
		result = subtract(0, a, false, size, &now);
		break;
	case EMU_OR:
		result = a | b;
		now = result_flags(result, size);
		break;
	case EMU_AND:
	case EMU_TEST:
		result = a & b;
		now = result_flags(result, size);
		break;
	case EMU_XOR:
		result = a ^ b;
		now = result_flags(result, size);
		break;
	default: /* SUB, CMP, CMPS, SCAS, CMPXCHG */
		result = subtract(a, b, false, size, &now);
		break;
	}
	*flags = (*flags & ~FLAGS_ARITHMETIC) | now;
	return result;
}

static void set_flag(uint64_t *flags, uint64_t flag, bool on)
{
	*flags = on ? *flags | flag : *flags & ~flag;
}

static bool top_bit(uint64_t value, unsigned size)
{
	return value & emu_sign(size);
}

/* Overflow after a shift to the right: did the top bit change in the last step? */
static bool top_bits_differ(uint64_t value, unsigned size)
{
	return top_bit(value ^ value << 1, size);
}

/* ROL, ROR, RCL, RCR, bit by bit: count is at most 63. They change CF and OF only. */
static uint64_t rotate(unsigned op, uint64_t value, unsigned count, unsigned size, uint64_t *flags)
{
	bool carry = *flags & FLAG_CF, out;

	for (unsigned i = 0; i < count; i++) {
		if (op == EMU_ROL || op == EMU_RCL) {
			out = top_bit(value, size);
			value = (value << 1 | (op == EMU_ROL ? out : carry)) & emu_mask(size);
		} else {
			out = value & 1;
			value >>= 1;
			if (op == EMU_ROR ? out : carry)
				value |= emu_sign(size);
		}
		carry = out;
	}
	set_flag(flags, FLAG_CF, carry);
	if (op == EMU_ROL || op == EMU_RCL)
		set_flag(flags, FLAG_OF, carry != top_bit(value, size));
	else
		set_flag(flags, FLAG_OF, top_bits_differ(value, size));
	return value;
}

/* SHL, SHR, SAR. */
static uint64_t shift(unsigned op, uint64_t value, unsigned count, unsigned size, uint64_t *flags)
{
	bool carry = false, overflow, sign = top_bit(value, size);
	unsigned i;

	for (i = 0; i < count; i++) {
		if (op == EMU_SHL || op == EMU_SAL) {
			carry = top_bit(value, size);
			value = value << 1 & emu_mask(size);
		} else {
			carry = value & 1;
			value >>= 1;
			if (op == EMU_SAR && sign)
				value |= emu_sign(size);
		}
	}
	overflow = op == EMU_SHL || op == EMU_SAL ? carry != top_bit(value, size)
						  : top_bits_differ(value, size);
	*flags = (*flags & ~FLAGS_ARITHMETIC) | result_flags(value, size) | (carry ? FLAG_CF : 0) |
		 (overflow ? FLAG_OF : 0);
	return value;
}

/* Group 2. The count is masked as the CPU does; by 0 nothing changes. */
uint64_t emu_shift(unsigned op, uint64_t value, unsigned count, unsigned size, uint64_t *flags)
{
	count &= size == 8 ? 63 : 31;
	if (count == 0)
		return value;
	return op <= EMU_RCR ? rotate(op, value, count, size, flags)
			     : shift(op, value, count, size, flags);
}

/* The condition of Jcc, SETcc, CMOVcc: the low four bits of the opcode (SDM vol. 1, appendix B). */
bool emu_condition(unsigned code, uint64_t flags)
{
	bool less = !(flags & FLAG_SF) != !(flags & FLAG_OF);
	bool holds;

	switch (code >> 1 & 7) {
	case 0:
		holds = flags & FLAG_OF;
		break;
	case 1:
		holds = flags & FLAG_CF;
		break;
	case 2:
		holds = flags & FLAG_ZF;
		break;
	case 3:
		holds = flags & (FLAG_CF | FLAG_ZF);
		break;
	case 4:
		holds = flags & FLAG_SF;
		break;
	case 5:
		holds = flags & FLAG_PF;
		break;
	case 6:
		holds = less;
		break;
	default:
		holds = less || (flags & FLAG_ZF);
		break;
	}
	return holds != (code & 1);
}
