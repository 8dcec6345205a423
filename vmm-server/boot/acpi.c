/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds RSDP, XSDT, FADT, MADT and DSDT (ACPI 6.4, chapter 5). */
#include <string.h>
#include "boot/acpi.h"
#include "dev/ioapic.h"
#include "dev/lapic.h"
#include "dev/legacy.h"
#include "dev/uart.h"

#define RSDP_OFFSET 0x000u
#define XSDT_OFFSET 0x040u
#define FADT_OFFSET 0x100u
#define DSDT_OFFSET 0x300u
#define MADT_OFFSET 0x400u

#define FADT_WBINVD	     (1u << 0)
#define FADT_PROC_C1	     (1u << 2)
#define FADT_RESET_SUPPORTED (1u << 10)
#define FADT_HW_REDUCED	     (1u << 20)
#define BOOT_ARCH_NO_VGA     (1u << 2)
#define GAS_IO		     1u

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct rsdp) == 36, "ACPI 5.2.5.3");

struct sdt_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct sdt_header) == 36, "ACPI 5.2.6");

struct generic_address {
	uint8_t space, bits, offset, access;
	uint64_t address;
} __attribute__((packed));

struct fadt {
	struct sdt_header header;
	uint32_t facs, dsdt;
	uint8_t reserved0, profile;
	uint16_t sci;
	uint8_t fixed_hardware[60]; /* ports and lengths of the PM registers: none in
				       hardware-reduced mode */
	uint8_t century;
	uint16_t boot_arch;
	uint8_t reserved1;
	uint32_t flags;
	struct generic_address reset_register;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_facs, x_dsdt;
	struct generic_address pm_blocks[8];
	struct generic_address sleep_control, sleep_status;
	uint64_t hypervisor;
} __attribute__((packed));
_Static_assert(offsetof(struct fadt, century) == 108, "ACPI 5.2.9");
_Static_assert(offsetof(struct fadt, flags) == 112, "ACPI 5.2.9");
_Static_assert(sizeof(struct fadt) == 276, "ACPI 5.2.9");

struct madt_lapic {
	uint8_t type, length, processor, apic_id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} __attribute__((packed));

/*
 * Scope (\) { Name (_S5, Package () { 5, 0, 0, 0 }) }
 * Scope (\_SB) { Device (COM1) { Name (_HID, EisaId ("PNP0501"))  Name (_UID, 1)  Name (_CRS,
 * ResourceTemplate () { IO (Decode16, 0x3f8, 0x3f8, 1, 8)  Interrupt (ResourceConsumer, Edge,
 * ActiveHigh, Exclusive) { 4 } }) } } The device is needed: without it Linux gives its interrupt no
 * number, as there is no PIC.
 */
/* clang-format off */
static const uint8_t dsdt_aml[] = {
	0x08, '_', 'S', '5', '_', 0x12, 0x07, 0x04, 0x0a, ACPI_S5_TYPE, 0x00, 0x00, 0x00,
	0x10, 0x38, '_', 'S', 'B', '_',                  /* Scope, length 56 */
	0x5b, 0x82, 0x31, 'C', 'O', 'M', '1',            /* Device, length 49 */
	0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x05, 0x01,
	0x08, '_', 'U', 'I', 'D', 0x01,
	0x08, '_', 'C', 'R', 'S', 0x11, 0x16, 0x0a, 0x13, /* Buffer, length 22, of 19 bytes */
	0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08,  /* IO */
	0x89, 0x06, 0x00, 0x03, 0x01, UART_IRQ, 0x00, 0x00, 0x00, /* extended interrupt: consumer, edge */
	0x79, 0x00,                                      /* end tag */
};
/* clang-format on */
_Static_assert(sizeof(dsdt_aml) == 13 + 1 + 56, "length of the scope");

