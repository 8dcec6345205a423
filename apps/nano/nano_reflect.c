/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks that exceptions, NMIs and interrupts reach a guest as the SDM says: vector, error code,
 * CR2, saved RIP. Some are raised by instructions the VMM emulates, so that its own injection is
 * seen as well as the CPU's.
 */
#include "nano.h"

#define DR6_BS	    (1u << 14)
#define RFLAGS_TF   0x100ul
#define ICR_LOW	    0x300
#define ICR_HIGH    0x310
#define ICR_NMI	    0x400u
#define ICR_FIXED   0x000u
#define ICR_PENDING 0x1000u
#define LAPIC_ID    0x20
#define LAPIC_EOI   0xb0
#define LAPIC_SVR   0xf0
#define SVR_ENABLE  0x100u
#define IPI_VECTOR  0x51u
#define SPIN	    1000000

/* Runs `code`, which must raise exactly one exception; its own address and where it goes on are
 * noted. */
#define PROVOKE(code, ...)                                                                         \
	__asm__ volatile("leaq 2f(%%rip), %%rax\n\t"                                               \
			 "movq %%rax, %0\n\t"                                                      \
			 "leaq 1f(%%rip), %%rax\n\t"                                               \
			 "movq %%rax, %1\n"                                                        \
			 "1: " code "\n"                                                           \
			 "2:\n"                                                                    \
			 : "=m"(nano_resume), "=m"(fault_rip)                                      \
			 : __VA_ARGS__                                                             \
			 : "rax", "rcx", "rdx", "memory", "cc")

static volatile uint64_t fault_rip;

/* Compares the last trap with what the SDM demands; cr2 counts for #PF only. */
static void expect(const char *name, uint64_t vector, uint64_t error, uint64_t cr2, uint64_t rip)
{
	if (nano_last.count != 1)
		nano_fail(name, "number of traps", nano_last.count, 1);
	else if (nano_last.vector != vector)
		nano_fail(name, "vector", nano_last.vector, vector);
	else if (nano_last.error != error)
		nano_fail(name, "error code", nano_last.error, error);
	else if (vector == 14 && nano_last.cr2 != cr2)
		nano_fail(name, "CR2", nano_last.cr2, cr2);
	else if (vector != 8 && nano_last.rip != rip) /* undefined for #DF (SDM 3A 6.15) */
		nano_fail(name, "saved RIP", nano_last.rip, rip);
	else
		nano_ok(name);
	nano_resume = 0;
	nano_trap_reset();
}

/* start.S's stubs call this inside each trap. */
static volatile int nest_nmi, nested;
static void send_nmi(void);

void nano_on_trap(struct nano_frame *frame)
{
	if (frame->vector == 1)
		frame->rflags &= ~RFLAGS_TF;
	if (frame->vector == IPI_VECTOR)
		lapic_write(LAPIC_EOI, 0);
	if (frame->vector == 2 && nest_nmi) {
		uint64_t before = nano_last.count;

		nest_nmi = 0;
		send_nmi();
		for (volatile int i = 0; i < 1000; i++)
			;
		nested = nano_last.count != before;
	}
}

static void send_ipi(uint32_t mode)
{
	uint32_t id = lapic_read(LAPIC_ID);

	/* To its own ID: the "self" shorthand is for fixed delivery only (SDM 3A 11.6.1). */
	lapic_write(ICR_HIGH, id);
	lapic_write(ICR_LOW, mode);
	for (int i = 0; i < SPIN && (lapic_read(ICR_LOW) & ICR_PENDING); i++)
		;
}

static void send_nmi(void)
{
	send_ipi(ICR_NMI);
}

static void wait_for_traps(uint64_t count)
{
	for (volatile int i = 0; i < SPIN && nano_last.count < count; i++)
		;
}

static void test_simple(void)
{
	nano_trap_reset();
	PROVOKE("ud2", "m"(fault_rip));
	expect("ud2-raises-ud", 6, 0, 0, fault_rip);

	PROVOKE("xorl %%edx, %%edx; xorl %%ecx, %%ecx; divl %%ecx", "m"(fault_rip));
	/* xorl, xorl: two bytes each before the DIV. */
	expect("divide-by-zero-raises-de", 0, 0, 0, fault_rip + 4);

	PROVOKE("int3", "m"(fault_rip));
	expect("int3-raises-bp-after-itself", 3, 0, 0, fault_rip + 1);

	PROVOKE("int $0x44", "m"(fault_rip));
	expect("int-n-arrives-after-itself", 0x44, 0, 0, fault_rip + 2);
}

