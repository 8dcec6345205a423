/* SPDX-License-Identifier: BSD-2-Clause */
/* The CPUs of the machine: found in the firmware's ACPI tables, and started before anything is
 * built. */
#include <stdio.h>
#include <string.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/runtime.h>
#include "acpi.h"
#include "root.h"

/* Where a PC's firmware leaves the root pointer (ACPI 6.5, 5.2.5.1). */
#define BIOS_AREA     0xe0000ul
#define BIOS_AREA_END 0x100000ul
#define EBDA_SEGMENT  0x40eul /* its segment: a word in the BIOS data area */
#define EBDA_SEARCHED 1024u
#define LOW_MEMORY    0xa0000ul

#define NOT_THERE "an ACPI table lies in no memory of the firmware"

static uint32_t running = 1;
static uint32_t apic_ids[CPUS];

static bool search(uint64_t address, uint64_t length, struct acpi_root *root)
{
	const uint8_t *bytes = physical_map(address, length);

	return bytes != NULL && acpi_find_root(bytes, length, root);
}

static bool search_ebda(struct acpi_root *root)
{
	const uint8_t *word = physical_map(EBDA_SEGMENT, 2);
	uint64_t address = word != NULL ? ((uint64_t)word[0] | (uint64_t)word[1] << 8) << 4 : 0;

	return address != 0 && address + EBDA_SEARCHED <= LOW_MEMORY &&
	       search(address, EBDA_SEARCHED, root);
}

static const char *find_root(struct acpi_root *root)
{
	const uint8_t *bytes;

	if (boot->rsdp == 0)
		return search_ebda(root) || search(BIOS_AREA, BIOS_AREA_END - BIOS_AREA, root)
			       ? NULL
			       : "there is no ACPI root pointer";
	bytes = physical_map(boot->rsdp, ACPI_ROOT_SIZE);
	return bytes != NULL ? acpi_read_root(bytes, ACPI_ROOT_SIZE, root) : NOT_THERE;
}

/* Maps a whole table, whose length is in its header. */
static const char *map_table(uint64_t address, const uint8_t **table, uint32_t *length)
{
	const char *wrong;

	*table = physical_map(address, ACPI_HEADER_SIZE);
	if (*table == NULL)
		return NOT_THERE;
	wrong = acpi_table_length(*table, ACPI_HEADER_SIZE, length);
	if (wrong != NULL)
		return wrong;
	*table = physical_map(address, *length);
	return *table != NULL ? NULL : NOT_THERE;
}

/* The address in an entry of the table of tables, which is mapped anew each time: one view at once.
 * 0: there is none. */
static uint64_t entry_address(const struct acpi_root *root, uint32_t index)
{
	const uint8_t *table;
	uint32_t length;

	if (map_table(root->address, &table, &length) != NULL ||
	    index >= acpi_entry_count(length, root->wide))
		return 0;
	return acpi_entry(table, root->wide, index);
}

static bool is_madt(uint64_t address)
{
	const uint8_t *table = address != 0 ? physical_map(address, ACPI_HEADER_SIZE) : NULL;

	return table != NULL && acpi_has_signature(table, ACPI_HEADER_SIZE, "APIC");
}

static const char *read_madt(uint64_t address, struct acpi_cpus *cpus)
{
	const uint8_t *table;
	uint32_t length;
	const char *wrong = map_table(address, &table, &length);

	if (wrong == NULL)
		wrong = acpi_check_table(table, length, "APIC");
	return wrong != NULL ? wrong : acpi_read_cpus(table, length, cpus);
}

/* A table that is not the one looked for may be anything. */
static const char *read_tables(const struct acpi_root *root, struct acpi_cpus *cpus)
{
	const uint8_t *table;
	uint32_t length, count;
	const char *wrong = map_table(root->address, &table, &length);

	if (wrong == NULL)
		wrong = acpi_check_table(table, length, root->wide ? "XSDT" : "RSDT");
	if (wrong != NULL)
		return wrong;
	count = acpi_entry_count(length, root->wide);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t address = entry_address(root, i);

		if (is_madt(address))
			return read_madt(address, cpus);
	}
	return "the ACPI tables list no interrupt controllers";
}

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
	struct acpi_root root;
	const char *wrong;

	report_subject("ACPI", "tables");
	apic_ids[0] = boot->apic_id;
	wrong = find_root(&root);
	if (wrong == NULL)
		wrong = read_tables(&root, &found);
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
