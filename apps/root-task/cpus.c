/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPUs of the machine: found in the firmware's ACPI tables, and started before anything is
 * built. */
#include <stdio.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/runtime.h>
#include "root.h"

static uint32_t running = 1;
static uint32_t apic_ids[CPUS];

static void start(uint32_t apic_id)
{
	uint64_t index = 0;
	cairn_status_t status = cairn_cpu_start(ROOT_CPUS, apic_id, &index);

	if (status == CAIRN_OK && index == running)
		apic_ids[running++] = apic_id;
	else if (status == CAIRN_ERR_CPU)
		cairn_log("the CPU with APIC id %u does not answer: it is left out", apic_id);
	else
		cairn_log("the CPU with APIC id %u cannot be started (%s): it is left out", apic_id,
			  cairn_status_name(status));
}

static void log_cpus(void)
{
	char line[CAIRN_LOG_LINE];
	size_t length = (size_t)snprintf(line, sizeof(line), "%u CPU(s): APIC ids", running);

	for (uint32_t i = 0; i < running && length < sizeof(line); i++)
		length +=
			(size_t)snprintf(line + length, sizeof(line) - length, " %u", apic_ids[i]);
	cairn_log("%s", line);
}

void cpus_start(void)
{
	static struct acpi_cpus found;
	const uint8_t *table;
	uint32_t length;
	const char *wrong;

	report_subject("ACPI", "tables");
	apic_ids[0] = boot->apic_id;
	wrong = firmware_table("APIC", &table, &length);
	if (wrong == NULL)
		wrong = length != 0 ? acpi_read_cpus(table, length, &found)
				    : "the ACPI tables list no interrupt controllers";
	physical_unmap();
	if (wrong != NULL) {
		cairn_log("%s: only the boot CPU is used", wrong);
		found.count = 0;
	}
	if (found.left_out != 0)
		cairn_log("%u CPU(s) more than %u are left out", found.left_out, ACPI_CPUS);
	for (uint32_t i = 0; i < found.count; i++) {
		if (found.apic_id[i] != boot->apic_id && running < description->start_cpus)
			start(found.apic_id[i]);
	}
	log_cpus();
	report_subject("system", "");
}

uint32_t cpus_running(void)
{
	return running;
}

uint32_t cpu_of(uint32_t wanted)
{
	return wanted % running;
}