static void test_gp(void)
{
	uint64_t noncanonical = 0x8000000000000000ul;

	PROVOKE("movq (%2), %%rax", "r"(noncanonical));
	expect("noncanonical-read-raises-gp", 13, 0, 0, fault_rip);

	PROVOKE("movw %w2, %%es", "r"(0x78));
	expect("selector-beyond-gdt-raises-gp-with-selector", 13, 0x78, 0, fault_rip);

	/* CR4 bit 63: reserved. A VMM that intercepts CR4 must raise this itself. */
	if (nano_on_bare_qemu()) {
		nano_skip("reserved-cr4-bit-raises-gp", "bare QEMU ignores reserved bits of CR4");
		nano_skip("unknown-msr-raises-gp", "bare QEMU reads unknown MSRs as 0");
		return;
	}
	PROVOKE("movq %2, %%cr4", "r"(1ul << 63 | 0x620));
	expect("reserved-cr4-bit-raises-gp", 13, 0, 0, fault_rip);

	PROVOKE("movl $0x4b564d99, %%ecx; rdmsr", "m"(fault_rip));
	expect("unknown-msr-raises-gp", 13, 0, 0, fault_rip + 5);
}

static uint8_t page[4096] __attribute__((aligned(4096)));

static void test_pf(void)
{
	uint64_t va = TEST_VA + 0x123;

	nano_map(0, 0, 0);
	PROVOKE("movb (%2), %%al", "r"(va));
	expect("read-of-absent-page-raises-pf", 14, 0x0, va, fault_rip);

	PROVOKE("movb %%al, (%2)", "r"(va));
	expect("write-to-absent-page-raises-pf", 14, 0x2, va, fault_rip);

	nano_map(0, (uint64_t)page, PTE_PRESENT | PTE_NX);
	PROVOKE("movb %%al, (%2)", "r"(va));
	expect("write-to-read-only-page-raises-pf", 14, 0x3, va, fault_rip);

	PROVOKE("jmpq *%2", "r"(va));
	expect("fetch-from-nx-page-raises-pf", 14, 0x11, va, va);

	/* A page-straddling read: CR2 is the first byte of the absent page. */
	nano_map(1, 0, 0);
	PROVOKE("movq (%2), %%rax", "r"(TEST_VA + 4092));
	expect("straddling-read-reports-second-page", 14, 0x0, TEST_VA + 4096, fault_rip);
}

/* movb (TEST_VA), %al; as bytes, because it is copied to a user page. */
static const uint8_t user_read[] = {0x48, 0xb8, 0, 0, 0, 0, 0x80, 0, 0, 0, 0x8a, 0x00};
static const uint8_t user_hlt[] = {0xf4};
static const uint8_t user_cpuid_then_ud2[] = {0x31, 0xc0, 0x0f, 0xa2, 0x0f, 0x0b};

static void run_user(const uint8_t *code, size_t size)
{
	for (size_t i = 0; i < size; i++)
		page[i] = code[i];
	nano_map(2, (uint64_t)page, PTE_PRESENT | PTE_USER);
	nano_enter_user(TEST_VA + 0x2000, TEST_VA + 0x3000);
}

static void expect_user(const char *name, uint64_t vector, uint64_t error, uint64_t offset)
{
	if (nano_last.cs != 0x23) {
		nano_fail(name, "saved CS", nano_last.cs, 0x23);
		nano_trap_reset();
		return;
	}
	expect(name, vector, error, TEST_VA, TEST_VA + 0x2000 + offset);
}

static void test_user(void)
{
	nano_map(0, (uint64_t)page, PTE_PRESENT);
	run_user(user_read, sizeof(user_read));
	expect_user("user-read-of-supervisor-page-raises-pf", 14, 0x5, 10);

	run_user(user_hlt, sizeof(user_hlt));
	expect_user("hlt-in-ring-3-raises-gp", 13, 0, 0);

	run_user(user_cpuid_then_ud2, sizeof(user_cpuid_then_ud2));
	expect_user("cpuid-in-ring-3-is-emulated", 6, 0, 4);
}

