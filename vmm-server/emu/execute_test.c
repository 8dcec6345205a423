/* SPDX-License-Identifier: BSD-2-Clause */
/* The executor where the CPU of the test cannot be asked: ports, callbacks, atomicity, real mode,
 * refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "emu.h"

#define MEMORY	  4096u
#define READ_ONLY 2048u /* from here on */

/* A small world: memory at linear 0, a log of what was asked. */
struct world {
	uint8_t memory[MEMORY];
	struct vcpu_state state;
	struct emu_ctx ctx;
	unsigned reads, writes, replaces, probes, port_reads, port_writes;
	uint16_t port;
	uint32_t port_value;
	unsigned port_size;
	uint8_t interfere;	     /* another CPU writes between read and replace */
	enum emu_result read_answer; /* EMU_DONE: as it is */
};

static enum emu_result read_world(struct emu_ctx *ctx, uint64_t linear, void *data, unsigned size,
				  bool to_write)
{
	struct world *w = ctx->vm;

	w->reads++;
	if (w->read_answer != EMU_DONE)
		return w->read_answer;
	assert_true(linear + size <= MEMORY);
	if (to_write && linear + size > READ_ONLY) {
		ctx->fault = (struct emu_fault){14, 3, linear};
		return EMU_FAULT;
	}
	memcpy(data, w->memory + linear, size);
	if (w->interfere)
		w->memory[linear] = (uint8_t)(w->memory[linear] + w->interfere);
	return EMU_DONE;
}

static enum emu_result probe_world(struct emu_ctx *ctx, uint64_t linear, unsigned size)
{
	struct world *w = ctx->vm;

	w->probes++;
	assert_true(linear + size <= MEMORY);
	if (linear + size <= READ_ONLY)
		return EMU_DONE;
	ctx->fault = (struct emu_fault){14, 3, linear};
	return EMU_FAULT;
}

static enum emu_result write_world(struct emu_ctx *ctx, uint64_t linear, const void *data,
				   unsigned size)
{
	struct world *w = ctx->vm;
	enum emu_result result = probe_world(ctx, linear, size);

	w->probes--;
	w->writes++;
	if (result == EMU_DONE)
		memcpy(w->memory + linear, data, size);
	return result;
}

static enum emu_result replace_world(struct emu_ctx *ctx, uint64_t linear, const void *old,
				     const void *data, unsigned size)
{
	struct world *w = ctx->vm;

	w->replaces++;
	if (memcmp(w->memory + linear, old, size) != 0)
		return EMU_AGAIN;
	memcpy(w->memory + linear, data, size);
	return EMU_DONE;
}

static enum emu_result read_port(struct emu_ctx *ctx, uint16_t port, unsigned size, uint32_t *value)
{
	struct world *w = ctx->vm;

	w->port_reads++;
	w->port = port;
	w->port_size = size;
	*value = w->port_value++;
	return EMU_DONE;
}

static enum emu_result write_port(struct emu_ctx *ctx, uint16_t port, unsigned size, uint32_t value)
{
	struct world *w = ctx->vm;

	w->port_writes++;
	w->port = port;
	w->port_size = size;
	w->port_value = value;
	return EMU_DONE;
}

static const struct emu_ops ops = {
	.read = read_world,
	.write = write_world,
	.replace = replace_world,
	.probe_write = probe_world,
	.port_read = read_port,
	.port_write = write_port,
};

/* 64-bit code at RIP 0x100; every register holds its number times 0x10. */
static void fresh(struct world *w)
{
	memset(w, 0, sizeof(*w));
	for (unsigned i = 0; i < MEMORY; i++)
		w->memory[i] = (uint8_t)(i * 7);
	for (unsigned i = 0; i < GPR_COUNT; i++)
		w->state.gpr[i] = 0x10 * i;
	w->state.rip = 0x100;
	w->state.rflags = 0x202;
	w->state.cr0 = 0x80000001;
	w->state.efer = 0x500;
	w->state.seg[SEG_CS].attr = 0xa9b;
	w->ctx = (struct emu_ctx){.state = &w->state, .ops = &ops, .vm = w, .io_port = -1};
}

