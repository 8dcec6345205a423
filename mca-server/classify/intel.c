/* SPDX-License-Identifier: BSD-2-Clause */
/* Classification by Intel's rules: SDM volume 3, table 15-6 and examples 15-4 and 15-5. */
#include "bits.h"
#include "classify.h"

enum code_kind { CODE_OTHER, CODE_SRAO, CODE_SRAR };

/* SDM 15.9.3: the codes that have a defined recovery. */
static enum code_kind code_kind(uint64_t status)
{
	uint64_t code = status & MCACOD_MASK & ~MCACOD_FILTER;

	if (code == 0x134 || code == 0x150) /* data load, instruction fetch */
		return CODE_SRAR;
	if ((code & 0xfff0) == 0xc0 || code == 0x17a) /* memory scrub, L3 explicit write-back */
		return CODE_SRAO;
	return CODE_OTHER;
}

/* UC=1, PCC=0, with software error recovery: S and AR decide. */
static enum mca_class recoverable_class(const struct mca_bank *bank)
{
	bool s = bank->status & MCI_STATUS_S, ar = bank->status & MCI_STATUS_AR;

	if (!s && !ar) {
		/* Table 15-6: an SRAO signalled by CMCI has S=0; only its code tells it from a
		 * UCNA. */
		if (!bank->exception && code_kind(bank->status) == CODE_SRAO)
			return MCA_CLASS_SRAO;
		return MCA_CLASS_UCNA;
	}
	if (!bank->exception && !(bank->status & MCI_STATUS_EN))
		return MCA_CLASS_SPURIOUS; /* example 15-5 */
	if (!s)
		return MCA_CLASS_ILLEGAL;
	return ar ? MCA_CLASS_SRAR : MCA_CLASS_SRAO;
}

static enum mca_class class_of(const struct mca_bank *bank)
{
	uint64_t status = bank->status;

	if (!(status & MCI_STATUS_VAL))
		return MCA_CLASS_NONE;
	if (!(status &
	      MCI_STATUS_UC)) /* a corrupt context is never "corrected": stricter than the SDM */
		return status & MCI_STATUS_PCC ? MCA_CLASS_FATAL : MCA_CLASS_CE;
	if (!(bank->mcg_cap & MCG_CAP_SER_P))
		return MCA_CLASS_FATAL;
	if (bank->exception && !(status & (MCI_STATUS_EN | MCI_STATUS_OVER)))
		return MCA_CLASS_SPURIOUS; /* example 15-4 */
	if (status & MCI_STATUS_PCC)
		return status & MCI_STATUS_EN ? MCA_CLASS_FATAL : MCA_CLASS_LOGONLY;
	return recoverable_class(bank);
}

static bool recovery_known(const struct mca_bank *bank, enum code_kind kind)
{
	return code_kind(bank->status) == kind &&
	       mca_intel_address_usable(bank->status, bank->misc);
}

static enum mca_action action_of_srao(const struct mca_bank *bank)
{
	bool over = bank->status & MCI_STATUS_OVER;

	if (bank->exception && !(bank->mcg_status & MCG_STATUS_RIPV) && (bank->kernel || over))
		return MCA_ACTION_RESET; /* OVER=1 is continuable only with RIPV */
	if (!bank->exception && (bank->status & MCI_STATUS_S))
		return MCA_ACTION_LOG; /* the machine-check handler's */
	if (over || !recovery_known(bank, CODE_SRAO))
		return MCA_ACTION_LOG; /* no recovery, continue */
	return MCA_ACTION_RECOVER_OPTIONAL;
}

static enum mca_action action_of_srar(const struct mca_bank *bank)
{
	bool ripv = bank->mcg_status & MCG_STATUS_RIPV, eipv = bank->mcg_status & MCG_STATUS_EIPV;

	if (!bank->exception)
		return MCA_ACTION_LOG; /* the machine-check handler's */
	if (bank->status & MCI_STATUS_OVER)
		return MCA_ACTION_RESET; /* errors were lost */
	if (ripv && !eipv)
		return MCA_ACTION_LOG; /* SDM 15.6.3: another CPU is the affected one */
	if (!recovery_known(bank, CODE_SRAR))
		return MCA_ACTION_RESET;
	if (!ripv && bank->kernel)
		return MCA_ACTION_RESET; /* R-MC-8 for our own kernel */
	return MCA_ACTION_RECOVER;
}

static enum mca_action action_of(const struct mca_bank *bank, enum mca_class class)
{
	switch (class) {
	case MCA_CLASS_NONE:
		return MCA_ACTION_IGNORE;
	case MCA_CLASS_ILLEGAL:
		return MCA_ACTION_RESET;
	case MCA_CLASS_FATAL:
		/* Polled, an uncorrected one is the machine-check handler's: logged, never cleared
		 * (15.10.4.2). */
		return bank->exception || !(bank->status & MCI_STATUS_UC) ? MCA_ACTION_RESET
									  : MCA_ACTION_LOG;
	case MCA_CLASS_SRAO:
		return action_of_srao(bank);
	case MCA_CLASS_SRAR:
		return action_of_srar(bank);
	default:
		return MCA_ACTION_LOG;
	}
}

struct mca_judgement mca_classify_intel(const struct mca_bank *bank)
{
	struct mca_judgement judgement = {.class = class_of(bank)};

	judgement.action = action_of(bank, judgement.class);
	/* MCIP=0 in the handler: this was INT 18h, no machine check, and cannot be restarted
	 * (example 15-4). */
	if (judgement.class != MCA_CLASS_NONE && bank->exception &&
	    !(bank->mcg_status & MCG_STATUS_MCIP))
		judgement.action = MCA_ACTION_RESET;
	return judgement;
}
