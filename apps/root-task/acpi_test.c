/* SPDX-License-Identifier: BSD-2-Clause */
/* ACPI tables: the CPUs of good ones are found, and whatever is wrong with a table is said, without
 * a look beyond it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "acpi.h"

#define ROOT_CHECKSUM	       8
#define ROOT_EXTENDED_CHECKSUM 32
#define TABLE_CHECKSUM	       9
#define MADT_HEADER	       44

/* A copy on the heap that ends where the table does: the sanitizer sees each byte read beyond. */
static uint8_t *exact(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	return copy;
}

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, 4);
}

static void put64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, 8);
}

static void fix_sum(uint8_t *bytes, size_t size, size_t checksum)
{
	uint8_t sum = 0;

	bytes[checksum] = 0;
	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + bytes[i]);
	bytes[checksum] = (uint8_t)-sum;
}

static void make_root(uint8_t root[36], uint8_t revision, uint32_t rsdt, uint64_t xsdt)
{
	memset(root, 0, 36);
	memcpy(root, "RSD PTR ", 8);
	root[15] = revision;
	put32(root + 16, rsdt);
	if (revision >= 2) {
		put32(root + 20, 36);
		put64(root + 24, xsdt);
	}
	fix_sum(root, 20, ROOT_CHECKSUM);
	if (revision >= 2)
		fix_sum(root, 36, ROOT_EXTENDED_CHECKSUM);
}

static void make_table(uint8_t *table, uint32_t size, const char *signature)
{
	memcpy(table, signature, 4);
	put32(table + 4, size);
	fix_sum(table, size, TABLE_CHECKSUM);
}

static const char *read_root(const uint8_t *bytes, size_t size, struct acpi_root *root)
{
	uint8_t *copy = exact(bytes, size);
	const char *wrong = acpi_read_root(copy, size, root);

	free(copy);
	return wrong;
}

static const char *check_table(const uint8_t *bytes, size_t size, const char *signature)
{
	uint8_t *copy = exact(bytes, size);
	const char *wrong = acpi_check_table(copy, size, signature);

	free(copy);
	return wrong;
}

static const char *read_cpus(const uint8_t *bytes, size_t size, struct acpi_cpus *cpus)
{
	uint8_t *copy = exact(bytes, size);
	const char *wrong = acpi_read_cpus(copy, size, cpus);

	free(copy);
	return wrong;
}

static void the_root_pointer_of_each_revision_is_read(void **unused)
{
	uint8_t root[36];
	struct acpi_root found;

	(void)unused;
	make_root(root, 0, 0x1ffe0000, 0);
	assert_null(read_root(root, 20, &found)); /* there may be no more of it */
	assert_int_equal(found.address, 0x1ffe0000);
	assert_false(found.wide);
	make_root(root, 2, 0x1ffe0000, 0x123456789000);
	assert_null(read_root(root, 36, &found));
	assert_int_equal(found.address, 0x123456789000);
	assert_true(found.wide);
	make_root(root, 2, 0x1ffe0000, 0); /* no XSDT after all */
	assert_null(read_root(root, 36, &found));
	assert_int_equal(found.address, 0x1ffe0000);
	assert_false(found.wide);
}

static void a_root_pointer_that_is_damaged_is_refused(void **unused)
{
	uint8_t root[36];
	struct acpi_root found;

	(void)unused;
	for (unsigned i = 0; i < 36; i++) {
		make_root(root, 2, 0x1000, 0x2000);
		root[i] ^= 0x40;
		assert_non_null(read_root(root, 36, &found));
	}
	make_root(root, 2, 0x1000, 0x2000);
	for (size_t size = 0; size < 36; size++)
		assert_non_null(read_root(root, size, &found));
	for (uint32_t length = 0; length < 80; length++) {
		make_root(root, 2, 0x1000, 0x2000);
		put32(root + 20, length);
		fix_sum(root, length > 20 && length <= 36 ? length : 36, ROOT_EXTENDED_CHECKSUM);
		assert_true((read_root(root, 36, &found) == NULL) == (length == 36));
	}
	make_root(root, 0, 0, 0);
	assert_string_equal(read_root(root, 36, &found), "the ACPI root pointer points nowhere");
	make_root(root, 2, 0, 0);
	assert_string_equal(read_root(root, 36, &found), "the ACPI root pointer points nowhere");
}

