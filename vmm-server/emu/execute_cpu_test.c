/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The executor against the CPU this test runs on: random instructions are run natively, in 64-bit,
 * 32-bit and 16-bit code, on mapped memory with read-only and absent pages and with segments of all
 * kinds; registers, flags, memory and faults must be the same. EMU_CPU_CASES=n in the environment
 * sets the number per kind of code, EMU_CPU_SEED the seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "emu.h"
#include "emu_tables.h"

#define FLAG_CF		 0x001ull
#define FLAG_PF		 0x004ull
#define FLAG_AF		 0x010ull
#define FLAG_ZF		 0x040ull
#define FLAG_SF		 0x080ull
#define FLAG_DF		 0x400ull
#define FLAG_OF		 0x800ull
#define FLAGS_ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/* Below 4 GiB, so that 32-bit code reaches it. */
#define CODE	      0x10000000u
#define CODE_SIZE     0x2000u
#define INSN	      0x100u /* offsets in CODE */
#define EXIT_STUB     0x800u
#define LAND	      0x900u /* where CALL, JMP and RET go */
#define LAND_STUB     0xa00u
#define DATA	      0x20000000u
#define DATA_SIZE     0x4000u
#define DATA_WRITABLE 0x2000u /* then a read-only page, then an absent one */
#define GS_BASE	      (DATA - 0x1000u)

/* What the assembly below shares with C. */
struct native {
	uint64_t gpr[16];	 /* 0 */
	uint64_t rflags;	 /* 128 */
	uint64_t host_rsp;	 /* 136 */
	uint32_t offset;	 /* 144: far pointer to the instruction */
	uint16_t cs;		 /* 148 */
	uint16_t ss, ds, es, gs; /* 150 152 154 156 */
	uint16_t set_gs;	 /* 158 */
	uint32_t exit;		 /* 160: EXIT_* */
};
_Static_assert(offsetof(struct native, exit) == 160, "known to the assembly");
enum { EXIT_NEXT = 1, EXIT_LAND = 2, EXIT_FAULT = 3 };

struct native native;
void native_enter(void);
void native_exit_next(void);
void native_exit_land(void);
void native_return(void);

__asm__(".text\n"
	"native_enter:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	"
	"push %r15\n"
	"	mov %rsp, native+136(%rip)\n"
	"	cmpw $0, native+158(%rip)\n"
	"	je 1f\n"
	"	mov native+156(%rip), %gs\n"
	"1:	mov native+152(%rip), %ds\n"
	"	mov native+154(%rip), %es\n"
	"	pushq native+128(%rip)\n"
	"	popfq\n"
	"	mov native+0(%rip), %rax\n	mov native+8(%rip), %rcx\n"
	"	mov native+16(%rip), %rdx\n	mov native+24(%rip), %rbx\n"
	"	mov native+40(%rip), %rbp\n	mov native+48(%rip), %rsi\n"
	"	mov native+56(%rip), %rdi\n	mov native+64(%rip), %r8\n"
	"	mov native+72(%rip), %r9\n	mov native+80(%rip), %r10\n"
	"	mov native+88(%rip), %r11\n	mov native+96(%rip), %r12\n"
	"	mov native+104(%rip), %r13\n	mov native+112(%rip), %r14\n"
	"	mov native+120(%rip), %r15\n"
	"	mov native+150(%rip), %ss\n"
	"	mov native+32(%rip), %rsp\n"
	"	ljmp *native+144(%rip)\n"
	"native_exit_next:\n"
	"	movl $1, native+160(%rip)\n"
	"	jmp 2f\n"
	"native_exit_land:\n"
	"	movl $2, native+160(%rip)\n"
	"2:	mov %rax, native+0(%rip)\n	mov %rcx, native+8(%rip)\n"
	"	mov %rdx, native+16(%rip)\n	mov %rbx, native+24(%rip)\n"
	"	mov %rsp, native+32(%rip)\n"
	"	mov %rbp, native+40(%rip)\n	mov %rsi, native+48(%rip)\n"
	"	mov %rdi, native+56(%rip)\n	mov %r8, native+64(%rip)\n"
	"	mov %r9, native+72(%rip)\n	mov %r10, native+80(%rip)\n"
	"	mov %r11, native+88(%rip)\n	mov %r12, native+96(%rip)\n"
	"	mov %r13, native+104(%rip)\n	mov %r14, native+112(%rip)\n"
	"	mov %r15, native+120(%rip)\n"
	"	mov $0x2b, %eax\n"
	"	mov %ax, %ss\n"
	"	mov native+136(%rip), %rsp\n"
	"	pushfq\n"
	"	popq native+128(%rip)\n"
	"native_return:\n"
	"	cld\n"
	"	xor %eax, %eax\n"
	"	mov %ax, %ds\n"
	"	mov %ax, %es\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	"
	"pop %rbx\n"
	"	ret\n");

