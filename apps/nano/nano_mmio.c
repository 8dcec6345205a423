/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks instructions that the VMM must emulate: every usual form of access to the local APIC and
 * the I/O APIC, with its result in register, memory and flags, and the faults an emulated
 * instruction may raise.
 */
#include "nano.h"

#define CF    0x001ul
#define ZF    0x040ul
#define SF    0x080ul
#define OF    0x800ul
#define ARITH (CF | ZF | SF | OF)

#define LAPIC_VERSION	0x30
#define LAPIC_TPR	0x80
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_INITIAL	0x380 /* a full 32-bit register that can be read back */
#define LVT_MASKED	0x10000u
#define SCRATCH		(LAPIC_BASE + LAPIC_INITIAL)

#define IOAPIC_INDEX	 0x00
#define IOAPIC_DATA	 0x10
#define IOREDTBL_LOW(n)	 (0x10 + 2 * (n))
#define IOREDTBL_HIGH(n) (0x11 + 2 * (n))

struct outcome {
	uint64_t rax, flags;
	uint32_t memory;
};

static void check(const char *name, const struct outcome *got, const struct outcome *want,
		  uint64_t flag_mask)
{
	if (got->rax != want->rax)
		nano_fail(name, "RAX", got->rax, want->rax);
	else if (got->memory != want->memory)
		nano_fail(name, "memory", got->memory, want->memory);
	else if ((got->flags ^ want->flags) & flag_mask)
		nano_fail(name, "flags", got->flags & flag_mask, want->flags & flag_mask);
	else
		nano_ok(name);
}

/*
 * Sets the APIC register (at RDI, also at R12 and R13 for other encodings) to `before` and RAX to
 * `rax`, runs `code` with CF clear and ECX = 3, and compares RAX, the register and the flags in
 * `mask`.
 */
#define INSN(name, code, before, rax_in, rax_want, after, mask, flags_want)                        \
	do {                                                                                       \
		struct outcome got = {.rax = (rax_in)};                                            \
		const struct outcome want = {(rax_want), (flags_want), (after)};                   \
		lapic_write(LAPIC_INITIAL, (before));                                              \
		__asm__ volatile("movq %[reg], %%rdi\n\t"                                          \
				 "movq %[reg], %%r12\n\t"                                          \
				 "movq %[reg], %%r13\n\t"                                          \
				 "xorl %%edx, %%edx\n\t"                                           \
				 "movl $3, %%ecx\n\t"                                              \
				 "clc\n\t" code "\n\t"                                             \
				 "pushfq\n\t"                                                      \
				 "popq %[flags]\n\t"                                               \
				 "cld"                                                             \
				 : "+a"(got.rax), [flags] "=&r"(got.flags)                         \
				 : [reg] "r"(SCRATCH)                                              \
				 : "rcx", "rdx", "rdi", "r12", "r13", "memory", "cc");             \
		got.memory = lapic_read(LAPIC_INITIAL);                                            \
		check(name, &got, &want, (mask));                                                  \
	} while (0)

#define A    0x89abcdefu
#define B    0x12345678u
#define JUNK 0xffffffff00000000ul

