/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds the whole system from its description, and a VM anew when it is to be reset. */
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/types.h>
#include "root.h"

#define PRIORITY_LIMIT 64u

/* The order in which servers start. */
static const enum server_role start_order[] = {ROLE_CONSOLE, ROLE_MCA, ROLE_APP, ROLE_VMM};

static uint32_t first_vcpu(const struct vm *vm)
{
	uint32_t first = 0;

	for (unsigned i = 0; i < vm->index; i++)
		first += description->vm[i].vcpus;
	return first;
}

bool introduce_to_mca(struct vm *vm)
{
	for (unsigned i = 0; i < description->server_count; i++) {
		struct server *server = &servers[i];

		if (server->desc->role != ROLE_MCA || server->state == SERVER_ABSENT)
			continue;
		for (unsigned n = 0; n < vm->desc->vcpus; n++) {
			if (!report(cairn_copy(vm->vcpu[n], server->table,
					       SEL_VCPU + first_vcpu(vm) + n, RIGHT_GRANT, 0),
				    "let the mca-server thaw it"))
				return false;
		}
		info_fill(server);
	}
	return true;
}

static bool build_server(unsigned i)
{
	struct server *server = &servers[i];
	struct vm *vm;

	if (!server_build(server))
		return false;
	vm = vm_of(server);
	if (vm != NULL) {
		vm->server = server;
		if (!vm_build(vm))
			return false;
	}
	return channels_connect(server);
}

static bool start_role(enum server_role role)
{
	for (uint32_t priority = PRIORITY_LIMIT; priority-- > 0;) {
		for (unsigned i = 0; i < description->server_count; i++) {
			struct server *server = &servers[i];

			if (server->desc->role == role && server->desc->priority == priority &&
			    !server_start(server))
				return false;
		}
	}
	return true;
}

static bool start_all(void)
{
	for (unsigned i = 0; i < sizeof(start_order) / sizeof(start_order[0]); i++) {
		if (!start_role(start_order[i]))
			return false;
		if (start_order[i] == ROLE_CONSOLE)
			channels_use_console();
	}
	return true;
}

bool build_all(void)
{
	for (unsigned i = 0; i < description->vm_count; i++)
		vms[i] = (struct vm){.desc = &description->vm[i], .index = i};
	for (unsigned i = 0; i < description->server_count; i++)
		servers[i] = (struct server){.desc = &description->server[i],
					     .index = i,
					     .cpu = cpu_of(description->server[i].cpu)};
	if (!channels_plan())
		return false;
	for (unsigned i = 0; i < description->server_count; i++) {
		if (!build_server(i))
			return false;
	}
	for (unsigned i = 0; i < description->server_count; i++)
		info_fill(&servers[i]);
	for (unsigned i = 0; i < description->vm_count; i++) {
		if (!introduce_to_mca(&vms[i]))
			return false;
	}
	memory_log_free();
	memory_running();
	return start_all();
}

bool rebuild_vm(struct vm *vm)
{
	struct server *server = vm->server;

	cairn_log("vm %s: is built anew", vm->desc->name);
	vm_suspend(vm);
	server_suspend(server);
	if (!server_destroy(server))
		return false;
	channels_clear(server);
	server->generation++;
	if (!build_server(server->index))
		return false;
	info_fill(server);
	return introduce_to_mca(vm) && server_start(server);
}