static void the_search_finds_the_first_good_root_pointer_on_a_boundary(void **unused)
{
	uint8_t area[256] = {0}, *copy;
	struct acpi_root found;

	(void)unused;
	make_root(area + 8, 0, 0x1000, 0); /* on no boundary */
	make_root(area + 64, 0, 0x2000, 0);
	area[64 + ROOT_CHECKSUM]++; /* damaged */
	make_root(area + 128, 2, 0x3000, 0x4000);
	make_root(area + 192, 0, 0x5000, 0);
	assert_true(acpi_find_root(area, sizeof(area), &found));
	assert_int_equal(found.address, 0x4000);
	for (size_t size = 0; size < 128 + 36; size++) {
		copy = exact(area, size);
		assert_false(acpi_find_root(copy, size, &found));
		free(copy);
	}
}

static void a_root_pointer_at_the_very_end_is_found(void **unused)
{
	uint8_t area[84] = {0}, *copy;
	struct acpi_root found;

	(void)unused;
	make_root(area + 48, 0, 0x1000, 0);
	copy = exact(area, 68);
	assert_true(acpi_find_root(copy, 68, &found));
	free(copy);
	copy = exact(area, 67);
	assert_false(acpi_find_root(copy, 67, &found));
	free(copy);
}

static void a_table_needs_its_signature_length_and_checksum(void **unused)
{
	uint8_t table[64] = {0};

	(void)unused;
	table[50] = 7;
	make_table(table, 64, "APIC");
	assert_null(check_table(table, 64, "APIC"));
	assert_true(acpi_has_signature(table, 64, "APIC"));
	assert_false(acpi_has_signature(table, 35, "APIC"));
	assert_non_null(check_table(table, 64, "XSDT"));
	for (size_t size = 0; size < 64; size++)
		assert_non_null(check_table(table, size, "APIC"));
	for (unsigned i = 0; i < 64; i++) {
		table[i] ^= 0x10;
		assert_non_null(check_table(table, 64, "APIC"));
		table[i] ^= 0x10;
	}
}

static void a_length_out_of_range_is_refused(void **unused)
{
	static const struct {
		uint32_t length;
		bool good;
	} cases[] = {{0, false},
		     {35, false},
		     {36, true},
		     {ACPI_TABLE_LIMIT, true},
		     {ACPI_TABLE_LIMIT + 1, false},
		     {0xffffffff, false}};
	uint8_t header[36] = {0};
	uint32_t length;

	(void)unused;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put32(header + 4, cases[i].length);
		assert_true((acpi_table_length(header, 36, &length) == NULL) == cases[i].good);
	}
	assert_non_null(acpi_table_length(header, 35, &length));
}

static void entries_of_both_widths_are_read_and_a_rest_is_ignored(void **unused)
{
	uint8_t table[36 + 8 * 2 + 7] = {0};

	(void)unused;
	put32(table + 36, 0x11111111);
	put32(table + 40, 0x22222222);
	assert_int_equal(acpi_entry_count(36, false), 0);
	assert_int_equal(acpi_entry_count(36, true), 0);
	assert_int_equal(acpi_entry_count(36 + 11, false), 2);
	assert_int_equal(acpi_entry(table, false, 0), 0x11111111);
	assert_int_equal(acpi_entry(table, false, 1), 0x22222222);
	put64(table + 44, 0x3333333333333333);
	assert_int_equal(acpi_entry_count(sizeof(table), true), 2);
	assert_int_equal(acpi_entry(table, true, 0), 0x2222222211111111);
	assert_int_equal(acpi_entry(table, true, 1), 0x3333333333333333);
}

/* A MADT being put together. */
static struct {
	uint8_t bytes[4096];
	size_t size;
} madt;

static int setup(void **unused)
{
	(void)unused;
	memset(&madt, 0, sizeof(madt));
	madt.size = MADT_HEADER;
	return 0;
}

static uint8_t *add_entry(uint8_t type, uint8_t length)
{
	uint8_t *entry = madt.bytes + madt.size;

	entry[0] = type;
	entry[1] = length;
	madt.size += length;
	return entry;
}

