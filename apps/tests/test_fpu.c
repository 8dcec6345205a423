/* SPDX-License-Identifier: BSD-2-Clause */
/* All FPU and vector state, AVX included: nobody loses it, and nobody sees another's. */
#include <cpuid.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/vcpu.h>
#include "check.h"
#include "worker.h"

#define CPUID1_XSAVE   (1u << 26)
#define CPUID1_OSXSAVE (1u << 27)
#define XCR0_SSE       3u
#define XCR0_AVX       4u
#define XCR0_OFFERED   0xe7u /* x87, SSE, AVX, AVX-512 */
#define XMM_AT	       160u
#define XMM_SIZE       256u
#define HEADER_AT      512u
#define AVX_AT	       576u
#define AVX_SIZE       256u
#define GUEST_GPA      0x1000u
#define GUEST_SIZE     (XMM_AT + 128u) /* of an FXSAVE image outside 64-bit mode: XMM0-7 */
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXSAVE    (1u << 18)
#define ROUNDS_WANTED  10u

/* What vectors.S has behind its code. The areas have the standard format. */
struct vectors {
	uint8_t loaded[4096], stored[4096];
	volatile uint64_t rounds, wrong;
	uint8_t pad[4096 - 16];
};

extern const uint8_t vectors_code[], vectors_handler[], vectors_spin[], vectors_end[];
extern const uint8_t vectors_guest[], vectors_guest_avx[], vectors_guest_xgetbv[],
	vectors_guest_end[];

static uint64_t xcr0; /* 0: no XSAVE */
static uint32_t area_size;

static void look_at_cpu(void)
{
	uint32_t a, b, c, d, high;

	__cpuid(1, a, b, c, d);
	check_value("avx-is-on-where-the-cpu-has-xsave", (c & CPUID1_OSXSAVE) != 0,
		    (c & CPUID1_XSAVE) != 0);
	if (!(c & CPUID1_OSXSAVE))
		return;
	__asm__ volatile("xgetbv" : "=a"(a), "=d"(high) : "c"(0));
	xcr0 = (uint64_t)high << 32 | a;
	check_value("only-state-of-the-fpu-and-vectors-is-offered",
		    (xcr0 & ~(uint64_t)XCR0_OFFERED) | (~xcr0 & XCR0_SSE), 0);
	__cpuid_count(0xd, 0, a, b, c, d);
	area_size = b;
	/* AVX-512 (0xe0) may be missing where its area is too large, AVX never. */
	check_value("and-all-of-avx-that-the-cpu-has", ~xcr0 & a & XCR0_AVX, 0);
}

/* An area in which every component differs from its initial state. */
static void fill(uint8_t *area, uint8_t seed)
{
	const uint32_t mxcsr = 0x1f80 | (uint32_t)(seed & 3) << 13; /* rounding */

	memset(area, 0, 4096);
	for (unsigned i = XMM_AT; i < XMM_AT + XMM_SIZE; i++)
		area[i] = (uint8_t)(i * 3 + seed) | 1;
	for (unsigned i = AVX_AT; i < area_size; i++)
		area[i] = (uint8_t)(i * 5 + seed) | 1;
	memcpy(area, &(uint16_t){0x027f}, 2);
	area[4] = 0x80; /* ST0 is valid: 1.0 + something */
	memcpy(area + 24, &mxcsr, sizeof(mxcsr));
	memcpy(area + 32, &(uint64_t){0x8000000000000000 | seed}, 8);
	memcpy(area + 40, &(uint16_t){0x3fff}, 2);
	memcpy(area + HEADER_AT, &xcr0, sizeof(xcr0));
}

static void load(const uint8_t *area)
{
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
}

static void store(uint8_t *area)
{
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
}

/* First byte of two areas that differs (0: none), but for what depends on mode and CPU: last x87
 * instruction, MXCSR mask. */
