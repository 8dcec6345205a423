/* SPDX-License-Identifier: BSD-2-Clause */
/* What is switched on at the start of a CPU (fpu.c, speculation.c), on models of real ones: from their CPUID and MSRs. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>
#include "arch.h"

/* The code under test runs on a CPU of ours. */
struct cpuid model_cpuid(uint32_t leaf, uint32_t sub);
uint64_t model_rdmsr(uint32_t msr);
void model_wrmsr(uint32_t msr, uint64_t v);
uint64_t model_read_cr4(void);
void model_write_cr4(uint64_t v);
void model_xsetbv(uint64_t xcr0);
#define cpuid(leaf, sub) model_cpuid(leaf, sub)
#define rdmsr		 model_rdmsr
#define wrmsr		 model_wrmsr
#define read_cr4	 model_read_cr4
#define write_cr4	 model_write_cr4
#define xsetbv		 model_xsetbv
#include "fpu.c"
#include "speculation.c"

#define MSR_SPEC_CTRL	      0x48u
#define MSR_PRED_CMD	      0x49u
#define MSR_ARCH_CAPABILITIES 0x10au
#define MSR_FLUSH_CMD	      0x10bu
#define MSR_DE_CFG	      0xc0011029u

enum cpu_vendor cpu_vendor;

struct model {
	const char *name;
	enum cpu_vendor vendor;
	uint32_t id, hypervisor;	    /* leaf 1: EAX, ECX[31] */
	uint32_t f7b, f7d, e8b, e21a, e21c; /* leaves 7, 8000_0008, 8000_0021 */
	uint64_t arch;			    /* IA32_ARCH_CAPABILITIES */
	uint32_t want;
	const char *line;
	uint64_t spec_ctrl, efer, de_cfg; /* bits set */
};

#define RTM	   (1u << 11)
#define F7_SKYLAKE 0xbc000400u /* MD_CLEAR, IBRS and IBPB, STIBP, L1D_FLUSH, ARCH_CAPABILITIES, SSBD */
#define E8_ROME	   0x0100d205u /* CLZERO, XSAVEERPTR, WBNOINVD, IBPB, IBRS, STIBP, SSBD */
#define E8_MILAN   0x1102d205u /* … STIBP_ALWAYS_ON, PSFD */
#define INTEL(name, id, f7b, f7d, arch, want, line, ctl)                                                                    \
	{                                                                                                                   \
		name, VENDOR_INTEL, id, 0, f7b, f7d, 0, 0, 0, arch, want, line, ctl, 0, 0                                   \
	}
#define AMD(name, id, e8b, e21a, e21c, want, line, ctl, efer, cfg)                                                          \
	{                                                                                                                   \
		name, VENDOR_AMD, id, 0, 0, 0, e8b, e21a, e21c, 0, want, line, ctl, efer, cfg                               \
	}
