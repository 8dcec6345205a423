/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O APIC: pins become messages to the local APICs. */
#include <string.h>
#include "dev/ioapic.h"

#define REG_ID		0x00u
#define REG_VERSION	0x01u
#define REG_ARBITRATION 0x02u
#define REG_TABLE	0x10u
#define VERSION		(0x11u | (IOAPIC_PINS - 1) << 16)

#define ENTRY_VECTOR	 0xffull
#define ENTRY_LOGICAL	 (1ull << 11)
#define ENTRY_REMOTE_IRR (1ull << 14)
#define ENTRY_LEVEL	 (1ull << 15)
#define ENTRY_MASKED	 (1ull << 16)
#define ENTRY_WRITABLE	 0xff0000000001afffull /* all but delivery status and remote IRR */

void ioapic_reset(struct ioapic *ioapic)
{
	memset(ioapic, 0, sizeof(*ioapic));
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->entry[pin] = ENTRY_MASKED;
}

static uint32_t read_window(const struct ioapic *ioapic)
{
	uint32_t index = ioapic->select;

	if (index == REG_ID || index == REG_ARBITRATION)
		return ioapic->id;
	if (index == REG_VERSION)
		return VERSION;
	if (index >= REG_TABLE && index < REG_TABLE + 2 * IOAPIC_PINS) {
		uint64_t entry = ioapic->entry[(index - REG_TABLE) / 2];

		return (uint32_t)(index & 1 ? entry >> 32 : entry);
	}
	return 0;
}

uint32_t ioapic_read(const struct ioapic *ioapic, uint32_t offset)
{
	if (offset == IOAPIC_SELECT)
		return ioapic->select;
	if (offset == IOAPIC_WINDOW)
		return read_window(ioapic);
	return 0xffffffffu;
}

static void write_entry(struct ioapic *ioapic, uint32_t index, uint32_t value)
{
	uint64_t *entry = &ioapic->entry[index / 2];
	uint64_t kept = *entry & ENTRY_REMOTE_IRR;
	uint64_t changed = index & 1 ? (*entry & 0xffffffffu) | (uint64_t)value << 32
				     : (*entry & ~0xffffffffull) | value;

	*entry = (changed & ENTRY_WRITABLE) | kept;
	if (!(*entry & ENTRY_LEVEL))
		*entry &= ~ENTRY_REMOTE_IRR;
	else if (ioapic->lines >> (index / 2) & 1)
		ioapic->pending |= 1u << (index / 2);
}

void ioapic_write(struct ioapic *ioapic, uint32_t offset, uint32_t value)
{
	uint32_t index = ioapic->select;

	if (offset == IOAPIC_SELECT) {
		ioapic->select = value & 0xff;
		return;
	}
	if (offset != IOAPIC_WINDOW)
		return;
	if (index == REG_ID)
		ioapic->id = value & 0x0f000000u;
	else if (index >= REG_TABLE && index < REG_TABLE + 2 * IOAPIC_PINS)
		write_entry(ioapic, index - REG_TABLE, value);
}

void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool level)
{
	uint32_t mask;

	if (pin >= IOAPIC_PINS)
		return;
	mask = 1u << pin;
	if (level && !(ioapic->lines & mask))
		ioapic->pending |= mask;
	if (!level && (ioapic->entry[pin] & ENTRY_LEVEL))
		ioapic->pending &= ~mask;
	ioapic->lines = level ? ioapic->lines | mask : ioapic->lines & ~mask;
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *entry = &ioapic->entry[pin];

		if (!(*entry & ENTRY_LEVEL) || (*entry & ENTRY_VECTOR) != vector)
			continue;
		*entry &= ~ENTRY_REMOTE_IRR;
		if (ioapic->lines >> pin & 1)
			ioapic->pending |= 1u << pin;
	}
}

bool ioapic_next(struct ioapic *ioapic, struct apic_message *message)
{
	for (unsigned pin = 0; ioapic->pending && pin < IOAPIC_PINS; pin++) {
		uint64_t *entry = &ioapic->entry[pin];

		if (!(ioapic->pending >> pin & 1) || (*entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
			continue;
		ioapic->pending &= ~(1u << pin);
		if (*entry & ENTRY_LEVEL)
			*entry |= ENTRY_REMOTE_IRR;
		message->vector = (uint8_t)(*entry & ENTRY_VECTOR);
		message->delivery = *entry >> 8 & 7;
		message->logical = *entry & ENTRY_LOGICAL;
		message->level = *entry & ENTRY_LEVEL;
		message->assert = true;
		message->shorthand = APIC_TO_DESTINATION;
		message->destination = (uint8_t)(*entry >> 56);
		return true;
	}
	return false;
}
