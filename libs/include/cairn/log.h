/* SPDX-License-Identifier: BSD-2-Clause */
/* Logging: any thread of a server may write lines to the system log, which the console server
 * keeps. */
#ifndef CAIRN_LOG_H
#define CAIRN_LOG_H

#include <stddef.h>
#include <stdint.h>

#define CAIRN_LOG_LINE 512 /* longer lines of cairn_log are cut */

/* One line, without its newline. Usable in handler threads: no malloc, no stdio, no thread-local
 * storage. */
void cairn_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for text that needs no formatting. */
void cairn_log_text(const char *text, size_t length);

#endif
