/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's core under libFuzzer: the input decides about each operation (hal/host/host_operations.c) and the number of CPUs.
 * What is checked is what random_test.c checks, after so many operations and at the end.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <hal/host/host_check.h>
#include <hal/host/host_operations.h>

#define CHECK_EACH 64u
#define HASH_EACH  16u

static const uint8_t *input, *input_end;

_Noreturn void host_fault(const char *what)
{
	fprintf(stderr, "kernel fault: %s\n", what);
	abort();
}

/* One byte where that is enough. Beyond the end there are zeros. */
uint32_t host_any(uint32_t below)
{
	uint32_t value = 0, bytes = below <= 0x100 ? 1 : below <= 0x10000 ? 2 : 4;

	for (; bytes && input != input_end; bytes--)
		value = value << 8 | *input++;
	return value % below;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t n;

	input = data;
	input_end = data + size;
	host_operations_begin(1 + host_any(HOST_CPUS));
	for (n = 1; input != input_end; n++) {
		host_operate(n % HASH_EACH == 0);
		if (n % CHECK_EACH == 0)
			host_check();
	}
	host_operations_end();
	return 0;
}
