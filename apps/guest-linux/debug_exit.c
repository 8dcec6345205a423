/* SPDX-License-Identifier: BSD-2-Clause */
/* Writes its argument to the debug-exit port 0xf4: the machine ends with status (value << 1) | 1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>

#define DEBUG_EXIT_PORT 0xf4

int main(int argc, char **argv)
{
	char *end = NULL;
	unsigned long value = argc == 2 ? strtoul(argv[1], &end, 0) : 256;

	if (argc != 2 || *end || value > 127) {
		fputs("usage: debug_exit VALUE (0..127)\n", stderr);
		return 2;
	}
	if (ioperm(DEBUG_EXIT_PORT, 1, 1) != 0) {
		fprintf(stderr, "debug_exit: no access to port 0xf4: %s\n", strerror(errno));
		return 1;
	}
	outb((unsigned char)value, DEBUG_EXIT_PORT);
	fputs("debug_exit: still here: this machine has no debug-exit port\n", stderr);
	return 1;
}