static uint8_t checksum(const void *table, size_t length)
{
	const uint8_t *bytes = table;
	uint8_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

static void seal(uint8_t *table, const char *signature, size_t length, uint8_t revision)
{
	struct sdt_header header = {
		.length = (uint32_t)length,
		.revision = revision,
		.oem_id = {'C', 'A', 'I', 'R', 'N', ' '},
		.oem_table_id = {'C', 'A', 'I', 'R', 'N', 'V', 'M', ' '},
		.oem_revision = 1,
		.creator_id = {'C', 'A', 'R', 'N'},
		.creator_revision = 1,
	};

	memcpy(header.signature, signature, sizeof(header.signature));
	memcpy(table, &header, sizeof(header));
	header.checksum = checksum(table, length);
	memcpy(table, &header, sizeof(header));
}

static void build_rsdp(uint8_t *at)
{
	struct rsdp rsdp = {
		.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
		.oem_id = {'C', 'A', 'I', 'R', 'N', ' '},
		.revision = 2,
		.length = sizeof(rsdp),
		.xsdt = ACPI_BASE + XSDT_OFFSET,
	};

	rsdp.checksum = checksum(&rsdp, 20);
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(at, &rsdp, sizeof(rsdp));
}

static void build_xsdt(uint8_t *at)
{
	const uint64_t tables[] = {ACPI_BASE + FADT_OFFSET, ACPI_BASE + MADT_OFFSET};

	memcpy(at + sizeof(struct sdt_header), tables, sizeof(tables));
	seal(at, "XSDT", sizeof(struct sdt_header) + sizeof(tables), 1);
}

static struct generic_address io_byte(uint16_t port)
{
	struct generic_address address = {.space = GAS_IO, .bits = 8, .access = 1, .address = port};

	return address;
}

static void build_fadt(uint8_t *at)
{
	struct fadt fadt = {
		.dsdt = (uint32_t)(ACPI_BASE + DSDT_OFFSET),
		.century = 0x32,
		.boot_arch = BOOT_ARCH_NO_VGA,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_RESET_SUPPORTED | FADT_HW_REDUCED,
		.reset_register = io_byte(RESET_PORT),
		.reset_value = RESET_VALUE,
		.minor_version = 4,
		.x_dsdt = ACPI_BASE + DSDT_OFFSET,
		.sleep_control = io_byte(ACPI_SLEEP_CONTROL),
		.sleep_status = io_byte(ACPI_SLEEP_STATUS),
	};

	memcpy(at, &fadt, sizeof(fadt));
	seal(at, "FACP", sizeof(fadt), 6);
}

static void build_madt(uint8_t *at, unsigned vcpus)
{
	struct madt_ioapic ioapic = {
		.type = 1, .length = sizeof(ioapic), .address = (uint32_t)IOAPIC_BASE};
	uint8_t *next = at + sizeof(struct sdt_header);
	const uint32_t local[2] = {(uint32_t)LAPIC_DEFAULT_BASE, 0}; /* flags: no PIC */

	memcpy(next, local, sizeof(local));
	next += sizeof(local);
	for (unsigned i = 0; i < vcpus; i++) {
		struct madt_lapic lapic = {.length = sizeof(lapic),
					   .processor = (uint8_t)i,
					   .apic_id = (uint8_t)i,
					   .flags = 1};

		memcpy(next, &lapic, sizeof(lapic));
		next += sizeof(lapic);
	}
	memcpy(next, &ioapic, sizeof(ioapic));
	next += sizeof(ioapic);
	seal(at, "APIC", (size_t)(next - at), 5);
}

void acpi_build(uint8_t *memory, unsigned vcpus)
{
	memset(memory, 0, ACPI_SIZE);
	build_rsdp(memory + RSDP_OFFSET);
	build_xsdt(memory + XSDT_OFFSET);
	build_fadt(memory + FADT_OFFSET);
	memcpy(memory + DSDT_OFFSET + sizeof(struct sdt_header), dsdt_aml, sizeof(dsdt_aml));
	seal(memory + DSDT_OFFSET, "DSDT", sizeof(struct sdt_header) + sizeof(dsdt_aml), 2);
	build_madt(memory + MADT_OFFSET, vcpus);
}