static uint64_t changed(const uint8_t *want, const uint8_t *got, uint32_t size)
{
	for (unsigned i = 1; i < size; i++)
		if (want[i] != got[i] && (i < 6 || i >= 24) && (i < 28 || i >= 32) &&
		    (i < XMM_AT + XMM_SIZE || i >= AVX_AT))
			return i;
	return 0;
}

static const uint8_t initial[4096] __attribute__((aligned(64))) = {0x7f, 0x03, [24] = 0x80, 0x1f};

static uint64_t unclean(const uint8_t *stored)
{
	return changed(initial, stored, area_size);
}

static void make_there(struct forge_space *space, struct vectors **data, uint8_t seed)
{
	uint64_t code = forge_frame(), frame[3];
	uint8_t *window = NULL;

	memcpy(forge_window(code), vectors_code, (size_t)(vectors_end - vectors_code));
	forge_space_make(space, 0x7f);
	forge_space_map(space, code, 0, RIGHT_READ | RIGHT_EXEC);
	for (unsigned i = 0; i < 3; i++) {
		uint8_t *page;

		frame[i] = forge_frame();
		page = forge_window_copy(frame[i], RIGHT_READ | RIGHT_WRITE);
		window = i == 0 ? page : window;
		forge_space_map(space, frame[i], 1 + i, RIGHT_READ | RIGHT_WRITE);
	}
	*data = (struct vectors *)window; /* the window gives out pages in a row */
	fill((*data)->loaded, seed);
}

static uint64_t thread_there(const struct forge_space *space, const uint8_t *entry,
			     uint64_t priority)
{
	const struct forge_thread config = {
		.space = space->root,
		.rip = FORGE_SPACE_VA + (uint64_t)(entry - vectors_code),
		.rsp = FORGE_SPACE_VA,
		.priority = priority,
	};

	return forge_thread(&config, NULL);
}

static uint8_t mine[4096] __attribute__((aligned(64))), after[4096] __attribute__((aligned(64)));

