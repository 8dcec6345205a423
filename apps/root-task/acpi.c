/* SPDX-License-Identifier: BSD-2-Clause */
/* The ACPI tables that the root-task reads. Every length is checked against the bytes at hand
 * before it is used. */
#include <string.h>
#include "acpi.h"

/* Root pointer, ACPI 6.5, table 5.3. */
#define ROOT_SIGNATURE "RSD PTR "
#define ROOT_STEP      16u /* it lies on such a boundary */
#define ROOT_OLD_SIZE  20u /* of revision 0, which its first checksum covers */
#define ROOT_REVISION  15u
#define ROOT_RSDT      16u
#define ROOT_LENGTH    20u
#define ROOT_XSDT      24u

/* Table header, table 5.4. */
#define TABLE_LENGTH 4u

/* MADT, tables 5.19 to 5.21 and 5.34. */
#define MADT_ENTRIES  44u
#define ENTRY_LAPIC   0u
#define LAPIC_SIZE    8u
#define LAPIC_ID      3u
#define LAPIC_FLAGS   4u
#define LAPIC_ID_ALL  0xffu /* the broadcast address, no CPU's id */
#define ENTRY_X2APIC  9u
#define X2APIC_SIZE   16u
#define X2APIC_ID     4u
#define X2APIC_FLAGS  8u
#define X2APIC_ID_ALL 0xffffffffu
#define FLAG_ENABLED  1u /* without it a CPU may be brought online later at best */

/* FADT, table 5.9. */
#define FADT_SIZE      116u /* of its first revision, which has all that is needed */
#define FADT_DSDT      40u
#define FADT_COMMAND   48u
#define FADT_ENABLE    52u
#define FADT_CONTROL_A 64u
#define FADT_CONTROL_B 68u
#define FADT_X_DSDT    140u

/* AML, ACPI 6.5, 20.2. */
#define AML_ZERO    0x00u
#define AML_ONE	    0x01u
#define AML_NAME    0x08u
#define AML_BYTE    0x0au
#define AML_PACKAGE 0x12u
#define S5_NAME	    "_S5_"
#define SLEEP_TYPES 8u /* three bits */

/* SPCR, revision 4. */
#define SPCR_SIZE 80u
#define SPCR_TYPE                                                                                  \
	36u /* 0: a whole 16550, 1: as DBGP has it; 0x12: with its registers as SPCR_SPACE says */
#define SPCR_SPACE                                                                                 \
	40u /* generic address: its space, bits of a register, offset, size of an access, address  \
	     */
#define SPCR_WIDTH	41u
#define SPCR_ADDRESS	44u
#define SPCR_INTERRUPTS 52u /* bit 0: the PC's, in SPCR_IRQ; bit 1: the I/O APIC's, in SPCR_GSI */
#define SPCR_IRQ	53u
#define SPCR_GSI	54u
#define SPCR_SPEED	58u
#define SPACE_IO	1u
#define TYPE_16550_GAS	0x12u
#define INTERRUPT_IRQ	1u
#define INTERRUPT_APIC	2u
#define LINES_ISA	16u /* edges, on the input of the I/O APIC with the same number */
#define LINE_TIMER	0u
#define LINE_CASCADE	2u

static uint32_t read32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t read64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* All bytes that a checksum covers add up to 0. */
static bool sum_is_right(const uint8_t *bytes, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return sum == 0;
}

/* From revision 2 on a second checksum covers all of it, and the XSDT is preferred. */
static const char *read_extended(const uint8_t *bytes, size_t size, struct acpi_root *root)
{
	uint32_t length;

	if (size < ACPI_ROOT_SIZE)
		return "the ACPI root pointer is cut short";
	length = read32(bytes + ROOT_LENGTH);
	if (length < ACPI_ROOT_SIZE || length > size)
		return "the ACPI root pointer's length is out of range";
	if (!sum_is_right(bytes, length))
		return "the ACPI root pointer's extended checksum is wrong";
	if (read64(bytes + ROOT_XSDT) != 0)
		*root = (struct acpi_root){read64(bytes + ROOT_XSDT), true};
	return NULL;
}

const char *acpi_read_root(const uint8_t *bytes, size_t size, struct acpi_root *root)
{
	const char *wrong = NULL;

	if (size < ROOT_OLD_SIZE || memcmp(bytes, ROOT_SIGNATURE, strlen(ROOT_SIGNATURE)) != 0)
		return "there is no ACPI root pointer";
	if (!sum_is_right(bytes, ROOT_OLD_SIZE))
		return "the ACPI root pointer's checksum is wrong";
	*root = (struct acpi_root){read32(bytes + ROOT_RSDT), false};
	if (bytes[ROOT_REVISION] >= 2)
		wrong = read_extended(bytes, size, root);
	if (wrong == NULL && root->address == 0)
		wrong = "the ACPI root pointer points nowhere";
	return wrong;
}

