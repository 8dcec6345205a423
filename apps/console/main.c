/* SPDX-License-Identifier: BSD-2-Clause */
/* The console server: the serial port shared by all VMs' terminals and the system log. */
#include <stdio.h>
#include <string.h>
#include <cairn/byte_ring.h>
#include <cairn/hooks.h>
#include <cairn/hypercalls.h>
#include <cairn/log.h>
#include <cairn/log_ring.h>
#include <cairn/runtime.h>
#include "mux.h"
#include "uart.h"

#define LOG_BURST  64u /* records taken from one server before the others have their turn */
#define KEYS_BURST 64u

static struct mux mux;

/* What this server's channels are: their index is that of struct server_info. */
static struct port {
	int vm;           /* CHANNEL_TTY: number of the VM in the multiplexer */
	uint64_t dropped; /* CHANNEL_LOG: already reported */
} ports[SERVER_CHANNELS];

static void own_line(const char *text, size_t length)
{
	mux_log(&mux, "console", text, length, false, false);
}

const struct cairn_hooks cairn_hooks = { .log_line = own_line };

static uint64_t now_us(void)
{
	return cairn_us_from_ticks(cairn_tsc());
}

static const struct server_channel *channel_of(unsigned n, enum channel_kind kind)
{
	const struct server_channel *channel = &cairn_info()->channel[n];

	return channel->present && channel->kind == (uint32_t)kind ? channel : NULL;
}

/* A signal to a server that is gone finds nobody; its next generation looks at its rings when it starts. */
static void poke(unsigned n)
{
	if (cairn_signal(SEL_CHANNEL + n) != CAIRN_OK)
		return;
}

/* The terminals' names are those of the VMs; their vmm-servers' carry a prefix. */
static const char *vm_name(const struct server_channel *channel)
{
	static const char prefix[] = "vmm-";
	const char *peer = channel->peer;

	return strncmp(peer, prefix, strlen(prefix)) == 0 ? peer + strlen(prefix) : peer;
}

static void find_vms(void)
{
	for (unsigned n = 0; n < SERVER_CHANNELS; n++) {
		const struct server_channel *channel = channel_of(n, CHANNEL_TTY);

		if (channel == NULL)
			continue;
		ports[n].vm = mux_add_vm(&mux, vm_name(channel));
		if (ports[n].vm == MUX_NOBODY)
			cairn_log("%s has no terminal: there are too many VMs", channel->peer);
	}
}

static void report_drops(unsigned n, const struct server_channel *channel, const struct log_ring *ring)
{
	uint64_t dropped = __atomic_load_n(&ring->dropped, __ATOMIC_RELAXED);

	if (dropped > ports[n].dropped)
		cairn_log("%lu line(s) of %s were lost", dropped - ports[n].dropped, channel->peer);
	ports[n].dropped = dropped;
}

/* Takes a server's log lines; whether there may be more. */
static bool take_log(unsigned n, const struct server_channel *channel)
{
	struct log_ring *ring = cairn_channel(n);
	struct log_record record;

	for (unsigned i = 0; i < LOG_BURST; i++) {
		if (!log_ring_get(ring, &record)) {
			report_drops(n, channel, ring);
			return false;
		}
		mux_log(&mux, channel->peer, record.text, record.length, channel->vm != SYSTEM_NONE,
			(record.flags & 1) != 0);
	}
	return true;
}

/* Takes a VM's output while it finds room; a VM whose ring was filling up is told that there is room again. */
static bool take_tty(unsigned n)
{
	struct tty_channel *tty = cairn_channel(n);
	uint32_t waiting = byte_ring_used(&tty->out), taken;
	char bytes[MUX_CHUNK];

	if (ports[n].vm == MUX_NOBODY || mux_room(&mux) < MUX_CHUNK_OUT)
		return false;
	taken = byte_ring_read(&tty->out, bytes, sizeof(bytes));
	mux_vm_bytes(&mux, ports[n].vm, bytes, taken, now_us());
	if (taken != 0 && waiting >= BYTE_RING_SIZE / 2)
		poke(n);
	return waiting > taken;
}

static bool take_channels(void)
{
	bool more = false;

	for (unsigned n = 0; n < SERVER_CHANNELS; n++) {
		const struct server_channel *channel = channel_of(n, CHANNEL_LOG);

		if (channel != NULL)
			more |= take_log(n, channel);
		else if (channel_of(n, CHANNEL_TTY) != NULL)
			more |= take_tty(n);
	}
	return more;
}

static void type(struct mux_input input)
{
	for (unsigned n = 0; n < SERVER_CHANNELS && input.vm != MUX_NOBODY; n++) {
		struct tty_channel *tty = cairn_channel(n);

		if (channel_of(n, CHANNEL_TTY) == NULL || ports[n].vm != input.vm)
			continue;
		if (byte_ring_write(&tty->in, &input.byte, 1) == 1)
			poke(n);
		return;
	}
}

static bool take_keys(void)
{
	uint8_t byte;

	for (unsigned i = 0; i < KEYS_BURST; i++) {
		if (!uart_receive(&byte))
			return false;
		type(mux_key(&mux, byte));
	}
	return true;
}

/* Gives the transmitter what it takes; whether it could take more at once. */
static bool send(void)
{
	char bytes[16];
	size_t room = uart_room();
	size_t length = mux_take(&mux, bytes, room < sizeof(bytes) ? room : sizeof(bytes));

	uart_send(bytes, length);
	return length != 0;
}

/* The root-task waits for the last lines before it ends the system. */
static void answer_flush(void)
{
	for (unsigned n = 0; n < SERVER_CHANNELS; n++) {
		struct log_ring *ring = cairn_channel(n);
		uint64_t asked;

		if (channel_of(n, CHANNEL_LOG) == NULL)
			continue;
		asked = __atomic_load_n(&ring->flush_asked, __ATOMIC_ACQUIRE);
		if (asked != ring->flush_answered && uart_is_idle())
			__atomic_store_n(&ring->flush_answered, asked, __ATOMIC_RELEASE);
	}
}

static bool turn(void)
{
	bool more = take_channels();

	more |= take_keys();
	mux_pump(&mux, now_us());
	more |= send();
	if (!more && mux_is_empty(&mux))
		answer_flush();
	return more;
}

static uint64_t deadline(void)
{
	uint64_t due = mux_due_us(&mux);

	return due == 0 ? 0 : cairn_ticks_from_us(due + 1);
}

static void read_arguments(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!mux_set_mode(&mux, argv[i]))
			cairn_log("unknown argument %s: mode=all or mode=raw:VM", argv[i]);
	}
}

int main(int argc, char **argv)
{
	mux_init(&mux);
	find_vms();
	read_arguments(argc, argv);
	if (!uart_start()) {
		fputs("there is no serial port\n", stderr);
		return 1;
	}
	cairn_log("Ctrl-] h shows what the keyboard can do");
	for (;;) {
		while (turn())
			;
		uart_want_room(mux_room(&mux) != MUX_OUT);
		uart_acknowledge();
		cairn_wait_signals(deadline());
	}
}
