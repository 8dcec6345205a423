/* SPDX-License-Identifier: BSD-2-Clause */
/* Patterns for all registers, and the comparison of what was loaded with what was found. */
#ifndef REGISTERS_H
#define REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "isolation.h"

#define RFLAGS_IF 0x200ul
#define RFLAGS_DF 0x400ul
#define RFLAGS_NT 0x4000ul
#define RFLAGS_AC 0x40000ul
#define RFLAGS_ID 0x200000ul

/* XCR0, or 0: the kernel does not offer XSAVE. */
uint64_t components(void);

/* A register's value, full of one byte but for its end. */
uint64_t word_of(uint8_t pattern, unsigned n);

/* An image for FXRSTOR, or for XRSTOR of the components in `mask`. */
void fill_fpu(uint8_t *image, uint8_t pattern, uint64_t mask);

/* Whether the FPU was found as it was loaded; whether it was found as it is at the start. */
bool same_fpu(const struct isolation *d);
bool clean_fpu(const struct isolation *d);

/* Stores the FPU's content; loads it; makes it fit for C again. */
void store_fpu(uint8_t *image, uint64_t mask);
void load_fpu(const uint8_t *image, uint64_t mask);
void reset_fpu(void);

/* What leak_entry (leak.S) has found, and where it goes on. */
extern struct isolation leak_entered;
extern const void *volatile leak_next;
extern const uint8_t leak_entry[];

/*
 * A hypercall with these arguments; RAX comes back. Every register is looked at: what is wrong with
 * them is kept for leak_report. results: how many the call has.
 */
uint64_t leak_hypercall(uint64_t number, const uint64_t *arguments, unsigned results);
/* One report about all calls since the last one. */
void leak_report(const char *name);

/* One report: whether the registers that leak_entry or a thread of isolation.S has found are these.
 */
void check_registers(const char *name, const struct isolation *d, const uint64_t *want);

#endif
