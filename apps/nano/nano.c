/* SPDX-License-Identifier: BSD-2-Clause */
/* The common part of the nano guests: IDT and TSS, trap records, output, reports. */
#include "nano.h"

#define IST_DF	 1
#define IST_NMI	 2
#define RPL_MASK 3u

struct gate {
	uint16_t offset0;
	uint16_t selector;
	uint8_t ist, attributes;
	uint16_t offset1;
	uint32_t offset2, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "SDM 3A 6.14.1");

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3, io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "SDM 3A 7.7");

volatile struct nano_trap_record nano_last;
volatile uint64_t nano_resume;

static struct gate idt[256] __attribute__((aligned(16)));
static struct tss tss;
static uint8_t ring0_stack[4096] __attribute__((aligned(16)));
static uint8_t df_stack[4096] __attribute__((aligned(16)));
static uint8_t nmi_stack[4096] __attribute__((aligned(16)));
static uint64_t test_pdpt[512] __attribute__((aligned(4096)));
static uint64_t test_pd[512] __attribute__((aligned(4096)));
static uint64_t test_pt[512] __attribute__((aligned(4096)));
static unsigned checks_ok, checks_failed;

static void put_char(char c)
{
	/* Bounded, so that a broken UART shows as missing text and not as a hang. */
	for (int i = 0; i < 100000 && !(inb(PORT_LSR) & 0x20); i++)
		;
	outb(PORT_SERIAL, (uint8_t)c);
}

void nano_puts(const char *text)
{
	for (; *text; text++)
		put_char(*text);
}

void nano_put_dec(uint64_t value)
{
	char digits[20];
	int n = 0;

	do {
		digits[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	while (n)
		put_char(digits[--n]);
}

void nano_put_hex(uint64_t value)
{
	int shift = 60;

	nano_puts("0x");
	while (shift && !(value >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		put_char("0123456789abcdef"[value >> shift & 15]);
}

void nano_ok(const char *name)
{
	checks_ok++;
	nano_puts("ok ");
	nano_puts(name);
	nano_puts("\n");
}

void nano_fail(const char *name, const char *what, uint64_t value, uint64_t expected)
{
	checks_failed++;
	nano_puts("FAIL ");
	nano_puts(name);
	nano_puts(": ");
	nano_puts(what);
	nano_puts(" is ");
	nano_put_hex(value);
	nano_puts(", not ");
	nano_put_hex(expected);
	nano_puts("\n");
}

void nano_skip(const char *name, const char *why)
{
	nano_puts("skip ");
	nano_puts(name);
	nano_puts(": ");
	nano_puts(why);
	nano_puts("\n");
}

_Noreturn void nano_finish(void)
{
	nano_puts("nano: ");
	nano_put_dec(checks_ok);
	nano_puts(" ok, ");
	nano_put_dec(checks_failed);
	nano_puts(" failed\n");
	outl(PORT_DEBUG_EXIT, checks_failed != 0);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void nano_trap_reset(void)
{
	nano_last = (struct nano_trap_record){0};
}

/* Called by the trap stubs. */
void nano_trap(struct nano_frame *frame);
void nano_trap(struct nano_frame *frame)
{
	uint64_t cr2;

	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	nano_last.count++;
	nano_last.vector = frame->vector;
	nano_last.error = frame->error;
	nano_last.cr2 = cr2;
	nano_last.rip = frame->rip;
	nano_last.cs = frame->cs;
	nano_last.rflags = frame->rflags;
	nano_last.rsp = frame->rsp;
	if (nano_on_trap)
		nano_on_trap(frame);
	if (frame->cs & RPL_MASK) {
		/* Every trap from ring 3 ends the visit there. */
		frame->rip = (uint64_t)nano_leave_user;
		frame->cs = 0x08;
		frame->ss = 0x10;
		return;
	}
	if (nano_resume) {
		frame->rip = nano_resume;
		nano_resume = 0;
		return;
	}
	if (frame->vector < 32 && frame->vector != 1 && frame->vector != 2 && frame->vector != 3) {
		/* A fault that nobody expected would only repeat itself. */
		nano_fail("unexpected-fault", "vector", frame->vector, 0);
		nano_fail("unexpected-fault", "rip", frame->rip, 0);
		nano_finish();
	}
}

void nano_gate_present(unsigned vector, int present)
{
	idt[vector].attributes = present ? 0x8e : 0x0e;
}

void nano_map(unsigned page, uint64_t physical, uint64_t flags)
{
	test_pt[page] = flags ? physical | flags : 0;
	__asm__ volatile("invlpg (%0)" : : "r"(TEST_VA + page * 4096ul) : "memory");
}

int nano_on_bare_qemu(void)
{
	uint32_t out[4];

	cpuid(1, out);
	if (!(out[2] >> 31))
		return 0;
	cpuid(0x40000000, out);
	return out[1] == 0x54474354; /* "TCGT" */
}

static void load_tables(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)idt};
	uint64_t base = (uint64_t)&tss;

	for (unsigned i = 0; i < 256; i++) {
		uint64_t stub = (uint64_t)nano_trap_stubs[i];

		idt[i] =
			(struct gate){(uint16_t)stub,	      0x08, 0, 0x8e, (uint16_t)(stub >> 16),
				      (uint32_t)(stub >> 32), 0};
	}
	idt[2].ist = IST_NMI;
	idt[8].ist = IST_DF;
	tss.rsp[0] = (uint64_t)(ring0_stack + sizeof(ring0_stack));
	tss.ist[IST_DF - 1] = (uint64_t)(df_stack + sizeof(df_stack));
	tss.ist[IST_NMI - 1] = (uint64_t)(nmi_stack + sizeof(nmi_stack));
	tss.io_map = sizeof(tss);
	nano_gdt[5] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 |
		      (base >> 24 & 0xff) << 56;
	nano_gdt[6] = base >> 32;
	__asm__ volatile("lidt %0; ltr %w1" : : "m"(pointer), "r"(0x28) : "memory");
}

/* Called by start.S. */
_Noreturn void nano_begin(void);
_Noreturn void nano_begin(void)
{
	load_tables();
	nano_pml4[TEST_VA >> 39] = (uint64_t)test_pdpt | PTE_PRESENT | PTE_WRITE | PTE_USER;
	test_pdpt[0] = (uint64_t)test_pd | PTE_PRESENT | PTE_WRITE | PTE_USER;
	test_pd[0] = (uint64_t)test_pt | PTE_PRESENT | PTE_WRITE | PTE_USER;
	nano_main();
	nano_finish();
}
