/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of the loaders: what a good payload leaves in guest memory, that bad ones are named and
 * none does harm. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <cairn/guestmem.h>
#include "boot/acpi.h"
#include "boot/boot.h"
#include "boot/layout.h"

#define MIB	    0x100000ull
#define MEMORY	    (32 * MIB)
#define SETUP_SECTS 4u
#define BODY	    0x2000u
#define FILE_SIZE   ((SETUP_SECTS + 1) * 512 + BODY)

static uint8_t *ram;
static uint8_t file[FILE_SIZE];
static const uint8_t initrd[] = "initrd content";
static struct boot_payload payload;
static struct boot_entry entry;

static void put(uint8_t *bytes, unsigned offset, uint64_t value, unsigned size)
{
	memcpy(bytes + offset, &value, size);
}

static uint64_t get(uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, ram + gpa, size);
	return value;
}

static int group_setup(void **state)
{
	(void)state;
	ram = aligned_alloc(4096, MEMORY);
	return ram == NULL ? -1 : guestmem_add_region(0, MEMORY, ram);
}

static int group_teardown(void **state)
{
	(void)state;
	free(ram);
	return 0;
}

static void make_bzimage(void)
{
	memset(file, 0, sizeof(file));
	memset(file + (SETUP_SECTS + 1) * 512, 0xc3, BODY);
	file[0x1f1] = SETUP_SECTS;
	put(file, 0x1f4, BODY / 16, 4);
	put(file, 0x1fe, 0xaa55, 2);
	put(file, 0x201, 0x6a, 1);
	put(file, 0x202, 0x53726448, 4);
	put(file, 0x206, 0x020f, 2);
	file[0x211] = 1;
	put(file, 0x22c, 0x7fffffff, 4);
	put(file, 0x230, 0x200000, 4);
	put(file, 0x238, 2047, 4);
	put(file, 0x258, 0x1000000, 8);
	put(file, 0x260, 0x400000, 4);
}

static int setup(void **state)
{
	(void)state;
	memset(ram, 0, MEMORY);
	make_bzimage();
	payload = (struct boot_payload){
		.kernel = file,
		.kernel_size = sizeof(file),
		.initrd = initrd,
		.initrd_size = sizeof(initrd),
		.cmdline = "console=ttyS0",
		.memory = MEMORY,
		.tsc_khz = 2000000,
		.vcpus = 1,
	};
	return 0;
}

static void bzimage_is_loaded_by_the_protocol(void **state)
{
	uint64_t initrd_at;

	(void)state;
	assert_null(boot_linux(&payload, &entry));
	assert_int_equal(entry.eip, 0x1000000);
	assert_int_equal(entry.esi, LAYOUT_PARAMS);
	assert_int_equal(get(0x1000000, 1), 0xc3);
	assert_int_equal(get(0x1000000 + BODY - 1, 1), 0xc3);
	assert_int_equal(get(LAYOUT_PARAMS + 0x202, 4), 0x53726448);
	assert_int_equal(get(LAYOUT_PARAMS + 0x210, 1), 0xff);
	assert_int_equal(get(LAYOUT_PARAMS + 0x214, 4), 0x1000000);
	assert_int_equal(get(LAYOUT_PARAMS + 0x070, 8), ACPI_BASE);
	initrd_at = get(LAYOUT_PARAMS + 0x218, 4);
	assert_int_equal(get(LAYOUT_PARAMS + 0x21c, 4), sizeof(initrd));
	assert_int_equal(initrd_at % 4096, 0);
	assert_true(initrd_at >= 0x1400000 && initrd_at + sizeof(initrd) <= MEMORY);
	assert_memory_equal(ram + initrd_at, initrd, sizeof(initrd));
	assert_string_equal((char *)ram + get(LAYOUT_PARAMS + 0x228, 4),
			    "console=ttyS0 tsc_early_khz=2000000");
	assert_int_equal(get(LAYOUT_GDT + 0x10, 8), 0x00cf9b000000ffff);
	assert_int_equal(get(LAYOUT_RESET_VECTOR, 1), 0xba);
}

static void memory_map_covers_the_ram_and_nothing_else(void **state)
{
	struct ram_range map[RAM_RANGES];

	(void)state;
	assert_null(boot_linux(&payload, &entry));
	assert_int_equal(get(LAYOUT_PARAMS + 0x1e8, 1), 3);
	assert_int_equal(get(LAYOUT_PARAMS + 0x2d0 + 40, 8), MIB);
	assert_int_equal(get(LAYOUT_PARAMS + 0x2d0 + 48, 8), MEMORY - MIB);
	assert_int_equal(get(LAYOUT_PARAMS + 0x2d0 + 56, 4), 1);
	assert_int_equal(layout_ram_map(4096 * MIB, map), 4);
	assert_int_equal(map[2].base + map[2].size, 0xc0000000);
	assert_int_equal(map[3].base, 0x100000000);
	assert_int_equal(map[3].size, 1024 * MIB);
}