static void add_lapic(uint8_t id, uint32_t flags)
{
	uint8_t *entry = add_entry(0, 8);

	entry[3] = id;
	put32(entry + 4, flags);
}

static void add_x2apic(uint32_t id, uint32_t flags)
{
	uint8_t *entry = add_entry(9, 16);

	put32(entry + 4, id);
	put32(entry + 8, flags);
}

static void enabled_cpus_are_found_and_no_others(void **unused)
{
	struct acpi_cpus cpus;

	(void)unused;
	add_lapic(0, 1);
	add_entry(1, 12); /* an I/O APIC */
	add_lapic(2, 1);
	add_lapic(4, 0); /* not there */
	add_lapic(6, 2); /* could be brought online later */
	add_lapic(255, 1);
	add_x2apic(2, 1); /* again */
	add_x2apic(300, 3);
	add_x2apic(301, 2);
	add_x2apic(0xffffffff, 1);
	add_entry(4, 6); /* NMI lines */
	add_lapic(1, 1);
	assert_null(read_cpus(madt.bytes, madt.size, &cpus));
	assert_int_equal(cpus.count, 4);
	assert_int_equal(cpus.left_out, 0);
	assert_int_equal(cpus.apic_id[0], 0);
	assert_int_equal(cpus.apic_id[1], 2);
	assert_int_equal(cpus.apic_id[2], 300);
	assert_int_equal(cpus.apic_id[3], 1);
}

static void a_table_without_entries_has_no_cpus(void **unused)
{
	struct acpi_cpus cpus;

	(void)unused;
	assert_null(read_cpus(madt.bytes, MADT_HEADER, &cpus));
	assert_int_equal(cpus.count, 0);
	assert_non_null(read_cpus(madt.bytes, MADT_HEADER - 1, &cpus));
}

static void an_entry_of_length_0_or_1_ends_the_reading(void **unused)
{
	struct acpi_cpus cpus;

	(void)unused;
	for (uint8_t length = 0; length < 2; length++) {
		setup(NULL);
		add_lapic(0, 1);
		add_entry(1, length);
		madt.size = MADT_HEADER + 8 + 16;
		assert_non_null(read_cpus(madt.bytes, madt.size, &cpus));
	}
}

static void an_entry_that_is_cut_short_is_refused(void **unused)
{
	struct acpi_cpus cpus;

	(void)unused;
	add_lapic(0, 1);
	add_x2apic(7, 1);
	for (size_t size = MADT_HEADER; size <= madt.size; size++) {
		bool whole = size == MADT_HEADER || size == MADT_HEADER + 8 || size == madt.size;

		assert_true((read_cpus(madt.bytes, size, &cpus) == NULL) == whole);
	}
}

static void an_entry_too_short_for_its_type_is_refused(void **unused)
{
	static const uint8_t types[] = {0, 9}, sizes[] = {8, 16};
	struct acpi_cpus cpus;

	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		for (uint8_t length = 2; length <= sizes[i]; length++) {
			setup(NULL);
			add_entry(types[i], length);
			assert_true((read_cpus(madt.bytes, madt.size, &cpus) == NULL) ==
				    (length == sizes[i]));
		}
	}
}

static void more_cpus_than_fit_are_counted(void **unused)
{
	struct acpi_cpus cpus;

	(void)unused;
	for (unsigned i = 0; i < ACPI_CPUS + 3; i++)
		add_lapic((uint8_t)i, 1);
	assert_null(read_cpus(madt.bytes, madt.size, &cpus));
	assert_int_equal(cpus.count, ACPI_CPUS);
	assert_int_equal(cpus.left_out, 3);
	assert_int_equal(cpus.apic_id[ACPI_CPUS - 1], ACPI_CPUS - 1);
}

/* Deterministic, so that a failure can be repeated (Marsaglia's xorshift). */
static uint32_t random_below(uint32_t limit)
{
	static uint32_t x = 2463534242u;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x % limit;
}