static enum emu_result execute(struct world *w, const uint8_t *bytes, unsigned n)
{
	struct emu_insn insn;

	assert_int_equal(emu_decode(bytes, n, emu_mode(&w->state), &insn), EMU_DECODE_OK);
	assert_int_equal(insn.length, n);
	return emu_execute(&w->ctx, &insn);
}
#define EXECUTE(w, ...)                                                                            \
	execute(w, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void only_the_port_of_the_exit_is_used(void **state)
{
	struct world w;

	(void)state;
	fresh(&w);
	w.state.gpr[GPR_RDX] = 0x3f8;
	assert_int_equal(EXECUTE(&w, 0xec), EMU_UNSUPPORTED);
	w.ctx.io_port = 0x3f9;
	assert_int_equal(EXECUTE(&w, 0xec), EMU_AGAIN);
	assert_int_equal(w.state.rip, 0x100);
	assert_int_equal(w.port_reads, 0);
	w.ctx.io_port = 0x3f8;
	w.port_value = 0x1ff;
	w.state.gpr[GPR_RAX] = 0xaaaaaaaaaaaaaaaa;
	assert_int_equal(EXECUTE(&w, 0xec), EMU_DONE);
	assert_int_equal(w.state.gpr[GPR_RAX], 0xaaaaaaaaaaaaaaff);
	assert_int_equal(w.port, 0x3f8);
	assert_int_equal(w.port_size, 1);
	assert_int_equal(w.state.rip, 0x101);
}

static void ports_have_sizes_and_immediates(void **state)
{
	struct world w;

	(void)state;
	fresh(&w);
	w.ctx.io_port = 0x80;
	w.state.gpr[GPR_RAX] = 0xffffffff12345678;
	assert_int_equal(EXECUTE(&w, 0xe7, 0x80), EMU_DONE); /* out %eax, $0x80 */
	assert_int_equal(w.port_value, 0x12345678);
	assert_int_equal(w.port_size, 4);
	assert_int_equal(EXECUTE(&w, 0x66, 0xe7, 0x80), EMU_DONE);
	assert_int_equal(w.port_value, 0x5678);
	assert_int_equal(w.port_size, 2);
	assert_int_equal(EXECUTE(&w, 0x48, 0xe5, 0x80), EMU_DONE); /* REX.W counts for nothing */
	assert_int_equal(w.port_size, 4);
	assert_int_equal(w.state.gpr[GPR_RAX], 0x5678);
}

static void string_output_goes_element_by_element(void **state)
{
	struct world w;

	(void)state;
	fresh(&w);
	w.ctx.io_port = 0x20; /* RDX */
	w.ctx.rep_limit = 3;
	w.state.gpr[GPR_RCX] = 5;
	w.state.gpr[GPR_RSI] = 0x200;
	assert_int_equal(EXECUTE(&w, 0xf3, 0x6e), EMU_AGAIN);
	assert_int_equal(w.state.rip, 0x100);
	assert_int_equal(w.state.gpr[GPR_RCX], 2);
	assert_int_equal(w.state.gpr[GPR_RSI], 0x203);
	assert_int_equal(EXECUTE(&w, 0xf3, 0x6e), EMU_DONE);
	assert_int_equal(w.state.rip, 0x102);
	assert_int_equal(w.state.gpr[GPR_RCX], 0);
	assert_int_equal(w.port_writes, 5);
	assert_int_equal(w.port_value, w.memory[0x204]);
}

static void string_input_reads_no_port_it_cannot_store(void **state)
{
	struct world w;

	(void)state;
	fresh(&w);
	w.ctx.io_port = 0x20;
	w.state.gpr[GPR_RCX] = 4;
	w.state.gpr[GPR_RDI] = READ_ONLY - 4; /* two words fit */
	assert_int_equal(EXECUTE(&w, 0x66, 0xf3, 0x6d), EMU_FAULT);
	assert_int_equal(w.ctx.fault.vector, 14);
	assert_int_equal(w.ctx.fault.cr2, READ_ONLY);
	assert_int_equal(w.port_reads, 2);
	assert_int_equal(w.state.gpr[GPR_RCX], 2);
	assert_int_equal(w.state.gpr[GPR_RDI], READ_ONLY);
	assert_int_equal(w.state.rip, 0x100);
}

static void string_addresses_are_given(void **state)
{
	static const uint8_t outs[] = {0x65, 0x6e}, ins[] = {0x6d};
	struct emu_insn insn;
	struct world w;
	uint64_t linear;

	(void)state;
	fresh(&w);
	w.state.seg[SEG_GS].base = 0x1000;
	assert_int_equal(emu_decode(outs, 2, EMU_MODE_64, &insn), EMU_DECODE_OK);
	assert_int_equal(emu_string_address(&w.ctx, &insn, true, &linear), EMU_DONE);
	assert_int_equal(linear, 0x1000 + 0x60);
	assert_int_equal(emu_decode(ins, 1, EMU_MODE_64, &insn), EMU_DECODE_OK);
	assert_int_equal(emu_string_address(&w.ctx, &insn, false, &linear), EMU_DONE);
	assert_int_equal(linear, 0x70);
	w.state.gpr[GPR_RDI] = 1ull << 47;
	assert_int_equal(emu_string_address(&w.ctx, &insn, false, &linear), EMU_FAULT);
	assert_int_equal(w.ctx.fault.vector, 13);
}

static void a_locked_instruction_replaces_what_it_read(void **state)
{
	struct world w;
	struct vcpu_state before;

	(void)state;
	fresh(&w);
	assert_int_equal(EXECUTE(&w, 0xf0, 0xff, 0x00), EMU_DONE); /* lock incl (%rax) */
	assert_int_equal(w.replaces, 1);
	assert_int_equal(w.writes, 0);
	assert_int_equal(w.memory[0], 1);
	assert_int_equal(EXECUTE(&w, 0x87, 0x08), EMU_DONE); /* xchg locks by itself */
	assert_int_equal(w.replaces, 2);
	assert_int_equal(EXECUTE(&w, 0xff, 0x00), EMU_DONE);
	assert_int_equal(w.replaces, 2);
	w.interfere = 1;
	before = w.state;
	assert_int_equal(EXECUTE(&w, 0xf0, 0x0f, 0xc1, 0x08),
			 EMU_AGAIN); /* lock xadd %ecx, (%rax) */
	assert_memory_equal(&w.state, &before, sizeof(before));
}

static void cmpxchg16b_wants_alignment(void **state)
{
	struct world w;
	uint64_t pair[2];

	(void)state;
	fresh(&w);
	w.state.gpr[GPR_RSI] = 8;
	assert_int_equal(EXECUTE(&w, 0x48, 0x0f, 0xc7, 0x0e), EMU_FAULT);
	assert_int_equal(w.ctx.fault.vector, 13);
	assert_int_equal(w.ctx.fault.error, 0);
	w.state.gpr[GPR_RSI] = 16;
	memcpy(pair, w.memory + 16, 16);
	assert_int_equal(EXECUTE(&w, 0xf0, 0x48, 0x0f, 0xc7, 0x0e),
			 EMU_DONE); /* not equal: loads */
	assert_int_equal(w.state.gpr[GPR_RAX], pair[0]);
	assert_int_equal(w.state.gpr[GPR_RDX], pair[1]);
	assert_int_equal(w.state.rflags & 0x40, 0);
	assert_int_equal(EXECUTE(&w, 0xf0, 0x48, 0x0f, 0xc7, 0x0e), EMU_DONE); /* equal: stores */
	memcpy(pair, w.memory + 16, 16);
	assert_int_equal(pair[0], w.state.gpr[GPR_RBX]);
	assert_int_equal(pair[1], w.state.gpr[GPR_RCX]);
	assert_int_equal(w.state.rflags & 0x40, 0x40);
}

static void what_a_callback_answers_ends_the_instruction(void **state)
{
	static const enum emu_result answers[] = {EMU_ABORTED, EMU_AGAIN, EMU_FAULT};
	static const uint8_t instructions[][4] = {
		{0x8b, 0x08},
		{0x01, 0x08},
		{0xff, 0x30},
		{0x8f, 0x00},
		{0x0f, 0xb6, 0x08},
		{0x0f, 0xb1, 0x08},
		{0x0f, 0x44, 0x08},
		{0xa4},
		{0xc3},
		{0xc9},
		{0xff, 0x10},
		{0x0f, 0xa3, 0x08},
		{0xd3, 0x20},
		{0xf7, 0x20},
		{0xf7, 0x30},
		{0x87, 0x08},
	};
	struct emu_insn insn;
	struct vcpu_state before;
	struct world w;

	(void)state;
	for (unsigned i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++)
		for (unsigned j = 0; j < 3; j++) {
			fresh(&w);
			w.read_answer = answers[j];
			before = w.state;
			assert_int_equal(emu_decode(instructions[i], 4, EMU_MODE_64, &insn),
					 EMU_DECODE_OK);
			assert_int_equal(emu_execute(&w.ctx, &insn), answers[j]);
			assert_memory_equal(&w.state, &before, sizeof(before));
			assert_int_equal(w.writes, 0);
		}
}

static void a_fault_of_the_write_leaves_everything_alone(void **state)
{
	static const uint8_t instructions[][4] = {
		{0x89, 0x08},	    {0x01, 0x08},	{0xc7, 0x00},	    {0x8f, 0x00},
		{0x0f, 0x94, 0x00}, {0x0f, 0xb1, 0x08}, {0x0f, 0xc1, 0x08}, {0xab},
		{0x87, 0x08},	    {0x0f, 0xab, 0x08}, {0xd1, 0x20},	    {0xf7, 0x18},
		{0xff, 0x30},	    {0xff, 0x10},	{0x8c, 0x18},	    {0x0f, 0xc7, 0x08},
	};
	uint8_t bytes[16], memory[MEMORY];
	struct emu_insn insn;
	struct vcpu_state before;
	struct world w;

	(void)state;
	for (unsigned i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++) {
		fresh(&w);
		w.state.gpr[GPR_RAX] = w.state.gpr[GPR_RDI] = READ_ONLY + 64;
		if (instructions[i][0] == 0xff)
			w.state.gpr[GPR_RSP] = READ_ONLY + 64; /* their write is the push */
		before = w.state;
		memcpy(memory, w.memory, sizeof(memory));
		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes, instructions[i], 4);
		assert_int_equal(emu_decode(bytes, 15, EMU_MODE_64, &insn), EMU_DECODE_OK);
		if (instructions[i][0] == 0xff && instructions[i][1] == 0x10)
			memset(w.memory + READ_ONLY + 64, 0, 8),
				memset(memory + READ_ONLY + 64, 0, 8);
		assert_int_equal(emu_execute(&w.ctx, &insn), EMU_FAULT);
		assert_int_equal(w.ctx.fault.vector, 14);
		assert_memory_equal(&w.state, &before, sizeof(before));
		assert_memory_equal(w.memory, memory, sizeof(memory));
	}
}

