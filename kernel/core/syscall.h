/* SPDX-License-Identifier: BSD-2-Clause */
/* The entry from user level. */
#ifndef CORE_SYSCALL_H
#define CORE_SYSCALL_H

#include <core/ec.h>

/* A hypercall of the current thread: number in RAX, arguments RDI RSI RDX R10 R8 R9 of e->gpr. */
void syscall_dispatch(struct ec *e);

#endif
