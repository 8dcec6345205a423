/* SPDX-License-Identifier: BSD-2-Clause */
/* One turn of the state machine: harvest and decide, thaw, tell, and only then kill and log. */
#include <inttypes.h>
#include <cairn/boot.h>
#include "../notify/notify.h"
#include "mca.h"

#define HARVESTS_PER_TURN 64u /* of each CPU */

uint64_t mca_ticks(const struct mca *mca, uint64_t us)
{
	return us * mca->ticks_per_ms / 1000;
}

static uint32_t cpus(const struct mca *mca)
{
	uint32_t count = mca->info->cpu_count;

	if (count == 0)
		return 1;
	return count < MCA_CPUS ? count : MCA_CPUS;
}

/* AMD's SUCCOR may be supplied by the system description; what CPUID says is never hidden. */
static void set_rules(struct mca *mca, bool succor, bool overflow_recovery)
{
	const struct server_info *info = mca->info;
	bool override = info->mca_flags & MCA_FLAG_SUCCOR_OVERRIDE;

	mca->rules = (struct mca_rules){.amd = info->vendor == VENDOR_AMD};
	events_add(mca->events, "machine checks: %s rules, MCG_CAP 0x%" PRIx64 ", %u CPUs, %u VMs",
		   mca->rules.amd ? "AMD's" : "Intel's", info->mcg_cap, cpus(mca), info->vm_count);
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

/* The batch stays until its effects are there, for a restart; for ever, if the system ends. */
static void decide_batch(struct mca *mca, struct mca_batch *batch)
{
	mca_decide(mca, batch->record, batch->count);
	if (!mca->stopping)
		__atomic_store_n(&batch->count, 0, __ATOMIC_RELEASE);
}

static bool is_whole(const struct mca_batch *batch)
{
	return batch->count && (batch->record[batch->count - 1].last || batch->count == MCA_BATCH);
}

/* A restart: what is in a batch was taken, and is decided on before the kernel is told so. */
static void resume(struct mca *mca)
{
	for (uint32_t cpu = 0; cpu < MCA_CPUS; cpu++) {
		struct mca_batch *batch = &mca->state->batch[cpu];
		uint64_t *acknowledged = &mca->state->acknowledged[cpu];

		if (batch->count && batch->record[batch->count - 1].sequence > *acknowledged)
			*acknowledged = batch->record[batch->count - 1].sequence;
		if (is_whole(batch) && !mca->stopping)
			decide_batch(mca, batch);
	}
}

void mca_start(struct mca *mca, bool succor, bool overflow_recovery)
{
	mca->ticks_per_ms = mca->info->tsc_khz ? mca->info->tsc_khz : 1;
	set_rules(mca, succor, overflow_recovery);
	notify_resume(mca);
	resume(mca);
}

/* The VMs must not wait for a record that will never come. */
static void decide_incomplete(struct mca *mca, struct mca_batch *batch)
{
	events_add(mca->events, "the last record of an exception is missing: decided on %u",
		   batch->count);
	decide_batch(mca, batch);
}

/* Records of one exception are decided together; a polled one stands alone. */
static void take(struct mca *mca, const struct mca_record *record)
{
	struct mca_batch *batch = &mca->state->batch[record->cpu];

	if (record->context == MCA_CTX_RESET) {
		mca_left_over(mca, record);
		mca->state->acknowledged[record->cpu] = record->sequence;
		return;
	}
	if (record->context == MCA_CTX_POLL) {
		mca_decide(mca, record, 1);
		mca->state->acknowledged[record->cpu] = record->sequence;
		return;
	}
	if (batch->count && batch->record[0].epoch != record->epoch)
		decide_incomplete(mca, batch);
	if (mca->stopping)
		return;
	batch->record[batch->count] = *record;
	__atomic_store_n(&batch->count, batch->count + 1, __ATOMIC_RELEASE);
	mca->state->acknowledged[record->cpu] = record->sequence;
	if (is_whole(batch))
		decide_batch(mca, batch);
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

/* One look into a CPU's ring. Each record is acknowledged by the next look, after its verdict was
 * carried out. */
static void look(struct mca *mca, uint32_t cpu, bool first)
{
	struct mca_record record = {0};
	uint64_t count = 0, epoch = 0;
	cairn_status_t status =
		mca->system->harvest(cpu, mca->acknowledge[cpu], &record, &count, &epoch);

	if (status != CAIRN_OK) {
		mca_stop(mca, "the kernel refuses to hand out machine-check records");
		return;
	}
	if (first)
		mca->pass_epoch = epoch;
	if (!count) {
		mca->undrained &= ~(1ull << cpu);
		return;
	}
	if (record.cpu != cpu) {
		mca_stop(mca, "a machine-check record names another CPU than the one it is of");
		return;
	}
	if (is_new(mca, &record))
		take(mca, &record);
	mca->acknowledge[cpu] = record.sequence;
}

/* Every record of the exceptions up to the pass's epoch was taken: they are decided. */
static void end_pass(struct mca *mca)
{
	struct mca_state *state = mca->state;

	for (uint32_t cpu = 0; cpu < cpus(mca) && !mca->stopping; cpu++) {
		struct mca_batch *batch = &state->batch[cpu];

		/* A later exception's records may still be coming. */
		if (batch->count && batch->record[0].epoch <= mca->pass_epoch)
			decide_incomplete(mca, batch);
	}
	if (!mca->stopping && mca->pass_epoch > state->verdict_epoch)
		state->verdict_epoch = mca->pass_epoch;
}

/* A pass, or what a bounded number of looks at each CPU can do of it. */
static void harvest(struct mca *mca)
{
	bool first = !mca->undrained;

	if (first)
		mca->undrained = ~0ull >> (MCA_CPUS - cpus(mca));
	for (unsigned i = 0; i < HARVESTS_PER_TURN && mca->undrained; i++) {
		for (uint32_t cpu = 0; cpu < cpus(mca) && !mca->stopping; cpu++) {
			if (!(mca->undrained >> cpu & 1))
				continue;
			look(mca, cpu, first);
			first = false;
		}
	}
	if (!mca->undrained)
		end_pass(mca);
}

/* Perhaps the root-task, on another CPU, is just building it anew: said when that lasts. */
static void cannot_thaw(struct mca *mca, uint32_t vm, cairn_status_t status)
{
	struct mca_vm *v = &mca->state->vm[vm];
	uint64_t now = mca->system->now();

	if (!v->thaw_fails)
		v->thaw_fails = now;
	if (v->thaw_said || now - v->thaw_fails < mca_ticks(mca, MCA_ANSWER_US))
		return;
	v->thaw_said = true;
	events_add(mca->events, "vm %s cannot be thawed: the kernel answers %d",
		   mca->info->vms[vm].name, (int)status);
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
	if (failed != CAIRN_OK) {
		cannot_thaw(mca, vm, failed);
		return;
	}
	events_add(mca->events, "vm %s thawed", name);
	v->thaw_fails = 0;
	v->thaw_said = false;
	v->thawed = mca->state->verdict_epoch;
}

/* A VM goes on when every exception is decided and its vmm-server has queued what it was told of.
 */
static void thaw_all(struct mca *mca)
{
	for (uint32_t i = 0; i < mca->info->vm_count && i < SYSTEM_VMS; i++) {
		const struct mca_vm *v = &mca->state->vm[i];

		if (v->thawed < mca->state->verdict_epoch && !v->dead && v->kill == MCA_KILL_NONE &&
		    !v->owed)
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
	if (mca->undrained)
		return mca->system->now();
	return notify_next(mca, mca->system->now() + mca_ticks(mca, MCA_POLL_US));
}
