/* SPDX-License-Identifier: BSD-2-Clause */
/* One turn of the state machine: harvest and decide, thaw, tell, and only then kill and log. */
#include <inttypes.h>
#include <cairn/boot.h>
#include "../notify/notify.h"
#include "mca.h"

#define HARVESTS_PER_TURN 64u

uint64_t mca_ticks(const struct mca *mca, uint64_t us)
{
	return us * mca->ticks_per_ms / 1000;
}

/* AMD's SUCCOR may be supplied by the system description; what CPUID says is never hidden. */
void mca_start(struct mca *mca, bool succor, bool overflow_recovery)
{
	const struct server_info *info = mca->info;
	bool override = info->mca_flags & MCA_FLAG_SUCCOR_OVERRIDE;

	mca->ticks_per_ms = info->tsc_khz ? info->tsc_khz : 1;
	mca->rules = (struct mca_rules){.amd = info->vendor == VENDOR_AMD};
	events_add(mca->events, "machine checks: %s rules, MCG_CAP 0x%" PRIx64 ", %u VMs",
		   mca->rules.amd ? "AMD's" : "Intel's", info->mcg_cap, info->vm_count);
	if (!info->mcg_cap)
		events_add(mca->events,
			   "this CPU has no machine-check architecture: no error will be seen");
	if (!mca->rules.amd)
		return;
	if (override && !(succor && overflow_recovery))
		events_add(mca->events, "override: SUCCOR supplied by the system description "
					"(CPUID does not report it)");
	mca->rules.succor = succor || override;
	mca->rules.overflow_recovery = overflow_recovery || override;
}

static void decide_batch(struct mca *mca)
{
	uint32_t count = mca->state->batch_count;

	mca->state->batch_count = 0;
	mca_decide(mca, mca->state->batch, count);
}

/* The VMs must not wait for a record that will never come. */
static void decide_incomplete(struct mca *mca)
{
	events_add(mca->events, "the last record of an exception is missing: decided on %u",
		   mca->state->batch_count);
	decide_batch(mca);
}

/* Records of one exception are decided together; a polled one stands alone. */
static void take(struct mca *mca, const struct mca_record *record)
{
	struct mca_state *state = mca->state;

	if (record->context == MCA_CTX_POLL) {
		mca_decide(mca, record, 1);
		return;
	}
	if (state->batch_count && state->batch[0].epoch != record->epoch)
		decide_incomplete(mca);
	if (mca->stopping)
		return;
	state->batch[state->batch_count++] = *record;
	if (record->last || state->batch_count == MCA_BATCH)
		decide_batch(mca);
}

/* Whether this record is new; a repeat has had its effect already. */
static bool is_new(struct mca *mca, const struct mca_record *record)
{
	uint64_t newest = mca->state->acknowledged[record->cpu];

	if (record->sequence <= newest) {
		events_add(mca->events,
			   "record cpu %u seq %" PRIu64 " again: it has taken effect before",
			   record->cpu, record->sequence);
		return false;
	}
	if (record->sequence != newest + 1)
		events_add(mca->events, "records cpu %u seq %" PRIu64 " to %" PRIu64 " were lost",
			   record->cpu, newest + 1, record->sequence - 1);
	return true;
}

/* An exception that froze the VMs, and no record of it: nothing explains it (SDM example 15-4). */
static void exception_without_record(struct mca *mca)
{
	/* One that struck between the two numbers shows its record at the next look. */
	if (++mca->silent_exceptions < 3)
		return;
	mca_stop(mca, "a machine-check exception left no record");
}

/* The kernel's ring is empty; true: another look is needed. */
static bool nothing_waits(struct mca *mca, uint64_t epoch)
{
	if (mca->state->batch_count) {
		decide_incomplete(mca);
		return !mca->stopping;
	}
	if (epoch > mca->state->verdict_epoch) {
		exception_without_record(mca);
		return !mca->stopping;
	}
	mca->silent_exceptions = 0;
	return false;
}

