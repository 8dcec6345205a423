/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder against Zydis and Capstone: every opcode with every ModRM byte under many prefixes,
 * and random bytes. EMU_ORACLE_STRINGS=n in the environment sets the number of random strings,
 * EMU_ORACLE_SEED their seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <Zydis/Zydis.h>
#include <capstone/capstone.h>
#include "emu.h"

#define STRING 16 /* bytes given: one more than any instruction has */

static const unsigned modes[] = {EMU_MODE_16, EMU_MODE_32, EMU_MODE_64, EMU_MODE_64 | EMU_MODE_AMD};
#define MODES 4
static ZydisDecoder zydis[MODES];
static csh capstone[MODES];
static unsigned differences, max_reports = 40;
static unsigned long compared, compared_capstone, excused_capstone;

static int set_up(void **state)
{
	static const ZydisMachineMode machine[] = {ZYDIS_MACHINE_MODE_LEGACY_16,
						   ZYDIS_MACHINE_MODE_LEGACY_32,
						   ZYDIS_MACHINE_MODE_LONG_64};
	static const ZydisStackWidth width[] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
						ZYDIS_STACK_WIDTH_64};
	static const cs_mode cs[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};

	(void)state;
	for (unsigned i = 0; i < MODES; i++) {
		unsigned size = modes[i] & EMU_MODE_SIZE;

		ZydisDecoderInit(&zydis[i], machine[size], width[size]);
		ZydisDecoderEnableMode(&zydis[i], ZYDIS_DECODER_MODE_AMD_BRANCHES,
				       modes[i] & EMU_MODE_AMD ? ZYAN_TRUE : ZYAN_FALSE);
		ZydisDecoderEnableMode(&zydis[i], ZYDIS_DECODER_MODE_KNC, ZYAN_FALSE);
		if (cs_open(CS_ARCH_X86, cs[size], &capstone[i]) != CS_ERR_OK)
			return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MODES; i++)
		cs_close(&capstone[i]);
	return 0;
}

static void report(const char *who, unsigned m, const uint8_t *bytes, enum emu_decode_result result,
		   const struct emu_insn *insn, const char *other)
{
	if (differences++ > max_reports)
		return;
	fprintf(stderr, "%s: mode %u:", who, modes[m]);
	for (unsigned i = 0; i < STRING; i++)
		fprintf(stderr, " %02x", bytes[i]);
	fprintf(stderr, ": here %d length %u op %u; there %s\n", result,
		result == EMU_DECODE_OK ? insn->length : 0, result == EMU_DECODE_OK ? insn->op : 0,
		other);
}

/*
 * May we accept what Zydis calls invalid? Only where emu.h says so: SIMD maps and the other opcodes
 * whose meaning hangs on a mandatory prefix, and never for an instruction that has a name.
 */
static bool may_accept(const struct emu_insn *insn)
{
	if (insn->op != EMU_OTHER && insn->op != EMU_MOV_VECTOR)
		return false;
	if (insn->encoding != EMU_LEGACY || insn->map >= 2)
		return true;
	if (insn->map == 0)
		return false;
	switch (insn->opcode) {
	case 0x01: /* group 7 */
	case 0x0f: /* 3DNow!: the last byte */
	case 0xae: /* group 15 */
	case 0xc7: /* group 9 */
	case 0x78:
	case 0x79:
	case 0xb8:
	case 0xc2:
		return true;
	default:
		return (insn->opcode >= 0x10 && insn->opcode <= 0x1e) ||
		       (insn->opcode >= 0x28 && insn->opcode <= 0x2f) ||
		       (insn->opcode >= 0x50 && insn->opcode <= 0x7f) ||
		       (insn->opcode >= 0xc3 && insn->opcode <= 0xc6) || insn->opcode >= 0xd0;
	}
}

/* LOCK MOV CR0, which AMD defines as MOV CR8 and Zydis does not know. */
static bool is_amd_cr8(const struct emu_insn *insn)
{
	return (insn->mode & EMU_MODE_AMD) && (insn->prefixes & EMU_LOCK) && insn->reg == 8 &&
	       (insn->op == EMU_MOV_FROM_CR || insn->op == EMU_MOV_TO_CR);
}

