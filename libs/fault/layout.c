/* SPDX-License-Identifier: BSD-2-Clause */
/* Pins what entry.S takes for granted of the message buffer and the address map. */
#include <stddef.h>
#include <cairn/guestmem.h>
#include <cairn/server.h>
#include <cairn/types.h>

_Static_assert(SERVER_STACK_VA == 0x30000000, "STACK_VA");
_Static_assert(SERVER_BUFFER_VA == 0x10100000, "BUFFER_VA");
_Static_assert(SEL_CHANNEL - SEL_THREAD == 8, "THREADS");
_Static_assert(offsetof(struct message_buffer, fault_active) == 3968, "FAULT_ACTIVE");
_Static_assert(offsetof(struct message_buffer, fault_poison) == 4000, "FAULT_POISON");
_Static_assert(offsetof(struct message_buffer, fault_rip) == 4008, "FAULT_RIP");
_Static_assert(offsetof(struct message_buffer, fault_rsp) == 4016, "FAULT_RSP");
_Static_assert(offsetof(struct message_buffer, fault_rflags) == 4024, "FAULT_RFLAGS");
_Static_assert(offsetof(struct message_buffer, reserved) == 4032, "SAVED");
_Static_assert(GUESTMEM_FAULT == 1 && GUESTMEM_POISON == 2, "the codes of entry.S");