bool acpi_find_root(const uint8_t *bytes, size_t size, struct acpi_root *root)
{
	for (size_t at = 0; at < size; at += ROOT_STEP) {
		if (acpi_read_root(bytes + at, size - at, root) == NULL)
			return true;
	}
	return false;
}

const char *acpi_table_length(const uint8_t *bytes, size_t size, uint32_t *length)
{
	if (size < ACPI_HEADER_SIZE)
		return "an ACPI table is cut short";
	*length = read32(bytes + TABLE_LENGTH);
	if (*length < ACPI_HEADER_SIZE)
		return "an ACPI table is shorter than its header";
	return *length <= ACPI_TABLE_LIMIT ? NULL : "an ACPI table is too long";
}

bool acpi_has_signature(const uint8_t *bytes, size_t size, const char *signature)
{
	return size >= ACPI_HEADER_SIZE && memcmp(bytes, signature, 4) == 0;
}

const char *acpi_check_table(const uint8_t *bytes, size_t size, const char *signature)
{
	uint32_t length;
	const char *wrong = acpi_table_length(bytes, size, &length);

	if (wrong != NULL)
		return wrong;
	if (!acpi_has_signature(bytes, size, signature))
		return "an ACPI table has another signature than it should";
	if (length != size)
		return "an ACPI table is cut short";
	return sum_is_right(bytes, size) ? NULL : "an ACPI table's checksum is wrong";
}

static size_t entry_size(bool wide)
{
	return wide ? sizeof(uint64_t) : sizeof(uint32_t);
}

uint32_t acpi_entry_count(size_t size, bool wide)
{
	return (uint32_t)((size - ACPI_HEADER_SIZE) / entry_size(wide));
}

uint64_t acpi_entry(const uint8_t *bytes, bool wide, uint32_t index)
{
	const uint8_t *at = bytes + ACPI_HEADER_SIZE + index * entry_size(wide);

	return wide ? read64(at) : read32(at);
}

/* A CPU may be listed twice, as local APIC and as local x2APIC. */
static void add_cpu(struct acpi_cpus *cpus, uint32_t apic_id)
{
	for (uint32_t i = 0; i < cpus->count; i++) {
		if (cpus->apic_id[i] == apic_id)
			return;
	}
	if (cpus->count < ACPI_CPUS)
		cpus->apic_id[cpus->count++] = apic_id;
	else
		cpus->left_out++;
}

/* `size` bytes from `entry` on are the entry's. */
static const char *read_entry(const uint8_t *entry, size_t size, struct acpi_cpus *cpus)
{
	uint8_t type = entry[0];

	if (type == ENTRY_LAPIC) {
		if (size < LAPIC_SIZE)
			return "an ACPI local APIC entry is too short";
		if ((read32(entry + LAPIC_FLAGS) & FLAG_ENABLED) != 0 &&
		    entry[LAPIC_ID] != LAPIC_ID_ALL)
			add_cpu(cpus, entry[LAPIC_ID]);
	} else if (type == ENTRY_X2APIC) {
		if (size < X2APIC_SIZE)
			return "an ACPI local x2APIC entry is too short";
		if ((read32(entry + X2APIC_FLAGS) & FLAG_ENABLED) != 0 &&
		    read32(entry + X2APIC_ID) != X2APIC_ID_ALL)
			add_cpu(cpus, read32(entry + X2APIC_ID));
	}
	return NULL;
}

const char *acpi_read_cpus(const uint8_t *bytes, size_t size, struct acpi_cpus *cpus)
{
	size_t at = MADT_ENTRIES;
	const char *wrong = NULL;

	*cpus = (struct acpi_cpus){0};
	if (size < MADT_ENTRIES)
		return "the ACPI table of interrupt controllers is cut short";
	while (at < size && wrong == NULL) {
		size_t length = size - at >= 2 ? bytes[at + 1] : 0;

		if (length < 2 || length > size - at)
			return "an entry of the ACPI table of interrupt controllers has a wrong "
			       "length";
		wrong = read_entry(bytes + at, length, cpus);
		at += length;
	}
	return wrong;
}