/* Single-steps one instruction; `size` of it. */
#define STEP(code)                                                                                 \
	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"                                               \
			 "movq %%rax, %0\n\t"                                                      \
			 "pushfq\n\t"                                                              \
			 "orq %1, (%%rsp)\n\t"                                                     \
			 "movl $0, %%eax\n\t"                                                      \
			 "popfq\n\t" code "\n"                                                     \
			 "1: nop; nop\n\t"                                                         \
			 : "=m"(fault_rip)                                                         \
			 : "i"(RFLAGS_TF)                                                          \
			 : "rax", "rbx", "rcx", "rdx", "memory", "cc")

static void expect_step(const char *name)
{
	uint64_t dr6;

	__asm__ volatile("movq %%dr6, %0" : "=r"(dr6));
	if (!(dr6 & DR6_BS) && nano_last.count) {
		nano_fail(name, "DR6", dr6, DR6_BS);
		nano_trap_reset();
	} else {
		expect(name, 1, 0, 0, fault_rip);
	}
	__asm__ volatile("movq %0, %%dr6" : : "r"(0ul));
}

static void test_db(void)
{
	STEP("nop");
	expect_step("single-step-raises-db");
	/* An emulated instruction is an instruction: its trap comes after it (SDM 3B 18.3.1.4). */
	STEP("cpuid");
	expect_step("single-step-over-cpuid-raises-db");
}

static void test_df(void)
{
	/* #PF whose gate is absent: #NP during its delivery makes #DF (SDM 3A 6.15, table 6-5). */
	nano_map(0, 0, 0);
	nano_gate_present(14, 0);
	PROVOKE("movb (%2), %%al", "r"(TEST_VA));
	nano_gate_present(14, 1);
	expect("fault-while-delivering-a-fault-raises-df", 8, 0, 0, fault_rip);
}

static void test_nmi(void)
{
	nano_trap_reset();
	send_nmi();
	wait_for_traps(1);
	if (nano_last.count != 1 || nano_last.vector != 2)
		nano_fail("nmi-to-itself-arrives", "count << 8 | vector",
			  nano_last.count << 8 | nano_last.vector, 1 << 8 | 2);
	else
		nano_ok("nmi-to-itself-arrives");

	/* A second one during the handler stays pending until its IRET (SDM 3A 6.7.1). */
	nano_trap_reset();
	nest_nmi = 1;
	send_nmi();
	wait_for_traps(2);
	if (nested)
		nano_fail("nmi-waits-for-iret", "nested deliveries", 1, 0);
	else if (nano_last.count != 2)
		nano_fail("nmi-waits-for-iret", "NMIs seen", nano_last.count, 2);
	else
		nano_ok("nmi-waits-for-iret");
	nano_trap_reset();
}

static void test_interrupt(void)
{
	lapic_write(LAPIC_SVR, SVR_ENABLE | 0xff);
	nano_trap_reset();
	send_ipi(ICR_FIXED | IPI_VECTOR);
	for (volatile int i = 0; i < 1000; i++)
		;
	if (nano_last.count)
		nano_fail("interrupt-waits-for-if", "interrupts with IF clear", nano_last.count, 0);
	else
		nano_ok("interrupt-waits-for-if");
	/* STI holds it for one more instruction (SDM 2B, STI). */
	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
			 "movq %%rax, %0\n\t"
			 "sti\n\t"
			 "nop\n"
			 "1: nop\n\t"
			 "nop\n\t"
			 "cli"
			 : "=m"(fault_rip)
			 :
			 : "rax", "memory");
	expect("interrupt-comes-one-instruction-after-sti", IPI_VECTOR, 0, 0, fault_rip);

	/* HLT ends with it. */
	send_ipi(ICR_FIXED | IPI_VECTOR);
	__asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
			 "movq %%rax, %0\n\t"
			 "sti\n\t"
			 "hlt\n"
			 "1: cli"
			 : "=m"(fault_rip)
			 :
			 : "rax", "memory");
	expect("interrupt-ends-hlt", IPI_VECTOR, 0, 0, fault_rip);
}

void nano_main(void)
{
	test_simple();
	test_gp();
	test_pf();
	test_user();
	test_db();
	test_df();
	test_interrupt();
	test_nmi();
}
