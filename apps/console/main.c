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
/* A port without an interrupt: how often it is looked at for keys, and while there is output. */
#define POLL_US	     5000u
#define POLL_OUT_US  1000u
#define CHANNEL_BITS ((1ull << SERVER_CHANNELS) - 1)

static struct mux mux;

/* What this server's channels are: their index is that of struct server_info. */
static struct port {
	int vm;		  /* CHANNEL_TTY: number of the VM in the multiplexer */
	uint64_t dropped; /* CHANNEL_LOG: already reported */
} ports[SERVER_CHANNELS];

/* What there is to look at: bits of channels, and SIGNAL_SELF for the serial port's interrupt. */
static uint64_t due = CHANNEL_BITS | SIGNAL_SELF;
static uint64_t flush_asked;

static void own_line(const char *text, size_t length)
{
	mux_log(&mux, "console", text, length, false, false);
}

const struct cairn_hooks cairn_hooks = {.log_line = own_line};

static uint64_t now_us(void)
{
	return cairn_us_from_ticks(cairn_tsc());
}

static const struct server_channel *channel_of(unsigned n, enum channel_kind kind)
{
	const struct server_channel *channel = &cairn_info()->channel[n];

	return channel->present && channel->kind == (uint32_t)kind ? channel : NULL;
}

/* A signal to a server that is gone finds nobody; its next generation looks at its rings when it
 * starts. */
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

static void report_drops(unsigned n, const struct server_channel *channel,
			 const struct log_ring *ring)
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

/*
 * Takes a VM's output while it finds room; a VM whose ring was filling up is told that there is
 * room again. Whether it may be called again at once.
 */
static bool take_tty(unsigned n)
{
	struct tty_channel *tty = cairn_channel(n);
	uint32_t waiting = byte_ring_used(&tty->out), taken;
	char bytes[MUX_CHUNK];

	taken = byte_ring_read(&tty->out, bytes, sizeof(bytes));
	mux_vm_bytes(&mux, ports[n].vm, bytes, taken, now_us());
	if (taken != 0 && waiting >= BYTE_RING_SIZE / 2)
		poke(n);
	return waiting > taken;
}

/* Looks at channel n; false: it has nothing more. */
static bool take_channel(unsigned n)
{
	const struct server_channel *channel = channel_of(n, CHANNEL_LOG);

	if (channel != NULL)
		return take_log(n, channel);
	return channel_of(n, CHANNEL_TTY) != NULL && ports[n].vm != MUX_NOBODY && take_tty(n);
}

/* Whether what channel n brings finds room: log lines are kept elsewhere until they are shown. */
static bool has_room(unsigned n)
{
	return channel_of(n, CHANNEL_TTY) == NULL || mux_room(&mux) >= MUX_CHUNK_OUT;
}

/* Looks at each channel that was signalled once; whether any of them can go on at once. */
static bool take_channels(void)
{
	bool more = false;

	for (uint64_t left = due & CHANNEL_BITS; left != 0; left &= left - 1) {
		unsigned n = (unsigned)__builtin_ctzll(left);

		if (!has_room(n))
			continue; /* it stays due until some output has left */
		if (take_channel(n))
			more = true;
		else
			due &= ~(1ull << n);
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

	if ((due & SIGNAL_SELF) == 0)
		return false;
	for (unsigned i = 0; i < KEYS_BURST; i++) {
		if (!uart_receive(&byte))
			return false;
		type(mux_key(&mux, byte));
	}
	return true;
}

/* Gives the transmitter what it takes; whether it may take more at once. */
static bool send(void)
{
	char bytes[16];
	size_t room, length;

	if (mux_room(&mux) == MUX_OUT)
		return false;
	room = uart_room();
	length = mux_take(&mux, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
	uart_send(bytes, length);
	return length != 0;
}

static bool turn(void)
{
	bool more = take_channels();

	more |= take_keys();
	mux_pump(&mux, now_us());
	more |= send();
	return more;
}

/* The root-task waits for the last lines before it ends the system: its own log ring, or NULL. */
static struct log_ring *root_log(void)
{
	for (unsigned n = 0; n < SERVER_CHANNELS; n++) {
		const struct server_channel *channel = channel_of(n, CHANNEL_LOG);

		if (channel != NULL && channel->server == SYSTEM_NONE)
			return cairn_channel(n);
	}
	return NULL;
}

/* What others put into their channels before the root-task asked is there now, whatever CPU they
 * are on: all are looked at once more. */
static void take_flush(void)
{
	const struct log_ring *ring = root_log();
	uint64_t asked = ring != NULL ? __atomic_load_n(&ring->flush_asked, __ATOMIC_ACQUIRE) : 0;

	if (asked != flush_asked)
		due |= CHANNEL_BITS;
	flush_asked = asked;
}

static void answer_flush(void)
{
	struct log_ring *ring = root_log();

	if (ring != NULL && flush_asked != ring->flush_answered && mux_is_empty(&mux) &&
	    uart_is_idle())
		__atomic_store_n(&ring->flush_answered, flush_asked, __ATOMIC_RELEASE);
}

static uint64_t deadline(void)
{
	uint64_t at = mux_due_us(&mux),
		 poll = now_us() + (mux_room(&mux) == MUX_OUT ? POLL_US : POLL_OUT_US);

	if (uart_is_polled() && (at == 0 || at > poll))
		at = poll;
	return at == 0 ? 0 : cairn_ticks_from_us(at + 1);
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
		take_flush();
		while (turn())
			;
		uart_want_room(mux_room(&mux) != MUX_OUT);
		if ((due & SIGNAL_SELF) != 0 && !uart_acknowledge())
			continue;
		due &= ~SIGNAL_SELF;
		answer_flush();
		due |= cairn_wait_signals(deadline()) | (uart_is_polled() ? SIGNAL_SELF : 0);
	}
}
