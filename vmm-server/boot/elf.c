/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads an ELF file with a PVH note: nano guests, and other kernels that can be entered so. */
#include <string.h>
#include <cairn/elf.h>
#include <cairn/guestmem.h>
#include "boot/acpi.h"
#include "boot/layout.h"

#define START_MAGIC   0x336ec578u
#define START_VERSION 1u

struct hvm_start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp, memmap;
	uint32_t memmap_count, reserved;
};
_Static_assert(sizeof(struct hvm_start_info) == 56, "Xen's public/arch-x86/hvm/start_info.h");

struct hvm_module {
	uint64_t address, size, cmdline, reserved;
};

struct hvm_memmap_entry {
	uint64_t address, size;
	uint32_t type, reserved;
};

struct start_page {
	struct hvm_start_info info;
	struct hvm_module module;
	struct hvm_memmap_entry memmap[RAM_RANGES];
};

static const char *load_segments(const struct boot_payload *payload, const struct elf_image *image,
				 uint64_t *end)
{
	uint64_t low = payload->memory < GUEST_LOW_LIMIT ? payload->memory : GUEST_LOW_LIMIT;

	*end = LAYOUT_KERNEL_MIN;
	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct elf_segment *s = &image->segment[i];

		if (s->paddr < LAYOUT_KERNEL_MIN)
			return "a segment of it lies below 1 MiB";
		if (s->memory_size > low || s->paddr > low - s->memory_size)
			return "the VM's memory is too small for it";
		if (guest_write(s->paddr, payload->kernel + s->offset, s->file_size) ||
		    guest_zero(s->paddr + s->file_size, s->memory_size - s->file_size))
			return "guest memory cannot be written";
		if (s->paddr + s->memory_size > *end)
			*end = s->paddr + s->memory_size;
	}
	return NULL;
}

static void fill_start_page(const struct boot_payload *payload, uint64_t initrd_at,
			    struct start_page *page)
{
	struct ram_range map[RAM_RANGES];
	unsigned ranges = layout_ram_map(payload->memory, map);

	memset(page, 0, sizeof(*page));
	page->info.magic = START_MAGIC;
	page->info.version = START_VERSION;
	page->info.cmdline = LAYOUT_CMDLINE;
	page->info.rsdp = ACPI_BASE;
	page->info.memmap = LAYOUT_PARAMS + offsetof(struct start_page, memmap);
	page->info.memmap_count = ranges;
	if (payload->initrd_size) {
		page->info.module_count = 1;
		page->info.modules = LAYOUT_PARAMS + offsetof(struct start_page, module);
		page->module.address = initrd_at;
		page->module.size = payload->initrd_size;
	}
	for (unsigned i = 0; i < ranges; i++) {
		page->memmap[i].address = map[i].base;
		page->memmap[i].size = map[i].size;
		page->memmap[i].type = map[i].type;
	}
}

static const char *load_initrd(const struct boot_payload *payload, uint64_t floor,
			       uint64_t *initrd_at)
{
	*initrd_at = 0;
	if (payload->initrd_size == 0)
		return NULL;
	*initrd_at = layout_place_initrd(payload, floor, GUEST_LOW_LIMIT);
	if (*initrd_at == 0)
		return "the VM's memory is too small for it and its initrd";
	if (guest_write(*initrd_at, payload->initrd, payload->initrd_size))
		return "guest memory cannot be written";
	return NULL;
}

const char *boot_elf(const struct boot_payload *payload, struct boot_entry *entry)
{
	static struct elf_image image;
	static struct start_page page;
	uint64_t initrd_at, end;
	const char *wrong = elf_parse(payload->kernel, payload->kernel_size, &image);

	if (wrong != NULL)
		return wrong;
	if (image.pvh_entry == 0 || image.pvh_entry > 0xffffffffull)
		return "it has no PVH entry note";
	wrong = layout_write_common(payload);
	if (wrong == NULL)
		wrong = load_segments(payload, &image, &end);
	if (wrong == NULL)
		wrong = load_initrd(payload, end, &initrd_at);
	if (wrong != NULL)
		return wrong;
	fill_start_page(payload, initrd_at, &page);
	if (guest_write(LAYOUT_PARAMS, &page, sizeof(page)))
		return "guest memory cannot be written";
	entry->eip = (uint32_t)image.pvh_entry;
	entry->ebx = LAYOUT_PARAMS;
	entry->esi = 0;
	return NULL;
}