/* One look at the kernel's ring; false: nothing more is to be had now. */
static bool harvest_one(struct mca *mca)
{
	struct mca_record record = {0};
	uint64_t count = 0, epoch = 0;
	cairn_status_t status = mca->system->harvest(mca->acknowledge, &record, &count, &epoch);

	if (status != CAIRN_OK) {
		mca_stop(mca, "the kernel refuses to hand out machine-check records");
		return false;
	}
	if (!count)
		return nothing_waits(mca, epoch);
	mca->silent_exceptions = 0;
	if (record.cpu >= MCA_CPUS) {
		mca_stop(mca, "a machine-check record names a CPU that does not exist");
		return false;
	}
	if (is_new(mca, &record)) {
		take(mca, &record);
		mca->state->acknowledged[record.cpu] = record.sequence;
	}
	mca->acknowledge = record.sequence;
	return !mca->stopping;
}

/* Each record is acknowledged by the next look, after its verdict was carried out. */
static void harvest(struct mca *mca)
{
	unsigned left = HARVESTS_PER_TURN;

	while (left && harvest_one(mca))
		left--;
	mca->more = !left;
}

/* All of a VM's vCPUs; says so when that is news. */
static void thaw(struct mca *mca, uint32_t vm)
{
	struct mca_vm *v = &mca->state->vm[vm];
	const char *name = mca->info->vms[vm].name;
	cairn_status_t failed = CAIRN_OK;

	for (uint32_t i = 0; i < mca->info->vms[vm].vcpus; i++) {
		cairn_status_t status = mca->system->thaw(mca->info->vms[vm].first_vcpu + i,
							  mca->state->verdict_epoch);

		if (status != CAIRN_OK)
			failed = status;
	}
	if (failed == CAIRN_OK && v->thawed < mca->state->verdict_epoch)
		events_add(mca->events, "vm %s thawed", name);
	else if (failed != CAIRN_OK && !v->thaw_failed)
		events_add(mca->events, "vm %s cannot be thawed: the kernel answers %d", name,
			   (int)failed);
	v->thaw_failed = failed != CAIRN_OK;
	v->thawed = mca->state->verdict_epoch;
}

/*
 * A VM goes on when every exception is decided and its vmm-server has queued what it was told of.
 * It is repeated at each turn, because a VM that is built anew has new vCPUs, which know of no
 * verdict.
 */
static void thaw_all(struct mca *mca)
{
	for (uint32_t i = 0; mca->state->verdict_epoch && i < mca->info->vm_count && i < SYSTEM_VMS;
	     i++) {
		const struct mca_vm *v = &mca->state->vm[i];

		if (!v->dead && v->kill == MCA_KILL_NONE && !v->owed)
			thaw(mca, i);
	}
}

/* Ends the system when its time has come; returns when to look again. */
static uint64_t stop(struct mca *mca)
{
	uint64_t now = mca->system->now();

	if (now < mca->stop_at)
		return mca->stop_at;
	if (mca->system->shutdown(MCA_EXIT_RESET) && !mca->stop_refused) {
		mca->stop_refused = true;
		events_add(mca->events,
			   "the root-task refuses to end the system; every VM stays frozen");
		events_print(mca->events, mca->system->print);
	}
	return mca->stop_at = now + mca_ticks(mca, MCA_FLUSH_US);
}

uint64_t mca_turn(struct mca *mca)
{
	if (!mca->stopping) {
		mca_lives(mca);
		notify_receive(mca);
		harvest(mca);
	}
	if (!mca->stopping) {
		notify_deadlines(mca);
		thaw_all(mca);
		notify_send(mca);
		mca_kills_carry_out(mca);
	}
	events_print(mca->events, mca->system->print);
	if (mca->stopping)
		return stop(mca);
	if (mca->more)
		return mca->system->now();
	return notify_next(mca, mca->system->now() + mca_ticks(mca, MCA_POLL_US));
}
