/* SPDX-License-Identifier: BSD-2-Clause */
/* A ring of text lines. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "events.h"

void events_add(struct mca_events *events, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(events->text[events->added % MCA_EVENTS], MCA_EVENT_TEXT, format, args);
	va_end(args);
	events->added++;
}

uint64_t events_reserve(struct mca_events *events)
{
	events->text[events->added % MCA_EVENTS][0] = 0;
	return events->added++;
}

void events_set(struct mca_events *events, uint64_t event, const char *format, ...)
{
	va_list args;

	/* Its place is taken by a newer line: events_print counts it. */
	if (events->added - event > MCA_EVENTS)
		return;
	va_start(args, format);
	vsnprintf(events->text[event % MCA_EVENTS], MCA_EVENT_TEXT, format, args);
	va_end(args);
}

void events_print(struct mca_events *events, void (*print)(const char *line, size_t length))
{
	if (events->added - events->printed > MCA_EVENTS) {
		uint64_t lost = events->added - events->printed - MCA_EVENTS;
		char text[80];

		events->lost += lost;
		events->printed = events->added - MCA_EVENTS;
		print(text, events_append(text, sizeof(text), 0,
					  "%" PRIu64 " lines of this log were overwritten before "
					  "they were printed",
					  lost));
	}
	for (; events->printed < events->added; events->printed++) {
		const char *line = events->text[events->printed % MCA_EVENTS];

		print(line, strlen(line));
	}
}

size_t events_append(char *line, size_t size, size_t length, const char *format, ...)
{
	va_list args;
	int added;

	va_start(args, format);
	added = vsnprintf(line + length, size - length, format, args);
	va_end(args);
	if (added < 0)
		return length;
	return length + (size_t)added < size ? length + (size_t)added : size - 1;
}
