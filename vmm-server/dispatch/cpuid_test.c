/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the guest's CPUID: nothing that is not virtualized appears, whatever the host has. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "dispatch/cpuid.h"

static struct cpuid_host host;
static struct cpuid_table table;
static struct cpuid_config config;

/* A host that has every feature there is. */
static int setup(void **state)
{
	(void)state;
	memset(&host, 0xff, sizeof(host));
	host.basic[0] = (struct cpuid_regs){0x20, 0x756e6547, 0x6c65746e, 0x49656e69};
	host.extended[0].eax = 0x80000021;
	host.extended[8].eax = 0x3028;
	config = (struct cpuid_config){.vcpus = 1, .vcpu = 0};
	cpuid_build(&host, &config, &table);
	return 0;
}

static void amd(void)
{
	host.basic[0] = (struct cpuid_regs){0x10, 0x68747541, 0x444d4163, 0x69746e65};
	config.amd_profile = true;
	cpuid_build(&host, &config, &table);
}

static void what_is_not_virtualized_is_hidden(void **state)
{
	const struct cpuid_regs *leaf = cpuid_lookup(&table, 1, 0);

	(void)state;
	assert_int_equal(leaf->ecx & (1u << 26 | 1u << 27 | 1u << 28), 0); /* XSAVE OSXSAVE AVX */
	assert_int_equal(leaf->ecx & (1u << 3 | 1u << 5 | 1u << 17 | 1u << 21),
			 0);					/* MONITOR VMX PCID x2APIC */
	assert_int_equal(leaf->ecx & (1u << 12 | 1u << 29), 0); /* FMA F16C need AVX */
	leaf = cpuid_lookup(&table, 7, 0);
	assert_int_equal(leaf->ebx & (1u << 5 | 1u << 10 | 1u << 16), 0); /* AVX2 INVPCID AVX512F */
	assert_int_equal(leaf->ecx & (1u << 3 | 1u << 16), 0);		  /* PKU LA57 */
	assert_int_equal(leaf->edx & (1u << 26 | 1u << 29), 0); /* SPEC_CTRL ARCH_CAPABILITIES */
	leaf = cpuid_lookup(&table, 0x80000001, 0);
	assert_int_equal(leaf->ecx & 1u << 2, 0);  /* SVM */
	assert_int_equal(leaf->edx & 1u << 27, 0); /* RDTSCP */
	for (uint32_t i = 0; i < 64; i++) {
		leaf = cpuid_lookup(&table, 0xd, i);
		assert_int_equal(leaf->eax | leaf->ebx | leaf->ecx | leaf->edx, 0);
	}
	leaf = cpuid_lookup(&table, 5, 0);
	assert_int_equal(leaf->eax | leaf->ecx, 0);
	leaf = cpuid_lookup(&table, 0xa, 0);
	assert_int_equal(leaf->eax, 0);
}

static void what_is_always_there_appears_on_the_poorest_host(void **state)
{
	const struct cpuid_regs *leaf;

	(void)state;
	memset(&host, 0, sizeof(host));
	cpuid_build(&host, &config, &table);
	leaf = cpuid_lookup(&table, 1, 0);
	assert_int_equal(leaf->ecx, 1u << 24 | 1u << 31);	   /* TSC-deadline, hypervisor */
	assert_int_equal(leaf->edx, 1u << 7 | 1u << 9 | 1u << 14); /* MCE APIC MCA */
	assert_int_equal(cpuid_lookup(&table, 6, 0)->eax, 4);	   /* ARAT */
	assert_int_equal(cpuid_lookup(&table, 0x80000007, 0)->edx, 1u << 8);
	assert_memory_equal(&cpuid_lookup(&table, 0x40000000, 0)->ebx, "Cairn Cairn ", 12);
}

static void recovery_is_offered_in_the_amd_profile_only(void **state)
{
	(void)state;
	assert_int_equal(cpuid_lookup(&table, 0x80000007, 0)->ebx, 0);
	amd();
	assert_int_equal(cpuid_lookup(&table, 0x80000007, 0)->ebx, 3);
	assert_true(cpuid_is_amd(&table));
}

static void topology_is_the_vms(void **state)
{
	const struct cpuid_regs *leaf;

	(void)state;
	config = (struct cpuid_config){.vcpus = 3, .vcpu = 2};
	cpuid_build(&host, &config, &table);
	leaf = cpuid_lookup(&table, 1, 0);
	assert_int_equal(leaf->ebx >> 24, 2);
	assert_int_equal(leaf->ebx >> 16 & 0xff, 3);
	assert_int_equal(leaf->edx >> 28 & 1, 1);
	assert_int_equal(cpuid_lookup(&table, 0xb, 0)->edx, 2);
	assert_int_equal(cpuid_lookup(&table, 0xb, 1)->eax, 2);
	assert_int_equal(cpuid_lookup(&table, 0xb, 1)->ebx, 3);
	assert_int_equal(cpuid_lookup(&table, 0xb, 2)->ebx, 0);
	assert_int_equal(cpuid_lookup(&table, 4, 0)->eax >> 26, 2);
	assert_int_equal(cpuid_lookup(&table, 4, 0)->eax >> 14 & 0xfff, 0);
	amd();
	assert_int_equal(cpuid_lookup(&table, 0x80000008, 0)->ecx, 2);
	assert_int_equal(cpuid_lookup(&table, 0xb, 0)->ebx, 0);
}

static void leaves_out_of_range_are_zero(void **state)
{
	static const uint32_t leaves[] = {0x10,	      0x20,	  0x3fffffff, 0x40000002,
					  0x7fffffff, 0x80000009, 0x8000000a, 0x8000001f,
					  0xc0000000, 0xffffffff};

	(void)state;
	assert_int_equal(cpuid_lookup(&table, 0, 0)->eax, 0xd);
	assert_int_equal(cpuid_lookup(&table, 0x80000000, 0)->eax, 0x80000008);
	for (unsigned i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		const struct cpuid_regs *leaf = cpuid_lookup(&table, leaves[i], 0);

		assert_int_equal(leaf->eax | leaf->ebx | leaf->ecx | leaf->edx, 0);
	}
}

static void writable_bits_follow_the_features(void **state)
{
	(void)state;
	assert_int_equal(cpuid_cr4_mask(&table), 0x310fff);
	assert_int_equal(cpuid_efer_mask(&table), 0xd01);
	assert_int_equal(cpuid_physical_bits(&table), 0x28);
	assert_true(cpuid_has_1g_pages(&table));
	memset(&host, 0, sizeof(host));
	cpuid_build(&host, &config, &table);
	assert_int_equal(cpuid_cr4_mask(&table), 0x744);
	assert_int_equal(cpuid_efer_mask(&table), 0);
	assert_int_equal(cpuid_physical_bits(&table), 36);
	assert_false(cpuid_has_1g_pages(&table));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_not_virtualized_is_hidden, setup),
		cmocka_unit_test_setup(what_is_always_there_appears_on_the_poorest_host, setup),
		cmocka_unit_test_setup(recovery_is_offered_in_the_amd_profile_only, setup),
		cmocka_unit_test_setup(topology_is_the_vms, setup),
		cmocka_unit_test_setup(leaves_out_of_range_are_zero, setup),
		cmocka_unit_test_setup(writable_bits_follow_the_features, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
