/* SPDX-License-Identifier: BSD-2-Clause */
/* The decoder on what the vmm-server asks it most: lengths of exits, MOV CR/DR, device accesses of
 * Linux. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "emu.h"

static struct emu_insn decode(unsigned mode, const uint8_t *bytes, unsigned n)
{
	struct emu_insn insn;

	assert_int_equal(emu_decode(bytes, n, mode, &insn), EMU_DECODE_OK);
	assert_int_equal(insn.length, n);
	return insn;
}
#define DECODE(mode, ...)                                                                          \
	decode(mode, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void exits_without_a_length_are_named_and_measured(void **state)
{
	static const struct {
		uint8_t bytes[4], length, op;
	} cases[] = {
		{{0x0f, 0xa2}, 2, EMU_CPUID},
		{{0x66, 0x0f, 0xa2}, 3, EMU_CPUID},
		{{0x48, 0x0f, 0xa2}, 3, EMU_CPUID},
		{{0xf4}, 1, EMU_HLT},
		{{0xf3, 0xf4}, 2, EMU_HLT},
		{{0x0f, 0x32}, 2, EMU_RDMSR},
		{{0x0f, 0x30}, 2, EMU_WRMSR},
		{{0x0f, 0x01, 0xd9}, 3, EMU_VMMCALL},
		{{0x0f, 0x01, 0xc1}, 3, EMU_VMCALL},
		{{0x0f, 0x08}, 2, EMU_INVD},
		{{0x0f, 0x09}, 2, EMU_WBINVD},
		{{0x0f, 0x01, 0xc8}, 3, EMU_MONITOR},
		{{0x0f, 0x01, 0xc9}, 3, EMU_MWAIT},
		{{0x0f, 0x01, 0xd1}, 3, EMU_XSETBV},
		{{0x0f, 0x33}, 2, EMU_RDPMC},
		{{0xcc}, 1, EMU_INT3},
		{{0xcd, 0x80}, 2, EMU_INT},
		{{0xf1}, 1, EMU_INT1},
		{{0x0f, 0x31}, 2, EMU_RDTSC},
		{{0x0f, 0x01, 0xf9}, 3, EMU_RDTSCP},
		{{0x0f, 0x01, 0x38}, 3, EMU_INVLPG},
		{{0xf3, 0x90}, 2, EMU_PAUSE},
		{{0x0f, 0x06}, 2, EMU_CLTS},
		{{0x0f, 0x01, 0xf0}, 3, EMU_LMSW},
		{{0x0f, 0x01, 0xe0}, 3, EMU_SMSW},
		{{0x9c}, 1, EMU_PUSHF},
		{{0x9d}, 1, EMU_POPF},
		{{0xcf}, 1, EMU_IRET},
		{{0xec}, 1, EMU_IN},
		{{0xe6, 0x70}, 2, EMU_OUT},
		{{0xf3, 0x6e}, 2, EMU_OUTS},
		{{0x0f, 0x28, 0xc1}, 3, EMU_MOV_VECTOR},
	};
	struct emu_insn insn;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		insn = decode(EMU_MODE_64, cases[i].bytes, cases[i].length);
		assert_int_equal(insn.op, cases[i].op);
	}
}

static void control_and_debug_registers_are_found(void **state)
{
	struct emu_insn insn;

	(void)state;
	insn = DECODE(EMU_MODE_64, 0x0f, 0x22, 0xd8); /* mov %rax, %cr3 */
	assert_int_equal(insn.op, EMU_MOV_TO_CR);
	assert_int_equal(insn.reg, 3);
	assert_int_equal(insn.rm, GPR_RAX);
	assert_int_equal(insn.operand_size, 8);
	insn = DECODE(EMU_MODE_64, 0x44, 0x0f, 0x20, 0xc1); /* mov %cr8, %rcx */
	assert_int_equal(insn.op, EMU_MOV_FROM_CR);
	assert_int_equal(insn.reg, 8);
	assert_int_equal(insn.rm, GPR_RCX);
	insn = DECODE(EMU_MODE_64, 0x41, 0x0f, 0x23, 0xff); /* mov %r15, %db7 */
	assert_int_equal(insn.op, EMU_MOV_TO_DR);
	assert_int_equal(insn.reg, 7);
	assert_int_equal(insn.rm, GPR_R15);
	insn = DECODE(EMU_MODE_32, 0x0f, 0x20,
		      0x05); /* ModRM.mod is ignored: no displacement follows */
	assert_int_equal(insn.rm, GPR_RBP);
	assert_int_equal(insn.operand_size, 4);
	insn = DECODE(EMU_MODE_32 | EMU_MODE_AMD, 0xf0, 0x0f, 0x22, 0xc0);
	assert_int_equal(insn.reg, 8);
}

