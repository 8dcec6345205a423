/* SPDX-License-Identifier: BSD-2-Clause */
/* The ACPI tables of the VM: hardware-reduced, one UART, local APICs and an I/O APIC. */
#ifndef VMM_ACPI_H
#define VMM_ACPI_H

#include <stddef.h>
#include <stdint.h>

#define ACPI_BASE 0xe0000ull /* where a guest that is not told looks for the RSDP */
#define ACPI_SIZE 0x1000ull

/* Writes all tables to `memory` (ACPI_SIZE bytes, meant for guest-physical ACPI_BASE, the RSDP
 * first). */
void acpi_build(uint8_t *memory, unsigned vcpus);

#endif
