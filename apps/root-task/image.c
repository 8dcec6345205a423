/* SPDX-License-Identifier: BSD-2-Clause */
/* The boot image: its memory as 2 MiB frames, mapped read-only for the root-task and, module by
 * module, for VMMs. */
#include <cairn/hypercalls.h>
#include <cairn/types.h>
#include "root.h"

#define MAX_FRAMES 2048u /* 4 GiB */

static uint32_t frames[MAX_FRAMES];
static uint32_t frame_count;

static bool check_header(void)
{
	if (image->magic != IMAGE_MAGIC || image->version != IMAGE_VERSION)
		return report_text("the boot image is not of the version this root-task knows");
	if (image->module_count > IMAGE_MODULES || image->size % PAGE_SIZE_2M != 0 ||
	    image->size / PAGE_SIZE_2M > MAX_FRAMES)
		return report_text("the boot image's header is malformed");
	for (uint32_t i = 0; i < image->module_count; i++) {
		const struct image_module *module = &image->module[i];

		if (module->offset < PAGE_SIZE_2M || module->offset > image->size ||
		    module->size > image->size - module->offset)
			return report_text("a module lies outside the boot image");
	}
	return true;
}

static bool map_frame(uint32_t i)
{
	frames[i] = slot_take(&root_domain, false);
	if (frames[i] == 0)
		return false;
	return report(cairn_retype(ROOT_IMAGE, CAP_FRAME, PAGE_BITS_2M, ROOT_CAPTABLE, frames[i],
				   0),
		      "take the boot image's memory") &&
	       space_map_large(&root_space, frames[i], WINDOW_IMAGE + i * PAGE_SIZE_2M, RIGHT_READ);
}

bool image_open(void)
{
	if (!check_header())
		return false;
	/* The kernel has made the header and the root-task itself out of the first 2 MiB; no module
	 * lies there. */
	for (frame_count = 1; frame_count < image->size / PAGE_SIZE_2M; frame_count++) {
		if (!map_frame(frame_count))
			return false;
	}
	return true;
}

const void *image_module(uint32_t index, uint64_t *size)
{
	if (index >= image->module_count)
		return NULL;
	*size = image->module[index].size;
	return (const void *)(WINDOW_IMAGE + image->module[index].offset);
}

bool image_map_module(struct server *server, uint32_t index, uint64_t *used, uint64_t *offset)
{
	const struct image_module *module = &image->module[index];
	uint64_t first = module->offset / PAGE_SIZE_2M;
	uint64_t end = (module->offset + module->size + PAGE_SIZE_2M - 1) / PAGE_SIZE_2M;

	*offset = *used + module->offset % PAGE_SIZE_2M;
	for (uint64_t i = first; i < end; i++, *used += PAGE_SIZE_2M) {
		uint32_t copy = slot_take(&server->domain, true);

		if (copy == 0 ||
		    !report(cairn_copy(frames[i], ROOT_CAPTABLE, copy, RIGHT_READ, 0),
			    "share a module") ||
		    !space_map_large(&server->space, copy, SERVER_PAYLOAD_VA + *used, RIGHT_READ))
			return false;
	}
	return true;
}