static void control_registers_that_do_not_exist_are_invalid(void **state)
{
	static const uint8_t cr1[] = {0x0f, 0x22, 0xc8}, cr9[] = {0x44, 0x0f, 0x20, 0xc8};
	static const uint8_t lock[] = {0xf0, 0x0f, 0x22, 0xc0}, dr8[] = {0x44, 0x0f, 0x21, 0xc0};
	struct emu_insn insn;

	(void)state;
	assert_int_equal(emu_decode(cr1, 3, EMU_MODE_64, &insn), EMU_DECODE_INVALID);
	assert_int_equal(emu_decode(cr9, 4, EMU_MODE_64, &insn), EMU_DECODE_INVALID);
	assert_int_equal(emu_decode(lock, 4, EMU_MODE_64, &insn), EMU_DECODE_INVALID);
	assert_int_equal(emu_decode(dr8, 4, EMU_MODE_64, &insn), EMU_DECODE_INVALID);
}

static void operands_of_device_accesses_are_found(void **state)
{
	struct emu_insn insn;

	(void)state;
	insn = DECODE(EMU_MODE_64, 0x89, 0xb7, 0x00, 0xd0, 0x5f,
		      0xff); /* mov %esi, -0xa03000(%rdi) */
	assert_int_equal(insn.op, EMU_MOV);
	assert_int_equal(insn.operand_size, 4);
	assert_int_equal(insn.reg, GPR_RSI);
	assert_int_equal(insn.base, GPR_RDI);
	assert_int_equal(insn.disp, -0xa03000);
	insn = DECODE(EMU_MODE_64, 0xc7, 0x04, 0x25, 0xb0, 0xd0, 0x5f, 0xff, 0, 0, 0,
		      0); /* movl $0, abs */
	assert_int_equal(insn.base, EMU_NO_REG);
	assert_int_equal(insn.index, EMU_NO_REG);
	assert_int_equal(insn.disp, (int64_t)0xffffffffff5fd0b0);
	assert_int_equal(insn.imm, 0);
	insn = DECODE(EMU_MODE_64, 0x8b, 0x05, 1, 0, 0, 0); /* mov 1(%rip), %eax */
	assert_int_equal(insn.base, EMU_REG_RIP);
	insn = DECODE(EMU_MODE_64, 0x43, 0x0f, 0xb6, 0x4c, 0xe5,
		      0x80); /* movzbl -128(%r13,%r12,8), %ecx */
	assert_int_equal(insn.op, EMU_MOVZX);
	assert_int_equal(insn.source_size, 1);
	assert_int_equal(insn.base, GPR_R13);
	assert_int_equal(insn.index, GPR_R12);
	assert_int_equal(insn.scale, 3);
	assert_int_equal(insn.disp, -128);
	insn = DECODE(EMU_MODE_64, 0x48, 0xa1, 1, 2, 3, 4, 5, 6, 7, 0x88); /* movabs */
	assert_int_equal((uint64_t)insn.disp, 0x8807060504030201);
	insn = DECODE(EMU_MODE_16, 0x26, 0x8a, 0x42, 0xff); /* mov %es:-1(%bp,%si), %al */
	assert_int_equal(insn.segment, SEG_ES);
	assert_int_equal(insn.base, GPR_RBP);
	assert_int_equal(insn.index, GPR_RSI);
	assert_int_equal(insn.address_size, 2);
}