static void test_mov(void)
{
	INSN("mov-load", "movl (%%rdi), %%eax", A, JUNK, A, A, 0, 0);
	INSN("mov-store", "movl %%eax, (%%rdi)", 0, B, B, B, 0, 0);
	INSN("mov-store-imm32", "movl $0x7654321, (%%rdi)", 0, 1, 1, 0x7654321, 0, 0);
	INSN("mov-load-r12-base", "movl (%%r12), %%eax", A, JUNK, A, A, 0, 0);
	INSN("mov-store-r13-base", "movl %%eax, (%%r13)", 0, B, B, B, 0, 0);
	INSN("mov-load-disp8-sib", "movl -24(%%rdi,%%rcx,8), %%eax", A, JUNK, A, A, 0, 0);
	INSN("mov-load-disp32-sib", "subq $0x1000, %%rdi; movl 0x1000-24(%%rdi,%%rcx,8), %%eax", A,
	     JUNK, A, A, 0, 0);
	INSN("mov-load-negative-disp32", "addq $0x12345, %%rdi; movl -0x12345(%%rdi), %%eax", A, 0,
	     A, A, 0, 0);
	INSN("mov-load-moffs", "movabsl 0xfee00380, %%eax", A, 0, A, A, 0, 0);
	INSN("mov-store-moffs", "movabsl %%eax, 0xfee00380", 0, B, B, B, 0, 0);
	INSN("mov-load-addr32", "movl (%%edi), %%eax", A, 0, A, A, 0, 0);
	INSN("mov-load-to-rex-register", "movl (%%r13), %%r12d; movl %%r12d, %%eax", A, 0, A, A, 0,
	     0);
	INSN("movslq-sign-extends", "movslq (%%rdi), %%rax", A, 0, 0xffffffff00000000ul | A, A, 0,
	     0);
	INSN("movnti-store", "movnti %%eax, (%%rdi)", 0, B, B, B, 0, 0);
	INSN("cmov-taken", "cmpl %%eax, %%eax; cmovzl (%%rdi), %%eax", A, B, A, A, 0, 0);
	INSN("cmov-not-taken-clears-upper-half", "testl %%ecx, %%ecx; cmovzl (%%rdi), %%eax", A,
	     JUNK | B, B, A, 0, 0);
}

static void test_arithmetic(void)
{
	INSN("add-to-memory", "addl %%eax, (%%rdi)", 0xffffffff, 1, 1, 0, ARITH, CF | ZF);
	INSN("add-from-memory", "addl (%%rdi), %%eax", 0x7fffffff, 1, 0x80000000, 0x7fffffff, ARITH,
	     SF | OF);
	INSN("adc-to-memory", "stc; adcl %%eax, (%%rdi)", 5, 6, 6, 12, ARITH, 0);
	INSN("sbb-to-memory", "stc; sbbl %%eax, (%%rdi)", 5, 5, 5, 0xffffffff, ARITH, CF | SF);
	INSN("sub-imm8-sign-extended", "subl $-1, (%%rdi)", 5, 0, 0, 6, ARITH, CF);
	INSN("sub-imm32", "subl $0x1000, (%%rdi)", 0x800, 0, 0, 0xfffff800, ARITH, CF | SF);
	INSN("or-to-memory", "orl %%eax, (%%rdi)", 0xf0, 0x0f, 0x0f, 0xff, ARITH, 0);
	INSN("and-imm32", "andl $0xff00ff00, (%%rdi)", A, 0, 0, A & 0xff00ff00, ARITH, SF);
	INSN("and-from-memory", "andl (%%rdi), %%eax", 0xf0, 0x0f, 0, 0xf0, ARITH, ZF);
	INSN("xor-to-memory", "xorl %%eax, (%%rdi)", A, A, A, 0, ARITH, ZF);
	INSN("cmp-memory-register", "cmpl %%eax, (%%rdi)", 1, 2, 2, 1, ARITH, CF | SF);
	INSN("cmp-register-memory", "cmpl (%%rdi), %%eax", 1, 2, 2, 1, ARITH, 0);
	INSN("cmp-imm8", "cmpl $7, (%%rdi)", 7, 0, 0, 7, ARITH, ZF);
	INSN("test-register", "testl %%eax, (%%rdi)", 0xf0, 0x0f, 0x0f, 0xf0, ARITH, ZF);
	INSN("test-imm32", "testl $0x80000000, (%%rdi)", A, 0, 0, A, ARITH, SF);
	INSN("inc-keeps-carry", "stc; incl (%%rdi)", 0x7fffffff, 0, 0, 0x80000000, ARITH,
	     CF | SF | OF);
	INSN("dec-keeps-carry", "stc; decl (%%rdi)", 1, 0, 0, 0, ARITH, CF | ZF);
	INSN("not-keeps-flags", "stc; notl (%%rdi)", A, 0, 0, ~A, CF, CF);
	INSN("neg-sets-carry", "negl (%%rdi)", 1, 0, 0, 0xffffffff, ARITH, CF | SF);
}

