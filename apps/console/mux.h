/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console's multiplexer, without any hardware: the output of several VMs and the system log on
 * one terminal, and what is typed there to the VM that has the input. Pure; host-tested.
 *
 * Mode ALL marks each line with its source. A line is shown when it is complete, or, as a prompt,
 * when its VM has been quiet for MUX_PROMPT_US; if another source's line comes between, an
 * unfinished line is shown anew from its start, so that every line appears once in one piece. Mode
 * RAW passes the bytes of one VM as they are, with those lines of the system log that are not a
 * vmm-server's; the other VMs' last output is kept and shown when they get the input.
 */
#ifndef CONSOLE_MUX_H
#define CONSOLE_MUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUX_VMS	      8
#define MUX_NAME      16
#define MUX_LINE      512   /* a longer line is broken */
#define MUX_BACKLOG   8192  /* bytes kept of a VM that is not shown */
#define MUX_OUT	      65536 /* bytes on their way to the terminal */
#define MUX_LOG_LINES 2048  /* records of the system log that are kept */
#define MUX_LOG_TEXT  232
#define MUX_ESCAPE    0x1d /* Ctrl-] */
#define MUX_PROMPT_US 100000
#define MUX_NOBODY    (-1)
#define MUX_SYSTEM    (-2)

/* mux_vm_bytes needs this much room for up to MUX_CHUNK bytes (each may end a line and begin a
 * marked one). */
#define MUX_CHUNK     256u
#define MUX_CHUNK_OUT (MUX_CHUNK * (MUX_NAME + 8u) + 2u * MUX_LINE)

enum mux_mode { MUX_ALL, MUX_RAW };

struct mux_log_record {
	char server[MUX_NAME];
	char text[MUX_LOG_TEXT];
	uint16_t length;
	bool vmm;	/* a vmm-server's: not shown in mode RAW */
	bool continued; /* goes on a line that the record before began */
	bool more;	/* the next record goes on with this line */
};

struct mux_vm {
	char name[MUX_NAME];
	char line[MUX_LINE]; /* the unfinished line */
	size_t length, shown;
	uint64_t changed_us;
	char backlog[MUX_BACKLOG];
	uint64_t backlog_end; /* bytes ever put there */
};

struct mux {
	enum mux_mode mode;
	int input; /* VM that gets what is typed, or MUX_NOBODY */
	unsigned vm_count;
	struct mux_vm vm[MUX_VMS];
	bool escaped; /* the escape key was typed */
	int owner;    /* whose unfinished line the cursor is in: a VM, MUX_SYSTEM, MUX_NOBODY */
	char out[MUX_OUT];
	uint32_t out_head, out_tail;
	struct mux_log_record log[MUX_LOG_LINES];
	uint64_t log_end;  /* records ever put there */
	uint64_t log_next; /* the next to show */
	uint64_t log_dump; /* up to here all are shown, in mode RAW too */
};

/* What a typed byte means to the VMs. */
struct mux_input {
	int vm; /* MUX_NOBODY: to none of them */
	uint8_t byte;
};

void mux_init(struct mux *mux);

/* Adds a VM; returns its number, or MUX_NOBODY when there are too many. The first one gets the
 * input. */
int mux_add_vm(struct mux *mux, const char *name);

/* Sets the mode from a server argument: "mode=all" or "mode=raw:VM"; false: it is neither, or there
 * is no such VM. */
bool mux_set_mode(struct mux *mux, const char *argument);

/* Output of a VM: at most MUX_CHUNK bytes, with mux_room() >= MUX_CHUNK_OUT. */
void mux_vm_bytes(struct mux *mux, int vm, const char *bytes, size_t length, uint64_t now_us);

/* One record of the system log; text of any content, cut to MUX_LOG_TEXT. */
void mux_log(struct mux *mux, const char *server, const char *text, size_t length, bool vmm,
	     bool more);

/* One byte from the terminal. */
struct mux_input mux_key(struct mux *mux, uint8_t byte);

/* Brings what is due to the output: log records while there is room, prompts. */
void mux_pump(struct mux *mux, uint64_t now_us);

/* When mux_pump has something to do without any event; 0: never. */
uint64_t mux_due_us(const struct mux *mux);

uint32_t mux_room(const struct mux *mux);

/* Takes up to `length` bytes for the terminal. */
size_t mux_take(struct mux *mux, char *bytes, size_t length);

/* Whether nothing is on its way to the terminal any more. */
bool mux_is_empty(const struct mux *mux);

#endif
