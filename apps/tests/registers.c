/* SPDX-License-Identifier: BSD-2-Clause */
/* Patterns for all registers, and the comparison of what was loaded with what was found. */
#include <stdio.h>
#include <string.h>
#include <cairn/hypercall_numbers.h>
#include <cairn/types.h>
#include "check.h"
#include "registers.h"

/* Layout of an FXSAVE image (SDM 10.5.1) and of what XSAVE puts behind it (13.4). */
#define FPU_FCW	       0u
#define FPU_FSW	       2u
#define FPU_FTW	       4u
#define FPU_FIP	       8u
#define FPU_FDP	       16u
#define FPU_MXCSR      24u
#define FPU_ST	       32u
#define FPU_XMM	       160u
#define FPU_HEADER     512u
#define MXCSR_CLEAN    0x1f80u
#define FCW_CLEAN      0x037fu
#define COMPONENTS     63u
#define COMPONENT_PKRU 9u
#define KERNEL_HALF    0xffff800000000000ul

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
			 : "a"(leaf), "c"(subleaf));
}

uint64_t components(void)
{
	static bool known;
	static uint64_t mask;
	uint32_t out[4], low, high;

	if (known)
		return mask;
	known = true;
	cpuid(1, 0, out);
	if (!(out[2] >> 27 & 1))
		return 0;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	mask = (uint64_t)high << 32 | low;
	return mask;
}

uint64_t word_of(uint8_t pattern, unsigned n)
{
	return (pattern * 0x0101010101010101ul & 0xffffffffff00ul) | n;
}

/* Offset and size of an extended state component in an XSAVE image; size 0: there is none. */
static void component(unsigned n, uint64_t mask, uint32_t *offset, uint32_t *size)
{
	uint32_t out[4];

	*offset = *size = 0;
	if (n < 2 || !(mask >> n & 1) || n == COMPONENT_PKRU)
		return;
	cpuid(0xd, n, out);
	*size = out[0];
	*offset = out[1];
}

void fill_fpu(uint8_t *image, uint8_t pattern, uint64_t mask)
{
	uint16_t fcw = (uint16_t)(FCW_CLEAN | (pattern & 3) << 10);
	uint16_t fsw = (uint16_t)((pattern & 7) << 11 | (pattern & 1 ? 0x4500 : 0x0200));
	uint32_t mxcsr = MXCSR_CLEAN | (uint32_t)(pattern & 3) << 13, offset, size;
	uint64_t address = word_of(pattern, 0);

	memset(image, 0, PAGE_SIZE_4K);
	memcpy(image + FPU_FCW, &fcw, sizeof(fcw));
	memcpy(image + FPU_FSW, &fsw, sizeof(fsw));
	image[FPU_FTW] = 0xff;
	memcpy(image + FPU_FIP, &address, sizeof(address));
	memcpy(image + FPU_FDP, &address, sizeof(address));
	memcpy(image + FPU_MXCSR, &mxcsr, sizeof(mxcsr));
	for (unsigned i = 0; i < 8; i++)
		memset(image + FPU_ST + 16 * i, pattern, 10);
	for (unsigned i = 0; i < 16; i++) {
		memset(image + FPU_XMM + 16 * i, pattern, 15);
		image[FPU_XMM + 16 * i + 15] = (uint8_t)i;
	}
	memcpy(image + FPU_HEADER, &mask, sizeof(mask));
	for (unsigned n = 2; n < COMPONENTS; n++) {
		component(n, mask, &offset, &size);
		memset(image + offset * (size != 0), pattern, size);
	}
}

/* Whether one range of the image is what was loaded. */
static bool same(const struct isolation *d, unsigned offset, unsigned size)
{
	return memcmp(d->fpu + offset, d->fpu_found + offset, size) == 0;
}

bool same_fpu(const struct isolation *d)
{
	bool good = same(d, FPU_FCW, 2) && same(d, FPU_FSW, 2) && same(d, FPU_FTW, 1) &&
		    same(d, FPU_MXCSR, 4) && same(d, FPU_XMM, 256);
	uint32_t offset, size;

	for (unsigned i = 0; i < 8; i++)
		good = good && same(d, FPU_ST + 16 * i, 10);
	for (unsigned n = 2; n < COMPONENTS; n++) {
		component(n, d->mask, &offset, &size);
		good = good && (size == 0 || same(d, offset, size));
	}
	return good;
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

bool clean_fpu(const struct isolation *d)
{
	const uint8_t *image = d->fpu_found;
	uint16_t fcw;
	uint32_t mxcsr, offset, size;
	bool good;

	memcpy(&fcw, image + FPU_FCW, sizeof(fcw));
	memcpy(&mxcsr, image + FPU_MXCSR, sizeof(mxcsr));
	good = fcw == FCW_CLEAN && mxcsr == MXCSR_CLEAN &&
	       all_zero(image + FPU_FSW, FPU_MXCSR - FPU_FSW) &&
	       all_zero(image + FPU_ST, FPU_XMM + 256 - FPU_ST);
	for (unsigned n = 2; n < COMPONENTS; n++) {
		component(n, d->mask, &offset, &size);
		good = good && all_zero(image + offset, size);
	}
	return good;
}

void store_fpu(uint8_t *image, uint64_t mask)
{
	/* Makes the FPU this thread's own: QEMU's XSAVE does not look at CR0.TS, as a CPU's does.
	 */
	__asm__ volatile("movaps %xmm0, %xmm0");
	if (mask)
		__asm__ volatile("xsave64 (%0)"
				 :
				 : "r"(image), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
				 : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(image) : "memory");
}

void load_fpu(const uint8_t *image, uint64_t mask)
{
	if (mask)
		__asm__ volatile("xrstor64 (%0)"
				 :
				 : "r"(image), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32))
				 : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(image) : "memory");
}

