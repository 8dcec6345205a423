/* SPDX-License-Identifier: BSD-2-Clause */
/* Short messages put together without printf: the personality also runs before musl's own state
 * exists. */
#ifndef LIBS_TEXT_H
#define LIBS_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct text {
	size_t length;
	char bytes[160];
};

/* Both cut what does not fit. */
static inline void text_add(struct text *text, const char *string)
{
	while (*string != 0 && text->length < sizeof(text->bytes))
		text->bytes[text->length++] = *string++;
}

static inline void text_add_number(struct text *text, uint64_t number)
{
	char digits[21];
	size_t at = sizeof(digits) - 1;

	digits[at] = 0;
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number != 0);
	text_add(text, digits + at);
}

#endif