/* CPUID and IA32_ARCH_CAPABILITIES as the vendors' pages on speculation and the CPU models of QEMU have them. */
static const struct model models[] = {
	INTEL("Haswell, first microcode", 0x306c3, RTM, 0, 0, MDS | MELTDOWN, "open to MDS, open to Meltdown", 0),
	INTEL("Broadwell with IBRS only", 0x406f1, RTM, 0x0c000000, 0, IBPB | STIBP | MDS | MELTDOWN,
	      "IBPB, STIBP, open to MDS, open to Meltdown", 2),
	INTEL("Skylake-SP", 0x50654, RTM, F7_SKYLAKE, 0x4, IBPB | STIBP | L1D | VERW | MELTDOWN,
	      "IBPB, L1D flush, VERW, STIBP, open to Meltdown", 2),
	INTEL("Skylake-SP without ARCH_CAPABILITIES", 0x50654, RTM, 0x9c000400, ~0ull, IBPB | STIBP | L1D | VERW | MELTDOWN,
	      "IBPB, L1D flush, VERW, STIBP, open to Meltdown", 2),
	INTEL("Skylake-SP under a VMM that flushes L1D", 0x50654, RTM, F7_SKYLAKE, 0xc, IBPB | STIBP | VERW | MELTDOWN,
	      "IBPB, VERW, STIBP, open to Meltdown", 2),
	INTEL("Cascade Lake", 0x50657, RTM, F7_SKYLAKE, 0xab, IBRS | IBPB | VERW, "IBPB, VERW, IBRS", 1),
	INTEL("Cascade Lake, TSX off", 0x50657, 0, F7_SKYLAKE, 0xab, IBRS | IBPB, "IBPB, IBRS", 1),
	INTEL("Ice Lake-SP", 0x606a6, RTM, F7_SKYLAKE, 0x16b, IBRS | IBPB, "IBPB, IBRS", 1),
	INTEL("Ice Lake-SP, FB_CLEAR", 0x606a6, RTM, F7_SKYLAKE, 0x2016b, IBRS | IBPB | VERW, "IBPB, VERW, IBRS", 1),
	INTEL("Sapphire Rapids", 0x806f8, RTM, F7_SKYLAKE, 0xe16b, IBRS | IBPB, "IBPB, IBRS", 1),
	INTEL("Gracemont, RFDS_CLEAR", 0xb06e0, 0, F7_SKYLAKE, 0x1000e16b, IBRS | IBPB | VERW, "IBPB, VERW, IBRS", 1),
	AMD("K8", 0x00fb1, 0, 0, 0, 0, "nothing to switch on", 0, 0, 0),
	AMD("Phenom", 0x100f43, 0, 0, 0, LFENCE, "LFENCE", 0, 0, 2),
	AMD("Zen 1", 0x800f12, 0x1005, 0, 0, LFENCE | IBPB, "IBPB, LFENCE", 0, 0, 2),
	AMD("Zen 2", 0x830f10, E8_ROME, 0, 0, STIBP | LFENCE | ZENBLEED | IBPB, "IBPB, STIBP, LFENCE, Zenbleed fix", 2, 0,
	    0x202),
	AMD("Zen 2, Matisse", 0x870f10, E8_ROME, 0, 0, STIBP | LFENCE | ZENBLEED | IBPB, "IBPB, STIBP, LFENCE, Zenbleed fix",
	    2, 0, 0x202),
	AMD("Zen 3", 0xa00f11, E8_MILAN, 0x45, 0, STIBP | IBPB, "IBPB, STIBP", 2, 0, 0),
	AMD("Zen 3, VERW_CLEAR", 0xa00f11, E8_MILAN, 0x65, 0, STIBP | IBPB | VERW, "IBPB, VERW, STIBP", 2, 0, 0),
	AMD("Zen 4", 0xa10f11, E8_MILAN, 0x145, 0, AIBRS | STIBP | IBPB, "IBPB, automatic IBRS, STIBP", 2, 1 << 21, 0),
	AMD("Zen 4, VERW_CLEAR", 0xa10f11, E8_MILAN, 0x165, 0, AIBRS | STIBP | IBPB | VERW,
	    "IBPB, VERW, automatic IBRS, STIBP", 2, 1 << 21, 0),
	AMD("VERW_CLEAR, but not affected", 0xb00f21, E8_MILAN, 0x165, 0x6, AIBRS | STIBP | IBPB,
	    "IBPB, automatic IBRS, STIBP", 2, 1 << 21, 0),
	{"Zen 2 under a hypervisor", VENDOR_AMD, 0x830f10, 1, 0, 0, E8_ROME, 0, 0, 0, STIBP | IBPB, "IBPB, STIBP", 2, 0, 0},
};

/* The CPU that the code under test runs on. */
static struct {
	const struct model *m;
	uint32_t max, max_extended;
	uint64_t spec_ctrl, pred_cmd, flush_cmd, efer, de_cfg;
	char said[256];
	/* FPU */
	uint32_t xsave, xsaveopt;
	uint64_t components, cr4, xcr0;
	uint32_t size[8]; /* by component: where it ends in the standard format */
} cpu;

static void boot(const struct model *m)
{
	memset(&cpu, 0, sizeof(cpu));
	cpu.m = m;
	cpu.max = m->vendor == VENDOR_INTEL ? 0x1f : 0x10;
	cpu.max_extended = 0x80000021;
	cpu_vendor = m->vendor;
}

static uint32_t model_area_size(void)
{
	uint32_t i, size = 576;

	for (i = 2; i < 8; i++)
		if ((cpu.xcr0 >> i & 1) && cpu.size[i] > size)
			size = cpu.size[i];
	return size;
}

