/* SPDX-License-Identifier: BSD-2-Clause */
/* The verdict on one exception, or on one polled error, and what follows from it. */
#include <inttypes.h>
#include "../classify/bits.h"
#include "mca.h"

static bool retires(enum mca_action action)
{
	return action == MCA_ACTION_RECOVER || action == MCA_ACTION_RECOVER_OPTIONAL;
}

/* Nothing was unmapped, so nothing was reported: the owner is found in the description of the VMs'
 * RAM. */
static void owner_of_address(const struct mca *mca, const struct mca_record *record,
			     struct mca_owners *owners)
{
	struct mca_range range =
		mca_range_of(&mca->rules, record->status, record->addr, record->misc);
	uint64_t gpa;
	int vm = range.pages ? mca_vm_of_address(mca, record->addr, &gpa) : -1;

	if (vm >= 0)
		mca_owner_add(owners, mca->info->vms[vm].name);
}

static void log_record(struct mca *mca, uint64_t event, const struct mca_record *r,
		       struct mca_judgement judgement, const struct mca_owners *owners)
{
	events_set(mca->events, event,
		   "record cpu %u seq %" PRIu64 " bank %u status 0x%" PRIx64 " addr 0x%" PRIx64
		   " misc 0x%" PRIx64 " mcg 0x%" PRIx64 " context %s owner %s class %s action %s",
		   r->cpu, r->sequence, r->bank, r->status, r->addr, r->misc, r->mcg_status,
		   mca_context_name(r->context), owners->text, mca_class_name(judgement.class),
		   mca_action_name(judgement.action));
}

static void carry_out(struct mca *mca, const struct mca_record *record,
		      struct mca_judgement judgement, bool stop)
{
	struct mca_owners owners = {.text = "none"};
	uint64_t event = events_reserve(mca->events);

	/* A system that stops changes nothing any more. */
	if (!stop && retires(judgement.action))
		mca_retire(mca, record, judgement.class, &owners);
	if (!owners.count)
		owner_of_address(mca, record, &owners);
	log_record(mca, event, record, judgement, &owners);
}

/* RIPV=0: the interrupted vCPU's VM ends (R-BAS-3). Other threads than vCPUs cannot be ended from
 * here. */
static bool end_interrupted(struct mca *mca, const struct mca_record *record)
{
	int vm = mca_vm_of_label(mca, record->label);

	if (vm < 0 ||
	    (record->context != MCA_CTX_GUEST_USER && record->context != MCA_CTX_GUEST_KERNEL))
		return false;
	mca_kill(mca, (uint32_t)vm, MCA_KILL_CONTEXT, 0);
	return true;
}

void mca_stop(struct mca *mca, const char *reason)
{
	mca->stopping = true;
	mca->stop_at = mca->system->now() + mca_ticks(mca, MCA_FLUSH_US);
	events_add(mca->events, "verdict: reset: %s; the system ends", reason);
}

void mca_left_over(struct mca *mca, const struct mca_record *r)
{
	struct mca_bank bank = mca_bank_of(r);

	events_add(mca->events,
		   "from before the last reset: record cpu %u seq %" PRIu64
		   " bank %u status 0x%" PRIx64 " addr 0x%" PRIx64 " misc 0x%" PRIx64
		   " class %s: nothing is done about it",
		   r->cpu, r->sequence, r->bank, r->status, r->addr, r->misc,
		   mca_class_name(mca_classify(&mca->rules, &bank).class));
}

void mca_decide(struct mca *mca, const struct mca_record *records, size_t count)
{
	struct mca_judgement judgements[MCA_BATCH] = {{0}};
	struct mca_verdict verdict;

	for (size_t i = 0; i < count; i++) {
		struct mca_bank bank = mca_bank_of(&records[i]);

		judgements[i] = mca_classify(&mca->rules, &bank);
	}
	verdict = mca_combine(records, judgements, count);
	for (size_t i = 0; i < count; i++)
		carry_out(mca, &records[i], judgements[i], verdict.action == MCA_ACTION_RESET);
	if (mca->stopping)
		return;
	if (verdict.action == MCA_ACTION_RESET) {
		mca_stop(mca, verdict.reason);
		return;
	}
	for (size_t i = 0; verdict.context_lost && i < count; i++)
		if (!(records[i].mcg_status & MCG_STATUS_RIPV) &&
		    !end_interrupted(mca, &records[i])) {
			mca_stop(mca, "a server was interrupted and cannot be resumed (RIPV=0)");
			return;
		}
}
