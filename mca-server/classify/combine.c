/* SPDX-License-Identifier: BSD-2-Clause */
/* One verdict from all banks of one machine-check exception (SDM example 15-4, table 15-7). */
#include "bits.h"
#include "classify.h"

/* What example 15-4 calls an error that explains the exception (NOERROR = FALSE). */
static bool explains_exception(enum mca_class class)
{
	return class == MCA_CLASS_SRAO || class == MCA_CLASS_SRAR || class == MCA_CLASS_DEFERRED ||
	       class == MCA_CLASS_ILLEGAL || class == MCA_CLASS_FATAL;
}

static bool two_required_on_one_cpu(const struct mca_record *records,
				    const struct mca_judgement *judgements, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (judgements[i].action != MCA_ACTION_RECOVER)
			continue;
		for (size_t j = i + 1; j < count; j++)
			if (judgements[j].action == MCA_ACTION_RECOVER &&
			    records[j].cpu == records[i].cpu)
				return true;
	}
	return false;
}

static unsigned strength(enum mca_action action)
{
	static const unsigned order[] = {
		[MCA_ACTION_IGNORE] = 0,  [MCA_ACTION_LOG] = 1,	  [MCA_ACTION_RECOVER_OPTIONAL] = 2,
		[MCA_ACTION_RECOVER] = 3, [MCA_ACTION_RESET] = 4,
	};

	return order[action];
}

static struct mca_verdict reset(struct mca_verdict verdict, const char *reason)
{
	verdict.action = MCA_ACTION_RESET;
	verdict.reason = reason;
	return verdict;
}

struct mca_verdict mca_combine(const struct mca_record *records,
			       const struct mca_judgement *judgements, size_t count)
{
	struct mca_verdict verdict = {.action = MCA_ACTION_LOG};
	bool exception = false, explained = false, no_mcip = false, kernel_lost = false;

	for (size_t i = 0; i < count; i++) {
		struct mca_bank bank = mca_bank_of(&records[i]);

		if (strength(judgements[i].action) > strength(verdict.action))
			verdict.action = judgements[i].action;
		if (explains_exception(judgements[i].class))
			explained = true;
		if (!bank.exception)
			continue;
		exception = true;
		if (!(bank.mcg_status & MCG_STATUS_MCIP))
			no_mcip = true;
		if (bank.mcg_status & MCG_STATUS_RIPV)
			continue;
		verdict.context_lost = true;
		if (bank.kernel)
			kernel_lost = true;
	}
	if (no_mcip)
		return reset(
			verdict,
			"a machine-check exception without MCG_STATUS.MCIP cannot be restarted");
	if (verdict.action == MCA_ACTION_RESET)
		return reset(verdict, "the error cannot be recovered from");
	if (exception && !explained)
		return reset(
			verdict,
			"a machine-check exception, and no bank holds an error that explains it");
	if (two_required_on_one_cpu(records, judgements, count))
		return reset(verdict, "two action-required errors on one CPU");
	if (kernel_lost)
		return reset(verdict, "the kernel was interrupted and cannot be resumed (RIPV=0)");
	return verdict;
}
