/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads a bzImage and its initrd (Linux's boot protocol 2.10 and later, 32-bit entry). */
#include <string.h>
#include <cairn/guestmem.h>
#include "boot/acpi.h"
#include "boot/layout.h"

#define SECTOR 512u

/* Offsets in the file's first sectors, and in struct boot_params. */
#define HDR_SETUP_SECTS	  0x1f1u
#define HDR_BOOT_FLAG	  0x1feu
#define HDR_JUMP_LENGTH	  0x201u
#define HDR_MAGIC	  0x202u
#define HDR_VERSION	  0x206u
#define HDR_LOADER	  0x210u
#define HDR_LOADFLAGS	  0x211u
#define HDR_CODE32_START  0x214u
#define HDR_RAMDISK	  0x218u
#define HDR_RAMDISK_SIZE  0x21cu
#define HDR_CMDLINE	  0x228u
#define HDR_INITRD_MAX	  0x22cu
#define HDR_ALIGNMENT	  0x230u
#define HDR_RELOCATABLE	  0x234u
#define HDR_CMDLINE_SIZE  0x238u
#define HDR_PREF_ADDRESS  0x258u
#define HDR_INIT_SIZE	  0x260u
#define HDR_MINIMUM	  0x268u
#define PARAMS_RSDP	  0x070u
#define PARAMS_E820_COUNT 0x1e8u
#define PARAMS_E820	  0x2d0u
#define PARAMS_SIZE	  0x1000u
#define E820_ENTRY	  20u

#define MAGIC_HDRS     0x53726448u
#define BOOT_FLAG      0xaa55u
#define PROTOCOL_2_10  0x020au
#define LOADED_HIGH    0x01u
#define LOADER_UNKNOWN 0xffu

struct linux_image {
	const uint8_t *body; /* the protected-mode part */
	uint64_t body_size;
	uint64_t header_end; /* of the setup header, in the file */
	uint64_t load_at,
		needs; /* address and bytes the kernel uses before it reads the memory map */
	uint64_t initrd_max;
	uint64_t cmdline_max;
};

static uint64_t get(const uint8_t *bytes, unsigned offset, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, bytes + offset, size);
	return value;
}

static void put(uint8_t *bytes, unsigned offset, uint64_t value, unsigned size)
{
	memcpy(bytes + offset, &value, size);
}

static const char *parse(const struct boot_payload *payload, struct linux_image *image)
{
	const uint8_t *file = payload->kernel;
	uint64_t setup, alignment;

	if (payload->kernel_size < HDR_MINIMUM)
		return "it is too short to be a bzImage";
	if (get(file, HDR_BOOT_FLAG, 2) != BOOT_FLAG || get(file, HDR_MAGIC, 4) != MAGIC_HDRS)
		return "it is not a bzImage (no HdrS signature)";
	if (get(file, HDR_VERSION, 2) < PROTOCOL_2_10)
		return "its boot protocol is older than 2.10 (Linux 2.6.31)";
	if (!(file[HDR_LOADFLAGS] & LOADED_HIGH))
		return "it is a zImage, to be loaded low; only bzImage is supported";
	setup = (file[HDR_SETUP_SECTS] ? file[HDR_SETUP_SECTS] : 4) + 1u;
	if (payload->kernel_size <= setup * SECTOR)
		return "it is truncated: it ends before the kernel proper";
	image->body = file + setup * SECTOR;
	image->body_size = payload->kernel_size - setup * SECTOR;
	if (image->body_size < get(file, 0x1f4, 4) * 16)
		return "it is truncated: it is shorter than its header says";
	image->header_end = HDR_MAGIC + file[HDR_JUMP_LENGTH];
	if (image->header_end < HDR_MINIMUM - 4 || image->header_end > PARAMS_E820)
		return "its setup header has an impossible length";
	alignment = get(file, HDR_ALIGNMENT, 4);
	image->load_at = get(file, HDR_PREF_ADDRESS, 8);
	if (image->load_at < LAYOUT_KERNEL_MIN || image->load_at > GUEST_LOW_LIMIT ||
	    (alignment && image->load_at % alignment))
		return "its preferred address is impossible";
	image->needs = get(file, HDR_INIT_SIZE, 4);
	if (image->needs < image->body_size)
		image->needs = image->body_size;
	image->initrd_max = get(file, HDR_INITRD_MAX, 4) + 1;
	image->cmdline_max = get(file, HDR_CMDLINE_SIZE, 4);
	return NULL;
}

static const char *check_room(const struct boot_payload *payload, const struct linux_image *image,
			      uint64_t *initrd_at)
{
	uint64_t low = payload->memory < GUEST_LOW_LIMIT ? payload->memory : GUEST_LOW_LIMIT;
	char line[LAYOUT_CMDLINE_SIZE];

	if (image->needs > low || image->load_at > low - image->needs)
		return "the VM's memory is too small for it";
	*initrd_at = 0;
	if (payload->initrd_size) {
		*initrd_at = layout_place_initrd(payload, image->load_at + image->needs,
						 image->initrd_max);
		if (*initrd_at == 0)
			return "the VM's memory is too small for it and its initrd";
	}
	boot_cmdline(payload, line, sizeof(line));
	if (strlen(line) > image->cmdline_max)
		return "its command line is longer than it accepts";
	return NULL;
}

static void fill_params(const struct boot_payload *payload, const struct linux_image *image,
			uint64_t initrd_at, uint8_t *params)
{
	struct ram_range map[RAM_RANGES];
	unsigned ranges = layout_ram_map(payload->memory, map);

	memset(params, 0, PARAMS_SIZE);
	memcpy(params + HDR_SETUP_SECTS, payload->kernel + HDR_SETUP_SECTS,
	       image->header_end - HDR_SETUP_SECTS);
	params[HDR_LOADER] = LOADER_UNKNOWN;
	put(params, HDR_CODE32_START, image->load_at, 4);
	put(params, HDR_RAMDISK, initrd_at, 4);
	put(params, HDR_RAMDISK_SIZE, payload->initrd_size, 4);
	put(params, HDR_CMDLINE, LAYOUT_CMDLINE, 4);
	put(params, PARAMS_RSDP, ACPI_BASE, 8);
	params[PARAMS_E820_COUNT] = (uint8_t)ranges;
	for (unsigned i = 0; i < ranges; i++) {
		put(params, PARAMS_E820 + i * E820_ENTRY, map[i].base, 8);
		put(params, PARAMS_E820 + i * E820_ENTRY + 8, map[i].size, 8);
		put(params, PARAMS_E820 + i * E820_ENTRY + 16, map[i].type, 4);
	}
}

const char *boot_linux(const struct boot_payload *payload, struct boot_entry *entry)
{
	static uint8_t params[PARAMS_SIZE];
	struct linux_image image;
	uint64_t initrd_at;
	const char *wrong = parse(payload, &image);

	if (wrong == NULL)
		wrong = check_room(payload, &image, &initrd_at);
	if (wrong == NULL)
		wrong = layout_write_common(payload);
	if (wrong != NULL)
		return wrong;
	fill_params(payload, &image, initrd_at, params);
	if (guest_write(LAYOUT_PARAMS, params, sizeof(params)) ||
	    guest_write(image.load_at, image.body, image.body_size) ||
	    (payload->initrd_size && guest_write(initrd_at, payload->initrd, payload->initrd_size)))
		return "guest memory cannot be written";
	entry->eip = (uint32_t)image.load_at;
	entry->ebx = 0;
	entry->esi = LAYOUT_PARAMS;
	return NULL;
}
