/* SPDX-License-Identifier: BSD-2-Clause */
/* What the root-task and the console server do in their own way; a program that needs it defines
 * `cairn_hooks`. */
#ifndef CAIRN_HOOKS_H
#define CAIRN_HOOKS_H

#include <stddef.h>

struct cairn_hooks {
	/* Takes one line of the log without its newline, instead of the ring of channel 0. NULL:
	 * the ring. */
	void (*log_line)(const char *text, size_t length);
	/* Ends the program (exit); must not return. NULL: ROOT_EXIT. */
	void (*end)(int status);
	/* Memory for malloc, page aligned. NULL: the heap of struct server_info. */
	unsigned char *heap;
	size_t heap_size;
};

extern const struct cairn_hooks cairn_hooks __attribute__((weak));

#endif