static void what_it_does_not_do_changes_nothing(void **state)
{
	static const uint8_t instructions[][4] = {
		{0x0f, 0xa2},
		{0x0f, 0x28, 0x00},
		{0xf3, 0x0f, 0x6f, 0x00},
		{0x8d, 0x00},
		{0xff, 0x18},
		{0xff, 0x28},
		{0x8e, 0x18},
		{0xcf},
		{0x0f, 0x22, 0xd8},
		{0x9d},
		{0xfa},
		{0xc5, 0xf9, 0x6f, 0x00},
		{0xd9, 0x00},
		{0x0f, 0x30},
		{0xcb},
		{0x0f, 0x01, 0x10},
	};
	struct emu_insn insn;
	struct vcpu_state before;
	struct world w;

	(void)state;
	for (unsigned i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++) {
		fresh(&w);
		before = w.state;
		assert_int_equal(emu_decode(instructions[i], 4, EMU_MODE_64, &insn), EMU_DECODE_OK);
		assert_int_equal(emu_execute(&w.ctx, &insn), EMU_UNSUPPORTED);
		assert_memory_equal(&w.state, &before, sizeof(before));
		assert_int_equal(w.reads + w.writes, 0);
	}
}

/* No types in real mode, but limits: 64 KiB. */
static void real_mode_has_limits_but_no_types(void **state)
{
	struct world w;

	(void)state;
	fresh(&w);
	w.state.cr0 = 0x10;
	w.state.efer = 0;
	w.state.cr4 = 0;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		w.state.seg[i] = (struct vcpu_segment){.attr = 0x93, .limit = 0xffff};
	w.state.seg[SEG_CS].attr = 0x9b;
	w.state.gpr[GPR_RBX] = 0xdead0200;			   /* only 16 bits count */
	assert_int_equal(EXECUTE(&w, 0x2e, 0x88, 0x07), EMU_DONE); /* mov %al, %cs:(%bx) */
	assert_int_equal(w.memory[0x200], 0);
	w.state.gpr[GPR_RBX] = 0xffff;
	assert_int_equal(EXECUTE(&w, 0x8b, 0x07), EMU_FAULT); /* a word at 0xffff */
	assert_int_equal(w.ctx.fault.vector, 13);
	w.state.gpr[GPR_RBP] = 0xffff;
	assert_int_equal(EXECUTE(&w, 0x8b, 0x46, 0x00), EMU_FAULT);
	assert_int_equal(w.ctx.fault.vector, 12);
	w.state.rip = 0xffff;
	assert_int_equal(EXECUTE(&w, 0x90), EMU_DONE);
	assert_int_equal(w.state.rip, 0);
}