struct cpuid model_cpuid(uint32_t leaf, uint32_t sub)
{
	const struct model *m = cpu.m;

	/* A leaf beyond the last one reads as the last one, or as anything. */
	if (leaf & 0x80000000 ? leaf > cpu.max_extended : leaf > cpu.max)
		return (struct cpuid){~0u, ~0u, ~0u, ~0u};
	switch (leaf) {
	case 0:
		return (struct cpuid){.a = cpu.max};
	case 1:
		return (struct cpuid){.a = m->id, .c = m->hypervisor << 31 | cpu.xsave << 26};
	case 7:
		return (struct cpuid){.b = m->f7b, .d = m->f7d};
	case 0xd:
		if (sub)
			return (struct cpuid){.a = cpu.xsaveopt | 2};
		return (struct cpuid){(uint32_t)cpu.components, model_area_size(), 0, 0};
	case 0x80000000:
		return (struct cpuid){.a = cpu.max_extended};
	case 0x80000008:
		return (struct cpuid){.b = m->e8b};
	case 0x80000021:
		return (struct cpuid){.a = m->e21a, .c = m->e21c};
	default:
		return (struct cpuid){0};
	}
}

/* The MSR as this model has it, with what may be set in it; NULL: #GP. */
static uint64_t *msr_of(uint32_t msr, uint64_t *may)
{
	const struct model *m = cpu.m;
	int intel = m->vendor == VENDOR_INTEL;
	uint32_t family = (m->id >> 8 & 15) + (m->id >> 20 & 255);

	*may = 0;
	switch (msr) {
	case MSR_SPEC_CTRL: /* Intel: leaf 7 EDX; AMD: 8000_0008 EBX */
		*may |= (intel ? m->f7d >> 26 & 1 : m->e8b >> 14 & 1) ? 1 : 0;
		*may |= (intel ? m->f7d >> 27 & 1 : m->e8b >> 15 & 1) ? 2 : 0;
		return *may ? &cpu.spec_ctrl : NULL;
	case MSR_PRED_CMD:
		*may = 1;
		return (intel ? m->f7d >> 26 & 1 : m->e8b >> 12 & 1) ? &cpu.pred_cmd : NULL;
	case MSR_FLUSH_CMD:
		*may = 1;
		return m->f7d >> 28 & 1 ? &cpu.flush_cmd : NULL;
	case MSR_EFER:
		*may = !intel && (m->e21a >> 8 & 1) ? 1ul << 21 : 0;
		return &cpu.efer;
	case MSR_DE_CFG:
		*may = 0x202;
		return !intel && family >= 0x10 && family != 0x11 && !m->hypervisor ? &cpu.de_cfg : NULL;
	default:
		return NULL;
	}
}

uint64_t model_rdmsr(uint32_t msr)
{
	uint64_t may, *value = msr_of(msr, &may);

	if (msr == MSR_ARCH_CAPABILITIES && cpu.m->vendor == VENDOR_INTEL && cpu.m->f7d >> 29 & 1)
		return cpu.m->arch;
	if (!value || msr == MSR_PRED_CMD || msr == MSR_FLUSH_CMD)
		fail_msg("%s: RDMSR of 0x%x is a #GP", cpu.m->name, msr);
	return *value;
}

void model_wrmsr(uint32_t msr, uint64_t v)
{
	uint64_t may, *value = msr_of(msr, &may);

	if (!value || (v & ~may & ~*value))
		fail_msg("%s: WRMSR of 0x%lx to 0x%x is a #GP", cpu.m->name, v, msr);
	*value = v;
}

uint64_t model_read_cr4(void)
{
	return cpu.cr4;
}

void model_write_cr4(uint64_t v)
{
	cpu.cr4 = v;
}

void model_xsetbv(uint64_t xcr0)
{
	if (!(cpu.cr4 & CR4_OSXSAVE) || (xcr0 & ~cpu.components) || (xcr0 & 3) != 3)
		fail_msg("XSETBV of 0x%lx is a fault", xcr0);
	cpu.xcr0 = xcr0;
}

void print(const char *format, ...)
{
	size_t at = strlen(cpu.said);
	va_list a;

	va_start(a, format);
	vsnprintf(cpu.said + at, sizeof(cpu.said) - at, format, a);
	va_end(a);
}

