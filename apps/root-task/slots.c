/* SPDX-License-Identifier: BSD-2-Clause */
/* The root-task's capability slots: who uses which, and slot numbers for other CapTables. */
#include <cairn/hypercalls.h>
#include <cairn/types.h>
#include "root.h"

#define MAX_SLOTS      65536u
#define SLOTS_PER_PAGE 32u
#define FOREIGN	       0x80u

static uint8_t owner[MAX_SLOTS];
static uint32_t first_free, slot_count, next;
static uint64_t next_number;

bool slots_init(void)
{
	slot_count = (uint32_t)(image->root_slots < MAX_SLOTS ? image->root_slots : MAX_SLOTS);
	first_free = next = (uint32_t)boot->first_free;
	next_number = (boot->slots_used + SLOTS_PER_PAGE - 1) / SLOTS_PER_PAGE * SLOTS_PER_PAGE;
	return first_free < slot_count ? true : report_text("the root-task has no empty slot");
}

uint32_t slot_take(const struct domain *domain, bool foreign)
{
	for (uint32_t tried = first_free; tried < slot_count; tried++) {
		uint32_t slot = next;

		next = next + 1 < slot_count ? next + 1 : first_free;
		if (owner[slot] == 0) {
			owner[slot] = domain->owner | (foreign ? FOREIGN : 0);
			return slot;
		}
	}
	report_text(
		"the root-task's slots are used up: raise root_slots in the system description");
	return 0;
}

void slot_release(uint32_t selector)
{
	owner[selector] = 0;
}

/* Deletes in bounded steps, as often as the kernel asks for. */
static bool delete (uint32_t selector)
{
	cairn_status_t status;

	do {
		status = cairn_revoke(ROOT_CAPTABLE, selector);
	} while (status == CAIRN_ERR_AGAIN);
	if (status == CAIRN_OK) {
		do {
			status = cairn_delete(ROOT_CAPTABLE, selector);
		} while (status == CAIRN_ERR_AGAIN);
	}
	/* Gone already: something it was derived from went first. */
	return status == CAIRN_ERR_CAP || report(status, "delete a capability");
}

bool slots_delete_foreign(const struct domain *domain)
{
	for (uint32_t slot = first_free; slot < slot_count; slot++) {
		if (owner[slot] != (domain->owner | FOREIGN))
			continue;
		if (!delete (slot))
			return false;
		owner[slot] = 0;
	}
	return true;
}

void slots_forget(const struct domain *domain)
{
	for (uint32_t slot = first_free; slot < slot_count; slot++) {
		if (owner[slot] == domain->owner)
			owner[slot] = 0;
	}
}

uint32_t slot_numbers_take(uint64_t count)
{
	uint64_t first = next_number;

	if (count > boot->slots_total - first) {
		report_text(
			"the kernel's slots are used up: lower slots in the system description");
		return 0;
	}
	next_number += count;
	return (uint32_t)first;
}