void reset_fpu(void)
{
	const uint32_t mxcsr = MXCSR_CLEAN;

	__asm__ volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
}

/* ---- hypercalls ---- */

#define LEAK_PATTERN 0x46
#define LEAK_FLAGS   (RFLAGS_IF | RFLAGS_DF | RFLAGS_ID | 0x8d7ul) /* and the arithmetic ones */

void leak_call(void);
extern struct isolation leak_data;
extern const uint8_t leak_called[];

static const char *const register_names[GPR_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
						      "rsi", "rdi", "r8",  "r9",  "r10", "r11",
						      "r12", "r13", "r14", "r15"};
/* The order of results, and of arguments. */
static const enum vcpu_gpr interface[6] = {GPR_RDI, GPR_RSI, GPR_RDX, GPR_R10, GPR_R8, GPR_R9};

/* The first that was wrong. */
static struct {
	const char *what;
	uint64_t number, value;
} wrong;

static void note(const char *what, uint64_t number, uint64_t value)
{
	if (wrong.what)
		return;
	wrong.what = what;
	wrong.number = number;
	wrong.value = value;
}

/* Is this register a result of the call? */
static bool is_result(unsigned r, unsigned results)
{
	for (unsigned i = 0; i < results; i++)
		if (interface[i] == r)
			return true;
	return false;
}

/* docs/manual/hypercalls.md, conventions. */
static bool as_documented(unsigned r, unsigned results)
{
	uint64_t before = leak_data.in.gpr[r], after = leak_data.out.gpr[r];

	switch (r) {
	case GPR_RAX:
		return after < 0x100;
	case GPR_RCX:
		return after == (uint64_t)leak_called;
	case GPR_R11:
		return after == LEAK_FLAGS;
	case GPR_RDI:
	case GPR_RSI:
	case GPR_RDX:
	case GPR_R10:
	case GPR_R8:
		if (leak_data.out.gpr[GPR_RAX] == 0 && is_result(r, results))
			return after < KERNEL_HALF;
		return after == before || after == 0;
	case GPR_R9:
		return after == before || after == 0;
	default:
		return after == before;
	}
}

uint64_t leak_hypercall(uint64_t number, const uint64_t *arguments, unsigned results)
{
	static bool filled;

	if (!filled) {
		leak_data.mask = components();
		fill_fpu(leak_data.fpu, LEAK_PATTERN, leak_data.mask);
		filled = true;
	}
	for (unsigned r = 0; r < GPR_COUNT; r++)
		leak_data.in.gpr[r] = word_of(LEAK_PATTERN, r);
	leak_data.in.gpr[GPR_RAX] = CAIRN_CALL_BASE + number;
	for (unsigned i = 0; i < 6; i++)
		leak_data.in.gpr[interface[i]] = arguments[i];
	leak_data.in.rflags = LEAK_FLAGS;
	leak_call();
	reset_fpu();
	for (unsigned r = 0; r < GPR_COUNT; r++)
		if (!as_documented(r, results))
			note(register_names[r], number, leak_data.out.gpr[r]);
	if (leak_data.out.rflags != LEAK_FLAGS)
		note("rflags", number, leak_data.out.rflags);
	for (unsigned i = 0; i < 4; i++)
		if (leak_data.out.selector[i] != 0)
			note("a segment register", number, leak_data.out.selector[i]);
	if (!same_fpu(&leak_data))
		note("the fpu", number, 0);
	return leak_data.out.gpr[GPR_RAX];
}

void leak_report(const char *name)
{
	char why[96];

	snprintf(why, sizeof(why), "after call %lu %s was 0x%lx", wrong.number,
		 wrong.what ? wrong.what : "", wrong.value);
	check_true(name, wrong.what == NULL, why);
	wrong.what = NULL;
}

/* ---- entries ---- */

void check_registers(const char *name, const struct isolation *d, const uint64_t *want)
{
	char why[96];

	for (unsigned r = 0; r < GPR_COUNT; r++) {
		if (d->out.gpr[r] == want[r])
			continue;
		snprintf(why, sizeof(why), "%s is 0x%lx, not 0x%lx", register_names[r],
			 d->out.gpr[r], want[r]);
		check_true(name, false, why);
		return;
	}
	check_true(name, true, NULL);
}