static void test_exchange(void)
{
	INSN("xchg", "xchgl %%eax, (%%rdi)", A, B, A, B, 0, 0);
	INSN("xadd", "lock xaddl %%eax, (%%rdi)", 5, 6, 5, 11, ARITH, 0);
	INSN("cmpxchg-equal-stores", "lock cmpxchgl %%ecx, (%%rdi)", 9, 9, 9, 3, ZF, ZF);
	INSN("cmpxchg-unequal-loads", "lock cmpxchgl %%ecx, (%%rdi)", 9, 8, 9, 9, ZF, 0);
	INSN("lock-or", "lock orl $0x100, (%%rdi)", 1, 0, 0, 0x101, ARITH, 0);
}

static void test_bits(void)
{
	INSN("bt-register", "btl %%ecx, (%%rdi)", 8, 0, 0, 8, CF, CF);
	INSN("bt-imm8", "btl $4, (%%rdi)", 8, 0, 0, 8, CF, 0);
	INSN("bts-imm8", "btsl $31, (%%rdi)", 8, 0, 0, 0x80000008, CF, 0);
	INSN("btr-register", "btrl %%ecx, (%%rdi)", 0xff, 0, 0, 0xf7, CF, CF);
	INSN("btc-register", "lock btcl %%ecx, (%%rdi)", 0xf7, 0, 0, 0xff, CF, 0);
}

static uint32_t source[2] __attribute__((used)) = {A, B};
static volatile uint32_t target[2] __attribute__((used));

static void test_string(void)
{
	INSN("stos", "stosl", 0, B, B, B, 0, 0);
	INSN("stos-advances-rdi", "stosl; subq %%r12, %%rdi; movq %%rdi, %%rax", 0, B, 4, B, 0, 0);
	INSN("rep-stos-once", "movl $1, %%ecx; rep stosl; movl %%ecx, %%eax", 0, B, 0, B, 0, 0);
	INSN("rep-stos-with-count-0", "xorl %%ecx, %%ecx; rep stosl", A, B, B, A, 0, 0);
	INSN("lods", "pushq %%rsi; movq %%rdi, %%rsi; lodsl; popq %%rsi", A, 0, A, A, 0, 0);
	INSN("movs-to-device", "pushq %%rsi; leaq source(%%rip), %%rsi; movsl; popq %%rsi", 0, 1, 1,
	     A, 0, 0);
	INSN("movs-backwards",
	     "pushq %%rsi; leaq source+4(%%rip), %%rsi; std; movsl; cld; subq %%r12, %%rdi;"
	     "movl %%edi, %%eax; popq %%rsi",
	     0, 1, 0xfffffffc, B, 0, 0);
	INSN("movs-from-device",
	     "pushq %%rsi; movq %%rdi, %%rsi; leaq target(%%rip), %%rdi; movsl; popq %%rsi;"
	     "movl target(%%rip), %%eax",
	     B, 0, B, B, 0, 0);
	INSN("scas", "scasl", A, A, A, A, ZF, ZF);
}

/* A store whose bytes lie on two pages that are not neighbours in physical memory. */
static uint8_t code_pages[2][4096] __attribute__((aligned(4096)));
/* movl %eax, 0x1000(%rdi); ret */
static const uint8_t store_and_return[] = {0x89, 0x87, 0x00, 0x10, 0x00, 0x00, 0xc3};

static void test_paging(void)
{
	uint64_t start = TEST_VA + 5 * 4096 - 3;

	nano_map(3, LAPIC_BASE, PTE_PRESENT | PTE_WRITE | PTE_NX);
	*(volatile uint32_t *)(TEST_VA + 3 * 4096 + LAPIC_INITIAL) = A;
	if (lapic_read(LAPIC_INITIAL) != A)
		nano_fail("device-through-another-mapping", "register", lapic_read(LAPIC_INITIAL),
			  A);
	else
		nano_ok("device-through-another-mapping");

	nano_map(4, (uint64_t)code_pages[1], PTE_PRESENT | PTE_WRITE);
	nano_map(5, (uint64_t)code_pages[0], PTE_PRESENT | PTE_WRITE);
	for (size_t i = 0; i < sizeof(store_and_return); i++)
		((volatile uint8_t *)start)[i] = store_and_return[i];
	__asm__ volatile("call *%0" : : "r"(start), "a"(B), "D"(SCRATCH - 0x1000) : "memory");
	if (lapic_read(LAPIC_INITIAL) != B)
		nano_fail("instruction-across-two-pages", "register", lapic_read(LAPIC_INITIAL), B);
	else
		nano_ok("instruction-across-two-pages");
}

