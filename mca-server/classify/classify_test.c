/* SPDX-License-Identifier: BSD-2-Clause */
/* Single rules by name: the decisions where manuals leave room, the combination of banks, and the
 * range of a record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "bits.h"
#include "classify.h"

#define SRAR 0xbd80000000000134ull
#define SRAO 0xbd000000000000c0ull
#define CE   0x9c00004000000091ull

static const struct mca_rules intel = {0};
static const struct mca_rules amd = {.amd = true};
static const struct mca_rules amd_succor = {.amd = true, .succor = true, .overflow_recovery = true};

static struct mca_record record(uint64_t status, uint64_t mcg, uint32_t context)
{
	return (struct mca_record){.status = status,
				   .mcg_status = mcg,
				   .mcg_cap = MCG_CAP_SER_P | 10,
				   .misc = 0x8c,
				   .addr = 0x12345678,
				   .context = context};
}

static void assert_judged(const struct mca_rules *rules, struct mca_record r, const char *class,
			  const char *action)
{
	struct mca_bank bank = mca_bank_of(&r);
	struct mca_judgement judgement = mca_classify(rules, &bank);

	assert_string_equal(mca_class_name(judgement.class), class);
	assert_string_equal(mca_action_name(judgement.action), action);
}

static void srar_in_our_kernel_is_recovered_when_it_can_be_resumed(void **unused)
{
	(void)unused;
	assert_judged(&intel, record(SRAR, 7, MCA_CTX_KERNEL), "SRAR", "recover");
	assert_judged(&intel, record(SRAR, 7, MCA_CTX_IDLE), "SRAR", "recover");
	assert_judged(&intel, record(SRAR, 6, MCA_CTX_KERNEL), "SRAR", "reset");
	assert_judged(&intel, record(SRAR, 6, MCA_CTX_GUEST_USER), "SRAR", "recover");
}

static void srar_is_not_the_matter_of_an_unaffected_cpu(void **unused)
{
	(void)unused;
	assert_judged(&intel, record(SRAR, 5, MCA_CTX_GUEST_USER), "SRAR", "log");
}

static void succor_decides_what_amd_can_recover(void **unused)
{
	(void)unused;
	assert_judged(&amd, record(0xbc00000000000134, 7, MCA_CTX_GUEST_USER), "FATAL", "reset");
	assert_judged(&amd_succor, record(0xbc00000000000134, 7, MCA_CTX_GUEST_USER), "SRAR",
		      "recover");
	assert_judged(&amd_succor, record(0x9c00100000000811, 0, MCA_CTX_POLL), "DEFERRED",
		      "recover-optional");
	/* SER_P means nothing on AMD: S and AR do not exist there. */
	assert_judged(&amd_succor, record(SRAO, 7, MCA_CTX_GUEST_USER), "SRAR", "recover");
}

static struct mca_verdict combine(const struct mca_rules *rules, const struct mca_record *records,
				  size_t count)
{
	struct mca_judgement judgements[8];

	assert_true(count <= 8);
	for (size_t i = 0; i < count; i++) {
		struct mca_bank bank = mca_bank_of(&records[i]);

		judgements[i] = mca_classify(rules, &bank);
	}
	return mca_combine(records, judgements, count);
}

static void an_exception_that_no_bank_explains_resets(void **unused)
{
	struct mca_record banks[] = {record(CE, 7, MCA_CTX_GUEST_USER),
				     record(0, 7, MCA_CTX_GUEST_USER)};

	(void)unused;
	assert_int_equal(combine(&intel, banks, 2).action, MCA_ACTION_RESET);
	assert_non_null(strstr(combine(&intel, banks, 2).reason, "explains"));
	banks[1] = record(SRAO, 7, MCA_CTX_GUEST_USER);
	assert_int_equal(combine(&intel, banks, 2).action, MCA_ACTION_RECOVER_OPTIONAL);
}

static void polled_errors_need_no_explanation(void **unused)
{
	struct mca_record bank = record(CE, 0, MCA_CTX_POLL);

	(void)unused;
	assert_int_equal(combine(&intel, &bank, 1).action, MCA_ACTION_LOG);
	assert_false(combine(&intel, &bank, 1).context_lost);
}

