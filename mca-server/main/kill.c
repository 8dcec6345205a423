/* SPDX-License-Identifier: BSD-2-Clause */
/* Killing a VM: asked for during a verdict, carried out by the root-task after the others were
 * thawed. */
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
	[MCA_KILL_POLICY] = "its memory is lost and its policy is kill",
	[MCA_KILL_SILENT] = "its vmm-server did not answer in time",
	[MCA_KILL_FLOOD] = "it lost more pages than its vmm-server has taken notice of",
	[MCA_KILL_CONTEXT] = "the interrupted vCPU cannot be resumed (RIPV=0)",
	[MCA_KILL_NOWHERE] = "it consumes an address that cannot be retired",
};

static void carry_out(struct mca *mca, uint32_t vm)
{
	struct mca_vm *v = &mca->state->vm[vm];
	bool restart = mca_policy_of(mca->info->vms[vm].policy)->restart;
	const char *name = mca->info->vms[vm].name;
	uint64_t status;

	v->dead = !restart;
	v->owed = v->first = v->count = v->sent = 0;
	status = mca->system->kill_vm(vm, restart);
	if (v->kill_spa)
		events_add(mca->events, "vm %s killed: %s (page 0x%" PRIx64 ")", name,
			   reasons[v->kill], v->kill_spa);
	else
		events_add(mca->events, "vm %s killed: %s", name, reasons[v->kill]);
	if (status)
		events_add(mca->events,
			   "vm %s stays frozen: the root-task refused to end it (status %" PRIu64
			   ")",
			   name, status);
	v->kill = MCA_KILL_NONE;
}

void mca_kills_carry_out(struct mca *mca)
{
	for (uint32_t i = 0; i < mca->info->vm_count && i < SYSTEM_VMS; i++)
		if (mca->state->vm[i].kill != MCA_KILL_NONE)
			carry_out(mca, i);
}
