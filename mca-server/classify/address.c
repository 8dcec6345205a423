/* SPDX-License-Identifier: BSD-2-Clause */
/* Which memory a record is about: address mode and least significant valid bit of MCi_MISC
 * (SDM 15.3.2.4). */
#include <cairn/types.h>
#include "bits.h"
#include "classify.h"

bool mca_intel_address_usable(uint64_t status, uint64_t misc)
{
	if (!(status & MCI_STATUS_ADDRV) || !(status & MCI_STATUS_MISCV))
		return false;
	return MISC_MODE(misc) == MISC_MODE_PHYSICAL && MISC_LSB(misc) <= MCA_LSB_MAX;
}

static const char *unusable(uint64_t status, uint64_t misc)
{
	if (!(status & MCI_STATUS_ADDRV))
		return "the record has no address";
	if (!(status & MCI_STATUS_MISCV))
		return "the record does not say what kind of address it holds";
	if (MISC_MODE(misc) != MISC_MODE_PHYSICAL)
		return "the address is not a physical one";
	return "the record covers more than 1 GiB";
}

struct mca_range mca_range_of(const struct mca_rules *rules, uint64_t status, uint64_t addr,
			      uint64_t misc)
{
	/* AMD's MCi_MISC holds no address mode; its addresses are pages of system-physical memory.
	 */
	if (rules->amd && (status & MCI_STATUS_ADDRV))
		return (struct mca_range){.first = addr & PHYSICAL_PAGE_MASK, .pages = 1};
	if (rules->amd || !mca_intel_address_usable(status, misc))
		return (struct mca_range){.why = unusable(status, misc)};

	unsigned lsb = MISC_LSB(misc) < PAGE_BITS_4K ? PAGE_BITS_4K : MISC_LSB(misc);

	return (struct mca_range){
		.first = addr & PHYSICAL_PAGE_MASK & ~((1ull << lsb) - 1),
		.pages = 1ull << (lsb - PAGE_BITS_4K),
	};
}