static void canonical_follows_la57(void **state)
{
	struct world w;

	(void)state;
	fresh(&w);
	w.state.gpr[GPR_RAX] = 0x0000800000000000;
	w.read_answer = EMU_ABORTED; /* reached memory */
	assert_int_equal(EXECUTE(&w, 0x8b, 0x08), EMU_FAULT);
	assert_int_equal(w.ctx.fault.vector, 13);
	w.state.cr4 = 0x1000;
	assert_int_equal(EXECUTE(&w, 0x8b, 0x08), EMU_ABORTED);
	w.state.gpr[GPR_RAX] = 0x00fffffffffffffd; /* its last byte is beyond */
	assert_int_equal(EXECUTE(&w, 0x8b, 0x08), EMU_FAULT);
}

/* Offsets above the limit, up to 64 KiB if D/B is clear. */
static void expand_down_segments_end_where_their_size_says(void **state)
{
	struct world w;

	(void)state;
	fresh(&w);
	w.state.efer = 0;
	w.state.seg[SEG_CS] = (struct vcpu_segment){.attr = 0xc9b, .limit = ~0u};
	w.state.seg[SEG_DS] = (struct vcpu_segment){.attr = 0x97, .limit = 0xff};
	w.read_answer = EMU_ABORTED; /* reached memory */
	w.state.gpr[GPR_RAX] = 0xff;
	assert_int_equal(EXECUTE(&w, 0x8a, 0x08), EMU_FAULT);
	w.state.gpr[GPR_RAX] = 0x100;
	assert_int_equal(EXECUTE(&w, 0x8a, 0x08), EMU_ABORTED);
	w.state.gpr[GPR_RAX] = 0xffff;
	assert_int_equal(EXECUTE(&w, 0x8a, 0x08), EMU_ABORTED);
	assert_int_equal(EXECUTE(&w, 0x8b, 0x08), EMU_FAULT);
	w.state.gpr[GPR_RAX] = 0x10000;
	assert_int_equal(EXECUTE(&w, 0x8a, 0x08), EMU_FAULT);
	w.state.seg[SEG_DS].attr = 0x497;
	assert_int_equal(EXECUTE(&w, 0x8a, 0x08), EMU_ABORTED);
}