static void command_line_keeps_a_given_frequency(void **state)
{
	char line[2048];

	(void)state;
	payload.cmdline = "tsc_early_khz=5 quiet";
	boot_cmdline(&payload, line, sizeof(line));
	assert_string_equal(line, "tsc_early_khz=5 quiet");
	payload.cmdline = "xtsc_early_khz=5";
	boot_cmdline(&payload, line, sizeof(line));
	assert_string_equal(line, "xtsc_early_khz=5 tsc_early_khz=2000000");
	payload.cmdline = "";
	boot_cmdline(&payload, line, sizeof(line));
	assert_string_equal(line, "tsc_early_khz=2000000");
	payload.tsc_khz = 0;
	boot_cmdline(&payload, line, sizeof(line));
	assert_string_equal(line, "");
}

static void expect_refusal(const char *part)
{
	const char *wrong = boot_linux(&payload, &entry);

	assert_non_null(wrong);
	assert_non_null(strstr(wrong, part));
}

static void each_fault_of_a_bzimage_is_named(void **state)
{
	(void)state;
	payload.kernel_size = 100;
	expect_refusal("too short");
	payload.kernel_size = (SETUP_SECTS + 1) * 512;
	expect_refusal("truncated");
	payload.kernel_size = FILE_SIZE - 1;
	expect_refusal("truncated");
	setup(NULL);
	file[0x202] = 0;
	expect_refusal("not a bzImage");
	setup(NULL);
	put(file, 0x206, 0x0209, 2);
	expect_refusal("older");
	setup(NULL);
	file[0x211] = 0;
	expect_refusal("zImage");
	setup(NULL);
	put(file, 0x258, 0x1000, 8);
	expect_refusal("preferred address");
	setup(NULL);
	put(file, 0x260, 0x7f000000, 4);
	expect_refusal("too small");
	setup(NULL);
	payload.initrd_size = MEMORY;
	expect_refusal("initrd");
	setup(NULL);
	put(file, 0x238, 10, 4);
	expect_refusal("command line");
	setup(NULL);
	file[0x201] = 0xff;
	expect_refusal("header");
}

static void garbled_headers_never_leave_guest_memory(void **state)
{
	uint32_t seed = 12345;

	(void)state;
	for (unsigned run = 0; run < 3000; run++) {
		setup(NULL);
		for (unsigned i = 0; i < 4; i++) {
			seed = seed * 1664525 + 1013904223;
			file[0x1f1 + (seed >> 8) % 0x80] = (uint8_t)(seed >> 24);
		}
		if (boot_linux(&payload, &entry) == NULL)
			assert_true(entry.eip < MEMORY);
	}
}

struct elf_file {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
	struct {
		uint32_t type, flags;
		uint64_t offset, vaddr, paddr, filesz, memsz, align;
	} ph[2];
	struct {
		uint32_t namesz, descsz, type;
		char name[4];
		uint32_t entry;
	} note;
	uint8_t code[64];
};

static struct elf_file elf;

static void make_elf(void)
{
	elf = (struct elf_file){
		.ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
		.type = 2,
		.machine = 62,
		.version = 1,
		.entry = 0x100000,
		.phoff = offsetof(struct elf_file, ph),
		.ehsize = 64,
		.phentsize = 56,
		.phnum = 2,
	};
	elf.ph[0].type = 1;
	elf.ph[0].flags = 7;
	elf.ph[0].offset = offsetof(struct elf_file, code);
	elf.ph[0].vaddr = elf.ph[0].paddr = 0x100000;
	elf.ph[0].filesz = sizeof(elf.code);
	elf.ph[0].memsz = 0x1000;
	elf.ph[0].align = 1;
	elf.ph[1].type = 4;
	elf.ph[1].offset = offsetof(struct elf_file, note);
	elf.ph[1].filesz = elf.ph[1].memsz = sizeof(elf.note);
	elf.ph[1].align = 4;
	elf.note.namesz = 4;
	elf.note.descsz = 4;
	elf.note.type = 18;
	memcpy(elf.note.name, "Xen", 4);
	elf.note.entry = 0x100010;
	memset(elf.code, 0x90, sizeof(elf.code));
	payload.kernel = (const uint8_t *)&elf;
	payload.kernel_size = sizeof(elf);
}

static void pvh_payload_gets_its_start_info(void **state)
{
	uint64_t info = LAYOUT_PARAMS, map;

	(void)state;
	make_elf();
	memset(ram + 0x100000, 0xff, 0x1000);
	assert_null(boot_elf(&payload, &entry));
	assert_int_equal(entry.eip, 0x100010);
	assert_int_equal(entry.ebx, info);
	assert_int_equal(get(info, 4), 0x336ec578);
	assert_int_equal(get(info + 4, 4), 1);
	assert_int_equal(get(info + 32, 8), ACPI_BASE);
	assert_string_equal((char *)ram + get(info + 24, 8), "console=ttyS0 tsc_early_khz=2000000");
	map = get(info + 40, 8);
	assert_int_equal(get(info + 48, 4), 3);
	assert_int_equal(get(map, 8), 0);
	assert_int_equal(get(get(info + 16, 8) + 8, 8), sizeof(initrd));
	assert_memory_equal(ram + get(get(info + 16, 8), 8), initrd, sizeof(initrd));
	assert_int_equal(get(0x100000, 1), 0x90);
	assert_int_equal(get(0x100000 + sizeof(elf.code), 1), 0); /* .bss */
}

