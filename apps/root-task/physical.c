/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Device memory for the root-task to read: what the firmware left outside of the RAM. Frames come
 * from an Untyped in the order of their addresses, so those before are skipped as Untypeds that
 * nobody uses; taking the view away takes all of them away, and the Untyped is whole again.
 */
#include <cairn/hypercalls.h>
#include <cairn/types.h>
#include "root.h"

#define MAX_PIECES                                                                                 \
	(PHYSICAL_PAGES + 128u) /* pages, and the powers of two that lead to the first             \
				 */
#define MAX_BITS 48u

static uint32_t pieces[MAX_PIECES]; /* selectors of what was made */
static unsigned piece_count;
static uint32_t source; /* selector of the Untyped it was made from */

static uint32_t take_piece(void)
{
	uint32_t slot = piece_count < MAX_PIECES ? slot_take(&root_domain, true) : 0;

	if (slot != 0)
		pieces[piece_count++] = slot;
	return slot;
}

static bool skip(unsigned bits)
{
	uint32_t slot = take_piece();

	return slot != 0 && report(cairn_retype(source, CAP_UNTYPED, bits, ROOT_CAPTABLE, slot, 0),
				   "skip device memory");
}

/* The largest power of two that `at` is a multiple of and that does not lead beyond `end`. */
static unsigned step_bits(uint64_t at, uint64_t end)
{
	unsigned bits = PAGE_BITS_4K;

	while (bits < MAX_BITS && (at & (1ull << bits)) == 0 && (2ull << bits) <= end - at)
		bits++;
	return bits;
}

static bool skip_to(uint64_t at, uint64_t end)
{
	while (at < end) {
		unsigned bits = step_bits(at, end);

		if (!skip(bits))
			return false;
		at += 1ull << bits;
	}
	return true;
}

static bool show(uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++) {
		uint32_t slot = take_piece();

		if (slot == 0 ||
		    !report(cairn_retype(source, CAP_FRAME, PAGE_BITS_4K, ROOT_CAPTABLE, slot, 0),
			    "take device memory") ||
		    !space_map(&root_space, slot, WINDOW_PHYSICAL + i * PAGE_SIZE_4K, RIGHT_READ))
			return false;
	}
	return true;
}

static const struct boot_untyped *find(uint64_t first, uint64_t end)
{
	for (uint32_t i = 0; i < boot->untyped_count && i < BOOT_UNTYPED; i++) {
		const struct boot_untyped *untyped = &boot->untyped[i];

		if (untyped->device && first >= untyped->base && end > first &&
		    end - untyped->base <= untyped->size)
			return untyped;
	}
	return NULL;
}

const void *physical_map(uint64_t address, uint64_t length)
{
	uint64_t first = address & ~(PAGE_SIZE_4K - 1);
	uint64_t end = (address + length + PAGE_SIZE_4K - 1) & ~(PAGE_SIZE_4K - 1);
	const struct boot_untyped *untyped = find(first, end);

	physical_unmap();
	if (untyped == NULL || end - first > PHYSICAL_PAGES * PAGE_SIZE_4K)
		return NULL;
	source = ROOT_UNTYPED + (uint32_t)(untyped - boot->untyped);
	if (!skip_to(untyped->base, first) || !show((end - first) / PAGE_SIZE_4K))
		return NULL;
	return (const void *)(WINDOW_PHYSICAL + (address - first));
}

void physical_unmap(void)
{
	cairn_status_t status;

	if (piece_count == 0)
		return;
	do {
		status = cairn_revoke(ROOT_CAPTABLE, source);
	} while (status == CAIRN_ERR_AGAIN);
	report(status, "give device memory back");
	while (piece_count > 0)
		slot_release(pieces[--piece_count]);
}
