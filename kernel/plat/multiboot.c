/* SPDX-License-Identifier: BSD-2-Clause */
/* The boot protocols: the headers for the boot loader, and the memory map that it passes. Also built for the host. */
#include <stddef.h>
#include <cairn/types.h>
#include "multiboot.h"

#define HEADER1 0x1badb002u
#define HEADER2 0xe85250d6u
#define MB1_MAP (1u << 6) /* in the first word: words 11 and 12 are the map's length and address */

enum { RAM = 1, TAG_END = 0, TAG_MAP = 6, TAG_ACPI_OLD = 14, TAG_ACPI_NEW = 15 };

/* In the first page of the image (link.ld). Each: magic, flags or architecture, (length,) checksum. 3: with a memory map. */
static const uint32_t headers[] __attribute__((section(".multiboot"), used, aligned(8))) = {
	HEADER1, 3, -(HEADER1 + 3), 0, HEADER2, 0, 24, -(HEADER2 + 24), TAG_END, 8};

/* As multiboot1 has it; multiboot2's begins with `base`. */
struct entry {
	uint32_t size; /* of what follows */
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void regions_add(struct regions *list, uint64_t base, uint64_t end)
{
	if (base < end && list->count < REGIONS)
		list->at[list->count++] = (struct region){base, end};
	else if (base < end)
		list->lost += end - base;
}

void regions_take(struct regions *list, uint64_t base, uint64_t end)
{
	uint64_t i;

	for (i = list->count; base < end && i--;) {
		struct region r = list->at[i];

		if (end <= r.base || base >= r.end)
			continue;
		list->at[i] = list->at[--list->count];
		regions_add(list, end, r.end);
		regions_add(list, r.base, base);
	}
}

/* RAM shrinks to whole pages, what is none grows to them. RAM that leads beyond all addresses is none. */
static void read_entry(const struct entry *e, struct regions *ram, uint32_t is_ram)
{
	uint64_t up = is_ram ? PAGE_SIZE_4K - 1 : 0, down = PAGE_SIZE_4K - 1 - up;
	uint64_t base = least(e->base, WINDOW_LIMIT), end = base + least(e->length, WINDOW_LIMIT - base);

	if ((e->type == RAM) != is_ram || (is_ram && e->base + e->length < e->base))
		return;
	base = (base + up) & ~(PAGE_SIZE_4K - 1);
	end = (end + down) & ~(PAGE_SIZE_4K - 1);
	regions_take(ram, base, end); /* also RAM, that it is not there twice */
	if (is_ram)
		regions_add(ram, base, end);
}

/* Entries from `from` to `end`: RAM, then what is none. They are `size` bytes apart; 0: as each says (multiboot1). */
static void read_map(uint64_t from, uint64_t end, uint64_t size, struct regions *ram)
{
	uint64_t at;
	uint32_t is_ram;

	for (is_ram = 2; is_ram--;)
		for (at = from; at + sizeof(struct entry) <= end; at += size ? size : ((const struct entry *)at)->size + 4ul)
			read_entry((const void *)at, ram, is_ram);
	regions_take(ram, 0, LOW_MEMORY);
}

/* `tag` is in the caller's hands as far as its length goes. */
static void read_tag(const uint32_t *tag, struct regions *ram, uint8_t *root_pointer)
{
	uint64_t at = (uint64_t)tag;

	if (tag[0] == TAG_MAP && tag[1] >= 16 && tag[2] >= 20 && !ram->count)
		read_map(at + 12, at + tag[1], tag[2], ram);
	if (tag[0] == TAG_ACPI_NEW || (tag[0] == TAG_ACPI_OLD && !root_pointer[0]))
		__builtin_memcpy(root_pointer, tag + 2, least(tag[1] - 8, 36));
}

const char *multiboot_read(uint32_t magic, uint64_t info, struct regions *ram, uint8_t root_pointer[36])
{
	const uint32_t *word = (const void *)info, *tag;
	uint64_t at = info + 8, end;

	if (magic != MULTIBOOT1 && magic != MULTIBOOT2)
		return "started by something that is no multiboot boot loader";
	if (magic == MULTIBOOT1 && (word[0] & MB1_MAP))
		read_map(word[12], least((uint64_t)word[12] + word[11], BOOT_LIMIT), 0, ram);
	for (end = magic == MULTIBOOT2 ? least(info + word[0], BOOT_LIMIT) : 0; at + 8 <= end; at += (tag[1] + 7ul) & ~7ul) {
		tag = (const void *)at;
		if (tag[0] == TAG_END || tag[1] < 8 || tag[1] > end - at)
			break;
		read_tag(tag, ram, root_pointer);
	}
	return ram->count ? NULL : "the boot loader gave no memory map";
}