static void random_entries_are_never_read_beyond_the_table(void **unused)
{
	uint8_t bytes[256];
	struct acpi_cpus cpus;
	struct acpi_root root;

	(void)unused;
	for (unsigned round = 0; round < 20000; round++) {
		size_t size = random_below(sizeof(bytes));
		uint8_t *copy;

		for (size_t i = 0; i < size;
		     i++) /* mostly small: types and lengths that mean something */
			bytes[i] = (uint8_t)random_below(random_below(4) ? 17 : 256);
		copy = exact(bytes, size);
		(void)acpi_read_cpus(copy, size, &cpus);
		assert_true(cpus.count <= ACPI_CPUS);
		if (size >= 8)
			memcpy(copy, "RSD PTR ", 8);
		(void)acpi_find_root(copy, size, &root);
		free(copy);
	}
}

#define SPCR_SIZE 80

/* A table SPCR: a 16550 at the I/O port 0x2f8, line 3, 115200 baud. */
static void make_spcr(uint8_t table[SPCR_SIZE])
{
	memset(table, 0, SPCR_SIZE);
	table[40] = 1; /* I/O ports */
	table[41] = 8;
	put64(table + 44, 0x2f8);
	table[52] = 1; /* the PC's interrupts */
	table[53] = 3;
	table[58] = 7;
	make_table(table, SPCR_SIZE, "SPCR");
}

static const char *read_serial(const uint8_t *bytes, size_t size, struct acpi_serial *serial)
{
	uint8_t *copy = exact(bytes, size);
	const char *wrong;

	memset(serial, 0xee, sizeof(*serial));
	wrong = acpi_read_serial(copy, size, serial);
	free(copy);
	return wrong;
}

static void the_serial_port_of_the_firmware_is_read(void **unused)
{
	static const struct {
		uint8_t code;
		uint16_t divisor;
	} speeds[] = {{0, 0}, {3, 12}, {4, 6}, {5, 0}, {6, 2}, {7, 1}, {8, 0}, {255, 0}};
	uint8_t table[SPCR_SIZE];
	struct acpi_serial serial;

	(void)unused;
	make_spcr(table);
	assert_null(check_table(table, SPCR_SIZE, "SPCR"));
	assert_null(read_serial(table, SPCR_SIZE, &serial));
	assert_int_equal(serial.port, 0x2f8);
	assert_int_equal(serial.divisor, 1);
	assert_int_equal(serial.line, 3);
	for (unsigned i = 0; i < sizeof(speeds) / sizeof(speeds[0]); i++) {
		table[58] = speeds[i].code;
		assert_null(read_serial(table, SPCR_SIZE, &serial));
		assert_int_equal(serial.divisor, speeds[i].divisor);
	}
	for (unsigned type = 0; type < 256; type++) {
		table[36] = (uint8_t)type;
		assert_true((read_serial(table, SPCR_SIZE, &serial) == NULL) ==
			    (type <= 1 || type == 0x12));
	}
}

static void only_a_pcs_own_lines_are_used(void **unused)
{
	static const struct {
		uint8_t kinds, irq;
		uint32_t gsi, line;
	} cases[] = {{0, 3, 3, SERIAL_NO_LINE},
		     {1, 4, 0, 4},
		     {1, 15, 3, 15},
		     {1, 16, 3, SERIAL_NO_LINE},
		     {1, 0, 3, SERIAL_NO_LINE},
		     {1, 2, 3, SERIAL_NO_LINE},
		     {2, 3, 4, 4},
		     {2, 3, 16, SERIAL_NO_LINE},
		     {2, 3, ~0u, SERIAL_NO_LINE},
		     {3, 5, 16, 5},
		     {4, 3, 3, SERIAL_NO_LINE},
		     {2, 3, 0x100, SERIAL_NO_LINE},
		     {0xfc, 3, 3, SERIAL_NO_LINE}};
	uint8_t table[SPCR_SIZE];
	struct acpi_serial serial;

	(void)unused;
	make_spcr(table);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		table[52] = cases[i].kinds;
		table[53] = cases[i].irq;
		put32(table + 54, cases[i].gsi);
		assert_null(read_serial(table, SPCR_SIZE, &serial));
		assert_int_equal(serial.line, cases[i].line);
	}
}