/* A device sees a write cycle whether the comparison holds or not (SDM vol. 2, CMPXCHG). */
static void cmpxchg_writes_either_way(void **state)
{
	struct world w;

	(void)state;
	fresh(&w);
	w.state.gpr[GPR_RBX] = 0x40;
	assert_int_equal(EXECUTE(&w, 0x0f, 0xb1, 0x0b), EMU_DONE); /* cmpxchg %ecx, (%rbx) */
	assert_int_equal(w.state.rflags & 0x40, 0);
	assert_int_equal(w.writes, 1);
	assert_int_equal(w.memory[0x40], (uint8_t)(0x40 * 7));
	assert_int_equal(EXECUTE(&w, 0x0f, 0xb1, 0x0b), EMU_DONE);
	assert_int_equal(w.state.rflags & 0x40, 0x40);
	assert_int_equal(w.memory[0x40], 0x10);
}

static void division_knows_its_limits(void **state)
{
	struct world w;

	(void)state;
	fresh(&w);
	w.state.gpr[GPR_RBX] = 1;
	w.state.gpr[GPR_RAX] = 0xff80; /* -128 / 1 fits a byte */
	assert_int_equal(EXECUTE(&w, 0xf6, 0xfb), EMU_DONE);
	assert_int_equal(w.state.gpr[GPR_RAX], 0x0080);
	w.state.gpr[GPR_RAX] = 0x0080; /* 128 / 1 does not */
	assert_int_equal(EXECUTE(&w, 0xf6, 0xfb), EMU_FAULT);
	assert_int_equal(w.ctx.fault.vector, 0);
	assert_true(w.ctx.fault.error == EMU_FAULT_NO_ERROR);
	w.state.gpr[GPR_RBX] = 0;
	assert_int_equal(EXECUTE(&w, 0x48, 0xf7, 0xf3), EMU_FAULT);
	w.state.gpr[GPR_RBX] = ~0ull; /* the least of all / -1 */
	w.state.gpr[GPR_RAX] = 0;
	w.state.gpr[GPR_RDX] = 1ull << 63;
	assert_int_equal(EXECUTE(&w, 0x48, 0xf7, 0xfb), EMU_FAULT);
}