/* One site of each list, as link.ld puts them: FXSAVE, FXRSTOR, NOPW. */
uint8_t save_site[8], restore_site[8], verw_site[8];
__asm__(".data\n.balign 8\n"
	".globl sites_save, sites_restore, sites_verw, sites_end\n"
	"sites_save: .quad save_site\n"
	"sites_restore: .quad restore_site\n"
	"sites_verw: .quad verw_site\n"
	"sites_end: .quad 0\n"
	".text");

static int fresh_sites(void **state)
{
	(void)state;
	memcpy(save_site, (const uint8_t[]){0x49, 0x0f, 0xae, 0x84, 0x24, 0xc0, 0x02, 0}, 8);
	memcpy(restore_site, (const uint8_t[]){0x48, 0x0f, 0xae, 0x0d, 0x10, 0x20, 0, 0}, 8);
	memcpy(verw_site, (const uint8_t[]){0x66, 0x0f, 0x1f, 0x05, 0x10, 0x20, 0, 0}, 8);
	return 0;
}

/* What the path does: MSRs that this model has, at the right moments. */
static void another_space_and_its_guest(void)
{
	struct ec guest = {0};
	struct cpu here = {.last_guest = &guest};
	int ibpb = (speculation & IBPB) != 0, l1d = (speculation & L1D) != 0;

	speculation_switch(&here, 0);
	assert_int_equal(cpu.pred_cmd, ibpb);
	assert_int_equal(cpu.flush_cmd, 0);
	assert_ptr_equal(here.last_guest, l1d ? NULL : &guest); /* then it is called again before the guest is entered */
	cpu.pred_cmd = 0;
	speculation_switch(&here, 1);
	assert_int_equal(cpu.pred_cmd, ibpb);
	assert_int_equal(cpu.flush_cmd, l1d);
}

static void each_model_gets_what_it_needs_and_nothing_it_lacks(void **state)
{
	size_t i;

	for (i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		const struct model *m = &models[i];
		char line[256];

		fresh_sites(state);
		boot(m);
		snprintf(line, sizeof(line), "cairn: speculation: %s\n", m->line);
		speculation_init(1);
		if (speculation != m->want || strcmp(cpu.said, line) != 0)
			fail_msg("%s: 0x%x, and says %s", m->name, speculation, cpu.said);
		if (cpu.spec_ctrl != m->spec_ctrl || cpu.efer != m->efer || cpu.de_cfg != m->de_cfg)
			fail_msg("%s: SPEC_CTRL 0x%lx EFER 0x%lx DE_CFG 0x%lx", m->name, cpu.spec_ctrl, cpu.efer,
				 cpu.de_cfg);
		assert_true(strlen(cpu.said) < 100);
		/* VERW 0x2010(%rip), or still NOPW */
		assert_memory_equal(verw_site, m->want & VERW ? "\x66\x0f\x00\x2d\x10\x20" : "\x66\x0f\x1f\x05\x10\x20", 6);
		another_space_and_its_guest();
	}
}

static void a_further_cpu_does_the_same_in_silence(void **state)
{
	const struct model *zen4 = models;

	while (strcmp(zen4->name, "Zen 4") != 0)
		zen4++;
	(void)state;
	boot(zen4);
	speculation_init(1);
	boot(zen4);
	speculation_init(0);
	assert_string_equal(cpu.said, "");
	assert_int_equal(cpu.spec_ctrl, zen4->spec_ctrl);
	assert_int_equal(cpu.efer, zen4->efer);
}

static void leaves_beyond_the_last_say_nothing(void **state)
{
	static const struct model old_intel = {.name = "old Intel", .vendor = VENDOR_INTEL},
				  old_amd = {.name = "old AMD", .vendor = VENDOR_AMD, .id = 0x100f43};

	(void)state;
	boot(&old_intel);
	cpu.max = 6;
	speculation_init(1);
	assert_int_equal(speculation, MDS | MELTDOWN);
	boot(&old_amd);
	cpu.max_extended = 0x80000007;
	speculation_init(1);
	assert_int_equal(speculation, LFENCE);
}