static void a_serial_port_that_cannot_be_used_is_said(void **unused)
{
	static const struct {
		uint8_t space, width;
		uint64_t address;
		const char *wrong;
	} cases[] = {{1, 8, 0, "the ACPI table SPCR says that the console is off"},
		     {0, 8, 0, "the ACPI table SPCR says that the console is off"},
		     {0, 8, 0xfe000000, "in memory"},
		     {1, 32, 0x2f8, "with wide registers"},
		     {2, 8, 0x2f8, "in memory"},
		     {1, 8, 0x2f9, "no place for a 16550"},
		     {1, 8, 0xfff9, "no place for a 16550"},
		     {1, 8, 0x10000, "no place for a 16550"},
		     {1, 8, 0x1000002f8, "no place for a 16550"},
		     {1, 8, ~0ull, "no place for a 16550"},
		     {1, 8, 0xfff8, NULL},
		     {1, 0, 0x3e8, NULL}};
	uint8_t table[SPCR_SIZE];
	struct acpi_serial serial;

	(void)unused;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *wrong;

		make_spcr(table);
		table[40] = cases[i].space;
		table[41] = cases[i].width;
		put64(table + 44, cases[i].address);
		wrong = read_serial(table, SPCR_SIZE, &serial);
		assert_true((wrong == NULL) == (cases[i].wrong == NULL));
		if (wrong != NULL)
			assert_non_null(strstr(wrong, cases[i].wrong));
	}
	make_spcr(table);
	for (size_t size = 36; size < SPCR_SIZE; size++)
		assert_string_equal(read_serial(table, size, &serial),
				    "the ACPI table SPCR is cut short");
}

#define FADT_SIZE 148

static void make_fadt(uint8_t table[FADT_SIZE])
{
	memset(table, 0, FADT_SIZE);
	put32(table + 40, 0x7fe0000);
	put32(table + 48, 0xb2);
	table[52] = 0xf1;
	put32(table + 64, 0x604);
	make_table(table, FADT_SIZE, "FACP");
}

static const char *read_power(const uint8_t *bytes, size_t size, struct acpi_power *power)
{
	uint8_t *copy = exact(bytes, size);
	const char *wrong;

	memset(power, 0xee, sizeof(*power));
	wrong = acpi_read_power(copy, size, power);
	free(copy);
	return wrong;
}

static void the_ports_of_power_management_are_read(void **unused)
{
	uint8_t table[FADT_SIZE];
	struct acpi_power power;

	(void)unused;
	make_fadt(table);
	assert_null(read_power(table, FADT_SIZE, &power));
	assert_int_equal(power.dsdt, 0x7fe0000);
	assert_int_equal(power.control[0], 0x604);
	assert_int_equal(power.control[1], 0);
	assert_int_equal(power.command, 0xb2);
	assert_int_equal(power.enable, 0xf1);
	put64(table + 140, 0x17fe0000);
	put32(table + 68, 0x1804);
	assert_null(read_power(table, FADT_SIZE, &power));
	assert_int_equal(power.dsdt, 0x17fe0000);
	assert_int_equal(power.control[1], 0x1804);
	assert_null(read_power(table, 116, &power)); /* the first revision ends before */
	assert_int_equal(power.dsdt, 0x7fe0000);
}

static void tables_without_ports_or_dsdt_are_refused(void **unused)
{
	static const struct {
		size_t at;
		uint32_t value;
		const char *wrong;
	} cases[] = {{64, 0, "the ACPI table FACP names no I/O ports for power management"},
		     {64, 0x10000, "the ACPI table FACP names no I/O ports for power management"},
		     {68, 0xffff, "the ACPI table FACP names no I/O ports for power management"},
		     {48, 0x10000, "the ACPI table FACP names no I/O ports for power management"},
		     {40, 0, "the ACPI table FACP names no table DSDT"}};
	uint8_t table[FADT_SIZE];
	struct acpi_power power;

	(void)unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_fadt(table);
		put32(table + cases[i].at, cases[i].value);
		assert_string_equal(read_power(table, FADT_SIZE, &power), cases[i].wrong);
	}
	for (size_t size = 36; size < 116; size++)
		assert_string_equal(read_power(table, size, &power),
				    "the ACPI table FACP is cut short");
}

/* A table DSDT with these bytes in the middle, `cut` bytes before the end of which it ends. */
static const char *read_off(const uint8_t *aml, size_t size, size_t cut, struct acpi_power *power)
{
	uint8_t table[128] = {0};
	uint8_t *copy;
	const char *wrong;

	memcpy(table + 36 + 7, aml, size);
	copy = exact(table, 36 + 7 + size - cut);
	memset(power, 0xee, sizeof(*power));
	wrong = acpi_read_off(copy, 36 + 7 + size - cut, power);
	free(copy);
	return wrong;
}

