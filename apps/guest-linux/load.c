/* SPDX-License-Identifier: BSD-2-Clause */
/* A Linux process that keeps its virtual CPU busy in a chosen way, so that an error meets it there.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/syscall.h>
#include <unistd.h>

static void cpuid(void)
{
	uint32_t a = 0, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
}

#define PORT_B 0x61 /* system control port B */

int main(int argc, char **argv)
{
	const char *mode = argc == 2 ? argv[1] : "";

	if (strcmp(mode, "spin") == 0) {
		for (;;)
			__asm__ volatile("" : : : "memory"); /* no PAUSE: that may exit */
	}
	if (strcmp(mode, "exit") == 0) {
		for (;;)
			cpuid();
	}
	if (strcmp(mode, "kernel") == 0) {
		char buffer[4096];

		/* getrandom: long stays in the guest's kernel, which computes and takes no lock for
		 * others. */
		for (;;)
			(void)syscall(SYS_getrandom, buffer, sizeof(buffer), 0);
	}
	if (strcmp(mode, "port") == 0) {
		if (ioperm(PORT_B, 1, 1) != 0) {
			perror("ioperm");
			return 1;
		}
		for (;;)
			(void)inb(PORT_B);
	}
	fputs("usage: load spin|exit|port|kernel\n"
	      "  spin    computes in user mode\n"
	      "  exit    executes CPUID (a VM exit) all the time\n"
	      "  port    reads an emulated port all the time, which keeps the VMM busy\n"
	      "  kernel  spends its time in the guest's kernel\n",
	      stderr);
	return 2;
}