static uint64_t random_state = 20240607;

static uint64_t rnd(void)
{
	random_state += 0x9e3779b97f4a7c15u; /* splitmix64 */
	uint64_t z = random_state;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static enum emu_result random_answer(void)
{
	static const enum emu_result answers[] = {EMU_DONE, EMU_DONE,  EMU_DONE,
						  EMU_DONE, EMU_FAULT, EMU_ABORTED};

	return answers[rnd() % 6];
}

static enum emu_result read_anything(struct emu_ctx *ctx, uint64_t linear, void *data,
				     unsigned size, bool to_write)
{
	(void)ctx;
	(void)linear;
	(void)to_write;
	for (unsigned i = 0; i < size; i++)
		((uint8_t *)data)[i] = (uint8_t)rnd();
	return random_answer();
}

static enum emu_result write_anything(struct emu_ctx *ctx, uint64_t linear, const void *data,
				      unsigned size)
{
	(void)ctx;
	(void)linear;
	(void)data;
	(void)size;
	return random_answer();
}

static enum emu_result replace_anything(struct emu_ctx *ctx, uint64_t linear, const void *old,
					const void *data, unsigned size)
{
	(void)old;
	return rnd() & 1 ? EMU_AGAIN : write_anything(ctx, linear, data, size);
}

static enum emu_result probe_anything(struct emu_ctx *ctx, uint64_t linear, unsigned size)
{
	return write_anything(ctx, linear, NULL, size);
}

static enum emu_result port_anything(struct emu_ctx *ctx, uint16_t port, unsigned size,
				     uint32_t *value)
{
	assert_int_equal(port, ctx->io_port);
	assert_true(size == 1 || size == 2 || size == 4);
	*value = (uint32_t)rnd();
	return random_answer();
}

static enum emu_result port_away(struct emu_ctx *ctx, uint16_t port, unsigned size, uint32_t value)
{
	return port_anything(ctx, port, size, &value);
}

static void random_guest(struct vcpu_state *s)
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		s->gpr[i] = rnd() >> (rnd() & 63);
	s->rip = rnd() >> (rnd() & 63);
	s->rflags = rnd();
	s->cr0 = rnd();
	s->cr4 = rnd();
	s->efer = rnd();
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s->seg[i] = (struct vcpu_segment){.sel = (uint16_t)rnd(),
						  .attr = (uint16_t)rnd(),
						  .limit = (uint32_t)(rnd() >> (rnd() & 63)),
						  .base = rnd() >> (rnd() & 63)};
}