static void the_package_s5_is_found_in_each_encoding(void **unused)
{
	static const struct {
		uint8_t aml[20];
		size_t size;
		int a, b; /* a < 0: it is not one */
	} cases[] = {
		{{8, '_', 'S', '5', '_', 0x12, 8, 4, 10, 5, 10, 6, 0, 0}, 14, 5, 6},
		{{8, '\\', '_', 'S', '5', '_', 0x12, 8, 4, 10, 5, 10, 6, 0, 0}, 15, 5, 6},
		{{8, '_', 'S', '5', '_', 0x12, 0x46, 0, 4, 0, 0, 0, 0}, 13, 0, 0},
		{{8, '_', 'S', '5', '_', 0x12, 0x46, 0, 4, 1, 10, 7, 0, 0}, 14, 1, 7},
		{{8, '_', 'S', '5', '_', 0x12, 4, 1, 10, 7}, 10, 7, 0},
		{{8, '_', 'S', '5', '_', 0x12, 8, 4, 10, 8, 10, 6, 0, 0}, 14, -1, 0},
		{{8, '_', 'S', '5', '_', 0x12, 8, 4, 11, 5, 0, 10, 6}, 13, -1, 0},
		{{8, '_', 'S', '5', '_', 0x12, 2, 0, 0}, 9, -1, 0},
		{{8, '_', 'S', '5', '_', 0x13, 8, 4, 10, 5, 10, 6, 0, 0}, 14, -1, 0},
		{{8, '_', 'S', '4', '_', 0x12, 8, 4, 10, 5, 10, 6, 0, 0}, 14, -1, 0},
		{{9, '_', 'S', '5', '_', 0x12, 8, 4, 10, 5, 10, 6, 0, 0}, 14, -1, 0},
	};
	struct acpi_power power;

	(void)unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *wrong = read_off(cases[i].aml, cases[i].size, 0, &power);

		assert_true((wrong == NULL) == (cases[i].a >= 0));
		if (wrong == NULL) {
			assert_int_equal(power.type[0], cases[i].a);
			assert_int_equal(power.type[1], cases[i].b);
		}
		/* Cut anywhere, it is never read beyond its end (the sanitizer watches). */
		for (size_t cut = 1; cut < cases[i].size; cut++)
			(void)read_off(cases[i].aml, cases[i].size, cut, &power);
	}
	assert_non_null(read_off(cases[0].aml, cases[0].size, 3, &power));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_root_pointer_of_each_revision_is_read),
		cmocka_unit_test(a_root_pointer_that_is_damaged_is_refused),
		cmocka_unit_test(the_search_finds_the_first_good_root_pointer_on_a_boundary),
		cmocka_unit_test(a_root_pointer_at_the_very_end_is_found),
		cmocka_unit_test(a_table_needs_its_signature_length_and_checksum),
		cmocka_unit_test(a_length_out_of_range_is_refused),
		cmocka_unit_test(entries_of_both_widths_are_read_and_a_rest_is_ignored),
		cmocka_unit_test_setup(enabled_cpus_are_found_and_no_others, setup),
		cmocka_unit_test_setup(a_table_without_entries_has_no_cpus, setup),
		cmocka_unit_test_setup(an_entry_of_length_0_or_1_ends_the_reading, setup),
		cmocka_unit_test_setup(an_entry_that_is_cut_short_is_refused, setup),
		cmocka_unit_test_setup(an_entry_too_short_for_its_type_is_refused, setup),
		cmocka_unit_test_setup(more_cpus_than_fit_are_counted, setup),
		cmocka_unit_test(random_entries_are_never_read_beyond_the_table),
		cmocka_unit_test(the_serial_port_of_the_firmware_is_read),
		cmocka_unit_test(only_a_pcs_own_lines_are_used),
		cmocka_unit_test(a_serial_port_that_cannot_be_used_is_said),
		cmocka_unit_test(the_ports_of_power_management_are_read),
		cmocka_unit_test(tables_without_ports_or_dsdt_are_refused),
		cmocka_unit_test(the_package_s5_is_found_in_each_encoding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