/* Nothing between load and store may be C that uses SSE: one system call in assembler. */
static void call_with_vectors(uint64_t portal)
{
	uint64_t rax = CAIRN_CALL_BASE + CAIRN_CALL_CALL;

	fill(mine, 0x40);
	memset(after, 0, sizeof(after));
	load(mine);
	__asm__ volatile("xorl %%r9d, %%r9d\n\tsyscall"
			 : "+a"(rax), "+D"(portal)
			 :
			 : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory");
	store(after);
	load(initial);
}

static void calls_between_spaces(void)
{
	struct forge_space space;
	struct vectors *there;
	uint64_t portal;

	make_there(&space, &there, 0x80);
	portal = forge_portal(thread_there(&space, vectors_handler, 0), 0);
	call_with_vectors(portal);
	check_value("the-handler-in-another-space-ran", there->rounds, 1);
	check_value("a-handler-sees-none-of-its-callers-vectors", unclean(there->stored), 0);
	check_value("a-caller-keeps-its-vectors", changed(mine, after, area_size), 0);
	memset(there->stored + XMM_AT, 0xff, XMM_SIZE);
	call_with_vectors(portal);
	check_value("the-handler-ran-again", there->rounds, 2);
	check_value("and-sees-nothing-of-its-last-message", unclean(there->stored), 0);
	check_value("a-caller-keeps-them-again", changed(mine, after, area_size), 0);
}

static void preemption_between_spaces(void)
{
	struct forge_space space[2];
	struct vectors *there[2];
	uint64_t end = cairn_tsc() + cairn_ticks_from_us(10000000);

	for (unsigned i = 0; i < 2; i++) {
		make_there(&space[i], &there[i], (uint8_t)(0x10 + 0x60 * i));
		forge_must(cairn_resume(thread_there(&space[i], vectors_spin, PRIORITY_LOW)),
			   "resuming a thread in another space");
	}
	while ((there[0]->rounds < ROUNDS_WANTED || there[1]->rounds < ROUNDS_WANTED) &&
	       cairn_tsc() < end) {
		load(there[0]->loaded);
		pause_us(5000);
	}
	load(initial);
	check_true("two-spaces-took-turns",
		   there[0]->rounds >= ROUNDS_WANTED && there[1]->rounds >= ROUNDS_WANTED,
		   "one of them did not run");
	check_value("the-first-kept-its-vectors", there[0]->wrong, 0);
	check_value("and-so-did-the-second", there[1]->wrong, 0);
}

static volatile struct vcpu_state *state;
static volatile unsigned undefined;
static volatile uint64_t cr4_seen, undefined_at[2], own_unclean;

static uint64_t start_up(void)
{
	const struct vcpu_segment data = {.attr = 0xc93, .limit = 0xffffffff};

	for (unsigned i = 0; i < SEG_COUNT; i++)
		state->seg[i] = data;
	state->seg[SEG_CS].attr = 0xc9b;
	state->seg[SEG_LDTR].attr = 0x82;
	state->seg[SEG_TR].attr = 0x8b;
	state->seg[SEG_LDTR].limit = state->seg[SEG_TR].limit = 0xffff;
	state->seg[SEG_GDTR].limit = state->seg[SEG_IDTR].limit = 0xffff;
	state->seg[SEG_GDTR].base = state->seg[SEG_IDTR].base = 0;
	state->cr0 = 0x11; /* PE ET */
	state->cr4 = CR4_OSFXSR | CR4_OSXSAVE;
	state->cr3 = state->efer = 0;
	state->dr6 = 0xffff0ff0;
	state->dr7 = 0x400;
	state->pat = 0x0007040600070406;
	state->rflags = 2;
	state->rip = GUEST_GPA;
	state->exceptions = 1u << 6; /* #UD */
	return VCPU_MTD_ALL;
}

static uint64_t handle(uint64_t class)
{
	static uint8_t found[4096] __attribute__((aligned(64)));
	uint64_t skip = 0;

	__asm__ volatile("movaps %xmm0, %xmm0"); /* #NM: QEMU's XSAVE and XRSTOR ignore CR0.TS */
	switch (class) {
	case EXIT_STARTUP:
		load(mine);
		return start_up();
	case EXIT_CPUID:
		store(found);
		own_unclean = unclean(found);
		load(mine);
		skip = 2;
		break;
	case EXIT_EXCEPTION:
		cr4_seen = state->cr4;
		undefined_at[undefined++ & 1] = state->rip;
		skip = undefined == 1 ? 4 : 3;
		break;
	case EXIT_HLT:
		worker_tell();
		return VCPU_REPLY_HALT;
	default:
		worker_tell();
		return VCPU_REPLY_STOP;
	}
	state->rip += skip;
	return VCPU_MTD_RIP;
}

static void on_exit_class(uint64_t badge, uint64_t w1, uint64_t w2, uint64_t w3, uint64_t w4,
			  uint64_t count)
{
	(void)badge, (void)w2, (void)w3, (void)w4, (void)count;
	forge_ignore(cairn_reply(0, handle(w1), 0, 0, 0, 1));
}

/* The guest's page; *root: its space. */
static uint8_t *make_guest(uint64_t *root)
{
	uint64_t level3 = forge_pagetable(PT_GUEST, 3, 0), level2 = forge_pagetable(PT_GUEST, 2, 0);
	uint64_t level1 = forge_pagetable(PT_GUEST, 1, 0), frame = forge_frame();
	uint8_t *page = forge_window_copy(frame, RIGHT_READ | RIGHT_WRITE);

	*root = forge_pagetable(PT_GUEST, 4, 0x7e);
	memcpy(page, vectors_guest, (size_t)(vectors_guest_end - vectors_guest));
	fill(after, 0x20);
	memcpy(page + 0x600, after, HEADER_AT);
	forge_must(cairn_pagetable_link(*root, 0, level3), "linking a guest's level 3");
	forge_must(cairn_pagetable_link(level3, 0, level2), "linking a guest's level 2");
	forge_must(cairn_pagetable_link(level2, 0, level1), "linking a guest's level 1");
	forge_must(
		cairn_map(frame, level1, GUEST_GPA >> 12, RIGHT_READ | RIGHT_WRITE | RIGHT_EXEC, 0),
		"mapping a guest");
	return page;
}

static void start_vcpu(uint64_t root, uint64_t first_portal, uint64_t state_frame)
{
	struct vcpu_config *config = (struct vcpu_config *)cairn_buffer()->words;
	uint64_t vcpu = forge_select();

	forge_must(cairn_retype(forge_used(), CAP_VCPU, 0, SEL_CAPTABLE, vcpu, 0), "making a VCpu");
	memset(config, 0, sizeof(*config));
	config->guest_root = root;
	config->home = SEL_SPACE;
	config->captable = SEL_CAPTABLE;
	config->exit_base = first_portal;
	config->state = state_frame;
	config->priority = PRIORITY_HIGH;
	forge_must(cairn_vcpu_configure(vcpu), "configuring a VCpu");
	forge_must(cairn_resume(vcpu), "resuming a VCpu");
}

/* Selector of the first Portal of an exit table: OUT goes to the handler in another space. */
static uint64_t make_exit_table(uint64_t own, uint64_t there)
{
	uint64_t first = 0;

	for (unsigned i = 0; i < EXIT_CLASSES; i++) {
		uint64_t portal = forge_select();

		forge_must(cairn_portal_create(i == EXIT_IO ? there : own, SEL_CAPTABLE, portal,
					       VCPU_MTD_RIP, VCPU_MTD_ALL),
			   "making an exit table");
		first = i == 0 ? portal : first;
	}
	return first;
}

static void guest_and_its_vmm(void)
{
	struct forge_space space;
	struct vectors *there;
	struct worker own;
	uint64_t root, state_frame = forge_frame();
	const uint8_t *page = make_guest(&root);

	make_there(&space, &there, 0x80);
	(void)forge_space_map(&space, state_frame, 4, RIGHT_READ | RIGHT_WRITE);
	state = forge_window_copy(state_frame, RIGHT_READ | RIGHT_WRITE);
	handler_make(&own, on_exit_class);
	fill(mine, 0x60);
	undefined = 0;
	own_unclean = 1;
	start_vcpu(root, make_exit_table(own.thread, thread_there(&space, vectors_handler, 0)),
		   state_frame);
	(void)main_wait();
	check_value("a-guest-starts-with-clean-vectors", changed(initial, page + 0x400, GUEST_SIZE),
		    0);
	check_value("its-vmm-sees-none-of-the-guests-vectors", own_unclean, 0);
	check_value("a-handler-in-another-space-saw-the-exit", there->rounds, 1);
	check_value("and-none-of-the-guests-vectors", unclean(there->stored), 0);
	check_value("a-guest-keeps-its-sse-and-x87-state",
		    changed(page + 0x600, page + 0x800, GUEST_SIZE), 0);
	check_value("a-guest-has-no-xsave-nor-avx", undefined, 2);
	check_value("avx-is-undefined-there", undefined_at[0],
		    GUEST_GPA + (uint64_t)(vectors_guest_avx - vectors_guest));
	check_value("and-so-is-xgetbv", undefined_at[1],
		    GUEST_GPA + (uint64_t)(vectors_guest_xgetbv - vectors_guest));
	check_value("whatever-its-cr4-was-told", cr4_seen & CR4_OSXSAVE, 0);
}

void suite_fpu(void)
{
	look_at_cpu();
	if (!xcr0)
		return; /* FXSAVE: test_registers.c */
	in_arena(calls_between_spaces);
	in_arena(preemption_between_spaces);
	in_arena(guest_and_its_vmm);
}
