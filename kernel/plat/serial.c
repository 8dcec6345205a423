/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's own output: COM1, polled; for boot, panics and debug builds. */
#include <stdarg.h>
#include "../arch/x86_64/arch.h"

#define COM1 0x3f8

void serial_init(void)
{
	outb(COM1 + 1, 0);    /* no interrupts */
	outb(COM1 + 3, 0x80); /* divisor latch */
	outb(COM1 + 0, 1);    /* 115200 baud */
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3); /* 8N1 */
	outb(COM1 + 2, 7); /* FIFO on and clear */
	outb(COM1 + 4, 3); /* DTR, RTS */
}

void serial_putc(char c)
{
	uint32_t n;

	for (n = 0; n < 100000 && !(inb(COM1 + 5) & 0x20); n++)
		;
	outb(COM1, (uint8_t)c);
}

static void put_number(uint64_t v, uint64_t base)
{
	char digits[20];
	uint32_t n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (n)
		serial_putc(digits[--n]);
}

void print(const char *format, ...)
{
	const char *s;
	va_list ap;

	va_start(ap, format);
	for (; *format; format++) {
		if (*format == '\n')
			serial_putc('\r');
		if (*format != '%') {
			serial_putc(*format);
			continue;
		}
		while (*++format == 'l')
			;
		if (*format == 's') {
			for (s = va_arg(ap, const char *); *s; s++)
				serial_putc(*s);
		} else {
			put_number(va_arg(ap, uint64_t), *format == 'x' ? 16 : 10);
		}
	}
	va_end(ap);
}
