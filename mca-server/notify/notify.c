/* SPDX-License-Identifier: BSD-2-Clause */
/* The queue of notices of each VM, and the two rings it shares with its vmm-server. */
#include <inttypes.h>
#include <cairn/mca_ring.h>
#include "notify.h"

#define NONSENSE_LOGGED                                                                            \
	4u /* messages without sense that are logged per VM, so that it cannot flood the log */
#define INJECTED_LOGGED 64u /* vMCEs that are logged each; later every 64th */

static struct mca_notice *notice_at(struct mca_vm *v, uint32_t i)
{
	return &v->notice[(v->first + i) % MCA_NOTICES];
}

static uint64_t name_of(const struct mca_record *record)
{
	return (uint64_t)record->cpu << 48 | record->sequence;
}

/* Decided on again after a restart, a record finds its notices among those that wait. */
static bool is_told(struct mca_vm *v, const struct mca_record *record, uint64_t gpa)
{
	for (uint32_t i = 0; i < v->count; i++) {
		const struct mca_message *message = &notice_at(v, i)->message;

		if (message->record_cpu_sequence == name_of(record) && message->gpa == gpa)
			return true;
	}
	return false;
}

void notify_resume(struct mca *mca)
{
	for (uint32_t vm = 0; vm < SYSTEM_VMS; vm++) {
		struct mca_vm *v = &mca->state->vm[vm];

		v->owed = 0;
		for (uint32_t i = 0; i < v->count; i++) {
			const struct mca_notice *n = notice_at(v, i);

			v->owed += n->message.epoch && !n->answered;
			v->sequence = n->message.sequence;
		}
		if (v->owed)
			v->deadline = mca->system->now() + mca_ticks(mca, MCA_ANSWER_US);
	}
}

void notify_page(struct mca *mca, uint32_t vm, const struct mca_record *record, uint64_t spa,
		 uint64_t gpa, uint32_t flags)
{
	struct mca_vm *v = &mca->state->vm[vm];

	if (v->dead || v->kill != MCA_KILL_NONE || is_told(v, record, gpa))
		return;
	if (v->count == MCA_NOTICES) {
		if (record->epoch)
			mca_kill(mca, vm, MCA_KILL_FLOOD, spa);
		else
			events_add(mca->events,
				   "vm %s is not told of page 0x%" PRIx64 ": %u notices wait",
				   mca->info->vms[vm].name, spa, MCA_NOTICES);
		return;
	}
	*notice_at(v, v->count) = (struct mca_notice){
		.message =
			{
				.sequence = ++v->sequence,
				.kind = MCA_MSG_BAD_PAGE,
				.flags = flags,
				.gpa = gpa,
				.spa = spa,
				.status = record->status,
				.misc = record->misc,
				.epoch = record->epoch,
				.record_cpu_sequence = name_of(record),
			},
	};
	if (record->epoch && !v->owed++)
		v->deadline = mca->system->now() + mca_ticks(mca, MCA_ANSWER_US);
	/* It is there from here on (notify_resume). */
	__atomic_store_n(&v->count, v->count + 1, __ATOMIC_RELEASE);
}

static void nonsense(struct mca *mca, uint32_t vm, const struct mca_message *message,
		     const char *what)
{
	struct mca_vm *v = &mca->state->vm[vm];

	if (v->nonsense++ < NONSENSE_LOGGED)
		events_add(mca->events,
			   "vm %s: message %u (sequence %" PRIu64
			   ") from its vmm-server ignored: %s",
			   mca->info->vms[vm].name, message->kind, message->sequence, what);
}

static void drop_answered(struct mca_vm *v)
{
	while (v->sent && notice_at(v, 0)->answered) {
		v->first = (v->first + 1) % MCA_NOTICES;
		v->count--;
		v->sent--;
	}
}