/* Answers whether Zydis takes it for an instruction. */
static bool compare_zydis(unsigned m, const uint8_t *bytes, enum emu_decode_result result,
			  const struct emu_insn *insn)
{
	ZydisDecodedInstruction there;
	ZydisDecoderContext context;
	ZyanStatus status =
		ZydisDecoderDecodeInstruction(&zydis[m], &context, bytes, STRING, &there);
	char text[64];

	compared++;
	if (ZYAN_SUCCESS(status)) {
		if (result == EMU_DECODE_OK && insn->length == there.length)
			return true;
		if (there.meta.isa_ext == ZYDIS_ISA_EXT_PADLOCK ||
		    there.encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX ||
		    there.mnemonic == ZYDIS_MNEMONIC_JKZD || there.mnemonic == ZYDIS_MNEMONIC_JKNZD)
			return true; /* of VIA's processors, or of Knights Corner, alone */
		snprintf(text, sizeof(text), "%s length %u", ZydisMnemonicGetString(there.mnemonic),
			 there.length);
	} else {
		if (status == ZYDIS_STATUS_ILLEGAL_LOCK && result == EMU_DECODE_OK &&
		    is_amd_cr8(insn))
			return false;
		if (result == EMU_DECODE_LONG || result == EMU_DECODE_INVALID)
			return false; /* two faults, one found first */
		if (status != ZYDIS_STATUS_INSTRUCTION_TOO_LONG && may_accept(insn))
			return false;
		snprintf(text, sizeof(text), "error %x", (unsigned)status & 0xfffff);
	}
	report("Zydis", m, bytes, result, insn, text);
	return ZYAN_SUCCESS(status);
}

/*
 * Where Capstone 4.0.2 differs from Zydis and the manuals as well. It accepts much that is #UD
 * (LOCK without a memory destination, prefixes before VEX, control registers that do not exist);
 * and these lengths:
 */
static bool capstone_is_wrong(bool zydis_valid, enum emu_decode_result result,
			      const struct emu_insn *insn)
{
	if (!zydis_valid || result != EMU_DECODE_OK)
		return true;
	if (insn->encoding == EMU_LEGACY && insn->map == 1)
		switch (insn->opcode) {
		case 0xff: /* UD0 and UD1 without their ModRM (SDM vol. 2, UD) */
		case 0xb9:
		case 0x78: /* EXTRQ as VMREAD */
			return true;
		default: /* near branches: see below */
			return (insn->opcode & 0xf0) == 0x80 && (insn->prefixes & EMU_66);
		}
	if (insn->encoding == EMU_EVEX) /* register form with embedded rounding: a byte too many */
		return insn->modrm >= 0xc0;
	if (insn->encoding ==
	    EMU_XOP) /* map A: 16 bits of immediate in 16-bit mode (APM vol. 3: 32) */
		return insn->map == 10 && insn->mode == EMU_MODE_16;
	/* near branches in 64-bit mode under 66: neither Intel's rule nor AMD's throughout; and
	 * under REX.W */
	if (insn->map == 0 && (insn->op == EMU_CALL || insn->op == EMU_JMP || insn->op == EMU_RET))
		return (insn->prefixes & EMU_66) || (insn->rex & 8);
	/* PUSH of an immediate: a void REX.W, and F2, hide the 66 */
	return insn->map == 0 && insn->opcode == 0x68 && (insn->prefixes & EMU_66) &&
	       (insn->prefixes & (EMU_REPE | EMU_REPNE));
}

static void compare_capstone(unsigned m, const uint8_t *bytes, enum emu_decode_result result,
			     const struct emu_insn *insn, bool zydis_valid)
{
	cs_insn *there;
	char text[64];

	if (cs_disasm(capstone[m], bytes, STRING, 0x1000, 1, &there) != 1)
		return;
	compared_capstone++;
	if ((result != EMU_DECODE_OK || insn->length != there->size) &&
	    capstone_is_wrong(zydis_valid, result, insn)) {
		excused_capstone++;
	} else if (result != EMU_DECODE_OK || insn->length != there->size) {
		snprintf(text, sizeof(text), "%.16s %.24s length %u", there->mnemonic,
			 there->op_str, there->size);
		report("Capstone", m, bytes, result, insn, text);
	}
	cs_free(there, 1);
}

/* A truncated instruction asks for more, at every length; none reads beyond what it got (ASan's
 * heap sees that). */
static void check_truncated(unsigned m, const uint8_t *bytes, const struct emu_insn *whole)
{
	struct emu_insn insn;

	for (unsigned n = 0; n < whole->length; n++) {
		uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, bytes, n);
		if (emu_decode(copy, n, modes[m], &insn) != EMU_DECODE_MORE)
			report("truncated", m, bytes, EMU_DECODE_OK, whole, "not MORE");
		free(copy);
	}
	if (emu_decode(bytes, whole->length, modes[m], &insn) != EMU_DECODE_OK ||
	    memcmp(&insn, whole, sizeof(insn)) != 0)
		report("truncated", m, bytes, EMU_DECODE_OK, whole, "not the same");
}

static void compare(unsigned m, const uint8_t *bytes, bool slow)
{
	struct emu_insn insn;
	enum emu_decode_result result = emu_decode(bytes, STRING, modes[m], &insn);

	bool zydis_valid = compare_zydis(m, bytes, result, &insn);

	if (!slow)
		return;
	compare_capstone(m, bytes, result, &insn, zydis_valid);
	if (result == EMU_DECODE_OK)
		check_truncated(m, bytes, &insn);
}

