/* SPDX-License-Identifier: BSD-2-Clause */
/* The root-task: builds everything from the system description, then only supervises. */
#include <string.h>
#include <cairn/hooks.h>
#include <cairn/log.h>
#include "output.h"
#include "root.h"

#define HEAP_BYTES   (64 * 1024)
#define BUILD_FAILED 2 /* the system's exit value */

const struct boot_info *const boot = (const struct boot_info *)ROOT_INFO_VA;
const struct image_header *const image = (const struct image_header *)ROOT_IMAGE_VA;
const struct system_description *description;
struct domain root_domain = {.owner = OWNER_ROOT};
struct space root_space;

static unsigned char heap[HEAP_BYTES] __attribute__((aligned(4096)));

/* Only an assertion or abort() ends this program: then nobody supervises any more. */
static void end(int status)
{
	finish((unsigned)status & 0xff, "the root-task ended with status %d", status);
}

const struct cairn_hooks cairn_hooks = {
	.log_line = output_line,
	.end = end,
	.heap = heap,
	.heap_size = sizeof(heap),
};

static const char *check_server(const struct desc_server *server,
				const struct system_description *system)
{
	if (memchr(server->name, 0, sizeof(server->name)) == NULL ||
	    memchr(server->args, 0, sizeof(server->args)) == NULL)
		return "a server's name or arguments have no end";
	if (server->role > ROLE_VMM || server->priority == 0 || server->priority > 63 ||
	    server->ceiling > 63)
		return "a server's role, priority or ceiling is unknown";
	if (server->role == ROLE_VMM && server->vm >= system->vm_count)
		return "a vmm-server's VM does not exist";
	if (server->role == ROLE_VMM && server->cpu != system->vm[server->vm].cpu)
		return "a vmm-server is not on its VM's CPU";
	return NULL;
}

/* The composer checked it; this checks that it is what the composer wrote, for this version of the
 * layout. */
static const char *check(const struct system_description *system, uint64_t size)
{
	const char *wrong = NULL;

	if (size < sizeof(*system) || system->magic != SYSTEM_MAGIC ||
	    system->version != SYSTEM_VERSION)
		return "it is not of the version this root-task knows";
	if (system->server_count > SYSTEM_SERVERS || system->vm_count > SYSTEM_VMS)
		return "it has too many servers or VMs";
	for (uint32_t i = 0; i < system->server_count && wrong == NULL; i++)
		wrong = check_server(&system->server[i], system);
	for (uint32_t i = 0; i < system->vm_count && wrong == NULL; i++) {
		if (memchr(system->vm[i].name, 0, sizeof(system->vm[i].name)) == NULL)
			wrong = "a VM's name has no end";
	}
	return wrong;
}

static bool open_description(void)
{
	for (uint32_t i = 0; i < image->module_count; i++) {
		uint64_t size = 0;
		const struct system_description *system = image_module(i, &size);
		const char *wrong;

		if (strncmp(image->module[i].name, "system", sizeof(image->module[i].name)) != 0)
			continue;
		wrong = check(system, size);
		if (wrong != NULL) {
			cairn_log("the system description cannot be used: %s", wrong);
			return false;
		}
		description = system;
		return true;
	}
	return report_text("the image has no system description");
}

int main(void)
{
	space_adopt(&root_space, &root_domain, ROOT_SPACE);
	if (!slots_init() || !memory_init() || !image_open() || !open_description())
		finish(BUILD_FAILED, "the boot image cannot be used");
	serial_find();
	cairn_log("%lu MiB of memory, %s build", (unsigned long)(boot->memory_size >> 20),
		  boot->debug ? "debug" : "release");
	if (boot->no_guests)
		finish(BUILD_FAILED, "this machine cannot run it");
	power_find();
	cpus_start();
	cairn_log("system %s: %u server(s), %u VM(s)", description->name, description->server_count,
		  description->vm_count);
	if (!supervisor_start() || !build_all())
		finish(BUILD_FAILED, "the system could not be built");
	supervise();
}
