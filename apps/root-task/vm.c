/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds a VM: guest space, RAM mapped in the guest and in its vmm-server, VCpus and their state
 * pages, payload. */
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/types.h>
#include "root.h"

/* RAM lies below 3 GiB and from 4 GiB on: between are the devices. */
#define LOW_RAM	 0xc0000000ul
#define HIGH_RAM 0x100000000ul

#define EXITS 16u

struct vm vms[SYSTEM_VMS];

struct vm *vm_of(const struct server *server)
{
	return server->desc->role == ROLE_VMM ? &vms[server->desc->vm] : NULL;
}

/* Appends 2 MiB of RAM to the list of contiguous pieces. */
static bool note_piece(struct vm *vm, uint64_t gpa, uint64_t spa)
{
	struct vm_piece *last = vm->piece_count != 0 ? &vm->piece[vm->piece_count - 1] : NULL;

	if (last != NULL && last->gpa + last->size == gpa && last->spa + last->size == spa) {
		last->size += PAGE_SIZE_2M;
		return true;
	}
	if (vm->piece_count == VM_PIECES)
		return report_text("its memory would lie in too many pieces");
	vm->piece[vm->piece_count++] = (struct vm_piece){gpa, spa, PAGE_SIZE_2M};
	return true;
}

/* Each mapping has a capability of its own, so that each can be found and taken away. */
static bool build_ram(struct vm *vm, uint64_t gpa)
{
	struct server *server = vm->server;
	uint64_t spa = 0;
	uint32_t frame = domain_make_large_frame(&server->domain, &spa);
	uint32_t copy = frame != 0 ? slot_take(&server->domain, false) : 0;

	return copy != 0 && note_piece(vm, gpa, spa) &&
	       report(cairn_copy(frame, ROOT_CAPTABLE, copy, RIGHT_READ | RIGHT_WRITE, 0),
		      "share the guest's memory") &&
	       space_map_large(&vm->space, frame, gpa, RIGHT_READ | RIGHT_WRITE | RIGHT_EXEC) &&
	       space_map_large(&server->space, copy, SERVER_GUEST_VA + gpa,
			       RIGHT_READ | RIGHT_WRITE);
}

static bool build_memory(struct vm *vm)
{
	vm->piece_count = 0;
	cairn_log("vm %s: on CPU %u", vm->desc->name, vm->server->cpu);
	for (uint64_t at = 0; at < vm->desc->memory; at += PAGE_SIZE_2M) {
		if (!build_ram(vm, at < LOW_RAM ? at : at - LOW_RAM + HIGH_RAM))
			return false;
	}
	for (unsigned i = 0; i < vm->piece_count; i++) {
		const struct vm_piece *piece = &vm->piece[i];

		cairn_log("vm %s: guest-physical 0x%lx..0x%lx at system-physical 0x%lx",
			  vm->desc->name, piece->gpa, piece->gpa + piece->size, piece->spa);
	}
	return true;
}

static bool build_vcpu(struct vm *vm, unsigned n)
{
	struct server *server = vm->server;
	struct vcpu_config *config = (struct vcpu_config *)ROOT_BUFFER_VA;
	uint32_t state =
		domain_make(&server->domain, CAP_FRAME, PAGE_BITS_4K, 0, "make a state page");

	if (state == 0 || !space_map(&server->space, state, SERVER_STATE_VA + n * PAGE_SIZE_4K,
				     RIGHT_READ | RIGHT_WRITE))
		return false;
	vm->vcpu[n] = domain_make(&server->domain, CAP_VCPU, 0, 0, "make a VCpu");
	if (vm->vcpu[n] == 0)
		return false;
	memset(config, 0, sizeof(*config));
	config->guest_root = vm->space.root;
	config->home = server->space.root;
	config->captable = server->table;
	config->exit_base = SEL_EXIT + EXITS * n;
	config->state = state;
	config->cpu = server->cpu;
	config->priority = vm->desc->priority;
	config->budget_us = vm->desc->budget_us;
	config->period_us = vm->desc->period_us;
	return report(cairn_vcpu_configure(vm->vcpu[n]), "set up a VCpu") &&
	       report(cairn_copy(vm->vcpu[n], server->table, SEL_VCPU + n,
				 RIGHT_CONTROL | RIGHT_SIGNAL, 0),
		      "give it a VCpu");
}

static bool map_payload(struct vm *vm)
{
	struct server_info *info = vm->server->info;
	uint64_t used = 0, size = 0;

	if (image_module(vm->desc->kernel_module, &size) == NULL)
		return report_text("its kernel is not in the image");
	info->kernel_size = size;
	if (!image_map_module(vm->server, vm->desc->kernel_module, &used, &info->kernel_offset))
		return false;
	if (vm->desc->initrd_module == SYSTEM_NONE)
		return true;
	if (image_module(vm->desc->initrd_module, &size) == NULL)
		return report_text("its initrd is not in the image");
	info->initrd_size = size;
	return image_map_module(vm->server, vm->desc->initrd_module, &used, &info->initrd_offset);
}

bool vm_build(struct vm *vm)
{
	report_subject("vm", vm->desc->name);
	if (vm->desc->vcpus == 0 || vm->desc->vcpus > VM_VCPUS)
		return report_text("it has more vCPUs than a vmm-server can serve");
	if (vm->desc->memory == 0 || vm->desc->memory % PAGE_SIZE_2M != 0)
		return report_text("its memory is not a multiple of 2 MiB");
	if (!space_create(&vm->space, &vm->server->domain, PT_GUEST, LABEL_VM(vm->index)) ||
	    !build_memory(vm) || !map_payload(vm))
		return false;
	for (unsigned n = 0; n < vm->desc->vcpus; n++) {
		if (!build_vcpu(vm, n))
			return false;
	}
	vm->stopped = false;
	return true;
}

void vm_suspend(struct vm *vm)
{
	for (unsigned n = 0; n < vm->desc->vcpus; n++) {
		cairn_status_t status = cairn_suspend(vm->vcpu[n]);

		if (status != CAIRN_OK && status != CAIRN_ERR_STATE)
			report(status, "suspend a VCpu");
	}
}