/* A REX that is not right before the opcode does not count, nor do ES CS SS DS in 64-bit mode. */
static void void_prefixes_do_nothing(void **state)
{
	struct emu_insn insn;

	(void)state;
	insn = DECODE(EMU_MODE_64, 0x48, 0x66, 0x89, 0x00);
	assert_int_equal(insn.operand_size, 2);
	assert_int_equal(insn.rex, 0);
	insn = DECODE(EMU_MODE_64, 0x65, 0x2e, 0x89, 0x00);
	assert_int_equal(insn.segment, SEG_GS);
	insn = DECODE(EMU_MODE_64, 0xf3, 0xf2, 0xa6);
	assert_int_equal(insn.prefixes, EMU_REPNE);
}

static void vendors_differ_in_near_branches(void **state)
{
	(void)state;
	assert_int_equal(DECODE(EMU_MODE_64, 0x66, 0xe8, 0, 0, 0, 0).operand_size, 8);
	assert_int_equal(DECODE(EMU_MODE_64 | EMU_MODE_AMD, 0x66, 0xe8, 0, 0).operand_size, 2);
}

static void the_sixteenth_byte_is_one_too_many(void **state)
{
	uint8_t bytes[16];
	struct emu_insn insn;

	(void)state;
	memset(bytes, 0x66, sizeof(bytes));
	assert_int_equal(emu_decode(bytes, 14, EMU_MODE_64, &insn), EMU_DECODE_MORE);
	assert_int_equal(emu_decode(bytes, 15, EMU_MODE_64, &insn), EMU_DECODE_LONG);
	assert_int_equal(emu_decode(bytes, 16, EMU_MODE_64, &insn), EMU_DECODE_LONG);
	bytes[13] = 0x0f;
	bytes[14] = 0xa2;
	assert_int_equal(emu_decode(bytes, 15, EMU_MODE_64, &insn), EMU_DECODE_OK);
	assert_int_equal(insn.length, 15);
	bytes[13] = 0x66;
	bytes[14] = 0x0f;
	assert_int_equal(emu_decode(bytes, 16, EMU_MODE_64, &insn), EMU_DECODE_LONG);
	assert_int_equal(emu_decode(bytes, 0, EMU_MODE_64, &insn), EMU_DECODE_MORE);
}

static void the_mode_follows_the_code_segment(void **state)
{
	struct vcpu_state s = {.rip = 0x1234567890, .efer = 0x500};

	(void)state;
	s.seg[SEG_CS] = (struct vcpu_segment){.attr = 0xa9b, .base = 0x10000};
	assert_int_equal(emu_mode(&s), EMU_MODE_64);
	assert_int_equal(emu_fetch_address(&s), 0x1234567890);
	s.seg[SEG_CS].attr = 0xc9b; /* compatibility mode */
	assert_int_equal(emu_mode(&s), EMU_MODE_32);
	s.efer = 0;
	s.seg[SEG_CS].attr = 0xa9b; /* L means nothing outside long mode */
	assert_int_equal(emu_mode(&s), EMU_MODE_16);
	s.rip = 0xfff0;
	s.seg[SEG_CS].base = 0xffff0000;
	assert_int_equal(emu_fetch_address(&s), 0xfffffff0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exits_without_a_length_are_named_and_measured),
		cmocka_unit_test(control_and_debug_registers_are_found),
		cmocka_unit_test(control_registers_that_do_not_exist_are_invalid),
		cmocka_unit_test(operands_of_device_accesses_are_found),
		cmocka_unit_test(void_prefixes_do_nothing),
		cmocka_unit_test(vendors_differ_in_near_branches),
		cmocka_unit_test(the_sixteenth_byte_is_one_too_many),
		cmocka_unit_test(the_mode_follows_the_code_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