static void bad_elf_files_are_refused(void **state)
{
	(void)state;
	make_elf();
	elf.note.type = 17;
	assert_non_null(strstr(boot_elf(&payload, &entry), "PVH"));
	make_elf();
	elf.ph[0].paddr = 0x1000;
	assert_non_null(strstr(boot_elf(&payload, &entry), "1 MiB"));
	make_elf();
	elf.ph[0].paddr = MEMORY - 0x800;
	assert_non_null(strstr(boot_elf(&payload, &entry), "too small"));
	make_elf();
	elf.ident[0] = 0;
	assert_non_null(boot_elf(&payload, &entry));
	make_elf();
	payload.kernel_size = 70;
	assert_non_null(boot_elf(&payload, &entry));
}

static uint8_t sum(uint64_t gpa, uint64_t length)
{
	uint8_t total = 0;

	for (uint64_t i = 0; i < length; i++)
		total = (uint8_t)(total + ram[gpa + i]);
	return total;
}

static void acpi_tables_are_linked_and_sealed(void **state)
{
	uint64_t xsdt, table;
	unsigned found = 0;

	(void)state;
	payload.vcpus = 3;
	assert_null(boot_linux(&payload, &entry));
	assert_memory_equal(ram + ACPI_BASE, "RSD PTR ", 8);
	assert_int_equal(sum(ACPI_BASE, 20), 0);
	assert_int_equal(sum(ACPI_BASE, 36), 0);
	xsdt = get(ACPI_BASE + 24, 8);
	assert_memory_equal(ram + xsdt, "XSDT", 4);
	for (uint64_t at = xsdt + 36; at < xsdt + get(xsdt + 4, 4); at += 8) {
		table = get(at, 8);
		assert_int_equal(sum(table, get(table + 4, 4)), 0);
		if (memcmp(ram + table, "FACP", 4) == 0) {
			found++;
			assert_int_equal(get(table + 112, 4) & (1u << 20 | 1u << 10),
					 1u << 20 | 1u << 10);
			table = get(table + 140, 8);
			assert_memory_equal(ram + table, "DSDT", 4);
			assert_int_equal(sum(table, get(table + 4, 4)), 0);
		} else if (memcmp(ram + table, "APIC", 4) == 0) {
			found++;
			assert_int_equal(get(table + 4, 4), 44 + 3 * 8 + 12);
		}
	}
	assert_int_equal(found, 2);
}

static void first_state_is_flat_protected_mode(void **state)
{
	struct vcpu_state vcpu;

	(void)state;
	memset(&vcpu, 0xff, sizeof(vcpu));
	entry = (struct boot_entry){.eip = 0x1000000, .esi = 0x2000};
	boot_state(&entry, &vcpu);
	assert_int_equal(vcpu.rip, 0x1000000);
	assert_int_equal(vcpu.gpr[GPR_RSI], 0x2000);
	assert_int_equal(vcpu.gpr[GPR_RBX], 0);
	assert_int_equal(vcpu.cr0, 0x11);
	assert_int_equal(vcpu.cr4 | vcpu.efer | vcpu.cr3, 0);
	assert_int_equal(vcpu.rflags, 2);
	assert_int_equal(vcpu.seg[SEG_CS].sel, 0x10);
	assert_int_equal(vcpu.seg[SEG_DS].sel, 0x18);
	assert_int_equal(vcpu.virq | vcpu.inject_info, 0);
	boot_sipi_state(0x9a, &vcpu);
	assert_int_equal(vcpu.seg[SEG_CS].sel, 0x9a00);
	assert_int_equal(vcpu.seg[SEG_CS].base, 0x9a000);
	assert_int_equal(vcpu.rip, 0);
	assert_int_equal(vcpu.cr0 & 1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(bzimage_is_loaded_by_the_protocol, setup),
		cmocka_unit_test_setup(memory_map_covers_the_ram_and_nothing_else, setup),
		cmocka_unit_test_setup(command_line_keeps_a_given_frequency, setup),
		cmocka_unit_test_setup(each_fault_of_a_bzimage_is_named, setup),
		cmocka_unit_test_setup(garbled_headers_never_leave_guest_memory, setup),
		cmocka_unit_test_setup(pvh_payload_gets_its_start_info, setup),
		cmocka_unit_test_setup(bad_elf_files_are_refused, setup),
		cmocka_unit_test_setup(acpi_tables_are_linked_and_sealed, setup),
		cmocka_unit_test_setup(first_state_is_flat_protected_mode, setup),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
