/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes kernel objects from a server's own Untyped (GRANT_MEMORY). It is also the worked example of
 * the hypercall interface: spaces, CapTables, threads and portals are built here as the root-task
 * builds servers. What cannot be made ends the system with one line that says what and why: the
 * callers are test programs.
 */
#ifndef FORGE_H
#define FORGE_H

#include <stdint.h>
#include <cairn/runtime.h>
#include <cairn/types.h>

/* Where a space of forge_space_make has its 2 MiB (one level-1 PageTable). */
#define FORGE_SPACE_VA 0x400000ul
/* Where forge_window maps frames in the server's own space: a top-level entry that nothing else
 * uses. */
#define FORGE_WINDOW_VA	   0x200000000000ul
#define FORGE_WINDOW_PAGES 512u

struct forge_space {
	uint64_t root;	 /* selector: level 4 */
	uint64_t level1; /* selector: covers FORGE_SPACE_VA */
};

/* What a thread needs besides its memory. 0 stands for none, or for the server's own where it must
 * have one. */
struct forge_thread {
	uint64_t space;	     /* selector; 0: the server's own */
	uint64_t captable;   /* selector; 0: the server's own */
	uint64_t supervisor; /* index in its CapTable */
	uint64_t cpu;
	uint64_t rip, rsp, arg;
	uint64_t fs_base;
	uint64_t syscall_entry, fault_entry;
	uint64_t priority; /* 0: a portal handler */
	uint64_t ceiling;
	uint64_t budget_us, period_us;
	uint64_t buffer; /* selector: the Frame of its message buffer; 0: a new one */
};

/* To be called once. Makes the window's PageTables. */
void forge_init(void);

/* Prints `what: STATUS` and ends the system with value 1, unless status is CAIRN_OK. */
void forge_must(cairn_status_t status, const char *what);

/* The Untyped that objects are made from (at first SEL_UNTYPED); returns the one before. */
uint64_t forge_use(uint64_t untyped);
uint64_t forge_used(void);

/* A selector of the own CapTable that is empty. */
uint64_t forge_select(void);

/* What is given out so far; forge_release takes back what was given out since (its objects are gone
 * by then). */
struct forge_mark {
	uint64_t selector, table_slot;
	unsigned window;
};
struct forge_mark forge_mark(void);
void forge_release(struct forge_mark mark);

/* Slot numbers for a CapTable of `slots` slots, as retype's param wants them. */
uint64_t forge_table_param(unsigned slots);

/* For calls whose failure does not matter: the compilers insist on a use of the status. */
static inline void forge_ignore(cairn_status_t status)
{
	(void)status;
}

/* Each returns the selector of a new object. */
uint64_t forge_untyped(unsigned bits);
uint64_t forge_frame(void);
uint64_t forge_pagetable(enum cairn_pt_kind kind, unsigned level, uint32_t label);
uint64_t forge_captable(unsigned slots);
uint64_t forge_copy(uint64_t source, uint32_t rights, uint64_t badge);
uint64_t forge_portal(uint64_t thread, uint64_t badge);

/* Maps a Frame for reading and writing in the own space. */
void *forge_window(uint64_t frame);
/* Maps a copy of a Frame in the own space. */
void *forge_window_copy(uint64_t frame, uint32_t rights);

/* An address space with its PageTables for FORGE_SPACE_VA. */
void forge_space_make(struct forge_space *space, uint32_t label);
/* Maps a copy of a Frame at page `page` (0..511) behind FORGE_SPACE_VA; returns the copy. */
uint64_t forge_space_map(const struct forge_space *space, uint64_t frame, unsigned page,
			 uint32_t rights);

/* A Thread with a message buffer, configured but not resumed. *buffer: its message buffer, if
 * wanted. */
uint64_t forge_thread(const struct forge_thread *config, struct message_buffer **buffer);

#endif
