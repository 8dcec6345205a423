/* SPDX-License-Identifier: BSD-2-Clause */
/* Classification by AMD's rules: PCC, then Deferred, then UC, then overflow and SUCCOR decide. */
#include "bits.h"
#include "classify.h"

static enum mca_class class_of(const struct mca_rules *rules, uint64_t status)
{
	if (!(status & MCI_STATUS_VAL))
		return MCA_CLASS_NONE;
	if (status & MCI_STATUS_PCC)
		return MCA_CLASS_FATAL;
	if (status & MCI_STATUS_DEFERRED)
		return MCA_CLASS_DEFERRED;
	if (!(status & MCI_STATUS_UC))
		return MCA_CLASS_CE;
	if ((status & MCI_STATUS_OVER) && !rules->overflow_recovery)
		return MCA_CLASS_FATAL;
	return rules->succor ? MCA_CLASS_SRAR : MCA_CLASS_FATAL;
}

static bool kernel_context_lost(const struct mca_bank *bank)
{
	return bank->exception && bank->kernel && !(bank->mcg_status & MCG_STATUS_RIPV);
}

static enum mca_action action_of_srar(const struct mca_bank *bank)
{
	if (!bank->exception)
		return MCA_ACTION_LOG; /* the machine-check handler's */
	if (!(bank->status & MCI_STATUS_ADDRV) || kernel_context_lost(bank))
		return MCA_ACTION_RESET;
	return MCA_ACTION_RECOVER;
}

static enum mca_action action_of_deferred(const struct mca_bank *bank)
{
	if (kernel_context_lost(bank))
		return MCA_ACTION_RESET;
	return bank->status & MCI_STATUS_ADDRV ? MCA_ACTION_RECOVER_OPTIONAL : MCA_ACTION_LOG;
}

static enum mca_action action_of(const struct mca_bank *bank, enum mca_class class)
{
	switch (class) {
	case MCA_CLASS_NONE:
		return MCA_ACTION_IGNORE;
	case MCA_CLASS_FATAL:
		return bank->exception || !(bank->status & MCI_STATUS_UC) ? MCA_ACTION_RESET
									  : MCA_ACTION_LOG;
	case MCA_CLASS_SRAR:
		return action_of_srar(bank);
	case MCA_CLASS_DEFERRED:
		return action_of_deferred(bank);
	default:
		return MCA_ACTION_LOG;
	}
}

struct mca_judgement mca_classify_amd(const struct mca_rules *rules, const struct mca_bank *bank)
{
	struct mca_judgement judgement = {.class = class_of(rules, bank->status)};

	judgement.action = action_of(bank, judgement.class);
	/* MCIP=0 in the handler: this was INT 18h, no machine check, and cannot be restarted. */
	if (judgement.class != MCA_CLASS_NONE && bank->exception &&
	    !(bank->mcg_status & MCG_STATUS_MCIP))
		judgement.action = MCA_ACTION_RESET;
	return judgement;
}
