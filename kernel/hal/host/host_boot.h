/* SPDX-License-Identifier: BSD-2-Clause */
/* The first capabilities, as boot.c gives them to the root-task, and shorthands to make hypercalls with them. */
#ifndef HOST_BOOT_H
#define HOST_BOOT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <core/syscall.h>
#include <cairn/hypercall_numbers.h>
#include "host_hal.h"

#define ROOT_SLOTS 1024u
#define ROOT_FIRST SLOTS_PER_PAGE
#define IMAGE_BASE (HOST_RAM_END - IMAGE_SIZE) /* memory that keeps its content */
#define IMAGE_SIZE 0x400000ul
#define IMAGE_WORD 0x5a5a5a5a5a5a5a5aul /* it is full of this */

/* Selectors of the root table. */
enum { S_TABLE, S_MC, S_PORTS, S_IRQ, S_IMAGE, S_UNTYPED, S_CPUS, S_FREE };
#define BOOT_CAPS S_FREE /* so many at the start */

/* Stands for the root-task: makes the hypercalls of a test. */
extern struct ec driver;
extern struct message_buffer driver_buffer;

/* cmocka's setup: an empty machine with the first capabilities. */
int host_boot(void **state);

/* One hypercall of `e`, of the driver. Answers RAX: while a call waits for its reply, the number it was made with. */
uint64_t ec_call(struct ec *e, uint32_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5,
		 uint64_t a6);
#define call6(n, a, b, c, d, e, f) ec_call(&driver, CAIRN_CALL_##n, a, b, c, d, e, f)
#define call5(n, a, b, c, d, e)	   call6(n, a, b, c, d, e, 0)
#define call3(n, a, b, c)	   call6(n, a, b, c, 0, 0, 0)
#define call2(n, a, b)		   call6(n, a, b, 0, 0, 0, 0)
#define call1(n, a)		   call6(n, a, 0, 0, 0, 0, 0)

#define must_be(status, expression) assert_int_equal(expression, status)
#define must(expression)	    must_be(CAIRN_OK, expression)

/* Slot number of a selector of the root table, and the slot. */
static inline uint32_t slot_of(uint32_t sel)
{
	return ROOT_FIRST + sel;
}
#define SLOT(sel) (slots[slot_of(sel)])

/* The next selector of the root table that nobody was given yet. */
uint32_t new_sel(void);
/* Each makes one from S_UNTYPED and answers its selector. */
uint32_t make(uint64_t type, uint64_t bits, uint64_t param);
uint32_t make_untyped(uint64_t bits);
uint32_t make_frame(uint64_t bits);
uint32_t make_pt(uint8_t kind, uint8_t level, uint32_t label);
uint32_t make_table(uint32_t first, uint32_t count);
uint32_t copy_of(uint32_t sel, uint32_t rights, uint64_t badge);
/* A chain of tables, each in entry 0 of the one above: sel[4] is the root, sel[1] at level 1. */
void make_space(uint8_t kind, uint32_t label, uint32_t sel[5]);

/* The CPU of what these make. */
extern uint64_t make_on;
/* A configured Thread (priority 0: a handler) or VCpu, in one host space that all share; not resumed. */
struct ec *make_thread(uint32_t priority, uint32_t *sel);
struct ec *make_vcpu(uint32_t priority, uint32_t exit_base, uint32_t *sel);
uint32_t make_portal(uint32_t thread, uint64_t badge, uint32_t mask);
struct ec *object_of(uint32_t sel);
/* That space, made when first asked for. */
uint32_t home_space(void);
/* Deletes until it is done. */
uint64_t delete_all(uint32_t table, uint32_t index);
uint64_t revoke_all(uint32_t table, uint32_t index);

/* Fails the test when the derivation list is not well formed; answers the number of capabilities. */
uint32_t check_list(void);

#endif