static void test_faults(void)
{
	uint64_t fault_rip;

	/* The device is read first, so the absent target is for the emulator to find. */
	nano_map(0, 0, 0);
	nano_trap_reset();
	__asm__ volatile("leaq 2f(%%rip), %%rax\n\t"
			 "movq %%rax, %0\n\t"
			 "leaq 1f(%%rip), %1\n"
			 "1: movsl\n"
			 "2:\n"
			 : "=m"(nano_resume), "=&r"(fault_rip)
			 : "S"(SCRATCH), "D"(TEST_VA + 0x10)
			 : "rax", "memory");
	if (nano_last.count != 1 || nano_last.vector != 14)
		nano_fail("movs-to-absent-page-raises-pf", "count << 8 | vector",
			  nano_last.count << 8 | nano_last.vector, 1 << 8 | 14);
	else if (nano_last.cr2 != TEST_VA + 0x10)
		nano_fail("movs-to-absent-page-raises-pf", "CR2", nano_last.cr2, TEST_VA + 0x10);
	else if (nano_last.error != 2)
		nano_fail("movs-to-absent-page-raises-pf", "error code", nano_last.error, 2);
	else if (nano_last.rip != fault_rip)
		nano_fail("movs-to-absent-page-raises-pf", "saved RIP", nano_last.rip, fault_rip);
	else
		nano_ok("movs-to-absent-page-raises-pf");
	nano_resume = 0;
}

static uint32_t ioapic_read(uint32_t index)
{
	*(volatile uint32_t *)(IOAPIC_BASE + IOAPIC_INDEX) = index;
	return *(volatile uint32_t *)(IOAPIC_BASE + IOAPIC_DATA);
}

static void ioapic_write(uint32_t index, uint32_t value)
{
	*(volatile uint32_t *)(IOAPIC_BASE + IOAPIC_INDEX) = index;
	*(volatile uint32_t *)(IOAPIC_BASE + IOAPIC_DATA) = value;
}

static void expect_value(const char *name, uint64_t value, uint64_t want)
{
	if (value != want)
		nano_fail(name, "value", value, want);
	else
		nano_ok(name);
}

static void test_devices(void)
{
	uint32_t version = lapic_read(LAPIC_VERSION);
	uint64_t cr8;

	if ((version & 0xf0) != 0x10 || (version >> 16 & 0xff) < 3)
		nano_fail("lapic-version-is-integrated", "version", version, 0x50014);
	else
		nano_ok("lapic-version-is-integrated");
	lapic_write(LAPIC_TPR, 0x20);
	expect_value("lapic-tpr-keeps-its-value", lapic_read(LAPIC_TPR), 0x20);
	__asm__ volatile("movq %%cr8, %0" : "=r"(cr8));
	expect_value("cr8-is-tpr-bits-7-4", cr8, 2);
	__asm__ volatile("movq %0, %%cr8" : : "r"(5ul));
	expect_value("cr8-write-reaches-tpr", lapic_read(LAPIC_TPR), 0x50);
	lapic_write(LAPIC_TPR, 0);

	expect_value("ioapic-has-24-inputs", ioapic_read(1) >> 16 & 0xff, 23);
	ioapic_write(IOREDTBL_LOW(5), LVT_MASKED | 0x35);
	expect_value("ioapic-entry-keeps-low-half", ioapic_read(IOREDTBL_LOW(5)),
		     LVT_MASKED | 0x35);
	ioapic_write(IOREDTBL_HIGH(5), 0x01000000);
	expect_value("ioapic-entry-keeps-high-half", ioapic_read(IOREDTBL_HIGH(5)), 0x01000000);
	expect_value("ioapic-entries-are-separate", ioapic_read(IOREDTBL_LOW(6)) & 0xff, 0);
}

void nano_main(void)
{
	/* Masked, one-shot: the counter runs, its interrupt does not come. */
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
	test_mov();
	test_arithmetic();
	test_exchange();
	test_bits();
	test_string();
	test_paging();
	test_faults();
	lapic_write(LAPIC_INITIAL, 0);
	test_devices();
}