static const struct {
	uint8_t size;
	uint8_t bytes[4];
} openings[] = {
	{0, {0}},
	{1, {0x66}},
	{1, {0xf2}},
	{1, {0xf3}},
	{1, {0x67}},
	{1, {0xf0}},
	{1, {0x48}},
	{2, {0x66, 0x48}},
	{2, {0xf2, 0x66}},
	{2, {0x66, 0x67}},
	{2, {0x48, 0x66}},
	{2, {0x2e, 0x45}},
	{3, {0xf3, 0x66, 0x4f}},
};

static const struct {
	uint8_t size;
	uint8_t bytes[4];
} maps[] = {
	{0, {0}},
	{1, {0x0f}},
	{2, {0x0f, 0x38}},
	{2, {0x0f, 0x3a}},
	{2, {0xc5, 0xf8}},
	{2, {0xc5, 0xff}},
	{3, {0xc4, 0xe1, 0x79}},
	{3, {0xc4, 0xe2, 0x7d}},
	{3, {0xc4, 0xe2, 0xf8}},
	{3, {0xc4, 0xe3, 0x7d}},
	{4, {0x62, 0xf1, 0x7c, 0x48}},
	{4, {0x62, 0xf1, 0xfd, 0x48}},
	{4, {0x62, 0xf2, 0x7d, 0x49}},
	{4, {0x62, 0xf3, 0xfd, 0x48}},
	{4, {0x62, 0xf5, 0x7c, 0x48}},
	{4, {0x62, 0xf6, 0x7d, 0x48}},
	{3, {0x8f, 0xe8, 0x78}},
	{3, {0x8f, 0xe9, 0x78}},
	{3, {0x8f, 0xea, 0x78}},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* All opcodes and ModRM bytes of one map under one opening. */
static void sweep(unsigned m, unsigned opening, unsigned map)
{
	uint8_t bytes[STRING];
	unsigned at;

	for (unsigned opcode = 0; opcode < 256; opcode++) {
		for (unsigned modrm = 0; modrm < 256; modrm++) {
			for (unsigned i = 0; i < STRING; i++)
				bytes[i] = (uint8_t)(0x25 + i * 0x11);
			memcpy(bytes, openings[opening].bytes, openings[opening].size);
			at = openings[opening].size;
			memcpy(bytes + at, maps[map].bytes, maps[map].size);
			at += maps[map].size;
			bytes[at] = (uint8_t)opcode;
			bytes[at + 1] = (uint8_t)modrm;
			bytes[at + 2] = modrm & 8 ? 0x25 : 0x98; /* SIB without and with a base */
			compare(m, bytes, (opcode + modrm + opening) % 64 == 0);
		}
	}
}

static void every_opcode_and_modrm_has_the_oracles_length(void **state)
{
	(void)state;
	for (unsigned m = 0; m < MODES; m++)
		for (unsigned opening = 0; opening < COUNT(openings); opening++)
			for (unsigned map = 0; map < COUNT(maps); map++) {
				if (map >= 4 && opening > 1 && opening != 4)
					continue; /* prefixes that forbid VEX: one is enough */
				sweep(m, opening, map);
			}
	printf("%lu compared with Zydis, %lu with Capstone (%lu excused)\n", compared,
	       compared_capstone, excused_capstone);
	assert_int_equal(differences, 0);
}

static uint64_t random_state;

static uint64_t random_number(void)
{
	random_state += 0x9e3779b97f4a7c15u; /* splitmix64 */
	uint64_t z = random_state;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Random bytes, half of them begun with things that lead to deep places. */
static void random_string(uint8_t *bytes)
{
	static const uint8_t likely[] = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x64, 0x48,
					 0x41, 0x0f, 0x0f, 0xc4, 0xc5, 0x62, 0x8f, 0x4c};
	uint64_t choice = random_number();

	for (unsigned i = 0; i < STRING; i += 8) {
		uint64_t word = random_number();

		memcpy(bytes + i, &word, 8);
	}
	for (unsigned i = 0; choice & 1 && i < 12; i++, choice >>= 5)
		bytes[i] = likely[choice >> 1 & 15];
}

static unsigned long from_environment(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : otherwise;
}

static void random_bytes_have_the_oracles_length(void **state)
{
	unsigned long count = from_environment("EMU_ORACLE_STRINGS", 2000000);
	uint8_t bytes[STRING];

	(void)state;
	random_state = from_environment("EMU_ORACLE_SEED", 20240607);
	printf("seed %lu\n", (unsigned long)random_state);
	for (unsigned long i = 0; i < count; i++) {
		random_string(bytes);
		compare(i % MODES, bytes, i % 16 < 4);
	}
	printf("%lu compared with Zydis, %lu with Capstone (%lu excused)\n", compared,
	       compared_capstone, excused_capstone);
	assert_int_equal(differences, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_opcode_and_modrm_has_the_oracles_length),
		cmocka_unit_test(random_bytes_have_the_oracles_length),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