/* Others than a PC's own lines are levels or rerouted: the port is then looked at now and then. */
static uint32_t serial_line(const uint8_t *bytes)
{
	uint32_t line = SERIAL_NO_LINE;

	if ((bytes[SPCR_INTERRUPTS] & INTERRUPT_IRQ) != 0)
		line = bytes[SPCR_IRQ];
	else if ((bytes[SPCR_INTERRUPTS] & INTERRUPT_APIC) != 0)
		line = read32(bytes + SPCR_GSI);
	return line < LINES_ISA && line != LINE_TIMER && line != LINE_CASCADE ? line
									      : SERIAL_NO_LINE;
}

/* The table's code of a speed as divisor of 115200; a code it does not have leaves the speed alone.
 */
static uint16_t serial_divisor(uint8_t code)
{
	static const uint8_t divisors[] = {[3] = 12, [4] = 6, [6] = 2, [7] = 1};

	return code < sizeof(divisors) ? divisors[code] : 0;
}

const char *acpi_read_serial(const uint8_t *bytes, size_t size, struct acpi_serial *serial)
{
	uint64_t address;

	if (size < SPCR_SIZE)
		return "the ACPI table SPCR is cut short";
	address = read64(bytes + SPCR_ADDRESS);
	if (bytes[SPCR_TYPE] > 1 && bytes[SPCR_TYPE] != TYPE_16550_GAS)
		return "the ACPI table SPCR names a port that is no 16550";
	if (address == 0)
		return "the ACPI table SPCR says that the console is off";
	if (bytes[SPCR_WIDTH] > 8)
		return "the ACPI table SPCR names a port with wide registers, which this system "
		       "does not use";
	if (bytes[SPCR_SPACE] != SPACE_IO)
		return "the ACPI table SPCR names a port in memory, which this system does not use";
	if (address % 8 != 0 || address > 0xfff8)
		return "the ACPI table SPCR names no place for a 16550";
	*serial = (struct acpi_serial){(uint16_t)address, serial_divisor(bytes[SPCR_SPEED]),
				       serial_line(bytes)};
	return NULL;
}

const char *acpi_read_power(const uint8_t *bytes, size_t size, struct acpi_power *power)
{
	uint32_t command, a, b;

	if (size < FADT_SIZE)
		return "the ACPI table FACP is cut short";
	command = read32(bytes + FADT_COMMAND);
	a = read32(bytes + FADT_CONTROL_A);
	b = read32(bytes + FADT_CONTROL_B);
	if (a == 0 || a > 0xfffe || b > 0xfffe || command > 0xffff)
		return "the ACPI table FACP names no I/O ports for power management";
	*power = (struct acpi_power){.dsdt = read32(bytes + FADT_DSDT),
				     .control = {(uint16_t)a, (uint16_t)b},
				     .command = (uint16_t)command,
				     .enable = bytes[FADT_ENABLE]};
	if (size >= FADT_X_DSDT + 8 && read64(bytes + FADT_X_DSDT) != 0)
		power->dsdt = read64(bytes + FADT_X_DSDT);
	return power->dsdt != 0 ? NULL : "the ACPI table FACP names no table DSDT";
}

/* The small number at *at, which moves behind it. */
static bool read_number(const uint8_t *bytes, size_t size, size_t *at, uint8_t *value)
{
	if (*at < size && (bytes[*at] == AML_ZERO || bytes[*at] == AML_ONE)) {
		*value = bytes[(*at)++];
		return true;
	}
	if (*at + 1 >= size || bytes[*at] != AML_BYTE)
		return false;
	*value = bytes[*at + 1];
	*at += 2;
	return true;
}

/* The package at `at`: opcode, length in 1 to 4 bytes, number of elements, elements. */
static bool read_package(const uint8_t *bytes, size_t size, size_t at, uint8_t type[2])
{
	if (at + 1 >= size || bytes[at] != AML_PACKAGE)
		return false;
	at += 2 + (bytes[at + 1] >> 6);
	if (at >= size || bytes[at] < 1)
		return false;
	type[1] = 0;
	return (bytes[at++] < 2 ? read_number(bytes, size, &at, &type[0])
				: read_number(bytes, size, &at, &type[0]) &&
					  read_number(bytes, size, &at, &type[1])) &&
	       type[0] < SLEEP_TYPES && type[1] < SLEEP_TYPES;
}

const char *acpi_read_off(const uint8_t *bytes, size_t size, struct acpi_power *power)
{
	size_t length = strlen(S5_NAME);

	for (size_t at = ACPI_HEADER_SIZE; at + 2 + length < size; at++) {
		size_t name = at + 1 + (bytes[at + 1] == '\\');

		if (bytes[at] == AML_NAME && memcmp(bytes + name, S5_NAME, length) == 0 &&
		    read_package(bytes, size, name + length, power->type))
			return NULL;
	}
	return "the ACPI table DSDT does not say how the machine is switched off";
}
