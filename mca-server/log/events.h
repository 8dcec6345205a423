/* SPDX-License-Identifier: BSD-2-Clause */
/* The last events as lines of text, kept in memory; they are printed after the verdict, never
 * before. */
#ifndef MCA_EVENTS_H
#define MCA_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#define MCA_EVENTS     256
#define MCA_EVENT_TEXT 500 /* what the system log takes as one line */

struct mca_events {
	uint64_t added, printed; /* counts since the start */
	uint64_t lost;		 /* overwritten before they were printed */
	char text[MCA_EVENTS][MCA_EVENT_TEXT];
};

/* One line; what does not fit is cut. */
void events_add(struct mca_events *events, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Takes the next line's place, to be filled before the next events_print. */
uint64_t events_reserve(struct mca_events *events);
void events_set(struct mca_events *events, uint64_t event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Prints what has not been printed, oldest first. */
void events_print(struct mca_events *events, void (*print)(const char *line, size_t length));

/* Formats at the end of a line that is being built: returns the new length, never more than size
 * - 1. */
size_t events_append(char *line, size_t size, size_t length, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