/* ---- Random numbers ---- */

static uint64_t random_state;

static uint64_t rnd(void)
{
	random_state += 0x9e3779b97f4a7c15u; /* splitmix64 */
	uint64_t z = random_state;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static bool one_in(unsigned n)
{
	return rnd() % n == 0;
}

static unsigned long from_environment(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : otherwise;
}

/* ---- The kinds of code ---- */

enum kind { CODE_64, CODE_32_FLAT, CODE_32, CODE_16, KINDS };
static const char *const kind_names[] = {"64-bit", "flat 32-bit", "segmented 32-bit", "16-bit"};

#define LDT(n) ((uint16_t)((n) << 3 | 7))
enum {
	LDT_CODE_16 = 1,
	LDT_DATA,
	LDT_DOWN,
	LDT_READ_ONLY,
	LDT_STACK_16,
	LDT_STACK_32,
	LDT_EXECUTE_ONLY,
	LDT_DOWN_16
};

static const struct vcpu_segment flat_data = {.sel = 0x2b, .attr = 0xcf3, .limit = 0xffffffff};

/* An LDT segment and what the executor is told about it. */
static const struct {
	struct user_desc desc;
	struct vcpu_segment segment;
} ldt[] = {
	{{.entry_number = LDT_CODE_16, .base_addr = CODE, .limit = 0xffff, .contents = 2},
	 {LDT(LDT_CODE_16), 0xfb, 0xffff, CODE}},
	{{.entry_number = LDT_DATA, .base_addr = DATA, .limit = 0x2ffb, .seg_32bit = 1},
	 {LDT(LDT_DATA), 0x4f3, 0x2ffb, DATA}},
	{{.entry_number = LDT_DOWN,
	  .base_addr = DATA,
	  .limit = 0x103,
	  .seg_32bit = 1,
	  .contents = 1},
	 {LDT(LDT_DOWN), 0x4f7, 0x103, DATA}},
	{{.entry_number = LDT_READ_ONLY, .base_addr = DATA, .limit = 0x3fff, .read_exec_only = 1},
	 {LDT(LDT_READ_ONLY), 0xf1, 0x3fff, DATA}},
	{{.entry_number = LDT_STACK_16, .base_addr = DATA, .limit = 0x27ff},
	 {LDT(LDT_STACK_16), 0xf3, 0x27ff, DATA}},
	{{.entry_number = LDT_STACK_32, .base_addr = DATA, .limit = 0x27ff, .seg_32bit = 1},
	 {LDT(LDT_STACK_32), 0x4f3, 0x27ff, DATA}},
	{{.entry_number = LDT_EXECUTE_ONLY,
	  .base_addr = DATA,
	  .limit = 0x3fff,
	  .seg_32bit = 1,
	  .contents = 2,
	  .read_exec_only = 1},
	 {LDT(LDT_EXECUTE_ONLY), 0x4f9, 0x3fff, DATA}},
	{{.entry_number = LDT_DOWN_16, .base_addr = DATA, .limit = 0xfff, .contents = 1},
	 {LDT(LDT_DOWN_16), 0xf7, 0xfff, DATA}},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool have_ldt;
static bool is_amd;

static const struct vcpu_segment *ldt_segment(unsigned number)
{
	for (unsigned i = 0; i < COUNT(ldt); i++)
		if (ldt[i].desc.entry_number == number)
			return &ldt[i].segment;
	abort();
}

static unsigned mode_of(enum kind kind)
{
	unsigned size = kind == CODE_64 ? EMU_MODE_64 : kind == CODE_16 ? EMU_MODE_16 : EMU_MODE_32;

	return size | (is_amd ? EMU_MODE_AMD : 0);
}

static void set_segments(enum kind kind, struct vcpu_state *state)
{
	static const uint8_t data[] = {LDT_DATA,    LDT_DATA, LDT_DOWN,	    LDT_READ_ONLY,
				       LDT_DOWN_16, LDT_DATA, LDT_STACK_16, LDT_STACK_32};
	static const uint8_t any[] = {LDT_DATA, LDT_DOWN, LDT_READ_ONLY, LDT_DOWN_16};

	state->seg[SEG_CS] = (struct vcpu_segment){.sel = 0x23, .attr = 0xcfb, .limit = 0xffffffff};
	state->seg[SEG_FS] = (struct vcpu_segment){0};
	state->seg[SEG_DS] = state->seg[SEG_ES] = state->seg[SEG_SS] = state->seg[SEG_GS] =
		flat_data;
	switch (kind) {
	case CODE_64:
		state->seg[SEG_CS] =
			(struct vcpu_segment){.sel = 0x33, .attr = 0xafb, .limit = ~0u};
		state->seg[SEG_DS] = state->seg[SEG_ES] = (struct vcpu_segment){0};
		state->seg[SEG_GS] = (struct vcpu_segment){.base = GS_BASE};
		break;
	case CODE_32_FLAT:
		break;
	default:
		state->seg[SEG_DS] = *ldt_segment(data[rnd() % COUNT(data)]);
		state->seg[SEG_ES] = *ldt_segment(data[rnd() % COUNT(data)]);
		state->seg[SEG_GS] = *ldt_segment(any[rnd() % COUNT(any)]);
		state->seg[SEG_SS] = *ldt_segment(one_in(2) ? LDT_STACK_16 : LDT_STACK_32);
		if (kind == CODE_16)
			state->seg[SEG_CS] = *ldt_segment(LDT_CODE_16);
		else if (one_in(16))
			state->seg[SEG_DS] = (struct vcpu_segment){0}; /* null selector */
		break;
	}
}

/* ---- Native execution ---- */

static uint32_t trap_number, trap_error;
static uint64_t trap_cr2, trap_rip;

static void on_signal(int number, siginfo_t *info, void *context)
{
	static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				      REG_RSI, REG_RDI, REG_R8,	 REG_R9,  REG_R10, REG_R11,
				      REG_R12, REG_R13, REG_R14, REG_R15};
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)info;
	if (!native.host_rsp) { /* a fault of the test itself */
		signal(number, SIG_DFL);
		return;
	}
	for (unsigned i = 0; i < 16; i++)
		native.gpr[i] = (uint64_t)regs[order[i]];
	native.rflags = (uint64_t)regs[REG_EFL];
	native.exit = EXIT_FAULT;
	trap_number = (uint32_t)regs[REG_TRAPNO];
	trap_error = (uint32_t)regs[REG_ERR];
	trap_cr2 = (uint64_t)regs[REG_CR2];
	trap_rip = (uint64_t)regs[REG_RIP];
	regs[REG_RSP] = (greg_t)native.host_rsp;
	regs[REG_RIP] = (greg_t)native_return;
	regs[REG_EFL] = 0x202;
	regs[REG_CSGSFS] = (regs[REG_CSGSFS] & 0x0000ffffffff0000) | 0x33 | (greg_t)0x2b << 48;
}

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
static struct sigaction previous[COUNT(signals)];
static uint8_t signal_stack[64 * 1024];

