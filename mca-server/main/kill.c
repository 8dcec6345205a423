/* SPDX-License-Identifier: BSD-2-Clause */
/* Killing a VM: asked for during a verdict, carried out by the root-task after the others were
 * thawed. And its next life, if its policy is to start it anew. */
#include <inttypes.h>
#include "../policy/policy.h"
#include "mca.h"

void mca_kill(struct mca *mca, uint32_t vm, enum mca_kill why, uint64_t spa)
{
	struct mca_vm *v = &mca->state->vm[vm];

	if (v->dead || v->kill != MCA_KILL_NONE)
		return;
	v->kill = why;
	v->kill_spa = spa;
}

static const char *const reasons[] = {
	[MCA_KILL_POLICY] = "its memory is lost and its policy is ",
	[MCA_KILL_SILENT] = "its vmm-server did not answer in time",
	[MCA_KILL_FLOOD] = "it lost more pages than its vmm-server has taken notice of",
	[MCA_KILL_CONTEXT] = "the interrupted vCPU cannot be resumed (RIPV=0)",
	[MCA_KILL_NOWHERE] = "it consumes an address that cannot be retired",
};

static void log_kill(struct mca *mca, uint32_t vm)
{
	const struct mca_vm *v = &mca->state->vm[vm];
	const struct mca_policy *policy = mca_policy_of(mca->info->vms[vm].policy);
	char page[40] = "";

	if (v->kill_spa)
		events_append(page, sizeof(page), 0, " (page 0x%" PRIx64 ")", v->kill_spa);
	events_add(mca->events, "vm %s killed: %s%s%s%s", mca->info->vms[vm].name, reasons[v->kill],
		   v->kill == MCA_KILL_POLICY ? policy->name : "", page,
		   policy->restart ? "; it is started anew" : "");
}

/* Nothing more is done for a life that was ended: what it owes, it will never answer. */
static void forget(struct mca_vm *v)
{
	v->owed = v->first = v->count = v->sent = 0;
	v->kill = MCA_KILL_NONE;
}

static void carry_out(struct mca *mca, uint32_t vm)
{
	struct mca_vm *v = &mca->state->vm[vm];
	bool restart = mca_policy_of(mca->info->vms[vm].policy)->restart;
	uint64_t status;

	/* Until the root-task tells of the next life: its present VCpus must not be thawed. */
	v->dead = true;
	status = mca->system->kill_vm(vm, restart);
	log_kill(mca, vm);
	if (status)
		events_add(mca->events,
			   "vm %s stays frozen: the root-task refused to end it (status %" PRIu64
			   ")",
			   mca->info->vms[vm].name, status);
	forget(v);
}

void mca_lives(struct mca *mca)
{
	for (uint32_t i = 0; i < mca->info->vm_count && i < SYSTEM_VMS; i++) {
		struct mca_vm *v = &mca->state->vm[i];
		uint32_t now = __atomic_load_n(&mca->info->vms[i].generation, __ATOMIC_ACQUIRE);

		if (now == v->generation)
			continue;
		v->generation = now;
		forget(v);
		v->thawed = 0; /* its new VCpus know of no verdict */
		if (v->dead)
			events_add(mca->events, "vm %s lives again", mca->info->vms[i].name);
		v->dead = false;
	}
}

void mca_kills_carry_out(struct mca *mca)
{
	for (uint32_t i = 0; i < mca->info->vm_count && i < SYSTEM_VMS; i++)
		if (mca->state->vm[i].kill != MCA_KILL_NONE)
			carry_out(mca, i);
}
