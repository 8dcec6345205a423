/* SPDX-License-Identifier: BSD-2-Clause */
/* Fills in what a server is told when it starts (struct server_info). */
#include <string.h>
#include <cairn/runtime.h>
#include "root.h"

static void fill_vm(struct server_info *info, const struct vm *vm)
{
	info->vm = *vm->desc;
	info->vm_index = vm->index;
	info->vm_label = LABEL_VM(vm->index);
}

static uint32_t first_vcpu(unsigned vm)
{
	uint32_t first = 0;

	for (unsigned i = 0; i < vm; i++)
		first += description->vm[i].vcpus;
	return first;
}

static uint32_t mca_channel(const struct server_info *info, unsigned vm)
{
	for (uint32_t n = 0; n < SERVER_CHANNELS; n++) {
		if (info->channel[n].present && info->channel[n].kind == CHANNEL_MCA &&
		    info->channel[n].vm == vm)
			return n;
	}
	return SYSTEM_NONE;
}

static void fill_ram(struct server_info *info)
{
	uint32_t count = 0;

	for (unsigned i = 0; i < description->vm_count; i++) {
		for (unsigned n = 0; n < vms[i].piece_count && count < SERVER_RAM_PIECES; n++) {
			const struct vm_piece *piece = &vms[i].piece[n];

			info->ram[count++] =
				(struct server_ram){piece->gpa, piece->spa, piece->size, i};
		}
	}
	info->ram_count = count;
}

static void fill_mca(struct server_info *info)
{
	for (unsigned i = 0; i < description->vm_count; i++) {
		const struct desc_vm *vm = &description->vm[i];

		memcpy(info->vms[i].name, vm->name, sizeof(info->vms[i].name));
		info->vms[i].label = LABEL_VM(i);
		info->vms[i].policy = vm->policy;
		info->vms[i].vcpus = vm->vcpus;
		info->vms[i].first_vcpu = first_vcpu(i);
		info->vms[i].channel = mca_channel(info, i);
		info->vms[i].profile = vm->profile;
		/* Last: the mca-server takes it for the sign that its VCpus are new. */
		if (vms[i].server != NULL)
			__atomic_store_n(&info->vms[i].generation, vms[i].server->generation,
					 __ATOMIC_RELEASE);
	}
	fill_ram(info);
}

/* The channels, the payload's place and the granted memory were entered where they were made. */
void info_fill(struct server *server)
{
	struct server_info *info = server->info;
	const struct vm *vm = vm_of(server);

	memcpy(info->name, server->desc->name, sizeof(info->name));
	memcpy(info->args, server->desc->args, sizeof(info->args));
	info->index = server->index;
	info->role = server->desc->role;
	info->generation = server->generation;
	info->cpu = server->cpu;
	info->cpu_count = cpus_running();
	info->thread_count = server->thread_count;
	info->tsc_khz = boot->tsc_khz;
	info->mcg_cap = boot->mcg_cap;
	info->vendor = boot->vendor;
	info->debug = (uint32_t)boot->debug;
	info->mca_flags = description->mca_flags;
	info->vm_count = description->vm_count;
	info->serial_port = serial.port;
	info->serial_divisor = serial.divisor;
	info->serial_line = serial.line;
	info->heap_size = ((uint64_t)server->desc->heap_kib << 10) & ~(PAGE_SIZE_4K - 1);
	info->boot_tsc = cairn_tsc();
	for (unsigned i = 0; i < description->server_count; i++)
		memcpy(info->server_names[i], description->server[i].name,
		       sizeof(info->server_names[i]));
	if (vm != NULL)
		fill_vm(info, vm);
	if (server->desc->role == ROLE_MCA)
		fill_mca(info);
	info->magic = SYSTEM_MAGIC;
}