static void fpu_boot(uint64_t components, uint32_t xsaveopt)
{
	static const struct model any = {.name = "any", .vendor = VENDOR_INTEL};

	fresh_sites(NULL);
	boot(&any);
	cpu.xsave = 1;
	cpu.xsaveopt = xsaveopt;
	cpu.components = components;
	/* As Intel has it: AVX, BNDREGS, BNDCSR, opmask, upper ZMM0-15, ZMM16-31. */
	memcpy(cpu.size, (const uint32_t[]){512, 512, 832, 1024, 1088, 1152, 1664, 2688}, sizeof(cpu.size));
	fpu_init(1);
}

static void xcr0_is_what_the_cpu_has_and_a_context_has_room_for(void **state)
{
	(void)state;
	fpu_boot(0x3, 1);
	assert_int_equal(cpu.xcr0, 0x3);
	fpu_boot(0x7, 1);
	assert_int_equal(cpu.xcr0, 0x7);
	fpu_boot(0x602ff, 1); /* Sapphire Rapids: MPX is gone from most, PKRU, AMX */
	assert_int_equal(cpu.xcr0, 0xe7);
	assert_true(model_area_size() <= FPU_AREA);
	fpu_boot(0x67, 1); /* AVX-512 is all three components or none */
	assert_int_equal(cpu.xcr0, 0x7);
	fpu_boot(0x1f, 1);
	assert_int_equal(cpu.xcr0, 0x7);
	assert_int_equal(cpu.cr4, CR4_OSXSAVE);
}

static void what_is_too_large_is_left_out(void **state)
{
	(void)state;
	fpu_boot(0x3, 1);
	cpu.components = 0xe7;
	cpu.size[7] = FPU_AREA + 1;
	fpu_init(1);
	assert_int_equal(cpu.xcr0, 0x7);
	cpu.size[2] = FPU_AREA + 1;
	fpu_init(1);
	assert_int_equal(cpu.xcr0, 0x3);
}

static void the_instructions_are_chosen_by_cpuid(void **state)
{
	(void)state;
	fpu_boot(0x7, 1);
	assert_memory_equal(save_site, "\x49\x0f\xae\xb4\x24\xc0\x02", 7); /* xsaveopt64 0x2c0(%r12) */
	assert_memory_equal(restore_site, "\x48\x0f\xae\x2d\x10\x20", 6);  /* xrstor64 0x2010(%rip) */
	assert_memory_equal(verw_site, "\x66\x0f\x1f\x05\x10\x20", 6);
	fpu_boot(0x7, 0);
	assert_memory_equal(save_site, "\x49\x0f\xae\xa4\x24\xc0\x02", 7); /* xsave64 */
	assert_memory_equal(restore_site, "\x48\x0f\xae\x2d\x10\x20", 6);
}

static void without_xsave_all_stays_fxsave(void **state)
{
	uint8_t save[8], restore[8];

	fpu_boot(0x7, 1);
	fresh_sites(state);
	memcpy(save, save_site, 8);
	memcpy(restore, restore_site, 8);
	cpu.xsave = 0;
	cpu.cr4 = 0;
	fpu_init(1);
	cpu.xsave = 1;
	cpu.max = 0xc;
	fpu_init(1);
	assert_int_equal(cpu.cr4, 0);
	assert_memory_equal(save_site, save, 8);
	assert_memory_equal(restore_site, restore, 8);
}

static void a_further_cpu_has_the_same_xcr0_and_patches_nothing(void **state)
{
	(void)state;
	fpu_boot(0xe7, 1);
	fresh_sites(NULL);
	cpu.xcr0 = cpu.cr4 = 0;
	fpu_init(0);
	assert_int_equal(cpu.xcr0, 0xe7);
	assert_int_equal(cpu.cr4, CR4_OSXSAVE);
	assert_int_equal(save_site[3], 0x84);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_model_gets_what_it_needs_and_nothing_it_lacks),
		cmocka_unit_test_setup(a_further_cpu_does_the_same_in_silence, fresh_sites),
		cmocka_unit_test_setup(leaves_beyond_the_last_say_nothing, fresh_sites),
		cmocka_unit_test(xcr0_is_what_the_cpu_has_and_a_context_has_room_for),
		cmocka_unit_test(what_is_too_large_is_left_out),
		cmocka_unit_test(the_instructions_are_chosen_by_cpuid),
		cmocka_unit_test(without_xsave_all_stays_fxsave),
		cmocka_unit_test(a_further_cpu_has_the_same_xcr0_and_patches_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
