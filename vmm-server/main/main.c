/* SPDX-License-Identifier: BSD-2-Clause */
/* Start of a vmm-server: reads its description, loads the payload, makes the exit portals, starts
 * the vCPUs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cairn/boot.h>
#include <cairn/byte_ring.h>
#include <cairn/guestmem.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include "dispatch/exit.h"
#include "main/control.h"
#include "main/vm.h"

#define EXCEPTIONS_OPTION "exceptions="

struct vm vm;

static bool add_memory(uint64_t gpa, uint64_t size)
{
	return size == 0 || guestmem_add_region(gpa, size, (void *)(SERVER_GUEST_VA + gpa)) == 0;
}

/* NULL or one clause that says why this VM cannot be. */
static const char *check_description(const struct server_info *info)
{
	if (info->magic != SYSTEM_MAGIC || info->role != ROLE_VMM)
		return "its start-up page does not describe a vmm-server";
	if (info->vm.vcpus == 0 || info->vm.vcpus > VM_VCPUS)
		return "it must have 1 to 7 vCPUs";
	if (info->thread_count < info->vm.vcpus + 1)
		return "its server needs one handler thread for each vCPU";
	return NULL;
}

static const char *load_payload(void)
{
	const struct server_info *info = vm.info;
	const struct boot_payload payload = {
		.kernel = (const uint8_t *)(SERVER_PAYLOAD_VA + info->kernel_offset),
		.kernel_size = info->kernel_size,
		.initrd = (const uint8_t *)(SERVER_PAYLOAD_VA + info->initrd_offset),
		.initrd_size = info->initrd_size,
		.cmdline = info->vm.cmdline,
		.memory = info->vm.memory,
		.tsc_khz = info->tsc_khz,
		.vcpus = vm.vcpus,
	};

	if (!add_memory(0, vm.low) || !add_memory(GUEST_HIGH_BASE, vm.high))
		return "its memory cannot be registered";
	return info->vm.payload == PAYLOAD_ELF ? boot_elf(&payload, &vm.entry)
					       : boot_linux(&payload, &vm.entry);
}

static void init_vcpu(unsigned index)
{
	static struct cpuid_host host;
	struct vcpu *v = &vm.vcpu[index];
	struct cpuid_config config = {.vcpus = vm.vcpus, .vcpu = index, .amd_profile = vm.amd};

	if (index == 0)
		cpuid_read_host(&host);
	v->index = index;
	v->state = (struct vcpu_state *)(SERVER_STATE_VA + index * PAGE_SIZE_4K);
	v->wait_for_sipi = index != 0;
	lapic_reset(&v->lapic, (uint8_t)index, index == 0);
	vmce_reset(&v->vmce, vm.amd, vm.vcpus > 1);
	cpuid_build(&host, &config, &v->cpuid);
}

static void init_vm(const struct server_info *info)
{
	uint32_t profile = info->vm.profile;

	vm.info = info;
	vm.vcpus = info->vm.vcpus;
	vm.low = info->vm.memory < GUEST_LOW_LIMIT ? info->vm.memory : GUEST_LOW_LIMIT;
	vm.ram = (const uint8_t *)SERVER_GUEST_VA;
	vm.high = info->vm.memory - vm.low;
	vm.amd = profile == PROFILE_AMD || (profile == PROFILE_HOST && info->vendor == VENDOR_AMD);
	vm.tty_channel = cairn_find_channel(CHANNEL_TTY, SYSTEM_NONE, 0);
	vm.mca_channel = cairn_find_channel(CHANNEL_MCA, SYSTEM_NONE, 0);
	uart_reset(&vm.uart, vm.tty_channel < 0 ? NULL : cairn_channel((unsigned)vm.tty_channel));
	ioapic_reset(&vm.ioapic);
	legacy_reset(&vm.legacy, info->tsc_khz, cairn_tsc());
	for (unsigned i = 0; i < vm.vcpus; i++)
		init_vcpu(i);
}

static cairn_status_t make_portals(unsigned index)
{
	cairn_status_t status = cairn_handler_setup(index + 1, exit_entry);

	for (unsigned class = 0; class < EXIT_CLASSES && status == CAIRN_OK; class ++)
		status = cairn_portal_create(SEL_THREAD + 1 + index, SEL_CAPTABLE,
					     SEL_EXIT + EXIT_CLASSES * index + class, index,
					     exit_groups[class]);
	return status;
}

static cairn_status_t start_vcpus(void)
{
	cairn_status_t status = CAIRN_OK;

	for (unsigned i = 0; i < vm.vcpus && status == CAIRN_OK; i++)
		status = make_portals(i);
	for (unsigned i = 0; i < vm.vcpus && status == CAIRN_OK; i++)
		status = cairn_resume(SEL_VCPU + i);
	return status;
}

/* exceptions=0xMASK: intercept these and reflect them (for tests of the reflector). */
static void read_options(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], EXCEPTIONS_OPTION, strlen(EXCEPTIONS_OPTION)) == 0)
			vm.exceptions =
				(uint32_t)strtoul(argv[i] + strlen(EXCEPTIONS_OPTION), NULL, 0);
		else
			cairn_log("unknown option '%s': ignored", argv[i]);
	}
}

/* The user looks at the VM's terminal, so what keeps the VM from starting is said there, too. */
static _Noreturn void give_up(const char *name, const char *what, const char *why)
{
	char text[256];
	int length = snprintf(text, sizeof(text), "VM %.16s cannot start: %s: %s", name, what, why);

	cairn_log("%s", text);
	if (vm.uart.tty != NULL && length > 0 && length < (int)sizeof(text)) {
		(void)byte_ring_write(&vm.uart.tty->out, text, (uint32_t)length);
		(void)byte_ring_write(&vm.uart.tty->out, "\r\n", 2);
	}
	control_give_up();
}

int main(int argc, char **argv)
{
	const struct server_info *info = cairn_info();
	const char *wrong = check_description(info);
	cairn_status_t status;

	if (wrong != NULL)
		give_up(info->vm.name, "its description is refused", wrong);
	init_vm(info);
	read_options(argc, argv);
	wrong = load_payload();
	if (wrong != NULL)
		give_up(info->vm.name, "its payload cannot be loaded", wrong);
	status = start_vcpus();
	if (status != CAIRN_OK)
		give_up(info->vm.name, "a hypercall failed", cairn_status_name(status));
	cairn_log("VM %s: started, %llu MiB, %u vCPU, machine checks as %s", info->vm.name,
		  (unsigned long long)info->vm.memory >> 20, vm.vcpus, vm.amd ? "AMD" : "Intel");
	control_run();
}
