/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's own output: a 16550, polled; for boot, panics and debug builds. */
#include <stdarg.h>
#include <hal/hal.h>
#include "../arch/x86_64/arch.h"

#define COM1	      0x3f8
#define PORT_PATIENCE 1000000u /* turns: longer than any line takes */

static uint16_t port;	/* 0: none yet */
static char kept[2048]; /* what was said first, for a port that is named later */
static uint32_t kept_count;

void serial_init(void)
{
	outb(COM1 + 7, 0x5a); /* the scratch register: is there a port? */
	if (inb(COM1 + 7) != 0x5a)
		return;
	outb(COM1 + 1, 0);    /* no interrupts */
	outb(COM1 + 3, 0x80); /* divisor latch */
	outb(COM1 + 0, 1);    /* 115200 baud */
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3); /* 8N1 */
	outb(COM1 + 2, 7); /* FIFO on and clear */
	outb(COM1 + 4, 3); /* DTR, RTS */
	port = COM1;
}

static void send(char c)
{
	uint32_t n;

	for (n = 0; n < 100000 && !(inb(port + 5) & 0x20); n++)
		;
	outb(port, (uint8_t)c);
}

void hal_serial(uint64_t to)
{
	uint32_t i;

	port = (uint16_t)to;
	for (i = 0; i < kept_count; i++)
		send(kept[i]);
}

void serial_putc(char c)
{
	if (kept_count < sizeof(kept))
		kept[kept_count++] = c;
	if (port)
		send(c);
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

/* One line at a time; whoever holds the port and never comes back does not hold up the end. */
static void port_take(uint32_t *lock)
{
	uint32_t n;

	for (n = 0; n < PORT_PATIENCE && __atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE); n++)
		hal_relax();
}

void print(const char *format, ...)
{
	static uint32_t lock;
	const char *s;
	va_list ap;

	port_take(&lock);
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
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}