/* Only what was really sent, and once, can be answered. */
static void answered(struct mca *mca, uint32_t vm, const struct mca_message *message)
{
	struct mca_vm *v = &mca->state->vm[vm];
	uint64_t index = v->count ? message->sequence - notice_at(v, 0)->message.sequence : 0;

	if (!message->sequence || message->sequence > v->sequence) {
		nonsense(mca, vm, message, "there is no such notice");
		return;
	}
	/* Sequences in the queue have no gaps. What is no longer there needs no answer. */
	if (index >= v->sent || notice_at(v, (uint32_t)index)->answered)
		return;
	notice_at(v, (uint32_t)index)->answered = true;
	if (--v->owed)
		v->deadline = mca->system->now() + mca_ticks(mca, MCA_ANSWER_US);
	drop_answered(v);
}

static void injected(struct mca *mca, uint32_t vm, const struct mca_message *message)
{
	struct mca_vm *v = &mca->state->vm[vm];

	v->injected++;
	if (v->injected <= INJECTED_LOGGED || v->injected % INJECTED_LOGGED == 0)
		events_add(mca->events,
			   "vm %s: %s vMCE delivered for gpa 0x%" PRIx64 " (number %" PRIu64 ")",
			   mca->info->vms[vm].name,
			   message->flags & MCA_NOTICE_AR ? "action-required" : "action-optional",
			   message->gpa, v->injected);
}

static void receive_from(struct mca *mca, uint32_t vm)
{
	struct mca_channel *channel = mca->system->channel(mca->info->vms[vm].channel);
	struct mca_message message;

	for (unsigned i = 0;
	     channel && i < MCA_RING_MESSAGES && mca_ring_get(&channel->to_mca, &message); i++) {
		if (message.kind == MCA_MSG_QUEUED)
			answered(mca, vm, &message);
		else if (message.kind == MCA_MSG_INJECTED)
			injected(mca, vm, &message);
		else
			nonsense(mca, vm, &message, "of no kind that a vmm-server sends");
	}
}

static void send_to(struct mca *mca, uint32_t vm)
{
	struct mca_vm *v = &mca->state->vm[vm];
	struct mca_channel *channel = mca->system->channel(mca->info->vms[vm].channel);
	bool any = false;

	while (channel && v->sent < v->count &&
	       mca_ring_put(&channel->to_vmm, &notice_at(v, v->sent)->message)) {
		/* An early notice that froze nobody needs no answer. */
		if (!notice_at(v, v->sent)->message.epoch)
			notice_at(v, v->sent)->answered = true;
		v->sent++;
		any = true;
	}
	drop_answered(v);
	if (any)
		mca->system->signal(mca->info->vms[vm].channel);
}

void notify_receive(struct mca *mca)
{
	for (uint32_t i = 0; i < mca->info->vm_count && i < SYSTEM_VMS; i++)
		if (!mca->state->vm[i].dead)
			receive_from(mca, i);
}

void notify_send(struct mca *mca)
{
	for (uint32_t i = 0; i < mca->info->vm_count && i < SYSTEM_VMS; i++)
		if (!mca->state->vm[i].dead && mca->state->vm[i].sent < mca->state->vm[i].count)
			send_to(mca, i);
}

void notify_deadlines(struct mca *mca)
{
	uint64_t now = mca->system->now();

	for (uint32_t i = 0; i < mca->info->vm_count && i < SYSTEM_VMS; i++) {
		const struct mca_vm *v = &mca->state->vm[i];

		if (v->owed && now >= v->deadline)
			mca_kill(mca, i, MCA_KILL_SILENT, 0);
	}
}

uint64_t notify_next(const struct mca *mca, uint64_t limit)
{
	uint64_t retry = mca->system->now() + mca_ticks(mca, MCA_RETRY_US);

	for (uint32_t i = 0; i < mca->info->vm_count && i < SYSTEM_VMS; i++) {
		const struct mca_vm *v = &mca->state->vm[i];

		if (v->owed && v->deadline < limit)
			limit = v->deadline;
		if (v->sent < v->count && retry < limit)
			limit = retry;
	}
	return limit;
}
