/* SPDX-License-Identifier: BSD-2-Clause */
/* The firmware's ACPI tables: found from the root pointer on, and checked. */
#include "root.h"

/* Where a PC's firmware leaves the root pointer (ACPI 6.5, 5.2.5.1). */
#define BIOS_AREA     0xe0000ul
#define BIOS_AREA_END 0x100000ul
#define EBDA_SEGMENT  0x40eul /* its segment: a word in the BIOS data area */
#define EBDA_SEARCHED 1024u
#define LOW_MEMORY    0xa0000ul

#define NOT_THERE "an ACPI table lies in no memory of the firmware"

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

/* What the boot loader passed is the only one under UEFI; a PC's BIOS leaves one where all look. */
static const char *find_root(struct acpi_root *root)
{
	const char *wrong = acpi_read_root(boot->root_pointer, sizeof(boot->root_pointer), root);

	if (wrong == NULL || search_ebda(root) ||
	    search(BIOS_AREA, BIOS_AREA_END - BIOS_AREA, root))
		return NULL;
	return wrong;
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

static bool is_table(uint64_t address, const char *signature)
{
	const uint8_t *table = address != 0 ? physical_map(address, ACPI_HEADER_SIZE) : NULL;

	return table != NULL && acpi_has_signature(table, ACPI_HEADER_SIZE, signature);
}

const char *firmware_table_at(uint64_t address, const char *signature, const uint8_t **table,
			      uint32_t *length)
{
	const char *wrong = map_table(address, table, length);

	return wrong != NULL ? wrong : acpi_check_table(*table, *length, signature);
}

/* A table that is not the one looked for may be anything. */
const char *firmware_table(const char *signature, const uint8_t **table, uint32_t *length)
{
	struct acpi_root root;
	uint32_t count;
	const char *wrong = find_root(&root);

	*length = 0;
	if (wrong == NULL)
		wrong = firmware_table_at(root.address, root.wide ? "XSDT" : "RSDT", table, length);
	if (wrong != NULL)
		return wrong;
	count = acpi_entry_count(*length, root.wide);
	*length = 0;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t address = entry_address(&root, i);

		if (is_table(address, signature))
			return firmware_table_at(address, signature, table, length);
	}
	return NULL;
}