static void two_action_required_errors_on_one_cpu_reset(void **unused)
{
	struct mca_record banks[] = {record(SRAR, 7, MCA_CTX_GUEST_USER),
				     record(SRAO, 7, MCA_CTX_GUEST_USER),
				     record(SRAR, 7, MCA_CTX_GUEST_USER)};

	(void)unused;
	assert_int_equal(combine(&intel, banks, 3).action, MCA_ACTION_RESET);
	banks[2].cpu = 1;
	assert_int_equal(combine(&intel, banks, 3).action, MCA_ACTION_RECOVER);
}

static void one_fatal_bank_dominates(void **unused)
{
	struct mca_record banks[] = {record(SRAR, 7, MCA_CTX_GUEST_USER),
				     record(0xbe00000000000134, 7, MCA_CTX_GUEST_USER)};

	(void)unused;
	assert_int_equal(combine(&intel, banks, 2).action, MCA_ACTION_RESET);
}

static void ripv_decides_whether_the_context_goes_on(void **unused)
{
	struct mca_record guest = record(SRAR, 6, MCA_CTX_GUEST_KERNEL),
			  kernel = record(SRAO, 4, MCA_CTX_KERNEL);

	(void)unused;
	assert_true(combine(&intel, &guest, 1).context_lost);
	assert_int_equal(combine(&intel, &guest, 1).action, MCA_ACTION_RECOVER);
	assert_int_equal(combine(&intel, &kernel, 1).action, MCA_ACTION_RESET);
}

static void mcip_clear_is_no_machine_check(void **unused)
{
	struct mca_record bank = record(SRAR, 3, MCA_CTX_GUEST_USER);

	(void)unused;
	assert_int_equal(combine(&intel, &bank, 1).action, MCA_ACTION_RESET);
	assert_non_null(strstr(combine(&intel, &bank, 1).reason, "MCIP"));
}

static void assert_range(struct mca_range range, uint64_t first, uint64_t pages)
{
	assert_int_equal(range.first, first);
	assert_int_equal(range.pages, pages);
	if (!pages)
		assert_non_null(range.why);
}

static void lsb_says_how_much_is_retired(void **unused)
{
	(void)unused;
	assert_range(mca_range_of(&intel, SRAR, 0x12345678, 0x86), 0x12345000, 1);
	assert_range(mca_range_of(&intel, SRAR, 0x12345678, 0x8c), 0x12345000, 1);
	assert_range(mca_range_of(&intel, SRAR, 0x12345678, 0x8d), 0x12344000, 2);
	assert_range(mca_range_of(&intel, SRAR, 0x12345678, 0x95), 0x12200000, 512);
	assert_range(mca_range_of(&intel, SRAR, 0x12345678, 0x9e), 0, 1ul << 18);
	assert_range(mca_range_of(&intel, SRAR, 0x12345678, 0x9f), 0, 0);
}

static void only_a_physical_address_retires_anything(void **unused)
{
	(void)unused;
	for (unsigned mode = 0; mode < 8; mode++)
		assert_int_equal(mca_range_of(&intel, SRAR, 0x1000, mode << 6 | 12).pages,
				 mode == 2);
	assert_range(mca_range_of(&intel, SRAR & ~MCI_STATUS_ADDRV, 0x1000, 0x8c), 0, 0);
	assert_range(mca_range_of(&intel, SRAR & ~MCI_STATUS_MISCV, 0x1000, 0x8c), 0, 0);
	/* AMD's MISC says nothing of the address. */
	assert_range(mca_range_of(&amd, SRAR, 0x12345678, 0), 0x12345000, 1);
	assert_range(mca_range_of(&amd, SRAR & ~MCI_STATUS_ADDRV, 0x1000, 0x8c), 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(srar_in_our_kernel_is_recovered_when_it_can_be_resumed),
		cmocka_unit_test(srar_is_not_the_matter_of_an_unaffected_cpu),
		cmocka_unit_test(succor_decides_what_amd_can_recover),
		cmocka_unit_test(an_exception_that_no_bank_explains_resets),
		cmocka_unit_test(polled_errors_need_no_explanation),
		cmocka_unit_test(two_action_required_errors_on_one_cpu_reset),
		cmocka_unit_test(one_fatal_bank_dominates),
		cmocka_unit_test(ripv_decides_whether_the_context_goes_on),
		cmocka_unit_test(mcip_clear_is_no_machine_check),
		cmocka_unit_test(lsb_says_how_much_is_retired),
		cmocka_unit_test(only_a_physical_address_retires_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
