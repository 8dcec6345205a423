/* SPDX-License-Identifier: BSD-2-Clause */
/* Names for the log: of spaces by label, of VMs by guest space or by address, of contexts. */
#include <stdio.h>
#include "mca.h"

int mca_vm_of_label(const struct mca *mca, uint32_t label)
{
	for (uint32_t i = 0; i < mca->info->vm_count && i < SYSTEM_VMS; i++)
		if (mca->info->vms[i].label == label)
			return (int)i;
	return -1;
}

const char *mca_space_name(const struct mca *mca, uint32_t label, char buffer[24])
{
	int vm = mca_vm_of_label(mca, label);

	if (vm >= 0)
		return mca->info->vms[vm].name;
	if (label == LABEL_ROOT)
		return "root-task";
	if (label >= LABEL_SERVER(0) && label < LABEL_SERVER(SYSTEM_SERVERS) &&
	    mca->info->server_names[label - LABEL_SERVER(0)][0])
		return mca->info->server_names[label - LABEL_SERVER(0)];
	snprintf(buffer, 24, "label-0x%x", label);
	return buffer;
}

int mca_vm_of_address(const struct mca *mca, uint64_t spa, uint64_t *gpa)
{
	for (uint32_t i = 0; i < mca->info->ram_count && i < SERVER_RAM_PIECES; i++) {
		const struct server_ram *ram = &mca->info->ram[i];

		if (spa - ram->spa < ram->size && ram->vm < mca->info->vm_count) {
			*gpa = ram->gpa + (spa - ram->spa);
			return (int)ram->vm;
		}
	}
	return -1;
}

static const char *const context_names[] = {
	[MCA_CTX_POLL] = "poll",
	[MCA_CTX_GUEST_USER] = "guest-user",
	[MCA_CTX_GUEST_KERNEL] = "guest-kernel",
	[MCA_CTX_KERNEL] = "kernel",
	[MCA_CTX_SERVER] = "server",
	[MCA_CTX_IDLE] = "idle",
	[MCA_CTX_RESET] = "reset",
};

const char *mca_context_name(uint32_t context)
{
	return context < sizeof(context_names) / sizeof(context_names[0]) ? context_names[context]
									  : "unknown";
}
