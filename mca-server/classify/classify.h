/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a machine-check record means and what to do about it: pure functions, for Intel's rules and
 * for AMD's. The rules as rows: tests/sdm_table.py. The class depends on the record and the path,
 * never on the context.
 */
#ifndef MCA_CLASSIFY_H
#define MCA_CLASSIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cairn/mca.h>

enum mca_class {
	MCA_CLASS_NONE,	    /* VAL=0 */
	MCA_CLASS_CE,	    /* corrected error */
	MCA_CLASS_SPURIOUS, /* UC with EN=0: logged by mistake */
	MCA_CLASS_LOGONLY,  /* PCC with EN=0 */
	MCA_CLASS_UCNA,	    /* uncorrected, no action required */
	MCA_CLASS_SRAO,	    /* software recoverable, action optional */
	MCA_CLASS_SRAR,	    /* software recoverable, action required; AMD: consumed poison */
	MCA_CLASS_DEFERRED, /* AMD: uncorrected, not consumed */
	MCA_CLASS_ILLEGAL,  /* S=0 with AR=1 */
	MCA_CLASS_FATAL,
};

enum mca_action {
	MCA_ACTION_IGNORE,
	MCA_ACTION_LOG,
	MCA_ACTION_RECOVER,	     /* retire the memory now: somebody is about to consume it */
	MCA_ACTION_RECOVER_OPTIONAL, /* retire the memory: nobody has consumed it yet */
	MCA_ACTION_RESET,	     /* the machine must not go on */
};

/* Whose rules hold on this CPU. On AMD, IA32_MCG_CAP.SER_P means nothing. */
struct mca_rules {
	bool amd;
	bool succor;		/* CPUID 8000_0007h EBX bit 1 */
	bool overflow_recovery; /* … bit 0 */
};

/* One bank, as it was found. */
struct mca_bank {
	uint64_t mcg_cap, mcg_status, status, misc;
	bool kernel;	/* Cairn's kernel was interrupted, not a guest or a server */
	bool exception; /* found by the machine-check handler, not by polling */
};

struct mca_judgement {
	enum mca_class class;
	enum mca_action action;
};

struct mca_judgement mca_classify(const struct mca_rules *rules, const struct mca_bank *bank);
struct mca_judgement mca_classify_intel(const struct mca_bank *bank);
struct mca_judgement mca_classify_amd(const struct mca_rules *rules, const struct mca_bank *bank);

/* The bank of a kernel's record. */
struct mca_bank mca_bank_of(const struct mca_record *record);

/* Memory to retire: whole 4 KiB pages. */
struct mca_range {
	uint64_t first; /* system-physical address, page aligned */
	uint64_t pages; /* 0: the record names no memory; `why` says so */
	const char *why;
};

/* No record retires more than 2^MCA_LSB_MAX bytes. */
#define MCA_LSB_MAX 30

/* Whether MISC makes ADDR a system-physical address with a believable size (SDM 15.3.2.4). */
bool mca_intel_address_usable(uint64_t status, uint64_t misc);
struct mca_range mca_range_of(const struct mca_rules *rules, uint64_t status, uint64_t addr,
			      uint64_t misc);

/*
 * The verdict on all banks of one machine-check exception, of one CPU or of several (SDM examples
 * 15-4, 15-5). action: RESET, RECOVER, RECOVER_OPTIONAL, or LOG: what the strongest of them asks
 * for.
 */
struct mca_verdict {
	enum mca_action action;
	const char *reason; /* of a RESET: one sentence; else NULL */
	bool context_lost;  /* RIPV=0: what was interrupted cannot be resumed */
};

struct mca_verdict mca_combine(const struct mca_record *records,
			       const struct mca_judgement *judgements, size_t count);

const char *mca_class_name(enum mca_class class);    /* "SRAR" … */
const char *mca_action_name(enum mca_action action); /* "recover-optional" … */

#endif