/* Whatever a guest's registers and bytes are: an answer, and nothing half done. */
static void anything_is_done_wholly_or_not_at_all(void **state)
{
	static const struct emu_ops anything = {read_anything,	write_anything, replace_anything,
						probe_anything, port_anything,	port_away};
	struct vcpu_state guest = {0}, before;
	struct emu_ctx ctx = {.state = &guest, .ops = &anything, .rep_limit = 8};
	enum emu_result result;
	struct emu_insn insn;
	uint8_t bytes[16];
	unsigned executed = 0;

	(void)state;
	for (unsigned i = 0; i < 1000000; i++) {
		for (unsigned j = 0; j < sizeof(bytes); j++)
			bytes[j] = (uint8_t)rnd();
		random_guest(&guest);
		if (rnd() & 1)
			guest.gpr[GPR_RDX] = 0x3f8;
		ctx.io_port = rnd() & 1 ? 0x3f8 : -1;
		if (emu_decode(bytes, 15, emu_mode(&guest) | (rnd() & EMU_MODE_AMD), &insn) !=
		    EMU_DECODE_OK)
			continue;
		before = guest;
		result = emu_execute(&ctx, &insn);
		executed += result == EMU_DONE;
		if (insn.op >= EMU_MOVS && insn.op <= EMU_OUTS && (insn.prefixes & 6))
			assert_true(result == EMU_DONE || guest.rip == before.rip);
		else if (result != EMU_DONE)
			assert_memory_equal(&guest, &before, sizeof(before));
		assert_true(result != EMU_UNSUPPORTED ||
			    memcmp(&guest, &before, sizeof(before)) == 0);
	}
	assert_true(executed > 100000);
}

static void a_device_access_of_linux_works(void **state)
{
	struct world w;

	(void)state;
	fresh(&w);
	w.state.gpr[GPR_RDI] = 0xb0 + 0xa03000;
	w.state.gpr[GPR_RSI] = 0xffffffff00000000 + 0x11223344;
	assert_int_equal(EXECUTE(&w, 0x89, 0xb7, 0x00, 0xd0, 0x5f, 0xff),
			 EMU_DONE); /* mov %esi, -0xa03000(%rdi) */
	assert_memory_equal(w.memory + 0xb0, ((uint8_t[]){0x44, 0x33, 0x22, 0x11}), 4);
	assert_int_equal(w.state.rip, 0x106);
	w.state.gpr[GPR_RAX] = ~0ull;
	assert_int_equal(EXECUTE(&w, 0x8b, 0x87, 0x00, 0xd0, 0x5f, 0xff), EMU_DONE);
	assert_int_equal(w.state.gpr[GPR_RAX], 0x11223344);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_port_of_the_exit_is_used),
		cmocka_unit_test(ports_have_sizes_and_immediates),
		cmocka_unit_test(string_output_goes_element_by_element),
		cmocka_unit_test(string_input_reads_no_port_it_cannot_store),
		cmocka_unit_test(string_addresses_are_given),
		cmocka_unit_test(a_locked_instruction_replaces_what_it_read),
		cmocka_unit_test(cmpxchg16b_wants_alignment),
		cmocka_unit_test(what_a_callback_answers_ends_the_instruction),
		cmocka_unit_test(a_fault_of_the_write_leaves_everything_alone),
		cmocka_unit_test(what_it_does_not_do_changes_nothing),
		cmocka_unit_test(real_mode_has_limits_but_no_types),
		cmocka_unit_test(canonical_follows_la57),
		cmocka_unit_test(expand_down_segments_end_where_their_size_says),
		cmocka_unit_test(cmpxchg_writes_either_way),
		cmocka_unit_test(division_knows_its_limits),
		cmocka_unit_test(anything_is_done_wholly_or_not_at_all),
		cmocka_unit_test(a_device_access_of_linux_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
