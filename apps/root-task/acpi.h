/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the root-task reads of the firmware's ACPI tables (ACPI 6.5, 5.2): which CPUs and which
 * serial port there are, and how the machine is switched off.
 * Pure: each function takes bytes that may say anything, and reads none but these.
 */
#ifndef ROOT_ACPI_H
#define ROOT_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cairn/server.h>

#define ACPI_ROOT_SIZE	 36u /* the most that a root pointer takes */
#define ACPI_HEADER_SIZE 36u
#define ACPI_TABLE_LIMIT 0x40000u /* bytes of a table that is read */
#define ACPI_CPUS	 64u

/* Where the table of tables lies, and whether its entries are 8 bytes (XSDT) or 4 (RSDT). */
struct acpi_root {
	uint64_t address;
	bool wide;
};

/* Local APIC ids of the CPUs that the firmware has enabled, each once, in its order. */
struct acpi_cpus {
	uint32_t count;
	uint32_t left_out; /* enabled ones that found no place in apic_id */
	uint32_t apic_id[ACPI_CPUS];
};

/* The machine's serial port. */
struct acpi_serial {
	uint16_t port;	  /* the first of eight I/O ports */
	uint16_t divisor; /* of 115200 baud; 0: the firmware's speed stays */
	uint32_t line; /* of the I/O APIC, below 16: an edge; SERIAL_NO_LINE: none that can be used
			*/
};

/* Power management, ACPI 6.5, 4.8 and 16.1. */
struct acpi_power {
	uint64_t dsdt;	     /* physical address of the table DSDT */
	uint16_t control[2]; /* I/O ports of PM1a_CNT and PM1b_CNT; 0: there is no second one */
	uint16_t command;    /* I/O port that takes `enable` to leave legacy mode; 0: none */
	uint8_t enable;
	uint8_t type[2]; /* SLP_TYPa and SLP_TYPb of S5, soft off */
};

/* The first root pointer (RSDP) on a 16-byte boundary of `bytes`; false: there is none. */
bool acpi_find_root(const uint8_t *bytes, size_t size, struct acpi_root *root);

/*
 * Those below return NULL, or one clause that says what is wrong ("its checksum is wrong").
 *
 * The root pointer at `bytes`.
 */
const char *acpi_read_root(const uint8_t *bytes, size_t size, struct acpi_root *root);

/* From a table's header: how long the table is, in ACPI_HEADER_SIZE..ACPI_TABLE_LIMIT. */
const char *acpi_table_length(const uint8_t *bytes, size_t size, uint32_t *length);

/* Whether a table has this signature (four characters); only its header is looked at. */
bool acpi_has_signature(const uint8_t *bytes, size_t size, const char *signature);

/* A whole table: signature, length and checksum. */
const char *acpi_check_table(const uint8_t *bytes, size_t size, const char *signature);

/* Number of entries of the checked table of tables, and the physical address in one of them. */
uint32_t acpi_entry_count(size_t size, bool wide);
uint64_t acpi_entry(const uint8_t *bytes, bool wide, uint32_t index);

/* The CPUs of the checked table "APIC" (MADT). */
const char *acpi_read_cpus(const uint8_t *bytes, size_t size, struct acpi_cpus *cpus);

/* The 16550 that the checked table "SPCR" (Microsoft, Serial Port Console Redirection) names. */
const char *acpi_read_serial(const uint8_t *bytes, size_t size, struct acpi_serial *serial);

/* All but `type`, of the checked table "FACP" (FADT). */
const char *acpi_read_power(const uint8_t *bytes, size_t size, struct acpi_power *power);

/* `type`, of the checked table "DSDT": the package \_S5, whose encoding is looked for as it is. */
const char *acpi_read_off(const uint8_t *bytes, size_t size, struct acpi_power *power);

#endif
