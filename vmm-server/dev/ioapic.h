/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O APIC (82093AA): 24 pins, redirection table, level and edge. */
#ifndef VMM_IOAPIC_H
#define VMM_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>
#include "dev/lapic.h"

#define IOAPIC_BASE   0xfec00000ull
#define IOAPIC_SIZE   0x1000ull
#define IOAPIC_PINS   24u
#define IOAPIC_SELECT 0x00u
#define IOAPIC_WINDOW 0x10u

struct ioapic {
	uint32_t select;
	uint32_t id;
	uint64_t entry[IOAPIC_PINS];
	uint32_t lines;	  /* level of each input */
	uint32_t pending; /* edges that came while the pin was masked, and levels to be looked at
			     again */
};

void ioapic_reset(struct ioapic *ioapic);
uint32_t ioapic_read(const struct ioapic *ioapic, uint32_t offset);
void ioapic_write(struct ioapic *ioapic, uint32_t offset, uint32_t value);

/* Sets the level of an input (active high). */
void ioapic_set_line(struct ioapic *ioapic, unsigned pin, bool level);

/* A local APIC ended this level-triggered vector. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

/* The next interrupt to be sent; false: none. Called until it is false after each of the above. */
bool ioapic_next(struct ioapic *ioapic, struct apic_message *message);

#endif
