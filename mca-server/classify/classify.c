/* SPDX-License-Identifier: BSD-2-Clause */
/* Chooses the vendor's rules, and names the results. */
#include "classify.h"

struct mca_judgement mca_classify(const struct mca_rules *rules, const struct mca_bank *bank)
{
	return rules->amd ? mca_classify_amd(rules, bank) : mca_classify_intel(bank);
}

struct mca_bank mca_bank_of(const struct mca_record *record)
{
	return (struct mca_bank){
		.mcg_cap = record->mcg_cap,
		.mcg_status = record->mcg_status,
		.status = record->status,
		.misc = record->misc,
		.kernel = record->context == MCA_CTX_KERNEL || record->context == MCA_CTX_IDLE,
		.exception = record->context != MCA_CTX_POLL,
	};
}

static const char *const class_names[] = {
	[MCA_CLASS_NONE] = "NONE",	   [MCA_CLASS_CE] = "CE",
	[MCA_CLASS_SPURIOUS] = "SPURIOUS", [MCA_CLASS_LOGONLY] = "LOGONLY",
	[MCA_CLASS_UCNA] = "UCNA",	   [MCA_CLASS_SRAO] = "SRAO",
	[MCA_CLASS_SRAR] = "SRAR",	   [MCA_CLASS_DEFERRED] = "DEFERRED",
	[MCA_CLASS_ILLEGAL] = "ILLEGAL",   [MCA_CLASS_FATAL] = "FATAL",
};

static const char *const action_names[] = {
	[MCA_ACTION_IGNORE] = "ignore",	  [MCA_ACTION_LOG] = "log",
	[MCA_ACTION_RECOVER] = "recover", [MCA_ACTION_RECOVER_OPTIONAL] = "recover-optional",
	[MCA_ACTION_RESET] = "reset",
};

const char *mca_class_name(enum mca_class class)
{
	return class_names[class];
}

const char *mca_action_name(enum mca_action action)
{
	return action_names[action];
}