static void take_signals(void)
{
	stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
	struct sigaction action = {.sa_sigaction = on_signal,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	sigaltstack(&stack, NULL);
	for (unsigned i = 0; i < COUNT(signals); i++)
		sigaction(signals[i], &action, &previous[i]);
}

static void give_signals_back(void)
{
	for (unsigned i = 0; i < COUNT(signals); i++)
		sigaction(signals[i], &previous[i], NULL);
}

static uint8_t *const code = (uint8_t *)(uintptr_t)CODE;
static uint8_t *const data = (uint8_t *)(uintptr_t)DATA;

/* jmp *0(%rip); the address */
static void put_stub(unsigned at, void (*target)(void))
{
	static const uint8_t jump[6] = {0xff, 0x25};
	uint64_t address = (uint64_t)(uintptr_t)target;

	memcpy(code + at, jump, 6);
	memcpy(code + at + 6, &address, 8);
}

/* A far jump to 64-bit code at CODE + stub, in any mode without a register. */
static void put_exit(enum kind kind, unsigned at, unsigned stub)
{
	uint32_t target = CODE + stub;
	uint8_t *p = code + at;

	if (kind == CODE_64) { /* jmp rel32 */
		target = stub - (at + 5);
		*p++ = 0xe9;
		memcpy(p, &target, 4);
		return;
	}
	if (kind == CODE_16)
		*p++ = 0x66;
	*p++ = 0xea;
	memcpy(p, &target, 4);
	p[4] = 0x33;
	p[5] = 0;
}

static void run_native(enum kind kind, const struct vcpu_state *state, const uint8_t *bytes,
		       unsigned length)
{
	memset(code + INSN, 0xf4, 32); /* HLT: a branch to anywhere else ends in #GP there */
	memcpy(code + INSN, bytes, length);
	put_exit(kind, INSN + length, EXIT_STUB);
	put_exit(kind, LAND, LAND_STUB);
	memcpy(native.gpr, state->gpr, sizeof(native.gpr));
	native.rflags = state->rflags;
	native.offset = (uint32_t)state->rip;
	native.cs = state->seg[SEG_CS].sel;
	native.ss = state->seg[SEG_SS].sel;
	native.ds = state->seg[SEG_DS].sel;
	native.es = state->seg[SEG_ES].sel;
	native.gs = state->seg[SEG_GS].sel;
	native.set_gs = kind != CODE_64;
	if (kind == CODE_64)
		syscall(SYS_arch_prctl, ARCH_SET_GS, (unsigned long)GS_BASE);
	native_enter();
	native.host_rsp = 0;
}

/* ---- Emulated memory: a copy of the data area, with the same rights ---- */

static uint8_t shadow[DATA_SIZE];
static bool outside; /* an access the native run must not make */

static enum emu_result check(struct emu_ctx *ctx, uint64_t linear, unsigned size, bool write)
{
	for (unsigned i = 0; i < size; i++) {
		uint64_t at = linear + i;

		if (at < DATA || at >= DATA + DATA_SIZE) {
			outside = true;
			return EMU_ABORTED;
		}
		if (at - DATA >= DATA_WRITABLE + 0x1000 || (write && at - DATA >= DATA_WRITABLE)) {
			ctx->fault = (struct emu_fault){14, 4 | (write ? 2 : 0), at};
			if (at - DATA < DATA_WRITABLE + 0x1000)
				ctx->fault.error |= 1;
			return EMU_FAULT;
		}
	}
	return EMU_DONE;
}

static enum emu_result read_shadow(struct emu_ctx *ctx, uint64_t linear, void *out, unsigned size,
				   bool to_write)
{
	enum emu_result result = check(ctx, linear, size, to_write);

	if (result == EMU_DONE)
		memcpy(out, shadow + (linear - DATA), size);
	return result;
}

static enum emu_result write_shadow(struct emu_ctx *ctx, uint64_t linear, const void *in,
				    unsigned size)
{
	enum emu_result result = check(ctx, linear, size, true);

	if (result == EMU_DONE)
		memcpy(shadow + (linear - DATA), in, size);
	return result;
}

static enum emu_result probe_shadow(struct emu_ctx *ctx, uint64_t linear, unsigned size)
{
	return check(ctx, linear, size, true);
}

static const struct emu_ops ops = {
	.read = read_shadow, .write = write_shadow, .probe_write = probe_shadow};

/* ---- Making cases ---- */

struct test_case {
	enum kind kind;
	uint8_t bytes[16];
	struct emu_insn insn;
	struct vcpu_state state;
	uint8_t memory[DATA_WRITABLE];
};

/* Somewhere in the data area, often at the edge of a page, sometimes misplaced. */
static uint64_t random_target(void)
{
	if (one_in(4))
		return DATA + 0x1000 * (1 + rnd() % 3) - rnd() % 18;
	return DATA + rnd() % (DATA_WRITABLE - 16);
}

static void random_bytes(enum kind kind, uint8_t *bytes)
{
	static const uint8_t prefixes_64[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x65, 0x3e, 0x36};
	static const uint8_t prefixes_32[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0,
					      0x65, 0x3e, 0x36, 0x26, 0x2e};
	unsigned at = 0;

	for (unsigned i = 0; i < 16; i++)
		bytes[i] = (uint8_t)rnd();
	while (at < 3 && one_in(3))
		bytes[at++] = kind == CODE_64 ? prefixes_64[rnd() % COUNT(prefixes_64)]
					      : prefixes_32[rnd() % COUNT(prefixes_32)];
	if (kind == CODE_64 && one_in(2))
		bytes[at++] = 0x40 | (rnd() & 15);
	if (one_in(3))
		bytes[at++] = 0x0f;
	if (one_in(8)) /* strings are few opcodes */
		bytes[at] = (uint8_t)(0xa4 + rnd() % 12);
}

static bool wanted(const struct emu_insn *insn)
{
	if (insn->op == EMU_OTHER || insn->op >= EMU_CPUID)
		return false;
	return insn->op != EMU_IN && insn->op != EMU_OUT && insn->op != EMU_INS &&
	       insn->op != EMU_OUTS;
}

/* Changes the disp or the base of the memory operand so that it lies at `linear`. */
static void aim(struct test_case *c, uint64_t linear)
{
	struct emu_insn *insn = &c->insn;
	uint64_t offset = linear, *gpr = c->state.gpr;
	unsigned segment = insn->segment != EMU_NO_REG			    ? insn->segment
			   : insn->base == GPR_RSP || insn->base == GPR_RBP ? SEG_SS
									    : SEG_DS;
	unsigned at = insn->length, disp_size = insn->address_size == 2 ? 2 : 4;
	uint64_t now;

	if (c->kind != CODE_64 || segment == SEG_GS)
		offset -= c->state.seg[segment].base;
	now = (uint64_t)insn->disp;
	if (insn->index != EMU_NO_REG)
		now += gpr[insn->index] << insn->scale;
	if (insn->base != EMU_NO_REG && insn->base != EMU_REG_RIP) {
		gpr[insn->base] += offset - (gpr[insn->base] + now);
		if (one_in(2) && insn->address_size == 4)
			gpr[insn->base] |= rnd() << 32;
		return;
	}
	/* no base: find the displacement's bytes before the immediate */
	if (insn->base == EMU_REG_RIP)
		now += c->state.rip + insn->length;
	if (insn->form == FORM_AO || insn->form == FORM_OA) {
		disp_size = insn->address_size;
	} else if (insn->form == FORM_EI || insn->form == FORM_GEI || insn->form == FORM_EGI) {
		for (unsigned try = 1; try <= 4; try *= 2) {
			uint64_t value = 0;
			unsigned shift = 64 - 8 * try;

			memcpy(&value, c->bytes + at - try, try);
			if ((uint64_t)((int64_t)(value << shift) >> shift) == insn->imm &&
			    memcmp(c->bytes + at - try - disp_size, &insn->disp, disp_size) == 0) {
				at -= try;
				break;
			}
		}
	}
	offset -= now - (uint64_t)insn->disp;
	if (memcmp(c->bytes + at - disp_size, &insn->disp, disp_size) == 0)
		memcpy(c->bytes + at - disp_size, &offset, disp_size);
}

static uint64_t segment_offset(const struct test_case *c, unsigned segment, uint64_t linear)
{
	return c->kind == CODE_64 ? linear : linear - c->state.seg[segment].base;
}

/* Where branches shall go: mostly to LAND, in terms of the code segment. */
static uint64_t branch_target(const struct test_case *c)
{
	return CODE + LAND - c->state.seg[SEG_CS].base;
}

static void set_memory(struct test_case *c, uint64_t linear, uint64_t value)
{
	if (linear >= DATA && linear + 8 <= DATA + DATA_WRITABLE)
		memcpy(c->memory + (linear - DATA), &value, 8);
}

static void random_registers(struct test_case *c)
{
	struct vcpu_state *state = &c->state;

	for (unsigned i = 0; i < 16; i++) {
		uint64_t value = rnd();

		state->gpr[i] = one_in(3) ? (uint64_t)((int64_t)value >> (rnd() & 63)) : value;
		if (c->kind != CODE_64)
			state->gpr[i] = (uint32_t)state->gpr[i];
		if (c->kind == CODE_16 && one_in(2))
			state->gpr[i] &= 0xfff;
	}
	state->rflags = 0x202 | (rnd() & (FLAGS_ARITHMETIC | FLAG_DF));
	for (unsigned i = 0; i < DATA_WRITABLE; i += 8) {
		uint64_t value = rnd();

		memcpy(c->memory + i, &value, 8);
	}
}

static void aim_string(struct test_case *c)
{
	struct vcpu_state *state = &c->state;
	uint64_t count_mask = c->insn.address_size == 8	  ? ~0ull
			      : c->insn.address_size == 4 ? 0xffffffffu
							  : 0xffffu;
	unsigned source = c->insn.segment != EMU_NO_REG ? c->insn.segment : SEG_DS;

	state->gpr[GPR_RSI] = segment_offset(c, source, random_target());
	if (c->kind == CODE_64 && source == SEG_GS)
		state->gpr[GPR_RSI] -= GS_BASE;
	state->gpr[GPR_RDI] = segment_offset(c, SEG_ES, random_target());
	state->gpr[GPR_RCX] = (state->gpr[GPR_RCX] & ~count_mask) | rnd() % 20;
	if (one_in(2)) /* let CMPS and SCAS run on */
		memset(c->memory, (int)(state->gpr[GPR_RAX] & 0xff), sizeof(c->memory));
	if (one_in(2) && (c->insn.op == EMU_SCAS || c->insn.op == EMU_CMPS))
		state->gpr[GPR_RAX] = (state->gpr[GPR_RAX] & 0xff) * 0x0101010101010101ull;
}

static bool make_case(struct test_case *c, enum kind kind)
{
	struct vcpu_state *state = &c->state;
	unsigned mode = mode_of(kind);
	uint64_t linear = random_target();

	c->kind = kind;
	random_bytes(kind, c->bytes);
	if (emu_decode(c->bytes, 15, mode, &c->insn) != EMU_DECODE_OK || !wanted(&c->insn))
		return false;
	if (c->insn.segment == SEG_FS) /* the test's own thread pointer */
		return false;
	random_registers(c);
	set_segments(kind, state);
	state->cr0 = 0x80050033;
	state->efer = 0xd01;
	state->rip = CODE + INSN - state->seg[SEG_CS].base;
	state->gpr[GPR_RSP] = segment_offset(c, SEG_SS, random_target());
	if (c->insn.op == EMU_LEAVE)
		state->gpr[GPR_RBP] = segment_offset(c, SEG_SS, random_target());
	if (c->insn.op == EMU_XLAT)
		state->gpr[GPR_RBX] = segment_offset(c, SEG_DS, linear);
	if ((c->insn.op == EMU_BT || c->insn.op == EMU_BTS || c->insn.op == EMU_BTR ||
	     c->insn.op == EMU_BTC) &&
	    c->insn.form == FORM_EG && !one_in(8))
		state->gpr[c->insn.reg] = (uint64_t)((int64_t)(rnd() & 0x1fff) - 0x1000);
	if (c->insn.memory)
		aim(c, linear);
	else if (c->insn.op >= EMU_MOVS && c->insn.op <= EMU_SCAS)
		aim_string(c);
	if (c->insn.op == EMU_RET)
		set_memory(c, state->gpr[GPR_RSP] + (kind == CODE_64 ? 0 : state->seg[SEG_SS].base),
			   branch_target(c));
	if ((c->insn.op == EMU_CALL || c->insn.op == EMU_JMP) && c->insn.form == FORM_E &&
	    !one_in(16)) {
		set_memory(c, linear, branch_target(c));
		if (!c->insn.memory)
			state->gpr[c->insn.rm] = branch_target(c);
	}
	if (c->insn.form == FORM_REL) {
		uint64_t distance = branch_target(c) - (state->rip + c->insn.length);
		unsigned size = c->insn.opcode == 0xeb ? 1 : c->insn.operand_size == 2 ? 2 : 4;

		if (size > 1)
			memcpy(c->bytes + c->insn.length - size, &distance, size);
		else
			return false;
	}
	if (one_in(50) && c->insn.base < 16 && kind == CODE_64)
		state->gpr[c->insn.base] ^= 1ull << 60; /* not canonical */
	return emu_decode(c->bytes, 15, mode, &c->insn) == EMU_DECODE_OK && wanted(&c->insn);
}

/* ---- Comparing ---- */

/* The flags the manuals define after this instruction (SDM vol. 1, appendix A). */
static uint64_t defined_flags(const struct test_case *c)
{
	const struct emu_insn *insn = &c->insn;
	unsigned bits = 8u * insn->operand_size, count;

	switch (insn->op) {
	case EMU_AND:
	case EMU_OR:
	case EMU_XOR:
	case EMU_TEST:
		return ~FLAG_AF;
	case EMU_ROL ... EMU_SAR:
	case EMU_SHLD:
	case EMU_SHRD:
		count = insn->form == FORM_E1 ? 1
			: insn->form == FORM_EC || insn->form == FORM_EGC
				? c->state.gpr[GPR_RCX] & 0xff
				: insn->imm & 0xff;
		count &= bits == 64 ? 63 : 31;
		if (count == 0)
			return ~0ull;
		if (insn->op <= EMU_RCR)
			return count == 1 ? ~0ull : ~FLAG_OF;
		return ~(FLAG_AF | (count == 1 ? 0 : FLAG_OF) | (count >= bits ? FLAG_CF : 0));
	case EMU_MUL:
	case EMU_IMUL:
		return ~(FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF);
	case EMU_DIV:
	case EMU_IDIV:
		return ~FLAGS_ARITHMETIC;
	case EMU_BT:
	case EMU_BTS:
	case EMU_BTR:
	case EMU_BTC:
		return ~(FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF);
	case EMU_BSF:
	case EMU_BSR:
		return ~(FLAG_CF | FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF);
	default:
		return ~0ull;
	}
}

static unsigned differences, max_reports = 20;
static unsigned long ran[EMU_OP_COUNT], faults[32], skipped;

static void print_registers(const char *who, const uint64_t *gpr, uint64_t flags)
{
	fprintf(stderr, "  %s:", who);
	for (unsigned i = 0; i < 16; i++)
		fprintf(stderr, " %llx", (unsigned long long)gpr[i]);
	fprintf(stderr, " flags %llx\n", (unsigned long long)flags);
}

static void report(const struct test_case *c, const char *what, const struct vcpu_state *emulated,
		   unsigned long long here, unsigned long long there)
{
	if (differences++ >= max_reports)
		return;
	fprintf(stderr, "%s:", kind_names[c->kind]);
	for (unsigned i = 0; i < c->insn.length; i++)
		fprintf(stderr, " %02x", c->bytes[i]);
	fprintf(stderr, " (op %u): %s differs: here %llx, CPU %llx\n", c->insn.op, what, here,
		there);
	print_registers("before", c->state.gpr, c->state.rflags);
	print_registers("here  ", emulated->gpr, emulated->rflags);
	print_registers("CPU   ", native.gpr, native.rflags);
}

static void compare_faults(const struct test_case *c, const struct emu_ctx *ctx)
{
	const struct vcpu_state *state = ctx->state;
	uint32_t error = ctx->fault.error == EMU_FAULT_NO_ERROR ? 0 : ctx->fault.error;

	faults[ctx->fault.vector & 31]++;
	if (ctx->fault.vector != trap_number)
		report(c, "vector", state, ctx->fault.vector, trap_number);
	else if (error != trap_error)
		report(c, "error code", state, error, trap_error);
	else if (ctx->fault.vector == 14 && ctx->fault.cr2 != trap_cr2)
		report(c, "CR2", state, ctx->fault.cr2, trap_cr2);
	else if (state->rip != trap_rip)
		report(c, "RIP of the fault", state, state->rip, trap_rip);
}

static uint64_t native_rip(const struct test_case *c)
{
	switch (native.exit) {
	case EXIT_NEXT:
		return c->state.rip + c->insn.length;
	case EXIT_LAND:
		return branch_target(c);
	default: /* the fetch at the target faulted */
		return trap_rip;
	}
}

static void compare_state(const struct test_case *c, const struct vcpu_state *state, uint64_t flags)
{
	unsigned registers = c->kind == CODE_64 ? 16 : 8;
	uint64_t mask = c->kind == CODE_64 ? ~0ull : 0xffffffffu;

	for (unsigned i = 0; i < registers; i++)
		if ((state->gpr[i] ^ native.gpr[i]) & mask) {
			report(c, "register", state, state->gpr[i], native.gpr[i]);
			return;
		}
	if ((state->rflags ^ native.rflags) & flags & (FLAGS_ARITHMETIC | FLAG_DF))
		report(c, "RFLAGS", state, state->rflags & flags, native.rflags & flags);
	else if (memcmp(shadow, data, DATA_WRITABLE + 0x1000) != 0)
		report(c, "memory", state, 0, 0);
}

/* Runs the whole of a REP string, in parts of random size. */
static enum emu_result execute(struct emu_ctx *ctx, const struct emu_insn *insn)
{
	enum emu_result result;

	for (unsigned i = 0; i < 100; i++) {
		ctx->rep_limit = (uint32_t)(rnd() % 8);
		result = emu_execute(ctx, insn);
		if (result != EMU_AGAIN)
			return result;
	}
	return EMU_AGAIN;
}

/* Register forms that the executor does as AMD documents, and that other CPUs may do otherwise. */
static bool only_as_amd(const struct test_case *c)
{
	switch (c->insn.op) {
	case EMU_BSF:
	case EMU_BSR:
		return true; /* the register after a source of 0 */
	case EMU_CMPXCHG:
		return !c->insn.memory; /* the upper half of a 32-bit destination */
	default:
		return false;
	}
}

/* Did a branch hit our own code, but neither of its two entries? */
static bool strays(const struct test_case *c, const struct vcpu_state *state)
{
	uint64_t at = state->seg[SEG_CS].base + state->rip - CODE;

	if (at == LAND || at == INSN || at == INSN + c->insn.length)
		return false;
	return at < CODE_SIZE && code[at] != 0xf4;
}

static void run_case(const struct test_case *c)
{
	struct vcpu_state state = c->state;
	struct emu_ctx ctx = {.state = &state, .ops = &ops, .io_port = -1};
	enum emu_result result;
	bool native_fault;

	memcpy(shadow, c->memory, DATA_WRITABLE);
	outside = false;
	result = execute(&ctx, &c->insn);
	if (outside || strays(c, &state) || (!is_amd && only_as_amd(c)) ||
	    result == EMU_UNSUPPORTED || result == EMU_AGAIN) {
		skipped++;
		return;
	}
	memcpy(data, c->memory, DATA_WRITABLE);
	run_native(c->kind, &c->state, c->bytes, c->insn.length);
	ran[c->insn.op]++;
	native_fault = native.exit == EXIT_FAULT && trap_rip == c->state.rip;
	if (native_fault != (result == EMU_FAULT)) {
		report(c, "whether it faults", &state,
		       result == EMU_FAULT ? ctx.fault.vector : 0xff,
		       native_fault ? trap_number : 0xff);
		return;
	}
	if (native_fault)
		compare_faults(c, &ctx);
	else if (state.rip != native_rip(c))
		report(c, "RIP", &state, state.rip, native_rip(c));
	compare_state(c, &state, native_fault ? ~0ull : defined_flags(c));
}

static void run_kind(enum kind kind)
{
	unsigned long count = from_environment("EMU_CPU_CASES", 150000), done = 0;
	static struct test_case c;

	memset(ran, 0, sizeof(ran));
	memset(faults, 0, sizeof(faults));
	skipped = 0;
	differences = 0;
	take_signals();
	while (done < count) {
		if (!make_case(&c, kind))
			continue;
		run_case(&c);
		done++;
	}
	give_signals_back();
	printf("%s: %lu cases, %lu skipped, faults: #DE %lu #SS %lu #GP %lu #PF %lu\n",
	       kind_names[kind], done, skipped, faults[0], faults[12], faults[13], faults[14]);
	assert_int_equal(differences, 0);
	assert_true(skipped < done / 2);
	for (unsigned op = EMU_ADD; op < EMU_CPUID; op++)
		if (op < EMU_INS && ran[op] < count / 20000 &&
		    !(op == EMU_MOVSX && kind != CODE_64))
			fail_msg("operation %u was run %lu times only", op, ran[op]);
}

static void code_64_does_what_the_cpu_does(void **state)
{
	(void)state;
	run_kind(CODE_64);
}

static void flat_32_bit_code_does_what_the_cpu_does(void **state)
{
	(void)state;
	run_kind(CODE_32_FLAT);
}

static void segmented_32_bit_code_does_what_the_cpu_does(void **state)
{
	(void)state;
	if (!have_ldt)
		skip();
	run_kind(CODE_32);
}

static void code_16_does_what_the_cpu_does(void **state)
{
	(void)state;
	if (!have_ldt)
		skip();
	run_kind(CODE_16);
}

static bool map(uintptr_t at, size_t size, int protection)
{
	void *where = mmap((void *)at, size, protection,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return where == (void *)at;
}

static int set_up(void **state)
{
	unsigned a, b, c, d;

	(void)state;
	random_state = from_environment("EMU_CPU_SEED", 20240607);
	printf("seed %lu\n", (unsigned long)random_state);
	__cpuid(0, a, b, c, d);
	is_amd = c == 0x444d4163; /* "cAMD" of AuthenticAMD */
	if (!map(CODE, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC) ||
	    !map(DATA, DATA_SIZE, PROT_READ | PROT_WRITE)) {
		fprintf(stderr, "the addresses of this test are taken\n");
		return -1;
	}
	memset(data + DATA_WRITABLE, 0x5a, 0x1000);
	memset(shadow + DATA_WRITABLE, 0x5a, 0x1000);
	if (mprotect(data + DATA_WRITABLE, 0x1000, PROT_READ) ||
	    mprotect(data + DATA_WRITABLE + 0x1000, 0x1000, PROT_NONE))
		return -1;
	memset(code, 0xf4, CODE_SIZE);
	put_stub(EXIT_STUB, native_exit_next);
	put_stub(LAND_STUB, native_exit_land);
	have_ldt = true;
	for (unsigned i = 0; i < COUNT(ldt); i++)
		if (syscall(SYS_modify_ldt, 0x11, &ldt[i].desc, sizeof(ldt[i].desc)) != 0)
			have_ldt = false;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_64_does_what_the_cpu_does),
		cmocka_unit_test(flat_32_bit_code_does_what_the_cpu_does),
		cmocka_unit_test(segmented_32_bit_code_does_what_the_cpu_does),
		cmocka_unit_test(code_16_does_what_the_cpu_does),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
