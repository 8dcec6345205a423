/* SPDX-License-Identifier: BSD-2-Clause */
/* The root-task: builds everything from the system description, then only supervises. */
#include <stdio.h>
#include <cairn/boot.h>
#include <cairn/hooks.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include "output.h"

static unsigned char heap[64 * 1024] __attribute__((aligned(4096)));

static void end(int status)
{
	cairn_log("root-task: ended with status %d", status);
	for (;;) {
		if (cairn_wait(0, NULL) != CAIRN_OK)
			continue;
	}
}

const struct cairn_hooks cairn_hooks = {
	.log_line = output_line,
	.end = end,
	.heap = heap,
	.heap_size = sizeof(heap),
};

int main(void)
{
	const struct boot_info *boot = (const struct boot_info *)ROOT_INFO_VA;

	printf("root-task: %u CPU(s), %lu MiB of memory, interface version %u\n", boot->cpu_count,
	       (unsigned long)(boot->memory_size >> 20), boot->version);
	return 0;
}
