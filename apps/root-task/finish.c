/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of the system: everything stops, the console says its last lines, then the machine is
 * switched off. */
#include <stdarg.h>
#include <stdio.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/runtime.h>
#include "output.h"
#include "root.h"

#define DEBUG_EXIT_PORT 0xf4 /* QEMU: isa-debug-exit; its exit status is (value << 1) | 1 */
#define FLUSH_TRIES	200
#define FLUSH_WAIT_US	10000

static void stop_others(void)
{
	for (unsigned i = 0; i < description->vm_count; i++) {
		if (vms[i].server != NULL && vms[i].vcpu[0] != 0)
			vm_suspend(&vms[i]);
	}
	for (unsigned i = 0; i < description->server_count; i++) {
		if (servers[i].desc != NULL && servers[i].state == SERVER_RUNNING &&
		    servers[i].desc->role != ROLE_CONSOLE)
			server_suspend(&servers[i]);
	}
}

/* Asks the console server to answer when all its output has left; gives up after a while. */
static void flush_console(void)
{
	struct log_ring *ring = channels_root_log();
	uint64_t asked;

	if (ring == NULL)
		return;
	asked = ring->flush_asked + 1;
	__atomic_store_n(&ring->flush_asked, asked, __ATOMIC_RELEASE);
	for (int i = 0; i < FLUSH_TRIES; i++) {
		uint64_t until = cairn_tsc() + cairn_ticks_from_us(FLUSH_WAIT_US);

		if (__atomic_load_n(&ring->flush_answered, __ATOMIC_ACQUIRE) == asked)
			return;
		output_poke_console();
		while (cairn_tsc() < until)
			cairn_wait_signals(until);
	}
}

static void out(uint16_t port, unsigned width, uint32_t value)
{
	if (cairn_port_out(ROOT_IOPORTS, port, width, value) != CAIRN_OK)
		cairn_log("system: port 0x%x cannot be written", port);
}

void finish(unsigned value, const char *format, ...)
{
	char reason[160];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	if (description != NULL)
		stop_others();
	cairn_log("system: ended (%s): value %u", reason, value);
	flush_console();
	out(DEBUG_EXIT_PORT, 4, value);
	power_off();
	output_to_console(NULL, 0);
	cairn_log("system: it is safe to switch the machine off");
	for (;;)
		cairn_wait_signals(0);
}
